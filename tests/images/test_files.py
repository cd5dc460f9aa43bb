"""Real files of every kind, sent to the simulator over HTTP, which tells what arrived."""

import base64
import io
import os
import random
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, features
from samples import BLUE, WHITE, Report, decode_part, file, image_reports, near, photo, quarters

from amber_nb import ImageError, image_part
from amber_nb.images import pixel_digest

SIZE = (96, 64)
AVIF = pytest.mark.skipif("avif" not in features.get_supported(), reason="this Pillow reads no AVIF")


def oriented(value):
    """A JPEG that is stored turned, and says so: upright it is `quarters()`."""
    exif = Image.Exif()
    exif[0x0112] = value
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quarters(SIZE)
    stored = image.transpose(undo[value]) if value in undo else image
    return file(stored, "JPEG", quality=95, exif=exif)


def sixteen_bit():
    grey = np.asarray(quarters(SIZE, "#b0b0b0").convert("L")).astype("uint16") * 257
    return file(Image.fromarray(grey), "PNG")


def sixteen_bit_rgb():
    """A PNG of 16 bits a channel, which Pillow reads and does not write."""
    pixels = np.asarray(quarters(SIZE)).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def float_tiff():
    return file(Image.fromarray(np.asarray(quarters(SIZE).convert("L")).astype("float32") / 255), "TIFF")


