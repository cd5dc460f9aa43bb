"""Structured output: the `response_format` for `schema=` and the typed value in a reply; checks of a JSON schema.

A schema may come from far away: nothing here fetches, follows references without end, or hands a pattern to an engine
that can be made to think for hours.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache, partial
from itertools import islice
from typing import Annotated, Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic import Field, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic.errors import PydanticUserError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from .arguments import ArgumentsError, Path, describe_unknown, format_actual, format_path, preview
from .schema import (
    TIME_COMMENTS,
    AnswerSchemaGenerator,
    iter_subschemas,
    replace_subschemas,
    simplify_schema,
    tighten_hint,
    to_strict_schema,
    walk_schema,
)

__all__ = ["JsonSchema", "ResponseFormat", "ResponseMismatch", "response_format_of"]

_FIELD = "value"  # the endpoint takes objects only: anything else travels as the one field of an object
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(r"^[ \t]*```(?:json)?[ \t]*\n(.*?)\n?^[ \t]*```[ \t]*$", re.DOTALL | re.IGNORECASE | re.MULTILINE)
_ROOT_REFERENCE = re.compile(r"#(?!/(\$defs|definitions)/|[^/])")
_NOT_IN_NAME = re.compile(r"[^\w-]+", re.ASCII)
_NOT_STRICT = (
    *("format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems"),
)
_MAX_KIND = 190  # characters on a value in a tuple
_MAX_LINES = 8  # of one mismatch
_MAX_COST = 50_000  # references followed in one check, and what costs as much
_MAX_DEPTH = 200
_MAX_MISTAKES = 5
_COST: ContextVar[list[int]] = ContextVar("_COST")


class ResponseMismatch(Exception):
    """A reply does not fit the schema; the text is sent to the model."""


class ResponseFormat:
    """What a reply must look like.

    Args:
        name: of the schema, as it is sent.
        schema: of the value, which is wrapped in an object if it is none.
        is_object: whether the value is an object.
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
        """Parse a reply in JSON, which a fence may surround.

        Returns:
            The typed value, and the JSON value.

        Raises:
            ResponseMismatch: the text is no JSON, or does not fit.
        """
        try:
            value = json.loads(_without_fence(text))
        except ValueError as error:
            raise ResponseMismatch(f"This is no JSON: {error}.") from None
        except RecursionError:
            raise ResponseMismatch("This JSON nests too deep.") from None
        if self._is_wrapped and isinstance(value, dict):
            if set(value) != {_FIELD}:
                raise ResponseMismatch(f"The only field must be {_FIELD!r}.")
            value = value[_FIELD]
        return self._validate(value), value


def _without_fence(text: str) -> str:
    """Return the JSON in a reply of a model that does not know response_format: in a fence, maybe among words."""
    if fenced := _FENCE.fullmatch(text):
        return fenced[1]
    blocks = _BLOCK.findall(text) if text.lstrip()[:1] not in ("{", "[", '"') else []
    return blocks[0] if len(blocks) == 1 else text


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
        json_schema = adapter.json_schema(schema_generator=AnswerSchemaGenerator)
    except (PydanticUserError, AttributeError) as error:  # the last: of BaseModel itself
        raise TypeError(
            f"schema must be a type that pydantic knows, or a JSON schema; {name!r} is neither: "
            f"{str(error).splitlines()[0]}"
        ) from None

    def validate(value: Any) -> Any:
        try:
            return adapter.validate_json(json.dumps(value))
        except PydanticError as error:
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
    lines = [f"{format_path(path) if path else 'the value'}: {text}" for path, text in mistakes[:_MAX_LINES]]
    if len(mistakes) > _MAX_LINES:
        lines.append(f"and {len(mistakes) - _MAX_LINES} more")
    return ResponseMismatch("; ".join(lines) + ".")


