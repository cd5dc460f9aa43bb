"""Docstrings in the styles of Google, NumPy and Sphinx → a description, and one for each parameter."""

from __future__ import annotations

import inspect
import re
import textwrap

from griffe import Docstring, DocstringSectionAdmonition, Parser, parse

__all__ = ["parse_docstring"]

_SPHINX = re.compile(
    r"^[ ]*:(param|parameter|arg|argument|key|keyword|returns?|rtype|raises?|type)\b[^:\n]*:(?!`)", re.MULTILINE
)
_NUMPY = re.compile(r"^\w[\w ]*\n-{3,}[ ]*$", re.MULTILINE)
# The library wants a blank line above a heading and none below.
_GOOGLE_HEADING = re.compile(r"\n+(Args|Arguments|Parameters|Params|Returns|Yields|Raises):[ ]*\n+(?=[ ])")
_GOOGLE_WARNINGS = re.compile(r"^Warnings:[ ]*$", re.MULTILINE)  # those that a function emits, to the library
_LIST_ITEM = re.compile(r"\s*([-*•]|\d+[.)])\s|\s*$")


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Split a docstring into a description and descriptions of the parameters.

    Args:
        docstring: in the style of Google, NumPy or Sphinx, or in none.

    Returns:
        The text and the notes outside the other sections; each parameter's description by its name.
    """
    text = inspect.cleandoc(docstring or "")
    style = Parser.sphinx if _SPHINX.search(text) else Parser.numpy if _NUMPY.search(text) else Parser.google
    if style is Parser.google:
        text = _GOOGLE_WARNINGS.sub("Warning:", _GOOGLE_HEADING.sub(r"\n\n\1:\n", text))
    try:
        sections = parse(Docstring(text), style, warnings=False)
    except Exception:  # whatever a malformed section makes the library raise
        return text, {}
    parts: list[str] = []
    parameters: dict[str, str] = {}
    for section in sections:
        if isinstance(section, DocstringSectionAdmonition):
            parts.append(_render_note(section, style))
        elif section.kind.value == "text":
            parts.append(section.value.strip())
        elif section.kind.value in ("parameters", "other parameters", "attributes"):
            for item in section.value:
                parameters.setdefault(item.name.strip(" *"), _join_lines(item.description or ""))
    return "\n\n".join(filter(None, parts)), {name: text for name, text in parameters.items() if text}


def _render_note(section: DocstringSectionAdmonition, style: Parser) -> str:
    kind, title, contents = str(section.value.kind), str(section.title), section.value.contents.strip()
    if style is Parser.numpy:
        return f"{title}\n{'-' * len(title)}\n{contents}" if kind in ("note", "warning") else ""
    if kind == "example":
        return ""
    is_untitled = title.lower().replace(" ", "-") == kind
    heading = f"{title}:" if is_untitled else f"{kind.replace('-', ' ').capitalize()}: {title}"
    return f"{heading}\n{textwrap.indent(contents, '    ')}"


def _join_lines(text: str) -> str:
    """Join wrapped lines; paragraphs and items of a list stay apart."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        if lines and lines[-1] and not _LIST_ITEM.match(line):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return "\n".join(lines).strip()
