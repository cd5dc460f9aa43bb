"""Read the constraints that a description states: OpenAI's strict schemas have no keywords for them."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["add_described"]

_MAX_CHARS = 500  # of a description that are read
_NUMBER = re.compile(
    r"\b(minimum|exclusiveMinimum|maximum|exclusiveMaximum): (-?(?:0|[1-9]\d{0,15})(?:\.\d{1,10})?)(?![\d.])"
)
_COUNT = re.compile(r"\b(minLength|maxLength|minItems|maxItems): (\d{1,6})\b")
_FORMAT = re.compile(r"\bformat: ([a-z][a-z-]{2,20})\b")
_ORDER = re.compile(r"\bin this order: ((?:string|integer|number|boolean|array|object|null|any|, | or ){1,199})")


def add_described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the keywords that its description states; those of its own stay.

    Example:
        add_described({"type": "string", "description": "when (format: date)"})["format"]  # "date"
    """
    description = schema.get("description")
    if not isinstance(description, str) or ": " not in description:
        return schema
    text = description[:_MAX_CHARS]
    stated: dict[str, Any] = {key: float(value) if "." in value else int(value) for key, value in _NUMBER.findall(text)}
    stated |= {key: int(value) for key, value in _COUNT.findall(text)}
    if found := _FORMAT.search(text):
        stated["format"] = found[1]
    if found := _ORDER.search(text):
        kinds = found[1].strip(", ").split(", ")
        items = schema.get("items", True)
        stated["prefixItems"] = [
            items if "any" in kind else {"allOf": [items, {"type": kind.split(" or ")}]} for kind in kinds
        ]
    return stated | schema
