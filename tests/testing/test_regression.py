"""Record, replay, live and bless, each over notebooks in a child with nbval, asking the HTTP simulator."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from children import KEY, code, files, gateway, run_amber_nb, run_pytest, run_pytest_here, stream_output, write
from nbformat.v4 import new_output

from amber_nb import Amber, cli
from amber_nb.cassettes.file import Cassette
from amber_nb.simulator import Server

pytestmark = pytest.mark.timeout(400)  # alone, a test starts all the children that its own comes after

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
DEAD = "http://127.0.0.1:9/api/beta/openai/v1"
CONFLICT = b"<<<<<<< HEAD\n"
CELLS = (
    "from amber_nb import Amber\namber = Amber()",
    "answer = amber.ask('Hello!')",
    code("answer.ask('Name three rivers.')", tags=("amber-nearly",)),
    "amber.openai.chat.completions.create(\n"
    "    model='azure/gpt-5.4', messages=[{'role': 'user', 'content': 'Say hello'}]\n"
    ").choices[0].message.content",
    "1 + 1",
)
OTHER_GATEWAYS = (
    "import os\nsteady = Amber(base_url=os.environ.get('STEADY_URL'))\nmorning = steady.ask('Good morning!')",
    code(
        "%xmode Minimal\n"  # a traceback with the sources of all packages takes as long as a kernel
        "dead = Amber(base_url=os.environ.get('DEAD_URL'), max_retries=0)\nevening = dead.ask('Good evening!')",
        tags=("amber-ignore",),
    ),
)
# What nbval leaves out keeps its outputs; what the event asks comes after the last cell.
SKIPPED = code("# NBVAL_SKIP\n1 / 0", new_output("stream", text="precious"), count=99)
LATE = code("get_ipython().events.register('pre_run_cell', lambda *_: amber.ask('Late.'))")
EDIT = "import pathlib\nbook = pathlib.Path('edited.ipynb')\nbook.write_text(book.read_text() + '\\n')"
TESTS = """
import os
import pytest

@pytest.mark.parametrize("prompt", ["Hello!", "Good evening!"])
def test_hello(amber, prompt):
    assert amber.ask(prompt).text

def test_fails(amber):
    amber.ask("Hello!")
    assert 0

def test_hurt(amber):
    assert 0

def test_environment():
    assert "AMBER_MODE" not in os.environ
"""


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A notebook and its cassette, and what `amber-nb record` said when it made them."""
    folder = tmp_path_factory.mktemp("talk")
    write(folder / "talk.ipynb", *CELLS, *OTHER_GATEWAYS)
    with Server() as server:
        done = run_amber_nb(folder, "record", "talk.ipynb", **gateway(server))
    return SimpleNamespace(folder=folder, done=done)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A child with `--amber=record` and two workers: one of the project's notebooks, and some that cannot be kept."""
    folder = tmp_path_factory.mktemp("record")
    write(folder / "a" / "talk.ipynb", *CELLS[:2], code("1 / 0", stream_output("once")))
    book = nbformat.read(NOTEBOOKS / "02_streaming.ipynb", 4)
    book.cells += [code("hello = amber.ask('Hello!')"), SKIPPED, LATE]
    (folder / "b").mkdir()
    nbformat.write(book, folder / "b" / "talk.ipynb")
    write(folder / "edited.ipynb", *CELLS[:2], EDIT, "'last'")
    write(folder / "hurt.ipynb", *CELLS)
    (folder / "test_it.py").write_text(TESTS)
    tapes = folder / "tapes"
    (tapes / "test_it").mkdir(parents=True)
    (tapes / "hurt.jsonl").write_bytes(CONFLICT)
    (tapes / "test_it" / "test_hurt.jsonl").write_bytes(CONFLICT)
    with Server() as server:
        amber = Amber(base_url=server.base_url, api_key=KEY, mode="record", cassette=tapes / "a" / "talk.jsonl")
        amber.ask("Good night!")
        amber.close()
        return run_pytest(folder, "-n", "2", "-v", "--amber=record", "--amber-cassettes=tapes", **gateway(server))


@pytest.fixture(scope="module")
def live(tmp_path_factory, talk):
    """A child with `--amber=live`: of three gateways one says what it said, one says other things, and one is gone."""
    folder = shutil.copytree(talk.folder, tmp_path_factory.mktemp("live"), dirs_exist_ok=True)
    with Server() as steady, Server(drift=1) as drifted:
        return run_pytest(
            folder,
            *("--amber=live", "--amber-report=drift.html", "--amber-compare=exact", "--amber-runs=2"),
            **gateway(drifted),
            STEADY_URL=steady.base_url,
            DEAD_URL=DEAD,
        )


