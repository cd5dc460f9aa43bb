"""What a reader sees in each front end: an answer that streams, Stop, a card that waits, and the file that is saved.

Prints one row for the README's table. Needs Chromium; the front end may be in an environment of its own, which has this
package and anywidget:

    python tests/bench/front_ends.py lab notebook
    python tests/bench/front_ends.py rtc --python /path/to/environment/bin/python

Front ends: lab, hub (JupyterLab below a hub's base URL), rtc (two collaborators), notebook, nbclassic, voila, marimo,
console. Two that need an account or a desktop, Colab and VS Code, are not tried here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
from playwright.sync_api import Error, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
START = """
import os
os.environ["AMBER_SIM_CHUNKS_PER_S"] = "40"
from amber_nb import Amber
amber = Amber(mode="simulate")
def delete_folder(path: str) -> str:
    "Delete a folder and all that is in it."
    return "deleted " + path
"""
ANSWER = "amber.ask('Write 150 words about tea.')"
LONG = "amber.ask('Write 900 words about tea.')"
CARD = "amber.ask('Delete the folder /tmp/x.', tools=delete_folder, require_approval=True)"
CALLS = (ANSWER, LONG, CARD)
BUTTON = """
import ipywidgets
button_{n}, out_{n} = ipywidgets.Button(description="Ask {n}"), ipywidgets.Output()
button_{n}.on_click(out_{n}.capture()(lambda _: {call}))
ipywidgets.VBox([button_{n}, out_{n}])
"""
UNFINISHED = "still being written when this was saved"
WORDS = re.compile(r"(\w+\W+){12}")
PATIENCE_MS = 40_000
PACKAGES = {"lab": "jupyterlab", "hub": "jupyterlab", "rtc": "jupyter-collaboration", "console": "jupyter-console"}
COLUMNS = ("front end", "live", "settled", "Stop", "approval", "file")


def is_seen(locator: Locator, what: str | re.Pattern[str] | None = None) -> bool:
    """Whether an element is there in time, and says this."""
    try:
        expect(locator.first).to_be_visible(timeout=PATIENCE_MS)
        if what is not None:
            expect(locator.first).to_contain_text(what, timeout=PATIENCE_MS)
    except (AssertionError, Error):
        return False
    return True


def is_settled(out: Locator, says: str | re.Pattern[str]) -> bool:
    """Whether the settled answer is there in time, and nothing else of ours."""
    try:
        expect(out.locator(".amber-view")).to_have_count(0, timeout=PATIENCE_MS)
        expect(out.locator(".amber-answer")).to_have_count(1, timeout=PATIENCE_MS)
        expect(out.locator(".amber-answer")).to_contain_text(says, timeout=PATIENCE_MS)
        expect(out).not_to_contain_text(UNFINISHED, timeout=PATIENCE_MS)
    except (AssertionError, Error):
        return False
    return True


def button(out: Locator, name: str) -> Locator:
    """A button of ours."""
    return out.get_by_role("button", name=name, exact=True).first


def try_answers(run: Callable[[int], Locator], during: Callable[[], None] = lambda: None) -> dict[str, bool]:
    """Ask three times and say what was seen.

    Args:
        run: asks one of `CALLS`, and returns where its answer appears.
        during: called while the second is written.
    """
    seen = {}
    out = run(0)
    seen["live"] = is_seen(out.get_by_role("log"), WORDS)
    seen["settled"] = is_settled(out, WORDS)
    out = run(1)
    seen["Stop"] = is_seen(button(out, "Stop this answer")) and is_seen(out.get_by_role("log"), WORDS)
    during()
    if seen["Stop"]:
        button(out, "Stop this answer").click()
        seen["Stop"] = is_settled(out, "stopped by you")
    out = run(2)
    seen["approval"] = is_seen(button(out, "Allow"))
    if seen["approval"]:
        try:
            expect(button(out, "Allow")).to_have_attribute("aria-disabled", "false", timeout=PATIENCE_MS)
            button(out, "Allow").click(timeout=PATIENCE_MS)
            seen["approval"] = is_settled(out, "deleted")
        except (AssertionError, Error):  # the card was not ready in time, or taken away
            seen["approval"] = False
    return seen


def is_readable(notebook: dict[str, Any], answers: int) -> bool:
    """Whether a file holds so many answers as ordinary outputs, and no widget."""
    bundles = [output["data"] for cell in notebook["cells"] for output in cell["outputs"] if "data" in output]
    ours = [bundle for bundle in bundles if "amber-answer" in "".join(bundle.get("text/html", ""))]
    texts = ["".join(bundle["text/plain"]) for bundle in ours]
    return len(ours) >= answers and all(map(WORDS.search, texts[:2])) and "widget-view" not in json.dumps(notebook)


def write_notebook(path: Path, cells: list[str]) -> None:
    """Write a notebook without outputs."""
    blank = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    code = [{**blank, "id": f"cell{at}", "source": source} for at, source in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    path.write_text(json.dumps({"cells": code, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}))


class Trial:
    """One front end in an environment, with a folder of its own.

    Args:
        name: of the front end.
        python: of its environment.
        work: an empty folder.
        pictures: a folder for screenshots.
    """

    def __init__(self, name: str, python: str, work: Path, pictures: Path) -> None:
        self.name = name
        self.python = python
        self.work = work
        self.pictures = pictures
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AMBER_", "JUPYTER", "JPY_"))}
        places = {f"JUPYTER_{kind}_DIR": str(work / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        self.env = kept | places | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(work / "ipython")}
        self.env |= {"PATH": f"{Path(python).parent}{os.pathsep}{kept['PATH']}"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def version(self) -> str:
        """The front end with its version, for the row."""
        package = PACKAGES.get(self.name, self.name)
        code = f"from importlib.metadata import version; print(version({package!r}))"
        found = subprocess.run([self.python, "-c", code], env=self.env, capture_output=True, text=True, check=True)
        return f"{self.name}: {package} {found.stdout.strip()}"

    @contextlib.contextmanager
    def server(self, *arguments: str, path: str = "/") -> Iterator[str]:
        """Run a server of the environment; gives its URL."""
        with (self.work / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [self.python, "-m", *arguments], cwd=self.work, env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        url = f"http://127.0.0.1:{self.port}"
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and process.poll() is None:
                with contextlib.suppress(OSError), urllib.request.urlopen(url + path, timeout=5):
                    break
                time.sleep(0.2)
            else:
                raise RuntimeError((self.work / "server.log").read_text()[-2_000:])
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def shoot(self, page: Page, what: str) -> None:
        """Keep a picture of the page."""
        page.screenshot(path=self.pictures / f"{self.name}-{what}.png")

    def jupyter(self, *, base: str = "/", app: str = "jupyterlab") -> contextlib.AbstractContextManager[str]:
        """A Jupyter server on the trial's notebook."""
        write_notebook(self.work / "trial.ipynb", [START, *CALLS, "print('next')"])
        options = [f"--ServerApp.port={self.port}", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="]
        options += [f"--ServerApp.base_url={base}", "--ServerApp.allow_root=True", "--no-browser"]
        return self.server(app, *options, path=f"{base}api/status")

    def saved(self) -> dict[str, Any]:
        """The file, once it is whole: it is written in place."""
        for _ in range(100):
            with contextlib.suppress(json.JSONDecodeError):
                return dict(json.loads((self.work / "trial.ipynb").read_text()))
            time.sleep(0.1)
        raise RuntimeError("the file is no notebook")

    def try_lab(self, browser: Any, address: str = "/lab/tree/trial.ipynb?reset", **server: str) -> dict[str, bool]:
        """JupyterLab and what is made of it: the cells are run, and the file is saved, with the keyboard."""
        with self.jupyter(**server) as url:
            page = browser.new_page()
            page.goto(url + server.get("base", "/").rstrip("/") + address)
            run = self.run_cells(page)

            def save() -> None:
                page.keyboard.press("Escape")
                page.keyboard.press("Control+s")
                page.wait_for_timeout(1_500)
                self.shoot(page, "stream")

            during: list[bool] = []
            seen = try_answers(run, lambda: (save(), during.append(is_readable(self.saved(), 2)))[0])
            save()
            self.shoot(page, "end")
            return seen | {"file": all(during) and is_readable(self.saved(), 3)}

    def run_cells(self, page: Page) -> Callable[[int], Locator]:
        """Runs a call in its cell, after the first cell was run."""
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        cells.nth(4).wait_for(timeout=60_000)
        status = page.locator(".jp-Notebook-ExecutionIndicator, .jp-NotebookKernelStatus").first
        with contextlib.suppress(AssertionError):
            expect(status).to_have_attribute("data-status", "idle", timeout=20_000)
        page.wait_for_timeout(2_000)  # "idle" is said before the connection is up

        def execute(at: int) -> Locator:
            cells.nth(at).locator(".cm-content").first.click()
            page.keyboard.press("Control+Enter")
            return cells.nth(at).locator(".jp-Cell-outputArea")

        execute(0)
        expect(cells.nth(0).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=60_000)
        return lambda call: execute(call + 1)

    def try_hub(self, browser: Any) -> dict[str, bool]:
        """JupyterLab below the base URL that a hub gives it."""
        return self.try_lab(browser, base="/user/ada/")

    def try_notebook(self, browser: Any) -> dict[str, bool]:
        """Notebook 7."""
        return self.try_lab(browser, "/notebooks/trial.ipynb", app="notebook")

    def try_rtc(self, browser: Any) -> dict[str, bool]:
        """Two collaborators: one runs the cells, the other one sees, stops and decides."""
        with self.jupyter() as url:
            pages = [browser.new_context().new_page() for _ in range(2)]
            for page in pages:
                page.goto(f"{url}/lab/tree/trial.ipynb?reset")
            run = self.run_cells(pages[0])
            others = pages[1].locator(".jp-Notebook .jp-CodeCell")

            def run_and_look(call: int) -> Locator:
                run(call)
                return others.nth(call + 1).locator(".jp-Cell-outputArea")

            seen = try_answers(run_and_look, lambda: self.shoot(pages[1], "stream"))
            mine = pages[0].locator(".jp-Notebook .jp-CodeCell")
            says = (WORDS, "stopped by you", "deleted")
            both = [is_settled(mine.nth(at + 1).locator(".jp-Cell-outputArea"), text) for at, text in enumerate(says)]
            for page in pages:
                page.keyboard.press("Escape")
                page.keyboard.press("Control+s")
                page.wait_for_timeout(3_000)
            self.shoot(pages[0], "end")
            texts = [page.locator(".amber-answer").all_inner_texts() for page in pages]
            return seen | {
                "settled": seen["settled"] and all(both),
                "file": is_readable(self.saved(), 3) and texts[0] == texts[1],
            }

    def try_nbclassic(self, browser: Any) -> dict[str, bool]:
        """The classic notebook."""
        with self.jupyter(app="nbclassic") as url:
            page = browser.new_page()
            page.goto(f"{url}/nbclassic/notebooks/trial.ipynb")  # where Notebook 7 is installed, too
            page.wait_for_function("() => window.Jupyter?.notebook?.kernel?.is_connected()", timeout=60_000)

            def run(call: int) -> Locator:
                page.evaluate("at => Jupyter.notebook.get_cell(at).execute()", call + 1)
                return page.locator(".code_cell").nth(call + 1).locator(".output_area").last.locator("..")

            page.evaluate("() => Jupyter.notebook.get_cell(0).execute()")
            save = "() => Jupyter.notebook.save_notebook().then(() => null)"
            during: list[bool] = []
            seen = try_answers(
                run,
                lambda: (self.shoot(page, "stream"), page.evaluate(save), during.append(is_readable(self.saved(), 2)))[
                    2
                ],
            )
            page.evaluate(save)
            self.shoot(page, "end")
            return seen | {"file": all(during) and is_readable(self.saved(), 3)}

    def try_voila(self, browser: Any) -> dict[str, bool]:
        """Voilà: asked by buttons; its cells were run before there is a page."""
        write_notebook(
            self.work / "trial.ipynb", [START, *(BUTTON.format(n=n, call=call) for n, call in enumerate(CALLS))]
        )
        options = [f"--port={self.port}", "--no-browser", "--Voila.ip=127.0.0.1"]
        with self.server("voila", "trial.ipynb", *options, path="/voila/static/voila.js") as url:
            page = browser.new_page()
            page.goto(url, timeout=60_000)

            def run(call: int) -> Locator:
                page.get_by_role("button", name=f"Ask {call}").click(timeout=60_000)
                return page.locator(".widget-vbox, .jupyter-widget-vbox").nth(call)

            seen = try_answers(run, lambda: self.shoot(page, "stream"))
            self.shoot(page, "end")
            return seen

    def try_marimo(self, browser: Any) -> dict[str, bool]:
        """Marimo's notebook, which is no Jupyter kernel: its cells are run as they are opened."""
        cells = [START + "\nimport marimo as mo", f"answer = {ANSWER}\nanswer"]
        path = self.work / "trial.py"
        bodies = ["\n    ".join(cell.strip().splitlines()) for cell in cells]
        path.write_text(
            "import marimo\napp = marimo.App()\n"
            f"@app.cell\ndef _():\n    {bodies[0]}\n    return amber, delete_folder\n"
            f"@app.cell\ndef _(amber):\n    {bodies[1]}\n    return (answer,)\n"
        )
        options = ["--headless", "--no-token", "--host=127.0.0.1", f"--port={self.port}"]
        with self.server("marimo", "run", "trial.py", *options, path="/health") as url:
            page = browser.new_page()
            page.goto(url, timeout=60_000)
            live = is_seen(page.get_by_role("log"), WORDS)
            settled = is_seen(page.locator(".output, marimo-ui-element, body").last, WORDS)
            self.shoot(page, "end")
            return {"live": live, "settled": settled}

    def try_console(self, _browser: Any) -> dict[str, bool]:
        """`jupyter console`: text, and questions with `input`."""
        lines: Any = pexpect.spawn(
            self.python,
            ["-m", "jupyter_console", "--simple-prompt"],
            cwd=self.work,
            env=self.env,
            encoding="utf-8",
            timeout=60,
        )
        lines.setwinsize(50, 200)
        try:
            lines.expect_exact("In [1]:")
            path = self.work / "start.py"
            path.write_text(START)
            lines.sendline(f"exec(open({str(path)!r}).read())")
            lines.expect_exact("In [2]:")
            lines.sendline("answer = " + ANSWER)
            live = lines.expect([WORDS, pexpect.TIMEOUT]) == 0
            lines.expect_exact("In [3]:")
            settled = UNFINISHED not in lines.before
            lines.sendline("answer = " + CARD)
            approval = lines.expect(["Allow[?]", "In \\[4\\]:", pexpect.TIMEOUT], timeout=30) == 0
            if approval:
                lines.sendline("y")
                approval = lines.expect(["deleted", pexpect.TIMEOUT], timeout=30) == 0
            return {"live": live, "settled": settled, "approval": approval}
        finally:
            lines.close(force=True)


def main() -> None:
    """Try the front ends that were named, one after the other."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--python", default=sys.executable, help="of the front end's environment")
    parser.add_argument("--pictures", default=tempfile.gettempdir(), type=Path, help="where screenshots go")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    print("| " + " | ".join(COLUMNS) + " |")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in args.names:
            with tempfile.TemporaryDirectory() as work:
                trial = Trial(name, args.python, Path(work), args.pictures)
                seen = getattr(trial, f"try_{name}")(browser)
                words = {True: "yes", False: "no", None: "–"}
                print(
                    "| " + " | ".join([trial.version(), *(words[seen.get(column)] for column in COLUMNS[1:])]) + " |",
                    flush=True,
                )
        browser.close()


if __name__ == "__main__":
    main()
