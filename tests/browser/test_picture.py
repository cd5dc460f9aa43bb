"""The README's pictures: an answer while it is written, a call that waits. Each run makes them anew, as artefacts.

Committed is what `AMBER_ARTEFACTS=.pictures pytest --slow tests/browser/test_picture.py` leaves there.
"""

import os
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

THEMES = ("light", "dark") if "AMBER_ARTEFACTS" in os.environ else ("light",)
ROOT = Path(__file__).parents[2]
APPROVE = '''\
from typing import Literal
from amber_nb import Amber

def book_table(place: str, people: int, day: Literal["Friday", "Saturday"], note: str = ""):
    """Book a table.

    Args:
        people: how many will come
    """
    return f"{day}: a table for {people} at {place}"

amber = Amber()
answer = amber.ask(
    "Book a table for 4 at Trattoria Roma on Saturday.",
    tools=book_table,
    require_approval=True,
)'''
ASK = 'from amber_nb import Amber\n\namber = Amber()\nanswer = amber.ask("Write 400 words about wind and weather.")'


def opened(notebook, theme, source):
    size = {"viewport": {"width": 980, "height": 1400}, "device_scale_factor": 1.5}
    # Slow enough for a picture to be taken between two lines.
    slowly = "import os\nos.environ['AMBER_SIM_CHUNKS_PER_S'] = '25'"
    book = notebook([source, slowly], theme=f"JupyterLab {theme.title()}", **size)
    book.run(1, wait=True)
    book.page.keyboard.press("Control+b")  # the file browser away
    book.run()
    return book


def picture(book, path):
    for _ in range(20):  # until it has not grown by a line while the picture was taken
        box = book.cell(0).bounding_box()
        clip = {"x": box["x"] + 60, "y": box["y"] - 8, "width": box["width"] - 70, "height": box["height"] + 16}
        book.page.screenshot(path=path, clip=clip)
        if book.cell(0).bounding_box() == box:
            break
    else:
        pytest.fail("it grew under every picture")
    assert box["height"] > 400
    with Image.open(path) as image:  # text needs few colours: a third of the size
        image.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < 250_000


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_of_an_answer(notebook, artefacts, theme):
    book = opened(notebook, theme, ASK)
    text = book.output().get_by_role("log")
    expect(text.locator("pre")).to_be_visible(timeout=60_000)
    expect(text.locator("p").last).to_contain_text(re.compile(r"(\w+\W+){6}"))
    picture(book, artefacts / f"streaming-{theme}.png")
    expect(book.output().get_by_role("button", name="Stop this answer")).to_be_visible()
    book.output().get_by_role("button", name="Stop this answer").click()
    book.finished()


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_of_a_call_that_waits(notebook, artefacts, theme):
    book = opened(notebook, theme, APPROVE)
    allow = book.output().get_by_role("button", name="Allow", exact=True)
    expect(allow).to_be_visible(timeout=60_000)
    expect(allow).to_have_attribute("aria-disabled", "false")
    picture(book, artefacts / f"approval-{theme}.png")
    allow.click()
    book.finished()
    expect(book.output()).to_contain_text("Saturday: a table for 4 at Trattoria Roma")


def test_the_readme_shows_it():
    named = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(named) == 4
    for name in named:
        with Image.open(ROOT / name) as picture:
            assert picture.width > 800
