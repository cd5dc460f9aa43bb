"""What makes an answer pleasant to read while it is written, in a real JupyterLab: nothing jumps when it is settled."""

from __future__ import annotations

import pathlib
import re
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from answers import ANSWER, LONG
from labpages import PAINTED
from patience import until
from playwright.sync_api import expect
from test_view_in_lab import setup

pytestmark = pytest.mark.browser

FORMULAS = r"""
As a block:

$$
\int_0^\infty e^{-x^2}\,dx
= \frac{\sqrt{\pi}}{2}
- 0
$$

and one that is refused, \(\href{https://x.y}{x}\), as source.

```python
def load(path: str) -> list[str]:
    return [line.strip() for line in open(path)]  # all of it
```

The very end.
"""
TEXT = ANSWER + FORMULAS
LIVE = """
from amber_nb.display.answer_html import answer_html
view = View(model="azure/gpt-5.4", on_stop=stopped.set)
view.feed(ANSWER)
stopped.wait(60)
html = answer_html(ANSWER, footer="azure/gpt-5.4 · 412 tokens · 3 s")
_ = view.settle({"text/html": html, "text/plain": ANSWER})
"""
TYPESET = ANSWER.count("$") // 2 + 1 - ANSWER.count("$$") // 2
LOOKS = """root => [...root.querySelectorAll('pre code b, pre code i, pre code span')].map(el =>
  [el.tagName, el.textContent.trimEnd(), getComputedStyle(el).color])"""
# Null where Lab renders the output anew at this moment.
PARTS = """root => root.isConnected && [
  ...root.querySelectorAll('h4, h5, p, li, th, td, pre, blockquote, hr, mjx-container')]
  .filter(el => !el.matches('li > p')).map(el => {
    const { top, height, width } = el.getBoundingClientRect();
    return [el.tagName, top - root.closest('.jp-OutputArea').getBoundingClientRect().top, height, width];
  })"""
HEIGHT = "root => root.closest('.jp-OutputArea').getBoundingClientRect().height"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_nothing_jumps_when_it_is_settled(notebook: Callable[..., Any], artefacts: pathlib.Path, theme: str) -> None:
    book = notebook([setup(TEXT), LIVE], theme=f"JupyterLab {theme}")
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("The very end.")
    expect(out.locator(".amber-text mjx-container")).to_have_count(TYPESET)
    expect(out.locator(".amber-text pre b")).to_have_count(6)
    expect(out.locator(".amber-text .amber-math > code")).to_have_text(r"\(\href{https://x.y}{x}\)")
    live = until(lambda: out.locator(".amber-view").evaluate(PARTS))
    height = out.locator(".amber-view").evaluate(HEIGHT)
    looks = out.locator(".amber-text").evaluate(LOOKS)
    out.screenshot(path=artefacts / f"comfort-live-{theme.lower()}.png")
    out.locator(".amber-stop").click()
    book.finished(1)
    expect(out.locator(".amber-answer mjx-container")).to_have_count(TYPESET)
    expect(out.locator(".amber-view")).to_have_count(0)
    settled = out.locator(".amber-answer").evaluate(PARTS)
    out.screenshot(path=artefacts / f"comfort-settled-{theme.lower()}.png")
    assert [part[0] for part in live] == [part[0] for part in settled]
    moved = [
        (was, now)
        for was, now in zip(live, settled, strict=True)
        if any(abs(one - other) > 1 for one, other in zip(was[1:], now[1:], strict=True))
    ]
    assert not moved
    assert abs(out.locator(".amber-answer").evaluate(HEIGHT) - height) < 20
    assert out.locator(".amber-answer").evaluate(LOOKS) == looks
    # Copied from the settled answer, too, as long as it is on this page.
    expect(out.locator(".amber-answer").get_by_role("button", name="Copy this code")).to_have_count(2)
    assert "amber-copy" not in str(book.saved())
    assert len(looks) > 15


END = """root => root.closest('.jp-OutputArea').getBoundingClientRect().bottom
  - document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect().bottom"""


