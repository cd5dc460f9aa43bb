"""The report: whatever it quotes, every tag, attribute and address of the page is on a short list."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from amber_nb.testing.drift import Comparison, ReplySummary, Row, Verdict, default_comparator, judge, parse_comparator
from amber_nb.testing.report import (
    STYLE,
    format_change,
    format_seconds,
    render_html,
    render_json,
    write_report,
)

_ITEMS = json.loads((Path(__file__).parents[1] / "display" / "hostile.json").read_text(encoding="utf-8"))
CORPUS = {item["name"]: item["text"] for item in _ITEMS}
TOP = {"title": "Drift", "subtitle": "24 November 2026"}

# --- what a page may consist of

_TAGS = """
    html head title style body header main footer section h1 h2 h3 h4 h5 h6 p div span small b i em strong s a ul ol li
    table thead tbody tr th td details summary label code pre blockquote del ins
"""
TAGS = {*_TAGS.split()}
EMPTY = {"meta", "input", "br", "hr"}
COMMON = {
    "class": r"[a-z -]+|tocSkip",
    "role": r"table|rowgroup|row|cell|columnheader|rowheader|group",
    "aria-hidden": "true",
    "aria-label": "Tokens and time",
    "aria-colspan": "7",
    "colspan": r"\d",
    "scope": "row|col",
    "tabindex": "0",
    "dir": "auto|ltr",
    "start": r"\d{1,9}",
    "lang": "en",
    "open": "",
    "style": r"(flex:\d+|(--[a-z]:var\(--jp-[a-z0-9-]+,#[\da-f]{3,6}\)|[a-z-]+:[#\w. ,%()-]+)(;|$))*",
}
LINK = r"https?://[\w.\[\]:-]+[^\s\"'<>\\^`{|}]*|mailto:[\w.+%-]+@[\w.-]+[^\s\"'<>\\^`{|}]*"
METAS = [
    {"charset": "utf-8"},
    {
        "http-equiv": "Content-Security-Policy",
        "content": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    },
    {"name": "referrer", "content": "no-referrer"},
    {"http-equiv": "x-dns-prefetch-control", "content": "off"},
    {"name": "viewport", "content": "width=device-width, initial-scale=1"},
    {"name": "color-scheme", "content": "light dark"},
]
UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Page(HTMLParser):
    """Fails on whatever is not on the lists; collects the text, where it stands."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.metas, self.styles, self.text, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert tag in TAGS | EMPTY, tag
        assert len(found) == len(attrs), attrs
        if tag == "meta":
            self.metas.append(found)
            return
        if tag == "input":
            assert found == {"type": "checkbox", "id": "changes"}
            return
        if tag == "a":
            own = found.pop("href")
            inside = re.fullmatch(r"#row-\d+", own) and not found
            assert inside or (
                re.fullmatch(LINK, own, re.ASCII) and found == {"target": "_blank", "rel": "noopener noreferrer"}
            ), own
            return self.open.append(tag)
        if tag == "tbody" and "id" in found:
            self.ids.append(found.pop("id"))
        for name, value in found.items():
            assert name in COMMON, (tag, name, value)
            assert re.fullmatch(COMMON[name], value or ""), (tag, name, value)
            assert "url" not in (value or ""), value
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        raise AssertionError(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.text.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)

    def handle_decl(self, decl):
        assert decl == "DOCTYPE html"

    def unknown_decl(self, data):
        raise AssertionError(data)

    def handle_pi(self, data):
        raise AssertionError(data)


def read(text):
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.metas == METAS
    assert page.styles == ["\n" + STYLE]
    assert len(page.ids) == len(set(page.ids))
    assert not UNSEEN.search(text)
    text.encode()
    return page


def row(recorded, runs, how="", **others):
    chosen = parse_comparator(how) if how else default_comparator(recorded)
    facts = {"notebook": "a.ipynb", "cell": 1, "call": 1, "prompt": "Hello?"} | others
    verdict = judge(recorded, runs, chosen)
    return Row(**facts, how=str(chosen), verdict=verdict, recorded=recorded, runs=tuple(runs))


