"""Type hints as pydantic adapters, and JSON schemas as they are sent: pydantic's simplified, or OpenAI's strict form.

Strict form: https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

import collections
import types
import typing
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import to_jsonable_python

__all__ = [
    "TIME_COMMENTS",
    "AnswerSchemaGenerator",
    "SchemaGenerator",
    "build_adapter",
    "iter_subschemas",
    "replace_subschemas",
    "resolve_annotation",
    "simplify_schema",
    "tighten_hint",
    "to_strict_schema",
    "walk_schema",
]

_CONTAINERS = {
    *(list, set, frozenset, tuple, dict, collections.deque, collections.OrderedDict),
    *(abc.Sequence, abc.MutableSequence, abc.Collection, abc.Set, abc.MutableSet, abc.Mapping, abc.MutableMapping),
}
_WITH_LIST = ("anyOf", "oneOf", "allOf", "prefixItems")
_WITH_MAP = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_WITH_SCHEMA = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)
_DEFS = "#/$defs/"
_OLD_DEFS = "#/definitions/"  # of drafts before 2019-09
_MAX_INLINED = 2_000  # definitions within definitions double at every level
# What OpenAI and Azure both take. The other constraints are checked here when a call comes.
_STRICT_KEYWORDS = ("type", "description", "enum", "const", "anyOf", "properties", "items", "$ref")
TIME_COMMENTS = ("in the past", "in the future", "without an offset")
_SCALARS = ("string", "number", "integer", "boolean")
_NULL = {"type": "null"}


# --- type hints


class SchemaGenerator(GenerateJsonSchema):
    """Pydantic's generator without its warnings: a default that is no JSON does no harm, as no defaults are sent."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - as pydantic declares it
        "skipped-choice",
        "non-serializable-default",
    }


class AnswerSchemaGenerator(SchemaGenerator):
    """The generator for answers, with a comment on what JSON schemas cannot say of dates; `TIME_COMMENTS` has them."""

    def date_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a date, such as pydantic's `FutureDate`."""
        return _comment_on_time(super().date_schema(schema), schema)

    def datetime_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a datetime, such as pydantic's `NaiveDatetime`."""
        return _comment_on_time(super().datetime_schema(schema), schema)


def _comment_on_time(json_schema: dict[str, Any], schema: Any) -> dict[str, Any]:
    side, is_naive = schema.get("now_op"), schema.get("tz_constraint") == "naive"
    comment = f"in the {side}" if side else "without an offset" if is_naive else None
    return {**json_schema, "$comment": comment} if comment else json_schema


def resolve_annotation(
    annotation: Any, global_names: Mapping[str, Any], local_names: Mapping[str, Any], where: str
) -> Any:
    """Return the type hint of an annotation, which may be a text; `where` names the parameter in errors.

    Raises:
        TypeError: the annotation names something that is not there, or cannot be read.
    """
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(global_names), dict(local_names), include_extras=True)["it"]
    except NameError as error:
        raise TypeError(
            f"{where}: the hint {_format_hint(annotation)} names {error.name!r}, which cannot be found. Define it at "
            "the top level, before the function, and not in a function or under TYPE_CHECKING."
        ) from None
    except Exception as error:  # whatever a text evaluates to
        raise TypeError(f"{where}: the hint {_format_hint(annotation)} cannot be read ({error}).") from error


def build_adapter(hint: Any, where: str) -> TypeAdapter[Any]:
    """Build the adapter of a resolved hint, tightened so that it hands over no other type.

    Raises:
        TypeError: no JSON value can become such a value; `where` names the parameter.
    """
    no_json = (
        f"{where}: no JSON value can become a {_format_hint(hint)}. Take another hint, or bind the argument beforehand "
        "with functools.partial"
    )
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(tighten_hint(hint))
        adapter.json_schema(schema_generator=SchemaGenerator)
        unsupported = _find_unsupported(adapter.core_schema)
    except PydanticUndefinedAnnotation as error:
        raise TypeError(
            f"{where}: the hint {_format_hint(hint)} names {error.name!r}, which cannot be found."
        ) from None
    except PydanticUserError as error:
        reason = str(error).split("\n")[0].partition(" Set `arbitrary")[0].rstrip(".")
        raise TypeError(f"{no_json} ({reason}).") from error
    except Exception as error:  # of what the hint consists of
        raise TypeError(f"{no_json} ({type(error).__name__}: {error})"[:500]) from error
    if unsupported == "generator":
        raise TypeError(
            f"{where}: the hint {_format_hint(hint)} holds an Iterable or Generator, which would only be checked while "
            "the function runs. Write list or Sequence."
        )
    if unsupported:
        raise TypeError(f"{no_json}.")
    return adapter


def _format_hint(hint: Any) -> str:
    text = hint if isinstance(hint, str) else hint.__qualname__ if type(hint) is type else repr(hint)
    text = text.removeprefix("typing.")
    return text if len(text) <= 100 else text[:99] + "…"


