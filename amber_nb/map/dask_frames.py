"""Map a Dask DataFrame: what can be checked is checked at once, the rows are asked where the partitions are computed.

What travels to the workers is the prompt, the options, and the settings that are no secret. Each worker makes its own
client, of its own settings; so no key stands in a graph, a pickle or the name of a task.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import config as settings
from .. import login
from ..chat.adaptations import Adaptations
from ..chat.ask import AskContext
from ..chat.server_calls import KnownResults
from ..config import Config
from ..errors import ConfigError, annotate
from ..prices import PriceTable
from ..types import Message
from ..wire.clients import Clients
from ..wire.usage import UsageLog
from .conform import conform_frame, meta_frame
from .limit_keeper import LimitKeepers, shared_settings
from .limits import Limits
from .options import MapOptions
from .run import MapRun
from .shared_limits import open_shared_limits

__all__ = ["PARTITION", "is_dask", "map_lazily"]

PARTITION = "{partition}"  # in the path of a ledger
_MODES = ("live", "simulate")
_keepers = LimitKeepers()  # of this process, where no scheduler keeps the limits


def is_dask(library: str) -> bool:
    """Return whether `rows.library_of` has named a package of Dask's."""
    return library in ("dask", "dask_expr")


def map_lazily(
    context: AskContext,
    frame: Any,
    prompt: str | Callable[[Any], str | Iterable[Message]],
    options: MapOptions,
    params: Mapping[str, Any],
) -> Any:
    """Return a lazy Dask DataFrame of the answers, with the partitions, the divisions and the index of the table.

    Columns and dtypes are those of `map`, the same in each partition: dates count in microseconds, those with a zone
    in UTC; a schema without fixed fields gives one column of dicts. An answer that does not fit its column's dtype is
    an error of the row. A row that is `stopped` has in `error` why the run ended. There are no `attrs`: totals are
    sums over columns, such as `result["cost"].sum()`.

    The limits (`concurrency`, `requests_per_minute`, `tokens_per_minute`, `budget`) and pauses are those of the whole
    run: with a cluster, its scheduler keeps them, and takes back what a worker held that has died; the threaded and
    the synchronous scheduler share them within the process, that of processes within each.

    The workers read their own settings: the environment, `.env`, the keyring. In the process of the client itself,
    the client is used.

    The ledger is opened where a partition is computed. To compute again, and to compute a partition again whose worker
    was killed, sends nothing that is in the ledger:

    - `ledger=True`: the file in the user's cache folder, of each host one; right where all workers are on one host.
      Processes that share a file claim what they ask, and ask nothing twice.
    - `ledger="/data/ledger.sqlite"`: one file for all, on a disk of that host. A network file system serves several
      hosts badly: SQLite's locks do not reach across all of them.
    - `ledger="/shared/ledger-{partition}.sqlite"`: a file for each partition, on storage that all hosts see; one
      worker at a time opens it. `{partition}` is the number of the partition in what is computed: after
      `.partitions[3]`, that is 0. Rows that ask the same are asked once within a partition.
    - `ledger=None`: none; whatever is computed again is paid again.

    Args:
        context: what the client lends.
        frame: a Dask DataFrame or Series.
        prompt: a format string over columns, or a function of a row.
        options: the other arguments of `map`.
        params: the endpoint's parameters.

    Raises:
        TypeError: the prompt or an argument has the wrong type; nothing was computed or sent.
        ValueError: a column is missing, or a name collides. A missing value is found when its partition is computed.
        ConfigError: an argument has a value that is not allowed, or the client is in a mode of recordings.
    """
    config = context.config
    if config.mode not in _MODES:
        raise ConfigError(
            f"A Dask DataFrame is asked about in mode live or simulate, not {config.mode}: its partitions may be "
            "computed in several processes, and those cannot share a cassette."
        )
    if options.preview:
        raise TypeError("map() has no preview of a Dask DataFrame: amber.map(frame.head(100), …, preview=True) has.")
    ledger = options.ledger
    is_path = isinstance(ledger, (str, os.PathLike))
    # The checks are those of a table without rows, of which no ledger is opened.
    checkable = replace(options, ledger=None) if is_path or isinstance(ledger, bool) else options
    checked = MapRun(context, frame._meta, prompt, checkable, params, remember=_ignore, log=_ignore)
    if is_path:
        ledger = str(Path(ledger).expanduser().absolute())  # type: ignore[arg-type]
    plan = checked.plan
    task = MapTask(
        _Work(
            run=secrets.token_hex(8),
            gateway=_Gateway.of(config),
            prompt=prompt,
            options=replace(options, ledger=ledger, show=False),
            params={name: value for name, value in params.items() if name != "extra_headers"},
            limits=shared_settings(plan.concurrency, plan.requests_per_minute, plan.tokens_per_minute, plan.budget),
            meta=meta_frame(frame._meta.index, options.schema, options.prefix),
        ),
        context,
        params.get("extra_headers"),
    )
    dask_frames = import_module("dask.dataframe")
    return dask_frames.map_partitions(
        task,
        frame,
        meta=task.meta,
        enforce_metadata=False,
        transform_divisions=False,
        align_dataframes=False,
    )


