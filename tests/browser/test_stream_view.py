"""The live view in a real JupyterLab: it streams, stops, heals, and runs nothing that a model wrote."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ANSWER = (pathlib.Path(__file__).parent / "answer.md").read_text(encoding="utf-8")

# What a cell needs to show a view that a thread feeds, as the private loop will.
SETUP = """
import threading, time
from IPython.display import display
from amber_nb.show.live import StreamView

ANSWER = {answer}
stopped = threading.Event()
def stream(view, text, *, chunk=4, pause_s=0.005):
    for at in range(0, len(text), chunk):
        if stopped.is_set():
            return
        view.feed(text[at:at + chunk])
        if pause_s:
            time.sleep(pause_s)
def start(view, text, **how):
    display(view)
    thread = threading.Thread(target=stream, args=(view, text), kwargs=how, daemon=True)
    thread.start()
    return thread
"""


def setup(text: str = ANSWER) -> str:
    # As code points, so that no quote or bracket of the text can end the cell's string.
    return SETUP.format(answer=f"bytes.fromhex('{text.encode().hex()}').decode()")


VIEW = 'view = StreamView(model="azure/gpt-5.4", badge="simulated", on_stop=stopped.set)\n'
BLOCK = VIEW + "start(view, ANSWER)\nprint('stopped', stopped.wait(30))"
AWAIT = """
import asyncio
loop = asyncio.get_running_loop()
event = asyncio.Event()
view = StreamView(model="azure/gpt-5.4", on_stop=lambda: loop.call_soon_threadsafe(event.set))
start(view, ANSWER)
await asyncio.wait_for(event.wait(), 30)
stopped.set()
print("stopped", event.is_set())
"""


@pytest.mark.parametrize(("kind", "cell"), [("sync", BLOCK), ("await", AWAIT)])
def test_it_streams_and_stops(notebook: Callable[..., Any], artefacts: pathlib.Path, kind: str, cell: str) -> None:
    book = notebook([setup(), cell])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text h2").first).to_be_visible()
    expect(out.locator(".amber-text table")).to_be_visible()
    expect(out.locator(".amber-facts")).to_have_text(re.compile(r"azure/gpt-5.4 · \d+ s · ~[\d,]+ tokens"))
    book.page.screenshot(path=artefacts / f"stream-{kind}.png")
    out.get_by_role("button", name="Stop this answer").click()
    expect(out.get_by_text("stopped True")).to_be_visible()
    expect(out.locator(".amber-stop")).to_have_text("Stopping…")
    book.finished(1)


SETTLE = """
from amber_nb.show.html import answer_html
view = StreamView(model="azure/gpt-5.4", badge="simulated", on_stop=stopped.set)
handle = display(view, display_id=True)
view.feed(ANSWER)
assert stopped.wait(20)
html = answer_html(ANSWER, badge="simulated", footer="azure/gpt-5.4 · 3 s")
handle.update({"text/html": html, "text/plain": ANSWER}, raw=True)
view.close()
"""


def test_it_settles_in_place_and_the_keyboard_stays_there(
    notebook: Callable[..., Any], artefacts: pathlib.Path
) -> None:
    text = re.sub(r"\$\$?[^$]+\$\$?", "one", ANSWER)  # typeset maths takes more room than its source
    text = text.replace("---\n\nThat", "|no|alignment|\n|-|-|\n|1|2|\n\n---\n\nThat")
    tops = """root => [...root.querySelectorAll('h2, h3, p, li, td, th, pre, blockquote, hr')]
        .filter(el => !el.matches('li > p') && el.textContent !== 'azure/gpt-5.4 · 3 s')
        .map(el => [`${el.tagName} ${getComputedStyle(el).textAlign.replace('start', 'left')}`,
                    el.getBoundingClientRect().top - root.closest('.jp-OutputArea').getBoundingClientRect().top])"""
    book = notebook([setup(text), SETTLE, "# next"])
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-text")).to_contain_text("the very end.")
    live = out.locator(".amber-text").evaluate(tops)
    out.locator(".amber-stop").focus()
    book.page.keyboard.press("Enter")
    expect(out.locator(".amber-answer")).to_have_count(1)
    book.finished(1)
    settled = out.locator(".amber-answer").evaluate(tops)
    book.page.screenshot(path=artefacts / "settled.png")
    assert [kind for kind, _ in live] == [kind for kind, _ in settled]
    moved = [(kind, was, now) for (kind, was), (_, now) in zip(live, settled, strict=True) if abs(was - now) > 1]
    assert not moved
    # The button is gone: its cell has the focus, so that Lab's keys go on working.
    book.page.keyboard.press("ArrowDown")
    expect(book.cell(2)).to_be_focused()


def test_a_deaf_kernel_is_interrupted(notebook: Callable[..., Any]) -> None:
    deaf = BLOCK.replace("start(", "view.hello.set()\nview.comm.handle_msg = lambda msg: None\nstart(")
    book = notebook([setup(), deaf])
    book.run(0, wait=True)
    book.run(1)
    book.output(1).locator(".amber-stop").click()
    expect(book.output(1).get_by_text("KeyboardInterrupt").first).to_be_visible()


def test_two_views_at_once(notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    cell = VIEW + "start(view, 'A ' + ANSWER)\nother = StreamView(model='second', on_stop=stopped.set)\n"
    cell += "start(other, 'B ' + ANSWER, chunk=8).join()\ntime.sleep(1)"
    book = notebook([setup(ANSWER[:1500]), cell])
    book.run(0, wait=True)
    book.run(1)
    views = book.output(1).locator(".amber-view")
    expect(views).to_have_count(2)
    expect(views.nth(0).locator(".amber-text")).to_have_text(re.compile("^A "))
    expect(views.nth(1).locator(".amber-text")).to_have_text(re.compile("^B "))
    book.page.screenshot(path=artefacts / "two-views.png")
    book.finished(1)


def test_late_views_and_gaps(notebook: Callable[..., Any]) -> None:
    # Every third message is lost on the way, and the second view comes late.
    cell = """
