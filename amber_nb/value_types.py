"""What a type says of its values: fields, items, permitted texts; of Python's type hints and of JSON schemas alike."""

from __future__ import annotations

import datetime as dt
import enum
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

__all__ = [
    "SchemaNode",
    "find_categories",
    "find_computed_fields",
    "find_fields",
    "find_item",
    "find_kinds",
    "find_values",
    "is_dict_type",
    "to_plain_type",
]

_MAX_STEPS = 20  # of aliases and references, one in the other
# Types of pydantic's that are none of the classes that their values have.
_DATE_NAMES = ("AwareDatetime", "NaiveDatetime", "PastDatetime", "FutureDatetime", "PastDate", "FutureDate")
_TEXT_NAMES = ("UUID", "Url", "Path", "Dsn", "EmailStr", "SecretStr", "SecretBytes")  # with which their names end
_JSON_KINDS: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_JSON_FORMATS: dict[str, type] = {"date": dt.date, "date-time": dt.datetime}


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """A part of a JSON schema.

    Attributes:
        schema: the part, a dict.
        root: the whole, in which its references are looked up.
    """

    schema: Any
    root: Any

    def inner(self, schema: Any) -> SchemaNode:
        """Return another part of the same schema."""
        return SchemaNode(schema, self.root)


def to_plain_type(hint: Any) -> Any:
    """Return a type without what surrounds it: `Annotated`, `Required`, an alias, a RootModel, `| None`, `$ref`."""
    for _ in range(_MAX_STEPS):
        if isinstance(hint, Mapping):  # a JSON schema, maybe as response_format has it
            wrapped = hint.get("json_schema") if hint.get("type") == "json_schema" else None
            schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else hint
            hint = SchemaNode(schema, schema)
        plain = _without_wrapper(hint)
        if plain is hint:
            break
        hint = plain
    return hint


def _without_wrapper(hint: Any) -> Any:
    if isinstance(hint, SchemaNode):
        return _without_reference(hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return typing.get_args(hint)[0]
    if getattr(hint, "__pydantic_root_model__", False) and "root" in hint.model_fields:
        return hint.model_fields["root"].annotation
    if isinstance(hint, typing.NewType):
        return hint.__supertype__
    if hasattr(hint, "__value__"):  # an alias, `type Name = …`
        return hint.__value__
    options = _options(hint)
    if len(options) == 1 and options[0] is not hint:
        return options[0]
    if origin is not None and isinstance(origin, type) and _own_fields(origin) is not None:
        return origin  # of a generic dataclass or TypedDict
    return hint


def _without_reference(node: SchemaNode) -> SchemaNode:
    schema = node.schema
    if not isinstance(schema, Mapping):
        return node
    if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#"):
        found = node.root
        for step in reference[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, Mapping) else None
        return node.inner(found)
    if isinstance(parts := schema.get("allOf"), list) and parts:
        merged: dict[str, Any] = {}
        own = {key: value for key, value in schema.items() if key != "allOf"}
        for part in (*(to_plain_type(node.inner(part)).schema for part in parts), own):
            if isinstance(part, Mapping):
                both = {**merged.get("properties", {}), **part.get("properties", {})}
                merged = {**merged, **part, **({"properties": both} if both else {})}
        return node.inner(merged)
    options = _options(node)
    return options[0] if len(options) == 1 else node


def _options(hint: Any) -> list[Any]:
    """Return the types of a union without None; one alone for any other type."""
    if isinstance(hint, SchemaNode):
        schema = hint.schema if isinstance(hint.schema, Mapping) else {}
        for key in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(key), list):
                return [hint.inner(each) for each in options if each != {"type": "null"}]
        if isinstance(kinds := schema.get("type"), list):
            return [hint.inner({**schema, "type": kind}) for kind in kinds if kind != "null"]
        return [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [each for each in typing.get_args(hint) if each is not type(None)]
    return [hint]


# --- records and lists


def find_fields(hint: Any) -> dict[str, Any] | None:
    """Return the names and types of a record's fields, in order; of a union of records, of all; None for no record."""
    hint = to_plain_type(hint)
    if isinstance(hint, SchemaNode) and isinstance(hint.schema, Mapping):
        properties = hint.schema.get("properties")
        if isinstance(properties, Mapping) and properties:
            return {str(name): hint.inner(each) for name, each in properties.items()}
    options = _options(hint)
    if len(options) < 2:
        return _own_fields(hint)
    merged: dict[str, Any] = {}
    for option in options:
        if (found := find_fields(option)) is None:
            return None
        for name, each in found.items():
            merged[name] = _join_types(merged[name], each) if name in merged else each
    return merged


def _join_types(one: Any, other: Any) -> Any:
    """Return the union of two types; None where one of them is unknown."""
    if one == other:
        return one
    if isinstance(one, SchemaNode) and isinstance(other, SchemaNode):
        return one.inner({"anyOf": [one.schema, other.schema]})
    try:
        return typing.Union[one, other] if one is not None and other is not None else None  # noqa: UP007
    except TypeError:  # no type that Python knows
        return None


def _own_fields(hint: Any) -> dict[str, Any] | None:
    if not isinstance(hint, type):
        return None
    if hasattr(hint, "model_fields"):
        found = {name: each.annotation for name, each in hint.model_fields.items()}
    elif is_dataclass(hint) or hasattr(hint, "_fields") or hasattr(hint, "__total__"):
        try:
            found = typing.get_type_hints(hint)
        except Exception:  # a name that cannot be resolved
            found = dict.fromkeys(vars(hint).get("__annotations__", ()))
        if is_dataclass(hint):
            found = {each.name: found.get(each.name) for each in fields(hint)}
        elif hasattr(hint, "_fields"):
            found = {name: found.get(name) for name in hint._fields}
    else:
        return None
    return found | {name: getattr(each.info, "return_type", None) for name, each in find_computed_fields(hint).items()}


def find_computed_fields(kind: type) -> Mapping[str, Any]:
    """Return the `@computed_field`s of a model or a dataclass of pydantic's, by name; none of other classes."""
    return getattr(getattr(kind, "__pydantic_decorators__", None), "computed_fields", {})


def find_item(hint: Any) -> Any:
    """Return the type of a list's items; None where nothing is known of it, or where they differ."""
    hint = to_plain_type(hint)
    if isinstance(hint, SchemaNode):
        items = hint.schema.get("items") if isinstance(hint.schema, Mapping) else None
        return hint.inner(items) if isinstance(items, Mapping) and "prefixItems" not in hint.schema else None
    arguments = [each for each in typing.get_args(hint) if each is not ...]
    return arguments[0] if arguments and all(each == arguments[0] for each in arguments) else None


def find_values(hint: Any) -> Any:
    """Return the type of a dict's values, where its keys are data and no names of fields; else None."""
    hint = to_plain_type(hint)
    if isinstance(hint, SchemaNode):
        values = hint.schema.get("additionalProperties") if isinstance(hint.schema, Mapping) else None
        return hint.inner(values) if isinstance(values, Mapping) and not hint.schema.get("properties") else None
    arguments = typing.get_args(hint)
    return arguments[1] if is_dict_type(hint) and len(arguments) == 2 else None


def is_dict_type(hint: Any) -> bool:
    """Return whether a type is that of dicts whose keys are data and no names of fields."""
    hint = to_plain_type(hint)
    if isinstance(hint, SchemaNode):
        return isinstance(hint.schema, Mapping) and hint.schema.get("type") == "object" and not find_fields(hint)
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Mapping) and _own_fields(kind) is None


