from .html import answer_html
from .inspector import ToolInspector
from .stage import Stage
from .strip import facts, strip_html, strip_items, strip_text
from .terminal import TextStage
from .toolcards import tools_html, tools_text
from .values import value_html

__all__ = [
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
