"""Look at the messages of a server before the SDK reads them, so that one bad part does not cost the rest."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import ContentBlock, ErrorData, JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter
from pydantic import TypeAdapter, ValidationError

from ..display.escape import shorten, show_controls
from ..types import replace_surrogates
from .http import UNUSABLE
from .listing import HINTS

__all__ = ["SAMPLING_IN_SDK", "SAMPLING_REFUSED", "Filter"]

SAMPLING_IN_SDK = "Sampling not supported"
SAMPLING_REFUSED = "Sampling is refused: amber_nb lends no server the company's model."

_MAX_RUBBISH = 100  # pieces without a message between them
# An answer that nests too deeply for any reader: its id stands before all else, or after it.
_VERSION, _ID = r'"jsonrpc"\s*:\s*"2\.0"', r'"id"\s*:\s*(\d{1,18}|"[^"\\]{1,64}")'
_HEAD = re.compile(rf'\s*{{\s*(?:{_VERSION}\s*,\s*)?{_ID}\s*,\s*(?:{_VERSION}\s*,\s*)?"(?:result|error)"\s*:')
_ANSWER = re.compile(rf'\s*{{\s*(?:{_VERSION}\s*,\s*)?"(?:result|error)"\s*:')
_TAIL = re.compile(rf",\s*{_ID}\s*(?:,\s*{_VERSION}\s*)?}}\s*$")
_TAIL_LENGTH = 200
# What is read of a tool; a wrong type in any other field would be as bad as one of these.
_TEXTS = ("name", "title", "description")
_OBJECTS = ("inputSchema", "annotations")
_OF_TOOLS = {"content", "structuredContent", "isError"}  # what the result of a tool has, and no other
_BLOCK: TypeAdapter[Any] = TypeAdapter(ContentBlock)
_MAX_KIND = 60


class Filter:
    """Stands between the transport of a server and the SDK's session.

    Args:
        on_end: called once the server has ended the stream, before anybody asks again.

    Attributes:
        rubbish: how many pieces were no messages since the last message.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.rubbish = 0
        self.on_end = on_end

    @property
    def has_given_up(self) -> bool:
        """Whether the session was ended for the number of pieces that were no messages."""
        return self.rubbish > _MAX_RUBBISH

    @contextlib.asynccontextmanager
    async def around(self, transport: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        """Return a transport whose messages pass through this filter."""
        async with transport as (read, write):
            yield _Inbound(read, self), _Outbound(write)


class _Stream:
    """A stream of messages, which it hands on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        result: bool | None = await self._stream.__aexit__(kind, error, traceback)
        return result


class _Inbound(_Stream):
    """The stream of a server's messages."""

    def __init__(self, stream: Any, owner: Filter) -> None:
        super().__init__(stream)
        self._owner = owner

    @property
    def last_context(self) -> Any:
        """The context of the newest message's sender, where the transport keeps it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        """Return the next message."""
        try:
            item = await self._stream.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._owner.on_end()
            raise
        if isinstance(item, ValidationError):
            item = _repair(item)
        if isinstance(item, Exception):
            self._owner.rubbish += 1
            if self._owner.has_given_up:
                self._owner.on_end()
                raise anyio.EndOfStream
        elif isinstance(item, SessionMessage):
            self._owner.rubbish = 0  # a server may write a line beside each answer
            if isinstance(item.message, JSONRPCResponse):
                _clean(item.message.result)
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _repair(error: ValidationError) -> SessionMessage | ValidationError:
    """Return the message of a line that pydantic does not take for half a character, or the error.

    Such halves, lone surrogates, are what JavaScript leaves where it cuts a text. An answer that cannot be read is an
    error of its request, which would wait for it else.
    """
    inputs = [detail.get("input") for detail in error.errors(include_url=False, include_context=False)]
    line = inputs[0] if inputs else None
    try:
        text = replace_surrogates(json.dumps(json.loads(line), ensure_ascii=False)) if isinstance(line, str) else ""
        return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
    except (ValueError, RecursionError):  # pydantic's error is a ValueError, too
        pass
    found = [_find_in_line(line)] if isinstance(line, str) else [_find_request(each) for each in inputs]
    request: int | str | None = next((each for each in found if each is not None), None)
    if request is None:
        return error
    data = ErrorData(code=UNUSABLE, message="sent an answer that cannot be read")
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request, error=data))


def _find_request(message: Any) -> int | str | None:
    """Return the id of the request that a message answers; None where it is no answer."""
    if not isinstance(message, dict) or "method" in message or not ({"result", "error"} & message.keys()):
        return None
    request = message.get("id")
    return request if isinstance(request, (int, str)) and not isinstance(request, bool) else None


def _find_in_line(line: str) -> int | str | None:
    try:
        return _find_request(json.loads(line, parse_int=_read_integer))
    except ValueError:
        return None
    except RecursionError:
        found = _HEAD.match(line) or (_TAIL.search(line[-_TAIL_LENGTH:]) if _ANSWER.match(line) else None)
        request: int | str | None = json.loads(found[1]) if found else None
        return request


def _read_integer(digits: str) -> int:
    """Return a number; 0 for one that is no id, and of which Python may not read so many digits."""
    return int(digits) if len(digits) < 20 else 0


class _Outbound(_Stream):
    """The stream of our own messages."""

    async def send(self, item: Any) -> None:
        """Send a message; a refusal of the SDK's gives its reason."""
        message = getattr(item, "message", None)
        if isinstance(message, JSONRPCError) and message.error.message == SAMPLING_IN_SDK:
            message.error.message = SAMPLING_REFUSED
        await self._stream.send(item)


def _clean(result: Any) -> None:
    """Leave out of an answer what would spoil it whole."""
    if not isinstance(result, dict):
        return
    if isinstance(tools := result.get("tools"), list):
        _clean_listing(result, tools)
    elif not _OF_TOOLS.isdisjoint(result):
        _clean_result(result)
    if not isinstance(result.get("_meta"), (dict, type(None))):
        del result["_meta"]


def _clean_result(result: dict[str, Any]) -> None:
    """Replace blocks of content that are not of the protocol's form: the others may be what was asked for."""
    content = result.get("content")
    blocks = content if isinstance(content, list) else [] if content is None else [content]
    result["content"] = [block if _is_block(block) else _describe_block(block) for block in blocks]
    if not isinstance(result.get("isError", False), bool):
        result["isError"] = bool(result["isError"])
    structured = result.get("structuredContent")
    if structured is not None and not isinstance(structured, dict):  # as the protocol had it before 2026
        result["structuredContent"] = {"result": structured}


def _is_block(block: Any) -> bool:
    try:
        _BLOCK.validate_python(block, by_name=False)
    except (ValidationError, RecursionError):
        return False
    return True


def _describe_block(block: Any) -> dict[str, str]:
    """Return a text in the place of a block that cannot be read: what text there is in it, or of which kind it is."""
    fields = block if isinstance(block, dict) else {"text": block}
    if isinstance(text := fields.get("text"), str) and text:
        return {"type": "text", "text": text}
    kind = show_controls(shorten(str(fields.get("type", type(block).__name__)), _MAX_KIND))
    return {"type": "text", "text": f"(content of the kind {kind}, which cannot be read)"}


def _clean_listing(result: dict[str, Any], tools: list[Any]) -> None:
    """Leave out of a listing what would spoil it whole, or make the SDK run a stranger's pattern over a result."""
    usable = [tool for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)]
    for tool in usable:
        schema, hints = (value if isinstance(value := tool.get(name), dict) else {} for name in _OBJECTS)
        kept = {name: tool[name] for name in _TEXTS if isinstance(tool.get(name), str)}
        kept["inputSchema"] = {**schema, "type": "object"}
        if known := {name: hints[name] for name in HINTS if isinstance(hints.get(name), bool)}:
            kept["annotations"] = known
        if isinstance(task := tool.get("execution"), dict) and task.get("taskSupport") == "required":
            kept["execution"] = {"taskSupport": "required"}
        tool.clear()
        tool.update(kept)
    result["tools"] = usable
    if not isinstance(result.get("nextCursor"), (str, type(None))):
        del result["nextCursor"]
