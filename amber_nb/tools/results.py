"""What a tool returned → what the model is told, and what a reader sees beside it."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from typing import Any

from .. import images
from ..errors import ImageError
from ..types import SentImage, Told, encodable
from .compact import Beginning, Compact, bare, of_module, plain, safe_repr
from .frames import frame_of, sheet

__all__ = ["MOST_IMAGES", "MOST_ITEMS", "MOST_SENT", "awaited", "is_awaited", "listed", "told"]

MOST_SENT = 20_000  # characters of one result
MOST_IMAGES = 20  # of one result
MOST_ITEMS = 10_000  # of a generator, which may have no end
_INNER_SHEET = 8_000  # characters of a table within another value
_NOTICE = 400  # characters kept for what is said of a cut
_NOTHING = "Done. The tool returned no result."


def is_awaited(value: Any) -> bool:
    """Whether the result of a function is still to come, as that of a coroutine is."""
    return inspect.isawaitable(value) or isinstance(value, AsyncIterator)


async def awaited(value: Any) -> Any:
    """What comes of it; of an async generator the first 10,000 items."""
    if inspect.isawaitable(value):
        value = await value
    if not isinstance(value, AsyncIterator):
        return value
    items: list[Any] = []
    async for item in value:
        if len(items) == MOST_ITEMS:
            return Beginning(items)
        items.append(item)
    return items


def listed(value: Any) -> Any:
    """The first 10,000 items of a generator or another iterator, which has no second time; all else as it is."""
    if not isinstance(value, Iterator) or hasattr(value, "read"):
        return value
    items = list(islice(value, MOST_ITEMS + 1))
    return items if len(items) <= MOST_ITEMS else Beginning(items[:MOST_ITEMS])


def told(value: Any) -> Told:
    """What becomes of a tool's result; never raises, whatever the value's own methods do.

    A text stays as it is; tables become CSV, everything else compact JSON; at most 20,000 characters, and what was left
    out is said. Images, figures and charts are sent as images, also those within a list or a dict.

    Args:
        value: anything.
    """
    try:
        return _told(value)
    except Exception as error:  # a property, an iterator or a model_dump of the user's
        note = f"it could not be read ({type(error).__name__}), and stands as its repr"
        return _noted(safe_repr(value), [note])


def _told(value: Any) -> Told:
    value = plain(value)
    if value is None:
        return Told(text=_NOTHING)
    if (frame := frame_of(value)) is not None:
        made = sheet(frame, MOST_SENT)
        return Told(text=made.text, table=made.table, notes=made.notes)
    if (text := bare(value)) is not None:
        return _text(text)
    gallery = _Gallery()
    if (name := gallery.take(value)) is not None:
        return _noted(_announced(gallery) if gallery.images else name, gallery.notes, gallery)
    return _structure(value, gallery)


def _text(text: str) -> Told:
    if len(text) <= MOST_SENT:
        return Told(text=encodable(text))
    return _noted(text, [])


def _structure(value: Any, gallery: _Gallery) -> Told:
    if isinstance(value, (list, tuple)) and value and len(value) <= MOST_IMAGES:
        parts = [one if isinstance(one, str) else gallery.take(one) for one in value]
        if gallery.images and all(part is not None for part in parts):
            # Texts and images alone read best one after the other.
            only_images = not any(isinstance(one, str) for one in value)
            text = _announced(gallery) if only_images else "\n".join(str(part) for part in parts)
            return _noted(text, gallery.notes, gallery)
    writer = Compact(MOST_SENT - _NOTICE, gallery.read)
    text = writer.text(value)
    if text.startswith('"'):  # a text alone needs no quotes
        text = json.loads(text)
    if gallery.images:
        text += f"\n{_announced(gallery)}"
    return _noted(text, [*writer.notes, *gallery.notes], gallery)


def _noted(text: str, notes: list[str], gallery: _Gallery | None = None) -> Told:
    if len(text) > MOST_SENT - _NOTICE and len(text) + sum(len(note) + 2 for note in notes) > MOST_SENT:
        notes = [*notes, f"the first {MOST_SENT - _NOTICE:,} of {len(text):,} characters"]
        text = text[: MOST_SENT - _NOTICE]
    notes = [encodable(note) for note in dict.fromkeys(notes)]
    text = encodable(text)
    if notes:
        said = f"\n({'; '.join(notes)})"
        said = said if len(said) <= _NOTICE else said[: _NOTICE - 2] + "…)"
        text = text[: MOST_SENT - len(said)] + said
    return Told(text=text[:MOST_SENT], images=tuple(gallery.images) if gallery else (), notes=tuple(notes))


class _Gallery:
    """The images of one result, in order."""

    def __init__(self) -> None:
        self.images: list[tuple[Mapping[str, Any], SentImage]] = []
        self.notes: list[str] = []
        self._names: dict[
            int, tuple[Any, str]
        ] = {}  # an object is drawn once; it is kept, so that its id stays its own

    def take(self, value: Any) -> str | None:
        """The words that stand for an image in the text; None if it is none."""
        if not _is_visible(value):
            return None
        if id(value) not in self._names:
            self._names[id(value)] = value, self._taken(value)
        return self._names[id(value)][1]

    def read(self, value: Any) -> str | None:
        """The same, and the text of a table within another value."""
        if (words := self.take(value)) is not None or (frame := frame_of(value)) is None:
            return words
        made = sheet(frame, _INNER_SHEET)
        self.notes += [f"of a table, {note}" for note in made.notes if not note.startswith("the table shows")]
        return made.text

    def _taken(self, value: Any) -> str:
        if len(self.images) >= MOST_IMAGES:
            self.notes.append(f"the first {MOST_IMAGES} images")
            return "an image that was not sent"
        try:
            if isinstance(sent := getattr(value, "sent", None), SentImage):
                self.images.append((dict(value), sent))  # an image_part, made already
            else:
                part = images.image_part(value)
                self.images.append((dict(part), part.sent))
        except ImageError as error:
            self.notes.append(f"it could not be sent as an image: {error}")
            return safe_repr(value)
        return f"image {len(self.images)}{_size(self.images[-1][1])}"


def _size(sent: SentImage) -> str:
    width, height = sent.after or sent.before or (0, 0)
    return f" ({width} × {height} pixels)" if width else ""


def _announced(gallery: _Gallery) -> str:
    sizes = [_size(sent) for _, sent in gallery.images]
    if len(sizes) == 1:
        return f"An image{sizes[0]} follows."
    return f"{len(sizes)} images follow: {', '.join(size.strip(' ()') or 'a link' for size in sizes)}."


def _is_visible(value: Any) -> bool:
    """Whether this is to be seen rather than read. Nothing is drawn for it, and no library loaded."""
    kind = type(value)
    if value is None or kind in (str, bytes, bool, int, float, list, dict, tuple, set):
        return False
    if kind.__name__ == "ImagePart" and isinstance(getattr(value, "sent", None), SentImage):
        return True
    if isinstance(value, type) or hasattr(kind, "read"):
        return False
    if of_module(value, "numpy"):
        return _is_picture(value)
    if of_module(value, "pandas"):
        return False
    if of_module(value, "PIL") and hasattr(value, "getpixel"):
        return True
    if of_module(value, "matplotlib"):
        return hasattr(kind, "draw") or _holds_figure(value)
    if of_module(value, "plotly"):
        return hasattr(kind, "to_plotly_json")
    if of_module(value, "altair"):
        return hasattr(kind, "to_dict")
    if any(callable(getattr(kind, name, None)) for name in ("_repr_png_", "_repr_jpeg_")):
        return _shows(value)
    if callable(getattr(kind, "_repr_mimebundle_", None)):
        return _shows(value)
    return _holds_figure(value)


def _is_picture(array: Any) -> bool:
    """Numbers are read; (height, width, 3 or 4) bytes are seen."""
    shape: tuple[int, ...] = getattr(array, "shape", ())
    dtype = str(getattr(array, "dtype", ""))
    return dtype == "uint8" and len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 8


def _holds_figure(value: Any) -> bool:
    return of_module(getattr(value, "figure", None), "matplotlib")  # seaborn's grids


def _shows(value: Any) -> bool:
    """Whether an object shows itself as a picture now: many have the method, and nothing to show."""
    kind = type(value)
    for name in ("_repr_png_", "_repr_jpeg_"):
        if callable(getattr(kind, name, None)):
            try:
                if getattr(value, name)() is not None:
                    return True
            except Exception:
                return True  # which `image_part` then says in words
    if not callable(getattr(kind, "_repr_mimebundle_", None)):
        return False
    try:
        bundle = value._repr_mimebundle_(include=("image/png", "image/jpeg"))
    except Exception:
        return False
    bundle = bundle[0] if isinstance(bundle, tuple) and bundle else bundle
    return isinstance(bundle, Mapping) and bool(bundle.keys() & {"image/png", "image/jpeg"})
