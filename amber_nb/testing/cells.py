"""What a notebook's cells say of themselves, by tags or by comments, as nbval reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nbformat

__all__ = ["FAILS_TAG", "blank_copy", "is_compared", "is_left_out", "may_fail", "read_tags"]

FAILS_TAG = "raises-exception"
_SKIP = "NBVAL_SKIP"
_IGNORED = ("NBVAL_IGNORE_OUTPUT", "PYTEST_VALIDATE_IGNORE_OUTPUT")
_FAILS = "NBVAL_RAISES_EXCEPTION"


def is_left_out(cell: Mapping[str, Any]) -> bool:
    """Return whether nbval does not run a cell: its tags or a comment in it say so."""
    return _is_marked(cell, _SKIP)


def is_compared(cell: Mapping[str, Any]) -> bool:
    """Return whether nbval compares a cell's outputs: neither its tags nor a comment in it say that it does not."""
    return not any(_is_marked(cell, mark) for mark in _IGNORED)


def may_fail(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell may raise an exception: its tags or a comment in it say so."""
    return _is_marked(cell, _FAILS) or FAILS_TAG in read_tags(cell)


def _is_marked(cell: Mapping[str, Any], mark: str) -> bool:
    comments = (line.strip() for line in cell["source"].splitlines())
    return mark.lower().replace("_", "-") in read_tags(cell) or any(
        line.startswith("#") and line.lstrip("#").strip() == mark for line in comments
    )


def read_tags(cell: Mapping[str, Any]) -> list[str]:
    """Return the tags of a cell; none where they are no list."""
    tags = cell.get("metadata", {}).get("tags", [])
    return tags if isinstance(tags, list) else []


def blank_copy(cells: Iterable[Any]) -> Any:
    """Return a notebook of these cells without their outputs."""
    copies = [nbformat.v4.new_code_cell(cell.source, metadata=dict(cell.metadata)) for cell in cells]
    return nbformat.v4.new_notebook(cells=copies)
