"""Show the sources of an answer: a quiet list under it, safe whatever a gateway or a web page wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..types import Source
from .answer_html import link_attributes
from .cards import SMALL_STYLE
from .escape import escape_text, link_target, shorten, show_controls

__all__ = ["MAX_CHARS", "MAX_SHOWN", "distinct", "sources_html", "sources_markdown", "sources_text"]

MAX_SHOWN = 20
MAX_CHARS = 120  # of a title
_LIST_STYLE = "margin:.2em 0 0;padding:0 0 0 2em"


def sources_html(sources: Sequence[Source]) -> str:
    """Render sources as a list with links, each title once; "" without sources."""
    listed = distinct(sources)
    if not listed:
        return ""
    items = "".join(f"<li>{_item(source)}</li>" for source in listed[:MAX_SHOWN])
    more = f"<div>and {len(listed) - MAX_SHOWN:,} more</div>" if len(listed) > MAX_SHOWN else ""
    return f'<div class="amber-sources" style="{SMALL_STYLE}">Sources<ol style="{_LIST_STYLE}">{items}</ol>{more}</div>'


def sources_text(sources: Sequence[Source]) -> str:
    """Return a line for each source; "" without sources."""
    listed = distinct(sources)
    lines = [
        f"[{number}] " + " – ".join(shorten(show_controls(part), 300) for part in (source.title, source.url) if part)
        for number, source in enumerate(listed[:MAX_SHOWN], 1)
    ]
    more = [f"and {len(listed) - MAX_SHOWN:,} more"] if len(listed) > MAX_SHOWN else []
    return "\n".join([*lines, *more])


def sources_markdown(sources: Sequence[Source]) -> str:
    """Return a list of the sources in Markdown, with links to those that a browser may open; "" without sources."""
    lines = []
    for source in distinct(sources):
        title = re.sub(r"([\\`*_\[\]<>&|])", r"\\\1", show_controls(source.title or source.url or ""))
        target = link_target(source.url) if source.url else None
        lines.append(f"- [{title}](<{target[0]}>)" if target is not None else f"- {title}")
    return "\n".join(lines)


def distinct(sources: Sequence[Source]) -> list[Source]:
    """Return the sources without those that differ in their place in the text alone."""
    return list({(source.title, source.url): source for source in reversed(sources)}.values())[::-1]


def _item(source: Source) -> str:
    title = escape_text(shorten(source.title or source.url or "", MAX_CHARS))
    target = link_target(source.url) if source.url else None
    if target is None:
        return title if source.url in (None, source.title) else f"{title} ({escape_text(shorten(source.url, 200))})"
    href, host = target
    shown = f" ({escape_text(host)})" if source.title else ""  # a title may say anything
    return f"<a{link_attributes(href)}>{title}</a>{shown}"
