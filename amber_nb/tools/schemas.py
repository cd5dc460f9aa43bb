"""Pydantic's JSON schema → one as it is written by hand.

No titles, no defaults, and nothing is referred to that can stand in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

__all__ = ["Generator", "parts_of", "tidied"]

LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
ONES = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)
_PREFIX = "#/$defs/"
_MOST_INLINED = 2_000  # definitions within definitions double at every level


class Generator(GenerateJsonSchema):
    """Pydantic's, without its warnings: a default that is no JSON does not matter here, as none are sent."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - as pydantic declares it
        "skipped-choice",
        "non-serializable-default",
    }


def parts_of(schema: dict[str, Any]) -> Iterator[tuple[str, str | int | None, Any]]:
    """The schemas directly in a schema: keyword, name or number below it, schema."""
    for keyword in LISTS:
        if isinstance(several := schema.get(keyword), list):
            yield from ((keyword, number, one) for number, one in enumerate(several))
    for keyword in MAPS:
        if isinstance(named := schema.get(keyword), dict):
            yield from ((keyword, name, one) for name, one in named.items())
    for keyword in ONES:
        if keyword in schema:
            yield keyword, None, schema[keyword]


def tidied(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without titles and defaults, and with its definitions in place unless they contain themselves.

    A field that may be left out and is then None is not also said to be nullable.
    """
    definitions = schema.get("$defs", {})
    body = {key: value for key, value in schema.items() if key != "$defs"}
    try:
        return _Tidying(definitions, _recursive(definitions)).whole(body)
    except _TooMuch:
        return _Tidying(definitions, set(definitions)).whole(body)


class _TooMuch(Exception):
    pass


class _Tidying:
    def __init__(self, definitions: dict[str, Any], kept: set[str]) -> None:
        self.definitions = definitions
        self.kept = kept  # these stay definitions
        self.inlined = 0

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        if set(body) == {"$ref"}:  # a model that contains itself: parameters must begin with an object
            body = self.definitions[body["$ref"].removeprefix(_PREFIX)]
        tidy = self.tidy(body)
        used: dict[str, Any] = {}
        waiting = list(_references(tidy))
        while waiting:
            name = waiting.pop(0).removeprefix(_PREFIX)
            if name in self.kept and name not in used:
                used[name] = self.tidy(self.definitions[name])
                waiting += _references(used[name])
        return {**tidy, "$defs": used} if used else tidy

    def tidy(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema  # true, false
        name = schema.get("$ref", "").removeprefix(_PREFIX)
        if name in self.definitions and name not in self.kept:
            self.inlined += 1
            if self.inlined > _MOST_INLINED:
                raise _TooMuch
            return {**self.tidy(self.definitions[name]), **self.tidy({k: v for k, v in schema.items() if k != "$ref"})}
        optional = self._without_null(schema)
        tidy = {key: value for key, value in optional.items() if key not in ("title", "default", "discriminator")}
        for keyword, place, one in parts_of(tidy):
            if place is None:
                tidy[keyword] = self.tidy(one)
            else:
                tidy[keyword] = tidy[keyword].copy() if tidy[keyword] is optional[keyword] else tidy[keyword]
                tidy[keyword][place] = self.tidy(one)
        return tidy

    @staticmethod
    def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return schema
        required = schema.get("required", ())
        changed = {
            name: one if name in required or not isinstance(one, dict) else not_null(one)
            for name, one in properties.items()
        }
        return {**schema, "properties": changed}


def not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without its null, where null is also the default."""
    if schema.get("default", ...) is not None or not isinstance(choices := schema.get("anyOf"), list):
        return schema
    rest = [one for one in choices if one != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest[0], **others} if len(rest) == 1 else {**others, "anyOf": rest}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        for _, _, one in parts_of(schema):
            yield from _references(one)


def _recursive(definitions: dict[str, Any]) -> set[str]:
    """The definitions that lead back to themselves."""
    direct = {name: {ref.removeprefix(_PREFIX) for ref in _references(one)} for name, one in definitions.items()}
    found = set()
    for name in definitions:
        seen: set[str] = set()
        waiting = list(direct[name])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += direct.get(one, ())
        if name in seen:
            found.add(name)
    return found
