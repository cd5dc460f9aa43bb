"""Run coroutines on a private event loop, which has a daemon thread of its own, and wait for them.

Why a private loop: `response.close()` from another thread wakes no blocked read, so that a sync call could be stopped
only at the read timeout; to cancel a task wakes it at once. And a notebook's own loop is busy while a cell runs.

The user's coroutines (async tools and policies of a sync call) run on a second loop: code that blocks there, or asks
again, holds up no answer.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

__all__ = [
    "Inbox",
    "call_soon",
    "can_block",
    "close_at_exit",
    "forbid_blocking",
    "run_in_thread",
    "submit",
    "submit_user_code",
    "wait",
    "wait_async",
]

T = TypeVar("T")
CLOSE_TIMEOUT_S = 1.0  # how long the end of the process waits for connections to be closed


class _Closable(Protocol):
    async def close(self) -> None: ...


_lock = threading.RLock()  # reentrant: the collector may close a client while it is held
_PRIVATE, _USER_CODE = "amber-loop", "amber-tools"  # the loops by the names of their threads
_loops: dict[str, asyncio.AbstractEventLoop] = {}
_thread = threading.local()
_pid: int | None = None
_clients: weakref.WeakSet[_Closable] = weakref.WeakSet()


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the private loop; cancelling the future cancels its task there."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running_loop(_PRIVATE))


def submit_user_code(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine of the user's on the second loop, for a caller without an event loop."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running_loop(_USER_CODE))


def forbid_blocking() -> None:
    """Note that this thread runs an event loop of the package's, which nothing may hold up."""
    _thread.runs_loop = True


def can_block() -> bool:
    """Return False on the threads of the package's own event loops, where waiting would deadlock."""
    return not getattr(_thread, "runs_loop", False)


async def run_in_thread(work: Callable[[], T]) -> T:
    """Run a function in a thread of its own, so that the loop goes on meanwhile, and return what it returns."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever waits is told
            future.set_exception(error)

    threading.Thread(target=run, name="amber-work", daemon=True).start()
    return await asyncio.wrap_future(future)


class Inbox:
    """Functions for a caller that waits, which calls them in its thread meanwhile.

    Args:
        wake_s: seconds after which an async waiter wakes up in any case; None: never. A kernel hears an interrupt of a
            cell that awaits only when its event loop wakes up (tornado's `add_callback` within a signal handler).
    """

    def __init__(self, wake_s: float | None = None) -> None:
        self.wake_s = wake_s
        self._calls: deque[Callable[[], object]] = deque()
        self._wake: Callable[[], object] | None = None
        self._poll: Callable[[], object] | None = None
        self.poll_s: float | None = None

    def put(self, call: Callable[[], object]) -> None:
        """Have the waiter call a function now, or as soon as somebody waits; from any thread."""
        self._calls.append(call)
        if self._wake is not None:
            self._wake()

    def poll(self, call: Callable[[], object], every_s: float) -> None:
        """Have the waiter call a function every so many seconds."""
        self._poll, self.poll_s, self.wake_s = call, every_s, every_s

    def attach(self, wake: Callable[[], object]) -> None:
        """Set the function that wakes the waiter."""
        self._wake = wake
        if self._calls:
            wake()

    def run(self) -> None:
        """Call what has been put in; in the waiter's thread."""
        while self._calls:
            self._calls.popleft()()
        if self._poll is not None:
            self._poll()


# Without a timeout, a signal that comes just before the wait is seen long after it; on Windows, any signal is.
_SIGNAL_CHECK_S = 0.25


def wait(future: Future[T], inbox: Inbox | None = None) -> T:
    """Wait in a sync caller, which meanwhile calls what is in the inbox.

    An interrupt cancels the task, which closes its connection, and is raised again.
    """
    inbox = inbox or Inbox()
    gate = _Gate()
    # To ask the future itself would take its lock, and an interrupt could leave it taken.
    finished: list[Future[T]] = []
    inbox.attach(gate.open)
    future.add_done_callback(finished.append)
    future.add_done_callback(lambda _: gate.open())
    try:
        while True:
            gate.wait(_SIGNAL_CHECK_S if inbox.poll_s is None else inbox.poll_s)
            if finished:
                return future.result()
            inbox.run()
    except BaseException:
        future.cancel()
        raise


class _Gate:
    """A flag to wait for, which the wait clears.

    To wait is one step in C: an interrupt within `threading.Event.wait` can end in "release unlocked lock", or leave
    that lock taken, and the thread that sets the event then waits for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is open
            self._lock.release()

    def wait(self, timeout_s: float) -> None:
        self._lock.acquire(timeout=timeout_s)


async def wait_async(future: Future[T], inbox: Inbox | None = None) -> T:
    """Wait as `wait` does, in an async caller, whose cancellation cancels the task."""
    wrapped = asyncio.wrap_future(future)
    here, woken = asyncio.get_running_loop(), asyncio.Event()
    inbox = inbox or Inbox()
    inbox.attach(lambda: here.call_soon_threadsafe(woken.set))
    wrapped.add_done_callback(lambda _: woken.set())
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), inbox.wake_s)
            woken.clear()
            if wrapped.done():
                return wrapped.result()
            inbox.run()
    except BaseException:  # also of what was called
        wrapped.cancel()
        raise


def call_soon(callback: Callable[[], object]) -> None:
    """Call a function on the private loop; from any thread."""
    _running_loop(_PRIVATE).call_soon_threadsafe(callback)


def close_at_exit(client: _Closable) -> None:
    """Close a client of the private loop at interpreter exit; it is held by a weak reference."""
    _clients.add(client)


def _running_loop(name: str) -> asyncio.AbstractEventLoop:
    global _pid
    with _lock:
        if _pid != os.getpid():  # a forked child inherits the loops, but not the threads that run them
            _loops.clear()
            _clients.clear()
            _pid = os.getpid()
        if name not in _loops:
            loop = _loops[name] = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(loop,), name=name, daemon=True).start()
        return _loops[name]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop for ever: asyncio would let SystemExit and KeyboardInterrupt of a task end it."""
    forbid_blocking()
    while True:
        with contextlib.suppress(BaseException):  # the task keeps it, for those that wait for the task
            return loop.run_forever()


@atexit.register
def _end() -> None:
    if _PRIVATE not in _loops or _pid != os.getpid():
        return
    with contextlib.suppress(TimeoutError):  # the daemon thread goes with the process, and so do its sockets
        asyncio.run_coroutine_threadsafe(_close_all(), _loops[_PRIVATE]).result(timeout=CLOSE_TIMEOUT_S)


async def _close_all() -> None:
    here = asyncio.current_task()
    running = [task for task in asyncio.all_tasks() if task is not here]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, *(client.close() for client in _clients), return_exceptions=True)
