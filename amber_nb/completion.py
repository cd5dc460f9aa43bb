"""Complete what IPython cannot read from the code: parameters of the endpoint, names of models, the public names.

IPython's own completion reads a call from the source, where `ask(**params)` says nothing of `temperature`, and lists
every module of a package beside its public names. Nothing is sent: the models are those that this client has seen.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["register"]

_PACKAGE = __name__.partition(".")[0]
_NAME = r"[^\W\d]\w*"
_CALLEE = re.compile(rf"({_NAME})((?:\.{_NAME})*)$")
_IMPORT = re.compile(rf"^\s*from\s+{_PACKAGE}\s+import\s+\(?(?:[\w\s,]*[\s,(])?(\w*)$", re.M)
_MODULE = re.compile(rf"(?<![\w.]){_PACKAGE}\.(\w*)$")
_KEYWORD = re.compile(r"[(,]\s*(\w*)$")
_MODEL = re.compile(r"[(,]\s*model\s*=\s*[rR]?([\"'])([^\"'\n]*)$")
_STRING = re.compile(
    r"'''.*?(?:'''|\Z)|\"\"\".*?(?:\"\"\"|\Z)|'(?:\\.|[^'\\\n])*(?:'|\Z)|\"(?:\\.|[^\"\\\n])*(?:\"|\Z)", re.S
)


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
        The names; the part of the text that they replace; whether no other completions make sense.
    """
    package = sys.modules[_PACKAGE]
    if (match := _IMPORT.search(text)) or ((match := _MODULE.search(text)) and find(_PACKAGE) is package):
        return _starting(package.__all__, match[1]), match[1], True
    call = _open_call(text)
    client = call and _client(call[0], find)
    if not call or client is None:
        return [], "", False
    inside = call[1]
    if match := _MODEL.search(inside):
        return _starting(client._model_names(), match[2]), match[2], True
    inside = _STRING.sub("''", inside)
    if call[0].endswith((".ask", ".ask_async")) and (match := _KEYWORD.search(inside)):
        taken = set(re.findall(r"(\w+)\s*=[^=]", inside))
        names = (
            f"{name}=" for name in sys.modules[f"{_PACKAGE}.types"].AskOptions.__annotations__ if name not in taken
        )
        return _starting(names, match[1]), match[1], False
    return [], "", False


def _starting(names: Iterable[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]


def _open_call(text: str) -> tuple[str, str] | None:
    """Return the dotted name of the innermost call that the cursor is in, and the text from its bracket on."""
    blank = _STRING.sub(lambda match: " " * len(match[0]), text)  # a bracket within a string is none
    depth = 0
    for at in range(len(blank) - 1, -1, -1):
        if blank[at] in ")]}":
            depth += 1
        elif blank[at] in "([{":
            depth -= 1
            if depth < 0:
                callee = _CALLEE.search(blank, 0, at) if blank[at] == "(" else None
                return (callee[0], text[at:]) if callee is not None else None
    return None


def _client(callee: str, find: Callable[[str], Any]) -> Any:
    """Return the client or the answer whose method a dotted name is; nothing of the user's is evaluated."""
    owner, _, method = callee.rpartition(".")
    value = find(owner) if method in ("ask", "ask_async") and "." not in owner else None
    return value if type(value).__module__ in (f"{_PACKAGE}.client", f"{_PACKAGE}.answer") else None
