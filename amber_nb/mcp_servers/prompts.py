"""Read the resources and prompts of an MCP server: contents as values, messages as `ask` takes them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex, overload

from ..types import Message, replace_surrogates
from .results import read_blocks

__all__ = ["PromptMessages", "read_contents", "read_messages"]


class PromptMessages(list[Message]):
    """The messages of a server's prompt, which are its text, whatever role they have.

    What is made of them with `+` and slices is so, too.

    Args:
        messages: the messages.
        server: the server's name, for readers.
        group: whose text it is, see `McpServer.key`.
    """

    def __init__(self, messages: Iterable[Message] = (), *, server: str = "", group: str = "") -> None:
        super().__init__(messages)
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
        return PromptMessages(messages, server=self.server, group=self.group)


def read_contents(result: Mapping[str, Any]) -> Any:
    """Return the contents of a resource: text as text, all else as bytes; of several, a list."""
    contents = result.get("contents")
    items = [item for item in contents if isinstance(item, Mapping)] if isinstance(contents, list) else []
    values = [_read_content(item) for item in items]
    return values[0] if len(values) == 1 else values


def _read_content(item: Mapping[str, Any]) -> str | bytes:
    if isinstance(text := item.get("text"), str):
        return replace_surrogates(text)
    try:
        return base64.b64decode(str(item.get("blob") or ""), validate=False)
    except ValueError:  # binascii.Error is one; so is that of letters beyond ASCII
        return b""


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
