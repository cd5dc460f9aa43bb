"""Render Markdown as HTML that is safe by construction: each tag is written here, chosen by a parser's token."""

import re
from collections.abc import Callable, Iterator, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType

from .escape import escape_code, escape_text, host_hint, link_target, shorten, utf8_size
from .highlight import code_html, colouring_cost
from .math import CLOSERS, add_math_rules, is_safe_math

__all__ = ["STYLES", "BoundedHtml", "HtmlFull", "HtmlRenderer", "normalize_newlines", "parse_blocks"]

# Literal values only: untrusted, Lab drops var(…). Borders in the grey that shows on white and on black.
_LINE = "rgba(128,128,128,.3)"
STYLES = {
    "code": f"margin:0 0 1em;padding:8px 12px;border:1px solid {_LINE};border-radius:4px;overflow-x:auto",
    "table": "overflow-x:auto",
    "muted": "opacity:.75",
    "left": "text-align:left",  # Lab aligns the cells of text/html to the right, as pandas wants it
    "center": "text-align:center",
    "right": "text-align:right",
}
_DEEPEST = 32  # levels of quotes and lists (a list counts two); deeper text is shown as it is
_MOST_TOKENS = 100_000  # far more than a capped page can show
_LONGEST_PARAGRAPH = 40_000  # characters; the inline rules are super-linear on hostile text
_MOST_BRACKETS = 20_000  # in all: each one may start a link, and costs 15 to 30 µs
_TASK = re.compile(r"\[([ xX])\][ \t\n]")
_BARE_URL = re.compile(r"https?://[^\s<>\"'`]{1,2000}", re.IGNORECASE)
_WIDE = re.compile(r"[^\n]{81}")  # code that may have to be scrolled, with the keyboard too
_MOST_COLOURED = 50_000  # characters of code in one answer
_SHOWN_TARGET = 200
_TAGS = {
    "paragraph": "p",
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "list_item": "li",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "em": "em",
    "strong": "strong",
    "s": "s",
}


class HtmlFull(Exception):
    """A piece does not fit any more."""


class BoundedHtml:
    """Collect pieces of HTML up to a size in bytes; the result is balanced wherever the size runs out.

    Args:
        size: bytes that fit.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._pieces: list[str] = []
        self._open: list[str] = []

    @property
    def left(self) -> int:
        """Bytes that still fit."""
        return self._left

    def append(self, html: str) -> None:
        """Append a balanced piece.

        Raises:
            HtmlFull: it does not fit; nothing was appended.
        """
        size = utf8_size(html)
        if size > self._left:
            raise HtmlFull
        self._left -= size
        self._pieces.append(html)

    def append_text(self, text: str, escape: Callable[[str], str]) -> None:
        """Append as much of a text as fits, escaped.

        Raises:
            HtmlFull: not all of it fits.
        """
        html = escape(text)
        if utf8_size(html) <= self._left:
            self.append(html)
            return
        head = text[: self._left]
        while head and (size := utf8_size(escape(head))) > self._left:
            head = head[: min(len(head) - 1, len(head) * self._left // size)]
        self.append(escape(head))
        raise HtmlFull

    def open_tag(self, tag: str, attributes: str = "") -> None:
        """Open a tag, and reserve room for its closing tag."""
        close = f"</{tag}>"
        if utf8_size(attributes) + 2 * len(close) > self._left:
            raise HtmlFull
        self._left -= len(close)
        self._open.append(close)
        self.append(f"<{tag}{attributes}>")

    def close_tag(self) -> None:
        """Close the tag that was opened last."""
        self._pieces.append(self._open.pop())

    def checkpoint(self) -> tuple[int, int, int]:
        """Return the state, for `rollback`."""
        return len(self._pieces), len(self._open), self._left

    def rollback(self, checkpoint: tuple[int, int, int]) -> None:
        """Remove what was appended since a checkpoint."""
        pieces, opened, self._left = checkpoint
        del self._pieces[pieces:]
        del self._open[opened:]

    def html(self) -> str:
        """Return all pieces, with the open tags closed."""
        return "".join(self._pieces) + "".join(reversed(self._open))


class _Inline(ParserInline):
    """The inline rules without their recursion into an image's alternative text, which stays text."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        """Return no tokens: the image rule calls it for the alternative text."""
        return tokens

    def parse_inline(self, src: str, md: MarkdownIt, env: EnvType) -> list[Token]:
        """Parse the inline text of a block."""
        brackets = src.count("[")
        env["brackets"] += brackets
        if len(src) > _LONGEST_PARAGRAPH or (brackets and env["brackets"] > _MOST_BRACKETS):
            return [Token("text", "", 0, content=src)]
        state = StateInline(src, md, env, [])
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _limit_rule(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Keep as plain text what is too deep or too much; markdown-it would drop what is too deep."""
    if silent or (state.level < _DEEPEST and len(state.tokens) < _MOST_TOKENS):
        return False
    token = state.push("fence", "", 0)
    token.content, token.map = state.getLines(first, stop, state.blkIndent, False), [first, stop]
    state.line = stop
    return True


def _parser() -> tuple[MarkdownIt, _Inline]:
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST + 8})
    rules = md.inline
    md.enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    inline = _Inline()
    inline.ruler, inline.ruler2 = rules.ruler, rules.ruler2
    md.inline = inline
    # An address is judged where the tag is built (link_target); the parser only finds it.
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    md.normalizeLink = lambda url: url  # type: ignore[method-assign]
    md.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    add_math_rules(md)
    md.block.ruler.before("table", "limit", _limit_rule)
    return md, inline


_MD, _INLINE = _parser()  # read-only from here on: what a text needs is in its own env


def normalize_newlines(text: str) -> str:
    """Return the text with the line ends that the parser expects."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")


