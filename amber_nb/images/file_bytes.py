"""Find the image file in what carries its bytes: base64, data URLs, arrays of bytes, a notebook's outputs."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from ..errors import ImageError

__all__ = [
    "MIME_TYPES",
    "decode_base64",
    "decode_data_url",
    "display_bytes",
    "find_file_in_array",
    "find_file_in_bundle",
    "is_image_file",
]

MIME_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp", "image/tiff")
_MIN_BASE64 = 40  # characters: the shortest picture has more
# How the files begin whose base64 is recognized without being told.
_HEADS = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
    *(b"\0\0\0\x0cjP  ", b"8BPS", b"qoif"),
)
_SVG_HEADS = (b"<svg", b"<?xml")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
# What mail, shells and editors put between the characters, and what a page has instead of two of them.
_BLANK = re.compile(rb"\\[rn]|[\s\x00\\]+|\xef\xbb\xbf")
_QUOTED = re.compile(rb"\s*b?(['\"])([^'\"]*)\1\s*")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def is_image_file(data: bytes, size: int | None = None) -> bool:
    """Return whether bytes begin as an image file does; `size` is that of the whole file, if these are its first."""
    if data[:2] == b"BM":
        return int.from_bytes(data[2:6], "little") == (len(data) if size is None else size)
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    return data.startswith(_HEADS) or data[4:8] == b"ftyp"


def decode_base64(text: str | bytes, *, is_told: bool = False) -> bytes | None:
    """Decode base64, also with line ends, without its padding, or in the alphabet for URLs.

    Args:
        text: the base64.
        is_told: it is base64 for certain; else it must be that of an image file.

    Returns:
        The bytes, or None if it is something else.
    """
    if isinstance(text, str):
        if not text.isascii():
            return None
        text = text.encode("ascii")
    if quoted := _QUOTED.fullmatch(text):  # str() of bytes, or what was copied with its quotes
        text = quoted[2]
    if not is_told and len(text) < _MIN_BASE64:
        return None
    text = re.sub(rb"={1,2}\Z", b"", _BLANK.sub(b"", text).translate(_URL_SAFE))
    if not _BASE64.fullmatch(text):
        return None
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
    return data if is_told or is_image_file(data) or data.lstrip().startswith(_SVG_HEADS) else None


def decode_data_url(url: str) -> bytes:
    """Decode a data URL: base64, also with line ends, or text with percent signs, as an SVG's most often is.

    Raises:
        ImageError: it has no data, or broken base64.
    """
    head, comma, text = url.partition(",")
    is_base64 = re.sub(r"\s", "", head).lower().endswith(";base64")
    is_svg = "svg" in head.lower()
    if not comma or not (is_base64 or is_svg):
        raise ImageError("This data URL is not base64: data:image/png;base64,… is what one looks like.")
    data = unquote_to_bytes(text) if "%" in text else text.encode("utf-8", "replace")
    if not is_base64:
        return data
    decoded = None
    if len(re.sub(rb"\s", b"", data)) % 4:  # a form or a query turns plus signs into spaces
        decoded = decode_base64(re.sub(rb"(?<=\S) (?=\S)", b"+", data), is_told=True)
    if decoded is None or not is_image_file(decoded):
        decoded = decode_base64(data, is_told=True)
    if decoded is None:
        raise ImageError(
            f"The base64 of this data URL is broken (its {len(text):,} characters do not decode): was it cut? "
            "base64.b64encode(data).decode() makes it, and the bytes themselves do as well."
        )
    return decoded


def find_file_in_array(pixels: np.ndarray[Any, Any]) -> bytes | None:
    """Return the image file that an array of bytes holds, as `cv2.imencode` and `np.fromfile` give; None for others.

    Args:
        pixels: of any shape and dtype; a file's are (bytes,) or (bytes, 1) or (1, bytes) uint8 or int8.
    """
    if pixels.dtype.kind not in "uiSV" or pixels.dtype.itemsize != 1 or max(pixels.shape, default=0) != pixels.size:
        return None
    data = pixels[: 1 if pixels.ndim == 2 and pixels.shape[0] == 1 else 64].tobytes()
    return pixels.tobytes() if is_image_file(data[:64], pixels.size) else None


def find_file_in_bundle(bundle: Mapping[Any, Any]) -> bytes | None:
    """Return the image file in a notebook's output, or in its mime bundle, from the richest that models read."""
    data = bundle.get("data")
    if isinstance(data, Mapping):
        bundle = data
    for mime_type in MIME_TYPES:
        if mime_type in bundle and (found := display_bytes(bundle[mime_type])) is not None:
            return found
    return None


def display_bytes(data: Any) -> bytes | None:
    """Return the file that a display method returned: bytes, base64, its lines, or a pair of them and metadata."""
    data = data[0] if isinstance(data, tuple) and data else data
    if isinstance(data, list) and data and all(isinstance(line, str) for line in data):  # as a notebook's file has it
        data = "".join(data)
    if isinstance(data, str):
        return decode_data_url(data) if data[:5] == "data:" else decode_base64(data, is_told=True)
    return bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None
