"""Answers that a frame has no ordinary place for: no row that was paid for is lost, and no column is overwritten."""

import json
from datetime import datetime
from typing import Any, Literal

import pandas as pd
import polars as pl
import pytest
from completions import completion, serve_completions
from pydantic import AwareDatetime, BaseModel, ConfigDict, computed_field

from amber_nb.map.results import COLUMNS, Outcome, Results, column_names

PAIR = pd.DataFrame({"text": ["0", "1"]})
HALF = "smile \ud83d"


class Place(BaseModel):
    city: str
    tags: dict[str, int]


class Person(BaseModel):
    place: Place
    age: int | str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Broken(BaseModel):
    a: int

    @computed_field
    def half(self) -> int:
        if self.a:
            raise RuntimeError("no half")
        return 0


def frame_of(values, schema, prefix=""):
    results = Results(len(values))
    for row, value in enumerate(values):
        results.set(row, Outcome(value=value) if value is not None else Outcome(error="failed"))
    return results.frame(pd.RangeIndex(len(values)), schema, prefix)


def test_half_characters_are_replaced_wherever_they_stand(client):
    schema = {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "string"}}}}
    with serve_completions(lambda *_: completion(json.dumps({"x": [HALF]}), finish=HALF)) as gateway:
        result = client(gateway).map(PAIR, "{text}", schema=schema)
    assert result["x"].tolist() == [["smile \ufffd"]] * 2
    assert result["finish_reason"].tolist() == ["smile \ufffd"] * 2
    assert frame_of([{HALF: {HALF: 1}}], dict[str, Any])["answer"][0] == {"smile \ufffd": {"smile \ufffd": 1}}


@pytest.mark.parametrize(
    ("schema", "values", "kept"),
    [
        (int | str, [1, "a"], ["1", "a"]),
        (Any, [1.5, "q"], ["1.5", "q"]),
        (Any, [True, 2], ["true", "2"]),
        (Any, [[1], "s"], ["[1]", "s"]),
        (Any, [[[1]], [["s"]]], ["[[1]]", '[["s"]]']),
        (dict[str, int], [{"a": 1}, {"b": 2}], ['{"a": 1}', '{"b": 2}']),
        (dict[str, int], [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        (list[int], [[1], None], [[1], None]),
    ],
)
def test_polars_gets_every_value(schema, values, kept):
    results = Results(len(values))
    for row, value in enumerate(values):
        results.set(row, Outcome(value=value))
    assert results.polars_frame(schema)["answer"].to_list() == kept


def test_values_that_cannot_be_read_stay_as_they_are():
    frame = frame_of([Broken(a=0), Broken(a=1), None], Broken)
    assert frame["answer"].tolist() == [Broken(a=0), Broken(a=1), None]
    assert frame["status"].tolist() == ["ok", "ok", "error"]


def test_a_dict_whose_keys_are_data_stays_in_one_cell(client):
    said = ['{"status": 1, "cost": 5}', '{"other": 2}']
    with serve_completions(lambda prompt, _: said[int(prompt)]) as gateway:
        result = client(gateway).map(PAIR, "{text}", schema=dict[str, int])
    assert list(result.columns) == ["answer", *COLUMNS]
    assert result["answer"].tolist() == [{"status": 1, "cost": 5}, {"other": 2}]
    assert result["status"].tolist() == ["ok", "ok"]


def test_a_dict_within_a_record_stays_in_one_cell():
    frame = frame_of([Person(place=Place(city="Rome", tags={"a": 1, "b": 2}), age=3)], Person)
    assert list(frame.columns) == ["place.city", "place.tags", "age", *COLUMNS] == column_names(Person, "")
    assert frame["place.tags"][0] == {"a": 1, "b": 2}


def test_a_field_that_the_schema_does_not_name_overwrites_nothing():
    frame = frame_of([Open(a=1, status=7, note="x")], Open)
    assert frame["status"].tolist() == ["ok"]
    assert (frame["status_"][0], frame["note"][0]) == (7, "x")


def test_columns_of_records_within_records_are_checked_before_the_run(client):
    table = pd.DataFrame({"text": ["a"], "place.city": ["x"]})
    with serve_completions() as gateway, pytest.raises(ValueError, match=r"place\.city"):
        client(gateway).map(table, "{text}", schema=Person)
    assert not gateway.bodies


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Meeting(BaseModel):
    when: datetime
    aware: AwareDatetime
    number: int | str
    share: float
    tags: dict[str, int] | None


NOON = datetime.fromisoformat("2026-01-02T12:00:00")
AWARE = datetime.fromisoformat("2026-01-02T12:00:00+00:00")


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        (Meeting, [Meeting(when=NOON, aware=AWARE, number="a", share=1, tags={"a": 1})]),
        (Meeting, [Meeting(when=NOON, aware="2026-01-02T12:00:00+02:00", number=1, share=1.5, tags=None)]),
        (Cat | Dog, [Cat(kind="cat", lives=7)]),
        (Cat | Dog, [Dog(kind="dog", name="Rex"), Cat(kind="cat", lives=7)]),
        (int | str, [1]),
        (int | str, ["a"]),
        (dict[str, int], [{"a": 1}]),
        (float, [1.0]),
    ],
)
def test_dtypes_do_not_depend_on_the_answers(schema, values):
    failed = frame_of([None], schema)
    answered = frame_of(values, schema)
    assert answered.dtypes.astype(str).to_dict() == failed.dtypes.astype(str).to_dict()