@pytest.fixture(scope="module")
def blessed(tmp_path_factory, live):
    """The notebook of the drift report after `amber-nb bless`, and what that said."""
    folder = shutil.copytree(live.folder, tmp_path_factory.mktemp("bless"), dirs_exist_ok=True)
    with Server(drift=1) as server:
        done = run_amber_nb(folder, "bless", "drift.json", **gateway(server))
    return SimpleNamespace(folder=folder, done=done)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory, recorded, blessed):
    """A child without a gateway, over notebooks that were recorded or blessed, changed since, or never recorded."""
    folder = tmp_path_factory.mktemp("replay")
    cassettes = folder / "cassettes"
    tapes = recorded.folder / "tapes"
    shutil.copytree(tapes / "test_it", cassettes / "test_it", ignore=shutil.ignore_patterns("test_hurt*"))
    shutil.copy(tapes / "b" / "talk.jsonl", cassettes / "streaming.jsonl")
    book = nbformat.read(recorded.folder / "b" / "talk.ipynb", 4)
    del book.cells[-2:]
    nbformat.write(book, folder / "streaming.ipynb")
    shutil.copy(blessed.folder / "cassettes" / "talk.jsonl", cassettes / "changed.jsonl")
    book = nbformat.read(blessed.folder / "talk.ipynb", 4)
    book.cells[1].outputs[0].data["text/html"] = '<div class="amber-answer">of another Pygments</div>'
    book.cells[2].source = book.cells[2].source.replace("three", "four")
    nbformat.write(book, folder / "changed.ipynb")
    write(folder / "missing.ipynb", CELLS[0])
    write(folder / "other.ipynb", code("1 + 1", new_output("execute_result", {"text/plain": "2"}, execution_count=1)))
    (folder / "test_it.py").write_text(TESTS)
    return run_pytest(folder, "-n", "2", "--dist", "loadfile", "--amber-html=compare")


def late_exchange(cassette):
    exchanges = Cassette(cassette).interactions
    [late] = [exchange for exchange in exchanges if exchange.request.body["messages"][-1]["content"] == "Late."]
    return late


# --- record


def test_the_command_records_a_notebook(talk):
    assert talk.done.returncode == 0, talk.done.stderr
    assert "talk.ipynb: recorded: 5 exchanges in cassettes/talk.jsonl" in talk.done.stdout
    assert files(talk.folder).keys() == {"cassettes/talk.jsonl", "talk.ipynb"}
    cells = nbformat.read(talk.folder / "talk.ipynb", 4).cells
    assert cells[1].outputs[0].data["text/plain"] == "Hello! How can I help you today?"


def test_workers_keep_a_notebook_together_and_record_it_whole(recorded):
    """In the folder of all cassettes each has its place, also where two notebooks have the same name."""
    workers = set(re.findall(r"^\[(gw\d)\].* (\S+)::", recorded.out, re.MULTILINE))
    assert len(workers) == len(recorded.outcomes)  # one for each file
    assert {worker for worker, _ in workers} == {"gw0", "gw1"}
    assert recorded.cells("b/talk.ipynb") == [*["passed"] * 8, "skipped", "passed"]
    assert recorded.messages("b/talk.ipynb") == ["recorded: 9 exchanges in tapes/b/talk.jsonl"]
    assert late_exchange(recorded.folder / "tapes" / "b" / "talk.jsonl").how == "whole"


def test_a_recorded_notebook_has_the_outputs_of_its_run_and_keeps_those_of_cells_left_out(recorded):
    cells = [cell for cell in nbformat.reads(recorded.after["b/talk.ipynb"].decode(), 4).cells if "outputs" in cell]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5, 6, 7, 8, 99, 9]
    assert cells[0].outputs[0].data["text/plain"].startswith("Amber(mode='record'")
    assert cells[7].outputs[0].data["text/plain"] == "Hello! How can I help you today?"
    assert cells[8].outputs[0].text == "precious"


def test_only_what_ran_whole_gets_a_cassette(recorded):
    fresh = {re.sub("-[0-9a-f]{6}[.]", "-#.", name) for name in recorded.after.keys() - recorded.before.keys()}
    assert fresh == {
        "junit.xml",
        "tapes/b/talk.jsonl",
        "tapes/test_it/test_hello[Good-evening-]-#.jsonl",
        "tapes/test_it/test_hello[Hello-]-#.jsonl",
    }
    changed = {name for name, content in recorded.before.items() if recorded.after[name] != content}
    assert changed == {"b/talk.ipynb", "edited.ipynb"}  # the last one by itself


