"""Bring numbers of more than 8 bits, or with a point, to 8 bits of brightness."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError

__all__ = ["depth_note", "find_depth", "grey_to_8bit", "scale_to_8bit"]

_MAX_UINT16 = 65_535
# What cameras, microscopes and scanners put into 16 bits, which are as good as black if they are taken for all of them.
_DEPTHS = (8, 10, 12, 14, 16)
# Tags of TIFF: https://www.loc.gov/preservation/digital/formats/content/tiff_tags.shtml
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def find_depth(highest: int) -> int:
    """Return the smallest usual number of bits, 8 to 16, that holds the highest number of an image."""
    return next(bits for bits in _DEPTHS if highest < 2**bits)


def depth_note(bits: int, highest: int | None = None) -> str:
    """Return the note for the reader; `highest` if the number of bits was concluded from the image's highest number."""
    if highest is None or bits == 16:
        return f"{bits}-bit as 8-bit"
    return f"taken as {bits}-bit: no value is above {highest:,}"


def grey_to_8bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """Scale numbers to brightness: 16 bits by the depth they use, 0..1 by that, others from minimum to maximum."""
    tags = getattr(image, "tag_v2", {})
    numbers: np.ndarray[Any, Any] = np.asarray(image)
    bits = _tag_number(tags.get(_BITS_PER_SAMPLE))
    if image.mode == "I" and _tag_number(tags.get(_SAMPLE_FORMAT)) == _UNSIGNED and bits == 32:
        numbers = numbers.view(np.uint32)  # Pillow reads them as if they had a sign
    low, high = float(numbers.min()), float(numbers.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("holds numbers that are not finite (NaN or infinite), which have no brightness")
    if image.mode != "F" and low >= 0 and high <= _MAX_UINT16:
        is_told = 8 < bits < 16  # by the file itself
        bits = bits if is_told else find_depth(int(high))
        if not is_told and image.mode != "I" and not high:
            bits = 16  # nothing to conclude from black
        grey = scale_to_8bit(numbers, 2**bits - 1)
        if image.mode != "I" or bits > 8:
            notes.append(depth_note(bits, None if is_told else int(high)))
    else:
        if image.mode == "F" and low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        else:
            notes.append(f"grey from {low:.4g} (black) to {high:.4g} (white)")
        scaled: np.ndarray[Any, np.dtype[np.float64]] = numbers.astype(np.float64)
        scaled -= low
        scaled *= 255 / (high - low) if high > low else 0.0
        scaled += 0.5 if high > low else 128  # all numbers equal: middle grey
        grey = scaled.astype(np.uint8)
    if image.format == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey  # Pillow inverts 8 bits only
    result = Image.fromarray(grey)
    result.info = dict(image.info)
    return result


def _tag_number(tag: Any) -> int:
    return int(tag[0]) if isinstance(tag, tuple) and tag else int(tag or 0)


def scale_to_8bit(pixels: np.ndarray[Any, Any], white: int) -> np.ndarray[Any, Any]:
    """Scale non-negative integers up to 65,535, (height, width, …), to uint8; `white` becomes 255."""
    scaled = np.empty(pixels.shape, np.uint8)
    table = _scale_table(white)
    # Some rows at a time: numpy looks up with indices of eight bytes each.
    rows = max(1, 1_000_000 // max(1, pixels[0].size))
    for start in range(0, len(pixels), rows):
        scaled[start : start + rows] = table[pixels[start : start + rows]]
    return scaled


@cache
def _scale_table(white: int) -> np.ndarray[Any, Any]:
    return np.minimum((np.arange(_MAX_UINT16 + 1) * 510 + white) // (2 * white), 255).astype(np.uint8)
