"""Reading a JSON schema (Draft 2020-12): references, merging, and whether a value is valid."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

from .patterns import PatternError, matches

__all__ = ["Schema", "Unsatisfiable", "distinct", "exact", "same", "type_names"]

MAX_STEPS = 60_000  # places of a schema and a value that are looked at for one reply

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}
_DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL}){{0,20}}"
# Only what the generator makes or takes from a prompt has to pass, so these are stricter than the standards.
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": r"P(\d{1,6}D|(?=.)T\d{1,6}[HMS])",
    "email": r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}",
    "hostname": _HOSTNAME,
    "uri": r"[a-z][a-z0-9+.-]{0,20}:[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,2000}",
    "uri-reference": r"[A-Za-z0-9._~/?#&=%:-]{0,2000}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "json-pointer": r"(/[A-Za-z0-9_]{1,60}){0,20}",
    "regex": r"[a-z^$.*]{0,60}",
}
_SAME_FORMAT = {"idn-email": "email", "idn-hostname": "hostname", "iri": "uri", "iri-reference": "uri-reference"}


class Unsatisfiable(ValueError):
    """No instance was found, or the schema is not understood."""


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; `True` is not 1, but 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


class Schema:
    """A schema document: resolves its references and validates values, within a budget of steps.

    Example:
        Schema({"type": "integer"}).valid({"type": "integer"}, 3)  # True

    Raises:
        Unsatisfiable: from every method, for a schema that is not understood, or when the budget is used up.
    """

    def __init__(self, root: Any) -> None:
        self.root = root
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Unsatisfiable("the schema is too large")

    def resolve(self, schema: Any) -> Any:
        """Follow `$ref` until a schema without one; keywords beside a `$ref` are merged in."""
        for _ in range(30):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return schema
            self.step()
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = self.merge(self._target(schema["$ref"]), rest)
        raise Unsatisfiable("the references go round in a circle")

    def _target(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise Unsatisfiable("only references within the schema are supported")
        node = self.root
        for part in ref[1:].split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            elif isinstance(node, dict) and name in node:
                node = node[name]
            else:
                raise Unsatisfiable("a reference leads nowhere")
        return node

    def merge(self, one: Any, other: Any) -> Any:
        """Give a schema that asks for both; what cannot be put into one keyword is kept in `allOf`."""
        self.step()
        if one is False or other is False:
            return False
        if one is True or not one:
            return other
        if other is True or not other:
            return one
        if not isinstance(one, dict) or not isinstance(other, dict):
            raise Unsatisfiable("a schema is neither an object nor a boolean")
        out = dict(one)
        left: dict[str, Any] = {}
        for key, value in other.items():
            if key not in out or same(out[key], value):
                out[key] = value
            elif key in _JOIN:
                out[key] = _JOIN[key](out[key], value)
            elif key == "properties" and isinstance(value, dict) and isinstance(out[key], dict):
                both = dict(out[key])
                for name, sub in value.items():
                    both[name] = self.merge(both[name], sub) if name in both else sub
                out[key] = both
            elif key in ("items", "additionalProperties"):
                out[key] = self.merge(out[key], value)
            elif key in ("title", "description", "default", "examples", "$defs", "definitions", "$schema", "$id"):
                out[key] = value
            else:
                left[key] = value
        if left:
            out["allOf"] = [*out.get("allOf", []), left]
        return out

    def valid(self, schema: Any, value: Any) -> bool:
        """Whether a value is valid; formats are held to what the generator makes."""
        self.step()
        if isinstance(schema, bool):
            return schema
        schema = self.resolve(schema)
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise Unsatisfiable("a schema is neither an object nor a boolean")
        if "type" in schema and not any(_is(value, name) for name in type_names(schema["type"])):
            return False
        if "const" in schema and not same(schema["const"], value):
            return False
        if "enum" in schema and not any(same(option, value) for option in schema["enum"]):
            return False
        checks: dict[type, Callable[[dict[str, Any], Any], bool]] = {
            str: self._string,
            int: self._number,
            float: self._number,
            list: self._array,
            dict: self._object,
        }
        check = checks.get(type(value))
        return (check is None or check(schema, value)) and self._combined(schema, value)

    def _combined(self, schema: dict[str, Any], value: Any) -> bool:
        if not all(self.valid(sub, value) for sub in schema.get("allOf", [])):
            return False
        if "anyOf" in schema and not any(self.valid(sub, value) for sub in schema["anyOf"]):
            return False
        if "oneOf" in schema and sum(self.valid(sub, value) for sub in schema["oneOf"]) != 1:
            return False
        if "not" in schema and self.valid(schema["not"], value):
            return False
        if "if" in schema:
            branch = "then" if self.valid(schema["if"], value) else "else"
            return self.valid(schema.get(branch, True), value)
        return True

    def _string(self, schema: dict[str, Any], value: str) -> bool:
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
            return False
        try:
            if "pattern" in schema and not matches(schema["pattern"], value):
                return False
        except PatternError as error:
            raise Unsatisfiable(str(error)) from error
        return "format" not in schema or _has_format(value, schema["format"])

    def _number(self, schema: dict[str, Any], value: float) -> bool:
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        if not low <= value <= high:
            return False
        if not schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf):
            return False
        step = schema.get("multipleOf")
        if step is None:
            return True
        # Validators divide floats or use decimals; only what both call a multiple is safe.
        return exact(value) % exact(step) == 0 and (isinstance(step, int) or float(value / step).is_integer())

    def _array(self, schema: dict[str, Any], value: list[Any]) -> bool:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            return False
        if schema.get("uniqueItems") and len({distinct(item) for item in value}) < len(value):
            return False
        prefix = schema.get("prefixItems", [])
        if not all(self.valid(sub, item) for sub, item in zip(prefix, value, strict=False)):
            return False
        if "items" in schema and not all(self.valid(schema["items"], item) for item in value[len(prefix) :]):
            return False
        if "contains" not in schema:
            return True
        hits = sum(self.valid(schema["contains"], item) for item in value)
        return bool(schema.get("minContains", 1) <= hits <= schema.get("maxContains", math.inf))

    def _object(self, schema: dict[str, Any], value: dict[str, Any]) -> bool:
        if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", math.inf):
            return False
        if any(name not in value for name in schema.get("required", [])):
            return False
        for name, others in schema.get("dependentRequired", {}).items():
            if name in value and any(other not in value for other in others):
                return False
        for name, sub in schema.get("dependentSchemas", {}).items():
            if name in value and not self.valid(sub, value):
                return False
        return all(
            self.valid(sub, item) for name, item in value.items() for sub in self.schemas_of(schema, name)
        ) and all(self.valid(schema.get("propertyNames", True), name) for name in value)

    def schemas_of(self, schema: dict[str, Any], name: str) -> list[Any]:
        """Give the schemas that the value of a property has to meet."""
        subs = [schema["properties"][name]] if name in schema.get("properties", {}) else []
        try:
            subs += [sub for pattern, sub in schema.get("patternProperties", {}).items() if matches(pattern, name)]
        except PatternError as error:
            raise Unsatisfiable(str(error)) from error
        return subs or [schema.get("additionalProperties", True)]


def distinct(value: Any) -> str:
    """Give a text that two JSON values share when they are equal; 1.0 and 1 are."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return "[" + ",".join(map(distinct, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(key) + distinct(value[key]) for key in sorted(value)) + "}"
    return json.dumps(value)


