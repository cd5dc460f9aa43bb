"""What `schema=` asks for: a type that pydantic knows, or a JSON schema → `response_format`; the reply → a value."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from .arguments import ArgumentsError, format_path, preview
from .hints import closer
from .json_schema import JsonSchema
from .schema import SchemaGenerator, iter_subschemas, simplify_schema, to_strict_schema

__all__ = ["Misfit", "Shape", "shape_of"]

_WRAPPED = "value"  # the endpoint takes objects only: anything else travels as the one field of one
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)
_WITHIN = re.compile(r"#(?!/(\$defs|definitions)/|[^/])")
_NAME = re.compile(r"[^\w-]+", re.ASCII)
_UNSAID = (
    *("format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems"),
)
_MOST_WRONG = 8  # mistakes that are named


class Misfit(Exception):
    """A reply does not fit; the text is what the model is told."""


class Shape:
    """What a reply must look like.

    Attributes:
        response_format: of the request.
    """

    def __init__(self, name: str, schema: dict[str, Any], wrapped: bool, validate: Callable[[Any], Any]) -> None:
        self._wrapped = wrapped
        self._validate = validate
        try:
            sent, strict = to_strict_schema(_in_words(schema), ""), True
        except ValueError:  # names that are not known beforehand: then without the models' guarantee
            sent, strict = schema, False
        self.response_format = {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": sent, "strict": strict},
        }

    def read(self, text: str) -> tuple[Any, Any]:
        """The value in a reply, typed, and as JSON.

        Raises:
            Misfit: it is no JSON, or does not fit.
        """
        fenced = _FENCE.fullmatch(text)  # from models that do not know response_format
        try:
            value = json.loads(fenced[1] if fenced else text)
        except ValueError as error:
            raise Misfit(f"This is no JSON: {error}.") from None
        except RecursionError:
            raise Misfit("This JSON nests too deep.") from None
        if self._wrapped:
            if isinstance(value, dict) and set(value) == {_WRAPPED}:
                value = value[_WRAPPED]
            elif isinstance(value, dict):
                raise Misfit(f"The only field must be {_WRAPPED!r}.")
        return self._validate(value), value


def shape_of(schema: Any) -> Shape:
    """The shape that `schema=` asks for.

    Args:
        schema: a pydantic model, dataclass, TypedDict, Enum, `Literal[…]`, `list[Review]`, `bool`, …, or a JSON schema
            as a dict.

    Raises:
        TypeError: it is neither.
        ValueError: a dict that is no JSON schema.
    """
    if isinstance(schema, Mapping):
        return _of_json_schema(dict(schema))
    if isinstance(schema, (str, bytes, int, float, list, tuple)) or inspect.isroutine(schema):
        raise TypeError(f"schema must be a type or a JSON schema, not the {type(schema).__name__} {preview(schema)}")
    name = _NAME.sub("_", getattr(schema, "__name__", "") or "answer").strip("_")[:60] or "answer"
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(closer(schema))
        made = adapter.json_schema(schema_generator=SchemaGenerator)
    except (PydanticSchemaGenerationError, PydanticUserError, AttributeError) as error:  # the last: of BaseModel itself
        raise TypeError(
            f"schema must be a type that pydantic knows, or a JSON schema; {name!r} is neither: "
            f"{str(error).splitlines()[0]}"
        ) from None

    def validate(value: Any) -> Any:
        try:
            return adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_context=False, include_input=False)
            raise Misfit(_listed([(tuple(one["loc"]), one["msg"]) for one in mistakes])) from None
        except Exception as error:  # of a validator of the user's
            raise Misfit(f"It cannot be checked ({type(error).__name__}: {error}).") from error

    _demand(made)
    tidy = simplify_schema(made)
    is_object = tidy.get("type") == "object" and "anyOf" not in tidy
    return Shape(name, tidy if is_object else _wrap(tidy), not is_object, validate)


def _of_json_schema(schema: dict[str, Any]) -> Shape:
    if schema.get("type") == "json_schema" and isinstance(schema.get("json_schema"), Mapping):
        schema = dict(schema["json_schema"].get("schema") or {})  # as response_format has it
    sane = JsonSchema(schema, "schema", part="field")

    def validate(value: Any) -> Any:
        try:
            wrong = sane.find_mistakes(value)
        except ArgumentsError as error:
            raise Misfit(str(error)) from None
        if wrong:
            raise Misfit(_listed(wrong))
        return value

    is_object = schema.get("type") == "object"
    asked = copy.deepcopy(schema)
    _demand(asked)
    name = _NAME.sub("_", str(schema.get("title", "answer"))).strip("_")[:60] or "answer"
    return Shape(name, asked if is_object else _wrap(asked), not is_object, validate)


def _wrap(schema: dict[str, Any]) -> dict[str, Any]:
    """An object whose one field is what the schema says."""
    name = "whole" + "_" * sum(one.startswith("whole") for one in schema.get("$defs", ()))
    led = _lead(schema, f"#/$defs/{name}")
    shared = {key: value for key, value in schema.items() if key in ("$defs", "definitions")}
    inner = {key: value for key, value in schema.items() if key not in shared}
    if led:
        shared["$defs"] = {name: inner, **shared.get("$defs", {})}
        inner = {"$ref": f"#/$defs/{name}"}
    return {"type": "object", "properties": {_WRAPPED: inner}, "required": [_WRAPPED], **shared}


def _lead(schema: Any, to: str) -> bool:
    """Have what refers to the whole schema, or into it, refer to where it goes; whether anything does."""
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    led = isinstance(reference, str) and _WITHIN.match(reference) is not None
    if led:
        schema["$ref"] = f"{to}{schema['$ref'][1:]}"
    within = [_lead(part, to) for _, _, part in iter_subschemas(schema)]  # each of them, also after the first
    return led or any(within)


def _in_words(schema: Any) -> Any:
    """What the strict form has no keyword for is said in the descriptions, where models read it."""
    if not isinstance(schema, dict):
        return schema
    said = [f"{name}: {schema[name]}" for name in _UNSAID if isinstance(schema.get(name), (str, int, float))]
    copy = dict(schema)
    if said:
        before = schema.get("description")
        copy["description"] = f"{before} ({', '.join(said)})" if isinstance(before, str) else ", ".join(said)
    for keyword, place, part in iter_subschemas(schema):
        if place is None:
            copy[keyword] = _in_words(part)
        elif copy[keyword] is schema[keyword]:
            copy[keyword] = list(schema[keyword]) if isinstance(place, int) else dict(schema[keyword])
        if place is not None:
            copy[keyword][place] = _in_words(part)
    return copy


def _demand(schema: Any) -> None:
    """Have the model give what may be left out, where it could not say None instead: the strict form knows no gaps."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required", [])
        missing = [name for name, one in properties.items() if name not in required and not _admits_null(one)]
        if required or missing:
            schema["required"] = [name for name in properties if name in required or name in missing]
    for _, _, part in iter_subschemas(schema):
        _demand(part)


def _admits_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    return schema.get("type") == "null" or any(_admits_null(one) for one in schema.get("anyOf", ()))


def _listed(wrong: list[tuple[tuple[Any, ...], str]]) -> str:
    lines = [f"{format_path(path) if path else 'the value'}: {said}" for path, said in wrong[:_MOST_WRONG]]
    if len(wrong) > _MOST_WRONG:
        lines.append(f"and {len(wrong) - _MOST_WRONG} more")
    return "; ".join(lines) + "."