def _find_unsupported(core_schema: Any) -> str | None:
    """Return a type in pydantic's core schema that JSON cannot give, or that would be checked too late."""
    unvisited: list[Any] = [core_schema]
    seen: set[int] = set()
    while unvisited:
        part = unvisited.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if part.get("type") == "generator" or (part.get("type") == "is-subclass" and "cls" in part):
                return str(part["type"])
            unvisited += [inner for key, inner in part.items() if key not in ("metadata", "serialization", "default")]
        elif isinstance(part, (list, tuple)):
            unvisited += part
    return None


def tighten_hint(hint: Any) -> Any:
    """Tighten a hint: keep `1` and `True` apart in enums and literals, turn `Iterable[T]` into `list[T]`."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _match_exactly(hint, list(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[(tighten_hint(arguments[0]), *arguments[1:])]
    if origin is Literal:
        return _match_exactly(hint, list(arguments))
    if origin is Union or origin is types.UnionType:
        return Union[tuple(map(tighten_hint, arguments))]  # noqa: UP007 - there is no other way to spell it
    if abc.Iterable in (hint, origin):
        return list[tighten_hint(arguments[0])] if arguments else list  # type: ignore[misc]
    if origin in _CONTAINERS and arguments:
        return origin[tuple(argument if argument is ... else tighten_hint(argument) for argument in arguments)]
    return hint


def _match_exactly(hint: Any, members: list[Any]) -> Any:
    """Have JSON values compared with members as JSON does; members that are texts need no help."""
    values = [member.value if isinstance(member, Enum) else member for member in members]
    is_literal_of_enum = get_origin(hint) is Literal and any(isinstance(member, Enum) for member in members)
    if is_literal_of_enum or not all(isinstance(value, str) for value in values):
        return Annotated[hint, BeforeValidator(partial(_find_member, members, list(map(_to_json_form, values))))]
    return hint


def _find_member(members: list[Any], json_forms: list[Any], value: Any) -> Any:
    for member, json_form in zip(members, json_forms, strict=True):
        if isinstance(json_form, bool) == isinstance(value, bool) and json_form == value:
            return member
    if isinstance(value, (bool, int, float)) and value in json_forms:
        raise ValueError(f"should be {' or '.join(map(repr, json_forms[:20]))}")
    return value


def _to_json_form(value: Any) -> Any:
    """Return a value as the schema offers it."""
    try:
        return to_jsonable_python(value)
    except ValueError:  # of pydantic, for what has no JSON form
        return value


# --- schemas within schemas


def iter_subschemas(schema: dict[str, Any]) -> Iterator[Any]:
    """Iterate over the schemas directly within a schema, true and false included."""
    for keyword in _WITH_LIST:
        if isinstance(schemas := schema.get(keyword), list):
            yield from schemas
    for keyword in _WITH_MAP:
        if isinstance(by_name := schema.get(keyword), dict):
            yield from by_name.values()
    yield from (schema[keyword] for keyword in _WITH_SCHEMA if keyword in schema)


def walk_schema(schema: Any) -> Iterator[dict[str, Any]]:
    """Iterate over a schema and all schemas within it, each before those within it; not over true and false."""
    if isinstance(schema, dict):
        yield schema
        for inner in iter_subschemas(schema):
            yield from walk_schema(inner)


def replace_subschemas(schema: dict[str, Any], replace: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a copy of a schema with each schema directly within it replaced."""
    copy = dict(schema)
    for keyword, value in schema.items():
        if keyword in _WITH_LIST and isinstance(value, list):
            copy[keyword] = list(map(replace, value))
        elif keyword in _WITH_MAP and isinstance(value, dict):
            copy[keyword] = {name: replace(inner) for name, inner in value.items()}
        elif keyword in _WITH_SCHEMA:
            copy[keyword] = replace(value)
    return copy


# --- pydantic's schema, simplified


def simplify_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove titles and defaults from a schema of pydantic's, and inline its definitions.

    Definitions that contain themselves stay, and all of them if inlining would make the schema too large. A field that
    may be left out and is then None is no longer nullable. The given schema is left as it is.
    """
    definitions = schema.get("$defs", {})
    body = {key: value for key, value in schema.items() if key != "$defs"}
    try:
        return _Simplifier(definitions, _find_recursive(definitions)).simplify_root(body)
    except _TooManyInlinedError:
        return _Simplifier(definitions, set(definitions)).simplify_root(body)


class _TooManyInlinedError(Exception):
    pass


class _Simplifier:
    def __init__(self, definitions: dict[str, Any], kept: set[str]) -> None:
        self._definitions = definitions
        self._kept = kept  # names of definitions that are not inlined
        self._n_inlined = 0

    def simplify_root(self, body: dict[str, Any]) -> dict[str, Any]:
        if set(body) == {"$ref"}:  # a model that contains itself: parameters must begin with an object
            body = self._definitions[body["$ref"].removeprefix(_DEFS)]
        root = self._simplify(body)
        used: dict[str, Any] = {}
        references = list(_iter_references(root))
        while references:
            name = references.pop(0).removeprefix(_DEFS)
            if name in self._kept and name not in used:
                used[name] = self._simplify(self._definitions[name])
                references += _iter_references(used[name])
        return {**root, "$defs": used} if used else root

    def _simplify(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema  # true, false
        name = schema.get("$ref", "").removeprefix(_DEFS)
        if name in self._definitions and name not in self._kept:
            self._n_inlined += 1
            if self._n_inlined > _MAX_INLINED:
                raise _TooManyInlinedError
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return {**self._simplify(self._definitions[name]), **self._simplify(beside)}
        simple = {key: value for key, value in schema.items() if key not in ("title", "default", "discriminator")}
        if isinstance(properties := schema.get("properties"), dict):
            required = schema.get("required", ())
            simple["properties"] = {
                name: inner if name in required or not isinstance(inner, dict) else _remove_null(inner)
                for name, inner in properties.items()
            }
        return replace_subschemas(simple, self._simplify)


def _remove_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without its null, if null is also the default."""
    if schema.get("default", ...) is not None or not isinstance(choices := schema.get("anyOf"), list):
        return schema
    choices = [choice for choice in choices if choice != _NULL]
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **beside} if len(choices) == 1 else {**beside, "anyOf": choices}


