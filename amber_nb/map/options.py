"""The arguments of `map`: their names and defaults, and what can be seen to be wrong with them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from types import NoneType
from typing import Any, Literal, TypeVar

from ..checks import check_seconds
from ..errors import ConfigError
from ..types import ChatParams
from .results import column_names
from .rows import Rows

__all__ = [
    "DEFAULT_CONCURRENCY",
    "MapArguments",
    "MapOptions",
    "check_body",
    "check_names",
    "check_options",
    "show_map_parameters",
    "split_arguments",
]

DEFAULT_CONCURRENCY = 32
_MAX_CONCURRENCY = 1_000
F = TypeVar("F", bound=Callable[..., Any])


class MapArguments(ChatParams, total=False):
    """The keyword arguments of `map`; `Amber.map` says what each is for, `MapOptions` holds the defaults."""

    schema: Any
    images: str | None
    system: str | None
    model: str | None
    mode: str | None
    na: Literal["raise", "skip"]
    prefix: str
    distinct: bool
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    budget: float | str | None
    preview: bool
    ledger: Any
    resume: bool
    retain_days: float | None
    timeout_s: float | None
    max_retries: int | None
    max_wait_s: float | None
    show: bool | None
    extra_body: Mapping[str, Any] | None
    tools: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """The arguments of `map` beside the table, the prompt and the endpoint's parameters; `Amber.map` describes them."""

    schema: Any = None
    images: str | None = None
    system: str | None = None
    model: str | None = None
    mode: str | None = None
    na: Literal["raise", "skip"] = "raise"
    prefix: str = ""
    distinct: bool = True
    concurrency: int = DEFAULT_CONCURRENCY
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    budget: float | str | None = None
    preview: bool = False
    ledger: str | PathLike[str] | bool | None = True
    resume: bool = True
    retain_days: float | None = 30.0
    timeout_s: float | None = None
    max_retries: int | None = None
    max_wait_s: float | None = None
    show: bool | None = None
    extra_body: Mapping[str, Any] | None = None
    tools: Any = None


def show_map_parameters(method: F) -> F:
    """Give a method that takes `**options: Unpack[MapArguments]` the signature that help and completion show."""
    signature = inspect.signature(method)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            *own,
            *(
                inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
                for each in fields(MapOptions)
            ),
            inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD),
        ]
    )
    return method


def split_arguments(arguments: Mapping[str, Any]) -> tuple[MapOptions, dict[str, Any]]:
    """Divide the keyword arguments of `map` into its own and the endpoint's parameters."""
    own = {each.name for each in fields(MapOptions)}
    options = {name: value for name, value in arguments.items() if name in own}
    return MapOptions(**options), {name: value for name, value in arguments.items() if name not in own}


def check_options(options: MapOptions) -> None:
    """Refuse what can be seen to be wrong before anything begins."""
    if options.tools is not None:
        raise TypeError(
            "map() takes no tools= yet: a row is one question and one answer. amber.ask(…, tools=…) has them."
        )
    count = options.concurrency
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MAX_CONCURRENCY:
        raise ConfigError(f"concurrency must be a whole number from 1 to {_MAX_CONCURRENCY:,}.")
    for name in ("requests_per_minute", "tokens_per_minute", "retain_days"):
        value = getattr(options, name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < value < float("inf")):
            raise ConfigError(f"{name} must be a number above 0, or None.")
    for name in ("distinct", "preview", "resume"):
        if not isinstance(value := getattr(options, name), bool):
            raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    for name in ("model", "system", "mode"):
        if not isinstance(value := getattr(options, name), (str, NoneType)):
            raise TypeError(f"{name} must be a str or None, not {type(value).__name__}")
    if not isinstance(options.prefix, str):
        raise TypeError(f"prefix must be a str, not {type(options.prefix).__name__}")
    if options.images is not None and not isinstance(options.images, str):
        raise TypeError(f"images must be the name of a column, not {type(options.images).__name__}")
    if options.ledger is not None and not isinstance(options.ledger, (str, PathLike, bool)):
        raise TypeError(f"ledger must be a path, or None for no ledger, not {type(options.ledger).__name__}")
    if options.extra_body is not None and not isinstance(options.extra_body, Mapping):
        raise TypeError(f"extra_body must be a dict, not {type(options.extra_body).__name__}")
    check_seconds("timeout_s", options.timeout_s)
    check_seconds("max_wait_s", options.max_wait_s, zero=True)


def check_body(body: Mapping[str, Any]) -> None:
    """Refuse a parameter that no JSON can hold, by its name.

    Raises:
        TypeError: it has an object that is no plain value.
        ValueError: it has a number that is not finite, or holds itself.
    """
    for name, value in body.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name}= cannot be sent: {error}. It takes plain values, as JSON has them.") from None


def check_names(rows: Rows, options: MapOptions) -> None:
    """Refuse names of result columns that the table has, or that stand twice: a join would fail after the run."""
    names = column_names(options.schema, options.prefix)
    twice = sorted({name for name in names if names.count(name) > 1})
    taken = [name for name in names if name in rows.names and not rows.is_series]
    if twice:
        raise ValueError(
            f"The schema has a field {twice[0]!r}, and map adds a column of that name. Rename the field: prefix= goes "
            "before the names of both."
        )
    if taken:
        listed = ", ".join(map(repr, taken[:3])) + (", …" if len(taken) > 3 else "")
        raise ValueError(
            f"The table has a column {listed} already, and the result would have another one. Give the result's "
            "columns a prefix: amber.map(…, prefix='llm_')."
        )
