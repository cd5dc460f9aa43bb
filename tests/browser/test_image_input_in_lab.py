"""ImageInput in JupyterLab: from the first click to the file that is saved."""

import json
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

START = """from amber_nb import Amber, ImageInput
from PIL import Image
amber = Amber(mode="simulate")
photos = ImageInput(Image.new("RGB", (300, 200), "#e11e23"))
photos"""
ASK = "answer = amber.ask('What is on these?', images=photos)"
EDIT = "photos.edit()"
WIDGET = "application/vnd.jupyter.widget-view+json"


def kinds(saved):
    return [sorted(output["data"]) for cell in saved["cells"] for output in cell["outputs"] if "data" in output]


def test_it_takes_an_image_and_becomes_a_strip(notebook, artefacts, tmp_path):
    picture = tmp_path / "blue sky.png"
    Image.new("RGB", (3_000, 2_000), "#2355d7").save(picture)
    book = notebook([START, ASK, EDIT, "photos.images"], theme="JupyterLab Dark")
    book.run(0)
    view = book.output(0).locator(".amber-input")
    expect(view.locator("li")).to_have_count(1, timeout=30_000)
    view.locator("input[type=file]").set_input_files(picture)
    expect(view.locator("li")).to_have_count(2)
    expect(view.locator("li").nth(1)).to_contain_text("blue sky.png")
    expect(view.locator("li").nth(1)).to_contain_text("3000 × 2000 → 2048 × 1365")
    book.page.screenshot(path=artefacts / "image-input.png")

    # Its first use ends it, in the cell where it stands, though another one is running.
    book.run(1, wait=True)
    expect(book.output(0).locator(".amber-input")).to_have_count(0)
    expect(book.output(0).locator(".amber-images img")).to_have_count(2)
    expect(book.output(1)).to_contain_text("mostly blue")
    expect(book.output(1).locator(".amber-images img")).to_have_count(2)
    box = book.output(1).locator(".amber-images img").first.bounding_box()
    assert 70 < box["height"] < 80  # the pictures of a strip are seen, in Lab's own style sheet too
    book.page.screenshot(path=artefacts / "image-answer.png")

    book.run(2)
    again = book.output(2).locator(".amber-input")
    expect(again.locator("li")).to_have_count(2)
    again.get_by_role("button", name=re.compile("^Remove image")).click()
    expect(again.locator("li")).to_have_count(1)
    again.get_by_role("button", name="Done").click()
    expect(book.output(2).locator(".amber-images img")).to_have_count(1)
    expect(book.output(2).locator(".amber-input")).to_have_count(0)
    expect(book.output(0).locator(".amber-images img")).to_have_count(2)  # what was, stays
    book.run(3, wait=True)
    expect(book.output(3)).to_contain_text("[ImagePart('blue sky.png', 2048 × 1365 PNG)]")

    saved = book.saved()
    assert all(WIDGET not in bundle for bundle in kinds(saved))
    assert "widgets" not in saved["metadata"]
    assert len(json.dumps(saved)) < 30_000  # thumbnails, not pictures
    # The remote address of nothing was looked up.
    assert all(url.startswith(("http://127.0.0.1", "data:", "blob:")) for url in book.requests)
