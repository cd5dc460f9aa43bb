"""Compare the structured content that a tool of an MCP server returned with its blocks of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..types import replace_surrogates

__all__ = ["is_text", "is_told", "replace_inner_surrogates"]

_KINDS = ["text", "image", "audio", "resource", "resource_link"]  # of content; a list, since any JSON is looked for
_PARTS = ("type", "text", "data", "uri", "resource")  # in which blocks of content differ
_MAX_VALUES, _MAX_DEPTH = 1_000, 20
_MIN_TEXT = 4  # characters that a text tells by themselves: "1" and "no" stand in many sentences


def is_told(structured: Any, blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether blocks of content tell the structured content whole, as the protocol wants it, if not all do."""
    texts = [replace_surrogates(block["text"]) for block in blocks if is_text(block)]
    if len(texts) == 1 and (_says(texts[0], structured) or _says(texts[0], {"result": structured})):
        return True
    if _names_each_value("\n".join(texts), structured):
        return True
    if not isinstance(structured, list) or not structured:
        return False
    # The SDKs make a block of each item of a list, and of blocks the structured content, too.
    is_listed = len(texts) == len(structured) and all(map(_says, texts, structured))
    return is_listed or (len(blocks) == len(structured) and all(map(_is_block, structured, blocks)))


def _says(text: str, value: Any) -> bool:
    """Return whether a text is a value: itself, or as JSON."""
    if isinstance(value, str) and text == value:
        return True
    try:
        return _canonical(replace_inner_surrogates(json.loads(text))) == _canonical(value)
    except (TypeError, ValueError, RecursionError):
        return False


def _canonical(value: Any) -> str:
    """Return JSON to compare values by: to Python, 1 and True are equal."""
    return json.dumps(value, sort_keys=True)


def _is_block(item: Any, block: Mapping[str, Any]) -> bool:
    """Return whether an item of the structured content is a block of the content."""
    if not isinstance(item, Mapping) or item.get("type") not in _KINDS:
        return False
    try:
        one, other = ([each.get(name) for name in _PARTS] for each in (item, block))
        return _canonical(one) == _canonical(replace_inner_surrogates(other))
    except (TypeError, ValueError, RecursionError):
        return False


def _names_each_value(text: str, structured: Any) -> bool:
    """Return whether a text for people holds each value as whole words; a short one, and a number, by its name.

    So that a list of hits is not told twice. Of true and false no text is sure to tell.
    """
    seen = 0
    for name, value in _values(structured, "", 0):
        seen += 1
        if seen > _MAX_VALUES or isinstance(value, bool):
            return False
        said = value if isinstance(value, str) else json.dumps(value)
        if not _has_words(text, said):
            return False
        is_plain = isinstance(value, str) and len(value) >= _MIN_TEXT
        if not is_plain and not _has_words(text.casefold(), name.replace("_", " ").casefold()):
            return False
    return bool(text) and seen > 0


def _values(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the values within a JSON value, each with the name of the field that it is in; without null and ""."""
    if depth > _MAX_DEPTH:
        yield name, True
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _values(item, str(key), depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, name, depth + 1)
    elif value not in (None, ""):
        yield name, value


def _has_words(text: str, words: str) -> bool:
    return bool(words) and re.search(rf"(?<!\w)(?<!\d\.){re.escape(words)}(?!\w|\.\d)", text) is not None


def replace_inner_surrogates(value: Any) -> Any:
    """Return a JSON value whose texts can be encoded: JSON's escapes can write half a character."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        return value if replace_surrogates(text) == text else json.loads(replace_surrogates(text))
    except (TypeError, ValueError, RecursionError):  # no JSON, or nested very deep
        return value


def is_text(block: Mapping[str, Any]) -> bool:
    """Return whether a block of content is a text."""
    return block.get("type") == "text" and isinstance(block.get("text"), str)
