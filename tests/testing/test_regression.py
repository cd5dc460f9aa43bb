"""Record, replay, drift: the whole way, with nbval, on the HTTP simulator."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from amber_nb.simulator import Server

KEY = "ambrs-exampletoken"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CELLS = (
    "from amber_nb import Amber\namber = Amber()",
    "answer = amber.ask('Hello!')",
    "answer.ask('Name three rivers.')",
    "amber.openai.chat.completions.create(\n"
    "    model='azure/gpt-5.4', messages=[{'role': 'user', 'content': 'Say hello'}]\n"
    ").choices[0].message.content",
    "1 + 1",
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A notebook and its cassette, as `amber-nb record` leaves them."""
    folder = tmp_path_factory.mktemp("recording")
    write(folder / "talk.ipynb", *CELLS)
    with pytest.MonkeyPatch.context() as monkeypatch, Gateway(monkeypatch):
        done = record(folder, "talk.ipynb")
    assert done.returncode == 0, done.stderr
    assert "recorded: 3 exchanges in cassettes/talk.jsonl" in done.stdout
    return folder


@pytest.fixture
def empty(pytester):
    """A project without a notebook."""
    pytester.makeini("[pytest]\naddopts = --nbval --nbval-current-env -p no:cacheprovider\n")
    return pytester


@pytest.fixture
def project(empty, recording):
    """A project with the notebook and its cassette."""
    shutil.copytree(recording, empty.path, dirs_exist_ok=True)
    return empty


def write(path, *cells, tags=()):
    book = new_notebook(cells=[new_code_cell(source, metadata={"tags": list(tags)}) for source in cells])
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    nbformat.write(book, path)


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


class Gateway:
    """Settings of a gateway for as long as the block lasts."""

    def __init__(self, monkeypatch, **more):
        self._server = Server(**more)
        self._monkeypatch = monkeypatch

    def __enter__(self):
        self._server.start()
        self._monkeypatch.setenv("AMBER_BASE_URL", self._server.base_url)
        self._monkeypatch.setenv("AMBER_API_KEY", KEY)

    def __exit__(self, *error):
        self._server.close()
        self._monkeypatch.delenv("AMBER_BASE_URL")
        self._monkeypatch.delenv("AMBER_API_KEY")


def record(folder, *arguments, verb="record"):
    line = [sys.executable, "-m", "amber_nb.cli", verb, *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_a_recorded_notebook_passes_and_a_changed_prompt_is_named(project):
    assert KEY not in "".join(path.read_text() for path in project.path.rglob("*.*") if path.is_file())
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=5)
    assert "amber_nb ===" not in result.stdout.str()  # nothing to tell

    change(project.path / "talk.ipynb", "Name three rivers.", "Name four rivers.")
    book = nbformat.read(project.path / "talk.ipynb", 4)
    del book.cells[3]
    nbformat.write(book, project.path / "talk.ipynb")
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(['*-*"content": "Name three rivers."*', '*+*"content": "Name four rivers."*'])
    result.stdout.fnmatch_lines(["*amber-nb record talk.ipynb*"])
    assert "was not asked for" not in result.stdout.str()  # after a failure that says nothing

    change(project.path / "talk.ipynb", "Name four rivers.", "Name three rivers.")
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["talk.ipynb: the recorded exchange in line * of its cassette was not asked for"])


def test_the_projects_own_notebooks_replay_with_the_gateway_gone(empty, monkeypatch):
    for path in sorted(NOTEBOOKS.glob("0[1-4]_*.ipynb")):
        shutil.copy(path, empty.path)
    with Gateway(monkeypatch):
        recorded = empty.runpytest_subprocess("--amber=record")
    recorded.stdout.fnmatch_lines(["0?_*.ipynb: recorded: * exchanges in cassettes/0?_*.jsonl"] * 4)
    replayed = empty.runpytest_subprocess()
    assert replayed.parseoutcomes() == recorded.parseoutcomes()
    assert replayed.ret == 0
    assert KEY not in "".join(
        path.read_text() for path in empty.path.rglob("*.*") if path.suffix in (".ipynb", ".jsonl")
    )


