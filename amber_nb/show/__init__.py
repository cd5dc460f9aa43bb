"""What a reader sees. A lazy door: Markdown, Pygments and widgets are loaded when something is shown, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .html import answer_html
    from .image_view import Entry, ImageView
    from .stage import Stage
    from .strip import facts, strip_html, strip_items, strip_text
    from .terminal import TextStage

__all__ = [
    "Entry",
    "ImageView",
    "Stage",
    "TextStage",
    "answer_html",
    "facts",
    "strip_html",
    "strip_items",
    "strip_text",
]

_HOME = {
    "Entry": ".image_view",
    "ImageView": ".image_view",
    "Stage": ".stage",
    "TextStage": ".terminal",
    "answer_html": ".html",
    "facts": ".strip",
    "strip_html": ".strip",
    "strip_items": ".strip",
    "strip_text": ".strip",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
