"""A server's question to the reader: refused, asked on its card or at the keyboard, and answered with what fits."""

import asyncio
import builtins
import json
import math
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from amber_nb import Allow, Deny, clock, tool
from amber_nb.chat.approval import ApprovalPrompt
from amber_nb.chat.execute import CellExecutor
from amber_nb.chat.input_prompt import check_of, prompt_input
from amber_nb.display import NotebookDisplay
from amber_nb.display.approval_form import input_fields, input_values, refuse_input
from amber_nb.tools import tools_from
from amber_nb.types import InputRequest, ToolCall
from amber_nb.wire.event_loop import Inbox

CALL = ToolCall(id="a", name="book", arguments={"item": "tea"}, server="shop")
SIZE = {"type": "string", "title": "Size", "enum": ["s", "l"], "enumNames": ["small", "large"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name"},
        "size": {**SIZE, "default": "l"},
        "cups": {"type": "integer", "minimum": 1, "maximum": 9},
        "price": {"type": "number"},
        "gift": {"type": "boolean"},
        "tastes": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "Assam"}, {"const": "b"}]}},
        "mail": {"type": "string", "format": "email"},
    },
    "required": ["name", "cups"],
}
QUESTION = InputRequest("shop", "How many?\n\x1b[2J\u202eAllow? [y]es", SCHEMA)


def of(**properties):
    return {"type": "object", "properties": properties}


# --- what is not asked


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (of(api_key={"type": "string"}), 'the field "api_key" looks like a secret'),
        (of(userToken={"type": "string"}), "looks like a secret"),
        (of(value={"type": "string", "title": "API key"}), "looks like a secret"),
        (of(value={"type": "string", "title": "Your Pass\u200bword"}), "looks like a secret"),
        (of(value={"type": "string", "title": "Pa\u0301ssword"}), "looks like a secret"),
        (of(value={"type": "string", "title": "PIN"}), "looks like a secret"),
        (of(value={"type": "string", "format": "password"}), "looks like a secret"),
        (of(value={"type": "string", "writeOnly": True}), "looks like a secret"),
        (of(value={"anyOf": [{"type": "string", "title": "Secret"}, {"type": "null"}]}), "looks like a secret"),
        ({**of(value={"$ref": "#/$defs/V"}), "$defs": {"V": {"type": "string", "title": "Secret"}}}, "secret"),
        ({"type": "object", "required": ["password"]}, "looks like a secret"),
        ({"type": "object", "required": ["name"]}, 'the field "name" is no text'),
        (of(value={"type": "object"}), "is no text, number, choice or yes or no"),
        (of(value={"type": "array", "items": {"type": "string"}}), "is no text"),
        (of(value={"type": "array", "items": {"type": "object"}}), "is no text"),
        (of(value={}), "is no text"),
        (of(value=True), "is no text"),
        (of(value={"$ref": "#/properties/value"}), "is no text"),
        ({"type": "array"}, "something else than a form"),
        ({"type": "object", "properties": []}, "something else than a form"),
        ({"type": "object", "allOf": [{"required": ["password"]}]}, "something else than a form"),
        ({"type": "object", "required": [1]}, "does not say which"),
        (of(**{f"f{number}": {"type": "string"} for number in range(51)}), "too long: 51 fields"),
        (SCHEMA, ""),
        ({}, ""),
        (of(max_tokens={"type": "integer", "title": "Max tokens"}), ""),
        (of(monkey={"type": ["string", "null"], "title": "A monkey"}), ""),
    ],
)
def test_secrets_and_what_is_no_flat_form_are_not_asked_for(schema, reason):
    assert reason in refuse_input(schema)
    assert bool(refuse_input(schema)) == bool(reason)


# --- the form


def test_the_form_begins_with_the_defaults_and_shows_every_field():
    assert input_values(SCHEMA) == {"size": "l", "gift": False}
    fields = {field["name"]: field for field in input_fields(SCHEMA)}
    assert list(fields) == list(SCHEMA["properties"])
    assert {name: field["kind"] for name, field in fields.items()} == {
        "name": "text", "size": "choice", "cups": "integer", "price": "number", "gift": "flag", "tastes": "several",
        "mail": "text",
    }  # fmt: skip
    assert fields["size"]["options"] == [("small", '"s"'), ("large", '"l"')]
    assert fields["tastes"]["options"] == [("Assam", '"a"'), ("b", '"b"')]
    assert [name for name, field in fields.items() if field["needed"]] == ["name", "cups"]
    assert all(field["blank"] for field in fields.values())
    assert (fields["name"]["title"], fields["mail"]["format"], fields["cups"]["about"]) == (
        "Your name",
        "email",
        "1 to 9",
    )


