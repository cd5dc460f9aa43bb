from .api import BASE_PATH, MCP_PATH, Request, Response, delays, relative_path
from .content import IMAGE_REPLY, IMAGE_URL
from .faults import FAULTS
from .handler import respond
from .server import Server

__all__ = [
    "BASE_PATH",
    "FAULTS",
    "IMAGE_REPLY",
    "IMAGE_URL",
    "MCP_PATH",
    "Request",
    "Response",
    "Server",
    "delays",
    "relative_path",
    "respond",
]
