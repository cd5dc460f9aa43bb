"""A run over a table in a real JupyterLab: drawn while its cell blocks, stopped, settled, and whole in the file."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from amber_nb.display.map_progress import Failure, MapProgress, map_html

pytestmark = pytest.mark.browser

RUN = """
import threading, time
from amber_nb.display import Failure, MapDisplay, MapProgress
stopped = threading.Event()
def picture(n, end=None):
    failures = (Failure(reason="APITimeoutError: no answer", count=n, labels=("5",)),) if n else ()
    return MapProgress(title="azure/gpt-5.4", rows=100_000, ok=n, failed=n, end=end, failures=failures,
                       newest=((str(n), f"answer {n}", False),), elapsed_s=n / 10)
shown, n = MapDisplay(picture(0), stopped.set), 0
while not stopped.wait(0.01):
    n += 1
    shown.update(picture(n))
print("settled", shown.settle(picture(n, "stopped by you")))
"""


def test_it_is_drawn_stopped_and_settled(notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    book = notebook([RUN])
    book.run(0)
    out = book.cell(0)
    expect(out.locator(".amber-run")).to_be_visible()
    expect(out.locator(".amber-figure").first).to_contain_text(re.compile(r"Rows[1-9][\d,]* of 100,000"))
    book.page.screenshot(path=artefacts / "map-in-lab.png")
    # Lab's own style of definitions and lists is not ours.
    parts = ".amber-bar, .amber-figure:first-child > *, .amber-lines, .amber-run-label"
    lefts = f"el => [...el.querySelectorAll('{parts}')].map(each => Math.round(each.getBoundingClientRect().left))"
    assert len(set(out.locator(".amber-run").evaluate(lefts))) == 1
    out.get_by_role("button", name="Stop this run").click()
    book.finished(0)
    expect(out.locator(".amber-map")).to_contain_text("ended early: stopped by you")
    expect(out.locator(".amber-run")).to_have_count(0)
    expect(out).to_contain_text("settled True")
    (html,) = re.findall(r'<div class="amber-map">.*', "".join(_htmls(book.saved())))
    assert "amber-hook" not in html
    assert "ended early: stopped by you" in html


def _htmls(saved: dict[str, Any]) -> list[str]:
    datas = [output.get("data", {}) for cell in saved["cells"] for output in cell.get("outputs", [])]
    return ["".join(data.get("text/html", "")) for data in datas]


def test_an_untrusted_file_shows_the_summary_as_it_was(
    notebook: Callable[..., Any], lab: Any, artefacts: pathlib.Path
) -> None:
    """Lab takes out of an untrusted output what it does not know: nothing of ours is among it."""
    failures = (Failure(reason="APITimeoutError: no answer within $5 and $10", count=3, labels=("5", "9")),)
    html = map_html(MapProgress(title="m", badge="simulated", rows=100, ok=50, failed=25, failures=failures, end="x"))
    output = {"output_type": "display_data", "data": {"text/html": html, "text/plain": "m"}, "metadata": {}}
    cell = {"cell_type": "code", "id": "c", "execution_count": 1, "metadata": {}, "outputs": [output], "source": "1"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    path = lab.work / "untrusted-map.ipynb"
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))
    book = notebook.saved(path)  # type: ignore[attr-defined]
    shown = book.cell(0).locator(".amber-map")
    expect(shown).to_contain_text("ended early: x")
    styles = "el => [...el.querySelectorAll('[style]')].map(each => each.getAttribute('style').replace(/\\s|;$/g, ''))"
    there = shown.evaluate(styles)
    assert there == [style.replace(" ", "") for style in re.findall(r'style="([^"]*)"', html)]
    book.page.screenshot(path=artefacts / "map-untrusted.png")
