"""Image files: opened within limits, brought to 8 bits and sRGB, hashed, and encoded anew without metadata."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from PIL import ExifTags, Image, ImageCms, ImageOps

from ..errors import ImageError
from ..types import SentImage
from .depth import grey_to_8bit

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SENT_BYTES",
    "MAX_SIDE_PX",
    "OpenedImage",
    "encode_image",
    "ignore_warnings",
    "open_bytes",
    "pixel_digest",
    "svg_message",
]

MAX_BYTES = 200_000_000  # of a file
MAX_PIXELS = 150_000_000  # 450 MB decoded: a satellite's tile or a phone's 108 megapixels, not a bomb
MAX_SIDE_PX = 100_000  # Pillow keeps a pointer for each row
_MAX_DIGEST_PIXELS = 50_000_000  # 200 MB of memory
# Formats of pictures. Not EPS and its like: they are programs, which Pillow hands to Ghostscript.
_FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "JPEG2000"),
    *("BMP", "DIB", "ICO", "ICNS", "PPM", "QOI", "TGA", "PSD", "PCX", "SGI"),
)
_SVG = re.compile(
    rb"\s*(<\?xml[^>]{0,200}\?>\s*|<!--.{0,2000}?-->\s*|<!DOCTYPE svg[^>]{0,400}>\s*){0,5}<svg[\s>]", re.S
)
_HEIC_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis", b"hevc")
# Descriptions of sRGB profiles, which need no conversion; a name that only contains "sRGB" may be a linear one.
_SRGB = {"sRGB", "sRGB built-in", "sRGB IEC61966-2.1", "sRGB2014", "sRGB v1.31 (Canon)", "c2", "GIMP built-in sRGB"}
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

_filters_lock = threading.RLock()


# --- opening


@dataclass(slots=True)
class OpenedImage:
    """An image, or an ImageError if it has no or too many pixels; they are decoded when they are needed."""

    image: Image.Image  # in any of Pillow's modes, not necessarily loaded
    name: str  # for messages: a file's name without its folders, or what it was
    exclusive: bool  # nobody else holds `image`: it may be decoded at a smaller size
    is_drawing: bool = False  # a plot or a table, to be kept without loss
    notes: list[str] = field(default_factory=list)  # what was done to the pixels, for the reader

    def __post_init__(self) -> None:
        width, height = self.image.size
        subject = _sentence_subject(self.name)
        if not width or not height:
            raise ImageError(f"{subject} has no pixels: it is {width} × {height}.")
        if max(width, height) > MAX_SIDE_PX:
            raise ImageError(
                f"{subject} is {width:,} × {height:,} pixels; a side of more than {MAX_SIDE_PX:,} is not decoded. "
                "Cut it into parts."
            )
        if width * height > MAX_PIXELS:
            raise ImageError(_too_many_pixels(subject, width * height))


def open_bytes(data: bytes, name: str, *, is_drawing: bool = False) -> OpenedImage:
    """Open the bytes of an image file; the arguments are as in `OpenedImage`.

    Raises:
        ImageError: the file is empty, no image, of a format that is not read, or has too many pixels.
    """
    subject = _sentence_subject(name)
    if not data:
        raise ImageError(f"{subject} is empty: 0 bytes.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{subject} has more than the {MAX_BYTES / 1e6:.0f} MB that are read. Make it smaller first.")
    Image.init()
    formats = [format for format in _FORMATS if format in Image.OPEN]
    try:
        with ignore_warnings(Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:  # Pillow's own limit, somewhat above ours
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        raise ImageError(_too_many_pixels(subject, int(pixels[1]) if pixels else 0)) from None
    except Exception:  # whatever a broken file makes a reader raise
        raise ImageError(_not_an_image(data, subject)) from None
    return OpenedImage(image, name, exclusive=True, is_drawing=is_drawing)


def pixel_digest(data: bytes) -> str | None:
    """Hash what an image file shows, whatever its format and compression.

    Returns:
        SHA-256, in hex, of the size and the RGBA pixels (8 bits a channel, row by row) of the first frame; None if
        Pillow cannot read the file, or if it has more than 50 million pixels.
    """
    try:
        with ignore_warnings(Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(data))
        with image:
            if image.width * image.height > _MAX_DIGEST_PIXELS:
                return None
            pixels = image.convert("RGBA")
    except Exception:  # whatever a broken file makes a decoder raise: it is no image to us
        return None
    digest = hashlib.sha256(b"%dx%d " % pixels.size)
    digest.update(pixels.tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def ignore_warnings(category: type[Warning], module: str = "") -> Iterator[None]:
    """Silence warnings, such as Pillow's of large images, whose size is checked here.

    Args:
        category: their class.
        module: a regular expression for where they are said; any module if it is empty.
    """
    with _filters_lock, warnings.catch_warnings():  # all threads share the filters
        warnings.filterwarnings("ignore", category=category, module=module)
        yield


def svg_message(clause: str) -> str:
    """Return the message that follows a clause such as "logo.svg is an SVG": how to make it a PNG."""
    return (
        f"{clause}, which models do not read. Make it a PNG first: cairosvg.svg2png(bytestring=svg, output_width=1600) "
        "(pip install cairosvg), graph.pipe('png') for Graphviz, or the drawing library's own export."
    )


def _sentence_subject(name: str) -> str:
    """Return an image's name as the subject of a sentence."""
    return "This image" if name == "image" else name


