"""Images as parts of a message: `image_part` for one, and what `ask(images=…)` makes of one or many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from ..display.strip import strip_html
from ..errors import ImageError
from ..types import SentImage
from .prepare import prepare
from .source import several

__all__ = [
    "Gathered",
    "HoldsImages",
    "ImagePart",
    "file_part",
    "gather",
    "image_part",
    "image_parts",
    "without_thumbnail",
]

MOST_IMAGES = 500  # of one question: an iterable without an end is no endless loop


class ImagePart(dict[str, Any]):
    """An image as a content part of a message: `{"type": "image_url", "image_url": {"url": …}}`.

    A dict, for `amber.ask(images=…)`, for a message of your own and for the SDK; shown as a thumbnail with what is
    known of it, and never as base64.

    Attributes:
        sent: name, pixels before and after, format, bytes, estimated tokens, and what was done to it.
    """

    def __init__(self, part: dict[str, Any], sent: SentImage) -> None:
        super().__init__(part)
        self.sent = sent

    def __reduce__(self) -> tuple[Any, ...]:
        return ImagePart, (dict(self), self.sent)

    def __repr__(self) -> str:
        if self.sent.after is None:
            return f"ImagePart({self.sent.name!r}, a link)"
        width, height = self.sent.after
        return f"ImagePart({self.sent.name!r}, {width} × {height} {self.sent.format})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": strip_html([self.sent]), "text/plain": repr(self)}


class HoldsImages(ABC):
    """What holds images for `ask`, as an `ImageInput` does."""

    @property
    @abstractmethod
    def images(self) -> list[ImagePart]:
        """Its images."""

    @abstractmethod
    def check(self) -> None:
        """See whether they are all there.

        Raises:
            ImageError: one is still on its way.
        """

    @abstractmethod
    def used(self, *, thumbnails: bool = True) -> None:
        """A question is about to be sent with them."""


@dataclass(slots=True)
class Gathered:
    """The images of a question, and what held some of them."""

    parts: list[ImagePart] = field(default_factory=list)
    holders: list[HoldsImages] = field(default_factory=list)


def image_part(
    source: Any,
    *,
    max_side_px: int = 2048,
    detail: str = "auto",
    format: str | None = None,
    inline: bool = False,
) -> ImagePart:
    """Anything that can be seen, as a content part of a message.

    Turned upright, shrunk, brought to sRGB and encoded anew without any metadata (no place, no camera, no comment); a
    file is 3.7 MB at most. The source itself stays as it is.

    Args:
        source: an http(s) URL (sent as it is; the gateway fetches it), a path, bytes or a file object, a PIL image, a
            numpy array (height, width[, 1, 3 or 4] of uint8, uint16, bool or float in 0..1), a matplotlib figure or
            axes, a plotly or altair chart, a DataFrame or Styler (needs `amber_nb[pictures]`), `Out[n]`, whatever has
            `_repr_png_` or `_repr_jpeg_`, an `ImageInput` with one image, a content part.
        max_side_px: the longer side of what is sent, at most, in pixels.
        detail: `"auto"`, `"low"` (few tokens), `"high"` or `"original"`, as the endpoint has it.
        format: `"png"`, `"jpeg"` or `"webp"`; None: PNG for drawings, the source's own or JPEG for photos, WebP for
            photos with transparency.
        inline: fetch a URL here and send its bytes, for a gateway that cannot reach it.

    Raises:
        ImageError: it is no image, broken, empty, or too large; says what was given, the limit and the remedy.
        ValueError: a parameter is none of these.

    Example:
        >>> image_part("photo.jpg", detail="low")  # doctest: +SKIP
        ImagePart('photo.jpg', 2048 × 1536 JPEG)
    """
    if isinstance(source, HoldsImages):
        held = source.images
        if len(held) != 1:
            raise ImageError(f"This ImageInput holds {len(held)} images, not one: take one of its .images.")
        source = held[0]
    if isinstance(source, ImagePart) and (max_side_px, detail, format, inline) == (2048, "auto", None, False):
        return source
    name = source.sent.name if isinstance(source, ImagePart) else None
    made = prepare(source, name=name, max_side_px=max_side_px, detail=detail, format=format, inline=inline)
    return ImagePart(made.part, made.sent)


def file_part(data: bytes, name: str, *, before: tuple[int, int] | None = None, **options: Any) -> ImagePart:
    """A file that came from the browser, which may have shrunk it from `before` pixels; else as `image_part`."""
    made = prepare(data, name=name, **options)
    return ImagePart(made.part, replace(made.sent, before=before) if before else made.sent)


def gather(images: Any, *, thumbnails: bool = True, **options: Any) -> Gathered:
    """One source or an iterable of them as content parts; None and an empty iterable are no images.

    Args:
        images: what `image_part` takes, or an iterable of such.
        thumbnails: False: the pictures themselves are not kept for showing.
        **options: those of `image_part`.

    Raises:
        ImageError: as `image_part`; with sources it says which.
    """
    gathered = Gathered()
    if images is None:
        return gathered
    if isinstance(images, HoldsImages):
        _add(gathered, images, options)
    elif (sources := several(images)) is not None:
        sources = list(islice(sources, MOST_IMAGES + 1))
        if len(sources) > MOST_IMAGES:
            raise ImageError(f"More than {MOST_IMAGES} images for one question; ask in several.")
        for number, source in enumerate(sources, start=1):
            try:
                _add(gathered, source, options)
            except ImageError as error:
                error.args = (f"Image {number} of {len(sources)}: {error}",)
                raise
    else:
        _add(gathered, images, options)
    if not thumbnails:
        gathered.parts = [without_thumbnail(part) for part in gathered.parts]
    return gathered


def image_parts(content: Sequence[Any], *, thumbnails: bool) -> list[ImagePart]:
    """The images that the caller has put into the content of a message."""
    parts = [part for part in content if isinstance(part, ImagePart)]
    return parts if thumbnails else [without_thumbnail(part) for part in parts]


def without_thumbnail(part: ImagePart) -> ImagePart:
    """The same part, whose picture is not to be shown."""
    return ImagePart(dict(part), replace(part.sent, thumbnail=b""))


def _add(gathered: Gathered, source: Any, options: dict[str, Any]) -> None:
    if not isinstance(source, HoldsImages):
        gathered.parts.append(image_part(source, **options))
        return
    source.check()
    held = source.images
    if not held:
        raise ImageError("This ImageInput holds no image yet: choose, drop or paste one first.")
    gathered.parts += held
    gathered.holders.append(source)