def with_hole():
    image = quarters(SIZE, (*BLUE, 255), "RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 96, 48))
    return image


def animated(kind):
    frames = [quarters(SIZE, colour) for colour in (BLUE, "red", "green")]
    return file(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def wide_gamut():
    """A file in another colour space: its red is seen as blue, and its blue as red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    name = "sRGB".encode("utf-16-be")
    assert name in profile
    return file(
        quarters(SIZE), "JPEG", quality=95, icc_profile=bytes(profile.replace(name, "BGRs".encode("utf-16-be")))
    )


def transparent_palette():
    image = quarters(SIZE).quantize(8)
    return file(image, "PNG", transparency=image.getpixel((48, 40)))


# name → the file, and what the simulator is to tell of it
FILES = {
    **{f"exif-{value}.jpg": (lambda value=value: oriented(value), Report("JPEG", SIZE, BLUE)) for value in range(1, 9)},
    "plain.png": (lambda: file(quarters(SIZE), "PNG"), Report("PNG", SIZE, BLUE)),
    "plain.jpg": (lambda: file(quarters(SIZE), "JPEG", quality=95), Report("JPEG", SIZE, BLUE)),
    "progressive.jpg": (lambda: file(quarters(SIZE), "JPEG", progressive=True), Report("JPEG", SIZE, BLUE)),
    "grey.jpg": (lambda: file(quarters(SIZE, "#b0b0b0").convert("L"), "JPEG"), Report("JPEG", SIZE, (176,) * 3)),
    "cmyk.jpg": (lambda: file(quarters(SIZE, WHITE).convert("CMYK"), "JPEG"), Report("JPEG", SIZE, WHITE)),
    "cmyk.tif": (lambda: file(quarters(SIZE).convert("CMYK"), "TIFF"), Report("PNG", SIZE, BLUE)),
    "16-bit.png": (sixteen_bit, Report("PNG", SIZE, (176,) * 3)),
    "16-bit-rgb.png": (sixteen_bit_rgb, Report("PNG", SIZE, BLUE)),
    "float.tif": (float_tiff, Report("PNG", SIZE, (85,) * 3)),
    "palette.png": (lambda: file(quarters(SIZE).quantize(8), "PNG"), Report("PNG", SIZE, BLUE)),
    "palette-alpha.png": (transparent_palette, Report("PNG", SIZE, WHITE)),
    "bilevel.png": (lambda: file(quarters(SIZE, "white").convert("1"), "PNG"), Report("PNG", SIZE, WHITE)),
    "alpha.png": (lambda: file(with_hole(), "PNG"), Report("PNG", SIZE, WHITE)),
    "grey-alpha.png": (lambda: file(with_hole().convert("LA"), "PNG"), Report("PNG", SIZE, WHITE)),
    "opaque-alpha.png": (lambda: file(quarters(SIZE, (*BLUE, 255), "RGBA"), "PNG"), Report("PNG", SIZE, BLUE)),
    "interlaced.gif": (lambda: file(quarters(SIZE), "GIF", interlace=1), Report("PNG", SIZE, BLUE)),
    "animated.gif": (lambda: animated("GIF"), Report("PNG", SIZE, BLUE)),
    "animated.png": (lambda: animated("PNG"), Report("PNG", SIZE, BLUE)),
    "lossy.webp": (lambda: file(quarters(SIZE), "WEBP", quality=90), Report("WEBP", SIZE, BLUE)),
    "lossless.webp": (lambda: file(quarters(SIZE), "WEBP", lossless=True), Report("WEBP", SIZE, BLUE)),
    "alpha.webp": (lambda: file(with_hole(), "WEBP", lossless=True), Report("WEBP", SIZE, WHITE)),
    "animated.webp": (lambda: animated("WEBP"), Report("WEBP", SIZE, BLUE)),
    "pages.tif": (lambda: animated("TIFF"), Report("PNG", SIZE, BLUE)),
    "plain.bmp": (lambda: file(quarters(SIZE), "BMP"), Report("PNG", SIZE, BLUE)),
    "plain.jp2": (lambda: file(quarters(SIZE), "JPEG2000"), Report("PNG", SIZE, BLUE)),
    "plain.ppm": (lambda: file(quarters(SIZE), "PPM"), Report("PNG", SIZE, BLUE)),
    "plain.ico": (lambda: file(quarters((64, 64)), "ICO", sizes=[(64, 64)]), Report("PNG", (64, 64), BLUE)),
    "wide.png": (lambda: file(quarters((3_000, 300)), "PNG"), Report("PNG", (2_048, 205), BLUE)),
    "large.jpg": (lambda: file(quarters((4_000, 3_000)), "JPEG"), Report("JPEG", (2_048, 1_536), BLUE)),
    "two-pixels.png": (lambda: file(Image.new("RGB", (2, 1), BLUE), "PNG"), Report("PNG", (2, 1), BLUE)),
    "misnamed.txt": (lambda: file(quarters(SIZE), "PNG"), Report("PNG", SIZE, BLUE)),
    "mpo.jpg": (lambda: file(quarters(SIZE), "MPO", save_all=True, append_images=[quarters(SIZE)]),
                Report("JPEG", SIZE, BLUE)),
    "plain.avif": pytest.param(
        "plain.avif", lambda: file(quarters(SIZE), "AVIF", quality=95), Report("PNG", SIZE, BLUE), marks=AVIF
    ),
}  # fmt: skip
ROWS = [row if hasattr(row, "marks") else pytest.param(name, *row, id=name) for name, row in FILES.items()]


@pytest.mark.parametrize(("name", "make", "expected"), ROWS)
def test_a_file_arrives(amber, tmp_path, name, make, expected):
    path = tmp_path / name
    path.write_bytes(make())
    answer = amber.ask("What is it?", images=path)
    assert (len(image_reports(answer.text)), answer._images[0].name) == (1, name)
    (result,) = image_reports(answer.text)
    assert (result.format, result.size) == (expected.format, expected.size)
    assert near(result.colour, expected.colour, most=14 if "avif" in name or "cmyk" in name else 8), result


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("max_side_px", [2048, 48])
def test_it_is_turned_upright(value, max_side_px):
    part = image_part(oriented(value), max_side_px=max_side_px)
    whole = quarters(SIZE)
    expected = whole if max_side_px > 96 else whole.resize((48, 32), Image.Resampling.LANCZOS)
    result = decode_part(part).convert("RGB")
    assert result.size == expected.size == part.sent.size
    assert part.sent.original_size == SIZE
    difference = np.abs(np.asarray(result, dtype="int16") - np.asarray(expected, dtype="int16"))
    assert difference.mean() < 6


def test_a_png_and_a_webp_are_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = quarters(SIZE).transpose(Image.Transpose.ROTATE_90)
    for kind in ("PNG", "WEBP", "TIFF"):
        part = image_part(file(stored, kind, exif=exif))
        assert (part.sent.original_size, part.sent.size) == (SIZE, SIZE), kind
        assert near(decode_part(part).convert("RGB").getpixel((3, 3)), (220, 30, 30), 20), kind


def test_what_was_done_is_told():
    def notes(data, **options):
        return image_part(data, **options).sent.notes

    assert notes(file(quarters(), "PNG")) == ()
    assert notes(animated("GIF")) == notes(animated("WEBP")) == ("first frame of an animation",)
    assert notes(animated("TIFF")) == ("first page of several",)
    assert notes(FILES["mpo.jpg"][0]()) == ()  # a phone's second picture is no animation
    assert notes(sixteen_bit()) == ("16-bit as 8-bit",)
    assert notes(float_tiff()) == ()  # 0..1, as an array
    values = np.array([[-3.0, 5.0]], dtype="float32")
    assert notes(file(Image.fromarray(values), "TIFF")) == ("grey from -3 (black) to 5 (white)",)
    assert notes(file(with_hole(), "PNG"), format="jpeg") == ("transparency on white",)


def test_sixteen_bits_keep_their_brightness():
    grey = np.linspace(0, 65_535, 64, dtype="uint16").reshape(8, 8)
    result = np.asarray(decode_part(image_part(file(Image.fromarray(grey), "PNG"))).convert("L"), dtype=float)
    assert np.abs(result - grey / 257).max() <= 1


def exif_of_everything():
    exif = Image.Exif()
    exif[0x010F] = "SECRET-camera"
    exif[0x8298] = "SECRET-person"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (50.0, 46.0, 31.0)
    return exif


def all_metadata(kind):
    """A file that carries whatever its format can carry, each with the word SECRET."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET-xmp</x:xmpmeta>"
    options = {"exif": exif_of_everything(), "icc_profile": profile}
    if kind == "JPEG":
        options |= {"comment": b"SECRET-comment", "xmp": xmp}
    elif kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", "SECRET-text")
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options |= {"pnginfo": text}
    elif kind == "WEBP" or kind == "AVIF":
        options |= {"xmp": xmp}
    elif kind == "GIF":
        options = {"comment": b"SECRET-comment"}
    elif kind == "TIFF":
        options |= {"description": "SECRET-description", "artist": "SECRET-artist"}
    return file(quarters(SIZE), kind, **options) + b"SECRET-trailer"


KINDS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", pytest.param("AVIF", marks=AVIF)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", [None, "png", "jpeg", "webp"])
@pytest.mark.parametrize("wrapping", ["file", "PIL image"])
def test_no_metadata_survives(kind, format, wrapping):
    data = all_metadata(kind)
    assert data.count(b"SECRET") >= 2
    part = image_part(data if wrapping == "file" else Image.open(io.BytesIO(data)), format=format)
    image = decode_part(part)
    image.load()
    assert dict(image.getexif()) == {}
    assert image.getexif().get_ifd(0x8825) == {}
    assert image.getxmp() == {}
    assert "icc_profile" not in image.info
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background",
                               "timestamp", "duration"}  # fmt: skip
    sent = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    for whole in (sent, part.sent.thumbnail):
        assert b"SECRET" not in whole
        assert not any(mark in whole for mark in (b"Exif", b"EXIF", b"XMP", b"ICC", b"iCCP", b"tEXt", b"iTXt"))


