from .results import awaited, is_awaited, listed, told
from .structured import Misfit, Shape, shape_of
from .tool import ArgumentsError, Tool, parse_arguments, tool, tools_from

__all__ = [
    "ArgumentsError",
    "Misfit",
    "Shape",
    "Tool",
    "awaited",
    "is_awaited",
    "listed",
    "parse_arguments",
    "shape_of",
    "told",
    "tool",
    "tools_from",
]
