"""What we show, for readers who see, hear or move otherwise: judged by axe-core, and by what the keyboard reaches.

In Lab's light and dark themes, while it streams and after it has settled.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from test_stream_view import ANSWER, BLOCK, VIEW, setup

pytestmark = pytest.mark.browser

AXE = pathlib.Path(__file__).resolve().parents[2] / "amber_nb/show/frontend/node_modules/axe-core/axe.min.js"
WIDE = f"|{' a column |' * 30}\n|{' --- |' * 30}\n" + f"|{' a cell |' * 30}\n" * 3 + "\n|a|b|\n|-|-|\n|1|2|\n\n"
CODE = f"```python\nprint({'x + ' * 80}x)\n```\n\n"

LIVE = f"""{VIEW}
display(view)
view.feed(ANSWER)
time.sleep(1)
view.note("waiting 12 s (Retry-After)")
stopped.wait(60)
"""
SETTLED = """
from IPython.display import HTML
from amber_nb.show.html import answer_html

calls = [("look_up", '{"place": "Aachen", "days": 3}')]
facts = dict(badge="simulated", notice="stopped by the reader", footer="azure/gpt-5.4 · 412 tokens · 3.1 s")
display(HTML(answer_html(ANSWER, reasoning="Think **twice**, then `answer`.", tool_calls=calls, **facts)))
display(HTML(answer_html("", refusal="I cannot help with that.")))
"""


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core. Missing, it skips on a desk and fails in CI."""
    if not AXE.exists():
        message = "no axe-core here: npm ci --prefix amber_nb/show/frontend"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return AXE.read_text(encoding="utf-8")


RUN_AXE = """async part => {
  const { passes, violations, incomplete } = await axe.run({ include: [[part]] });
  const lines = rules => rules.flatMap(({ id, nodes }) => nodes.map(({ impact, html, failureSummary }) =>
    [id, impact, html.slice(0, 120), failureSummary].join(' | ')));
  const contrast = passes.find(rule => rule.id === 'color-contrast');
  return { violations: lines(violations), unsure: lines(incomplete), contrast: contrast ? contrast.nodes.length : 0 };
}"""


def judge(book: Any, axe: str, selector: str, report: pathlib.Path) -> None:
    """Nothing serious may be wrong in our output; what else axe has to say is in the report."""
    # Of what is clipped or out of sight axe judges no contrast; and Lab's body has no height, all of it overflows.
    book.style("html, body { height: 100%; }")
    book.page.set_viewport_size({"width": 1280, "height": 3000})
    book.page.evaluate(axe)
    found = book.page.evaluate(RUN_AXE, selector)
    report.write_text(json.dumps(found, indent=2))
    assert found["contrast"] >= 10  # it has looked
    assert not [line for line in found["violations"] if line.split(" | ")[1] in ("serious", "critical")]
    assert not [line for line in found["unsure"] if line.startswith("color-contrast")]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_on_the_live_view(notebook: Callable[..., Any], axe: str, artefacts: pathlib.Path, theme: str) -> None:
    book = notebook([setup(WIDE + CODE + ANSWER), LIVE], theme=f"JupyterLab {theme}")
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("the very end")
    expect(out.locator(".amber-note")).to_have_text("waiting 12 s (Retry-After)")
    judge(book, axe, ".amber-view", artefacts / f"axe-live-{theme.lower()}.json")
    out.locator(".amber-stop").click()  # its quiet colours count as well
    expect(out.locator(".amber-stop")).to_have_text("Stopping…")
    judge(book, axe, ".amber-view", artefacts / f"axe-stopping-{theme.lower()}.json")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_on_the_settled_answer(notebook: Callable[..., Any], axe: str, artefacts: pathlib.Path, theme: str) -> None:
    book = notebook([setup(WIDE + CODE + ANSWER), SETTLED], theme=f"JupyterLab {theme}")
    book.run(0, wait=True)
    book.run(1, wait=True)
    out = book.output(1)
    expect(out.locator(".amber-answer")).to_have_count(2)
    expect(out.locator("mjx-container").first).to_be_visible()
    for summary in out.locator("summary").all():
        summary.click()
    book.page.screenshot(path=artefacts / f"settled-{theme.lower()}.png")
    judge(book, axe, ".amber-answer", artefacts / f"axe-settled-{theme.lower()}.json")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_stop_by_keyboard(notebook: Callable[..., Any], key: str) -> None:
    book = notebook([setup(), BLOCK])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    # Lab moves the focus to the cell a moment after it was run.
    expect(out.locator(".amber-text a").last).to_be_visible()
    expect(book.cell(1)).to_be_focused()
    for _ in range(5):  # the cell's menu and the two links come first
        book.page.keyboard.press("Tab")
        if out.locator(".amber-stop:focus").count():
            break
    expect(out.locator(".amber-stop")).to_be_focused()
    book.page.wait_for_timeout(500)
    expect(out.locator(".amber-stop")).to_be_focused()  # what streams takes nothing away
    book.page.keyboard.press(key)
    expect(out.get_by_text("stopped True")).to_be_visible()
    expect(out.locator(".amber-stop")).to_be_focused()
    book.finished(1)
    assert book.cell(1).locator(".jp-InputPrompt").inner_text() == "[2]:"  # it has not run anything else


