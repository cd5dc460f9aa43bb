"""The kernel side of the tools' view: what is told of calls, and decisions, each taken once."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S, until
from virtual_clock import VirtualClock

from amber_nb.display import comm
from amber_nb.display.approval_form import MAX_EDITED_CHARS, describe_defaults, form_fields, parse_edited
from amber_nb.display.tool_inspector import MAX_CALLS, ToolInspector
from amber_nb.redact import redact_json_text
from amber_nb.types import Allow, Deny, ToolCall, ToolCallDelta, ToolContent, ToolProgress, ToolRun

HOSTILE = [one["text"] for one in json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8"))]
SPEC = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City"},
                "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3},
                "unit": {"$ref": "#/$defs/Unit"},
            },
            "required": ["location"],
            "$defs": {"Unit": {"enum": ["celsius", "kelvin"], "description": "Of the degrees", "type": "string"}},
        },
    },
}


class Page:
    """The inspector, and the page on the other side of it, which keeps of each call what it was told."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        comm.scheduler._thread = threading.current_thread()  # none is started: the test sends what is due
        self.sent: list[dict[str, Any]] = []
        self.can_send = False
        self.view = ToolInspector(self.receive, self)
        self.calls: dict[str, dict[str, Any]] = {}
        self.read = 0

    def receive(self, message: dict[str, Any]) -> None:
        json.dumps(message, ensure_ascii=False).encode()  # as the kernel packs it
        self.sent.append(message)

    def say(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        before = len(self.sent)
        self.can_send = True
        self.view.receive(content)
        return self.sent[before:]

    def handle(self, *events: ToolCallDelta | ToolProgress) -> None:
        for event in events:
            self.view.handle(event)

    def run(self, seconds: float) -> None:
        """Send what is due within so many seconds."""
        end = self.clock.now + seconds
        while (wait := comm.scheduler.send_due()) is not None and self.clock.now + wait <= end:
            self.clock.advance(wait)
        self.clock.advance(max(0.0, end - self.clock.now))

    def see(self) -> dict[str, dict[str, Any]]:
        self.run(0.11)
        for message in self.sent[self.read :]:
            if message.get("whole"):
                self.calls.clear()
            for key in message.get("gone", ()):
                del self.calls[key]
            for change in message.get("calls", ()):
                call = self.calls.setdefault(change["k"], {})
                text = call.get("t", "")[: change["o"]] + change["t"] if "t" in change else call.get("t", "")
                call.update(change, t=text)
        self.read = len(self.sent)
        return self.calls


@pytest.fixture
def page(clock: VirtualClock) -> Iterator[Page]:
    shown = Page(clock)
    shown.say({"hello": "v"})
    shown.run(0.11)
    yield shown
    shown.view.close()


TEXT = '{"location": "Aachen"}'


def written(text: str, n: int = 0) -> ToolCallDelta:
    return ToolCallDelta(n, "get_weather", text)


def progress(n: int = 0, state: Any = "checking", text: str = TEXT, **more: Any) -> ToolProgress:
    return ToolProgress(index=n, round=1, name="get_weather", arguments=text, state=state, **more)


def over(n: int = 0, **more: Any) -> ToolProgress:
    fields = {"name": "get_weather", "arguments": {"location": "Aachen"}, "status": "ran", "sent": "14"}
    return progress(n, "over", run=ToolRun(**({**fields, "duration_s": 0.12} | more)))


def ask(page: Page, n: int = 0, check: Callable[[Any], str] = lambda _: "", **arguments: Any) -> tuple[Any, int]:
    page.handle(progress(n, "waiting"))
    call = ToolCall(id="x", name="get_weather", arguments=arguments or {"location": "Aachen"})
    future = page.view.ask(call, n, spec=SPEC, check=check)
    return future, page.see()[str(n)]["ask"]["id"]


# --- what is seen


def test_arguments_are_appended_as_they_are_written(page: Page) -> None:
    before, text = len(page.sent), '{"location": "Aachen", "days": 3}'
    for character in text:
        page.handle(written(character))
        page.run(0.1)
    assert page.see()["0"]["t"] == text
    sent = [change for message in page.sent[before:] for change in message["calls"]]
    assert len(sent) == len(text)
    assert sum(len(change.get("t", "")) for change in sent) == len(text)
    assert all("name" not in change for change in sent[1:])


def test_what_has_not_changed_is_not_sent_but_its_number_once(page: Page, clock: VirtualClock) -> None:
    page.handle(progress(state="running", began=clock.now - 1))
    page.run(10)
    first, last = page.sent[1:]
    assert first["calls"][0]["ran"] == 1.0
    assert last == {"n": first["n"]}


def test_no_more_than_ten_are_sent_a_second(page: Page) -> None:
    for _ in range(400):
        page.handle(written("x"))
        page.run(0.01)
    assert len(page.sent) <= 42
    assert len(page.see()["0"]["t"]) == 400


def test_a_call_to_its_end(page: Page) -> None:
    page.handle(written("{"))
    assert page.see()["0"]["word"] == "writing its arguments"
    for state in ("checking", "running"):
        page.handle(progress(state=state))
        assert page.see()["0"]["word"] == state
    page.handle(over(content=ToolContent(text='{"temperature":14,"token":"s3cret"}')))
    call = page.see()["0"]
    assert (call["state"], call["sign"], call["word"]) == ("ran", "✓", "ran · 0.12 s")
    assert call["gist"] == "location='Aachen'"
    assert call["said"] == '{"temperature": 14, "token": "•••"}'
    assert call["t"] == '{\n  "location": "Aachen"\n}'
    page.handle(over(status="denied", reason="too dear", edited=True, decided_by="reader"))
    assert page.see()["0"]["word"] == "denied · edited by you · 0.12 s"
    assert page.see()["0"]["said"] == "too dear"


def test_a_new_page_gets_everything_again(page: Page) -> None:
    page.handle(progress(0), progress(1))
    page.see()
    page.say({"hello": "w"})
    page.run(0.11)
    message = page.sent[-1]
    assert message["whole"] == 1
    assert [(change["k"], change["o"], change["t"]) for change in message["calls"]] == [
        (key, 0, page.see()[key]["t"]) for key in "01"
    ]
    numbers = [message["n"] for message in page.sent]
    assert numbers == list(range(1, len(numbers) + 1))


def test_nothing_is_sent_before_somebody_listens(clock: VirtualClock) -> None:
    page = Page(clock)
    page.handle(progress())
    page.view.ask(ToolCall(id="", name="f", arguments={}), 0, spec=SPEC, check=lambda _: "")
    page.run(5)
    assert page.sent == []
    page.say({"hello": "v"})
    assert page.see()["0"]["ask"]["id"] == 1
    page.view.close()


def test_many_calls_are_counted_and_those_that_wait_are_there(page: Page) -> None:
    page.handle(*map(progress, range(MAX_CALLS + 50)))
    last = MAX_CALLS + 49
    future, _ = ask(page, last)
    assert len(page.see()) == MAX_CALLS + 1
    assert page.sent[-1]["more"] == 49
    future.cancel()
    assert str(last) not in page.see()
    ask(page, last)
    assert page.see()[str(last)]["t"] == TEXT.replace("{", "{\n  ").replace("}", "\n}")


def test_secrets_never_travel_but_to_the_card(page: Page) -> None:
    secret = {"api_key": "s3cret", "deep": [{"password": "s3cret"}]}
    text = json.dumps(secret)
    for character in text:
        page.handle(written(character))
        page.run(0.11)
    for state in ("checking", "running"):
        page.handle(progress(state=state, text=text))
        page.run(0.11)
    page.handle(over(arguments=secret, proposed=secret, content=ToolContent(text=text)))
    page.run(0.11)
    page.say({"hello": "w"})
    page.run(0.11)
    assert "s3cret" not in repr(page.sent)
    assert page.see()["0"]["t"].count("•••") == 2
    ask(page, 1, **secret)
    assert [field["secret"] for field in page.see()["1"]["ask"]["fields"]] == [False] * 3 + [True, False]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": 1, "token": {"x": [1, "}"]}, "b": "token: 1"}', '{"a": 1, "token": "•••", "b": "token: 1"}'),
        ('{"to\\u006ben" : "x,y"}', '{"to\\u006ben" : "•••"}'),
        ('[{"key": null}, {"keys": 1}]', '[{"key": "•••"}, {"keys": 1}]'),
        ("{password: abc, b: 2}", '{password: "•••", b: 2}'),
        ('{"pwd": "half', '{"pwd": "•••"'),
        ('"token', '"token'),
        ("", ""),
    ],
)
def test_half_written_json_is_masked_and_only_grows(text: str, shown: str) -> None:
    assert redact_json_text(text) == shown
    grown = [redact_json_text(text[:at]) for at in range(len(text) + 1)]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(grown))


