"""Whatever a model says, every tag, attribute, address and style of the output is on a short list (allowed.py)."""

import json
import re
from pathlib import Path

import pytest
from allowed import read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pathological import PATHOLOGICAL

from amber_nb.display.answer_html import answer_html, markdown_html

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


@pytest.mark.parametrize("part", [pytest.param(40, id="fortieth"), pytest.param(1, id="whole", marks=pytest.mark.slow)])
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
