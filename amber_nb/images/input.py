"""ImageInput: images that the reader chooses, drops or pastes in the notebook."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import config
from ..display import kernel
from ..display.cards import image_facts, strip_html
from ..errors import ImageError
from ..tracebacks import short_traceback
from .part import ImagePart, ImageSource, check_options, collect_images, image_part, make_part, without_thumbnail
from .view import ImageEntry, ImageView

__all__ = ["ImageInput"]

_EMPTY = "<div>No image yet.</div>"
_NOTHING = {"text/html": "", "text/plain": ""}


@dataclass(frozen=True, slots=True)
class _Place:
    """An output: its handle, and the cell and the run of it that made it."""

    handle: Any
    cell: str | None
    run: str | None


class ImageInput(ImageSource):
    """Drop, paste or choose images in a cell; ask about them in the next one.

    Shown as the last expression of a cell. The browser shrinks large photos before it sends them. What the notebook
    holds is a static strip of thumbnails at any time, and the live layer draws the input over it, until **Done**, or
    until `ask` uses it; `edit()` opens it again. It is open in one place, the newest; where it was, the strip stays.
    Where nobody can choose (nbconvert, nbval, CI) it is that strip of its `initial` images.

    Args:
        initial: one image or an iterable of them, as `ask(images=…)` takes them.
        max_side_px: the longer side of what is sent, at most, in pixels.
        detail: `"auto"`, `"low"`, `"high"` or `"original"`, as the endpoint has it.
        most: how many images it takes.
        thumbnails: False keeps the pictures themselves out of the strip, and so out of the notebook's file.

    Raises:
        ImageError: an initial image cannot be sent, or there are more than `most`.
        ValueError: a parameter has a value that is not allowed.

    Example:
        >>> photos = ImageInput()
        >>> photos
        >>> amber.ask("What is on these?", images=photos)
    """

    @short_traceback
    def __init__(
        self,
        initial: Any = None,
        *,
        max_side_px: int = 2048,
        detail: str = "auto",
        most: int = 20,
        thumbnails: bool = True,
    ) -> None:
        check_options(max_side_px=max_side_px, detail=detail)
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ValueError("most must be a whole number of images, 1 or more.")
        parts = collect_images(initial, max_side_px=max_side_px, detail=detail).parts
        if len(parts) > most:
            raise ImageError(f"{len(parts)} images, and this ImageInput takes {most}: ImageInput(most={len(parts)}).")
        self._max_side_px, self._detail, self._most, self._thumbnails = max_side_px, detail, most, thumbnails
        self._lock = threading.RLock()  # the browser's messages come on a thread of their own
        self._parts = dict(enumerate(parts))  # by id
        self._next_id = len(parts)
        self._listed_ids = set(self._parts)  # those that the page knows
        self._view: ImageView | None = None
        self._places: list[_Place] = []  # the outputs that show it

    @property
    def images(self) -> list[ImagePart]:
        """The images in their order, as content parts for `ask`, without those still on their way."""
        with self._lock:
            parts = list(self._parts.values())
        return parts if self._thumbnails else [without_thumbnail(part) for part in parts]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[ImagePart]:
        return iter(self.images)

    def __getitem__(self, index: int) -> ImagePart:
        return self.images[index]

    def __bool__(self) -> bool:
        return True  # also an empty one is an input

    def __repr__(self) -> str:
        names = ", ".join(repr(part.sent.name) for part in self.images)
        return f"ImageInput({names})"

    def check_ready(self) -> None:
        """Raise an ImageError if an image is still on its way from the browser."""
        view = self._view
        if view is not None and view.busy:
            raise ImageError(
                "An image is still on its way from the browser. Wait until it is listed, and run the cell again."
            )

    def mark_used(self, *, thumbnails: bool = True) -> None:
        """Become a static strip, because a question is about to be sent with the images.

        Args:
            thumbnails: False takes the pictures themselves out of the strip.
        """
        self._thumbnails = self._thumbnails and thumbnails
        self.done()

    def done(self) -> None:
        """End the input: where it is shown, a static strip takes its place, as with the button."""
        with self._lock:
            view, self._view = self._view, None
            places, self._places = self._places, []
            bundle = self._repr_mimebundle_()
        for place in places:
            place.handle.update(bundle, raw=True)
        if view is not None:
            view.finish(bundle)

    def edit(self) -> None:
        """Open the input again, in the cell that calls this, with the images it holds; where it was, a strip stays."""
        with self._lock:
            places, self._places = self._places, []
        self.done()
        self._leave(places)
        self._ipython_display_()

    def clear(self) -> None:
        """Remove all images."""
        with self._lock:
            self._parts.clear()
        self._refresh()

    def _ipython_display_(self) -> None:
        setting = config.read_display()
        if not kernel.in_kernel() or not (setting == "live" or (setting == "auto" and kernel.has_front_end())):
            kernel.show_bundle(self._repr_mimebundle_())
            return
        with self._lock:
            if self._view is None or self._view.finished:
                self._view = ImageView(
                    take=self._take,
                    link=self._link,
                    arrange=self._arrange,
                    done=self.done,
                    strip=self._repr_mimebundle_,
                    update=self._update,
                    max_side_px=self._max_side_px,
                    most=self._most,
                )
            display = sys.modules["IPython"].display.display
            self._leave(self._places)
            handle = display(self._view.snapshot(), raw=True, display_id=True)
            self._places = [_Place(handle, kernel.cell_id(), kernel.execution_id())]
            self._refresh()

    def _leave(self, places: list[_Place]) -> None:
        """Put the static strip into outputs that showed the input; it is open in one place, which is the newest."""
        cell, run = kernel.cell_id(), kernel.execution_id()
        with self._lock:  # a late update must not open it there again
            for place in places:
                if cell is None or place.cell != cell:
                    place.handle.update(self._repr_mimebundle_(), raw=True)
                elif place.run == run:  # the new one stands below it, and shows the same
                    place.handle.update(_NOTHING, raw=True)
                # Of an earlier run of this cell the output is gone.

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, str]:
        html = strip_html([part.sent for part in self.images])
        return {"text/html": html or _EMPTY, "text/plain": repr(self)}

    def _update(self, view: ImageView, bundle: Mapping[str, str]) -> None:
        with self._lock:  # the settled form is the last: `done` takes the outputs away under it
            for place in self._places if view is self._view else ():  # an earlier view may be late
                place.handle.update(dict(bundle), raw=True)

    def _take(self, name: str, data: bytes, original_size: tuple[int, int] | None) -> None:
        part = make_part(data, name, max_side_px=self._max_side_px, detail=self._detail)
        if original_size:
            part.sent = replace(part.sent, original_size=original_size)
        self._add(part)

    def _link(self, url: str) -> None:
        if not url.lower().startswith(("http://", "https://")):  # a path would be one of the kernel's machine
            raise ImageError("Only http and https addresses are taken.")
        self._add(image_part(url, detail=self._detail))

    def _add(self, part: ImagePart) -> None:
        with self._lock:
            if len(self._parts) >= self._most:
                raise ImageError(f"{part.sent.name} is one too many: this input takes {self._most}.")
            self._parts[self._next_id] = part
            self._next_id += 1
        self._refresh()

    def _arrange(self, ids: list[int]) -> None:
        with self._lock:
            unlisted = [id for id in self._parts if id not in self._listed_ids]  # the page could not name them
            self._parts = {id: self._parts[id] for id in (*ids, *unlisted) if id in self._parts}
            self._refresh()

    def _refresh(self) -> None:
        with self._lock:  # also around the sending: the newest list comes last
            self._listed_ids = set(self._parts)
            if self._view is not None:
                sent = [(id, part.sent) for id, part in self._parts.items()]
                self._view.show([ImageEntry(id, image.name, image_facts(image), image.thumbnail) for id, image in sent])
