"""matplotlib figures and axes → PNG; the figure is afterwards as it was. matplotlib is found, never imported."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import ImageError
from .opened import LONGEST_SIDE, MOST_PIXELS

__all__ = ["figure_png", "holds_axes", "is_figure"]

_drawing = threading.Lock()  # matplotlib draws in one thread at a time
_MARGIN_INCH = 0.08  # around axes that are cut out


def is_figure(source: Any) -> bool:
    """Whether this is a matplotlib figure."""
    figure = sys.modules.get("matplotlib.figure")
    return figure is not None and isinstance(source, figure.Figure)


def holds_axes(array: Any) -> bool:
    """Whether an array is what `plt.subplots(2, 2)` gives."""
    artist = sys.modules.get("matplotlib.artist")
    if artist is None or array.dtype != object or not hasattr(array, "flat") or not array.size:
        return False
    return isinstance(array.flat[0], artist.Artist)


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
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise ImageError(
            f"This figure is {width:,} × {height:,} pixels; at most {MOST_PIXELS // 1_000_000} million are drawn. "
            "Lower its size or its dpi: fig.set_dpi(100)."
        )
    out = io.BytesIO()
    try:
        with _drawing, _unchanged(figure):
            box = figure.bbox_inches
            if not whole:
                figure.draw_without_rendering()  # a layout moves axes, and their box with them
                bounds = source.get_tightbbox()
                if bounds is None:
                    raise ImageError(f"This {type(source).__name__} shows nothing.")
                box = bounds.transformed(figure.dpi_scale_trans.inverted()).padded(_MARGIN_INCH)
            # All of it is said here, whatever the user's rcParams say for files.
            colours = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
            figure.savefig(out, format="png", dpi=figure.dpi, bbox_inches=box, transparent=False, **colours)
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
    """Drawing lets layout engines and aspects move things; afterwards they are where they were."""
    stale = figure.stale  # first: reading positions may change it
    limits = [(axes, axes.viewLim.frozen()) for axes in figure.axes]
    places = [(axes, axes.get_position(original=True), axes.get_position()) for axes in figure.axes]
    parts = list(_figures(figure))
    margins = [(part.subplotpars, vars(part.subplotpars).copy()) for part in parts]
    frames = [(part.bbox_relative, part.bbox_relative.frozen()) for part in parts if hasattr(part, "bbox_relative")]
    titles = [
        (title, title.get_position())
        for part in parts
        for name in ("_suptitle", "_supxlabel", "_supylabel")
        if (title := getattr(part, name, None)) is not None
    ]
    try:
        yield
    finally:
        for pars, before in margins:
            vars(pars).update(before)
        for frame, bounds in frames:
            frame.set(bounds)
        for axes, original, active in places:
            axes._set_position(original, which="original")  # set_position would take them out of the layout
            axes._set_position(active, which="active")
        for axes, limit in limits:
            axes.viewLim.set(limit)
        for title, position in titles:
            title.set_position(position)
        figure._stale = stale


def _figures(figure: Any) -> Iterator[Any]:
    """A figure and its subfigures."""
    yield figure
    for part in getattr(figure, "subfigs", ()):
        yield from _figures(part)
