"""Runs pytest or `amber-nb` as a child in a folder of notebooks, and keeps what it printed and left."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from amber_nb.simulator import Server

__all__ = [
    "KEY",
    "Child",
    "code",
    "files",
    "gateway",
    "run_amber_nb",
    "run_pytest",
    "run_pytest_here",
    "stream_output",
    "write",
]

KEY = "ambrs-exampletoken"
HANGS_S = 240  # a child that takes longer is ended
COLOUR = re.compile(r"(?:\x1b|#x1B)\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A pytest child that has ended.

    Attributes:
        folder: where it ran.
        ret: its exit status.
        out: what it printed, stderr included.
        outcomes: by file, then by cell or test: passed, failed (in its call), error (in its setup) or skipped.
        why: the same keys; the message of what did not pass.
        before: the files when it began, by their path below the folder.
        after: the files when it had ended.
    """

    folder: Path
    ret: int
    out: str
    outcomes: dict[str, dict[str, str]]
    why: dict[str, dict[str, str]]
    before: dict[str, bytes]
    after: dict[str, bytes]

    def cells(self, notebook: str) -> list[str]:
        """The outcomes of a notebook's cells, in the order in which they ran."""
        return list(self.outcomes[notebook].values())

    def section(self) -> list[str]:
        """The lines of the plugin's section in the terminal summary."""
        found = re.search(r"^=+ amber_nb =+\n(.*?)^=", self.out, re.MULTILINE | re.DOTALL)
        return found[1].splitlines() if found else []

    def messages(self, name: str) -> list[str]:
        """The messages of that section on one notebook or test."""
        return [line.removeprefix(f"{name}: ") for line in self.section() if line.startswith(f"{name}: ")]


def run_pytest(folder: Path, *arguments: str, current_env: bool = True, **environment: str) -> Child:
    """Run `pytest --nbval`, with these variables beside those of this process.

    `current_env`: in the Python that runs here, whatever kernel a notebook names.
    """
    report = folder / "junit.xml"
    before = files(folder)
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider"]
    command += ["--nbval-current-env"] if current_env else []
    command += ["-p", "no:hypothesispytest", "-p", "no:anyio"]  # take longer to import than all others together
    command += [f"--junitxml={report}", "-o", "junit_family=xunit1", *arguments]
    done = _run(command, folder, environment)
    outcomes: dict[str, dict[str, str]] = {}
    why: dict[str, dict[str, str]] = {}
    assert report.exists(), done.stdout + done.stderr
    for case in ElementTree.parse(report).iter("testcase"):
        file, name = case.attrib["file"], case.attrib["name"]
        problems = [child for child in case if child.tag in ("failure", "error", "skipped")]
        outcome = problems[0].tag if problems else "passed"
        outcomes.setdefault(file, {})[name] = "failed" if outcome == "failure" else outcome
        text = "\n".join(f"{problem.attrib.get('message', '')}\n{problem.text}" for problem in problems)
        why.setdefault(file, {})[name] = COLOUR.sub("", text)
    return Child(
        folder=folder,
        ret=done.returncode,
        out=done.stdout + done.stderr,
        outcomes=outcomes,
        why=why,
        before=before,
        after=files(folder),
    )


def run_pytest_here(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run pytest in this process, which is quick; its exit status, stdout and stderr.

    pytester would forget what has been imported meanwhile, and modules of the package would be there twice. A test
    module stays imported, too: each has a name of its own.
    """
    out, err = io.StringIO(), io.StringIO()
    command = ["-s", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--import-mode=importlib", *arguments]
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ret = pytest.main(command)
    return ret, out.getvalue(), err.getvalue()


def run_amber_nb(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `amber-nb`, with these variables beside those of this process."""
    return _run([sys.executable, "-m", "amber_nb.cli", *arguments], folder, environment)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )


def gateway(server: Server) -> dict[str, str]:
    """The variables that name this server to a child."""
    return {"AMBER_BASE_URL": server.base_url, "AMBER_API_KEY": KEY}


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file by its path below the folder, compiled Python excepted."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def code(source: str, *outputs: Any, tags: tuple[str, ...] = (), count: int = 1) -> Any:
    """A code cell, executed if it has outputs."""
    executed = {"outputs": list(outputs), "execution_count": count} if outputs else {}
    return new_code_cell(source, metadata={"tags": list(tags)}, **executed)


def stream_output(text: str) -> Any:
    """The output of a print."""
    return new_output("stream", name="stdout", text=text)


def write(path: Path, *cells: Any) -> None:
    """Write a notebook of these cells, given as cells or as their sources."""
    book = new_notebook(cells=[code(cell) if isinstance(cell, str) else cell for cell in cells])
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
