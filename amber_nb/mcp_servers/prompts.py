"""Read the resources and prompts of an MCP server: contents as values, messages as `ask` takes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ..types import Message, replace_surrogates
from .results import read_blocks

__all__ = ["read_contents", "read_messages"]


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
