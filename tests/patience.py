"""Waiting for what another thread or process does: as short as it can be, and long on a busy machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["so_far", "until", "until_async"]

T = TypeVar("T")
PATIENCE_S = 20.0
LOOK_EVERY_S = 0.002


def until(condition: Callable[[], T]) -> T:
    """Wait until this is true; gives what it said."""
    end = time.monotonic() + PATIENCE_S
    while not (said := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE_S:g} s")
        time.sleep(LOOK_EVERY_S)
    return said


async def until_async(condition: Callable[[], T]) -> T:
    """Wait likewise, while the event loop goes on."""
    end = time.monotonic() + PATIENCE_S
    while not (said := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE_S:g} s")
        await asyncio.sleep(LOOK_EVERY_S)
    return said


def so_far(asking) -> str:
    """The text that an ask has read by now."""
    come = asking._loop.partial_result(cancelled=False).reply
    return "" if come is None else come.text


def runs_so_far(asking):
    """Return the tool runs of an ask under way; a call that has not ended counts as not run."""
    return asking._loop.partial_result(cancelled=False).tool_runs
