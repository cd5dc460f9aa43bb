"""What a map says before it sends anything: previews and budgets."""

import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from completions import completion, serve_completions
from pydantic import BaseModel

from amber_nb import ConfigError
from amber_nb.map.budget import Budget, read_budget
from amber_nb.map.tally import Tally
from amber_nb.prices import read_prices

PRICES = read_prices({"m": (1.0, 2.0)})
FRAME = pd.DataFrame({"text": [f"a review of a telephone, number {number % 50}" for number in range(100)]})


class Label(BaseModel):
    topic: str
    stars: int


def test_a_preview_sends_nothing_and_tells_what_would_be_sent(client):
    with serve_completions() as gateway:
        preview = client(gateway).map(FRAME, "Classify: {text}", preview=True)
        assert not gateway.bodies
    assert (preview.rows, preview.distinct, preview.in_ledger) == (100, 50, 0)
    assert preview.prompts[0] == ("0", "Classify: a review of a telephone, number 0")
    assert len(preview.prompts) == 3
    tokens = preview.prompt_tokens
    assert 0 < tokens.low < tokens.expected < tokens.high
    low, expected, high = (cost.amount for cost in preview.costs)
    assert 0 < low < expected < high
    assert "nothing was sent" in repr(preview)
    html = preview._repr_mimebundle_()["text/html"]
    assert "Classify: a review" in html


def test_a_preview_says_unknown_where_the_price_is(client):
    with serve_completions() as gateway:
        preview = client(gateway).map(FRAME, "{text}", model="nobody/knows", preview=True)
    assert preview.cost is None
    assert "cost: unknown" in repr(preview)
    assert "$0" not in repr(preview)


def test_a_preview_knows_the_ledger(client):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(FRAME.iloc[:20], "Classify: {text}")
        preview = amber.map(FRAME, "Classify: {text}", preview=True)
        assert preview.in_ledger == 20
        assert "in the ledger, not sent again: 20" in repr(preview)
        anew = amber.map(FRAME, "Classify: {text}", preview=True, resume=False)
        assert anew.in_ledger == 0
        assert len(gateway.bodies) == 20


def test_a_preview_knows_the_ledger_where_each_row_is_asked(client):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(FRAME.iloc[[0, 0, 1]], "{text}", distinct=False)
        preview = amber.map(FRAME.iloc[[0, 0, 0, 1]], "{text}", distinct=False, preview=True)
        amber.map(FRAME.iloc[[0, 0, 0, 1]], "{text}", distinct=False)
        assert (preview.distinct, preview.in_ledger, preview.to_send) == (4, 3, len(gateway.bodies) - 3)


def test_a_preview_lists_what_cannot_be_asked(client):
    frame = pd.DataFrame({"text": ["a", None, "c"]})

    def prompt(row):
        return {"a": "fine", "c": 3}.get(row["text"])

    with serve_completions() as gateway:
        preview = client(gateway).map(frame, prompt, na="skip", preview=True)
    assert preview.skipped == 1
    assert preview.problem_count == 1
    assert "prompt must be" in preview.problems[0][1]


def test_a_hint_where_the_fixed_part_of_a_prompt_comes_late(client):
    late = "{text}\n" + "Classify this text by the following long list of rules. " * 20
    with serve_completions() as gateway:
        amber = client(gateway)
        assert "put them first" in amber.map(FRAME, late, preview=True).remarks[0]
        assert not amber.map(FRAME, "Classify this. " * 100 + "{text}", preview=True).remarks


def test_a_preview_of_a_finished_run_says_that_there_is_nothing_to_send(client):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(FRAME, "Classify: {text}")
        preview = amber.map(FRAME, "Classify: {text}", preview=True)
    assert preview.to_send == 0
    assert "to be sent: 0" in repr(preview)
    assert "cost" not in repr(preview)


def test_a_preview_says_how_far_the_budget_goes(client):
    with serve_completions() as gateway:
        amber = client(gateway)
        little = amber.map(FRAME, "Classify: {text}", preview=True, budget="2_000 tokens")
        much = amber.map(FRAME, "Classify: {text}", preview=True, budget=1.0)
        assert not gateway.bodies
    assert re.search(r"enough for about \d+ of the 50 requests", little.remarks[0])
    assert "enough for all requests" in much.remarks[0]


def test_a_limit_of_tokens_bounds_the_estimate(client):
    with serve_completions() as gateway:
        amber = client(gateway)
        typed = amber.map(FRAME, "{text}", schema=Label, preview=True)
        limited = amber.map(FRAME, "{text}", max_tokens=7, preview=True)
    assert limited.completion_tokens.high == 50 * 7
    assert typed.completion_tokens.expected == 50 * 2 * 12


def test_markup_in_a_prompt_is_text(client):
    frame = pd.DataFrame({"text": ["<img src=x onerror=alert(1)>"]})
    with serve_completions() as gateway:
        preview = client(gateway).map(frame, "{text}", preview=True)
    assert "<img" not in preview._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("budget", "read"),
    [
        (2.5, "2.50 USD"),
        (3, "3.00 USD"),
        ("2.50 USD", "2.50 USD"),
        ("0.004 usd", "0.004 USD"),
        ("1_000", "1,000.00 USD"),
        ("1,000,000", "1,000,000.00 USD"),
        ("1,000.50", "1,000.50 USD"),
        (".5", "0.50 USD"),
        ("0.125", "0.125 USD"),
        (1.125, "1.125 USD"),
        (np.int64(2), "2.00 USD"),
        (np.float32(2.5), "2.50 USD"),
        ("$2.50", "2.50 USD"),
        ("2.50 $", "2.50 USD"),
        ("200_000 tokens", "200,000 tokens"),
        ("200k tokens", "200,000 tokens"),
        ("1.5M tokens", "1,500,000 tokens"),
    ],
)
def test_a_budget_is_read(budget, read):
    assert str(read_budget(budget, "m", PRICES)) == read


