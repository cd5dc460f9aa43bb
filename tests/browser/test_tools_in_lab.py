"""Calls of tools in a real JupyterLab: seen while they are written, decided on in the cell, and static in the end."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from accessibility import judge
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# A gateway that says what a test has it say, and tools of all kinds.
TESTS = pathlib.Path(__file__).parents[1]
SETUP = f"""
import json, pathlib, sys, threading, time
from typing import Annotated, Literal

from pydantic import Field
sys.path.insert(0, {str(TESTS)!r})
from amber_nb import tool
from scripted import calling, scripted

play = scripted().__enter__()
gate = threading.Event()

def held(reply, piece, name):
    '''The reply, but for what begins with a piece: that waits for a file of this name.'''
    def said():
        for n, one in enumerate(reply):
            if n == piece:
                wait_for(name)
            yield one
    reply = list(reply)
    return said

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.05)

def get_forecast(
    location: str,
    unit: Literal["celsius", "fahrenheit"],
    days: Annotated[int, Field(le=10)],
    stations: list[str],
    hourly: bool = False,
    note: str | None = None,
    api_key: str = "",
):
    '''The weather of the next days.

    Args:
        location: City and country, such as Aachen, DE
        days: How many days ahead
    '''
    wait_for("forecast")
    return {{"temperature": 14, "token": "t0ken"}}

FORECAST = {{"location": "Aachen, DE", "unit": "celsius", "days": 3, "hourly": True,
            "stations": ["Orsbach", "Bad Godesberg"], "api_key": "s3cret-value"}}
FLIGHTS = {{"type": "function", "function": {{"name": "search_flights", "parameters": {{
    "type": "object", "properties": {{"from": {{"type": "string"}}, "to": {{"type": "string"}}}}}}}}}}

def search_flights(**route):
    return route

@tool(require_approval=True)
def book_flight(flight: str, note: str):
    gate.set()
    return "done"

def convert(amount: float = 1):
    if amount == 1:
        raise KeyError("rate")
    gate.wait(60)
    return amount

handlers = {{"search_flights": search_flights}}
"""


def card(out: Any, name: str) -> Any:
    """The card of a call that waits."""
    return out.get_by_role("group", name=name, exact=True)


def button(where: Any, name: str) -> Any:
    return where.get_by_role("button", name=name, exact=True)


@pytest.fixture
def release(lab: Any) -> Iterator[Callable[[str], None]]:
    """Makes the file that something in the kernel waits for."""
    made: list[pathlib.Path] = []

    def make(name: str) -> None:
        made.append(lab.work / name)
        made[-1].touch()

    yield make
    for path in made:
        path.unlink()


def only_static(book: Any, index: int) -> dict[str, Any]:
    """What the file keeps of a cell's display: one bundle, and nothing of a widget."""
    saved = book.saved()
    assert "widgets" not in saved["metadata"]
    shown = [one for one in saved["cells"][index]["outputs"] if one["output_type"] == "display_data"]
    assert [sorted(one["data"]) for one in shown] == [["text/html", "text/plain"]]
    return {kind: "".join(text) for kind, text in shown[0]["data"].items()}


TWO = """
said = held(calling(("get_forecast", FORECAST), ("search_flights", {"from": "CGN", "to": "LIS"})), 6, "written")
amber = play(said, held(calling(text="It will **rain**."), 1, "seen"))
answer = _ASK_("?", tools=[get_forecast, FLIGHTS], handlers=handlers, require_approval=True)
one, two = answer.tool_runs
print(json.dumps([one.arguments, one.status, one.decided_by, two.reason]))
"""
WAYS = {"sync": "amber.ask", "await": "await amber.ask_async"}


