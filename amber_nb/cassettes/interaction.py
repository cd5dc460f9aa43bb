"""Write an interaction (a request and its response) as lines of a cassette, and read it back.

UTF-8, one JSON value a line, so that a difference in git is a difference in what was said:

    {"amber_cassette": 1}
    {"request": {"method": "POST", "path": "/chat/completions", "n": 1, "messages": 2, "body": {…}}}
    {"message": {…}}                      as many as the request says
    {"response": {"t": 0.51, "status": 200, "headers": {…}}}
    {"t": 0.52, "data": {…}}              one server-sent event, `t` seconds after the request
    {"t": 0.52, "body": {…}}              a body that is no stream
    {"t": 0.53, "raw": "…"}               what is neither, as it came; "base64" where it is no UTF-8
    {"end": {"t": 1.2, "how": "whole"}}   or "closed" by its reader, or "failed" with the error that broke it

`n` counts equal requests at their start. `attempt` says that this one follows that many failed ones, which it
supersedes. `cell` names the notebook's cell, where a front end told it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import jiter

from ..errors import ConfigError
from ..redact import MASK
from .match import RequestKey, make_key

__all__ = ["HEADER", "Interaction", "Steps", "dumps", "loads", "mask", "number_lines"]

VERSION = 1
HEADER = b'{"amber_cassette": %d}\n' % VERSION
_SHORTEST = 6  # no key is shorter, and masking one that is would eat the file's own words
_MASK = MASK.encode()
_EVENT = b"data: "
_END = b"\n\n"
_BLANK = re.compile(rb"(?:\r\n|\r|\n)(?:\r\n|\r|\n)")
_COPIED = re.compile(rb'\{"t": [0-9.]+, "(?:data|body)": (.*)\}')

Steps = tuple[tuple[float, bytes], ...]  # (seconds since the request, bytes of the body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A request and its response; times in seconds since the request.

    Attributes:
        request: the key of the request.
        n: the number of the request among equal requests, from 1.
        attempt: how many failed attempts it supersedes.
        cell: id of the notebook's cell, or None.
        status: of the response; None where none came.
        headers: the response headers that are kept.
        steps: the pieces of the body, with their times.
        how: how it ended: "whole", "closed" (by its reader) or "failed".
        error: the name of the httpx2 error that broke it, and its message.
        took_s: until the end.
        line: its first line in the file, from 1; 0 before it is in the file.
    """

    request: RequestKey
    n: int
    attempt: int = 0
    cell: str | None = None
    status: int | None = None
    headers: Mapping[str, str] | None = None
    answered_s: float = 0.0
    steps: Steps = ()
    how: str = "whole"
    error: tuple[str, str] | None = None
    took_s: float = 0.0
    line: int = 0

    @property
    def good(self) -> bool:
        """Whether a replay may use it in place of a live response."""
        return self.how == "whole" and self.status is not None and self.status < 300


def dumps(interaction: Interaction, secrets: Collection[str] = ()) -> bytes:
    """Return the lines of an interaction, with the keys masked wherever the gateway or a prompt repeats them."""
    masks = _encode_keys(secrets)
    request: dict[str, Any] = {
        "method": interaction.request.method,
        "path": interaction.request.path,
        "n": interaction.n,
    }
    if interaction.attempt:
        request["attempt"] = interaction.attempt
    if interaction.cell is not None:
        request["cell"] = interaction.cell
    body, messages = interaction.request.body, []
    if isinstance(body, dict) and isinstance(body.get("messages"), list):
        messages = body["messages"]
        request["messages"] = len(messages)
        body = {name: value for name, value in body.items() if name != "messages"}
    if body is not None:
        request["body"] = body
    lines = [_line({"request": request}), *(_line({"message": message}) for message in messages)]
    if interaction.status is not None:
        response = {
            "t": round(interaction.answered_s, 3),
            "status": interaction.status,
            "headers": dict(interaction.headers or {}),
        }
        lines.append(_line({"response": response}))
    events = "event-stream" in (interaction.headers or {}).get("content-type", "")
    pieces = _events(interaction.steps) if events else _join_body(interaction.steps)
    body_bytes = b"".join(
        piece for _, piece in interaction.steps
    )  # looked through once: most bodies hold nothing to mask
    if b"\\u00" in body_bytes or any(mask in body_bytes for mask in masks):
        pieces = ((t, _mask_piece(piece, masks)) for t, piece in pieces)
    lines.extend(_dump_piece(t, piece) for t, piece in pieces)
    end: dict[str, Any] = {"t": round(interaction.took_s, 3), "how": interaction.how}
    if interaction.error is not None:
        end["error"], end["message"] = interaction.error
    lines.append(_line({"end": end}))
    block = b"\n".join(lines) + b"\n"
    return mask(block, secrets)


def mask(text: bytes, secrets: Collection[str]) -> bytes:
    """Mask the keys in JSON or in a message."""
    for mask in _encode_keys(secrets):
        for spelt in {mask, json.dumps(mask.decode())[1:-1].encode()}:
            text = text.replace(spelt, _MASK)
    return text


