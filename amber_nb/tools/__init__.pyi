from .results import awaited, is_awaited, listed, told
from .structured import Misfit, Shape, shape_of
from .tool import ArgumentsError, Tool, read_arguments, tool, tools_from

__all__ = [
    "ArgumentsError",
    "Misfit",
    "Shape",
    "Tool",
    "awaited",
    "is_awaited",
    "listed",
    "read_arguments",
    "shape_of",
    "told",
    "tool",
    "tools_from",
]
