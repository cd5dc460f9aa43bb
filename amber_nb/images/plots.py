"""Draw what is no image yet: numpy arrays, plotly and altair charts, DataFrames.

No plotting library is imported before something of its own is drawn.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from .codec import MAX_PIXELS
from .depth import depth_note, find_depth, scale_to_8bit
from .wording import describe_error, with_article

__all__ = [
    "image_from_array",
    "is_array",
    "render_altair",
    "render_plotly",
    "render_table",
]

_MAX_ROWS, _MAX_COLUMNS = 100, 30  # of a table
_ROUNDING = 1e-3  # what interpolation and rounding add below 0 and above 1
_DARK = 15  # of 255: the numbers of a mask or of classes, which are black to the eye


def render_plotly(figure: Any) -> bytes:
    """Draw a plotly figure as a PNG file of 700 × 500 pixels (unless its layout says otherwise), without MathJax."""
    with _import_library("kaleido", figure, "kaleido and a Chrome or Chromium", "pip install kaleido") as kaleido:
        spec = figure.to_dict()
        layout = spec.get("layout", {})
        if not spec.get("data") and not any(layout.get(name) for name in ("annotations", "shapes", "images")):
            raise ImageError("This plotly figure is empty: no trace was added to it. Give the figure that has them.")
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
        source: (height, width[, 1, 3 or 4]); grey, RGB or RGBA; uint8, uint16 (of 8, 10, 12, 14 or 16 bits, by its
            highest number), bool, or float in 0..1.

    Raises:
        ImageError: another shape, dtype or range; the message says what would make it one of these.
    """
    notes: list[str] = []
    try:
        pixels = np.asarray(source)
    except Exception as error:
        hint = "" if type(source).__module__.partition(".")[0] != "torch" else " Give .detach().cpu().numpy()."
        raise ImageError(
            f"This {type(source).__name__} cannot be read as an array ({describe_error(error)}).{hint}"
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
        highest = int(pixels.max())
        bits = find_depth(highest) if highest else 16
        pixels = scale_to_8bit(pixels, 2**bits - 1)
        notes.append(depth_note(bits, highest))
    elif np.issubdtype(pixels.dtype, np.floating):
        pixels = _scale_floats(pixels, subject)
    elif pixels.dtype != np.uint8:
        hint = ""
        if np.issubdtype(pixels.dtype, np.integer):
            low, high = pixels.min(), pixels.max()
            if low >= 0 and high <= 255:
                hint = " If it is 0..255: array.astype('uint8')."
            elif low >= 0 and high <= 65_535:
                hint = (
                    f" Its values go from {low} to {high}: array.astype('uint16') is taken by the bits that they use."
                )
            else:
                hint = f" Its values go from {low} to {high}: {_scaling_hint(pixels)}"
        raise ImageError(f"{subject} is no image: uint8, uint16, bool, or float in 0..1 is.{hint}")
    if 0 < (brightest := int(pixels.max())) <= _DARK:
        notes.append(f"nearly black: no value is above {brightest} of 255")
    # The array itself says how its channels are to be read.
    return Image.fromarray(np.ascontiguousarray(pixels.reshape(shape))), notes


@contextmanager
def _import_library(module: str, source: Any, needs: str, command: str) -> Iterator[Any]:
    """Import a library that is not always installed, and turn what goes wrong with it into an ImageError."""
    kind = type(source).__name__
    try:
        library = importlib.import_module(module)
    except ImportError:
        raise ImageError(f"{with_article(kind)} as a picture needs {needs}: {command}.") from None
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
    if pixels.ndim == 1:
        is_bytes = pixels.dtype == np.uint8
        hint = " Its bytes do not begin as an image file does." if is_bytes else " A row of numbers is to be plotted."
    elif pixels.ndim == 3 and shape[0] in (1, 3, 4) and min(shape[1:]) > 4:
        hint = " The channels come first here: array.transpose(1, 2, 0) puts them last."
    elif pixels.ndim == 4 and shape[3] in (1, 3, 4) and min(shape[1:3]) > 4:
        hint = " It looks like several images: images=list(array)."
    raise ImageError(f"{subject} is no image: (height, width), or (height, width, 3 or 4) is.{hint}")


def _scale_floats(pixels: np.ndarray[Any, Any], subject: str) -> np.ndarray[Any, Any]:
    low, high = float(pixels.min()), float(pixels.max())  # NaN where there is one
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        if np.isnan(low):
            raise ImageError(f"{subject} holds NaN, which has no brightness: {_scaling_hint(pixels)}")
        raise ImageError(
            f"{subject} has values from {low:.4g} to {high:.4g}, and float must be in 0..1: {_scaling_hint(pixels)}"
        )
    scaled = pixels * np.float32(255) if pixels.dtype.itemsize <= 4 else pixels * 255.0
    np.clip(scaled, 0, 255, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def _scaling_hint(pixels: np.ndarray[Any, Any]) -> str:
    """Return what brings numbers to 0..1, as the rest of a sentence; tried with infinite, missing and equal ones."""
    is_float = np.issubdtype(pixels.dtype, np.floating)
    finite = pixels[np.isfinite(pixels)] if is_float else pixels
    if not finite.size:
        return "no value of it is a finite number. np.isnan(array) is a picture of where it is missing."
    to_number = float if is_float else int
    limit = to_number((np.finfo if is_float else np.iinfo)(pixels.dtype).max)
    low, high = to_number(finite.min()), to_number(finite.max())
    if is_float and low >= -_ROUNDING and high <= 1 + _ROUNDING:
        formula = "np.clip(array, 0, 1)" if np.isinf(pixels).any() else "array"
    elif is_float and low >= 0 and high <= 255 and not np.isinf(pixels).any():
        formula = "array / 255"
    elif low == high:
        if finite.size < pixels.size:
            return (
                f"all values that are finite are equal ({low:.6g}). np.isfinite(array) is a picture of where they are."
            )
        return f"all values are equal ({low:.6g}), so there is nothing to see but np.full(array.shape, 0.5), a grey."
    elif finite.size == pixels.size and high - low <= limit:
        formula = "(array - array.min()) / (array.max() - array.min())"
    elif np.isfinite(float(high) - float(low)):  # also with infinite numbers, and where the dtype is too small
        formula = f"np.interp(array, ({low!r}, {high!r}), (0, 1))"
    else:  # the difference is too large for a number
        formula = f"np.clip(array / {max(high, -low)!r} / 2 + 0.5, 0, 1)"
    is_missing = is_float and bool(np.isnan(pixels).any())
    whole = f"np.nan_to_num({formula})" if is_missing else formula
    return f"{whole} brings it there" + (", if it is 0..255." if formula == "array / 255" else ".")
