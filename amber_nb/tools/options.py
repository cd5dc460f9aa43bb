"""The options of a tool: `@tool`, and what it has set on a function, a class or a callable object."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, TypedDict, TypeVar, Unpack, cast, overload

from ..tracebacks import short_traceback

__all__ = ["TOOL_NAME", "ToolOptions", "check_name", "merge_options", "options_of", "tool"]

F = TypeVar("F", bound=Callable[..., Any])
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what OpenAI takes
_ATTRIBUTE = "__amber_tool__"


class ToolOptions(TypedDict, total=False):
    """The options of `@tool`; None means that an option is not set, as if it were left out."""

    name: str | None
    require_approval: bool | None
    read_only: bool | None
    strict: bool | None
    serial: bool | None
    timeout_s: float | None


@overload
def tool(function: F, **options: Unpack[ToolOptions]) -> F: ...
@overload
def tool(function: None = None, **options: Unpack[ToolOptions]) -> Callable[[F], F]: ...
@short_traceback
def tool(
    function: Any = None,
    *,
    name: str | None = None,
    require_approval: bool | None = None,
    read_only: bool | None = None,
    strict: bool | None = None,
    serial: bool | None = None,
    timeout_s: float | None = None,
) -> Any:
    """Set how a function is offered as a tool, and return the function itself.

    Any function can be a tool as it is (`ask(…, tools=[function])`): this is for what its signature cannot say. Options
    that are left out stay as an earlier `@tool` set them; a subclass and a partial keep those of what they come from.

    Args:
        function: the function; left out where the decorator is written with parentheses.
        name: what the model calls it; by default the function's own name.
        require_approval: whether a reader is asked before each call; by default as `ask` says.
        read_only: whether a call changes nothing outside; with False a reader who is asked is warned. The model is
            not told.
        strict: whether the schema takes OpenAI's strict form, which the models that know it keep to.
        serial: whether calls run on the cell's thread, and never two at once (sqlite3, pyplot).
        timeout_s: seconds that one call may take; by default there is no limit.

    Raises:
        TypeError: the function cannot be called, or cannot carry options.
        ValueError: OpenAI does not take the name, or the time is not above 0.

    Example:
        >>> @tool(require_approval=True)
        ... def delete(path: str) -> str:
        ...     "Delete a file."
    """
    if name is not None:
        check_name(name, "name=")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s must be above 0, or None for no limit; it is {timeout_s!r}.")
    options = ToolOptions(
        name=name,
        require_approval=require_approval,
        read_only=read_only,
        strict=strict,
        serial=serial,
        timeout_s=timeout_s,
    )
    return functools.partial(_set_options, options) if function is None else _set_options(options, function)


@short_traceback
def _set_options(options: ToolOptions, function: Any) -> Any:
    if not callable(function) and not isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"@tool is for functions, not for {type(function).__name__}.")
    carrier = function.__func__ if inspect.ismethod(function) else function
    options = merge_options(options, *_own_options(carrier))
    try:
        setattr(carrier, _ATTRIBUTE, options)
        if isinstance(carrier, (staticmethod, classmethod)):
            setattr(carrier.__func__, _ATTRIBUTE, options)  # all that is left of it once it is looked up
    except (AttributeError, TypeError):
        raise TypeError(
            f"@tool cannot mark a {type(function).__name__} such as this: wrap it in a function of your own."
        ) from None
    return function


def options_of(thing: Any) -> ToolOptions:
    """Return the `@tool` options of a callable, merged over wrapped functions and base classes; the nearest wins."""
    return merge_options(*_iter_options(thing))


def merge_options(*options: ToolOptions) -> ToolOptions:
    """Merge options; the first that sets one wins."""
    merged: Any = {}
    for these in reversed(options):
        merged |= {name: value for name, value in these.items() if value is not None}
    return cast(ToolOptions, merged)


def _iter_options(thing: Any) -> Iterator[ToolOptions]:
    while True:
        yield from _own_options(thing)
        if isinstance(thing, functools.partial):
            thing = thing.func
        elif inspect.ismethod(thing) or isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
        else:
            break
    bases = thing.__mro__[1:] if isinstance(thing, type) else type(thing).__mro__
    if not isinstance(thing, type):
        yield from _own_options(inspect.getattr_static(type(thing), "__call__", None))
    for base in bases:
        for options in _own_options(base):
            yield {**options, "name": None}  # the class's own: two tools cannot have the same


def _own_options(thing: Any) -> list[ToolOptions]:
    """Return what `@tool` set on a callable itself, in a list of one or none."""
    options = getattr(thing, "__dict__", {}).get(_ATTRIBUTE)
    return [cast(ToolOptions, options)] if isinstance(options, dict) else []


def check_name(name: Any, what: str) -> str:
    """Return a name that OpenAI takes; raise a ValueError for any other, which says what it is the name of."""
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
        raise ValueError(
            f"{what} {str(name)[:80]!r} is none that the model could call: 1 to 64 of a-z, A-Z, 0-9, _ and - are. "
            "@tool(name='…') gives it another."
        )
    return name
