"""The SDK's clients for one `Config`: configured by it alone, never by `OPENAI_*` variables."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from ..cassettes.match import Pixels
from ..cassettes.occurrences import Place
from ..cassettes.session import Deck
from ..cassettes.transport import AsyncCassetteTransport, CassetteTransport
from ..config import Config
from ..errors import CassetteMiss
from . import event_loop as loop
from .simulated import SimulatorTransport
from .usage import UsageLog

__all__ = ["Clients"]

_LEFT_TO_THE_PARENT: list[Any] = []


class _Http(openai.DefaultHttpxClient):
    """The SDK's own client, which closes its connections once nobody holds it, in a copy of `.openai` either."""

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be half gone
            self.close()


class Clients:
    """The real `openai.OpenAI` and `openai.AsyncOpenAI` on the mode's transport, each made on first use.

    Args:
        config: the settings.
        log: gets a row for each of their requests.
        where: tells which cell a request comes from.
        pixels: digests an image's pixels.

    Raises:
        ConfigError: the cassette is damaged, or cannot be written.
    """

    def __init__(
        self, config: Config, log: UsageLog, where: Callable[[], Place] = Place, pixels: Pixels | None = None
    ) -> None:
        self._config = config
        self._log = log
        self._deck = _deck(config, where, pixels)
        if self._deck is not None and config.mode != "replay":
            weakref.finalize(self, self._deck.checkpoint)  # at the end of a script, too
        self._pid = os.getpid()
        self._sync: openai.OpenAI | None = None
        self._private: openai.AsyncOpenAI | None = None
        self._outside: openai.AsyncOpenAI | None = None
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = (
            weakref.WeakKeyDictionary()
        )

    def sync(self) -> openai.OpenAI:
        """The sync client."""
        self._after_fork()
        if self._sync is None or self._sync.is_closed():
            self._sync = openai.OpenAI(http_client=self._http(), **_settings(self._config))
        return self._sync

    def here(self) -> openai.AsyncOpenAI:
        """The async client of the running loop: a pool's connections must not be used from another one."""
        self._after_fork()
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            self._outside = self._outside or self._async()
            return self._outside
        return self._by_loop.setdefault(running, self._by_loop.get(running) or self._async())

    def private(self) -> openai.AsyncOpenAI:
        """The async client of the private loop; to be called there only."""
        self._after_fork()
        if self._private is None:
            self._private = self._async().with_options(max_retries=0)  # `ask` tries again by itself
            loop.at_exit(self)
        return self._private

    def close(self) -> None:
        """Let go of the idle connections of `ask`; the next one opens new ones.

        The SDK clients that were handed out are their holder's: the sync one closes when it is no longer used, the
        async ones belong to the caller's loops.
        """
        private, self._private = self._private, None
        if private is not None:
            loop.submit(private.close())

    async def aclose(self) -> None:
        """The private loop's part of `close`, for the end of the process."""
        if self._private is not None:
            await self._private.close()

    def _after_fork(self) -> None:
        # A child shares its parent's sockets: it leaves them alone, unclosed, and opens its own.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _LEFT_TO_THE_PARENT.append((self._sync, self._private, self._outside))
            self._sync = self._private = self._outside = None

    def checkpoint(self) -> None:
        """Keep what has come of exchanges that are being recorded and are not over."""
        if self._deck is not None:
            self._deck.checkpoint()

    def told(self, model: Any, messages: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """In a replay, the recorded messages that follow these; None: the tools are to be run."""
        if self._deck is None:
            return None
        return self._deck.told("/chat/completions", {"model": model, "messages": messages})

    def untold(self) -> CassetteMiss:
        """The error where `told` has found none."""
        assert self._deck is not None
        return self._deck.untold()

    @property
    def unused(self) -> list[int]:
        """Lines of the cassette whose exchanges have not been asked for."""
        return self._deck.unused if self._deck is not None else []

    def _http(self) -> httpx2.Client:
        hooks = self._log.hooks()
        if self._config.mode == "simulate":
            return httpx2.Client(transport=self._simulator(), event_hooks=hooks)
        if self._config.mode == "replay" and self._deck is not None:  # nothing here can open a connection
            return httpx2.Client(transport=CassetteTransport(self._deck, None), event_hooks=hooks, trust_env=False)
        # Redirects are refused: a POST would become a GET, and the key would travel on.
        http = _Http(event_hooks=hooks, follow_redirects=False)
        if self._deck is not None:  # its own transports stay, with the environment's proxies and certificates
            http._transport = CassetteTransport(self._deck, http._transport)
            http._mounts = {url: inner and CassetteTransport(self._deck, inner) for url, inner in http._mounts.items()}
        return http

    def _async(self) -> openai.AsyncOpenAI:
        hooks = self._log.async_hooks()
        http: httpx2.AsyncClient
        if self._config.mode == "simulate":
            http = httpx2.AsyncClient(transport=self._simulator(), event_hooks=hooks)
        elif self._config.mode == "replay" and self._deck is not None:
            played = AsyncCassetteTransport(self._deck, None)
            http = httpx2.AsyncClient(transport=played, event_hooks=hooks, trust_env=False)
        else:
            http = openai.DefaultAsyncHttpxClient(event_hooks=hooks, follow_redirects=False)
            if self._deck is not None:
                http._transport = AsyncCassetteTransport(self._deck, http._transport)
                http._mounts = {
                    url: inner and AsyncCassetteTransport(self._deck, inner) for url, inner in http._mounts.items()
                }
        return openai.AsyncOpenAI(http_client=http, **_settings(self._config))

    def _simulator(self) -> SimulatorTransport:
        return SimulatorTransport(chunks_per_s=self._config.sim_chunks_per_s, drift=self._config.sim_drift)


def _deck(config: Config, where: Callable[[], Place], pixels: Pixels | None) -> Deck | None:
    if config.mode not in ("record", "replay", "cache") or config.cassette is None:
        return None
    return Deck(
        config.cassette,
        mode=config.mode,
        base_path=urlsplit(config.base_url).path,
        secret=config.secret.reveal() if config.secret is not None else "",
        pixels=pixels,
        where=where,
        run_tools=config.replay_tools == "run",
        speed=config.replay_speed,
        journal=config.journal,
    )


def _settings(config: Config) -> dict[str, Any]:
    key = config.api_key.reveal()
    # The SDK fills what it is not given from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS. An explicit
    # header wins over those, also in copies made by `with_options`, and `omit` leaves it out.
    shield: dict[str, Any] = {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
    for name in config.ambient_headers:
        shield[name] = f"Bearer {key}" if name.lower() == "authorization" else openai.omit
    settings: dict[str, Any] = {
        "base_url": config.base_url,
        "api_key": key,
        "admin_api_key": "",
        "webhook_secret": "",
        "max_retries": config.max_retries,
        "default_headers": shield | dict(config.headers),
    }
    if config.timeout_s is not None:
        settings["timeout"] = config.timeout_s
    return settings
