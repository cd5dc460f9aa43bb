"""An image part: its format, pixels, size and dominant colour. Nothing is fetched, no bomb is decoded."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from PIL import Image

from .errors import ApiError

__all__ = ["Picture", "read_pictures"]

MAX_PIXELS = 50_000_000  # over all the images of a request: decoding costs about 10 ns a pixel
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_DATA_URL = re.compile(r"data:([\w.+/-]*)((?:;[\w.+=-]*)*),", re.ASCII)

_COLOURS = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (205, 205, 205),
    "white": (255, 255, 255),
    "red": (225, 30, 35),
    "dark red": (130, 15, 20),
    "pink": (255, 170, 190),
    "magenta": (225, 35, 190),
    "orange": (250, 140, 20),
    "amber": (255, 190, 0),
    "yellow": (250, 235, 40),
    "cream": (250, 240, 205),
    "beige": (220, 200, 165),
    "brown": (125, 75, 35),
    "dark brown": (65, 40, 20),
    "olive": (125, 125, 20),
    "lime green": (130, 225, 40),
    "green": (30, 150, 50),
    "dark green": (10, 75, 30),
    "light green": (165, 225, 160),
    "teal": (0, 128, 128),
    "turquoise": (60, 215, 205),
    "sky blue": (125, 200, 240),
    "blue": (35, 85, 215),
    "steel blue": (70, 130, 180),
    "navy": (10, 20, 100),
    "light blue": (180, 215, 235),
    "purple": (120, 40, 150),
    "violet": (155, 100, 235),
    "lavender": (215, 200, 240),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of one image: of a linked one the host only, of an enclosed one the rest."""

    host: str | None = None
    format: str = ""
    width: int = 0
    height: int = 0
    n_bytes: int = 0
    colour: str = ""
    colour_hex: str = ""


def read_pictures(urls: list[tuple[str, str]]) -> list[Picture]:
    """Read the images of a request.

    Args:
        urls: pairs of an image URL and its place in the request, such as `messages.[0].content.[1].image_url`.

    Raises:
        ApiError: 400, for what is not an image, is too large, or cannot be decoded.
    """
    pictures = []
    budget = MAX_PIXELS
    for url, param in urls:
        scheme = url[:5].lower()
        if scheme == "data:":
            picture = _decode(url, param, budget)
            budget -= picture.width * picture.height
        elif scheme.startswith("http"):
            picture = Picture(host=_host(url, param))
        else:
            raise _bad_url(param)
        pictures.append(picture)
    return pictures


def _bad_url(param: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{param}'. Expected a valid http(s) or data URL, but got a value with an invalid format.",
        param=param,
        code="invalid_value",
    )


def _host(url: str, param: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise _bad_url(param) from error
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise _bad_url(param)
    return host


def _decode(url: str, param: str, budget: int) -> Picture:
    match = _DATA_URL.match(url)
    if match is None or "base64" not in match[2].split(";"):
        raise _bad_url(param)
    try:
        data = base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(
            400,
            "Invalid base64 image_url. Expected a base64-encoded data URL with an image MIME type "
            "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got an invalid base64-encoded value.",
            param=param,
            code="invalid_base64",
        ) from error
    unsupported = ApiError(
        400,
        "You uploaded an unsupported image. Please make sure your image is valid and has one of the following "
        "formats: ['png', 'jpeg', 'gif', 'webp'].",
        param=param,
        code="invalid_image_format",
    )
    too_large = ApiError(
        400,
        f"The images of this request have too many pixels: at most {MAX_PIXELS:,} are decoded.",
        param=param,
        code="image_too_large",
    )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            width, height = image.size
            if width * height > budget:
                raise too_large
            colour = _dominant(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
        # Pillow's decoders raise all of these on broken files.
        raise unsupported from error
    return Picture(
        format=kind,
        width=width,
        height=height,
        n_bytes=len(data),
        colour=_name(colour),
        colour_hex="#{:02x}{:02x}{:02x}".format(*colour),
    )


def _dominant(image: Image.Image) -> tuple[int, int, int]:
    """Give the mean of the fullest cell of a coarse colour cube; transparent pixels count as white."""
    image.draft("RGB", (64, 64))  # a JPEG is decoded at a fraction of its size; other formats ignore this
    # A sample of the pixels, before the conversion: that of a large image would take four bytes for each.
    small = image.resize((64, 64), Image.Resampling.NEAREST).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    data = flat.tobytes()
    pixels = list(zip(data[0::3], data[1::3], data[2::3], strict=True))
    cells = Counter((red >> 6, green >> 6, blue >> 6) for red, green, blue in pixels)
    cell = max(cells, key=lambda key: (cells[key], key))
    members = [pixel for pixel in pixels if tuple(value >> 6 for value in pixel) == cell]
    red, green, blue = (round(sum(channel) / len(members)) for channel in zip(*members, strict=True))
    return red, green, blue


def _name(colour: tuple[int, int, int]) -> str:
    """Give the nearest name by the "redmean" distance, which follows the eye better than plain RGB does."""

    def distance(other: tuple[int, int, int]) -> float:
        red, green, blue = (a - b for a, b in zip(colour, other, strict=True))
        mean = (colour[0] + other[0]) / 2
        return (2 + mean / 256) * red * red + 4 * green * green + (2 + (255 - mean) / 256) * blue * blue

    return min(_COLOURS, key=lambda name: distance(_COLOURS[name]))
