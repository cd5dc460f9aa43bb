"""Match requests with recordings: when two requests are the same, how they differ, and how often one was sent.

An inline image is known by its SHA-256 and its size, so that a recording stays small, and by its pixels, so that it is
still the same image when another release of a plotting library compresses it differently.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ..wire.thinking import split_thinking

__all__ = [
    "SERVER_METHOD",
    "CassetteRequest",
    "Cell",
    "Occurrence",
    "OccurrenceCounter",
    "Pixels",
    "RequestKey",
    "continuation",
    "difference",
    "fingerprint",
    "make_key",
]

SERVER_METHOD = "MCP"  # where HTTP has its method: what is asked of an MCP server, and not of the gateway

Pixels = Callable[[bytes], str | None]  # an image file → a digest of its pixels; None where it is no image

_INLINE = re.compile(r"data:([\w.+/-]+)(?:;[\w=.-]+)*;base64,")
_STORED = re.compile(r"data:([\w.+/-]*) sha256=([0-9a-f]{64}) bytes=(\d+)(?: pixels=([0-9a-f]{64}))?")
# Parts that carry their file as bare base64: https://platform.openai.com/docs/api-reference/chat/create
_BARE_BASE64 = {"input_audio": "data", "file": "file_data"}
_COMPARED = 400  # lines of a request that are compared
_WIDE = 300  # characters of a line that are shown
_MESSAGE_FIELDS = ("role", "content", "refusal", "tool_calls", "function_call", "name", "audio")
_CALL_FIELDS = ("id", "type", "function", "custom")
_TEXT_PARTS = ("text", "thinking", "reasoning")
_BREAK = re.compile(r"(?<!\\)\\n")  # a line break as JSON writes it
_DIFF_LINES = 80  # lines of a difference that are shown


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes two requests the same: hashes of the request, from the strictest on.

    Attributes:
        path: what follows the base URL, its query sorted.
        body: JSON, with digests in place of images and files.
        exact: hash of the request.
        by_pixels: hash of the request with its images' pixels instead of their bytes; None without images, or where
            their pixels are not known.
        without_results: hash of the request without its tools' results; None where it holds none.
    """

    method: str
    path: str
    body: Any
    exact: str
    by_pixels: str | None
    without_results: str | None

    @property
    def of_server(self) -> bool:
        """Whether it is asked of an MCP server, and not of the gateway."""
        return self.method == SERVER_METHOD


def fingerprint(method: str, path: str, content: bytes, pixels: Pixels | None = None) -> RequestKey:
    """Return the key of a request; `path` is what follows the base URL, with its query, and `content` the body."""
    bare, _, query = path.partition("?")
    path = bare + ("?" + urlencode(sorted(parse_qsl(query, keep_blank_values=True))) if query else "")
    try:
        body = json.loads(content) if content else None
    except (ValueError, RecursionError):
        body = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    if b"base64," in content or b"input_audio" in content or b"file_data" in content:
        body = _digest_files(body, pixels)
    return make_key(method, path, body)


def make_key(method: str, path: str, body: Any) -> RequestKey:
    """Return the key of a request whose body holds digests already, as a recording has it."""
    text = _dumps([method, path, plain := _without_own_fields(body)])
    by_pixels = None
    if " sha256=" in text:
        if all(found[4] for found in _STORED.finditer(text)):
            by_pixels = _hash(_STORED.sub(lambda found: f"pixels {found[4]}", text))
        text = _STORED.sub(r"\2", text)
    without_results = None
    if (bare := _drop_results(plain)) is not None:
        without_results = _hash(_STORED.sub(r"\2", _dumps([method, path, bare])))
    return RequestKey(method, path, body, _hash(text), by_pixels, without_results)


def _without_own_fields(body: Any) -> Any:
    """Return the body without what a model's own messages hold beside the documented fields, and without thinking.

    These come from the replies before: older recordings lack the fields, and have the thinking within the content.
    """
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        return body
    return {**body, "messages": [_plain_message(message) for message in messages]}


