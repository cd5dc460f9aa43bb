"""An opened image → the file that is sent: upright, small enough, plain, and without a word of metadata."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from PIL import Image

from ..errors import ImageError
from .modes import flat, plain, srgb
from .opened import Opened, spoken

__all__ = ["FORMATS", "MOST_BYTES_SENT", "Encoded", "encode"]

FORMATS = ("PNG", "JPEG", "WEBP")  # what every hosted model reads
# Of one image as a file: some models behind gateways take 5 MB an image at most, counted after base64.
MOST_BYTES_SENT = 3_700_000
THUMBNAIL_PX = 160
QUALITY = 85
_QUALITIES = (QUALITY, 75, 60, 45, 30)
_SMALLER = 0.9  # each step down at most, where no quality is low enough
_SMALLEST_PX = 16
# What turns an image upright, by the value of EXIF's Orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTERS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
_ORIENTATION = 0x0112
_TILE = 64  # pixels: side of the samples that tell a drawing from a photo
_FREE = 20_000  # bytes: a PNG of that size is kept whatever a JPEG would save


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file to be sent. Sizes are (width, height) in pixels."""

    data: bytes
    format: str
    before: tuple[int, int]
    after: tuple[int, int]
    notes: tuple[str, ...]
    thumbnail: bytes


def encode(opened: Opened, *, max_side_px: int, format: str | None = None, max_bytes: int = MOST_BYTES_SENT) -> Encoded:
    """Turn, shrink, convert and encode one image.

    A photo is shrunk before it is turned and brought to sRGB (where its file names another space), so that it costs
    little more than Pillow's own decoding and resizing; only what cannot be resampled is converted first.

    Args:
        opened: the image.
        max_side_px: the longer side of what is sent, at most.
        format: `"PNG"`, `"JPEG"`, `"WEBP"`, or None: PNG for what is drawn, the source's own or JPEG for photos.
        max_bytes: of the file that is sent.

    Raises:
        ImageError: it breaks off or is damaged, or cannot be made small enough.
    """
    source, notes = opened.image, opened.notes
    if _has_more(opened):
        which = "first" if opened.ours or not source.tell() else "one"
        notes.append(f"{which} page of several" if source.format == "TIFF" else f"{which} frame of an animation")
    before = source.size
    try:
        if opened.ours:
            source.draft(None, (2 * max_side_px, 2 * max_side_px))  # a JPEG is decoded at a half, a quarter, an eighth
        source.load()
        if source.format == "TIFF":
            before = source.size  # it has turned itself
        turn = _TURNS.get(_orientation(source))
        image = _shrunk(plain(source, notes), max_side_px)
        if turn is not None:
            image = image.transpose(turn)
            before = before[::-1] if turn in _QUARTERS else before
        image = _opaque(srgb(image))
    except ImageError as error:
        raise ImageError(f"{spoken(opened.name)} {error}.") from None
    except Exception as error:  # whatever a broken file makes a decoder raise
        said = "it breaks off" if "truncated" in str(error) else f"its data is damaged ({type(error).__name__})"
        raise ImageError(f"{spoken(opened.name)} cannot be decoded: {said}. Save it anew, or fetch it again.") from None
    image = image.copy() if image is source else image
    image = _unhidden(image)
    image.info = {}  # comments, profiles, and what else a writer would take over
    return _written(image, opened, before, format, max_bytes)


def _has_more(opened: Opened) -> bool:
    """Whether there are frames or pages beside the one that is sent. A TIFF is not asked how many: it counts them."""
    image = opened.image
    if image.format == "MPO":  # a phone's second picture
        return False
    if image.format != "TIFF":
        return bool(getattr(image, "is_animated", False))
    if not opened.ours:
        return bool(image.tell())
    try:
        image.seek(1)
    except (EOFError, OSError, SyntaxError, ValueError):
        return False
    finally:
        image.seek(0)
    return True


