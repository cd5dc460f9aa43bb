"""Draw what is no image yet: matplotlib figures, numpy arrays, plotly and altair charts, DataFrames.

No plotting library is imported before something of its own is drawn.
"""

from __future__ import annotations

import importlib
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from .codec import MAX_PIXELS, MAX_SIDE_PX, scale_to_8bit

__all__ = [
    "contains_axes",
    "image_from_array",
    "is_array",
    "is_figure",
    "render_altair",
    "render_matplotlib",
    "render_plotly",
    "render_table",
]

_MAX_ROWS, _MAX_COLUMNS = 100, 30  # of a table
_AXES_MARGIN_INCH = 0.08  # around axes that are cut out of their figure
_ROUNDING = 1e-3  # what interpolation and rounding add below 0 and above 1
_matplotlib_lock = threading.Lock()  # matplotlib draws in one thread at a time


def is_figure(source: Any) -> bool:
    """Return whether an object is a matplotlib figure."""
    figure = sys.modules.get("matplotlib.figure")
    return figure is not None and isinstance(source, figure.Figure)


def contains_axes(array: Any) -> bool:
    """Return whether an array contains matplotlib axes, as that of `plt.subplots(2, 2)` does."""
    artist = sys.modules.get("matplotlib.artist")
    if artist is None or array.dtype != object or not hasattr(array, "flat") or not array.size:
        return False
    return isinstance(array.flat[0], artist.Artist)


