"""plotly's figures as PNG, by kaleido: as plotly does it, but without MathJax from a CDN."""

from __future__ import annotations

from typing import Any

import kaleido

__all__ = ["plotly_png"]


def plotly_png(figure: Any) -> bytes:
    """A plotly figure as it would be exported: 700 × 500 pixels, unless its layout says otherwise."""
    drawn = figure.to_dict()
    layout = drawn.get("layout", {})
    options = {"format": "png", "width": layout.get("width"), "height": layout.get("height")}
    png: bytes = kaleido.calc_fig_sync(drawn, opts=options, kopts={"mathjax": False})
    return png
