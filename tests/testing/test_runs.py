"""One run on its cassette, without pytest around it."""

import os
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from amber_nb.cassettes.file import HEADER
from amber_nb.errors import ConfigError
from amber_nb.files import replace_files
from amber_nb.testing.notebooks import (
    NotebookUnderTest,
    PytestSession,
    flush_kernel,
    insert_outputs,
    load_results,
    save_result,
)
from amber_nb.testing.plugin import _Plugin, pytest_configure
from amber_nb.testing.runs import (
    CassetteRun,
    Result,
    cassette_for_test,
    mirror_folder,
)


@pytest.fixture
def run(tmp_path):
    """Of a notebook that is recorded; it has requests something, and there is an older cassette."""
    (tmp_path / "work").mkdir()
    run = CassetteRun("talk.ipynb", tmp_path / "talk.jsonl", "record", tmp_path / "work")
    run.fresh.write_bytes(HEADER)
    run.cassette.write_bytes(HEADER)
    return run


@pytest.fixture
def notebook(tmp_path):
    """A file with outputs in both of its cells."""
    path = tmp_path / "talk.ipynb"
    old = new_output("stream", text="old")
    nbformat.write(new_notebook(cells=[new_code_cell("1", outputs=[old], execution_count=5) for _ in "ab"]), path)
    return path


def session(folder, cassettes=None):
    """Of a pytest process that was started in this folder."""
    config = SimpleNamespace(
        option=SimpleNamespace(amber=None, amber_cassettes=cassettes, amber_compare=None, amber_runs=1),
        getini=lambda _: "",
        rootpath=folder,
        inipath=None,
        invocation_params=SimpleNamespace(dir=folder),
    )
    return PytestSession(config, folder, "main")


# --- names


def test_tests_do_not_share_a_cassette():
    path = Path("tests/test_it.py")
    names = ["test_q", "test_q[a b]", "test_q[a/b]", "test_q[a-b]", "A::test_q", "A-test_q"]
    names += [f"test_q[{'x' * 200}{end}]" for end in "12"]
    cassettes = [cassette_for_test(path, name, None) for name in names]
    assert len(set(cassettes)) == len(names)
    assert cassettes[0] == Path("tests/cassettes/test_it/test_q.jsonl")
    assert cassettes[1].name.startswith("test_q[a-b]-")
    assert cassettes[3].name == "test_q[a-b].jsonl"
    assert max(len(os.fsencode(cassette.name)) for cassette in cassettes) < 140
    assert len(os.fsencode(cassette_for_test(path, "test_" + "ü" * 120, None).name)) < 140


def test_one_folder_for_all_cassettes_has_those_of_the_notebooks_in_it(tmp_path):
    folder = tmp_path / "tapes"
    assert mirror_folder(folder, tmp_path / "talk.ipynb", tmp_path) == folder
    assert mirror_folder(folder, tmp_path / "a" / "b" / "talk.ipynb", tmp_path) == folder / "a" / "b"
    without = session(tmp_path).notebook_run(tmp_path / "talk.ipynb", [new_code_cell("import amber_nb")])
    assert without.cassette == tmp_path / "cassettes" / "talk.jsonl"
    outside = [mirror_folder(folder, tmp_path / name / "n" / "talk.ipynb", tmp_path / "root") for name in ("a", "b")]
    assert {path.parent for path in outside} == {folder}
    assert len(set(outside)) == 2


# --- what is kept


def test_outputs_go_to_the_cells_that_ran(notebook):
    before = notebook.read_bytes()
    book = nbformat.reads(insert_outputs(notebook, [(1, [new_output("stream", text="new")])], before).decode(), 4)
    assert [cell.outputs[0].text for cell in book.cells] == ["old", "new"]
    assert [cell.execution_count for cell in book.cells] == [5, 1]


def test_a_file_changed_while_it_ran_gets_no_outputs(notebook, run):
    before = notebook.read_bytes()
    changed = before + b"\n"
    notebook.write_bytes(changed)
    with pytest.raises(ConfigError, match="changed while it ran"):
        run.close(complete=True, files=lambda: {notebook: insert_outputs(notebook, [], before)})
    assert notebook.read_bytes() == changed
    assert run.result.recorded is None