def _orientation(image: Image.Image) -> int:
    with contextlib.suppress(Exception):  # EXIF that cannot be read turns nothing
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _shrunk(image: Image.Image, max_side_px: int) -> Image.Image:
    longer = max(image.size)
    if longer <= max_side_px:
        return image
    width, height = (max(1, round(side * max_side_px / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _opaque(image: Image.Image) -> Image.Image:
    """Without an alpha channel that hides nothing."""
    return image.convert("RGB") if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255 else image


def _unhidden(image: Image.Image) -> Image.Image:
    """Without the colours that full transparency hides: what was erased from a picture is not to be sent."""
    if image.mode != "RGBA":
        return image
    seen = image.getchannel("A").point(lambda alpha: 255 if alpha else 0)
    return Image.composite(image, Image.new("RGBA", image.size, (0, 0, 0, 0)), seen)


def _written(
    image: Image.Image, opened: Opened, before: tuple[int, int], format: str | None, max_bytes: int
) -> Encoded:
    notes = opened.notes
    photo = format == "JPEG" or (format is None and opened.image.format in ("JPEG", "MPO"))
    lossless = not photo and (opened.drawn or _lossless_pays(image))
    chosen = format or _family(opened, image, lossless)
    if chosen == "JPEG" and image.mode == "RGBA":
        image = flat(image)
        notes.append("transparency on white")
    lossless = lossless or chosen == "PNG"
    while True:
        for quality in (None,) if lossless else _QUALITIES:
            data = _save(image, chosen, quality)
            if len(data) <= max_bytes:
                if quality not in (None, QUALITY):
                    notes.append(f"{chosen} quality {quality}, to stay below {max_bytes / 1e6:.1f} MB")
                return Encoded(data, chosen, before, image.size, tuple(notes), _thumbnail(image))
        if lossless and format != "PNG":  # a drawing that is too rich to be kept without loss
            chosen = format or ("WEBP" if image.mode == "RGBA" else "JPEG")
            lossless = False
            continue
        # At once to about what fits, by the bytes of a pixel: each try costs an encoding.
        factor = min(_SMALLER, 0.95 * (max_bytes / len(data)) ** 0.5)
        size = (round(image.width * factor), round(image.height * factor))
        if min(size) < 1 or max(size) < _SMALLEST_PX:
            raise ImageError(
                f"{spoken(opened.name)} does not fit into {max_bytes:,} bytes as {chosen}: allow another format."
            )
        image = image.resize(size, Image.Resampling.LANCZOS)
        note = f"made smaller, to stay below {max_bytes / 1e6:.1f} MB"
        if note not in notes:
            notes.append(note)


def _family(opened: Opened, image: Image.Image, lossless: bool) -> str:
    own = opened.image.format
    if own in ("JPEG", "MPO"):
        return "JPEG"
    if own == "WEBP":
        return "WEBP"
    if lossless:
        return "PNG"
    return "WEBP" if image.mode == "RGBA" else "JPEG"


def _lossless_pays(image: Image.Image) -> bool:
    """Whether this is a drawing rather than a photo: a sample of it, as PNG, is hardly larger than as JPEG."""
    across, down = (min(4, max(1, side // _TILE)) for side in image.size)
    sample = Image.new(image.mode, (across * _TILE, down * _TILE))
    for column in range(across):
        for row in range(down):
            left = (image.width - _TILE) * (2 * column + 1) // (2 * across)
            top = (image.height - _TILE) * (2 * row + 1) // (2 * down)
            tile = image.crop((max(0, left), max(0, top), max(0, left) + _TILE, max(0, top) + _TILE))
            sample.paste(tile, (column * _TILE, row * _TILE))
    png, jpeg = len(_save(sample, "PNG", None)), len(_save(flat(sample), "JPEG", QUALITY))
    whole = png * image.width * image.height / (sample.width * sample.height)
    return png <= 2 * jpeg or whole <= _FREE


def _save(image: Image.Image, format: str, quality: int | None) -> bytes:
    out = io.BytesIO()
    if format == "PNG":
        image.save(out, "PNG")
    elif format == "WEBP" and quality is None:
        image.save(out, "WEBP", lossless=True, quality=50, method=2)  # here quality is effort
    elif format == "WEBP":
        image.save(out, "WEBP", quality=quality, method=2)
    else:
        image.save(out, "JPEG", quality=quality or QUALITY)
    return out.getvalue()


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy() if max(image.size) <= THUMBNAIL_PX else _shrunk(image, THUMBNAIL_PX)
    out = io.BytesIO()
    flat(small).save(out, "WEBP", quality=70, method=2)
    return out.getvalue()