def test_a_reader_who_follows_the_end_ends_at_the_end(notebook: Callable[..., Any]) -> None:
    book = notebook([setup(TEXT * 3), LIVE, "# next", "# last"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text mjx-container")).to_have_count(3 * TYPESET)
    out.locator(".amber-view").evaluate("el => el.scrollIntoView({ block: 'end' })")
    book.page.evaluate(PAINTED)
    assert abs(out.locator(".amber-view").evaluate(END)) < 20
    out.locator(".amber-stop").focus()
    book.page.keyboard.press("Enter")
    book.finished(1)
    expect(out.locator(".amber-answer mjx-container")).to_have_count(3 * TYPESET)
    expect(out.locator(".amber-view")).to_have_count(0)
    assert abs(out.locator(".amber-answer").evaluate(END)) < 20


def test_headings_of_answers_stay_out_of_labs_table_of_contents(notebook: Callable[..., Any]) -> None:
    other = "from IPython.display import HTML\nHTML('<h2>Of another output</h2>')"
    book = notebook([setup(ANSWER), LIVE, other])
    book.run(0, wait=True)
    book.run(1)
    out, listed = book.output(1), book.page.locator(".jp-tocItem")
    expect(out.locator(".amber-text h4")).to_have_text("Why the sky is blue")
    book.page.evaluate("jupyterapp.commands.execute('toc:show-panel')")
    out.locator(".amber-stop").click()
    book.finished(1)
    expect(out.locator(".amber-answer h4.tocSkip")).to_have_count(1)
    book.run(2, wait=True)
    expect(listed.first).to_have_text("Of another output")
    expect(listed).to_have_count(1)
    book.page.evaluate("jupyterapp.commands.execute('filebrowser:activate')")


# --- Stop stays in sight


SHOW = "view = View(model='azure/gpt-5.4', on_stop=stopped.set)\nview.feed(ANSWER)\nassert stopped.wait(60)\n"
SETTLE = "view.settle({'text/html': '<p>settled</p>', 'text/plain': 'settled'})"
PLACES = {
    "output": SHOW + SETTLE,
    "Output": "import ipywidgets\nout = ipywidgets.Output()\ndisplay(out)\nwith out:\n" + textwrap.indent(SHOW, "    "),
    "scrolled": SHOW + SETTLE,
}
HELD = """el => {
  const { top, bottom, left, right } = el.getBoundingClientRect();
  const outer = el.closest('.jp-WindowedPanel-outer').getBoundingClientRect();
  const hit = el.ownerDocument.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  return top >= outer.top && bottom <= outer.bottom + 1 && el.contains(hit);
}"""


@pytest.mark.parametrize("place", PLACES)
def test_stop_is_in_sight_wherever_the_reader_is(
    notebook: Callable[..., Any], artefacts: pathlib.Path, place: str
) -> None:
    book = notebook([setup(LONG[:8_000]), PLACES[place], "# next"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("Paragraph 230")
    if place == "scrolled":
        book.page.evaluate("jupyterapp.commands.execute('notebook:enable-output-scrolling')")
        expect(book.cell(1)).to_have_class(re.compile("jp-mod-outputsScrolled"))
    stop = out.get_by_role("button", name="Stop this answer")
    expect(stop).to_have_count(1)
    for paragraph in (5, 100, 200):
        mark = out.locator(".amber-text").get_by_text(f"Paragraph {paragraph} of")
        mark.evaluate("el => el.scrollIntoView({ block: 'center' })")
        book.page.evaluate(PAINTED)
        assert stop.evaluate(HELD), paragraph
    book.page.screenshot(path=artefacts / f"stop-{place}.png")
    # Where it is in the order of the Tab key has not changed: after the text.
    assert stop.evaluate(
        "el => !!(el.closest('.amber-view').querySelector('.amber-text')"
        ".compareDocumentPosition(el) & Node.DOCUMENT_POSITION_FOLLOWING)"
    )
    stop.click()
    book.finished(1)
    if place != "Output":
        expect(out.get_by_text("settled")).to_be_visible()
        expect(book.page.locator(".amber-stop, .amber-through")).to_have_count(0)


def test_a_click_beside_the_answer_leaves_the_page_where_it_is(notebook: Callable[..., Any]) -> None:
    """Lab folds an output to a small box that scrolls: with a long answer, the page is somewhere else then."""
    book = notebook([setup(LONG[:8_000]), PLACES["output"], "# next"])
    book.run(0, wait=True)
    book.run(1)
    text = book.output(1).locator(".amber-text")
    expect(text).to_contain_text("Paragraph 230")
    text.get_by_text("Paragraph 100 of").evaluate("el => el.scrollIntoView({ block: 'center' })")
    book.page.evaluate(PAINTED)
    place = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTop"
    before = book.page.evaluate(place)
    x = text.bounding_box()["x"]
    for by in (15, 40):
        book.page.mouse.click(x - by, 400)
        book.page.evaluate(PAINTED)
    assert abs(book.page.evaluate(place) - before) < 2
    expect(book.cell(1)).not_to_have_class(re.compile("jp-mod-outputsScrolled"))
    # In a box that scrolls the click is as Lab has it: it ends that.
    book.page.evaluate("jupyterapp.commands.execute('notebook:enable-output-scrolling')")
    expect(book.cell(1)).to_have_class(re.compile("jp-mod-outputsScrolled"))
    box = text.bounding_box(), book.output(1).bounding_box()
    book.page.mouse.click(x - 40, box[1]["y"] + 40)
    expect(book.cell(1)).not_to_have_class(re.compile("jp-mod-outputsScrolled"))
    book.output(1).locator(".amber-stop").click()
    book.finished(1)
