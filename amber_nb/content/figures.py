"""matplotlib figures and axes → PNG; the figure is afterwards as it was. matplotlib is found, never imported."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import ImageError

__all__ = ["figure_png", "holds_axes", "is_figure"]

_MARGIN_INCH = 0.08  # around axes that are cut out


def is_figure(source: Any) -> bool:
    """Whether this is a matplotlib figure."""
    figure = sys.modules.get("matplotlib.figure")
    return figure is not None and isinstance(source, figure.Figure)


def holds_axes(array: Any) -> bool:
    """Whether an array is what `plt.subplots(2, 2)` gives."""
    artist = sys.modules.get("matplotlib.artist")
    return bool(
        artist is not None and array.dtype == object and array.size and isinstance(array.flat[0], artist.Artist)
    )


def figure_png(source: Any) -> bytes | None:
    """A figure as it would be saved, or the part of it that axes (or a subfigure) take; None for anything else.

    Raises:
        ImageError: matplotlib cannot draw it.
    """
    artist = sys.modules.get("matplotlib.artist")
    if artist is None or not isinstance(source, artist.Artist):
        return None
    whole = is_figure(source)
    figure = source if whole else _root(source)
    if figure is None:
        raise ImageError(f"This {type(source).__name__} stands in no figure (was it removed?).")
    out = io.BytesIO()
    try:
        with _unchanged(figure):
            box = None
            if not whole:
                figure.draw_without_rendering()  # a layout moves axes, and their box with them
                bounds = source.get_tightbbox()
                if bounds is None:
                    raise ImageError(f"This {type(source).__name__} shows nothing.")
                box = bounds.transformed(figure.dpi_scale_trans.inverted()).padded(_MARGIN_INCH)
            # At the figure's own resolution, whatever the user's savefig.dpi and savefig.bbox are for files.
            with sys.modules["matplotlib"].rc_context({"savefig.bbox": None}):
                figure.savefig(out, format="png", dpi=figure.dpi, bbox_inches=box)
    except ImageError:
        raise
    except Exception as error:  # a text with broken maths, a closed canvas
        raise ImageError(f"matplotlib could not draw this figure: {type(error).__name__}.") from error
    return out.getvalue()


def _root(source: Any) -> Any:
    figure = getattr(source, "figure", None)
    while figure is not None and not is_figure(figure):  # a subfigure's is the figure that it stands in
        figure = getattr(figure, "figure", None)
    return figure


@contextmanager
def _unchanged(figure: Any) -> Iterator[None]:
    """Drawing lets a layout engine move the axes; afterwards they are where they were."""
    places = [(axes, axes.get_position(original=True), axes.get_position()) for axes in figure.axes]
    margins = vars(figure.subplotpars).copy()
    stale = figure.stale
    try:
        yield
    finally:
        vars(figure.subplotpars).update(margins)
        for axes, original, active in places:
            axes._set_position(original, which="original")  # set_position would take them out of the layout
            axes._set_position(active, which="active")
        figure._stale = stale
