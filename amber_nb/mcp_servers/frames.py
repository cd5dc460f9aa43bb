"""Make DataFrames of what an MCP server lists; pandas is loaded with the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from ..types import replace_surrogates
from .listing import ListedTool

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["prompts_frame", "resources_frame", "tools_frame"]

_Columns: TypeAlias = dict[str, tuple[str, list[Any]]]  # name → dtype and values


def tools_frame(tools: Iterable[ListedTool]) -> pd.DataFrame:
    """Return a row for each tool; `McpServer.tools` describes the columns."""
    tools = list(tools)
    columns: _Columns = {
        "name": ("str", [tool.name for tool in tools]),
        "description": ("str", [tool.description for tool in tools]),
        "read_only": ("boolean", [tool.read_only for tool in tools]),
        "destructive": ("boolean", [tool.destructive for tool in tools]),
        "parameters": ("object", [tool.schema for tool in tools]),
    }
    return _frame(columns)


def resources_frame(listing: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each resource, and for each template of resources."""
    items = [*_items(listing, "resources"), *_items(listing, "resourceTemplates")]
    columns: _Columns = {
        "uri": ("str", [_text(item, "uri", "uriTemplate") for item in items]),
        "name": ("str", [_text(item, "title", "name") for item in items]),
        "description": ("str", [_text(item, "description") for item in items]),
        "mime_type": ("str", [_text(item, "mimeType") for item in items]),
        "size": ("Int64", [_size(item.get("size")) for item in items]),
    }
    return _frame(columns)


def prompts_frame(listing: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each prompt; a required argument is marked with *."""
    items = _items(listing, "prompts")
    arguments = [
        ", ".join(
            f"{name}{'*' if each.get('required') else ''}"
            for each in _items(item, "arguments")
            if (name := _text(each, "name"))
        )
        for item in items
    ]
    columns: _Columns = {
        "name": ("str", [_text(item, "name") for item in items]),
        "description": ("str", [_text(item, "description") for item in items]),
        "arguments": ("str", arguments),
    }
    return _frame(columns)


def _items(listing: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    items = listing.get(field)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _text(item: Mapping[str, Any], *fields: str) -> str | None:
    """Return the first of these fields that is a text; None without one."""
    texts = (item.get(field) for field in fields)
    return next((replace_surrogates(text) for text in texts if isinstance(text, str) and text), None)


def _size(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def _frame(columns: _Columns) -> pd.DataFrame:
    pandas = import_module("pandas")
    frame: pd.DataFrame = pandas.DataFrame(
        {name: pandas.Series(values, dtype=dtype) for name, (dtype, values) in columns.items()}
    )
    return frame
