"""Keep the end of what a server's process writes to its standard error, to be shown with its failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future
from io import FileIO
from typing import TextIO

from ..display.escape import show_controls

__all__ = ["StderrTail"]

_MAX_BYTES = 4_000
# Colours, titles and other commands to a terminal.
_TERMINAL = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


class StderrTail(asyncio.Protocol):
    """The end of a process's standard error, read on the running event loop.

    Attributes:
        ended: done when the process has closed it.
    """

    def __init__(self) -> None:
        self.ended: Future[None] = Future()
        self._tail = b""
        self._is_cut = False
        self._transport: asyncio.BaseTransport | None = None
        self._is_closed = False

    @property
    def text(self) -> str:
        """What was written last, at most 4,000 bytes, without colours and the like."""
        text = self._tail.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        if self._is_cut:  # the end of a key is none that could be recognized and hidden
            text = next(filter(str.strip, (text.partition(end)[2] for end in "\n ")), "")
        return show_controls(_TERMINAL.sub("", text))

    @contextlib.contextmanager
    def open(self) -> Iterator[TextIO]:
        """Return the file that a process is given; it is closed here when the process has it."""
        reading, writing = os.pipe()
        pipe = open(reading, "rb", buffering=0)  # noqa: SIM115 - the transport closes it
        with open(writing, "w", encoding="utf-8") as file:
            self._task = asyncio.get_running_loop().create_task(self._read(pipe))  # a loop keeps no task by itself
            yield file

    async def _read(self, pipe: FileIO) -> None:
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, pipe)
        if self._is_closed:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Keep the end of what was written."""
        self._is_cut = self._is_cut or len(self._tail) + len(data) > _MAX_BYTES
        self._tail = (self._tail + data)[-_MAX_BYTES:]

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the process has closed it."""
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Stop reading, also where a child of the process holds it open."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()
        if not self.ended.done():
            self.ended.set_result(None)