def test_a_cell_that_fails_leaves_both_files_untouched(recorded):
    assert recorded.cells("a/talk.ipynb") == ["passed", "passed", "failed"]
    [line] = recorded.messages("a/talk.ipynb")
    assert line.startswith("not recorded, and nothing changed")
    for name in ("a/talk.ipynb", "tapes/a/talk.jsonl"):
        assert recorded.after[name] == recorded.before[name]


def test_a_cell_that_fails_under_the_command_leaves_both_files_untouched(talk, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(talk.folder, tmp_path, dirs_exist_ok=True)
    book = folder / "talk.ipynb"
    book.write_text(book.read_text().replace("1 + 1", "1 / 0"))
    before = files(folder)
    monkeypatch.chdir(folder)
    with Server() as server:
        for name, value in gateway(server).items():
            monkeypatch.setenv(name, value)
        assert cli.main(["record", "talk.ipynb"]) == 1
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err
    assert "nothing was changed" in said.err
    assert files(folder) == before


def test_a_notebook_that_was_edited_while_it_ran_is_not_recorded(recorded):
    assert recorded.cells("edited.ipynb") == ["passed"] * 4
    assert recorded.messages("edited.ipynb") == ["not recorded, and nothing changed: the file was changed while it ran"]
    assert recorded.after["edited.ipynb"] == recorded.before["edited.ipynb"] + b"\n"
    assert "tapes/edited.jsonl" not in recorded.after


def test_a_cassette_that_is_damaged_is_named_and_not_recorded_over(recorded):
    assert recorded.cells("hurt.ipynb") == ["error", *["skipped"] * 4]
    assert "tapes/hurt.jsonl" in recorded.why["hurt.ipynb"]["Cell 0"]
    assert recorded.outcomes["test_it.py"]["test_hurt"] == "error"
    assert "tapes/test_it/test_hurt.jsonl" in recorded.why["test_it.py"]["test_hurt"]
    assert recorded.after["tapes/hurt.jsonl"] == recorded.after["tapes/test_it/test_hurt.jsonl"] == CONFLICT
    assert "another exception" not in recorded.out


def test_the_fixture_records_tests_that_pass(recorded):
    assert recorded.outcomes["test_it.py"] == {
        "test_hello[Hello!]": "passed",
        "test_hello[Good evening!]": "passed",
        "test_fails": "failed",
        "test_hurt": "error",
        "test_environment": "passed",
    }


# --- live


def test_drift_is_told_and_fails_no_cell(live):
    assert live.ret == pytest.ExitCode.TESTS_FAILED
    assert live.cells("talk.ipynb") == [*["passed"] * 6, "failed"]
    assert "1 same, 3 drifted, 1 failed" in live.messages("talk.ipynb")


def test_drift_is_reported_for_every_run(live):
    report = json.loads(live.after["drift.json"])
    rows = report["rows"]
    assert report["summary"]["drifted"] == 3
    assert [(row["cell"], row["status"]) for row in rows] == [
        (2, "drifted"),
        (3, "drifted"),
        (4, "drifted"),
        (6, "same"),
        (7, "failed"),
    ]
    assert [len(row["runs"]) for row in rows] == [2] * 5
    assert b"How can I help you today?" in live.after["drift.html"]


def test_a_tag_chooses_the_comparison_and_a_dead_gateway_is_a_failure(live):
    rows = json.loads(live.after["drift.json"])["rows"]
    assert [row["how"] for row in rows] == ["exact"] * 4 + ["ignore"]
    assert "ConnectError" in rows[4]["why"]
    assert "cannot be reached" in live.why["talk.ipynb"]["Cell 6"]
    [wrong] = [line for line in live.messages("talk.ipynb") if "tag" in line]
    assert wrong.startswith("cell 3: the tag 'amber-nearly': ")


def test_live_changes_no_file(live):
    assert live.before.keys() == {"talk.ipynb", "cassettes/talk.jsonl"}
    assert live.after.keys() - live.before.keys() == {"drift.html", "drift.json", "junit.xml"}
    assert {name: live.after[name] for name in live.before} == live.before


def test_a_session_in_which_all_tests_pass_fails_by_drift_alone(tmp_path, monkeypatch):
    (tmp_path / "test_one_ask.py").write_text("def test_hello(amber):\n    assert amber.ask('Hello!').text")

    def run(*arguments, **options):
        with Server(**options) as server:
            for name, value in gateway(server).items():
                monkeypatch.setenv(name, value)
            ret, out, _ = run_pytest_here(tmp_path, *arguments)
        assert "1 passed" in out
        return ret, re.findall("^test_one_ask.py::test_hello: (.*)", out, re.MULTILINE), "amber_nb ===" in out

    exact = ("--amber=live", "--amber-compare=exact")
    recorded = ["recorded: 1 exchange in cassettes/test_one_ask/test_hello.jsonl"]
    assert run("--amber=record") == (pytest.ExitCode.OK, recorded, True)
    assert run() == (pytest.ExitCode.OK, [], False)
    assert run(*exact) == (pytest.ExitCode.OK, ["1 same"], True)
    assert run(*exact, drift=1) == (pytest.ExitCode.TESTS_FAILED, ["1 drifted"], True)


def test_bless_records_what_drifted(blessed, live):
    assert blessed.done.returncode == 0, blessed.done.stderr
    assert "talk.ipynb: recorded: 5 exchanges in cassettes/talk.jsonl" in blessed.done.stdout
    assert "drifted" in blessed.done.stdout
    after = files(blessed.folder)
    assert {name for name in after if after[name] != live.after[name]} == {"talk.ipynb", "cassettes/talk.jsonl"}


# --- replay


def test_a_notebook_of_the_project_replays_and_an_exchange_not_asked_for_is_told(replayed):
    assert replayed.cells("streaming.ipynb") == ["passed"] * 8
    line = late_exchange(replayed.folder / "cassettes" / "streaming.jsonl").line
    message = f"the recorded exchange in line {line} of its cassette was not asked for"
    assert replayed.messages("streaming.ipynb") == [message]


def test_what_was_blessed_replays_and_a_changed_prompt_is_named_with_the_difference(replayed):
    assert replayed.cells("changed.ipynb") == ["passed", "failed", "failed", *["passed"] * 4]
    why = replayed.why["changed.ipynb"]["Cell 2"]
    assert re.search(r'-.*"content": "Name three rivers\."(.|\n)*\+.*"content": "Name four rivers\."', why)
    assert "amber-nb record changed.ipynb" in why
    assert replayed.messages("changed.ipynb") == []  # what was not asked for says nothing after a failure


def test_html_of_answers_is_compared_if_wanted(replayed):
    why = replayed.why["changed.ipynb"]["Cell 1"]
    assert "text/html" in why
    assert "of another Pygments" in why
    assert "text/plain" not in why


def test_without_a_cassette_a_notebook_fails_with_the_command_that_records(replayed):
    assert replayed.cells("missing.ipynb") == ["failed"]
    why = replayed.why["missing.ipynb"]["Cell 0"]
    assert re.search("CassetteMiss.*no cassette cassettes/missing.jsonl.*amber-nb record missing.ipynb", why)


def test_a_notebook_that_does_not_use_amber_is_left_alone(replayed):
    assert replayed.cells("other.ipynb") == ["passed"]
    assert replayed.messages("other.ipynb") == []


def test_the_fixture_replays_and_a_test_without_a_cassette_fails_with_the_option_that_records(replayed):
    assert replayed.outcomes["test_it.py"] == {
        "test_hello[Hello!]": "passed",
        "test_hello[Good evening!]": "passed",
        "test_fails": "error",
        "test_hurt": "error",
        "test_environment": "passed",
    }
    assert re.search("CassetteMiss.*--amber=record", replayed.why["test_it.py"]["test_fails"])
    assert not [line for line in replayed.section() if line.startswith("test_it.py")]


def test_replay_changes_no_file(replayed):
    assert {name: replayed.after[name] for name in replayed.before} == replayed.before


# --- all of them


def test_the_key_is_nowhere(talk, recorded, live, blessed, replayed):
    for folder in (talk.folder, recorded.folder, live.folder, blessed.folder, replayed.folder):
        assert [name for name, content in files(folder).items() if KEY.encode() in content] == []
    for out in (talk.done.stdout + talk.done.stderr, recorded.out, live.out, blessed.done.stdout, replayed.out):
        assert KEY not in out


@pytest.mark.slow
def test_the_projects_own_notebooks_replay_with_the_gateway_gone(tmp_path):
    for path in sorted(NOTEBOOKS.glob("0[1-4]_*.ipynb")):
        shutil.copy(path, tmp_path)
    with Server() as server:
        recorded = run_pytest(tmp_path, "--amber=record", **gateway(server))
    assert len(recorded.section()) == 4
    for line in recorded.section():
        assert re.fullmatch(r"(0\d_\w+).ipynb: recorded: \d+ exchanges in cassettes/\1.jsonl", line)
    replayed = run_pytest(tmp_path)
    assert replayed.outcomes == recorded.outcomes
    assert replayed.ret == pytest.ExitCode.OK
    assert "amber_nb ===" not in replayed.out
    assert [name for name, content in files(tmp_path).items() if KEY.encode() in content] == []


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
def test_arguments_that_make_no_sense_are_refused(tmp_path, arguments, says):
    ret, _, err = run_pytest_here(tmp_path, *arguments)
    assert ret == pytest.ExitCode.USAGE_ERROR
    assert says in err
