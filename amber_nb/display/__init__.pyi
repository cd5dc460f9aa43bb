from .answer_html import answer_html
from .cards import strip_html, strip_items, strip_text, tools_html, tools_text, value_html
from .live import NotebookDisplay
from .sources import sources_html, sources_markdown, sources_text
from .terminal import TerminalDisplay
from .tool_inspector import ToolInspector

__all__ = [
    "NotebookDisplay",
    "TerminalDisplay",
    "ToolInspector",
    "answer_html",
    "sources_html",
    "sources_markdown",
    "sources_text",
    "strip_html",
    "strip_items",
    "strip_text",
    "tools_html",
    "tools_text",
    "value_html",
]
