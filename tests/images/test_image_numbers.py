"""Numbers of other depths than 8 bits, extreme shapes, and images of Pillow's as a notebook shows them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from samples import decode_part, file, near, quarters

from amber_nb import image_part
from amber_nb.images.part import collect_images

RAMP = np.linspace(0, 1, 48).reshape(6, 8)


def ramp(highest, dtype="uint16"):
    return np.rint(RAMP * highest).astype(dtype)


@pytest.mark.parametrize(
    ("highest", "note"),
    [
        (255, "taken as 8-bit: no value is above 255"),
        (200, "taken as 8-bit: no value is above 200"),
        (1_023, "taken as 10-bit: no value is above 1,023"),
        (4_095, "taken as 12-bit: no value is above 4,095"),
        (3_700, "taken as 12-bit: no value is above 3,700"),
        (2_049, "taken as 12-bit: no value is above 2,049"),
        (4_096, "taken as 14-bit: no value is above 4,096"),
        (16_383, "taken as 14-bit: no value is above 16,383"),
        (16_384, "16-bit as 8-bit"),
        (65_535, "16-bit as 8-bit"),
    ],
)
@pytest.mark.parametrize("form", ["array", "RGB", "big-endian", "PIL", "PIL I", "PNG", "TIFF"])
def test_the_depth_that_is_used_is_the_range(highest, note, form):
    numbers = ramp(highest)
    source = {
        "array": lambda: numbers,
        "RGB": lambda: np.dstack([numbers] * 3),
        "big-endian": lambda: numbers.astype(">u2"),
        "PIL": lambda: Image.fromarray(numbers),
        "PIL I": lambda: Image.fromarray(numbers.astype("int32")),
        "PNG": lambda: file(Image.fromarray(numbers), "PNG"),
        "TIFF": lambda: file(Image.fromarray(numbers), "TIFF"),
    }[form]()
    part = image_part(source)
    white = next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if highest < 2**bits)
    grey = np.asarray(decode_part(part).convert("L"), dtype=float)
    assert np.abs(grey - numbers / white * 255).max() <= 1
    assert grey.max() > 60  # it can be seen
    assert part.sent.notes == (() if form == "PIL I" and highest <= 255 else (note,))


@pytest.mark.parametrize(
    ("numbers", "notes"),
    [
        (np.zeros((6, 8), "uint16"), ("16-bit as 8-bit",)),
        (np.ones((6, 8), "uint8"), ("nearly black: no value is above 1 of 255",)),
        (ramp(3, "uint8"), ("nearly black: no value is above 3 of 255",)),
        (ramp(16, "uint8"), ()),
        (np.zeros((6, 8), "uint8"), ()),
        (np.ones((6, 8), bool), ()),
        (ramp(1, "float64"), ()),
    ],
)
def test_what_is_nearly_black_is_told(numbers, notes):
    assert image_part(numbers).sent.notes == notes


NARROW = "so long and narrow that a model sees little of it"


@pytest.mark.parametrize(
    "size",
    [(4_000, 1), (1, 4_000), (20_000, 10), (10, 20_000), (200, 10), (3_000, 150), (1_200, 20_000), (9_000, 900)],
)
@pytest.mark.parametrize("form", ["PIL", "array", "file"])
def test_an_extreme_shape_is_told(size, form):
    image = Image.new("L", size, 200)
    source = {"PIL": lambda: image, "array": lambda: np.asarray(image), "file": lambda: file(image, "PNG")}[form]()
    with pytest.warns(RuntimeWarning, match=f"{size[0]:,} × {size[1]:,} pixels. is {NARROW}: cut it") as caught:
        part = image_part(source, max_side_px=2_000)
    assert [warning.filename for warning in caught] == [__file__]  # at the reader's own line
    assert any(NARROW in note for note in part.sent.notes)
    assert image_part(part) is part  # and is not told again
    assert "cut it into pieces" in part._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("size", [(100, 1), (199, 5), (3_000, 200), (4_000, 3_000), (2_000, 400), (1, 1), (150, 2_000)])
def test_a_usual_shape_is_not(size):
    assert image_part(Image.new("L", size, 200)).sent.notes == ()


def oriented(image, value, kind="JPEG"):
    exif = Image.Exif()
    exif[0x0112] = value
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    return file(image, kind, exif=exif, **options)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_of_pillows_is_sent_as_the_notebook_shows_it(value, kind):
    stored = oriented(quarters(), value, kind)
    image = Image.open(io.BytesIO(stored))
    shown = Image.open(io.BytesIO(image._repr_png_())).convert("RGB")
    part = image_part(image)
    assert near_image(decode_part(part), shown)
    assert part.sent.original_size == part.sent.size == shown.size
    is_told = any("ImageOps.exif_transpose(image) turns it" in note for note in part.sent.notes)
    assert is_told == (value > 1)
    turned = ImageOps.exif_transpose(image)
    for upright in (turned, stored):  # a file is turned, as viewers do
        part = image_part(upright)
        assert near_image(decode_part(part), turned)
        assert part.sent.notes == ()


TURNS = {
    "rotated by hand": lambda image: image.rotate(-90, expand=True),
    "transposed": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "copied": lambda image: image.copy(),
    "cropped": lambda image: image.crop((0, 0, 60, 40)),
    "resized": lambda image: image.resize((48, 32)),
    "converted": lambda image: image.convert("L"),
    "mirrored": ImageOps.mirror,
}


@pytest.mark.parametrize("how", TURNS)
def test_what_was_turned_by_hand_is_not_turned_again(how):
    """The copy keeps the EXIF of the file, which is no longer true."""
    image = TURNS[how](Image.open(io.BytesIO(oriented(quarters(), 6))))
    part = image_part(image)
    shown = Image.open(io.BytesIO(image._repr_png_()))
    assert near_image(decode_part(part), shown)
    assert part.sent.notes == ()


def near_image(first, second):
    if first.size != second.size:
        return False
    a, b = (np.asarray(image.convert("RGB"), dtype=float) for image in (first, second))
    return bool(np.abs(a - b).mean() < 6)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F"],
)
def test_every_mode_of_pillows(mode):
    grey = mode in ("1", "L", "LA", "La", "I", "I;16", "F")
    colour = (200,) * 3 if grey else (200, 40, 60)
    image = Image.new("RGB", (40, 30), colour)
    if mode == "LAB":
        profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    elif mode == "I;16":
        image = Image.fromarray(np.full((30, 40), 200 * 257, "uint16"))
    elif mode == "F":
        image = Image.fromarray(np.full((30, 40), 200 / 255, "float32"))
    elif mode in ("P", "PA"):
        image = image.quantize(4).convert(mode)
    else:
        through = {"La": "LA", "RGBa": "RGBA", "I": "L", "LA": "L", "1": "L"}.get(mode, "RGB")
        image = image.convert(through).convert(mode)
    assert image.mode == mode
    result = decode_part(image_part(image)).convert("RGBA")
    assert result.size == (40, 30)
    if mode != "1":
        assert near(result.getpixel((20, 15)), (*colour, 255), 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGBa", "La"])
def test_what_is_transparent_stays_so(mode):
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (0, 0, 30, 40))
    source = image.quantize(8, method=Image.Quantize.FASTOCTREE) if mode == "P" else image
    source = source.convert({"La": "LA"}.get(mode, mode)).convert(mode)
    result = decode_part(image_part(source)).convert("RGBA")
    assert result.getpixel((45, 20))[3] == 0
    assert near(result.getpixel((15, 20)), (200, 200, 200, 255), 6)


def test_the_readers_line_is_told_of_a_question_too(simulated):
    with pytest.warns(RuntimeWarning, match="so long and narrow") as caught:
        simulated.ask("What?", images=np.zeros((1, 4_000), "uint8"), show=False)
    assert [warning.filename for warning in caught] == [__file__]


def test_notes_of_several_stay_apart():
    parts = collect_images([ramp(4_000), quarters(), ramp(900)]).parts
    assert [len(part.sent.notes) for part in parts] == [1, 0, 1]
