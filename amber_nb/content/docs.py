"""Docstrings in the styles of Google, NumPy and Sphinx → a description, and one for each parameter."""

from __future__ import annotations

import inspect
import re

from docstring_parser import parse

__all__ = ["described"]

# Sphinx's roles would be taken for fields where a line begins with one.
_ROLE = re.compile(r"^(\s*):(?=[\w:+.-]+:`)", re.MULTILINE)
_COLON = "\ufdd0"  # no character
_HEADING = re.compile(r"([A-Z][A-Za-z]*(?: [A-Za-z]+){0,2}):[ ]*$")
_MORE_ARGUMENTS = {"Keyword Args", "Keyword Arguments", "Other Parameters", "Other Args"}
_SECTIONS = {
    *("Args", "Arguments", "Parameters", "Params", "Raises", "Exceptions", "Except", "Attributes", "Example"),
    *("Examples", "Returns", "Yields"),
}
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
        known, notes = _sorted(_ROLE.sub(rf"\1{_COLON}", text))
        parsed = parse(known)
    except Exception:  # whatever a malformed section makes the library raise
        return text, {}
    parameters: dict[str, str] = {}
    for one in parsed.params:
        said = _unwrapped(one.description or "").replace(_COLON, ":")
        for name in one.arg_name.split(",") if said else ():  # NumPy's "x, y : int"
            parameters.setdefault(name.strip().lstrip("*"), said)
    summary = "\n\n".join(part for part in ((parsed.description or "").strip(), notes) if part)
    return summary.replace(_COLON, ":"), parameters


def _sorted(text: str) -> tuple[str, str]:
    """Google's sections as the library knows them, and those that it would drop: what they say is the model's, too."""
    kept: list[str] = []
    notes: list[str] = []
    into, begun, arguments = kept, False, False
    for line in text.splitlines():
        if line and not line[0].isspace():
            heading = _HEADING.fullmatch(line)
            title = heading[1] if heading else ""
            begun = begun or title in _SECTIONS or title in _MORE_ARGUMENTS
            into = notes if begun and title not in _SECTIONS and title not in _MORE_ARGUMENTS else kept
            if title in _MORE_ARGUMENTS:  # they stand with the others
                if not arguments:
                    kept.append("Args:")
                arguments = True
                continue
            if title in _SECTIONS:
                arguments = title in ("Args", "Arguments", "Parameters", "Params")
        into.append(line)
    return "\n".join(kept), "\n".join(notes).strip()


def _unwrapped(text: str) -> str:
    """One line for each paragraph and item of a list: where the docstring was wrapped says nothing."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        if lines and lines[-1] and not _ITEM.match(line):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return "\n".join(lines).strip()
