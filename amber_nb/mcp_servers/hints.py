"""Say what was meant, where a server is used in a way that it does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from ..display.escape import shorten, show_controls
from .results import replace_inner_surrogates

__all__ = [
    "add_hint",
    "check_name",
    "describe_attribute",
    "describe_prompts",
    "describe_resources",
    "describe_tools",
    "enumerate_names",
    "join_arguments",
    "show_name",
]

_MAX_NAME = 128  # characters of a name in a message
_MAX_NAMED = 20  # names in a message
_MAX_OFFERED = 5  # names in place of one that is like none of them
_MAX_COMPARED = 500  # names with what was written: a server may list ten thousand long ones
_NEAR = 0.8  # how like a method a name must be, which may be a tool's as well
# An argument that tells what is read or called, by its method: what it is, and where it is found.
_NAMES = {
    "call": ("the name of a tool", "its name, as in tools().name[0]"),
    "read": ("the URI of a resource", "its uri, as in resources().uri[0]"),
    "prompt": ("the name of a prompt", "its name, as in prompts().name[0]"),
}


def show_name(name: str) -> str:
    """Return a server's name for something such that it can stand in a message."""
    return show_controls(shorten(name, _MAX_NAME))


def enumerate_names(names: Sequence[str], most: int = _MAX_NAMED) -> str:
    """Return names for a message, twenty at most."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(show_name, names[:most])) + more


def add_hint(text: str, hint: str) -> str:
    """Return a server's words with a sentence of ours behind them."""
    return text if not hint else text + hint if text.endswith((".", "!", "?", "…")) else f"{text}.{hint}"


def check_name(method: str, name: object) -> None:
    """Raise an error where a method gets something else than the name, or the URI, that it needs.

    Raises:
        TypeError: it is no string; the message says where the name stands.
    """
    if not isinstance(name, str):
        what, place = _NAMES[method]
        raise TypeError(f"{method}() takes {what}, not {type(name).__name__}: give {place}.")


def join_arguments(name: str, given: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call, its texts such that they can be sent.

    Raises:
        TypeError: they are given by their positions.
    """
    if not isinstance(given, (Mapping, type(None))):
        raise TypeError(
            f"The arguments of a tool are given by their names, as in call({show_name(name)!r}, query=…), or as one "
            f"dict; not as {type(given).__name__}."
        )
    joined: dict[str, Any] = replace_inner_surrogates({**(given or {}), **arguments})
    return joined


def describe_attribute(name: str, *, server: str, methods: Iterable[str], tools: Collection[str]) -> str:
    """Return what to write instead of an attribute that a server does not have.

    Args:
        name: the attribute.
        server: the expression of the server, such as `amber.mcp`.
        methods: what the server has.
        tools: the names of its tools, as far as they are known.
    """
    said = f"An McpServer has no attribute {show_name(name)!r}"
    if name not in tools and (near := get_close_matches(name, methods, n=1, cutoff=_NEAR)):
        return f"{said}. Did you mean {near[0]!r}?"
    shown = repr(show_name(name))
    choice = f"{server}.select(only={shown})"
    return f"{said}: a tool is called as {server}.call({shown}, …); for ask it is chosen as {choice}."


def describe_tools(name: str, tools: Collection[str]) -> str:
    """Return a sentence on tools whose names are like one that is not listed; "" without any."""
    near = _find_near(name, tools) if name not in tools else []
    return f" No tool has this name; there {_offer(near)}." if near else ""


def describe_prompts(listing: Mapping[str, Any], name: str, arguments: Collection[str]) -> str:
    """Return a sentence on why a prompt may have failed; "" where the list of prompts does not tell.

    Args:
        listing: `{"prompts": […]}`, as `ServerRequests.list_prompts` returns it.
        name: of the prompt.
        arguments: the names of those that it got.
    """
    prompts: dict[str, list[dict[str, Any]]] = {
        each["name"]: each.get("arguments") or [] for each in listing["prompts"]
    }
    if not prompts:
        return " The server lists no prompts."
    if name not in prompts:
        near = _find_near(name, prompts) or list(prompts)
        return f" No prompt has this name; there {_offer([_with_needs(each, prompts[each]) for each in near])}."
    if missing := [each for each in _required(prompts[name]) if each not in arguments]:
        example = ", ".join([repr(show_name(name)), *(f"{show_name(each)}=…" for each in missing)])
        return f" The prompt needs {_join(missing)}, as in prompt({example})."
    known = [each["name"] for each in prompts[name]]
    if unknown := [each for each in arguments if each not in known]:
        takes = _join(known) if known else "no arguments"
        return f" The prompt has no argument {_join(unknown)}; it takes {takes}."
    return ""


def describe_resources(listing: Mapping[str, Any], uri: str) -> str:
    """Return a sentence on the resources that are listed, where a URI is not; "" where it is.

    Args:
        listing: `{"resources": […], "resourceTemplates": […]}`, as `ServerRequests.list_resources` returns it.
        uri: what was read.
    """
    uris = [each["uri"] for each in listing["resources"]]
    if uri in uris:
        return ""
    uris += [each["uriTemplate"] for each in listing["resourceTemplates"]]
    if not uris:
        return " The server lists no resources."
    return f" No resource with this URI is listed; there {_offer(_find_near(uri, uris) or uris)}."


def _find_near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that are like one, three at most, nearest first."""
    short = (each for each in names if len(each) <= _MAX_NAME)
    return get_close_matches(name[: 2 * _MAX_NAME], list(islice(short, _MAX_COMPARED)))


def _required(arguments: Iterable[Mapping[str, Any]]) -> list[str]:
    return [each["name"] for each in arguments if each.get("required")]


def _with_needs(name: str, arguments: Iterable[Mapping[str, Any]]) -> str:
    needs = _required(arguments)
    return f"{show_name(name)} (which needs {_join(needs)})" if needs else name


def _offer(names: Sequence[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {_join(names, _MAX_OFFERED)}"


def _join(names: Sequence[str], most: int = _MAX_NAMED) -> str:
    """Return names such as "a, b and c"."""
    if len(names) == 1 or len(names) > most:
        return enumerate_names(names, most)
    return f"{enumerate_names(names[:-1])} and {show_name(names[-1])}"
