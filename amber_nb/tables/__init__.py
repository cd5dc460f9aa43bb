"""DataFrames. A lazy door: pandas is loaded when a table is asked for, not before."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .logs import models_frame, tools_frame, usage_frame

__all__ = ["models_frame", "tools_frame", "usage_frame"]

_HOME = {"models_frame": ".logs", "tools_frame": ".logs", "usage_frame": ".logs"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
