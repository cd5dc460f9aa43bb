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
_ARGUMENTS = {
    *("Args", "Arguments", "Parameters", "Params"),
    *("Keyword Args", "Keyword Arguments", "Other Parameters", "Other Args"),  # which the library does not know
}
_SECTIONS = {"Raises", "Exceptions", "Except", "Attributes", "Example", "Examples", "Returns", "Yields"}
_UNDERLINED = re.compile(r"^(\w[\w ]*)\n(-{3,})[ ]*$", re.MULTILINE)
_KEPT = {"Notes", "Note", "Warnings", "Warning"}  # of NumPy's sections
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
    """The sections that the library knows, and what it would drop: what they say is the model's, too."""
    headings = [*_UNDERLINED.finditer(text)]
    if headings:
        ends = [one.start() for one in headings[1:]] + [len(text)]
        parts = [(one[1].strip(), text[one.start() : end]) for one, end in zip(headings, ends, strict=True)]
        known = text[: headings[0].start()] + "".join(part for title, part in parts if title not in _KEPT)
        return known, "\n\n".join(part.strip() for title, part in parts if title in _KEPT)
    before: list[str] = []
    arguments: list[str] = []
    known_ones: list[str] = []
    notes: list[str] = []
    into = before
    for line in text.splitlines():
        if line and not line[0].isspace():
            heading = _HEADING.fullmatch(line)
            title = heading[1] if heading else ""
            if title in _ARGUMENTS:  # they stand together: of two such sections the library reads one
                into = arguments
                continue
            into = known_ones if title in _SECTIONS else before if into is before else notes
        into.append(line)
    if arguments:
        before += ["Args:", "\n".join(arguments).strip("\n"), ""]
    return "\n".join([*before, *known_ones]), "\n".join(notes).strip()


def _unwrapped(text: str) -> str:
    """One line for each paragraph and item of a list: where the docstring was wrapped says nothing."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        if lines and lines[-1] and not _ITEM.match(line):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return "\n".join(lines).strip()
