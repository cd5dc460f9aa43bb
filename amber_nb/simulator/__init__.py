"""A stand-in for the gateway: pure replies (`respond`) and a HTTP door (`Server`).

A lazy door: it draws Pillow, which a client of the real gateway must not pay for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .faults import FAULTS
    from .pace import delays
    from .reply import BASE_PATH, Request, Response, respond
    from .server import Server

__all__ = ["BASE_PATH", "FAULTS", "Request", "Response", "Server", "delays", "respond"]

_HOME = {
    "BASE_PATH": ".reply",
    "FAULTS": ".faults",
    "Request": ".reply",
    "Response": ".reply",
    "Server": ".server",
    "delays": ".pace",
    "respond": ".reply",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
