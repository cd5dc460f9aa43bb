"""The live layer: one widget a kernel, never displayed, that draws what is live over its static output.

The document holds ordinary HTML at any time. An answer that is being written, and an input for images, has a hook in
it: a class with 128 random bits, which the kernel announces. The protocol, in full; `a` is the number of such an item
in this kernel:

    page → kernel   {"hello": 1}                  a page has the layer
                    {"stale": [id]}               these hooks stand in its documents
                    {"here": [id]}                the answer to a ping: it holds these, drawn or in its documents
                    {"a": a, "left": 1}           the cell that held it is gone, and with it the item
                    {"a": a, "s": …}              of the text's view: comm.py, rich_text.py; `drawn`: it is on the page
                    {"a": a, "c": …}              of the tool calls' view: tool_inspector.py
                    {"a": a, "i": …}              of the images' view: ../images/view.py
                    {"a": a, "m": …}              of a map's view: map_view.py
                    {"heal": id}                  the document holds an older static form of this item
    kernel → page   {"a": a, "open": {"id", "title", "badge", "strip", "tools"}}   an answer begins
                    … with "outdated": 1          its cell runs again: nobody puts it back into that
                    {"a": a, "open": {"id", "max_side_px", "most"}}                an input for images
                    {"a": a, "open": {"id", "title", "badge", "rows"}}             a map begins; "outdated" as above
                    {"a": a, "s": …} · {"a": a, "c": …} · {"a": a, "i": …} · {"a": a, "m": …}
                    {"a": a, "end": 1}            its output holds the settled form now
                    {"heal": id, "data": bundle}  put this in the place of the snapshot
                    {"ping": 1}                   asks for a sign of life
                    {"who": id}                   asks for `here` if the page holds this item
"""

from __future__ import annotations

import contextvars
import logging
import pathlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from .. import clock
from . import comm

__all__ = ["LiveItem", "LiveLayer", "StoppableItem", "live_layer"]

_log = logging.getLogger(__name__)
_STATIC = pathlib.Path(__file__).parent / "static"

PING_S = 4.0  # between two pings, while answers are open
SILENT_S = 10.0  # without a sign of life, after which the layer is opened anew
RETRY_S = 5.0  # and again, at twice the time, until a page has it
MAX_RETRY_S = 60.0
SEARCH_S = 2.0  # for a page that holds what another one has lost: a cell may move from one notebook to another
MAX_KEPT_BYTES = 10_000_000  # of settled answers that pages may still ask for

_lock = threading.RLock()  # around what is known of layers and their items; reentrant: a send may meet the collector


