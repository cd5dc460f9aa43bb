from .arguments import ArgumentsError, parse_arguments
from .results import materialize, must_await, records_table, resolve, to_tool_content
from .structured import ResponseFormat, ResponseMismatch, response_format_of
from .tool import Tool, tool, tool_of_server, tools_from

__all__ = [
    "ArgumentsError",
    "ResponseFormat",
    "ResponseMismatch",
    "Tool",
    "materialize",
    "must_await",
    "parse_arguments",
    "records_table",
    "resolve",
    "response_format_of",
    "to_tool_content",
    "tool",
    "tool_of_server",
    "tools_from",
]
