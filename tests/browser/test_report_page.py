"""The drift report in Chromium: nothing in it runs or is fetched, axe finds nothing, it fits every width."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from accessibility import RUN_AXE
from playwright.sync_api import expect

from amber_nb.testing.drift import ReplySummary, Row, default_comparator, judge, parse_comparator
from amber_nb.testing.report import write_report

pytestmark = pytest.mark.browser

CORPUS = [item["text"] for item in json.loads((Path(__file__).parents[1] / "display/hostile.json").read_text("utf-8"))]
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"
ANSWER = """The method fits a **curve** to the series, see https://example.org/docs.

1. Load the data into a frame with `ds` and `y`
2. Fit the model

| Model | Error |
| :--- | ---: |
| Prophet | 4.2 % |

```python
def forecast(frame: pd.DataFrame, days: int = 30) -> "frame":
    return Prophet(seasonal=True).fit(frame).predict(days)  # the default
```
"""
SAID = ReplySummary(
    text=ANSWER,
    model="azure/gpt-5.4",
    finish_reason="stop",
    prompt_tokens=30,
    completion_tokens=120,
    first_token_s=0.3,
    total_s=1.5,
)
OTHER = replace(SAID, text=ANSWER.replace("4.2", "4.4").replace("Fit the model", "Evaluate " * 30), total_s=2.5)
CALLS = replace(SAID, text="", tool_calls=(("weather", '{"city": "Aachen", "days": 3}'),))
COOLER = replace(CALLS, tool_calls=(("weather", '{"city": "Köln", "days": 3}'),))


def row(
    cell, recorded, runs, how="", notebook="notebooks/01_first_steps.ipynb", prompt="How do I forecast daily sales?"
):
    chosen = parse_comparator(how) if how else default_comparator(recorded)
    verdict = judge(recorded, runs, chosen)
    facts = {"notebook": notebook, "cell": cell, "call": 1, "prompt": prompt, "how": str(chosen)}
    return Row(**facts, verdict=verdict, recorded=recorded, runs=tuple(runs))


ROWS = [
    row(1, SAID, [SAID]),
    row(2, SAID, [OTHER], "similar:0.95"),
    row(3, CALLS, [COOLER]),
    row(4, SAID, [SAID, OTHER, SAID], "exact"),
    row(5, replace(SAID, text='{"a": 1}'), [replace(SAID, text='{"a": 2}')]),
    row(6, SAID, [replace(SAID, text="", error="RateLimitError: Error code: 429 - " + "x" * 300)]),
    row(7, SAID, [replace(SAID, text="", refusal="I cannot help with that.")]),
    row(8, SAID, []),
    row(9, None, [SAID]),
    row(1, SAID, [SAID], notebook="notebooks/02_all_the_same.ipynb"),
]


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a report: `opened(rows, width=…, color_scheme=…)` → its page, and what it did that it must not do."""
    contexts = []

    def open_report(rows, width=1280, **options):
        path, _ = write_report(tmp_path / "drift.html", rows, title="Drift", subtitle="24 November 2026")
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page, alarms = context.new_page(), []
        page.on("dialog", lambda dialog: (alarms.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("popup", lambda popup: alarms.append(f"popup: {popup.url}"))
        page.on("console", lambda message: alarms.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: alarms.append(f"error: {error}"))
        page.on("request", lambda sent: alarms.append(f"request: {sent.url}"))
        page.goto(path.as_uri())
        assert alarms.pop(0) == f"request: {path.as_uri()}"
        return page, alarms

    yield open_report
    for context in contexts:
        context.close()


def everywhere(number, text):
    calls = ((text, text), (text, json.dumps({text: text})))
    said = ReplySummary(text=text, tool_calls=calls, refusal=text, finish_reason=text, model=text, error=text)
    plain = ReplySummary(text=text[::2] + "\n" + text)
    return row(number, said, [plain, said], notebook=text[:40], prompt=text)


def test_a_hostile_report_does_nothing(opened):
    page, alarms = opened([everywhere(number, text) for number, text in enumerate(CORPUS, 1)])
    page.evaluate(OPEN_ALL)
    assert page.locator("tbody.row").count() == len(CORPUS)
    assert page.locator(".amber-answer").count() >= 2 * len(CORPUS) - 20
    page.mouse.move(400, 400)
    page.mouse.wheel(0, 50_000)
    page.keyboard.press("Tab")
    page.evaluate("() => new Promise(done => requestIdleCallback(done, { timeout: 1000 }))")  # what could run has run
    assert page.evaluate("window.pwned") is None
    strange = "script, img, iframe, object, embed, link, base, form, svg, math, video, audio, [onclick], [onerror]"
    assert page.locator(strange).count() == 0
    assert alarms == []


def test_the_policy_would_stop_what_slipped_through(opened, tmp_path):
    page, alarms = opened(ROWS)
    path = tmp_path / "drift.html"
    slipped = "<script>window.pwned=1</script><img src='https://evil.example/a.png' onerror='window.pwned=2'>"
    path.write_text(path.read_text("utf-8").replace("<main>", f"<main>{slipped}"), "utf-8")
    page.goto(path.as_uri())
    page.evaluate("() => new Promise(done => requestIdleCallback(done, { timeout: 1000 }))")
    assert page.evaluate("window.pwned") is None
    assert sum("Content Security Policy" in alarm for alarm in alarms) >= 2


@pytest.mark.parametrize(("scheme", "width"), [("light", 1600), ("dark", 360)])
def test_axe_and_the_width(opened, axe, artefacts, scheme, width):
    page, alarms = opened(ROWS, width, color_scheme=scheme)
    page.screenshot(path=artefacts / f"report-{scheme}-{width}.png", full_page=True)
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = "[...document.querySelectorAll('.diff, .rows')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
    assert page.evaluate(cut) == 0
    page.evaluate(axe)
    found = page.evaluate(RUN_AXE, "html")
    (artefacts / f"axe-report-{scheme}-{width}.json").write_text(json.dumps(found, indent=2))
    assert found["contrast"] >= 100
    assert found["violations"] == []
    # A lone sign is no text to axe; it has the colour of the word beside it.
    unsure = [line for line in found["unsure"] if line.startswith("color-contrast")]
    assert not [line for line in unsure if "only non-text characters" not in line]
    assert alarms == []


def test_what_is_the_same_can_be_put_away(opened):
    page, _ = opened(ROWS)
    expect(page.locator("tbody.row:visible")).to_have_count(len(ROWS))
    page.get_by_label("Show only what is not the same").press("Space")
    expect(page.locator("tbody.row:visible")).to_have_count(len(ROWS) - 2)
    expect(page.get_by_role("heading", name="02_all_the_same")).to_be_hidden()
    page.get_by_role("link", name="To the first that is not the same").press("Enter")
    assert page.url.endswith("#row-2")


def test_it_is_a_table_for_those_who_hear_it(opened):
    page, _ = opened(ROWS, 360)
    table = page.get_by_role("table").first
    expect(table.get_by_role("columnheader", name="Verdict").first).to_be_visible()
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("banner")).to_have_count(1)
    expect(page.get_by_role("row", name="How do I forecast").first.get_by_role("rowheader")).to_have_text("1 · 1")
