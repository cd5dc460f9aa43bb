r"""Formulas in Markdown: where they end, what is none, and what may be typeset.

`$…$` and `$$…$$` follow Pandoc's rule for dollars (`$5 and then $10` is no formula), and hold no formula either where
their brackets do not balance, or where they hold mere words: prices, tickers and paths. `\(…\)`, `\[…\]` and
`\begin{…}…\end{…}` always are formulas. frontend/src/markdown/formulas.js reads them alike.
"""

import re
from pathlib import Path

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.utils import EnvType

__all__ = ["CLOSERS", "is_safe_math", "math_block", "math_inline", "math_source"]

CLOSERS = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}  # of a formula, by its opener
_LONGEST_FORMULA = 5_000  # characters
_ALLOWED = (Path(__file__).parent / "mathjax_allowed.txt").read_text(encoding="utf-8")
COMMANDS, ENVIRONMENTS = (frozenset(part.split()) for part in re.split(r"\[\w+\]\n", _ALLOWED)[1:])
_BEGIN = re.compile(r"\\begin\{([a-zA-Z]{2,20}\*?)\}")
_BLANK = re.compile(r"\n[ \t]*\n")
_STEP = re.compile(r"\\(?:[a-zA-Z]+\*?|.)|[{}$`]|\n[ \t]*\n", re.DOTALL)
_COMMAND = re.compile(r"\\(?:([a-zA-Z]+\*?)|(.))", re.DOTALL)
_SAFE_PUNCTUATION = frozenset(",:>;!{}|\\$%&#_ \n-")
_LENGTH = r"\d{0,2}(?:\.\d{1,3})?\s*(?:em|ex|pt|mu|cm|mm|in|px)"
# Commands whose argument decides: (the command, what must follow it).
_ARGUMENTS = [
    (re.compile(rf"\\{name}"), re.compile(follows))
    for name, follows in (
        (r"(?:begin|end)(?![a-zA-Z])", rf"\s*\{{(?:{'|'.join(map(re.escape, sorted(ENVIRONMENTS)))})\}}"),
        (r"begin\s*\{\w*alignat\w*\*?\}", r"\s*\{\d\}"),
        (r"(?:color|textcolor|colorbox)(?![a-zA-Z])", r"\s*\{(?:[a-zA-Z]{1,20}|#[0-9a-fA-F]{3,6})\}"),
        (r"[hm]space\*?(?![a-zA-Z])", rf"\s*\{{\s*{_LENGTH}\s*\}}"),
        (r"\\", rf"\s*(?:\[\s*{_LENGTH}\s*\]|(?!\[)|$)"),
    )
]
_COMMENT = re.compile(
    r"(?<!\\)%|(?<![\\{])#"
)  # TeX drops what follows the one, and takes the other for a macro's argument
# What tells a formula from words.
_SIGN = re.compile(r"[\\^_{}=<>+*|~]")
_WORDS = re.compile(r"[\w\s.,;:!?'\"’“”–—/&-]*")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LETTER = re.compile(r"[^\W_]")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_NAMES = """
    arccos arcsin arctan arg cos cosh cot cov csc deg det diag dim div exp gcd grad inf ker lim ln log max min mod rank
    sec sgn sign sin sinh sup tan tanh trace var
"""
_FUNCTIONS = frozenset(_NAMES.split())
_TEXTS = re.compile(r"\\(?:text\w*|mathrm|mbox|operatorname\*?|tag\*?)\s*\{[^{}]*\}")
_INTERVAL = re.compile(r"\](?:[^\W\d_]?[^\w\[\]]|\d|\\[a-zA-Z]+){1,40}\[")
_BRACKET = re.compile(r"\\(left|right)\b\s*\\?.?|\\(?:[a-zA-Z]+|.)|[()\[\]（）［］]", re.DOTALL)
_ORDINAL = re.compile(r"(?:th|st|nd|rd|s|d|es)(?![a-zA-Z])")
_AMOUNT = re.compile(r"\d[\d.,]*\s?(?:[KMBT]|bn|mn)(?![A-Za-z]).")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,}")