# --- what is decided


def test_allow_deny_and_all(page: Page) -> None:
    future, card = ask(page)
    assert page.say({"decide": card, "turn": 3, "arguments": None, "all": False})[-1] == {
        "ask": card,
        "turn": 3,
        "end": 1,
    }
    assert future.result(0) == (Allow(), False)
    assert page.see()["0"]["ask"] is None
    future, card = ask(page, 1)
    page.say({"decide": card, "turn": 1, "deny": "  too dear\ud800 "})
    assert future.result(0) == (Deny("too dear\ufffd"), False)
    future, card = ask(page, 2)
    page.say({"decide": card, "turn": 1, "arguments": '{"location": "Aachen"}', "all": True})
    assert future.result(0) == (Allow(), True)  # what was written again is not edited


def test_an_edit_is_checked_and_what_is_wrong_stays(page: Page) -> None:
    future, card = ask(page, 0, lambda arguments: "days: too many\u202e" if arguments["days"] > 9 else "")
    for text, said in (('{"days": 10}', "days: too many[U+202E]"), ("{", "This is no JSON"), ('{"days": NaN}', "NaN")):
        [answer] = page.say({"decide": card, "turn": 1, "arguments": text, "all": False})
        assert said in answer["said"]
    [answer] = page.say({"decide": card, "turn": 2, "arguments": '{"date": 1}'})
    assert "KeyError" in answer["said"]  # `check` itself
    assert not future.done()
    page.say({"decide": card, "turn": 3, "arguments": '{"days": 2, "key": "s3cret"}'})
    assert future.result(0) == (Allow({"days": 2, "key": "s3cret"}), False)
    page.handle(progress(state="running"))
    assert page.see()["0"]["t"] == '{\n  "days": 2,\n  "key": "•••"\n}'


