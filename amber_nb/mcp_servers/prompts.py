"""Read the resources and prompts of an MCP server: contents as values, messages as `ask` takes them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from ..types import Message, replace_surrogates
from .results import read_blocks

__all__ = ["read_contents", "read_messages"]


def read_contents(result: Mapping[str, Any]) -> Any:
    """Return the contents of a resource: text as text, all else as bytes; of several, a list."""
    contents = result.get("contents")
    values = [_read_content(item) for item in contents if isinstance(item, Mapping)] if contents else []
    return values[0] if len(values) == 1 else values


def _read_content(item: Mapping[str, Any]) -> str | bytes:
    if isinstance(text := item.get("text"), str):
        return replace_surrogates(text)
    try:
        return base64.b64decode(str(item.get("blob") or ""), validate=False)
    except binascii.Error:
        return b""


def read_messages(result: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a prompt, with pictures and files as `ask` sends them.

    A prompt holds messages of the user and of the assistant; any other role is taken for the user's.
    """
    messages: list[Message] = []
    for item in result.get("messages") or ():
        if not isinstance(item, Mapping):
            continue
        content = item.get("content")
        blocks = content if isinstance(content, list) else [content]
        parts = read_blocks([block for block in blocks if isinstance(block, Mapping)])
        role = "assistant" if item.get("role") == "assistant" else "user"
        if all(isinstance(part, str) for part in parts):
            messages.append({"role": role, "content": "\n".join(parts)})
        else:
            typed = [{"type": "text", "text": part} if isinstance(part, str) else dict(part) for part in parts]
            messages.append({"role": role, "content": typed})
    return messages
