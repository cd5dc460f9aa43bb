from .answer import Answer
from .client import Amber
from .errors import (
    AmberError,
    BadReply,
    CassetteMiss,
    ConfigError,
    ImageError,
    RefusalError,
    SchemaError,
    StreamCut,
    ToolError,
)
from .images import ImageInput, image_part
from .map.compare import Comparison, compare
from .mcp_servers import McpServer, mcp
from .tools import tool
from .types import Allow, Deny, ToolCall, ToolRun

__version__: str

__all__ = [
    "Allow",
    "Amber",
    "AmberError",
    "Answer",
    "BadReply",
    "CassetteMiss",
    "Comparison",
    "ConfigError",
    "Deny",
    "ImageError",
    "ImageInput",
    "McpServer",
    "RefusalError",
    "SchemaError",
    "StreamCut",
    "ToolCall",
    "ToolError",
    "ToolRun",
    "__version__",
    "compare",
    "image_part",
    "mcp",
    "tool",
]
