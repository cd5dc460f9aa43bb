"""The live view on a page without a kernel: what it shows, follows, survives, says and refuses, for every reader."""

from __future__ import annotations

import io
import itertools
import pathlib
import re
from collections.abc import Callable

import pytest
from accessibility import judge
from answers import ANSWER, CODE, HOSTILE, HUGE, LONG, WIDE
from PIL import Image
from playwright.sync_api import expect
from static_page import StaticPage

from amber_nb.display.answer_html import answer_html
from amber_nb.display.cards import strip_html, strip_items
from amber_nb.types import SentImage

pytestmark = pytest.mark.browser


@pytest.fixture
def view(static_page: Callable[..., StaticPage]) -> StaticPage:
    """A live view in JupyterLab's light theme."""
    return static_page()


# --- what comes is shown


def test_two_views_show_their_own_text_as_it_comes(view: StaticPage, artefacts: pathlib.Path) -> None:
    view.show(title="second", badge="simulated")
    view.stream("A " + ANSWER, size=40, pause_ms=5)
    view.stream("B " + ANSWER, size=80, pause_ms=5, number=1)
    for number, letter in enumerate("AB"):
        text = view.output(number).locator(".amber-text")
        expect(text).to_have_text(re.compile(f"^{letter} "))
        expect(text).to_contain_text("the very end.")
    facts = view.output().locator(".amber-facts")
    expect(facts).to_have_text(re.compile(r"azure/gpt-5.4 · \d+ s · ~[\d,]+ tokens"))
    expect(view.output(1).locator(".amber-badge")).to_have_text("simulated")
    view.page.screenshot(path=artefacts / "two-views.png")


def test_what_is_lost_on_the_way_is_asked_for_again(static_page: Callable[..., StaticPage]) -> None:
    view = static_page(clock=True)
    view.page.clock.run_for(500)  # it has been greeted
    view.page.evaluate("() => { let n = 0; models[0].lost = message => 't' in message && ++n % 3 === 0; }")
    view.burst(ANSWER, size=40)
    view.page.evaluate("() => { models[0].lost = () => false; }")
    view.page.clock.run_for(1_100)  # it asks when a second has gone by, at the next message
    view.receive(e=len(ANSWER))
    view.page.clock.run_for(2_000)
    expect(view.output().locator(".amber-text")).to_contain_text("the very end.")
    assert [message for message in view.sent() if "have" in message]
    # An output that comes late is given everything.
    view.page.evaluate("again(0)")
    view.page.clock.run_for(4_000)
    first, second = (view.output(number).locator(".amber-text").inner_text() for number in (0, 1))
    assert first == second
    assert view.output().locator(".amber-text pre").count() == ANSWER.count("\n```") // 2


def test_what_adds_no_text_is_noted_until_text_comes(view: StaticPage) -> None:
    note = view.output().locator(".amber-note")
    view.receive(e=0, n="thinking")
    expect(note).to_have_text("thinking")
    view.feed("Well, ")
    expect(note).to_have_text("")


def test_stop_is_said_once_and_insisted_on(static_page: Callable[..., StaticPage]) -> None:
    """A kernel that does not hear is interrupted after a second; one that heard, only if the reader insists."""
    view = static_page(clock=True)
    view.page.evaluate("() => { models[0].hears = false; }")
    stop = view.output().locator(".amber-stop")
    for _ in range(3):
        stop.evaluate("el => el.click()")  # Playwright's own waits for a button that is not disabled
    assert [message for message in view.sent() if "stop" in message] == [{"stop": True}]
    expect(stop).to_have_text("Stopping…")
    view.page.clock.run_for(900)
    assert view.page.evaluate("models[0].interrupts") == 0
    view.page.clock.run_for(200)
    assert view.page.evaluate("models[0].interrupts") == 1
    view.show()
    stop = view.output(1).locator(".amber-stop")
    stop.evaluate("el => el.click()")
    view.page.clock.run_for(4_000)
    assert view.page.evaluate("models[1].interrupts") == 1
    view.page.clock.run_for(2_000)
    expect(stop).to_have_text("Interrupt kernel")
    stop.evaluate("el => el.click()")
    assert view.page.evaluate("models[1].interrupts") == 2