@pytest.mark.parametrize(
    "budget",
    ["2,50 EUR", "1,5", "1.000 tokens", "1,000", "1.250 USD", "1.000.000 tokens", "1.000,50", "12,34,567", "1__0"],
)
def test_a_budget_that_can_be_read_in_two_ways_is_refused(budget):
    with pytest.raises(ConfigError, match="two ways"):
        read_budget(budget, "m", PRICES)


@pytest.mark.parametrize("budget", ["", "much", "1.5 tokens", "1.50k1", "5 5", "-3", float("nan"), float("inf"), -1])
def test_a_budget_that_cannot_be_read_is_refused(budget):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_budget(budget, "m", PRICES)


@pytest.mark.parametrize("budget", [True, [1], object()])
def test_a_budget_of_another_type_is_refused(budget):
    with pytest.raises(TypeError, match="budget must be"):
        read_budget(budget, "m", PRICES)


def test_money_needs_a_price_and_tokens_none():
    with pytest.raises(ConfigError, match="needs the price of other"):
        read_budget(1.0, "other", PRICES)
    assert read_budget("10 tokens", "other", PRICES) == Budget(10)
    assert read_budget(None, "other", PRICES) is None


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize(("budget", "most"), [("1000 tokens", 1_000), (0.0013, 0.0013)])
def test_a_budget_ends_the_run_and_is_not_exceeded(client, concurrency, budget, most):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(200)]})
    with serve_completions(lambda *_: completion("yes no")) as gateway:
        result = client(gateway).map(frame, "{text}", budget=budget, concurrency=concurrency, ledger=None)
    totals = result.attrs["totals"]
    spent = totals["cost"] if isinstance(budget, float) else totals["prompt_tokens"] + totals["completion_tokens"]
    assert 0.9 * most <= spent <= most
    assert "budget" in result.attrs["ended"]
    assert result["status"].value_counts()["ok"] + result["status"].value_counts()["stopped"] == 200


@pytest.mark.parametrize("options", [{"max_tokens": 100}, {}])
def test_answers_that_get_longer_do_not_run_away_with_the_budget(client, options):
    asked = []

    def reply(prompt, _):
        asked.append(prompt)
        return completion("word " * (2 if len(asked) <= 3 else 100))

    frame = pd.DataFrame({"text": [f"row {number}" for number in range(200)]})
    with serve_completions(reply) as gateway:
        result = client(gateway).map(frame, "{text}", budget="2_000 tokens", concurrency=32, ledger=None, **options)
    totals = result.attrs["totals"]
    spent = totals["prompt_tokens"] + totals["completion_tokens"]
    assert spent <= (2_000 + 110 if options else 2_000 + 4 * 110)
    assert spent >= 1_700


@pytest.mark.parametrize("budget", [0, "0 tokens"])
def test_a_budget_of_nothing_sends_nothing_and_takes_what_the_ledger_has(client, budget):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(FRAME.iloc[:3], "{text}")
        sent = len(gateway.bodies)
        result = amber.map(FRAME.iloc[:5], "{text}", budget=budget)
        assert len(gateway.bodies) == sent
    assert result["status"].tolist() == ["ok"] * 3 + ["stopped"] * 2
    assert "budget" in result.attrs["ended"]


def test_no_request_goes_beside_the_first_within_a_budget_of_nothing():
    assert not any(Budget(Decimal(0), currency).allows(Tally(9), 1) for currency in (None, "USD"))
    assert Budget(Decimal(1)).allows(Tally(9), 1)


def test_a_budget_that_cannot_be_followed_ends_the_run(client):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(50)]})
    with serve_completions(lambda *_: completion("yes", usage=None)) as gateway:
        result = client(gateway).map(frame, "{text}", budget="1000 tokens", concurrency=4)
    assert "usage" in result.attrs["ended"]
    assert len(gateway.bodies) <= 5


def test_what_the_ledger_has_costs_no_budget(client):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(50)]})
    with serve_completions(lambda *_: completion("yes no")) as gateway:
        amber = client(gateway)
        amber.map(frame.iloc[:40], "{text}")
        result = amber.map(frame, "{text}", budget="130 tokens")
    assert set(result["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"max_workers": 8}, TypeError, "the name is concurrency"),
        ({"messages": []}, TypeError, "a function of a row"),
        ({"metadata": {"a": object()}}, TypeError, "^metadata= cannot be sent"),
        ({"extra_body": {"seed": {1, 2}}}, TypeError, "^seed= cannot be sent"),
        ({"temperature": float("nan")}, ValueError, "^temperature= cannot be sent"),
        ({"system": 5}, TypeError, "^system must be a str"),
        ({"model": 5}, TypeError, "^model must be a str"),
        ({"distinct": "no"}, TypeError, "^distinct must be True or False"),
        ({"preview": "yes"}, TypeError, "^preview must be True or False"),
        ({"resume": 0}, TypeError, "^resume must be True or False"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_sent(client, options, kind, words):
    with serve_completions() as gateway:
        with pytest.raises(kind, match=words):
            client(gateway).map(FRAME, "{text}", **options)
        assert not gateway.bodies
