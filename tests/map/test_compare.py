"""Two results side by side: what changed, which label became which, what each cost."""

from typing import Literal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from completions import serve_completions

import amber_nb
from amber_nb import Comparison, compare

FRAME = pd.DataFrame({"text": [f"row {number}" for number in range(12)]})


def strict(prompt, _):
    return '{"value": "good"}' if int(prompt.rpartition(" ")[2]) % 2 else '{"value": "bad"}'


def mild(prompt, _):
    return '{"value": "bad"}' if int(prompt.rpartition(" ")[2]) % 4 == 0 else '{"value": "good"}'


@pytest.fixture
def results(client):
    with serve_completions(strict) as one, serve_completions(mild) as other:
        schema = Literal["good", "bad"]
        yield (
            client(one).map(FRAME, "{text}", schema=schema),
            client(other).map(FRAME, "{text}", schema=schema, prefix="b_"),
        )


def test_it_tells_what_changed(results):
    found = compare(*results)
    assert isinstance(found, Comparison)
    assert found.changed.index.tolist() == [2, 6, 10]
    assert found.changed["answer_a"].tolist() == ["bad"] * 3
    assert found.changed["answer_b"].tolist() == ["good"] * 3
    table = found.confusion["answer"]
    assert table.loc["bad", "good"] == 3
    assert table.loc["bad", "bad"] == 3
    assert table.loc["good", "bad"] == 0
    assert found.shares["answer"] == 0.75
    assert found.costs[0] == pytest.approx(results[0]["cost"].sum())
    assert "3 of 12 rows changed" in repr(found)
    assert "<table" in found._repr_html_()


def test_the_same_twice_has_no_changes(results):
    found = compare(results[0], results[0].copy())
    assert found.changed.empty
    assert found.shares == {"answer": 1.0}


def test_results_that_were_joined_to_their_table_are_found_again(client):
    with serve_completions(strict) as one, serve_completions(mild) as other:
        schema = Literal["good", "bad"]
        a = FRAME.join(client(one).map(FRAME, "{text}", schema=schema, prefix="a_"))
        b = FRAME.join(client(other).map(FRAME, "{text}", schema=schema, prefix="b_"))
    a.attrs, b.attrs = {}, {}
    found = compare(a, b)
    assert found.changed.index.tolist() == [2, 6, 10]
    assert list(found.shares) == ["answer"]
    assert found.confusion["answer"].columns.tolist() == ["good", "bad"]  # as the schema has them


def test_the_costs_are_those_of_the_rows_that_are_compared(client):
    with serve_completions(strict) as gateway:
        amber = client(gateway)
        first = amber.map(FRAME, "{text}", schema=Literal["good", "bad"])
        again = amber.map(FRAME, "{text}", schema=Literal["good", "bad"])
    assert again.attrs["totals"]["cost"] == 0
    found = compare(first.head(5), again.head(5))
    assert found.costs == pytest.approx([first["cost"].head(5).sum()] * 2)
    again.loc[1, "cost"] = None
    assert compare(first, again).costs[1] is None
    assert "cost" not in repr(compare(first, again))


def test_polars_results_are_compared_too(client):
    table = pl.DataFrame({"text": FRAME["text"].to_list()})
    with serve_completions(strict) as one, serve_completions(mild) as other:
        schema = Literal["good", "bad"]
        found = compare(
            client(one).map(table, "{text}", schema=schema), client(other).map(table, "{text}", schema=schema)
        )
    assert found.changed.index.tolist() == [2, 6, 10]
    assert found.confusion["answer"].columns.tolist() == ["good", "bad"]
    assert found.costs[0] > 0
    assert found.failed == (0, 0)


def test_arrays_in_cells_are_compared_as_lists():
    a = pd.DataFrame({"answer": [np.array([1, 2]), {"x": np.array([1])}, np.array([[1], [2]])]})
    b = pd.DataFrame({"answer": [[1, 2], {"x": [2]}, [[1], [2]]]})
    assert compare(a, b).changed.index.tolist() == [1]


def test_missing_answers_are_compared_too():
    a = pd.DataFrame({"answer": ["x", None, None], "status": ["ok", "error", "error"]})
    b = pd.DataFrame({"answer": ["x", None, "y"], "status": ["ok", "error", "ok"]})
    found = compare(a, b)
    assert found.changed.index.tolist() == [2]
    assert found.failed == (2, 1)


def test_texts_and_lists_are_compared_without_a_table():
    a = pd.DataFrame({"answer": [["x"], ["y"]], "text": ["a" * 80, "b" * 80]})
    b = pd.DataFrame({"answer": [["x"], ["z"]], "text": ["a" * 80, "c" * 80]})
    found = compare(a, b)
    assert found.changed.index.tolist() == [1]
    assert found.confusion == {}


def test_markup_in_a_label_is_text():
    a = pd.DataFrame({"answer": ["<script>alert(1)</script>", "b"]})
    html = compare(a, a.iloc[::-1].reset_index(drop=True))._repr_html_()
    assert "<script" not in html


@pytest.mark.parametrize(
    ("a", "b", "kind", "words"),
    [
        ([1], FRAME, TypeError, "two results"),
        (FRAME, FRAME.iloc[1:], ValueError, "different rows"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), FRAME, ValueError, "called 'x'"),
        (pl.LazyFrame({"x": [1]}), FRAME, TypeError, "two results"),
        (pd.DataFrame({"x": [1]}), pd.DataFrame({"y": [1]}), ValueError, "in both: x and y"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, kind, words):
    with pytest.raises(kind, match=words):
        compare(a, b)


def test_it_is_a_public_name():
    assert "compare" in amber_nb.__all__
