"""Ask the reader what a server asks while its tools run, on the card of the call that it belongs to."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import mcp_types

from .calls import Listener

__all__ = ["Elicitor"]

_LISTENER: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("amber_mcp_listener", default=None)


class Elicitor:
    """Answer the questions of one session; on its event loop alone."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []  # of the calls that run

    @contextlib.contextmanager
    def listen(self, listener: Listener | None) -> Iterator[None]:
        """Have a listener asked while the call of this task runs; None: nobody."""
        _LISTENER.set(listener)
        if listener is None:
            yield
            return
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def elicit(self, context: Any, params: Any) -> mcp_types.ElicitResult | mcp_types.ErrorData:
        """Ask the reader what a server asks, on the card of the call that runs; decline where that may be another."""
        listener = _LISTENER.get()
        if listener is None and len(self._listeners) > 1:
            for each in self._listeners:
                each.report("the server asked a question, which was declined: it cannot be told which call it is of")
            return mcp_types.ElicitResult(action="decline")
        listener = listener or (self._listeners[0] if self._listeners else None)
        schema = getattr(params, "requested_schema", None)
        if listener is None or not isinstance(schema, dict):  # an address that is to be opened has no schema
            if listener is not None:
                listener.report("it wanted a page to be opened, which was refused")
            return mcp_types.ElicitResult(action="decline")
        try:
            content: Any = await listener.ask_reader(params.message, schema)
        except TimeoutError:
            return mcp_types.ElicitResult(action="cancel")
        if content is None:
            return mcp_types.ElicitResult(action="decline")
        return mcp_types.ElicitResult(action="accept", content=dict(content))