@pytest.mark.parametrize("way", WAYS)
def test_two_calls_are_seen_edited_allowed_and_denied(
    notebook: Callable[..., Any], release: Callable[[str], None], artefacts: pathlib.Path, way: str
) -> None:
    book = notebook([SETUP, TWO.replace("_ASK_", WAYS[way])])
    book.run(0, wait=True)
    book.run(1)
    out, press = book.output(1), book.page.keyboard.press
    written = out.locator(".amber-is-writing pre").first
    expect(written).to_have_text('{"location": "Aachen, DE", "unit":')
    release("written")

    forecast, flights = card(out, "get_forecast"), card(out, "search_flights")
    expect(flights).to_be_visible()
    expect(book.cell(1)).to_be_focused()  # no card takes the keyboard from a cell that was just run
    expect(out.locator("[aria-live=polite]").first).to_contain_text("waits for your decision")
    out.screenshot(path=artefacts / f"tools-cards-{way}.png")
    key = forecast.get_by_label("api_key", exact=True)
    expect(key).to_have_attribute("type", "password")
    button(forecast, "Show api_key").click()  # whoever allows must be able to see what
    expect(key).to_have_attribute("type", "text")
    expect(key).to_have_value("s3cret-value")
    button(forecast, "Show api_key").press("Enter")
    expect(key).to_have_attribute("type", "password")
    forecast.get_by_label("unit").select_option("fahrenheit")
    days = forecast.get_by_label("days")
    days.fill("")
    button(forecast, "Allow").click()
    expect(forecast.get_by_role("alert")).to_have_text("days: a whole number is wanted")
    expect(days).to_be_focused()
    days.fill("50")
    days.press("Enter")  # neither allows nor runs the cell again
    days.press("Control+Enter")
    expect(forecast).to_be_visible()
    button(forecast, "Allow").press("Enter")
    expect(forecast.get_by_role("alert")).to_have_text("days: should be less than or equal to 10, not 50")

    button(forecast, "JSON").click()
    raw = forecast.get_by_label("Arguments as JSON")
    text = raw.input_value()
    assert "s3cret" not in text
    assert json.loads(text)["unit"] == "fahrenheit"
    raw.fill(text.replace("50", "5").replace('"Aachen, DE"', '"Würselen"')[:-1])
    expect(forecast.get_by_role("alert")).to_contain_text("This is no JSON")
    button(forecast, "Form").click()
    expect(raw).to_be_visible()
    raw.fill(text.replace("50", "5").replace('"Aachen, DE"', '"Würselen"'))
    button(forecast, "Form").click()
    expect(forecast.get_by_label("location")).to_have_value("Würselen")
    forecast.get_by_role("button", name="Leave it out").first.press("Enter")
    button(forecast, "+ hourly").press("Enter")
    expect(forecast.get_by_label("hourly")).to_be_focused()

    button(flights, "Deny…").press("Enter")
    reason = flights.get_by_label("Why?")
    expect(reason).to_be_focused()
    press("Escape")
    expect(reason).to_be_hidden()
    button(flights, "Deny…").press("Enter")
    book.page.keyboard.type("too dear")
    expect(button(flights, "Deny")).to_have_attribute("aria-disabled", "false")  # a second after it came into sight
    press("Enter")
    expect(flights).to_have_count(0)
    expect(forecast).to_be_focused()
    button(forecast, "Allow").press("Enter")
    expect(forecast).to_have_count(0)
    expect(out.locator(".amber-is-running .amber-word")).to_have_text(re.compile(r"running · \d+ s"))
    release("forecast")
    expect(out.locator(".amber-is-ran .amber-outcome")).to_have_text('{"temperature": 14, "token": "•••"}')
    out.screenshot(path=artefacts / f"tools-over-{way}.png")
    release("seen")
    book.finished(1)
    wanted = {"location": "Würselen", "unit": "fahrenheit", "days": 5, "hourly": False}
    wanted |= {"stations": ["Orsbach", "Bad Godesberg"], "api_key": "s3cret-value"}
    assert json.loads(out.locator(".jp-RenderedText").inner_text()) == [wanted, "ran", "reader", "too dear"]
    expect(out.locator(".amber-answer details")).to_have_count(2)
    kept = only_static(book, 1)
    for told in kept.values():
        assert "s3cret" not in told
        assert "t0ken" not in told
    assert "edited by you" in kept["text/html"]
    assert kept["text/plain"].splitlines()[1] == "search_flights(from='CGN', to='LIS') ⊘ denied: too dear"


HASTY = """
ran = []
@tool(read_only=False)
def delete_folder(path: str, with_backups: bool = True) -> str:
    "Delete a folder and all that is in it."
    ran.append(path)
    return "deleted"
amber = play(calling(("delete_folder", {"path": "/data"})), "Done.")
answer = amber.ask("?", tools=delete_folder, require_approval=True)
print(ran, answer.tool_runs[0].status)
"""


