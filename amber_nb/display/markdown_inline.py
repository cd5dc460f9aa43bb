"""What stands within a line of Markdown, where it is more than CommonMark: rules of markdown-it.

frontend/src/markdown/inline.js reads it alike.
"""

import re
from collections.abc import Iterator
from html.entities import name2codepoint
from unicodedata import category

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType

from .markdown_math import math_inline

__all__ = ["InlineParser", "columns_of", "use_inline_rules"]

_LONGEST_PARAGRAPH = 40_000  # characters; the inline rules are super-linear on hostile text
_MOST_BRACKETS = 20_000  # in all: each one may start a link, and costs 15 to 30 µs
_LONG_LINE = 60  # columns; a line of that length is taken for one that was broken because it was full
# Characters as wide as two, and as many more as are written without spaces between their words.
_IDEOGRAPHS = (
    "\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19"
    "\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\U00016fe0-\U0001b2ff\U0001f200-\U0001f265\U00020000-\U0003fffd"
)
_WIDE = re.compile(f"[{_IDEOGRAPHS}\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001faff]")
_CJK = re.compile(f"[{_IDEOGRAPHS}\u1160-\u11ff\u20a9\u3131-\u318e\ud7b0-\ud7fb\uff61-\uffdc\uffe8-\uffee]")
_SELECTORS = re.compile("[\ufe00-\ufe0e]")
_LIST_SIGN = re.compile(
    r"[ \t]*(?:[-+*•‣⁃◦▪▫▸▹►▶●○■□◆◇·–—→⇒➔➜➤✓✔✗✘✅❌❗⚠☐☑☒★☆|>│├└┌┬┼─═║╔╚╠#{}\[\]<]"
    r"|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)](?=\s))"
)
_INDENT = re.compile(r"(?:[│┃║]?[ \t]+)*")  # with the lines of a tree
# How JSON begins: what stands in it is no emphasis, no escape and no formula.
_DATA = re.compile(r"\{[ \t]*(?:\n|[\"}{\[])|\[[ \t]*(?:\n|\{)")
_TAG = re.compile(r"<(?:br[ \t]*/?|(sub|sup|kbd))>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#(?:x([0-9a-f]{1,6})|([0-9]{1,7}))|([a-z][a-z0-9]{1,7}));", re.IGNORECASE)
_NAMED = {name: chr(code) for name, code in name2codepoint.items()} | {"apos": "'"}
_NOTE = re.compile(r"\[\^([^\s\[\]^]{1,40})\]")


def columns_of(line: str) -> int:
    """Return how many columns a line takes; a wide character takes two."""
    return len(line) + (0 if line.isascii() else len(_WIDE.findall(line)))


class _State(StateInline):
    """The state of a line, in which marks beside Chinese, Japanese and Korean are read as it is written there."""

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:
        """Return whether a run of marks opens, and closes, emphasis: CommonMark's rule, amended for CJK."""
        source, end = self.src, start
        while end < self.posMax and source[end] == source[start]:
            end += 1
        before, after = source[start - 1] if start else " ", source[end] if end < len(source) else " "
        if _SELECTORS.match(before) and start > 1:
            before = source[start - 2]
        space_before, space_after = _is_space(before), _is_space(after)
        mark_before, mark_after = _is_mark(before), _is_mark(after)
        cjk_before, cjk_after = bool(_CJK.match(before)), bool(_CJK.match(after))
        plain_before, plain_after = mark_before and not cjk_before, mark_after and not cjk_after
        left = not space_after and (not plain_after or space_before or plain_before or cjk_before)
        right = not space_before and (not plain_before or space_after or plain_after or cjk_after)
        return Scanned(
            left and (canSplitWord or not right or mark_before),
            right and (canSplitWord or not left or mark_after),
            end - start,
        )


def _is_space(character: str) -> bool:
    return character in "\t\n\f\r" or category(character) == "Zs"


def _is_mark(character: str) -> bool:
    return category(character)[0] in "PS"


