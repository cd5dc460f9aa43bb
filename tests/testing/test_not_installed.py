"""What is not installed is said in one line: a kernel, or nbclient where nbval was installed alone."""

import subprocess
import sys

import nbformat
import pytest
from children import code, gateway, run_amber_nb, run_pytest, write
from nbformat.v4 import new_output

from amber_nb.simulator import Server

EXTRA = "pip install 'amber_nb[lab]'"
BLOCK = "import sys\nsys.modules['nbclient'] = None\n"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The replay of notebooks where nbval is installed without nbclient."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "conftest.py").write_text(BLOCK)
    (folder / "team_llm.py").write_text("from amber_nb import Amber\ndef say(text): return Amber().ask(text)\n")
    two, three = (new_output("execute_result", {"text/plain": text}, execution_count=1) for text in "23")
    write(folder / "plain.ipynb", code("1 + 1", two), code("1 + 1", three))
    write(folder / "ours.ipynb", "from amber_nb import Amber", "Amber().ask('Hello!')")
    write(folder / "team.ipynb", "from team_llm import say", "say('Hello!')")
    seen = []
    with Server(log=seen.append) as server:
        done = run_pytest(folder, **gateway(server))
        assert seen == []
        return done, run_pytest(folder, "--amber=record", "team.ipynb", **gateway(server))


def test_nbval_alone_does_for_notebooks_without_amber(alone):
    done, _ = alone
    assert done.cells("plain.ipynb") == ["passed", "failed"]
    assert done.messages("plain.ipynb") == []


def test_a_notebook_that_asks_a_model_needs_nbclient(alone):
    done, recorded = alone
    assert done.cells("ours.ipynb") == ["error", "skipped"]
    [line] = [line for line in done.why["ours.ipynb"]["Cell 0"].splitlines() if EXTRA in line and "ours" in line][-1:]
    assert "this needs nbclient" in line
    assert "ModuleNotFoundError" not in done.out
    assert "CassetteMiss" in done.why["team.ipynb"]["Cell 1"]
    assert recorded.ret == pytest.ExitCode.TESTS_FAILED
    [message] = recorded.messages("team.ipynb")
    assert "this needs nbclient" in message


@pytest.mark.parametrize("name", ["record", "bless"])
def test_a_recording_needs_nbclient(tmp_path, name):
    write(tmp_path / "n.ipynb", "1")
    command = f"{BLOCK}from amber_nb import cli\nsys.exit(cli.main([{name!r}, 'n.ipynb']))"
    done = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (done.stdout + done.stderr).splitlines() == [f"amber-nb: this needs nbclient: {EXTRA}"]


@pytest.mark.parametrize("option", ["", "--nbval-kernel-name=nope"])
def test_a_kernel_that_is_not_installed_is_one_line_of_the_first_cell(tmp_path, option):
    write(tmp_path / "n.ipynb", "1", "2", "3")
    book = nbformat.read(tmp_path / "n.ipynb", 4)
    book.metadata.kernelspec = {"name": "gone" if not option else "python3", "display_name": "D", "language": "python"}
    nbformat.write(book, tmp_path / "n.ipynb")
    done = run_pytest(tmp_path, *filter(None, [option]), current_env=False)
    assert done.cells("n.ipynb") == ["error", "skipped", "skipped"]
    assert "There are: " in done.why["n.ipynb"]["Cell 0"]
    assert "NoSuchKernel" not in done.out
    assert f"{'nope' if option else 'gone'}'" in done.why["n.ipynb"]["Cell 0"]


@pytest.mark.slow
def test_a_recording_says_nothing_of_the_kernels_own_log(tmp_path):
    write(tmp_path / "n.ipynb", "from amber_nb import Amber\nimport os\nos.write(2, b'noise of the kernel')", "1")
    write(tmp_path / "dies.ipynb", "import os\nos.write(2, b'last words')\nos._exit(3)")
    write(tmp_path / "asks.ipynb", "from amber_nb import Amber\nAmber().ask('Hello!')\nos = __import__('os')")
    with Server() as server:
        done = run_amber_nb(tmp_path, "record", "asks.ipynb", **gateway(server))
        assert (done.returncode, done.stderr) == (0, "")
        done = run_amber_nb(tmp_path, "record", "n.ipynb", "dies.ipynb", **gateway(server))
    assert "noise" not in done.stdout + done.stderr
    assert "nothing was asked" in done.stderr
    assert "the kernel died" in done.stderr
