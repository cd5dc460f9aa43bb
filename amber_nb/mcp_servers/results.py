"""What a tool of an MCP server returned, as the results of functions are: for the model, and for the reader.

The form is `CallToolResult` of the protocol, as JSON: https://modelcontextprotocol.io/specification/2025-11-25/server/tools
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from .. import display, images, tools
from ..display.escape import shorten, show_controls
from ..errors import ImageError
from ..types import SentImage, Source, ToolContent, ToolRun, replace_surrogates
from ..wire.sources import find_links

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ServerResult", "read_blocks", "read_result", "replace_inner_surrogates"]

_MAX_BLOCKS = 200
_MAX_BLOB = 30_000_000  # characters of base64
_MAX_PICTURES = 20
_MAX_NAME = 200
_MAX_URI = 2_000
_MAX_LEAVES, _MAX_DEPTH = 200, 20


@dataclass(frozen=True, repr=False)
class ServerResult:
    """What a tool of an MCP server returned.

    Attributes:
        server: the server's name.
        tool: the tool's name, as the server has it.
        value: the structured content, where the server sends it; else the text.
        content: what a model is told of it, and what readers see.
        is_error: whether the tool says that it failed; its text tells why.
    """

    server: str
    tool: str
    value: Any
    content: ToolContent
    is_error: bool
    _arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text, as a model is told it."""
        return self.content.text

    @property
    def sources(self) -> tuple[Source, ...]:
        """The pages and documents that it names."""
        return self.content.sources

    @property
    def images(self) -> tuple[SentImage, ...]:
        """The pictures in it."""
        return tuple(sent for _, sent in self.content.images)

    def frame(self) -> pd.DataFrame:
        """Return the records of the result as a frame, a row for each; any other value in the column `value`."""
        pandas = import_module("pandas")
        records = _records(self.value)
        if records is None:
            records = [] if _is_empty_list(self.value) else [{"value": self.value}]
        frame: pd.DataFrame = pandas.DataFrame(records)
        return frame

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"ServerResult({self.tool!r} of {self.server!r}, {show_controls(shorten(self.text, 60))!r})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        status: Any = "failed" if self.is_error else "ran"
        error = self.text if self.is_error else None
        run = ToolRun(
            name=self.tool,
            arguments=self._arguments,
            status=status,
            error=error,
            sent=self.text,
            result=self.value,
            content=None if self.is_error else self.content,
            server=self.server,
        )
        plain = "\n".join(part for part in (show_controls(self.text), display.sources_text(self.sources)) if part)
        html = display.answer_html("", head=display.tools_html([run]), below=display.sources_html(self.sources))
        return {"text/html": html, "text/plain": plain}


def read_result(
    result: Mapping[str, Any], *, server: str, tool: str, arguments: Mapping[str, Any] | None = None
) -> ServerResult:
    """Read the result of a call; never raise, whatever the server sent.

    Args:
        result: `{"content": [block, …], "structuredContent": …, "isError": …}`.
        server: the server's name, for readers.
        tool: the tool's name.
        arguments: of the call, for readers.
    """
    given = result.get("content")
    blocks = [each for each in given[:_MAX_BLOCKS] if isinstance(each, Mapping)] if isinstance(given, list) else []
    structured = replace_inner_surrogates(_unwrap(result.get("structuredContent")))
    texts = [replace_surrogates(each["text"]) for each in blocks if _is_text(each)]
    items = read_blocks(given)
    if structured is not None and not _is_told(structured, texts):
        # Beside other content as text: a list of both would be JSON, and its texts hard to read.
        items.append(tools.to_tool_content(structured).text if items else structured)
    content = tools.to_tool_content(_join(items))
    value = structured if structured is not None else _parse(texts)
    if value is None:
        value = "\n".join(item for item in items if isinstance(item, str))
    table, notes = _table(value)
    content = replace(content, table=table, notes=(*content.notes, *notes), sources=_sources(value, blocks))
    return ServerResult(server, tool, value, content, result.get("isError") is True, dict(arguments or {}))


def read_blocks(blocks: Any) -> list[Any]:
    """Return what blocks of content hold: texts as texts, pictures as parts that can be sent, all else as sentences.

    Args:
        blocks: as the server sent them; what is no block is left out, and so are all after the first 200.
    """
    if not isinstance(blocks, list):
        return []
    items: list[Any] = []
    n_pictures = 0
    for block in blocks[:_MAX_BLOCKS]:
        if isinstance(block, Mapping):
            item = _read_block(block, n_pictures < _MAX_PICTURES)
            n_pictures += isinstance(item, dict)
            items += [item] if item is not None else []
    if len(blocks) > _MAX_BLOCKS:
        items.append(f"({len(blocks) - _MAX_BLOCKS:,} more blocks of content are left out)")
    return items


def _unwrap(value: Any) -> Any:
    """Return the structured content without the object that the SDKs put around what is no object."""
    if isinstance(value, Mapping) and list(value) == ["result"]:
        return value["result"]
    return value


def _join(items: Sequence[Any]) -> Any:
    """Return what a function would have returned: a text alone, or a list in which pictures stand in their place."""
    if all(isinstance(item, str) for item in items):
        return "\n".join(items) if items else None
    return items[0] if len(items) == 1 else list(items)


def _is_told(structured: Any, texts: Sequence[str]) -> bool:
    """Return whether the texts of a result tell its structured content, as the protocol wants it, if not all do."""
    if not texts:
        return False
    text = "\n".join(texts)
    if _parse(texts) is not None:
        return True
    return all(leaf in text for leaf in islice(_leaves(structured, 0), _MAX_LEAVES))


