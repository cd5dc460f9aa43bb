"""Read the resources and prompts of an MCP server: contents as values, messages as `ask` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex, overload

from ..display.escape import shorten, show_controls
from ..errors import ToolError
from ..types import Message, replace_surrogates
from .results import decode_base64, read_blocks

__all__ = ["PromptMessage", "PromptMessages", "read_contents", "read_messages"]

_MAX_NAME = 128


class PromptMessage(dict[str, Any]):
    """A message of a server's prompt: the server's text, also beside messages of the user's own.

    It is a dict like any other; its copies, and what `|` makes of it, keep the mark.

    Args:
        message: the message.
        server: the server's name, for readers.
        group: whose text it is, see `McpServer.key`.
    """

    def __init__(self, message: Message, *, server: str = "", group: str = "") -> None:
        super().__init__(message)
        self.server = server
        self.group = group

    def copy(self) -> PromptMessage:
        """Return a copy, marked in the same way."""
        return self._mark(self)

    def __or__(self, other: Any) -> PromptMessage:  # type: ignore[override]
        return self._mark({**self, **other}) if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> PromptMessage:  # type: ignore[override]
        return self._mark({**other, **self}) if isinstance(other, dict) else NotImplemented

    def _mark(self, message: Message) -> PromptMessage:
        return PromptMessage(message, server=self.server, group=self.group)


class PromptMessages(list[Message]):
    """The messages of a server's prompt, which are its text, whatever role they have.

    What is made of them with `+` and slices is so, too; and each message by itself, as in `[…, *messages]`.

    Args:
        messages: the messages.
        server: the server's name, for readers.
        group: whose text it is, see `McpServer.key`.
    """

    def __init__(self, messages: Iterable[Message] = (), *, server: str = "", group: str = "") -> None:
        super().__init__(
            message if isinstance(message, PromptMessage) else PromptMessage(message, server=server, group=group)
            for message in messages
        )
        self.server = server
        self.group = group

    def __add__(self, other: list[Any]) -> PromptMessages:  # type: ignore[override]
        return self._mark([*self, *other]) if isinstance(other, list) else NotImplemented

    def __radd__(self, other: list[Any]) -> PromptMessages:
        return self._mark([*other, *self]) if isinstance(other, list) else NotImplemented

    @overload
    def __getitem__(self, index: SupportsIndex) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> PromptMessages: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Message | PromptMessages:
        return self._mark(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def copy(self) -> PromptMessages:
        """Return a copy, marked in the same way."""
        return self._mark(self)

    def _mark(self, messages: Iterable[Message]) -> PromptMessages:
        marked = PromptMessages(server=self.server, group=self.group)
        marked.extend(messages)  # as they are: some may be of another server
        return marked


def read_contents(result: Mapping[str, Any]) -> Any:
    """Return the contents of a resource: text as text, all else as bytes; of several, a list.

    Raises:
        ToolError: the server sent data that is no base64.
    """
    contents = result.get("contents")
    items = [item for item in contents if isinstance(item, Mapping)] if isinstance(contents, list) else []
    values = [_read_content(item) for item in items]
    return values[0] if len(values) == 1 else values


def _read_content(item: Mapping[str, Any]) -> str | bytes:
    if isinstance(text := item.get("text"), str):
        return replace_surrogates(text)
    blob = item.get("blob")
    if blob is None:  # nothing was sent
        return b""
    try:
        return decode_base64(str(blob))
    except ValueError:
        uri = item.get("uri")
        # Without its folder.
        name = uri.rstrip("/").rpartition("/")[2] if isinstance(uri, str) else ""
        what = f"resource {show_controls(shorten(name, _MAX_NAME))!r}" if name else "resource"
        raise ToolError(f"The {what} cannot be read: the server sent data that is no base64.") from None


def read_messages(result: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a prompt, with pictures and files as `ask` sends them.

    A prompt holds messages of the user and of the assistant; any other role is taken for the user's.
    """
    items = result.get("messages")
    messages = [_read_message(item) for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return [message for message in messages if message["content"]]  # many gateways refuse one without content


def _read_message(item: Mapping[str, Any]) -> Message:
    content = item.get("content")
    blocks = content if isinstance(content, list) else [content]
    parts = read_blocks([{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks])
    role = "assistant" if item.get("role") == "assistant" else "user"
    if all(isinstance(part, str) for part in parts):
        return {"role": role, "content": "\n".join(parts)}
    typed = [{"type": "text", "text": part} if isinstance(part, str) else dict(part) for part in parts]
    return {"role": role, "content": typed}
