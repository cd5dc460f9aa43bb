"""Run code of the user's in the cell that asks: on its thread, and on its event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from .. import clock
from ..wire import event_loop
from ..wire.event_loop import Waker
from .execute import UserCodeError

__all__ = ["CellExecutor"]


class CellExecutor:
    """Run code on the cell's thread and on the caller's event loop.

    Work for the cell's thread waits until the caller, which waits for the answer, calls `run_pending` in its tick.

    Args:
        waker: wakes the waiting caller.
        loop: the event loop of a caller that awaits; None for a sync caller.
    """

    def __init__(self, waker: Waker, loop: asyncio.AbstractEventLoop | None) -> None:
        self._waker = waker
        self._loop = loop
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()

    def run_pending(self) -> None:
        """Run the work that waits for the cell's thread; to be called on that thread."""
        while self._jobs:
            work, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except KeyboardInterrupt:  # the reader interrupts the cell: the waiting caller ends the whole ask
                raise
            except BaseException as error:
                future.set_exception(UserCodeError(error))
            else:
                future.set_result(result)

    async def run_in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Run a function on the cell's thread; its time counts from when it begins there."""
        here = asyncio.get_running_loop()
        future: Future[Any] = Future()
        async with clock.timeout(None) as limit:

            def count(seconds: float) -> None:
                with contextlib.suppress(RuntimeError):  # it has ended already
                    limit.extend(seconds)

            def timed_work() -> Any:
                if timeout_s is not None:
                    here.call_soon_threadsafe(count, timeout_s)
                return work()

            self._jobs.append((timed_work, future))
            self._waker.notify()
            return await asyncio.wrap_future(future)

    async def await_on_caller_loop(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """Await what a function makes, on the caller's event loop, or on the tool loop if the caller is synchronous."""
        cancelled_here = False  # the user's code may also cancel itself, which is its own failure

        async def there() -> Any:
            if cancelled_here:
                raise asyncio.CancelledError
            try:
                return await make()
            except BaseException as error:
                if cancelled_here:
                    raise
                raise UserCodeError(error) from None

        coroutine = there()
        if self._loop is None:
            future = event_loop.submit_user_code(coroutine)
        else:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            # Shielded, so that `cancelled_here` is set before the coroutine is cancelled.
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            cancelled_here = True
            future.cancel()
            raise
