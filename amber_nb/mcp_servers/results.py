"""What a tool of an MCP server returned, as the results of functions are: for the model, and for the reader.

The form is `CallToolResult` of the protocol, as JSON: https://modelcontextprotocol.io/specification/2025-11-25/server/tools
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from .. import display, images, tools
from ..display.escape import shorten, show_controls
from ..errors import ImageError
from ..types import SentImage, Source, ToolContent, ToolRun, replace_surrogates
from ..wire.sources import find_links
from .structured_content import is_text, is_told, replace_inner_surrogates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ServerFile", "ServerResult", "decode_base64", "read_blocks", "read_result", "replace_inner_surrogates"]

_MAX_BLOCKS = 200
_MAX_BLOB = 30_000_000  # characters of base64
_MAX_PICTURES = 20
_MAX_NAME = 200
_MAX_URI = 2_000
_MAX_DETAIL = 500  # characters of what a link says of itself
_MAX_SIZE = 2**63
_MAX_ERROR = 2_000  # characters of what a tool says of its failure
_MAX_WORD = 100  # characters that an error loses at a cut, so that no word, which may be a key, is cut in two
_NO_REASON = "the tool failed without saying why"
_FOR_READER = "Done. The result is for the reader alone, who sees it."
_URL_SAFE = str.maketrans("-_", "+/")
_CHARSET = re.compile(r"charset=\"?([\w.-]{1,20})", re.IGNORECASE)
_CHARSETS = ("iso-8859-1", "latin-1", "iso-8859-15", "windows-1252", "cp1252", "utf-16", "utf-16le", "utf-16be")
_TEXT_KINDS = re.compile(
    r"text/.+|application/(?:(?:.+\+)?(?:json|xml|yaml)|x-yaml|x-ndjson|ndjson|jsonl|csv|toml|sql|javascript|x-sh)",
    re.IGNORECASE,
)


@dataclass(frozen=True, repr=False)
class ServerFile:
    """A file that a tool of an MCP server returned.

    Attributes:
        uri: of the resource; "" where it is content without one, such as audio.
        mime_type: as the server says; "" where it says nothing.
        data: the bytes.
    """

    uri: str
    mime_type: str
    data: bytes

    def __repr__(self) -> str:
        name = self.uri.rstrip("/").rpartition("/")[2]  # without its folder
        parts = [show_controls(shorten(part, 60)) for part in (name, self.mime_type)]
        return f"ServerFile({parts[0]!r}, {parts[1]!r}, {len(self.data):,} bytes)"


@dataclass(frozen=True, repr=False)
class ServerResult:
    """What a tool of an MCP server returned.

    Attributes:
        server: the server's name.
        tool: the tool's name, as the server has it.
        value: the structured content, where the server sends it; else the text.
        content: the pictures that a model is sent, and what readers see: usually what a model is told, too.
        is_error: whether the tool says that it failed; its text tells why.
        files: what it holds as bytes, other than pictures for the model: embedded files, audio.
    """

    server: str
    tool: str
    value: Any
    content: ToolContent
    is_error: bool
    files: tuple[ServerFile, ...] = ()
    _arguments: Mapping[str, Any] = field(default_factory=dict)
    _told: str | None = None  # to the model, where the reader sees another text

    @property
    def text(self) -> str:
        """The text, as a model is told it."""
        return self.content.text if self._told is None else self._told

    @property
    def sources(self) -> tuple[Source, ...]:
        """The pages and documents that it names."""
        return self.content.sources

    @property
    def images(self) -> tuple[SentImage, ...]:
        """The pictures in it."""
        return tuple(sent for _, sent in self.content.images)

    def frame(self) -> pd.DataFrame:
        """Return the result as a frame.

        Returns:
            A row for each record of a list of records, or of an object's only list of them; one row for an object of
            plain values; a row for each item of a list of plain values, and one for any other value, in the column
            `value`. A list without items has no columns: `.reindex(columns=[…])` gives it those that you need.

        Example:
            >>> amber.mcp.call("search", query="ACME").frame().reindex(columns=["title", "url"])
        """
        pandas = import_module("pandas")
        records = _records(self.value)
        frame: pd.DataFrame = pandas.DataFrame(_rows(self.value) if records is None else records)
        return frame

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"ServerResult({self.tool!r} of {self.server!r}, {show_controls(shorten(self.text, 60))!r})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        status: Any = "failed" if self.is_error else "ran"
        error = self.content.text if self.is_error else None
        run = ToolRun(
            name=self.tool,
            arguments=self._arguments,
            status=status,
            error=error,
            sent=self.content.text,
            result=self.value,
            content=None if self.is_error else self.content,
            server=self.server,
        )
        parts = show_controls(self.content.text), display.sources_text(self.sources)
        plain = "\n".join(filter(None, parts))
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
    pairs = list(_read_each(given))
    blocks = [block for block, _ in pairs]
    is_error = result.get("isError") is True
    structured = replace_inner_surrogates(_unwrap(result.get("structuredContent")))
    told = [item for block, item in pairs if _audience(block) != "user" and item is not None]
    shown = [_for_reader(block, item) for block, item in pairs if item is not None]
    if structured is not None and not is_told(structured, [block for block in blocks if _audience(block) != "user"]):
        # Beside other content as text: a list of both would be JSON, and its texts hard to read.
        text = tools.to_tool_content(structured).text
        told.append(text if told or is_error else structured)
        shown.append(text)
    if shown and not told:
        told = [_FOR_READER]
    content = _to_content(told, is_error)
    is_same = all(_audience(block) is None for block in blocks)
    for_model = None if is_same else content.text
    content = content if is_same else replace(content, text=_to_content(shown, is_error).text)
    texts = [replace_surrogates(block["text"]) for block in blocks if is_text(block)]
    value = structured if structured is not None else _parse(texts)
    if value is None:
        value = "\n".join(item for _, item in pairs if isinstance(item, str))
    table, notes = _table(value)
    content = replace(content, table=table, notes=(*content.notes, *notes), sources=_sources(value, blocks))
    files = tuple(file for block in blocks if (file := _read_file(block)) is not None)
    return ServerResult(server, tool, value, content, is_error, files, dict(arguments or {}), for_model)


def read_blocks(blocks: Any) -> list[Any]:
    """Return what blocks of content hold: texts as texts, pictures as parts that can be sent, all else as sentences.

    Args:
        blocks: as the server sent them; what is no block is left out, and so are all after the first 200.
    """
    return [item for _, item in _read_each(blocks) if item is not None]


def _read_each(blocks: Any) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Yield each block with what it holds; None for a text block without a text."""
    if not isinstance(blocks, list):
        return
    n_pictures = 0
    for block in blocks[:_MAX_BLOCKS]:
        if isinstance(block, Mapping):
            item = _read_block(block, n_pictures < _MAX_PICTURES)
            n_pictures += isinstance(item, dict)
            yield block, item
    if len(blocks) > _MAX_BLOCKS:
        yield {}, f"({len(blocks) - _MAX_BLOCKS:,} more blocks of content are left out)"


