"""The live view in a real JupyterLab: it streams, stops, settles in place and leaves nothing behind."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from accessibility import judge
from answers import ANSWER, CODE, WIDE
from labpages import PAINTED
from patience import until
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# What a cell needs to show a view that a thread feeds, as the private loop will.
SETUP = """
import threading, time
from amber_nb.display.live import NotebookDisplay
from amber_nb.types import TextDelta

ANSWER = {answer}
stopped = threading.Event()
class View(NotebookDisplay):
    def __init__(self, *, model, badge=None, strip=(), on_stop):
        super().__init__(model=model, badge=badge, strip=strip, on_stop=on_stop)
        self.layer, self.set_note = self._answer.layer, self._answer.set_note
    def feed(self, text):
        self.handle(TextDelta(text))
def stream(view, text, *, chunk=4, pause_s=0.005):
    for at in range(0, len(text), chunk):
        if stopped.is_set():
            return
        view.feed(text[at:at + chunk])
        if pause_s:
            time.sleep(pause_s)
def start(view, text, **how):
    thread = threading.Thread(target=stream, args=(view, text), kwargs=how, daemon=True)
    thread.start()
    return thread
"""


def setup(text: str = ANSWER) -> str:
    # As code points, so that no quote or bracket of the text can end the cell's string.
    return SETUP.format(answer=f"bytes.fromhex('{text.encode().hex()}').decode()")


VIEW = 'view = View(model="azure/gpt-5.4", badge="simulated", on_stop=stopped.set)\n'
BLOCK = VIEW + "start(view, ANSWER)\nprint('stopped', stopped.wait(30))"
AWAIT = """
import asyncio
loop = asyncio.get_running_loop()
event = asyncio.Event()
view = View(model="azure/gpt-5.4", on_stop=lambda: loop.call_soon_threadsafe(event.set))
start(view, ANSWER)
await asyncio.wait_for(event.wait(), 30)
stopped.set()
print("stopped", event.is_set())
"""


@pytest.mark.parametrize(("kind", "cell"), [("sync", BLOCK), ("await", AWAIT)])
def test_it_streams_and_stops(notebook: Callable[..., Any], artefacts: pathlib.Path, kind: str, cell: str) -> None:
    book = notebook([setup(), cell])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text h4").first).to_be_visible()
    expect(out.locator(".amber-text table")).to_be_visible()
    expect(out.locator(".amber-facts")).to_have_text(re.compile(r"azure/gpt-5.4 · \d+ s · ~[\d,]+ tokens"))
    book.page.screenshot(path=artefacts / f"stream-{kind}.png")
    out.get_by_role("button", name="Stop this answer").click()
    expect(out.get_by_text("stopped True")).to_be_visible()
    expect(out.locator(".amber-stop")).to_have_text("Stopping…")
    book.finished(1)


SETTLE = """
import io
from PIL import Image
from amber_nb.display.answer_html import answer_html
from amber_nb.display.cards import strip_html, strip_items
from amber_nb.types import SentImage

def image(i):
    out = io.BytesIO()
    Image.new("RGB", (160, 60 + 10 * i), (40 * i % 256, 120, 90)).save(out, "WEBP")
    return SentImage(name=f"cost $5 and $10 {i}.png", original_size=(3000, 2000), size=(1500, 1000), format="PNG",
                     n_bytes=81_000, tokens=1_100, thumbnail=out.getvalue() if i else b"")

