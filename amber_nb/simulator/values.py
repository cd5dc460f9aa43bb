"""Example values: a JSON schema and a prompt → a valid value that takes from the prompt what it can."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012
from rstr import Rstr

from .api import SeededChoice
from .described import add_described
from .prompt import Hint, Prompt, likely_types

__all__ = ["ExampleBuilder", "Unsatisfiable", "matches", "pattern_examples"]

MAX_STEPS = 30_000  # places of a schema and of values that are visited for one example
MAX_DEPTH = 40
MAX_ITEMS = 2_000
MAX_TEXT = 10_000  # characters that a pattern is matched against
_REPEAT = r"(?:[*+]|\{\d*,\d*\})"  # an open-ended quantifier
_NULL = {"type": "null"}


class Unsatisfiable(ValueError):
    """No example was found, or the schema is not supported."""


# --- patterns


@lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return the compiled pattern, and the length of the longest text that it is tried on."""
    pattern = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)  # a named group of ECMAScript
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, FutureWarning, DeprecationWarning, RecursionError, MemoryError) as error:
        raise Unsatisfiable("the pattern is not supported") from error
    # Repeats within repeats, or many side by side, may take exponential time on a text that does not match.
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "x", pattern)  # an escape or a class is one character
    repeat_count = len(re.findall(_REPEAT, bare))
    if len(pattern) > 1_000 or repeat_count > 12 or re.search(rf"\){_REPEAT}\){_REPEAT}", bare):
        raise Unsatisfiable("the pattern is too costly")
    is_nested = re.search(rf"\){_REPEAT}", bare) is not None
    return compiled, 16 if is_nested or repeat_count > 4 else 40 if repeat_count > 2 else MAX_TEXT


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text; False for a text too long to be tried at a bearable cost.

    Raises:
        Unsatisfiable: the pattern is not supported, or may take too long to match.
    """
    compiled, longest = _compile(pattern)
    return len(text) <= longest and compiled.search(text) is not None


class _PatternChoice(random.Random):
    """The source of choices for rstr: the same on every machine, short repeats, letters and digits where allowed."""

    def __init__(self, seed: str, repeats: int) -> None:
        super().__init__(0)
        self._source = SeededChoice(seed)
        self._repeats = repeats
        self._room = MAX_TEXT

    def choice(self, seq: Any) -> Any:
        options: list[Any] = list(seq)
        if options and all(isinstance(option, str) for option in options):  # characters, at times in a set's order
            plain = [option for option in options if option.isascii() and option.isalnum()]
            options = sorted(plain) or sorted(option for option in options if not "\ud800" <= option <= "\udfff")
        if not options:
            raise Unsatisfiable("the pattern is not supported")
        return self._source.choice(options)

    def randint(self, a: int, b: int) -> int:
        times = min(a + self._repeats, max(a, b))
        self._room -= times
        if self._room < 0:
            raise Unsatisfiable("the pattern asks for a text that is too long")
        return times


def pattern_examples(pattern: str, seed: str, min_length: int = 0) -> Iterator[str]:
    """Yield texts made to match a pattern, short ones first and the same ones for a seed; the caller checks them.

    Texts of at least `min_length` are among them, if the pattern allows.

    Raises:
        Unsatisfiable: the pattern is not supported, or may take too long to match.
    """
    compiled, longest = _compile(pattern)
    # rstr would write a lookahead's text out; what follows has to satisfy it by chance.
    source = re.sub(r"\(\?=[^()]*\)", "", compiled.pattern)
    for repeats in (2, 0, 1, 4, 7, 12, min_length, min_length + 1, min_length // 2 + 1):
        for attempt in range(2 if repeats <= longest else 0):
            try:
                text = Rstr(_PatternChoice(f"{seed}/{repeats}/{attempt}", repeats)).xeger(source)
            except KeyError as error:  # an operator that rstr does not know
                raise Unsatisfiable("the pattern is not supported") from error
            yield text
            if len(text) < min_length:
                yield text.ljust(min_length, "a")  # a pattern without `$` still matches


# --- schemas


def _merge(first: Any, second: Any) -> Any:
    """Return a schema that asks for both; where two keywords cannot be merged, the second holds."""
    if first is False or second is False:
        return False
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second if isinstance(second, dict) else first
    merged = {**first, **second}
    for key in first.keys() & second.keys():
        if key == "required":
            merged[key] = list(dict.fromkeys([*first[key], *second[key]]))
        elif key in ("properties", "patternProperties"):
            shared = first[key].keys() & second[key].keys()
            both = {name: _merge(first[key][name], second[key][name]) for name in shared}
            merged[key] = {**first[key], **second[key], **both}
        elif key in ("items", "additionalProperties"):
            merged[key] = _merge(first[key], second[key])
    return merged


def _property_schema(schema: dict[str, Any], name: str) -> Any:
    parts = [schema["properties"][name]] if name in schema.get("properties", {}) else []
    parts += [part for pattern, part in schema.get("patternProperties", {}).items() if matches(pattern, name)]
    parts = parts or [schema.get("additionalProperties", True)]
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _size(value: Any) -> int:
    """Return the number of values within a value, and itself."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, parts))


