"""Plausible values for one place of a schema: from the prompt when it tells, else from the name of the property."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from .hints import MOOD, PLACE, WHOLE, Hint, nth
from .schemas import exact, type_names
from .texts import told_strings
from .words import Prompt, mood_of, stems

__all__ = [
    "boolean",
    "how_many",
    "is_told",
    "likely_types",
    "nearest_branch",
    "numbers",
    "options",
    "undo",
]

_YES = frozenset(stems("positive recommend recommended satisfied happy good liked approve worth again"))
_NO = frozenset(stems("negative complaint angry bad urgent refund escalate unhappy problem issue"))
_TYPICAL = {
    "age": 30, "year": 2026, "price": 9.99, "cost": 9.99, "temperature": 20, "confidence": 0.9, "probability": 0.9,
    "quantity": 1, "count": 2, "limit": 10, "days": 3, "hours": 2, "minutes": 30, "percent": 50, "lat": 50.78,
    "latitude": 50.78, "lon": 6.08, "longitude": 6.08, "page": 1, "id": 1,
}  # fmt: skip
_COUNTED = ("age", "year", "price", "cost", "temperature", "quantity", "count", "days", "hours", "minutes", "percent")
_BOUND = re.compile(
    r"\b(minimum|exclusiveMinimum|maximum|exclusiveMaximum): (-?(?:0|[1-9]\d{0,15})(?:\.\d{1,10})?)(?![\d.])"
)
_SPELT = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_OPTION_MOODS = {
    "negative": -1.0,
    "low": -0.6,
    "neutral": 0.0,
    "mixed": 0.0,
    "medium": 0.0,
    "positive": 1.0,
    "high": 0.6,
}


def options(enum: list[Any], schema: dict[str, Any], hint: Hint, prompt: Prompt) -> list[Any]:
    """Give the options of an enum, the best first: named in the prompt, near in mood, the default, the first."""
    named = sorted((place, i) for i, option in enumerate(enum) if (place := prompt.mentions(str(option))) is not None)
    if named:
        first = [enum[i] for _, i in named]
        return nth(first, hint.index) + enum
    moods = [_OPTION_MOODS.get(str(option).lower(), mood_of(str(option))) for option in enum]
    if any(moods):
        mood = prompt.mood_of_item(hint.index)
        nearest = min(range(len(enum)), key=lambda i: abs(moods[i] - mood))
        return [enum[nearest], *enum]
    numbers_only = all(isinstance(option, int | float) and not isinstance(option, bool) for option in enum)
    if numbers_only and len(enum) > 1 and hint.about(MOOD):
        ordered = sorted(enum)
        return [ordered[round((prompt.mood_of_item(hint.index) + 1) / 2 * (len(ordered) - 1))], *enum]
    shared = [len(stems(str(option)) & prompt.stems) for option in enum]
    if max(shared) > 0:
        return [enum[shared.index(max(shared))], *enum]
    if "default" in schema:
        return [schema["default"], *enum]
    return nth(enum, hint.index)


def nearest_branch(branches: list[Any], prompt: Prompt) -> int | None:
    """Give the branch of an `anyOf` whose title, constants or property names occur in the prompt, if one does."""
    scores = [len(stems(_marks(branch)) & prompt.stems) for branch in branches]
    return scores.index(max(scores)) if scores and max(scores) > 0 else None


def _marks(branch: Any) -> str:
    if not isinstance(branch, dict):
        return ""
    texts = [str(branch.get("title", "")), str(branch.get("const", "")), *map(str, branch.get("enum", []))]
    texts.append(branch.get("$ref", "").rpartition("/")[2])
    for name, sub in branch.get("properties", {}).items():
        texts += [
            name,
            _marks({key: sub[key] for key in ("const", "enum") if key in sub} if isinstance(sub, dict) else {}),
        ]
    return " ".join(texts)


def likely_types(schema: dict[str, Any]) -> list[str]:
    """Give the types that a schema without `type` speaks of, the likeliest first."""
    signs = {
        "object": ("properties", "required", "additionalProperties", "minProperties", "patternProperties"),
        "array": ("items", "prefixItems", "minItems", "uniqueItems", "contains"),
        "string": ("pattern", "minLength", "maxLength", "format"),
        "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
    }
    first = [kind for kind, keys in signs.items() if any(key in schema for key in keys)]
    return first + [k for k in ("string", "number", "object", "array", "boolean", "null") if k not in first]


def boolean(schema: dict[str, Any], hint: Hint, prompt: Prompt) -> bool:
    """Give a truth value: by mood for names such as `recommended`, by mention in the prompt for others."""
    if isinstance(schema.get("default"), bool) and not hint.words & prompt.stems:
        return bool(schema["default"])
    if hint.words & _YES:
        return prompt.mood_of_item(hint.index) > 0
    if hint.words & _NO:
        return prompt.mood_of_item(hint.index) < 0
    match = re.search(rf"(\w+)\s+{re.escape(hint.name.lower().replace('_', ' '))}", prompt.lower) if hint.name else None
    return bool(hint.words & prompt.stems) and not (match and match[1] in ("no", "not", "without"))


def _named_number(hint: Hint, prompt: Prompt) -> float | int | None:
    """Find "radius 3", "radius: 3", "radius of 3", "3 days"."""
    for word in re.findall(r"[a-z]{2,40}", hint.name.lower()):
        stem = re.escape(word.rstrip("s"))
        number = r"([-+]?\d{1,15}(?:\.\d{1,10})?)"
        found = re.search(rf"\b{stem}s?\b\W{{0,3}}(?:(?:of|is|to|was|at)\s)?\s?{number}\b", prompt.lower)
        found = found or re.search(rf"(?<![\w.]){number}[\s-]{stem}s?\b", prompt.lower)
        if found:
            return float(found[1]) if "." in found[1] else int(found[1])
        spelt = re.search(rf"\b({'|'.join(_SPELT)}) (?:\w+ )?{stem}s?\b", prompt.lower)
        if spelt:
            return _SPELT[spelt[1]]
    return None


def numbers(schema: dict[str, Any], hint: Hint, prompt: Prompt, *, whole: bool) -> Iterator[float | int]:
    """Yield numbers to try, the most plausible first, then those that bounds and steps leave."""
    low, high = _bounds(schema)
    for value in _plausible_numbers(schema, hint, prompt, low, high):
        if whole and isinstance(value, float):
            value = round(value)
        yield value
    step = exact(schema["multipleOf"]) if "multipleOf" in schema else Fraction(1)
    start = low if low is not None else high if high is not None else Fraction(0)
    base = math.ceil(start / step) if low is not None else math.floor(start / step)
    direction = -1 if low is None and high is not None else 1
    for offset in range(300):
        yield from _as_number(step * (base + direction * (offset + hint.index)), whole)
        yield from _as_number(step * (base + direction * offset), whole)
    if low is not None and high is not None:
        for part in (Fraction(1, 2), Fraction(1, 3), Fraction(9, 10), Fraction(0), Fraction(1)):
            yield from _as_number(low + (high - low) * part, whole)
    for edge in (low, high):
        for offset_by in (Fraction(1, 2), Fraction(-1, 2)):
            if edge is not None:
                yield from _as_number(edge + offset_by, whole)


def _bounds(schema: dict[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    # The strict form has no keywords for bounds: there a description says them.
    said = {key: exact(json.loads(number)) for key, number in _BOUND.findall(str(schema.get("description", ""))[:500])}
    said |= {
        key: exact(schema[key])
        for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        if key in schema
    }
    lows = [said[key] for key in ("minimum", "exclusiveMinimum") if key in said]
    highs = [said[key] for key in ("maximum", "exclusiveMaximum") if key in said]
    return max(lows, default=None), min(highs, default=None)


def _as_number(value: Fraction, whole: bool) -> Iterator[float | int]:
    if value.denominator == 1:
        yield value.numerator if abs(value) < 10**30 else float(value)
    elif not whole:
        yield float(value)


def _plausible_numbers(
    schema: dict[str, Any], hint: Hint, prompt: Prompt, low: Fraction | None, high: Fraction | None
) -> Iterator[float | int]:
    named = _named_number(hint, prompt)
    if named is not None:
        yield named
    if hint.about(MOOD):
        least, most = (0 if low is None else low), (5 if high is None else high)
        value = least + (most - least) * (exact(round(prompt.mood_of_item(hint.index), 3)) + 1) / 2
        yield from _as_number(Fraction(round(value)) if most - least > 1 else Fraction(round(value, 2)), False)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", hint.name).lower()
    typical = next((_TYPICAL[part] for part in re.split(r"[^a-z]+", name) if part in _TYPICAL), None)
    numbers_told = nth(prompt.numbers, hint.index + hint.order)
    if typical is None or name in _COUNTED:
        yield from numbers_told
    if isinstance(schema.get("default"), int | float) and not isinstance(schema["default"], bool):
        yield schema["default"]
    if typical is not None:
        yield typical + hint.index if isinstance(typical, int) else typical
    yield from numbers_told


def how_many(hint: Hint, prompt: Prompt, *, default: int) -> int:
    """Give how many items an array gets: "three ideas" or "5 tags" when the prompt says so."""
    told = _named_number(hint, prompt) if default else None
    if isinstance(told, int) and 0 < told <= 50:
        return told
    if default and hint.about(PLACE) and prompt.places:
        return len(prompt.places[:20])
    if default and len(prompt.quoted) > 1 and (hint.about(WHOLE) or hint.name in ("", "value", "items")):
        return len(prompt.quoted[:20])
    if default and re.match(r"(?:number|value|operand|arg)", hint.name.lower()) and prompt.numbers:
        return len(prompt.numbers[:50])
    return default


def is_told(schema: Any, hint: Hint, prompt: Prompt) -> bool:
    """Whether the prompt says something for an optional argument; the rest is better left to its default."""
    if not isinstance(schema, dict):
        return False
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return any(is_told(branch, hint, prompt) for branch in schema[key])
    if "enum" in schema:
        return any(prompt.mentions(str(option)) is not None for option in schema["enum"])
    kinds = type_names(schema.get("type", "string"))
    if "boolean" in kinds:
        return bool(hint.words & prompt.stems)
    if "integer" in kinds or "number" in kinds:
        return _named_number(hint, prompt) is not None
    if "string" in kinds:
        loose = hint.about(WHOLE) or not hint.name
        return (
            not loose
            and bool(told_strings(schema, hint, prompt))
            and bool(not prompt.quoted or hint.words & prompt.stems)
        )
    if "array" in kinds:
        return is_told(schema.get("items", {}), hint, prompt)
    return False


def undo(text: str) -> Any:
    """Give the value of a text made by `distinct`; `...` when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return ...
