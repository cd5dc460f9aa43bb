"""Render the static form of an answer: HTML that is safe by construction in any notebook, trusted or not.

Each tag is written here, chosen by a parser's token; all text between the tags is escaped.
"""

import re
from collections.abc import Callable, Sequence
from html import escape, unescape
from itertools import groupby

from markdown_it.token import Token

from .addresses import find_addresses
from .cards import QUIET_STYLE, SMALL_STYLE, format_arguments
from .escape import escape_code, escape_text, host_hint, link_target, shorten
from .highlight import CODE_STYLE, MOST_COLOURED, code_block, code_html, colouring_cost, theme_colours
from .markdown_blocks import language_of
from .markdown_math import is_safe_math, math_source
from .markdown_parser import parse_blocks

__all__ = ["answer_html", "link_attributes", "markdown_html"]

_SMALLEST = 4_096  # bytes: the frame and its notes need some room whatever is asked for
_RESERVED = 1_400  # bytes: the note at a cut takes up to 400, the declarations of the colours up to 600
_MOST_PARSED = 300_000  # characters: about two seconds of parsing
_SHOWN_TARGET = 200
_PILL_STYLE = (
    "display:inline-block;margin:0 0 .5em;padding:0 .7em;border:1px solid rgba(128,128,128,.6);border-radius:1em;"
    "font-size:85%"
)
_ASIDE_STYLE = "margin:0 0 1em;padding:0 0 0 12px;border-left:3px solid rgba(128,128,128,.3)"
_TAGS = {"p", "blockquote", "ul", "li", "thead", "tbody", "tr", "em", "strong", "s", "sub", "sup", "kbd"}
# Two levels down, below the headings of most notebooks; their size is in their style, as Lab's h5 and h6 are no larger
# than text. Lab's table of contents and nbclassic's leave out what has the class.
_HEADINGS = {
    f"h{level}": (f"h{min(level + 2, 6)}", f' class="tocSkip" style="font-size:{size}em;font-weight:600"')
    for level, size in enumerate(("1.3", "1.15", "1", "1", "1", "1"), 1)
}
# Dates and numbers are not broken; a wide table scrolls.
_TABLE_STYLE = "white-space:nowrap"
_LONG_CELL = ";white-space:normal;min-width:12em"
_MUCH = 1.5  # times the lines that are shown: what is little longer than those is not folded
_SHORT = 24  # characters of a cell's Markdown, whose lines are not broken
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
# What begins on the side of its own letters; what stands within a list or a table begins where that does.
_DIRECTED = {"p", "ul", "ol", "table", "h3", "h4", "h5", "h6"}
_WIDE = re.compile(r"[^\n]{81}")  # code that may have to be scrolled, with the keyboard too


