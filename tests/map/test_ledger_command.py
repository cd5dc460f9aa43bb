"""`amber-nb ledger`: what it lists, shows and deletes."""

import io
import json
import re
import sys

import pytest
from ledgers import begin, facts, key, stored

from amber_nb import cli
from amber_nb.map.ledger import Ledger

DAY_S = 86_400


@pytest.fixture
def path(elsewhere):
    """A ledger of two runs, of which the second has taken over a row of the first."""
    path = elsewhere / "ledger.sqlite"
    with Ledger(path) as ledger:
        one = begin(ledger, prompt=b"Classify secretly")
        ledger.store(one, [(key(1), '{\n "answer": "one\\u2028"\r\n}'), (key(2), '{"answer": "two"}')])
        two = ledger.begin_run(facts(rows=1_234, model=b"m-2")).key
        ledger.store(two, [(key(3), '{"answer": "three"}')])
        ledger.find([key(2)], two)
    return path


def runs_of(path):
    with Ledger(path, retain_days=None) as ledger:
        return ledger.list_runs()


def runs(path):
    return {run.model: run for run in runs_of(path)}


@pytest.fixture
def run(path, capsys):
    """Run the command on that ledger; gives its exit status and what it has printed."""

    def run(*arguments):
        status = cli.main(["ledger", *arguments, "--path", str(path)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.mark.parametrize("verb", [[], ["list"]])
def test_runs_are_listed(path, run, verb):
    status, out, err = run(*verb)
    assert (status, err) == (0, "")
    head, second, first, total = out.splitlines()
    assert head.split() == ["run", "used", "model", "rows"]
    assert re.fullmatch(r"[0-9a-f]{12} +\d{4}-\d\d-\d\d \d\d:\d\d +m-2 +2", second)
    assert re.fullmatch(r"[0-9a-f]{12} +\d{4}-\d\d-\d\d \d\d:\d\d +m-1 +2", first)
    assert re.fullmatch(r"2 runs, \d+ kB on disk in ledger.sqlite", total)
    assert "secretly" not in out


def test_the_path_may_stand_before_the_verb(path, capsys):
    assert cli.main(["ledger", "--path", str(path), "list"]) == 0
    assert "2 runs" in capsys.readouterr().out


def test_without_a_path_it_is_the_one_in_the_cache_folder(elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(elsewhere))
    assert cli.main(["ledger"]) == 0
    assert capsys.readouterr().out == "Nothing is stored: there is no ledger amber_nb/ledger.sqlite.\n"
    assert list(elsewhere.iterdir()) == []
    with Ledger() as ledger:
        begin(ledger)
    assert cli.main(["ledger"]) == 0
    assert "1 run, " in capsys.readouterr().out


def test_a_run_is_shown(path, run):
    found = runs(path)["m-2"]
    status, out, _ = run("show", found.key[:6].upper())
    assert status == 0
    first, _, digests = out.partition("Digests, to compare runs by:\n")
    shown = dict(re.split(" {2,}", line) for line in first.splitlines())
    assert shown["run"] == found.key
    assert shown["model"] == "m-2"
    assert shown["rows of the last call"] == "1,234"
    assert shown["rows stored"] == "2"
    assert shown["kept without use"] == "30 days"
    assert set(shown) > {"first used", "last used"}
    assert [line.split()[0] for line in digests.splitlines()] == ["prompt", "model", "parameters", "data"]
    assert "Classify" not in out


def test_answers_are_lines_of_json(path, run):
    status, out, _ = run("show", runs(path)["m-1"].key, "--answers")
    assert status == 0
    assert [json.loads(line) for line in out.rstrip("\n").split("\n")] == [
        {"answer": "one\u2028"},
        {"answer": "two"},
    ]
    assert len(run("show", runs(path)["m-2"].key, "--answers")[1].splitlines()) == 2


def test_a_run_is_deleted_without_the_rows_of_others(path, run):
    status, out, _ = run("delete", runs(path)["m-1"].key)
    assert (status, out) == (0, "Deleted: 1 row.\n")
    assert set(stored(path)) == {key(2), key(3)}
    assert set(runs(path)) == {"m-2"}


def test_what_is_old_is_deleted(elsewhere, clock, capsys):
    with Ledger("ledger.sqlite") as ledger:
        ledger.store(begin(ledger), [(key(1), "1"), (key(2), "2")])
        clock.advance(5 * DAY_S)
        ledger.find([key(2)])
    for days, deleted in (("6", "0 rows"), ("4", "1 row"), ("4", "0 rows")):
        assert cli.main(["ledger", "delete", "--older-than", days, "--path", "ledger.sqlite"]) == 0
        assert capsys.readouterr().out == f"Deleted: {deleted}.\n"
    assert set(stored(elsewhere / "ledger.sqlite")) == {key(2)}


def test_all_is_deleted_with_the_file(path, run):
    assert run("delete", "--all") == (0, "Deleted: the ledger ledger.sqlite.\n", "")
    assert list(path.parent.iterdir()) == []


def test_a_ledger_in_use_is_not_removed(path, run):
    with Ledger(path) as ledger:
        begin(ledger)
        status, out, err = run("delete", "--all")
        assert (status, out) == (1, "")
        assert "is under way" in err
        ledger.store(begin(ledger), [(key(9), "9")])
    assert key(9) in stored(path)
    assert run("delete", "--all")[0] == 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


ANSWERS = [("y\n", 0, 0), ("Yes\n", 0, 0), ("n\n", 1, 3), ("\n", 1, 3), ("", 1, 3)]


@pytest.mark.parametrize(("typed", "status", "left"), ANSWERS)
@pytest.mark.parametrize("what", [["--older-than", "0"], ["--all"]], ids=["old", "all"])
def test_on_a_terminal_it_asks_first(path, run, monkeypatch, clock, what, typed, status, left):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    clock.advance(1_000 * DAY_S)
    code, out, err = run("delete", *what)
    assert code == status
    assert "Delete " in out
    assert (len(stored(path)) if path.exists() else 0) == left
    assert ("Nothing was deleted" in out) is (status == 1 and typed != "")
    assert ("nobody is there" in err) is (typed == "")


def test_with_yes_it_does_not_ask(path, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    status, out, _ = run("delete", runs(path)["m-1"].key, "--yes")
    assert (status, out) == (0, "Deleted: 1 row.\n")


WRONG = [
    (["show", "zzz"], "There is no run zzz in ledger.sqlite. `amber-nb ledger` lists them."),
    (["delete", ""], "There is no run '' in ledger.sqlite. `amber-nb ledger` lists them."),
    (["delete", "zzz"], "There is no run zzz in ledger.sqlite. `amber-nb ledger` lists them."),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_an_unknown_run_is_named(path, run, arguments, message):
    assert run(*arguments) == (1, "", f"amber-nb: {message}\n")
    assert len(stored(path)) == 3


@pytest.mark.parametrize("arguments", [["show", "a"], ["delete", "a"], ["delete", "--all"]])
def test_no_ledger_is_made_by_looking(elsewhere, capsys, arguments):
    assert cli.main(["ledger", *arguments, "--path", "no.sqlite"]) == 1
    assert capsys.readouterr().err == "amber-nb: There is no ledger no.sqlite. Name another one with --path.\n"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("arguments", [["list"], ["show", "a"], ["delete", "a"], ["delete", "--all"]])
def test_what_is_no_ledger_stays(elsewhere, capsys, arguments):
    notes = elsewhere / "notes.txt"
    notes.write_text("mine")
    assert cli.main(["ledger", *arguments, "--path", "notes.txt"]) == 1
    assert capsys.readouterr().err.startswith("amber-nb: notes.txt is no ledger of amber_nb")
    assert notes.read_text() == "mine"


MISUSED = [["delete"], ["delete", "a", "--all"], ["delete", "--older-than", "x"], ["delete", "--older-than", "-1"],
           ["show"], ["lisst"]]  # fmt: skip


@pytest.mark.parametrize("arguments", MISUSED)
def test_what_is_not_understood_deletes_nothing(path, run, arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert len(stored(path)) == 3


def test_looking_drops_nothing(path, run, clock):
    clock.advance(5_000 * DAY_S)
    assert "2 runs" in run()[1]
    run("show", runs(path)["m-1"].key)
    assert len(stored(path)) == 3


def test_a_beginning_of_two_keys_is_refused(path, run):
    """Sixteen runs and more have two that begin with the same digit."""
    with Ledger(path) as ledger:
        keys = [begin(ledger, prompt=bytes([number])) for number in range(17)]
    digit = next(digit for digit in "0123456789abcdef" if sum(key[0] == digit for key in keys) > 1)
    status, _, err = run("delete", digit)
    assert status == 1
    assert re.fullmatch(rf"amber-nb: \d+ runs begin with {digit}: write more of the key.\n", err)
    assert len(runs_of(path)) == 19