def is_safe_math(formula: str) -> bool:
    r"""Return whether a formula holds only commands that draw, and no links, styles, markup, macros or moves.

    MathJax's commands run for every reader (`\href`, `\style`, `\require`, `\def` …), so the list names the
    harmless ones.
    """
    if len(formula) > _LONGEST_FORMULA or _COMMENT.search(formula):
        return False
    depth = 0
    for step in _STEP.finditer(formula):
        depth += (step[0] == "{") - (step[0] == "}")
        if depth < 0 or depth > 60:
            return False
    if depth or "^^" in formula:
        return False
    commands = list(_COMMAND.finditer(formula))
    for command in commands:
        word, mark = command.groups()
        if (word.rstrip("*") not in COMMANDS) if word else (mark not in _SAFE_PUNCTUATION):
            return False
    if (len(formula) - len(formula.rstrip("\\"))) % 2:
        return False
    # Only where a command starts, so that the `\\` of `\\begin` is not taken for a line end followed by a word.
    starts = {command.start() for command in commands}
    return all(
        follows.match(formula, match.end())
        for name, follows in _ARGUMENTS
        for match in name.finditer(formula)
        if match.start() in starts
    )


def math_source(source: str) -> str | None:
    r"""Return what stands between the delimiters of a formula; of `\begin{…}…\end{…}` it is all. None: it is none."""
    if _BEGIN.match(source):
        return source if source.endswith("}") else None
    opener = source[:2] if source[:2] in CLOSERS else source[:1]
    closer = CLOSERS.get(opener, "")
    body = source[len(opener) : -len(closer)] if closer and source.endswith(closer) else ""
    return body if body.strip() else None


def holds_formula(content: str, before: str, after: str) -> bool:
    """Return whether what stands between dollars is a formula, and neither prices, tickers, a path nor words.

    Args:
        content: what stands between them.
        before: the character before the first of them; of a pair of dollars, it is a dollar.
        after: the text behind the last; a few characters are enough.
    """
    if not content.strip() or content[0] == "/" or content[-1] == "/" or _COMMENT.search(content):
        return False
    if before.isascii() and before.isalnum() and content[0] not in "\\^_":
        return False
    if after[:1] == "{":
        return False
    if after[:1].isascii() and after[:1].isalpha() and not _ORDINAL.match(after) and len(content) > 1:
        last = content[-1]
        ends = (last.isascii() and last.isalnum()) or last in ")}]'!|*"
        if not ends or not re.search(r"[\\^_={]", content) or _VARIABLE.fullmatch(content):
            return False
    if not _SIGN.search(content):
        if _CJK.search(content):
            return False
        if _WORDS.fullmatch(content):
            words = [word for word in _WORD.findall(content) if word not in _FUNCTIONS]
            most = 3 if content in words else 1 if before == "$" else 2  # letters: `$ABC$` may be a triangle
            if len(words) > 1 or any(len(word) > most for word in words) or _AMOUNT.match(content):
                return False
    return _is_balanced(content)


def _is_balanced(content: str) -> bool:
    """Return whether each bracket has its partner; round and square ones may meet, as in `[0, 1)`."""
    text = _INTERVAL.sub("()", _TEXTS.sub("", content))
    depth = 0
    for found in _BRACKET.finditer(text):
        if found[1]:
            depth += 1 if found[1] == "left" else -1
        elif found[0] in "([（［":
            depth += 1
        elif found[0] in ")]）］":
            depth -= 1
        if depth < 0:
            return False
    return depth == 0


def math_inline(state: StateInline, silent: bool) -> bool:
    """Parse a formula within a line: a rule of markdown-it."""
    source, start = state.src, state.pos
    if source[start] not in "$\\":
        return False
    end = find_formula(source, start, state.posMax, state.env)
    if end > 0:
        if not silent:
            token = state.push("math_inline", "", 0)
            token.content = source[start:end]
        state.pos = end
        return True
    run = start
    while run < state.posMax and source[run] == "$":
        run += 1
    if run - start < 2:
        return False
    if not silent:
        state.pending += source[start:run]  # the second of two dollars opens nothing
    state.pos = run
    return True


def find_formula(source: str, start: int, stop: int, env: EnvType) -> int:
    """Return where the formula that opens there is over, or -1."""
    if begin := _BEGIN.match(source, start, stop):
        return _find_environment(source, begin, stop, env)
    opener = source[start : start + 2]
    if source.startswith("$$$", start):
        return -1
    if opener not in CLOSERS:
        opener = source[start : start + 1]
    if opener not in CLOSERS:
        return -1
    begin_at = start + len(opener)
    end = _find_end(source, begin_at, stop, opener, env)
    if end < 0:
        return -1
    over = end + len(CLOSERS[opener])
    before = "$" if opener == "$$" else source[start - 1] if start else ""
    content = source[begin_at:end]
    if opener[0] == "$":
        is_formula = holds_formula(content, before, source[over : min(stop, over + 4)])
    else:
        is_formula = bool(_LETTER.search(content))  # and no brackets of a pattern
    if not is_formula:
        return -1
    return over


