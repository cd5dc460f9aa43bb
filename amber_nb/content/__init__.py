"""What goes into a request. A lazy door: Pillow is loaded when there is an image, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pixels import pixel_digest

__all__ = ["pixel_digest"]

_HOME = {"pixel_digest": ".pixels"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
