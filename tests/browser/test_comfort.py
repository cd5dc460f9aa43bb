"""What makes an answer pleasant to read while it is written, on a page without a kernel."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from static_page import StaticPage

from amber_nb.display.answer_html import answer_html

pytestmark = pytest.mark.browser


def test_a_stream_that_gives_nothing_says_so(static_page: Callable[..., StaticPage]) -> None:
    view = static_page(clock=True)
    note, clock = view.output().locator(".amber-note"), view.page.clock
    clock.run_for(20_000)
    expect(note).to_have_text("")  # nothing has begun
    view.feed("Well, ")
    clock.run_for(4_000)
    expect(note).to_have_text("")
    clock.run_for(3_000)
    expect(note).to_have_text("nothing for 7 s")
    clock.run_for(10_000)
    expect(note).to_have_text("nothing for 17 s")
    view.feed("this is ")
    clock.run_for(1_000)
    expect(note).to_have_text("")
    # A tool that runs, or a card that waits, is no stall; and what comes after it may take its time.
    view.receive(n="running count")
    clock.run_for(60_000)
    expect(note).to_have_text("running count")
    view.receive(n="")
    clock.run_for(3_000)
    expect(note).to_have_text("")
    clock.run_for(4_000)
    expect(note).to_have_text("nothing for 7 s")


ROW = "| 2026-12-01 | **a-long-word** | 1 000 000,00 € | a b c | d e f | g h i | it goes on and on as others do |\n"
TABLE = "| when | what | how much | x | y | z | and what there is to say |\n|:--|:-:|--:|--|--|--|--|\n" + ROW * 3
HEADINGS = "".join(f"{'#' * level} Level {level}\n\ntext\n\n" for level in range(1, 7))
CELLS = """root => [...root.querySelectorAll('th, td')].map(el => {
  const { width } = el.getBoundingClientRect();
  const range = document.createRange();
  range.selectNodeContents(el);
  return [el.textContent, width, new Set([...range.getClientRects()].map(rect => Math.round(rect.bottom / 8))).size];
})"""
SIZES = """root => [...root.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(el => {
  const { fontSize, fontWeight } = getComputedStyle(el);
  return [el.tagName, el.className, el.textContent, fontSize, fontWeight];
})"""


def test_a_wide_table_scrolls_and_breaks_nothing_short(
    static_page: Callable[..., StaticPage], artefacts: pathlib.Path
) -> None:
    view = static_page()
    view.page.set_viewport_size({"width": 500, "height": 900})
    view.feed(TABLE + "\nThe end.")
    expect(view.output().locator(".amber-text")).to_contain_text("The end.")
    box = view.output().locator(".amber-wide")
    expect(box).to_have_attribute("tabindex", "0")
    assert box.evaluate("el => el.scrollWidth > el.clientWidth && el.clientWidth < 500")
    live = view.output().locator(".amber-view").evaluate(CELLS)
    view.output().screenshot(path=artefacts / "table-live.png")
    view.settle(answer_html(TABLE + "\nThe end."))
    box = view.output().locator("div:has(> table)")
    assert box.evaluate("el => el.scrollWidth > el.clientWidth && el.clientWidth < 500 && el.tabIndex === 0")
    settled = view.output().evaluate(CELLS)
    view.output().screenshot(path=artefacts / "table-settled.png")
    assert [text for text, *_ in live] == [text for text, *_ in settled]
    for cells in (live, settled):
        columns = [cells[at::7] for at in range(7)]
        assert {lines for column in columns[:6] for _, _, lines in column} == {1}
        assert min(lines for _, _, lines in columns[6][1:]) > 1  # remarks are broken
        assert min(width for _, width, _ in columns[6]) > 100  # but not to single words


def test_headings_are_below_the_notebooks_own_live_and_settled(static_page: Callable[..., StaticPage]) -> None:
    view = static_page()
    view.feed(HEADINGS + "The end.")
    expect(view.output().locator(".amber-text")).to_contain_text("The end.")
    live = view.output().locator(".amber-view").evaluate(SIZES)
    view.settle(answer_html(HEADINGS + "The end."))
    assert view.output().evaluate(SIZES) == live
    assert [tag for tag, *_ in live] == ["H3", "H4", "H5", "H6", "H6", "H6"]
    assert {name for _, name, *_ in live} == {"tocSkip"}


WRITTEN = """() => {
  window.written = [];
  Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => void written.push(text) } });
}"""


def test_code_and_the_answer_are_copied_as_they_were_written(
    static_page: Callable[..., StaticPage], artefacts: pathlib.Path
) -> None:
    view = static_page()
    view.page.evaluate(WRITTEN)
    text = "A formula, $x^2$:\n\n```python\nx = 1\n\nif x:\n    y\n```\n\nand *more*"
    copy_all = view.output().get_by_role("button", name="Copy this answer so far, as Markdown")
    expect(copy_all).to_have_count(0)  # nothing is there
    view.feed(text)
    expect(view.output().locator(".amber-text")).to_contain_text("and more")
    copy_all.click()
    view.output().locator("pre").hover()
    view.output().get_by_role("button", name="Copy this code").click()
    assert view.page.evaluate("written") == [text, "x = 1\n\nif x:\n    y"]
    view.page.mouse.move(700, 890)
    expect(view.output().locator("pre .amber-copy")).to_have_attribute("aria-label", "Copied")
    view.output().screenshot(path=artefacts / "copied.png")
    # A selection holds the text alone.
    assert "Cop" not in view.output().locator(".amber-text").evaluate("el => el.innerText")
    view.settle(answer_html(text))
    button = view.output().get_by_role("button", name="Copy this code")
    expect(button).to_have_count(1)
    button.focus()
    view.page.keyboard.press("Enter")
    assert view.page.evaluate("written").pop() == "x = 1\n\nif x:\n    y"
    expect(view.output().get_by_role("button")).to_have_count(1)
