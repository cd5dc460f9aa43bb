"""The notebooks as a newcomer sees them: in JupyterLab, with no key and no settings."""

import json
import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

# Not the fifth: it starts six processes, and shows nothing that the others do not.
HOME = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(HOME.glob("0[1-467]_*.ipynb"))
# What nbval cannot compare: whoever runs it decides that no gateway is asked, and the simulator's rows are not kept.
SHOWN = {"07_tables": "{'ok': 60, 'from_ledger': 20, 'requests': 40}"}


def code_cells(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_newcomer_runs_every_cell(notebook, lab, artefacts, path):
    shutil.copytree(HOME / "data", lab.work / "data", dirs_exist_ok=True)
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
    assert re.search(r"(?:^|gpt-5\.4\s*)simulated\b", text, re.MULTILINE)  # a badge
    assert SHOWN.get(path.stem, "") in text
    book.page.screenshot(path=artefacts / f"{path.stem}-{theme.lower()}.png", full_page=True)
    foreign = [url for url in book.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert foreign == []
