"""What goes into a request. A lazy door: Pillow is loaded for an image, what draws tables and charts for these."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .charts import plotly_png
    from .download import download
    from .images import check_options, prepare
    from .pixels import pixel_digest
    from .results import awaited, is_awaited, listed, told
    from .sources import several
    from .structured import Misfit, Shape, shape_of
    from .tables import table_png
    from .tools import ArgumentsError, Tool, read_arguments, tool, tools_from
    from .vega import altair_png

__all__ = [
    "ArgumentsError",
    "Misfit",
    "Shape",
    "Tool",
    "altair_png",
    "awaited",
    "check_options",
    "download",
    "is_awaited",
    "listed",
    "pixel_digest",
    "plotly_png",
    "prepare",
    "read_arguments",
    "several",
    "shape_of",
    "table_png",
    "told",
    "tool",
    "tools_from",
]

_HOME = {
    "ArgumentsError": ".tools",
    "Misfit": ".structured",
    "Shape": ".structured",
    "Tool": ".tools",
    "altair_png": ".vega",
    "awaited": ".results",
    "check_options": ".images",
    "download": ".download",
    "is_awaited": ".results",
    "listed": ".results",
    "pixel_digest": ".pixels",
    "plotly_png": ".charts",
    "prepare": ".images",
    "read_arguments": ".tools",
    "several": ".sources",
    "shape_of": ".structured",
    "table_png": ".tables",
    "told": ".results",
    "tool": ".tools",
    "tools_from": ".tools",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