def _encode_keys(secrets: Collection[str]) -> list[bytes]:
    return [secret.encode() for secret in secrets if len(secret) >= _SHORTEST]


def _mask_piece(piece: bytes, masks: list[bytes]) -> bytes:
    """Mask the keys before the piece is encoded: base64 and JSON escapes would hide a key from every search."""
    for mask in masks:
        piece = piece.replace(mask, _MASK)
    if b"\\u00" not in piece:
        return piece
    head, data, end = (_EVENT, piece[len(_EVENT) : -len(_END)], _END) if piece.startswith(_EVENT) else (b"", piece, b"")
    try:
        plain = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return piece
    if not any(mask in plain for mask in masks):
        return piece
    for mask in masks:
        plain = plain.replace(mask, _MASK)
    return head + plain + end


def _line(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # lone surrogates
        return json.dumps(value).encode()


def number_lines(interactions: list[Interaction], blocks: list[bytes]) -> list[Interaction]:
    """Set the line at which each interaction begins in a file that holds these blocks."""
    line = 2
    out = []
    for interaction, block in zip(interactions, blocks, strict=True):
        out.append(replace(interaction, line=line))
        line += block.count(b"\n")
    return out


def _events(steps: Steps) -> Iterator[tuple[float, bytes]]:
    """Cut the body after each blank line; an event has the time at which its last byte came."""
    body = b"".join(piece for _, piece in steps)
    ends = iter(accumulate(len(piece) for _, piece in steps))
    times = iter(t for t, _ in steps)
    t, known, at = 0.0, 0, 0
    for event in _split_events(body):
        at += len(event)
        while known < at:
            known, t = next(ends), next(times)
        yield t, event


def _split_events(body: bytes) -> Iterator[bytes]:
    if b"\r" in body:  # lines may end in CRLF or CR
        at = 0
        for found in _BLANK.finditer(body):
            yield body[at : found.end()]
            at = found.end()
        rest = body[at:]
    else:
        *events, rest = body.split(_END)
        yield from (event + _END for event in events)
    if rest:
        yield rest


def _join_body(steps: Steps) -> Iterator[tuple[float, bytes]]:
    if steps:
        yield steps[-1][0], b"".join(piece for _, piece in steps)


def _dump_piece(t: float, piece: bytes) -> bytes:
    # JSON is checked and copied as it came: the same bytes come back, and it is cheaper.
    if piece.startswith(_EVENT) and piece.endswith(_END) and _is_json(data := piece[len(_EVENT) : -len(_END)]):
        return b'{"t": %.3f, "data": %b}' % (t, data)
    if _is_json(piece):
        return b'{"t": %.3f, "body": %b}' % (t, piece)
    try:
        return _line({"t": round(t, 3), "raw": piece.decode()})
    except UnicodeDecodeError:
        return _line({"t": round(t, 3), "base64": base64.b64encode(piece).decode()})


def _is_json(data: bytes) -> bool:
    if not data.startswith(b"{") or b"\n" in data or b"\r" in data:
        return False
    try:
        jiter.from_json(data, allow_inf_nan=False)
    except ValueError:
        return False
    return True


def loads(content: bytes, name: str) -> tuple[list[Interaction], list[bytes]]:
    """Read the interactions of a file, and the lines of each.

    Args:
        content: of the file.
        name: of the file, for error messages.

    Raises:
        ConfigError: it is not a cassette of this version, or damaged; the message names the line.
    """
    lines = content.replace(b"\r\n", b"\n").split(b"\n")  # git may have changed them; no line of ours holds a bare CR
    if lines.pop():
        raise _damage(name, len(lines) + 1, "the last line is not complete")
    if not lines:
        return [], []
    head = _load_object(lines[0], name, 1)
    if "amber_cassette" not in head:
        raise _damage(name, 1, "this is no cassette of amber_nb")
    if type(head["amber_cassette"]) is not int or head["amber_cassette"] != VERSION:
        raise ConfigError(
            f"{name}, line 1: the cassette has version {head['amber_cassette']!r}, and this amber_nb reads version "
            f"{VERSION}. Update amber_nb, or record it again."
        )
    interactions, blocks = [], []
    at = 1
    while at < len(lines):
        interaction, end = _load_interaction(lines, at, name)
        interactions.append(interaction)
        blocks.append(b"\n".join(lines[at:end]) + b"\n")
        at = end
    return interactions, blocks


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
        response_fields: dict[str, Any] = {}
        if lines[at].startswith(b'{"response"'):
            response = _load_field(lines, at, name, "response")
            response_fields = {
                "status": int(response["status"]),
                "headers": {key: _check_header(value) for key, value in response["headers"].items()},
                "answered_s": float(response["t"]),
            }
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
            steps=tuple(steps),
            how=str(end["how"]),
            error=(str(end["error"]), str(end.get("message", ""))) if "error" in end else None,
            took_s=float(end["t"]),
            line=start + 1,
            **response_fields,
        )
    except IndexError:
        raise _damage(name, len(lines), f"the exchange that begins in line {start + 1} has no end") from None
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise _damage(name, at + 1, "this is no line of a cassette") from None
    return interaction, at + 1


def _check_header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError(value)
    return value


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
