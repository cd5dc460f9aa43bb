"""How the tools of an MCP server are offered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["SILENCE_S", "ServerOptions", "change_options"]

SILENCE_S = 60.0  # of a request, where timeout_s= says nothing


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


def _hint_policy(value: object) -> str:
    return "; a policy goes into ask(…, require_approval=policy)" if callable(value) else ""


def _read_names(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Return the names of tools as a tuple; `name` is the argument, for errors."""
    names = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not all(isinstance(each, str) for each in names):
        raise TypeError(f"{name} must be the name of a tool, or several")
    return names
