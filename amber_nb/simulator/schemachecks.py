"""Whether a JSON schema is well formed, and whether it keeps the rules of OpenAI's strict mode."""

from __future__ import annotations

from typing import Any

from .schemas import Unsatisfiable

__all__ = ["check_strict", "check_well_formed"]

MAX_DEPTH = 60
_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def check_well_formed(schema: Any, place: tuple[str, ...] = ()) -> None:
    """Check the keywords of a schema and of all within it.

    Raises:
        Unsatisfiable: naming the place and the keyword.
    """

    def bad(what: str) -> Unsatisfiable:
        return Unsatisfiable(f"In context={_context(place)}, {what}.")

    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise bad("a schema has to be an object or a boolean")
    if len(place) > MAX_DEPTH:
        raise bad("the schema is nested too deeply")
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in _TYPES:
            raise bad("'type' is not one of " + ", ".join(f"'{name}'" for name in _TYPES))
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        raise bad("'enum' has to be a list that is not empty")
    for key in _COUNTS:
        if key in schema and not (_is_number(schema[key]) and schema[key] >= 0 and schema[key] == int(schema[key])):
            raise bad(f"'{key}' has to be a whole number of at least 0")
    for key in _BOUNDS:
        if key in schema and not _is_number(schema[key]):
            raise bad(f"'{key}' has to be a number")
    if schema.get("multipleOf", 1) <= 0:
        raise bad("'multipleOf' has to be above 0")
    for key in ("pattern", "$ref", "format", "title", "description"):
        if key in schema and not isinstance(schema[key], str):
            raise bad(f"'{key}' has to be a string")
    if not _is_names(schema.get("required", [])):
        raise bad("'required' has to be a list of strings")
    dependent = schema.get("dependentRequired", {})
    if not (isinstance(dependent, dict) and all(map(_is_names, dependent.values()))):
        raise bad("'dependentRequired' has to be an object of lists of strings")
    for key in _MANY:
        if key in schema and not (isinstance(schema[key], list) and schema[key]):
            raise bad(f"'{key}' has to be a list that is not empty")
    for key in _NAMED:
        if not isinstance(schema.get(key, {}), dict):
            raise bad(f"'{key}' has to be an object")
    for path, sub in _within(schema):
        check_well_formed(sub, place + path)


def _within(schema: dict[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = [((key,), schema[key]) for key in _ONE if key in schema]
    found += [((key, str(i)), sub) for key in _MANY for i, sub in enumerate(schema.get(key, []))]
    found += [((key, name), sub) for key in _NAMED for name, sub in schema.get(key, {}).items()]
    return found


def check_strict(schema: dict[str, Any], place: tuple[str, ...] = ()) -> None:
    """Check the rules of strict mode: every object is closed, and all its properties are required.

    Raises:
        Unsatisfiable: naming the place and the rule, in the words of OpenAI's own message.
    """
    kinds = schema.get("type")
    if not place and kinds != "object":
        got = f"'type: \"{kinds}\"'" if isinstance(kinds, str) else "'type: \"None\"'"
        raise Unsatisfiable(f"schema must be a JSON Schema of 'type: \"object\"', got {got}.")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise Unsatisfiable(
                f"In context={_context(place)}, 'additionalProperties' is required to be supplied and to be false."
            )
        required = schema.get("required", [])
        missing = [name for name in schema.get("properties", {}) if name not in required]
        if missing:
            raise Unsatisfiable(
                f"In context={_context(place)}, 'required' is required to be supplied and to be an array including "
                f"every key in properties. Missing '{missing[0]}'."
            )
    for path, sub in _within(schema):
        # `not` and `if` describe values, they build none.
        if isinstance(sub, dict) and path[0] not in ("not", "if"):
            check_strict(sub, place + path)


def _context(place: tuple[str, ...]) -> str:
    return "(" + ", ".join(f"'{name[:40]}'" for name in place) + ("," if len(place) == 1 else "") + ")"
