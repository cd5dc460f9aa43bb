"""A completion as the server-sent events of a stream: one choice piece by piece, several choices in turn."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["pieces", "sse"]

_PIECE = re.compile(r" ?\w{1,14}| ?[^\w\s]|\n+|\s")


def pieces(text: str) -> list[str]:
    """Cut a text into what one delta carries, about a token each.

    Example:
        pieces("Hello! How are you?")  # ["Hello", "!", " How", " are", " you", "?"]
    """
    return _PIECE.findall(text)


def sse(completion: dict[str, Any], *, include_usage: bool = False, litellm: bool = False) -> tuple[bytes, ...]:
    """Give the events of a streamed completion, each with its blank line, `[DONE]` last.

    The first delta has no role and the last is empty, as on the vendor's page.

    Args:
        completion: the reply as it would be sent unstreamed.
        include_usage: add a chunk with the usage; the others then carry `"usage": null`.
        litellm: leave `finish_reason` and `logprobs` out before the end; give the usage chunk a choice.
    """
    head = {key: completion[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"

    def event(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {**head, "choices": choices}
        if usage is not None:
            chunk["usage"] = usage
        elif include_usage and not litellm:
            chunk["usage"] = None
        return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"

    def choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        out: dict[str, Any] = {"index": index, "delta": delta}
        if finish_reason is not None or not litellm:
            out |= {"logprobs": None, "finish_reason": finish_reason}
        return out

    events = []
    queues = [(item["index"], item["finish_reason"], _deltas(item["message"])) for item in completion["choices"]]
    for turn in range(max(len(deltas) for _, _, deltas in queues) + 1):
        for index, finish_reason, deltas in queues:
            if turn < len(deltas):
                events.append(event([choice(index, deltas[turn])]))
            elif turn == len(deltas):
                events.append(event([choice(index, {}, finish_reason)]))
    if include_usage:
        events.append(event([choice(0, {})] if litellm else [], completion["usage"]))
    return (*events, b"data: [DONE]\n\n")


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"content": piece} for piece in pieces(message["content"] or "")]
    for call in message["tool_calls"] or []:
        function = {"name": call["function"]["name"], "arguments": ""}
        first = {"index": call["index"], "id": call["id"], "type": "function", "function": function}
        deltas.append({"tool_calls": [first]})
        for piece in pieces(call["function"]["arguments"]):
            deltas.append({"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]})
    return deltas
