"""Whatever happens to a page, a cell or a kernel while an answer is written: what was written stays, and goes on.

The table of ways: what is done in the middle of a stream, what the page shows then, and what the file holds.

| way | the page | the file |
| --- | --- | --- |
| saved every 100 ms | goes on | each one readable: the text so far, no widget |
| inside an Output widget | live, and settled in the Output | the user's widget |
| the cell is moved | goes on, and settles | the whole answer |
| the cell is copied, and pasted after the end | the snapshot, healed by saving | the whole answer |
| the cell is deleted | the request is stopped | no cell |
| the cell is deleted, and the deletion undone at once | goes on | the whole answer |
| the page is loaded again, the cell awaits | comes back, goes on | the whole answer |
| the page is loaded again, the cell blocks | comes back, goes on | the whole answer |
| the page is loaded again while a card waits | the card is back | the decision |
| the notebook is closed and opened again | goes on | the whole answer |
| a new view of the output | both are live | the whole answer |
| the kernel is restarted | the text so far, marked | the same |
| the kernel is killed | the text so far, marked | the same |
| the cell is run again, its answer still being written by a task | its last request is stopped | the new answer |
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
from patience import until
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

START = """
import os
os.environ["AMBER_SIM_CHUNKS_PER_S"] = "40"
from amber_nb import Amber
amber = Amber()
print(os.getpid())
"""
ASK = "answer = {verb}('Write 150 words about tea.')\nprint('END', answer.complete)"
SYNC, AWAIT = ASK.format(verb="amber.ask"), ASK.format(verb="await amber.ask_async")
UNFINISHED = "still being written when this was saved"
WORDS = re.compile(r"(\w+\W+){12}")


def begun(book: Any, index: int = 1) -> Any:
    """The output of a cell that was run, once some of its answer is on the page."""
    book.run(0, wait=True)
    book.run(index)
    out = book.output(index)
    expect(out.get_by_role("log")).to_contain_text(WORDS)
    return out


def execute(book: Any, command: str) -> None:
    book.page.evaluate("command => jupyterapp.commands.execute(command)", command)


def outputs(saved: dict[str, Any], index: int = 1) -> list[dict[str, Any]]:
    return [output["data"] for output in saved["cells"][index]["outputs"] if "data" in output]


def settled(book: Any, index: int = 1) -> str:
    """The text of the settled answer on the page, which is the one in the file."""
    out = book.output(index)
    expect(out).to_contain_text("END True")
    expect(out.locator(".amber-view")).to_have_count(0)
    expect(out.locator(".amber-answer")).to_have_count(1)
    (data,) = outputs(book.saved(), index)
    assert sorted(data) == ["text/html", "text/plain"]
    assert "amber-hook" not in "".join(data["text/html"])
    text = "".join(data["text/plain"])
    assert len(text.split()) >= 140
    assert UNFINISHED not in out.inner_text()
    return text


def test_every_file_that_is_saved_meanwhile_is_readable(notebook: Callable[..., Any]) -> None:
    book = notebook([START, AWAIT])
    begun(book)
    texts, whole = [], False
    while not whole:
        execute(book, "docmanager:save")
        book.page.wait_for_timeout(100)
        saved = json.loads(book.path.read_text(encoding="utf-8") or "null")
        if not saved or not (shown := outputs(saved)):
            continue
        (data,) = shown
        assert sorted(data) == ["text/html", "text/plain"]
        assert "widgets" not in saved["metadata"]
        plain = "".join(data["text/plain"])
        whole = UNFINISHED not in plain
        texts.append(plain.replace(f"[{UNFINISHED}]", "").strip())
    grown = [len(text.split()) for text in texts]
    assert grown == sorted(grown)
    assert len(set(grown)) >= 5  # with all of the text that was there, not that of the kernel's last snapshot
    assert all(texts[-1].startswith(text[: len(text) // 2]) for text in texts)
    settled(book)


def test_inside_an_output_widget(notebook: Callable[..., Any]) -> None:
    cell = "import ipywidgets\nout = ipywidgets.Output()\ndisplay(out)\nwith out:\n    " + SYNC.replace("\n", "\n    ")
    book = notebook([START, cell])
    out = begun(book)
    expect(out.get_by_role("button", name="Stop this answer")).to_be_visible()
    expect(out).to_contain_text("END True")
    expect(out.locator(".amber-view")).to_have_count(0)
    expect(out.locator(".amber-answer")).to_have_count(1)
    expect(out).not_to_contain_text(UNFINISHED)
    assert len(out.locator(".amber-answer").inner_text().split()) >= 140


def test_a_cell_that_is_moved(notebook: Callable[..., Any]) -> None:
    book = notebook([START, AWAIT, "# below"])
    begun(book)
    execute(book, "notebook:move-cell-down")
    expect(book.output(2).get_by_role("button", name="Stop this answer")).to_be_visible()
    settled(book, 2)


def test_a_deleted_cell_stops_its_request(notebook: Callable[..., Any]) -> None:
    book = notebook([START, AWAIT.replace("150", "2000"), "print(amber.last.finish_reason)"])
    begun(book)
    execute(book, "notebook:delete-cell")
    expect(book.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
    book.run(1, wait=True)  # which waits for the kernel
    expect(book.output(1)).to_have_text("cancelled\n")


def test_a_cell_that_is_run_again_stops_its_last_request(notebook: Callable[..., Any]) -> None:
    task = (
        "import asyncio\ntasks = globals().get('tasks', [])\n"
        "tasks.append(asyncio.ensure_future(amber.ask_async('Write 900 words about tea.')))"
    )
    book = notebook([START, task, "print((await tasks[0]).finish_reason, tasks[1].done())\ntasks[1].cancel()"])
    begun(book)
    book.run(1, wait=True)
    expect(book.output(1).get_by_role("log")).to_contain_text(WORDS)
    book.run(2, wait=True)
    expect(book.output(2)).to_contain_text("cancelled False")


def test_a_copy_that_is_pasted_after_the_end(notebook: Callable[..., Any]) -> None:
    """It holds the snapshot; saving asks the kernel for the settled form."""
    book = notebook([START, AWAIT, "# below"])
    begun(book)
    book.saved()
    execute(book, "notebook:copy-cell")
    expect(book.output(1)).to_contain_text("END True")
    execute(book, "notebook:paste-cell-below")
    expect(book.output(2)).to_contain_text(UNFINISHED)
    book.saved()
    expect(book.output(2)).not_to_contain_text(UNFINISHED)
    assert len(book.output(2).locator(".amber-answer").inner_text().split()) >= 140


def test_a_deletion_that_is_undone_stops_nothing(notebook: Callable[..., Any]) -> None:
    book = notebook([START, AWAIT.replace("150", "250")])
    begun(book)
    execute(book, "notebook:delete-cell")
    book.page.wait_for_timeout(500)
    execute(book, "notebook:undo-cell-action")
    book.run(1, wait=True)
    settled(book)


@pytest.mark.parametrize("cell", [AWAIT, SYNC], ids=["await", "sync"])
@pytest.mark.fresh_kernel
def test_a_page_that_is_loaded_again(notebook: Callable[..., Any], cell: str) -> None:
    book = notebook([START, cell.replace("150", "900")])
    begun(book)
    book.saved()
    book.page.reload()
    out = book.output(1)
    expect(out.get_by_role("button", name="Stop this answer")).to_be_visible(timeout=40_000)
    before = len(out.get_by_role("log").inner_text().split())
    until(lambda: len(out.get_by_role("log").inner_text().split()) > before)
    out.get_by_role("button", name="Stop this answer").click()
    expect(out.locator(".amber-view")).to_have_count(0)
    expect(out).to_contain_text("stopped by the reader")
    (data, *_) = outputs(book.saved())
    assert "stopped by the reader" in "".join(data["text/plain"])


def test_a_notebook_that_is_closed_and_opened_again(notebook: Callable[..., Any]) -> None:
    book = notebook([START, AWAIT.replace("150", "400")])
    begun(book)
    book.saved()
    execute(book, "application:close")
    book.page.evaluate("path => jupyterapp.commands.execute('docmanager:open', { path })", book.path.name)
    out = book.output(1)
    expect(out.get_by_role("button", name="Stop this answer")).to_be_visible(timeout=30_000)
    expect(out.locator(".amber-view")).to_have_count(0, timeout=40_000)
    expect(out).not_to_contain_text(UNFINISHED)
    assert len(out.locator(".amber-answer").inner_text().split()) >= 350


def test_a_new_view_of_the_output(notebook: Callable[..., Any]) -> None:
    book = notebook([START, AWAIT.replace("150", "300")])
    begun(book)
    execute(book, "notebook:create-output-view")
    both = book.page.get_by_role("button", name="Stop this answer")
    expect(both).to_have_count(2)
    # Not the buttons alone: while Lab opens the view there is none for a moment.
    expect(book.output(1)).to_contain_text("END True", timeout=30_000)
    expect(both).to_have_count(0)
    expect(book.page.locator(".amber-answer")).to_have_count(2)
    texts = book.page.locator(".amber-answer").all_inner_texts()
    assert texts[0] == texts[1]


@pytest.mark.parametrize("end", ["restart", "kill"])
@pytest.mark.fresh_kernel
def test_a_kernel_that_goes(notebook: Callable[..., Any], artefacts: pathlib.Path, end: str) -> None:
    theme = {"restart": "JupyterLab Dark", "kill": "JupyterLab Light"}[end]
    book = notebook([START, AWAIT.replace("150", "900")], theme=theme)
    out = begun(book)
    if end == "restart":
        restart = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        book.page.evaluate(f"() => {restart}")
    else:
        os.kill(int(book.output(0).inner_text()), signal.SIGKILL)
    expect(out).to_contain_text(UNFINISHED, timeout=30_000)
    expect(out.locator(".amber-view")).to_have_count(0, timeout=30_000)
    assert len(out.locator(".amber-answer").inner_text().split()) >= 12
    book.page.screenshot(path=artefacts / f"left-behind-{end}.png")
    (data,) = outputs(book.saved())
    assert sorted(data) == ["text/html", "text/plain"]
    assert len("".join(data["text/plain"]).split()) >= 12
    assert UNFINISHED in "".join(data["text/html"])


APPROVE = """
def delete_folder(path: str) -> str:
    "Delete a folder and all that is in it."
    return "deleted " + path
answer = await amber.ask_async("Delete the folder /tmp/x.", tools=delete_folder, require_approval=True)
print("END", answer.tool_runs[0].status)
"""


@pytest.mark.fresh_kernel
def test_a_page_that_is_loaded_again_while_a_card_waits(notebook: Callable[..., Any]) -> None:
    book = notebook([START, APPROVE])
    book.run(0, wait=True)
    book.run(1)
    allow = book.output(1).get_by_role("button", name="Allow", exact=True)
    expect(allow).to_be_visible()
    (data, *_) = outputs(book.saved())
    assert UNFINISHED in "".join(data["text/plain"])
    book.page.reload()
    expect(allow).to_be_visible(timeout=40_000)
    expect(allow).to_have_attribute("aria-disabled", "false")
    allow.click()
    expect(book.output(1).locator(".amber-view")).to_have_count(0)
    expect(book.output(1)).to_contain_text("delete_folder(path=")
    (data, *_) = outputs(book.saved())
    assert "deleted " in "".join(data["text/plain"])
