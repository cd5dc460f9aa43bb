"""Blocks of Markdown, where they are more than CommonMark: rules of markdown-it.

frontend/src/markdown/block_parser.js reads them alike.
"""

import re
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.rules_block import StateBlock, paragraph, reference
from markdown_it.utils import EnvType

from .markdown_math import find_formula, math_block

__all__ = ["language_of", "use_block_rules", "used_labels"]

_DEEPEST = 32  # levels of quotes and lists (a list counts two); deeper text is shown as it is
_MOST_TOKENS = 100_000  # far more than a capped page can show
_MOST_COLUMNS = 200
_MOST_EMPTY_CELLS = 65_536
_MARKDOWN = re.compile(r"(`{3,}|~{3,})[ \t]*(?:markdown|md|mdx|gfm|commonmark)(?![^\s`{:])[^`]*$", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)$")
_DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_NOTE = re.compile(r"\[\^([^\s\[\]^]{1,40})\]:[ \t]*")
_LABEL = re.compile(r"\[((?:[^\[\]\\\n]|\\.){1,999})\](?!:)")
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:|[/#.<]|www\.)", re.IGNORECASE)
_TICKS = re.compile(r"`+")


def use_block_rules(md: MarkdownIt) -> None:
    """Give a parser these rules."""
    starts = ["paragraph", "reference", "blockquote", "list"]
    md.block.ruler.before("fence", "math_block", math_block, {"alt": starts})
    md.block.ruler.before("fence", "markdown_fence", _markdown_fence, {"alt": starts})
    md.block.ruler.before("reference", "footnote", _footnote, {"alt": starts})
    md.block.ruler.at("reference", _reference)
    md.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    md.block.ruler.at("paragraph", _paragraph)
    md.block.ruler.before("table", "limit", _limit)


def used_labels(text: str) -> frozenset[str]:
    """Return the labels that stand in brackets somewhere, definitions left out."""
    return frozenset(normalizeReference(label) for label in _LABEL.findall(text))


def language_of(info: str) -> tuple[str, str]:
    r"""Return the language of a fence, and the name of its file where it tells one.

    Args:
        info: what stands behind the fence: `python`, `{python}`, `{.python}`, `python:src/app.py`, `src/app.py`,
            `python title="src/app.py"`.
    """
    text = info.strip()
    titled = re.search(r"""(?:title|file(?:name)?)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'}]+))""", text)
    file = next((part for part in titled.groups() if part), "") if titled else ""
    if text.startswith("{"):
        word = re.match(r"\{\s*\.?([^\s,}]*)", text)
        language = word[1] if word else ""
        return ("python" if language in ("code-cell", "ipython") else language, file)
    first = text.split()[0] if text else ""
    braced = re.match(r"([^{]+)\{", first)  # as in js{1,3}, whose lines are to be marked
    first = braced[1] if braced else first
    lines = re.fullmatch(r"\d+:\d+:(\S+)", first)  # as in 12:15:src/app.py
    first = lines[1] if lines else first
    is_path = bool(lines or re.match(r"[a-zA-Z]:[\\/]", first))
    language, colon, name = first.partition(":")
    if colon and language and name and not is_path:
        return language, file or name
    suffix = re.fullmatch(r"(?:[a-zA-Z]:)?[\w./\\-]*[\w/\\-]\.([a-zA-Z]\w{0,7})", first)
    if suffix or is_path:
        return suffix[1] if suffix else "", file or first
    return language, file


def _limit(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Keep as plain text what is too deep or too much; markdown-it would drop what is too deep."""
    if silent or (state.level < _DEEPEST and len(state.tokens) < _MOST_TOKENS):
        return False
    token = state.push("fence", "", 0)
    token.content, token.map = state.getLines(first, stop, state.blkIndent, False), [first, stop]
    state.line = stop
    return True


def _paragraph(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Parse a paragraph; the wide blanks that Chinese and Japanese begin one with stay."""
    paragraph(state, first, stop, silent)
    state.tokens[-2].content = state.getLines(first, state.line, state.blkIndent, False).strip(" \t\n")
    return True


def _markdown_fence(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Parse a block of Markdown as code: the fences within it that name a language are part of it, with their ends."""
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    opened = _MARKDOWN.match(state.src[begin : state.eMarks[first]])
    if not opened:
        return False
    if silent:
        return True
    line, fences, is_nested = _end_of_markdown(state, first, stop, opened[1], nests=state.env["bare"])
    if len(fences) > 1 and is_nested and not state.level:  # an odd number of bare fences: they are no pairs
        state.env["bare"] = False
        line, fences, _ = _end_of_markdown(state, first, stop, opened[1], nests=False)
    token = state.push("fence", "code", 0)
    token.info = state.src[begin + len(opened[1]) : state.eMarks[first]]
    token.content = state.getLines(first + 1, line - (0 if fences else 1), state.sCount[first], True)
    token.markup, token.map = opened[1], [first, line]
    state.line = line
    return True


def _end_of_markdown(
    state: StateBlock, first: int, stop: int, mark: str, *, nests: bool
) -> tuple[int, list[str], bool]:
    """Return the line behind a block of Markdown, the fences still open there, and whether a bare one was opened in it.

    Args:
        state: of the parser.
        first: the line of its fence.
        stop: the line behind its container.
        mark: its fence.
        nests: whether a bare fence may open code: below a blank line, a heading or a colon, and above a line of text.
    """
    fences, line, is_nested = [mark], first + 1, False
    while line < stop and fences:
        left, right = state.bMarks[line] + state.tShift[line], state.eMarks[line]
        if left < right and state.sCount[line] < state.blkIndent:
            break
        line += 1
        found = _FENCE.match(state.src[left:right])
        if not found or state.sCount[line - 1] - state.blkIndent > (3 if len(fences) == 1 and not found[2] else 8):
            continue
        mark, info = found.groups()
        if info.strip():
            if re.match(r"[\w{.+#-]", info):
                fences.append(mark)
        elif mark[0] == fences[-1][0] and len(mark) >= len(fences[-1]):
            above = _line(state, line - 2)
            opens = line - 2 > first and (not above or above[0] == "#" or above[-1] in ":：")
            goes_on = line < stop and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent
            if nests and len(fences) == 1 and opens and goes_on:
                fences.append(mark)
                is_nested = True
            else:
                fences.pop()
    return line, fences, is_nested


def _reference(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Parse a definition of a link that the text uses; any other stays to be read."""
    begin = state.bMarks[first] + state.tShift[first]
    if state.src[begin : begin + 1] != "[" or silent:
        return False
    known, parent = dict(state.env["references"]), state.parentType
    if not reference(state, first, stop, silent):
        return False
    fresh = [label for label in state.env["references"] if label not in known]
    if all(
        label in state.env["used"] and _ADDRESS.match(str(state.env["references"][label]["href"])) for label in fresh
    ):
        return True
    for label in fresh:
        del state.env["references"][label]
    state.line, state.parentType = first, parent
    return False


def _footnote(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Parse the text of a footnote: it stays where it was written."""
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    found = _NOTE.match(state.src, begin, state.eMarks[first])
    if not found:
        return False
    if silent:
        return True
    state.env["footnotes"].add(found[1])
    token = state.push("footnote_open", "div", 1)
    lines = [first, 0]
    token.content, token.map = found[1], lines
    kept = state.bMarks[first], state.tShift[first], state.sCount[first], state.blkIndent, state.parentType
    state.blkIndent += 4
    state.parentType = "footnote"
    state.bMarks[first], state.tShift[first], state.sCount[first] = found.end(), 0, state.blkIndent
    state.md.block.tokenize(state, first, stop)
    state.bMarks[first], state.tShift[first], state.sCount[first], state.blkIndent, state.parentType = kept
    lines[1] = state.line
    state.push("footnote_close", "div", -1)
    return True


def _table(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Parse a table; of a bar within code or a formula that reading is taken that fits the columns."""
    under = first + 1
    if (
        under >= stop
        or state.sCount[under] < state.blkIndent
        or state.is_code_block(under)
        or state.is_code_block(first)
    ):
        return False
    line = _line(state, under)
    if not _DELIMITERS.fullmatch(line) or not re.search("[|:]", line):
        return False
    aligns = [_align(cell) for cell in _cut(line, [i for i, c in enumerate(line) if c == "|"])]
    title = _line(state, first)
    if "|" not in title or len(aligns) > _MOST_COLUMNS:
        return False
    heads = cells_of(title, len(aligns), state.env, exactly=True)
    if len(heads) != len(aligns):
        return False
    if silent:
        return True
    parent, state.parentType = state.parentType, "table"
    state.push("table_open", "table", 1).map = lines = [first, 0]
    state.push("thead_open", "thead", 1)
    _push_row(state, first, "th", heads, aligns)
    state.push("thead_close", "thead", -1)
    ends = state.md.block.ruler.getRules("blockquote")
    row, empty = first + 2, 0
    while (
        row < stop and state.sCount[row] >= state.blkIndent and not state.isEmpty(row) and not state.is_code_block(row)
    ):
        if any(rule(state, row, stop, True) for rule in ends):
            break
        cells = cells_of(_line(state, row), len(aligns), state.env)
        empty += len(aligns) - len(cells)
        if empty > _MOST_EMPTY_CELLS:
            break
        if row == first + 2:
            state.push("tbody_open", "tbody", 1)
        _push_row(state, row, "td", cells, aligns)
        row += 1
    if row > first + 2:
        state.push("tbody_close", "tbody", -1)
    state.push("table_close", "table", -1)
    lines[1] = state.line = row
    state.parentType = parent
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip(" \t")


def _align(cell: str) -> str:
    if cell.endswith(":"):
        return "center" if cell.startswith(":") and len(cell) > 1 else "right"
    return "left" if cell.startswith(":") else ""


def _push_row(state: StateBlock, line: int, tag: str, cells: list[str], aligns: list[str]) -> None:
    state.push("tr_open", "tr", 1).map = [line, line + 1]
    for number, align in enumerate(aligns):
        token = state.push(f"{tag}_open", tag, 1)
        if align:
            token.attrs = {"style": f"text-align:{align}"}
        token = state.push("inline", "", 0)
        token.content, token.map = cells[number] if number < len(cells) else "", [line, line + 1]
        token.children = []
        state.push(f"{tag}_close", tag, -1)
    state.push("tr_close", "tr", -1)


def cells_of(row: str, columns: int, env: EnvType, *, exactly: bool = False) -> list[str]:
    """Return the cells of a row: cut at its bars, those within formulas and code left out where that fits the columns.

    Args:
        row: the line, without space around it.
        columns: how many cells the table has; what is too much for it stays in the last one.
        env: of the parser.
        exactly: a row with too many cells stays as it is.
    """
    bars = [i for i, c in enumerate(row) if c == "|" and (not i or row[i - 1] != "\\")]
    readings = [bars]
    if "`" in row or "$" in row or "\\" in row:
        spans = list(_spans(row, env))
        outside = _outside(bars, [span[:2] for span in spans])
        if len(outside) != len(bars):
            no_code = _outside(bars, [span[:2] for span in spans if span[2]])
            readings = [outside, no_code, bars]
    cuts = next((cuts for cuts in readings if len(_cut(row, cuts)) == columns), None)
    if cuts is not None:
        return [_unescape(cell) for cell in _cut(row, cuts)]
    cuts = readings[0]
    cells = _cut(row, cuts)
    if len(cells) > columns and not exactly:
        while len(cells) > columns and not cells[-1]:
            cells.pop()
        if len(cells) > columns:
            first = 1 if cuts and not row[: cuts[0]].strip() else 0
            rest = row[cuts[first + columns - 2] + 1 if first + columns - 2 >= 0 else 0 :].strip(" \t")
            if rest.endswith("|") and not rest.endswith("\\|"):
                rest = rest[:-1].rstrip(" \t")
            cells = [*cells[: columns - 1], rest]
    return [_unescape(cell) for cell in cells]


def _outside(bars: list[int], spans: list[tuple[int, int]]) -> list[int]:
    kept, number = [], 0
    for bar in bars:
        while number < len(spans) and spans[number][1] <= bar:
            number += 1
        if number == len(spans) or bar < spans[number][0]:
            kept.append(bar)
    return kept


def _cut(row: str, bars: list[int]) -> list[str]:
    edges = [-1, *bars, len(row)]
    cells = [row[left + 1 : right].strip(" \t") for left, right in pairwise(edges)]
    if len(cells) > 1 and not cells[0]:
        cells.pop(0)
    if len(cells) > 1 and not cells[-1]:
        cells.pop()
    return cells


def _unescape(cell: str) -> str:
    return cell.replace("\\|", "|")


def _spans(row: str, env: EnvType) -> list[tuple[int, int, bool]]:
    """Return where code and formulas stand in a row: (start, end, whether it is code)."""
    spans: list[tuple[int, int, bool]] = []
    runs: dict[int, list[int]] = {}
    for found in _TICKS.finditer(row):
        runs.setdefault(len(found[0]), []).append(found.start())
    position = 0
    while position < len(row):
        character = row[position]
        if character == "`":
            ticks = _TICKS.match(row, position)
            length = len(ticks[0]) if ticks else 1
            starts = runs.get(length, [])
            while starts and starts[0] <= position:
                starts.pop(0)
            if starts:
                spans.append((position, starts[0] + length, True))
                position = starts[0] + length
            else:
                position += length
        elif character in "$\\":
            end = find_formula(row, position, len(row), env)
            if end > 0:
                spans.append((position, end, False))
                position = end
            else:
                position += 2 if character == "\\" else 1
        else:
            position += 1
    return spans