def snapshot(project):
    return {path.relative_to(project.path): path.read_bytes() for path in project.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["amber-nb record", "--amber=record"])
def test_a_cell_that_fails_leaves_both_files_untouched(project, monkeypatch, way):
    with Gateway(monkeypatch):
        change(project.path / "talk.ipynb", "1 + 1", "1 / 0")
        before = {name: content for name, content in snapshot(project).items() if "talk" in name.name}
        if way == "--amber=record":
            result = project.runpytest_subprocess(way)
            result.assert_outcomes(passed=4, failed=1)
            result.stdout.fnmatch_lines(["talk.ipynb: not recorded, and nothing changed*"])
        else:
            done = record(project.path, "talk.ipynb")
            assert done.returncode == 1
            assert "ZeroDivisionError" in done.stderr
            assert "nothing was changed" in done.stderr
    after = snapshot(project)
    assert {name: after[name] for name in before} == before
    assert [name.name for name in after if name.suffix in (".jsonl", ".tmp")] == ["talk.jsonl"]


def test_workers_keep_a_notebook_together_and_record_it_whole(empty, monkeypatch):
    """Cassettes may lie elsewhere, too, in folders like the notebooks'; what nbval skips keeps its outputs."""
    late = "import IPython\nIPython.get_ipython().events.register('pre_run_cell', lambda *_: amber.ask('Late.'))"
    for name in ("a", "b"):
        (empty.path / name).mkdir()
        write(empty.path / name / "talk.ipynb", *CELLS, "# NBVAL_SKIP\n1 / 0", late)
        book = nbformat.read(empty.path / name / "talk.ipynb", 4)
        book.cells[5].update(outputs=[new_output("stream", text="precious")], execution_count=7)
        nbformat.write(book, empty.path / name / "talk.ipynb")
    with Gateway(monkeypatch):
        result = empty.runpytest_subprocess("-n", "2", "--amber=record", "--amber-cassettes=tapes")
    result.assert_outcomes(passed=12, skipped=2)
    result.stdout.fnmatch_lines(
        [f"{name}/talk.ipynb: recorded: 4 exchanges in tapes/{name}/talk.jsonl" for name in "ab"]
    )
    assert not (empty.path / "cassettes").exists()
    book = nbformat.read(empty.path / "a" / "talk.ipynb", 4)
    assert [cell.execution_count for cell in book.cells] == [1, 2, 3, 4, 5, 7, 6]
    assert book.cells[5].outputs[0].text == "precious"
    assert book.cells[1].outputs[0].data["text/plain"] == "Hello! How can I help you today?"
    empty.runpytest_subprocess("-n", "2", "--amber-cassettes=tapes").assert_outcomes(passed=12, skipped=2)


def test_drift_is_told_reported_and_blessed(project, monkeypatch):
    arguments = ("--amber=live", "--amber-report=drift.html", "--amber-compare=exact")
    before = snapshot(project)
    with Gateway(monkeypatch):
        result = project.runpytest_subprocess(*arguments, "--amber-runs=2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["talk.ipynb: 3 same"])
    report = json.loads((project.path / "drift.json").read_text())
    assert [len(row["runs"]) for row in report["rows"]] == [2, 2, 2]

    with Gateway(monkeypatch, drift=1):
        result = project.runpytest_subprocess(*arguments)
        assert result.ret == 1
        result.assert_outcomes(passed=5)  # the cells ran; the comparators decide
        report = json.loads((project.path / "drift.json").read_text())
        assert report["summary"]["drifted"] == 3
        assert [row["cell"] for row in report["rows"]] == [2, 3, 4]
        page = (project.path / "drift.html").read_text()
        assert "How can I help you today?" in page
        assert KEY not in page
        assert {name: content for name, content in snapshot(project).items() if name in before} == before

        done = record(project.path, "drift.json", verb="bless")
        assert done.returncode == 0, done.stderr
        assert "recorded: 3 exchanges" in done.stdout
        assert "drifted" in done.stdout
    project.runpytest_subprocess().assert_outcomes(passed=5)


def test_a_tag_chooses_the_comparison_and_a_dead_gateway_is_a_failure(project, monkeypatch):
    book = nbformat.read(project.path / "talk.ipynb", 4)
    book.cells[1].metadata["tags"] = ["amber-ignore"]
    book.cells[2].metadata["tags"] = ["amber-nearly"]
    nbformat.write(book, project.path / "talk.ipynb")
    monkeypatch.setenv("AMBER_BASE_URL", "http://127.0.0.1:9/api/beta/openai/v1")
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    result = project.runpytest_subprocess("--amber=live", "--amber-report=drift.html")
    assert result.ret == 1
    rows = json.loads((project.path / "drift.json").read_text())["rows"]
    assert (rows[0]["how"], rows[0]["status"]) == ("ignore", "failed")
    assert "ConnectError" in rows[0]["why"]
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["talk.ipynb: cell 3: the tag 'amber-nearly': *"])


