"""Keep the keys of servers out of the logs of the SDK and its HTTP client: those log whole URLs."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from ..redact import HIDDEN

__all__ = ["hide_in_logs"]

_SESSION = "client"  # the SDK's session calls itself so, and a user's own logger may, too
# Each by its name: the filter of a logger does not see what its children log.
_LOGGERS = (
    *("httpx2", _SESSION),
    *(f"httpcore2.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")),
    *(f"mcp.client.{name}" for name in ("auth.oauth2", "caching", "client", "sse", "stdio", "streamable_http")),
    *(
        f"mcp.shared.{name}"
        for name in ("direct_dispatcher", "dispatcher", "jsonrpc_dispatcher", "tool_name_validation")
    ),
)


class _SecretFilter(logging.Filter):
    """Replace secrets in what is logged; nothing is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[str] = Counter()  # by how many owners
        self._discarded: deque[list[str]] = deque()  # by the garbage collector, within any line of any thread
        self._secrets: tuple[str, ...] = ()  # the longest first: a secret may begin with another
        self._lock = threading.Lock()
        self._format = logging.Formatter().formatException

    def add(self, secrets: Iterable[str]) -> list[str]:
        """Hide more secrets, also as a URL spells them; return all that `discard` is to be called with."""
        spelt = {spell(secret) for secret in secrets for spell in (str, quote, _quote_all, quote_plus)}
        with self._lock:
            while self._discarded:
                self._counts -= Counter(self._discarded.popleft())
            self._counts.update(spelt)
            self._secrets = tuple(sorted(self._counts, key=len, reverse=True))
        return list(spelt)

    def discard(self, spelt: list[str]) -> None:
        """Hide these no longer once others are added, unless another owner has them, too."""
        self._discarded.append(spelt)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == _SESSION and not _is_of_sdk(record):
            return True
        try:
            message = record.getMessage()
        except Exception:  # a wrong format: logging tells by itself
            return True
        if (hidden := self._hide(message)) != message:
            record.msg, record.args = hidden, None
        if record.exc_info and (hidden := self._hide(text := self._format(record.exc_info))) != text:
            record.exc_info, record.exc_text = None, hidden
        return True

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


_FILTER = _SecretFilter()


def hide_in_logs(owner: object, secrets: Iterable[str]) -> None:
    """Replace secrets in what the SDK and its HTTP client log, as long as their owner is there."""
    weakref.finalize(owner, _FILTER.discard, _FILTER.add(set(secrets))).atexit = False
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # once: a second time changes nothing


def _is_of_sdk(record: logging.LogRecord) -> bool:
    return any(f"{os.sep}mcp{os.sep}{part}{os.sep}" in record.pathname for part in ("client", "shared"))


def _quote_all(text: str) -> str:
    return quote(text, safe="")
