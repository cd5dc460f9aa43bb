"""What a reply holds beside its text: pictures and audio that the model made, and what cannot be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from . import images
from .errors import ImageError
from .types import SentImage, replace_surrogates

__all__ = ["describe_parts", "made_images"]

_MAX_IMAGES = 12
_MAX_CHARS = 2_000  # of a transcript


def made_images(message: Mapping[str, Any]) -> list[SentImage]:
    """Return the pictures that the model made, as far as they can be read; nothing is fetched for them."""
    shown = []
    for number, url in enumerate(_image_urls(message), 1):
        if number > _MAX_IMAGES or not url.startswith("data:"):
            continue
        try:
            part = images.image_part(url)
        except (ImageError, ValueError, OSError):
            continue
        shown.append(replace(part.sent, name=f"picture {number}", original_size=None))
    return shown


def describe_parts(message: Mapping[str, Any]) -> list[str]:
    """Return a line for each kind of thing that a reply holds beside its text."""
    lines = []
    if count := len(list(_image_urls(message))):
        lines.append("1 picture" if count == 1 else f"{count:,} pictures")
    audio = message.get("audio")
    if isinstance(audio, Mapping):
        said = audio.get("transcript")
        words = replace_surrogates(said[:_MAX_CHARS]) if isinstance(said, str) else ""
        lines.append(f"audio: {words}" if words else "audio")
    known = {"role", "content", "refusal", "tool_calls", "function_call", "images", "audio", "annotations", "index"}
    others = sorted(name for name, value in message.items() if name not in known and value)
    if others:
        lines.append(", ".join(replace_surrogates(str(name)[:60]) for name in others[:10]))
    return lines


def _image_urls(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    for parts in (message.get("images"), content):
        for part in parts if isinstance(parts, list) else ():
            image = part.get("image_url") if isinstance(part, Mapping) else None
            url = image.get("url") if isinstance(image, Mapping) else image
            if isinstance(url, str):
                yield url