def test_a_decision_counts_once(page: Page) -> None:
    future, card = ask(page)
    decide = {"decide": card, "turn": 1, "arguments": None}
    page.say(decide)
    assert page.say(decide) == [{"ask": card, "turn": 1, "end": 1}]
    assert page.say({"decide": card, "turn": 9, "deny": ""}) == [{"ask": card, "turn": 9, "end": 1}]
    assert future.result(0) == (Allow(), False)


def test_two_cards_at_once_are_two(page: Page) -> None:
    (first, one), (second, two) = ask(page, 0), ask(page, 1)
    assert one != two
    page.say({"decide": two, "turn": 1, "deny": "no"})
    assert second.result(0)[0] == Deny("no")
    assert not first.done()


def test_whoever_gives_up_takes_the_card_away(page: Page) -> None:
    future, _ = ask(page, 0)
    future.cancel()
    assert page.see()["0"]["ask"] is None
    future, card = ask(page, 1)
    page.view.withdraw(1)
    assert future.cancelled()
    assert page.say({"decide": card, "turn": 1, "arguments": None}) == [{"ask": card, "turn": 1, "end": 1}]
    future, _ = ask(page, 2)
    again, card = ask(page, 2)
    assert future.cancelled()
    page.view.close()
    assert again.cancelled()
    assert page.view.ask(ToolCall(id="", name="f", arguments={}), 3, spec=SPEC, check=lambda _: "").cancelled()
    page.handle(progress())
    page.view.close()
    assert page.say({"hello": "v"}) == []


def test_the_card_was_seen(page: Page) -> None:
    _, card = ask(page)
    assert not page.view.is_seen(0)
    page.say({"seen": card})
    assert page.view.is_seen(0)
    assert not page.view.is_seen(1)


def test_a_waiter_on_another_thread_wakes(page: Page) -> None:
    future, card = ask(page)
    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(future.result, PATIENCE_S)
        until(lambda: future._condition._waiters)
        page.say({"decide": card, "turn": 1, "arguments": None})
        assert waiter.result() == (Allow(), False)


@pytest.mark.parametrize(
    "content", [{}, {"seen": "1"}, {"decide": 1}, {"decide": "1", "turn": 1}, {"decide": 7, "turn": "x"}]
)
def test_odd_messages_do_no_harm(page: Page, content: dict[str, Any]) -> None:
    future, _ = ask(page)
    assert page.say(content) == []
    assert not future.done()


# --- the form


def form(**arguments: Any) -> dict[str, dict[str, Any]]:
    found = form_fields(ToolCall(id="", name="f", arguments=arguments), SPEC, {})
    assert found is not None
    return {field["name"]: field for field in found}


