"""Fit the schema of a tool's arguments to what chat endpoints take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["fit_schema"]

_MAX_DEPTH = 100  # of a schema
_MAX_VARIANTS = 20  # of a property
_NOT_AT_TOP = ("$ref", "allOf", "anyOf", "oneOf", "enum", "not")  # of parameters, as endpoints refuse it
# Keywords of a schema that hold schemas: by name, in a list, one.
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)


def fit_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of arguments as endpoints take it; it allows what the server's own does, and perhaps more.

    Endpoints want an object with properties, arrays with items, and at the top none of `oneOf`, `anyOf`, `allOf`,
    `enum`, `not` and `$ref`: the properties of all variants take their place.
    """
    whole = _add_items(schema, 0)
    variants: dict[str, list[Any]] = {}
    required = _items_of(whole, "required")
    for part, is_certain in _parts(whole, whole, set()):
        properties = part.get("properties")
        for name, inner in properties.items() if isinstance(properties, Mapping) else ():
            known = variants.setdefault(name, [])
            if inner not in known and len(known) < _MAX_VARIANTS:
                known.append(inner)
        required += _items_of(part, "required") if is_certain else []
    merged = {name: known[0] if len(known) == 1 else {"anyOf": known} for name, known in variants.items()}
    own = {name: inner or merged.get(name, inner) for name, inner in whole.get("properties", {}).items()}
    top = {key: value for key, value in whole.items() if key not in _NOT_AT_TOP}
    top |= {"type": "object", "properties": {**own, **merged, **own}}  # its own come first, and count
    names = list(dict.fromkeys(name for name in required if isinstance(name, str)))
    return top | {"required": names} if names else top


def _items_of(schema: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list of a schema; what a reference leads to is not checked to be one."""
    items = schema.get(key)
    return list(items) if isinstance(items, list) else []


def _parts(schema: Mapping[str, Any], root: Mapping[str, Any], seen: set[int]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the schemas that combine in one, those within them, too, and whether each holds in any case."""
    found = [(part, True) for part in _items_of(schema, "allOf")]
    found += [(part, False) for key in ("anyOf", "oneOf") for part in _items_of(schema, key)]
    if isinstance(reference := schema.get("$ref"), str):
        found.append((_resolve(reference, root), True))
    for part, is_certain in found:
        if isinstance(part, dict) and id(part) not in seen:
            seen.add(id(part))
            yield part, is_certain
            yield from ((inner, is_certain and also) for inner, also in _parts(part, root, seen))


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """Return what a reference within a schema leads to; None where it leads nowhere."""
    value: Any = root
    for step in unquote(reference.removeprefix("#")).split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _add_items(schema: Any, depth: int) -> Any:
    """Return a copy of a schema in which each array says of its items that they are anything, if nothing else."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return schema
    copy: dict[str, Any] = dict(schema)
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, Mapping):
            copy[key] = {name: _add_items(inner, depth + 1) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            copy[key] = [_add_items(inner, depth + 1) for inner in value]
        elif key in _SINGLE:
            copy[key] = _add_items(value, depth + 1)
    kind = schema.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and copy.get("items", True) is True:
        copy["items"] = {}
    return copy
