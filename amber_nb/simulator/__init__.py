"""A stand-in for the gateway: pure responses (`respond`) and an HTTP server (`Server`).

The names load on first use: the modules import Pillow, which a client of the real gateway does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import BASE_PATH, Request, Response, delays
    from .content import IMAGE_REPLY, IMAGE_URL
    from .faults import FAULTS
    from .handler import respond
    from .server import Server

__all__ = ["BASE_PATH", "FAULTS", "IMAGE_REPLY", "IMAGE_URL", "Request", "Response", "Server", "delays", "respond"]

_HOME = {
    "BASE_PATH": ".api",
    "FAULTS": ".faults",
    "IMAGE_REPLY": ".content",
    "IMAGE_URL": ".content",
    "Request": ".api",
    "Response": ".api",
    "Server": ".server",
    "delays": ".api",
    "respond": ".handler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
