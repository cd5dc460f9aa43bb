"""The pytest plugin where the ini file says `amber_mode = simulate`, and where nbval or the mode is missing."""

import re

import pytest
from children import code, run_pytest, run_pytest_here, stream_output, write
from nbformat.v4 import new_output

from amber_nb.cassettes.file import HEADER

ENVIRONMENT = "import os, amber_nb; print({n: os.environ.get(n) for n in ('AMBER_MODE', 'AMBER_DISPLAY')})"
ELSEWHERE = ENVIRONMENT.replace(", amber_nb", "")  # its cells do not name it, and still a module of theirs may
SIMULATE = "{'AMBER_MODE': 'simulate', 'AMBER_DISPLAY': 'static'}\n"
CASSETTE = "import os, amber_nb; print(os.environ['AMBER_MODE'], os.path.relpath(os.environ['AMBER_CASSETTE'], '..'))"
REPLAY = "replay tapes/c/recorded.jsonl\n"
ASK = "from amber_nb import Amber\nanswer = Amber().ask('Hello!')"
HELLO = "Hello! How can I help you today?"
TABLE = "from IPython.display import HTML\nHTML('<table>2</table>')"


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    """A pytest child with `amber_mode = simulate` and `--amber-cassettes`; one of its notebooks has a cassette."""
    folder = tmp_path_factory.mktemp("simulate")
    (folder / "pytest.ini").write_text("[pytest]\namber_mode = simulate\n")
    table = {"text/plain": "<IPython.core.display.HTML object>", "text/html": "<table>1</table>"}
    write(
        folder / "a_simulated.ipynb",
        code(ENVIRONMENT, stream_output(SIMULATE)),
        code(ASK, answer_output(HELLO)),
        code(ASK, answer_output("Good evening! How can I help you today?")),
        code(TABLE, new_output("execute_result", table, execution_count=1)),
        code(ENVIRONMENT, stream_output(SIMULATE)),
    )
    two = new_output("execute_result", {"text/plain": "2"}, execution_count=1)
    write(folder / "b_other.ipynb", code(ELSEWHERE, stream_output(SIMULATE)), code("1 + 1", two))
    write(folder / "c" / "recorded.ipynb", code(CASSETTE, stream_output(REPLAY)))
    (folder / "tapes" / "c").mkdir(parents=True)
    (folder / "tapes" / "c" / "recorded.jsonl").write_bytes(HEADER)
    (folder / "test_after.py").write_text("import os\ndef test_it():\n    assert 'AMBER_MODE' not in os.environ\n")
    return run_pytest(folder, "--amber-cassettes=tapes")


def answer_output(text, html='<div class="amber-answer">of another Pygments</div>'):
    return new_output("display_data", data={"text/plain": text, "text/html": html})


def test_every_notebook_gets_its_mode_in_every_cell(child):
    assert child.outcomes["a_simulated.ipynb"]["Cell 0"] == "passed"
    assert child.outcomes["a_simulated.ipynb"]["Cell 4"] == "passed"


def test_an_answer_is_compared_by_its_text_and_not_by_its_html(child):
    assert child.outcomes["a_simulated.ipynb"]["Cell 1"] == "passed"
    assert child.outcomes["a_simulated.ipynb"]["Cell 2"] == "failed"
    assert "Good evening!" in child.why["a_simulated.ipynb"]["Cell 2"]
    assert "text/html" not in child.why["a_simulated.ipynb"]["Cell 2"]


def test_html_of_others_is_compared(child):
    assert child.outcomes["a_simulated.ipynb"]["Cell 3"] == "failed"
    assert "<table>1</table>" in child.why["a_simulated.ipynb"]["Cell 3"]


def test_a_notebook_that_does_not_name_amber_gets_its_mode_too(child):
    assert child.cells("b_other.ipynb") == ["passed", "passed"]


def test_a_notebook_with_a_cassette_in_the_folder_for_all_is_replayed_and_not_simulated(child):
    assert child.cells("c/recorded.ipynb") == ["passed"]


def test_the_environment_is_as_before_when_the_notebooks_are_over(child):
    assert child.outcomes["test_after.py"] == {"test_it": "passed"}


def test_the_session_fails_by_its_cells_and_the_plugin_has_nothing_to_tell(child):
    assert child.ret == pytest.ExitCode.TESTS_FAILED
    assert "amber_nb ===" not in child.out


def test_a_mode_that_does_not_exist_is_refused(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\namber_mode = simulated\n")
    ret, _, err = run_pytest_here(tmp_path)
    assert ret == pytest.ExitCode.USAGE_ERROR
    assert re.search("amber_mode must be one of replay.*simulate.*'simulated'", err)


def test_without_nbval_it_keeps_out_of_the_way(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\namber_mode = simulate\n")
    (tmp_path / "test_without_nbval.py").write_text("def test_it():\n    pass\n")
    ret, out, _ = run_pytest_here(tmp_path, "-p", "no:nbval")
    assert ret == pytest.ExitCode.OK
    assert "1 passed" in out
