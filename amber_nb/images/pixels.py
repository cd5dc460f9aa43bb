"""What an image shows, whatever file format and compression it came in."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

from .opened import quiet

__all__ = ["pixel_digest"]

MOST_PIXELS = 50_000_000  # more is not decoded: 200 MB of memory


def pixel_digest(data: bytes) -> str | None:
    """SHA-256, in hex, of the size and the RGBA pixels (8 bits a channel, row by row) of an image file's first frame.

    None where it is no image that Pillow reads, or one of more than 50 million pixels.
    """
    try:
        with quiet():
            image = Image.open(io.BytesIO(data))
        with image:
            if image.width * image.height > MOST_PIXELS:
                return None
            pixels = image.convert("RGBA")
    except Exception:  # whatever a broken file makes a decoder raise: it is no image to us
        return None
    digest = hashlib.sha256(b"%dx%d " % pixels.size)
    digest.update(pixels.tobytes())
    return digest.hexdigest()