def test_what_would_be_lost_is_not_recorded_over(empty, monkeypatch):
    """A notebook that was edited while it ran; cassettes that are damaged."""
    edit = "import pathlib\nbook = pathlib.Path('edited.ipynb')\nbook.write_text(book.read_text() + '\\n')"
    write(empty.path / "edited.ipynb", *CELLS[:2], edit, "'last'")
    write(empty.path / "hurt.ipynb", *CELLS)
    empty.makepyfile(
        test_it="""
        import os

        def test_hurt(amber):
            assert 0

        def test_environment():
            assert "AMBER_MODE" not in os.environ
        """
    )
    cassettes = [empty.path / "cassettes" / "hurt.jsonl", empty.path / "cassettes" / "test_it" / "test_hurt.jsonl"]
    for cassette in cassettes:
        cassette.parent.mkdir(parents=True, exist_ok=True)
        cassette.write_text("<<<<<<< HEAD\n")
    with Gateway(monkeypatch):
        result = empty.runpytest_subprocess("--amber=record")
    result.assert_outcomes(passed=5, errors=2, skipped=4)
    result.stdout.fnmatch_lines(["cassettes/hurt.jsonl*", "cassettes/test_it/test_hurt.jsonl*"])
    result.stdout.fnmatch_lines(["edited.ipynb: not recorded, and nothing changed: the file was changed while it ran"])
    assert "another exception" not in result.stdout.str()
    assert [cassette.read_text() for cassette in cassettes] == ["<<<<<<< HEAD\n"] * 2
    assert not (empty.path / "cassettes" / "edited.jsonl").exists()
    assert not any(cell.outputs for cell in nbformat.read(empty.path / "edited.ipynb", 4).cells)


def test_the_fixture_records_and_replays(empty, monkeypatch):
    project = empty
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.parametrize("prompt", ["Hello!", "Good evening!"])
        def test_hello(amber, prompt):
            assert amber.ask(prompt).text

        def test_fails(amber):
            amber.ask("Hello!")
            assert 0
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*CassetteMiss*--amber=record*"])
    with Gateway(monkeypatch):
        project.runpytest_subprocess("--amber=record").assert_outcomes(passed=2, failed=1)
    recorded = sorted(path.name for path in (project.path / "cassettes" / "test_it").iterdir())
    assert [re.sub("[0-9a-f]{6}", "#", name) for name in recorded] == [
        "test_hello[Good-evening-]-#.jsonl",
        "test_hello[Hello-]-#.jsonl",
    ]
    project.runpytest_subprocess("-k", "hello").assert_outcomes(passed=2)
    with Gateway(monkeypatch, drift=1):
        result = project.runpytest_subprocess("-k", "hello", "--amber=live", "--amber-compare=exact")
        assert result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--amber-report=x.html"], "go with --amber=live"),
        (["--amber=live", "--amber-runs=0"], "1 or more"),
        (["--amber=live", "--amber-compare=nearly"], "nearly"),
        (["--amber=lively"], "invalid choice"),
        (["--amber=live", "--amber-report=x.json"], "JSON twin"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(empty, arguments, says):
    result = empty.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()
