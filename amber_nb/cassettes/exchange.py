"""One exchange as a cassette's lines, and back.

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
from .match import Asked, described

__all__ = ["HEADER", "Exchange", "Steps", "lines_of", "masked", "numbered", "parse"]

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
class Exchange:
    """One request and what came of it. Times in seconds since the request.

    Attributes:
        asked: the request.
        n: which of the equal requests this is, from 1.
        attempt: how many failed attempts it supersedes.
        cell: id of the notebook's cell, or None.
        status: None where no response came.
        headers: those of the response that are kept.
        steps: the body, piece by piece.
        how: "whole", "closed" (its reader went away) or "failed".
        error: the name of the httpx2 error that broke it, and its message.
        took_s: to the end.
        line: where it begins in the file, from 1; 0 before it is there.
    """

    asked: Asked
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
        """Whether it may stand for what the gateway would say now."""
        return self.how == "whole" and self.status is not None and self.status < 300


def lines_of(one: Exchange, secrets: Collection[str] = ()) -> bytes:
    """The lines of an exchange, with the keys masked wherever the gateway or a prompt repeats them."""
    masks = _long(secrets)
    request: dict[str, Any] = {"method": one.asked.method, "path": one.asked.path, "n": one.n}
    if one.attempt:
        request["attempt"] = one.attempt
    if one.cell is not None:
        request["cell"] = one.cell
    body, messages = one.asked.body, []
    if isinstance(body, dict) and isinstance(body.get("messages"), list):
        messages = body["messages"]
        request["messages"] = len(messages)
        body = {name: value for name, value in body.items() if name != "messages"}
    if body is not None:
        request["body"] = body
    lines = [_line({"request": request}), *(_line({"message": message}) for message in messages)]
    if one.status is not None:
        response = {"t": round(one.answered_s, 3), "status": one.status, "headers": dict(one.headers or {})}
        lines.append(_line({"response": response}))
    events = "event-stream" in (one.headers or {}).get("content-type", "")
    pieces = _events(one.steps) if events else _body(one.steps)
    body_bytes = b"".join(piece for _, piece in one.steps)  # looked through once: most bodies hold nothing to mask
    if b"\\u00" in body_bytes or any(mask in body_bytes for mask in masks):
        pieces = ((t, _masked(piece, masks)) for t, piece in pieces)
    lines.extend(_step(t, piece) for t, piece in pieces)
    end: dict[str, Any] = {"t": round(one.took_s, 3), "how": one.how}
    if one.error is not None:
        end["error"], end["message"] = one.error
    lines.append(_line({"end": end}))
    block = b"\n".join(lines) + b"\n"
    return masked(block, secrets)


def masked(text: bytes, secrets: Collection[str]) -> bytes:
    """JSON or a message with the keys masked."""
    for mask in _long(secrets):
        for spelt in {mask, json.dumps(mask.decode())[1:-1].encode()}:
            text = text.replace(spelt, _MASK)
    return text


def _long(secrets: Collection[str]) -> list[bytes]:
    return [secret.encode() for secret in secrets if len(secret) >= _SHORTEST]


def _masked(piece: bytes, masks: list[bytes]) -> bytes:
    """Before it is encoded: base64 would hide a key from every search, and so would an escape for one of its signs."""
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


def numbered(exchanges: list[Exchange], blocks: list[bytes]) -> list[Exchange]:
    line = 2
    out = []
    for one, block in zip(exchanges, blocks, strict=True):
        out.append(replace(one, line=line))
        line += block.count(b"\n")
    return out


def _events(steps: Steps) -> Iterator[tuple[float, bytes]]:
    """The body cut after each blank line, each event with the time at which its last byte came."""
    body = b"".join(piece for _, piece in steps)
    ends = iter(accumulate(len(piece) for _, piece in steps))
    times = iter(t for t, _ in steps)
    t, known, at = 0.0, 0, 0
    for event in _cut(body):
        at += len(event)
        while known < at:
            known, t = next(ends), next(times)
        yield t, event


def _cut(body: bytes) -> Iterator[bytes]:
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


def _body(steps: Steps) -> Iterator[tuple[float, bytes]]:
    if steps:
        yield steps[-1][0], b"".join(piece for _, piece in steps)


def _step(t: float, piece: bytes) -> bytes:
    # JSON is copied as it came, unparsed but checked: the same bytes come back, and it is cheaper.
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


def parse(content: bytes, name: str) -> tuple[list[Exchange], list[bytes]]:
    lines = content.replace(b"\r\n", b"\n").split(b"\n")  # git may have changed them; no line of ours holds a bare CR
    if lines.pop():
        raise _damaged(name, len(lines) + 1, "the last line is not complete")
    if not lines:
        return [], []
    head = _value(lines[0], name, 1)
    if "amber_cassette" not in head:
        raise _damaged(name, 1, "this is no cassette of amber_nb")
    if type(head["amber_cassette"]) is not int or head["amber_cassette"] != VERSION:
        raise ConfigError(
            f"{name}, line 1: the cassette has version {head['amber_cassette']!r}, and this amber_nb reads version "
            f"{VERSION}. Update amber_nb, or record it again."
        )
    exchanges, blocks = [], []
    at = 1
    while at < len(lines):
        one, end = _exchange(lines, at, name)
        exchanges.append(one)
        blocks.append(b"\n".join(lines[at:end]) + b"\n")
        at = end
    return exchanges, blocks


def _exchange(lines: list[bytes], at: int, name: str) -> tuple[Exchange, int]:
    start = at
    try:
        request = _part(lines, at, name, "request")
        body = request.get("body")
        if type(request.get("messages", 0)) is not int or not isinstance(request["path"] + request["method"], str):
            raise ValueError
        messages = [_part(lines, at + 1 + k, name, "message") for k in range(request.get("messages", 0))]
        if "messages" in request:
            body = {**body, "messages": messages}
        at += 1 + len(messages)
        known: dict[str, Any] = {}
        if lines[at].startswith(b'{"response"'):
            response = _part(lines, at, name, "response")
            known = {
                "status": int(response["status"]),
                "headers": {key: _header(value) for key, value in response["headers"].items()},
                "answered_s": float(response["t"]),
            }
            at += 1
        steps = []
        while not lines[at].startswith(b'{"end"'):
            steps.append(_played(lines[at], name, at + 1))
            at += 1
        end = _part(lines, at, name, "end")
        one = Exchange(
            asked=described(request["method"], request["path"], body),
            n=int(request["n"]),
            attempt=int(request.get("attempt", 0)),
            cell=request.get("cell"),
            steps=tuple(steps),
            how=str(end["how"]),
            error=(str(end["error"]), str(end.get("message", ""))) if "error" in end else None,
            took_s=float(end["t"]),
            line=start + 1,
            **known,
        )
    except IndexError:
        raise _damaged(name, len(lines), f"the exchange that begins in line {start + 1} has no end") from None
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise _damaged(name, at + 1, "this is no line of a cassette") from None
    return one, at + 1


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError(value)
    return value


def _part(lines: list[bytes], at: int, name: str, what: str) -> Any:
    value = _value(lines[at], name, at + 1)
    if what not in value:
        raise _damaged(name, at + 1, f'a line with "{what}" is expected here')
    return value[what]


def _played(line: bytes, name: str, number: int) -> tuple[float, bytes]:
    value = _value(line, name, number)
    t = float(value["t"])
    for key in ("data", "body"):
        if key in value:
            if (found := _COPIED.fullmatch(line)) and len(value) == 2:
                copied = found[1]
            else:  # somebody's formatter has been here
                copied = json.dumps(value[key], ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            return t, _EVENT + copied + _END if key == "data" else copied
    if "raw" in value:
        return t, value["raw"].encode()
    return t, base64.b64decode(value["base64"], validate=True)


def _value(line: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        value = jiter.from_json(line, cache_mode="keys")
    except ValueError:
        try:
            value = json.loads(line)  # jiter rejects lone surrogates
        except (ValueError, RecursionError):
            raise _damaged(name, number, "this is no JSON") from None
    if not isinstance(value, dict):
        raise _damaged(name, number, "this is no JSON object")
    return value


def _damaged(name: str, number: int, what: str) -> ConfigError:
    return ConfigError(
        f"{name}, line {number}: {what}. Nothing was changed; mend the line, take the file back from version control, "
        "or delete it and record again."
    )
