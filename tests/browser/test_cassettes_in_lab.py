"""Recording by hand in JupyterLab, and what a colleague without a key sees of it."""

import json
import re
import subprocess
import sys

import pytest
from gateway import Said, serve, spoken
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ASK = "answer = amber.ask('Say a number')"
COLLEAGUE = "from amber_nb import Amber\namber = Amber()\nprint(amber.mode)"


def exchanges(tape):
    lines = tape.read_text(encoding="utf-8").splitlines()
    requests = [json.loads(line)["request"] for line in lines if line.startswith('{"request"')]
    return [(request["cell"], request["n"]) for request in requests]


@pytest.mark.fresh_kernel  # which knows the notebook by the name that it was started with
def test_recorded_in_lab_replayed_by_a_colleague_and_by_nbval(notebook, artefacts):
    numbers = iter(range(1, 100))
    with serve(lambda prompt: Said([*spoken(f"Number {next(numbers)} is the number of today.", 4)])) as url:
        start = "from amber_nb import Amber\n" + (
            f"amber = Amber(mode='record', base_url={url!r}, api_key='ambrs-exampletoken')\nprint('ready')"
        )
        book = notebook([start, ASK, ASK])
        tape = book.path.parent / "cassettes" / f"{book.path.stem}.jsonl"
        for cell in range(3):
            book.run(cell, wait=True)
        assert exchanges(tape) == [("cell1", 1), ("cell2", 2)]
        book.run(1)
        expect(book.output(1)).to_contain_text("Number 3")
        expect(book.cell(1).locator(".jp-InputPrompt")).to_have_text("[4]:")
        assert exchanges(tape) == [("cell1", 1), ("cell2", 2)]  # the re-run cell has replaced its own
        saved = book.saved()
    shown = ["".join(output["data"]["text/plain"]) for cell in saved["cells"][1:] for output in cell["outputs"]]
    assert shown == [f"Number {n} is the number of today." for n in (3, 2)]

    # A colleague: no key, no gateway. The recording answers, before any simulator.
    saved["cells"][0]["source"] = COLLEAGUE
    saved["cells"][0]["outputs"][0]["text"] = "replay\n"
    book.path.write_text(json.dumps(saved))
    again = notebook.saved(book.path)
    again.run(0, wait=True)
    expect(again.output(0)).to_contain_text("replay")
    for run in range(2):
        for cell, number in ((1, 3), (2, 2)):
            again.run(cell, wait=True)
            expect(again.output(cell), f"run {run}").to_contain_text(f"Number {number} is")
    again.page.screenshot(path=artefacts / "replayed.png")

    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", book.path.parent, book.path],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]

    # Without the cassette, real answers are not overwritten by simulated ones.
    tape.unlink()
    third = notebook.saved(book.path)
    third.run(0, wait=True)
    expect(third.output(0)).to_contain_text(re.compile("ConfigError.*holds answers of a real gateway", re.DOTALL))
