"""The SDK's clients for one `Config`: configured by it alone, never by `OPENAI_*` variables."""

from __future__ import annotations

from typing import Any

import httpx2
import openai

from ..config import Config
from .transport import SimulatorTransport
from .usage import UsageLog

__all__ = ["async_client", "sync_client"]


def sync_client(config: Config, log: UsageLog) -> openai.OpenAI:
    """A real `openai.OpenAI` on the mode's transport; its requests are written to `log`."""
    http: httpx2.Client
    if config.mode == "simulate":
        http = httpx2.Client(
            transport=SimulatorTransport(chunks_per_s=config.sim_chunks_per_s), event_hooks=log.hooks()
        )
    else:
        http = openai.DefaultHttpxClient(event_hooks=log.hooks())
    return openai.OpenAI(http_client=http, **_settings(config))


def async_client(config: Config, log: UsageLog) -> openai.AsyncOpenAI:
    """The same for one event loop: a connection pool must not be shared between loops."""
    http: httpx2.AsyncClient
    if config.mode == "simulate":
        transport = SimulatorTransport(chunks_per_s=config.sim_chunks_per_s)
        http = httpx2.AsyncClient(transport=transport, event_hooks=log.async_hooks())
    else:
        http = openai.DefaultAsyncHttpxClient(event_hooks=log.async_hooks())
    return openai.AsyncOpenAI(http_client=http, **_settings(config))


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