def answer_html(
    text: str,
    *,
    refusal: str | None = None,
    reasoning: str | None = None,
    tool_calls: Sequence[tuple[str, str]] = (),
    badge: str | None = None,
    head: str = "",
    below: str = "",
    notice: str | None = None,
    footer: str | None = None,
    fold_lines: int = 0,
    max_bytes: int = 500_000,
) -> str:
    """Render a whole answer.

    Args:
        text: The answer's Markdown.
        refusal: What the model said instead of answering.
        reasoning: The model's reasoning, Markdown; shown folded.
        tool_calls: (name, arguments as JSON text) of each call; shown folded.
        badge: A plain word above the answer, such as "simulated".
        head: What stands before the answer, as HTML that is safe already: its images.
        below: What stands under it, as HTML that is safe already: its sources.
        notice: A line under the answer, such as "stopped by you".
        footer: A quiet last line: model, tokens, time.
        fold_lines: How many lines of Markdown are shown before the rest is folded; 0: all.
        max_bytes: The most the HTML may take.

    Returns:
        One `<div class="amber-answer">`, balanced.

    Example:
        >>> answer_html("It is **42**.", footer="gpt-5.4 · 31 tokens")  # doctest: +SKIP
    """
    size = max(max_bytes, _SMALLEST)
    tail = [
        f'<div style="{_ASIDE_STYLE}">{escape_text(shorten(refusal, size // 32))}</div>' if refusal else "",
        below,
        *(f'<div style="{SMALL_STYLE}">{escape_text(shorten(line, 300))}</div>' for line in (notice, footer) if line),
    ]
    above = [f'<div><span style="{_PILL_STYLE}">{escape_text(shorten(badge, 60))}</span></div>' if badge else "", head]
    if reasoning:
        body = markdown_html(reasoning, max_bytes=size // 4, name="amber-reasoning", style=QUIET_STYLE)
        above.append(f'<details style="{_ASIDE_STYLE}"><summary>Reasoning</summary>{body}</details>')
    above.append(_calls_html(tool_calls, size // 4))
    spent = sum(len(piece.encode()) for piece in (*above, *tail)) + 100
    body = markdown_html(text, max_bytes=size - spent, fold_lines=fold_lines) if text else ""
    return f'<div class="amber-answer">{"".join(above)}{body}{"".join(tail)}</div>'


def markdown_html(
    text: str, *, max_bytes: int = 500_000, name: str = "amber-md", style: str = "", fold_lines: int = 0
) -> str:
    """Render a model's Markdown.

    Args:
        text: CommonMark with GFM tables, strikethrough, task lists, and maths.
        max_bytes: The most the HTML may take; the rest is left out, with a note.
        name: The class of the element.
        style: Its style.
        fold_lines: As for `answer_html`.

    Returns:
        One `<div>`, balanced; links that leave the page are its only live parts.
    """
    end = len(text)
    if end > _MOST_PARSED:
        newline = text.rfind("\n", _MOST_PARSED // 2, _MOST_PARSED)
        end = newline + 1 if newline > 0 else _MOST_PARSED
    source = text[:end].replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    output = _BoundedHtml(max_bytes - _RESERVED)
    renderer = _Renderer(output, is_mixed=bool(_RIGHT_TO_LEFT.search(source)))
    lines = source.count("\n") + 1
    is_folded = not 0 < fold_lines * _MUCH < lines  # or has not to be
    half, checkpoint, line, shown = output.left // 2, output.checkpoint(), 0, end
    try:
        for block in parse_blocks(source):
            checkpoint, line = output.checkpoint(), block[0].map[0] if block[0].map else line
            if not is_folded and line >= fold_lines:
                is_folded = True
                output.open_tag("details")
                output.append(f"<summary>Show all ({lines:,} lines)</summary>")
            renderer.render(block)
            output.append("\n")
    except _HtmlFull:
        if checkpoint[2] < half:  # much is shown already: cut between two blocks
            output.rollback(checkpoint)
            renderer.line = line
        shown = sum(len(row) + 1 for row in source.split("\n", renderer.line)[: renderer.line])
    note = (
        f'<div style="{SMALL_STYLE}">Cut here: about {len(text) - shown:,} of {len(text):,} characters are not shown; '
        "the answer's <code>.text</code> has all of it.</div>"
        if shown < len(text)
        else ""
    )
    declarations = ";".join(part for part in (style, theme_colours(renderer.colours)) if part)
    attributes = f' style="{declarations}"' if declarations else ""
    return f'<div class="{name}" dir="auto"{attributes}>{output.html()}{note}</div>'


def _calls_html(calls: Sequence[tuple[str, str]], size: int) -> str:
    pieces: list[str] = []
    for number, (name, arguments) in enumerate(calls):
        text = format_arguments(arguments)
        cut = shorten(text, size // 8)
        piece = (
            f'<details style="{_ASIDE_STYLE}"><summary>Calls <code>{escape_code(shorten(name, 100))}</code></summary>'
            f"{code_block(cut, 'json' if cut is text else '')}</details>"
        )
        size -= len(piece.encode())
        if size < 0:
            pieces.append(f'<div style="{SMALL_STYLE}">and {len(calls) - number:,} more calls</div>')
            break
        pieces.append(piece)
    return "".join(pieces)


class _HtmlFull(Exception):
    """A piece does not fit any more."""


class _BoundedHtml:
    """Pieces of HTML up to a size in bytes; the result is balanced wherever the size runs out."""

    def __init__(self, size: int) -> None:
        self.left = size
        self._pieces: list[str] = []
        self._open: list[str] = []

    def append(self, html: str) -> None:
        """Append a balanced piece, or raise `_HtmlFull` and append nothing."""
        size = len(html.encode())
        if size > self.left:
            raise _HtmlFull
        self.left -= size
        self._pieces.append(html)

    def append_text(self, text: str, escape: Callable[[str], str]) -> None:
        """Append as much of a text as fits, escaped; raise `_HtmlFull` where that is not all of it."""
        html = escape(text)
        if len(html.encode()) <= self.left:
            self.append(html)
            return
        head = text[: self.left]
        while head and (size := len(escape(head).encode())) > self.left:
            head = head[: min(len(head) - 1, len(head) * self.left // size)]
        self.append(escape(head))
        raise _HtmlFull

    def open_tag(self, tag: str, attributes: str = "") -> None:
        """Open a tag, and reserve room for its closing tag."""
        close = f"</{tag}>"
        if len(attributes.encode()) + 2 * len(close) > self.left:
            raise _HtmlFull
        self.left -= len(close)
        self._open.append(close)
        self.append(f"<{tag}{attributes}>")

    def close_tag(self) -> None:
        """Close the tag that was opened last."""
        self._pieces.append(self._open.pop())

    def checkpoint(self) -> tuple[int, int, int]:
        """Return the state, for `rollback`; its last item is `left`."""
        return len(self._pieces), len(self._open), self.left

    def rollback(self, checkpoint: tuple[int, int, int]) -> None:
        """Remove what was appended since a checkpoint."""
        pieces, opened, self.left = checkpoint
        del self._pieces[pieces:]
        del self._open[opened:]

    def html(self) -> str:
        """Return all pieces, with the open tags closed."""
        return "".join(self._pieces) + "".join(reversed(self._open))


class _Renderer:
    """Render tokens; each method may raise `_HtmlFull`."""

    def __init__(self, output: _BoundedHtml, *, is_mixed: bool = False) -> None:
        self.output = output
        self._is_mixed = is_mixed  # each block is written from its own side
        self._items = 0  # of lists, that are open
        self._footnote = ""  # whose mark is to come
        self.line = 0  # of the text that is rendered, from 0
        self.colours = ""  # the letters of the colours that code used
        self._colouring = MOST_COLOURED
        self._links: list[tuple[tuple[str, str] | None, str, list[str]]] = []  # target, address and label of open links

    def render(self, tokens: Sequence[Token]) -> None:
        """Render one block."""
        for index, token in enumerate(tokens):
            if token.map and token.nesting >= 0:
                self.line = token.map[0]
            if token.type in ("th_open", "td_open"):
                self._open_cell(token, tokens[index + 1])
                continue
            if token.type != "inline":
                self._render_token(token)
                continue
            # Entities and escapes split a text; an address must be seen whole.
            for is_text, group in groupby(token.children or (), lambda child: child.type in ("text", "text_special")):
                if is_text:
                    self._text("".join(child.content for child in group))
                else:
                    for child in group:
                        self._render_token(child)

    def _render_token(self, token: Token) -> None:
        if token.hidden:  # the paragraph of an item of a tight list
            return
        if self._footnote and token.type not in ("paragraph_open", "heading_open"):
            self._mark_footnote()
        if token.type.endswith("_open"):
            self._open(token)
            self._mark_footnote(after=token.type)
        elif token.type == "link_close":
            self._close_link()
        elif token.type.endswith("_close"):
            self._items -= token.type == "list_item_close"
            self.output.close_tag()
            if token.type == "table_close":
                self.output.close_tag()
        else:
            self._leaf(token)

    def _open(self, token: Token) -> None:
        match token.type.removesuffix("_open"):
            case "ordered_list":
                start = token.attrGet("start")
                self._open_block("ol", f' start="{start:d}"' if isinstance(start, int) and start != 1 else "")
            case "table":
                self.output.open_tag("div", ' tabindex="0" style="overflow-x:auto"')  # to scroll it with the keyboard
                self._open_block("table", f' style="{_TABLE_STYLE}"')
            case "heading":
                self._open_block(*_HEADINGS[token.tag])
            case "footnote":
                self.output.open_tag("div")
                self._footnote = token.content
            case "link":
                href = str(token.attrGet("href") or "")
                # markdown-it lets an <address> stand in a link's label.
                target = None if self._links else link_target(href)
                self._links.append((target, href, []))
                if target:
                    self.output.open_tag("a", link_attributes(target[0]))
            case _:
                self._open_block(token.tag if token.tag in _TAGS else "span")

    def _open_block(self, tag: str, attributes: str = "") -> None:
        directed = ' dir="auto"' if self._is_mixed and not self._items and tag in _DIRECTED else ""
        self._items += tag == "li"
        aligned = ' style="text-align:start"' if self._is_mixed and tag == "p" else ""  # Lab has it left
        self.output.open_tag(tag, directed + aligned + attributes)

    def _mark_footnote(self, after: str = "") -> None:
        mark = self._footnote
        if mark and after != "footnote_open":
            self._footnote = ""
            self.output.append(f"<sup>{escape_text(mark)}</sup> ")

    def _open_cell(self, token: Token, content: Token) -> None:
        # Lab aligns the cells of text/html to the right, as pandas wants it.
        side = str(token.attrGet("style")).removeprefix("text-align:")
        side = side if side in ("center", "right", "left") else "start" if self._is_mixed else "left"
        wrap = _LONG_CELL if len(content.content) > _SHORT else ""
        self._open_block(token.tag, f' style="text-align:{side}{wrap}"')

    def _close_link(self) -> None:
        target, href, label = self._links.pop()
        if target:
            self.output.close_tag()
            if hint := host_hint("".join(label), target[1]):
                self.output.append(f" ({escape_text(hint)})")
        elif href and "".join(label) != href.removeprefix("mailto:"):
            self.output.append(f" ({escape_text(shorten(href, _SHOWN_TARGET))})")
        if self._links:
            self._links[-1][2].extend(label)

    def _leaf(self, token: Token) -> None:
        match token.type:
            case "fence" | "code_block":
                self._code_block(token)
            case "code_inline":
                self.output.open_tag("code", ' dir="ltr"' if self._is_mixed else "")
                self.output.append_text(token.content, escape_code)
                self.output.close_tag()
            case "math_block":
                self._open_block("p")
                self.output.append(self._math(token) + escape_text(token.info))
                self.output.close_tag()
            case "math_inline":
                self.output.append(self._math(token))
            case "image":
                self._image(token)
            case "hr":
                self.output.append("<hr>")
            case "hardbreak":
                indent = f'<span style="white-space:pre">{token.content}</span>' if token.content else ""
                self.output.append(f"<br>\n{indent}")
            case "softbreak":
                self.output.append("\n")
        if self._links and token.type != "image":
            self._links[-1][2].append(token.content if token.content.strip() else "\n")

    def _code_block(self, token: Token) -> None:
        language, file = language_of(unescape(token.info))
        code = token.content.removesuffix("\n")
        if file:
            self.output.append(
                f'<div dir="ltr" style="{SMALL_STYLE}">{escape_text(shorten(file, _SHOWN_TARGET))}</div>'
            )
        self._colouring -= colouring_cost(code, language)
        html, used = code_html(code, language if self._colouring >= 0 else "")
        wide = ' tabindex="0"' if _WIDE.search(code) else ""
        self.output.open_tag("pre", f' dir="ltr"{wide} style="{CODE_STYLE}"')
        self.output.open_tag("code")
        if len(html.encode()) > self.output.left:
            self.output.append_text(code, escape_code)
        self.output.append(html)
        self.colours += used
        self.output.close_tag()
        self.output.close_tag()

    def _text(self, text: str) -> None:
        done = 0
        if self._links:
            self._links[-1][2].append(text)
        else:
            for start, end, (href, host) in find_addresses(text):
                self.output.append_text(text[done:start], escape_text)
                hint = f" ({escape_text(host)})" if "xn--" in host else ""
                self.output.append(f"<a{link_attributes(href)}>{escape_text(text[start:end])}</a>{hint}")
                done = end
        self.output.append_text(text[done:], escape_text)

    def _math(self, token: Token) -> str:
        """Return a formula in its own <span>, so that MathJax reads nothing across its borders; or as code."""
        formula = math_source(token.content)
        tag = "span" if formula is not None and is_safe_math(formula) else "code"
        direction = ' dir="ltr"' if self._is_mixed else ""
        # Its lines are to be read where nothing typesets it, as in an exported page without a network.
        lines = ' style="white-space:pre-wrap"' if "\n" in token.content else ""
        return f"<{tag}{direction}{lines}>{escape_code(token.content)}</{tag}>"

    def _image(self, token: Token) -> None:
        source, alt = str(token.attrGet("src") or ""), shorten(token.content, _SHOWN_TARGET)
        target = link_target(source)
        where = target[1] if target else shorten(source, _SHOWN_TARGET)
        words = f"Image: {alt} ({where})" if alt else f"Image: {where}"
        html = escape_text(words)
        if self._links:
            self._links[-1][2].append(words)
        elif target:
            html = f"<a{link_attributes(target[0])}>{html}</a>"
        self.output.append(html)


def link_attributes(href: str) -> str:
    """Return the attributes of a link that leaves the page; `href` is of `link_target`."""
    return f' href="{escape(href)}" target="_blank" rel="noopener noreferrer"'
