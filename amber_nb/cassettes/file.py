"""The cassette file: interactions (a request and its response) as lines, read, appended and replaced; no HTTP.

UTF-8, one JSON value a line, so that a difference in git is a difference in what was said:

    {"amber_cassette": 1}
    {"request": {"method": "POST", "path": "/chat/completions", "n": 1, "messages": 2, "body": {…}}}
    {"message": {…}}                      as many as the request says
    {"response": {"t": 0.51, "status": 200, "headers": {…}}}
    {"t": 0.52, "data": {…}}              one server-sent event, `t` seconds after the request
    {"t": 0.52, "body": {…}}              a body that is no stream
    {"t": 0.53, "raw": "…"}               what is neither, as it came; "base64" where it is no UTF-8
    {"end": {"t": 1.2, "how": "whole"}}   or "closed" by its reader, or "failed" with the error that broke it

`adapted` names what `ask` left out of the request, because the gateway had refused it; a replay leaves it out, too.
What an MCP server answers is an interaction, too: its method is "MCP", its path what the server is asked, such as
`/tools/call`, and its body names the server, with a digest of where it is (`target`), and what identifies the call.
`n` counts equal requests at their start. `attempt` says how many failed ones this one follows, and supersedes. `cell`
names the notebook's cell, where a front end told it. An interaction is written when it has ended, in one piece and
under a lock: a crash loses the interactions in flight, and two processes may record to one file.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import re
import sys
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, TypeAlias

import jiter

from ..config import display_path
from ..errors import ConfigError
from ..files import lock_file, replace_files
from ..redact import MASK
from .match import RequestKey, make_key

__all__ = ["HEADER", "Cassette", "Interaction", "Steps", "dumps", "encode_json", "loads", "mask"]

VERSION = 1
HEADER = b'{"amber_cassette": %d}\n' % VERSION
_SHORTEST = 6  # no key is shorter, and masking one that is would eat the file's own words
_MASK = MASK.encode()
_EVENT = b"data: "
_END = b"\n\n"
_BLANK = re.compile(rb"(?:\r\n|\r|\n)(?:\r\n|\r|\n)")
_COPIED = re.compile(rb'\{"t": [0-9.]+, "(?:data|body)": (.*)\}')

Steps: TypeAlias = tuple[tuple[float, bytes], ...]  # (seconds since the request, bytes of the body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A request and its response; times in seconds since the request.

    Attributes:
        n: the number of the request among equal requests, from 1.
        attempt: how many failed attempts it supersedes.
        cell: id of the notebook's cell.
        adapted: what `ask` left out of the request, because the gateway had refused it.
        status: of the response; None where none came.
        how: how it ended: "whole", "closed" (by its reader) or "failed".
        error: the name of the httpx2 error that broke it, and its message.
        line: its first line in the file, from 1; 0 before it is in the file.
    """

    request: RequestKey
    n: int
    attempt: int = 0
    cell: str | None = None
    adapted: tuple[str, ...] = ()
    status: int | None = None
    headers: Mapping[str, str] | None = None
    answered_s: float = 0.0
    steps: Steps = ()
    how: str = "whole"
    error: tuple[str, str] | None = None
    took_s: float = 0.0
    line: int = 0

    @property
    def slot(self) -> tuple[str, int]:
        """The request and its number: what a recording answers, whatever its attempt."""
        return self.request.exact, self.n

    @property
    def good(self) -> bool:
        """Whether a replay may use it in place of a live response."""
        return self.how == "whole" and self.status is not None and self.status < 300


