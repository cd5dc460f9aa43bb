"""What a tool of an MCP server returned, as the results of functions are: for the model, and for the reader.

The form is `CallToolResult` of the protocol, as JSON: https://modelcontextprotocol.io/specification/2025-11-25/server/tools
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import display, images, tools
from ..display.escape import shorten, show_controls
from ..errors import ImageError
from ..types import SentImage, Source, ToolContent, ToolRun, replace_surrogates
from ..wire.sources import find_links

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ServerResult", "read_blocks", "read_result"]

_MAX_BLOCKS = 200
_MAX_BLOB = 30_000_000  # characters of base64
_MAX_NAME = 200


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
        frame: pd.DataFrame = pandas.DataFrame({"value": [self.value]} if records is None else records)
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
        return {"text/html": display.tools_html([run]) + display.sources_html(self.sources), "text/plain": plain}


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
    blocks = result.get("content")
    blocks = [each for each in blocks[:_MAX_BLOCKS] if isinstance(each, Mapping)] if isinstance(blocks, list) else []
    structured = _unwrap(result.get("structuredContent"))
    items = read_blocks(blocks)
    if structured is not None and not any(isinstance(item, str) for item in items):
        items.insert(0, structured)
    content = tools.to_tool_content(_join(items))
    texts = "\n".join(item for item in items if isinstance(item, str))
    value = structured if structured is not None else _parse(texts)
    content = replace(content, table=content.table or _table(value), sources=_sources(value, blocks))
    return ServerResult(
        server, tool, texts if value is None else value, content, result.get("isError") is True, dict(arguments or {})
    )


def read_blocks(blocks: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return what blocks of content hold: texts as texts, pictures as parts that can be sent, all else as sentences."""
    return [item for block in blocks for item in _read_block(block)]


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


def _parse(text: str) -> Any:
    """Return the JSON object or array that a text is; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_block(block: Mapping[str, Any]) -> Iterator[Any]:
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        yield replace_surrogates(block["text"])
    elif kind == "image":
        yield _picture(block.get("data"), block.get("mimeType"))
    elif kind == "resource_link":
        yield f"{_label(block)}: {_short(block.get('uri'))}"
    elif kind == "resource" and isinstance(block.get("resource"), Mapping):
        yield _embedded(block["resource"])
    elif kind == "audio":
        yield f"(audio, {_short(block.get('mimeType'))}, which a model is not sent)"
    elif kind != "text":
        yield f"(content of the kind {_short(kind)}, which cannot be shown)"


def _embedded(resource: Mapping[str, Any]) -> Any:
    if isinstance(text := resource.get("text"), str):
        return f"{_short(resource.get('uri'))}:\n{replace_surrogates(text)}"
    if str(resource.get("mimeType")).startswith("image/"):
        return _picture(resource.get("blob"), resource.get("mimeType"))
    size = len(blob) * 3 // 4 if isinstance(blob := resource.get("blob"), str) else 0
    return f"({_short(resource.get('uri'))}: a file of {size:,} bytes, {_short(resource.get('mimeType'))})"


def _picture(data: Any, kind: Any) -> Any:
    if not isinstance(data, str) or len(data) > _MAX_BLOB:
        return f"(a picture, {_short(kind)}, that is none or too large)"
    try:
        return images.image_part(base64.b64decode(data, validate=False))
    except (ImageError, binascii.Error, ValueError) as error:
        return f"(a picture, {_short(kind)}, that cannot be read: {type(error).__name__})"


def _label(block: Mapping[str, Any]) -> str:
    return _short(next((block[key] for key in ("title", "name") if isinstance(block.get(key), str)), "link"))


def _short(text: Any) -> str:
    return replace_surrogates(shorten(text, _MAX_NAME)) if isinstance(text, str) and text else "unknown"


def _sources(value: Any, blocks: Sequence[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Return what a result names: its records with an address, then its links to other resources."""
    found = dict.fromkeys(find_links(value))
    urls = {source.url for source in found}
    for block in blocks:
        if block.get("type") == "resource_link" and isinstance(uri := block.get("uri"), str) and uri not in urls:
            found[Source(title=_label(block), url=_short(uri))] = None
    return tuple(found)


def _records(value: Any) -> list[Mapping[str, Any]] | None:
    """Return the records of a value: a list of objects, or the only such list of an object; None without one."""
    if isinstance(value, Mapping):
        lists = [item for item in value.values() if _is_table(item)]
        return lists[0] if len(lists) == 1 else None
    return value if _is_table(value) else None


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _table(value: Any) -> Any:
    records = _records(value)
    if records is None:
        return None
    return tools.to_tool_content(import_module("pandas").DataFrame(records)).table
