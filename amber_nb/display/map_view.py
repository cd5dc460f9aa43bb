"""Show a run of `amber.map` while it goes on: in the output of its cell, or as a bar in a terminal.

The protocol, in the key `m` of an item of the live layer:

    page → kernel   {"drawn": 1} · {"stop": true}
                    {"ask": 1}                   is it still open? Then send all
    kernel → page   {"of": [ok, failed, skipped, rows], "elapsed": s, "figures": [[label, value, smaller line]],
                     "note", "failures": [[count, reason, rows]], "more", "remarks": [text],
                     "newest": [[label, text, is_error]]}   without `newest`: those before are kept
                    {"stopping": 1}              Stop has arrived
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from tqdm import tqdm

from .. import clock
from . import comm
from .cell_output import NO_LAYER, REFRESH_S, CellOutput
from .layer import StoppableItem
from .map_progress import RUNNING, MapProgress, clean_line, map_html, map_text, page_message, running_html, summary_line

__all__ = ["LiveMap", "MapDisplay", "MapTerminal"]

GAP_S = 0.25  # between two messages about a run: at most 4 a second
MAX_PER_S = 20  # messages about all runs of a kernel
NEWEST_S = 1.0  # between two changes of the newest rows: a reader has to read them
REPEAT_S = 1.0  # silence after which all is sent once more: the last message may have been lost
MIN_SNAPSHOT_S = 10.0  # between two snapshots where a page draws over them
MAX_SNAPSHOT_S = 60.0
BAR_S = 0.1  # between two movements of the bar in a terminal


class LiveMap(StoppableItem):
    """A run on the pages of this kernel while it goes on: its figures, and its Stop button.

    Args:
        progress: the run at its beginning.
        on_stop: called once, on whichever thread receives the reader's Stop.
    """

    _running: ClassVar[set[LiveMap]] = set()

    def __init__(self, progress: MapProgress, on_stop: Callable[[], None]) -> None:
        super().__init__(
            on_stop=on_stop,
            title=clean_line(progress.title, 80),
            badge=clean_line(progress.badge or "", 40),
            rows=progress.rows,
        )
        self.next_at = float("-inf")
        self._latest = progress, self._began
        self._sent: MapProgress | None = None  # the last one that the pages were told
        self._newest_at = float("-inf")
        self._failed_stop = ""
        self._is_notified = False
        self._is_closed = False
        self._send_lock = threading.RLock()  # around each message, so that none comes after the end
        LiveMap._running.add(self)
        comm.scheduler.open(self)
        self.join()

    @property
    def latest(self) -> MapProgress:
        """The last picture of the run."""
        return self._latest[0]

    def show(self, progress: MapProgress) -> None:
        """Have the pages show this picture as soon as they may; any thread, about a microsecond."""
        self._latest = progress, clock.monotonic()
        if not self._is_notified:
            self._notify()

    def set_note(self, text: str) -> None:
        """Show a note that stays, such as that Stop has failed."""
        self._failed_stop = text
        self._sent = None
        self._notify()

    def deliver(self, now: float) -> float | None:
        """Send the last picture; called by the scheduler."""
        with self._send_lock:
            if self._is_closed:
                return None
            self._is_notified = False  # before the reading: a picture that comes from here on notifies again
            progress, at = self._latest
            is_new, self._sent = progress is not self._sent, progress
            with_newest = now - self._newest_at >= NEWEST_S or not is_new
            if with_newest:
                self._newest_at = now
            elapsed_s = progress.elapsed_s + max(0.0, clock.monotonic() - at)
            message = page_message(progress, elapsed_s=elapsed_s, newest=with_newest)
            if self._failed_stop:
                message["note"] = self._failed_stop
            elif self._is_stopped:
                message["stopping"] = 1
            self._post({"m": message})
            self.next_at = now + max(GAP_S, len(LiveMap._running) / MAX_PER_S)
            return now + REPEAT_S if is_new else None

    def announce(self) -> None:
        """Tell a new page all that there is."""
        super().announce()
        with self._send_lock:
            self._sent, self._newest_at = None, float("-inf")
        self._notify()

    def receive(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Handle a message of a page."""
        message = content.get("m")
        if not isinstance(message, dict):
            return
        if message.get("drawn"):
            self._note_drawn()
        if message.get("stop"):
            self.stop()
        if message.get("ask"):
            self._notify()

    def detach(self) -> None:
        """Send nothing any more."""
        comm.scheduler.close(self)
        with self._send_lock:  # a message that is under way on the scheduler's thread comes before the end
            self._is_closed = True
        LiveMap._running.discard(self)

    def _tell_stopping(self) -> None:
        with self._send_lock:
            if not self._is_closed:
                self._post({"m": {"stopping": 1}})

    def _notify(self) -> None:
        self._is_notified = True
        if self._layer.can_send:  # else no page is there, and the first one gets everything
            comm.scheduler.notify(self)


