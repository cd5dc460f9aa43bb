"""What a live view costs a page: main-thread CPU time, as a ratio to the browser's own work on the same page.

The unit is 5,000 list items made from HTML and laid out. A burst is 20 kB in 5,000 chunks at once; the huge answers are
of 10 MB. Needs Chromium.

    python tests/bench/live_view.py
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
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


def main() -> int:
    """Print the table."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        print("no Chromium here", file=sys.stderr)
        return 1
    texts = {"burst": ((ANSWER * 20)[: 20_000 - 9] + "\n\nfinally", 4)}
    for name, unit in HUGE.items():
        texts[name] = ((unit * (10_000_000 // len(unit) + 1))[:10_000_000] + "\n```\n\nfinally", 100_000)
    print("| answer | longest task | all tasks |\n| --- | ---: | ---: |")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        for name, (text, size) in texts.items():
            view = StaticPage(browser.new_context().new_page())

            def stream(page: Any = view.page, text: str = text, size: int = size) -> None:
                page.evaluate(FEED, [text, size])
                page.wait_for_function(SHOWN, timeout=120_000)

            tasks = traced(browser, view.page, stream)
            # Afterwards, and several times: a trace may end before its last task, which is then in the next one.
            units = [max(traced(browser, view.page, lambda page=view.page: page.evaluate(UNIT))) for _ in range(9)]
            unit_ms = statistics.median(units)
            print(f"| {name} | {max(tasks) / unit_ms:.2f} | {sum(tasks) / unit_ms:.1f} |", flush=True)
            view.page.context.close()
        browser.close()
    print("\n1 is what the browser takes for 5,000 list items.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
