"""An answer asked inside a widget of the user's is live there, and stays there. Ways 3 to 7 of test_ways.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from ways import KINDS, START, end, live

pytestmark = pytest.mark.browser

EACH = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=name, marks=[pytest.mark.slow] * (name == "tools")) for name, kind in KINDS.items()]
)
OUTPUT = """
import ipywidgets
out = ipywidgets.Output()
display(out)
with out:
    answer = {awaited}
"""
TAB = """
import ipywidgets
out = ipywidgets.Output()
display(ipywidgets.Tab([ipywidgets.Label("other"), out], titles=["one", "two"], selected_index=1))
with out:
    answer = {awaited}
"""
CAPTURE = """
import ipywidgets
out = ipywidgets.Output()
@out.capture()
def ask():
    return {blocking}
display(out)
answer = ask()
"""
INTERACT = """
import ipywidgets
@ipywidgets.interact(words=[150, 160])
def write(words):
    amber.ask(f"Write {words} words about tea.")
"""
BUTTON = """
import ipywidgets
button, out = ipywidgets.Button(description="Ask"), ipywidgets.Output()
button.on_click(out.capture()(lambda _: amber.ask("Write 150 words about tea.")))
ipywidgets.VBox([button, out])
"""


@EACH
@pytest.mark.parametrize(
    "cell",
    [OUTPUT, pytest.param(TAB, marks=pytest.mark.slow), pytest.param(CAPTURE, marks=pytest.mark.slow)],
    ids=["output", "tab", "capture"],
)
def test_inside_an_output_widget(notebook: Callable[..., Any], cell: str, kind: Any) -> None:
    source = cell.format(awaited=kind.awaited, blocking=kind.call.format(verb="amber.ask"))
    book = notebook([START, source + "print('END', answer.complete)", "print('next')"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    live(out, kind)
    end(out, kind)
    expect(out).to_contain_text("END True")
    text = out.locator(".amber-answer").inner_text()
    assert len(text.split()) >= kind.words
    book.run(2, wait=True)
    expect(book.output(2)).to_contain_text("next")
    saved = book.saved()
    assert "amber-hook" not in str(saved)


@pytest.mark.slow
def test_by_interact(notebook: Callable[..., Any]) -> None:
    """First in the cell, which shows the widget only afterwards; then when a value has changed."""
    book = notebook([START, INTERACT, "print('next')"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    for choice in (None, "160"):
        if choice:
            out.locator("select").select_option(choice)
            live(out)
        expect(out.locator(".amber-answer")).to_have_count(1)
        end(out, KINDS["answer"])
        assert len(out.locator(".amber-answer").inner_text().split()) >= int(choice or 150) - 10
    book.run(2, wait=True)
    assert "amber-hook" not in str(book.saved())


def test_in_the_callback_of_a_button(notebook: Callable[..., Any]) -> None:
    book = notebook([START, BUTTON, "print('next')"])
    book.run(0, wait=True)
    book.run(1, wait=True)
    out = book.output(1)
    out.get_by_role("button", name="Ask").click()
    live(out)
    end(out, KINDS["answer"])
    assert len(out.locator(".amber-answer").inner_text().split()) >= 140
    book.run(2, wait=True)
    assert "amber-hook" not in str(book.saved())
