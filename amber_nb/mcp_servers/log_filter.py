"""Keep the keys of servers out of the logs of the SDK and its HTTP client: those log whole URLs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from ..redact import HIDDEN

__all__ = ["hide_in_logs"]

# Each by its name: the filter of a logger does not see what its children log.
_LOGGERS = (
    *("httpx2", "client"),  # the SDK's session calls itself "client"
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
        self._secrets: tuple[str, ...] = ()  # the longest first: a secret may begin with another
        self._lock = threading.Lock()
        self._format = logging.Formatter().formatException

    def add(self, secrets: Iterable[str]) -> None:
        """Hide more secrets, also as a URL spells them."""
        spelt = {form for secret in secrets for form in (secret, quote(secret), quote(secret, safe=""))}
        spelt |= {quote_plus(secret) for secret in secrets}
        with self._lock:
            self._secrets = tuple(sorted({*self._secrets, *spelt}, key=len, reverse=True))

    def filter(self, record: logging.LogRecord) -> bool:
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


def hide_in_logs(secrets: Iterable[str]) -> None:
    """Replace these secrets in what the SDK and its HTTP client log from now on."""
    _FILTER.add(set(secrets))
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)  # once: a second time changes nothing
