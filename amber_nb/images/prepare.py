"""Anything that can be seen → a content part of a request, and what a reader is told of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from .. import images
from ..types import SentImage
from .encode import FORMATS, encode
from .opened import open_file
from .source import Link, open_source

__all__ = ["DETAILS", "Prepared", "check_options", "estimated_tokens", "prepare"]

DETAILS = ("auto", "low", "high", "original")
LARGEST_SIDE_PX = 16_000
# Published measurements of GPT-5.5: 1.2 tokens a patch of 32 × 32 pixels (77 for 256 × 256, 1,229 for 1024 × 1024), and
# about so many patches at most.
_PATCH_PX = 32
_TOKENS_A_PATCH = 1.2
_MOST_PATCHES = {"auto": 2_500, "low": 256, "high": 2_500, "original": 10_000}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A content part, and what is told of it."""

    part: dict[str, Any]
    sent: SentImage


def prepare(
    source: Any,
    *,
    max_side_px: int = 2048,
    detail: str = "auto",
    format: str | None = None,
    inline: bool = False,
    name: str | None = None,
) -> Prepared:
    """One source as a content part; parameters and errors are those of `amber_nb.image_part`.

    `name` is what to call the image, instead of what it was.
    """
    if isinstance(source, Mapping) and isinstance(image := source.get("image_url"), Mapping) and detail == "auto":
        detail = image.get("detail", detail)  # a part keeps what it says
    check_options(max_side_px=max_side_px, detail=detail)
    kind = _format(format)
    opened = open_source(source, name)
    if isinstance(opened, Link):
        if not inline:
            return Prepared(_part(opened.url, detail), SentImage(name=opened.name))
        opened = open_file(images.download(opened.url, opened.name), opened.name)
    file = encode(opened, max_side_px=max_side_px, format=kind)
    url = f"data:image/{file.format.lower()};base64,{base64.b64encode(file.data).decode('ascii')}"
    sent = SentImage(
        name=opened.name,
        before=file.before,
        after=file.after,
        format=file.format,
        n_bytes=len(file.data),
        tokens=estimated_tokens(file.after, detail),
        notes=file.notes,
        thumbnail=file.thumbnail,
    )
    return Prepared(_part(url, detail), sent)


def check_options(*, max_side_px: int, detail: str) -> None:
    """Look at the options before there is an image.

    Raises:
        ValueError: one is none of those that there are.
    """
    if detail not in DETAILS:
        raise ValueError(f"detail must be one of {', '.join(DETAILS)}; it is {detail!r}.")
    if isinstance(max_side_px, bool) or not isinstance(max_side_px, int) or not 1 <= max_side_px <= LARGEST_SIDE_PX:
        raise ValueError(f"max_side_px must be a whole number of pixels, 1 to {LARGEST_SIDE_PX:,}.")


def estimated_tokens(size: tuple[int, int], detail: str = "auto") -> int:
    """About what an image costs, in tokens of the prompt; models differ, and the answer's usage has the truth.

    Args:
        size: (width, height) in pixels.
        detail: as in the request.
    """
    patches = ceil(size[0] / _PATCH_PX) * ceil(size[1] / _PATCH_PX)
    return ceil(_TOKENS_A_PATCH * min(patches, _MOST_PATCHES[detail]))


def _part(url: str, detail: str) -> dict[str, Any]:
    image = {"url": url} if detail == "auto" else {"url": url, "detail": detail}  # as the vendor's page has it
    return {"type": "image_url", "image_url": image}


def _format(format: str | None) -> str | None:
    if format is None:
        return None
    wanted = {"JPG": "JPEG"}.get(str(format).upper().lstrip("."), str(format).upper().lstrip("."))
    if wanted not in FORMATS:
        raise ValueError(f"format must be png, jpeg or webp, or None for the one that fits; it is {format!r}.")
    return wanted
