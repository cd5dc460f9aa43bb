"""`@tool`: what a function says of itself as a tool, beyond its signature."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, overload

__all__ = ["NAME", "Mark", "checked_name", "mark_of", "tool"]

F = TypeVar("F", bound=Callable[..., Any])
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what OpenAI takes
_MARK = "__amber_tool__"


@dataclass(frozen=True)
class Mark:
    """What is said of a tool; None: nothing is."""

    name: str | None = None
    require_approval: bool | None = None
    strict: bool | None = None
    serial: bool | None = None
    timeout_s: float | None = None

    def over(self, other: Mark) -> Mark:
        """This one, with the other's word where it says nothing."""
        return Mark(*(_either(getattr(self, one.name), getattr(other, one.name)) for one in fields(Mark)))


def _either(one: Any, other: Any) -> Any:
    return other if one is None else one


@overload
def tool(function: F) -> F: ...
@overload
def tool(
    function: None = None,
    *,
    name: str | None = None,
    require_approval: bool | None = None,
    strict: bool | None = None,
    serial: bool | None = None,
    timeout_s: float | None = None,
) -> Callable[[F], F]: ...
@overload
def tool(
    function: F,
    *,
    name: str | None = None,
    require_approval: bool | None = None,
    strict: bool | None = None,
    serial: bool | None = None,
    timeout_s: float | None = None,
) -> F: ...
def tool(
    function: Any = None,
    *,
    name: str | None = None,
    require_approval: bool | None = None,
    strict: bool | None = None,
    serial: bool | None = None,
    timeout_s: float | None = None,
) -> Any:
    """Say how a function is offered as a tool; it stays the function that it is.

    Any function can be a tool as it is (`ask(…, tools=[function])`): this is for what its signature cannot say. What is
    not given stays as an earlier mark has it; a subclass and a partial keep what is said of what they are made from.

    Args:
        function: what to mark; left out where the decorator is written with parentheses.
        name: what the model calls it, if not by the function's own name.
        require_approval: whether a reader is asked before each call; None: what `ask` says.
        strict: OpenAI's strict form of the schema, which the models that know it keep to.
        serial: run on the cell's thread, and never two at once (sqlite3, pyplot).
        timeout_s: how long one call may take.

    Raises:
        TypeError: this cannot be called, or cannot carry a mark.
        ValueError: a name that OpenAI does not take, or a time that is none.

    Example:
        >>> @tool(require_approval=True)
        ... def delete(path: str) -> str:
        ...     "Delete a file."
    """
    if name is not None:
        checked_name(name, "name=")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s must be above 0, or None for no limit; it is {timeout_s!r}.")
    mark = Mark(name, require_approval, strict, serial, timeout_s)
    if function is None:
        return functools.partial(_marked, mark)
    return _marked(mark, function)


def _marked(mark: Mark, function: Any) -> Any:
    if not callable(function) and not isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"@tool is for functions, not for {type(function).__name__}.")
    carrier = function.__func__ if inspect.ismethod(function) else function
    mark = mark.over(_own(carrier) or Mark())
    try:
        setattr(carrier, _MARK, mark)
        if isinstance(carrier, (staticmethod, classmethod)):
            setattr(carrier.__func__, _MARK, mark)  # all that is left of it once it is looked up
    except (AttributeError, TypeError):
        raise TypeError(
            f"@tool cannot mark a {type(function).__name__} such as this: wrap it in a function of your own."
        ) from None
    return function


def mark_of(thing: Any) -> Mark:
    """What is said of it, of the function within it, and of the classes that it comes from: the nearest word counts."""
    found = Mark()
    for mark in _marks(thing):
        found = found.over(mark)
    return found


def _marks(thing: Any) -> Iterator[Mark]:
    while True:
        if own := _own(thing):
            yield own
        if isinstance(thing, functools.partial):
            thing = thing.func
        elif inspect.ismethod(thing) or isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
        else:
            break
    made_from = thing.__mro__[1:] if isinstance(thing, type) else type(thing).__mro__
    if not isinstance(thing, type) and (called := _own(inspect.getattr_static(type(thing), "__call__", None))):
        yield called
    # The name is the class's own: two tools cannot have the same.
    yield from (replace(mark, name=None) for one in made_from if (mark := _own(one)))


def _own(thing: Any) -> Mark | None:
    found = getattr(thing, "__dict__", {}).get(_MARK)
    return found if isinstance(found, Mark) else None


def checked_name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{what} {str(name)[:80]!r} is none that the model could call: 1 to 64 of a-z, A-Z, 0-9, _ and - are. "
            "@tool(name='…') gives it another."
        )
    return name
