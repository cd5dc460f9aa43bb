"""Keep the end of what a server's process writes to its standard error, to be shown with its failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TextIO

__all__ = ["StderrTail"]

_MAX_BYTES = 4_000


class StderrTail(asyncio.Protocol):
    """The end of a process's standard error, read on the running event loop.

    Attributes:
        ended: done when the process has closed it.
    """

    def __init__(self) -> None:
        self.ended: Future[None] = Future()
        self._tail = b""
        self._transport: asyncio.BaseTransport | None = None

    @property
    def text(self) -> str:
        """What was written last, at most 4,000 bytes."""
        return self._tail.decode("utf-8", "replace")

    @contextlib.contextmanager
    def open(self) -> Iterator[TextIO]:
        """Return the file that a process is given; it is closed here when the process has it."""
        reading, writing = os.pipe()
        with open(writing, "w", encoding="utf-8") as file:
            task = asyncio.get_running_loop().create_task(self._read(reading))
            try:
                yield file
            finally:
                self._task = task

    async def _read(self, descriptor: int) -> None:
        pipe = open(descriptor, "rb", buffering=0)  # noqa: SIM115 - the transport closes it
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, pipe)

    def data_received(self, data: bytes) -> None:
        """Keep the end of what was written."""
        self._tail = (self._tail + data)[-_MAX_BYTES:]

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the process has closed it."""
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Stop reading, also where a child of the process holds it open."""
        if self._transport is not None:
            self._transport.close()
        if not self.ended.done():
            self.ended.set_result(None)
