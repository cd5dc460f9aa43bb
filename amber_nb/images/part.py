"""Images as content parts of a message: `image_part` makes one, `collect_images` those of `ask(images=…)`."""

from __future__ import annotations

import base64
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from typing import Any

from ..display.cards import strip_html
from ..errors import ImageError
from ..tracebacks import short_traceback
from ..types import SentImage
from .codec import FORMATS, encode_image, open_bytes
from .source import Link, download, iter_sources, join_pictures, open_source

__all__ = [
    "CollectedImages",
    "ImagePart",
    "ImageSource",
    "check_options",
    "collect_images",
    "estimate_tokens",
    "find_image_parts",
    "image_part",
    "make_part",
    "without_thumbnail",
]

_DETAILS = ("auto", "low", "high", "original")
_MAX_SIDE_PX = 16_000
_MAX_IMAGES = 500  # of one question: an iterable without an end is no endless loop
# Published measurements of GPT-5.5: 1.2 tokens a patch of 32 × 32 pixels (77 for 256 × 256, 1,229 for 1024 × 1024), and
# about so many patches at most.
_PATCH_PX = 32
_TOKENS_PER_PATCH = 1.2
# A row of numbers that was taken for a picture, a screenshot of a page's whole length.
_MAX_RATIO, _MIN_STRIP_PX = 20, 200
_PAGE_RATIO, _MAX_SHRINK, _MIN_SHORT_PX = 6, 4, 256
_NARROW = "so long and narrow that a model sees little of it: cut it into pieces; a row of numbers is to be plotted"
_MAX_PATCHES = {"auto": 2_500, "low": 256, "high": 2_500, "original": 10_000}


class ImagePart(dict[str, Any]):
    """An image as a content part of a message: `{"type": "image_url", "image_url": {"url": …}}`.

    It is a dict, for `amber.ask(images=…)`, for a message of your own and for the SDK. A notebook shows it as a
    thumbnail with what is known of it, never as base64.

    Attributes:
        sent: name, pixels before and after, format, bytes, estimated tokens, and what was done to it.
    """

    def __init__(self, part: Mapping[str, Any], sent: SentImage) -> None:
        super().__init__(part)
        self.sent = sent

    def __reduce__(self) -> tuple[Any, ...]:
        return ImagePart, (dict(self), self.sent)

    def __repr__(self) -> str:
        if self.sent.size is None:
            return f"ImagePart({self.sent.name!r}, a link)"
        width, height = self.sent.size
        return f"ImagePart({self.sent.name!r}, {width} × {height} {self.sent.format})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": strip_html([self.sent]), "text/plain": repr(self)}


class ImageSource(ABC):
    """An object that holds images for `ask`, as an `ImageInput` does."""

    @property
    @abstractmethod
    def images(self) -> list[ImagePart]:
        """The images that it holds now."""

    @abstractmethod
    def check_ready(self) -> None:
        """Raise an ImageError if an image is still on its way."""

    @abstractmethod
    def mark_used(self, *, thumbnails: bool = True) -> None:
        """Take note that a question is about to be sent with the images, whose pictures may be kept or not."""


@dataclass(slots=True)
class CollectedImages:
    """The images of a question, and the objects that held some of them."""

    parts: list[ImagePart] = field(default_factory=list)
    sources: list[ImageSource] = field(default_factory=list)


@short_traceback
def image_part(
    source: Any, *, max_side_px: int = 2048, detail: str = "auto", format: str | None = None, inline: bool = False
) -> ImagePart:
    """Make a content part of a message from anything that can be seen.

    What is seen in the notebook is what is sent: a figure in the inline backend's tight box and with its options, a PIL
    image without a turn by its EXIF. A file is turned upright. All are shrunk, brought to sRGB and encoded anew without
    any metadata (no place, no camera, no comment), as a file of 3.7 MB at most. The source itself stays as it is.

    Args:
        source: an http(s) URL (sent as it is; the gateway fetches it), a path, bytes, base64 or a file object, a PIL
            image, a numpy array (height, width[, 1, 3 or 4] of uint8, uint16, bool or float in 0..1; or the bytes of a
            file), a matplotlib figure or axes (with their colour bar and twin), an artist or what a plotting function
            returned (for its axes), a plotly or altair chart, a DataFrame or Styler (needs `amber_nb[pictures]`),
            `Out[n]`, an object with `_repr_png_` or `_repr_jpeg_`, an `ImageInput` with one image, a content part.
        max_side_px: the longer side of what is sent, at most, in pixels.
        detail: `"auto"`, `"low"` (few tokens), `"high"` or `"original"`, as the endpoint has it.
        format: `"png"`, `"jpeg"` or `"webp"`; None: PNG for drawings, the source's own or JPEG for photos, WebP for
            photos with transparency.
        inline: fetch a URL here and send its bytes, for a gateway that cannot reach it.

    Returns:
        The content part, a dict that shows itself as a thumbnail.

    Warns:
        RuntimeWarning: it is so long and narrow that a model sees little of it.

    Raises:
        ImageError: it is no image, broken, empty, or too large; says what was given, the limit and the remedy.
        ValueError: a parameter is none of these.

    Example:
        >>> image_part("photo.jpg", detail="low")  # doctest: +SKIP
        ImagePart('photo.jpg', 2048 × 1536 JPEG)
    """
    if isinstance(source, ImageSource):
        images = source.images
        if len(images) != 1:
            raise ImageError(f"This ImageInput holds {len(images)} images, not one: take one of its .images.")
        source = images[0]
    if isinstance(source, ImagePart) and (max_side_px, detail, format, inline) == (2048, "auto", None, False):
        return source
    name = source.sent.name if isinstance(source, ImagePart) else None
    part = make_part(source, name, max_side_px=max_side_px, detail=detail, format=format, inline=inline)
    if _NARROW in part.sent.notes and part.sent.original_size:
        width, height = part.sent.original_size
        text = f"amber: {part.sent.name} ({width:,} × {height:,} pixels) is {_NARROW}."
        warnings.warn(text, RuntimeWarning, stacklevel=_find_caller())
    return part