def dumps(interaction: Interaction, secrets: Collection[str] = ()) -> bytes:
    """Return the lines of an interaction, with the keys masked wherever the gateway or a prompt repeats them."""
    body, messages = interaction.request.body, None
    if isinstance(body, dict) and isinstance(body.get("messages"), list):
        messages = body["messages"]
        body = {name: value for name, value in body.items() if name != "messages"}
    request = {
        "method": interaction.request.method,
        "path": interaction.request.path,
        "n": interaction.n,
        "attempt": interaction.attempt or None,
        "cell": interaction.cell,
        "adapted": list(interaction.adapted) or None,
        "messages": None if messages is None else len(messages),
        "body": body,
    }
    lines = [encode_json({"request": {name: value for name, value in request.items() if value is not None}})]
    lines += [encode_json({"message": message}) for message in messages or ()]
    headers = dict(interaction.headers or {})
    if interaction.status is not None:
        t = round(interaction.answered_s, 3)
        lines.append(encode_json({"response": {"t": t, "status": interaction.status, "headers": headers}}))
    whole = b"".join(piece for _, piece in interaction.steps)
    pieces: Iterable[tuple[float, bytes]] = [(interaction.steps[-1][0], whole)] if interaction.steps else []
    if "event-stream" in headers.get("content-type", ""):
        pieces = _events(interaction.steps, whole)
    keys = _encode_keys(secrets)
    if b"\\u00" in whole or any(key in whole for key in keys):  # looked through once: most hold nothing to mask
        pieces = ((t, _mask_piece(piece, keys)) for t, piece in pieces)
    lines.extend(_dump_piece(t, piece) for t, piece in pieces)
    end: dict[str, Any] = {"t": round(interaction.took_s, 3), "how": interaction.how}
    if interaction.error is not None:
        end["error"], end["message"] = interaction.error
    lines.append(encode_json({"end": end}))
    return mask(b"\n".join(lines) + b"\n", secrets)


def mask(text: bytes, secrets: Collection[str]) -> bytes:
    """Mask the keys in JSON or in a message."""
    for key in _encode_keys(secrets):
        for spelt in {key, json.dumps(key.decode())[1:-1].encode()}:
            text = text.replace(spelt, _MASK)
    return text


def _encode_keys(secrets: Collection[str]) -> list[bytes]:
    return [secret.encode() for secret in secrets if len(secret) >= _SHORTEST]


def _mask_piece(piece: bytes, keys: list[bytes]) -> bytes:
    """Mask the keys before the piece is encoded: base64 and JSON escapes would hide a key from every search."""
    for key in keys:
        piece = piece.replace(key, _MASK)
    if b"\\u00" not in piece:
        return piece
    head, data, end = (_EVENT, piece[len(_EVENT) : -len(_END)], _END) if piece.startswith(_EVENT) else (b"", piece, b"")
    try:
        plain = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return piece
    masked = plain
    for key in keys:
        masked = masked.replace(key, _MASK)
    return piece if masked == plain else head + masked + end