def render_matplotlib(source: Any) -> bytes | None:
    """Draw a matplotlib figure as it would be saved, or the part of it that axes or a subfigure take.

    The figure is left as it was.

    Returns:
        A PNG file, or None if `source` is nothing of matplotlib's.

    Raises:
        ImageError: matplotlib cannot draw it, or it has too many pixels.
    """
    artist = sys.modules.get("matplotlib.artist")
    if artist is None or not isinstance(source, artist.Artist):
        return None
    figure = source
    while figure is not None and not is_figure(figure):  # an artist's may be a subfigure
        figure = getattr(figure, "figure", None)
    if figure is None:
        raise ImageError(f"This {type(source).__name__} stands in no figure (was it removed?).")
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            f"This figure is {width:,} × {height:,} pixels; at most {MAX_PIXELS // 1_000_000} million are drawn. "
            "Lower its size or its dpi: fig.set_dpi(100)."
        )
    out = io.BytesIO()
    try:
        with _matplotlib_lock, _preserve_layout(figure):
            box = figure.bbox_inches
            if source is not figure:
                figure.draw_without_rendering()  # a layout moves axes, and their box with them
                bounds = source.get_tightbbox()
                if bounds is None:
                    raise ImageError(f"This {type(source).__name__} shows nothing.")
                box = bounds.transformed(figure.dpi_scale_trans.inverted()).padded(_AXES_MARGIN_INCH)
            # Every option is given here, so that the user's rcParams for files change nothing.
            colours = {"facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
            figure.savefig(out, format="png", dpi=figure.dpi, bbox_inches=box, transparent=False, **colours)
    except ImageError:
        raise
    except Exception as error:  # a text with broken maths, a closed canvas
        raise ImageError(f"matplotlib could not draw this figure: {type(error).__name__}.") from error
    return out.getvalue()


def render_plotly(figure: Any) -> bytes:
    """Draw a plotly figure as a PNG file of 700 × 500 pixels (unless its layout says otherwise), without MathJax."""
    with _import_library("kaleido", figure, "kaleido and a Chrome or Chromium", "pip install kaleido") as kaleido:
        spec = figure.to_dict()
        layout = spec.get("layout", {})
        options = {"format": "png", "width": layout.get("width"), "height": layout.get("height")}
        png: bytes = kaleido.calc_fig_sync(spec, opts=options, kopts={"mathjax": False})  # it would come from a CDN
    return png


def render_altair(chart: Any) -> bytes:
    """Draw an altair chart as the PNG file that it would be saved as, without a browser and without a network."""
    out = io.BytesIO()
    with _import_library("vl_convert", chart, "vl-convert-python", "pip install vl-convert-python"):
        chart.save(out, format="png")
    return out.getvalue()


def render_table(table: Any) -> bytes:
    """Draw a DataFrame or a Styler as a PNG file, by dataframe_image with matplotlib, without a browser.

    Raises:
        ImageError: it has more than 100 rows or 30 columns, or dataframe_image is missing or cannot draw it.
    """
    needs, command = "dataframe_image and matplotlib", "pip install 'amber_nb[pictures]'"
    out = io.BytesIO()
    with _import_library("dataframe_image", table, needs, command) as dataframe_image:
        frame = table.data if type(table).__name__ == "Styler" else table
        rows, columns = frame.shape
        if rows > _MAX_ROWS or columns > _MAX_COLUMNS:
            raise ImageError(
                f"This table has {rows:,} rows and {columns:,} columns; a picture of more than {_MAX_ROWS} × "
                f"{_MAX_COLUMNS} cannot be read. Give a part of it, such as frame.head(50), or put it into the prompt "
                "as text (frame.to_csv())."
            )
        dataframe_image.export(table, out, table_conversion="matplotlib")
    return out.getvalue()


def is_array(source: Any) -> bool:
    """Return whether an object is an array, of numpy or of a library that numpy can read (torch, xarray, jax)."""
    if isinstance(source, np.ndarray):
        return True
    return hasattr(type(source), "__array__") and hasattr(source, "shape") and hasattr(source, "dtype")


def image_from_array(source: Any) -> tuple[Image.Image, list[str]]:
    """Convert an array to an image, with notes on what was done to its numbers.

    Args:
        source: (height, width[, 1, 3 or 4]); grey, RGB or RGBA; uint8, uint16, bool, or float in 0..1.

    Raises:
        ImageError: another shape, dtype or range; the message says what would make it one of these.
    """
    notes: list[str] = []
    try:
        pixels = np.asarray(source)
    except Exception as error:
        raise ImageError(
            f"This {type(source).__name__} cannot be read as an array ({type(error).__name__}); for a tensor give "
            ".detach().cpu().numpy()."
        ) from error
    if isinstance(source, np.ma.MaskedArray) and source.mask.any():
        pixels = source.filled(0)
        notes.append("masked values as 0")
    subject = f"An array of shape {pixels.shape} and dtype {pixels.dtype}"
    shape = _image_shape(pixels, subject)
    if pixels.dtype.byteorder not in "=|":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    elif pixels.dtype == np.uint16:
        pixels = scale_to_8bit(pixels)
        notes.append("16-bit as 8-bit")
    elif np.issubdtype(pixels.dtype, np.floating):
        pixels = _scale_floats(pixels, subject)
    elif pixels.dtype != np.uint8:
        hint = ""
        if np.issubdtype(pixels.dtype, np.integer):
            low, high = pixels.min(), pixels.max()
            hint = f" Its values go from {low} to {high}: scale them to 0..1 first."
            if low >= 0 and high <= 255:
                hint = " If it is 0..255: array.astype('uint8')."
        raise ImageError(f"{subject} is no image: uint8, uint16, bool, or float in 0..1 is.{hint}")
    # The array itself says how its channels are to be read.
    return Image.fromarray(np.ascontiguousarray(pixels.reshape(shape))), notes


@contextmanager
def _preserve_layout(figure: Any) -> Iterator[None]:
    """Put back what layout engines and aspects move while a figure is drawn.

    All that is private to matplotlib is used here: `_stale` and the titles; tried with 3.9 and 3.11.
    """
    figures = list(_with_subfigures(figure))
    with ExitStack() as undo:  # which goes from its last to its first
        # First, as reading positions may change it; the property would call the canvas to draw again.
        undo.callback(setattr, figure, "_stale", figure.stale)
        for part in figures:
            for name in ("_suptitle", "_supxlabel", "_supylabel"):
                if (title := getattr(part, name, None)) is not None:
                    undo.callback(title.set_position, title.get_position())
        for axes in figure.axes:
            undo.callback(axes.viewLim.set, axes.viewLim.frozen())
        for axes in figure.axes:
            undo.callback(axes.set_in_layout, axes.get_in_layout())  # set_position takes them out of it
            undo.callback(axes.set_position, axes.get_position(), which="active")
            undo.callback(axes.set_position, axes.get_position(original=True), which="original")
        for part in figures:
            if hasattr(part, "bbox_relative"):
                undo.callback(part.bbox_relative.set, part.bbox_relative.frozen())
            undo.callback(vars(part.subplotpars).update, vars(part.subplotpars).copy())
        yield


def _with_subfigures(figure: Any) -> Iterator[Any]:
    yield figure
    for subfigure in getattr(figure, "subfigs", ()):
        yield from _with_subfigures(subfigure)


@contextmanager
def _import_library(module: str, source: Any, needs: str, command: str) -> Iterator[Any]:
    """Import a library that is not always installed, and turn what goes wrong with it into an ImageError."""
    kind = type(source).__name__
    try:
        library = importlib.import_module(module)
    except ImportError:
        raise ImageError(f"A {kind} as a picture needs {needs}: {command}.") from None
    try:
        yield library
    except ImageError:
        raise
    except Exception as error:  # of the library, and of what it starts
        raise ImageError(
            f"This {kind} could not be drawn ({type(error).__name__}). It needs {needs}: {command}. "
            "Or save it as a PNG yourself, and give that."
        ) from error


def _image_shape(pixels: np.ndarray[Any, Any], subject: str) -> tuple[int, ...]:
    """Return the array's shape, without a third dimension of one channel."""
    if 0 in pixels.shape:
        raise ImageError(f"{subject} has no pixels.")
    shape: tuple[int, ...] = pixels.shape
    if pixels.ndim >= 2 and shape[0] * shape[1] > MAX_PIXELS:
        raise ImageError(
            f"{subject} has {shape[0] * shape[1] / 1e6:,.0f} million pixels; at most {MAX_PIXELS // 1_000_000} million "
            "are taken. Give a part of it, or every second pixel: array[::2, ::2]."
        )
    if pixels.ndim == 3 and shape[2] == 1:
        return shape[:2]
    if pixels.ndim == 2 or (pixels.ndim == 3 and shape[2] in (3, 4)):
        return shape
    hint = ""
    if pixels.ndim == 3 and shape[0] in (1, 3, 4) and min(shape[1:]) > 4:
        hint = " The channels come first here: array.transpose(1, 2, 0) puts them last."
    elif pixels.ndim == 4 and shape[3] in (1, 3, 4) and min(shape[1:3]) > 4:
        hint = " It looks like several images: images=list(array)."
    raise ImageError(f"{subject} is no image: (height, width), or (height, width, 3 or 4) is.{hint}")


def _scale_floats(pixels: np.ndarray[Any, Any], subject: str) -> np.ndarray[Any, Any]:
    low, high = float(pixels.min()), float(pixels.max())  # NaN where there is one
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        if np.isnan(low):
            hint = "np.nan_to_num(array) takes them for 0."
            raise ImageError(f"{subject} holds NaN, which has no brightness; {hint}")
        if low >= 0 and high <= 255:
            hint = "array / 255 brings it there, if it is 0..255."
        else:
            hint = "(array - array.min()) / (array.max() - array.min()) brings it there."
        raise ImageError(f"{subject} has values from {low:.4g} to {high:.4g}, and float must be in 0..1: {hint}")
    scaled = pixels * np.float32(255) if pixels.dtype.itemsize <= 4 else pixels * 255.0
    np.clip(scaled, 0, 255, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8)