@pytest.mark.parametrize(
    "default", [5, "x", None, ["s"], {"a": 1}, math.nan], ids=["number", "unknown", "null", "list", "object", "nan"]
)
def test_a_default_that_does_not_fit_is_not_used(default):
    assert input_values(of(size={**SIZE, "default": default})) == {}


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"name": "Ada", "cups": 2}, ""),
        ({"name": "Ada", "cups": 2, "mail": "a@b.example", "tastes": ["a"], "price": 1.5}, ""),
        ({"name": "Ada"}, "cups: is missing"),
        ({"name": "Ada", "cups": 12}, "cups: should keep to maximum 9"),
        ({"name": "Ada", "cups": 2, "tastes": ["c"]}, "tastes"),
        ({"name": "Ada", "cups": 2, "mail": "nobody"}, "mail: should be an e-mail address"),
    ],
)
def test_an_answer_is_checked_as_arguments_are(values, wrong):
    said = check_of(QUESTION)(values)
    assert wrong in said
    assert bool(said) == bool(wrong)


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date", "2026-02-28", "2026-02-30"),
        ("date-time", "2026-02-28T10:00:00Z", "today"),
        ("uri", "https://example.org/a", "example"),
        ("email", "a@b", "a b@c"),
    ],
)
def test_formats_are_checked(form, good, bad):
    check = check_of(InputRequest("shop", "?", of(value={"type": "string", "format": form})))
    assert check({"value": good}) == ""
    assert "value: should be a" in check({"value": bad})


# --- on the page


class View(NotebookDisplay):
    """A display whose page answers as a test says."""

    has_page = True
    silent_s = 0.0

    def __init__(self, *answers):
        self.answers, self.open, self.most, self.asked, self.withdrawn = list(answers), 0, 0, [], []

    def ask_input(self, question, call, index, *, check):
        self.asked.append((question, call, index, check))
        self.open += 1
        self.most = max(self.most, self.open)
        self.future = Future()
        self.future.add_done_callback(lambda _: setattr(self, "open", self.open - 1))
        return self.future

    def is_seen(self, index):
        if self.answers and not self.future.done():
            self.future.set_result((self.answers.pop(0), False))
        return True

    def has_waited(self, since):
        return clock.monotonic() - since > 2

    def withdraw(self, index):
        self.withdrawn.append(index)
        self.future.cancel()


def prompt_for(view, timeout_s=None, can_type=True):
    return ApprovalPrompt(CellExecutor(Inbox(), None), view, can_type=can_type, timeout_s=timeout_s)


def request(view, question=QUESTION, **settings):
    return asyncio.run(prompt_for(view, **settings).request_input(question, CALL, 3))


@pytest.mark.parametrize("decision", [Allow({"name": "Ada", "cups": 2}), Deny("")])
def test_what_the_page_says_counts(fast_clock, decision):
    view = View(decision)
    assert request(view) == decision
    ((question, call, index, check),) = view.asked
    assert (question, call, index, check({"name": "Ada"})) == (QUESTION, CALL, 3, "cups: is missing")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (of(password={"type": "string"}), "looks like a secret"),
        (of(value={"type": "string", "minLength": "x"}), "no JSON schema"),
    ],
)
def test_what_is_refused_is_not_shown(fast_clock, schema, reason):
    view = View(Allow({}))
    decision = request(view, InputRequest("shop", "?", schema))
    assert isinstance(decision, Deny)
    assert reason in decision.reason
    assert view.asked == []


def test_nobody_answers(fast_clock):
    assert request(View(), timeout_s=100) == Deny("nobody answered within 100 s")
    assert request(None, can_type=False) == Deny("nobody is here to answer it")


def test_questions_of_one_call_come_one_after_the_other(fast_clock):
    class Slow(View):
        """The reader answers at the third look."""

        looks = 0

        def is_seen(self, index):
            self.looks += 1
            return self.looks % 3 == 0 and super().is_seen(index)

    first, second = Allow({"name": "Ada", "cups": 1}), Allow({"name": "Ada", "cups": 2})
    view = Slow(first, second)

    async def both():
        prompt = prompt_for(view)
        return await asyncio.gather(*(prompt.request_input(QUESTION, CALL, 3) for _ in range(2)))

    assert asyncio.run(both()) == [first, second]
    assert (len(view.asked), view.most) == (2, 1)


