"""What a failure suggests works where pytest was started; notebooks reach amber_nb in many ways, and never live."""

import json

import nbformat
import pytest
from children import KEY, files, gateway, run_amber_nb, run_pytest, write
from nbformat.v4 import new_code_cell
from test_runs import session

from amber_nb import Amber, cli
from amber_nb.simulator import Server


def command(folder, path, cassettes=None, source="import amber_nb"):
    run = session(folder, cassettes).notebook_run(path, [new_code_cell(source)])
    return json.loads(run.journal.read_text().splitlines()[0])["run"]["command"]


@pytest.mark.parametrize(
    ("path", "cassettes", "wanted"),
    [
        ("n.ipynb", None, "`amber-nb record n.ipynb`"),
        ("a/b/n.ipynb", None, "`amber-nb record a/b/n.ipynb`"),
        ("my notes/day 1.ipynb", None, "`amber-nb record 'my notes/day 1.ipynb'`"),
        ("it's.ipynb", None, "`amber-nb record 'it'\"'\"'s.ipynb'`"),
        ("../other/n.ipynb", None, "`amber-nb record ../other/n.ipynb`"),
        ("a/n.ipynb", "tapes", "`pytest --nbval --amber=record --amber-cassettes=tapes a/n.ipynb`"),
        ("n.ipynb", "all tapes", "`pytest --nbval --amber=record --amber-cassettes='all tapes' n.ipynb`"),
    ],
)
def test_the_command_is_for_where_pytest_was_started(tmp_path, path, cassettes, wanted):
    here = tmp_path / "here"
    here.mkdir()
    assert command(here, here / path, cassettes) == wanted


def test_the_command_of_a_test_names_it(tmp_path):
    run = session(tmp_path).test_run(tmp_path / "sub" / "test_it.py", "x/sub/test_it.py::test_a[b c]")
    head = json.loads(run.journal.read_text())["run"]
    assert head["command"] == "`pytest --amber=record 'sub/test_it.py::test_a[b c]'`"


@pytest.mark.parametrize(
    ("old", "new", "source", "is_found"),
    [
        ("cassettes/old.jsonl", "new.ipynb", "amber.ask('Name three rivers of Germany.')", True),
        ("a/cassettes/n.jsonl", "b/n.ipynb", "amber.ask('Name three rivers of Germany.')", True),
        ("a/cassettes/old.jsonl", "b/new.ipynb", "ask(f'Name {number} rivers of Germany.')  # three", True),
        ("a/cassettes/n.jsonl", "b/n.ipynb", "ask(PROMPT)", True),  # by its name alone
        ("cassettes/old.jsonl", "new.ipynb", "amber.ask('Something else altogether.')", False),
        (".hidden/cassettes/old.jsonl", "new.ipynb", "amber.ask('Name three rivers of Germany.')", False),
    ],
)
def test_the_old_cassette_of_a_renamed_notebook_is_mentioned(tmp_path, old, new, source, is_found):
    with Server() as server:
        amber = Amber(mode="record", cassette=tmp_path / old, base_url=server.base_url, api_key=KEY)
        amber.ask("Name three rivers of Germany.")
        amber.close()
    said = command(tmp_path, tmp_path / new, source=f"import amber_nb\n{source}")
    assert (f"`mv {old} " in said) == is_found
    write((tmp_path / old).parent.parent / f"{(tmp_path / old).stem}.ipynb", "1")  # a notebook of its own
    (tmp_path / "second").mkdir()
    assert "mv" not in command(tmp_path / "second" / "..", tmp_path / new, source=f"import amber_nb\n{source}")


@pytest.mark.parametrize("arguments", [[], ["--kernel", "nowhere"]])
@pytest.mark.parametrize("name", ["record", "bless"])
def test_an_unknown_kernel_is_one_line(tmp_path, monkeypatch, capsys, arguments, name):
    write(tmp_path / "n.ipynb", "1")
    book = nbformat.read(tmp_path / "n.ipynb", 4)
    book.metadata.kernelspec = {"name": "conda-env-ds-py", "display_name": "DS", "language": "python"}
    nbformat.write(book, tmp_path / "n.ipynb")
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "n.jsonl").write_bytes(b'{"amber_cassette": 1}\n')
    monkeypatch.chdir(tmp_path)
    assert cli.main([name, *arguments, "n.ipynb"]) == 2
    said = capsys.readouterr()
    [line] = (said.out + said.err).splitlines()
    assert (arguments[-1] if arguments else "conda-env-ds-py") in line
    assert arguments or "--current-env" in line


HELPER = "from amber_nb import Amber\namber = Amber({})\ndef say(text): return amber.ask(text, show=False).text\n"
REACH = {  # how a notebook reaches amber_nb without naming it
    "module": "from team_llm import say\nsay('a')",
    "package": "from team.llm import say\nsay('a')",
    "live": "from team_live import say\nsay('a')",
    "run": "%run script.py\nsay('a')",
    "exec": "exec(open('script.py').read())\nsay('a')",
    "child": "!{__import__('sys').executable} -c \"from team_llm import say; say('a')\"",
    "process": "import multiprocessing, team_llm\nwith multiprocessing.Pool(1) as p:\n    p.map(team_llm.say, 'a')",
    "importlib": "import importlib\nimportlib.import_module('team' + '_llm').say('a')",
}


