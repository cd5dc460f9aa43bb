"""numpy arrays → images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from .modes import eight_bits
from .opened import MOST_PIXELS

__all__ = ["array_image", "is_array"]

_SLACK = 1e-3  # what interpolation and rounding add below 0 and above 1


def is_array(source: Any) -> bool:
    """Whether this is an array, of numpy or of a library that numpy can read (torch, xarray, jax)."""
    if isinstance(source, np.ndarray):
        return True
    return hasattr(type(source), "__array__") and hasattr(source, "shape") and hasattr(source, "dtype")


def array_image(source: Any) -> tuple[Image.Image, list[str]]:
    """An array as an image.

    Args:
        source: (height, width), (height, width, 1), (height, width, 3) or (height, width, 4); grey, RGB or RGBA;
            uint8, uint16 (its whole range), bool, or float in 0..1.

    Returns:
        The image and notes on what was done to it.

    Raises:
        ImageError: another shape, dtype or range, with what would make it one of these.
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
    given = f"An array of shape {pixels.shape} and dtype {pixels.dtype}"
    shape = _checked_shape(pixels, given)
    if pixels.dtype.byteorder not in "=|":
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    elif pixels.dtype == np.uint16:
        pixels = eight_bits(pixels)
        notes.append("16-bit as 8-bit")
    elif np.issubdtype(pixels.dtype, np.floating):
        pixels = _from_float(pixels, given)
    elif pixels.dtype != np.uint8:
        hint = _integer_hint(pixels)
        raise ImageError(f"{given} is no image: uint8, uint16, bool, or float in 0..1 is.{hint}")
    # The array itself says how its channels are to be read.
    return Image.fromarray(np.ascontiguousarray(pixels.reshape(shape))), notes


def _checked_shape(pixels: np.ndarray[Any, Any], given: str) -> Sequence[int]:
    if 0 in pixels.shape:
        raise ImageError(f"{given} has no pixels.")
    shape: tuple[int, ...] = pixels.shape
    if pixels.ndim >= 2 and shape[0] * shape[1] > MOST_PIXELS:
        raise ImageError(
            f"{given} has {shape[0] * shape[1] / 1e6:,.0f} million pixels; at most {MOST_PIXELS // 1_000_000} million "
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
    raise ImageError(f"{given} is no image: (height, width), or (height, width, 3 or 4) is.{hint}")


def _from_float(pixels: np.ndarray[Any, Any], given: str) -> np.ndarray[Any, Any]:
    least, most = float(pixels.min()), float(pixels.max())  # NaN where there is one
    if not (least >= -_SLACK and most <= 1 + _SLACK):
        if np.isnan(least):
            hint = "np.nan_to_num(array) takes them for 0."
            raise ImageError(f"{given} holds NaN, which has no brightness; {hint}")
        if least >= 0 and most <= 255:
            hint = "array / 255 brings it there, if it is 0..255."
        else:
            hint = "(array - array.min()) / (array.max() - array.min()) brings it there."
        raise ImageError(f"{given} has values from {least:.4g} to {most:.4g}, and float must be in 0..1: {hint}")
    scaled = pixels * np.float32(255) if pixels.dtype.itemsize <= 4 else pixels * 255.0
    np.clip(scaled, 0, 255, out=scaled)
    np.rint(scaled, out=scaled)
    whole: np.ndarray[Any, Any] = scaled.astype(np.uint8)
    return whole


def _integer_hint(pixels: np.ndarray[Any, Any]) -> str:
    if not np.issubdtype(pixels.dtype, np.integer):
        return ""
    if pixels.min() >= 0 and pixels.max() <= 255:
        return " If it is 0..255: array.astype('uint8')."
    return f" Its values go from {pixels.min()} to {pixels.max()}: scale them to 0..1 first."
