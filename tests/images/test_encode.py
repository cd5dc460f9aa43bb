"""The file that is sent: its format, its size, and what is done to stay below the limits."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from samples import BLUE, decode_part, file, near, photo, quarters

from amber_nb import ImageError, image_part
from amber_nb.images.codec import MAX_SENT_BYTES, OpenedImage, encode_image
from amber_nb.images.part import estimate_tokens


def drawing(size=(1_200, 800)):
    """Lines, text and flat colour, as in a plot."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for step in range(0, size[0], 40):
        draw.line((step, 0, size[0] - step, size[1]), fill=(step % 255, 80, 160), width=2)
        draw.text((step, step % size[1]), f"{step} units", fill="black")
    return image


def send(image, **options):
    part = image_part(image, **options)
    return part.sent, decode_part(part)


def test_a_drawing_is_kept_without_loss_and_a_photo_is_not():
    info, image = send(drawing())
    assert info.format == "PNG"
    assert np.array_equal(np.asarray(image), np.asarray(drawing()))
    assert send(photo((1_200, 800)))[0].format == "JPEG"
    assert send(file(photo((1_200, 800)), "PNG"))[0].format == "JPEG"
    assert send(np.asarray(photo((1_200, 800))))[0].format == "JPEG"


def test_a_drawing_with_one_photo_in_it_is_judged_by_all_of_it():
    page = drawing((1_600, 1_600))
    page.paste(photo((1_600, 1_200)), (0, 0))
    assert send(page)[0].format == "JPEG"


def test_a_webp_stays_one_as_exact_as_it_was():
    info, image = send(file(drawing(), "WEBP", lossless=True))
    assert info.format == "WEBP"
    assert np.array_equal(np.asarray(image), np.asarray(drawing()))
    info, _ = send(file(photo((1_200, 800)), "WEBP"))
    assert (info.format, info.n_bytes < 300_000) == ("WEBP", True)


def test_a_photo_with_transparency_becomes_webp_and_keeps_it():
    image = photo((600, 400)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    info, result = send(image)
    assert (info.format, result.mode) == ("WEBP", "RGBA")
    assert abs(result.getpixel((10, 200))[3] - image.getpixel((10, 200))[3]) < 8


def test_transparency_is_white_where_a_format_has_none():
    image = Image.new("RGBA", (64, 64), (*BLUE, 0))
    image.paste((*BLUE, 128), (0, 0, 64, 32))
    info, result = send(image, format="jpg")
    assert (info.format, result.mode, info.notes) == ("JPEG", "RGB", ("transparency on white",))
    assert near(result.getpixel((32, 60)), (255, 255, 255))
    assert near(result.getpixel((32, 4)), (145, 170, 235))
    info, result = send(image)
    assert (info.format, result.mode) == ("PNG", "RGBA")


def test_a_shrunk_edge_of_transparency_has_no_dark_fringe():
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 201, 400))
    _, result = send(image, max_side_px=100)
    edge = [result.getpixel((x, 50)) for x in range(47, 54)]
    assert any(0 < pixel[3] < 255 for pixel in edge)
    assert all(pixel[0] > 240 for pixel in edge if pixel[3] > 0)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "PNG", ".jpg"])
def test_a_format_may_be_named(format):
    info, image = send(photo((100, 80)), format=format)
    assert info.format == image.format == {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WEBP", ".JPG": "JPEG"}[format.upper()]


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_a_wrong_parameter_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        image_part(quarters(), **options)


def encode_within(image, max_bytes, format=None, max_side_px=2048):
    return encode_image(
        OpenedImage(image, "it", exclusive=True), max_side_px=max_side_px, format=format, max_bytes=max_bytes
    )


def test_quality_goes_down_before_pixels_do():
    image = photo((800, 600))
    _, whole = encode_within(image, 10_000_000)
    assert whole.notes == ()
    data, less = encode_within(image, whole.n_bytes * 2 // 3)
    assert less.size == (800, 600)
    assert len(data) == less.n_bytes <= whole.n_bytes * 2 // 3
    assert less.notes[0].startswith("JPEG quality ")
    _, tiny = encode_within(image, 8_000)
    assert tiny.n_bytes <= 8_000
    assert tiny.size < (800, 600)
    assert tiny.original_size == (800, 600)
    assert "made smaller, to stay below 0.0 MB" in tiny.notes


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_named_format_is_kept_whatever_the_limit(format):
    data, result = encode_within(photo((800, 600)), 30_000, format)
    assert (result.format, len(data) <= 30_000) == (format, True)
    assert Image.open(io.BytesIO(data)).format == format


def test_a_drawing_too_rich_for_png_becomes_jpeg():
    def plot(max_bytes):
        return encode_image(
            OpenedImage(photo((900, 900)), "plot", exclusive=True, is_drawing=True),
            max_side_px=2048,
            max_bytes=max_bytes,
        )[1]

    whole = plot(10_000_000)
    assert (whole.format, whole.notes) == ("PNG", ())
    result = plot(whole.n_bytes - 1)
    assert (result.format, result.size) == ("JPEG", (900, 900))
    assert result.n_bytes < whole.n_bytes


def test_an_impossible_limit_is_told():
    with pytest.raises(ImageError, match="it does not fit into 100 bytes as PNG"):
        encode_within(photo((400, 300)), 100, "PNG")


def test_the_limit_holds_for_the_largest_noise():
    noise = np.random.default_rng(0).integers(0, 256, (2_048, 2_048, 3), dtype="uint8")
    info, _ = send(noise)
    assert info.n_bytes <= MAX_SENT_BYTES
    assert info.size == (2_048, 2_048)


@pytest.mark.parametrize(
    ("before", "after"),
    [((4_000, 3_000), (2_048, 1_536)), ((3_000, 4_000), (1_536, 2_048)), ((2_048, 10), (2_048, 10)),
     ((5_000, 1), (2_048, 1)), ((2_049, 2_049), (2_048, 2_048))],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:amber. image .* so long and narrow:RuntimeWarning")
def test_the_longer_side_fits(before, after):
    info, image = send(Image.new("L", before, 200))
    assert (info.original_size, info.size, image.size) == (before, after, after)


def test_tokens_are_estimated_by_patches():
    assert estimate_tokens((1_024, 1_024)) == 1_229
    assert estimate_tokens((256, 256)) == 77
    assert estimate_tokens((33, 1)) == 3
    assert estimate_tokens((2_048, 2_048)) == 3_000
    assert estimate_tokens((2_048, 2_048), "original") == 4_916
    assert estimate_tokens((2_048, 2_048), "low") == 308
