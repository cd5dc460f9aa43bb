"""What MCP servers answer: recorded, replayed without the server, and named where it is missed."""

import asyncio
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amber_nb import Amber, CassetteMiss, ConfigError
from amber_nb.cassettes.file import Cassette
from amber_nb.cassettes.match import Cell
from amber_nb.cassettes.server_names import describe_change
from amber_nb.cassettes.session import ADAPTED, CURRENT_CELL
from amber_nb.display.escape import show_controls
from amber_nb.simulator import Server

KEY = "ambrs-exampletoken"
CALL, LISTING = "/tools/call", "/tools/list"
MODEL = "azure/gpt-5.4"


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "cassettes" / "talk.jsonl"


@pytest.fixture(autouse=True)
def quiet():
    """Without the note that documents are kept, which has a test of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="amber: what the MCP server")
        yield


def servers(mode, tape):
    where = {"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "max_retries": 0} if mode != "replay" else {}
    return Amber(mode=mode, cassette=tape, **where)._session.servers


def search(query="ACME", server="amber", name="search"):
    return {"server": server, "name": name, "arguments": {"query": query}}


def text(said):
    return {"content": [{"type": "text", "text": said}], "isError": False}


def tool(name, description="Does it.", **more):
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **more}


class Remote:
    """A server: counts what it is asked, and gives its answers in order; an exception is raised."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    async def __call__(self):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def never():
    raise AssertionError("the server was asked")


def exchange(there, path, body, send=never, **more):
    return asyncio.run(there.exchange(path, body, send, **more))


def record(tape, *asked):
    """Record triples of path, body and answer, in one session."""
    there = servers("record", tape)
    for path, body, answer in asked:
        assert exchange(there, path, body, Remote(answer)) == answer


# --- modes


def test_a_recorded_answer_comes_back_without_the_server(tape):
    picture = {"type": "image", "data": "iVBORw0KGgo=" * 50, "mimeType": "image/png"}
    asked = [
        (LISTING, {"server": "amber"}, {"tools": [tool("search")]}),
        (CALL, search(), {"content": [{"type": "text", "text": "Grüß Gott"}, picture], "isError": False}),
        (CALL, search("fails"), {"content": [], "isError": True}),
        ("/resources/list", {"server": "amber"}, {"resources": []}),
        ("/resources/read", {"server": "amber", "uri": "file:///a"}, {"contents": [{"uri": "file:///a", "text": "a"}]}),
        ("/prompts/list", {"server": "amber"}, {"prompts": []}),
        ("/prompts/get", {"server": "amber", "name": "brief", "arguments": {}}, {"messages": []}),
    ]
    record(tape, *asked)
    there = servers("replay", tape)
    assert [exchange(there, path, body) for path, body, _ in asked] == [answer for *_, answer in asked]
    assert there._session.unused == []
    lines = [json.loads(line) for line in tape.read_text(encoding="utf-8").splitlines()]
    assert lines[5] == {"request": {"method": "MCP", "path": CALL, "n": 1, "body": search()}}
    assert lines[6]["response"]["status"] == 200
    assert lines[6]["response"]["headers"] == {"content-type": "application/json"}
    assert lines[7]["body"] == asked[1][2]


def test_find_gives_what_a_replayed_conversation_called_and_counts_it_as_used(tape):
    record(tape, (CALL, search(), text("one")), (CALL, search(), text("two")))
    there = servers("replay", tape)
    assert [there.find(CALL, search()) for _ in range(3)] == [text("one"), text("two"), None]
    assert there.find(CALL, search("never asked")) is None
    assert there._session.unused == []
    assert servers("record", tape).find(CALL, search()) is None


def test_cache_asks_what_is_not_recorded_and_nothing_else(tape):
    record(tape, (CALL, search(), text("recorded")))
    there, remote = servers("cache", tape), Remote(text("new"))
    said = [exchange(there, CALL, search(query), remote) for query in ("ACME", "new")]
    assert (said, remote.asked) == ([text("recorded"), text("new")], 1)
    again = servers("cache", tape)
    assert [exchange(again, CALL, search(query)) for query in ("ACME", "new")] == said


