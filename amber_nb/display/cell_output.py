"""The output of a cell that shows something live: ordinary HTML at any time, and its settled form in the end.

Where a page has the live layer (layer.py), that draws over it. A front end that may print a display once and never
update it (`jupyter console`) gets the settled form alone, unless it proves a page.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from .. import clock
from . import comm, kernel
from .layer import StoppableItem

__all__ = ["HELLO_S", "LOOK_S", "NO_LAYER", "REFRESH_S", "CellOutput"]

LOOK_S = 0.1  # between two looks whether a front end that may only print has proved a page
HELLO_S = 1.0  # where no page has the layer by then, this front end cannot have it
FIRST_S = 1.0  # most answers are settled by then: no snapshot before
REFRESH_S = 0.5  # between two refreshes where no page has the layer
NO_LAYER = "The live view is not available here: install amber_nb where JupyterLab's server runs, and reload the page."


class CellOutput:
    """What one live item shows in the output of its cell; made and settled in the thread of the cell."""

    _open: ClassVar[dict[Any, tuple[str | None, str | None]]] = {}  # cell and its execution; of each subclass its own

    def __init__(self) -> None:
        kernel.before_each_cell(self._stop_earlier_runs)
        self._stop_earlier_runs()
        self._context = contextvars.copy_context()
        self._settled = False
        self._final: Mapping[str, str] | None = None  # the settled form, once it is in the output
        self._lock = threading.RLock()  # around updates of the output, so that the settled form is the last
        self._handle: Any = None
        self._session = kernel.session_id()
        self._began = clock.monotonic()

    def __init_subclass__(cls) -> None:
        cls._open = {}

    @property
    def _item(self) -> StoppableItem:
        """What the layer draws."""
        raise NotImplementedError

    def _first_bundle(self) -> Mapping[str, str]:
        """Return the static form that the output begins with."""
        raise NotImplementedError

    def _refresh(self, now: float) -> float | None:
        """Refresh the static form if it is time to; return the time of the next look."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Show the first static form, and have it refreshed from now on."""
        self._can_listen = self._item.layer.hears
        if not kernel.may_only_print() or self._session in comm.page_sessions:
            self._begin_output()
        self._open[self] = kernel.cell_id(), kernel.execution_id()
        self.next_at = self._began + (LOOK_S if self._handle is None else FIRST_S)
        comm.snapshots.open(self)
        comm.snapshots.notify(self)

    def _begin_output(self) -> None:
        bundle = dict(self._first_bundle())
        self._handle = sys.modules["IPython"].display.display(bundle, raw=True, display_id=True)

    @property
    def poll_s(self) -> float:
        """How often the thread of the cell has to call `listen`, in seconds; 0: never."""
        return 0.0 if self._item.layer.hears else 0.1

    def listen(self) -> None:
        """Read the page's messages where the kernel does not while a cell runs."""
        self._can_listen = self._item.layer.listen()

    def deliver(self, now: float) -> float | None:
        """Refresh the static form if it is time to; called by the scheduler."""
        if self._handle is not None:
            return self._refresh(now)
        if self._session not in comm.page_sessions:
            return now + LOOK_S
        with self._lock:
            if not self._settled:
                self._context.copy().run(self._begin_output)
        return now + REFRESH_S

    @property
    def _is_drawn(self) -> bool:
        """Whether a page draws over the output, or has the layer and so will."""
        layer = self._item.layer
        return self._item.is_drawn or (layer.has_drawn and layer.hello.is_set())

    def _is_alone(self, now: float) -> bool:
        """Whether no page has the layer, as far as one could be heard: then the static form has to follow."""
        # ipykernel 6, asked in a thread: a greeting could not be heard.
        return self._can_listen and now - self._began >= HELLO_S

    def _update(self, bundle: Mapping[str, str]) -> None:
        with self._lock:
            if not self._settled:
                self._context.copy().run(self._handle.update, bundle, raw=True)

    def _settle(self, bundle: Mapping[str, str]) -> bool:
        """Put the settled form in the output, and end the live view; return False where there is no output for it."""
        self._open.pop(self, None)
        comm.snapshots.close(self)
        try:
            with self._lock:
                self._settled = True
                if self._handle is not None and self._final is None:  # what settles it after an interrupt has less
                    self._handle.update(dict(bundle), raw=True)
                    self._final = bundle
        finally:
            self._item.close(self._final or bundle)
        return self._handle is not None

    @classmethod
    def _stop_earlier_runs(cls: type[Self], *_: object) -> None:
        """Stop what earlier runs of the running cell show: its output is this run's now."""
        cell, execution = kernel.cell_id(), kernel.execution_id()
        for display, (other, earlier) in list(cls._open.items()):
            if cell is not None and other == cell and earlier != execution:
                display._item.retire()
