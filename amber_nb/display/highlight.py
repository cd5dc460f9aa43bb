"""Code to coloured HTML, small, for light and dark: a literal colour first, the theme's own colour after it."""

import functools
import re
from collections.abc import Iterable

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String

from .escape import escape_code

__all__ = [
    "CODE_STYLE",
    "COLOURS",
    "LANGUAGES",
    "MOST_COLOURED",
    "code_block",
    "code_html",
    "code_runs",
    "colouring_cost",
    "theme_colours",
]

# Literal values only: untrusted, Lab drops var(…). The border is in the grey that shows on white and on black.
CODE_STYLE = "margin:0 0 1em;padding:8px 12px;border:1px solid rgba(128,128,128,.3);border-radius:4px;overflow-x:auto"

# Untrusted, Lab keeps literal colours and drops var(…). No colour reaches 4.5:1 on both white and Lab's #111 (the best
# possible is 4.35 on each), so these sit just below luminance 0.183: 4.5 on white, 4.1 or more on #111.
# letter: (literal, Lab's variable, element)
COLOURS = {
    "k": ("#182", "--jp-mirror-editor-keyword-color", "b"),
    "s": ("#d33", "--jp-mirror-editor-string-color", "span"),
    "n": ("#085", "--jp-mirror-editor-number-color", "span"),
    "c": ("#767676", "--jp-content-font-color2", "i"),
    "f": ("#27c", "--jp-mirror-editor-def-color", "span"),
    "u": ("#182", "--jp-mirror-editor-builtin-color", "span"),
    "p": ("#37c", "--jp-mirror-editor-property-color", "span"),
    "o": ("#a4d", "--jp-mirror-editor-operator-color", "span"),
}
_KINDS = {
    token: kind
    for kind, tokens in {
        "k": (Keyword, Operator.Word, Generic.Heading),
        "s": (String, Comment.PreprocFile, Generic.Deleted, Generic.Error),
        "n": (Number, Generic.Inserted),
        "c": (Comment, Generic.Prompt),
        "f": (Name.Function, Name.Class),
        "u": (Keyword.Type, Name.Builtin, Name.Exception),
        "p": (Name.Tag, Name.Attribute, Name.Variable),
        "o": (Comment.Preproc, Name.Decorator, Generic.Subheading),
    }.items()
    for token in tokens
}
_COARSE = frozenset("ksc")
# The languages of a data scientist's answers. A closed list: no lexer is guessed, no plug-in is looked for, and the
# worst ones (C#, Groovy: seconds for 4,000 hostile characters) are not on it.
_NAMES = """
    python py python3 py3 pycon sql mysql postgresql postgres json jsonl jsonc json5 yaml yml toml ini cfg bash sh
    shell zsh console powershell ps1 bat javascript js jsx typescript ts tsx html xml css scss java kotlin scala c cpp
    c++ go golang rust rs swift ruby rb php perl lua r julia jl matlab octave haskell hs elixir erlang
    clojure ocaml fortran dockerfile docker makefile make cmake diff terraform hcl graphql protobuf proto latex
    tex nginx dart vim
"""
LANGUAGES = frozenset(_NAMES.split())
_ALIASES = {"jsonl": "json", "jsonc": "json", "ps1": "powershell", "py3": "python3", "hcl": "terraform", "yml": "yaml"}
# Several lexers take the square of the length in time on code written to that end (an open string of 16,000 `\\"` costs
# two seconds), so the length is bounded, per block here and per answer by whoever adds up `colouring_cost`.
_LONGEST = 20_000  # characters; longer code stays plain
MOST_COLOURED = 50_000  # characters of code in one answer, as `colouring_cost` counts them
_SLOW = {"java": 4_000}
# No one writes these, and here some lexers take even the cube.
_HOSTILE = re.compile(r"[^\n]{1500}|(?:[ \t\f]*\n){7}|[ \t]{300}")


def code_html(code: str, language: str = "") -> tuple[str, str]:
    """Colour code.

    Args:
        code: The code as written.
        language: The first word of the fence; a name that is not in LANGUAGES leaves the code plain.

    Returns:
        HTML for inside `<code>`, and the letters of the colours it uses (see `theme_colours`).
    """
    return _join(code_runs(code, language))


def code_runs(code: str, language: str = "") -> tuple[tuple[str, str], ...]:
    """Cut code into pieces of one colour.

    Args:
        code: The code as written.
        language: As for `code_html`.

    Returns:
        The letter of its colour, or "", and the text of each piece; together they are the code.
    """
    return _coloured(code, language.lower()) if colouring_cost(code, language) else (("", code),)


def code_block(code: str, language: str = "") -> str:
    """Render code as a block of its own, which declares its colours itself."""
    html, used = code_html(code, language)
    colours = f' style="{theme_colours(used)}"' if used else ""
    return f'<pre dir="ltr" style="{CODE_STYLE}"><code{colours}>{html}</code></pre>'


def colouring_cost(code: str, language: str) -> int:
    """What colouring would cost at worst, in characters of ordinary code; 0 for what stays plain."""
    name = language.lower()
    most = _SLOW.get(name, _LONGEST)
    if name not in LANGUAGES or len(code) > most or _HOSTILE.search(code):
        return 0
    return len(code) * _LONGEST // most


def theme_colours(used: str) -> str:
    """Declarations for the root's style: the short names that the coloured pieces refer to."""
    return ";".join(f"--{kind}:var({COLOURS[kind][1]},{COLOURS[kind][0]})" for kind in COLOURS if kind in used)


@functools.lru_cache(maxsize=32)  # the live view asks for what the settled answer needs a moment later
def _coloured(code: str, language: str) -> tuple[tuple[str, str], ...]:
    runs = _runs(code, language)
    for wanted in (frozenset(COLOURS), _COARSE):
        chosen = tuple((kind if kind in wanted else "", text) for kind, text in runs)
        if len(_join(chosen)[0]) <= 6 * len(code) + 400:  # minified code would swell: colour less of it, or nothing
            return chosen
    return (("", code),)


def _runs(code: str, language: str) -> list[tuple[str, str]]:
    """Return pieces of code, each with its letter or "", neighbours of one colour already joined."""
    runs: list[tuple[str, str]] = []
    try:
        lexer = get_lexer_by_name(_ALIASES.get(language, language), stripnl=False, ensurenl=False)
        for token, text in lexer.get_tokens(code):
            while token not in _KINDS and token.parent is not None:
                token = token.parent
            kind = _KINDS.get(token, "")
            if runs and (runs[-1][0] == kind or text.isspace()):
                runs[-1] = (runs[-1][0], runs[-1][1] + text)
            else:
                runs.append((kind, text))
    except Exception:  # an older pygments, or a lexer's own bug, must not cost the reader the answer
        return [("", code)]
    return runs if "".join(text for _, text in runs) == code else [("", code)]


def _join(runs: Iterable[tuple[str, str]]) -> tuple[str, str]:
    pieces, used = [], set()
    for kind, text in runs:
        html = escape_code(text)
        if kind and (bare := html.rstrip()):
            literal, _, element = COLOURS[kind]
            html = f'<{element} style="color:{literal};color:var(--{kind})">{bare}</{element}>{html[len(bare) :]}'
            used.add(kind)
        pieces.append(html)
    return "".join(pieces), "".join(sorted(used))
