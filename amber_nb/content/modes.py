"""Pixels of any kind → grey, RGB, RGBA or CMYK of 8 bits, which can be resampled; then to sRGB."""

from __future__ import annotations

import io
from functools import cache
from typing import cast

from PIL import Image, ImageCms

__all__ = ["flat", "plain", "srgb"]

_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image in mode L, RGB, RGBA or CMYK; the same object where it is already.

    Args:
        image: loaded, in any of Pillow's modes.
        notes: what a reader should know of the conversion is added.
    """
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _grey(image, notes)
    if "transparency" in image.info or (mode in _WITH_ALPHA and mode != "RGBA"):
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
            if "sRGB" not in ImageCms.getProfileDescription(source) or image.mode == "CMYK":
                mode = "RGB" if image.mode == "CMYK" else image.mode
                if image.mode != "L":  # grey differs in its curve at most, and sRGB has no grey
                    turned = ImageCms.profileToProfile(image, source, _srgb_profile(), outputMode=mode)
                    image = turned if turned is not None else image
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


def _grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Numbers as brightness: 16 bits by their whole range, 0..1 by that, others from their least to their greatest."""
    least, most = (0.0, 65_535.0) if image.mode.startswith("I;16") else cast(tuple[float, float], image.getextrema())
    if image.mode == "F" and least >= 0 and most <= 1:
        least, most = 0.0, 1.0
    elif image.mode != "F" and least >= 0 and most <= 65_535:
        least, most = 0.0, 255.0 if most <= 255 else 65_535.0
        notes.append("16-bit as 8-bit")
    else:
        notes.append(f"grey from {least:.4g} (black) to {most:.4g} (white)")
    scale = 255 / (most - least) if most > least else 0.0
    numbers = image if image.mode == "F" else image.convert("I")
    return numbers.point(lambda value: value * scale + (0.5 - least * scale)).convert("L")