def test_the_form_follows_the_schema() -> None:
    found = form(location="Aachen", unit="kelvin", more=[1])
    assert list(found) == ["location", "days", "unit", "more"]
    assert [field["kind"] for field in found.values()] == ["text", "integer", "choice", "json"]
    assert [field["raw"] for field in found.values()] == ['"Aachen"', None, '"kelvin"', "[\n  1\n]"]
    assert [field["needed"] for field in found.values()] == [True, False, False, False]
    assert found["days"]["start"] == "3"
    assert found["unit"]["options"] == [("celsius", '"celsius"'), ("kelvin", '"kelvin"')]
    assert (found["location"]["about"], found["unit"]["about"]) == ("City", "Of the degrees")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"location": 1}, "json"),
        ({"location": None}, "json"),
        ({"days": None}, "json"),
        ({"days": True}, "json"),
        ({"days": 10**40}, "integer"),
        ({"unit": "rankine"}, "json"),
    ],
)
def test_what_does_not_fit_is_json(arguments: dict[str, Any], kind: str) -> None:
    name, value = next(iter(arguments.items()))
    assert form(**arguments)[name]["kind"] == kind
    assert form(**arguments)[name]["raw"] == json.dumps(value)


@pytest.mark.parametrize(
    "schema",
    [None, 1, {}, {"properties": 1}, {"properties": {"a": 1}, "required": 2}, {"properties": {"a": {"$ref": "#/a"}}},
     {"properties": {"a": {"$ref": "#/properties/a"}}}, {"properties": {"a": {"anyOf": [1]}}}],
)  # fmt: skip
def test_any_schema_will_do(schema: Any) -> None:
    found = form_fields(ToolCall(id="", name="f", arguments={"a": "x"}), {"function": {"parameters": schema}}, {})
    assert found is not None
    assert (found[0]["kind"], found[0]["raw"]) == ("json", '"x"')


def test_what_nobody_would_see_is_told() -> None:
    assert form(location="Aachen\nDE")["location"]["odd"] == ""
    assert form(location="a\u202eb")["location"]["odd"] == "a[U+202E]b"
    assert form(location="\ud800")["location"]["raw"] == '"\\ud800"'


def test_what_is_too_long_is_not_edited() -> None:
    assert form_fields(ToolCall(id="", name="f", arguments={"a": "x" * MAX_EDITED_CHARS}), SPEC, {}) is None


@pytest.mark.parametrize(
    ("text", "result"),
    [('{"a": 1}', None), ('{ "a":1 }', None), ('{"a": true}', {"a": True}), ('{"a": 1.0}', {"a": 1.0}), ("{}", {})],
)
def test_only_a_change_is_a_change(text: str, result: object) -> None:
    assert parse_edited(text, ToolCall(id="", name="f", arguments={"a": 1})) == result


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"a": Infinity}', "[" * 100_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_edited(text, ToolCall(id="", name="f", arguments={}))


def test_whatever_anybody_says_travels_as_text(page: Page) -> None:
    for n, text in enumerate(HOSTILE):
        page.handle(ToolCallDelta(n, text, text))
        page.run(0.11)
        future = page.view.ask(ToolCall(id="", name=text, arguments={text: text}), n, spec=SPEC, check=lambda _: "")
        page.run(0.11)
        future.cancel()
        run = ToolRun(name=text, arguments={text: text}, content=ToolContent(text=text), error=text, status="failed")
        page.handle(ToolProgress(index=n, round=1, name=text, arguments=text, state="over", run=run))
        page.run(0.11)
    assert len(HOSTILE) > 200


def test_repr(page: Page) -> None:
    page.handle(progress(text='{"location": "s3cret"}'))
    assert repr(page.view) == "ToolInspector(calls=1)"


def test_a_default_of_the_function_is_shown_and_a_secret_one_is_not_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}, "b": {}, "api_key": {}}}
    defaults = {"a": 2, "b": "x" * 400, "api_key": "s3cret", "c": 4}
    call = ToolCall(id="", name="f", arguments={})
    spec = {"function": {"parameters": schema}}
    starts = {field["name"]: field["start"] for field in form_fields(call, spec, defaults)}
    assert starts == {"a": "2", "b": None, "api_key": None}
    assert describe_defaults(call, spec, defaults) == "Not given: a = 2"
    assert describe_defaults(call, spec, {}) == "Not given: a = 1"
    told = describe_defaults(call, spec, {"b": "a\u202eb\x1b[2J\n"})
    assert told == 'Not given: a = 1, b = "a\\u202eb\\u001b[2J\\n"'


def test_a_card_says_what_the_reader_is_warned_of(page: Page) -> None:
    page.handle(progress(0, "waiting"))
    call = ToolCall(id="x", name="get_weather", arguments={})
    page.view.ask(call, 0, spec=SPEC, check=lambda _: "", defaults={"unit": "kelvin"}, warning="It changes things.")
    card = page.see()["0"]["ask"]
    assert card["warning"] == "It changes things."
    assert [field["start"] for field in card["fields"]] == [None, "3", '"kelvin"']
