"""The pytest plugin beside others: nbmake, pytest-rerunfailures and pytest-recording."""

import pytest
from children import code, gateway, run_pytest, write

from amber_nb.simulator import Server

ASK = "from amber_nb import Amber\nAmber().ask('Hello!').text"
FLAKY = """
ran = []
def test_it(amber):
    ran.append(amber.ask("Hello!").text)
    assert len(ran) > 1
"""


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield gateway(server)


def test_a_notebook_is_recorded_by_nbval_alone_when_nbmake_runs_it_too(tmp_path, server):
    write(tmp_path / "talk.ipynb", code(ASK), code(ASK.replace("Hello!", "Hi")))
    child = run_pytest(tmp_path, "--nbval-lax", "--nbmake", "--amber=record", **server)
    assert child.ret == pytest.ExitCode.OK, child.out
    assert "3 passed" in child.out
    assert child.messages("talk.ipynb") == ["recorded: 2 exchanges in cassettes/talk.jsonl"]
    assert child.after["talk.ipynb"] != child.before["talk.ipynb"]


@pytest.mark.parametrize("last", [True, False])
def test_nbmakes_run_of_a_notebook_is_not_ours(tmp_path, last):
    """First or last: it has no environment of ours, and its failure is none of the notebook's cells."""
    (tmp_path / "conftest.py").write_text(f"""
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: hasattr(item, "nbmake") is {last})
""")
    write(tmp_path / "talk.ipynb", "import os, amber_nb\nassert os.environ['AMBER_MODE'] == 'record'")
    child = run_pytest(tmp_path, "--nbval-lax", "--nbmake", "--amber=record", AMBER_MODE="simulate")
    assert "1 failed, 1 passed" in child.out
    assert child.messages("talk.ipynb") == ["nothing was asked: there is nothing to record"]
    assert "AssertionError" in child.out


def test_a_flaky_test_counts_by_its_last_run(tmp_path, server):
    (tmp_path / "test_flaky.py").write_text(FLAKY)
    child = run_pytest(tmp_path, "--amber=record", "--reruns=2", **server)
    assert child.ret == pytest.ExitCode.OK, child.out
    name = "test_flaky.py::test_it"
    assert child.messages(name) == ["recorded: 1 exchange in cassettes/test_flaky/test_it.jsonl"]
    child = run_pytest(tmp_path, "--amber=replay", "--reruns=2")
    assert child.ret == pytest.ExitCode.OK, child.out


def test_a_cell_is_not_run_again_by_itself(tmp_path, server):
    write(tmp_path / "talk.ipynb", ASK, "assert False")
    write(tmp_path / "other.ipynb", "assert False")
    child = run_pytest(tmp_path, "--nbval-lax", "--amber=record", "--reruns=1", **server)
    assert "2 failed, 1 passed, 1 rerun" in child.out  # again: only the cell of the notebook that is not ours
    assert len(child.messages("talk.ipynb")) == 1


@pytest.mark.parametrize("option", ["--block-network", "--record-mode=none"])
def test_a_replay_needs_nothing_that_pytest_recording_forbids(tmp_path, server, option):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.vcr\ndef test_it(amber):\n    assert amber.ask('Hello!').text"
    )
    run_pytest(tmp_path, "--amber=record", "--record-mode=all", **server)
    child = run_pytest(tmp_path, option)
    assert child.ret == pytest.ExitCode.OK, child.out
