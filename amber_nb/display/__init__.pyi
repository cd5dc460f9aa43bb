from .cards import strip_html, strip_items, strip_text, tools_html, tools_text, value_html
from .html import answer_html
from .inspector import ToolInspector
from .stage import Stage
from .terminal import TextStage

__all__ = [
    "Stage",
    "TextStage",
    "ToolInspector",
    "answer_html",
    "strip_html",
    "strip_items",
    "strip_text",
    "tools_html",
    "tools_text",
    "value_html",
]
