"""How the tools of an MCP server are offered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from .concealed import conceal

__all__ = ["SILENCE_S", "ServerOptions", "change_options", "refuse_other_keywords", "refuse_unknown"]

F = TypeVar("F", bound=Callable[..., Any])
SILENCE_S = 60.0  # of a request, where timeout_s= says nothing
_MAX_ECHO = 60  # characters of a name in a message
_OF_MCP = ("headers", "env", "timeout_s", "trust")  # what is fixed with the connection
_COMMAND = "the words of a command come first, one by one, as in mcp('npx', '-y', '…')"
_MEANT = {
    **dict.fromkeys(("command", "cmd", "args", "arguments"), _COMMAND),
    **dict.fromkeys(("url", "server_url"), "the URL comes first, as in mcp('https://…')"),
    **dict.fromkeys(("file", "path", "config"), "the file comes first, as in mcp('mcp.json')"),
    **dict.fromkeys(
        ("token", "api_key", "auth"), "a key goes into headers=, as in headers={'Authorization': f'Bearer {token}'}"
    ),
    "cwd": "a folder goes into the dict, as in mcp({'command': …, 'args': […], 'cwd': …})",
}


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the tools of a server are offered, see `mcp`."""

    only: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    require_approval: bool | None = None
    timeout_s: float = SILENCE_S
    trust: bool = False


def change_options(
    options: ServerOptions,
    *,
    only: str | Iterable[str] | None,
    exclude: str | Iterable[str] | None,
    prefix: str | None,
    require_approval: bool | None,
) -> ServerOptions:
    """Return options with these values; None leaves all but `require_approval` as they are.

    Raises:
        TypeError: a value has the wrong type.
    """
    if not isinstance(require_approval, (bool, type(None))):
        raise TypeError(f"require_approval must be True, False or None{_hint_policy(require_approval)}")
    if not isinstance(prefix, (str, type(None))):
        raise TypeError(f"prefix must be a string, not {type(prefix).__name__}")
    return replace(
        options,
        only=options.only if only is None else _read_names(only, "only"),
        exclude=options.exclude if exclude is None else _read_names(exclude, "exclude"),
        prefix=options.prefix if prefix is None else prefix,
        require_approval=require_approval,
    )


def refuse_unknown(caller: str, unknown: Iterable[str], known: Sequence[str]) -> None:
    """Raise an error for the first keyword that a function does not have.

    Args:
        caller: the function, for the message.
        unknown: the names of keywords that it does not have.
        known: the names of those that it has.

    Raises:
        TypeError: there is one; the message says what was meant.
    """
    for name in unknown:
        said = f"{caller}() takes no {name if len(name) <= _MAX_ECHO else name[: _MAX_ECHO - 1] + '…'!r}"
        if near := get_close_matches(name, known, n=1):
            raise TypeError(f"{said}. Did you mean {near[0]!r}?")
        if caller == "mcp" and name in _MEANT:
            raise TypeError(f"{said}: {_MEANT[name]}.")
        if caller != "mcp" and name in _OF_MCP:
            raise TypeError(f"{said}: it is given to mcp(…), for all of the server.")
        raise TypeError(f"{said}. Its keywords are {', '.join(known)}.")


def refuse_other_keywords(method: F) -> F:
    """Make a method say what was meant by a keyword that it does not have; its signature stays as it is."""
    known = tuple(inspect.signature(method).parameters)[1:]  # without self

    @functools.wraps(method)
    def call_with_known_keywords(*arguments: Any, **keywords: Any) -> Any:
        if unknown := [name for name in keywords if name not in known]:
            keywords = conceal(keywords)  # a verbose traceback prints a frame's variables, such as headers
            refuse_unknown(method.__name__, unknown, known)
        return method(*arguments, **keywords)

    return call_with_known_keywords  # type: ignore[return-value]


def _hint_policy(value: object) -> str:
    return "; a policy goes into ask(…, require_approval=policy)" if callable(value) else ""


def _read_names(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Return the names of tools as a tuple; `name` is the argument, for errors."""
    names = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not all(isinstance(each, str) for each in names):
        raise TypeError(f"{name} must be the name of a tool, or several")
    return names
