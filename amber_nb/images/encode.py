"""Encode an opened image as the file that is sent: upright, small enough, in sRGB, and without metadata."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

from ..errors import ImageError
from .decode import OpenedImage, flatten, sentence_subject, to_8bit, to_srgb

__all__ = ["FORMATS", "MAX_SENT_BYTES", "EncodedImage", "encode_image"]

FORMATS = ("PNG", "JPEG", "WEBP")  # what every hosted model reads
# Of one image as a file: some models behind gateways take 5 MB an image at most, counted after base64.
MAX_SENT_BYTES = 3_700_000
_THUMBNAIL_PX = 160
_QUALITY = 85
_QUALITIES = (_QUALITY, 75, 60, 45, 30)
_MAX_SHRINK = 0.9  # each step down at most, where no quality is low enough
_MIN_SIDE_PX = 16
_TILE_PX = 64  # side of the samples that tell a drawing from a photo
_SMALL_PNG_BYTES = 20_000  # a PNG of that size is kept whatever a JPEG would save


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image file to be sent. Sizes are (width, height) in pixels."""

    data: bytes
    format: str  # one of FORMATS
    before: tuple[int, int]  # the size of the source, upright
    after: tuple[int, int]
    notes: tuple[str, ...]  # what was done beyond turning and shrinking
    thumbnail: bytes  # a WebP file of at most 160 × 160 pixels, on white


def encode_image(
    opened: OpenedImage, *, max_side_px: int, format: str | None = None, max_bytes: int = MAX_SENT_BYTES
) -> EncodedImage:
    """Turn, shrink, convert and encode one image.

    Args:
        opened: the image.
        max_side_px: the longer side of what is sent, at most.
        format: `"PNG"`, `"JPEG"`, `"WEBP"`, or None: PNG for drawings, the source's own or JPEG for photos.
        max_bytes: of the file that is sent.

    Raises:
        ImageError: it breaks off or is damaged, or cannot be made small enough.
    """
    source, notes = opened.image, opened.notes
    if _has_more_frames(opened):
        which = "first" if opened.exclusive or not source.tell() else "one"
        notes.append(f"{which} page of several" if source.format == "TIFF" else f"{which} frame of an animation")
    before = source.size
    try:
        if opened.exclusive:
            source.draft(None, (2 * max_side_px, 2 * max_side_px))  # a JPEG is decoded at a half, a quarter, an eighth
        source.load()
        if source.format == "TIFF":
            before = source.size  # Pillow has turned it upright
        # Shrunk before it is turned and brought to sRGB: so a photo costs little more than Pillow's own decoding and
        # resizing. Only what cannot be resampled is converted first.
        image = _shrink(to_8bit(source, notes), max_side_px)
        image = image.copy() if image is source else image
        if _turn_upright(image):
            before = before[::-1]
        image = _clean_alpha(to_srgb(image))
    except ImageError as error:
        raise ImageError(f"{sentence_subject(opened.name)} {error}.") from None
    except Exception as error:  # whatever a broken file makes a decoder raise
        cause = "it breaks off" if "truncated" in str(error) else f"its data is damaged ({type(error).__name__})"
        raise ImageError(
            f"{sentence_subject(opened.name)} cannot be decoded: {cause}. Save it anew, or fetch it again."
        ) from None
    image.info = {}  # comments, profiles, and what else a writer would take over
    return _encode_within(image, opened, before, format, max_bytes)


def _has_more_frames(opened: OpenedImage) -> bool:
    """Return whether the file has frames or pages beside the one that is sent."""
    image = opened.image
    if image.format == "MPO":  # a phone's second picture
        return False
    if image.format != "TIFF":
        return bool(getattr(image, "is_animated", False))
    if not opened.exclusive:
        return bool(image.tell())
    try:
        image.seek(1)  # is_animated would count all pages
    except (EOFError, OSError, SyntaxError, ValueError):
        return False
    finally:
        image.seek(0)
    return True


def _turn_upright(image: Image.Image) -> bool:
    """Turn an image in place as its EXIF says; return whether width and height have changed places."""
    swapped = False
    with contextlib.suppress(Exception):  # EXIF that cannot be read turns nothing
        swapped = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        ImageOps.exif_transpose(image, in_place=True)
    return swapped


