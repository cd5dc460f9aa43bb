"""Calls of MCP servers as a reader sees them: who runs them, how far they are, what is asked and what they found."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest

from amber_nb.display import NotebookDisplay, TerminalDisplay, comm, live, tools_html, tools_text
from amber_nb.display.cards import progress_note
from amber_nb.display.tool_inspector import ToolInspector
from amber_nb.types import (
    Allow,
    Deny,
    InputRequest,
    Source,
    SourcesFound,
    TextDelta,
    ToolCall,
    ToolContent,
    ToolProgress,
    ToolRun,
)

CALL = ToolCall(id="x", name="search", arguments={"query": "tea"}, server="amber")
QUESTION = InputRequest(
    "amber",
    "Which year?",
    {"type": "object", "properties": {"year": {"type": "integer", "default": 2026}}, "required": ["year"]},
)
SPEC = {"function": {"parameters": {"properties": {"query": {"type": "string"}}}}}
HOSTILE = "<img src=x onerror=alert(1)>\n\x1b[2J\u202e\ud800 $x$"


def progress(index=0, state="running", **more):
    more = {"server": "amber", "began": 1.0, "arguments": '{"query": "tea"}'} | more
    return ToolProgress(index=index, round=1, name="search", state=state, **more)


def run(**more):
    fields = {"name": "search", "arguments": {"query": "tea"}, "status": "ran", "sent": "5 hits", "server": "amber"}
    return ToolRun(**(fields | more))


@pytest.fixture
def page(clock):
    """An inspector whose page keeps what it is told of each call."""
    comm.scheduler._thread = threading.current_thread()  # none is started: the test sends what is due
    page = SimpleNamespace(can_send=True, calls={}, sent=[])
    page.view = ToolInspector(page.sent.append, page)

    def see():
        clock.advance(0.2)
        while comm.scheduler.send_due() == 0:
            clock.advance(0.02)
        for message in page.sent:
            json.dumps(message, ensure_ascii=False).encode()
            for change in message.get("calls", ()):
                page.calls.setdefault(change["k"], {}).update(change)
        return page.calls

    page.see = see
    yield page
    page.view.close()


def decide(page, index=0, **content):
    card = page.see()[str(index)]["ask"]
    page.view.receive({"decide": card["id"], "turn": 1, **content})
    return next(message for message in reversed(page.sent) if message.get("ask") == card["id"])


# --- who runs it


@pytest.mark.parametrize("status", ["ran", "denied", "failed", "timeout", "invalid", "not_run"])
def test_a_settled_call_names_its_server(status):
    one = run(status=status, error="E" if status == "failed" else None)
    assert "<code>search</code>" in tools_html([one])
    assert " · amber (query='tea') · " in tools_html([one])
    assert tools_text([one]).startswith("search · amber (query='tea') ")


def test_a_function_of_the_callers_has_no_server():
    assert tools_text([run(server=None)]) == "search(query='tea') → 5 hits"
    assert "</code><span style=\"opacity:.75\">(query='tea')" in tools_html([run(server=None)])


def test_a_live_call_names_its_server_from_its_beginning(page):
    page.view.handle(progress(0, "checking"))
    page.view.handle(progress(1, "over", server=None, run=run(server="other")))
    page.view.ask(CALL, 2, spec=SPEC, check=lambda _: "")
    assert [page.see()[key]["server"] for key in "012"] == ["amber", "other", "amber"]


def test_a_hostile_name_of_a_server_is_a_line_of_text(page):
    page.view.handle(progress(0, server=HOSTILE * 20))
    server = page.see()["0"]["server"]
    assert len(server) <= 80
    assert "\n" not in server
    assert "\x1b" not in server
    one = run(server=HOSTILE)
    assert "<img" not in tools_html([one])
    assert "$x$" not in tools_html([one])
    assert "\n" not in tools_text([one])
    tools_text([one]).encode()


# --- how far it is


def test_a_running_call_says_how_far_it_is_and_then_what_came_of_it(page):
    page.view.handle(progress(note="3 of 10: reading\nthe index"))
    assert page.see()["0"]["said"] == "3 of 10: reading the index"
    page.view.handle(progress(state="over", note="3 of 10: reading", run=run()))
    assert page.see()["0"]["said"] == "5 hits"


def test_many_notes_are_few_messages(page, clock):
    for number in range(1_000):
        page.view.handle(progress(note=f"{number} of 1000"))
        while comm.scheduler.send_due() == 0:
            pass
        clock.advance(0.001)
    assert page.see()["0"]["said"] == "999 of 1000"
    assert len(page.sent) <= 13


def test_a_note_is_a_short_line_without_secrets():
    arguments = json.dumps({"query": "tea", "api_key": "s3cret-value"})
    note = progress_note(progress(arguments=arguments, note=f'key s3cret-value {{"token": "abcdef"}} {HOSTILE}'))
    assert "s3cret" not in note
    assert "abcdef" not in note
    assert "\n" not in note
    assert "\x1b" not in note
    note.encode()
    assert len(progress_note(progress(note="x" * 10_000))) == 200
    assert progress_note(progress(state="waiting", note="3 of 10")) == ""


class Answer:
    """What a display tells the live layer."""

    hook = "amber-hook"

    def __init__(self, **_):
        self.notes, self.sources, self.layer = [], [], SimpleNamespace(was_greeted=True)
        self.calls = ToolInspector(lambda _: None, SimpleNamespace(can_send=False))
        self.set_note, self.set_sources, self.feed = self.notes.append, self.sources.append, lambda _: None


@pytest.fixture
def shown(monkeypatch, clock):
    monkeypatch.setattr(live, "LiveAnswer", Answer)
    monkeypatch.setattr(NotebookDisplay, "_begin", lambda self: None)
    display = NotebookDisplay(model="m", badge=None, tools=True, on_stop=lambda: None)
    calls = display._answer.calls
    yield display
    calls.close()


@pytest.mark.parametrize(
    ("events", "note"),
    [
        ([progress(note="3 of 10: reading the index")], "running search: 3 of 10: reading the index"),
        ([progress(), progress(1, note="half of it")], "running search and 1 more: half of it"),
        ([progress(note="3 of 10"), progress(1, "waiting")], "waiting for your decision on search"),
        ([progress(note="3 of 10"), progress(note="")], "running search"),
    ],
)
def test_the_status_line_says_how_far_it_is(shown, events, note):
    for event in events:
        shown.handle(event)
    assert shown._answer.notes[-1] == note


def test_the_status_line_stays_short(shown):
    shown.handle(progress(note=HOSTILE * 50))
    assert len(shown._answer.notes[-1]) <= 160
    assert "\x1b" not in shown._answer.notes[-1]


def test_a_terminal_says_it_ever_more_rarely(clock, capsys):
    display = TerminalDisplay(lambda write: write())
    for number in range(1_000):
        display.handle(progress(note=f"{number} of 1000: \x1b[2J"))
        clock.advance(0.1)
    display.handle(progress(1, note="0 of 2"))
    display.settle("done", runs=[run()])
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "amber: running search: 0 of 1000: ␛[2J"
    assert 4 <= len([line for line in told if "of 1000" in line]) <= 7
    assert "amber: running search: 0 of 2" in told


# --- what a server asks


def test_a_question_stands_in_the_place_of_its_call_which_runs_on_after_it(page, clock):
    page.view.handle(progress(began=clock.now, note="3 of 10"))
    future = page.view.ask_input(QUESTION, CALL, 0, check=lambda _: "")
    page.view.handle(progress(began=clock.now, note="4 of 10"))  # a server may tell more meanwhile
    call = page.see()["0"]
    assert (call["state"], call["word"], call["said"]) == ("waiting", "waiting for your answer", "")
    assert call["ask"]["question"] == {"server": "amber", "message": "Which year?"}
    assert [(field["name"], field["raw"]) for field in call["ask"]["fields"]] == [("year", "2026")]
    assert decide(page, arguments='{"year": 2027}')["end"] == 1
    assert future.result() == (Allow({"year": 2027}), False)
    call = page.see()["0"]
    assert (call["state"], call["word"], call["said"], call["ask"]) == ("running", "running", "4 of 10", None)
    assert json.loads(call["t"]) == {"query": "tea"}  # the answer is none of its arguments


@pytest.mark.parametrize("arguments", ['{"year": 2026}', '{"year":2026}'])
def test_an_answer_that_nobody_changed_is_one(page, arguments):
    future = page.view.ask_input(QUESTION, CALL, 0, check=lambda _: "")
    decide(page, arguments=arguments, all=True)
    assert future.result() == (Allow({"year": 2026}), False)


@pytest.mark.parametrize("arguments", [None, "{}", "[]", "{"])
def test_an_answer_is_checked_in_any_case(page, arguments):
    future = page.view.ask_input(QUESTION, CALL, 0, check=lambda values: "" if "year" in values else "year: missing")
    assert decide(page, arguments=arguments)["said"]
    assert not future.done()
    decide(page, deny="")
    assert future.result() == (Deny(""), False)


def test_a_hostile_question_is_text_of_limited_length(page):
    schema = {"properties": {"a": {"type": "string", "title": HOSTILE * 50, "enum": [HOSTILE * 50]}}}
    page.view.ask_input(InputRequest(HOSTILE, HOSTILE * 500, schema), CALL, 0, check=lambda _: "")
    asked = page.see()["0"]["ask"]
    text = json.dumps(asked, ensure_ascii=False)
    for one in "\x1b\u202e\ud800":
        assert one not in asked["question"]["message"] + asked["question"]["server"] + asked["fields"][0]["title"]
    assert len(asked["question"]["message"]) < 3_000
    assert len(asked["fields"][0]["title"]) < 300
    assert len(text) < 12_000


def test_the_status_line_says_who_asks_until_it_is_answered(shown):
    shown.handle(progress(note="3 of 10"))
    future = shown.ask_input(QUESTION, CALL, 0, check=lambda _: "")
    assert shown._answer.notes[-1] == "waiting for your answer to amber"
    shown.handle(progress(note="4 of 10"))
    assert shown._answer.notes[-1] == "waiting for your answer to amber"
    future.cancel()
    assert shown._answer.notes[-1] == "running search: 4 of 10"


def test_a_display_without_tools_asks_nothing(shown):
    shown._answer.calls.close()
    assert shown.ask_input(QUESTION, CALL, 0, check=lambda _: "").cancelled()
    shown._answer.calls = None
    assert shown.ask_input(QUESTION, CALL, 0, check=lambda _: "").cancelled()


# --- what "Allow all" covers


def test_calls_of_one_scope_are_of_one_group(page):
    scopes = ["all calls of search in this answer", "", "all calls of search in this answer", "all calls of x"]
    for index, scope in enumerate(scopes):
        page.view.ask(CALL, index, spec=SPEC, check=lambda _: "", scope=scope, warning="One.\nTwo\x1b.")
    asked = [page.see()[str(index)]["ask"] for index in range(4)]
    assert [card["group"] for card in asked] == [0, 1, 0, 2]
    assert [card["scope"] for card in asked] == scopes
    assert asked[0]["warning"] == "One.\nTwo␛."


# --- what was found


def test_sources_of_a_search_stay_when_text_and_other_sources_follow(shown):
    found, named = Source("Handbook", "https://a.example"), Source(None, "https://b.example")
    shown.handle(SourcesFound((found,)))
    shown.handle(TextDelta("As the handbook says"))
    shown.handle(SourcesFound((named,)))  # of the reply alone
    shown.handle(SourcesFound((found, named)))
    both = [("Handbook", "https://a.example"), ("", "https://b.example")]
    assert shown._answer.sources == [both[:1], both, both]


def test_a_card_does_not_list_sources_again():
    sources = (Source("Handbook", "https://a.example"),)
    content = ToolContent(text="1 hit", table=(("Title",), (("Policy",),)), sources=sources)
    for one in (run(content=content), run(content=ToolContent(text="1 hit", sources=sources))):
        assert "Handbook" not in tools_html([one]) + tools_text([one])
        assert "a.example" not in tools_html([one]) + tools_text([one])