def _audience(block: Mapping[str, Any]) -> Literal["user", "assistant"] | None:
    """Return whom alone a block is for, the reader or the model; None: for both, as everything else is."""
    notes = block.get("annotations")
    audience = notes.get("audience") if isinstance(notes, Mapping) else None
    if audience == ["user"]:
        return "user"
    return "assistant" if audience == ["assistant"] else None


def _for_reader(block: Mapping[str, Any], item: Any) -> Any:
    """Return what the reader sees of a block: of one for the model alone that there is one, of one for both all."""
    audience = _audience(block)
    if audience == "assistant" and isinstance(item, str):
        return f"(a text of {len(item):,} characters, for the model alone)"
    if audience == "user" and isinstance(item, dict):  # the pictures that the reader sees are those of the model
        return "(a picture, for the reader alone: it is in the files of the result)"
    return item


def _to_content(items: Sequence[Any], is_error: bool) -> ToolContent:
    """Return items as the content of a result; of an error the beginning and the end, where the cause stands."""
    content = tools.to_tool_content(_join(items))
    if not is_error:
        return content
    text = "\n".join(item if isinstance(item, str) else "(a picture)" for item in items)
    return replace(content, text=_shorten_middle(text, _MAX_ERROR) if text.strip() else _NO_REASON, notes=())