def _plain_message(message: Any) -> Any:
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return message
    plain = {field: value for field, value in message.items() if field in _MESSAGE_FIELDS}
    if "content" in plain:
        plain["content"] = _plain_content(plain["content"])
    calls = message.get("tool_calls")
    if isinstance(calls, list) and all(isinstance(call, dict) for call in calls):
        plain["tool_calls"] = [{field: call[field] for field in _CALL_FIELDS if field in call} for call in calls]
    return plain


def _plain_content(content: Any) -> Any:
    """Return the text of a model's message without its thinking; content that holds anything else as it is."""
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") in _TEXT_PARTS for part in content):
            return content
        texts = [part.get("text") for part in content if part["type"] == "text"]
        content = "".join(text for text in texts if isinstance(text, str))
    return split_thinking(content)[1] if isinstance(content, str) else content


def _drop_results(body: Any) -> Any:
    """Return the body without the results of its tools; None where it holds none."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        return None
    tools = [isinstance(message, dict) and message.get("role") == "tool" for message in messages]
    if not any(tools):
        return None
    kept = [{**message, "content": None} if tool else message for message, tool in zip(messages, tools, strict=True)]
    return {**body, "messages": kept}


def continuation(start: RequestKey, whole: RequestKey) -> list[dict[str, Any]] | None:
    """Return the messages that a recorded request adds to these; None where it does not begin with them.

    Only the model and the messages count: the other parameters belong to a request, which is still to come. `start` is
    the key of `{"model": …, "messages": …}`, without a query.
    """
    messages = whole.body.get("messages") if isinstance(whole.body, dict) else None
    count = len(start.body["messages"])
    if not isinstance(messages, list) or len(messages) <= count:
        return None
    body = {"model": whole.body.get("model"), "messages": messages[:count]}
    same = make_key(whole.method, whole.path.partition("?")[0], body)
    if same.exact == start.exact or (same.by_pixels is not None and same.by_pixels == start.by_pixels):
        return messages[count:]
    return None


def difference(recorded: RequestKey, now: RequestKey) -> str:
    """Return a unified diff of two requests, line by line of their JSON."""
    old, new = list(_walk(recorded)), list(_walk(now))
    first = max(0, _common_prefix(old, new) - 2)
    old, new = _differing(old[first:], new[first:])
    diff = difflib.unified_diff(old, new, "recorded", "asked now", lineterm="", n=2)
    lines = [line for line in diff if not line.startswith("@@")]
    if len(lines) > _DIFF_LINES:
        lines[_DIFF_LINES:] = [f"… and {len(lines) - _DIFF_LINES} lines more"]
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def _differing(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Return the lines to compare: without the end that is the same, and of long lines the part around the change."""
    cut = max(0, _common_prefix(old[::-1], new[::-1]) - 2)
    old, new = old[: len(old) - cut][:_COMPARED], new[: len(new) - cut][:_COMPARED]
    if len(old) == len(new):
        for at, (was, is_) in enumerate(zip(old, new, strict=True)):
            if was != is_ and max(len(was), len(is_)) > _WIDE:
                start = max(0, _common_prefix(was, is_) - _WIDE // 2)
                old[at], new[at] = _excerpt(was, start), _excerpt(is_, start)
    return [_excerpt(line, 0) for line in old], [_excerpt(line, 0) for line in new]


def _common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of equal items at the beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (was, is_) in pairs if was != is_), min(len(first), len(second)))


def _excerpt(line: str, start: int) -> str:
    if len(line) <= _WIDE + 4:
        return line
    return ("… " if start else "") + line[start : start + _WIDE] + (" …" if len(line) > start + _WIDE else "")


def _walk(request: RequestKey) -> Iterator[str]:
    yield f"{request.method} {request.path}"
    body = request.body
    if isinstance(body, dict):  # the short parameters first
        body = {name: body[name] for name in sorted(body, key=lambda name: (name == "messages", name))}
    for line in json.dumps(body, ensure_ascii=False, indent=1).splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        # A prompt of several lines stands on several lines: the diff then names the one that changed.
        for number, part in enumerate(_BREAK.split(line)):
            yield part if not number else f"{indent}  {part}"


