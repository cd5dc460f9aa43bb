"""Run one `map`, from its arguments to its frame; the sync and the async method share all of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import fields, replace
from functools import partial
from os import PathLike
from typing import Any

from .. import clock, display, tools
from ..cassettes.session import CURRENT_CELL
from ..chat.ask import AskContext, current_cell
from ..chat.messages import split_params
from ..checks import check_retries
from ..display import kernel
from ..types import Message, RequestRow
from ..wire import event_loop
from ..wire.sender import open_sender
from .budget import read_budget
from .engine import MapEngine
from .failures import describe_failure
from .ledger import Ledger, RunFacts
from .limits import Limits
from .options import MapOptions, check_body, check_names, check_options
from .plan import MapPlan
from .preview import MapPreview, preview_run
from .prompts import RequestBuilder, describe_function
from .report import KeptRun, make_attrs, make_progress, make_usage_row
from .rows import open_rows

__all__ = ["MapRun"]

_PROGRESS_S = 0.25  # between two pictures of a run
_WAKE_S = 0.25  # how long an interrupt of a cell that awaits may take
_END_S = 10.0  # how long an interrupt waits for the last commit


class MapRun:
    """One `map`: checked when it is made, run on the private loop, finished in the caller's thread.

    Args:
        context: what the client lends, already in the mode of this run.
        frame: a table, pandas or Polars.
        prompt: a format string over columns, or a function of a row.
        options: the other arguments of `map`.
        params: the endpoint's parameters.
        remember: keeps the frame as `amber.last_map`.
        log: takes the run's row of the usage log.
        caller_loop: the event loop of a caller that awaits.
        shared: opens the limits that this run shares with others, on the private loop; None for limits of its own.

    Attributes:
        inbox: what the caller's thread is to call while it waits.

    Raises:
        TypeError: the table, the prompt or an argument has the wrong type.
        ValueError: a column is missing, a value is, or a name collides; nothing was sent.
        ConfigError: an argument has a value that is not allowed, or the ledger cannot be used.
    """

    def __init__(
        self,
        context: AskContext,
        frame: Any,
        prompt: str | Callable[[Any], str | Iterable[Message]],
        options: MapOptions,
        params: Mapping[str, Any],
        *,
        remember: Callable[[Any], None],
        log: Callable[[RequestRow], None],
        caller_loop: asyncio.AbstractEventLoop | None = None,
        shared: Callable[[], AbstractAsyncContextManager[Limits]] | None = None,
    ) -> None:
        if caller_loop is None and not event_loop.can_block():
            raise RuntimeError("This runs on amber's own event loop, which map would wait for: await amber.map_async.")
        self._context = context
        self._config = config = context.config
        self._frame = frame
        self._options = options
        self._remember = remember
        self._log = log
        self._shared = shared
        check_options(options)
        self._rows = rows = open_rows(frame)
        check_names(rows, options)
        self._format = tools.response_format_of(options.schema) if options.schema is not None else None
        self._headers, body = self._request(params)
        role = config.system_role
        self._builder = RequestBuilder(
            rows,
            prompt,
            images=options.images,
            system=options.system,
            role=role or "developer",
            body=body,
            na=options.na,
        )
        self._builder.check()
        wait_s = options.max_wait_s
        if wait_s is None:
            wait_s = config.map_max_wait_s
        own = {"role": role is None and options.system is not None, "response_format": self._format is not None}
        self.plan = MapPlan(
            builder=self._builder,
            count=len(rows),
            body=body,
            own=frozenset(name for name, is_own in own.items() if is_own),
            base_url=config.base_url,
            mode=config.mode,
            response_format=self._format,
            concurrency=options.concurrency,
            requests_per_minute=options.requests_per_minute,
            tokens_per_minute=options.tokens_per_minute,
            distinct=options.distinct,
            timeout_s=options.timeout_s,
            max_retries=check_retries(options.max_retries, config.max_retries),
            max_wait_s=wait_s,
            budget=read_budget(options.budget, str(body["model"]), config.prices),
            prices=config.prices,
        )
        self._kept = KeptRun(self._digest_facts(prompt))
        self.ledger: Ledger | None = None
        if config.mode == "live" and options.ledger not in (None, False):
            path: Any = None if options.ledger is True else options.ledger
            self.ledger = Ledger(path, retain_days=options.retain_days)
            self._kept.ledger = self.ledger.name
        self._kept.is_refused = self.ledger is None and isinstance(options.ledger, (str, PathLike))
        self.inbox = event_loop.Inbox(wake_s=_WAKE_S if kernel.in_kernel() else None)
        self._engine: MapEngine | None = None
        self._display: display.MapDisplay | display.MapTerminal | None = None
        self._stopped = False
        self._ended = False
        self._began = clock.time()
        self._cell = current_cell()
        self._visible = options.show
        if self._visible is None:
            self._visible = config.display != "none"

    def _request(self, params: Mapping[str, Any]) -> tuple[Mapping[str, str], dict[str, Any]]:
        """Return the headers of the caller's, and the body of each request without its messages."""
        given, sdk_options = split_params(params, "map", [each.name for each in fields(MapOptions)])
        if sdk_options.get("extra_query"):
            raise TypeError("map() takes no extra_query=: give the gateway's whole address as base_url instead.")
        if given.get("n") not in (None, 1):
            raise TypeError("map() takes no n=: there is one answer for a row. Repeat the rows, with distinct=False.")
        body: dict[str, Any] = {"model": self._options.model or self._config.model}
        if self._format is not None:
            if given.get("response_format") is not None:
                raise TypeError("schema= sends a response_format of its own: leave response_format= out.")
            body["response_format"] = self._format.payload
        body |= {name: value for name, value in given.items() if value is not None}
        body |= dict(self._options.extra_body or {})
        check_body(body)
        return sdk_options.get("extra_headers") or {}, body

    def _digest_facts(self, prompt: Any) -> RunFacts:
        """Return what tells this run from others."""
        options, body = self._options, self.plan.body
        parameters = {name: value for name, value in body.items() if name not in ("model", "response_format")}
        text = prompt if isinstance(prompt, str) else describe_function(prompt)
        first = "\n".join([*self._rows.names, *map(_describe_cell, self._first_cells())]).encode("utf-8", "replace")
        parts = {
            "prompt": text,
            "system": options.system,
            "schema": body.get("response_format"),
            "model": body["model"],
            "parameters": parameters,
            "images": options.images,
            "gateway": [self._config.base_url, self._config.mode],
        }
        encoded = {name: json.dumps(value, sort_keys=True, default=str).encode() for name, value in parts.items()}
        return RunFacts(parts={**encoded, "data": first}, model=str(body["model"]), rows=len(self._rows))

    def _first_cells(self) -> list[Any]:
        """Return the cells of the first row."""
        columns = self._rows.values(range(len(self._rows.names)), 0, min(1, len(self._rows)))
        return [cell for column in columns for cell in column]

    # --- before

    def preview(self) -> MapPreview:
        """Return what would be asked, and what it would cost; nothing is sent."""
        try:
            return preview_run(self.plan, self._rows, self.ledger if self._options.resume else None)
        finally:
            if self.ledger is not None:
                self.ledger.close()

    # --- while it runs

    def wait(self) -> Any:
        """Run to the end in a sync caller, and return the frame, or the preview."""
        if self._options.preview:
            return self.preview()
        try:
            self.open_display()
            event_loop.wait(event_loop.submit(self.run()), self.inbox)
            return self.finish()
        except BaseException as error:
            self.fail(error)
            raise

    async def wait_async(self) -> Any:
        """Run to the end as `wait` does, in an async caller."""
        if self._options.preview:
            return self.preview()
        future: Future[None] | None = None
        try:
            self.open_display()
            future = event_loop.submit(self.run())
            await event_loop.wait_async(future, self.inbox)
            return self.finish()
        except BaseException as error:
            if future is not None:
                future.cancel()  # by itself it would be cancelled only once the caller's loop goes on
            self.fail(error)
            raise

    async def run(self) -> None:
        """Ask about all rows; the async core, which runs on the private loop."""
        CURRENT_CELL.set(self._cell)
        context, ledger = self._context, self.ledger
        if ledger is not None:
            self._kept.start = await asyncio.to_thread(ledger.begin_run, self._kept.facts)
        sender = open_sender(
            context.clients, self._config, connections=self._options.concurrency, headers=self._headers
        )
        known = context.adaptations.of(self.plan.body["model"])
        run_key = self._kept.start.key if self._kept.start is not None else ""
        async with self._shared() if self._shared is not None else nullcontext() as shared:
            self._engine = engine = MapEngine(
                self.plan,
                sender,
                context.clients,
                self._describe,
                known,
                ledger,
                run_key,
                resume=self._options.resume,
                shared=shared,
            )
            if self._stopped:
                engine.stop()
            reporter = asyncio.create_task(self._report()) if self._display is not None else None
            try:
                await engine.run()
            finally:
                if reporter is not None:
                    reporter.cancel()

    def _describe(self, error: Exception) -> str:
        self._context.annotate(error)
        return describe_failure(error, self._config.api_key.reveal())

    async def _report(self) -> None:
        while True:
            self._show()
            await clock.sleep_async(_PROGRESS_S)

    def _show(self) -> None:
        if self._display is not None:
            progress = self.progress()
            if isinstance(self._display, display.MapTerminal):
                self.inbox.put(partial(self._display.update, progress))
            else:
                self._display.update(progress)

    def open_display(self) -> None:
        """Show the run in the caller's thread, where somebody is to see it."""
        setting = self._config.display
        if not self._visible or setting == "none":
            return
        if kernel.in_kernel():
            if setting == "live" or (setting == "auto" and kernel.has_front_end()):
                self._display = view = display.MapDisplay(self.progress(), self.stop)
                if view.poll_s:
                    self.inbox.poll(view.listen, view.poll_s)
        elif sys.stderr is not None and sys.stderr.isatty():
            self._display = display.MapTerminal(self.progress())

    @property
    def values(self) -> list[Any]:
        """The texts or typed values of the rows, None where a row has none."""
        return self._engine.results.values() if self._engine is not None else [None] * self.plan.count

    def stop(self) -> None:
        """End the run for the reader; from any thread."""
        self._stopped = True
        if self._engine is not None:
            self._engine.stop()

    def progress(self) -> display.MapProgress:
        """Return a picture of the run as it is now."""
        return make_progress(self.plan, self._engine, self._kept, is_ended=self._ended)

    # --- after

    def finish(self) -> Any:
        """Make the frame, remember it and show the summary.

        Raises:
            CassetteMiss: a row is not recorded.
        """
        engine = self._engine
        assert engine is not None
        frame = self._end(engine)
        if engine.error is not None:
            raise engine.error
        return frame

    def fail(self, error: BaseException) -> None:
        """End with an error, such as an interrupt: what has come is `amber.last_map`."""
        if self._ended:
            return
        engine = self._engine
        if engine is None:
            if self.ledger is not None:
                self.ledger.close()
            self._ended = True
            if self._display is not None:
                self._display.settle(replace(self.progress(), end=type(error).__name__))
            return
        clock.wait(engine.ended, _END_S)
        if engine.end_reason is None:
            engine.end_reason = "interrupted" if not isinstance(error, Exception) else type(error).__name__
        self._end(engine)

    def _end(self, engine: MapEngine) -> Any:
        self._ended = True
        progress = self.progress()
        options = self._options
        frame: Any
        if self._rows.library == "polars":
            frame = engine.results.polars_frame(options.schema, options.prefix)
        else:
            attrs = make_attrs(self.plan, engine, self._kept, options.prefix)
            frame = engine.results.frame(self._frame.index, options.schema, options.prefix, attrs)
        self._remember(frame)
        if engine.tally.requests:
            self._log(make_usage_row(self.plan, engine.tally, self._began))
        if isinstance(self._display, display.MapTerminal):
            self._display.settle(progress)
        elif self._visible and (self._display is None or not self._display.settle(progress)):
            self._show_summary(progress)
        return frame

    def _show_summary(self, progress: display.MapProgress) -> None:
        text = display.map_text(progress)
        if kernel.in_kernel():
            kernel.show_bundle({"text/html": display.map_html(progress), "text/plain": text})
        elif (progress.end or self._options.show) and sys.stderr is not None:
            print("amber: " + text.replace("\n", "\n  "), file=sys.stderr)


def _describe_cell(cell: Any) -> str:
    """Return a cell as text, by which tables are told apart; an object's own method may fail."""
    try:
        return repr(cell)
    except Exception:
        return type(cell).__name__
