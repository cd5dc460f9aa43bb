"""Read the constraints that a description states: OpenAI's strict schemas have no keywords for them."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import re
from typing import Any

__all__ = ["add_described", "fit_moments", "move_example"]

_MAX_CHARS = 1_000  # of a description that are read
_MAX_COUNT = 500  # of items or characters that a description asks for: a text is no reason to fill the memory
_NUMBER = re.compile(
    r"\b(minimum|exclusiveMinimum|maximum|exclusiveMaximum|multipleOf): "
    r"(-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?)(?!\w|\.\d)",
    re.I,
)
_COUNT = re.compile(r"\b(minLength|maxLength|minItems|maxItems): (\d{1,9})(?!\w|\.\d)")
_FORMAT = re.compile(r"\bformat: ([a-z][a-z-]{2,20})\b")
_KIND = r"(?:string|integer|number|boolean|array|object|null|any)(?: \([^()]{1,199}\))?"
_KINDS = rf"{_KIND}(?: or {_KIND}){{0,6}}"
_ORDER = re.compile(rf"\bin this order: ({_KINDS}(?:, {_KINDS}){{0,40}})")
_MEMBERS = re.compile(r"\bone of: (\[.{1,180}\])")
_AFTER_PATTERN = r"(?:, (?:minLength|maxLength): \d+)*"
_PATTERNS = (  # behind a text, or alone
    re.compile(rf"\((?:format: [\w-]+, )?pattern: (.+?){_AFTER_PATTERN}\)$", re.S),
    re.compile(rf"^(?:format: [\w-]+, )?pattern: (.+?){_AFTER_PATTERN}$", re.S),
)
_TIME = re.compile(r"(?:^|\(|, )(in the past|in the future|without an offset)(?:$|\)|, )")
_YEARS = {"in the past": "2001", "in the future": "2099"}  # of examples


def add_described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the keywords that its description states; those of its own stay.

    Example:
        add_described({"type": "string", "description": "when (format: date)"})["format"]  # "date"
    """
    texts = [schema[key] for key in ("description", "$comment") if isinstance(schema.get(key), str)]
    if not texts:
        return schema
    text = ", ".join(text[:_MAX_CHARS] for text in texts)
    stated: dict[str, Any] = {}
    if order := _ORDER.search(text):
        text = text[: order.start()] + text[order.end() :]  # what an item must be is not said of the list
        items = schema.get("items", True)
        stated["prefixItems"] = [_describe_item(kind, items) for kind in re.findall(_KINDS, order[1])]
    stated |= _read_keywords(text)
    patterns = [found[1] for pattern in _PATTERNS if (found := pattern.search(texts[0]))]
    return stated | ({"pattern": patterns[0]} if patterns else {}) | schema


def _describe_item(kinds: str, items: Any) -> Any:
    """Return the schema of an item of a tuple: "string (format: date) or null" among `items`."""
    options = []
    for kind in re.findall(_KIND, kinds):
        name, _, rest = kind.rstrip(")").partition(" (")
        options.append({"type": name, **_read_keywords(rest)})
    if any(option["type"] == "any" for option in options):
        return items
    return {"allOf": [items, options[0] if len(options) == 1 else {"anyOf": options}]}


def _read_keywords(text: str) -> dict[str, Any]:
    stated: dict[str, Any] = {}
    for key, written in _NUMBER.findall(text):
        value = float(written) if re.search(r"[.e]", written, re.I) else int(written)
        if math.isfinite(value) and (key != "multipleOf" or value > 0):
            stated[key] = value
    stated |= {key: min(int(written), _MAX_COUNT) for key, written in _COUNT.findall(text)}
    if found := _FORMAT.search(text):
        stated["format"] = found[1]
    if found := _MEMBERS.search(text):
        with contextlib.suppress(ValueError):
            stated["enum"] = json.loads(found[1])
    rule = _TIME.search(text)
    if rule and rule[1] in _YEARS:
        stated["x-time"] = rule[1]
    elif rule and stated.get("format") == "date-time":
        stated["format"] = "local-date-time"  # the other one asks for an offset
    return stated


def fit_moments(texts: list[str], schema: dict[str, Any]) -> list[str]:
    """Return dates and datetimes without those that a schema does not want, as `add_described` has found out."""
    rule, today = schema.get("x-time"), dt.date.today().isoformat()
    if rule not in _YEARS:
        return texts
    return [text for text in texts if (text[:10] > today if rule == "in the future" else text[:10] < today)]


def move_example(text: str, schema: dict[str, Any]) -> str:
    """Return an example of a date or datetime as a schema wants it."""
    year = _YEARS.get(schema.get("x-time", ""))
    return year + text[4:] if year else text
