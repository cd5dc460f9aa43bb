"""ImageInput: images chosen, dropped or pasted in the notebook, for a question."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

from .. import config
from ..display import kernel as cell
from ..display.strip import facts, strip_html
from ..errors import ImageError
from .image_view import Entry, ImageView
from .part import HoldsImages, ImagePart, file_part, gather, image_part, without_thumbnail
from .prepare import check_options

__all__ = ["ImageInput"]


class ImageInput(HoldsImages):
    """Drop, paste or choose images in a cell; ask about them in the next one.

    Shown as the last expression of a cell. The browser shrinks large photos before it sends them. With **Done**, or as
    soon as `ask` uses it, it becomes a static strip of thumbnails, in the same place; `edit()` opens it again. Where
    nobody can choose (nbconvert, nbval, CI) it is that strip of its `initial` images from the start.

    Args:
        initial: one image or an iterable of them, as `ask(images=…)` takes them.
        max_side_px: the longer side of what is sent, at most, in pixels.
        detail: `"auto"`, `"low"`, `"high"` or `"original"`, as the endpoint has it.
        most: how many images it takes.
        thumbnails: False keeps the pictures themselves out of the strip, and so out of the notebook's file.

    Raises:
        ImageError: an initial image cannot be sent, or there are more than `most`.

    Example:
        >>> photos = ImageInput()
        >>> photos
        >>> amber.ask("What is on these?", images=photos)
    """

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
        parts = gather(initial, max_side_px=max_side_px, detail=detail).parts
        if len(parts) > most:
            raise ImageError(f"{len(parts)} images, and this ImageInput takes {most}: ImageInput(most={len(parts)}).")
        self._max_side_px, self._detail, self._most, self._thumbnails = max_side_px, detail, most, thumbnails
        self._lock = threading.RLock()  # the browser's messages come on a thread of their own
        self._held = dict(enumerate(parts))
        self._next = len(parts)
        self._listed = set(self._held)  # what the page was told of
        self._view: ImageView | None = None
        self._handles: list[Any] = []

    @property
    def images(self) -> list[ImagePart]:
        """The images in their order, as content parts for `ask`; what is still on its way is not among them."""
        with self._lock:
            held = list(self._held.values())
        return held if self._thumbnails else [without_thumbnail(part) for part in held]

    def __len__(self) -> int:
        return len(self._held)

    def __bool__(self) -> bool:
        return True  # also an empty one is an input

    def __repr__(self) -> str:
        names = ", ".join(repr(part.sent.name) for part in self.images)
        return f"ImageInput({names})"

    def check(self) -> None:
        """See whether all that the reader chose is there.

        Raises:
            ImageError: some of it is still on its way from the browser.
        """
        view = self._view
        if view is not None and view.busy:
            raise ImageError(
                "An image is still on its way from the browser. Wait until it is listed, and run the cell again."
            )

    def used(self, *, thumbnails: bool = True) -> None:
        """A question is sent with the images: the input becomes its static strip."""
        self._thumbnails = self._thumbnails and thumbnails
        self.done()

    def done(self) -> None:
        """End the input: where it is shown, a static strip takes its place, as with the button."""
        with self._lock:
            view, self._view = self._view, None
            handles, self._handles = self._handles, []
            bundle = self._repr_mimebundle_()
        for handle in handles:
            handle.update(bundle, raw=True)
        if view is not None:
            view.finish()

    def edit(self) -> None:
        """Show it again, in the cell that calls this, with the images it holds."""
        self.done()
        self._ipython_display_()

    def clear(self) -> None:
        """Let all images go."""
        with self._lock:
            self._held.clear()
        self._refresh()

    def _ipython_display_(self) -> None:
        wanted = config.read_display()
        if not cell.in_kernel() or not (wanted == "live" or (wanted == "auto" and cell.front_end())):
            cell.show(self._repr_mimebundle_())
            return
        with self._lock:
            if self._view is None:
                self._view = ImageView(
                    take=self._take,
                    link=self._link,
                    arrange=self._arrange,
                    done=self.done,
                    max_side_px=self._max_side_px,
                    most=self._most,
                )
            view = self._view
        self._handles.append(sys.modules["IPython"].display.display(view, display_id=True))
        self._refresh()

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, str]:
        sent = [part.sent for part in self.images]
        html = strip_html(sent)
        return {"text/html": html or "<div>No image yet.</div>", "text/plain": repr(self)}

    def _take(self, name: str, data: bytes, before: tuple[int, int] | None) -> None:
        """One file from the browser, which may have shrunk it from `before`."""
        self._add(file_part(data, name, before=before, max_side_px=self._max_side_px, detail=self._detail))

    def _link(self, url: str) -> None:
        if not url.lower().startswith(("http://", "https://")):  # a path would be one of the kernel's machine
            raise ImageError("Only http and https addresses are taken.")
        self._add(image_part(url, detail=self._detail))

    def _add(self, part: ImagePart) -> None:
        with self._lock:
            if len(self._held) >= self._most:
                raise ImageError(f"{part.sent.name} is one too many: this input takes {self._most}.")
            self._held[self._next] = part
            self._next += 1
        self._refresh()

    def _arrange(self, ids: list[int]) -> None:
        with self._lock:
            fresh = [one for one in self._held if one not in self._listed]  # the page does not know them yet
            self._held = {one: self._held[one] for one in (*ids, *fresh) if one in self._held}
            self._refresh()

    def _refresh(self) -> None:
        with self._lock:  # also around the sending: the newest list comes last
            entries = [
                Entry(id=one, name=part.sent.name, facts=facts(part.sent), thumbnail=part.sent.thumbnail)
                for one, part in self._held.items()
            ]
            self._listed = set(self._held)
            if self._view is not None:
                self._view.show(entries)
