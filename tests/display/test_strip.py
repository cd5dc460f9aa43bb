"""The strip of thumbnails: what is told of each image, safe whatever a file is called."""

import base64
from dataclasses import replace

import pytest
from allowed import read

from amber_nb.display.cards import MAX_THUMBNAILS, image_facts, strip_html, strip_items, strip_text
from amber_nb.types import SentImage

PHOTO = SentImage(
    name="photo.jpg",
    original_size=(4_000, 3_000),
    size=(2_048, 1_536),
    format="JPEG",
    n_bytes=412_345,
    tokens=3_000,
    notes=("first frame of an animation",),
    thumbnail=b"RIFF",
)
LINK = SentImage(name="team.jpg (ambersearch.de)")
HOSTILE = ["<script>alert(1)</script>.png", '" onerror="x', "$x$ \\(y\\).png", "a\u202egnp.exe", "a\x1b[2Jb", "\ud800"]


def test_what_is_told():
    assert image_facts(PHOTO) == (
        "4000 × 3000 → 2048 × 1536",
        "JPEG · 412 kB · ≈ 3,000 tokens",
        "first frame of an animation",
    )
    assert image_facts(LINK) == ("a link: the gateway fetches it",)
    small = SentImage(name="a", original_size=(2, 1), size=(2, 1), format="PNG", n_bytes=70)
    assert image_facts(small) == ("2 × 1", "PNG · 1 kB")
    large = SentImage(name="a", original_size=(2, 1), size=(2, 1), format="PNG", n_bytes=2_345_678)
    assert image_facts(large)[1] == "PNG · 2.3 MB"


def test_a_thumbnail_is_a_picture_in_the_file():
    html = strip_html([PHOTO, LINK])
    assert read(html, images=True).links == []
    assert html.count("<img") == 1
    assert f'src="data:image/webp;base64,{base64.b64encode(b"RIFF").decode()}"' in html
    assert "photo.jpg" in html
    assert "https" not in html
    assert strip_html([]) == ""


def test_several_images_are_numbered():
    assert [name for name, *_ in strip_items([PHOTO, LINK])] == ["1 of 2 · photo.jpg", f"2 of 2 · {LINK.name}"]
    assert "2 of 2 · team.jpg" in strip_html([PHOTO, LINK])
    assert strip_items([PHOTO])[0][0] == "photo.jpg"


def test_an_image_without_a_thumbnail_is_told_all_the_same():
    html = strip_html([replace(PHOTO, thumbnail=b""), LINK])
    assert "<img" not in html
    assert "base64" not in html
    assert "412 kB" in html


def test_twelve_are_shown_and_the_others_counted():
    html = strip_html([PHOTO] * 15)
    assert html.count("<img") == MAX_THUMBNAILS == 12
    assert "and 3 more" in html
    assert "more" not in strip_html([PHOTO] * 12)
    assert strip_text([PHOTO] * 15).splitlines()[-1] == "and 3 more"
    assert len(strip_text([PHOTO] * 15).splitlines()) == 13


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_only_a_name(name):
    image = SentImage(
        name=name, notes=(name,), original_size=(1, 1), size=(1, 1), format="PNG", n_bytes=9, thumbnail=b"x"
    )
    html = strip_html([image])
    assert read(html, images=True).typeset == []
    text = strip_text([image])
    assert len(text.splitlines()) == 1
    assert not any(sign in text for sign in ("\u202e", "\x1b", "\ud800"))


def test_a_long_name_is_cut():
    html = strip_html([SentImage(name="x" * 5_000, notes=("y" * 5_000,), original_size=(1, 1), size=(1, 1))])
    assert len(html) < 2_000