# --- what travels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gateway:
    """The settings of the client that hold no secret, and the names of what does not travel."""

    mode: str
    base_url: str
    model: str
    system_role: str | None
    timeout_s: float | None
    max_retries: int
    max_wait_s: float
    map_max_wait_s: float
    sim_chunks_per_s: float
    prices: PriceTable | None = field(repr=False)
    headers: tuple[str, ...]

    @classmethod
    def of(cls, config: Config) -> _Gateway:
        return cls(
            mode=config.mode,
            base_url=config.base_url,
            model=config.model,
            system_role=config.system_role,
            timeout_s=config.timeout_s,
            max_retries=config.max_retries,
            max_wait_s=config.max_wait_s,
            map_max_wait_s=config.map_max_wait_s,
            sim_chunks_per_s=config.sim_chunks_per_s,
            prices=config.prices,
            headers=tuple(config.headers),
        )

    def apply(self, config: Config) -> Config:
        """Return a worker's settings with those of the client."""
        return replace(
            config,
            display="none",
            model=self.model,
            system_role=self.system_role,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            max_wait_s=self.max_wait_s,
            map_max_wait_s=self.map_max_wait_s,
            sim_chunks_per_s=self.sim_chunks_per_s,
            prices=self.prices,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What is asked about each partition.

    Attributes:
        run: the name under which the partitions share limits.
        gateway: that is asked.
        prompt: a format string, or a function of a row.
        options: of `map`.
        params: the endpoint's, without headers.
        limits: see `shared_settings`.
        meta: the result without rows.
        headers: names of the call's own headers, which do not travel.
    """

    run: str
    gateway: _Gateway
    prompt: Any = field(repr=False)
    options: MapOptions = field(repr=False)
    params: Mapping[str, Any] = field(repr=False)
    limits: Mapping[str, Any]
    meta: Any = field(repr=False)
    headers: tuple[str, ...] = ()


_here: weakref.WeakValueDictionary[str, MapTask] = weakref.WeakValueDictionary()


def _restore(work: _Work) -> MapTask:
    """Return the task of a pickle: in the process of its client the same one, which has the client."""
    task = _here.get(work.run)
    return task if task is not None and task.pid == os.getpid() else MapTask(work)


class MapTask:
    """Ask about the rows of a partition; Dask calls it.

    Args:
        work: what to ask.
        context: what the client lends; None in another process.
        headers: of the call; None in another process.
    """

    __name__ = "amber-map"  # by which Dask names its tasks

    def __init__(
        self, work: _Work, context: AskContext | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._work = replace(work, headers=tuple(headers)) if headers else work
        self._context = context
        self._headers = dict(headers or {})
        self.pid = os.getpid()
        if context is not None:
            _here[work.run] = self

    def __repr__(self) -> str:
        return "amber-map"

    def __reduce__(self) -> tuple[Callable[[_Work], MapTask], tuple[_Work]]:
        return _restore, (self._work,)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("amber-map", self._work.run)

    @property
    def meta(self) -> Any:
        """The result without rows."""
        return self._work.meta

    def __call__(self, part: Any, partition_info: Mapping[str, Any] | None = None) -> Any:
        """Return the answers about a partition.

        Raises:
            ConfigError: this worker has no settings for the gateway; the message names the worker.
            ValueError: a value is missing.
        """
        work, meta = self._work, self._work.meta
        if not len(part):
            return meta.reindex(part.index[:0])
        is_here = self._context is not None and self.pid == os.getpid()
        scheduler = import_module(f"{__package__}.dask_scheduler") if "distributed" in sys.modules else None
        worker = scheduler.current_worker() if scheduler is not None else None
        context = self._context if is_here else _open_context(work, _worker_name(worker))
        options, params = work.options, dict(work.params)
        if isinstance(options.ledger, str) and partition_info is not None:
            options = replace(options, ledger=options.ledger.replace(PARTITION, str(partition_info["number"])))
        if self._headers:
            params["extra_headers"] = self._headers
        if scheduler is not None and worker is not None:
            call, name = scheduler.keeper_call(worker), worker.address
        else:
            call, name = _keepers.sync_here, ""
        shared: Callable[[], AbstractAsyncContextManager[Limits]] = partial(
            open_shared_limits, call, work.run, name, work.limits
        )
        assert context is not None
        run = MapRun(context, part, work.prompt, options, params, remember=_ignore, log=_ignore, shared=shared)
        return conform_frame(run.wait(), run.values, meta, options.prefix)


# --- a worker's own client

_contexts: dict[tuple[Any, ...], AskContext] = {}


def _open_context(work: _Work, worker: str) -> AskContext:
    """Return what this process's own client lends: one for each gateway, made of its own settings."""
    gateway = work.gateway
    if names := (*gateway.headers, *work.headers):
        raise ConfigError(
            f"The worker {worker} does not have the headers ({', '.join(sorted(names))}) of the client, as they may be "
            "secret and do not travel. Leave headers= and extra_headers= out; or compute in the client's process, with "
            "the threaded scheduler."
        )
    place = (os.getpid(), replace(gateway, prices=None))
    context = _contexts.get(place)
    if context is None:
        config = gateway.apply(_own_config(gateway, worker))
        made = AskContext(
            config=config,
            clients=Clients(config, UsageLog(config.mode)),
            session=None,
            adaptations=Adaptations(),
            known_results=KnownResults(),
            asker=None,  # type: ignore[arg-type]  # no answer of it is continued
            annotate=partial(_annotate, config),
            remember=_ignore,
        )
        context = _contexts.setdefault(place, made)
    return replace(context, config=replace(context.config, prices=gateway.prices))


def _own_config(gateway: _Gateway, worker: str) -> Config:
    """Return the settings of this process, where they are for the gateway of the client.

    Raises:
        ConfigError: there are none, or they are for another gateway.
    """
    if gateway.mode == "simulate":
        return settings.simulated(settings.load_config(mode="simulate"))
    try:
        with contextlib.suppress(ConfigError):
            config = settings.load_config(mode="live", stored_login=login.load)
            if config.base_url != gateway.base_url:
                raise _OtherGateway(config.base_url)
            return config
        # A key alone will do: what the graph names is as trusted as the code that it brings.
        return settings.load_config(mode="live", base_url=gateway.base_url, stored_login=dict)
    except _OtherGateway as other:
        problem = f"has settings for another gateway ({other}) than the client's ({gateway.base_url})"
    except ConfigError:
        problem = f"has no key for {gateway.base_url}"
    raise ConfigError(
        f"The worker {worker} {problem}. Workers read their own settings, since a key does not travel: set "
        "AMBER_DOMAIN (or AMBER_BASE_URL) and AMBER_API_KEY in the environment in which the workers start, or in a "
        ".env there, and start them anew."
    )


class _OtherGateway(Exception):
    """The settings name another gateway; the message is its URL."""


def _worker_name(worker: Any) -> str:
    if worker is not None:
        return str(worker.name) if worker.name == worker.address else f"{worker.name} ({worker.address})"
    return f"process {os.getpid()} on {socket.gethostname()}"


def _annotate(config: Config, error: BaseException) -> None:
    annotate(error, base_url=config.base_url, key=config.api_key.reveal())


def _ignore(_: Any) -> None:
    """Keep nothing: a worker has no `last_map` and no usage log."""
