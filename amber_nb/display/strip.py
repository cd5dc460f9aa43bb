"""The images of a request as a strip of thumbnails: what is sent is seen. Static HTML, and a line of text for each."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from ..types import SentImage
from .escape import prose, shorten, visible

__all__ = ["MOST_SHOWN", "StripItem", "facts", "strip_html", "strip_items", "strip_text"]

MOST_SHOWN = 12  # thumbnails: 0.3 to 9 kB each in the notebook's file
_LONGEST_NAME = 60
_TILE = "display:inline-block;vertical-align:top;margin:0 16px 8px 0;max-width:240px;font-size:85%;line-height:1.4"
_PICTURE = "height:72px;width:auto;max-width:240px;margin:0;border:1px solid rgba(128,128,128,.5);border-radius:4px"
_QUIET = "opacity:.75"

StripItem = tuple[str, tuple[str, ...], str]  # name, lines below it, thumbnail as a data: address or ""


def facts(image: SentImage) -> tuple[str, ...]:
    """What is told below an image's name, a line each: pixels before and after, format, size, tokens, notes."""
    if image.after is None:
        return ("a link: the gateway fetches it",)
    pixels = _pixels(image.after)
    if image.before is not None and image.before != image.after:
        pixels = f"{_pixels(image.before)} → {pixels}"
    weight = [image.format, _size(image.n_bytes)]
    if image.tokens is not None:
        weight.append(f"≈ {image.tokens:,} tokens")
    return (pixels, " · ".join(weight), *image.notes)


def strip_html(images: Sequence[SentImage]) -> str:
    """The strip, safe whatever a file is called; "" without images.

    Args:
        images: in the order in which they are sent; the first 12 are shown, the others counted.
    """
    if not images:
        return ""
    tiles = "".join(_tile(*item) for item in strip_items(images))
    return f'<div class="amber-images" style="margin:0 0 .5em">{tiles}</div>'


def strip_items(images: Sequence[SentImage]) -> list[StripItem]:
    """Name, facts and thumbnail of each, for the live view and its same tiles; the last may be "and 5 more"."""
    items = [
        (
            visible(shorten(image.name, _LONGEST_NAME)),
            tuple(visible(shorten(line, 120)) for line in facts(image)),
            f"data:image/webp;base64,{base64.b64encode(image.thumbnail).decode('ascii')}" if image.thumbnail else "",
        )
        for image in images[:MOST_SHOWN]
    ]
    if len(images) > MOST_SHOWN:
        items.append((f"and {len(images) - MOST_SHOWN:,} more", (), ""))
    return items


def strip_text(images: Sequence[SentImage]) -> str:
    """The same as text, a line each, for a terminal."""
    lines = [" · ".join((shorten(image.name, _LONGEST_NAME), *facts(image))) for image in images[:MOST_SHOWN]]
    if len(images) > MOST_SHOWN:
        lines.append(f"and {len(images) - MOST_SHOWN:,} more")
    return "\n".join(visible(line.replace("\n", " ")) for line in lines)


def _tile(name: str, lines: Sequence[str], thumbnail: str) -> str:
    # The name stands below the picture: an alternative text would say it twice.
    picture = f'<div><img alt="" src="{thumbnail}" style="{_PICTURE}"></div>' if thumbnail else ""
    told = "".join(f'<div style="{_QUIET}">{prose(line)}</div>' for line in lines)
    return f'<div style="{_TILE}">{picture}<div style="overflow-wrap:anywhere">{prose(name)}</div>{told}</div>'


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1_000_000 else f"{max(1, round(n_bytes / 1000)):,} kB"