def _leaves(value: Any, depth: int) -> Iterator[str]:
    """Yield the texts and numbers of a JSON value, as texts."""
    if isinstance(value, (Mapping, list)):
        for item in (value.values() if isinstance(value, Mapping) else value) if depth < _MAX_DEPTH else ():
            yield from _leaves(item, depth + 1)
    elif isinstance(value, str):
        yield replace_surrogates(value)
    elif value is not None:
        yield json.dumps(value, default=str)


def _parse(texts: Sequence[str]) -> Any:
    """Return the JSON object or array that a text is, or the list of them that several are; None for other texts."""
    values = []
    for text in texts:
        if not text.lstrip().startswith(("{", "[")):
            return None
        try:
            values.append(replace_inner_surrogates(json.loads(text)))
        except (ValueError, RecursionError):
            return None
    return values[0] if len(values) == 1 else values or None


def replace_inner_surrogates(value: Any) -> Any:
    """Return a JSON value whose texts can be encoded: JSON's escapes can write half a character."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        return value if replace_surrogates(text) == text else json.loads(replace_surrogates(text))
    except (TypeError, ValueError, RecursionError):  # no JSON, or nested very deep
        return value


def _is_text(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "text" and isinstance(block.get("text"), str)


def _read_block(block: Mapping[str, Any], may_be_picture: bool) -> Any:
    """Return a text or the part of a picture; None for a text block without a text."""
    kind = block.get("type")
    if kind == "text":
        return replace_surrogates(block["text"]) if _is_text(block) else None
    if kind == "image":
        return _picture(block.get("data"), block.get("mimeType"), may_be_picture)
    if kind == "resource_link":
        return f"{_label(block)}: {_short(block.get('uri'))}"
    if kind == "resource" and isinstance(block.get("resource"), Mapping):
        return _embedded(block["resource"], may_be_picture)
    if kind == "audio":
        return f"(audio, {_short(block.get('mimeType'))}, which a model is not sent)"
    return f"(content of the kind {_short(kind)}, which cannot be shown)"


def _embedded(resource: Mapping[str, Any], may_be_picture: bool) -> Any:
    if isinstance(text := resource.get("text"), str):
        return f"{_short(resource.get('uri'))}:\n{replace_surrogates(text)}"
    if str(resource.get("mimeType")).startswith("image/"):
        return _picture(resource.get("blob"), resource.get("mimeType"), may_be_picture)
    size = len(blob) * 3 // 4 if isinstance(blob := resource.get("blob"), str) else 0
    return f"({_short(resource.get('uri'))}: a file of {size:,} bytes, {_short(resource.get('mimeType'))})"


def _picture(data: Any, kind: Any, may_be_picture: bool) -> Any:
    if not may_be_picture:
        return f"(a picture, {_short(kind)}, that is not sent: a result has {_MAX_PICTURES} at most)"
    if not isinstance(data, str):
        return f"(a picture, {_short(kind)}, without data)"
    if len(data) > _MAX_BLOB:
        return f"(a picture, {_short(kind)}, that is too large: {len(data) * 3 // 4:,} bytes)"
    try:
        return images.image_part(base64.b64decode(data, validate=False))
    except ImageError as error:
        return f"(a picture, {_short(kind)}, that cannot be read: {error})"
    except ValueError:  # of base64
        return f"(a picture, {_short(kind)}, that cannot be read: its data is no base64)"


def _label(block: Mapping[str, Any]) -> str:
    return _short(next((block[key] for key in ("title", "name") if isinstance(block.get(key), str)), "link"))


def _short(text: Any) -> str:
    return replace_surrogates(shorten(text, _MAX_NAME)) if isinstance(text, str) and text else "unknown"


def _sources(value: Any, blocks: Sequence[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Return what a result names: its records with an address, then the resources that it links or holds."""
    found = {source.url: source for source in find_links(value)}
    for block in blocks:
        inner = block.get("resource") if block.get("type") == "resource" else block
        if block.get("type") in ("resource", "resource_link") and isinstance(inner, Mapping):
            uri = inner.get("uri")
            if isinstance(uri, str) and 0 < len(uri) <= _MAX_URI:
                uri = replace_surrogates(uri)
                found.setdefault(uri, Source(title=_label({"name": uri, **inner}), url=uri))
    return tuple(found.values())


def _records(value: Any) -> list[Mapping[str, Any]] | None:
    """Return the records of a value: a list of objects, or the only such list of an object; None without one."""
    if isinstance(value, Mapping):
        lists = [item for item in value.values() if _is_table(item)]
        return lists[0] if len(lists) == 1 else None
    return value if _is_table(value) else None


def _is_empty_list(value: Any) -> bool:
    """Return whether a value is an empty list, or an object of nothing else: a search without hits."""
    if isinstance(value, Mapping) and len(value) == 1:
        value = next(iter(value.values()))
    return isinstance(value, list) and not value


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _table(value: Any) -> tuple[Any, list[str]]:
    """Return the records of a value as the table that readers see, and a note on what it leaves out; or None."""
    records = _records(value)
    if records is None:
        return None, []
    columns, rows = table = tools.records_table(records)
    cut = [f"the first {len(rows):,} of {len(records):,} rows"] if len(rows) < len(records) else []
    cut += [f"the first {len(columns):,} columns"] if any(len(record) > len(columns) for record in records) else []
    return table, [f"the table shows {' and '.join(cut)}"] if cut else []
