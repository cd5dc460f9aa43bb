"""Whatever happens to a page, a cell or a kernel while an answer is written: what was written stays, and goes on.

The table of ways: what is done in the middle, what the page shows then, and what the file holds. Which kinds of answers
are tried: A one that streams, T one that streams after a tool has run, C one with a card that waits, I an input for
images (test_image_input_in_lab.py).

|  | way | the page | the file | tried |
| --- | --- | --- | --- | --- |
| 1 | saved every 100 ms | goes on | each one readable: the text so far, no widget | A |
| 2 | saved with "save widget state" on | goes on | the text so far, no widget, no bundle | A C |
| 3 | inside an Output widget | live, and settled in the Output | the user's widget | A T C I |
| 4 | inside a Tab | the same | the same | A T C |
| 5 | by `interact` | the same | the same | A |
| 6 | in a function with `@out.capture()` | the same | the same | A T C |
| 7 | in a button's callback | the same | the same | A |
| 8 | the cell is moved | goes on, and settles | the whole answer | A T C I |
| 9 | the cell is split | the same, in the part that has the output | the whole answer | A T C |
| 10 | the cell is copied, and pasted after the end | the snapshot, healed by saving | the whole answer | A |
| 11 | the cell is copied into another notebook | the snapshot there | the text so far there | A |
| 12 | the cell is deleted | the request is stopped | no cell | A C I |
| 13 | the deletion is undone at once | goes on | the whole answer | A T C I |
| 14 | the deletion is undone after the stop | the text so far, marked as stopped | the same | A |
| 15 | the cell becomes Markdown | the request is stopped | no output | A C |
| 16 | all outputs are cleared | comes back, goes on | the whole answer | A T C |
| 17 | scrolled out of sight, windowing mode 'full' | goes on | the whole answer | A T C |
| 18 | its output is collapsed, and expanded | goes on | the whole answer | A T C |
| 19 | its output is scrolled | goes on | the whole answer | A T C |
| 20 | two new views of the output | all three are live | the whole answer | A T C I |
| 21 | the page is loaded again, the cell awaits | comes back, goes on | the whole answer | A C I |
| 22 | the page is loaded again, the cell blocks | comes back, goes on | the whole answer | A |
| 23 | the notebook is closed and opened again | goes on | the whole answer | A I |
| 24 | a second page with the same notebook | both are live | the whole answer | A C |
| 25 | two notebooks side by side, a kernel each | both are live | both whole | A C |
| 26 | a console on the notebook's kernel | both are live | the whole answer | A |
| 27 | the kernel is restarted | the text so far, marked | the same | A C I |
| 28 | the kernel is killed, or ends itself | the text so far, marked | the same | A C |
| 29 | the kernel is interrupted | the text so far, marked as stopped | the same | A C |
| 30 | the cell is run again, a task of it still asking | its last request is stopped | the new answer | A |
| 31 | Run All twice | each cell's last answer | the same | A |
| 32 | two collaborators | tests/bench/front_ends.py | the same | A C |

3 to 7 are in test_ways_of_widgets.py, 21 to 31 in test_ways_of_pages.py, the rest is here.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from patience import until
from playwright.sync_api import expect
from ways import KINDS, START, UNFINISHED, WORDS, begun, end, execute, live, outputs, settled

pytestmark = pytest.mark.browser

ANSWER, CARD = KINDS["answer"], KINDS["card"]
EACH = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=name, marks=[pytest.mark.slow] * (name != "card")) for name, kind in KINDS.items()]
)
ANSWER_AND_CARD = pytest.mark.parametrize(
    "kind", [pytest.param(ANSWER, marks=pytest.mark.slow), CARD], ids=["answer", "card"]
)
FILL = ["# below"] * 40
NOTEBOOK = "jupyterapp.shell.currentWidget.content"
SAVE_STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"


def test_every_file_that_is_saved_meanwhile_is_readable(notebook: Callable[..., Any]) -> None:
    book = notebook([START, ANSWER.cell])
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
        whole = UNFINISHED not in "".join(data["text/plain"])
        # As HTML it is there to its end; a snapshot of the kernel's tells as plain text only how it ends.
        texts.append(re.sub(r"<[^>]*>", "", "".join(data["text/html"])).replace(UNFINISHED, "").strip())
    grown = [len(text.split()) for text in texts]
    # One that comes while Lab is saving may be some words behind the page.
    assert all(later >= 0.8 * earlier for earlier, later in itertools.pairwise(grown))
    assert len(set(grown)) >= 5  # with all of the text that was there, not that of the kernel's last snapshot
    last, *earlier = ("".join(html.unescape(text).split()) for text in reversed(texts))
    assert all(last.startswith(text[: len(text) // 2]) for text in earlier)
    settled(book)


@ANSWER_AND_CARD
def test_a_file_with_the_state_of_widgets_holds_no_bundle(notebook: Callable[..., Any], lab: Any, kind: Any) -> None:
    book = notebook([START, kind.cell, "import ipywidgets\nipywidgets.IntSlider(description='mine')"])
    book.run(2, wait=True)
    execute(book, SAVE_STATE)
    try:
        begun(book, 1, kind)
        state = book.saved()["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
        assert "mine" in str(state)  # the user's own
        assert "amber" not in str(state)
        settled(book, 1, kind)
        assert "amber" not in str(json.loads(book.path.read_text(encoding="utf-8"))["metadata"])
    finally:
        execute(book, SAVE_STATE)


def outputs_of_last_cell(book: Any) -> list[dict[str, Any]]:
    """What the file of a notebook holds below its last cell; none while it is being written."""
    try:
        return outputs(json.loads(book.path.read_text(encoding="utf-8")), -1)
    except json.JSONDecodeError:
        return []


def move(book: Any) -> int:
    """Move the cell below the next one."""
    execute(book, "notebook:move-cell-down")
    return 2


def split(book: Any) -> int:
    """Split the cell in the middle of its source."""
    book.cell(1).locator(".cm-content").first.click()
    book.page.keyboard.press("Control+Home")
    book.page.keyboard.press("End")
    execute(book, "notebook:split-cell-at-cursor")
    return 2


def delete_and_undo(book: Any) -> int:
    """Delete the cell, and take that back before the request is stopped."""
    execute(book, "notebook:delete-cell")
    expect(book.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2 + len(FILL))
    book.page.wait_for_timeout(500)
    execute(book, "notebook:undo-cell-action")
    return 1


def clear(book: Any) -> int:
    """Clear the outputs of all cells."""
    execute(book, "notebook:clear-all-cell-outputs")
    expect(book.output(0)).to_have_text("")
    return 1


def scroll_away(book: Any) -> int:
    """Scroll the cell out of sight, where the mode 'full' takes it off the page, and back."""
    cell = book.page.locator(".jp-Notebook .jp-CodeCell", has_text="Amber()")
    configure = f"mode => {{ {NOTEBOOK}.notebookConfig = {{ ...{NOTEBOOK}.notebookConfig, windowingMode: mode }} }}"
    book.page.evaluate(configure, "full")
    book.page.evaluate(f"() => {NOTEBOOK}.scrollToItem(40)")
    expect(cell).to_have_count(0)
    book.page.wait_for_timeout(500)
    book.page.evaluate(f"() => {NOTEBOOK}.scrollToItem(0)")
    expect(cell).to_have_count(1)
    return 1


def collapse(book: Any) -> int:
    """Hide the output, and show it again."""
    execute(book, "notebook:hide-cell-outputs")
    expect(book.output(1)).to_be_hidden()
    book.page.wait_for_timeout(500)
    execute(book, "notebook:show-cell-outputs")
    return 1


def scroll_output(book: Any) -> int:
    """Have the output scroll in a box of its own."""
    execute(book, "notebook:enable-output-scrolling")
    return 1


GOES_ON = [move, split, delete_and_undo, clear, scroll_away, collapse, scroll_output]


@EACH
@pytest.mark.parametrize("way", GOES_ON, ids=[way.__name__.replace("_", "-") for way in GOES_ON])
def test_it_goes_on_whatever_is_done_to_its_cell(notebook: Callable[..., Any], way: Any, kind: Any) -> None:
    long = kind.cell.replace("150", "400") if way is clear else kind.cell  # it comes back after five seconds
    book = notebook([START, long, "# next", *FILL])
    begun(book, 1, kind)
    index = way(book)
    if not (way is clear and kind is KINDS["tools"]):  # whose answer ends within those seconds, and is put back settled
        live(book.output(index), kind)
    settled(book, index, kind)


def test_a_copy_that_is_pasted_after_the_end(notebook: Callable[..., Any]) -> None:
    """It holds the snapshot; saving asks the kernel for the settled form."""
    book = notebook([START, ANSWER.cell, "# below"])
    begun(book)
    book.saved()
    execute(book, "notebook:copy-cell")
    expect(book.output(1)).to_contain_text("END True")
    execute(book, "notebook:paste-cell-below")
    expect(book.output(2)).to_contain_text(UNFINISHED)
    book.saved()
    expect(book.output(2)).not_to_contain_text(UNFINISHED)
    assert len(book.output(2).locator(".amber-answer").inner_text().split()) >= 140


@pytest.mark.slow
def test_a_copy_in_another_notebook(notebook: Callable[..., Any]) -> None:
    """The text so far stays there: its kernel is another one, which knows nothing of it."""
    other = notebook(["# here"])
    book = notebook([START, ANSWER.cell], viewport={"width": 1280, "height": 900})
    begun(book)
    book.saved()
    execute(book, "notebook:copy-cell")
    book.page.evaluate(
        "path => jupyterapp.commands.execute('docmanager:open', { path }).then(() => null)", other.path.name
    )
    book.page.wait_for_function("name => jupyterapp.shell.currentWidget.title.label === name", arg=other.path.name)
    book.page.evaluate("() => jupyterapp.shell.currentWidget.context.ready.then(() => null)")
    execute(book, "notebook:paste-cell-below")
    copy = book.page.locator(
        ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell-outputArea", has=book.page.locator(".amber-answer")
    )
    expect(copy).to_contain_text(WORDS)
    execute(book, "docmanager:save")
    (data,) = until(lambda: outputs_of_last_cell(other))
    assert UNFINISHED in "".join(data["text/html"])
    assert WORDS.search("".join(data["text/plain"]))
    execute(book, "application:close")
    book.page.wait_for_function("name => jupyterapp.shell.currentWidget.title.label === name", arg=book.path.name)
    book.cell(1).locator(".cm-content").first.click()  # Ctrl+S goes where the keyboard is
    settled(book)


@pytest.mark.parametrize(
    "way", ["notebook:delete-cell", "notebook:change-cell-to-markdown"], ids=["deleted", "markdown"]
)
@ANSWER_AND_CARD
def test_a_cell_without_its_output_stops_its_request(notebook: Callable[..., Any], way: str, kind: Any) -> None:
    source = kind.cell.replace("150", "2000")
    book = notebook([START, source, "# next", "print(amber.last.finish_reason)"])
    begun(book, 1, kind)
    execute(book, way)
    expect(book.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(3)
    book.run(2, wait=True)  # which waits for the kernel
    expect(book.output(2)).to_have_text("cancelled\n")


@pytest.mark.slow
def test_a_deletion_that_is_undone_after_the_stop(notebook: Callable[..., Any]) -> None:
    book = notebook([START, ANSWER.cell.replace("150", "2000"), "print(amber.last.finish_reason)"])
    begun(book)
    execute(book, "notebook:delete-cell")
    book.run(1, wait=True)
    expect(book.output(1)).to_have_text("cancelled\n")
    execute(book, "notebook:undo-cell-action")
    out = book.output(1)
    expect(out.locator(".amber-answer")).to_contain_text(WORDS)
    expect(out.locator(".amber-view")).to_have_count(0)
    (data, *_) = outputs(book.saved())
    assert WORDS.search("".join(data["text/plain"]))
    assert sorted(data) == ["text/html", "text/plain"]
    expect(out).to_contain_text("stopped by you")  # saving has healed it


@EACH
def test_two_new_views_of_the_output(notebook: Callable[..., Any], kind: Any) -> None:
    book = notebook([START, kind.cell.replace("150", "300")])
    begun(book, 1, kind)
    for _ in range(2):
        execute(book, "notebook:create-output-view")
        book.page.evaluate(
            "() => jupyterapp.shell.activateById([...jupyterapp.shell.widgets('main')].find(w => w.context).id)"
        )
    live(book.page, kind, count=3)
    end(book.page.locator(".jp-LinkedOutputView").last, kind)  # the one in the notebook is out of sight
    expect(book.page.locator(".amber-view")).to_have_count(0)
    answers = book.page.locator(".amber-answer")
    expect(answers).to_have_count(3)
    texts = answers.all_inner_texts()
    assert texts[0] == texts[1] == texts[2]
    assert len(texts[0].split()) >= kind.words
