"""The static form of a run over a table: its figures in words, and that no text in it does anything."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import allowed
import pytest

from amber_nb.display.map_progress import (
    Failure,
    MapProgress,
    clean_line,
    figures,
    format_duration,
    format_rate,
    map_html,
    map_text,
    page_message,
    running_html,
    summary_line,
)

CORPUS = [item["text"] for item in json.loads((Path(__file__).parent / "hostile.json").read_text())]
RUNNING = MapProgress(
    title="azure/gpt-5.4",
    rows=100_000,
    ok=12_300,
    failed=37,
    skipped=3,
    from_ledger=1_240,
    requests=11_100,
    in_flight=64,
    elapsed_s=152.0,
    rows_per_s=82.4,
    left_s=1_064.0,
    prompt_tokens=1_000_000,
    completion_tokens=204_331,
    cached_tokens=410_000,
    cost="1.2040 USD (list price)",
    projected_cost="9.7600 USD",
    note="waiting 12 s (Retry-After)",
    newest=(("12340", "positive", False), ("12339", "APITimeoutError: no answer", True)),
    failures=(Failure(reason="APITimeoutError: no answer", count=37, labels=("5", "9", "12")),),
    remarks=("goes on from the ledger: 1,240 rows were there",),
)
ENDED = replace(RUNNING, ok=99_960, failed=37, skipped=3, end="", rows_per_s=80.0, elapsed_s=1_250.0, newest=())


ATTRIBUTES = {"class": re.compile(r"amber-map|amber-hook amber-live-[0-9a-f]{32}"), "dir": re.compile("auto")}


class MapReader(allowed.Reader):
    """Fails on what the HTML of a run does not need."""

    tags = frozenset({"div", "span", "b"})
    attributes = ATTRIBUTES
    properties = allowed.PROPERTIES | {
        "background-color": re.compile(r"#[\da-f]{6}|rgba\(128,128,128,\.3\)"),
        "float": re.compile("left"),
        "height": re.compile("6px"),
        "width": re.compile(r"\d{1,3}\.\d%"),
        "margin": re.compile(r"[\d. empx]+"),
        "min-width": re.compile(r"[36]em"),
        "overflow": re.compile("hidden"),
        "overflow-wrap": re.compile("break-word"),
        "line-height": re.compile(r"1\.4"),
        "vertical-align": re.compile("top"),
        "text-align": re.compile("right"),
    }


def read(html: str) -> MapReader:
    reader = MapReader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    assert not allowed.BIDI.search(html)
    assert len(html.encode()) <= 20_000
    return reader


def text_of(html: str) -> str:
    return "".join(read(html).text)


# --- figures


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.83, "0.8 s"), (-1, "0.0 s"), (float("nan"), "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"),
        (192, "3 min 12 s"), (3_600, "1 h"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1_204.4, "1,204 rows/s"), (82.4, "82 rows/s"), (9.96, "10 rows/s"), (3.42, "3.4 rows/s"),
        (0.4, "24 rows/min"), (0.05, "3.0 rows/min"), (0.0034, "12 rows/h"), (0, "0 rows/h"),
    ],
)  # fmt: skip
def test_rates(rate: float, words: str) -> None:
    assert format_rate(rate) == words


@pytest.mark.parametrize(
    ("left_s", "words"),
    [(0.0, "1 s"), (44.2, "45 s"), (60, "1 min"), (1_064, "18 min"), (5_400, "1 h 30 min"), (7_201, "2 h 5 min")],
)
def test_the_time_left_is_never_too_short(left_s: float, words: str) -> None:
    assert {label: value for label, value, _ in figures(replace(RUNNING, left_s=left_s))}["Time left"] == words


def test_the_figures_of_a_run_that_goes_on() -> None:
    assert figures(RUNNING) == [
        ("Rows", "12,340 of 100,000", "1,240 from the ledger"),
        ("Failed", "37", "3 skipped"),
        ("Speed", "82 rows/s", "64 in flight"),
        ("Time left", "18 min", ""),
        ("Tokens", "1,204,331", "41 % of the input cached"),
        ("Cost (list price)", "1.2040 USD", "9.7600 USD projected"),
    ]
    assert summary_line(RUNNING) == (
        "12,340 of 100,000 rows · 82 rows/s · 18 min left · 37 failed · 1.2040 USD (list price)"
        " · waiting 12 s (Retry-After)"
    )


def test_the_same_figures_stand_in_the_same_places_while_it_runs() -> None:
    first = MapProgress(title="m", rows=10)
    labels = [label.removesuffix(" (list price)") for label, _, _ in figures(RUNNING)]
    assert [label for label, _, _ in figures(first)] == labels
    assert [value for _, value, _ in figures(first)] == ["0 of 10", "0", "–", "–", "0", "–"]


@pytest.mark.parametrize(
    ("done", "words"), [(0, "0 %"), (999, "99 %"), (1_000, "100 %")]
)  # never 100 % before the last row
def test_the_share_is_rounded_down(done: int, words: str) -> None:
    assert figures(MapProgress(title="m", rows=1_000, ok=done))[0][2] == words


@pytest.mark.parametrize(
    ("tokens", "cost", "words"),
    [(0, None, "–"), (5, None, "unknown"), (5, "0.01 USD", "0.01 USD"), (0, "0 USD", "0 USD")],
)
def test_an_unknown_cost_is_not_nothing(tokens: int, cost: str | None, words: str) -> None:
    progress = MapProgress(title="m", rows=1, prompt_tokens=tokens, cost=cost, end="")
    assert figures(progress)[-1][1] == words
    assert ("cost unknown" in map_text(progress)) == (words == "unknown")


# --- text


def test_the_text_of_a_run_that_has_ended() -> None:
    assert map_text(ENDED) == (
        "azure/gpt-5.4: 100,000 of 100,000 rows · 37 failed · 3 skipped · 1,240 from the ledger\n"
        "11,100 requests · 1,204,331 tokens (41 % of the input cached) · 1.2040 USD (list price) · took 20 min 50 s"
        " · 80 rows/s\n"
        "  37 × APITimeoutError: no answer (rows 5, 9, 12 …)\n"
        "goes on from the ledger: 1,240 rows were there"
    )


def test_a_simulated_run_looks_the_same_each_time() -> None:
    one = replace(ENDED, timed=False, badge="simulated")
    other = replace(one, elapsed_s=3.0, rows_per_s=None, left_s=2.0, in_flight=3)
    assert map_text(one) == map_text(other)
    assert map_html(one) == map_html(other)
    assert map_text(one).startswith("azure/gpt-5.4 [simulated]: ")
    running = [replace(progress, end=None, in_flight=0, note="") for progress in (one, other)]
    assert map_html(running[0]) == map_html(running[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "done, 37 failed"),
        ({"failed": 0, "failures": ()}, "done"),
        ({"end": "stopped by you"}, "ended early: stopped by you"),
        ({"end": None}, "still running when this was saved"),
        ({"from_ledger": 100_000}, "done, all from the ledger"),
    ],
)
def test_how_it_ended(change: dict, words: str) -> None:
    assert f"azure/gpt-5.4 · {words}Rows" in text_of(map_html(replace(ENDED, **change)))


def test_early_and_unfinished_ends_are_in_the_text() -> None:
    assert map_text(replace(ENDED, end="the budget is spent")).endswith("\nended early: the budget is spent")
    assert map_text(RUNNING).endswith("\n[still running when this was saved]")


def test_newest_rows_are_shown_while_it_runs_only() -> None:
    assert "positive" in text_of(map_html(RUNNING))
    assert "positive" not in text_of(map_html(replace(RUNNING, end="")))


def test_rare_errors_are_counted() -> None:
    failures = tuple(Failure(reason=f"E{n}", count=20 - n, labels=("a",)) for n in range(10))
    shown = text_of(map_html(replace(ENDED, failures=failures)))
    assert "E5" in shown
    assert "E6" not in shown
    assert "and 50 rows with 4 more errors" in shown
    assert "and 50 rows with 4 more errors" in map_text(replace(ENDED, failures=failures))


@pytest.mark.parametrize(
    ("ok", "failed", "widths"),
    [(0, 0, []), (50, 0, ["50.0"]), (99, 1, ["99.0", "1.0"]), (99_999, 1, ["100.0", "0.5"]), (500, 0, ["100.0"])],
)
def test_the_bar(ok: int, failed: int, widths: list[str]) -> None:
    rows = 100_000 if ok == 99_999 else 100
    html = map_html(MapProgress(title="m", rows=rows, ok=ok, failed=failed))
    assert re.findall(r"width:([\d.]+)%", html) == widths


def test_a_table_without_rows() -> None:
    progress = MapProgress(title="m", end="", timed=False)
    assert "0 of 0" in text_of(map_html(progress))
    assert map_text(progress) == "m: 0 of 0 rows\n0 requests"


# --- whatever the texts hold


def hostile(text: str, end: str | None) -> MapProgress:
    failure = Failure(reason=text, count=3, labels=(text,) * 9)
    return MapProgress(
        title=text,
        badge=text,
        rows=9,
        prompt_tokens=9,
        cost=text,
        projected_cost=text,
        note=text,
        newest=((text, text, True),) * 9,
        failures=(failure,) * 9,
        remarks=(text,) * 9,
        end=end,
    )


LONG = [
    "$" * 100_000,
    "🙂" * 100_000,
    "\u202e" * 100_000,
    "&<>" * 50_000,
    "\ud800" * 9_999,
    "\n" * 99_999 + "x",
    "א" * 9_999,
]


@pytest.mark.parametrize("end", [None, "", "x"])
def test_nothing_that_a_text_says_is_markup(end: str | None) -> None:
    for text in [*CORPUS, *LONG]:
        progress = hostile(text, text if end else end)
        for html in (map_html(progress), running_html(progress, f"amber-hook amber-live-{'0' * 32}", text)):
            assert html.startswith('<div class="amber-map">')
            assert not read(html).typeset


def test_nothing_that_a_text_says_breaks_a_line_or_acts() -> None:
    for text in [*CORPUS, *LONG]:
        progress = hostile(text, "")
        lines = map_text(progress).split("\n")
        assert len(lines) == 2 + 7 + 5
        message = json.dumps(page_message(progress, elapsed_s=1, newest=True), ensure_ascii=False)
        for shown in (*lines, summary_line(replace(progress, end=None)), message):
            assert not allowed.BIDI.search(shown)
            assert "\n" not in shown
        assert len(message) < 10_000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n b\t c", "a b c"), ("x" * 11, "x" * 9 + "…"), ("x" * 10, "x" * 10), ("\x1b[2J", "␛[2J"),
        (" " * 50 + "x", "…"), ("\ud800", "\ufffd"),
    ],
)  # fmt: skip
def test_one_short_line(text: str, line: str) -> None:
    assert clean_line(text, 10) == line


def test_a_page_keeps_the_newest_rows_that_it_has() -> None:
    assert "newest" not in page_message(RUNNING, elapsed_s=1, newest=False)
    message = page_message(RUNNING, elapsed_s=1.26, newest=True)
    assert message["newest"][1] == ("12339", "APITimeoutError: no answer", True)
    assert (message["of"], message["elapsed"]) == ([12_300, 37, 3, 100_000], 1.3)
