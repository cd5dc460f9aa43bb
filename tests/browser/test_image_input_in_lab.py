"""ImageInput in JupyterLab: from the first click to the file that is saved."""

import json
import re

import pytest
from labpages import OPEN
from patience import until
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


def open_input(notebook, *cells):
    """A notebook whose first cell shows an open input with one image, and that output."""
    book = notebook([START, *cells])
    book.run(0, wait=True)
    expect(book.output(0).locator(".amber-input li")).to_have_count(1, timeout=30_000)
    return book


def picture(tmp_path, name="blue.png"):
    path = tmp_path / name
    Image.new("RGB", (60, 40), "#2355d7").save(path)
    return path


def choose(out, tmp_path, name="blue.png"):
    out.locator("input[type=file]").set_input_files(picture(tmp_path, name))
    expect(out.locator(".amber-input li").last).to_contain_text(name)


def form(saved, index=0):
    """The static form that a file holds."""
    (data,) = [output["data"] for output in saved["cells"][index]["outputs"] if "data" in output]
    assert sorted(data) == ["text/html", "text/plain"]
    return "".join(data["text/html"])


def run_command(book, command):
    book.page.evaluate("command => jupyterapp.commands.execute(command)", command)


def test_the_file_holds_the_strip_while_the_input_is_open(notebook, tmp_path):
    book = open_input(notebook, "# below")
    choose(book.output(0), tmp_path)
    book.page.wait_for_function("() => document.querySelector('.amber-hook.amber-revision-2')")
    html = form(book.saved())
    assert (html.count("data:image/webp"), "open for more images when this was saved" in html) == (2, True)
    run_command(book, "notebook:move-cell-down")
    out = book.output(1)
    expect(out.locator(".amber-input li")).to_have_count(2)
    choose(out, tmp_path, "third.png")
    out.get_by_role("button", name="Done").click()
    expect(out.locator(".amber-images img")).to_have_count(3)
    html = form(book.saved(), 1)
    assert (html.count("data:image/webp"), "amber-hook" in html, "when this was saved" in html) == (3, False, False)


@pytest.mark.fresh_kernel  # on a page of its own: Lab would open the notebooks of other tests again, too
def test_it_comes_back_on_a_page_that_is_loaded_again_and_follows_there(notebook, tmp_path):
    book = open_input(notebook, "photos.images")
    until(lambda: book.saved()["cells"][0]["outputs"])  # a save of Lab's own may have come just before
    book.page.reload()
    out = book.output(0)
    expect(out.locator(".amber-input li")).to_have_count(1, timeout=60_000)
    choose(out, tmp_path)
    # The kernel's update does not reach this page: the layer asks for it.
    book.page.wait_for_function("() => document.querySelector('.amber-hook.amber-revision-2')")
    expect(out.locator(".amber-input li")).to_have_count(2)
    assert form(book.saved()).count("data:image/webp") == 2
    book.run(1, wait=True)
    expect(book.output(1)).to_contain_text("blue.png")
    out.get_by_role("button", name="Done").click()
    expect(out.locator(".amber-input")).to_have_count(0)
    expect(out.locator(".amber-images img")).to_have_count(2)
    assert "amber-hook" not in form(book.saved())


def test_in_an_output_widget_it_settles_too(notebook, tmp_path):
    cell = START[: START.rindex("\n")]
    cell += "\nimport ipywidgets\nout = ipywidgets.Output()\ndisplay(out)\nwith out:\n    display(photos)"
    book = notebook([cell])
    book.run(0, wait=True)
    out = book.output(0)
    expect(out.locator(".amber-input li")).to_have_count(1, timeout=30_000)
    choose(out, tmp_path)
    out.get_by_role("button", name="Done").click()
    expect(out.locator(".amber-input")).to_have_count(0)
    expect(out.locator(".amber-images img")).to_have_count(2)
    expect(out).not_to_contain_text("when this was saved")


@pytest.mark.fresh_kernel
def test_of_a_kernel_that_died_the_strip_is_left(notebook, tmp_path):
    book = open_input(notebook)
    choose(book.output(0), tmp_path)
    book.page.wait_for_function("() => document.querySelector('.amber-hook.amber-revision-2')")
    book.page.evaluate("() => jupyterapp.shell.currentWidget.context.sessionContext.restartKernel()")
    expect(book.output(0).locator(".amber-input")).to_have_count(0)
    expect(book.output(0).locator(".amber-images img")).to_have_count(2)
    assert form(book.saved()).count("data:image/webp") == 2


def test_of_a_deleted_cell_nothing_is_left_open(notebook):
    layer = "from amber_nb.display.layer import LiveLayer\n"
    book = open_input(notebook, layer + "print(len(LiveLayer.current.items))")
    run_command(book, "notebook:delete-cell")
    expect(book.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(1)

    def nothing_is_open():
        book.run(0, wait=True)
        return book.output(0).inner_text().strip() == "0"

    until(nothing_is_open)


def test_two_views_list_the_same_and_settle_both(notebook, tmp_path):
    book = open_input(notebook)
    run_command(book, "notebook:create-output-view")
    inputs = book.page.locator(".amber-input")
    expect(inputs).to_have_count(2)
    book.page.locator(".jp-LinkedOutputView .amber-input input[type=file]").set_input_files(picture(tmp_path))
    for number in range(2):
        expect(inputs.nth(number).locator("li")).to_have_count(2)
    book.page.locator(".jp-LinkedOutputView").get_by_role("button", name="Done").click()
    expect(inputs).to_have_count(0)
    expect(book.page.locator(".jp-LinkedOutputView .amber-images img")).to_have_count(2)


def test_it_comes_back_in_a_notebook_that_is_closed_and_opened(notebook, tmp_path):
    book = open_input(notebook)
    choose(book.output(0), tmp_path)
    book.page.wait_for_function("() => document.querySelector('.amber-hook.amber-revision-2')")
    book.saved()
    run_command(book, "application:close")
    book.page.evaluate(OPEN, book.path.name)
    expect(book.output(0).locator(".amber-input li")).to_have_count(2, timeout=30_000)


def test_a_deletion_that_is_undone_at_once_leaves_it_open(notebook, tmp_path):
    book = open_input(notebook, "# below")
    run_command(book, "notebook:delete-cell")
    expect(book.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(1)
    run_command(book, "notebook:undo-cell-action")
    choose(book.output(0), tmp_path)
    expect(book.output(0).locator(".amber-input li")).to_have_count(2)


@pytest.mark.parametrize(
    ("cell", "outputs"),
    [
        ("photos.edit()", 1),
        ("photos.edit()\nphotos.edit()", 2),
        ("photos.edit()\nphotos", 2),
        ("photos", 1),
        ("for _ in range(3):\n    photos.edit()", 3),
    ],
)
def test_however_often_it_is_edited_it_is_open_once(notebook, tmp_path, cell, outputs):
    book = open_input(notebook, cell, "photos.edit()")
    for number in (1, 1, 2):
        book.run(number, wait=True)
        expect(book.output(number).locator(".amber-input li")).to_have_count(1)
        expect(book.page.locator(".jp-Notebook .amber-input")).to_have_count(1)
    expect(book.output(1).locator(".jp-OutputArea-child")).to_have_count(outputs)
    for number in (0, 1):  # where it was, a strip is left, and no second one
        expect(book.output(number).locator(".amber-images img")).to_have_count(1)
    choose(book.output(2), tmp_path)
    book.output(2).get_by_role("button", name="Done").click()
    expect(book.page.locator(".jp-Notebook .amber-input")).to_have_count(0)
    expect(book.output(2).locator(".amber-images img")).to_have_count(2)
