"""`ask` in a real JupyterLab: live while it runs, stoppable, static once it is done."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

START = "import os\nos.environ['AMBER_SIM_CHUNKS_PER_S'] = '{pace}'\nfrom amber_nb import Amber\namber = Amber()\n"
LONG = "Write 600 words about the history of tea."


def start(code, pace=60):
    return START.format(pace=pace) + code


@pytest.mark.parametrize("verb", ["answer = amber.ask", "answer = await amber.ask_async"])
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_stop_is_seen_and_keeps_the_text(notebook, artefacts, verb, theme):
    code = start(f"{verb}({LONG!r})\nprint(answer.complete, answer.finish_reason, len(answer.text) > 20)")
    book = notebook([code], theme=f"JupyterLab {theme}")
    book.run()
    stop = book.output().get_by_role("button", name=re.compile("Stop"))
    expect(stop).to_be_visible(timeout=20_000)
    expect(book.output().get_by_role("log")).to_contain_text(re.compile(r"\w+ \w+ \w+ \w+"), timeout=20_000)
    book.page.screenshot(path=artefacts / f"live-{verb.split()[2]}-{theme.lower()}.png")
    stop.click()
    book.finished()
    expect(book.output()).to_contain_text("False cancelled True")
    expect(book.output()).to_contain_text("stopped by the reader")
    expect(stop).to_have_count(0)
    saved = book.saved()
    (cell,) = saved["cells"]
    kinds = [sorted(output["data"]) for output in cell["outputs"] if output["output_type"] == "display_data"]
    assert kinds == [["text/html", "text/plain"]]


def test_it_is_live_and_settles_in_place(notebook, artefacts):
    book = notebook([start("amber.ask('Write 120 words about tea.')", pace=120)])
    book.run()
    expect(book.output().get_by_role("button", name=re.compile("Stop"))).to_be_visible(timeout=20_000)
    book.finished()
    expect(book.output().locator(".amber-answer")).to_have_count(1)
    expect(book.output().get_by_role("button")).to_have_count(0)
    text = book.output().inner_text()
    saved = book.saved()
    (cell,) = saved["cells"]
    (output,) = cell["outputs"]
    assert sorted(output["data"]) == ["text/html", "text/plain"]
    assert "widgets" not in saved["metadata"]
    again = notebook.saved(book.path)
    assert again.output().inner_text() == text


def test_two_at_once(notebook, artefacts):
    code = "import asyncio\ntopics = ['tea', 'coffee']\n"
    code += "both = await asyncio.gather(*(amber.ask_async(f'Write 150 words about {t}.') for t in topics))\nNone"
    book = notebook([start(code)])
    book.run()
    expect(book.output().get_by_role("button", name=re.compile("Stop"))).to_have_count(2, timeout=20_000)
    book.page.screenshot(path=artefacts / "live-two.png")
    book.finished()
    expect(book.output().locator(".amber-answer")).to_have_count(2)
    assert [
        topic in book.output().locator(".amber-answer").nth(n).inner_text().lower()
        for n, topic in enumerate(("tea", "coffee"))
    ] == [True, True]


def test_an_interrupt_settles_and_raises(notebook):
    book = notebook([start(f"amber.ask({LONG!r})"), "print(amber.last.finish_reason, len(amber.last.text) > 20)"])
    book.run()
    expect(book.output().get_by_role("log")).to_contain_text(re.compile(r"\w+ \w+ \w+ \w+"), timeout=20_000)
    book.page.keyboard.press("Escape")
    book.page.keyboard.press("i")
    book.page.keyboard.press("i")
    book.finished()
    expect(book.output()).to_contain_text("stopped by the reader")
    expect(book.output()).to_contain_text("KeyboardInterrupt")
    book.run(1, wait=True)
    expect(book.output(1)).to_contain_text("cancelled True")
    cells = book.saved()["cells"]
    trace = next(output for output in cells[0]["outputs"] if output["output_type"] == "error")
    assert len("\n".join(trace["traceback"])) <= 2_000


def test_an_error_leaves_no_view_behind(notebook):
    book = notebook([start("amber.ask('Hello!', model='azure/nonesuch')")])
    book.run(wait=True)
    expect(book.output()).to_contain_text("NotFoundError")
    expect(book.output()).to_contain_text("amber.models()")
    expect(book.output().get_by_role("button", name=re.compile("Stop"))).to_have_count(0)
