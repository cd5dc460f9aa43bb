"""The images above an answer stand where they stand when the answer settles."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from test_stream_view import setup

pytestmark = pytest.mark.browser

CELL = """
import io
from PIL import Image
from amber_nb.show.html import answer_html
from amber_nb.show.strip import strip_html, strip_items
from amber_nb.types import SentImage

def image(i):
    out = io.BytesIO()
    picture = Image.new("RGB", (160, 60 + 10 * i), (40 * i % 256, 120, 90))
    picture.save(out, "WEBP")
    name = "a long name without any end " * 3 + ".png" if i == 3 else f"cost $5 and $10 {i}.png"
    return SentImage(name=name, before=(3000, 2000), after=(1500, 1000), format="PNG", n_bytes=81_000, tokens=1_100,
                     thumbnail=out.getvalue() if i % 5 else b"")

images = [image(i) for i in range(14)]
view = StreamView(model="m", badge="simulated", strip=strip_items(images), on_stop=stopped.set)
handle = display(view, display_id=True)
view.feed(ANSWER)
assert stopped.wait(20)
html = answer_html(ANSWER, badge="simulated", head=strip_html(images), footer="m · 3 s")
handle.update({"text/html": html, "text/plain": ANSWER}, raw=True)
view.close()
"""
BOXES = """root => {
  const origin = root.closest('.jp-OutputArea').getBoundingClientRect();
  return [...root.querySelectorAll('.amber-images > div, .amber-images img, p')].map(el => {
    const { x, y, width, height } = el.getBoundingClientRect();
    return [el.tagName, x - origin.x, y - origin.y, width, height];
  });
}"""


def test_the_strip_stays_in_its_place(notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    book = notebook([setup("What is seen.\n\nThe very end."), CELL])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("The very end.")
    expect(out.locator(".amber-images img")).to_have_count(9)
    decoded = "() => [...document.querySelectorAll('.amber-images img')].every(one => one.complete && one.naturalWidth)"
    book.page.wait_for_function(decoded)
    live = out.locator(".amber-view").evaluate(BOXES)
    out.screenshot(path=artefacts / "strip-live.png")
    out.locator(".amber-stop").click()
    expect(out.locator(".amber-answer")).to_have_count(1)
    settled = out.locator(".amber-answer").evaluate(BOXES)
    out.screenshot(path=artefacts / "strip-settled.png")
    assert len(live) == 13 + 9 + 2
    assert [box[0] for box in live] == [box[0] for box in settled]
    moved = [
        (was, now)
        for was, now in zip(live, settled, strict=True)
        if any(abs(one - other) > 2 for one, other in zip(was[1:], now[1:], strict=True))
    ]
    assert not moved
