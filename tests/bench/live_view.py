"""What a live view costs a page: main-thread CPU time, as a ratio to the browser's own work on the same page.

The unit is 5,000 list items made from HTML and laid out. A burst is 20 kB in 5,000 chunks at once; the huge answers are
of 10 MB. Needs Chromium.

    python tests/bench/live_view.py
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

sys.path.append(str(Path(__file__).parents[1] / "browser"))
from answers import ANSWER, HUGE
from static_page import StaticPage

UNIT = """() => {
  const list = document.createElement('ul');
  list.innerHTML = '<li>an item with <code>code</code> and <strong>bold</strong></li>'.repeat(5000);
  document.body.append(list);
  list.getBoundingClientRect();
  list.remove();
}"""
FEED = """async ([text, size]) => {
  for (let at = 0; at < text.length; at += size) {
    models[0].feed(text.slice(at, at + size));
    if (size > 1_000) await new Promise(done => setTimeout(done, 0));
  }
}"""
SHOWN = "() => document.querySelector('.amber-text > div > :last-child')?.textContent.endsWith('finally')"


def traced(browser: Any, page: Any, work: Any) -> list[float]:
    """CPU milliseconds of each task of the page's main thread."""
    browser.start_tracing(page=page, categories=["toplevel"])
    work()
    events = json.loads(browser.stop_tracing())["traceEvents"]
    names = [event for event in events if event["name"] == "thread_name"]
    mains = {event["tid"] for event in names if event["args"]["name"] == "CrRendererMain"}
    return [
        event["tdur"] / 1000
        for event in events
        if event["name"].endswith("RunTask") and event["tid"] in mains and "tdur" in event
    ]


def streamed(browser: Any, text: str, size: int, *, units: int = 9) -> tuple[list[float], float]:
    """CPU milliseconds of each task of a page that shows a text in pieces of that size; and of the unit, if wanted."""
    page = StaticPage(browser.new_context().new_page()).page

    def stream() -> None:
        page.evaluate(FEED, [text, size])
        page.wait_for_function(SHOWN, timeout=120_000)

    tasks = traced(browser, page, stream)
    # Afterwards, and several times: a trace may end before its last task, which is then in the next one.
    took = [max(traced(browser, page, lambda: page.evaluate(UNIT))) for _ in range(units)]
    page.context.close()
    return tasks, statistics.median(took or [0])


def huge(name: str, size: int) -> str:
    """A text of that many characters, which ends as `SHOWN` looks for."""
    return (HUGE[name] * (size // len(HUGE[name]) + 1))[:size] + "\n```\n\nfinally"


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise FileNotFoundError("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


BURST = (ANSWER * 20)[: 20_000 - 9] + "\n\nfinally"


def main() -> None:
    """Print the table."""
    print("| answer | longest task | all tasks |\n| --- | ---: | ---: |")
    with chromium() as browser:
        for name in ("burst", *HUGE):
            text, size = (BURST, 4) if name == "burst" else (huge(name, 10_000_000), 100_000)
            tasks, unit_ms = streamed(browser, text, size)
            print(f"| {name} | {max(tasks) / unit_ms:.2f} | {sum(tasks) / unit_ms:.1f} |", flush=True)
    print("\n1 is what the browser takes for 5,000 list items.")


if __name__ == "__main__":
    main()
