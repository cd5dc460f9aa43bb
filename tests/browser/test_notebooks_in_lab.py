"""The notebooks as a newcomer sees them: in JupyterLab, with no key and no settings."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# Not the last one: it starts six processes, and shows nothing that the others do not.
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("0[1-4]_*.ipynb"))


def code_cells(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_newcomer_runs_every_cell(notebook, artefacts, path):
    theme = "Dark" if path.stem == "03_images" else "Light"  # what they show is the same kinds of things
    cells = code_cells(path)
    # What the simulator's own pace looks like is seen by tests of `ask`.
    pace = "import os; os.environ['AMBER_SIM_CHUNKS_PER_S'] = '0'\n"
    book = notebook([pace + cells[0], *cells[1:]], theme=f"JupyterLab {theme}")
    text = ""
    for index in range(len(cells)):
        book.run(index, wait=True)
        text += book.output(index).inner_text() + "\n"  # now: Lab takes what is far off out of the page
    assert "Traceback" not in text
    assert "mode='simulate'" in text
    assert "\nsimulated\n" in text
    book.page.screenshot(path=artefacts / f"{path.stem}-{theme.lower()}.png", full_page=True)
    foreign = [url for url in book.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert foreign == []


def test_an_answer_is_there_without_a_kernel(notebook, artefacts):
    pace = "import os; os.environ['AMBER_SIM_CHUNKS_PER_S'] = '0'\n"
    book = notebook([pace + "from amber_nb import Amber\nAmber().ask('Write 60 words about reading.')"])
    book.run(0, wait=True)
    # The cell's number and its outputs come by different channels, in either order.
    expect(book.output().locator(".amber-answer")).to_have_count(1)
    shown = book.output(0).inner_text()
    saved = book.saved()
    (output,) = saved["cells"][0]["outputs"]
    assert output["output_type"] == "display_data"
    assert sorted(output["data"]) == ["text/html", "text/plain"]
    reopened = notebook.saved(book.path, own=True)
    expect(reopened.output().locator(".amber-answer")).to_have_count(1)
    assert reopened.output(0).inner_text() == shown
    reopened.page.screenshot(path=artefacts / "reopened.png")