def test_tokens_that_no_reply_tells_are_unknown_and_not_0(client):
    with serve_completions(lambda *_: completion("yes", usage=None)) as gateway:
        amber = client(gateway)
        totals = amber.map(PAIR, "{text}").attrs["totals"]
        log = amber.usage_log
    assert (totals["prompt_tokens"], totals["completion_tokens"], totals["cost"]) == (None, None, None)
    assert totals["without_usage"] == 2
    assert log["tokens"].isna().all()
    assert log["cost"].isna().all()
    assert log.attrs["without_cost"] == 1


def test_the_tokens_of_replies_that_tell_them_are_summed(client):
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    with serve_completions(lambda prompt, _: completion("yes", usage=usage if prompt == "0" else None)) as gateway:
        amber = client(gateway)
        totals = amber.map(PAIR, "{text}").attrs["totals"]
        log = amber.usage_log
    assert (totals["prompt_tokens"], totals["without_usage"], totals["cost"]) == (10, 1, None)
    assert log["cost"].isna().all()  # of both together


@pytest.mark.parametrize(
    ("said", "remark"),
    [
        (("cut off", "length"), "2 answers were cut off at the limit of tokens: raise max_tokens"),
        ((" ", "stop"), "2 answers are empty"),
        (("whole", "stop"), None),
    ],
)
def test_the_summary_tells_of_answers_that_are_cut_off_or_empty(client, runs, said, remark):
    text, finish = said
    with serve_completions(lambda *_: completion(text, finish=finish)) as gateway:
        client(gateway).map(PAIR, "{text}", ledger=None)
    assert runs[0].progress().remarks == ((remark,) if remark else ())


@pytest.mark.parametrize("mode", ["simulate", "live"])
def test_only_a_gateway_is_timed(client, mode):
    with serve_completions() as gateway:
        result = client(gateway).map(PAIR, "{text}", mode=mode, ledger=None)
        table = client(gateway).map(pl.from_dict({"text": ["0"]}), "{text}", mode=mode, ledger=None)
    is_live = mode == "live"
    assert result["latency_s"].notna().tolist() == [is_live] * 2
    assert table["latency_s"].is_null().to_list() == [not is_live]
    assert (result.attrs["totals"]["elapsed_s"] is not None) is is_live


@pytest.mark.parametrize(("given", "used"), [(None, 600.0), (60, 60), (10, 10)])
def test_a_row_waits_as_long_as_the_client_was_told(client, runs, given, used):
    with serve_completions() as gateway:
        client(gateway, max_wait_s=given).map(PAIR, "{text}", ledger=None)
    assert runs[0].plan.max_wait_s == used
