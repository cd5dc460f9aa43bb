"""The static form of an answer: what Markdown becomes, what the frame shows, and how large it gets."""

import json
import re

import pytest
from allowed import read

from amber_nb.display.answer_html import answer_html, markdown_html


def inner(text: str) -> str:
    html = markdown_html(text)
    read(html)
    return re.sub(r'^<div class="amber-md" dir="auto"[^>]*>|\n?</div>$', "", html)


H = 'class="tocSkip" style="font-size:{}em;font-weight:600"'
A = 'target="_blank" rel="noopener noreferrer"'


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("", ""),
        ("Hello", "<p>Hello</p>"),
        ("# A *b*", f"<h3 {H.format('1.3')}>A <em>b</em></h3>"),
        ("A\n=", f"<h3 {H.format('1.3')}>A</h3>"),
        ("## B\n###### C", f"<h4 {H.format('1.15')}>B</h4><h6 {H.format('1')}>C</h6>"),
        ("**b** `c<d` ~~s~~", "<p><strong>b</strong> <code>c&lt;d</code> <s>s</s></p>"),
        ("a  \nb", "<p>a<br>\n\nb</p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("- [x] a\n- [ ] b\n- [y] c", "<ul><li>☑ a</li><li>☐ b</li><li>[y] c</li></ul>"),
        ("> q", "<blockquote><p>q</p></blockquote>"),
        ("***", "<hr>"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
        ("&lt;b&gt; &copy;", "<p>&lt;b&gt; ©</p>"),
        ("[a](https://x.org/p?q=1&r=2)", f'<p><a href="https://x.org/p?q=1&amp;r=2" {A}>a</a></p>'),
        ("[a](https://x.org 'title')", f'<p><a href="https://x.org" {A}>a</a></p>'),
        ("[a][r]\n\n[r]: http://x.org", f'<p><a href="http://x.org" {A}>a</a></p>'),
        ("<https://x.org>", f'<p><a href="https://x.org" {A}>https://x.org</a></p>'),
        ("see https://x.org/a_b_c.", f'<p>see <a href="https://x.org/a_b_c" {A}>https://x.org/a_b_c</a>.</p>'),
        ("<me@x.org>", f'<p><a href="mailto:me@x.org" {A}>me@x.org</a></p>'),
        ("[a](javascript:x)", "<p>a (javascript:x)</p>"),
        ("<javascript:x>", "<p>javascript:x</p>"),
        ("[a](README.md)", "<p>a (README.md)</p>"),
        ("[a](//x.org)", "<p>a (//x.org)</p>"),
        ("[a](http://bank.org@x.org)", "<p>a (http://bank.org@x.org)</p>"),
        ("[bank.org](http://x.org)", f'<p><a href="http://x.org" {A}>bank.org</a> (x.org)</p>'),
        ("![alt](https://x.org/i.png)", f'<p><a href="https://x.org/i.png" {A}>Image: alt (x.org)</a></p>'),
        ("![](https://x.org/i.png)", f'<p><a href="https://x.org/i.png" {A}>Image: x.org</a></p>'),
        ("![a](data:image/png;base64,A)", "<p>Image: a (data:image/png;base64,A)</p>"),
        ("[![a](https://x.org/i)](https://y.org)", f'<p><a href="https://y.org" {A}>Image: a (x.org)</a> (y.org)</p>'),
        ("a\u202eb `\u2066`", "<p>a[U+202E]b <code>[U+2066]</code></p>"),
        ("a\x00b\ud800 \x1b", "<p>a\ufffdb\ufffd ␛</p>"),
        ("a\r\nb", "<p>a<br>b</p>"),
    ],
)
def test_markdown(markdown: str, html: str) -> None:
    assert inner(markdown).replace("\n", "") == html.replace("\n", "")


def test_table() -> None:
    html = inner("| a | b | c |\n|---|:-:|--:|\n| 1 | `x` | **3** |")
    assert html.count("<tr>") == 2
    assert '<td style="text-align:left">1</td>' in html
    assert '<td style="text-align:center"><code>x</code></td>' in html
    assert '<td style="text-align:right"><strong>3</strong></td>' in html


def test_what_is_short_is_not_broken_in_a_table() -> None:
    short, long = "2026-12-01 12:00 +01:00", "a remark that takes a whole line"
    html = inner(f"| when | {long} |\n|--|--|\n| {short} | {long} |")
    assert html.startswith('<div tabindex="0" style="overflow-x:auto"><table style="white-space:nowrap">')
    assert f'<td style="text-align:left">{short}</td>' in html
    for cell in ("th", "td"):
        assert f'<{cell} style="text-align:left;white-space:normal;min-width:12em">{long}</{cell}>' in html


