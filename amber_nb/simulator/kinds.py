"""Checks of single parameters: types, ranges, fixed choices. What is wrong is said in OpenAI's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import ApiError
from .messages import invalid_type, invalid_value

__all__ = ["Check", "a_name", "a_text", "a_truth", "an_object", "number", "of_kind", "one_of", "unsupported"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
Check = Callable[[str, Any], None]


def number(low: float, high: float, *, whole: bool = False) -> Check:
    """Check a number and its range."""
    noun = "integer" if whole else "decimal"

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise invalid_type(param, "an integer" if whole else "a decimal", value)
        for wrong, side, sign, bound in (
            (value < low, "below min", ">=", low),
            (value > high, "above max", "<=", high),
        ):
            if wrong:
                text = f"Invalid '{param}': {noun} {side}imum value. Expected a value {sign} {bound:g}."
                code = f"{noun}_{side.replace(' ', '_')}_value"
                raise ApiError(400, text, param=param, code=code)

    return check


def of_kind(expected: str, *kinds: type) -> Check:
    """Check a type; `expected` names it for a reader."""

    def check(param: str, value: Any) -> None:
        if not isinstance(value, kinds):
            raise invalid_type(param, expected, value)

    return check


def one_of(*allowed: str) -> Check:
    """Check a string that has to be one of a few."""

    def check(param: str, value: Any) -> None:
        if not isinstance(value, str):
            raise invalid_type(param, "a string", value)
        if value not in allowed:
            raise invalid_value(param, value, allowed)

    return check


def unsupported(why: str) -> Check:
    """Refuse a parameter that this model does not take."""

    def check(param: str, value: Any) -> None:
        text = f"Unsupported parameter: '{param}' is not supported with this model. {why}"
        raise ApiError(400, text, param=param, code="unsupported_parameter")

    return check


a_text = of_kind("a string", str)
a_truth = of_kind("a boolean", bool)
an_object = of_kind("an object", dict)


def a_name(param: str, value: Any) -> None:
    """Check a name of a tool or a schema."""
    a_text(param, value)
    if _NAME.fullmatch(value) is None:
        text = (
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$' and has at most 64 characters."
        )
        raise ApiError(400, text, param=param, code="invalid_value")
