"""A JSON schema and a prompt → a value that is valid and, where the prompt tells, sensible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import values
from .hints import Hint
from .patterns import PatternError, examples
from .schemas import Schema, Unsatisfiable, distinct, type_names
from .texts import strings
from .words import Prompt

__all__ = ["Maker"]

MAX_DEPTH = 40
MAX_ITEMS = 2_000
_LEAN_AFTER = 2  # references followed on one path, after which a recursive schema is brought to an end


class _NoInstance(Exception):
    """No value was found here; another branch may have one."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value goes: what is known of it, how deep it is, how many references led there."""

    hint: Hint
    depth: int = 0
    refs: int = 0

    @property
    def lean(self) -> bool:
        return self.refs > _LEAN_AFTER

    def inner(self, name: str, index: int = 0, order: int = 0) -> _Place:
        return _Place(Hint(name=name, index=index, order=order), self.depth + 1, self.refs)


class Maker:
    """Makes instances of one schema document.

    Args:
        root: the schema; it has to be well formed.
        prompt: where plausible values come from.
        optional: fill optional properties too (for a `response_format`), or only those that the prompt tells
            (for the arguments of a tool).
        room: how many characters the strings may have together.

    Example:
        Maker({"type": "object", "properties": {"city": {"type": "string"}}}, Prompt("Weather in Rome?")).make()
    """

    def __init__(self, root: Any, prompt: Prompt, *, optional: bool = True, room: int = 100_000) -> None:
        self._schema = Schema(root)
        self._prompt = prompt
        self._optional = optional
        self._room = room

    def make(self, index: int = 0) -> Any:
        """Give an instance; another index gives another one where the schema leaves a choice.

        Raises:
            Unsatisfiable: when none was found.
        """
        try:
            return self._make(self._schema.root, _Place(Hint(index=index)))
        except _NoInstance as error:
            raise Unsatisfiable("no instance of the schema was found") from error
        except RecursionError as error:
            raise Unsatisfiable("the references go round in a circle") from error

    def _make(self, schema: Any, place: _Place) -> Any:
        self._schema.step()
        if place.depth > MAX_DEPTH:
            raise _NoInstance
        for value in self._candidates(schema, place):
            if self._schema.valid(schema, value):
                return value
        raise _NoInstance

    def _candidates(self, schema: Any, place: _Place) -> Iterator[Any]:
        if isinstance(schema, dict) and "$ref" in schema:
            place = _Place(place.hint, place.depth, place.refs + 1)
        flat = self._flatten(schema)
        if flat is False:
            return
        if flat is True:
            flat = {}
        place = _Place(place.hint.read(flat), place.depth, place.refs)
        if "const" in flat:
            yield flat["const"]
        elif "enum" in flat:
            yield from values.options(flat["enum"], flat, place.hint, self._prompt)
        elif "anyOf" in flat or "oneOf" in flat:
            yield from self._branches(flat, "anyOf" if "anyOf" in flat else "oneOf", place)
        elif "if" in flat:
            rest = {key: value for key, value in flat.items() if key not in ("if", "then", "else")}
            both = self._schema.merge(flat["if"], flat.get("then", True))
            for branch in (both, flat.get("else", True)):
                yield from self._attempt(self._schema.merge(rest, branch), place)
        else:
            for kind in self._kinds(flat, place.lean):
                yield from self._of_kind(kind, flat, place)

    def _flatten(self, schema: Any) -> Any:
        """Merge `$ref` and `allOf` in; what cannot be merged is left in `allOf` and only checked."""
        schema = self._schema.resolve(schema)
        if not isinstance(schema, dict) or "allOf" not in schema:
            return schema
        out: Any = {key: value for key, value in schema.items() if key != "allOf"}
        left: list[Any] = []
        for sub in schema["allOf"]:
            out = self._schema.merge(out, self._flatten(sub))
            if isinstance(out, dict):
                left += out.pop("allOf", [])
        return {**out, "allOf": left} if left and isinstance(out, dict) else out

    def _attempt(self, schema: Any, place: _Place) -> Iterator[Any]:
        try:
            yield self._make(schema, _Place(place.hint, place.depth + 1, place.refs))
        except _NoInstance:
            return

    def _branches(self, flat: dict[str, Any], key: str, place: _Place) -> Iterator[Any]:
        rest = {name: value for name, value in flat.items() if name != key}
        branches = list(flat[key])
        chosen = values.nearest_branch(branches, self._prompt)
        if chosen is not None:
            branches.insert(0, branches.pop(chosen))
        if place.lean:
            branches.sort(key=lambda branch: "$ref" in str(branch)[:2_000])
        else:
            branches.sort(key=lambda branch: branch == {"type": "null"})
        for branch in branches:
            is_ref = isinstance(branch, dict) and "$ref" in branch
            there = _Place(place.hint, place.depth, place.refs + is_ref)
            yield from self._attempt(self._schema.merge(rest, self._schema.resolve(branch)), there)

    @staticmethod
    def _kinds(flat: dict[str, Any], lean: bool) -> list[str]:
        kinds = list(type_names(flat["type"])) if "type" in flat else values.likely_types(flat)
        last = ("object", "array") if lean else ("null",)
        return sorted(kinds, key=lambda kind: kind in last)

    def _of_kind(self, kind: str, flat: dict[str, Any], place: _Place) -> Iterator[Any]:
        if kind == "null":
            yield None
        elif kind == "boolean":
            first = values.boolean(flat, place.hint, self._prompt)
            yield first
            yield not first
        elif kind == "string":
            yield from self._strings(flat, place)
        elif kind in ("integer", "number"):
            yield from values.numbers(flat, place.hint, self._prompt, whole=kind == "integer")
        elif kind == "array":
            yield from self._arrays(flat, place)
        else:
            yield from self._objects(flat, place)

    def _strings(self, flat: dict[str, Any], place: _Place) -> Iterator[str]:
        for text in strings(flat, place.hint, self._prompt):
            self._spend(len(text))
            yield text
        if "pattern" in flat:
            try:
                seed = f"{self._prompt.text}/{place.hint.name}/{place.hint.index}"
                for text in examples(flat["pattern"], seed, int(flat.get("minLength", 0))):
                    self._spend(len(text))
                    yield text
            except PatternError as error:
                raise Unsatisfiable(str(error)) from error

    def _spend(self, length: int) -> None:
        self._room -= length
        if self._room < 0:
            raise Unsatisfiable("the instance gets too long")

    def _arrays(self, flat: dict[str, Any], place: _Place) -> Iterator[list[Any]]:
        prefix = flat.get("prefixItems", [])
        low = int(flat.get("minItems", 0))
        high = int(min(flat.get("maxItems", MAX_ITEMS), MAX_ITEMS))
        contains = int(flat.get("minContains", 1)) if "contains" in flat else 0
        wanted = values.how_many(place.hint, self._prompt, default=0 if place.lean else max(2, len(prefix)))
        if low > high or max(low, contains) > MAX_ITEMS:
            return
        for count in dict.fromkeys([min(high, max(low, wanted, contains)), low, max(low, min(contains, high))]):
            out: list[Any] = []
            seen: set[str] = set()
            for position in range(count):
                sub = prefix[position] if position < len(prefix) else flat.get("items", True)
                if position >= count - contains:
                    sub = self._schema.merge(sub, flat["contains"])
                try:
                    item = self._item(sub, place, position, seen if flat.get("uniqueItems") else set())
                except _NoInstance:
                    break
                seen.add(distinct(item))
                out.append(item)
            yield out

    def _item(self, sub: Any, place: _Place, position: int, seen: set[str]) -> Any:
        # Twenty tries past the items that there are: enough for booleans and short enums, bounded for all else.
        for index in range(position, position + 20):
            item = self._make(sub, place.inner(place.hint.name, index))
            if distinct(item) not in seen:
                return item
        if isinstance(sub, dict):
            taken = {"not": {"enum": [value for value in map(values.undo, seen) if value is not ...]}}
            return self._make({"allOf": [sub, taken]}, place.inner(place.hint.name, position))
        raise _NoInstance

    def _objects(self, flat: dict[str, Any], place: _Place) -> Iterator[dict[str, Any]]:
        required = list(dict.fromkeys(flat.get("required", [])))
        known = list(flat.get("properties", {}))
        high = int(min(flat.get("maxProperties", MAX_ITEMS), MAX_ITEMS))
        optional = [
            name for name in known if name not in required and self._wants(flat["properties"][name], name, place)
        ]
        for extra in (optional, [name for name in known if name not in required], []):
            names = [name for name in known if name in required or name in extra] + [
                n for n in required if n not in known
            ]
            out: dict[str, Any] = {}
            missing = False
            for name in names:
                if name not in required and len(out) + sum(n in required for n in names if n not in out) >= high:
                    continue
                try:
                    order = sum(isinstance(item, int | float) for item in out.values())
                    out[name] = self._member(flat, name, place, order)
                except _NoInstance:
                    missing = missing or name in required
            if missing:
                raise _NoInstance
            self._complete(flat, out, place, optional=bool(extra))
            yield out

    def _wants(self, schema: Any, name: str, place: _Place) -> bool:
        if self._optional:
            return not place.lean
        hint = place.inner(name).hint.read(schema if isinstance(schema, dict) else {})
        return values.is_told(self._flatten(schema), hint, self._prompt)

    def _member(self, flat: dict[str, Any], name: str, place: _Place, order: int = 0) -> Any:
        subs = self._schema.schemas_of(flat, name)
        sub = subs[0] if len(subs) == 1 else {"allOf": subs}
        return self._make(sub, place.inner(name, place.hint.index, order))

    def _complete(self, flat: dict[str, Any], out: dict[str, Any], place: _Place, *, optional: bool) -> None:
        """Add what other keywords ask for: dependent properties, `minProperties`, entries of a mapping."""
        for name, others in flat.get("dependentRequired", {}).items():
            for other in others if name in out else ():
                if other not in out:
                    out[other] = self._member(flat, other, place)
        low = int(flat.get("minProperties", 0))
        if low > MAX_ITEMS:
            raise Unsatisfiable("'minProperties' is too large")
        mapping = isinstance(flat.get("additionalProperties"), dict) and not flat.get("properties") and not place.lean
        wanted = max(low, 2 if mapping and self._optional else 0)
        names = [*flat.get("properties", {}), *self._new_names(flat, place, wanted)]
        for name in names:
            if len(out) >= wanted:
                break
            if name not in out and self._schema.valid(flat.get("propertyNames", True), name):
                try:
                    out[name] = self._member(flat, name, place)
                except _NoInstance:
                    continue

    def _new_names(self, flat: dict[str, Any], place: _Place, wanted: int) -> Iterator[str]:
        if wanted == 0:
            return
        if "propertyNames" in flat:
            for index in range(wanted * 2):
                try:
                    name = self._make({"allOf": [{"type": "string"}, flat["propertyNames"]]}, place.inner("key", index))
                except _NoInstance:
                    break
                yield name
        try:
            for pattern in flat.get("patternProperties", {}):
                for index in range(wanted):
                    for text in examples(pattern, f"{place.hint.name}{index}"):
                        yield text
                        yield f"{text}{index + 1}"
        except PatternError as error:
            raise Unsatisfiable(str(error)) from error
        yield from self._prompt.keywords[:wanted]
        yield from (f"extra_{index}" for index in range(1, wanted + 1))
