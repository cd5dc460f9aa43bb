"""The README's picture: an answer while it is written. Each run makes it anew, among the artefacts.

Committed is what `AMBER_ARTEFACTS=.pictures pytest tests/browser/test_picture.py` leaves there.
"""

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
ASK = 'from amber_nb import Amber\n\namber = Amber()\nanswer = amber.ask("Write 400 words about wind and weather.")'


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_of_the_readme(notebook, artefacts, theme):
    book = notebook(
        [ASK], theme=f"JupyterLab {theme.title()}", viewport={"width": 980, "height": 1400}, device_scale_factor=1.5
    )
    book.page.keyboard.press("Control+b")  # the file browser away
    book.run()
    text = book.output().get_by_role("log")
    expect(text.locator("pre")).to_be_visible(timeout=60_000)
    expect(text.locator("p").last).to_contain_text(re.compile(r"(\w+\W+){6}"), timeout=20_000)
    path = artefacts / f"streaming-{theme}.png"
    for _ in range(20):  # until the text has not grown by a line while the picture was taken
        box = book.cell(0).bounding_box()
        clip = {"x": box["x"] + 60, "y": box["y"] - 8, "width": box["width"] - 70, "height": box["height"] + 16}
        book.page.screenshot(path=path, clip=clip)
        if book.cell(0).bounding_box() == box:
            break
    else:
        pytest.fail("the text grew under every picture")
    assert box["height"] > 400
    with Image.open(path) as picture:  # text needs few colours: a third of the size
        picture.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < 250_000
    expect(book.output().get_by_role("button", name="Stop this answer")).to_be_visible()
    book.output().get_by_role("button", name="Stop this answer").click()
    book.finished()


def test_the_readme_shows_it():
    named = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(named) == 2
    for name in named:
        with Image.open(ROOT / name) as picture:
            assert picture.width > 800