def encode_json(value: Any) -> bytes:
    """Return a value as one line of JSON in UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # lone surrogates
        return json.dumps(value).encode()


def _events(steps: Steps, body: bytes) -> Iterator[tuple[float, bytes]]:
    """Cut the body after each blank line; an event has the time at which its last byte came."""
    arrived = list(accumulate(len(piece) for _, piece in steps))
    blanks = _BLANK.finditer(body) if b"\r" in body else re.finditer(_END, body)  # lines may end in CRLF or CR
    start = 0
    for end in (*(found.end() for found in blanks), len(body)):
        if start < end:
            yield steps[bisect_left(arrived, end)][0], body[start:end]
        start = end


def _dump_piece(t: float, piece: bytes) -> bytes:
    # JSON is checked and copied as it came: the same bytes come back, and it is cheaper.
    if piece.startswith(_EVENT) and piece.endswith(_END) and _is_json(data := piece[len(_EVENT) : -len(_END)]):
        return b'{"t": %.3f, "data": %b}' % (t, data)
    if _is_json(piece):
        return b'{"t": %.3f, "body": %b}' % (t, piece)
    try:
        return encode_json({"t": round(t, 3), "raw": piece.decode()})
    except UnicodeDecodeError:
        return encode_json({"t": round(t, 3), "base64": base64.b64encode(piece).decode()})


def _is_json(data: bytes) -> bool:
    if not data.startswith(b"{") or b"\n" in data or b"\r" in data:
        return False
    with contextlib.suppress(ValueError):
        jiter.from_json(data, allow_inf_nan=False)
        return True
    return False


# --- reading


def loads(content: bytes, name: str) -> list[tuple[Interaction, bytes]]:
    """Read the interactions of a file, each with its lines; `name` is that of the file, for error messages.

    Raises:
        ConfigError: it is not a cassette of this version, or damaged; the message names the line.
    """
    lines = content.replace(b"\r\n", b"\n").split(b"\n")  # git may have changed them; no line of ours holds a bare CR
    if lines.pop():
        raise _damage(name, len(lines) + 1, "the last line is not complete")
    if not lines:
        return []
    head = _load_object(lines[0], name, 1)
    if "amber_cassette" not in head:
        raise _damage(name, 1, "this is no cassette of amber_nb")
    version = head["amber_cassette"]
    if type(version) is not int or version != VERSION:
        raise ConfigError(
            f"{name}, line 1: the cassette has version {version!r}, and this amber_nb reads version {VERSION}. "
            "Update amber_nb, or record it again."
        )
    entries, at = [], 1
    while at < len(lines):
        interaction, end = _load_interaction(lines, at, name)
        entries.append((interaction, b"\n".join(lines[at:end]) + b"\n"))
        at = end
    return entries


def _load_interaction(lines: list[bytes], at: int, name: str) -> tuple[Interaction, int]:
    start = at
    try:
        request = _load_field(lines, at, name, "request")
        body = request.get("body")
        if type(request.get("messages", 0)) is not int or not isinstance(request["path"] + request["method"], str):
            raise ValueError
        messages = [_load_field(lines, at + 1 + k, name, "message") for k in range(request.get("messages", 0))]
        if "messages" in request:
            body = {**body, "messages": messages}
        at += 1 + len(messages)
        fields: dict[str, Any] = {}
        if lines[at].startswith(b'{"response"'):
            response = _load_field(lines, at, name, "response")
            headers = dict(response["headers"])
            if not all(value.isascii() and value.isprintable() for value in headers.values()):
                raise ValueError
            fields = {"status": int(response["status"]), "headers": headers, "answered_s": float(response["t"])}
            at += 1
        steps = []
        while not lines[at].startswith(b'{"end"'):
            steps.append(_load_piece(lines[at], name, at + 1))
            at += 1
        end = _load_field(lines, at, name, "end")
        interaction = Interaction(
            request=make_key(request["method"], request["path"], body),
            n=int(request["n"]),
            attempt=int(request.get("attempt", 0)),
            cell=request.get("cell"),
            adapted=tuple(map(str, request.get("adapted") or ())),
            steps=tuple(steps),
            how=str(end["how"]),
            error=(str(end["error"]), str(end.get("message", ""))) if "error" in end else None,
            took_s=float(end["t"]),
            line=start + 1,
            **fields,
        )
    except IndexError:
        raise _damage(name, len(lines), f"the exchange that begins in line {start + 1} has no end") from None
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise _damage(name, at + 1, "this is no line of a cassette") from None
    return interaction, at + 1


def _load_field(lines: list[bytes], at: int, name: str, what: str) -> Any:
    value = _load_object(lines[at], name, at + 1)
    if what not in value:
        raise _damage(name, at + 1, f'a line with "{what}" is expected here')
    return value[what]


def _load_piece(line: bytes, name: str, number: int) -> tuple[float, bytes]:
    value = _load_object(line, name, number)
    t = float(value["t"])
    for key in ("data", "body"):
        if key in value:
            if (copy := _COPIED.fullmatch(line)) and len(value) == 2:
                copied = copy[1]
            else:  # somebody's formatter has been here
                copied = json.dumps(value[key], ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            return t, _EVENT + copied + _END if key == "data" else copied
    if "raw" in value:
        return t, value["raw"].encode()
    return t, base64.b64decode(value["base64"], validate=True)


def _load_object(line: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        value = jiter.from_json(line, cache_mode="keys")
    except ValueError:
        try:
            value = json.loads(line)  # jiter rejects lone surrogates
        except (ValueError, RecursionError):
            raise _damage(name, number, "this is no JSON") from None
    if not isinstance(value, dict):
        raise _damage(name, number, "this is no JSON object")
    return value


def _damage(name: str, number: int, what: str) -> ConfigError:
    return ConfigError(
        f"{name}, line {number}: {what}. Nothing was changed; mend the line, take the file back from version control, "
        "or delete it and record again."
    )


# --- the file


class Cassette:
    """A cassette file; every method may be called from any thread.

    Args:
        path: of the file, which need not exist yet; it ends in `.jsonl`.

    Raises:
        ConfigError: it is no cassette, of a newer version, or damaged; the message names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = display_path(path)
        self._write_mark = path.with_name(f".{path.name}.begun")
        self._lock = threading.RLock()
        self._signature: tuple[int, int, int] | None = None
        self._entries: list[tuple[Interaction, bytes]] = []  # each with its lines
        self._current: tuple[Interaction, ...] | None = None
        self.reload()

    @property
    def interactions(self) -> tuple[Interaction, ...]:
        """The interactions in the order of the file, without those that a retry superseded."""
        with self._lock:
            if self._current is None:
                last: dict[tuple[str, int], Interaction] = {}
                for interaction, _ in self._entries:
                    if interaction.attempt >= last.get(interaction.slot, interaction).attempt:
                        last[interaction.slot] = interaction
                self._current = tuple(each for each, _ in self._entries if last[each.slot] is each)
            return self._current

    def with_body(self, interaction: Interaction) -> Interaction:
        """Return an interaction of this file with its body; of those that this process added, only lines are kept."""
        with self._lock:
            block = next((block for own, block in self._entries if own is interaction), None)
            if interaction.steps or block is None:
                return interaction
            return replace(loads(HEADER + block, self.name)[0][0], line=interaction.line)

    def reload(self) -> bool:
        """Read the file again if it has changed, and return whether it had."""
        with self._lock:
            try:
                with contextlib.ExitStack() as stack:
                    with contextlib.suppress(OSError):  # where no lock can be made, nothing is recorded either
                        stack.enter_context(lock_file(self.path))  # else half of a write would be read
                    signature = _signature(self.path)
                    if signature == self._signature:
                        return False
                    content = self.path.read_bytes()[: self._sound_size()]
            except FileNotFoundError:
                changed = self._signature is not None
                self._signature, self._entries, self._current = None, [], None
                return changed
            except OSError as error:
                raise ConfigError(f"The cassette {self.name} cannot be read ({type(error).__name__}).") from None
            self._entries = loads(content, self.name)
            self._signature, self._current = signature, None
            return True

    def check(self) -> None:
        """Check that the file can be written, before a request is sent whose reply could not be kept.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock_file(self.path):
                self._repair()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigError(f"The cassette {self.name} cannot be written ({why}).") from None

    def add(self, interaction: Interaction, block: bytes, stale: Iterable[Interaction] = ()) -> Interaction:
        """Write an interaction, and return it with the number that it got.

        Args:
            interaction: what to write.
            block: its lines, from `dumps`.
            stale: what it replaces. Where another process has used the same number for the same request, both stay,
                and this one gets the next number.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        with self._lock, lock_file(self.path):
            self._repair()
            self._current = None
            interaction = replace(interaction, steps=())
            if _signature(self.path) != self._signature:
                self._entries = loads(self.path.read_bytes(), self.name)
            gone = {_identity(old) for old in stale}
            kept = [entry for entry in self._entries if _identity(entry[0]) not in gone]
            same = [old for old, _ in kept if old.request.exact == interaction.request.exact]
            taken = {old.n for old in same if old.attempt == interaction.attempt}
            if interaction.n in taken:
                number = next(n for n in range(1, len(taken) + 2) if n not in taken)
                block = block.replace(b'"n": %d' % interaction.n, b'"n": %d' % number, 1)
                interaction = replace(interaction, n=number)
            if len(kept) == len(self._entries):
                self._append(block)
                line = 2 + sum(lines.count(b"\n") for _, lines in self._entries)
                self._entries.append((replace(interaction, line=line), block))
            else:
                # In the place of the first stale interaction: a recording made anew changes only its own lines in git.
                at = next(at for at, (old, _) in enumerate(self._entries) if _identity(old) in gone)
                kept.insert(at, (interaction, block))
                replace_files({self.path: HEADER + b"".join(lines for _, lines in kept)})
                line, self._entries = 2, []
                for old, lines in kept:
                    self._entries.append((replace(old, line=line), lines))
                    line += lines.count(b"\n")
            self._signature = _signature(self.path)
            return interaction

    def _repair(self) -> None:
        """Cut off what a killed process has written in part, and write the header; called under the lock."""
        with self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if self._sound_size() < size:
                file.truncate(size := self._sound_size())
        with contextlib.suppress(OSError):
            self._write_mark.unlink()  # else it would cut the file again, once it has been replaced by a longer one
        if not size:
            self._append(HEADER)

    def _append(self, block: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._write_mark.write_text(str(size))
            try:
                if _write(file, block) != len(block):
                    raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)  # half an interaction would spoil the whole file
                raise
            finally:
                with contextlib.suppress(OSError):
                    self._write_mark.unlink()

    def _sound_size(self) -> int:
        """Return how many bytes were written whole: a process that was killed in a write has left the size before."""
        try:
            return int(self._write_mark.read_text())
        except (OSError, ValueError):
            return sys.maxsize


def _identity(interaction: Interaction) -> tuple[str, int, int, str | None]:
    return *interaction.slot, interaction.attempt, interaction.cell


def _write(file: IO[bytes], block: bytes) -> int:
    return file.write(block)


def _signature(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