images = [image(i) for i in range(5)]
view = View(model="azure/gpt-5.4", badge="simulated", strip=strip_items(images), on_stop=stopped.set)
view.feed(ANSWER)
assert stopped.wait(20)
html = answer_html(ANSWER, badge="simulated", head=strip_html(images), footer="azure/gpt-5.4 · 3 s")
view.settle({"text/html": html, "text/plain": ANSWER})
"""


def test_it_settles_in_place_and_the_keyboard_stays_there(
    notebook: Callable[..., Any], artefacts: pathlib.Path
) -> None:
    text = re.sub(r"\$\$?[^$]+\$\$?", "one", ANSWER)  # typeset maths takes more room than its source
    text = text.replace("---\n\nThat", "|no|alignment|\n|-|-|\n|1|2|\n\n---\n\nThat")
    parts = ".amber-images > div, .amber-images img, h4, h5, p, li, td, th, pre, blockquote, hr"
    decoded = "() => [...document.querySelectorAll('.amber-images img')].every(one => one.complete && one.naturalWidth)"
    tops = (
        f"root => [...root.querySelectorAll('{parts}')]"
        + """
        .filter(el => !el.matches('li > p') && el.textContent !== 'azure/gpt-5.4 · 3 s')
        .map(el => [`${el.tagName} ${getComputedStyle(el).textAlign.replace('start', 'left')}`,
                    el.getBoundingClientRect().top - root.closest('.jp-OutputArea').getBoundingClientRect().top])"""
    )
    book = notebook([setup(text), SETTLE, "# next"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("the very end.")
    book.page.wait_for_function(decoded)

    def look() -> Any:  # Lab may just be rendering the output anew, and the layer about to draw over it
        found = out.locator(".amber-view").evaluate(tops)
        return found if any(kind.startswith("H4") for kind, _ in found) else None

    live = until(look)
    out.locator(".amber-stop").focus()
    book.page.keyboard.press("Enter")
    expect(out.locator(".amber-answer")).to_have_count(1)
    book.finished(1)
    book.page.wait_for_function(decoded)
    settled = out.locator(".amber-answer").evaluate(tops)
    assert len([kind for kind, _ in settled if kind.startswith("IMG")]) == 4
    book.page.screenshot(path=artefacts / "settled.png")
    assert [kind for kind, _ in live] == [kind for kind, _ in settled]
    moved = [(kind, was, now) for (kind, was), (_, now) in zip(live, settled, strict=True) if abs(was - now) > 1]
    assert not moved
    # The button is gone: its cell has the focus, so that Lab's keys go on working.
    book.page.keyboard.press("ArrowDown")
    expect(book.cell(2)).to_be_focused()


@pytest.mark.fresh_kernel
def test_a_deaf_kernel_is_interrupted(notebook: Callable[..., Any]) -> None:
    deaf = BLOCK.replace("start(", "view.layer.hello.wait(20)\nview.layer.comm.handle_msg = lambda msg: None\nstart(")
    book = notebook([setup(), deaf])
    book.run(0, wait=True)
    book.run(1)
    book.output(1).locator(".amber-stop").click()
    expect(book.output(1).get_by_text("KeyboardInterrupt").first).to_be_visible()


def test_settling_leaves_nothing_behind(notebook: Callable[..., Any]) -> None:
    cell = """
fired = []
fire = lambda: fired.append(1)
get_ipython().events.register("post_execute", fire)
view = View(model="m", on_stop=stopped.set)
view.feed("Hello")
assert view.layer.hello.wait(20)
threads = [thread for thread in threading.enumerate() if thread.name == "amber-views"]
view.settle({"text/html": "<p>settled</p>", "text/plain": "settled"})
for thread in threads:
    thread.join(20)