def make_part(
    source: Any, name: str | None, *, max_side_px: int, detail: str, format: str | None = None, inline: bool = False
) -> ImagePart:
    """Make a content part as `image_part` does, of a source that is no ImageSource; `name` is for the reader."""
    if isinstance(source, Mapping) and isinstance(image := source.get("image_url"), Mapping) and detail == "auto":
        detail = image.get("detail", detail)  # a part keeps its own
    check_options(max_side_px=max_side_px, detail=detail)
    format = _normalize_format(format)
    opened = open_source(source, name)
    if isinstance(opened, Link):
        if not inline:
            return ImagePart(_wire_part(opened.url, detail), SentImage(name=opened.name))
        opened = open_bytes(download(opened), opened.name)
    data, sent = encode_image(opened, max_side_px=max_side_px, format=format)
    url = f"data:image/{sent.format.lower()};base64,{base64.b64encode(data).decode('ascii')}"
    assert sent.size is not None
    notes = (*sent.notes, _NARROW) if _is_narrow(sent.original_size or sent.size, sent.size) else sent.notes
    sent = replace(sent, tokens=estimate_tokens(sent.size, detail), notes=notes)
    return ImagePart(_wire_part(url, detail), sent)


def collect_images(images: Any, *, thumbnails: bool = True, **options: Any) -> CollectedImages:
    """Make content parts from one source or an iterable of them; None and an empty iterable are no images.

    Args:
        images: what `image_part` takes, or an iterable of such.
        thumbnails: False if the pictures themselves must not be kept for showing.
        **options: those of `image_part`.

    Raises:
        ImageError: as `image_part` does; of several sources the message says which.
    """
    collected = CollectedImages()
    if images is None:
        return collected
    several = None if isinstance(images, ImageSource) else iter_sources(images)
    sources = [images] if several is None else join_pictures(islice(several, _MAX_IMAGES + 1))
    if len(sources) > _MAX_IMAGES:
        raise ImageError(f"More than {_MAX_IMAGES} images for one question; ask in several.")
    for number, source in enumerate(sources, start=1):
        try:
            if not isinstance(source, ImageSource):
                collected.parts.append(image_part(source, **options))
                continue
            source.check_ready()
            if not (held := source.images):
                raise ImageError("This ImageInput holds no image yet: choose, drop or paste one first.")
            collected.parts += held
            collected.sources.append(source)
        except ImageError as error:
            if several is not None:
                error.args = (f"Image {number} of {len(sources)}: {error}",)
            raise
    if not thumbnails:
        collected.parts = [without_thumbnail(part) for part in collected.parts]
    return collected


def find_image_parts(content: Sequence[Any], *, thumbnails: bool) -> list[ImagePart]:
    """Return the images among the parts of a message, without the pictures to show if `thumbnails` is False."""
    parts = [part for part in content if isinstance(part, ImagePart)]
    return parts if thumbnails else [without_thumbnail(part) for part in parts]


def without_thumbnail(part: ImagePart) -> ImagePart:
    """Return the same part without the picture that a reader would be shown."""
    return ImagePart(part, replace(part.sent, thumbnail=b""))


def check_options(*, max_side_px: int, detail: str) -> None:
    """Raise a ValueError if an option of `image_part` has a value that is not allowed."""
    if detail not in _DETAILS:
        raise ValueError(f"detail must be one of {', '.join(_DETAILS)}; it is {detail!r}.")
    if isinstance(max_side_px, bool) or not isinstance(max_side_px, int) or not 1 <= max_side_px <= _MAX_SIDE_PX:
        raise ValueError(f"max_side_px must be a whole number of pixels, 1 to {_MAX_SIDE_PX:,}.")


def estimate_tokens(size: tuple[int, int], detail: str = "auto") -> int:
    """Estimate what an image of (width, height) pixels costs in tokens of the prompt; models differ."""
    patches = ceil(size[0] / _PATCH_PX) * ceil(size[1] / _PATCH_PX)
    return ceil(_TOKENS_PER_PATCH * min(patches, _MAX_PATCHES[detail]))


def _find_caller() -> int:
    """Return the stack level, as `warnings.warn` counts it in the caller, of the reader's own line."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def _is_narrow(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Return whether a picture is so long, before or after it was shrunk, that hardly anything can be made out."""
    longer, shorter = max(before), min(before)
    if longer >= max(_MIN_STRIP_PX, _MAX_RATIO * shorter):
        return True
    return longer >= _PAGE_RATIO * shorter and longer >= _MAX_SHRINK * max(after) and min(after) < _MIN_SHORT_PX


def _wire_part(url: str, detail: str) -> dict[str, Any]:
    image = {"url": url} if detail == "auto" else {"url": url, "detail": detail}  # as the vendor's page has it
    return {"type": "image_url", "image_url": image}


def _normalize_format(format: str | None) -> str | None:
    if format is None:
        return None
    name = str(format).upper().lstrip(".").replace("JPG", "JPEG")
    if name not in FORMATS:
        raise ValueError(f"format must be png, jpeg or webp, or None for the one that fits; it is {format!r}.")
    return name