def _shrink(image: Image.Image, max_side_px: int) -> Image.Image:
    longer = max(image.size)
    if longer <= max_side_px:
        return image
    width, height = (max(1, round(side * max_side_px / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _clean_alpha(image: Image.Image) -> Image.Image:
    """Drop an alpha channel that hides nothing, and the colours that full transparency hides."""
    if image.mode != "RGBA":
        return image
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB")
    # What was erased from a picture must not be sent.
    visible = alpha.point(lambda value: 255 if value else 0)
    return Image.composite(image, Image.new("RGBA", image.size, (0, 0, 0, 0)), visible)


def _encode_within(
    image: Image.Image, opened: OpenedImage, before: tuple[int, int], format: str | None, max_bytes: int
) -> EncodedImage:
    """Encode an image in at most `max_bytes`: by lower quality, then another format, then fewer pixels."""
    notes = opened.notes
    is_photo = format == "JPEG" or (format is None and opened.image.format in ("JPEG", "MPO"))
    lossless = not is_photo and (opened.is_drawing or _is_drawing(image))
    chosen = format or _choose_format(opened, image, lossless)
    if chosen == "JPEG" and image.mode == "RGBA":
        image = flatten(image)
        notes.append("transparency on white")
    lossless = lossless or chosen == "PNG"
    while True:
        for quality in (None,) if lossless else _QUALITIES:
            data = _save(image, chosen, quality)
            if len(data) <= max_bytes:
                if quality not in (None, _QUALITY):
                    notes.append(f"{chosen} quality {quality}, to stay below {max_bytes / 1e6:.1f} MB")
                return EncodedImage(data, chosen, before, image.size, tuple(notes), _thumbnail(image))
        if lossless and format != "PNG":  # a drawing that is too rich to be kept without loss
            chosen = format or ("WEBP" if image.mode == "RGBA" else "JPEG")
            lossless = False
            continue
        # At once to about what fits, by the bytes of a pixel: each try costs an encoding.
        factor = min(_MAX_SHRINK, 0.95 * (max_bytes / len(data)) ** 0.5)
        size = (round(image.width * factor), round(image.height * factor))
        if min(size) < 1 or max(size) < _MIN_SIDE_PX:
            raise ImageError(
                f"{sentence_subject(opened.name)} does not fit into {max_bytes:,} bytes as {chosen}: "
                "allow another format."
            )
        image = image.resize(size, Image.Resampling.LANCZOS)
        note = f"made smaller, to stay below {max_bytes / 1e6:.1f} MB"
        if note not in notes:
            notes.append(note)


def _choose_format(opened: OpenedImage, image: Image.Image, lossless: bool) -> str:
    if opened.image.format in ("JPEG", "MPO"):
        return "JPEG"
    if opened.image.format != "WEBP" and lossless:
        return "PNG"
    return "WEBP" if opened.image.format == "WEBP" or image.mode == "RGBA" else "JPEG"


def _is_drawing(image: Image.Image) -> bool:
    """Return whether this is a drawing, not a photo: a sample of it as PNG is hardly larger than as JPEG."""
    across, down = (min(4, max(1, side // _TILE_PX)) for side in image.size)
    sample = Image.new(image.mode, (across * _TILE_PX, down * _TILE_PX))
    for column in range(across):
        for row in range(down):
            left = max(0, (image.width - _TILE_PX) * (2 * column + 1) // (2 * across))
            top = max(0, (image.height - _TILE_PX) * (2 * row + 1) // (2 * down))
            tile = image.crop((left, top, left + _TILE_PX, top + _TILE_PX))
            sample.paste(tile, (column * _TILE_PX, row * _TILE_PX))
    png, jpeg = len(_save(sample, "PNG", None)), len(_save(flatten(sample), "JPEG", _QUALITY))
    whole = png * image.width * image.height / (sample.width * sample.height)
    return png <= 2 * jpeg or whole <= _SMALL_PNG_BYTES


def _save(image: Image.Image, format: str, quality: int | None) -> bytes:
    """Encode an image; `quality` None is without loss, where the format has it."""
    out = io.BytesIO()
    if format == "PNG":
        image.save(out, "PNG")
    elif format == "WEBP" and quality is None:
        image.save(out, "WEBP", lossless=True, quality=50, method=2)  # here quality is effort
    elif format == "WEBP":
        image.save(out, "WEBP", quality=quality, method=2)
    else:
        image.save(out, "JPEG", quality=quality or _QUALITY)
    return out.getvalue()


def _thumbnail(image: Image.Image) -> bytes:
    out = io.BytesIO()
    flatten(_shrink(image, _THUMBNAIL_PX)).save(out, "WEBP", quality=70, method=2)
    return out.getvalue()