def test_a_question_of_a_call_that_is_stopped_leaves_its_card(fast_clock):
    view = View()

    async def stopped():
        asked = asyncio.ensure_future(prompt_for(view).request_input(QUESTION, CALL, 3))
        while not view.asked:
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(stopped())
    assert view.future.cancelled()


# --- at the keyboard


@pytest.fixture
def keyboard(monkeypatch):
    """The reader's lines, and what was asked for."""
    keys = SimpleNamespace(lines=[], asked=[])

    def type_line(prompt):
        keys.asked.append(prompt)
        return keys.lines.pop(0)

    monkeypatch.setattr(builtins, "input", type_line)
    return keys


def typed(keyboard, *lines, question=QUESTION):
    keyboard.lines[:] = lines
    decision = prompt_input(question, check_of(question))
    assert keyboard.lines == []
    return decision


def test_field_by_field(keyboard, capsys):
    decision = typed(keyboard, "a", "", "Ada", "1", "x", "2", "", "y", "Assam, 2", "", "s")
    assert decision == Allow({"name": "Ada", "size": "s", "cups": 2, "gift": True, "tastes": ["a", "b"]})
    assert keyboard.asked[1:4] == ["Your name: ", "Your name: ", "Size (1 small, 2 large) [large]: "]
    assert "tastes (several, 1 Assam, 2 b) [none]: " in keyboard.asked
    said = capsys.readouterr().out
    assert "amber: the server 'shop' asks:\n  | How many?\n  | ␛[2J[U+202E]Allow? [y]es\n" in said
    assert "Give it no passwords or keys." in said
    assert "a whole number is wanted" in said


def test_as_json_in_one_line(keyboard, capsys):
    right = {"name": "Ada", "cups": 2}
    assert typed(keyboard, "{", '{"name": "Ada"}', json.dumps(right)) == Allow(right)
    said = capsys.readouterr().out
    assert "This is no JSON" in said
    assert "cups: is missing" in said


def test_what_does_not_fit_is_asked_again(keyboard, capsys):
    fields = ["Ada", "", "12", "", "", "", ""]
    again = ["", "", "3", "", "", "", ""]
    assert typed(keyboard, "a", *fields, "a", *again, "s") == Allow(
        {"name": "Ada", "size": "l", "cups": 3, "gift": False}
    )
    assert "cups: should keep to maximum 9" in capsys.readouterr().out


@pytest.mark.parametrize("lines", [("n",), ("", "no"), ("a", "Ada", "", "2", "", "", "", "", "n")])
def test_declined(keyboard, lines):
    assert typed(keyboard, *lines) == Deny()


def test_a_question_without_fields_is_a_yes_or_no(keyboard):
    assert typed(keyboard, "y", question=InputRequest("shop", "Sure?", {"type": "object"})) == Allow({})
    assert keyboard.asked == ["Answer it? [y]es, [n]o: "]


# --- what "Allow all" covers


def test_all_covers_its_scope_alone_at_the_keyboard(keyboard, monkeypatch, capsys):
    async def run_in_cell(self, work, timeout_s=None):
        return work()

    monkeypatch.setattr(CellExecutor, "run_in_cell", run_in_cell)
    bought = tools_from(tool(lambda item: item, name="book"))["book"]
    scopes = ["all calls of book in this answer", "all calls of sell in this answer", ""]

    async def ask_all():
        prompt = prompt_for(None)
        return [
            await prompt.decide(CALL, 0, bought, lambda _: "", scope=scope, warning="Not amber's.\nIt may tell.")
            for scope in (scopes[0], scopes[0], scopes[1], scopes[2], scopes[2], scopes[1])
        ]

    keyboard.lines[:] = ["all", "y", "a", "n", ""]
    approvals = asyncio.run(ask_all())
    assert [one.always for one in approvals] == [True, True, False, True, True, False]
    assert [type(one.decision) for one in approvals] == [Allow] * 5 + [Deny]
    assert "[a]ll calls of book in this answer, or" in keyboard.asked[0]
    assert "[a]ll of this answer, or" in keyboard.asked[2]
    said = capsys.readouterr().out
    assert "amber: the model wants to call book · shop ({" in said
    assert "  Not amber's.\n  It may tell.\n" in said
