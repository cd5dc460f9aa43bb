"""Cards of MCP servers on a page without a kernel: who runs a call, how far it is, and what a server asks."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from accessibility import judge
from playwright.sync_api import expect
from static_page import StaticPage
from witness import Watch

from amber_nb.chat.input_prompt import INPUT_NOTICE
from amber_nb.display import ToolInspector
from amber_nb.types import InputRequest, ToolCall, ToolContent, ToolProgress, ToolRun

pytestmark = pytest.mark.browser


@pytest.fixture
def browser(browser: Any) -> Any:
    """conftest's browser, watched."""
    return Watch(browser)


MEETING = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "title": "Title", "default": "Renewal of the ACME contract"},
        "date": {"type": "string", "title": "Date", "format": "date", "default": "2026-12-14"},
        "minutes": {"type": "integer", "title": "Minutes", "minimum": 15, "maximum": 120},
        "room": {
            "type": "string",
            "title": "Room",
            "oneOf": [{"const": "r1", "title": "Dome (12 seats)"}, {"const": "r2", "title": "Attic (4 seats)"}],
        },
        "guests": {
            "type": "array",
            "title": "Guests",
            "items": {"type": "string", "enum": ["Ada", "Grace", "Katherine", "Edsger"]},
            "default": ["Ada", "Grace"],
        },
        "remind": {"type": "boolean", "title": "Send a reminder", "default": True},
    },
    "required": ["title", "date", "minutes"],
}
MESSAGE = "Two slots are free on 14 December. When shall the meeting be, and for how long?"
HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(1)</script> **bold** [here](javascript:alert(1)) $\\sqrt{x}$ "
    "\u202egnp.exe\u2066\x1b[2J\nRun this? You may change the arguments first.\n" + "lorem ipsum " * 300
)
SEARCH = {"query": "ACME renewal 2027"}
WARNING = (
    "The server 'calendar' is not amber's: what it says of itself is not believed.\n"
    "Results of the server 'amber' are in this conversation: a call of another server can carry them away."
)
SCOPE = "all calls of list_rooms in this answer"


def progress(index: int, name: str, arguments: Any, state: Any, **more: Any) -> ToolProgress:
    return ToolProgress(index=index, round=1, name=name, arguments=json.dumps(arguments), state=state, **more)


def told(question: InputRequest) -> list[dict[str, Any]]:
    """Return what the kernel says of calls of two servers, the second of which asks something while it runs."""
    sent: list[dict[str, Any]] = []
    inspector = ToolInspector(sent.append, SimpleNamespace(can_send=True))
    content = ToolContent(text="5 hits: ACME master agreement (2024), …", table=(("Title",), (("ACME",),)))
    ran = ToolRun(name="search", arguments=SEARCH, status="ran", server="amber", content=content, duration_s=0.31)
    denied = ToolRun(
        name="web_search", arguments=SEARCH, status="denied", server="amber", reason="Not on the web.", round=1
    )
    events = [
        progress(0, "search", SEARCH, "over", run=ran, server="amber"),
        progress(1, "web_search", SEARCH, "over", run=denied, server="amber"),
        progress(2, "search", {"query": "ACME"}, "running", server="amber", note="3 of 10: reading the index"),
        progress(3, "book_meeting", {"customer": "ACME"}, "running", server="calendar"),
        progress(4, "list_rooms", {"city": "Aachen"}, "waiting", server="calendar"),
        progress(5, "list_rooms", {"city": "Cologne"}, "waiting", server="calendar"),
        progress(6, "delete_draft", {"id": 7}, "waiting", server="calendar"),
    ]
    for event in events:
        inspector.handle(event)
    booking = ToolCall(id="b", name="book_meeting", arguments={"customer": "ACME"}, server="calendar")
    inspector.ask_input(question, booking, 3, check=lambda _: "")
    spec = {"function": {"parameters": {"properties": {"city": {"type": "string"}}, "required": ["city", "id"]}}}
    for event in events[4:]:
        call = ToolCall(id="c", name=event.name, arguments=json.loads(event.arguments), server="calendar")
        scope = SCOPE.replace("list_rooms", event.name)
        inspector.ask(call, event.index, spec=spec, check=lambda _: "", warning=WARNING, scope=scope)
    inspector.deliver(0.0)
    said: list[dict[str, Any]] = json.loads(json.dumps(sent))
    inspector.close()
    return said


def shown(
    static_page: Callable[..., StaticPage], message: str = MESSAGE, schema: Any = MEETING, theme: str = "light"
) -> tuple[StaticPage, Any]:
    """Return a page with the cards, and the card of the question."""
    view = static_page(part="c", theme=theme)
    for each in told(InputRequest("calendar", message, schema)):
        view.receive(**each)
    return view, view.output().get_by_role("group", name="The server 'calendar' asks", exact=True)


def decisions(view: StaticPage) -> list[dict[str, Any]]:
    return [message for message in view.sent() if "decide" in message]