def test_equal_calls_are_occurrences_in_their_order_also_at_once(tape):
    async def both(there, sends):
        calls = [there.exchange(CALL, search(), send) for send in sends]
        return await asyncio.gather(*calls)

    second_is_done = asyncio.Event()

    async def slow():
        await second_is_done.wait()
        return text("first")

    async def fast():
        second_is_done.set()
        return text("second")

    asyncio.run(both(servers("record", tape), (slow, fast)))
    assert [old.n for old in Cassette(tape).interactions] == [2, 1]  # as they ended; numbered as they began
    assert asyncio.run(both(servers("replay", tape), (never, never))) == [text("first"), text("second")]


@pytest.mark.parametrize("mode", ["record", "cache"])
@pytest.mark.parametrize("error", [RuntimeError("the server died"), asyncio.CancelledError()])
def test_what_the_server_raises_is_raised_and_not_recorded(tape, mode, error):
    there = servers(mode, tape)
    with pytest.raises(type(error)):
        exchange(there, CALL, search(), Remote(error))
    assert exchange(there, CALL, search(), Remote(text("then"))) == text("then")
    assert [(old.n, old.attempt) for old in Cassette(tape).interactions] == [(1, 0)]
    assert not there._session._recordings


def test_a_cell_that_runs_again_replaces_its_own_recordings(tape):
    there = servers("record", tape)
    for run, said in (("1", "old"), ("2", "new")):
        CURRENT_CELL.set(Cell("a", run))
        exchange(there, CALL, search(), Remote(text(said)))
    CURRENT_CELL.set(Cell("b", "1"))
    exchange(there, CALL, search(), Remote(text("other cell")))
    CURRENT_CELL.set(None)
    replay = servers("replay", tape)
    assert [exchange(replay, CALL, search()) for _ in "ab"] == [text("new"), text("other cell")]


def test_a_listing_is_a_state_that_may_be_asked_for_again(tape):
    """A replay may open a connection that the recording kept open."""
    record(tape, *[(LISTING, {"server": "amber"}, {"tools": [tool(name)]}) for name in "ab"])
    there = servers("replay", tape)
    listed = [exchange(there, LISTING, {"server": "amber"})["tools"][0]["name"] for _ in range(4)]
    assert listed == ["a", "b", "b", "b"]


def test_what_ask_left_out_of_its_requests_is_not_of_a_server(tape):
    ADAPTED.set(frozenset({"stream"}))
    record(tape, (CALL, search(), text("one")))
    ADAPTED.set(frozenset())
    assert servers("replay", tape)._session.learnt() == {}


def test_an_answer_that_cannot_be_kept_is_not_lost(tape):
    there, answer = servers("record", tape), {"of": object()}
    with pytest.warns(RuntimeWarning, match="not recorded in .*TypeError"):
        assert exchange(there, CALL, search(), Remote(answer)) is answer
    assert Cassette(tape).interactions == ()


def test_an_edited_answer_is_named_by_its_line(tape):
    record(tape, (CALL, search(), text("one")))
    tape.write_text(tape.read_text().replace('"body": {"content"', '"raw": "no JSON", "x": {"content"'))
    with pytest.raises(ConfigError, match=r"line 2: .*no JSON object"):
        exchange(servers("replay", tape), CALL, search())


