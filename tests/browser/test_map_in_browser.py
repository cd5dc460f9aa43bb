"""A run over a table on a page without a kernel: what it shows while it goes on, and its summary, for every reader."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from accessibility import judge
from answers import HOSTILE
from playwright.sync_api import expect
from static_page import StaticPage

from amber_nb.display.map_progress import Failure, MapProgress, map_html, page_message

pytestmark = pytest.mark.browser

RUNNING = MapProgress(
    title="azure/gpt-5.4",
    rows=100_000,
    ok=36_986,
    in_flight=64,
    elapsed_s=452.0,
    rows_per_s=82.3,
    left_s=766.0,
    prompt_tokens=1_000_000,
    completion_tokens=204_331,
    cached_tokens=410_000,
    cost="1.2040 USD (list price)",
    projected_cost="3.2541 USD",
    newest=(
        ("36986", "positive", False),
        ("36985", "negative: the parcel came three weeks late, and nobody picked up the phone", False),
        ("36984", "neutral", False),
        ("36981", "positive", False),
        ("36983", "positive", False),
    ),
)
FAILING = replace(
    RUNNING,
    ok=36_961,
    failed=22,
    skipped=3,
    from_ledger=1_240,
    note="waiting 12 s (Retry-After)",
    newest=(("36986", "RateLimitError: 429 Too Many Requests", True), *RUNNING.newest[1:]),
    failures=(
        Failure(reason="RateLimitError: 429 Too Many Requests", count=17, labels=("812", "9120", "31022")),
        Failure(reason="SchemaError: the reply does not fit the schema: 'mixed' is no Label", count=4, labels=("17",)),
        Failure(reason="APITimeoutError: no answer within 60 s", count=1, labels=("25111",)),
    ),
    remarks=("goes on from the ledger ~/.cache/amber_nb/ledger.sqlite: 1,240 rows were there",),
)
DONE = replace(FAILING, ok=99_975, failed=22, end="", note="", in_flight=0, elapsed_s=1_215.0, requests=98_741)
EARLY = replace(FAILING, stopped=63_014, end="stopped by you", note="", in_flight=0, requests=35_749)


def message(progress: MapProgress) -> dict[str, Any]:
    """What the kernel sends, as JSON brings it to the page."""
    told = page_message(progress, elapsed_s=progress.elapsed_s, newest=True)
    return dict(json.loads(json.dumps(told)))


@pytest.fixture
def view(static_page: Callable[..., StaticPage]) -> StaticPage:
    return static_page(part="m", rows=100_000)


def test_a_picture_is_drawn_and_the_next_takes_its_place(view: StaticPage) -> None:
    out = view.output()
    assert {"drawn": 1} in view.sent()
    view.receive(**message(RUNNING))
    bar = out.get_by_role("progressbar", name="Rows done")
    expect(bar).to_have_attribute("aria-valuenow", "36986")
    expect(bar).to_have_attribute("aria-valuemax", "100000")
    expect(bar).to_have_attribute("aria-valuetext", "36,986 of 100,000 rows")
    expect(out.locator(".amber-figure").nth(0)).to_have_text("Rows36,986 of 100,00036 %")
    expect(out.locator(".amber-figure").nth(3)).to_have_text("Time left13 min")
    expect(out.locator(".amber-run-elapsed")).to_have_text("7 min 32 s")
    expect(out.get_by_text("Errors so far")).to_be_hidden()
    assert out.get_by_role("listitem").count() == 5
    view.receive(**message(FAILING))
    expect(bar).to_have_attribute("aria-valuetext", "36,986 of 100,000 rows, 22 failed")
    expect(out.get_by_text("Errors so far")).to_be_visible()
    expect(out.get_by_role("listitem")).to_have_count(8)
    expect(out.locator(".amber-is-error")).to_have_text("36986✗ RateLimitError: 429 Too Many Requests")
    expect(out.locator(".amber-run-note")).to_have_text("waiting 12 s (Retry-After)")
    expect(out.locator(".amber-remarks")).to_contain_text("1,240 rows were there")
    expect(out.locator("[aria-live=polite]")).to_have_text("30 per cent of the rows are done")
    told = message(replace(FAILING, failures=FAILING.failures[:1]))
    del told["newest"]  # those that are there stay
    view.receive(**told)
    expect(out.get_by_role("listitem")).to_have_count(6)
    expect(out.locator(".amber-is-error")).to_have_count(1)


def test_nothing_moves_while_the_numbers_grow(view: StaticPage) -> None:
    """From the first message to the last rows: Stop, the figures and the newest rows stay where they are."""
    measure = """() => [".amber-stop", ".amber-bar", ".amber-figures", ".amber-run-note", ".amber-lines"].map(
        what => { const { left, top, width } = document.querySelector(what).getBoundingClientRect();
                  return [what, left, top, width]; })"""
    places = []
    for progress in (
        MapProgress(title="azure/gpt-5.4", rows=100_000),
        RUNNING,
        FAILING,
        replace(FAILING, ok=99_000, note=""),
    ):
        view.receive(**message(progress))
        view.painted()
        places.append(view.page.evaluate(measure))
    assert places[1:] == places[:-1]


def test_stop_is_said_once(view: StaticPage) -> None:
    view.receive(**message(RUNNING))
    stop = view.output().get_by_role("button", name="Stop this run")
    stop.focus()
    view.page.keyboard.press("Enter")
    stop = view.output().locator(".amber-stop")
    expect(stop).to_have_text("Stopping…")
    stop.evaluate("el => el.click()")
    assert [each for each in view.sent() if "stop" in each] == [{"stop": True}]


def test_a_page_that_comes_late_knows_that_it_stops(view: StaticPage) -> None:
    view.receive(**message(RUNNING), stopping=1)
    expect(view.output().locator(".amber-stop")).to_have_text("Stopping…")


def test_the_summary_takes_the_place_of_the_view(view: StaticPage) -> None:
    view.receive(**message(FAILING))
    view.settle(map_html(DONE))
    expect(view.page.locator(".amber-run")).to_have_count(0)
    expect(view.output().locator(".amber-map")).to_contain_text("done, 22 failed")


def test_the_time_goes_on_while_nothing_comes(static_page: Callable[..., StaticPage]) -> None:
    view = static_page(part="m", rows=100_000, clock=True)
    view.receive(**message(RUNNING))
    view.page.clock.run_for(30_000)
    expect(view.output().locator(".amber-run-elapsed")).to_have_text(re.compile("^8 min [123] s$"))


def test_a_hundred_thousand_rows_make_few_elements(view: StaticPage) -> None:
    """An hour of messages in one go: elements are made once, and drawn once a frame."""
    view.receive(**message(FAILING))
    view.painted()
    view.page.evaluate(
        """told => {
            window.made = 0;
            new MutationObserver(records => {
              for (const { addedNodes } of records) for (const node of addedNodes) made += node.nodeType === 1;
            }).observe(document.querySelector('.amber-run'), { childList: true, subtree: true });
            for (let n = 0; n < 14_400; n++) {
              told.of[0] = n;
              told.newest[0] = [`${n}`, `answer ${n}`, false];
              models[0].receive(told);
            }
        }""",
        message(FAILING),
    )
    expect(view.output().locator(".amber-line-name").first).to_have_text("14399")
    assert view.page.evaluate("made") == 0


def test_no_text_is_markup(view: StaticPage) -> None:
    failure = Failure(reason=HOSTILE, count=3, labels=(HOSTILE,))
    hostile = replace(
        FAILING, newest=((HOSTILE, HOSTILE, True),), failures=(failure,), remarks=(HOSTILE,), note=HOSTILE, cost=HOSTILE
    )
    told = message(hostile)
    raw = {"note": HOSTILE, "newest": [[HOSTILE, HOSTILE, True]], "failures": [[HOSTILE] * 3], "remarks": [HOSTILE]}
    for each in (told, told | raw | {"figures": [[HOSTILE] * 3], "more": HOSTILE}):
        view.receive(**each)
        view.painted()
        assert view.output().locator(".amber-run :is(a, img, script, svg, iframe, style, base)").count() == 0
    view.settle(map_html(replace(hostile, end=HOSTILE, title=HOSTILE, badge=HOSTILE)))
    view.painted()
    assert view.output().locator(".amber-map :not(div, span, b)").count() == 0
    assert view.page.evaluate("window.hit") is None
    assert view.requests == []


# --- readers who see, hear or move otherwise


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["running", "failing"])
def test_axe_finds_nothing_in_the_view(
    static_page: Callable[..., StaticPage], axe: str, artefacts: pathlib.Path, theme: str, name: str
) -> None:
    view = static_page(part="m", theme=theme, rows=100_000, badge="simulated" if name == "failing" else "")
    view.receive(**message({"running": RUNNING, "failing": FAILING}[name]))
    out = view.output()
    expect(out.locator(".amber-figure")).to_have_count(6)
    view.page.wait_for_function("() => document.getAnimations().length === 0")  # the bar has arrived
    view.page.screenshot(
        path=artefacts / f"map-{name}-{theme}.png", clip={"x": 60, "y": 0, "width": 1220, "height": 420}
    )
    judge(view.page, axe, ".amber-run", artefacts / f"axe-map-{name}-{theme}.json")
    for width in (1600, 360):
        view.page.set_viewport_size({"width": max(width + 400, 1280), "height": 900})
        view.page.add_style_tag(content=f".jp-Cell-outputArea {{ max-width: {width}px; }}")
        needed, there = out.locator(".amber-run").evaluate("el => [el.scrollWidth, el.clientWidth]")
        assert needed <= there <= width
        out.screenshot(path=artefacts / f"map-{name}-{theme}-{width}.png")
    view.page.emulate_media(forced_colors="active", reduced_motion="reduce")
    out.screenshot(path=artefacts / f"map-{name}-{theme}-forced.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["done", "early", "snapshot", "simulated"])
def test_axe_finds_nothing_in_the_static_form(
    static_page: Callable[..., StaticPage], axe: str, artefacts: pathlib.Path, theme: str, name: str
) -> None:
    view = static_page(part="m", theme=theme, rows=100_000)
    simulated = replace(DONE, timed=False, badge="simulated", from_ledger=0, remarks=(), failed=0, failures=())
    progress = {"done": DONE, "early": EARLY, "snapshot": FAILING, "simulated": simulated}[name]
    view.settle(map_html(progress))
    out = view.output()
    view.page.screenshot(
        path=artefacts / f"map-{name}-{theme}.png", clip={"x": 60, "y": 0, "width": 1220, "height": 420}
    )
    judge(view.page, axe, ".amber-map", artefacts / f"axe-map-{name}-{theme}.json")
    view.page.set_viewport_size({"width": 1280, "height": 900})
    view.page.add_style_tag(content=".jp-Cell-outputArea { max-width: 360px; }")
    needed, there = out.locator(".amber-map").evaluate("el => [el.scrollWidth, el.clientWidth]")
    assert needed <= there <= 360
    out.screenshot(path=artefacts / f"map-{name}-{theme}-360.png")