def exact(number: float | int) -> Fraction:
    """Give a number as the fraction that its decimal digits mean."""
    return Fraction(str(number))


def type_names(kind: Any) -> list[str]:
    return kind if isinstance(kind, list) else [kind]


def _is(value: Any, name: Any) -> bool:
    if name in ("integer", "number"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (name == "number" or isinstance(value, int) or value.is_integer())
    if name not in _TYPES:
        raise Unsatisfiable(f"{json.dumps(name)} is not a type")
    return isinstance(value, _TYPES[name])


def _has_format(value: str, name: Any) -> bool:
    name = _SAME_FORMAT.get(name, name)
    if name in ("ipv4", "ipv6"):
        try:
            return ipaddress.ip_address(value).version == int(name[3:])
        except ValueError:
            return False
    return name not in _FORMATS or re.fullmatch(_FORMATS[name], value, re.ASCII) is not None


def _types_of_both(one: Any, other: Any) -> Any:
    names = type_names(other)
    both = [name for name in type_names(one) if name in names or (name == "integer" and "number" in names)]
    if "integer" in names and "number" in type_names(one) and "integer" not in both:
        both.append("integer")
    return both


_JOIN: dict[str, Any] = {
    "type": _types_of_both,
    "enum": lambda one, other: [option for option in one if any(same(option, item) for item in other)],
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "allOf": lambda one, other: [*one, *other],
    "minimum": max,
    "maximum": min,
    "exclusiveMinimum": max,
    "exclusiveMaximum": min,
    "minLength": max,
    "maxLength": min,
    "minItems": max,
    "maxItems": min,
    "minProperties": max,
    "maxProperties": min,
    "uniqueItems": lambda one, other: bool(one or other),
}
