"""The pictures of README and notebooks: what cannot be seen where nobody looks. Each run makes them anew, as artefacts.

Committed is what `AMBER_ARTEFACTS=.pictures pytest --slow tests/browser/test_picture.py` leaves there;
`python tests/browser/attach_pictures.py` puts those of the notebooks into them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
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


def picture(book, path, least=400):
    for _ in range(20):  # until it has not grown by a line while the picture was taken
        box = book.cell(0).bounding_box()
        clip = {"x": box["x"] + 60, "y": box["y"] - 8, "width": box["width"] - 70, "height": box["height"] + 16}
        book.page.screenshot(path=path, clip=clip)
        if book.cell(0).bounding_box() == box:
            break
    else:
        pytest.fail("it grew under every picture")
    assert box["height"] > least
    reduce_colours(path)


def reduce_colours(path):
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


COMPANY = """\
import sys
from amber_nb import Amber, mcp

amber = Amber()
answer = amber.ask("What did we agree with ACME?", tools=amber.mcp)

notes = mcp(sys.executable, "data/notes_server.py")
answer.ask("Save a note: ACME takes 1,200 sensors a year.", tools=[amber.mcp, notes])"""


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_of_a_server_that_waits(notebook, lab, artefacts, theme):
    shutil.copytree(ROOT / "notebooks" / "data", lab.work / "data", dirs_exist_ok=True)
    book = opened(notebook, theme, COMPANY)
    allow = book.output().get_by_role("button", name="Allow", exact=True)
    expect(allow).to_be_visible(timeout=60_000)
    expect(allow).to_have_attribute("aria-disabled", "false")
    picture(book, artefacts / f"company-{theme}.png")
    allow.click()
    book.finished()
    expect(book.output()).to_contain_text("Note 1: ACME takes 1,200 sensors a year.")


MAP = """\
import pandas as pd
from typing import Literal
from amber_nb import Amber

Topic = Literal["card", "cash", "transfer", "top-up", "exchange rate", "refund", "fee"]
messages = pd.read_csv("data/bank_messages.csv")
amber = Amber(mode="simulate", prices={"azure/gpt-5.4": (2.5, 15.0), "currency": "EUR"})
topics = amber.map(
    messages,
    "What is this message to a bank about? {text}",
    schema=Topic,
    requests_per_minute=180,
)"""


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_of_a_map(notebook, lab, artefacts, theme):
    shutil.copytree(ROOT / "notebooks" / "data", lab.work / "data", dirs_exist_ok=True)
    book = opened(notebook, theme, MAP)
    run = book.output().locator(".amber-run")
    expect(run).to_contain_text(re.compile(r"[2-4]\d of 60"), timeout=60_000)
    picture(book, artefacts / f"map-{theme}.png")
    book.output().get_by_role("button", name="Stop this run").click()
    book.finished()
    expect(book.output().locator(".amber-map")).to_contain_text("ended early: stopped")


DROP = """\
from amber_nb import ImageInput
from PIL import Image, ImageDraw

sunset = Image.new("RGB", (1200, 900), "#f28c28")
draw = ImageDraw.Draw(sunset)
draw.ellipse((450, 270, 750, 570), fill="#fff3c4")
draw.rectangle((0, 630, 1200, 900), fill="#22577a")

photos = ImageInput(initial=sunset)
photos"""


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_of_a_drop_zone(notebook, artefacts, theme):
    book = opened(notebook, theme, DROP)
    expect(book.output().get_by_role("button", name="Done")).to_be_visible(timeout=60_000)
    expect(book.output()).to_contain_text("1200 × 900 · PNG")
    picture(book, artefacts / f"drop-{theme}.png", least=300)
    book.finished()


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_of_a_drift_report(browser, artefacts, tmp_path, theme):
    make_report(tmp_path)
    size = {"viewport": {"width": 1180, "height": 400}, "device_scale_factor": 1.5}
    page = browser.new_context(color_scheme=theme, **size).new_page()
    page.goto((tmp_path / "drift.html").as_uri())
    path = artefacts / f"drift-{theme}.png"
    page.screenshot(path=path, full_page=True)
    reduce_colours(path)
    page.context.close()


def make_report(folder):
    """Type what notebook 05 types, up to the report."""
    book = nbformat.read(ROOT / "notebooks" / "05_regression_testing.ipynb", as_version=4)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    typed = [code[0].replace("os.chdir(mkdtemp())", f"os.chdir({str(folder)!r})"), code[1]]
    typed += [source for source in code if "amber-nb record" in source or "--amber=live" in source]
    subprocess.run([sys.executable, "-c", "\n".join(typed)], check=True)


def test_the_readme_shows_it():
    named = re.findall(r'(?:src|srcset)="([^"]+)"', (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(named) == 12
    for name in named:
        with Image.open(ROOT / name) as picture:
            assert picture.width > 800