@pytest.mark.timeout(300)
def test_a_client_of_the_teams_own_never_asks_in_a_replay(tmp_path):
    (tmp_path / "team").mkdir()
    for name in ("team_llm.py", "script.py", "team/llm.py"):
        (tmp_path / name).write_text(HELPER.format(""))
    (tmp_path / "team_live.py").write_text(HELPER.format("mode='live'"))
    for name, source in REACH.items():
        write(tmp_path / f"{name}.ipynb", source)
    write(tmp_path / "plain.ipynb", "1 + 1", "print('AMBER_MODE')")
    seen = []
    with Server(log=seen.append) as server:
        done = run_pytest(tmp_path, "-n", "2", **gateway(server))
    assert seen == []
    for name in REACH:
        if name not in ("child", "process"):
            assert done.outcomes[f"{name}.ipynb"]["Cell 0"] == "failed"
            assert f"amber-nb record {name}.ipynb" in done.why[f"{name}.ipynb"]["Cell 0"]
    assert done.cells("plain.ipynb") == ["passed", "passed"]
    assert done.messages("plain.ipynb") == []


@pytest.mark.slow
def test_the_cassette_is_shown_as_the_command_has_the_notebook(tmp_path):
    write(tmp_path / "my notes" / "n w.ipynb", "from amber_nb import Amber", "Amber().ask('Hello!')")
    done = run_pytest(tmp_path)
    why = done.why["my notes/n w.ipynb"]["Cell 1"]
    assert "There is no cassette my notes/cassettes/n w.jsonl" in why
    assert "`amber-nb record 'my notes/n w.ipynb'`" in why
    with Server() as server:
        done = run_amber_nb(tmp_path, "record", "my notes/n w.ipynb", **gateway(server))
    assert done.returncode == 0, done.stderr
    write(tmp_path / "my notes" / "n w.ipynb", "from amber_nb import Amber", "Amber().ask('Bye!')")
    why = run_pytest(tmp_path).why["my notes/n w.ipynb"]["Cell 1"]
    assert "is not recorded in my notes/cassettes/n w.jsonl" in why


NAMED = {  # how code names its own cassette
    "live": "amber = Amber(mode='live', cassette='own/live.jsonl')",
    "record": "amber = Amber(mode='record', cassette='own/record.jsonl')",
    "cache": "amber = Amber(mode='cache', cassette='own/cache.jsonl')",
    "alone": "amber = Amber(cassette='own/alone.jsonl')",
    "path": "import pathlib\namber = Amber(mode='live', cassette=pathlib.Path('own').resolve() / 'path.jsonl')",
    "variable": "import os\nos.environ['AMBER_CASSETTE'] = 'own/variable.jsonl'\namber = Amber()",
}
WITHOUT = [  # nor does it help to unset what the run has set
    "amber = Amber(mode='live')",
    "amber = Amber(mode='cache')",
    "import os\nos.environ.pop('AMBER_MODE')\namber = Amber()",
    "os.environ.pop('AMBER_CASSETTE')\namber = Amber(mode='cache', cassette='own/u.jsonl')",
    "for name in [each for each in os.environ if each.startswith('AMBER_')]:\n    del os.environ[name]",
    f"URL = {{url!r}}\namber = Amber(base_url=URL, api_key={KEY!r})",
    f"amber = Amber(mode='live', base_url=URL, api_key={KEY!r})",
    f"amber = Amber(mode='cache', cassette='own/v.jsonl', base_url=URL, api_key={KEY!r})",
]


def write_clients(path, clients):
    asking = ("amber.ask('Hello!')" if "amber =" in client else "" for client in clients)
    pairs = zip(clients, asking, strict=True)
    write(path, "from amber_nb import Amber", *(cell for pair in pairs for cell in pair))


@pytest.mark.timeout(300)
def test_a_replay_asks_nothing_wherever_the_code_has_its_cassette(tmp_path):
    seen = []
    with Server(log=seen.append) as server:
        write_clients(tmp_path / "named.ipynb", list(NAMED.values()))
        write_clients(tmp_path / "without.ipynb", [cell.replace("{url!r}", repr(server.base_url)) for cell in WITHOUT])
        client = f"from amber_nb import Amber\namber = Amber(base_url={server.base_url!r}, api_key={KEY!r})"
        write(tmp_path / "first.ipynb", f"import os\n{WITHOUT[4]}", client, "amber.ask('Hello!')")
        done = run_pytest(tmp_path, **gateway(server))
    assert seen == []
    assert not (tmp_path / "own").exists()
    for name, count in (("named.ipynb", len(NAMED)), ("without.ipynb", len(WITHOUT) - 1), ("first.ipynb", 1)):
        missed = [why for why in done.why[name].values() if "CassetteMiss" in why]
        assert len(missed) == count, done.why[name]
        assert all(f"amber-nb record {name}" in why for why in missed)
    assert all(f"own/{name}.jsonl" in done.out for name in NAMED)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["command", pytest.param("plugin", marks=pytest.mark.slow)])
def test_what_the_code_records_to_its_own_cassette_is_replayed(tmp_path, way):
    write_clients(tmp_path / "n.ipynb", ["amber = Amber(mode='live', cassette='cassettes/n.jsonl')", *NAMED.values()])
    with Server() as server:
        if way == "command":
            done = run_amber_nb(tmp_path, "record", "n.ipynb", **gateway(server))
            assert done.returncode == 0, done.stderr
            said = done.stdout
        else:
            done = run_pytest(tmp_path, "--amber=record", **gateway(server))
            assert done.ret == pytest.ExitCode.OK, done.out
            said = done.out
    for name in ("cassettes/n", *(f"own/{name}" for name in NAMED)):
        assert f"n.ipynb: recorded: 1 exchange in {name}.jsonl" in said
    kept = files(tmp_path / "own")
    seen = []
    with Server(log=seen.append) as server:
        done = run_pytest(tmp_path, **gateway(server))
        assert done.ret == pytest.ExitCode.OK, done.out
        assert seen == []
        done = run_pytest(tmp_path, "--amber=live", **gateway(server))
        assert seen
        assert "n.ipynb: 1 same" in done.out
    assert files(tmp_path / "own") == kept  # a comparison changes no recording
