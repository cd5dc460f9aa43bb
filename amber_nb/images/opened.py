"""Files → opened images: sniffed, measured before they are decoded, and refused in words that help."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image

from ..errors import ImageError

__all__ = ["MOST_BYTES", "MOST_PIXELS", "Opened", "open_file", "open_image", "quiet", "rasterise", "spoken"]

MOST_BYTES = 200_000_000  # of a file
MOST_PIXELS = 150_000_000  # 450 MB decoded: a satellite's tile or a phone's 108 megapixels, not a bomb
LONGEST_SIDE = 100_000  # pixels: Pillow keeps a pointer for each row
# Formats of pictures. Not EPS and its like: they are programs, which Pillow hands to Ghostscript.
_FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "JPEG2000"),
    *("BMP", "DIB", "ICO", "ICNS", "PPM", "QOI", "TGA", "PSD", "PCX", "SGI"),
)
_SVG = re.compile(
    rb"\s*(<\?xml[^>]{0,200}\?>\s*|<!--.{0,2000}?-->\s*|<!DOCTYPE svg[^>]{0,400}>\s*){0,5}<svg[\s>]", re.S
)


@dataclass(slots=True)
class Opened:
    """One opened image; its pixels are decoded when they are needed."""

    image: Image.Image
    name: str
    ours: bool  # nobody else holds it: it may be decoded at a smaller size
    drawn: bool = False  # a plot or a table, to be kept without loss
    notes: list[str] = field(default_factory=list)


def open_file(data: bytes, name: str, *, drawn: bool = False) -> Opened:
    """Open a file's bytes.

    Args:
        data: the file.
        name: what to call it, a file's name without its folders.
        drawn: whether it is a plot or a table.

    Raises:
        ImageError: it is empty, no image, of a format that is not read, or has too many pixels.
    """
    said = spoken(name)
    if not data:
        raise ImageError(f"{said} is empty: 0 bytes.")
    if len(data) > MOST_BYTES:
        raise ImageError(f"{said} has more than the {MOST_BYTES / 1e6:.0f} MB that are read. Make it smaller first.")
    Image.init()
    formats = [one for one in _FORMATS if one in Image.OPEN]
    try:
        with quiet():
            image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:  # Pillow's own limit, somewhat above ours
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        raise ImageError(_too_many(said, int(pixels[1]) if pixels else 0)) from None
    except Exception:  # whatever a broken file makes a reader raise
        raise ImageError(_no_image(data, said)) from None
    return open_image(image, name, ours=True, drawn=drawn)


def open_image(
    image: Image.Image, name: str, *, ours: bool, drawn: bool = False, notes: list[str] | None = None
) -> Opened:
    """Take a PIL image.

    Raises:
        ImageError: it has no or too many pixels.
    """
    width, height = image.size
    if not width or not height:
        raise ImageError(f"{spoken(name)} has no pixels: it is {width} × {height}.")
    if max(width, height) > LONGEST_SIDE:
        raise ImageError(
            f"{spoken(name)} is {width:,} × {height:,} pixels; a side of more than {LONGEST_SIDE:,} is not decoded. "
            "Cut it into parts."
        )
    if width * height > MOST_PIXELS:
        raise ImageError(_too_many(spoken(name), width * height))
    return Opened(image, name, ours, drawn, list(notes or ()))


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings of large images, which are measured here. All threads share the filters: one by one."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


_filters = threading.Lock()


def spoken(name: str) -> str:
    """An image's name as the beginning of a sentence."""
    return "This image" if name == "image" else name


def rasterise(what: str) -> str:
    """What to do with an SVG."""
    return (
        f"{what}, which models do not read. Make it a PNG first: cairosvg.svg2png(bytestring=svg, output_width=1600) "
        "(pip install cairosvg), graph.pipe('png') for Graphviz, or the drawing library's own export."
    )


def _too_many(name: str, pixels: int) -> str:
    if 0 < pixels <= MOST_PIXELS:
        return f"{name} has {pixels:,} pixels, more than PIL.Image.MAX_IMAGE_PIXELS allows here; raise that limit."
    found = f"{pixels / 1e6:,.0f} million pixels" if pixels else "too many pixels"
    return (
        f"{name} has {found}; more than {MOST_PIXELS // 1_000_000} million are not decoded (such a file can fill the "
        "memory). Crop it or make it smaller first."
    )


def _no_image(data: bytes, name: str) -> str:
    head = data[:4_096]
    if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")):
        return rasterise(f"{name} is an SVG")
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis", b"hevc"):
        return (
            f"{name} is a HEIC photo. pip install pillow-heif, then pillow_heif.register_heif_opener() in the notebook "
            "makes it readable; or export it as JPEG."
        )
    if head.startswith(b"%PDF"):
        return f"{name} is a PDF. Make pictures of its pages first, such as with pdf2image or pypdfium2."
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return f"{name} is PostScript, which is a program and not run here. Make it a PNG first."
    if _is_text(head):
        return f"{name} holds text, not an image ({len(data):,} bytes)."
    return (
        f"{name} is no image that can be read ({len(data):,} bytes): it is broken, or its format is not one of "
        "PNG, JPEG, WebP, GIF, AVIF, TIFF, BMP, JPEG 2000, ICO, PPM, TGA, PSD."
    )


def _is_text(head: bytes) -> bool:
    try:
        head[:-3].decode("utf-8") if len(head) > 3 else head.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(byte < 9 or 13 < byte < 32 for byte in head)