def test_a_wide_gamut_is_brought_to_srgb():
    """What is seen stays, when the profile that says how is dropped."""
    srgb = ImageCms.createProfile("sRGB")
    data = wide_gamut()
    image = Image.open(io.BytesIO(data))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    expected = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    result = decode_part(image_part(data))
    assert near(result.getpixel((48, 40)), expected.getpixel((48, 40)))
    assert near(result.getpixel((48, 40)), BLUE[::-1], 12)


def test_a_broken_profile_is_no_reason_to_refuse():
    assert image_part(file(quarters(SIZE), "JPEG", icc_profile=b"no profile at all")).sent.size == SIZE


def test_a_digest_is_of_the_pixels_whatever_the_format():
    image = quarters(SIZE)
    digest = pixel_digest(file(image, "PNG"))
    assert digest == pixel_digest(file(image, "WEBP", lossless=True)) == pixel_digest(file(image, "BMP"))
    assert digest != pixel_digest(file(image.transpose(Image.Transpose.ROTATE_180), "PNG"))
    assert digest != pixel_digest(file(image.resize(SIZE[::-1]), "PNG"))
    assert pixel_digest(b"no image") is None
    assert pixel_digest(bomb()) is None  # more than is decoded for a digest


def bomb():
    """30,000 × 30,000 black pixels in a file of 110 kB."""
    row = zlib.compressobj(9)
    data = b"".join(row.compress(b"\0" + bytes(3_750)) for _ in range(30_000)) + row.flush()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