# --- the file

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["\ud800", "\r\n\u2028"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(answer=st.dictionaries(st.text(), JSON, max_size=3), arguments=st.dictionaries(st.text(), JSON, max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_comes_back_and_stays_the_same_bytes(tape, answer, arguments):
    tape.unlink(missing_ok=True)
    body = {"server": "amber", "name": "echo", "arguments": arguments}
    record(tape, (CALL, body, answer))
    back = exchange(servers("replay", tape), CALL, body)
    assert json.dumps(back) == json.dumps(answer)
    again = tape.with_name("again.jsonl")
    again.unlink(missing_ok=True)
    record(again, (CALL, body, back))

    def bodies(path):
        return [line for line in path.read_bytes().splitlines() if line.startswith((b'{"request"', b'{"t"'))]

    assert [line.partition(b", ")[2] for line in bodies(again)] == [line.partition(b", ")[2] for line in bodies(tape)]


@pytest.mark.parametrize("secret", [KEY, "header-of-the-server"])
def test_a_secret_in_call_and_answer_is_masked(tape, secret):
    there = servers("record", tape)
    said = text(f"Your key is {secret}.\x1b")  # an escape that JSON writes as \u001b
    exchange(there, CALL, search(f"Is it {secret}?"), Remote(said), secrets=["header-of-the-server"])
    assert secret not in tape.read_text(encoding="utf-8")
    replay = servers("replay", tape)
    assert replay.find(CALL, search("Is it ***?")) == text("Your key is ***.\x1b")


def test_documents_in_the_file_are_told_once(tape):
    there = servers("record", tape)
    exchange(there, LISTING, {"server": "wiki\x1b[2J"}, Remote({"tools": []}))  # brings in no documents
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exchange(there, "/resources/read", {"server": "wiki\x1b[2J", "uri": "a"}, Remote({"contents": []}))
        exchange(there, CALL, search(server="wiki\x1b[2J"), Remote(text("one")))
        exchange(servers("replay", tape), CALL, search(server="wiki\x1b[2J"))
    [text_of_it] = [str(each.message) for each in told]
    assert text_of_it.startswith("amber: what the MCP server 'wiki␛[2J' returns is kept in ")
    assert "/talk.jsonl: " in text_of_it
    assert told[0].filename == "<amber>"  # a line of ours would tell the reader nothing


# --- misses


def test_a_miss_names_the_call_and_what_is_recorded(tape):
    record(
        tape,
        (CALL, search("ACME 2025"), text("one")),
        (CALL, search("Bolts", name="web_search"), text("two")),
        (CALL, search("x", server="files\n", name="read\x1b" + "y" * 900), text("three")),
    )
    with pytest.raises(CassetteMiss) as miss:
        exchange(servers("replay", tape), CALL, search("ACME 2026"))
    told = str(miss.value)
    assert told.startswith("This call of 'search' of the MCP server 'amber' is not recorded in ")
    assert "Recorded of MCP servers are: amber (search, web_search); files (read␛yyy" in told
    assert "The nearest recording (line 2) differs" in told
    assert '-  "query": "ACME 2025"' in told
    assert "To record again: " in told
    assert len(told) < 1_200
    assert show_controls(told) == told


def test_a_miss_of_a_call_that_is_used_up_says_so(tape):
    record(tape, (CALL, search(), text("one")))
    there = servers("replay", tape)
    exchange(there, CALL, search())
    with pytest.raises(CassetteMiss, match=r"'search' of the MCP server 'amber' is recorded once in .* more than that"):
        exchange(there, CALL, search())


def test_requests_to_the_gateway_and_calls_of_servers_are_not_the_nearest_of_each_other(tape):
    record(tape, (CALL, search("Hello!"), text("one")))
    replay = Amber(mode="replay", cassette=tape)
    with pytest.raises(CassetteMiss, match="Nothing is recorded in"):
        replay.ask("Hello!")
    tape.unlink()
    with Server() as gateway:
        Amber(mode="record", cassette=tape, base_url=gateway.base_url, api_key=KEY).ask("Hello!")
    with pytest.raises(CassetteMiss, match="Nothing of an MCP server is recorded in"):
        exchange(servers("replay", tape), CALL, search("Hello!"))


# --- a replay that runs its tools


def test_a_replay_that_runs_its_tools_asks_the_server_and_records_nothing(tape, monkeypatch):
    record(tape, (CALL, search(), text("recorded")))
    before = tape.read_bytes()
    monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
    there = servers("replay", tape)
    assert there.may_ask
    assert exchange(there, CALL, search(), Remote(text("now"))) == text("now")
    assert tape.read_bytes() == before


def test_a_test_run_never_asks_the_server(tape, monkeypatch, tmp_path):
    record(tape, (CALL, search(), text("recorded")))
    monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
    monkeypatch.setenv("AMBER_JOURNAL", str(tmp_path / "journal"))
    there = servers("replay", tape)
    assert not there.may_ask
    assert exchange(there, CALL, search()) == text("recorded")
    with pytest.raises(CassetteMiss):
        exchange(there, CALL, search("else"))
    assert json.loads((tmp_path / "journal").read_text()) == {"used": 2, "cassette": str(tape)}


def functions(*tools):
    return [
        {"type": "function", "function": {"name": each["name"], "description": each["description"], "parameters": {}}}
        for each in tools
    ]


def ask_with(amber, *tools):
    messages = [{"role": "user", "content": "Hello!"}]
    amber.openai.chat.completions.create(model=MODEL, messages=messages, tools=functions(*tools))


def record_with(tape, *listings):
    """Record for each listing a request with its tools."""
    with Server() as gateway:
        amber = Amber(mode="record", cassette=tape, base_url=gateway.base_url, api_key=KEY)
        for tools in listings:
            exchange(amber._session.servers, LISTING, {"server": "amber"}, Remote({"tools": tools}))
            ask_with(amber, *tools)


OLD = [tool("search"), tool("gone"), tool("same")]
NEW = [tool("search", "Does more.", inputSchema={"type": "null"}), tool("same"), tool("fresh")]
CHANGE = (
    "A likely cause: The tools of the server 'amber' are listed otherwise than when this was recorded: new: fresh; "
    "gone: gone; changed: search (its description, its schema)."
)


def test_a_listing_that_changed_is_named_as_the_cause_of_a_miss(tape, monkeypatch):
    record_with(tape, OLD)
    monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
    amber = Amber(mode="replay", cassette=tape)
    listings = Remote({"tools": NEW}, {"tools": OLD})
    exchange(amber._session.servers, LISTING, {"server": "amber"}, listings)
    with pytest.raises(CassetteMiss) as miss:
        ask_with(amber, *NEW)
    assert f"{CHANGE} The nearest recording" in str(miss.value)
    exchange(amber._session.servers, LISTING, {"server": "amber"}, listings)
    with pytest.raises(CassetteMiss) as miss:
        ask_with(amber, *OLD[:2])
    assert "A likely cause" not in str(miss.value)


def test_listings_that_differ_in_the_recording_are_named_too(tape):
    record_with(tape, OLD, NEW)
    amber = Amber(mode="replay", cassette=tape)
    for _ in "ab":
        exchange(amber._session.servers, LISTING, {"server": "amber"})
    with pytest.raises(CassetteMiss) as miss:
        ask_with(amber, *OLD[:2], NEW[2])
    assert CHANGE in str(miss.value)
    with pytest.raises(CassetteMiss) as miss:  # another prompt, with the tools of its recording
        amber.openai.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Bye!"}], tools=functions(*OLD)
        )
    assert "A likely cause" not in str(miss.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (OLD, OLD, ""),
        (OLD, OLD[::-1], "in another order"),
        (
            OLD[:1],
            [tool("search", title="S", annotations={}, x=1)],
            "changed: search (its title, its annotations, what else it says of itself)",
        ),
        ([], [tool(f"t{n}") for n in range(3_000)], "new: t0, t1, t2, t3, t4 and 2,995 more"),
        ([], [tool("\x1b[31m\u202ered\n" + "x" * 9_000)], "new: ␛[31m[U+202E]red " + "x" * 42 + "…"),
        ([], ["rubbish", {}, None], "new: None"),
        (OLD[:1], None, "gone: search"),
    ],
)
def test_a_change_is_told_in_one_short_line(old, new, told):
    change = describe_change("am\x07ber", {"tools": old}, {"tools": new})
    start = "The tools of the server 'am␇ber' are listed otherwise than when this was recorded: "
    assert change == (f"{start}{told}." if told else "")


def test_the_reader_is_told_once_for_each_server_that_its_documents_are_kept(tape):
    there = servers("record", tape)
    asked = [
        ("/prompts/get", {"server": "wiki", "name": "brief", "arguments": {}}),
        (CALL, search(server="wiki")),
        (LISTING, {"server": "files"}),
        ("/resources/read", {"server": "files", "uri": "file:///a"}),
        (CALL, search(server="files")),
    ]
    told = []
    for path, body in asked:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            exchange(there, path, body, Remote({}))
        told.append([str(each.message)[:35] for each in caught])
    wiki, files = ["amber: what the MCP server 'wiki' re"[:35]], ["amber: what the MCP server 'files' r"[:35]]
    assert told == [wiki, [], [], files, []]