def _too_many_pixels(subject: str, n_pixels: int) -> str:
    if 0 < n_pixels <= MAX_PIXELS:
        return f"{subject} has {n_pixels:,} pixels, more than PIL.Image.MAX_IMAGE_PIXELS allows here; raise that limit."
    number = f"{n_pixels / 1e6:,.0f} million pixels" if n_pixels else "too many pixels"
    return (
        f"{subject} has {number}; more than {MAX_PIXELS // 1_000_000} million are not decoded (such a file can fill "
        "the memory). Crop it or make it smaller first."
    )


def _not_an_image(data: bytes, subject: str) -> str:
    head = data[:4_096]
    if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")):
        return svg_message(f"{subject} is an SVG")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return (
            f"{subject} is a HEIC photo. pip install pillow-heif, then pillow_heif.register_heif_opener() in the "
            "notebook makes it readable; or export it as JPEG."
        )
    if head.startswith(b"%PDF"):
        return f"{subject} is a PDF. Make pictures of its pages first, such as with pdf2image or pypdfium2."
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return f"{subject} is PostScript, which is a program and not run here. Make it a PNG first."
    if _is_text(head):
        return f"{subject} holds text, not an image ({len(data):,} bytes)."
    return (
        f"{subject} is no image that can be read ({len(data):,} bytes): it is broken, or its format is not one of "
        "PNG, JPEG, WebP, GIF, AVIF, TIFF, BMP, JPEG 2000, ICO, PPM, TGA, PSD."
    )


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # it may end within a character
    except UnicodeDecodeError:
        return False
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


# --- pixels


