"""Cards of tool calls on a page without a kernel: for readers who see, hear or move otherwise, and on narrow pages."""

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

from amber_nb.display import ToolInspector
from amber_nb.types import ToolCall, ToolCallDelta, ToolProgress, ToolRun

pytestmark = pytest.mark.browser

FORECAST = {
    "location": "Aachen, DE", "unit": "celsius", "days": 3, "hourly": True,
    "stations": ["Orsbach", "Bad Godesberg"], "api_key": "s3cret-value",
}  # fmt: skip
PROPERTIES = {
    "location": {"type": "string", "description": "City and country, such as Aachen, DE"},
    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    "days": {"type": "integer", "maximum": 10, "description": "How many days ahead"},
    "stations": {"type": "array", "items": {"type": "string"}},
    "hourly": {"type": "boolean"},
    "note": {"type": "string"},
    "api_key": {"type": "string"},
}
BOOKING = {"flight": "LH 1968", "note": "Window seat, please.\nAnd a vegetarian meal."}


def progress(index: int, name: str, arguments: dict[str, Any], state: Any, run: ToolRun | None = None) -> ToolProgress:
    return ToolProgress(index=index, round=1, name=name, arguments=json.dumps(arguments), state=state, run=run)


@pytest.fixture
def messages() -> list[dict[str, Any]]:
    """What the kernel says of two calls that wait, one that is written, one that runs and two that are over."""
    sent: list[dict[str, Any]] = []
    inspector = ToolInspector(sent.append, SimpleNamespace(can_send=True))
    ran = ToolRun(name="convert", arguments={"amount": 3}, status="ran", result=3.3, sent="3.3", duration_s=0.2)
    failed = ToolRun(name="convert_back", arguments={}, status="failed", error="KeyError: 'rate'", sent="Error")
    waiting = [progress(0, "get_forecast", FORECAST, "waiting"), progress(1, "book_flight", BOOKING, "waiting")]
    others = [
        ToolCallDelta(2, "search_flights", '{"from": "CGN"}'),
        progress(3, "check_in", {"flight": "LH 1968"}, "running"),
        progress(4, "convert", {"amount": 3}, "over", ran),
        progress(5, "convert_back", {}, "over", failed),
    ]
    for event in (*waiting, *others):
        inspector.handle(event)
    seat = {"seat": {"type": "string"}}
    warning = "This tool says that it changes things."
    for shown, properties, warned in zip(waiting, (PROPERTIES, seat), ("", warning), strict=True):
        call = ToolCall(id=shown.name, name=shown.name, arguments=json.loads(shown.arguments))
        spec = {"function": {"parameters": {"properties": properties}}}
        defaults = {"seat": "any", "hourly": False}
        inspector.ask(call, shown.index, spec=spec, check=lambda _: "", defaults=defaults, warning=warned)
    inspector.deliver(0.0)
    said: list[dict[str, Any]] = json.loads(json.dumps(sent))
    inspector.close()
    return said


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    static_page: Callable[..., StaticPage],
    messages: list[dict[str, Any]],
    axe: str,
    artefacts: pathlib.Path,
    theme: str,
) -> None:
    view = static_page(part="c", theme=theme)
    for message in messages:
        view.receive(**message)
    out = view.output()
    expect(out.get_by_role("button", name="Allow", exact=True)).to_have_count(2)
    expect(out.locator(".amber-is-failed .amber-outcome")).to_have_text("KeyError: 'rate'")
    view.page.mouse.move(0, 0)
    out.screenshot(path=artefacts / f"tools-{theme}.png")
    judge(view.page, axe, ".amber-inspector", artefacts / f"axe-tools-{theme}.json")
    for width in (1600, 360):
        view.page.set_viewport_size({"width": max(width + 400, 1280), "height": 900})
        view.page.add_style_tag(content=f".jp-Cell-outputArea {{ max-width: {width}px; }}")
        needed, there = out.locator(".amber-inspector").evaluate("el => [el.scrollWidth, el.clientWidth]")
        assert needed <= there <= width
        out.screenshot(path=artefacts / f"tools-{theme}-{width}.png")
    view.page.emulate_media(forced_colors="active", reduced_motion="reduce")
    out.screenshot(path=artefacts / f"tools-{theme}-forced.png")


def test_a_card_says_what_is_at_stake(static_page: Callable[..., StaticPage], messages: list[dict[str, Any]]) -> None:
    view = static_page(part="c")
    for message in messages:
        view.receive(**message)
    out = view.output()
    warning = "This tool says that it changes things."
    expect(out.get_by_role("group", name="book_flight", exact=True)).to_contain_text(warning)
    expect(out.get_by_role("group", name="book_flight", exact=True)).to_contain_text('Not given: seat = "any"')
    expect(out.get_by_text(warning)).to_have_count(2)  # the other is what a screen reader says
    expect(out.locator("[aria-live=polite]").first).to_have_text(
        f"A tool waits for your decision: book_flight. {warning}"
    )


def test_a_decision_is_said_once(static_page: Callable[..., StaticPage], messages: list[dict[str, Any]]) -> None:
    view = static_page(part="c")
    for message in messages:
        view.receive(**message)
    card = view.output().get_by_role("group", name="book_flight", exact=True)
    allow = card.get_by_role("button", name="Allow", exact=True)
    allow.evaluate("el => el.click()")  # no event of the browser's own
    expect(allow).to_have_attribute("aria-disabled", "false")
    allow.evaluate("el => el.click()")
    assert [message for message in view.sent() if "decide" in message] == []
    for _ in range(3):
        allow.click(force=True)
    said = [message for message in view.sent() if "decide" in message]
    assert len(said) == 1
    assert "deny" not in said[0]
