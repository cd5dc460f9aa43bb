"""What MCP servers answer, in test runs: kept, replayed, and compared for itself when it is asked anew."""

import asyncio
import base64
import json
import re

import pytest
from children import gateway, run_pytest_here

from amber_nb import Amber
from amber_nb.cassettes.file import Cassette
from amber_nb.simulator import Server
from amber_nb.testing.comparison import judge_exchanges
from amber_nb.testing.report import render_html

LISTING, CALL = "/tools/list", "/tools/call"
PICTURE = base64.b64encode(bytes(range(256)) * 4).decode()

TEST = """
import asyncio, json, pathlib

def test_it(amber):
    async def answer(name):
        return json.loads(pathlib.Path("answers.json").read_text())[name]

    def exchange(path, **body):
        there = amber._session.servers
        return asyncio.run(there.exchange(path, {"server": "wiki", **body}, lambda: answer(path)))

    exchange("/tools/list")
    amber.ask("Hello!", show=False)
    exchange("/tools/call", name="search", arguments={"query": "ACME"})
    amber.ask("And then?", show=False)
"""


def listing(*names, **more):
    return {"tools": [{"name": name, "inputSchema": {}, **more} for name in names]}


def result(text):
    return {"content": [{"type": "text", "text": text}], "isError": False}


def test_a_test_is_recorded_replayed_and_compared_with_its_servers(tmp_path, monkeypatch):
    (tmp_path / "test_of_a_server.py").write_text(TEST)

    def run(mode, *arguments):
        with Server() as server:
            for name, value in gateway(server).items():
                monkeypatch.setenv(name, value)
            ret, out, _ = run_pytest_here(tmp_path, f"--amber={mode}", "test_of_a_server.py", *arguments)
        assert "1 passed" in out, out
        told = re.findall(r"^(?:test_of_a_server.py::test_it: |  )(.*)", out, re.MULTILINE)
        return ret, told

    def write(tools, found):
        (tmp_path / "answers.json").write_text(json.dumps({LISTING: tools, CALL: found}))

    kept = "cassettes/test_of_a_server/test_it.jsonl"
    write(listing("search"), result("one"))
    note = f"what the MCP server 'wiki' returns is kept in {kept}: whoever gets the file can read these documents."
    assert run("record") == (pytest.ExitCode.OK, [f"recorded: 4 exchanges in {kept}", note])
    assert [old.request.path for old in Cassette(tmp_path / kept).interactions][::2] == [LISTING, CALL]

    (tmp_path / "answers.json").unlink()
    assert run("replay") == (pytest.ExitCode.OK, [])

    write(listing("search"), result("one"))
    assert run("live") == (pytest.ExitCode.OK, ["4 same"])

    write(listing("fetch", "search", description="New"), result("two"))
    assert run("live", "--amber-report=drift.html") == (
        pytest.ExitCode.TESTS_FAILED,
        [
            "2 same, 2 drifted",
            "call 1: drifted (json) – The tools of the server 'wiki' are listed otherwise than when this was recorded: "
            "new: fetch; changed: search (its description).",
            "call 3: drifted (json) – This call of 'search' of the MCP server 'wiki' has another result than recorded: "
            '$.content[0].text: "one" → "two"',
        ],
    )
    rows = json.loads((tmp_path / "drift.json").read_text())["rows"]
    assert [row["prompt"] for row in rows] == [
        "The list of tools of the MCP server 'wiki'",
        "Hello!",
        "This call of 'search' of the MCP server 'wiki': {\"query\": \"ACME\"}",
        "And then?",
    ]


# --- one by one


def tape(folder, *asked):
    """Record each (path, name, arguments, answer) of the server `wiki`, and `ask` where there is but a text."""
    path = folder / f"{sum(1 for _ in folder.iterdir())}.jsonl"
    with Server() as server:
        amber = Amber(mode="record", cassette=path, base_url=server.base_url, api_key="ambrs-exampletoken")
        for each in asked:
            if isinstance(each, str):
                amber.ask(each, show=False)
                continue
            kind, name, arguments, answer = each
            body = {"server": "wiki", "name": name, "arguments": arguments}

            async def send(answer=answer):
                return answer

            asyncio.run(amber._session.servers.exchange(kind, body, send))
    return Cassette(path).interactions


@pytest.fixture(autouse=True)
def quiet(recwarn):
    """The notes that documents are kept, which have a test of their own."""


def judge(recorded, *runs, how=None):
    fresh = [[(1, exchange) for exchange in run] for run in runs]
    return judge_exchanges("a.ipynb", recorded, fresh, lambda cell: how)


