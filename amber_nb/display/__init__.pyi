from .answer_html import answer_html
from .cards import strip_html, strip_items, strip_text, tools_html, tools_text, value_html
from .live import NotebookDisplay
from .map_progress import Failure, MapProgress, map_html, map_text
from .map_view import MapDisplay, MapTerminal
from .sources import sources_html, sources_markdown, sources_text
from .terminal import TerminalDisplay
from .tool_inspector import ToolInspector

__all__ = [
    "Failure",
    "MapDisplay",
    "MapProgress",
    "MapTerminal",
    "NotebookDisplay",
    "TerminalDisplay",
    "ToolInspector",
    "answer_html",
    "map_html",
    "map_text",
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
