"""Which tools of a server are offered: those that only= and exclude= leave."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ..errors import ConfigError
from .hints import enumerate_names
from .listing import ListedTool
from .options import ServerOptions

__all__ = ["choose_tools", "offer_tools"]


def choose_tools(tools: Sequence[ListedTool], options: ServerOptions) -> list[ListedTool]:
    """Return the tools that only= and exclude= leave."""
    return [
        tool
        for tool in tools
        if (options.only is None or any(fnmatchcase(tool.name, pattern) for pattern in options.only))
        and not any(fnmatchcase(tool.name, pattern) for pattern in options.exclude)
    ]


def offer_tools(tools: Sequence[ListedTool], options: ServerOptions, server: str) -> list[ListedTool]:
    """Return the tools that an ask offers; `server` is the server's name, for errors.

    Raises:
        ConfigError: only= or exclude= names a tool that is not listed, or no tool is left, or none that can be called.
    """
    names = _enumerate(tools) or "none"
    patterns = [*(("only", each) for each in options.only or ()), *(("exclude", each) for each in options.exclude)]
    for argument, pattern in patterns:
        if not any(fnmatchcase(tool.name, pattern) for tool in tools):
            raise ConfigError(f"{argument}={pattern!r}: the MCP server {server!r} has no such tool. It has: {names}.")
    chosen = choose_tools(tools, options)
    if not chosen and (tools or options.only is not None):
        given = [*(["only="] if options.only is not None else ()), *(["exclude="] if options.exclude else ())]
        said = f"{' and '.join(given)} {'leave' if len(given) > 1 else 'leaves'}"
        raise ConfigError(f"{said} no tool of the MCP server {server!r}. It has: {names}.")
    offered = [tool for tool in chosen if not tool.needs_task]
    if chosen and not offered:
        text = f"The MCP server {server!r} offers none of {_enumerate(chosen)}: they need tasks, unknown here."
        raise ConfigError(text)
    return offered


def _enumerate(tools: Sequence[ListedTool]) -> str:
    return enumerate_names([tool.name for tool in tools])
