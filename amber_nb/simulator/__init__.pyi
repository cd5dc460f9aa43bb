from .api import BASE_PATH, Request, Response, delays
from .content import IMAGE_REPLY, IMAGE_URL
from .faults import FAULTS
from .handler import respond
from .server import Server

__all__ = ["BASE_PATH", "FAULTS", "IMAGE_REPLY", "IMAGE_URL", "Request", "Response", "Server", "delays", "respond"]
