from .arguments import ArgumentsError, parse_arguments
from .results import awaited, is_awaited, listed, told
from .structured import ResponseFormat, ResponseMismatch, response_format_of
from .tool import Tool, tool, tools_from

__all__ = [
    "ArgumentsError",
    "ResponseFormat",
    "ResponseMismatch",
    "Tool",
    "awaited",
    "is_awaited",
    "listed",
    "parse_arguments",
    "response_format_of",
    "told",
    "tool",
    "tools_from",
]