def test_a_long_answer_is_folded_where_that_is_wanted() -> None:
    text = "".join(f"Line {n}.\n\n" for n in range(100))
    assert "<details" not in answer_html(text)
    html = answer_html(text, fold_lines=40, footer="m · 3 s")
    shown, folded = html.split("<details><summary>Show all (201 lines)</summary>")
    assert "Line 19." in shown
    assert "Line 20." in folded
    assert "Line 99." in folded.partition("</details>")[0]
    assert "m · 3 s" in folded.partition("</details>")[2]
    assert "".join(read(html).text).count("Line ") == 100
    assert "<details" not in answer_html(text, fold_lines=140)  # little would be hidden
    # A block is never cut in two: code that begins in sight is all in sight.
    code = "```python\n" + "x = 1\n" * 100 + "```\n"
    assert "<details" not in answer_html(code, fold_lines=40)
    small = answer_html(text * 20, fold_lines=40, max_bytes=5_000)
    read(small)
    assert "Cut here" in small


def test_an_alternative_text_is_text() -> None:
    assert "Image: a **b** [c](d) (x.org)" in "".join(read(markdown_html("![a **b** [c](d)](https://x.org)")).text)


def test_the_frame_shows_everything_given() -> None:
    html = answer_html(
        "The *answer*",
        refusal="I can't <do> that",
        reasoning="Let me **think**",
        tool_calls=[
            ("get_weather", '{"city":"Köln","days":[1,2]}'),
            ("bad<name>", "{not json"),
            ("twice", '{"a":1,"a":2}'),
        ],
        badge="simulated",
        notice="Stopped by the reader",
        footer="gpt · $5 · 31 tokens",
    )
    text = "".join(read(html).text)
    for part in (
        "simulated",
        "Reasoning",
        "Let me think",
        "Calls get_weather",
        '{\n  "city": "Köln",\n  "days": [\n    1,\n    2\n  ]\n}',
        "bad<name>",
        "{not json",
        '{"a":1,"a":2}',
        "The answer",
        "I can't <do> that",
        "Stopped by the reader",
        "gpt · $5 · 31 tokens",
    ):
        assert part in text, part
    assert text.index("Let me think") < text.index("Calls") < text.index("The answer") < text.index("Stopped")


def test_nothing_given_nothing_shown() -> None:
    assert answer_html("") == '<div class="amber-answer"></div>'


def test_the_same_text_gives_the_same_html() -> None:
    text = "\n\n".join(json.loads('["# a", "```python\\nx = 1\\n```", "$x$", "[a](https://x.org)"]'))
    assert len({answer_html(text, reasoning=text) for _ in range(5)}) == 1


def test_code_has_the_theme_only_where_it_is_used() -> None:
    assert "--" not in markdown_html("x").replace("-->", "")
    html = markdown_html("```python\nreturn 1\n```")
    assert "--k:var(--jp-mirror-editor-keyword-color,#182)" in html
    assert "--s:" not in html


# --- size and cap


PROSE = "A sentence with some *emphasis*, a bit of `code`, and **weight**, as models write them; it goes on and on.\n\n"


def test_prose_stays_small(rich: str) -> None:
    for text in (rich, rich * 10, PROSE * 50, "x\n\n" * 100):
        assert len(answer_html(text, footer="model · 1 s").encode()) <= 3 * len(text.encode()) + 2_000


@pytest.mark.parametrize("size", [8_000, 20_000])
@pytest.mark.parametrize(
    "unit", [PROSE, "- a\n", "word ", "```python\nx = f(1)\n```\n", "| a | b |\n|-|-|\n| c | d |\n\n"]
)
def test_a_cut_is_balanced_and_says_so(unit: str, size: int) -> None:
    text = unit * (40_000 // len(unit))
    html = answer_html(text, footer="end", max_bytes=size)
    shown = "".join(read(html).text)
    assert size * 0.4 < len(html.encode()) <= size
    assert re.search(
        r"Cut here: about [\d,]+ of [\d,]+ characters are not shown; the answer's \.text has all of it\.", shown
    )
    assert shown.endswith("end")


def test_a_cut_falls_between_blocks() -> None:
    html = markdown_html(PROSE * 1_000, max_bytes=20_000)
    assert "goes on and on.</p>\n<div" in html


def test_one_huge_block_is_cut_within() -> None:
    html = markdown_html("```\n" + "x" * 1_000_000 + "\n```", max_bytes=20_000)
    read(html)
    assert 15_000 < len(html) <= 20_000


def test_every_part_of_the_frame_is_capped() -> None:
    huge = "some words " * 60_000
    html = answer_html(
        huge, refusal=huge, reasoning=huge, tool_calls=[("f" * 999, huge)] * 99, notice=huge, footer=huge, badge=huge
    )
    assert len(html.encode()) <= 500_000
    assert "more calls" in "".join(read(html).text)


def test_growth_is_linear() -> None:
    sizes = [len(markdown_html(PROSE * n)) for n in (10, 100, 1000)]
    assert sizes[1] < 10.5 * sizes[0]
    assert sizes[2] < 10.5 * sizes[1]


def test_what_may_have_to_be_scrolled_is_reached_by_the_keyboard():
    assert 'tabindex="0"' in markdown_html("|a|b|\n|-|-|\n|1|2|")
    assert 'tabindex="0"' in markdown_html("```\n" + "x" * 81 + "\n```")
    assert "tabindex" not in markdown_html("```\n" + ("x" * 80 + "\n") * 9 + "```\n\n" + "prose " * 100)
