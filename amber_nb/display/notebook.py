"""What a notebook's file says about its answers; nothing of it is run, and nothing heavy is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["holds_real_answers", "is_answer"]

_OURS = '<div class="amber-answer">'
_SIMULATED = ">simulated</span>"
_HEAD = 1_000  # characters of an answer in which its badge stands


def is_answer(data: Mapping[str, Any]) -> bool:
    """Whether a mime bundle of a notebook is the settled form of an answer."""
    return _html(data).startswith(_OURS)


def holds_real_answers(path: Path) -> bool:
    """Whether a notebook's file holds an answer that no simulator gave; False where it cannot be read."""
    try:
        notebook = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return any(is_answer(data) and _SIMULATED not in _html(data)[:_HEAD] for data in _bundles(notebook))


def _bundles(notebook: Any) -> Iterator[Mapping[str, Any]]:
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    for cell in cells if isinstance(cells, list) else ():
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            if isinstance(output, dict) and isinstance(output.get("data"), dict):
                yield output["data"]


def _html(data: Mapping[str, Any]) -> str:
    html = data.get("text/html", "")
    return "".join(map(str, html)) if isinstance(html, list) else str(html)