BAD = {
    "empty.png": (lambda: b"", "empty.png is empty: 0 bytes"),
    "notes.png": (lambda: b"Dear diary,\n" * 20, "notes.png holds text, not an image (240 bytes)"),
    "page.png": (lambda: "<!DOCTYPE html>\n<html>Größe</html>".encode(), "page.png holds text"),
    "cut.jpg": (lambda: file(photo((640, 480)), "JPEG")[:20_000], "cut.jpg cannot be decoded: it breaks off"),
    "cut.png": (lambda: file(photo((640, 480)), "PNG")[:20_000], "cut.png cannot be decoded"),
    "head.jpg": (lambda: file(photo((64, 48)), "JPEG")[:10], "head.jpg is no image that can be read"),
    "noise.gif": (lambda: b"GIF89a" + bytes(range(256)) * 4, "noise.gif"),
    "bomb.png": (bomb, "bomb.png has 900 million pixels; more than 150 million"),
    "photo.heic": (lambda: HEIC, "pillow_heif.register_heif_opener()"),
    "drawing.svg": (lambda: b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns='x'/>", "cairosvg"),
    "paper.pdf": (lambda: b"%PDF-1.7\n", "pages"),
    "figure.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    "zip.png": (lambda: b"PK\x03\x04" + bytes(100), "zip.png is no image that can be read (104 bytes)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(tmp_path, name):
    make, message = BAD[name]
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(ImageError) as caught:
        image_part(path)
    assert message in str(caught.value)
    assert str(tmp_path) not in str(caught.value)  # a path says more than a reader needs


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_bomb_is_refused_before_it_is_decoded():
    data = bomb()
    before = peak_kb()
    with pytest.raises(ImageError):
        image_part(data)
    assert peak_kb() - before < 20_000


def peak_kb():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_flipped_byte_is_refused_or_an_image():
    """Whatever is done to a file: an ImageError or a part, and nothing else."""
    random.seed(1)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        whole = bytearray(file(photo((48, 32)), kind))
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(random.randint(1, 6)):
                data[random.randrange(len(data))] = random.randrange(256)
            if random.random() < 0.3:
                del data[random.randrange(len(data)) :]
            try:
                part = image_part(bytes(data))
            except ImageError:
                continue
            assert decode_part(part).size == part.sent.size


def test_a_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(oriented(6))
    before = (path.read_bytes(), os.stat(path).st_mtime_ns)
    image_part(path)
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == before


def test_an_image_of_the_readers_own_is_left_as_it_is():
    image = Image.open(io.BytesIO(oriented(6)))
    exif = dict(image.getexif())
    image_part(image, max_side_px=20)
    assert image.size == SIZE[::-1]
    assert dict(image.getexif()) == exif
    assert ImageOps.exif_transpose(image).size == SIZE
