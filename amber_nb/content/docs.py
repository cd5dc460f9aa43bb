"""Docstrings in the styles of Google, NumPy and Sphinx → a description, and one for each parameter."""

from __future__ import annotations

import inspect
import re

from docstring_parser import parse

__all__ = ["described"]

_ITEM = re.compile(r"\s*([-*•]|\d+[.)])\s|\s*$")


def described(docstring: str | None) -> tuple[str, dict[str, str]]:
    """What a docstring says.

    Returns:
        Its summary and long description without its sections, and the descriptions of the parameters by name.
    """
    text = inspect.cleandoc(docstring or "")
    if not text:
        return "", {}
    try:
        parsed = parse(text)
    except Exception:  # whatever a malformed section makes the library raise
        return text, {}
    parameters: dict[str, str] = {}
    for one in parsed.params:
        said = _unwrapped(one.description or "")
        for name in one.arg_name.split(",") if said else ():  # NumPy's "x, y : int"
            parameters.setdefault(name.strip().lstrip("*"), said)
    return (parsed.description or "").strip(), parameters


def _unwrapped(text: str) -> str:
    """One line for each paragraph and item of a list: where the docstring was wrapped says nothing."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        if lines and lines[-1] and not _ITEM.match(line):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return "\n".join(lines).strip()