class LiveItem:
    """Something that the pages of this kernel draw over its static output as long as it is open.

    Args:
        announcement: what a page has to know to draw it.

    Attributes:
        hook: the class of the elements that pages draw it over.
        held_at: when a page last said that it holds it.
        is_sought: whether all pages were asked who holds it, and none has answered.
        is_busy: whether something goes on without the reader: then the pages are asked for signs of life.
    """

    is_busy: ClassVar[bool] = False

    def __init__(self, **announcement: Any) -> None:
        self.id = secrets.token_hex(16)
        self.hook = f"amber-hook amber-live-{self.id}"
        self.announcement = {"id": self.id, **announcement}
        self._began = clock.monotonic()
        self._context = contextvars.copy_context()
        self.held_at = self._began
        self.is_sought = False
        with _lock:
            self._layer = layer = live_layer()
            self.number = layer.next_number()

    @property
    def layer(self) -> LiveLayer:
        """The layer that draws it."""
        return self._layer

    @property
    def silent_s(self) -> float:
        """For how many seconds no page has said that it holds it: those of another notebook do not."""
        return clock.monotonic() - self.held_at

    def move_to(self, layer: LiveLayer) -> None:
        """Have another layer draw it."""
        self._layer = layer

    def join(self) -> None:
        """Have the layer of the kernel draw it from now on, whatever layer that is by now."""
        with _lock:
            layer = live_layer()
            if layer is not self._layer:
                self.number = layer.next_number()
                self.move_to(layer)
            layer.add(self)
        if layer.can_send:
            self.open()

    def open(self) -> None:
        """Announce it to the pages."""
        self._post({"open": self.announcement})

    def announce(self) -> None:
        """Tell a new page all that has come."""
        self.open()

    def receive(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Handle a message of a page."""
        raise NotImplementedError

    def snapshot(self) -> Mapping[str, str] | None:
        """Return its static form as of now, for documents that an update does not reach; None where it has none."""
        return None

    def close(self, bundle: Mapping[str, str]) -> None:
        """Send nothing any more; the output holds the settled form. May be called again, and from any thread."""
        self.detach()
        with _lock:  # around both: another layer may take all items over
            layer = self._layer
            was_open = layer.remove(self, bundle)
        if was_open:
            layer.end_item(self)

    def detach(self) -> None:
        """Send nothing any more."""

    def end(self) -> None:
        """Tell the pages that the output holds the settled form."""
        self._post({"end": 1})

    def seek(self) -> None:
        """Ask all pages who holds it, because one has lost it; where none answers, leave it."""
        if not self.is_sought:
            self.is_sought = True
            self._layer.post({"who": self.id})
            search = _Search(self)
            comm.snapshots.open(search)
            comm.snapshots.notify(search)

    def leave(self) -> None:
        """End it, because no page holds it any more."""

    def _post(self, message: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        layer = self._layer
        if not (layer.hears or layer.hello.is_set()) and clock.monotonic() - self._began < comm.REPEATS_S[-1] + 1:
            message = {"open": self.announcement, **message}  # a page that comes now cannot be heard asking for it
        # A copy: a context may be entered once at a time.
        self._context.copy().run(layer.post, {"a": self.number, **message}, buffers)


class _Search:
    """Wait for a page that holds an item, and leave the item where none answers; on the thread of the snapshots."""

    def __init__(self, item: LiveItem) -> None:
        self._item = item
        self.next_at = clock.monotonic() + SEARCH_S

    def deliver(self, now: float) -> float | None:
        """Leave the item if nobody holds it; called by the scheduler."""
        comm.snapshots.close(self)
        item = self._item
        if item.is_sought and item.layer.items.get(item.number) is item:
            item.leave()
        item.is_sought = False
        return None


class StoppableItem(LiveItem):
    """An item that goes on without the reader, who may stop it.

    Args:
        on_stop: called once, on whichever thread receives the reader's Stop.
        announcement: as of `LiveItem`.

    Attributes:
        is_drawn: whether a page has drawn it.
    """

    is_busy: ClassVar[bool] = True

    def __init__(self, *, on_stop: Callable[[], None], **announcement: Any) -> None:
        super().__init__(**announcement)
        self._on_stop = on_stop
        self.is_drawn = False
        self._is_stopped = False

    def set_note(self, text: str) -> None:
        """Show what goes on."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it, once; from any thread."""
        self._tell_stopping()
        if self._is_stopped:
            return
        self._is_stopped = True
        try:
            self._on_stop()
        except Exception as error:
            # Nobody would see it raised in a message handler.
            _log.exception("Stop failed")
            self.set_note(f"could not stop: {type(error).__name__}")

    def leave(self) -> None:
        """Stop it, because no page holds it any more."""
        self.stop()

    def retire(self) -> None:
        """Stop it, because its cell runs again: the output is another's now."""
        self.announcement = {**self.announcement, "outdated": 1}
        if self._layer.can_send:
            self.open()
        self.stop()

    def _note_drawn(self) -> None:
        self.is_drawn = LiveLayer.has_drawn = True

    def _tell_stopping(self) -> None:
        """Tell the pages that Stop has arrived."""
        raise NotImplementedError


class LiveLayer(comm.LiveWidget):
    """The widget that brings the layer to the pages of this kernel."""

    _esm: ClassVar[pathlib.Path] = _STATIC / "layer.js"
    _css: ClassVar[pathlib.Path] = _STATIC / "layer.css"
    current: ClassVar[LiveLayer | None] = None
    was_greeted: ClassVar[bool] = False  # a page has had a layer of this kernel
    has_drawn: ClassVar[bool] = False  # and has drawn an answer or a map

    def __init__(self) -> None:
        self.items: dict[int, LiveItem] = {}
        self._number = 0
        self._settled: OrderedDict[str, tuple[Mapping[str, str], int]] = OrderedDict()
        self._kept_bytes = 0
        self._heard_at = clock.monotonic()
        self._retry_s: float | None = None  # set on a layer that was opened anew
        self._repeats: list[float] = []  # ages at which all is announced to a page that cannot be heard
        self._opened_at = clock.monotonic()
        self.next_at = float("-inf")
        super().__init__()

    def __repr__(self) -> str:
        return f"LiveLayer(items={len(self.items)})"

    @property
    def can_send(self) -> bool:
        """Whether a page may be there: of one that was loaded again while a cell blocks, nothing is heard."""
        return super().can_send or self._retry_s is not None

    @property
    def age_s(self) -> float:
        """For how many seconds pages have been able to have it."""
        return clock.monotonic() - self._opened_at

    def deliver(self, now: float) -> float | None:
        """Ask the pages for a sign of life while answers are open; open the layer anew where none comes."""
        if not self._is_busy() or self.comm is None:
            return None
        if self.hello.is_set():
            self._repeats.clear()
            is_lost = now - self._heard_at > SILENT_S
        else:
            is_lost = self._retry_s is not None and now - self._opened_at > self._retry_s
        if is_lost and not comm.pages_are_deaf():
            # The page was loaded again while a cell blocks: it cannot ask for the layer, but draws a new one.
            self._open_anew()
            return None
        if self._repeats and now - self._opened_at >= self._repeats[0]:
            self._repeats.pop(0)
            for item in list(self.items.values()):
                item.announce()
        elif self.can_send:
            self.post({"ping": 1})
        return self._opened_at + self._repeats[0] if self._repeats else now + PING_S

    def _open_anew(self) -> None:
        with _lock:
            layer = LiveLayer()
            layer.items, self.items = self.items, {}
            layer._number, layer._settled, layer._heard_at = self._number, self._settled, self._heard_at
            layer._kept_bytes = self._kept_bytes
            layer._retry_s = min(2 * self._retry_s, MAX_RETRY_S) if self._retry_s is not None else RETRY_S
            layer._repeats = list(comm.REPEATS_S)
            for item in layer.items.values():
                item.move_to(layer)
            LiveLayer.current = layer
        self.close()
        comm.scheduler.open(layer)
        comm.scheduler.notify(layer)

    def close(self) -> None:
        """Take the layer off all pages; the answers that it draws stay as they are in the document."""
        comm.scheduler.close(self)
        items: list[LiveItem] = []
        if self.items:  # the collector may call this anywhere: without items, it waits for no lock
            with _lock:
                items, self.items = list(self.items.values()), {}
        for item in items:
            item.detach()
        super().close()

    def next_number(self) -> int:
        """Return the number of the next item."""
        self._number += 1
        return self._number

    def add(self, item: LiveItem) -> None:
        """Draw an item from now on; its own `join` announces it."""
        if not self._is_busy():
            self._heard_at = clock.monotonic()  # nothing was asked of the pages before
        self.items[item.number] = item
        if item.is_busy:
            self.next_at = clock.monotonic() + PING_S  # never before a text
            comm.scheduler.open(self)
            comm.scheduler.notify(self)

    def remove(self, item: LiveItem, bundle: Mapping[str, str]) -> bool:
        """Keep the settled form of an item for documents that hold an older one; return False if it is not drawn."""
        with _lock:
            if self.items.pop(item.number, None) is None:
                return False
            size = sum(map(len, bundle.values()))
            self._settled[item.id] = (dict(bundle), size)
            self._kept_bytes += size
            while self._kept_bytes > MAX_KEPT_BYTES:
                self._kept_bytes -= self._settled.popitem(last=False)[1][1]
            return True

    def end_item(self, item: LiveItem) -> None:
        """Tell the pages that a removed item is settled, and ask them no more where nothing else goes on."""
        if self.can_send:
            item.end()
        with _lock:  # an answer may have begun since
            if not self._is_busy():
                comm.scheduler.close(self)

    def _is_busy(self) -> bool:
        return any(item.is_busy for item in list(self.items.values()))

    def post(self, message: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send a message to the pages."""
        try:
            self.send(message, buffers or None)
        except Exception:  # closed meanwhile: what the document holds stays
            _log.debug("a message to the pages could not be sent", exc_info=True)

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        if not isinstance(content, dict):
            return
        self._heard_at = clock.monotonic()
        if "hello" in content:
            self.hello.set()
            LiveLayer.was_greeted, self._retry_s = True, None
            for item in list(self.items.values()):
                item.announce()
        held: Any = content.get("here")
        for item in list(self.items.values()) if isinstance(held, list) else ():
            if item.id in held:
                item.held_at, item.is_sought = self._heard_at, False
        stale = content.get("stale")
        for item_id in stale if isinstance(stale, list) else ():
            self._heal(item_id)
        if "heal" in content:
            self._heal(content["heal"])
        number = content.get("a")
        if isinstance(number, int):
            target = self.items.get(number)
            if target is not None and "left" in content:
                target.seek()
            elif target is not None:
                target.held_at = self._heard_at
                target.receive(content, buffers)
            else:  # that it was settled has not arrived
                self.post({"a": number, "end": 1})

    def _heal(self, item_id: object) -> None:
        if not isinstance(item_id, str):
            return
        settled = self._settled.get(item_id)
        bundle = settled[0] if settled else None
        for item in list(self.items.values()):
            if item.id == item_id:
                bundle = item.snapshot()
        if bundle is not None:
            self.post({"heal": item_id, "data": bundle})


def live_layer() -> LiveLayer:
    """Return the layer of this kernel, made when the first item needs it."""
    with _lock:
        layer = LiveLayer.current
        if layer is None or layer.comm is None:
            layer = LiveLayer.current = LiveLayer()
        return layer
