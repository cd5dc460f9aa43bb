"""JSON schemas written into a prompt, as clients write them for a gateway without `response_format`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from .api import ApiError, parse_body
from .validate import metaschema_fault

__all__ = ["cut_schemas", "find_schema"]

MAX_CHARS = 200_000  # of a message that are read
MAX_OBJECTS = 50  # that may begin in a message: each beginning may cost a reading of the rest
_COMBINED = ("anyOf", "oneOf", "allOf")
_DECODER = json.JSONDecoder()


def find_schema(texts: list[str]) -> dict[str, Any] | None:
    """Return the last schema in the last text that asks for JSON and holds one; an example may stand before it."""
    for text in reversed(texts):
        if re.search("json", text[:MAX_CHARS], re.IGNORECASE):
            found = [value for _, _, value in _schemas(text)]
            if found:
                return found[-1]
    return None


def cut_schemas(text: str) -> str:
    """Return a prompt without its schemas, whose words say nothing about the answer."""
    for start, end, _ in reversed(list(_schemas(text))):
        text = text[:start] + text[end:]
    return text


def _schemas(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield each schema with its beginning and end."""
    text = text[:MAX_CHARS]
    end = 0
    for _ in range(MAX_OBJECTS):
        start = text.find("{", end)
        if start < 0:
            return
        try:
            _, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
            continue
        with contextlib.suppress(ApiError):  # NaN, half a character, or nested too deeply: as in a request, it is none
            if _is_schema(value := parse_body(text[start:end].encode())):
                yield start, end, value


def _is_schema(value: dict[str, Any]) -> bool:
    properties = value.get("properties")
    described = (
        (isinstance(properties, dict) and all(isinstance(part, dict) for part in properties.values()))
        or (value.get("type") == "array" and isinstance(value.get("items"), dict))
        or any(isinstance(value.get(key), list) for key in _COMBINED)
        or str(value.get("$ref", "")).startswith("#/")
    )
    return described and metaschema_fault(json.dumps(value)) is None
