r"""Parse Markdown: CommonMark with GFM tables, strikethrough, task lists, and maths; and check what may be typeset.

`$…$` and `$$…$$` follow Pandoc's rule for dollars (`$5 and then $10` is no formula), `\(…\)` and `\[…\]` always are.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType

__all__ = ["CLOSERS", "is_safe_math", "parse_blocks"]

_DEEPEST = 32  # levels of quotes and lists (a list counts two); deeper text is shown as it is
_MOST_TOKENS = 100_000  # far more than a capped page can show
_LONGEST_PARAGRAPH = 40_000  # characters; the inline rules are super-linear on hostile text
_MOST_BRACKETS = 20_000  # in all: each one may start a link, and costs 15 to 30 µs
_TASK = re.compile(r"\[([ xX])\][ \t\n]")
CLOSERS = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}  # of a formula, by its opener
_LONGEST_FORMULA = 5_000  # characters
_ALLOWED = (Path(__file__).parent / "mathjax_allowed.txt").read_text(encoding="utf-8")
COMMANDS, ENVIRONMENTS = (frozenset(part.split()) for part in re.split(r"\[\w+\]\n", _ALLOWED)[1:])
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


def is_safe_math(formula: str) -> bool:
    r"""Return whether a formula holds only commands that draw, and no links, styles, markup, macros or moves.

    MathJax's commands run for every reader (`\href`, `\style`, `\require`, `\def` …), so the list names the
    harmless ones.
    """
    if len(formula) > _LONGEST_FORMULA:
        return False
    depth = 0
    for step in _STEP.finditer(formula):
        depth += (step[0] == "{") - (step[0] == "}")
        if depth < 0 or depth > 60:
            return False
    if depth or "^^" in formula or "\n\n" in formula.replace(" ", ""):
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


def _inline_math(state: StateInline, silent: bool) -> bool:
    source, start = state.src, state.pos
    opener = source[start : start + 2]
    if opener not in CLOSERS:
        opener = source[start]
    if opener not in CLOSERS:
        return False
    begin = start + len(opener)
    end = _find_end(source, begin, state.posMax, opener, state.env)
    if end < 0:
        return False
    if not silent:
        token = state.push("math_inline", "", 0)
        token.content, token.markup = source[begin:end], opener
    state.pos = end + len(CLOSERS[opener])
    return True


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
    after = source[end + 1 : end + 2]
    if opener == "$" and (source[end - 1].isspace() or after.isdecimal() or after == "$"):
        return -1
    return end


def _block_math(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    if state.is_code_block(first):
        return False
    source, begin = state.src, state.bMarks[first] + state.tShift[first]
    opener = source[begin : begin + 2]
    if opener not in ("$$", "\\["):
        return False
    closer, size = CLOSERS[opener], 0
    for last in range(first, stop):
        left, right = state.bMarks[last] + state.tShift[last], state.eMarks[last]
        outside = last > first and state.sCount[last] < state.blkIndent
        if outside or size > _LONGEST_FORMULA or state.env["maths"] < 0:
            return False
        at = source.find(closer, left + 2 if last == first else left, right)
        size += right - left
        state.env["maths"] -= right - left
        if at >= 0 and source[at - 1] != "\\":
            break
    else:
        return False
    trailing = source[at + 2 : right].strip()
    if len(trailing) > 1:  # text goes on after it: a formula within a paragraph
        return False
    if silent:
        return True
    body = state.getLines(first, last + 1, state.blkIndent, False).strip()
    formula = body[2 : body.rindex(closer)]
    if not formula.strip():
        return False
    token = state.push("math_block", "", 0)
    token.content, token.markup, token.info, token.map = formula, opener, trailing, [first, last + 1]
    state.line = last + 1
    return True


class _Inline(ParserInline):
    """The inline rules without their recursion into an image's alternative text, which stays text."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        return tokens  # the image rule calls this for the alternative text

    def parse_inline(self, src: str, md: MarkdownIt, env: EnvType) -> list[Token]:
        brackets = src.count("[")
        env["brackets"] += brackets
        if len(src) > _LONGEST_PARAGRAPH or (brackets and env["brackets"] > _MOST_BRACKETS):
            return [Token("text", "", 0, content=src)]
        state = StateInline(src, md, env, [])
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _limit(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Keep as plain text what is too deep or too much; markdown-it would drop what is too deep."""
    if silent or (state.level < _DEEPEST and len(state.tokens) < _MOST_TOKENS):
        return False
    token = state.push("fence", "", 0)
    token.content, token.map = state.getLines(first, stop, state.blkIndent, False), [first, stop]
    state.line = stop
    return True


def _parser() -> tuple[MarkdownIt, _Inline]:
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST + 8})
    md.enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    inline = _Inline()
    inline.ruler, inline.ruler2 = md.inline.ruler, md.inline.ruler2
    md.inline = inline
    # An address is judged where the tag is built (link_target); the parser only finds it.
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    md.normalizeLink = lambda url: url  # type: ignore[method-assign]
    md.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    md.inline.ruler.before("escape", "math_inline", _inline_math)
    md.block.ruler.before("fence", "math_block", _block_math, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    md.block.ruler.before("table", "limit", _limit)
    return md, inline


_MD, _INLINE = _parser()  # read-only from here on: what a text needs is in its own env


def parse_blocks(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of each top-level block.

    Args:
        text: with line feeds as line ends, and without NUL.
    """
    env: EnvType = {"maths": 4 * len(text) + 20_000, "brackets": 0}
    tokens: list[Token] = []
    _MD.block.parse(text, _MD, env, tokens)
    block: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type == "inline":
            content, task = token.content, _TASK.match(token.content)
            if task and index >= 2 and tokens[index - 2].type == "list_item_open":
                content = ("☐ " if task[1] == " " else "☑ ") + content[task.end() :]
            token.children = _INLINE.parse_inline(content, _MD, env)
        block.append(token)
        if token.level == 0 and token.nesting <= 0 and token.type != "inline":
            yield block
            block = []
