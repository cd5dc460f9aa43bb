"""The private event loop on its daemon thread, where every verb's async core runs.

Why a loop of our own: `response.close()` from another thread wakes no blocked read, so a sync call could be stopped
only at the read timeout; cancelling a task wakes it at once. And a notebook's own loop is busy while a cell runs.

The user's coroutines (async tools and policies of a sync call) run on a second one: what blocks there, or asks again,
holds up no answer.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

__all__ = ["Bell", "at_exit", "may_wait", "soon", "submit", "submit_users", "wait", "wait_async"]

T = TypeVar("T")
CLOSING_S = 1.0  # what the end of the process may wait for connections to be closed in good order


class Closing(Protocol):
    """Something with connections on the private loop."""

    async def aclose(self) -> None:
        """Close them."""


_lock = threading.RLock()  # reentrant: the collector may close a client while it is held
_OURS, _USERS = "amber-loop", "amber-tools"  # the loops by the names of their threads
_loops: dict[str, asyncio.AbstractEventLoop] = {}
_pid: int | None = None
_closing: weakref.WeakSet[Closing] = weakref.WeakSet()


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the private loop; cancelling the future cancels its task there."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running(_OURS))


def submit_users(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine of the user's, who has no event loop of their own here."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running(_USERS))


def may_wait() -> bool:
    """Whether this thread may block: those of the private loops would wait for themselves."""
    return threading.current_thread().name not in (_OURS, _USERS)


class Bell:
    """Wakes whoever waits, before the next tick is due; rung from any thread."""

    def __init__(self) -> None:
        self._rings: Callable[[], object] | None = None
        self._rung = False

    def ring(self) -> None:
        """Have the waiter's tick called now, or as soon as somebody waits."""
        self._rung = True
        if self._rings is not None:
            self._rings()

    def hang(self, rings: Callable[[], object]) -> None:
        """Say how the waiter is woken."""
        self._rings = rings
        if self._rung:
            rings()


# Without a timeout a signal that comes just before the lock is waited for is seen long after it; on Windows any is.
_LOOK_EVERY_S = 0.25


def wait(
    future: Future[T], tick: Callable[[], None] | None = None, every_s: float = 0.25, bell: Bell | None = None
) -> T:
    """Wait in a sync caller. An interrupt cancels the task, which closes its connection, and is raised again.

    Args:
        future: from `submit`.
        tick: called in the caller's thread meanwhile.
        every_s: seconds between two ticks.
        bell: rung, it calls the tick at once.
    """
    gate = _Gate()
    over: list[Future[T]] = []  # asking the future itself would take its lock, and an interrupt could leave it taken
    if bell is not None:
        bell.hang(gate.open)
    future.add_done_callback(over.append)
    future.add_done_callback(lambda _: gate.open())
    try:
        while True:
            gate.wait(every_s if tick is not None else _LOOK_EVERY_S)
            if over:
                return future.result()
            if tick is not None:
                tick()
    except BaseException:
        future.cancel()
        raise


class _Gate:
    """A flag to wait for, which is clear again afterwards.

    Waiting is one step in C: an interrupt within `threading.Event.wait` can end in "release unlocked lock", or leave
    that lock taken, and whoever sets the event then waits for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is open
            self._lock.release()

    def wait(self, timeout_s: float) -> None:
        self._lock.acquire(timeout=timeout_s)


async def wait_async(
    future: Future[T], tick: Callable[[], None] | None = None, every_s: float = 0.25, bell: Bell | None = None
) -> T:
    """The same in an async caller, whose cancellation cancels the task."""
    wrapped = asyncio.wrap_future(future)
    here, woken = asyncio.get_running_loop(), asyncio.Event()
    if bell is not None:
        bell.hang(lambda: here.call_soon_threadsafe(woken.set))
    wrapped.add_done_callback(lambda _: woken.set())
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), every_s if tick is not None else None)
            woken.clear()
            if wrapped.done():
                return wrapped.result()
            if tick is not None:
                tick()
    except BaseException:  # also of the tick
        wrapped.cancel()
        raise


def soon(callback: Callable[[], object]) -> None:
    """Have something called on the private loop; from any thread."""
    _running(_OURS).call_soon_threadsafe(callback)


def at_exit(closing: Closing) -> None:
    """Have it closed when the process ends, if it still lives then."""
    _closing.add(closing)


def _running(name: str) -> asyncio.AbstractEventLoop:
    global _pid
    with _lock:
        if _pid != os.getpid():  # a forked child inherits the loops, but not the threads that run them
            _loops.clear()
            _pid = os.getpid()
        if name not in _loops:
            made = _loops[name] = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(made,), name=name, daemon=True).start()
        return _loops[name]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop whatever runs in it: asyncio lets SystemExit and KeyboardInterrupt of a task end the loop too."""
    while True:
        try:
            loop.run_forever()
        except BaseException:  # the task has kept it: whoever waits for the task gets it
            continue
        return


@atexit.register
def _end() -> None:
    if _OURS not in _loops or _pid != os.getpid():
        return
    with contextlib.suppress(TimeoutError):  # the daemon thread goes with the process, and so do its sockets
        asyncio.run_coroutine_threadsafe(_close_all(), _loops[_OURS]).result(timeout=CLOSING_S)


async def _close_all() -> None:
    here = asyncio.current_task()
    running = [task for task in asyncio.all_tasks() if task is not here]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, *(one.aclose() for one in _closing), return_exceptions=True)
