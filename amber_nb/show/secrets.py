"""Values that are secrets by their name are not shown: they would stay in the notebook's file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["HIDDEN", "is_secret", "masked", "masked_text"]

HIDDEN = "•••"
_NAME = re.compile(
    r"token|passw|secret|api_?key|authoriz|credential|private_?key|(?:^|[_-])key$|(?:^|[_-])pwd$|(?:^|[_-])pin$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_DEEPEST = 30
# What JSON consists of, also what is only half written: its last string may have no end yet.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]:,]|[^"{}\[\]:,]+', re.DOTALL)


def is_secret(name: str) -> bool:
    """Whether a value of that name is one."""
    return _NAME.search(_CAMEL.sub("_", name)) is not None


def masked(value: Any, depth: int = 0) -> Any:
    """A JSON value, with what is secret in it replaced."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret(str(name)) and item not in (None, "") else masked(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(item, depth + 1) for item in value]
    return value


def masked_text(text: str) -> str:
    """JSON as far as it is written, with what is secret in it replaced; of a longer text this is a beginning too.

    Where the text is no JSON, what looks like a name before a colon is taken for one.
    """
    out: list[str] = []
    name = ""
    hiding, begun, depth = False, False, 0
    for token in _TOKEN.findall(text):
        if hiding:
            depth += (token in "{[") - (token in "}]")
            if depth < 0 or (token == "," and not depth):
                hiding = False
            else:
                value = token.lstrip()
                if not begun:
                    out.append(token[: len(token) - len(value)])
                if value and not begun:
                    begun = True
                    out.append(f'"{HIDDEN}"')
                continue
        out.append(token)
        if token == ":" and is_secret(name):
            hiding, begun, depth = True, False, 0
        name = "" if token in "{}[]:," else _named(token) if token.strip() else name
    return "".join(out)


def _named(token: str) -> str:
    """What a string in a JSON text says, its escapes read."""
    try:
        said = json.loads(token)
    except ValueError:
        said = None
    return said if isinstance(said, str) else token.strip("'\"` \t\n\r")
