"""One checked call of a tool, run where it belongs and within its time; whatever it does, it ends nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

from .. import clock, tools
from ..types import ToolContent, encodable
from .verdicts import result_text

__all__ = ["STILL_RUNNING", "Outcome", "Places", "Raised", "in_thread", "outcome"]

_MOST_SAID = 300  # characters of a tool's error that the model is told
STILL_RUNNING = "its thread cannot be stopped and is still running"


class Raised(Exception):
    """What the user's own code raised, apart from what is ours; whatever it is, it ends nothing else."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Places(Protocol):
    """Where code of the user's can run, beside threads."""

    async def in_cell(self, work: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """Run something on the cell's thread.

        Raises:
            Raised: with what it raised.
            TimeoutError: so many seconds after it began.
        """

    async def on_cells_loop(self, made: Callable[[], Awaitable[Any]]) -> Any:
        """Await something of the user's: on the event loop of whoever awaits the answer, if anybody does.

        Raises:
            Raised: with what it raised.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a call; the fields of `ToolRun` that it decides."""

    status: Literal["ran", "failed", "timeout"]
    sent: str
    result: Any = None
    told: ToolContent | None = None
    error: str | None = None
    traceback: str | None = None


async def outcome(tool: tools.Tool, work: Callable[[], Any], places: Places, context: contextvars.Context) -> Outcome:
    """Run it.

    Args:
        tool: whose call it is.
        work: the call, with its arguments.
        places: the cell's thread and loop.
        context: of whoever asked, for the tool's thread.
    """
    try:
        result, told = await _result(tool, work, places, context)
    except TimeoutError:
        limit = f"no result within {tool.timeout_s:g} s"
        still = "" if tool.is_async else f"; {STILL_RUNNING}"
        return Outcome(status="timeout", error=limit + still, sent=f"Error: {limit}.")
    except Raised as raised:
        error = raised.error
        short = encodable(f"{type(error).__name__}: {_message(error)}")
        lines = encodable("".join(traceback.format_exception(error)))
        return Outcome(status="failed", error=short, sent=f"Error: {short}", traceback=lines)
    return Outcome(status="ran", result=result, told=told, sent=result_text(told.text))


async def _result(
    tool: tools.Tool, work: Callable[[], Any], places: Places, context: contextvars.Context
) -> tuple[Any, ToolContent]:
    """What it returned, and what becomes of that; read where it was made, as it may hold code of the user's."""
    if tool.serial and not tool.is_async:
        result, told = await places.in_cell(lambda: _read(work()), tool.timeout_s)
        if told is not None:
            return result, told
        work = partial(_same, result)
    async with clock.timeout(tool.timeout_s):
        if not (tool.serial or tool.is_async):
            result, told = await in_thread(context, lambda: _read(work()))
            if told is not None:
                return result, told
            work = partial(_same, result)
        result = await places.on_cells_loop(lambda: tools.resolve(work()))
        read: tuple[Any, ToolContent] = await in_thread(context, lambda: _read(result))
        return read


def _same(value: Any) -> Any:
    return value


def _read(result: Any) -> tuple[Any, ToolContent | None]:
    """A result and what becomes of it; None where it has to be awaited first."""
    if tools.must_await(result):
        return result, None
    result = tools.materialize(result)
    return result, tools.to_tool_content(result)


async def in_thread(context: contextvars.Context, work: Callable[[], Any]) -> Any:
    """Run code of the user's. A thread for each call: a pool would let the seventh of twenty wait.

    Args:
        context: of whoever asked; a copy of it is entered.
        work: what to do.

    Raises:
        Raised: with what it raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():  # given up in the meantime
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        try:
            result, error = context.copy().run(work), None
        except BaseException as raised:
            result, error = None, Raised(raised)
        loop.call_soon_threadsafe(settle, result, error)

    try:
        threading.Thread(target=run, name="amber-tool", daemon=True).start()
    except RuntimeError as error:  # the machine has no more of them
        raise Raised(error) from None
    return await done


def _message(error: BaseException) -> str:
    try:
        said = " ".join(str(error).split()) or "no message"
    except BaseException as another:
        said = f"its message failed with {type(another).__name__}"
    return said if len(said) <= _MOST_SAID else said[: _MOST_SAID - 1] + "…"
