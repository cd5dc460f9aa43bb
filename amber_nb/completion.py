"""Complete what IPython cannot read from the code: parameters of the endpoint, names of models, the public names.

IPython's own completion reads a call from the source, where `ask(**params)` says nothing of `temperature`, and lists
every module of a package beside its public names. Nothing is sent: the models are those that this client has seen.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["register"]

_PACKAGE = __name__.partition(".")[0]
_NAMES = r"(?:\w+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*"
_IMPORT = re.compile(rf"^[ \t]*from[ \t]+{_PACKAGE}[ \t]+import[ \t]+(?:{_NAMES}|\([^()]*?[\s(,])(\w*)\Z", re.M)
_ALIAS = re.compile(r"\bas[ \t]+\w*\Z")
_MODULE = re.compile(rf"(?<![\w.]){_PACKAGE}\.(\w*)\Z")
_STATEMENT = re.compile(r"^[ \t]*(?:from|import)\b[^\n]*\Z", re.M)
_KEYWORD = re.compile(r"[(,]\s*(\w*)\Z")
_MODEL = re.compile(r"[(,]\s*model\s*=\s*[rR]?([\"'])([^\"'\n]*)\Z")
_MODE = re.compile(r"[(,]\s*mode\s*=\s*[\"']([^\"'\n]*)\Z")
_SKIPPED = re.compile(  # strings and comments, whole or up to the cursor
    r"#[^\n]*|\'\'\'.*?(?:\'\'\'|\Z)|\"\"\".*?(?:\"\"\"|\Z)|\'(?:\\.|[^\'\\\n])*(?:\'|\Z)|\"(?:\\.|[^\"\\\n])*(?:\"|\Z)",
    re.S,
)
_MOST_CHARS = 100_000  # of a cell that are read


def register() -> None:
    """Add the completions to the IPython that runs this, if there is one; once."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if isinstance(matchers, list):
        matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != _PACKAGE]
        matchers.append(_matcher(shell))


def _matcher(shell: Any) -> Callable[[Any], dict[str, Any]]:
    """Return a matcher as IPython's completer calls them."""

    def match(context: Any) -> dict[str, Any]:
        names: list[str] = []
        fragment, alone = "", False
        with contextlib.suppress(Exception):  # an error here would take all other completions away
            lines = context.full_text.split("\n")
            text = "\n".join([*lines[: context.cursor_line], lines[context.cursor_line][: context.cursor_position]])
            names, fragment, alone = complete(text, shell.user_ns.get)
        kind = "param" if names and names[0].endswith("=") else "instance"
        make: Callable[..., Any] = sys.modules["IPython.core.completer"].SimpleCompletion
        completions = [make(name, type=kind) for name in names]
        return {"completions": completions, "matched_fragment": fragment, "suppress": alone}

    match.matcher_api_version = 2  # type: ignore[attr-defined]
    match.matcher_identifier = _PACKAGE  # type: ignore[attr-defined]
    return match


def complete(text: str, find: Callable[[str], Any]) -> tuple[list[str], str, bool]:
    """Return what may follow the code before the cursor.

    Args:
        text: the cell up to the cursor.
        find: returns the value of a name in the notebook, None where there is none.

    Returns:
        The names; the end of the text that they replace; whether no other completions make sense.
    """
    package = sys.modules[_PACKAGE]
    text = text[-_MOST_CHARS:]
    if match := _IMPORT.search(text):
        names = [] if _ALIAS.search(text) else _starting(package.__all__, match[1])
        return names, match[1], bool(names)
    if (match := _MODULE.search(text)) and find(_PACKAGE) is package and not _STATEMENT.search(text):
        return _starting(package.__all__, match[1]), match[1], True
    call = _open_call(text)
    if call and call[0] == "Amber" and (match := _MODE.search(call[1])):
        return _starting(sys.modules[f"{_PACKAGE}.config"].MODES, match[1]), match[1], True
    client = call and _client(call[0], find)
    if not call or client is None:
        return [], "", False
    inside = call[1]
    if match := _MODEL.search(inside):
        return _starting(client._model_names(), match[2]), match[2], True
    inside = _SKIPPED.sub(lambda match: " " if match[0][0] == "#" else "''", inside)
    if match := _KEYWORD.search(inside):
        taken = set(re.findall(r"(\w+)\s*=[^=]", inside))
        options = sys.modules[f"{_PACKAGE}.types"].AskOptions.__annotations__
        return _starting((f"{name}=" for name in options if name not in taken), match[1]), match[1], False
    return [], "", False


def _starting(names: Iterable[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]


def _open_call(text: str) -> tuple[str, str] | None:
    """Return what the innermost call that the cursor is in calls, and the text from its bracket on."""
    blank = _SKIPPED.sub(lambda match: " " * len(match[0]), text)  # a bracket within a string is none
    depth = 0
    for at in range(len(blank) - 1, -1, -1):
        if blank[at] in ")]}":
            depth += 1
        elif blank[at] in "([{":
            depth -= 1
            if depth < 0:
                return (blank[_start_of(blank, at) : at], text[at:]) if blank[at] == "(" else None
    return None


def _start_of(blank: str, end: int) -> int:
    """Return where the expression before a bracket begins: names, dots, and calls or indices between them."""
    at, depth = end, 0
    while at > 0:
        sign = blank[at - 1]
        if sign in ")]":
            depth += 1
        elif sign in "([" and depth:
            depth -= 1
        elif not depth and not (sign.isalnum() or sign in "_."):
            break
        at -= 1
    return at


def _client(callee: str, find: Callable[[str], Any]) -> Any:
    """Return the client or the answer that is asked; nothing of the user's is evaluated, no property and no call."""
    owner, _, method = callee.rpartition(".")
    if method not in ("ask", "ask_async"):
        return None
    first, *others = re.split(r"[.(\[]", owner, maxsplit=0)
    value = find(first)
    for name in others:
        if _is_client(value) or not name.isidentifier():
            break
        value = inspect.getattr_static(value, name, None)
    if type(value) in (list, tuple) and value:
        value = value[0]
    elif type(value) is dict and value:
        value = next(iter(value.values()))
    return value if _is_client(value) else None


def _is_client(value: Any) -> bool:
    return type(value).__module__ in (f"{_PACKAGE}.client", f"{_PACKAGE}.answer")