def test_stop_is_heard_though_the_button_moves_away(view: StaticPage) -> None:
    """It stands under the text: between down and up of a reader's mouse, a line comes in."""
    stop, mouse = view.output().locator(".amber-stop"), view.page.mouse
    view.feed("A line.\n\n" * 5)
    view.painted()
    box = stop.bounding_box()
    mouse.move(box["x"] + 9, box["y"] + 9)
    mouse.down()
    view.feed("Another line.\n\n" * 5)
    view.page.wait_for_function(
        "y => document.querySelector('.amber-stop').getBoundingClientRect().y > y + 20", arg=box["y"]
    )
    mouse.up()
    assert [message for message in view.sent() if "stop" in message] == [{"stop": True}]


# --- much at once


# Counts what a text makes the page do: elements made, and how far it was behind at its longest.
COUNT = """() => {
  window.made = 0;
  new MutationObserver(records => {
    for (const { addedNodes } of records)
      for (const node of addedNodes) made += 1 + (node.nodeType === 1 ? node.querySelectorAll('*').length : 0);
  }).observe(document.querySelector('.amber-text'), { childList: true, subtree: true });
}"""


def test_a_burst_makes_each_element_about_once(view: StaticPage) -> None:
    """20 kB in 5,000 chunks: the painter does not begin anew with each of them."""
    text = (ANSWER * 20)[: 20_000 - 9] + "\n\nfinally"
    view.page.evaluate(COUNT)
    view.burst(text, size=4)
    expect(view.output().locator(".amber-text")).to_contain_text("finally")
    view.painted()
    there = view.output().locator(".amber-text *").count()
    assert there > 500
    assert view.page.evaluate("made") <= 4 * there


