"""How the tools of an MCP server are offered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["SILENCE_S", "ServerOptions", "read_names"]

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


def read_names(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    """Return the names of tools as a tuple; `name` is the argument, for errors."""
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(each, str) for each in names):
        raise TypeError(f"{name} must be the name of a tool, or several")
    return names
