from .calls import SilenceError
from .connection import Connection
from .factory import McpServers, amber_server, mcp
from .failures import is_unknown_method
from .http import open_http
from .prompts import PromptMessages
from .results import ServerResult
from .server import McpServer
from .toolset import choose_names, load_tools, split_tools

__all__ = [
    "Connection",
    "McpServer",
    "McpServers",
    "PromptMessages",
    "ServerResult",
    "SilenceError",
    "amber_server",
    "choose_names",
    "is_unknown_method",
    "load_tools",
    "mcp",
    "open_http",
    "split_tools",
]