def test_a_screen_reader_is_told_sentences_now_and_then(notebook: Callable[..., Any]) -> None:
    text = "".join(f"This is sentence {i} of **many**. " for i in range(400))
    book = notebook([setup(text), VIEW + "start(view, ANSWER, chunk=3, pause_s=0.01)\ntime.sleep(15)"])
    book.run(0, wait=True)
    book.run(1)
    spoken = book.output(1).locator(".amber-spoken")
    expect(spoken).to_have_attribute("aria-live", "polite")
    spoken.evaluate("""el => {
      window.said = [];
      const hear = () => window.said.push([performance.now(), el.textContent]);
      new MutationObserver(hear).observe(el, { childList: true, characterData: true, subtree: true });
    }""")
    log = book.output(1).get_by_role("log", name="Answer, still being written")
    # It changes at every word: said by itself, it would drown everything else.
    expect(log).to_have_attribute("aria-live", "off")
    expect(log).to_have_attribute("aria-busy", "true")
    book.page.wait_for_function("window.said.length >= 3")
    said = book.page.evaluate("window.said")
    assert all(later[0] - sooner[0] > 3500 for sooner, later in itertools.pairwise(said)), said
    for _, words in said:
        assert re.fullmatch(r"(This is sentence \d+ of many\. ?)+", words), said
        assert len(words) <= 500
    numbers = [int(number) for _, words in said for number in re.findall(r"\d+", words)]
    assert numbers == sorted(set(numbers))  # none is said twice


def test_a_narrow_page(notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    """Nothing but a wide table goes beyond 360 px of output, and the keyboard can scroll that."""
    text = WIDE + "\n" + "x" * 500 + "\n\n```python\n" + "value = 1  # " * 30 + "\n```\n\n" + ANSWER
    book = notebook([setup(text), LIVE])
    book.run(0, wait=True)
    out = book.output(1)
    book.style(".jp-Cell-outputArea { max-width: 424px; }")  # 64 of them are the prompt's
    book.run(1)
    expect(out.locator(".amber-note")).not_to_be_empty()
    widths = "el => [el.getBoundingClientRect().width, el.scrollWidth, el.clientWidth]"
    width, needed, there = out.locator(".amber-view").evaluate(widths)
    assert 300 < width <= 360
    assert needed <= there
    wide, small = (out.locator(".amber-wide").nth(n) for n in range(2))
    expect(wide).to_have_attribute("tabindex", "0")
    assert small.get_attribute("tabindex") is None
    assert wide.locator("th").first.bounding_box()["height"] < 60  # words stay whole
    out.screenshot(path=artefacts / "narrow.png")
    wide.focus()
    book.page.keyboard.press("ArrowRight")
    book.page.wait_for_function("() => document.querySelector('.amber-wide').scrollLeft > 0")


def test_what_the_reader_has_asked_of_the_system(notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    book = notebook([setup("Some text"), VIEW + "display(view)\nview.feed(ANSWER)\ntime.sleep(30)"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    caret = out.locator(".amber-caret")
    expect(caret).to_be_visible()
    style = "(el, name) => getComputedStyle(el, '::after')[name]"
    blinks = """() => {
        const caret = document.querySelector('.amber-caret');
        return caret !== null && getComputedStyle(caret, '::after').animationName === 'amber-blink';
    }"""
    book.page.wait_for_function(blinks)  # the style sheet may come after the view, and the caret moves on until then
    book.page.emulate_media(reduced_motion="reduce")
    assert caret.evaluate(style, "animationName") == "none"
    book.page.emulate_media(forced_colors="active")
    canvas = out.evaluate("el => getComputedStyle(el.closest('.jp-Notebook')).backgroundColor")
    assert caret.evaluate(style, "backgroundColor") != canvas
    out.locator(".amber-stop").focus()
    book.page.keyboard.press("Shift+Tab")
    book.page.keyboard.press("Tab")  # a ring is for the keyboard
    ring = "el => [getComputedStyle(el).outlineStyle, getComputedStyle(el).outlineWidth]"
    assert out.locator(".amber-stop").evaluate(ring) == ["solid", "2px"]
    out.screenshot(path=artefacts / "forced-colours.png")
    book.page.emulate_media(forced_colors="none")
    out.screenshot(path=artefacts / "focus.png")
    out.locator(".amber-stop").click()