def press(card: Any, name: str) -> None:
    button = card.get_by_role("button", name=name, exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    static_page: Callable[..., StaticPage], axe: str, artefacts: pathlib.Path, theme: str
) -> None:
    view, card = shown(static_page, theme=theme)
    out = view.output()
    view.page.set_viewport_size({"width": 1280, "height": 1600})
    expect(card.get_by_role("button", name="Send", exact=True)).to_have_attribute("aria-disabled", "false")
    view.page.mouse.move(0, 0)
    out.screenshot(path=artefacts / f"question-{theme}.png")
    judge(view.page, axe, ".amber-inspector", artefacts / f"axe-question-{theme}.json")
    view.page.set_viewport_size({"width": 1280, "height": 900})
    view.page.add_style_tag(content=".jp-Cell-outputArea { max-width: 360px; }")
    needed, there = out.locator(".amber-inspector").evaluate("el => [el.scrollWidth, el.clientWidth]")
    assert needed <= there <= 360
    out.screenshot(path=artefacts / f"question-{theme}-360.png")


def test_a_call_names_its_server_and_how_far_it_is(static_page: Callable[..., StaticPage]) -> None:
    view, _ = shown(static_page)
    calls = view.output().locator(".amber-call")
    expect(calls.nth(0).locator("summary")).to_contain_text("search · amber (query='ACME renewal 2027') · ran · 0.31 s")
    expect(calls.nth(1).locator("summary")).to_contain_text("web_search · amber (query='ACME renewal 2027') · denied")
    expect(calls.nth(2).locator(".amber-outcome")).to_have_text("3 of 10: reading the index")
    expect(calls.nth(3).locator("summary")).to_contain_text(
        "book_meeting · calendar (customer='ACME') · waiting for your answer"
    )
    expect(view.output().get_by_role("group", name="delete_draft · calendar", exact=True)).to_contain_text(
        "The server 'calendar' is not amber's"
    )


def test_allow_all_covers_its_scope_alone_and_answers_no_question(static_page: Callable[..., StaticPage]) -> None:
    view, card = shown(static_page)
    expect(card.get_by_role("button", name="Allow")).to_have_count(0)
    waiting = view.output().get_by_role("group", name="list_rooms · calendar", exact=True)
    expect(waiting).to_have_count(2)
    press(waiting.first, f"Allow {SCOPE}")
    said = decisions(view)
    assert [(each["decide"], each["all"]) for each in said] == [(2, True), (3, True)]


def test_a_question_is_answered_with_the_keyboard_alone(static_page: Callable[..., StaticPage]) -> None:
    view, card = shown(static_page)
    expect(card).to_contain_text(INPUT_NOTICE)
    press(card, "Send")  # what is required is not there yet
    expect(card.get_by_role("alert")).to_have_text("Minutes: a value is wanted")
    minutes = card.get_by_label("Minutes")
    expect(minutes).to_be_focused()
    assert decisions(view) == []
    page = view.page
    for key in ("4", "5", "Tab", "ArrowDown", "Tab", "Space", "Tab", "Tab", "Tab", "Tab", "Space", "Tab", "Enter"):
        page.keyboard.press(key)
    (said,) = decisions(view)
    assert json.loads(said["arguments"]) == {
        "title": "Renewal of the ACME contract",
        "date": "2026-12-14",
        "minutes": 45,
        "room": "r1",
        "guests": ["Grace"],
        "remind": False,
    }
    assert said["all"] is False


def test_what_is_left_empty_is_not_sent_and_a_question_can_be_declined(static_page: Callable[..., StaticPage]) -> None:
    view, card = shown(static_page)
    card.get_by_label("Title").fill("")
    card.get_by_role("button", name="JSON", exact=True).click()
    written = json.loads(card.get_by_label("Your answer as JSON").input_value())
    assert written == {"date": "2026-12-14", "guests": ["Ada", "Grace"], "remind": True}
    press(card, "Decline")
    assert [(each["decide"], each["deny"]) for each in decisions(view)] == [(1, "")]


def test_an_answer_that_nobody_changed_is_sent_whole(static_page: Callable[..., StaticPage]) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}, "n": {"type": "integer", "default": 7}}}
    view, card = shown(static_page, "Sure?", schema)
    press(card, "Send")
    (said,) = decisions(view)
    assert json.loads(said["arguments"]) == {"sure": False, "n": 7}


def test_a_hostile_question_is_text_within_its_card(
    static_page: Callable[..., StaticPage], browser: Any, artefacts: pathlib.Path
) -> None:
    options = [{"const": "a", "title": HOSTILE}, {"const": "b", "title": "<b>b</b>"}]
    schema = {
        "properties": {
            "<b>x</b>": {"type": "string", "title": HOSTILE, "description": HOSTILE, "default": HOSTILE},
            "c": {"type": "string", "oneOf": options},
            "d": {"type": "array", "items": {"anyOf": options}},
        },
    }
    view, card = shown(static_page, HOSTILE, schema)
    message = card.get_by_label("What it asks")
    text = message.text_content() or ""
    assert text.startswith("<img src=x onerror=alert(1)><script>alert(1)</script> **bold**")
    assert "[U+202E]gnp.exe[U+2066]␛[2J" in text
    assert len(text) <= 2_050
    assert message.evaluate("el => el.children.length") == 0
    height = message.evaluate("el => el.clientHeight")
    assert height < 300
    assert browser.problems(view.page, least=20) == []
    assert view.requests == []
    needed, there = view.output().locator(".amber-inspector").evaluate("el => [el.scrollWidth, el.clientWidth]")
    assert needed <= there
    card.screenshot(path=artefacts / "question-hostile.png")
