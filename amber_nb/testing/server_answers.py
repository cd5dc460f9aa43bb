"""Compare what MCP servers answered with their recorded answers: lists of tools, and the results of each tool."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any, TypeAlias

from ..cassettes.file import Interaction
from ..cassettes.server_names import LIST_TOOLS, describe_change, describe_request, is_listing
from ..display.escape import shorten, show_controls
from ..redact import collect_secrets, redact, scrub
from .drift import Comparator, Comparison, ReplySummary, compare

__all__ = ["ServerCall", "choose_comparator", "compare_answers", "describe_call", "read_call", "summarize_answer"]

ServerCall: TypeAlias = tuple[str, str, str]  # path, server, and the name of the tool or the prompt, or the URI

_WHOLE = 400  # characters of base64 that a report repeats; of more it has a digest
_BASE64_FIELDS = ("data", "blob")  # of images, audio and resources


def read_call(exchange: Interaction) -> ServerCall:
    """Return what was asked of which server: exchanges that agree in it are compared."""
    body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
    return exchange.request.path, str(body.get("server", "")), str(body.get("name", body.get("uri", "")))


def describe_call(exchange: Interaction) -> str:
    """Return what takes the prompt's place in a report, without the secrets in its arguments."""
    arguments = redact(_arguments(exchange))
    return describe_request(exchange.request) + (f": {json.dumps(arguments, ensure_ascii=False)}" if arguments else "")


def _arguments(exchange: Interaction) -> Any:
    return exchange.request.body.get("arguments") if isinstance(exchange.request.body, dict) else None


def summarize_answer(exchange: Interaction) -> ReplySummary:
    """Summarize an answer: its text is its JSON, without the bytes of pictures and the secrets in the arguments."""
    secrets = collect_secrets(_arguments(exchange))
    body = b"".join(piece for _, piece in exchange.steps)
    try:
        text = json.dumps(scrub(_digest_files(json.loads(body)), secrets), ensure_ascii=False)
    except (RecursionError, ValueError):
        text = scrub(body.decode(errors="replace"), secrets)
    return ReplySummary(text=text, total_s=exchange.took_s)


def choose_comparator(wanted: Comparator | None) -> Comparator:
    """Return the comparator wanted for the cell where it fits an answer, else `json`: an answer calls no tools."""
    return wanted if wanted is not None and wanted.kind != "tools" else Comparator("json")


def compare_answers(
    exchange: Interaction, other_arguments: bool, recorded: ReplySummary, fresh: ReplySummary, how: Comparator
) -> Comparison:
    """Compare a fresh answer with the recorded one; the reason says that a server's answer has changed.

    Args:
        exchange: one of the two.
        other_arguments: a run has asked with other arguments.
        recorded: its summary.
        fresh: that of the other one.
        how: see `choose_comparator`.
    """
    if is_listing(exchange.request.path) and how.kind != "ignore":
        how = Comparator("json")
    found = compare(recorded, fresh, how)
    if found.status != "drifted":
        return found
    path, server, _ = read_call(exchange)
    why = ""
    if path == LIST_TOOLS:
        why = describe_change(server, _load(recorded.text), _load(fresh.text))
    because = ", with other arguments in a run," if other_arguments else ""
    why = why or f"{describe_request(exchange.request)}{because} has another result than recorded: {found.why}"
    return replace(found, why=shorten(show_controls(why), 400))


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        return None


def _digest_files(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _digest(item)
            if name in _BASE64_FIELDS and isinstance(item, str) and len(item) > _WHOLE
            else _digest_files(item)
            for name, item in value.items()
        }
    return [_digest_files(item) for item in value] if isinstance(value, list) else value


def _digest(encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:  # a long text of that name
        return encoded
    return f"sha256={hashlib.sha256(data).hexdigest()} bytes={len(data)}"
