"""What a reader sees. A lazy door: Markdown, Pygments and widgets are loaded when something is shown, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .html import answer_html
    from .stage import Stage
    from .terminal import TextStage

__all__ = ["Stage", "TextStage", "answer_html"]

_HOME = {"Stage": ".stage", "TextStage": ".terminal", "answer_html": ".html"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
