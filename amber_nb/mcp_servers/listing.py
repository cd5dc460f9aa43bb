"""The tools that an MCP server lists: read from its answer, compared, and shown as a table.

What a server says is somebody else's text: it is cut, and shown as text.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..display.answer_html import answer_html
from ..display.escape import escape_text, shorten, show_controls
from ..types import replace_surrogates

__all__ = ["ListedTool", "describe_changes", "listing_html", "listing_text", "read_tools"]

HINTS = ("readOnlyHint", "destructiveHint", "openWorldHint")  # of a tool's annotations
MAX_TOOLS = 10_000  # of a server
_MAX_NAME = 128  # characters, as the specification recommends
_MAX_DESCRIPTION = 4_000  # characters of a description that go to the model
_MAX_SHOWN = 200  # of a description in a table
_MAX_ROWS = 100
_MAX_NAMED = 5  # in a sentence on changes
_CELL = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top"


@dataclass(frozen=True)
class ListedTool:
    """A tool as its server lists it.

    Attributes:
        name: the server's own.
        description: for the model, cut at 4,000 characters.
        schema: of its arguments, a JSON schema.
        read_only: whether the server says that a call changes nothing; None: it does not say.
        destructive: whether it says that a call may destroy something; None: it does not say.
        open_world: whether it says that a call reaches beyond the server, as a search of the web does; None: it does
            not say.
        definition: a digest of name, description, schema and these hints.
        needs_task: whether a call must be a task of the protocol of 2025, which the SDK does not know any more; such a
            tool is listed, and not offered.
        unusable: why no call can be made by its name, such as "its name is longer than 128 characters"; "": it can.
            Such a tool is listed, by as much of its name as can be shown, and not offered.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    read_only: bool | None
    destructive: bool | None
    open_world: bool | None
    definition: str
    needs_task: bool = False
    unusable: str = ""


def read_tools(listing: Mapping[str, Any]) -> list[ListedTool]:
    """Read the tools of a listing, `{"tools": [{"name", "description", "inputSchema", "annotations"}, …]}`.

    What has no name is left out, and of equal names all but the first; of a server at most 10,000 are read.
    """
    tools: dict[str, ListedTool] = {}
    items = listing.get("tools")
    for item in items[:MAX_TOOLS] if isinstance(items, list) else ():
        name = item.get("name") if isinstance(item, Mapping) else None
        if isinstance(name, str) and name and name not in tools:
            tools[name] = _read_tool(name, item)
    return list(tools.values())


def _find_fault(name: str) -> str:
    """Return why a tool cannot be called by a name; "" where it can."""
    if len(name) > _MAX_NAME:
        return f"its name is longer than {_MAX_NAME} characters"
    return "" if replace_surrogates(name) == name else "its name holds half a character, which cannot be sent"


def _read_tool(name: str, item: Mapping[str, Any]) -> ListedTool:
    text = next((each for each in (item.get("description"), item.get("title")) if isinstance(each, str) and each), "")
    description = replace_surrogates(shorten(text.strip(), _MAX_DESCRIPTION))
    given = item.get("inputSchema")
    schema = given if isinstance(given, dict) else {"type": "object", "properties": {}}
    hints = item.get("annotations")
    hints = hints if isinstance(hints, Mapping) else {}
    said = [hint if isinstance(hint := hints.get(key), bool) else None for key in HINTS]
    read_only, destructive, open_world = said
    try:
        known = json.dumps([name, text, schema, *said], sort_keys=True)
    except RecursionError:  # nested so deeply that no request can hold it
        schema = {"$ref": "#/nested-too-deeply"}
        known = json.dumps([name, text, *said])
    digest = hashlib.sha256(known.encode()).hexdigest()[:16]
    execution = item.get("execution")
    needs_task = isinstance(execution, Mapping) and execution.get("taskSupport") == "required"
    shown, fault = replace_surrogates(shorten(name, _MAX_NAME)), _find_fault(name)
    return ListedTool(shown, description, schema, read_only, destructive, open_world, digest, needs_task, fault)


def describe_changes(before: Iterable[ListedTool], now: Iterable[ListedTool]) -> str:
    """Return what differs between two listings of a server, such as "new: a; gone: b; changed: c"; "" if nothing.

    Args:
        before: the tools that were listed before.
        now: those that are listed now.
    """
    old, new = ({tool.name: tool.definition for tool in tools} for tools in (before, now))
    groups = {
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] != old[name]],
    }
    return "; ".join(f"{word}: {_enumerate(names)}" for word, names in groups.items() if names)


def _enumerate(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(_one_line(name, 60) for name in names[:_MAX_NAMED]) + more


def _one_line(text: str, limit: int) -> str:
    """Return a text without what would act on its line: line breaks would make rows of a server's own."""
    return show_controls(shorten(" ".join(text.split()), limit))


def _rows(tools: Sequence[ListedTool], trusted: bool) -> list[tuple[str, str, str]]:
    return [
        (
            _one_line(tool.name, _MAX_NAME),
            _one_line(textwrap.shorten(tool.description.partition("\n")[0], _MAX_SHOWN, placeholder=" …"), _MAX_SHOWN),
            _describe_read_only(tool, trusted),
        )
        for tool in tools[:_MAX_ROWS]
    ]


def _describe_read_only(tool: ListedTool, trusted: bool) -> str:
    if tool.needs_task:
        return "not offered: it needs tasks"
    if tool.unusable:
        return f"not offered: {tool.unusable}"
    if tool.read_only is None:
        return "not said"
    return ("yes" if tool.read_only else "no") + ("" if trusted else ", it says")


def listing_text(name: str, tools: Sequence[ListedTool], trusted: bool) -> str:
    """Return the listing as a table of plain text.

    Args:
        name: the server's name.
        tools: what it lists.
        trusted: whether what it says of them is believed.
    """
    rows = [("tool", "what it does", "read-only"), *_rows(tools, trusted)]
    widths = [max(len(row[at]) for row in rows) for at in (0, 2)]
    lines = [f"{row[0]:<{widths[0]}}  {row[2]:<{widths[1]}}  {shorten(row[1], 80)}".rstrip() for row in rows]
    more = [f"and {len(tools) - _MAX_ROWS:,} more"] if len(tools) > _MAX_ROWS else []
    return "\n".join([_headline(name, tools), *(lines if tools else []), *more])


def listing_html(name: str, tools: Sequence[ListedTool], trusted: bool) -> str:
    """Return the listing as a table of HTML, safe whatever the server wrote.

    Args:
        name: the server's name.
        tools: what it lists.
        trusted: whether what it says of them is believed.
    """
    head = "".join(
        f'<th scope="col" style="{_CELL};white-space:nowrap">{word}</th>'
        for word in ("tool", "what it does", "read-only")
    )
    body = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:600"><code>{escape_text(tool)}</code></th>'
        f'<td style="{_CELL}">{escape_text(what)}</td>'
        f'<td style="{_CELL};white-space:nowrap">{escape_text(hint)}</td></tr>'
        for tool, what, hint in _rows(tools, trusted)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if tools else ""
    more = f"<div>and {len(tools) - _MAX_ROWS:,} more</div>" if len(tools) > _MAX_ROWS else ""
    return answer_html("", head=f"<div>{escape_text(_headline(name, tools))}</div>{table}{more}")


def _headline(name: str, tools: Sequence[ListedTool]) -> str:
    count = f"{len(tools):,} tool{'' if len(tools) == 1 else 's'}"
    return f"MCP server {name}: {count if tools else 'no tools'}"
