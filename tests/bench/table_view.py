"""What the live view of a long map costs: messages a second, and the longest task of the page's main thread, in CPU.

    python tests/bench/table_view.py [ROWS]

A real JupyterLab in Chromium runs `amber.map` over 100,000 rows against the server of `tables.py` (50 ms, 64 in
flight). Counted are the messages of our widget that came to the page in any one second (at most 20), and the tasks of
the page's main thread (none over 50 ms of CPU while the map runs; Lab's own start is over by then).
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
import tables
from playwright.sync_api import sync_playwright

ROWS = 100_000
LIMIT_MS, LIMIT_MESSAGES = 50.0, 20
CELL = """
import pandas as pd
from amber_nb import Amber
amber = Amber(base_url={url!r}, api_key={key!r}, model={model!r})
frame = pd.DataFrame({{"number": range({rows})}})
result = amber.map(frame, "Classify the review: The film number {{number}} was long.", concurrency=64, ledger=None)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_lab(folder: Path) -> tuple[Any, str]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"),
        *(f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    lab = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/api/status", timeout=1).read()
        except OSError:
            time.sleep(0.1)
        else:
            return lab, url
    raise SystemExit("JupyterLab does not start")


def count_most(times: list[float], window_s: float = 1.0) -> int:
    most = start = 0
    for end, at in enumerate(times):
        while at - times[start] >= window_s:
            start += 1
        most = max(most, end - start + 1)
    return most


def main_thread_tasks(trace: bytes) -> list[float]:
    """CPU milliseconds of each task of the renderer's main threads."""
    events = json.loads(trace)["traceEvents"]
    names = [event for event in events if event["name"] == "thread_name"]
    mains = {(event["pid"], event["tid"]) for event in names if event["args"]["name"] == "CrRendererMain"}
    return [
        event["tdur"] / 1000
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in mains and "tdur" in event
    ]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    server = subprocess.Popen([sys.executable, tables.__file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cell = nbformat.v4.new_code_cell(CELL.format(url=url, key=tables.KEY, model=tables.MODEL, rows=rows))
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), folder / "map.ipynb")
        lab, lab_url = start_lab(folder)
        try:
            measure(lab_url, rows)
        finally:
            lab.terminate()
            lab.wait(20)
            server.terminate()
            server.wait(10)


def measure(lab_url: str, rows: int) -> None:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=args)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        times: list[float] = []

        def note(frame: Any) -> None:
            data = frame if isinstance(frame, bytes) else str(frame).encode()
            if b'"comm_msg"' in data or b"update_display_data" in data:
                times.append(time.monotonic())

        page.on("websocket", lambda socket: socket.on("framereceived", note))
        page.goto(f"{lab_url}/lab/tree/map.ipynb?reset")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        page.locator('[data-status="idle"]').first.wait_for(timeout=60_000)
        page.wait_for_timeout(5_000)  # Lab's own start
        page.locator(".jp-CodeCell").first.click()
        page.keyboard.press("Control+Enter")
        page.locator(".amber-run").wait_for(timeout=60_000)
        page.wait_for_timeout(1_000)
        browser.start_tracing(page=page, categories=["toplevel"])
        began = time.monotonic()
        page.locator(".amber-map:not(:has(.amber-run))").wait_for(timeout=600_000)
        took = time.monotonic() - began
        tasks = main_thread_tasks(browser.stop_tracing())
        text = page.locator(".amber-map").inner_text().replace("\n", " ")
        browser.close()
    longest = max(tasks, default=0.0)
    print(f"{rows:,} rows in {took:.0f} s: {text[:120]}")
    print(f"messages to the page: {len(times):,}, at most {count_most(times)} in a second   at most {LIMIT_MESSAGES}")
    print(f"the page's main thread: longest task {longest:.0f} ms of CPU   at most {LIMIT_MS:.0f}; "
          f"{sum(tasks) / took / 10:.1f} % busy")  # fmt: skip


if __name__ == "__main__":
    main()