def test_an_impatient_reader_allows_nothing(notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    """A second Ctrl+Enter, a key that is held down, a click where the card came up and a script: none is a decision."""
    book = notebook([SETUP, HASTY])
    book.run(0, wait=True)
    keyboard = book.page.keyboard
    book.cell(1).locator(".cm-content").first.click()
    keyboard.down("Control")
    keyboard.press("Enter")
    out = book.output(1)
    waiting = card(out, "delete_folder")
    allow = button(waiting, "Allow")
    expect(waiting).to_contain_text("Delete a folder and all that is in it.")
    expect(waiting).to_contain_text("This tool says that it changes things.")
    expect(waiting).to_contain_text("Not given: with_backups = true")
    expect(book.cell(1)).to_be_focused()  # no card takes the keyboard from a cell that was just run
    allow.click(no_wait_after=True, force=True)
    allow.evaluate("el => el.click()")
    keyboard.press("Enter")
    keyboard.up("Control")
    out.screenshot(path=artefacts / "tools-warning.png")
    expect(allow).to_have_attribute("aria-disabled", "false")  # a second after it was seen
    allow.evaluate("el => { el.click(); el.dispatchEvent(new MouseEvent('click', { bubbles: true })); }")
    keyboard.press("Control+Enter")
    expect(waiting).to_be_visible()
    button(waiting, "Deny…").click()
    waiting.get_by_label("Why?").press("Enter")
    expect(out).to_contain_text("[] denied")


FAR = """
amber = play(calling(("get_forecast", FORECAST)), "Done.")
answer = amber.ask("?", tools=get_forecast, require_approval=True)
print(answer.tool_runs[0].status)
"""


def test_a_card_that_comes_back_into_sight_waits_again(
    notebook: Callable[..., Any], release: Callable[[str], None]
) -> None:
    """Its buttons look as they are: for a second they neither decide nor seem to."""
    book = notebook([SETUP, FAR])
    book.run(0, wait=True)
    book.run(1)
    waiting = card(book.output(1), "get_forecast")
    allow = button(waiting, "Allow")
    expect(allow).to_have_attribute("aria-disabled", "false")
    waiting.evaluate("el => (el.style.position = 'fixed', el.style.left = '-9999px')")
    expect(allow).to_have_attribute("aria-disabled", "true")
    expect(button(waiting, "Deny…")).to_have_attribute("aria-disabled", "false")
    waiting.evaluate("el => (el.style.position = '')")
    allow.press("Enter")
    expect(waiting).to_be_visible()
    expect(allow).to_have_attribute("aria-disabled", "false")
    release("forecast")
    allow.press("Enter")
    book.finished(1)
    expect(book.output(1)).to_contain_text("ran")


ENDED = """
amber = play(calling(("get_forecast", FORECAST)))
answer = _ASK_("?", tools=get_forecast, require_approval=True)
print(answer.finish_reason)
"""


@pytest.mark.fresh_kernel
def test_stop_and_interrupt_while_it_waits(notebook: Callable[..., Any]) -> None:
    after = "print(amber.last.finish_reason, [run.status for run in amber.last.tool_runs])"
    book = notebook([SETUP, *(ENDED.replace("_ASK_", ask) for ask in WAYS.values()), after])
    book.run(0, wait=True)
    for way, index in (("stop", 1), ("interrupt", 1), ("stop", 2), ("interrupt", 2)):
        book.run(index)
        out = book.output(index)
        expect(card(out, "get_forecast")).to_be_visible()
        if way == "stop":
            out.get_by_role("button", name="Stop this answer").click()
        else:
            book.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
        book.finished(index)
        expect(card(out, "get_forecast")).to_have_count(0)
        expect(out.locator(".amber-answer")).to_contain_text("not run")
        expect(out).to_contain_text("cancelled" if way == "stop" else re.compile("KeyboardInterrupt|CancelledError"))
        expect(book.cell(index)).to_be_focused()  # and Lab's keys work
        book.run(3, wait=True)
        expect(book.output(3)).to_have_text("cancelled ['not_run']\n")
    only_static(book, 1)


ALL = """
amber = play(
    calling(("search_flights", {"from": "CGN"}), ("book_flight", {"flight": "LH 1968", "note": "Window seat."}),
            ("convert", {"amount": 3})),
    calling(("convert", {})),
    calling(text="Done."),
)
policy = lambda call: True if call.name == "convert" else None
answer = amber.ask("?", tools=[FLIGHTS, book_flight, convert], handlers=handlers, require_approval=policy)
print([run.status for run in answer.tool_runs], answer.tool_runs[0].arguments)
"""


def test_allow_all_decides_on_what_follows(notebook: Callable[..., Any], axe: str, artefacts: pathlib.Path) -> None:
    book = notebook([SETUP, ALL], theme="JupyterLab Dark")
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(button(out, "Allow")).to_have_count(2)
    out.screenshot(path=artefacts / "tools-dark-in-lab.png")
    judge(book.page, axe, ".amber-inspector", artefacts / "axe-tools-in-lab.json")
    card(out, "search_flights").get_by_label("from").fill("DUS")
    button(card(out, "book_flight"), "Allow all").click()
    book.finished(1)
    expect(out.locator(".amber-answer")).to_contain_text("KeyError: 'rate'")
    expect(out).to_contain_text("['ran', 'ran', 'ran', 'failed'] {'from': 'DUS'}")
