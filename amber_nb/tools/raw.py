"""JSON schemas of anybody's making: what is refused beforehand, and the check of a value against the rest.

A schema may come from far away: nothing here fetches, follows a reference without end, or hands a pattern to an engine
that can be made to think for hours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import Annotated, Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic import Field, TypeAdapter
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from .arguments import ArgumentsError, describe_unknown, format_actual, format_path, preview
from .schemas import parts_of

__all__ = ["JsonSchema"]

_MOST_SPENT = 50_000  # references followed in one check, and what costs as much
_MOST_NESTED = 200
_MOST_WRONG = 5  # mistakes that are named
Path = tuple[str | int, ...]  # names and places from the outermost inwards
_SPENT: ContextVar[list[int]] = ContextVar("_SPENT")


class JsonSchema:
    """A JSON schema (draft 2020-12) that has been found sane.

    Args:
        schema: as it is sent.
        name: what to call it.
        part: what to call what it has names for.

    Raises:
        ValueError: it is no schema, refers to something outside itself or to nothing, or cannot be checked safely.
    """

    def __init__(self, schema: Mapping[str, Any], name: str, part: str = "argument") -> None:
        # Below the root `_look_through` refuses it: the library would take another validator for that part.
        schema = {key: value for key, value in schema.items() if key != "$schema"}
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            where = f"{format_path(path)}: " if (path := tuple(error.absolute_path)) else ""
            raise ValueError(f"{name}: no JSON schema: {where}{error.message}"[:300]) from None
        except RecursionError:
            raise ValueError(f"{name}: it nests too deeply.") from None
        self._look_through(schema, name)
        self._part = part
        self._validator = _SANE(schema, registry=Registry())

    def _look_through(self, schema: Mapping[str, Any], name: str) -> None:
        resource: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
        resolver = Registry().with_resource("", resource).resolver()
        waiting: list[tuple[Any, int]] = [(schema, 0)]
        seen: set[int] = set()
        while waiting:
            one, depth = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if depth > _MOST_NESTED:
                raise ValueError(f"{name}: it nests too deeply.")
            if not isinstance(one, dict):
                continue
            if "$dynamicRef" in one or (one is not schema and one.keys() & {"$id", "$schema"}):
                raise ValueError(f"{name}: $dynamicRef, and $id and $schema within a schema, are not supported.")
            if isinstance(reference := one.get("$ref"), str):
                if reference.startswith("#") and reference[1:2] not in ("", "/"):
                    # The library looks through the whole schema for each.
                    raise ValueError(f"{name}: $anchor is not supported: {preview(reference)} must be #/$defs/….")
                if not reference.startswith("#"):
                    raise ValueError(
                        f"{name}: {preview(reference)} lies outside the schema, and nothing is fetched: put it into "
                        "$defs and refer to it with #/$defs/…"
                    )
                try:
                    # It may lie where no keyword leads, and is a schema all the same.
                    waiting.append((resolver.lookup(reference).contents, depth))
                except Unresolvable:
                    raise ValueError(f"{name}: {preview(reference)} leads nowhere.") from None
                except RecursionError:
                    raise ValueError(f"{name}: it nests too deeply.") from None
            if "patternProperties" in one and "unevaluatedProperties" in one:
                raise ValueError(f"{name}: patternProperties beside unevaluatedProperties are not supported.")
            for pattern in (one.get("pattern"), *one.get("patternProperties", ())):
                if isinstance(pattern, str):
                    _matcher(pattern, name)
            waiting += [(inner, depth + 1) for _, _, inner in parts_of(one)]

    def check(self, arguments: dict[str, Any]) -> None:
        """Check JSON arguments.

        Raises:
            ArgumentsError: they do not fit.
        """
        if found := self.wrong(arguments):
            raise ArgumentsError("; ".join(f"{format_path(path)}: {said}" for path, said in found))

    def wrong(self, value: Any) -> list[tuple[Path, str]]:
        """The first mistakes in a JSON value: where, and what is wrong there.

        Raises:
            ArgumentsError: it cannot be told.
        """
        token = _SPENT.set([0])
        try:
            found = list(islice(self._validator.iter_errors(value), _MOST_WRONG))
        except ArgumentsError:
            raise
        except RecursionError:
            raise ArgumentsError("It could not be checked: the schema refers to itself.") from None
        except Exception as error:  # of a corner of the library, such as a remainder of a number that is too large
            raise ArgumentsError(f"It could not be checked ({type(error).__name__}).") from error
        finally:
            _SPENT.reset(token)
        return list(dict.fromkeys(pair for one in found for pair in _said(one, self._part)))


def _matcher(pattern: str, name: str = "") -> TypeAdapter[str]:
    if pattern not in _MATCHERS:
        if len(_MATCHERS) > 500:
            _MATCHERS.clear()
        try:
            _MATCHERS[pattern] = TypeAdapter(Annotated[str, Field(pattern=pattern)])
        except Exception:  # pydantic's own, for what its engine does not take
            raise ValueError(
                f"{name}: the pattern {preview(pattern)} cannot be checked: it is broken, or it looks ahead, looks "
                "behind or refers back, which can take for ever. Leave it out."
            ) from None
    return _MATCHERS[pattern]


_MATCHERS: dict[str, TypeAdapter[str]] = {}  # pydantic's engine takes time in proportion to the text


def _matches(pattern: str, text: str) -> bool:
    try:
        _matcher(pattern).validate_python(text)
    except ValueError:
        return False
    return True


Errors = Iterator[ValidationError]


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Errors:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Errors:
    for pattern, inner in patterns.items() if isinstance(instance, dict) else ():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, inner: Any, instance: Any, schema: Any) -> Errors:
    for name, value in instance.items() if isinstance(instance, dict) else ():
        if name in schema.get("properties", ()) or any(
            _matches(one, name) for one in schema.get("patternProperties", ())
        ):
            continue
        if inner is False:
            error = ValidationError("unknown")
            error.path.appendleft(name)
            yield error
        else:
            yield from validator.descend(value, inner, path=name)


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    # The library compares each with each where they cannot be sorted.
    items = instance if wanted and isinstance(instance, list) else []
    if len({json.dumps(_canonical(one), sort_keys=True) for one in items}) < len(items):
        yield ValidationError("unique")


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    return {key: _canonical(one) for key, one in value.items()} if isinstance(value, dict) else value


def _multiple_of(validator: Any, factor: Any, instance: Any, schema: Any) -> Errors:
    # The library's remainder of floats says that 19.99 is no multiple of 0.01.
    is_number = isinstance(instance, (int, float)) and not isinstance(instance, bool)
    if is_number and Fraction(str(instance)) % Fraction(str(factor)):
        yield ValidationError("multiple")


def _spend(points: int) -> None:
    spent = _SPENT.get()
    spent[0] += points
    if spent[0] > _MOST_SPENT:
        raise ArgumentsError("It could not be checked: it is too involved.")


def _reference(validator: Any, reference: Any, instance: Any, schema: Any) -> Errors:
    _spend(1)
    yield from validator._validate_reference(ref=reference, instance=instance)


def _unevaluated(keyword: str, validator: Any, inner: Any, instance: Any, schema: Any) -> Errors:
    _spend(10)  # each goes through all that stands beside it once more
    yield from Draft202012Validator.VALIDATORS[keyword](validator, inner, instance, schema)


_KEYWORDS: dict[str, Callable[..., Errors]] = {
    "$ref": _reference,
    "additionalProperties": _additional_properties,
    "multipleOf": _multiple_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "unevaluatedItems": partial(_unevaluated, "unevaluatedItems"),
    "unevaluatedProperties": partial(_unevaluated, "unevaluatedProperties"),
    "uniqueItems": _unique_items,
}
_SANE: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, _KEYWORDS
)


def _said(error: ValidationError, part: str) -> Iterator[tuple[Path, str]]:
    path: Path = tuple(error.absolute_path)
    value: Any = error.instance
    rule: Any = error.validator_value
    if error.validator == "required":
        missing = [name for name in rule if name not in value]
        yield from (((*path, name), "is missing") for name in missing[:_MOST_WRONG])
        return
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ())) if isinstance(error.schema, dict) else []
        yield path, describe_unknown(str(path[-1]), known, part)
        return
    if error.validator == "type":
        wanted = f"should be of type {' or '.join([rule] if isinstance(rule, str) else rule)}"
    elif error.validator == "enum":
        wanted = f"should be {' or '.join(preview(one) for one in rule[:20])}"
    elif error.validator == "const":
        wanted = f"should be {preview(rule)}"
    elif error.validator in ("anyOf", "oneOf", "not", "if", "allOf", "contains"):
        wanted = f"should fit what the schema says under {error.validator}"
    else:
        wanted = f"should keep to {error.validator} {preview(rule)}"
    yield path, f"{wanted}{format_actual(path, value)}"