get_ipython().events.unregister("post_execute", fire)
print("fired", len(fired), [thread.name for thread in threading.enumerate() if thread.name == "amber-views"])
"""
    book = notebook([setup(), cell])
    book.run(0, wait=True)
    book.run(1, wait=True)
    expect(book.output(1).get_by_text("settled")).to_be_visible()
    expect(book.output(1).get_by_text("fired 0 []")).to_be_visible()
    expect(book.output(1).locator(".amber-view")).to_have_count(0)


LIVE = f"""{VIEW}
view.feed(ANSWER)
assert view.layer.hello.wait(20)
view.set_note("waiting 12 s (Retry-After)")
stopped.wait(60)
html = answer_html(ANSWER, reasoning="Think **twice**.", badge="simulated", footer="azure/gpt-5.4 · 412 tokens")
view.settle({{"text/html": html, "text/plain": ANSWER}})
"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_in_labs_own_style(
    notebook: Callable[..., Any], axe: str, artefacts: pathlib.Path, theme: str
) -> None:
    imports = "\nfrom amber_nb.display.answer_html import answer_html"
    book = notebook([setup(WIDE + CODE + ANSWER) + imports, LIVE], theme=f"JupyterLab {theme}")
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("the very end")
    expect(out.locator(".amber-note")).to_have_text("waiting 12 s (Retry-After)")
    out.screenshot(path=artefacts / f"answer-{theme.lower()}.png")
    colours = "el => [getComputedStyle(el).color, getComputedStyle(el.closest('.jp-Notebook')).backgroundColor]"
    ink, ground = out.locator(".amber-text p").first.evaluate(colours)
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
    assert (light[0] < light[1]) == (theme == "Light")
    judge(book.page, axe, ".amber-view", artefacts / f"axe-lab-live-{theme.lower()}.json", width=4_000)
    out.locator(".amber-stop").click()
    book.finished(1)
    expect(out.locator("mjx-container").first).to_be_visible()
    out.locator("summary").click()
    book.page.screenshot(path=artefacts / f"settled-in-lab-{theme.lower()}.png")
    judge(book.page, axe, ".amber-answer", artefacts / f"axe-lab-settled-{theme.lower()}.json", width=4_000)


def test_stop_by_keyboard_runs_no_cell(notebook: Callable[..., Any]) -> None:
    book = notebook([setup(), BLOCK])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    # Lab moves the focus to the cell a moment after it was run.
    expect(out.locator(".amber-text a").last).to_be_visible()
    expect(book.cell(1)).to_be_focused()
    for _ in range(8):  # the cell's menu, the links and the buttons that copy come first
        book.page.keyboard.press("Tab")
        if out.locator(".amber-stop:focus").count():
            break
    expect(out.locator(".amber-stop")).to_be_focused()
    book.page.keyboard.press("Enter")
    expect(out.get_by_text("stopped True")).to_be_visible()
    expect(out.locator(".amber-stop")).to_be_focused()
    book.finished(1)
    assert book.cell(1).locator(".jp-InputPrompt").inner_text() == "[2]:"  # it has not run anything else


END = """() => document.querySelector('.amber-view').getBoundingClientRect().bottom
  - document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect().bottom"""


def test_it_follows_a_reader_who_is_at_the_end_of_labs_page(notebook: Callable[..., Any]) -> None:
    """Lab's own scroller, which leaves a page of room below; all else of following is seen without a kernel."""
    grow = "view.feed('\\n\\n'.join(f'Paragraph {i}.' for i in range(30)) + '\\n\\n')"
    book = notebook([setup("x"), VIEW + "display(view)\nview.feed('A line.\\n\\n' * 60)\nview.hello.wait(20)", grow])
    book.run(0, wait=True)
    book.run(1, wait=True)
    expect(book.output(1).locator(".amber-text p")).to_have_count(60)
    book.page.mouse.move(700, 500)
    book.page.mouse.wheel(0, 100_000)
    book.page.evaluate(PAINTED)
    for _ in range(12):
        before = book.output(1).locator(".amber-text").bounding_box()["height"]
        # Not by running a cell, which Lab would scroll to.
        book.page.evaluate(
            "code => jupyterapp.shell.currentWidget.sessionContext.session.kernel"
            ".requestExecute({ code, store_history: false }).done.then(() => null)",
            grow,
        )
        book.page.wait_for_function(
            "before => document.querySelector('.amber-text').getBoundingClientRect().height > before", arg=before
        )
        book.page.evaluate(PAINTED)
        if book.page.evaluate(END) >= -4:
            break
    first = book.page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop")
    book.page.evaluate(
        "code => jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        ".requestExecute({ code, store_history: false }).done.then(() => null)",
        grow,
    )
    book.page.wait_for_function(
        "first => document.querySelector('.jp-WindowedPanel-outer').scrollTop > first + 100", arg=first
    )
    book.page.wait_for_function(f"Math.abs(({END})()) <= 4")
