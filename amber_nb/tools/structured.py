"""Structured output: the `response_format` for `schema=`, and the typed value in a reply."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from .annotations import tighten_hint
from .arguments import ArgumentsError, Path, format_path, preview
from .json_schema import JsonSchema
from .schema import SchemaGenerator, iter_subschemas, replace_subschemas, simplify_schema, to_strict_schema

__all__ = ["ResponseFormat", "ResponseMismatch", "response_format_of"]

_FIELD = "value"  # the endpoint takes objects only: anything else travels as the one field of an object
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)
_ROOT_REFERENCE = re.compile(r"#(?!/(\$defs|definitions)/|[^/])")
_NOT_IN_NAME = re.compile(r"[^\w-]+", re.ASCII)
_NOT_STRICT = (
    *("format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems"),
)
_MAX_MISTAKES = 8


class ResponseMismatch(Exception):
    """A reply does not fit the schema; the text is sent to the model."""


class ResponseFormat:
    """What a reply must look like.

    Args:
        name: of the schema, as it is sent.
        schema: of the value.
        is_object: whether the value is an object; anything else is wrapped in one.
        validate: converts a JSON value to the typed value, or raises `ResponseMismatch`.

    Attributes:
        payload: the `response_format` of a request.
    """

    def __init__(self, name: str, schema: dict[str, Any], is_object: bool, validate: Callable[[Any], Any]) -> None:
        self._validate = validate
        self._is_wrapped = not is_object
        schema = schema if is_object else _wrap(schema)
        try:
            schema, is_strict = to_strict_schema(_describe_constraints(schema), ""), True
        except ValueError:  # names that are not known beforehand: then without the models' guarantee
            is_strict = False
        name = _NOT_IN_NAME.sub("_", name).strip("_")[:60] or "answer"
        self.payload = {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": schema, "strict": is_strict},
        }

    def parse(self, text: str) -> tuple[Any, Any]:
        """Parse a reply.

        Args:
            text: JSON, which a fence may surround.

        Returns:
            The typed value, and the JSON value.

        Raises:
            ResponseMismatch: the text is no JSON, or does not fit.
        """
        fenced = _FENCE.fullmatch(text)  # from models that do not know response_format
        try:
            value = json.loads(fenced[1] if fenced else text)
        except ValueError as error:
            raise ResponseMismatch(f"This is no JSON: {error}.") from None
        except RecursionError:
            raise ResponseMismatch("This JSON nests too deep.") from None
        if self._is_wrapped and isinstance(value, dict):
            if set(value) != {_FIELD}:
                raise ResponseMismatch(f"The only field must be {_FIELD!r}.")
            value = value[_FIELD]
        return self._validate(value), value


def response_format_of(schema: Any) -> ResponseFormat:
    """Make the response format that `schema=` asks for.

    Args:
        schema: a pydantic model, dataclass, TypedDict, Enum, `Literal[…]`, `list[Review]`, `bool`, …, or a JSON schema
            as a dict.

    Raises:
        TypeError: it is neither.
        ValueError: a dict that is no JSON schema.
    """
    if isinstance(schema, Mapping):
        return _from_json_schema(dict(schema))
    if isinstance(schema, (str, bytes, int, float, list, tuple)) or inspect.isroutine(schema):
        raise TypeError(f"schema must be a type or a JSON schema, not the {type(schema).__name__} {preview(schema)}")
    name = getattr(schema, "__name__", "") or "answer"
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(tighten_hint(schema))
        json_schema = adapter.json_schema(schema_generator=SchemaGenerator)
    except (PydanticSchemaGenerationError, PydanticUserError, AttributeError) as error:  # the last: of BaseModel itself
        raise TypeError(
            f"schema must be a type that pydantic knows, or a JSON schema; {name!r} is neither: "
            f"{str(error).splitlines()[0]}"
        ) from None

    def validate(value: Any) -> Any:
        try:
            return adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            raise _mismatch([(detail["loc"], detail["msg"]) for detail in details]) from None
        except Exception as error:  # of a validator of the user's
            raise ResponseMismatch(f"It cannot be checked ({type(error).__name__}: {error}).") from error

    _require_fields(json_schema)
    simple = simplify_schema(json_schema)
    return ResponseFormat(name, simple, simple.get("type") == "object" and "anyOf" not in simple, validate)


def _from_json_schema(schema: dict[str, Any]) -> ResponseFormat:
    if schema.get("type") == "json_schema" and isinstance(schema.get("json_schema"), Mapping):
        schema = dict(schema["json_schema"].get("schema") or {})  # as response_format has it
    checker = JsonSchema(schema, "schema", part="field")

    def validate(value: Any) -> Any:
        try:
            mistakes = checker.find_mistakes(value)
        except ArgumentsError as error:
            raise ResponseMismatch(str(error)) from None
        if mistakes:
            raise _mismatch(mistakes)
        return value

    sent = copy.deepcopy(schema)
    _require_fields(sent)
    return ResponseFormat(str(schema.get("title", "answer")), sent, schema.get("type") == "object", validate)


def _mismatch(mistakes: list[tuple[Path, str]]) -> ResponseMismatch:
    lines = [f"{format_path(path) if path else 'the value'}: {text}" for path, text in mistakes[:_MAX_MISTAKES]]
    if len(mistakes) > _MAX_MISTAKES:
        lines.append(f"and {len(mistakes) - _MAX_MISTAKES} more")
    return ResponseMismatch("; ".join(lines) + ".")


def _wrap(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose one field has the given schema, which is changed."""
    name = "whole" + "_" * sum(key.startswith("whole") for key in schema.get("$defs", ()))
    is_recursive = _redirect_references(schema, f"#/$defs/{name}")
    shared = {key: value for key, value in schema.items() if key in ("$defs", "definitions")}
    inner = {key: value for key, value in schema.items() if key not in shared}
    if is_recursive:
        shared["$defs"] = {name: inner, **shared.get("$defs", {})}
        inner = {"$ref": f"#/$defs/{name}"}
    return {"type": "object", "properties": {_FIELD: inner}, "required": [_FIELD], **shared}


def _redirect_references(schema: Any, target: str) -> bool:
    """Redirect references to the whole schema, or into it, to its new place; return whether there are any."""
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    is_redirected = isinstance(reference, str) and _ROOT_REFERENCE.match(reference) is not None
    if is_redirected:
        schema["$ref"] = f"{target}{schema['$ref'][1:]}"
    within = [_redirect_references(inner, target) for _, _, inner in iter_subschemas(schema)]  # each, not up to a first
    return is_redirected or any(within)


def _describe_constraints(schema: Any) -> Any:
    """Return the schema with the constraints that the strict form drops in its descriptions, where models read them."""
    if not isinstance(schema, dict):
        return schema
    described = replace_subschemas(schema, _describe_constraints)
    constraints = [f"{key}: {schema[key]}" for key in _NOT_STRICT if isinstance(schema.get(key), (str, int, float))]
    if constraints:
        text = ", ".join(constraints)
        before = schema.get("description")
        described["description"] = f"{before} ({text})" if isinstance(before, str) else text
    return described


def _require_fields(schema: Any) -> None:
    """Mark optional, non-nullable properties as required in place, because strict mode has no optional properties."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = {*schema.get("required", ()), *(name for name in properties if not _admits_null(properties[name]))}
        if required:
            schema["required"] = [name for name in properties if name in required]
    for _, _, inner in iter_subschemas(schema):
        _require_fields(inner)


def _admits_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    return schema.get("type") == "null" or any(map(_admits_null, schema.get("anyOf", ())))
