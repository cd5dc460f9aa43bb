"""Name in messages what MCP servers list and are asked: their own words, of any length and with any character."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..display.escape import shorten, show_controls
from .match import RequestKey

__all__ = [
    "LIST_TOOLS",
    "describe_change",
    "describe_request",
    "is_listing",
    "join_names",
    "quote_name",
    "shorten_name",
]

LIST_TOOLS = "/tools/list"
_LONGEST_NAME = 60  # characters
_MOST_NAMES = 5
_PARTS = {
    "title": "title",
    "description": "description",
    "inputSchema": "schema",
    "outputSchema": "output schema",
    "annotations": "annotations",
}  # fields of a tool, as a reader names them


def is_listing(path: str) -> bool:
    """Return whether a path asks for a list, such as `/tools/list`: for a state, and not for something to happen."""
    return path.endswith("/list")


def shorten_name(name: Any) -> str:
    """Return a name on one line, without controls and not too long."""
    return shorten(show_controls(" ".join(str(name)[: 4 * _LONGEST_NAME].split())), _LONGEST_NAME)


def quote_name(name: Any) -> str:
    """Return a name between quotes, fit for a message."""
    return f"'{shorten_name(name)}'"


def join_names(names: Iterable[str], separator: str = ", ") -> str:
    """Join the first names, and tell how many more there are."""
    names = list(names)
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return separator.join(names[:_MOST_NAMES]) + more


def describe_request(request: RequestKey) -> str:
    """Return what a request asks of an MCP server, as the subject of a sentence."""
    body = request.body if isinstance(request.body, dict) else {}
    server = f"the MCP server {quote_name(body.get('server', ''))}"
    name = quote_name(body.get("name", body.get("uri", "")))
    kind, _, action = request.path.strip("/").partition("/")
    if action == "list":
        return f"The list of {shorten_name(kind)} of {server}"
    if request.path == "/tools/call":
        return f"This call of {name} of {server}"
    if request.path == "/resources/read":
        return f"The resource {name} of {server}"
    if request.path == "/prompts/get":
        return f"The prompt {name} of {server}"
    return f"The request {shorten_name(request.path)} to {server}"


def describe_change(server: Any, old: Any, new: Any) -> str:
    """Return a sentence on how two listings of a server's tools differ, `{"tools": […]}` each; "" where they do not."""
    was, now = _by_name(old), _by_name(new)
    changes = {
        "new": [shorten_name(name) for name in now if name not in was],
        "gone": [shorten_name(name) for name in was if name not in now],
        "changed": [
            f"{shorten_name(name)} ({parts})" for name in was if name in now and (parts := _diff(was[name], now[name]))
        ],
    }
    told = "; ".join(f"{what}: {join_names(names)}" for what, names in changes.items() if names)
    if not told and list(was) != list(now):
        told = "in another order"
    if not told:
        return ""
    return f"The tools of the server {quote_name(server)} are listed otherwise than when this was recorded: {told}."


def _by_name(listing: Any) -> dict[str, dict[str, Any]]:
    tools = listing.get("tools") if isinstance(listing, Mapping) else None
    found = (tool for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, dict))
    return {str(tool.get("name")): tool for tool in found}


def _diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what of a tool has changed, such as "its description, its schema"; "" for nothing."""
    fields = dict.fromkeys((*old, *new))
    changed = [field for field in fields if _canonical(old.get(field)) != _canonical(new.get(field))]
    parts = [f"its {part}" for field, part in _PARTS.items() if field in changed]
    if any(field not in _PARTS for field in changed):
        parts.append("what else it says of itself")
    return ", ".join(parts)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
