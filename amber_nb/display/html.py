"""Render the static form of an answer: HTML that is safe in any notebook, trusted or not."""

from collections.abc import Sequence

from .cards import format_arguments
from .escape import escape_code, escape_text, shorten
from .highlight import code_html, theme_colours
from .markdown import STYLES, BoundedHtml, HtmlFull, HtmlRenderer, normalize_newlines, parse_blocks

__all__ = ["answer_html", "markdown_html"]

_SMALLEST = 4_096  # bytes: the frame and its notes need some room whatever is asked for
_MOST_PARSED = 300_000  # characters: about two seconds of parsing
_NOTE_ROOM = 400
_PILL = (
    "display:inline-block;margin:0 0 .5em;padding:0 .7em;border:1px solid rgba(128,128,128,.6);border-radius:1em;"
    "font-size:85%"
)
_SMALL = "margin:0 0 .5em;font-size:85%;opacity:.75"
_ASIDE = "margin:0 0 1em;padding:0 0 0 12px;border-left:3px solid rgba(128,128,128,.3)"


def markdown_html(text: str, *, max_bytes: int = 500_000) -> str:
    """Render a model's Markdown as safe HTML.

    Args:
        text: CommonMark with GFM tables, strikethrough, task lists, and maths.
        max_bytes: The most the HTML may take; the rest is left out, with a note.

    Returns:
        One `<div class="amber-md">`, balanced; links that leave the page are its only live parts.
    """
    return _body(text, max(max_bytes, _SMALLEST), "amber-md")


def answer_html(
    text: str,
    *,
    refusal: str | None = None,
    reasoning: str | None = None,
    tool_calls: Sequence[tuple[str, str]] = (),
    badge: str | None = None,
    head: str = "",
    notice: str | None = None,
    footer: str | None = None,
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
        notice: A line under the answer, such as "Stopped by the reader".
        footer: A quiet last line: model, tokens, time.
        max_bytes: The most the HTML may take.

    Returns:
        One `<div class="amber-answer">`, balanced.

    Example:
        >>> answer_html("It is **42**.", footer="gpt-5.4 · 31 tokens")  # doctest: +SKIP
    """
    size = max(max_bytes, _SMALLEST)
    tail = [
        f'<div style="{_ASIDE}">{escape_text(shorten(refusal, size // 32))}</div>' if refusal else "",
        f'<div style="{_SMALL}">{escape_text(shorten(notice, 300))}</div>' if notice else "",
        f'<div style="{_SMALL}">{escape_text(shorten(footer, 300))}</div>' if footer else "",
    ]
    above = [f'<div><span style="{_PILL}">{escape_text(shorten(badge, 60))}</span></div>' if badge else "", head]
    if reasoning:
        body = _body(reasoning, size // 4, "amber-reasoning", STYLES["muted"])
        above.append(f'<details style="{_ASIDE}"><summary>Reasoning</summary>{body}</details>')
    calls = _calls_html(tool_calls, size // 4)
    spent = sum(len(piece.encode()) for piece in (*above, calls, *tail)) + 100
    body = _body(text, size - spent, "amber-md") if text else ""
    return f'<div class="amber-answer">{"".join(above)}{calls}{body}{"".join(tail)}</div>'


def _body(text: str, size: int, name: str, style: str = "") -> str:
    head = _head(text)
    source = normalize_newlines(head)
    output = BoundedHtml(size - _NOTE_ROOM - 1_000)  # the declarations of the colours take up to 600 bytes
    renderer = HtmlRenderer(output)
    half, checkpoint, line, full = output.left // 2, output.checkpoint(), 0, False
    try:
        for block in parse_blocks(source):
            checkpoint, line = output.checkpoint(), block[0].map[0] if block[0].map else line
            renderer.render(block)
            output.append("\n")
    except HtmlFull:
        full = True
        if checkpoint[2] < half:  # much is shown already: cut between two blocks
            output.rollback(checkpoint)
            renderer.line = line
    note = ""
    if full or len(head) < len(text):
        shown = _offset(source, renderer.line) if full else len(head)
        note = _note(len(text) - shown, len(text))
    declared = ";".join(part for part in (style, theme_colours(renderer.colours)) if part)
    attributes = f' style="{declared}"' if declared else ""
    return f'<div class="{name}" dir="auto"{attributes}>{output.html()}{note}</div>'


def _head(text: str) -> str:
    """Return as much of the text as renders in a few seconds, up to the end of a line if there is one."""
    if len(text) <= _MOST_PARSED:
        return text
    end = text.rfind("\n", _MOST_PARSED // 2, _MOST_PARSED)
    return text[: end + 1 if end > 0 else _MOST_PARSED]


def _offset(source: str, line: int) -> int:
    """Return where a line begins."""
    return sum(len(row) + 1 for row in source.split("\n", line)[:line])


def _note(left_out: int, total: int) -> str:
    return (
        f'<div style="{_SMALL}">Cut here: about {left_out:,} of {total:,} characters are not shown; '
        "the answer's <code>.text</code> has all of it.</div>"
    )


def _calls_html(calls: Sequence[tuple[str, str]], size: int) -> str:
    pieces: list[str] = []
    for number, (name, arguments) in enumerate(calls):
        text = format_arguments(arguments)
        cut = shorten(text, size // 8)
        html, used = code_html(cut, "json" if cut is text else "")
        colours = f' style="{theme_colours(used)}"' if used else ""
        piece = (
            f'<details style="{_ASIDE}"><summary>Calls <code>{escape_code(shorten(name, 100))}</code></summary>'
            f'<pre dir="ltr" style="{STYLES["code"]}"><code{colours}>{html}</code></pre></details>'
        )
        size -= len(piece.encode())
        if size < 0:
            pieces.append(f'<div style="{_SMALL}">and {len(calls) - number:,} more calls</div>')
            break
        pieces.append(piece)
    return "".join(pieces)