def call(query="ACME", text="one", name="search"):
    return (CALL, name, {"query": query}, result(text))


def test_calls_between_do_not_disturb_which_requests_are_compared(tmp_path):
    recorded = tape(tmp_path, "Hello!", call("a"), "Bye!")
    fresh = tape(tmp_path, call("b", name="other"), call("b"), call("c"), "Hello!", "Who are you?")
    rows = judge(recorded, fresh)
    assert [(row.prompt.partition(" of the MCP")[0], row.verdict.status) for row in rows] == [
        ("Hello!", "same"),
        ("This call of 'search'", "same"),
        ("Bye!", "drifted"),
        ("This call of 'search'", "drifted"),
        ("This call of 'other'", "drifted"),
    ]
    assert [row.call for row in rows] == [1, 2, 3, 4, 5]
    assert [row.verdict.why for row in rows[3:]] == ["Asked now, but never recorded"] * 2


def test_a_call_with_other_arguments_is_told_as_one(tmp_path):
    [row] = judge(tape(tmp_path, call("a", "one")), tape(tmp_path, call("b", "two")))
    assert ", with other arguments in a run, has another result than recorded: $.content[0].text" in row.verdict.why


@pytest.mark.parametrize(
    ("how", "status", "used"),
    [
        (None, "drifted", "json"),
        ("exact", "drifted", "exact"),
        ("tools", "drifted", "json"),
        ("similar:0.5", "same", "similar:0.5"),
        ("ignore", "same", "ignore"),
    ],
)
def test_a_cells_comparison_holds_for_the_results_in_it(tmp_path, how, status, used):
    one, other = (tape(tmp_path, call(text=f"The order was signed on {day}.")) for day in ("Monday", "Friday"))
    [row] = judge(one, other, how=how)
    assert (row.verdict.status, row.how) == (status, used)


def test_a_listing_that_is_nearly_the_same_has_changed(tmp_path):
    one, other = (tape(tmp_path, (LISTING, None, {}, listing(*"abcdefgh", last))) for last in "ij")
    [row] = judge(one, other, how="similar:0.5")
    assert (row.verdict.status, row.verdict.similarity[0] > 0.5) == ("drifted", True)
    assert row.verdict.why.endswith("new: j; gone: i.")


def test_a_call_that_did_not_come_is_told(tmp_path):
    [row] = judge(tape(tmp_path, call()), [])
    assert row.verdict.why == "Recorded, but not asked this time"
    [row] = judge(tape(tmp_path, call()), tape(tmp_path, call()), [])
    assert row.verdict.label == "failed"


def test_secrets_in_arguments_are_in_no_report(tmp_path):
    def login(text):
        return (CALL, "login", {"user": "anna", "password": "hunter2-example"}, result(text))

    old, new = (login(f"{word} hunter2-example") for word in ("Welcome", "Go away,"))
    rows = judge(tape(tmp_path, old), tape(tmp_path, new))
    assert rows[0].prompt.endswith(': {"user": "anna", "password": "•••"}')
    assert rows[0].verdict.status == "drifted"
    page = render_html(rows, title="Drift", subtitle="")
    assert "anna" in page
    assert "hunter2" not in page + rows[0].verdict.why


def test_pictures_are_compared_and_not_repeated(tmp_path):
    def picture(data):
        return (CALL, "draw", {}, {"content": [{"type": "image", "data": data, "mimeType": "image/png"}]})

    one, same, other = (tape(tmp_path, picture(data)) for data in (PICTURE, PICTURE, "AAAA" + PICTURE[4:]))
    assert [row.verdict.status for row in judge(one, same)] == ["same"]
    rows = judge(one, other)
    assert '$.content[0].data: "sha256=' in rows[0].verdict.why
    assert PICTURE[:200] not in render_html(rows, title="Drift", subtitle="")


def test_hostile_words_of_a_server_act_on_no_terminal_and_no_page(tmp_path):
    evil = "<script>alert(1)</script>\x9b2J\x1b[31m\u202e"
    old = (LISTING, None, {}, listing(evil + "old"))
    new = (LISTING, None, {}, listing(evil + "new", "x" * 100_000))
    first, second = judge(tape(tmp_path, old, call(text="one")), tape(tmp_path, new, call(text=evil)), how=None)
    for row in (first, second):
        assert row.verdict.status == "drifted"
        assert not set(row.verdict.why) & set("\x1b\x9b\u202e")
        assert len(row.verdict.why) <= 400
    page = render_html([first, second], title="Drift", subtitle="")
    assert "<script" not in page
    assert not set(page) & set("\x1b\x9b\u202e")