def _shorten_middle(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters: its beginning, how much is left out, and its end."""
    text = replace_surrogates(text)
    if len(text) <= limit:
        return text
    room = (limit - 60) // 2
    head, tail = text[:room], text[-room:]
    if space := re.search(r"\s\S*\Z", head[-_MAX_WORD:]):
        head = head[: len(head) - len(space[0])]
    if space := re.match(r"\S*\s", tail[:_MAX_WORD]):
        tail = tail[space.end() :]
    return f"{head}\n… {len(text) - len(head) - len(tail):,} characters left out …\n{tail}"


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


def _read_block(block: Mapping[str, Any], may_be_picture: bool) -> Any:
    """Return a text or the part of a picture; None for a text block without a text."""
    kind = block.get("type")
    if kind == "text":
        return replace_surrogates(block["text"]) if is_text(block) else None
    if kind == "image":
        return _picture(block.get("data"), block.get("mimeType"), may_be_picture)
    if kind == "resource_link":
        return f"{_label(block)}: {_short(block.get('uri'))}{_details(block)}"
    if kind == "resource" and isinstance(block.get("resource"), Mapping):
        return _embedded(block["resource"], may_be_picture)
    if kind == "audio":
        return f"(audio, {_short(block.get('mimeType'))}, which a model is not sent)"
    return f"(content of the kind {_short(kind)}, which cannot be shown)"


def _details(link: Mapping[str, Any]) -> str:
    """Return what a link says of its resource, in parentheses; "" where it says nothing."""
    described, kind, size = (link.get(name) for name in ("description", "mimeType", "size"))
    parts = [shorten(" ".join(described.split()), _MAX_DETAIL)] if isinstance(described, str) else []
    parts += [shorten(kind, _MAX_NAME)] if isinstance(kind, str) else []
    parts += [f"{size:,} bytes"] if type(size) is int and 0 <= size < _MAX_SIZE else []
    text = "; ".join(filter(None, parts))
    return f" ({replace_surrogates(text)})" if text else ""


def _embedded(resource: Mapping[str, Any], may_be_picture: bool) -> Any:
    name, kind = _short(resource.get("uri")), resource.get("mimeType")
    if isinstance(text := resource.get("text"), str):
        return f"{name}:\n{replace_surrogates(text)}"
    blob = resource.get("blob")
    if str(kind).startswith("image/"):
        return _picture(blob, kind, may_be_picture)
    try:
        data = decode_base64(blob) if isinstance(blob, str) else b""
    except ValueError:
        return f"({name}: a file, {_short(kind)}, that cannot be read: its data is no base64)"
    decoded = _decode_text(data, kind) if isinstance(kind, str) else None
    return f"{name}:\n{decoded}" if decoded else f"({name}: a file of {len(data):,} bytes, {_short(kind)})"


def decode_base64(text: str) -> bytes:
    """Return the bytes that base64 stands for, in either of its alphabets, with or without padding and line breaks.

    Raises:
        ValueError: the text is no base64.
    """
    plain = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _decode_text(data: bytes, kind: str) -> str | None:
    """Return a file of a kind of text as text; None for any other file."""
    if len(data) > _MAX_BLOB or not _TEXT_KINDS.fullmatch(kind.partition(";")[0].strip()):
        return None
    named = _CHARSET.search(kind)
    try:
        # Of the other codecs some are no encodings of text, and some take very long.
        return data.decode(named[1] if named is not None and named[1].lower() in _CHARSETS else "utf-8-sig")
    except UnicodeDecodeError:
        return None


def _read_file(block: Mapping[str, Any]) -> ServerFile | None:
    """Return what a block holds as bytes, but for a picture that the model is sent; None for other blocks."""
    kind, inner, field_name = block.get("type"), block, "data"
    if kind == "resource" and isinstance(block.get("resource"), Mapping):
        inner, field_name = block["resource"], "blob"
    elif kind != "audio" and not (kind == "image" and _audience(block) == "user"):
        return None
    data, uri, mime_type = (inner.get(name) for name in (field_name, "uri", "mimeType"))
    if not isinstance(data, str):
        return None
    try:
        uri, mime_type = (replace_surrogates(text) if isinstance(text, str) else "" for text in (uri, mime_type))
        return ServerFile(uri, mime_type, decode_base64(data))
    except ValueError:
        return None


def _picture(data: Any, kind: Any, may_be_picture: bool) -> Any:
    if not may_be_picture:
        return f"(a picture, {_short(kind)}, that is not sent: a result has {_MAX_PICTURES} at most)"
    if not isinstance(data, str):
        return f"(a picture, {_short(kind)}, without data)"
    if len(data) > _MAX_BLOB:
        return f"(a picture, {_short(kind)}, that is too large: {len(data) * 3 // 4:,} bytes)"
    try:
        return images.image_part(decode_base64(data))
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


def _rows(value: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a value without records."""
    if isinstance(value, Mapping) and value and all(map(_is_plain, value.values())):
        return [value]
    if _is_empty_list(value):
        return []
    if isinstance(value, list) and all(map(_is_plain, value)):
        return [{"value": item} for item in value]
    return [{"value": value}]


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (Mapping, list))


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
