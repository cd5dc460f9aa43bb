"""What a reader asks a server by hand, with or without recordings; and what an error of it means."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from .. import clock
from ..cassettes.session import CassetteSession
from ..display.escape import shorten, show_controls
from ..errors import ProtocolError, ToolError
from ..wire import event_loop
from .calls import Listener, SilenceError
from .frames import prompts_frame, resources_frame
from .hints import (
    add_hint,
    check_name,
    describe_prompts,
    describe_resources,
    describe_tools,
    join_arguments,
    show_name,
)
from .notices import tell
from .prompts import PromptMessages, read_contents, read_messages
from .requests import ServerRequests
from .results import ServerResult
from .target import Target

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ServerQueries"]

T = TypeVar("T")
_SALT = os.urandom(16)
_count = count()
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # of servers in this process

_MAX_QUESTION = 200
_HINT_S = 5.0  # what a list may take that is asked for only to explain an error
_OWN_TARGET = Target(name="amber").digest  # of the domain's own server in recordings: its URL is a setting


class ServerQueries:
    """Ask a server, or the recordings; on the private loop.

    Args:
        target: where the server is.
        requests: send to the server.
        session: returns the recordings to use.
        is_amber: whether it is the server of the gateway's own domain.
    """

    def __init__(
        self,
        target: Target,
        requests: ServerRequests,
        session: Callable[[], CassetteSession | None],
        *,
        is_amber: bool,
    ) -> None:
        self._target = target
        self._requests = requests
        self._session = session
        self._is_amber = is_amber

    @property
    def key(self) -> str:
        """See `McpServer.key`."""
        target = self._target
        parts = [target.url, target.command, target.folder, sorted(target.headers.items()), sorted(target.env.items())]
        here = None if target.server is None else _numbers.setdefault(target.server, next(_count))
        text = json.dumps([*parts, here])
        return hashlib.blake2b(text.encode(), key=_SALT, digest_size=8).hexdigest()

    @property
    def identity(self) -> dict[str, str]:
        """What tells the server from others in recordings; the domain's own is one server, wherever it is."""
        return {"server": self._target.name, "target": _OWN_TARGET if self._is_amber else self._target.digest}

    async def exchange(
        self,
        path: str,
        body: Mapping[str, Any],
        send: Callable[[], Awaitable[dict[str, Any]]],
        session: CassetteSession | None,
    ) -> dict[str, Any]:
        """Return what the server answers, now or in a recording."""
        if session is None:
            return await send()
        whole = {**self.identity, **body}
        return await session.servers.exchange(path, whole, send, secrets=self._target.rare_secrets)

    async def call(
        self, name: str, given: Any, arguments: Mapping[str, Any], send: Callable[..., Awaitable[ServerResult]]
    ) -> ServerResult:
        """Call a tool, see `McpServer.call`; `send` is `McpServer.call_tool`."""
        check_name("call", name)
        joined = join_arguments(name, given, arguments)
        session, listener, server = self._session(), _FirstQuestion(), self._target.name
        try:
            result = await send(session, name, joined, listener)
        except SilenceError:
            raise
        except ToolError as error:
            if hint := self._describe_tools(name):
                raise ToolError(add_hint(str(error), hint), name=name, arguments={}) from None
            raise
        finally:
            if listener.text is not None:
                question = show_controls(shorten(" ".join(listener.text.split()), _MAX_QUESTION))
                tell(
                    session,
                    f"the MCP server {server!r} asked something during {show_name(name)}, which was declined: only in "
                    f"an ask(tools=…) can you answer it. It asked: {question}",
                )
        if result.is_error:
            text = f"{show_name(name)} of the MCP server {server!r} failed: {show_controls(result.text)}"
            raise ToolError(add_hint(text, self._describe_tools(name)), name=name, arguments={})
        return result

    def _describe_tools(self, name: str) -> str:
        return describe_tools(name, [tool.name for tool in self._requests.listed or ()])

    async def resources(self) -> pd.DataFrame:
        """Return the resources, see `McpServer.resources`."""
        return await self._fetch("/resources/list", {}, self._requests.list_resources, resources_frame)

    async def read(self, uri: str) -> Any:
        """Read a resource, see `McpServer.read`."""
        check_name("read", uri)
        send = partial(self._requests.read_resource, uri)
        explained = partial(_explain, send, self._requests.list_resources, partial(describe_resources, uri=uri))
        return await self._fetch("/resources/read", {"uri": uri}, explained, read_contents)

    async def prompts(self) -> pd.DataFrame:
        """Return the prompts, see `McpServer.prompts`."""
        return await self._fetch("/prompts/list", {}, self._requests.list_prompts, prompts_frame)

    async def prompt(self, name: str, arguments: Mapping[str, str]) -> PromptMessages:
        """Return the messages of a prompt, see `McpServer.prompt`."""
        check_name("prompt", name)
        texts = {key: str(value) for key, value in arguments.items()}
        send = partial(self._requests.get_prompt, name, texts)
        describe = partial(describe_prompts, name=name, arguments=texts)
        explained = partial(_explain, send, self._requests.list_prompts, describe)
        messages = await self._fetch("/prompts/get", {"name": name, "arguments": texts}, explained, read_messages)
        return PromptMessages(messages, server=self._target.name, group=self.key)

    async def _fetch(
        self,
        path: str,
        body: Mapping[str, Any],
        send: Callable[[], Awaitable[dict[str, Any]]],
        read: Callable[[dict[str, Any]], T],
    ) -> T:
        """Return what was made of an answer, in a thread: pandas may have to be loaded, or much to be read."""
        answer = await self.exchange(path, body, send, self._session())
        return await event_loop.run_in_thread(partial(read, answer))


class _FirstQuestion(Listener):
    """What a server asks first in a call by hand, where it is declined and the reader is told of it afterwards."""

    text: str | None = None

    def report(self, note: str) -> None:
        pass

    async def ask_reader(self, message: str, schema: Mapping[str, Any]) -> None:
        self.text = self.text or message or "?"


async def _explain(
    send: Callable[[], Awaitable[dict[str, Any]]],
    list_names: Callable[[], Awaitable[dict[str, Any]]],
    describe: Callable[[dict[str, Any]], str],
) -> dict[str, Any]:
    """Send a request; where the server refuses it, say what it lists.

    This stands within the exchange: a recording holds the whole message, and its replay asks for no list.
    """
    try:
        return await send()
    except ProtocolError as error:
        try:
            async with clock.timeout(_HINT_S):
                hint = describe(await list_names())
        except (ToolError, TimeoutError):
            raise error from None
        raise ProtocolError(add_hint(str(error), hint), name=error.name, arguments=error.arguments) from None
