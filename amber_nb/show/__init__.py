"""What a reader sees. A lazy door: Markdown, Pygments and widgets are loaded when something is shown, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .html import answer_html
    from .image_view import Entry, ImageView
    from .inspector import ToolInspector
    from .stage import Stage
    from .strip import facts, strip_html, strip_items, strip_text
    from .terminal import TextStage
    from .toolcards import tools_html, tools_text
    from .values import value_html

__all__ = [
    "Entry",
    "ImageView",
    "Stage",
    "TextStage",
    "ToolInspector",
    "answer_html",
    "facts",
    "strip_html",
    "strip_items",
    "strip_text",
    "tools_html",
    "tools_text",
    "value_html",
]

_HOME = {
    "Entry": ".image_view",
    "ImageView": ".image_view",
    "Stage": ".stage",
    "TextStage": ".terminal",
    "ToolInspector": ".inspector",
    "answer_html": ".html",
    "facts": ".strip",
    "strip_html": ".strip",
    "strip_items": ".strip",
    "strip_text": ".strip",
    "tools_html": ".toolcards",
    "tools_text": ".toolcards",
    "value_html": ".values",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