def _wrap(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object whose one field has the given schema, which is changed."""
    name = "whole" + "_" * sum(key.startswith("whole") for key in schema.get("$defs", ()))
    is_recursive = False
    for part in walk_schema(schema):
        if isinstance(reference := part.get("$ref"), str) and _ROOT_REFERENCE.match(reference):
            part["$ref"] = f"#/$defs/{name}{reference[1:]}"  # to the whole schema, or into it
            is_recursive = True
    shared = {key: value for key, value in schema.items() if key in ("$defs", "definitions")}
    inner = {key: value for key, value in schema.items() if key not in shared}
    if is_recursive:
        shared["$defs"] = {name: inner, **shared.get("$defs", {})}
        inner = {"$ref": f"#/$defs/{name}"}
    return {"type": "object", "properties": {_FIELD: inner}, "required": [_FIELD], **shared}


def _describe_constraints(schema: Any) -> Any:
    """Return the schema with the constraints that the strict form drops in its descriptions, where models read them."""
    if not isinstance(schema, dict):
        return schema
    described = replace_subschemas(schema, _describe_constraints)
    constraints = _constraints(schema)
    if isinstance(items := schema.get("prefixItems"), list) and items:
        constraints.append(f"in this order: {', '.join(map(_kind, items))}")
    if constraints:
        text = ", ".join(constraints)
        before = schema.get("description")
        described["description"] = f"{before} ({text})" if isinstance(before, str) else text
    return described


def _constraints(schema: dict[str, Any]) -> list[str]:
    stated = [f"{key}: {schema[key]}" for key in _NOT_STRICT if isinstance(schema.get(key), (str, int, float))]
    return [*stated, comment] if (comment := schema.get("$comment")) in TIME_COMMENTS else stated


def _kind(schema: Any) -> str:
    """Return the type of a schema in words, with what is asked of its values: "string (format: date)"."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(kind, str):
        stated = [each for each in _constraints(schema) if not each.startswith("pattern")]
        if members := schema.get("enum", [schema["const"]] if "const" in schema else None):
            stated.append(f"one of: {json.dumps(members, ensure_ascii=False)}")
        text = ", ".join(stated)
        is_short = 0 < len(text) < _MAX_KIND and not {*"()"} & {*text}
        return f"{kind} ({text})" if is_short and kind not in ("array", "object") else kind
    options = schema.get("anyOf") if isinstance(schema, dict) else None
    return " or ".join(dict.fromkeys(map(_kind, options))) if isinstance(options, list) and options else "any"


def _require_fields(schema: dict[str, Any]) -> None:
    """Mark optional, non-nullable properties as required in place, because strict mode has no optional properties."""
    for part in walk_schema(schema):
        properties = part.get("properties")
        if isinstance(properties, dict):
            required = {*part.get("required", ()), *(name for name in properties if not _admits_null(properties[name]))}
            if required:
                part["required"] = [name for name in properties if name in required]


def _admits_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    return schema.get("type") == "null" or any(map(_admits_null, schema.get("anyOf", ())))


# --- values checked against a JSON schema


class JsonSchema:
    """A JSON schema (draft 2020-12) that can be checked safely.

    Args:
        schema: as it is sent.
        name: of the tool, for errors.
        part: what the schema's names stand for, for errors.

    Raises:
        ValueError: it is no schema, refers to something outside itself or to nothing, or cannot be checked safely.
    """

    def __init__(self, schema: Mapping[str, Any], name: str, part: str = "argument") -> None:
        # The library would take another validator for it; below the root it is refused.
        schema = {key: value for key, value in schema.items() if key != "$schema"}
        try:
            Draft202012Validator.check_schema(schema)
            _refuse_unsafe(schema, name)
        except SchemaError as error:
            where = f"{format_path(path)}: " if (path := tuple(error.absolute_path)) else ""
            raise ValueError(f"{name}: no JSON schema: {where}{error.message}"[:300]) from None
        except RecursionError:
            raise ValueError(f"{name}: it nests too deeply.") from None
        self._part = part
        self._validator = _SafeValidator(schema, registry=Registry())

    def check(self, value: Any) -> None:
        """Check a JSON value.

        Raises:
            ArgumentsError: it does not fit.
        """
        if mistakes := self.find_mistakes(value):
            raise ArgumentsError("; ".join(f"{format_path(path)}: {text}" for path, text in mistakes))

    def find_mistakes(self, value: Any) -> list[tuple[Path, str]]:
        """Find the first mistakes in a JSON value.

        Returns:
            The place and the description of each, none if the value fits.

        Raises:
            ArgumentsError: the check was given up.
        """
        token = _COST.set([0])
        try:
            errors = list(islice(self._validator.iter_errors(value), _MAX_MISTAKES))
        except ArgumentsError:
            raise
        except RecursionError:
            raise ArgumentsError("It could not be checked: the schema refers to itself.") from None
        except Exception as error:  # of a corner of the library, such as a remainder of a number that is too large
            raise ArgumentsError(f"It could not be checked ({type(error).__name__}).") from error
        finally:
            _COST.reset(token)
        return list(dict.fromkeys(mistake for error in errors for mistake in _describe(error, self._part)))


def _refuse_unsafe(schema: Mapping[str, Any], name: str) -> None:
    """Raise a ValueError for what leads out of a schema, to nothing, or to a check without end."""
    resource: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().with_resource("", resource).resolver()
    unvisited: list[tuple[Any, int]] = [(schema, 0)]
    seen: set[int] = set()
    while unvisited:
        inner, depth = unvisited.pop()
        if id(inner) in seen or not isinstance(inner, dict):
            continue
        seen.add(id(inner))
        if depth > _MAX_DEPTH:
            raise ValueError(f"{name}: it nests too deeply.")
        if "$dynamicRef" in inner or (inner is not schema and inner.keys() & {"$id", "$schema"}):
            raise ValueError(f"{name}: $dynamicRef, and $id and $schema within a schema, are not supported.")
        if isinstance(reference := inner.get("$ref"), str):
            if not reference.startswith("#"):
                raise ValueError(
                    f"{name}: {preview(reference)} lies outside the schema, and nothing is fetched: put it into "
                    "$defs and refer to it with #/$defs/…"
                )
            if reference[1:2] not in ("", "/"):  # the library looks through the whole schema for each
                raise ValueError(f"{name}: $anchor is not supported: {preview(reference)} must be #/$defs/….")
            try:
                # It may lie where no keyword leads, and is a schema all the same.
                unvisited.append((resolver.lookup(reference).contents, depth))
            except Unresolvable:
                raise ValueError(f"{name}: {preview(reference)} leads nowhere.") from None
        if "patternProperties" in inner and "unevaluatedProperties" in inner:
            raise ValueError(f"{name}: patternProperties beside unevaluatedProperties are not supported.")
        for pattern in (inner.get("pattern"), *inner.get("patternProperties", ())):
            if isinstance(pattern, str):
                try:
                    _matcher_of(pattern)
                except Exception:  # pydantic's own, for what its engine does not take
                    raise ValueError(
                        f"{name}: the pattern {preview(pattern)} cannot be checked: it is broken, or it looks ahead, "
                        "looks behind or refers back, which can take for ever. Leave it out."
                    ) from None
        unvisited += [(part, depth + 1) for part in iter_subschemas(inner)]


# --- keywords that the library checks slowly or wrongly

_Errors = Iterator[ValidationError]


@lru_cache(500)
def _matcher_of(pattern: str) -> TypeAdapter[str]:
    """Return pydantic's matcher, whose engine takes time in proportion to the text."""
    return TypeAdapter(Annotated[str, Field(pattern=pattern)])


def _matches(pattern: str, text: str) -> bool:
    try:
        _matcher_of(pattern).validate_python(text)
    except ValueError:
        return False
    return True


def _check_pattern(validator: Any, pattern: Any, value: Any, schema: Any) -> _Errors:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError("pattern")


def _check_pattern_properties(validator: Any, patterns: Any, value: Any, schema: Any) -> _Errors:
    for pattern, inner in patterns.items() if isinstance(value, dict) else ():
        for name, item in value.items():
            if _matches(pattern, name):
                yield from validator.descend(item, inner, path=name, schema_path=pattern)


def _check_additional_properties(validator: Any, inner: Any, value: Any, schema: Any) -> _Errors:
    patterns = schema.get("patternProperties", ())
    for name, item in value.items() if isinstance(value, dict) else ():
        if name in schema.get("properties", ()) or any(_matches(pattern, name) for pattern in patterns):
            continue
        if inner is False:
            yield ValidationError("unknown", path=(name,))
        else:
            yield from validator.descend(item, inner, path=name)


def _check_unique_items(validator: Any, is_wanted: Any, value: Any, schema: Any) -> _Errors:
    # The library compares each with each where they cannot be sorted.
    items = value if is_wanted and isinstance(value, list) else []
    if len({json.dumps(_normalize(item), sort_keys=True) for item in items}) < len(items):
        yield ValidationError("unique")


def _normalize(value: Any) -> Any:
    """Make equal numbers look equal as JSON: 1.0 and 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    return {key: _normalize(item) for key, item in value.items()} if isinstance(value, dict) else value


def _check_multiple_of(validator: Any, factor: Any, value: Any, schema: Any) -> _Errors:
    # The library's remainder of floats says that 19.99 is no multiple of 0.01.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and Fraction(str(value)) % Fraction(str(factor)):
        yield ValidationError("multiple")


def _spend(cost: int) -> None:
    total = _COST.get()
    total[0] += cost
    if total[0] > _MAX_COST:
        raise ArgumentsError("It could not be checked: it is too involved.")


def _check_ref(validator: Any, reference: Any, value: Any, schema: Any) -> _Errors:
    _spend(1)
    yield from validator._validate_reference(ref=reference, instance=value)


def _check_unevaluated(keyword: str, validator: Any, inner: Any, value: Any, schema: Any) -> _Errors:
    _spend(10)  # it goes through all that stands beside it once more
    yield from Draft202012Validator.VALIDATORS[keyword](validator, inner, value, schema)


_SafeValidator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "$ref": _check_ref,
        "additionalProperties": _check_additional_properties,
        "multipleOf": _check_multiple_of,
        "pattern": _check_pattern,
        "patternProperties": _check_pattern_properties,
        "unevaluatedItems": partial(_check_unevaluated, "unevaluatedItems"),
        "unevaluatedProperties": partial(_check_unevaluated, "unevaluatedProperties"),
        "uniqueItems": _check_unique_items,
    },
)


def _describe(error: ValidationError, part: str) -> Iterator[tuple[Path, str]]:
    path: Path = tuple(error.absolute_path)
    keyword: Any = error.validator
    rule: Any = error.validator_value
    value: Any = error.instance
    if keyword == "required":
        missing = [name for name in rule if name not in value]
        yield from (((*path, name), "is missing") for name in missing[:_MAX_MISTAKES])
        return
    if keyword == "additionalProperties":
        known = list(error.schema.get("properties", ())) if isinstance(error.schema, dict) else []
        yield path, describe_unknown(str(path[-1]), known, part)
        return
    if keyword == "type":
        wanted = f"should be of type {' or '.join([rule] if isinstance(rule, str) else rule)}"
    elif keyword == "enum":
        wanted = f"should be {' or '.join(preview(member) for member in rule[:20])}"
    elif keyword == "const":
        wanted = f"should be {preview(rule)}"
    elif keyword in ("anyOf", "oneOf", "not", "if", "allOf", "contains"):
        wanted = f"should fit what the schema says under {keyword}"
    else:
        wanted = f"should keep to {keyword} {preview(rule)}"
    yield path, f"{wanted}{format_actual(path, value)}"