@pytest.mark.parametrize("content", [b"<<<<<<< HEAD\n", HEADER + b"<<<<<<< HEAD\n", b'{"amber_cassette": 99}\n'])
def test_a_cassette_that_is_none_is_not_overwritten(run, content):
    run.cassette.write_bytes(content)
    assert run.refusal()
    with pytest.raises(ConfigError):
        run.close(complete=True)
    assert run.cassette.read_bytes() == content


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ConfigError("damaged"), "damaged"),
        (OSError(28, "No space left"), "No space left"),
        (ValueError("tag"), "tag"),
    ],
)
def test_what_goes_wrong_in_the_end_is_told(run, tmp_path, error, why):
    with session(tmp_path).closing(run):
        raise error
    assert load_results(tmp_path) == [run.result]
    assert run.result.problems == [f"not recorded, and nothing changed: {why}"]


def test_a_problem_fails_the_session(tmp_path):
    plugin = _Plugin(SimpleNamespace(option=SimpleNamespace(amber_report=None)))
    plugin._folder = tmp_path
    save_result(Result(name="talk.ipynb", problems=["cell 3: a tag"]), tmp_path, "main")
    ended = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    plugin.pytest_sessionfinish(ended)
    assert ended.exitstatus == pytest.ExitCode.TESTS_FAILED
    assert plugin._summary == ["talk.ipynb: cell 3: a tag"]


@pytest.fixture
def plugin(run, tmp_path, monkeypatch):
    """In the middle of a notebook that is recorded."""
    monkeypatch.delenv("AMBER_MODE", raising=False)
    plugin = _Plugin(SimpleNamespace())
    book = SimpleNamespace(nb=nbformat.v4.new_notebook(), stash=pytest.Stash(), timed_out=False, kernel=None)
    item = SimpleNamespace(path=tmp_path / "talk.ipynb", parent=book)
    plugin._notebook = NotebookUnderTest(item, SimpleNamespace(notebook_run=lambda *_: run))
    assert os.environ["AMBER_MODE"] == "record"
    return plugin


def test_the_environment_is_given_back_even_when_the_end_fails(plugin):
    teardown = plugin.pytest_runtest_teardown(SimpleNamespace(parent=plugin._notebook.collector), None)
    next(teardown)
    plugin._notebook.end = lambda **_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        teardown.send(None)
    assert "AMBER_MODE" not in os.environ


def test_a_session_that_is_interrupted_gives_the_environment_back(plugin):
    plugin.pytest_unconfigure()
    assert "AMBER_MODE" not in os.environ


# --- files


def test_a_link_stays_one(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    replace_files({link: b"new"})
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_file_that_is_read_only_stays_as_it_is_and_so_do_the_others(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "second")  # root may write everything
    with pytest.raises(PermissionError, match="second is read-only"):
        replace_files({first: b"new", second: b"new"})
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old", b"old"]


# --- kernels and workers


def test_a_kernel_that_is_dead_or_busy_is_not_waited_for():
    def busy(*_, **__):
        raise TimeoutError

    requests = []
    alive = {"is_alive": lambda: True, "execute_cell_input": lambda *_, **__: requests.append(1)}
    flush_kernel(None)
    flush_kernel(SimpleNamespace(is_alive=lambda: False))
    flush_kernel(SimpleNamespace(**alive, await_reply=busy))
    assert requests == [1]


@pytest.mark.parametrize(
    ("nbval", "dist", "then"),
    [
        (True, "load", "loadfile"),
        (True, "loadgroup", "loadfile"),
        (True, "loadscope", "loadscope"),
        (True, "no", "no"),
        (False, "load", "load"),
        (False, "loadgroup", "loadgroup"),
        (False, "worksteal", "worksteal"),
    ],
)
def test_only_notebooks_force_workers_to_take_whole_files(nbval, dist, then):
    option = SimpleNamespace(
        amber=None, amber_report=None, amber_runs=1, amber_compare=None, nbval=nbval, nbval_lax=False, dist=dist
    )
    manager = SimpleNamespace(register=lambda *_: None)
    pytest_configure(SimpleNamespace(option=option, getini=lambda _: "", pluginmanager=manager))
    assert option.dist == then