class InlineParser(ParserInline):
    """The inline rules without their recursion into an image's alternative text, which stays text."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        return tokens  # the image rule calls this for the alternative text

    def parse_inline(self, src: str, md: MarkdownIt, env: EnvType) -> list[Token]:
        """Parse the text of one leaf."""
        if _DATA.match(src) and len(src) <= _LONGEST_PARAGRAPH:
            return list(_data_tokens(src))
        brackets = src.count("[")
        env["brackets"] += brackets
        if len(src) > _LONGEST_PARAGRAPH or (brackets and env["brackets"] > _MOST_BRACKETS):
            return [Token("text", "", 0, content=src)]
        state = _State(src, md, env, [])
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _data_tokens(src: str) -> Iterator[Token]:
    """Yield the lines of a text as they are written."""
    for number, line in enumerate(src.split("\n")):
        text = line[_INDENT.match(line).end() :] if number else line  # type: ignore[union-attr]
        if number:
            yield Token("hardbreak", "br", 0, content=line[: len(line) - len(text)].replace("\t", "    "))
        yield Token("text", "", 0, content=text.rstrip(" \t"))


def use_inline_rules(md: MarkdownIt) -> InlineParser:
    """Give a parser these rules, and return what parses a line with them."""
    inline = InlineParser()
    inline.ruler, inline.ruler2 = md.inline.ruler, md.inline.ruler2
    md.inline = inline
    md.inline.ruler.before("escape", "math_inline", math_inline)
    md.inline.ruler.before("link", "footnote", _footnote)
    md.inline.ruler.before("autolink", "tag", _tag)
    md.inline.ruler.before("strikethrough", "tildes", _tildes)
    md.inline.ruler.at("newline", _newline)
    md.inline.ruler.at("entity", _entity)
    return inline


def _newline(state: StateInline, silent: bool) -> bool:
    """Parse a line end: it is one, and a space only behind a line that was full."""
    source, position = state.src, state.pos
    if source[position] != "\n":
        return False
    end = _INDENT.match(source, position + 1, state.posMax).end()  # type: ignore[union-attr]
    if not silent:
        line = source[source.rfind("\n", 0, position) + 1 : position].strip(" \t")
        hard = state.pending.endswith("  ")
        state.pending = state.pending.rstrip(" ")
        flows = not hard and columns_of(line) >= _LONG_LINE and not _LIST_SIGN.match(source, position + 1)
        token = state.push("softbreak" if flows else "hardbreak", "br", 0)
        if not flows:
            token.content = source[position + 1 : end].replace("\t", "    ")
    state.pos = end
    return True


def _tildes(state: StateInline, silent: bool) -> bool:
    """Parse tildes that are not two as text: `~5`, `~~~`."""
    start = end = state.pos
    while end < state.posMax and state.src[end] == "~":
        end += 1
    if end - start in (0, 2):
        return False
    if not silent:
        state.pending += state.src[start:end]
    state.pos = end
    return True


def _entity(state: StateInline, silent: bool) -> bool:
    """Parse a character reference: by number, or by one of the names of HTML 4."""
    found = _ENTITY.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "&" else None
    if not found:
        return False
    hexadecimal, decimal, name = found.groups()
    if name:
        character = _NAMED.get(name, "")
    else:
        code = int(hexadecimal, 16) if hexadecimal else int(decimal)
        character = chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"
    if not character:
        return False
    if not silent:
        token = state.push("text_special", "", 0)
        token.content, token.markup, token.info = character, found[0], "entity"
    state.pos = found.end()
    return True


def _footnote(state: StateInline, silent: bool) -> bool:
    """Parse the mark of a footnote that stands somewhere in the text."""
    found = _NOTE.match(state.src, state.pos, state.posMax) if state.src.startswith("[^", state.pos) else None
    if not found or found[1] not in state.env["footnotes"]:
        return False
    if not silent:
        state.push("sup_open", "sup", 1)
        state.push("text", "", 0).content = found[1]
        state.push("sup_close", "sup", -1)
    state.pos = found.end()
    return True


def _tag(state: StateInline, silent: bool) -> bool:
    """Parse `<br>`, and `<sub>`, `<sup>` and `<kbd>` with their closing tags: without attributes they do no harm."""
    source, start = state.src, state.pos
    found = _TAG.match(source, start, state.posMax) if source[start] == "<" else None
    if not found:
        return False
    if not found[1]:
        if not silent:
            state.push("hardbreak", "br", 0)
        state.pos = found.end()
        return True
    tag, stop = found[1].lower(), state.posMax
    closing = f"</{tag}>"
    end = _find_closing(state, found.end(), closing)
    if end < 0:
        return False
    if not silent:
        state.push(f"{tag}_open", tag, 1)
        state.pos, state.posMax = found.end(), end
        state.md.inline.tokenize(state)
        state.push(f"{tag}_close", tag, -1)
    state.pos, state.posMax = end + len(closing), stop
    return True


def _find_closing(state: StateInline, start: int, closing: str) -> int:
    """Return where the closing tag stands, outside of code, formulas and links; or -1."""
    before, end = state.pos, -1
    state.pos = start
    while state.pos < state.posMax and state.env["maths"] >= 0:
        position = state.pos
        if state.src[position] == "<" and state.src[position : position + len(closing)].lower() == closing:
            end = position
            break
        state.md.inline.skipToken(state)
        state.env["maths"] -= state.pos - position
    state.pos = before
    return end