class MapDisplay(CellOutput):
    """A run in the output of a cell; made and settled in the thread of the cell.

    Args:
        progress: the run at its beginning.
        on_stop: called once, in any thread, when the reader stops the run.

    Example:
        >>> display = MapDisplay(MapProgress(title="gpt-5.4", rows=100), task.cancel)
        >>> display.update(MapProgress(title="gpt-5.4", rows=100, ok=1))
        >>> display.settle(MapProgress(title="gpt-5.4", rows=100, ok=100, end=""))
    """

    def __init__(self, progress: MapProgress, on_stop: Callable[[], None]) -> None:
        super().__init__()
        self._map = LiveMap(progress, on_stop)
        self._shown = progress  # in the output
        self._shown_at = self._began
        self._begin()

    @property
    def _item(self) -> LiveMap:
        return self._map

    def update(self, progress: MapProgress) -> None:
        """Show the run as it is now; from any thread, and as often as there is news: the messages are few."""
        self._map.show(progress)

    def settle(self, progress: MapProgress) -> bool:
        """Put the summary in the output, and end the live view; return False where there is no output for it."""
        return self._settle({"text/html": map_html(progress), "text/plain": map_text(progress)})

    def _first_bundle(self) -> Mapping[str, str]:
        return self._snapshot(self._map.latest, "")

    def _refresh(self, now: float) -> float | None:
        progress = self._map.latest
        if progress is self._shown:
            return now + REFRESH_S
        if self._is_drawn:
            # Each takes the place of the last, so the file does not grow; but what keeps a history does.
            if now - self._shown_at < min(max(MIN_SNAPSHOT_S, (now - self._began) / 4), MAX_SNAPSHOT_S):
                return now + REFRESH_S
        elif not self._is_alone(now):
            return now + REFRESH_S
        self._shown, self._shown_at = progress, now
        self._update(self._snapshot(progress, RUNNING if self._map.layer.was_greeted else NO_LAYER))
        return now + REFRESH_S

    def _snapshot(self, progress: MapProgress, notice: str) -> dict[str, str]:
        """Return the static form of a run that goes on, with the hook for the layer."""
        notice = "" if notice == RUNNING else notice  # its head says so
        return {"text/html": running_html(progress, self._map.hook, notice), "text/plain": map_text(progress)}


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that moves when it is told to; without the thread that tqdm has for others."""

    monitor_interval = 0


class MapTerminal:
    """A run as a bar on stderr, and its summary there in the end; nothing where stderr is no terminal.

    Args:
        progress: the run at its beginning.
    """

    def __init__(self, progress: MapProgress) -> None:
        self._lock = threading.RLock()  # an interrupt may come while it is held, and settle
        self._next_at = float("-inf")
        self._bar: _Bar | None = None
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = _Bar(
                total=progress.rows,
                file=sys.stderr,
                desc=clean_line(progress.title, 40),
                bar_format="{desc} {percentage:3.0f} %|{bar}| {unit}",
                dynamic_ncols=True,
                leave=False,
                delay=1e-9,  # nothing is drawn before the first picture
            )
        self.update(progress)

    def update(self, progress: MapProgress) -> None:
        """Move the bar; from any thread, and as often as there is news."""
        if clock.monotonic() < self._next_at:
            return
        with self._lock:
            bar = self._bar
            if bar is not None:  # it may be settled meanwhile
                self._next_at = clock.monotonic() + BAR_S
                bar.n = min(progress.done, progress.rows)
                bar.unit = summary_line(progress)  # before a postfix tqdm writes a comma
                bar.refresh()

    def settle(self, progress: MapProgress) -> None:
        """Take the bar away, and write the summary in its place, once."""
        with self._lock:
            bar, self._bar = self._bar, None
            if bar is not None:
                bar.close()
                print(map_text(progress), file=sys.stderr, flush=True)
