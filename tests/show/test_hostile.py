"""Whatever a model says, every tag, attribute, address and style of the output is on a short list (allowed.py)."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from allowed import read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amber_nb.show.html import answer_html, markdown_html

CORPUS = {item["name"]: item["text"] for item in json.loads((Path(__file__).parent / "hostile.json").read_text())}


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 200


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_text_cut_anywhere(name: str) -> None:
    text = CORPUS[name]
    for end in range(1, len(text) + 1):
        read(markdown_html(text[:end]))


@pytest.mark.parametrize(
    "around",
    [
        "- {}",
        "> {}",
        "# {}",
        "| {} |\n|-|\n| {} |",
        "*{}*",
        "[{}](https://x.org)",
        "$a {}$",
        "`{}",
        "![{}](https://x.org)",
    ],
)
def test_hostile_text_within_other_markdown(around: str) -> None:
    for text in CORPUS.values():
        read(markdown_html(around.replace("{}", text)))


def test_hostile_text_in_every_place_of_the_frame() -> None:
    for text in CORPUS.values():
        html = answer_html(
            text,
            refusal=text,
            reasoning=text,
            tool_calls=[(text, text), (text, json.dumps({text: text}))],
            badge=text,
            notice=text,
            footer=text,
        )
        assert not [formula for formula in read(html).typeset if _dangerous(formula)]


def test_no_dangerous_formula_is_typeset() -> None:
    for name, text in CORPUS.items():
        assert not [formula for formula in read(markdown_html(text)).typeset if _dangerous(formula)], name


def _dangerous(formula: str) -> bool:
    return bool(re.search(r"\\(?!text\b|color\b)[a-zA-Z]|-99em|\^\^|url", formula))


def test_all_of_the_corpus_as_one_answer() -> None:
    read(markdown_html("\n\n".join(CORPUS.values())))
    read(markdown_html("".join(CORPUS.values())))


_SIGNS = r"""
    ``` $$ \( \) \[ \] 1. - ]( ![ <a https://x.org javascript: &#x3c; &lt; \href \frac{a}{b} |-| word ünï 🙂 שלום
"""
_PIECES = st.sampled_from(
    [
        *"*_`~[]()<>!#>-+|$\\&;:=\"'\n\n\n  \t\u202e\ud800\x00",
        *_SIGNS.split(),
        "- ",
        "    ",
        *list(CORPUS.values())[::7],
    ]
)


@settings(database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_generated_markdown(text: str) -> None:
    reader = read(answer_html(text, reasoning=text[:50]))
    assert not [formula for formula in reader.typeset if "\\href" in formula]


# --- size: nothing quadratic (tests/bench/test_growth.py), nothing recursive

PROSE = "Some *text* with `code` and a [link](https://x.org/y), as long as it may be, and on it goes, never ending.\n\n"
UNITS = (
    "[", "![", "*", "**a ", "`", "$", "$a{ ", "[a](", "<", "<!--", "&amp;", "\\", "~~a ", "|", "\u202e", "\x00",
    "\ud800",
)  # fmt: skip


def again(unit: str) -> Callable[[int], str]:
    return lambda n: unit * (n // len(unit))


def lines(line: Callable[[int], str]) -> Callable[[int], str]:
    """Lines of which each is longer than the one before: as many as are n characters when a line adds one."""
    return lambda n: "".join(line(i) for i in range(math.isqrt(2 * n)))


# name: a text of about n characters, and the n of which it has to be bearable
PATHOLOGICAL: dict[str, tuple[Callable[[int], str], int]] = {
    **{unit: (again(unit), 100_000) for unit in UNITS},
    "brackets in paragraphs": (again("[" * 2_000 + "\n\n"), 100_000),
    "nested images": (lambda n: again("![")(n // 3) + again("](x)")(2 * n // 3), 150_000),
    "backtick runs": (lines(lambda i: " " + "`" * i), 180_000),
    "formulas without an end": (again("\\[\n"), 75_000),
    "quotes": (again(">"), 25_000),
    "quote lines": (lines(lambda i: ">" * min(i, 500) + "a\n"), 180_000),
    "deep list": (lines(lambda i: "  " * i + "- a\n"), 180_000),
    "list in list": (lambda n: again("- ")(n) + "a", 50_000),
    "10,000 columns": (lambda n: "".join(again(cell)(n // 3) + "|\n" for cell in ("|a", "|-", "|b")), 60_000),
    "short rows": (lambda n: "|a" * 1_000 + "|\n" + "|-" * 1_000 + "|\n" + again("|b\n")(n), 60_000),
    "definitions": (lambda n: "".join(f"[a{i}]: /x\n" for i in range(n // 13)), 260_000),
    "bare addresses": (again("http://a.b/"), 275_000),
    "one line of 5 MB": (again("word "), 5_000_000),
    "10 MB": (again(PROSE), 10_000_000),
    "10 MB of code": (lambda n: "```python\n" + again("x = 1  # y\n")(n), 10_000_000),
}


@pytest.mark.parametrize(
    "part", [pytest.param(20, id="twentieth"), pytest.param(1, id="whole", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_the_size_stays_bounded(name: str, part: int) -> None:
    text, n = PATHOLOGICAL[name]
    html = markdown_html(text(n // part))
    assert len(html.encode()) <= 500_000
    assert html.endswith("</div>")


@pytest.mark.parametrize("name", ["[", "$", "quotes", "deep list", "nested images"])
def test_a_pathological_text_is_balanced(name: str) -> None:
    text, n = PATHOLOGICAL[name]
    read(markdown_html(text(n), max_bytes=60_000))


def test_text_too_deep_is_shown_all_the_same() -> None:
    assert "the end" in "".join(read(markdown_html("> " * 100 + "the end")).text)
    assert "the end" in "".join(read(markdown_html("- " * 100 + "the end")).text)
