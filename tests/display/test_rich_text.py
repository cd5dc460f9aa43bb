"""How finished blocks of a live answer look: what the pages are told is what the settled answer does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from amber_nb.display import comm
from amber_nb.display.answer_html import markdown_html
from amber_nb.display.highlight import MOST_COLOURED
from amber_nb.display.rich_text import RichText

PYTHON = "import os\n\ndef load(path: str) -> int:\n    return len(path)  # 😀 all\n"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is sent to the pages, by a scheduler without a thread."""

    class Still(comm.SendScheduler):
        def notify(self, channel: comm.Channel) -> None:
            pass

    monkeypatch.setattr(comm, "snapshots", Still())
    return []


@pytest.fixture
def rich_text(told: list[dict[str, Any]]) -> Iterator[RichText]:
    made = RichText(told.append)
    yield made
    made.close()


def answers(rich_text: RichText, told: list[dict[str, Any]], *blocks: list[str]) -> dict[str, Any]:
    rich_text.ask(list(blocks))
    while rich_text.deliver(0.0) is not None:
        pass
    return {key: look for message in told for key, look in message["looks"].items()}


def test_code_has_the_colours_of_the_settled_answer(rich_text: RichText, told: list[dict[str, Any]]) -> None:
    look = answers(rich_text, told, ["key", "python", PYTHON])["key"]
    units = PYTHON.encode("utf-16-le")  # as JavaScript counts
    pieces, at = [], 0
    for kind, length in re.findall(r"([a-z ])(\d+)", look):
        pieces.append((kind, units[2 * at : 2 * (at + int(length))].decode("utf-16-le")))
        at += int(length)
    assert "".join(text for _, text in pieces) == PYTHON
    settled = re.findall(r"color:var\(--(\w)\)\">([^<]*)<", markdown_html(f"```python\n{PYTHON}```"))
    assert [(kind, text.rstrip()) for kind, text in pieces if kind != " "] == settled
    assert len(settled) > 5


@pytest.mark.parametrize("language", ["", "nobody-knows", "text"])
def test_other_code_stays_plain(rich_text: RichText, told: list[dict[str, Any]], language: str) -> None:
    assert answers(rich_text, told, ["key", language, PYTHON]) == {}


FORMULAS = {
    "$x^2$": 1, r"$$\frac{1}{2}$$": 1, r"\(\alpha\)": 1, r"\[a\]": 1, "$x": 0, "x": 0, "$$": 0, "$ $": 0,
    r"$\href{https://x.y}{x}$": 0, r"\[\def\x{1}\]": 0, "$a`b$": 0, r"$a\$": 0, "$}{$": 0,
}  # fmt: skip


def test_formulas_are_judged_as_in_the_settled_answer(rich_text: RichText, told: list[dict[str, Any]]) -> None:
    assert answers(rich_text, told, *([source, source] for source in FORMULAS)) == FORMULAS


def test_no_more_is_coloured_than_in_the_settled_answer(rich_text: RichText, told: list[dict[str, Any]]) -> None:
    codes = [f"x{n} = 'text'\n" * 1_000 for n in range(10)]
    found = answers(rich_text, told, *([str(n), "python", code] for n, code in enumerate(codes)))
    settled = markdown_html("".join(f"```python\n{code}```\n\n" for code in codes), max_bytes=5_000_000)
    assert len(found) == sum("color:var" in pre for pre in settled.split("<pre")[1:]) < 10
    assert sum(len(code) for code in codes) > MOST_COLOURED
    # A second page asks for the same: what is known costs nothing.
    assert answers(rich_text, told, ["again", "python", codes[0]])["again"] == found["0"]


@pytest.mark.parametrize("blocks", [None, 1, {}, [1], [[]], [["k"]], [["k", 1]], [["k" * 99, "$x$"]]])
def test_odd_questions_do_no_harm(rich_text: RichText, told: list[dict[str, Any]], blocks: object) -> None:
    rich_text.ask(blocks)
    assert rich_text.deliver(0.0) is None
    assert told == []


def test_nothing_is_told_after_the_end(rich_text: RichText, told: list[dict[str, Any]]) -> None:
    rich_text.ask([["key", "$x$"]])
    rich_text.close()
    rich_text.ask([["key", "$y$"]])
    assert rich_text.deliver(0.0) is None
    assert told == []
    assert not comm.snapshots._open
