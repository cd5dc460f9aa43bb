"""`ask` in a real JupyterLab: live while it runs, stoppable, static once it is done."""

import itertools
import re
import threading
import time

import pytest
from gateway import Said, chunk, serve
from patience import until
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

START = "import os\nos.environ['AMBER_SIM_CHUNKS_PER_S'] = '{pace}'\nfrom amber_nb import Amber\namber = Amber()\n"
LONG = "Write 600 words about the history of tea."


def start(code, pace=60):
    return START.format(pace=pace) + code


@pytest.mark.parametrize(
    ("verb", "theme"), [("answer = amber.ask", "Light"), ("answer = await amber.ask_async", "Dark")]
)
def test_stop_is_seen_and_keeps_the_text(notebook, artefacts, verb, theme):
    code = start(f"{verb}({LONG!r})\nprint(answer.complete, answer.finish_reason, len(answer.text) > 20)", pace=25)
    book = notebook([code], theme=f"JupyterLab {theme}")
    book.run()
    stop = book.output().get_by_role("button", name=re.compile("Stop"))
    expect(stop).to_be_visible()
    expect(book.output().get_by_role("log")).to_contain_text(re.compile(r"\w+ \w+ \w+ \w+"))
    book.page.screenshot(path=artefacts / f"live-{verb.split()[2]}-{theme.lower()}.png")
    stop.click()
    book.finished()
    expect(book.output()).to_contain_text("False cancelled True")
    expect(book.output()).to_contain_text("stopped by you")
    expect(stop).to_have_count(0)
    saved = book.saved()
    (cell,) = saved["cells"]
    kinds = [sorted(output["data"]) for output in cell["outputs"] if output["output_type"] == "display_data"]
    assert kinds == [["text/html", "text/plain"]]


def test_a_long_wait_is_shown_and_can_be_stopped(notebook, artefacts):
    code = "answer = amber.ask('Hello!', model='fault/retry-after-61', max_wait_s=100)\nprint(answer.finish_reason)"
    book = notebook([start(code)])
    book.run()
    waiting = re.compile(r"waiting \d+ s \(the gateway is busy, Retry-After\)")
    expect(book.output()).to_contain_text(waiting)
    book.page.screenshot(path=artefacts / "waiting.png")
    book.output().get_by_role("button", name=re.compile("Stop")).click()
    book.finished()
    expect(book.output()).to_contain_text("cancelled")


def test_it_is_live_and_settles_in_place(notebook, artefacts):
    book = notebook([start("amber.ask('Write 120 words about tea.')", pace=50)])
    book.run()
    expect(book.output().get_by_role("button", name=re.compile("Stop"))).to_be_visible()
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
    expect(again.output().locator(".amber-answer")).to_have_count(1)
    assert again.output().inner_text() == text


def test_two_at_once(notebook, artefacts):
    code = "import asyncio\ntopics = ['tea', 'coffee']\n"
    code += "both = await asyncio.gather(*(amber.ask_async(f'Write 150 words about {t}.') for t in topics))\nNone"
    book = notebook([start(code, pace=60)])
    book.run()
    expect(book.output().get_by_role("button", name=re.compile("Stop"))).to_have_count(2)
    book.page.screenshot(path=artefacts / "live-two.png")
    book.finished()
    expect(book.output().locator(".amber-answer")).to_have_count(2)
    assert [
        topic in book.output().locator(".amber-answer").nth(n).inner_text().lower()
        for n, topic in enumerate(("tea", "coffee"))
    ] == [True, True]


@pytest.mark.fresh_kernel
def test_an_interrupt_settles_and_raises(notebook):
    book = notebook([start(f"amber.ask({LONG!r})"), "print(amber.last.finish_reason, len(amber.last.text) > 20)"])
    book.run()
    expect(book.output().get_by_role("log")).to_contain_text(re.compile(r"\w+ \w+ \w+ \w+"))
    book.page.keyboard.press("Escape")
    book.page.keyboard.press("i")
    book.page.keyboard.press("i")
    book.finished()
    expect(book.output()).to_contain_text("stopped by you")
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


class Endless:
    """A gateway that goes on until its reader hangs up, a hundred pieces a second; counts what it has sent."""

    def __init__(self):
        self.sent, self.left, self.seen = 0, 0, threading.Event()

    def reply(self, prompt):
        return Said(self.pieces(prompt))

    def pieces(self, prompt):
        try:
            if prompt == "think":
                yield chunk({"reasoning_content": "Well, "})
                self.seen.wait(20)
            for number in itertools.count():
                self.sent += 1
                yield chunk({"content": f"word {number} "})
                time.sleep(0.01)
                if prompt == "call" and number == 20:
                    yield chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look_up"}}]})
                    self.seen.wait(20)
        finally:
            self.left += 1


@pytest.fixture
def endless():
    gateway = Endless()
    with serve(gateway.reply) as url:
        gateway.start = f"from amber_nb import Amber\namber = Amber(base_url={url!r}, api_key='ambrs-exampletoken')\n"
        yield gateway


MANY = 200  # pieces: at a hundred a second, two seconds' worth; `until` gives up after some 2,000
SEVERAL = "import asyncio\nanswers = await asyncio.gather(*(amber.ask_async(str(n)) for n in range(3)))\n"


@pytest.mark.parametrize(
    "code",
    ["answers = [amber.ask('Go on')]\n", "answers = [await amber.ask_async('Go on')]\n", SEVERAL],
    ids=["sync", "await", "three"],
)
def test_after_stop_the_gateway_sends_little_more(notebook, endless, code):
    book = notebook([endless.start, code + "print([answer.finish_reason for answer in answers])"])
    book.run(0, wait=True)
    stops = book.output(1).get_by_role("button", name="Stop this answer")
    count = 3 if code == SEVERAL else 1
    book.run(1)
    expect(stops).to_have_count(count)
    expect(book.output(1).get_by_role("log").last).to_contain_text("word 9")
    for number in range(count):
        sent = endless.sent
        stops.first.evaluate("el => el.click()")  # it does not stand still
        until(lambda number=number: endless.left > number)
        assert endless.sent - sent <= MANY * (count - number)
        expect(stops).to_have_count(count - number - 1)
    book.finished(1)
    expect(book.output(1)).to_contain_text(str(["cancelled"] * count))


@pytest.mark.parametrize(("prompt", "note"), [("think", "thinking"), ("call", "calling look_up")])
def test_what_adds_no_text_is_noted(notebook, endless, prompt, note):
    book = notebook([endless.start + f"amber.ask({prompt!r})"])
    book.run()
    expect(book.output().locator(".amber-note")).to_have_text(note)
    endless.seen.set()
    expect(book.output().locator(".amber-note")).to_have_text("")  # text has come
    book.output().get_by_role("button", name="Stop this answer").evaluate("el => el.click()")
    book.finished()
