"""Amber: settings in, verbs out. Puts the rooms together."""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never, TypeVar, Unpack, overload

import httpx2

from . import config as settings
from . import images, log_frames, login, mcp_servers
from .answer import Answer
from .cassettes.session import open_session
from .cassettes.transport import CassetteTransports
from .chat.adaptations import Adaptations
from .chat.ask import AskContext, AskRun, current_cell, show_parameters
from .chat.messages import extend, without_own_fields
from .chat.server_calls import KnownResults
from .display import kernel as cell
from .display.kernel import holds_real_answers
from .errors import ConfigError, annotate
from .keywords import explain_keyword, explain_unnamed
from .map import accessor
from .map.dask_frames import is_dask, map_lazily
from .map.options import MapArguments, show_map_parameters, split_arguments
from .map.rows import library_of
from .map.run import MapRun
from .redact import Secret, SecretHeaders, hide_text
from .tracebacks import short_traceback
from .types import AskOptions, Message
from .wire import event_loop as loop
from .wire.clients import Clients
from .wire.models import read_models
from .wire.usage import UsageLog

if TYPE_CHECKING:
    import pandas as pd
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Amber"]

T = TypeVar("T")
_SIMULATED_ANYWAY = (
    "amber: AMBER_MODE=simulate is set, so that this client answers from the simulator; Amber(…, mode='live') asks "
    "your gateway."
)