# jsonschema itself would match patterns without a limit of time.
def _check_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _check_pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    for pattern, part in patterns.items() if isinstance(instance, dict) else ():
        for name, value in instance.items():
            if matches(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _check_additional_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    for name, value in instance.items() if isinstance(instance, dict) else ():
        patterns = schema.get("patternProperties", {})
        if name not in schema.get("properties", {}) and not any(matches(pattern, name) for pattern in patterns):
            yield from validator.descend(value, rule, path=name)


# --- examples


class _NoExample(Exception):
    """No value was found here; another branch may have one."""


class ExampleBuilder:
    """Build example values of one schema: at each place the likeliest value that is valid there.

    Args:
        schema: a well-formed JSON schema of Draft 2020-12.
        prompt: source of plausible values.
        optional: fill optional properties too (for a `response_format`), or only those that the prompt mentions
            (for the arguments of a tool).
        max_chars: characters that all strings may have together.

    Example:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        ExampleBuilder(schema, Prompt("Weather in Rome?")).build()  # {"city": "Rome"}
    """

    def __init__(self, schema: Any, prompt: Prompt, *, optional: bool = True, max_chars: int = 100_000) -> None:
        self._root = schema
        if isinstance(schema, dict):
            self._root = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
        self._prompt = prompt
        self._optional = optional
        self._chars_left = max_chars
        self._steps_left = MAX_STEPS
        self._reads_descriptions = True
        registry: Registry[Any] = Registry()  # empty, so that nothing is fetched
        self._resolver = registry.resolver_with_root(DRAFT202012.create_resource(self._root))
        keywords = {
            "$ref": self._check_reference,
            "pattern": _check_pattern,
            "patternProperties": _check_pattern_properties,
            "additionalProperties": _check_additional_properties,
        }
        validator = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
        self._validator = validator(self._root, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def build(self, index: int = 0) -> Any:
        """Return an example; another index gives another one where the schema leaves a choice.

        Raises:
            Unsatisfiable: no example was found, the schema is not supported, or it is too large.
        """
        budget = self._chars_left, self._steps_left
        try:
            try:
                return self._build(self._root, Hint(self._prompt, index=index))
            except (_NoExample, Unsatisfiable):
                # A description may state what nobody can keep to; it is only a text.
                self._reads_descriptions = False
                self._chars_left, self._steps_left = budget
                return self._build(self._root, Hint(self._prompt, index=index))
        except _NoExample as error:
            raise Unsatisfiable("no instance of the schema was found") from error
        except RecursionError as error:
            raise Unsatisfiable("the references go round in a circle") from error

    def is_valid(self, value: Any) -> bool:
        """Return whether a value is valid; False if the schema is not supported."""
        try:
            return self._is_valid(self._root, value)
        except (Unsatisfiable, RecursionError):
            return False

    def _spend(self, steps: int = 1) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise Unsatisfiable("the schema is too large")

    def _is_valid(self, schema: Any, value: Any) -> bool:
        self._spend(_size(value))
        try:
            return bool(self._validator.evolve(schema=schema).is_valid(value))
        except Unsatisfiable:
            raise
        except (Unresolvable, ValueError) as error:  # a ValueError for an `$id` that is no URI
            raise Unsatisfiable("a reference leads nowhere") from error

    def _check_reference(self, validator: Any, ref: Any, instance: Any, schema: Any) -> Any:
        self._spend()
        return Draft202012Validator.VALIDATORS["$ref"](validator, ref, instance, schema)

    def _flatten(self, schema: Any) -> Any:
        """Return the schema with `$ref` and `allOf` merged in."""
        self._spend()
        if not isinstance(schema, dict):
            return schema
        flat: Any = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        if "$ref" in schema:
            if not schema["$ref"].startswith("#"):
                raise Unsatisfiable("only references within the schema are supported")
            try:
                flat = _merge(self._flatten(self._resolver.lookup(schema["$ref"]).contents), flat)
            except Unresolvable as error:
                raise Unsatisfiable("a reference leads nowhere") from error
        for part in schema.get("allOf", []):
            flat = _merge(flat, self._flatten(part))
        return flat

    def _build(self, schema: Any, hint: Hint) -> Any:
        self._spend()
        for value in self._candidates(schema, hint) if hint.depth <= MAX_DEPTH else ():
            if self._is_valid(schema, value):
                return value
        raise _NoExample

    def _candidates(self, schema: Any, hint: Hint) -> Iterator[Any]:
        flat = self._flatten(schema)
        if flat is False:
            return
        flat = flat if isinstance(flat, dict) else {}
        described = add_described(flat) if self._reads_descriptions else flat
        stated = {key: described[key] for key in described.keys() - flat.keys() - {"format"}}
        for value in self._likely_values(schema, described, hint):
            if not stated or self._is_valid(stated, value):
                yield value

    def _likely_values(self, schema: Any, flat: dict[str, Any], hint: Hint) -> Iterator[Any]:
        follows = isinstance(schema, dict) and "$ref" in schema
        hint = replace(hint.with_schema(flat), references=hint.references + follows)
        choice = next((key for key in ("anyOf", "oneOf") if key in flat), None)
        if "const" in flat:
            yield flat["const"]
        elif "enum" in flat:
            yield from hint.options(flat["enum"], flat)
        elif choice:
            rest = {key: value for key, value in flat.items() if key != choice}
            # Null comes last, except in place of a number that the prompt does not name.
            is_unsaid = "default" not in flat and all(map(hint.lacks_number, flat[choice]))
            last = (lambda b: "$ref" in str(b)[:2_000]) if hint.is_lean else (lambda b: (b == _NULL) != is_unsaid)
            for branch in sorted(flat[choice], key=last):
                follows = isinstance(branch, dict) and "$ref" in branch
                inner = replace(hint, references=hint.references + follows)
                yield from self._attempt({"allOf": [rest, branch]}, inner)
        elif "if" in flat:
            rest = {key: value for key, value in flat.items() if key not in ("if", "then", "else")}
            for parts in ([flat["if"], flat.get("then", True)], [flat.get("else", True)]):
                yield from self._attempt({"allOf": [rest, *parts]}, hint)
        else:
            out = ("number", "integer") if hint.lacks_number(flat) else ("null",)
            late = ("object", "array") if hint.is_lean else out
            for kind in sorted(likely_types(flat), key=lambda kind: kind in late):
                yield from self._values(kind, flat, hint)

    def _attempt(self, schema: Any, hint: Hint) -> Iterator[Any]:
        with contextlib.suppress(_NoExample):
            yield self._build(schema, replace(hint, depth=hint.depth + 1))

    def _values(self, kind: str, flat: dict[str, Any], hint: Hint) -> Iterable[Any]:
        if kind == "boolean":
            first = hint.boolean(flat)
            return (first, not first)
        if kind == "string":
            return self._strings(flat, hint)
        if kind in ("integer", "number"):
            return hint.numbers(flat, whole=kind == "integer")
        if kind == "array":
            return self._arrays(flat, hint)
        return self._objects(flat, hint) if kind == "object" else (None,)

    def _strings(self, flat: dict[str, Any], hint: Hint) -> Iterator[str]:
        texts = hint.strings(flat)
        if "pattern" in flat:
            seed = f"{hint.prompt.text}/{hint.name}/{hint.index}"
            texts = itertools.chain(texts, pattern_examples(flat["pattern"], seed, int(flat.get("minLength", 0))))
        for text in texts:
            self._chars_left -= len(text)
            if self._chars_left < 0:
                raise Unsatisfiable("the instance gets too long")
            yield text

    def _arrays(self, flat: dict[str, Any], hint: Hint) -> Iterator[list[Any]]:
        prefix = flat.get("prefixItems", [])
        low = int(flat.get("minItems", 0))
        high = int(min(flat.get("maxItems", MAX_ITEMS), MAX_ITEMS))
        contains = int(flat.get("minContains", 1)) if "contains" in flat else 0
        likely = hint.item_count(0 if hint.is_lean else max(2, len(prefix)))
        if low > high or max(low, contains) > MAX_ITEMS:
            return
        for count in dict.fromkeys([min(high, max(low, likely, contains)), low, max(low, min(contains, high))]):
            items: list[Any] = []
            with contextlib.suppress(_NoExample):
                for position in range(count):
                    schema = prefix[position] if position < len(prefix) else flat.get("items", True)
                    if position >= count - contains:
                        schema = {"allOf": [schema, flat["contains"]]}
                    items.append(self._item(schema, hint, position, items if flat.get("uniqueItems") else []))
            yield items

    def _item(self, schema: Any, hint: Hint, position: int, used: list[Any]) -> Any:
        # Twenty tries beyond the items that there are: enough for short enums, bounded for all else.
        for index in range(position, position + 20):
            item = self._build(schema, hint.inner(hint.name, index))
            if item not in used:
                return item
        return self._build({"allOf": [schema, {"not": {"enum": used}}]}, hint.inner(hint.name, position))

    def _objects(self, flat: dict[str, Any], hint: Hint) -> Iterator[dict[str, Any]]:
        known = flat.get("properties", {})
        required = flat.get("required", [])
        high = min(flat.get("maxProperties", MAX_ITEMS), MAX_ITEMS)
        likely = {name for name in known if self._is_likely(known[name], name, hint)}
        for extra in (likely, set(known), set[str]()):
            value: dict[str, Any] = {}
            for name in dict.fromkeys([*known, *required]):
                open_count = len(set(required) - value.keys())  # required properties that are still to come
                if name not in required and (name not in extra or len(value) + open_count >= high):
                    continue
                try:
                    order = sum(isinstance(item, int | float) for item in value.values())
                    value[name] = self._property(flat, name, hint, order)
                except _NoExample:
                    if name in required:
                        raise
            self._complete(flat, value, hint)
            yield value

    def _is_likely(self, schema: Any, name: str, hint: Hint) -> bool:
        if self._optional:
            return not hint.is_lean
        flat = self._flatten(schema)
        return isinstance(flat, dict) and hint.inner(name).with_schema(flat).is_mentioned(flat)

    def _property(self, flat: dict[str, Any], name: str, hint: Hint, order: int = 0) -> Any:
        return self._build(_property_schema(flat, name), hint.inner(name, hint.index, order))

    def _complete(self, flat: dict[str, Any], value: dict[str, Any], hint: Hint) -> None:
        """Add the properties that `dependentRequired`, `minProperties` or a mapping asks for."""
        for name, others in flat.get("dependentRequired", {}).items():
            for other in others if name in value else ():
                if other not in value:
                    value[other] = self._property(flat, other, hint)
        is_mapping = isinstance(flat.get("additionalProperties"), dict) and not flat.get("properties")
        count = int(max(flat.get("minProperties", 0), 2 if is_mapping and self._optional and not hint.is_lean else 0))
        if count > MAX_ITEMS:
            raise Unsatisfiable("'minProperties' is too large")
        for name in itertools.chain(flat.get("properties", {}), self._new_names(flat, hint, count)):
            if len(value) >= count:
                break
            if name not in value and self._is_valid(flat.get("propertyNames", True), name):
                with contextlib.suppress(_NoExample):
                    value[name] = self._property(flat, name, hint)

    def _new_names(self, flat: dict[str, Any], hint: Hint, count: int) -> Iterator[str]:
        if "propertyNames" in flat:
            schema = {"allOf": [{"type": "string"}, flat["propertyNames"]]}
            for index in range(count * 2):
                yield from self._attempt(schema, hint.inner("key", index))
        for pattern in flat.get("patternProperties", {}):
            for index in range(count):
                for text in pattern_examples(pattern, f"{hint.name}{index}"):
                    yield from (text, f"{text}{index + 1}")
        yield from hint.prompt.keywords[:count]
        yield from (f"extra_{index}" for index in range(1, count + 1))