def parse_blocks(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of each top-level block of a text, whose line ends are normalized."""
    env: EnvType = {"maths": 4 * len(text) + 20_000, "brackets": 0}
    tokens: list[Token] = []
    _MD.block.parse(text, _MD, env, tokens)
    block: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type == "inline":
            item = index >= 2 and tokens[index - 2].type == "list_item_open"
            content = token.content
            if item and (task := _TASK.match(content)):
                content = ("☐ " if task[1] == " " else "☑ ") + content[task.end() :]
            token.children = _INLINE.parse_inline(content, _MD, env)
        block.append(token)
        if token.level == 0 and token.nesting <= 0 and token.type != "inline":
            yield block
            block = []


class HtmlRenderer:
    """Render tokens to bounded HTML.

    Attributes:
        output: the HTML.
        line: the line of the text that is rendered, from 0.
        colours: the letters of the colours that code used; see `highlight.theme_colours`.
    """

    def __init__(self, output: BoundedHtml) -> None:
        self.output = output
        self.line = 0
        self.colours = ""
        self._colouring = _MOST_COLOURED
        self._links: list[tuple[tuple[str, str] | None, str, list[str]]] = []

    def render(self, tokens: Sequence[Token]) -> None:
        """Render one block.

        Raises:
            HtmlFull: the HTML has reached its size.
        """
        for token in tokens:
            if token.map and token.nesting >= 0:
                self.line = token.map[0]
            if token.type == "inline":
                self._render_inline(token.children or [])
            elif token.type.endswith("_close"):
                self._close(token)
            elif token.type.endswith("_open"):
                self._open(token)
            else:
                self._leaf(token)

    def _open(self, token: Token) -> None:
        kind = token.type.removesuffix("_open")
        if kind == "paragraph" and token.hidden:
            return
        if kind == "heading":
            self.output.open_tag(token.tag if token.tag in ("h1", "h2", "h3", "h4", "h5", "h6") else "h6")
        elif kind == "ordered_list":
            start = token.attrGet("start")
            self.output.open_tag("ol", f' start="{start:d}"' if isinstance(start, int) and start != 1 else "")
        elif kind == "table":
            self.output.open_tag("div", f' tabindex="0" style="{STYLES["table"]}"')  # to scroll it with the keyboard
            self.output.open_tag("table")
        elif kind in ("th", "td"):
            side = str(token.attrGet("style") or "text-align:left").removeprefix("text-align:")
            self.output.open_tag(kind, f' style="{STYLES[side if side in ("center", "right") else "left"]}"')
        elif kind == "link":
            href = str(token.attrGet("href") or "")
            target = None if self._links else link_target(href)  # markdown-it lets an <address> stand in a link's label
            self._links.append((target, href, []))
            if target:
                self.output.open_tag("a", _link_attributes(target[0]))
        else:
            self.output.open_tag(_TAGS[kind])

    def _close(self, token: Token) -> None:
        if token.type == "paragraph_close" and token.hidden:
            return
        if token.type == "link_close":
            self._close_link()
            return
        self.output.close_tag()
        if token.type == "table_close":
            self.output.close_tag()

    def _close_link(self) -> None:
        target, href, label = self._links.pop()
        if target:
            self.output.close_tag()
            if hint := host_hint("".join(label), target[1]):
                self.output.append(f" ({escape_text(hint)})")
        elif "".join(label) != href.removeprefix("mailto:"):
            self.output.append(f" ({escape_text(shorten(href, _SHOWN_TARGET))})")
        if self._links:
            self._links[-1][2].extend(label)

    def _leaf(self, token: Token) -> None:
        if token.type in ("fence", "code_block"):
            self._code_block(token)
        elif token.type == "math_block":
            self.output.open_tag("p")
            self.output.append(_math(token) + escape_text(token.info))
            self.output.close_tag()
        elif token.type == "hr":
            self.output.append("<hr>")

    def _code_block(self, token: Token) -> None:
        words = token.info.split(maxsplit=1)
        code, language = token.content.removesuffix("\n"), words[0] if words else ""
        self._colouring -= colouring_cost(code, language)
        html, used = code_html(code, language if self._colouring >= 0 else "")
        wide = ' tabindex="0"' if _WIDE.search(code) else ""
        self.output.open_tag("pre", f' dir="ltr"{wide} style="{STYLES["code"]}"')
        self.output.open_tag("code")
        if utf8_size(html) > self.output.left:
            self.output.append_text(code, escape_code)
        self.output.append(html)
        self.colours += used
        self.output.close_tag()
        self.output.close_tag()

    def _render_inline(self, tokens: Sequence[Token]) -> None:
        text: list[str] = []
        for token in [*tokens, None]:
            if token is not None and token.type in ("text", "text_special"):
                text.append(token.content)  # entities and escapes split a text; an address must be seen whole
                continue
            if text:
                self._text("".join(text))
                text.clear()
            if token is None:
                break
            if token.type.endswith("_open"):
                self._open(token)
            elif token.type.endswith("_close"):
                self._close(token)
            else:
                self._inline_leaf(token)

    def _text(self, text: str) -> None:
        if self._links:
            self._links[-1][2].append(text)
            self.output.append_text(text, escape_text)
            return
        done = 0
        for match in _BARE_URL.finditer(text):
            url = match[0].rstrip(".,;:!?*_)]}" if "(" not in match[0] else ".,;:!?*_]}")
            if target := link_target(url):
                self.output.append_text(text[done : match.start()], escape_text)
                self.output.append(f"<a{_link_attributes(target[0])}>{escape_text(url)}</a>")
                done = match.start() + len(url)
        self.output.append_text(text[done:], escape_text)

    def _inline_leaf(self, token: Token) -> None:
        if token.type == "code_inline":
            self.output.open_tag("code")
            self.output.append_text(token.content, escape_code)
            self.output.close_tag()
        elif token.type == "hardbreak":
            self.output.append("<br>\n")
        elif token.type == "softbreak":
            self.output.append("\n")
        elif token.type == "math_inline":
            self.output.append(_math(token))
        elif token.type == "image":
            self._image(token)
        if self._links and token.content:
            self._links[-1][2].append(token.content)

    def _image(self, token: Token) -> None:
        source, alt = str(token.attrGet("src") or ""), shorten(token.content, _SHOWN_TARGET)
        target = link_target(source)
        where = target[1] if target else shorten(source, _SHOWN_TARGET)
        html = escape_text(f"Image: {alt} ({where})" if alt else f"Image: {where}")
        if target and not self._links:
            html = f"<a{_link_attributes(target[0])}>{html}</a>"
        self.output.append(html)


def _link_attributes(href: str) -> str:
    return f' href="{escape(href)}" target="_blank" rel="noopener noreferrer"'


def _math(token: Token) -> str:
    """Return a formula in its own <span>, so that MathJax reads nothing across its borders; or its source as code."""
    source = token.markup + token.content + CLOSERS[token.markup]
    if is_safe_math(token.content):
        return f"<span>{escape_code(source)}</span>"
    return f"<code>{escape_code(source)}</code>"
