r"""Math in Markdown: two markdown-it rules that find formulas, and the check of which may be typeset.

`$…$` and `$$…$$` follow Pandoc's rule for dollars (`$5 and then $10` is no formula), `\(…\)` and `\[…\]` always are.
"""

import re
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.utils import EnvType

__all__ = ["CLOSERS", "add_math_rules", "is_safe_math"]

_MAX_CHARS = 5_000  # of one formula
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
        (r"(?:text)?color(?![a-zA-Z])", r"\s*\{(?:[a-zA-Z]{1,20}|#[0-9a-fA-F]{3,6})\}"),
        (r"colorbox(?![a-zA-Z])", r"\s*\{(?:[a-zA-Z]{1,20}|#[0-9a-fA-F]{3,6})\}"),
        (r"[hm]space\*?(?![a-zA-Z])", rf"\s*\{{\s*{_LENGTH}\s*\}}"),
        (r"\\", rf"\s*(?:\[\s*{_LENGTH}\s*\]|(?!\[)|$)"),
    )
]


def is_safe_math(formula: str) -> bool:
    r"""Return whether a formula holds only commands that draw, and no links, styles, markup, macros or moves.

    MathJax's commands run for every reader (`\href`, `\style`, `\require`, `\def` …), so the list names the
    harmless ones.
    """
    if len(formula) > _MAX_CHARS:
        return False
    depth = 0
    for step in _STEP.finditer(formula):
        depth += (step[0] == "{") - (step[0] == "}")
        if depth < 0 or depth > 60:
            return False
    if depth or "^^" in formula or "\n\n" in formula.replace(" ", ""):
        return False
    for command in _COMMAND.finditer(formula):
        word, mark = command.groups()
        if (word.rstrip("*") not in COMMANDS) if word else (mark not in _SAFE_PUNCTUATION):
            return False
    trailing = len(formula) - len(formula.rstrip("\\"))
    return trailing % 2 == 0 and all(_arguments_allowed(formula, *rule) for rule in _ARGUMENTS)


def _arguments_allowed(formula: str, command: re.Pattern[str], follows: re.Pattern[str]) -> bool:
    # Two-step, so that the `\\` of `\\begin` is not taken for a line end followed by a word.
    starts = {match.start() for match in _COMMAND.finditer(formula)}
    return all(follows.match(formula, match.end()) for match in command.finditer(formula) if match.start() in starts)


def add_math_rules(md: MarkdownIt) -> None:
    """Add to a parser the tokens `math_inline` and `math_block` (content: the formula; markup: its opener)."""
    md.inline.ruler.before("escape", "math_inline", _inline_rule)
    md.block.ruler.before("fence", "math_block", _block_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]})


CLOSERS = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}


def _inline_rule(state: StateInline, silent: bool) -> bool:
    source, start = state.src, state.pos
    if source[start] not in "$\\":
        return False
    opener = source[start : start + 2]
    if opener not in CLOSERS:
        opener = source[start]
        if opener == "\\":
            return False
    end = _find_end(source, start + len(opener), state.posMax, opener, state.env)
    if end < 0:
        return False
    closer = CLOSERS[opener]
    if not silent:
        token = state.push("math_inline", "", 0)
        token.content, token.markup = source[start + len(opener) : end], opener
    state.pos = end + len(closer)
    return True


def _find_end(source: str, start: int, stop: int, opener: str, env: EnvType) -> int:
    """Return where the formula ends for MathJax, outside braces and not escaped; or -1."""
    closer, depth, end = CLOSERS[opener], 0, -1
    stop = min(stop, start + _MAX_CHARS)
    if env.setdefault("maths", 0) < 0 or start >= stop or (opener == "$" and source[start].isspace()):
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


def _block_rule(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    opener = state.src[begin : begin + 2]
    if opener not in ("$$", "\\["):
        return False
    closer, last, size = CLOSERS[opener], -1, 0
    for line in range(first, stop):
        left, right = state.bMarks[line] + state.tShift[line], state.eMarks[line]
        if (
            size > _MAX_CHARS
            or state.env.setdefault("maths", 0) < 0
            or (line > first and state.sCount[line] < state.blkIndent)
        ):
            break
        start = left + 2 if line == first else left
        at = state.src.find(closer, start, right)
        if at > 0 and state.src[at - 1] == "\\":
            at = -1
        size += right - left
        state.env["maths"] -= right - left
        if at >= 0:
            last = line
            break
    if last < 0:
        return False
    trailing = state.src[at + 2 : right].strip()
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