def _to_8bit(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert an image to mode L, RGB, RGBA or CMYK, whose 8-bit channels can be resampled; note what matters."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return grey_to_8bit(image, notes)
    if mode == "La":  # which Pillow converts to LA alone
        image = image.convert("LA")
    if image.has_transparency_data and mode != "RGBA":
        return image.convert("RGBA")
    if mode in ("L", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert colours to sRGB where the image's ICC profile names another space; CMYK always becomes RGB."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if ImageCms.getProfileDescription(source).strip("\0 \n") not in _SRGB:
                mode = "RGBA" if image.mode == "RGBA" else "RGB"
                converted = ImageCms.profileToProfile(image, source, _srgb_profile(), outputMode=mode)
                if converted is not None:
                    image = converted.convert("L") if image.mode == "L" else converted
        except Exception:  # a broken profile, or one for other pixels: ignored, as most viewers do
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


@cache
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _flatten(image: Image.Image) -> Image.Image:
    """Return an RGBA image on a white ground as RGB; other modes are returned as they are."""
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


# --- encoding


def encode_image(
    opened: OpenedImage, *, max_side_px: int, format: str | None = None, max_bytes: int = MAX_SENT_BYTES
) -> tuple[bytes, SentImage]:
    """Turn, shrink, convert and encode one image.

    Args:
        opened: the image.
        max_side_px: the longer side of what is sent, at most.
        format: `"PNG"`, `"JPEG"`, `"WEBP"`, or None: PNG for drawings, the source's own or JPEG for photos.
        max_bytes: of the file that is sent.

    Returns:
        The file, and what a reader is told of it.

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
        image = _shrink(_to_8bit(source, notes), max_side_px)
        image = image.copy() if image is source else image
        # One of the reader's own may have been turned by hand, which leaves its EXIF as it was: the notebook shows it
        # without a look at that.
        if opened.exclusive and _turn_upright(image):
            before = before[::-1]
        image = _clean_alpha(_to_srgb(image))
    except ImageError as error:
        raise ImageError(f"{_sentence_subject(opened.name)} {error}.") from None
    except Exception as error:  # whatever a broken file makes a decoder raise
        cause = "it breaks off" if "truncated" in str(error) else f"its data is damaged ({type(error).__name__})"
        raise ImageError(
            f"{_sentence_subject(opened.name)} cannot be decoded: {cause}. Save it anew, or fetch it again."
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
) -> tuple[bytes, SentImage]:
    """Encode an image in at most `max_bytes`: by lower quality, then another format, then fewer pixels."""
    notes, source_format = opened.notes, opened.image.format
    is_photo = format == "JPEG" or (format is None and source_format in ("JPEG", "MPO"))
    lossless = not is_photo and (opened.is_drawing or _is_drawing(image))
    lossy = "JPEG" if is_photo or image.mode != "RGBA" else "WEBP"
    chosen = format or ("WEBP" if source_format == "WEBP" else "PNG" if lossless else lossy)
    if chosen == "JPEG" and image.mode == "RGBA":
        image = _flatten(image)
        notes.append("transparency on white")
    lossless = lossless or chosen == "PNG"
    while True:
        for quality in (None,) if lossless else _QUALITIES:
            data = _save(image, chosen, quality)
            if len(data) <= max_bytes:
                if quality not in (None, _QUALITY):
                    notes.append(f"{chosen} quality {quality}, to stay below {max_bytes / 1e6:.1f} MB")
                return data, SentImage(
                    name=opened.name,
                    original_size=before,
                    size=image.size,
                    format=chosen,
                    n_bytes=len(data),
                    notes=tuple(notes),
                    thumbnail=_thumbnail(image),
                )
        if lossless and format != "PNG":  # a drawing that is too rich to be kept without loss
            chosen = format or lossy
            lossless = False
            continue
        # At once to about what fits, by the bytes of a pixel: each try costs an encoding.
        factor = min(_MAX_SHRINK, 0.95 * (max_bytes / len(data)) ** 0.5)
        size = (round(image.width * factor), round(image.height * factor))
        if min(size) < 1 or max(size) < _MIN_SIDE_PX:
            raise ImageError(
                f"{_sentence_subject(opened.name)} does not fit into {max_bytes:,} bytes as {chosen}: "
                "allow another format."
            )
        image = image.resize(size, Image.Resampling.LANCZOS)
        note = f"made smaller, to stay below {max_bytes / 1e6:.1f} MB"
        if note not in notes:
            notes.append(note)


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
    png, jpeg = len(_save(sample, "PNG", None)), len(_save(_flatten(sample), "JPEG", _QUALITY))
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
    _flatten(_shrink(image, _THUMBNAIL_PX)).save(out, "WEBP", quality=70, method=2)
    return out.getvalue()
