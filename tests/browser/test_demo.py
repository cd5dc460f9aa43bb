"""`amber-nb demo` in a home where JupyterLab has never been: it opens the notebooks, and asks nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from patience import until
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def opens(address):
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except OSError:
        return False
    return True


def test_demo_asks_nothing(tmp_path, browser):
    page = browser.new_context().new_page()
    log = tmp_path / "log"
    with log.open("w") as printed:
        demo = subprocess.Popen(
            [sys.executable, "-m", "amber_nb.cli", "demo", "notebooks", "--no-browser", "--port=0"],
            cwd=tmp_path,
            env={name: text for name, text in os.environ.items() if not name.startswith("JUPYTER")}
            | {"HOME": str(tmp_path)},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
    try:
        address = until(lambda: re.search(r"http://127\.0\.0\.1:\d+/lab\S+", log.read_text(encoding="utf-8")))
        until(lambda: opens(address[0]))  # the address is printed before anybody listens there
        page.goto(address[0])
        expect(page.get_by_text("01_hello.ipynb").first).to_be_visible(timeout=60_000)
        # Lab asks once it knows its settings; the status bar's bell comes with the same plugin.
        expect(page.locator("#jp-main-statusbar")).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.locator(".Toastify__toast").all_inner_texts() == []
    finally:
        page.context.close()
        demo.send_signal(signal.SIGTERM)
        demo.wait(30)
