"""A request as a cassette knows it: what makes two requests the same, and what differs when they are not. No HTTP.

An inline image is known by its SHA-256 and its size, so that a recording stays small, and by its pixels, so that it is
still the same image when another release of a plotting library has compressed it otherwise.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

__all__ = ["Asked", "Pixels", "asked", "continuation", "difference", "nearest"]

Pixels = Callable[[bytes], str | None]  # an image file → a digest of its pixels; None where it is no image

_INLINE = re.compile(r"data:([\w.+/-]+)(?:;[\w=.-]+)*;base64,")
_STORED = re.compile(r"data:([\w.+/-]*) sha256=([0-9a-f]{64}) bytes=(\d+)(?: pixels=([0-9a-f]{64}))?")
# Parts that carry their file as bare base64: https://platform.openai.com/docs/api-reference/chat/create
_BARE = {"input_audio": "data", "file": "file_data"}
_COMPARED = 400  # lines of a request that are compared
_WIDE = 300  # characters of a line that are shown
_BREAK = re.compile(r"(?<!\\)\\n")  # a line break as JSON writes it
_SHOWN = 80  # lines of a difference that are shown


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `path` is what follows the base URL, its query sorted; `body` is JSON with its images digested.

    Attributes:
        key: the same for the same request.
        loose: the same too for one whose images only have the same pixels; None where there are none, or they are not
            known.
        called: the same too for one whose tools have only told something else; None where no tool has told anything.
    """

    method: str
    path: str
    body: Any
    key: str
    loose: str | None
    called: str | None


def asked(method: str, path: str, content: bytes, pixels: Pixels | None = None) -> Asked:
    """Describe a request.

    Args:
        method: such as `POST`.
        path: what follows the base URL, with its query.
        content: the body.
        pixels: digests the pixels of the inline images.
    """
    bare, _, query = path.partition("?")
    path = bare + ("?" + urlencode(sorted(parse_qsl(query, keep_blank_values=True))) if query else "")
    try:
        body = json.loads(content) if content else None
    except (ValueError, RecursionError):
        body = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    if b"base64," in content or b"input_audio" in content or b"file_data" in content:
        body = _digested(body, pixels)
    return described(method, path, body)


def described(method: str, path: str, body: Any) -> Asked:
    """The same from a recording, whose images are digested already."""
    text = _dumps([method, path, body])
    loose = None
    if " sha256=" in text:
        if all(found[4] for found in _STORED.finditer(text)):
            loose = _hash(_STORED.sub(lambda found: f"pixels {found[4]}", text))
        text = _strict(text)
    untold = _untold(body)
    called = _hash(_strict(_dumps([method, path, untold]))) if untold is not None else None
    return Asked(method, path, body, _hash(text), loose, called)


def _strict(text: str) -> str:
    return _STORED.sub(lambda found: found[2], text)


def _untold(body: Any) -> Any:
    """The body without what its tools have told; None where none has."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        return None
    tools = [isinstance(message, dict) and message.get("role") == "tool" for message in messages]
    if not any(tools):
        return None
    kept = [{**message, "content": None} if tool else message for message, tool in zip(messages, tools, strict=True)]
    return {**body, "messages": kept}


def continuation(start: Asked, whole: Asked) -> list[dict[str, Any]] | None:
    """The messages with which a recorded request goes on where these end; None where it is no continuation.

    Only the model and the messages count: the other parameters are those of a request, and that one is still to come.

    Args:
        start: made of `{"model": …, "messages": …}`, without a query.
        whole: as it was recorded.
    """
    if not (isinstance(start.body, dict) and isinstance(whole.body, dict)):
        return None
    begun, messages = start.body.get("messages"), whole.body.get("messages")
    if not isinstance(begun, list) or not isinstance(messages, list) or len(messages) <= len(begun):
        return None
    body = {"model": whole.body.get("model"), "messages": messages[: len(begun)]}
    same = described(whole.method, whole.path.partition("?")[0], body)
    if same.key == start.key or (same.loose is not None and same.loose == start.loose):
        return messages[len(begun) :]
    return None


def nearest(one: Asked, recorded: Iterable[Asked]) -> Asked | None:
    """The recorded request that is most like it; None where nothing is recorded."""
    lines = set(_lines(one))

    def alike(other: Asked) -> tuple[bool, float]:
        there = set(_lines(other))
        return other.path == one.path, len(lines & there) / max(1, len(lines | there))

    return max(recorded, key=alike, default=None)


def difference(recorded: Asked, now: Asked) -> str:
    """A unified diff of the two requests, line by line of their JSON."""
    old, new = list(_walk(recorded)), list(_walk(now))
    first = max(0, _alike(old, new) - 2)
    old, new = _differing(old[first:], new[first:])
    made = difflib.unified_diff(old, new, "recorded", "asked now", lineterm="", n=2)
    shown = [line for line in made if not line.startswith("@@")]
    if len(shown) > _SHOWN:
        shown[_SHOWN:] = [f"… and {len(shown) - _SHOWN} lines more"]
    return "\n".join(shown).encode("utf-8", "backslashreplace").decode()


def _differing(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """What is compared line by line: without the end that is the same, and of long lines what is around the change."""
    cut = max(0, _alike(old[::-1], new[::-1]) - 2)
    old, new = old[: len(old) - cut][:_COMPARED], new[: len(new) - cut][:_COMPARED]
    if len(old) == len(new):
        for at, (was, is_) in enumerate(zip(old, new, strict=True)):
            if was != is_ and max(len(was), len(is_)) > _WIDE:
                start = max(0, _alike(was, is_) - _WIDE // 2)
                old[at], new[at] = _around(was, start), _around(is_, start)
    return [_around(line, 0) for line in old], [_around(line, 0) for line in new]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items at the beginning are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (was, is_) in pairs if was != is_), min(len(one), len(other)))


def _around(line: str, start: int) -> str:
    if len(line) <= _WIDE + 4:
        return line
    return ("… " if start else "") + line[start : start + _WIDE] + (" …" if len(line) > start + _WIDE else "")


def _lines(one: Asked) -> list[str]:
    return list(_walk(one))[:_COMPARED]


def _walk(one: Asked) -> Iterator[str]:
    yield f"{one.method} {one.path}"
    body = one.body
    if isinstance(body, dict):  # the short parameters first
        body = {name: body[name] for name in sorted(body, key=lambda name: (name == "messages", name))}
    for line in json.dumps(body, ensure_ascii=False, indent=1).splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        # A prompt of several lines stands on several lines: the diff then names the one that changed.
        for number, part in enumerate(_BREAK.split(line)):
            yield part if not number else f"{indent}  {part}"


def _digested(value: Any, pixels: Pixels | None, holder: str = "") -> Any:
    if isinstance(value, dict):
        bare = _BARE.get(holder)
        return {
            name: _digest("", item, None)
            if name == bare and isinstance(item, str) and not item.startswith("data:")
            else _digested(item, pixels, name)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_digested(item, pixels) for item in value]
    if isinstance(value, str) and value.startswith("data:") and (found := _INLINE.match(value)):
        return _digest(found[1], value[found.end() :], pixels)
    return value


def _digest(kind: str, encoded: str, pixels: Pixels | None) -> str:
    try:
        data = base64.b64decode(encoded, validate=False)
    except (binascii.Error, ValueError):
        data = encoded.encode("utf-8", "surrogatepass")
    stored = f"data:{kind} sha256={hashlib.sha256(data).hexdigest()} bytes={len(data)}"
    seen = pixels(data) if pixels is not None and kind.startswith("image/") else None
    return f"{stored} pixels={seen}" if seen else stored


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