class Amber:
    """A client of the amber gateway.

    Settings: argument > environment (`AMBER_DOMAIN`, `AMBER_BASE_URL`, `AMBER_API_KEY`, `AMBER_MODEL`, `AMBER_MODE`,
    `AMBER_MCP_URL`, `AMBER_CASSETTE`, `AMBER_DISPLAY`) > `.env` > the keyring (see `login`). With no settings at all
    and a person at a front end, the notebook's cassette answers, or, where there is none, the simulator, with every
    answer badged "simulated".

    Args:
        domain: `"acme"` stands for `https://acme.ambersearch.de/api/beta/openai/v1`; a full host also does.
        base_url: the endpoint itself, instead of a domain.
        api_key: the gateway's key, `ambrs-…`.
        model: default `"azure/gpt-5.4"`.
        mode: `"live"`; `"record"`: live, and kept in the cassette; `"replay"`: from the cassette alone, no key and no
            network; `"cache"`: replayed where recorded, else asked and recorded; `"simulate"`: the stand-in gateway in
            this process.
        cassette: the recording, a `.jsonl` file; default `cassettes/<notebook>.jsonl` beside the notebook.
        timeout_s: seconds to wait for a sign of life; default the SDK's (600 s).
        max_retries: how often a request is tried again; default 2.
        max_wait_s: seconds that one `ask` may wait between its tries; where the gateway asks for more, its error is
            raised at once; default 60, 0 never waits.
        headers: sent with each request.
        system_role: `"developer"` or `"system"`, the role of `ask(system=…)`; default `"developer"`, and `"system"` for
            a model or a gateway that has refused that.
        prices: your own prices by the models' names, each for a million tokens: `(input, output)` or
            `(input, output, cached)`, where `cached` is for input that was read from a cache (default: as `input`).
            They are in US dollars unless the table says `"currency": "EUR"`. Or the path of a TOML file of the same:
            a line `currency = "EUR"`, and for each model `"azure/gpt-5.4" = [2.5, 15.0, 0.25]`. A model that is not
            in the table has no cost. Without `prices`, makers' list prices are told, and marked as such.

    Raises:
        ConfigError: nothing is set and nobody is there, half is set, or settings disagree; the cassette is damaged;
            a price is none.
        CassetteMiss: replay without a cassette.
        TypeError: there is no such keyword, or a value has none; the message names the one that was meant.

    Example:
        >>> amber = Amber()
        >>> amber.ask("Hello!")
    """

    def __init__(
        self,
        *unnamed: Never,
        domain: str | None = None,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        model: str | None = None,
        mode: str | None = None,
        cassette: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
        max_retries: int | None = None,
        max_wait_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        system_role: str | None = None,
        prices: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        **unknown: Never,
    ) -> None:
        # At once, under the same name: a verbose traceback prints a frame's variables.
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        unnamed = tuple(map(hide_text, unnamed))
        headers = SecretHeaders(headers) if isinstance(headers, Mapping) else headers
        with short_traceback:
            if unnamed:
                raise TypeError(explain_unnamed(unnamed[0]))
            if unknown:
                message = explain_keyword(next(iter(unknown)), [each.name for each in _KEYWORDS])
                unknown.clear()  # a key under a wrong name is a key
                raise TypeError(message)
            notebook = settings.session_notebook() if cell.in_kernel() else None
            config = settings.load_config(
                domain=domain,
                base_url=base_url,
                api_key=api_key,
                model=model,
                mode=mode,
                cassette=cassette,
                timeout_s=timeout_s,
                max_retries=max_retries,
                max_wait_s=max_wait_s,
                headers=headers,
                system_role=system_role,
                prices=prices,
                kernel=cell.in_kernel(),
                person=cell.has_front_end(),
                notebook=notebook,
                holds_real_answers=lambda: notebook is not None and holds_real_answers(notebook),
                stored_login=login.load,
            )
            is_told = any(given is not None for given in (domain, base_url, api_key))
            if config.mode == "simulate" and mode is None and is_told and cell.has_front_end():
                warnings.warn(_SIMULATED_ANYWAY, stacklevel=2)
            self._last: Answer[Any] | None = None
            self._last_map: Any = None
            self._listed_models: list[str] = []
            self._log = UsageLog(config.mode)
            self._known_results = KnownResults()
            self._use(config)
            accessor.register(self)

    def _use(self, config: settings.Config) -> None:
        self._config = config
        self._log.mode = config.mode
        # By attribute: `images` loads Pillow with its first name.
        self._session = session = open_session(config, current_cell, lambda data: images.pixel_digest(data))
        self._clients = Clients(config, self._log, CassetteTransports(session) if session is not None else None)
        self._context = AskContext(
            config=config,
            clients=self._clients,
            session=session,
            adaptations=Adaptations(session.learnt() if session is not None else None),
            known_results=self._known_results,
            asker=self,
            annotate=self._annotate,
            remember=self._remember,
        )
        self._mcp: mcp_servers.McpServer | None = None
        if session is not None and config.mode != "replay":
            cell.after_each_cell(session.checkpoint)
            weakref.finalize(self, session.checkpoint)  # at the end of a script, too
        # Not at exit: the private loop sees to that itself, in the right order.
        weakref.finalize(self, self._clients.close).atexit = False

    def __repr__(self) -> str:
        c = getattr(self, "_config", None)  # a verbose traceback shows a client that could not be made
        if c is None:
            return "Amber()"
        return f"Amber(mode={c.mode!r}, base_url={c.base_url!r}, model={c.model!r}, api_key={c.api_key!r})"

    @property
    def mode(self) -> str:
        """`"live"`, `"record"`, `"replay"`, `"cache"` or `"simulate"`."""
        return self._config.mode

    @property
    def model(self) -> str:
        """The model that is asked unless a call names another."""
        return self._config.model

    @property
    def base_url(self) -> str:
        """Where the requests go."""
        return self._config.base_url

    @property
    def openai(self) -> OpenAI:
        """The SDK's own client, configured: every documented snippet runs on it."""
        return self._clients.sync()

    @property
    def async_openai(self) -> AsyncOpenAI:
        """The SDK's own async client; one for each event loop, since connections cannot change loops."""
        return self._clients.for_running_loop()

    @property
    def mcp(self) -> mcp_servers.McpServer:
        """The MCP server of the domain: the company's knowledge, for `ask(tools=amber.mcp)`.

        It is asked with the gateway's key, at `/mcp/` of the same host, or where `AMBER_MCP_URL` says. In mode
        `"simulate"` the simulator answers, from documents of an invented company.
        """
        if self._mcp is None:
            self._mcp = mcp_servers.amber_server(self._config, self._session)
        return self._mcp

    def close(self) -> None:
        """Let go of the idle connections of `ask` and of `mcp`; also done when this client is no longer used."""
        self._clients.close()
        if self._mcp is not None:
            self._mcp.close()

    @overload
    def ask(self, prompt: str | list[Message], *, schema: type[T], **options: Unpack[AskOptions]) -> Answer[T]: ...
    @overload
    def ask(self, prompt: str | list[Message], *, schema: Any = None, **options: Unpack[AskOptions]) -> Answer[Any]: ...
    @show_parameters
    def ask(self, prompt: str | list[Message], *, schema: Any = None, **options: Unpack[AskOptions]) -> Answer[Any]:
        """Ask, and wait for the whole answer.

        Args:
            prompt: a question, or a list of message dicts.
            images: one image or an iterable of them, of any kind that `image_part` takes: a path, a URL, bytes, a PIL
                image, an array, a figure, a table, an `ImageInput`; they go into the last message, after its text.
            thumbnails: False keeps the pictures themselves out of what is shown, and so out of the notebook's file.
            tools: one tool or an iterable of them: functions with type hints, pydantic models, tools as the endpoint
                has them (dicts), or MCP servers (`amber.mcp`, `mcp(…)`). The model's calls are checked against the
                hints, run, and answered, round after round.
            handlers: name → function, for tools that are dicts; without one, their calls are shown and returned.
            require_approval: True: the reader is asked before each call. A function of a `ToolCall` decides by itself:
                `Allow`, `Deny`, True or False; None asks. Servers' calls ask, unless `mcp(…, require_approval=False)`.
            approval_timeout_s: seconds to wait for the reader, then it is a no; None: as long as it takes. At the
                keyboard, where there is no page, the cell still waits for the line.
            max_rounds: how often the model may ask for tools.
            schema: what the answer must look like: any type that pydantic knows, or a JSON schema; `.parsed` is of it.
            system: instructions, sent first in the role `developer`.
            model: another model than the client's.
            timeout_s: seconds to wait for a sign of life; what only keeps the connection alive is none.
            max_wait_s: seconds to wait between tries, all together; while waiting, the live view says so.
            show: None: shown in a notebook and in IPython, silent in a script; True and False decide it.
            footer: a line with model, tokens and time under the answer of a gateway; a simulated and a replayed answer
                have none, so that they are the same each time.
            extra_body: fields of the request that amber_nb does not know.
            **params: the endpoint's own parameters by their names (`temperature`, `max_tokens`, `tool_choice`, …).

        Raises:
            TypeError: the prompt is neither a string nor messages, or a parameter is unknown; nothing was sent.
            ImageError: an image cannot be sent; nothing was sent.
            ToolError: a tool needs approval and nobody is there; the model does not come to an end with its tools.
            RefusalError, SchemaError: a schema was asked for and is not met.
            openai.OpenAIError: as the SDK raises it, with a note that says what to do next.
            StreamCut: the reply ended early; the text so far is on `.answer` and on `amber.last`.
            BadReply: what came is no chat completion.
            CassetteMiss: replay, and nothing is recorded for this.

        Example:
            >>> amber.ask("Name three rivers.", system="Be brief.", temperature=0).text
        """
        with short_traceback:
            run = AskRun(self._context, prompt, schema, options)
            try:
                return run.finish(loop.wait(loop.submit(run.run()), run.inbox))
            except BaseException as error:
                run.fail(error)
                raise

    @overload
    async def ask_async(
        self, prompt: str | list[Message], *, schema: type[T], **options: Unpack[AskOptions]
    ) -> Answer[T]: ...
    @overload
    async def ask_async(
        self, prompt: str | list[Message], *, schema: Any = None, **options: Unpack[AskOptions]
    ) -> Answer[Any]: ...
    @show_parameters
    async def ask_async(
        self, prompt: str | list[Message], *, schema: Any = None, **options: Unpack[AskOptions]
    ) -> Answer[Any]:
        """Ask as `ask` does, without blocking the event loop; several may run at once."""
        with short_traceback:
            run = AskRun(self._context, prompt, schema, options, asyncio.get_running_loop())
            try:
                return run.finish(await loop.wait_async(loop.submit(run.run()), run.inbox))
            except BaseException as error:
                run.fail(error)
                raise

    @show_map_parameters
    def map(
        self, frame: Any, prompt: str | Callable[[Any], str | list[Message]], **options: Unpack[MapArguments]
    ) -> Any:
        """Ask about each row of a table, many at once, and return the answers as a DataFrame.

        In mode `"live"` each finished row is kept in a ledger on disk before it counts: the same call again goes on
        where the last one was, also after a kernel's end, and sends nothing twice. A row that fails is data, and no
        exception.

        Args:
            frame: a pandas or Polars DataFrame or Series; or a Dask DataFrame or Series, of which the result is lazy,
                too, see `amber_nb.map.dask_frames.map_lazily`.
            prompt: a format string over columns, such as `"Classify: {text}"`, or a function of a row that returns a
                prompt or messages.
            schema: what each answer must look like, as of `ask`; its fields become columns.
            images: the name of the column that holds a row's images: anything that `ask(images=…)` takes.
            system: instructions, the same for all rows.
            model: another model than the client's.
            mode: `"simulate"` asks the simulator, which a map never does unasked; None: the client's.
            na: what is done where a column of the prompt has no value: `"raise"` before anything is sent, or
                `"skip"` the row. A function gets such values as they are (NaN, None, NA), and returns None to skip.
            prefix: of the result's columns, where one collides with the table's.
            distinct: False asks again for each row that asks the same as another; True sends such a request once.
            concurrency: requests at once, at most; fewer where the gateway asks to slow down.
            requests_per_minute: at most; None: as many as the gateway takes.
            tokens_per_minute: at most, of prompts and answers together.
            budget: what this call may cost: a number of money, `"2.50 EUR"`, or `"200_000 tokens"`; 0 takes only what
                the ledger has. Where answers get longer than those before, what is under way may exceed it;
                `max_tokens=` bounds that.
            preview: True sends nothing, and returns the first prompts, the requests, tokens and cost to be expected.
            ledger: the file that keeps finished rows, with what they cost then; True: in the user's cache folder; None:
                none. Of a Dask DataFrame on several hosts, one for each partition:
                `"/shared/ledger-{partition}.sqlite"`.
            resume: False asks anew, also what the ledger holds.
            retain_days: for how many days without use the ledger keeps the rows of this call; None: for ever.
            timeout_s: seconds of silence, after which a request has failed.
            max_retries: how often a request that failed is sent again, beside those that the gateway wants later; None:
                the client's.
            max_wait_s: seconds that a row may wait between its tries; None: those of the client, else 600.
            show: None: a live view in a notebook, a bar in a terminal; True and False decide it.
            extra_body: fields of the request that amber_nb does not know.
            **params: the endpoint's own parameters by their names (`temperature`, `max_tokens`, …).

        Returns:
            A frame with the index of the table: `answer`, or the schema's columns; `status` (`ok`, `error`,
            `stopped`, `skipped`), `error`, `finish_reason`, `prompt_tokens`, `completion_tokens`, `cost`, `latency_s`
            (missing in a simulation or a replay). A dict whose keys are data stays in one cell; in Polars, values of
            several kinds become JSON texts.
            Its `attrs` hold `totals`, `mode`, `run` (the ledger's key) and `ended` (why it ended early). Where an
            interrupt ends it, `amber.last_map` is the frame.

        Raises:
            TypeError: the table, the prompt or an argument has the wrong type; nothing was sent.
            ValueError: a column or a value is missing, or a name collides; nothing was sent.
            ConfigError: no gateway is configured; the ledger cannot be used; a budget, and the price is unknown.
            CassetteMiss: replay, and a row is not recorded.

        Example:
            >>> labels = amber.map(reviews, "Classify the review: {text}", schema=Label)
            >>> reviews.join(labels)
        """
        with short_traceback:
            return self._run_map(frame, prompt, options, None)

    @show_map_parameters
    async def map_async(
        self, frame: Any, prompt: str | Callable[[Any], str | list[Message]], **options: Unpack[MapArguments]
    ) -> Any:
        """Ask about each row as `map` does, without blocking the event loop."""
        with short_traceback:
            return await self._run_map(frame, prompt, options, asyncio.get_running_loop())

    def _run_map(
        self, frame: Any, prompt: Any, arguments: Mapping[str, Any], caller_loop: asyncio.AbstractEventLoop | None
    ) -> Any:
        options, params = split_arguments(arguments)
        if is_dask(library_of(frame)):
            lazy = map_lazily(self._map_context(options.mode), frame, prompt, options, params)
            return lazy if caller_loop is None else _return(lazy)
        run = MapRun(
            self._map_context(options.mode),
            frame,
            prompt,
            options,
            params,
            remember=self._remember_map,
            log=self._log.rows.append,
            caller_loop=caller_loop,
        )
        return run.wait() if caller_loop is None else run.wait_async()

    def _map_context(self, mode: str | None) -> AskContext:
        """Return what a map is lent: the client's own, or that of the simulator where it was asked for."""
        config = self._config
        if mode == "simulate" and config.mode != "simulate":
            config = settings.simulated(config)
            return replace(self._context, config=config, clients=Clients(config, self._log), session=None)
        if mode not in (None, config.mode):
            raise ConfigError(f"mode={mode!r}: this client is in mode {config.mode!r}. Amber(mode={mode!r}).map(…) is.")
        if config.is_fallback and mode is None:
            raise ConfigError(
                "No gateway is configured, and a map never asks the simulator by itself: its answers would look like "
                "data. Set AMBER_DOMAIN and AMBER_API_KEY (or run `amber-nb login` once); or ask for the simulator: "
                "map(…, mode='simulate')."
            )
        return self._context

    def _remember_map(self, frame: Any) -> None:
        self._last_map = frame

    @property
    def last_map(self) -> Any:
        """The frame of the newest map, also of one that was stopped or interrupted; None before the first."""
        return self._last_map

    @short_traceback
    def models(self) -> pd.DataFrame:
        """Return the models that the key may use, in the order of the gateway.

        Returns:
            A row for each model: `id` (the name to ask with), `owned_by`, `created` (UTC).

        Raises:
            openai.NotFoundError: the gateway does not list its models.
            BadReply: what came is no list of models.
        """
        try:
            listed = read_models(self.openai.get("/models", cast_to=httpx2.Response).content)
        except Exception as error:
            self._annotate(error)
            raise
        self._listed_models = [name for model in listed if isinstance(name := model.get("id"), str)]
        return log_frames.models_frame(listed)

    def _model_names(self) -> list[str]:
        """Return the models that this client has seen, for completion: no request is sent for it."""
        asked = (row.asked_model for row in self._log.rows)
        return [*dict.fromkeys([self.model, *self._listed_models, *filter(None, asked)])]

    @property
    def usage_log(self) -> pd.DataFrame:
        """The requests of this client as a frame, those of `.openai` too; a row for each, oldest first.

        Columns: `time` (UTC, when it was sent), `mode`, `model` (of the reply, else of the request), `tokens`,
        `prompt_tokens`, `completion_tokens`, `cached_tokens`, `latency_s` (until the end of the reply),
        `first_token_s` (of a streamed reply), `status` (HTTP), `cost` (Float64), `currency`, `list_price` (bool: by the
        maker's prices, not by `prices=`). A value that the gateway did not send, or that nobody knows, is <NA>.

        `usage_log.attrs` holds the total: `cost` (None where no cost is known), `currency`, `list_price`, and
        `without_cost`: how many replies are not in it, since what they cost is unknown.
        """
        return log_frames.usage_frame(self._log.rows, self._config.prices)

    @property
    def last(self) -> Answer[Any] | None:
        """The newest answer, also one that was stopped, cut or interrupted; None before the first."""
        return self._last

    @short_traceback
    def login(self) -> None:
        """Ask for domain and key, and store both in the system's keyring; this client then uses them.

        Raises:
            ConfigError: they are not usable, or there is no keyring to store them in.
        """
        stored = login.login()
        self._use(settings.with_login(self._config, stored))

    def _continue(
        self, answer: Answer[Any], prompt: str | list[Message], changes: Mapping[str, Any], *, is_async: bool
    ) -> Any:
        ask: Any = self.ask_async if is_async else self.ask
        options = {**answer._options, **changes}
        # None is what `ask` would do by itself; of approvals it says nothing, and is a mistake there.
        options = {name: value for name, value in options.items() if value is not None or name == "require_approval"}
        earlier: Sequence[Message] = answer.messages
        if options.get("model", self._config.model) != (answer._options.get("model") or self._config.model):
            earlier = without_own_fields(earlier)
        return ask(extend(earlier, prompt, system="system" in changes), **options)

    def _remember(self, answer: Answer[Any]) -> None:
        self._last = answer

    def _annotate(self, error: BaseException) -> None:
        annotate(error, base_url=self._config.base_url, key=self._config.api_key.reveal())


_KEYWORDS = [
    each for each in inspect.signature(Amber).parameters.values() if each.kind is inspect.Parameter.KEYWORD_ONLY
]
# Help and completion show the keywords alone; whatever else is taken for the sake of its message.
Amber.__signature__ = inspect.Signature(_KEYWORDS)  # type: ignore[attr-defined]
Amber.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *_KEYWORDS]
)


async def _return(value: Any) -> Any:
    return value
