"""`amber.map` in a real JupyterLab: seen while it runs, stopped, interrupted, gone on with, and whole in the file."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from completions import Refusal, completion, serve_completions
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SETUP = """
import pandas as pd
from amber_nb import Amber
amber = Amber(base_url={url!r}, api_key="ambrs-exampletoken", prices={{"azure/gpt-5.4": (2.5, 15)}})
frame = pd.DataFrame({{"text": [f"review {{n}}" for n in range(200)]}})
"""
MAP = "result = amber.map(frame, 'Classify: {text}', concurrency=8, ledger='map.sqlite')"
AWAIT = MAP.replace("amber.map", "await amber.map_async")
LOOK = "print(result['status'].value_counts(sort=False).to_dict(), result.attrs['totals']['from_ledger'])"


class Gateway:
    """Answers 60 rows, one of them with an error, and holds the others back until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = 0
        self._lock = threading.Lock()

    def __call__(self, prompt: str, _: int) -> Any:
        with self._lock:
            self.begun += 1
            is_held = self.begun > 60
        if prompt.endswith(" 7"):
            return Refusal(400, {"error": {"message": "this review is refused <img src=x onerror=alert(1)>"}})
        return Refusal(200, completion("positive"), wait=self.gate if is_held else None)


@pytest.mark.parametrize("call", [MAP, AWAIT], ids=["sync", "await"])
def test_a_map_is_stopped_and_gone_on_with(
    notebook: Callable[..., Any], artefacts: pathlib.Path, call: str, tmp_path: pathlib.Path
) -> None:
    reply = Gateway()
    with serve_completions(reply) as gateway:
        call = call.replace("map.sqlite", str(tmp_path / "map.sqlite"))
        book = notebook([SETUP.format(url=gateway.base_url), call, LOOK, call, LOOK])
        book.run(0)
        book.finished(0)
        book.run(1)
        out = book.cell(1)
        expect(out.locator(".amber-run")).to_contain_text("60 of 200")
        expect(out.locator(".amber-run")).to_contain_text("this review is refused <img")
        book.page.screenshot(path=artefacts / "table-running.png")
        out.get_by_role("button", name="Stop this run").click()
        book.finished(1)
        expect(out.locator(".amber-map")).to_contain_text("ended early: stopped")
        book.run(2)
        book.finished(2)
        expect(book.cell(2)).to_contain_text("{'ok': 59, 'error': 1, 'stopped': 140, 'skipped': 0} 0")
        reply.gate.set()
        book.run(3)
        book.finished(3)
        book.run(4)
        book.finished(4)
        expect(book.cell(4)).to_contain_text("{'ok': 199, 'error': 1, 'stopped': 0, 'skipped': 0} 59")
        book.page.screenshot(path=artefacts / "table-done.png")
        assert max(count for prompt, count in gateway.counts.items() if not prompt.endswith(" 7")) <= 2
        assert len(gateway.bodies) <= 200 + 8 + 1


def test_an_interrupt_leaves_the_rows_on_last_map(notebook: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    reply = Gateway()
    with serve_completions(reply) as gateway:
        call = MAP.replace("map.sqlite", str(tmp_path / "map.sqlite"))
        look = LOOK.replace("result", "amber.last_map")
        book = notebook([SETUP.format(url=gateway.base_url), call, look])
        book.run(0)
        book.finished(0)
        book.run(1)
        expect(book.cell(1).locator(".amber-run")).to_contain_text("60 of 200")
        book.page.evaluate("() => jupyterapp.commands.execute('notebook:interrupt-kernel')")
        book.finished(1)
        expect(book.cell(1)).to_contain_text("KeyboardInterrupt")
        expect(book.cell(1).locator(".amber-map")).to_contain_text("ended early: interrupted")
        book.run(2)
        book.finished(2)
        expect(book.cell(2)).to_contain_text("{'ok': 59, 'error': 1, 'stopped': 140, 'skipped': 0} 0")
        reply.gate.set()