SIZES = [pytest.param(600_000, id="600 kB"), pytest.param(10_000_000, id="10 MB", marks=pytest.mark.slow)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_answer_leaves_the_page_usable(view: StaticPage, name: str, size: int) -> None:
    """What is far up is taken away while it streams; what is kept, and what is made, stays small."""
    unit = HUGE[name]
    text = (unit * (size // len(unit) + 1))[:size] + "\n```\n\nfinally"
    view.page.evaluate(COUNT)
    view.page.evaluate(
        """async text => {
            for (let at = 0; at < text.length; at += 100_000) {
              models[0].feed(text.slice(at, at + 100_000));
              await new Promise(done => setTimeout(done, 0));
            }
        }""",
        text,
    )
    last = (
        "() => [...document.querySelectorAll('.amber-text > div > :last-child')].pop()?.textContent.endsWith('finally')"
    )
    view.page.wait_for_function(last, timeout=90_000)
    expect(view.output().locator(".amber-earlier")).to_be_visible()
    kept = view.output().locator(".amber-text").evaluate("el => el.textContent.length")
    assert kept <= 130_000
    assert view.page.evaluate("made") <= size / 4
    view.output().locator(".amber-stop").click()  # and it answers
    assert view.sent()[-1] == {"stop": True}


# --- where the reader is


PLACE = """() => {
  const page = document.querySelector('.jp-WindowedPanel-outer'), { top, bottom } = page.getBoundingClientRect();
  const box = selector => document.querySelector(selector).getBoundingClientRect();
  return { scrolled: page.scrollTop, height: box('.amber-text').height,
           end: Math.round(box('.amber-view').bottom - bottom), below_top: box('.amber-view').bottom - top };
}"""


@pytest.fixture
def long_view(view: StaticPage) -> StaticPage:
    """An answer under way that is much longer than the page; the mouse is over it."""
    view.feed(LONG[:4_000])
    expect(view.output().locator(".amber-text")).to_contain_text("Paragraph 120")
    view.page.mouse.move(700, 500)
    return view


def grow(view: StaticPage, paragraphs: int) -> None:
    """Let the answer grow by so many paragraphs, and wait until they are on the page."""
    number = view.page.evaluate("window.grown = (window.grown ?? 0) + 1")
    view.feed("".join(f"\n\nParagraph {number}.{n} that has come meanwhile." for n in range(paragraphs)))
    expect(view.output().locator(".amber-text")).to_contain_text(f"Paragraph {number}.{paragraphs - 1} ")
    view.painted()


def scroll(view: StaticPage, by: int) -> None:
    """Turn the mouse's wheel, and wait until the page stands still."""
    view.page.mouse.wheel(0, by)
    view.page.evaluate("""async () => {
      const page = document.querySelector('.jp-WindowedPanel-outer');
      const frame = () => new Promise(done => requestAnimationFrame(done));
      for (let at = NaN, still = 0; still < 5; await frame()) {
        still = page.scrollTop === at ? still + 1 : 0;
        at = page.scrollTop;
      }
    }""")


def test_the_page_stays_where_the_reader_put_it(long_view: StaticPage) -> None:
    mark = long_view.output().get_by_text("Paragraph 3 of")
    mark.scroll_into_view_if_needed()
    scroll(long_view, 60)
    before = mark.bounding_box()
    grow(long_view, 40)
    after = mark.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2


def test_it_follows_a_reader_who_is_at_the_end(long_view: StaticPage) -> None:
    view = long_view
    scroll(view, 100_000)
    while view.page.evaluate(PLACE)["end"] < 0:  # it grows into the room below, and then the page goes with it
        grow(view, 5)
    first = view.page.evaluate(PLACE)
    for _ in range(5):
        grow(view, 3)
        assert abs(view.page.evaluate(PLACE)["end"]) <= 4
    assert view.page.evaluate(PLACE)["scrolled"] - first["scrolled"] > 100

    scroll(view, -100)  # one notch
    left = view.page.evaluate(PLACE)
    assert left["end"] > 90
    grow(view, 5)
    later = view.page.evaluate(PLACE)
    assert later["height"] > left["height"] + 50
    assert later["scrolled"] == left["scrolled"]

    scroll(view, 100_000)  # and back
    while view.page.evaluate(PLACE)["end"] < 0:
        grow(view, 5)
    again = view.page.evaluate(PLACE)
    grow(view, 5)
    then = view.page.evaluate(PLACE)
    assert abs(then["end"]) <= 4
    assert then["scrolled"] > again["scrolled"] + 50


def test_one_notch_up_is_enough_before_the_end_is_left(long_view: StaticPage) -> None:
    """In the room below the end: the page does not go with the text that grows into it."""
    view = long_view
    scroll(view, 100_000)
    assert view.page.evaluate(PLACE)["end"] < 0
    scroll(view, -40)
    left = view.page.evaluate(PLACE)
    while view.page.evaluate(PLACE)["end"] <= 100:
        grow(view, 10)
    assert view.page.evaluate(PLACE)["scrolled"] == left["scrolled"]


# --- what a model writes is text


def test_nothing_a_model_writes_runs_or_is_fetched(view: StaticPage) -> None:
    view.stream(HOSTILE, size=3, pause_ms=1)
    text = view.output().locator(".amber-text")
    expect(text).to_contain_text("window.hit = 16")
    view.painted()
    assert view.page.evaluate("window.hit") is None
    assert view.requests == []
    found = text.evaluate(
        """el => [...el.querySelectorAll('*:not(.amber-copy)')].flatMap(
            node => [...node.attributes].map(a => [node.tagName, a.name, a.value]))"""
    )
    allowed = {"class", "dir", "href", "title", "target", "rel", "style", "start"}
    assert {name for _, name, _ in found} <= allowed
    assert all(re.match(r"https?://|mailto:", value) for _, name, value in found if name == "href")
    assert {value for _, name, value in found if name == "dir"} == {"auto"}
    assert not text.locator("img, script, style, svg, iframe, base, link, input").count()
    links = text.locator("a").evaluate_all("links => links.map(link => link.rel)")
    assert links
    assert set(links) == {"noopener noreferrer"}


# --- the images that were sent


def sent_image(number: int) -> SentImage:
    out = io.BytesIO()
    Image.new("RGB", (160, 60 + 10 * number), (40 * number % 256, 120, 90)).save(out, "WEBP")
    name = "a long name without any end " * 3 + ".png" if number == 3 else f"cost $5 and $10 {number}.png"
    return SentImage(
        name=name, original_size=(3000, 2000), size=(1500, 1000), format="PNG", n_bytes=81_000, tokens=1_100,
        thumbnail=out.getvalue() if number % 5 else b"",
    )  # fmt: skip


BOXES = """root => {
  const origin = root.closest('.jp-OutputArea').getBoundingClientRect();
  return [...root.querySelectorAll('.amber-images > div, .amber-images img, p')].map(el => {
    const { x, y, width, height } = el.getBoundingClientRect();
    return [el.tagName, x - origin.x, y - origin.y, width, height];
  });
}"""


def test_the_images_stay_in_their_place_when_the_answer_settles(
    static_page: Callable[..., StaticPage], artefacts: pathlib.Path
) -> None:
    images = [sent_image(number) for number in range(14)]
    text = "What is seen.\n\nThe very end."
    view = static_page(badge="simulated", strip=[list(item) for item in strip_items(images)])
    view.feed(text)
    expect(view.output().locator(".amber-text")).to_contain_text("The very end.")
    decoded = "() => [...document.querySelectorAll('.amber-images img')].every(one => one.complete && one.naturalWidth)"
    view.page.wait_for_function(decoded)
    live = view.output().evaluate(BOXES)
    view.output().screenshot(path=artefacts / "strip-live.png")
    view.settle(answer_html(text, badge="simulated", head=strip_html(images), footer="m · 3 s"))
    view.page.wait_for_function(decoded)
    settled = view.output().evaluate(BOXES)
    view.output().screenshot(path=artefacts / "strip-settled.png")
    assert len(live) == 13 + 9 + 2
    assert [box[0] for box in live] == [box[0] for box in settled]
    moved = [
        (was, now)
        for was, now in zip(live, settled, strict=True)
        if any(abs(one - other) > 2 for one, other in zip(was[1:], now[1:], strict=True))
    ]
    assert not moved


# --- readers who see, hear or move otherwise


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_view(
    static_page: Callable[..., StaticPage], axe: str, artefacts: pathlib.Path, theme: str
) -> None:
    view = static_page(theme=theme, badge="simulated")
    view.feed(WIDE + CODE + ANSWER)
    view.receive(n="waiting 12 s (Retry-After)")
    expect(view.output().locator(".amber-text")).to_contain_text("the very end")
    view.page.screenshot(path=artefacts / f"view-{theme}.png")
    colours = "el => [getComputedStyle(el).color, getComputedStyle(el.closest('.jp-Notebook')).backgroundColor]"
    ink, ground = view.output().locator(".amber-text p").first.evaluate(colours)
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
    assert (light[0] < light[1]) == (theme == "light")
    judge(view.page, axe, ".amber-view", artefacts / f"axe-live-{theme}.json", width=4_000)
    view.output().locator(".amber-stop").click()  # its quiet colours count as well
    expect(view.output().locator(".amber-stop")).to_have_text("Stopping…")
    judge(view.page, axe, ".amber-view", artefacts / f"axe-stopping-{theme}.json", width=4_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_settled_answer(
    static_page: Callable[..., StaticPage], axe: str, artefacts: pathlib.Path, theme: str
) -> None:
    view = static_page(theme=theme)
    calls = [("look_up", '{"place": "Aachen", "days": 3}')]
    facts = {"badge": "simulated", "notice": "stopped by you", "footer": "azure/gpt-5.4 · 412 tokens · 3.1 s"}
    reasoning = "Think **twice**, then `answer`."
    html = answer_html(WIDE + CODE + ANSWER, reasoning=reasoning, tool_calls=calls, **facts)
    view.settle(html + answer_html("", refusal="I cannot help with that."))
    for summary in view.page.locator("summary").all():
        summary.click()
    view.page.screenshot(path=artefacts / f"settled-{theme}.png")
    judge(view.page, axe, ".amber-answer", artefacts / f"axe-settled-{theme}.json", width=4_000)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_stop_by_keyboard(view: StaticPage, key: str) -> None:
    view.feed("Some [link](https://example.org/) and ")
    stop = view.output().locator(".amber-stop")
    for _ in range(4):  # the cell and the link come first
        view.page.keyboard.press("Tab")
        if view.output().locator(".amber-stop:focus").count():
            break
    expect(stop).to_be_focused()
    view.feed("more text, which takes nothing away.\n\n" * 20)
    view.painted()
    expect(stop).to_be_focused()
    view.page.evaluate(
        "() => { window.keys = []; document.addEventListener('keydown', event => keys.push(event.key)); }"
    )
    view.page.keyboard.press(key)
    assert view.page.evaluate("keys") == []  # Lab, which would run the cell, does not see it
    assert view.sent()[-1] == {"stop": True}
    expect(stop).to_be_focused()
    view.settle("<p>Settled</p>")
    # The button is gone: its cell has the focus, so that Lab's keys go on working.
    expect(view.page.locator(".jp-Cell")).to_be_focused()


def test_a_screen_reader_is_told_sentences_now_and_then(static_page: Callable[..., StaticPage]) -> None:
    view = static_page(clock=True)
    spoken = view.output().locator(".amber-spoken")
    expect(spoken).to_have_attribute("aria-live", "polite")
    spoken.evaluate("""el => {
      window.said = [];
      const hear = () => window.said.push([performance.now(), el.textContent]);
      new MutationObserver(hear).observe(el, { childList: true, characterData: true, subtree: true });
    }""")
    log = view.output().get_by_role("log", name="Answer, still being written")
    # It changes at every word: said by itself, it would drown everything else.
    expect(log).to_have_attribute("aria-live", "off")
    expect(log).to_have_attribute("aria-busy", "true")
    for second in range(20):
        view.feed("".join(f"This is sentence {20 * second + i} of **many**. " for i in range(20)))
        view.page.clock.run_for(1_000)
    said = view.page.evaluate("said")
    assert len(said) >= 3
    assert all(later[0] - sooner[0] > 3500 for sooner, later in itertools.pairwise(said)), said
    for _, words in said:
        assert re.fullmatch(r"(This is sentence \d+ of many\. ?)+", words), said
        assert len(words) <= 500
    numbers = [int(number) for _, words in said for number in re.findall(r"\d+", words)]
    assert numbers == sorted(set(numbers))  # none is said twice


def test_a_narrow_page(view: StaticPage, artefacts: pathlib.Path) -> None:
    """Nothing but a wide table goes beyond 360 px of output, and the keyboard can scroll that."""
    view.page.add_style_tag(content=".jp-Cell-outputArea { max-width: 360px; }")
    view.feed(WIDE + "\n" + "x" * 500 + "\n\n```python\n" + "value = 1  # " * 30 + "\n```\n\n" + ANSWER)
    view.receive(n="waiting 12 s (Retry-After)")
    out = view.output()
    expect(out.locator(".amber-text")).to_contain_text("the very end")
    widths = "el => [el.getBoundingClientRect().width, el.scrollWidth, el.clientWidth]"
    width, needed, there = out.locator(".amber-view").evaluate(widths)
    assert 300 < width <= 360
    assert needed <= there
    wide, small = (out.locator(".amber-wide").nth(n) for n in range(2))
    expect(wide).to_have_attribute("tabindex", "0")
    assert small.get_attribute("tabindex") is None
    assert wide.locator("th").first.bounding_box()["height"] < 60  # words stay whole
    out.screenshot(path=artefacts / "narrow.png")
    wide.focus()
    view.page.keyboard.press("ArrowRight")
    view.page.wait_for_function("() => document.querySelector('.amber-wide').scrollLeft > 0")


def test_what_the_reader_has_asked_of_the_system(view: StaticPage, artefacts: pathlib.Path) -> None:
    view.feed(ANSWER)
    page, out = view.page, view.output()
    caret = out.locator(".amber-caret")
    expect(caret).to_be_visible()
    style = "(el, name) => getComputedStyle(el, '::after')[name]"
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.amber-caret'), '::after').animationName === 'amber-blink'"
    )
    page.emulate_media(reduced_motion="reduce")
    assert caret.evaluate(style, "animationName") == "none"
    page.emulate_media(forced_colors="active")
    canvas = out.evaluate("el => getComputedStyle(el.closest('.jp-Notebook')).backgroundColor")
    assert caret.evaluate(style, "backgroundColor") != canvas
    out.locator(".amber-stop").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")  # a ring is for the keyboard
    ring = "el => [getComputedStyle(el).outlineStyle, getComputedStyle(el).outlineWidth]"
    assert out.locator(".amber-stop").evaluate(ring) == ["solid", "2px"]
    out.screenshot(path=artefacts / "forced-colours.png")
    page.emulate_media(forced_colors="none")
    out.screenshot(path=artefacts / "focus.png")