post, count = view._feed._send, 0
def lossy(message):
    global count
    count += 1
    if count % 3:
        post(message)
view._feed._send = lossy
start(view, ANSWER)
"""
    book = notebook([setup(), VIEW + cell, "display(view)"])
    book.run(0, wait=True)
    book.run(1, wait=True)
    book.page.wait_for_timeout(1500)
    book.run(2, wait=True)
    for index in (1, 2):
        expect(book.output(index).locator(".amber-text")).to_contain_text("the very end.")
    first, second = (book.output(index).locator(".amber-text").inner_text() for index in (1, 2))
    assert first == second
    assert book.output(1).locator(".amber-text pre").count() == ANSWER.count("\n```") // 2


def test_settling_leaves_nothing_behind(notebook: Callable[..., Any]) -> None:
    cell = """
fired = []
get_ipython().events.register("post_execute", lambda: fired.append(1))
view = StreamView(model="m", on_stop=stopped.set)
handle = display(view, display_id=True)
view.feed("Hello")
assert view.hello.wait(5)
time.sleep(0.3)
handle.update({"text/html": "<p>settled</p>", "text/plain": "settled"}, raw=True)
view.close()
time.sleep(0.2)
print("fired", len(fired), [t.name for t in threading.enumerate() if "amber" in t.name])
"""
    book = notebook([setup(), cell])
    book.run(0, wait=True)
    book.run(1, wait=True)
    expect(book.output(1).get_by_text("settled")).to_be_visible()
    expect(book.output(1).get_by_text("fired 0 []")).to_be_visible()
    expect(book.output(1).locator(".amber-view")).to_have_count(0)


HOSTILE = """
<script>window.hit = 1</script> <img src=x onerror="window.hit = 2"> <svg onload="window.hit = 3">
![pixel](https://evil.example/1.png) ![ref][r] <img src="https://evil.example/2.png">
[a](javascript:window.hit=4) [b](JAVASCRIPT&colon;window.hit=5) [c](data:text/html,<script>hit=6</script>)
[d](&#106;avascript:window.hit=7) [e](java&#x09;script:window.hit=8) <javascript:window.hit=9> [f](vbscript:x)
<style>@import url(https://evil.example/3.css)</style> <base href="https://evil.example/">
<iframe srcdoc="<script>parent.hit=10</script>">
[g](https://x.y/" onmouseover="window.hit=11) <a href="https://evil.example" data-commandlinker-command="x">h</a>
<https://x.y/"onclick="window.hit=12">

| <img src=x onerror=window.hit=13> | `<script>window.hit=14</script>` |
| --- | --- |
| ![t](https://evil.example/4.png) | $\\href{javascript:window.hit=15}{x}$ |

```html
<script>window.hit = 16</script>
```

[r]: https://evil.example/5.png "<img src=x onerror=window.hit=17>"
"""


def test_nothing_a_model_writes_runs_or_is_fetched(notebook: Callable[..., Any], lab: Any) -> None:
    book = notebook([setup(HOSTILE), VIEW + "start(view, ANSWER, chunk=3, pause_s=0).join()\ntime.sleep(1.5)"])
    book.run(0, wait=True)
    book.requests.clear()
    book.run(1, wait=True)
    text = book.output(1).locator(".amber-text")
    expect(text).to_contain_text("window.hit = 16")
    assert book.page.evaluate("window.hit") is None
    ours = (lab.url, lab.url.replace("http", "ws"), "blob:", "data:")
    assert [url for url in book.requests if not url.startswith(ours)] == []
    found = text.evaluate(
        """el => [...el.querySelectorAll('*')].flatMap(
            node => [...node.attributes].map(a => [node.tagName, a.name, a.value]))"""
    )
    allowed = {"class", "href", "title", "target", "rel", "style", "start"}
    assert {name for _, name, _ in found} <= allowed
    assert all(re.match(r"https?://|mailto:", value) for _, name, value in found if name == "href")
    assert not text.locator("img, script, style, svg, iframe, base, link, input").count()
    for link in text.locator("a").all():
        assert link.get_attribute("rel") == "noopener noreferrer"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_looks_like_lab(notebook: Callable[..., Any], artefacts: pathlib.Path, theme: str) -> None:
    cell = VIEW + "start(view, ANSWER, chunk=40).join()\nview.note('waiting 12 s (Retry-After)')\ntime.sleep(3)"
    book = notebook([setup(), cell], theme=f"JupyterLab {theme}")
    book.run(0, wait=True)
    book.run(1)
    expect(book.output(1).locator(".amber-note")).to_have_text("waiting 12 s (Retry-After)")
    book.output(1).screenshot(path=artefacts / f"answer-{theme.lower()}.png")
    book.page.screenshot(path=artefacts / f"page-{theme.lower()}.png")
    colours = "el => [getComputedStyle(el).color, getComputedStyle(el.closest('.jp-Notebook')).backgroundColor]"
    ink, ground = book.output(1).locator(".amber-text p").first.evaluate(colours)
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
    assert (light[0] < light[1]) == (theme == "Light")


# Watches a page: when its text first ended with a word.
WATCH = """word => {
  window.seen = 0;
  const watch = () => {
    const last = [...document.querySelectorAll('.amber-text > div > :last-child')].pop();
    if (!window.seen && last && last.textContent.endsWith(word)) window.seen = Date.now();
    requestAnimationFrame(watch);
  };
  watch();
}"""

# Feeds a view that is up; counts what the kernel publishes for it, and the CPU that the whole process takes.
MEASURED = """
import json
session, sent = get_ipython().kernel.session, []
send = session.send
PARTS = ("header", "parent_header", "metadata", "content")
def counting(stream, kind, content=None, **rest):
    message = send(stream, kind, content, **rest)
    if kind == "comm_msg":
        sent.append(sum(len(session.pack(message[part])) for part in PARTS) + 150)  # and the topic and the signature
    return message
display(view)
assert view.hello.wait(5)
time.sleep(0.5)
session.send = counting
cpu = time.process_time()
stream(view, ANSWER, chunk=CHUNK, pause_s=PAUSE_S)
fed, took = time.time() * 1000, time.process_time() - cpu
time.sleep(WAIT_S)
session.send = send
print(json.dumps(dict(fed=fed, sends=len(sent), bytes=sum(sent), text=len(ANSWER.encode()), cpu_s=took)))
"""


def measure(browser: Any, book: Any, word: str, timeout_s: float = 60) -> dict[str, float]:
    book.run(0, wait=True)
    book.page.evaluate(WATCH, word)
    book.run(1)
    book.output(1).locator(".amber-view").wait_for()  # what Lab does before is not ours
    browser.start_tracing(page=book.page, categories=["toplevel"])
    try:
        book.page.wait_for_function("window.seen", timeout=timeout_s * 1000)
        book.finished(1, timeout_s)
    finally:
        trace = json.loads(browser.stop_tracing())["traceEvents"]
    found: dict[str, float] = json.loads(book.output(1).get_by_text(re.compile(r'^{"fed')).inner_text())
    found["lag_ms"] = round(book.page.evaluate("window.seen") - found.pop("fed"))
    threads = _main_threads(trace)
    tasks = [
        event for event in trace if event["name"].endswith("RunTask") and event["tid"] in threads and "tdur" in event
    ]
    found["tasks"] = len(tasks)
    found["longest_task_ms"] = max(event["dur"] for event in tasks) / 1000
    # A busy machine makes a task longer, but not its share of the processor.
    found["longest_task_cpu_ms"] = max(event["tdur"] for event in tasks) / 1000
    found["page_cpu_ms"] = round(sum(event["tdur"] for event in tasks) / 1000)
    return found


def _main_threads(trace: list[dict[str, Any]]) -> set[int]:
    names = [event for event in trace if event["name"] == "thread_name"]
    return {event["tid"] for event in names if event["args"]["name"] == "CrRendererMain"}


# What this machine takes today to make 5,000 list items and lay them out, in ms; the best of some.
UNIT = """() => {
  const once = () => {
    const began = performance.now(), list = document.createElement('ul');
    list.innerHTML = '<li>an item with <code>code</code> and <strong>bold</strong></li>'.repeat(5000);
    document.body.append(list);
    list.getBoundingClientRect();
    const took = performance.now() - began;
    list.remove();
    return took;
  };
  return Math.min(...Array.from({ length: 7 }, once));
}"""


def test_a_burst_is_shown_at_once(browser: Any, notebook: Callable[..., Any], artefacts: pathlib.Path) -> None:
    """20 kB in 5,000 chunks: in the page 100 ms after the last, tasks of 50 ms CPU, few bytes; slow machines more."""
    text = (ANSWER * 20)[: 20_000 - 9] + "\n\nfinally"
    late = []
    for _ in range(3):  # other work on the machine takes its time on the clock: one quiet run of three is asked for
        book = notebook([setup(text), "CHUNK, PAUSE_S, WAIT_S = 4, 0.0001, 1\n" + VIEW + MEASURED])
        found = measure(browser, book, "finally")
        unit_ms = book.page.evaluate(UNIT)
        (artefacts / "burst.json").write_text(json.dumps(found | {"unit_ms": unit_ms}))
        assert found["longest_task_cpu_ms"] <= max(50, unit_ms / 6)
        assert found["bytes"] <= 4 * found["text"]
        late.append(found["lag_ms"] / max(100, unit_ms / 3))
        if late[-1] <= 1:
            break
    assert min(late) <= 1, late


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prose", r"'A sentence of the longest answer. ' * 6 + '\n\n'"),
        ("line", r"'word ' * 20"),
        ("unbroken", r"'x' * 100"),
        ("list", r"'- an item with `code` and **bold**\n'"),
        ("code", r"'```\n' + 'x = 1  # a line of code\n' * 50_000 + '```\n'"),
        ("table", r"'|a|b|\n|-|-|\n' + '| cell one | cell two |\n' * 500_000"),
    ],
)
def test_a_huge_answer_leaves_the_page_usable(
    browser: Any, notebook: Callable[..., Any], artefacts: pathlib.Path, name: str, text: str
) -> None:
    cell = f"unit = {text}\nANSWER = (unit * (10_000_000 // len(unit) + 1))[:10_000_000] + '\\n```\\n\\nfinally'\n"
    book = notebook([setup(), cell + "CHUNK, PAUSE_S, WAIT_S = 1000, 0.0002, 1\n" + VIEW + MEASURED])
    found = measure(browser, book, "finally")
    kept = book.output(1).locator(".amber-text").evaluate("el => el.textContent.length")
    unit_ms = book.page.evaluate(UNIT)
    (artefacts / f"huge-{name}.json").write_text(json.dumps(found | {"kept": kept, "unit_ms": unit_ms}))
    expect(book.output(1).locator(".amber-earlier")).to_be_visible()
    assert kept <= 130_000
    # In the browser's own time for 5,000 items, measured on the same page: machines differ, and have other work.
    assert found["longest_task_cpu_ms"] <= unit_ms  # 0.2 to 0.5: of reading, and the layout of what is kept
    assert found["page_cpu_ms"] <= 60 * unit_ms  # 8 to 35: a quarter of a million items are made and dropped again
    assert found["lag_ms"] <= 100 * unit_ms  # 0.2 to 27: the same on the clock


LONG = "\n\n".join(f"Paragraph {i} of a long answer." for i in range(600))
PLACE = """() => {
  const page = document.querySelector('.jp-WindowedPanel-outer'), { top, bottom } = page.getBoundingClientRect();
  const box = selector => document.querySelector(selector).getBoundingClientRect();
  return { scrolled: page.scrollTop, height: box('.amber-text').height,
           end: Math.round(box('.amber-status').bottom - bottom), below_top: box('.amber-status').bottom - top };
}"""


def scrollable(notebook: Callable[..., Any], *more: str) -> Any:
    """A notebook with an answer under way that is much longer than the page; the mouse is over it."""
    cell = VIEW + "view.feed(ANSWER[:4000])\nstart(view, ANSWER[4000:], chunk=20, pause_s=0.04)"
    book = notebook([setup(LONG), cell, *more])
    book.run(0, wait=True)
    book.run(1, wait=True)
    expect(book.output(1).locator(".amber-text")).to_contain_text("Paragraph 120")
    book.page.mouse.move(700, 500)
    return book


def test_the_page_stays_where_the_reader_put_it(notebook: Callable[..., Any]) -> None:
    book = scrollable(notebook, *["# below"] * 20)
    mark = book.output(1).get_by_text("Paragraph 3 of")
    mark.scroll_into_view_if_needed()
    book.page.mouse.wheel(0, 60)
    book.page.wait_for_timeout(300)
    before = mark.bounding_box()
    expect(book.output(1).locator(".amber-text")).to_contain_text("Paragraph 160")
    after = mark.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2


def test_it_follows_a_reader_who_is_at_the_end(notebook: Callable[..., Any]) -> None:
    book = scrollable(notebook)
    book.page.mouse.wheel(0, 100_000)
    # Lab leaves a page of room below: the text grows into it, and then the page goes with it.
    book.page.wait_for_function(f"({PLACE})().end < 0")
    book.page.wait_for_function(f"({PLACE})().end >= 0")
    seen = []
    for _ in range(10):
        book.page.wait_for_timeout(100)
        seen.append(book.page.evaluate(PLACE))
    assert all(abs(place["end"]) <= 4 for place in seen), seen
    assert seen[-1]["scrolled"] - seen[0]["scrolled"] > 100, seen

    book.page.mouse.wheel(0, -100)  # one notch
    book.page.wait_for_timeout(400)
    left = book.page.evaluate(PLACE)
    assert left["end"] > 90
    book.page.wait_for_timeout(700)
    later = book.page.evaluate(PLACE)
    assert later["height"] > left["height"] + 50
    assert later["scrolled"] == left["scrolled"]

    book.page.mouse.wheel(0, 100_000)  # and back; no scroller in between takes the wheel for itself
    book.page.wait_for_function(f"({PLACE})().end <= 4")
    book.page.wait_for_function(f"({PLACE})().end >= -4")
    again = book.page.evaluate(PLACE)
    book.page.wait_for_timeout(700)
    then = book.page.evaluate(PLACE)
    assert abs(then["end"]) <= 4
    assert then["scrolled"] > again["scrolled"] + 50


def test_one_notch_up_is_enough_before_the_end_is_left(notebook: Callable[..., Any]) -> None:
    """In Lab's room below the end: the page does not go with the text that grows into it."""
    book = scrollable(notebook)
    book.page.mouse.wheel(0, 100_000)
    book.page.wait_for_function(f"({PLACE})().below_top > 100")
    book.page.mouse.wheel(0, -40)
    book.page.wait_for_timeout(400)
    left = book.page.evaluate(PLACE)
    book.page.wait_for_function(f"({PLACE})().end > 100")
    assert book.page.evaluate(PLACE)["scrolled"] == left["scrolled"]