def _find_environment(source: str, begin: re.Match[str], stop: int, env: EnvType) -> int:
    name, depth = begin[1], 0
    stop = min(stop, begin.start() + _LONGEST_FORMULA)
    if name not in ENVIRONMENTS or env["maths"] < 0:
        return -1
    blank = _BLANK.search(source, begin.end(), stop)
    end = blank.start() if blank else stop
    for found in re.finditer(rf"\\(begin|end)\{{{re.escape(name)}\}}", source[begin.start() : end]):
        depth += 1 if found[1] == "begin" else -1
        if not depth:
            return begin.start() + found.end()
    env["maths"] -= end - begin.start()
    return -1


def _find_end(source: str, start: int, stop: int, opener: str, env: EnvType) -> int:
    """Return where the formula ends for MathJax, outside braces and not escaped; or -1."""
    closer, depth, end = CLOSERS[opener], 0, -1
    stop = min(stop, start + _LONGEST_FORMULA)
    if env["maths"] < 0 or start >= stop or (opener == "$" and source[start].isspace()):
        return -1
    position = start
    for step in _STEP.finditer(source, start, stop):
        found, position = step[0], step.start()
        if found in "{}":
            depth += 1 if found == "{" else -1
        elif depth == 0 and source.startswith(closer, position) and (closer[0] == "$" or found == closer):
            end = position
            break
        elif found == "`" or found.startswith("\n") or found in ("\\(", "\\[", "\\)", "\\]"):
            break
        if depth < 0:
            break
    env["maths"] -= position - start  # openers without an end must not make the time grow with the square of the text
    if end <= start or not source[start:end].strip():
        return -1
    after = source[end + len(closer) : end + len(closer) + 1]
    if opener[0] == "$" and after == "$":
        return -1
    if opener == "$" and (source[end - 1].isspace() or after.isdecimal()):
        return -1
    return end


def math_block(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    r"""Parse a formula on lines of its own: a rule of markdown-it.

    Lines without text are part of it where its delimiter stands alone on a line, and within `\begin{…}`.
    """
    if state.is_code_block(first):
        return False
    source, begin = state.src, state.bMarks[first] + state.tShift[first]
    end_of_first = state.eMarks[first]
    environment = _BEGIN.match(source, begin, end_of_first)
    opener = environment[0] if environment else source[begin : begin + 2]
    if environment and environment[1] not in ENVIRONMENTS:
        return False
    if not environment and opener not in ("$$", "\\["):
        return False
    closer = f"\\end{{{environment[1]}}}" if environment else CLOSERS[opener]
    alone = source[begin:end_of_first].strip() == opener
    depth, size = 0, 0
    for last in range(first, stop):
        left, right = state.bMarks[last] + state.tShift[last], state.eMarks[last]
        outside = last > first and left < right and state.sCount[last] < state.blkIndent
        blank = left >= right and not (alone or environment)
        if outside or blank or size > _LONGEST_FORMULA or state.env["maths"] < 0:
            return False
        at = _closing(source, left, right, opener, closer, last == first, depth)
        depth += source.count(opener, left, right) - source.count(closer, left, right) if environment else 0
        size += right - left + 1
        state.env["maths"] -= right - left + 1
        if at >= 0:
            break
    else:
        return False
    trailing = source[at + len(closer) : right].strip()
    if len(trailing) > 1:  # text goes on after it: a formula within a paragraph
        return False
    body = state.getLines(first, last + 1, state.blkIndent, False).strip()
    formula = body[: body.rindex(closer) + len(closer)]
    inner = formula[len(opener) : -len(closer)]
    if not inner.strip() or (opener == "$$" and not alone and not holds_formula(inner, "$", "")):
        return False
    if silent:
        return True
    token = state.push("math_block", "", 0)
    token.content, token.info, token.map = formula, trailing, [first, last + 1]
    state.line = last + 1
    return True


def _closing(source: str, left: int, right: int, opener: str, closer: str, is_first: bool, depth: int) -> int:
    """Return where the formula's closer stands in a line, or -1."""
    if closer[0] == "$" or closer == "\\]":
        at = source.find(closer, left + 2 if is_first else left, right)
        return at if at < 0 or source[at - 1] != "\\" else -1
    depth += source.count(opener, left, right) - source.count(closer, left, right)
    return source.rfind(closer, left, right) if depth <= 0 else -1
