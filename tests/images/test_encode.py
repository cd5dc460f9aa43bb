"""The file that is sent: its format, its size, and what is done to stay below the limits."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from samples import BLUE, file, near, opened, photo, quarters

from amber_nb import ImageError, image_part
from amber_nb.images.decode import open_image
from amber_nb.images.encode import MAX_SENT_BYTES, encode_image
from amber_nb.images.part import estimate_tokens


def drawing(size=(1_200, 800)):
    """Lines, text and flat colour, as in a plot."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for step in range(0, size[0], 40):
        draw.line((step, 0, size[0] - step, size[1]), fill=(step % 255, 80, 160), width=2)
        draw.text((step, step % size[1]), f"{step} units", fill="black")
    return image


def sent(image, **options):
    part = image_part(image, **options)
    return part.sent, opened(part)


def test_a_drawing_is_kept_without_loss_and_a_photo_is_not():
    told, image = sent(drawing())
    assert told.format == "PNG"
    assert np.array_equal(np.asarray(image), np.asarray(drawing()))
    assert sent(photo((1_200, 800)))[0].format == "JPEG"
    assert sent(file(photo((1_200, 800)), "PNG"))[0].format == "JPEG"
    assert sent(np.asarray(photo((1_200, 800))))[0].format == "JPEG"


def test_a_drawing_with_one_photo_in_it_is_judged_by_all_of_it():
    page = drawing((1_600, 1_600))
    page.paste(photo((1_600, 1_200)), (0, 0))
    assert sent(page)[0].format == "JPEG"


def test_a_webp_stays_one_as_exact_as_it_was():
    told, image = sent(file(drawing(), "WEBP", lossless=True))
    assert told.format == "WEBP"
    assert np.array_equal(np.asarray(image), np.asarray(drawing()))
    told, _ = sent(file(photo((1_200, 800)), "WEBP"))
    assert (told.format, told.n_bytes < 300_000) == ("WEBP", True)


def test_a_photo_with_transparency_becomes_webp_and_keeps_it():
    image = photo((600, 400)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    told, found = sent(image)
    assert (told.format, found.mode) == ("WEBP", "RGBA")
    assert abs(found.getpixel((10, 200))[3] - image.getpixel((10, 200))[3]) < 8


def test_transparency_is_white_where_a_format_has_none():
    image = Image.new("RGBA", (64, 64), (*BLUE, 0))
    image.paste((*BLUE, 128), (0, 0, 64, 32))
    told, found = sent(image, format="jpg")
    assert (told.format, found.mode, told.notes) == ("JPEG", "RGB", ("transparency on white",))
    assert near(found.getpixel((32, 60)), (255, 255, 255))
    assert near(found.getpixel((32, 4)), (145, 170, 235))
    told, found = sent(image)
    assert (told.format, found.mode) == ("PNG", "RGBA")


def test_a_shrunk_edge_of_transparency_has_no_dark_fringe():
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 201, 400))
    _, found = sent(image, max_side_px=100)
    edge = [found.getpixel((x, 50)) for x in range(47, 54)]
    assert any(0 < pixel[3] < 255 for pixel in edge)
    assert all(pixel[0] > 240 for pixel in edge if pixel[3] > 0)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "PNG", ".jpg"])
def test_a_format_may_be_named(format):
    told, image = sent(photo((100, 80)), format=format)
    assert told.format == image.format == {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WEBP", ".JPG": "JPEG"}[format.upper()]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "gif"}, "png, jpeg or webp"),
        ({"format": 3}, "png, jpeg or webp"),
        ({"detail": "ultra"}, "auto, low, high, original"),
        ({"max_side_px": 0}, "1 to 16,000"),
        ({"max_side_px": True}, "1 to 16,000"),
        ({"max_side_px": 99_999}, "1 to 16,000"),
        ({"max_side_px": 512.0}, "whole number"),
    ],
)
def test_a_wrong_parameter_is_named(options, said):
    with pytest.raises(ValueError, match=said):
        image_part(quarters(), **options)


def fitted(image, max_bytes, format=None, max_side_px=2048):
    return encode_image(
        open_image(image, "it", exclusive=True), max_side_px=max_side_px, format=format, max_bytes=max_bytes
    )


def test_quality_goes_down_before_pixels_do():
    image = photo((800, 600))
    whole = fitted(image, 10_000_000)
    assert whole.notes == ()
    less = fitted(image, len(whole.data) * 2 // 3)
    assert less.after == (800, 600)
    assert len(less.data) <= len(whole.data) * 2 // 3
    assert less.notes[0].startswith("JPEG quality ")
    tiny = fitted(image, 8_000)
    assert len(tiny.data) <= 8_000
    assert tiny.after < (800, 600)
    assert tiny.before == (800, 600)
    assert "made smaller, to stay below 0.0 MB" in tiny.notes


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_named_format_is_kept_whatever_the_limit(format):
    found = fitted(photo((800, 600)), 30_000, format)
    assert (found.format, len(found.data) <= 30_000) == (format, True)
    assert Image.open(io.BytesIO(found.data)).format == format


def test_a_drawing_too_rich_for_png_becomes_jpeg():
    def plot(max_bytes):
        return encode_image(
            open_image(photo((900, 900)), "plot", exclusive=True, is_drawing=True),
            max_side_px=2048,
            max_bytes=max_bytes,
        )

    whole = plot(10_000_000)
    assert (whole.format, whole.notes) == ("PNG", ())
    found = plot(len(whole.data) - 1)
    assert (found.format, found.after) == ("JPEG", (900, 900))
    assert len(found.data) < len(whole.data)


def test_an_impossible_limit_is_told():
    with pytest.raises(ImageError, match="it does not fit into 100 bytes as PNG"):
        fitted(photo((400, 300)), 100, "PNG")


def test_the_limit_holds_for_the_largest_noise():
    noise = np.random.default_rng(0).integers(0, 256, (2_048, 2_048, 3), dtype="uint8")
    told, _ = sent(noise)
    assert told.n_bytes <= MAX_SENT_BYTES
    assert told.after == (2_048, 2_048)


@pytest.mark.parametrize(
    ("before", "after"),
    [((4_000, 3_000), (2_048, 1_536)), ((3_000, 4_000), (1_536, 2_048)), ((2_048, 10), (2_048, 10)),
     ((5_000, 1), (2_048, 1)), ((2_049, 2_049), (2_048, 2_048))],
)  # fmt: skip
def test_the_longer_side_fits(before, after):
    told, image = sent(Image.new("L", before, 200))
    assert (told.before, told.after, image.size) == (before, after, after)


def test_tokens_are_estimated_by_patches():
    assert estimate_tokens((1_024, 1_024)) == 1_229
    assert estimate_tokens((256, 256)) == 77
    assert estimate_tokens((33, 1)) == 3
    assert estimate_tokens((2_048, 2_048)) == 3_000
    assert estimate_tokens((2_048, 2_048), "original") == 4_916
    assert estimate_tokens((2_048, 2_048), "low") == 308