def _digest_files(value: Any, pixels: Pixels | None, holder: str = "") -> Any:
    if isinstance(value, dict):
        bare = _BARE_BASE64.get(holder)
        return {
            name: _digest("", item, None)
            if name == bare and isinstance(item, str) and not item.startswith("data:")
            else _digest_files(item, pixels, name)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_digest_files(item, pixels) for item in value]
    if isinstance(value, str) and value.startswith("data:") and (found := _INLINE.match(value)):
        return _digest(found[1], value[found.end() :], pixels)
    return value


def _digest(kind: str, encoded: str, pixels: Pixels | None) -> str:
    try:
        data = base64.b64decode(encoded, validate=False)
    except ValueError:
        data = encoded.encode("utf-8", "surrogatepass")
    stored = f"data:{kind} sha256={hashlib.sha256(data).hexdigest()} bytes={len(data)}"
    pixel_digest = pixels(data) if pixels is not None and kind.startswith("image/") else None
    return f"{stored} pixels={pixel_digest}" if pixel_digest else stored


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Cell:
    """The notebook's cell that a request comes from, and the run of that cell; both None outside a notebook."""

    id: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CassetteRequest:
    """A request that is looked up in a cassette, or recorded to it.

    Attributes:
        content: its body as it is sent, with the keys masked.
        secrets: the keys, which the file must not hold.
        cell: from which it comes.
        attempt: how many failed attempts went before.
    """

    key: RequestKey
    content: bytes
    secrets: frozenset[str]
    cell: Cell
    attempt: int = 0


@dataclass(slots=True)
class Occurrence:
    """The number of a request among equal requests.

    Attributes:
        n: the number, from 1.
        client: number of the client that asked.
        attempt: how many failed attempts went before.
        failed: the attempt has ended, and may be tried again.
        in_file: attempts of which the file holds something.
    """

    n: int
    cell: Cell
    client: int
    attempt: int
    failed: bool = False
    in_file: set[int] = field(default_factory=set)


class OccurrenceCounter:
    """Number equal requests in the order in which they begin, whatever order the replies end in.

    A cell that is run again gets the numbers of its earlier run, so that it replaces its own recordings and gets its
    own replies, and those of no other cell. A retry keeps the number of the attempt that failed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._occurrences: defaultdict[str, list[Occurrence]] = defaultdict(list)  # by the request's hash

    def record(self, key: str, cell: Cell, client: int, attempt: int, taken: Collection[int] = ()) -> Occurrence:
        """Return the occurrence of a request to record; other cells hold the numbers `taken` in the file."""
        with self._lock:
            if retried := self._retry(key, client, attempt):
                return retried
            others = self._held_by_others(key, cell) | set(taken)
            n = next(n for n in range(1, len(others) + 2) if n not in others)
            return self._add(key, Occurrence(n, cell, client, attempt))

    def replay(self, key: str, cell: Cell, client: int, attempt: int, among: Collection[int]) -> Occurrence | None:
        """Return the occurrence of a request among the recorded numbers; None where all are used up.

        Another client may then use them again: a second `Amber` begins at the first.
        """
        with self._lock:
            if retried := self._retry(key, client, attempt):
                return retried
            others = self._held_by_others(key, cell)
            own = {occurrence.n for occurrence in self._occurrences[key] if occurrence.client == client}
            for taken in (others, own):
                if free := [n for n in among if n not in taken]:
                    return self._add(key, Occurrence(min(free), cell, client, attempt))
            return None

    def release(self, key: str, occurrence: Occurrence) -> None:
        """Give a number back of which nothing came."""
        with self._lock:
            held = self._occurrences[key]
            held[:] = [each for each in held if each is not occurrence]

    def _retry(self, key: str, client: int, attempt: int) -> Occurrence | None:
        for occurrence in reversed(self._occurrences[key]):
            if occurrence.client == client and occurrence.failed and occurrence.attempt == attempt - 1:
                occurrence.attempt, occurrence.failed = attempt, False
                return occurrence
        return None

    def _held_by_others(self, key: str, cell: Cell) -> set[int]:
        """Return the numbers that others hold; those of an earlier run of the same cell are released."""
        held = self._occurrences[key]
        if cell.id is not None:
            held[:] = [each for each in held if each.cell.id != cell.id or each.cell.run == cell.run]
        return {each.n for each in held}

    def _add(self, key: str, occurrence: Occurrence) -> Occurrence:
        self._occurrences[key].append(occurrence)
        return occurrence