# --- plain values


def find_categories(hint: Any) -> list[str] | None:
    """Return the values that a type permits, where it names them and they are texts: with numbers people calculate."""
    hint = to_plain_type(hint)
    options = _options(hint)
    if len(options) > 1:
        found = [find_categories(option) for option in options]
        return None if None in found else [*dict.fromkeys(text for texts in found for text in texts or ())]
    named = _named_values(hint)
    return [*dict.fromkeys(named)] if named and all(isinstance(each, str) for each in named) else None


def _named_values(hint: Any) -> list[Any] | None:
    """Return the values of an `Enum`, a `Literal` or an `enum`, without None."""
    if isinstance(hint, SchemaNode):
        schema = hint.schema if isinstance(hint.schema, Mapping) else {}
        values = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    elif typing.get_origin(hint) is Literal:
        values = [*typing.get_args(hint)]
    else:
        values = [*hint] if isinstance(hint, type) and issubclass(hint, enum.Enum) else None
    if not isinstance(values, list):
        return None
    return [each.value if isinstance(each, enum.Enum) else each for each in values if each is not None]


def find_kinds(hint: Any) -> set[Any]:
    """Return the classes of the values that a type has, as a column holds them; None among them is an unknown one."""
    hint = to_plain_type(hint)
    options = _options(hint)
    if len(options) > 1:
        return {kind for option in options for kind in find_kinds(option)}
    if (named := _named_values(hint)) is not None:
        return {type(each) for each in named}
    if isinstance(hint, SchemaNode):
        schema = hint.schema if isinstance(hint.schema, Mapping) else {}
        return {_JSON_FORMATS.get(str(schema.get("format"))) or _JSON_KINDS.get(str(schema.get("type")))}
    name = getattr(hint, "__name__", "")
    if name in _DATE_NAMES:
        return {dt.datetime}
    return {str} if name.endswith(_TEXT_NAMES) and not _own_fields(hint) else {hint if isinstance(hint, type) else None}