def _iter_references(schema: Any) -> Iterator[str]:
    return (inner["$ref"] for inner in walk_schema(schema) if isinstance(inner.get("$ref"), str))


def _find_recursive(definitions: dict[str, Any]) -> set[str]:
    """Return the names of the definitions that lead back to themselves."""
    reached = {
        name: {ref.removeprefix(_DEFS) for ref in _iter_references(inner)} for name, inner in definitions.items()
    }
    for name, names in reached.items():
        for others in reached.values():
            if name in others:
                others |= names  # in place
    return {name for name, names in reached.items() if name in names}


# --- OpenAI's strict form


def to_strict_schema(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Convert the parameters of a tool to the strict form; what may be left out becomes nullable.

    Raises:
        ValueError: the strict form cannot express the schema: names that are not known beforehand, or any value at all.
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        raise ValueError(f"{name}: the strict form needs parameters that are one object.")
    strict = _to_strict(schema, name)
    if definitions := {**schema.get("definitions", {}), **schema.get("$defs", {})}:
        strict["$defs"] = {key: _to_strict(inner, f"{name}: {key}") for key, inner in definitions.items()}
    return strict


def _to_strict(schema: Any, where: str) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise _untyped_error(where)
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(_OLD_DEFS, _DEFS)}  # nothing may stand beside it
    schema = _replace_keywords(schema, where)
    if not schema.keys() & {"type", "anyOf", "enum", "const"}:
        raise _untyped_error(where)
    strict = {key: value for key, value in schema.items() if key in _STRICT_KEYWORDS}
    if "anyOf" in schema:
        strict["anyOf"] = [_to_strict(choice, where) for choice in schema["anyOf"]]
    if "items" in schema:
        strict["items"] = _to_strict(schema["items"], f"{where}[]")
    elif schema.get("type") == "array":
        raise _untyped_error(f"{where}[]")
    if schema.get("type") == "object" or "properties" in schema:
        return {**strict, **_to_strict_object(schema, where)}
    return strict


def _replace_keywords(schema: dict[str, Any], where: str) -> dict[str, Any]:
    """Express oneOf, allOf and prefixItems with the keywords that the strict form has."""
    schema = dict(schema)
    if "oneOf" in schema:
        schema["anyOf"] = [*schema.get("anyOf", ()), *schema.pop("oneOf")]
    if "allOf" in schema:
        parts = schema.pop("allOf")
        if len(parts) != 1 or not isinstance(parts[0], dict):
            raise ValueError(f"{where}: the strict form has no allOf.")
        schema = {**parts[0], **schema}
    if "prefixItems" in schema:  # how many and in which order is checked when a call comes
        items = schema.pop("prefixItems")
        distinct = [item for index, item in enumerate(items) if item not in items[:index]]
        if distinct:
            schema["items"] = distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
    return schema


def _to_strict_object(schema: dict[str, Any], where: str) -> dict[str, Any]:
    if schema.get("additionalProperties") or schema.get("patternProperties") or "properties" not in schema:
        raise ValueError(
            f"{where}: the strict form needs the names of all fields, and a dict has any. Use a dataclass, a TypedDict "
            "or a pydantic model instead, or leave strict=True out."
        )
    required = schema.get("required", ())
    properties = {}
    for name, inner in schema["properties"].items():
        strict = _to_strict(inner, f"{where}.{name}" if where else name)
        properties[name] = strict if name in required else _make_nullable(strict)
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _make_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or _NULL in schema.get("anyOf", ()):
        return schema
    if kind in _SCALARS and not schema.keys() & {"enum", "const", "anyOf"}:
        return {**schema, "type": [kind, "null"]}
    inner = {key: value for key, value in schema.items() if key != "description"}
    choices = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    beside = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [*choices, dict(_NULL)], **beside}


def _untyped_error(where: str) -> ValueError:
    return ValueError(
        f"{where}: the strict form needs a type, and this is any value. Give it a hint, or leave strict=True out."
    )
