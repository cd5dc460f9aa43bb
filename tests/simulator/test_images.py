"""Images are described by format, pixels and colour, and never fetched; anything else is refused."""

import base64
import io
import struct
import zlib

import pytest
from PIL import Image

from amber_nb.simulator.api import ApiError, read_images


def data_url(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def message(*urls, text="What is this?"):
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]


@pytest.mark.parametrize(
    ("mode", "fill", "kind", "colour"),
    [
        ("RGB", (70, 130, 180), "PNG", "blue"),
        ("RGB", (255, 191, 0), "JPEG", "orange"),
        ("RGB", (20, 140, 50), "WEBP", "green"),
        ("P", 0, "GIF", "black"),
        ("L", 250, "PNG", "white"),
        ("LA", (0, 0), "PNG", "white"),
        ("RGBA", (225, 30, 35, 255), "PNG", "red"),
        ("CMYK", (0, 0, 0, 255), "JPEG", "black"),
        ("I;16", 65535, "PNG", "white"),
        ("1", 1, "PNG", "white"),
    ],
)
def test_an_image_is_described(mode, fill, kind, colour):
    url = data_url(Image.new(mode, (40, 30), fill), kind)
    assert read_images([(url, "")])[0].startswith(f"{kind}, 40 × 30 pixels, mostly {colour} (`#")


def test_the_reply_describes_every_image(say):
    steel = data_url(Image.new("RGB", (64, 48), (70, 130, 180)))
    text = say(message(steel, "https://example.com/a/b.png?key=1"))["content"]
    assert "PNG, 64 × 48 pixels, mostly blue (`#4682b4`)" in text
    assert "a link to `example.com`; the simulator fetches nothing" in text
    assert "key=1" not in text


def test_the_dominant_colour_is_that_of_most_pixels():
    image = Image.new("RGB", (100, 100), (35, 85, 215))
    image.paste((225, 30, 35), (0, 0, 100, 40))
    assert "mostly blue" in read_images([(data_url(image), "")])[0]


def bomb():
    """A PNG of 60,000 × 60,000 pixels in a few bytes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + head
        + struct.pack(">I", zlib.crc32(head))
        + b"\0\0\0\0IDAT\0\0\0\0"
    )


def encoded(data, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


CUT = base64.b64decode(data_url(Image.effect_noise((90, 90), 50)).partition(",")[2])[:900]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (encoded(b"not an image"), "invalid_image_format"),
        (encoded(b""), "invalid_image_format"),
        (encoded(CUT), "invalid_image_format"),
        (encoded(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg+xml"), "invalid_image_format"),
        (data_url(Image.new("RGB", (5, 5)), "BMP"), "invalid_image_format"),
        ("data:image/png;base64,@@@", "invalid_base64"),
        ("data:image/png;base64,é", "invalid_base64"),
        ("data:image/png,raw", "invalid_value"),
        (encoded(bomb()), "image_too_large"),
        ("ftp://example.com/a.png", "invalid_value"),
        ("file:///etc/passwd", "invalid_value"),
        ("http://", "invalid_value"),
        ("http://[::1", "invalid_value"),
        ("httpx://example.com", "invalid_value"),
        ("", "invalid_value"),
    ],
)
def test_what_is_no_image_is_refused(post, url, code):
    status, reply = post(message(url))
    assert (status, reply["error"]["code"]) == (400, code)
    assert reply["error"]["param"] == "messages.[0].content.[1].image_url"


def test_the_pixels_of_all_images_are_counted_together():
    url = data_url(Image.new("1", (5_000, 5_000)))
    assert len(read_images([(url, "")] * 2)) == 2
    with pytest.raises(ApiError, match="too many pixels"):
        read_images([(url, "")] * 3)
