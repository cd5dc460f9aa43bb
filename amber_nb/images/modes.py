"""Pixels of any kind → grey, RGB, RGBA or CMYK of 8 bits, which can be resampled; then to sRGB."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from ..errors import ImageError

__all__ = ["eight_bits", "flat", "plain", "srgb"]

_16_BITS = 65_535
# Tags of TIFF: https://www.loc.gov/preservation/digital/formats/content/tiff_tags.shtml
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
# Descriptions of profiles that say nothing new; a name that only contains "sRGB" may be a linear one.
_SRGB = {"sRGB", "sRGB built-in", "sRGB IEC61966-2.1", "sRGB2014", "sRGB v1.31 (Canon)", "c2", "GIMP built-in sRGB"}


def plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image in mode L, RGB, RGBA or CMYK; the same object where it is already.

    Args:
        image: loaded, in any of Pillow's modes.
        notes: what a reader should know of the conversion is added.

    Raises:
        ImageError: its numbers are no brightness: some are not finite.
    """
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _grey(image, notes)
    if mode == "La":  # which Pillow converts to LA alone
        image = image.convert("LA")
    if image.has_transparency_data and mode != "RGBA":
        return image.convert("RGBA")
    if mode in ("L", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def srgb(image: Image.Image) -> Image.Image:
    """The colours as sRGB, where the file's profile says that they are others; CMYK always becomes RGB."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if ImageCms.getProfileDescription(source).strip("\0 \n") not in _SRGB:
                mode = "RGBA" if image.mode == "RGBA" else "RGB"
                turned = ImageCms.profileToProfile(image, source, _srgb_profile(), outputMode=mode)
                if turned is not None:
                    image = turned.convert("L") if image.mode == "L" else turned
        except Exception:  # a profile that is broken, or of another kind of pixels: without it, as most viewers do
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


def flat(image: Image.Image) -> Image.Image:
    """Without transparency: on white."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _to_8_bits(most: int) -> np.ndarray[Any, Any]:
    """What becomes of each 16-bit number, where `most` is white: looked up, it takes no wide numbers on the way."""
    return np.minimum((np.arange(_16_BITS + 1) * 510 + most) // (2 * most), 255).astype(np.uint8)


def eight_bits(pixels: np.ndarray[Any, Any], most: int = _16_BITS) -> np.ndarray[Any, Any]:
    """16-bit numbers as 8-bit ones, some rows at a time: numpy looks up with indices of eight bytes each."""
    made = np.empty(pixels.shape, np.uint8)
    table = _to_8_bits(most)
    rows = max(1, 1_000_000 // max(1, pixels[0].size))
    for start in range(0, len(pixels), rows):
        made[start : start + rows] = table[pixels[start : start + rows]]
    return made


def _grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Numbers as brightness: 16 bits by their whole range, 0..1 by that, others from their least to their greatest."""
    tags = getattr(image, "tag_v2", {})
    numbers: np.ndarray[Any, Any] = np.asarray(image)
    if image.mode == "I" and _first(tags.get(_SAMPLE_FORMAT)) == _UNSIGNED and _first(tags.get(_BITS)) == 32:
        numbers = numbers.view(np.uint32)  # Pillow reads them as if they had a sign
    least, most = float(numbers.min()), float(numbers.max())
    if not np.isfinite([least, most]).all():
        raise ImageError("holds numbers that are not finite (NaN or infinite), which have no brightness")
    if image.mode != "F" and least >= 0 and most <= _16_BITS:
        bits = _first(tags.get(_BITS))
        white = 255 if most <= 255 and image.mode == "I" else 2**bits - 1 if 8 < bits < 16 else _16_BITS
        grey = eight_bits(numbers, white)
        if white > 255:
            notes.append(f"{bits if 8 < bits < 16 else 16}-bit as 8-bit")
    else:
        if image.mode == "F" and least >= 0 and most <= 1:
            least, most = 0.0, 1.0
        else:
            notes.append(f"grey from {least:.4g} (black) to {most:.4g} (white)")
        scaled: np.ndarray[Any, np.dtype[np.float64]] = numbers.astype(np.float64)
        scaled -= least
        scaled *= 255 / (most - least) if most > least else 0.0
        scaled += 0.5 if most > least else 128  # of one number nothing can be told: middle grey
        grey = scaled.astype(np.uint8)
    if image.format == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey  # Pillow sees to it for 8 bits only
    made = Image.fromarray(grey)
    made.info = dict(image.info)
    return made


def _first(tag: Any) -> int:
    return int(tag[0]) if isinstance(tag, tuple) and tag else int(tag or 0)
