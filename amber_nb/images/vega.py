"""altair's charts as PNG, by vl-convert: without a browser, without a network."""

from __future__ import annotations

import io
from typing import Any

import vl_convert  # noqa: F401 - what altair saves with: where it is missing, this room cannot be opened

__all__ = ["altair_png"]


def altair_png(chart: Any) -> bytes:
    """An altair chart as it would be saved."""
    out = io.BytesIO()
    chart.save(out, format="png")
    return out.getvalue()