def hostile(text):
    """The text in every field there is, on either side and on both."""
    reply = ReplySummary(
        text=text,
        tool_calls=((text, text), (text, json.dumps({text: text}))),
        refusal=text,
        finish_reason=text,
        model=text,
        error=text,
    )
    plain = ReplySummary(text=text[::2] + "\nlines\n" + text, finish_reason="stop")
    yield row(reply, [plain, reply], notebook=text, prompt=text)
    yield row(plain, [replace(reply, error=None)], "exact", notebook=text, prompt=text)
    yield row(None, [reply], notebook=text, prompt=text)
    yield row(replace(reply, error=None), [], "json", notebook=text, prompt=text)
    around, between = (ReplySummary(text=f"Look here, {filling}, and there") for filling in (text, "nothing"))
    yield row(around, [between], notebook=text, prompt=text)
    yield row(between, [around], notebook=text, prompt=text)
    comparisons = tuple(Comparison(text, text, score) for score in (0.5, None))
    verdict = Verdict(status=text, label=text, why=text, comparisons=comparisons, worst=0)
    yield Row(
        notebook=text, cell=None, call=1, prompt=text, how=text, verdict=verdict, recorded=reply, runs=(plain, reply)
    )


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_text_in_every_field(name):
    rows = list(hostile(CORPUS[name]))
    page = read(render_html(rows, title=CORPUS[name], subtitle=CORPUS[name]))
    assert len(page.ids) == len(rows)
    json.loads(render_json(rows, title=CORPUS[name], subtitle=CORPUS[name]))


def test_all_of_the_corpus_in_one_page():
    together = "\n".join(CORPUS.values())
    read(render_html([*hostile(together), *hostile("".join(CORPUS.values()))], title=together, subtitle=together))


def test_the_reader_would_notice():
    page = render_html([row(ReplySummary(text="a"), [ReplySummary(text="a")])], **TOP)
    for wrong in (
        "<script>",
        "<img src=x>",
        '<p onclick="x">',
        "<link>",
        '<a href="javascript:x">',
        "<p><!-- -->",
        "</p>",
    ):
        with pytest.raises((AssertionError, KeyError)):
            read(page.replace("<main>", f"<main>{wrong}"))


def test_the_style_fetches_nothing():
    assert not re.search(r"url|@import|@font-face|image|expression|<", STYLE)
    assert STYLE.count("{") == STYLE.count("}")
    assert "color-scheme:light dark" in STYLE
    assert "@media(prefers-color-scheme:dark)" in STYLE


# --- what is on it

HELLO = ReplySummary(
    text="Hello, I am here.", model="m", prompt_tokens=10, completion_tokens=100, total_s=1.0, first_token_s=0.1
)
OTHER = replace(HELLO, text="Good day, I am here.", completion_tokens=150, total_s=0.5)
BROKEN = ReplySummary(text="", error="RateLimitError: Error code: 429 - slow down")
ROWS = [
    row(HELLO, [OTHER], notebook="b.ipynb", cell=2, prompt="drifting"),
    row(HELLO, [HELLO], notebook="b.ipynb", cell=1, prompt="steady"),
    row(HELLO, [HELLO, OTHER, HELLO], notebook="a.ipynb", cell=10, prompt="now and then"),
    row(HELLO, [BROKEN], notebook="a.ipynb", cell=9, call=2, prompt="too fast"),
    row(HELLO, [], notebook="a.ipynb", cell=9, call=1, prompt="skipped"),
    row(None, [HELLO], notebook="a.ipynb", cell=None, prompt="unheard of"),
]


def test_the_page_says_it_all_in_order():
    page = read(render_html(ROWS, **TOP))
    text = " ".join(" ".join(page.text).split())
    assert "6 exchanges in 2 notebooks · 24 November 2026" in text
    assert re.search(r"1 ✓ same 3 ≠ drifted 1 ≈ flaky 1 ✕ failed", text)
    order = ["skipped", "too fast", "now and then", "unheard of", "steady", "drifting"]
    assert sorted(order, key=text.index) == order
    for part in (
        "Recorded, but not asked this time",
        "Asked now, but never recorded",
        "RateLimitError: Error code: 429 - slow down",
        "flaky 2/3",
        "Now, run 2 of 3",
        "100 → 150 +50 %",
        "1.0 s → 500 ms −50 %",
    ):
        assert part in text, part


def test_what_is_the_same_is_folded_and_the_rest_is_open():
    page = render_html(ROWS, **TOP)
    for status, opened in (("same", "<details>"), ("drifted", "<details open>"), ("flaky", "<details open>")):
        assert re.search(rf'class="row {status}".*?(<details[^>]*>)', page, re.DOTALL)[1] == opened


def test_changed_words_are_marked():
    page = render_html([row(HELLO, [OTHER])], **TOP)
    assert "<del>Hello</del>, I am here." in page
    assert "<ins>Good day</ins>, I am here." in page


def test_json_is_compared_by_eye_with_its_keys_sorted():
    page = render_html([row(ReplySummary(text='{"b":1,"a":2}'), [ReplySummary(text='{"a":2,"b":3}')])], **TOP)
    assert "Text as JSON, keys sorted" in page
    assert '  "b": <del>1</del>' in page
    assert '"a": 2,</td><td role="cell">  "a": 2,' in page


def test_tool_calls_are_written_as_calls():
    old, new = (
        ReplySummary(text="", tool_calls=(("look_up", json.dumps({"place": place})),)) for place in ("Aachen", "Köln")
    )
    page = render_html([row(old, [new])], **TOP)
    assert "look_up({</td>" in page
    assert '"place": "<del>Aachen</del>"' in page


