"""Markdown to HTML, safe by construction: every tag is one of ours, a parser's token decides which."""

import re
from collections.abc import Iterator, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType

from .escape import code_text, host_hint, link_target, prose, shorten, utf8_size
from .highlight import code_html, colouring_cost
from .maths import CLOSERS, add_maths, may_typeset
from .paper import Paper

__all__ = ["STYLES", "Writer", "blocks", "normalized"]

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


class _Inline(ParserInline):
    """The inline rules without their recursion into an image's alternative text, which stays text."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        """Called by the image rule."""
        return tokens

    def read(self, src: str, md: MarkdownIt, env: EnvType) -> list[Token]:
        """Called by us, for each paragraph when its turn comes."""
        brackets = src.count("[")
        env["brackets"] += brackets
        if len(src) > _LONGEST_PARAGRAPH or (brackets and env["brackets"] > _MOST_BRACKETS):
            return [Token("text", "", 0, content=src)]
        state = StateInline(src, md, env, [])
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _beyond(state: StateBlock, first: int, stop: int, silent: bool) -> bool:
    """Too deep or too many: the rest of this quote, list or text as it is (markdown-it would drop what is too deep)."""
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
    add_maths(md)
    md.block.ruler.before("table", "beyond", _beyond)
    return md, inline


_MD, _INLINE = _parser()  # read-only from here on: what a text needs is in its own env


def normalized(text: str) -> str:
    """Line ends as the parser wants them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")


def blocks(text: str) -> Iterator[list[Token]]:
    """The top-level blocks of a normalized text, their inline tokens read one block at a time."""
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
            token.children = _INLINE.read(content, _MD, env)
        block.append(token)
        if token.level == 0 and token.nesting <= 0 and token.type != "inline":
            yield block
            block = []


class Writer:
    """Writes tokens on paper; knows which colours the code used and how far in the text it is."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.line = 0
        self.colours = ""
        self._colouring = _MOST_COLOURED
        self._links: list[tuple[tuple[str, str] | None, str, list[str]]] = []

    def write(self, tokens: Sequence[Token]) -> None:
        """Write one block; raises PaperFull where the paper ends."""
        for token in tokens:
            if token.map and token.nesting >= 0:
                self.line = token.map[0]
            if token.type == "inline":
                self._write_inline(token.children or [])
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
            self.paper.open(token.tag if token.tag in ("h1", "h2", "h3", "h4", "h5", "h6") else "h6")
        elif kind == "ordered_list":
            start = token.attrGet("start")
            self.paper.open("ol", f' start="{start:d}"' if isinstance(start, int) and start != 1 else "")
        elif kind == "table":
            self.paper.open("div", f' tabindex="0" style="{STYLES["table"]}"')  # to scroll it with the keyboard
            self.paper.open("table")
        elif kind in ("th", "td"):
            side = str(token.attrGet("style") or "text-align:left").removeprefix("text-align:")
            self.paper.open(kind, f' style="{STYLES[side if side in ("center", "right") else "left"]}"')
        elif kind == "link":
            href = str(token.attrGet("href") or "")
            target = None if self._links else link_target(href)  # markdown-it lets an <address> stand in a link's label
            self._links.append((target, href, []))
            if target:
                self.paper.open("a", _link_attributes(target[0]))
        else:
            self.paper.open(_TAGS[kind])

    def _close(self, token: Token) -> None:
        if token.type == "paragraph_close" and token.hidden:
            return
        if token.type == "link_close":
            self._close_link()
            return
        self.paper.close()
        if token.type == "table_close":
            self.paper.close()

    def _close_link(self) -> None:
        target, href, label = self._links.pop()
        if target:
            self.paper.close()
            if hint := host_hint("".join(label), target[1]):
                self.paper.put(f" ({prose(hint)})")
        elif "".join(label) != href.removeprefix("mailto:"):
            self.paper.put(f" ({prose(shorten(href, _SHOWN_TARGET))})")
        if self._links:
            self._links[-1][2].extend(label)

    def _leaf(self, token: Token) -> None:
        if token.type in ("fence", "code_block"):
            self._code_block(token)
        elif token.type == "math_block":
            self.paper.open("p")
            self.paper.put(_maths(token) + prose(token.info))
            self.paper.close()
        elif token.type == "hr":
            self.paper.put("<hr>")

    def _code_block(self, token: Token) -> None:
        words = token.info.split(maxsplit=1)
        code, language = token.content.removesuffix("\n"), words[0] if words else ""
        self._colouring -= colouring_cost(code, language)
        html, used = code_html(code, language if self._colouring >= 0 else "")
        wide = ' tabindex="0"' if _WIDE.search(code) else ""
        self.paper.open("pre", f' dir="ltr"{wide} style="{STYLES["code"]}"')
        self.paper.open("code")
        if utf8_size(html) > self.paper.left:
            self.paper.put_head(code, code_text)
        self.paper.put(html)
        self.colours += used
        self.paper.close()
        self.paper.close()

    def _write_inline(self, tokens: Sequence[Token]) -> None:
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
            self.paper.put_head(text, prose)
            return
        done = 0
        for match in _BARE_URL.finditer(text):
            url = match[0].rstrip(".,;:!?*_)]}" if "(" not in match[0] else ".,;:!?*_]}")
            if target := link_target(url):
                self.paper.put_head(text[done : match.start()], prose)
                self.paper.put(f"<a{_link_attributes(target[0])}>{prose(url)}</a>")
                done = match.start() + len(url)
        self.paper.put_head(text[done:], prose)

    def _inline_leaf(self, token: Token) -> None:
        if token.type == "code_inline":
            self.paper.open("code")
            self.paper.put_head(token.content, code_text)
            self.paper.close()
        elif token.type == "hardbreak":
            self.paper.put("<br>\n")
        elif token.type == "softbreak":
            self.paper.put("\n")
        elif token.type == "math_inline":
            self.paper.put(_maths(token))
        elif token.type == "image":
            self._image(token)
        if self._links and token.content:
            self._links[-1][2].append(token.content)

    def _image(self, token: Token) -> None:
        source, alt = str(token.attrGet("src") or ""), shorten(token.content, _SHOWN_TARGET)
        target = link_target(source)
        where = target[1] if target else shorten(source, _SHOWN_TARGET)
        html = prose(f"Image: {alt} ({where})" if alt else f"Image: {where}")
        if target and not self._links:
            html = f"<a{_link_attributes(target[0])}>{html}</a>"
        self.paper.put(html)


def _link_attributes(href: str) -> str:
    return f' href="{escape(href)}" target="_blank" rel="noopener noreferrer"'


def _maths(token: Token) -> str:
    """A formula in its own <span>, so that MathJax reads nothing across its borders; or its source."""
    source = token.markup + token.content + CLOSERS[token.markup]
    if may_typeset(token.content):
        return f"<span>{code_text(source)}</span>"
    return f"<code>{code_text(source)}</code>"
