"""The keeper of shared limits on Dask's scheduler, and the way to it from a worker; loaded only where that is in use.

The keeper must outlive each worker, so it is no actor, which would live on one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps
from distributed.worker import get_worker

from ..errors import ConfigError
from .limit_keeper import LimitKeepers
from .shared_limits import Call

if TYPE_CHECKING:
    from distributed import Scheduler, Worker

__all__ = ["current_worker", "install_keepers", "keeper_call"]

_NAME = "amber-limits"
_HANDLER = "amber_limits"


class _LimitsPlugin(SchedulerPlugin):
    """Keep the limits of runs, and take back what a worker held that leaves or dies."""

    name = _NAME

    def __init__(self) -> None:
        self._keepers = LimitKeepers()

    def sync(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return self._keepers.sync(message)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        self._keepers.drop_worker(worker)


def install_keepers(dask_scheduler: Scheduler) -> None:
    """Have the scheduler keep limits; a second time without effect."""
    if _NAME not in dask_scheduler.plugins:
        plugin = _LimitsPlugin()
        dask_scheduler.add_plugin(plugin, name=_NAME)
        dask_scheduler.handlers[_HANDLER] = plugin.sync


def current_worker() -> Worker | None:
    """Return the Dask worker whose task runs in this thread; None where there is none."""
    try:
        return get_worker()
    except ValueError:
        return None


def keeper_call(worker: Worker) -> Call:
    """Return what sends a message to the keepers on the worker's scheduler, from any event loop."""
    is_installed = False

    async def send(message: dict[str, Any]) -> Any:
        nonlocal is_installed
        if not is_installed:
            installed = await worker.scheduler.run_function(function=dumps(install_keepers))  # type: ignore[no-untyped-call]
            if installed["status"] != "OK":
                raise ConfigError("The scheduler cannot keep limits: it needs the packages that the workers have.")
            is_installed = True
        return await getattr(worker.scheduler, _HANDLER)(message=message)

    async def call(message: dict[str, Any]) -> Mapping[str, Any]:
        loop = worker.loop.asyncio_loop  # type: ignore[attr-defined]
        answer: Mapping[str, Any] = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send(message), loop))
        return answer

    return call
