"""What happens to a page or a kernel while an answer is written. Ways 21 to 31 of the table in test_ways.py."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import pytest
from labpages import OPEN, READY
from patience import until
from playwright.sync_api import expect
from ways import KINDS, START, UNFINISHED, WORDS, begun, end, execute, live, outputs, settled

pytestmark = pytest.mark.browser

ANSWER, CARD = KINDS["answer"], KINDS["card"]
ANSWER_AND_CARD = pytest.mark.parametrize("kind", [ANSWER, CARD], ids=["answer", "card"])
CARD_FIRST = pytest.mark.parametrize(
    "kind", [pytest.param(ANSWER, marks=pytest.mark.slow), CARD], ids=["answer", "card"]
)
KERNEL = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"


@pytest.mark.parametrize("cell", [ANSWER.cell, ANSWER.blocking], ids=["await", "sync"])
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
    expect(out).to_contain_text("stopped by you")
    (data, *_) = outputs(book.saved())
    assert "stopped by you" in "".join(data["text/plain"])


def test_a_notebook_that_is_closed_and_opened_again(notebook: Callable[..., Any]) -> None:
    book = notebook([START, ANSWER.cell.replace("150", "400")])
    begun(book)
    book.saved()
    execute(book, "application:close")
    book.page.evaluate(OPEN, book.path.name)
    out = book.output(1)
    expect(out.get_by_role("button", name="Stop this answer")).to_be_visible(timeout=30_000)
    expect(out.locator(".amber-view")).to_have_count(0, timeout=40_000)
    expect(out).not_to_contain_text(UNFINISHED)
    assert len(out.locator(".amber-answer").inner_text().split()) >= 350


@pytest.mark.parametrize("way", ["restart", "kill", pytest.param("exit", marks=pytest.mark.slow)])
@ANSWER_AND_CARD
@pytest.mark.fresh_kernel
def test_a_kernel_that_goes(notebook: Callable[..., Any], artefacts: pathlib.Path, way: str, kind: Any) -> None:
    theme = {"restart": "JupyterLab Dark", "kill": "JupyterLab Light"}.get(way, "JupyterLab Light")
    exits = "import threading\nthreading.Timer(4, os._exit, [1]).start()\n" if way == "exit" else ""
    book = notebook([START, exits + kind.cell.replace("150", "900"), "print('next')"], theme=theme)
    out = begun(book, 1, kind)
    if way == "restart":
        book.page.evaluate(f"() => {KERNEL}.restart()")
    elif way == "kill":
        os.kill(int(book.output(0).inner_text()), signal.SIGKILL)
    expect(out).to_contain_text(UNFINISHED, timeout=30_000)
    expect(out.locator(".amber-view")).to_have_count(0, timeout=30_000)
    book.page.screenshot(path=artefacts / f"left-behind-{way}-{'card' if kind.waits else 'answer'}.png")
    (data,) = outputs(book.saved())
    assert sorted(data) == ["text/html", "text/plain"]
    assert UNFINISHED in "".join(data["text/html"])
    if not kind.waits:
        assert len(out.locator(".amber-answer").inner_text().split()) >= 12
        assert len("".join(data["text/plain"]).split()) >= 12
    accept = book.page.get_by_role("button", name="Ok", exact=True)  # Lab tells of a kernel that has ended itself
    if accept.count():
        accept.click()
    # A cell that is run before the new kernel is there is not run at all.
    book.page.wait_for_function(f"() => {KERNEL}?.status === 'idle'")
    book.run(2, wait=True)
    expect(book.output(2)).to_contain_text("next")


@pytest.mark.fresh_kernel
def test_a_page_that_is_loaded_again_while_a_card_waits(notebook: Callable[..., Any]) -> None:
    book = notebook([START, CARD.cell])
    begun(book, 1, CARD)
    (data, *_) = outputs(book.saved())
    assert UNFINISHED in "".join(data["text/plain"])
    book.page.reload()
    live(book.output(1), CARD)
    settled(book, 1, CARD, printed=False)


@CARD_FIRST
def test_a_kernel_that_is_interrupted(notebook: Callable[..., Any], kind: Any) -> None:
    book = notebook([START, kind.blocking.replace("150", "900"), "print('next')"])
    out = begun(book, 1, kind)
    execute(book, "notebook:interrupt-kernel")
    expect(out.locator(".amber-view")).to_have_count(0)
    expect(out.locator(".amber-answer")).to_have_count(1)
    expect(out).not_to_contain_text(UNFINISHED)
    (data,) = outputs(book.saved())
    assert "amber-hook" not in "".join(data["text/html"])
    book.finished(1)  # Jupyter drops what is run before the interrupted cell has ended
    assert kind.waits or len("".join(data["text/plain"]).split()) >= 12
    book.run(2, wait=True)
    expect(book.output(2)).to_contain_text("next")


@CARD_FIRST
def test_a_second_page_with_the_same_notebook(notebook: Callable[..., Any], kind: Any) -> None:
    book = notebook([START, kind.cell.replace("150", "900"), "print('next')"])
    out = begun(book, 1, kind)
    book.saved()
    page = book.page.context.new_page()
    try:
        page.goto(f"{book.page.url.split('/lab/')[0]}/lab/tree/{book.path.name}?reset")
        second = page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".jp-Cell-outputArea")
        live(second, kind)
        live(out, kind)
        if kind.waits:
            end(second, kind)
        else:
            second.get_by_role("button", name="Stop this answer").click()
            expect(out).to_contain_text("stopped by you")
        for each in (out, second):
            expect(each.locator(".amber-view")).to_have_count(0)
            expect(each).not_to_contain_text(UNFINISHED)
            expect(each.locator(".amber-answer")).to_have_count(1)
        assert out.locator(".amber-answer").inner_text() == second.locator(".amber-answer").inner_text()
    finally:
        page.close()
    book.run(2, wait=True)
    expect(book.output(2)).to_contain_text("next")


@CARD_FIRST
@pytest.mark.fresh_kernel
def test_two_notebooks_side_by_side(notebook: Callable[..., Any], kind: Any) -> None:
    other = notebook([START, kind.cell.replace("150", "250")], viewport={"width": 1280, "height": 900})
    book = notebook([START, kind.cell.replace("150", "250")], viewport={"width": 1600, "height": 900})
    book.run(0, wait=True)
    book.page.evaluate(
        "path => void jupyterapp.commands.execute('docmanager:open', { path, options: { mode: 'split-right' } })",
        other.path.name,
    )
    panels = book.page.locator(".jp-NotebookPanel")
    expect(panels).to_have_count(2)
    both = [panels.nth(at).locator(".jp-CodeCell") for at in (0, 1)]
    assert book.page.evaluate(READY)
    execute_at_once(book, "notebook:run-all-cells")
    outs = [cells.nth(1).locator(".jp-Cell-outputArea") for cells in both]
    live(outs[1], kind)
    both[0].nth(1).locator(".cm-content").click()
    book.page.keyboard.press("Control+Enter")
    for out in outs:
        live(out, kind)
    for out in outs:
        end(out, kind)
        expect(out).to_contain_text("END True")
        expect(out.locator(".amber-answer")).to_have_count(1)


@pytest.mark.fresh_kernel
def test_a_console_on_the_kernel_of_the_notebook(notebook: Callable[..., Any]) -> None:
    book = notebook([START, ANSWER.task.replace("150", "900"), "task.cancel()"])
    out = begun(book)
    execute(book, "notebook:create-console")
    console = book.page.locator(".jp-CodeConsole")
    editor = console.locator(".jp-CodeConsole-promptCell .cm-content")
    editor.click()
    book.page.keyboard.insert_text(ANSWER.cell)
    book.page.keyboard.press("Shift+Enter")
    second = console.locator(".jp-CodeConsole-content")
    live(second)
    live(out)
    expect(book.page.locator(".amber-over")).to_have_count(2)  # one on each, of two layers on the page
    end(second, ANSWER)
    expect(second).to_contain_text("END True")
    expect(second.locator(".amber-answer")).to_have_count(1)
    assert len(second.locator(".amber-answer").inner_text().split()) >= 140
    out.get_by_role("button", name="Stop this answer").click()
    expect(out.locator(".amber-view")).to_have_count(0)
    expect(out).to_contain_text("stopped by you")


@pytest.mark.slow
def test_run_all_twice(notebook: Callable[..., Any]) -> None:
    """The second run waits for the first one, as Jupyter has it; each cell has one answer in the end."""
    book = notebook([START, ANSWER.cell, ANSWER.cell.replace("150", "100")])
    begun(book)
    for _ in range(2):
        execute_at_once(book, "notebook:run-all-cells")
    expect(book.cell(2).locator(".jp-InputPrompt")).to_have_text("[8]:", timeout=60_000)
    settled(book, 1)
    settled_again = book.output(2)
    end(settled_again, ANSWER)
    expect(settled_again.locator(".amber-answer")).to_have_count(1)


def execute_at_once(book: Any, command: str) -> None:
    """Execute a command without waiting for its end."""
    book.page.evaluate("command => void jupyterapp.commands.execute(command)", command)


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
