"""What stands within a line of Markdown, where it is more than CommonMark: rules of markdown-it.

frontend/src/markdown/inline.js reads it alike.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from html.entities import name2codepoint
from typing import cast
from unicodedata import category

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType

from .markdown_lines import CJK, flowing_ends, literal_signs
from .markdown_math import math_inline

__all__ = ["InlineParser", "use_inline_rules"]

_LONGEST_PARAGRAPH = 40_000  # characters; the inline rules are super-linear on hostile text
_MOST_BRACKETS = 20_000  # in all: each one may start a link, and costs 15 to 30 µs
_SELECTORS = re.compile("[\ufe00-\ufe0e]")
_INDENT = re.compile(r"(?:[│┃║]?[ \t]+|\|[ \t]{2,})*")  # with the lines of a tree
# How JSON begins: what stands in it is no emphasis, no escape and no formula.
_DATA = re.compile(r"\{[ \t]*(?:\n|[\"}{\[])|\[[ \t]*(?:\n|\{)")
_TAG = re.compile(r"<(?:/?br[ \t]*/?|(sub|sup|kbd))>", re.IGNORECASE)
_KEY = re.compile(r"<kbd>((?:[\w+ -]{0,20}\+ ?)?[!-/:-@\[-`{-~])</kbd>", re.IGNORECASE)  # a sign is itself there
_TICKS = re.compile("`+")
_ENTITY = re.compile(r"&(?:#(?:x([0-9a-f]{1,6})|([0-9]{1,7}))|([a-z][a-z0-9]{1,7}));", re.IGNORECASE)
_NAMED = {name: chr(code) for name, code in name2codepoint.items()} | {"apos": "'"}
_NOTE = re.compile(r"\[\^([^\s\[\]^]{1,40})\]")


class _State(StateInline):
    """The state of a line, in which marks beside Chinese, Japanese and Korean are read as it is written there."""

    def __init__(self, src: str, md: MarkdownIt, env: EnvType, outTokens: list[Token]) -> None:
        super().__init__(src, md, env, outTokens)
        self.flowing = flowing_ends(src) if "\n" in src else {}
        self.literal = literal_signs(src)
        self.ticks: dict[int, list[int]] = {}  # where runs of them begin, by their length
        for run in _TICKS.finditer(src):
            if run.start() not in self.literal:
                self.ticks.setdefault(len(run[0]), []).append(run.start())

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
        cjk_before, cjk_after = bool(CJK.match(before)), bool(CJK.match(after))
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
    md.inline.ruler.before("escape", "literal", _literal)
    md.inline.ruler.before("escape", "math_inline", math_inline)
    md.inline.ruler.at("backticks", _code)
    md.inline.ruler.before("link", "footnote", _footnote)
    md.inline.ruler.before("autolink", "tag", _tag)
    md.inline.ruler.before("strikethrough", "tildes", _tildes)
    md.inline.ruler.at("newline", _newline)
    md.inline.ruler.at("entity", _entity)
    return inline


def _of(state: StateInline) -> _State:
    return cast(_State, state)


def _literal(state: StateInline, silent: bool) -> bool:
    """Parse a sign of a tree or of a path as text."""
    end = _of(state).literal.get(state.pos)
    if end is None or end > state.posMax:
        return False
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _code(state: StateInline, silent: bool) -> bool:
    """Parse code; a tick that is a tree's sign does not end it."""
    found = _TICKS.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    state.pos = found.end()
    starts = _of(state).ticks.get(len(found[0]), [])
    number = bisect_left(starts, found.end())
    if number < len(starts) and starts[number] + len(found[0]) <= state.posMax:
        if not silent:
            code = state.src[found.end() : starts[number]].replace("\n", " ")
            padded = code[:1] == code[-1:] == " " and code.strip(" ")
            token = state.push("code_inline", "code", 0)
            token.markup, token.content = found[0], code[1:-1] if padded else code
        state.pos = starts[number] + len(found[0])
    elif not silent:
        state.pending += found[0]
    return True


def _newline(state: StateInline, silent: bool) -> bool:
    """Parse a line end: it is one, and a space only behind a line that was full."""
    source, position = state.src, state.pos
    if source[position] != "\n":
        return False
    end = _INDENT.match(source, position + 1, state.posMax).end()  # type: ignore[union-attr]
    if not silent:
        hard = state.pending.endswith("  ")
        state.pending = state.pending.rstrip(" ")
        joint = None if hard else _of(state).flowing.get(position)
        if joint:
            state.push("softbreak", "br", 0)
        elif joint is None:
            token = state.push("hardbreak", "br", 0)
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


def _push_element(state: StateInline, tag: str, text: str) -> None:
    """Add an element that holds text alone."""
    state.push(f"{tag}_open", tag, 1)
    state.push("text", "", 0).content = text
    state.push(f"{tag}_close", tag, -1)


def _footnote(state: StateInline, silent: bool) -> bool:
    """Parse the mark of a footnote that stands somewhere in the text."""
    found = _NOTE.match(state.src, state.pos, state.posMax) if state.src.startswith("[^", state.pos) else None
    if not found or found[1] not in state.env["footnotes"]:
        return False
    if not silent:
        _push_element(state, "sup", found[1])
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
    key = _KEY.match(source, start, state.posMax)
    if key:
        if not silent:
            _push_element(state, "kbd", key[1])
        state.pos = key.end()
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