def test_no_rows():
    assert "No exchange was recorded" in render_html([], **TOP)
    assert json.loads(render_json([], **TOP))["summary"]["total"] == 0


@pytest.mark.parametrize(
    ("was", "now", "text"),
    [
        (100, 150, "+50 %"),
        (100, 96.6, "−3 %"),
        (1, 1.001, "±0 %"),
        (0, 5, ""),
        (None, 5, ""),
        (5, None, ""),
        (1, 21, "+2,000 %"),
    ],
)
def test_changes(was, now, text):
    assert format_change(was, now).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "0 ms"), (0.34, "340 ms"), (0.9996, "1.0 s"), (1.23, "1.2 s"), (99.96, "100 s"), (1234, "1,234 s")],
)
def test_seconds(value, text):
    assert format_seconds(value).replace("\u00a0", " ") == text


# --- the twin and the files


def test_the_json_twin():
    odd = replace(HELLO, text="a\ud800b", total_s=float("inf"), first_token_s=0.1234567891)
    found = json.loads(render_json([*ROWS, row(HELLO, [odd], notebook="z.ipynb", prompt="\udfff")], **TOP))
    assert (found["version"], found["title"], found["made"]) == (1, "Drift", "24 November 2026")
    assert found["summary"] == {"same": 1, "drifted": 4, "flaky": 1, "failed": 1, "total": 7}
    statuses = ["drifted", "failed", "flaky", "drifted", "same", "drifted", "drifted"]
    assert [item["status"] for item in found["rows"]] == statuses
    flaky = found["rows"][2]
    assert (flaky["notebook"], flaky["cell"], flaky["call"], flaky["label"]) == ("a.ipynb", 10, 1, "flaky 2/3")
    assert [outcome["status"] for outcome in flaky["outcomes"]] == ["same", "drifted", "same"]
    assert flaky["similarity"] == [1.0, 0.666667, 1.0]
    assert set(flaky["recorded"]) == set(ReplySummary.__dataclass_fields__)
    assert found["rows"][3]["recorded"] is None
    assert found["rows"][3]["cell"] is None
    last = found["rows"][-1]["runs"][0]
    assert (last["text"], last["total_s"], last["first_token_s"]) == ("a\ufffdb", None, 0.123457)


def test_the_order_of_the_rows_given_does_not_matter():
    assert render_json(ROWS, **TOP) == render_json(iter(ROWS[::-1]), **TOP)
    assert render_html(ROWS, **TOP) == render_html(iter(ROWS[::-1]), **TOP)


def test_write(tmp_path):
    page, twin = write_report(tmp_path / "out" / "drift.html", iter(ROWS), **TOP)
    assert (page.name, twin.name) == ("drift.html", "drift.json")
    assert page.read_text(encoding="utf-8") == render_html(ROWS, **TOP)
    assert twin.read_text(encoding="utf-8") == render_json(ROWS, **TOP)
    write_report(page, [], **TOP)
    assert "No exchange" in page.read_text(encoding="utf-8")
    assert sorted(path.name for path in page.parent.iterdir()) == ["drift.html", "drift.json"]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    page, twin = write_report(tmp_path / "drift.html", ROWS, **TOP)
    before = page.read_bytes(), twin.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_report(page, [], **TOP)
    assert (page.read_bytes(), twin.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drift.html", "drift.json"]


def test_the_page_may_not_take_the_name_of_its_twin(tmp_path):
    with pytest.raises(ValueError, match=r"drift\.html"):
        write_report(tmp_path / "drift.json", ROWS, **TOP)
    assert list(tmp_path.iterdir()) == []


# --- size


@pytest.mark.parametrize("lines", [1_000, pytest.param(6_000, marks=pytest.mark.slow)])
def test_long_replies_do_not_explode(lines):
    old, new = ("\n".join(f"{word} {n} and {n * 7919 % 1000}" for n in range(lines)) for word in ("one", "two"))
    rows = [
        row(ReplySummary(text=old), [ReplySummary(text=new)]),
        row(ReplySummary(text="a" * 100_000), [ReplySummary(text="b" * 100_000)], cell=2),
    ]
    page = render_html(rows, **TOP)
    assert len(page) < 600_000
    read(page)


def test_many_rows_are_lines_only_where_the_page_is_full(monkeypatch):
    monkeypatch.setattr("amber_nb.testing.report._MAX_HTML", 20_000)
    page = render_html([row(HELLO, [OTHER], cell=cell) for cell in range(1, 40)], **TOP)
    read(page)
    assert page.count('class="row drifted"') == 39
    assert 1 < page.count("<details open>") < 20
    assert "the JSON file has it" in page
