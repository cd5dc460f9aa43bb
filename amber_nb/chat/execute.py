"""Run code of the user's: a tool within its time, in a thread, in the cell or on an event loop.

Whatever that code raises, SystemExit and cancellation included, ends nothing else than its own call.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from .. import clock, tools
from ..types import ToolContent, replace_surrogates
from ..wire import event_loop
from .messages import encode_result

__all__ = ["THREAD_RUNS_ON", "CellExecutor", "UserCodeError", "run_tool", "validate"]

_MAX_ERROR_CHARS = 300  # of a tool's error, as the model gets it
THREAD_RUNS_ON = "its thread cannot be stopped and is still running"


class UserCodeError(Exception):
    """An exception of the user's code; `error` is what it raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


async def run_tool(
    tool: tools.Tool,
    work: Callable[[], Any],
    executor: CellExecutor,
    context: contextvars.Context,
    activate: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
) -> dict[str, Any]:
    """Run a call of a tool where the tool belongs, and within its time.

    Args:
        tool: the tool.
        work: the call, with its arguments bound.
        executor: the cell's thread and the caller's loop.
        context: variables of the caller, for the tool's thread.
        activate: makes what is around the call on whichever thread it runs; on this loop it is there already.

    Returns:
        The fields of `ToolRun` that the outcome decides.
    """
    try:
        result, content = await _result(tool, work, executor, context, activate)
    except TimeoutError:
        limit = f"no result within {tool.timeout_s:g} s"
        still = "" if tool.is_async else f"; {THREAD_RUNS_ON}"
        return {"status": "timeout", "error": limit + still, "sent": f"Error: {limit}."}
    except UserCodeError as raised:
        error = raised.error
        short = replace_surrogates(f"{type(error).__name__}: {_message(error)}")
        lines = replace_surrogates("".join(traceback.format_exception(error)))
        return {"status": "failed", "error": short, "sent": f"Error: {short}", "traceback": lines}
    return {"status": "ran", "result": result, "content": content, "sent": encode_result(content.text)}


async def _result(
    tool: tools.Tool,
    work: Callable[[], Any],
    executor: CellExecutor,
    context: contextvars.Context,
    activate: Callable[[], AbstractContextManager[Any]],
) -> tuple[Any, ToolContent]:
    """Return the result and its content for the model; read where it was made, since it may hold code of the user's."""
    result: Any = None

    def read(make: Callable[[], Any]) -> tuple[Any, ToolContent | None]:
        with activate():
            return _read_result(make())

    if tool.serial and not tool.is_async:
        result, content = await executor.run_in_cell(partial(read, work), tool.timeout_s)
        if content is not None:
            return result, content
    async with clock.timeout(tool.timeout_s):
        if not (tool.serial or tool.is_async):
            result, content = await run_in_thread(context, partial(read, work))
            if content is not None:
                return result, content
        resolved = await executor.await_on_caller_loop(lambda: tools.resolve(work() if tool.is_async else result))
        read_result: tuple[Any, ToolContent] = await run_in_thread(context, partial(read, lambda: resolved))
        return read_result


def _read_result(result: Any) -> tuple[Any, ToolContent | None]:
    """Return a result and its content for the model; no content where the result has to be awaited first."""
    if tools.must_await(result):
        return result, None
    result = tools.materialize(result)
    return result, tools.to_tool_content(result)


async def run_in_thread(context: contextvars.Context, work: Callable[[], Any]) -> Any:
    """Run a function in a thread of its own; a pool would let the seventh of twenty calls wait.

    Args:
        context: variables of the caller; the thread runs in a copy.
        work: the function.

    Raises:
        UserCodeError: it raised something, or no thread could be started.
    """
    future: Future[Any] = Future()
    run = partial(context.copy().run, _run_job, work, future, exempt=())
    try:
        threading.Thread(target=run, name="amber-tool", daemon=True).start()
    except RuntimeError as error:  # the machine has no more threads
        raise UserCodeError(error) from None
    return await asyncio.wrap_future(future)


async def validate(context: contextvars.Context, work: Callable[[], Any]) -> Any:
    """Run a validator in a thread, and raise what it raises: it may be the user's, and this loop reads all answers."""
    try:
        return await run_in_thread(context, work)
    except UserCodeError as failure:
        raise failure.error from failure.error.__cause__


def _message(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split()) or "no message"
    except BaseException as another:
        text = f"its message failed with {type(another).__name__}"
    return text if len(text) <= _MAX_ERROR_CHARS else text[: _MAX_ERROR_CHARS - 1] + "…"


class CellExecutor:
    """Run code in the cell that asks: on its thread, and on its event loop.

    Args:
        inbox: has functions called on the cell's thread, which waits for the answer.
        loop: the event loop of a caller that awaits; None for a sync caller.
    """

    def __init__(self, inbox: event_loop.Inbox, loop: asyncio.AbstractEventLoop | None) -> None:
        self._inbox = inbox
        self._loop = loop

    async def run_in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Run a function on the cell's thread.

        Args:
            work: the function.
            timeout_s: how long it may run, from when it begins there.

        Raises:
            UserCodeError: it raised something.
            TimeoutError: it ran too long.
        """
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

            self._inbox.put(partial(_run_job, timed_work, future))
            return await asyncio.wrap_future(future)

    async def await_on_caller_loop(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """Await what a function makes, on the caller's event loop, or on the tool loop if the caller is synchronous.

        Raises:
            UserCodeError: it raised something.
        """
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


def _run_job(
    work: Callable[[], Any], future: Future[Any], exempt: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
) -> None:
    """Run a function for a future; an interrupt of the cell is the reader's, and ends the whole ask."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except exempt:
        raise
    except BaseException as error:
        future.set_exception(UserCodeError(error))
    else:
        future.set_result(result)
