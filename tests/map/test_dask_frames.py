"""Dask tables without a cluster: what is checked at once, what travels, dtypes, and limits within the process."""

import asyncio
import pickle
import threading
from datetime import date, datetime
from typing import Literal

import cloudpickle
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from completions import Refusal, serve_completions
from pydantic import AwareDatetime, BaseModel, RootModel

from amber_nb import Amber, ConfigError
from amber_nb.map.results import COLUMNS

KEY = "ambrs-exampletoken"


class Label(BaseModel):
    topic: Literal["screen", "battery"]
    stars: int
    seen: date | None = None


LABEL = '{"topic": "screen", "stars": 4, "seen": "2026-01-02"}'


@pytest.fixture
def table():
    """Four partitions of an index with known divisions."""
    frame = pd.DataFrame({"text": [f"review {number}" for number in range(24)]}, index=range(100, 124))
    return dd.from_pandas(frame, npartitions=4)


def test_nothing_is_computed_or_sent_before_it_is_asked_for(client, table):
    computed = []

    def note(part):
        computed.append(len(part))
        return part

    noted = table.map_partitions(note, meta=table._meta)
    with serve_completions() as gateway:
        result = client(gateway).map(noted, "Say {text}")
        assert isinstance(result, dd.DataFrame)
        assert (computed, gateway.bodies) == ([], [])
        frame = result.compute(scheduler="sync")
    assert frame["answer"].tolist() == [f"echo Say review {number}" for number in range(24)]
    assert len(gateway.bodies) == 24


def test_divisions_and_index_are_those_of_the_table(client, table):
    with serve_completions() as gateway:
        result = client(gateway).map(table, "{text}")
        assert result.divisions == table.divisions
        assert result.npartitions == 4
        frame = result.compute(scheduler="threads")
    assert frame.index.equals(pd.RangeIndex(100, 124))
    assert list(result.columns) == list(frame.columns) == ["answer", *COLUMNS]


def test_a_series_is_asked_about_by_its_value(client, table):
    with serve_completions() as gateway:
        frame = client(gateway).map(table["text"], lambda text: f"<{text}>").compute(scheduler="sync")
    assert frame["answer"].iloc[0] == "echo <review 0>"


def test_map_async_returns_it_likewise(client, table):
    with serve_completions() as gateway:
        result = asyncio.run(client(gateway).map_async(table, "{text}"))
        assert len(result.compute(scheduler="sync")) == 24


@pytest.mark.parametrize(
    ("prompt", "options", "error", "words"),
    [
        ("{txt}", {}, ValueError, "Did you mean 'text'"),
        ("no column", {}, ValueError, "names no column"),
        ("{text} {", {}, ValueError, "Braces"),
        (7, {}, TypeError, "prompt must be"),
        ("{text}", {"concurrency": 0}, ConfigError, "concurrency"),
        ("{text}", {"images": "photo"}, ValueError, "photo"),
        ("{text}", {"budget": "2 GBP"}, ConfigError, "GBP"),
        ("{text}", {"ledger": 5}, TypeError, "ledger"),
        ("{text}", {"tools": [print]}, TypeError, "tools"),
        ("{text}", {"temprature": 1}, TypeError, "temperature"),
        ("{text}", {"preview": True}, TypeError, "head"),
        ("{text}", {"schema": type("T", (BaseModel,), {"__annotations__": {"cost": int}})}, ValueError, "cost"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(client, table, prompt, options, error, words):
    with serve_completions() as gateway, pytest.raises(error, match=words):
        client(gateway).map(table, prompt, **options)


def test_a_name_that_collides_is_said_at_once(client, table):
    taken = table.assign(answer="x")
    with serve_completions() as gateway:
        with pytest.raises(ValueError, match="prefix="):
            client(gateway).map(taken, "{text}")
        frame = client(gateway).map(taken, "{text}", prefix="llm_").compute(scheduler="sync")
    assert list(frame.columns) == [f"llm_{name}" for name in ("answer", *COLUMNS)]


def test_modes_of_recordings_are_refused(tmp_path, table):
    amber = Amber(mode="record", cassette=tmp_path / "c.jsonl", base_url="http://127.0.0.1:9/v1", api_key=KEY)
    with pytest.raises(ConfigError, match="cassette"):
        amber.map(table, "{text}")


def test_the_simulator_needs_no_key(simulated, table):
    task = pickle.loads(cloudpickle.dumps(simulated.map(table, "{text}", ledger=None)))
    assert set(task.compute(scheduler="sync")["status"]) == {"ok"}


class Visit(BaseModel):
    at: datetime
    zoned: AwareDatetime
    score: float
    sure: bool
    note: str
    facts: dict[str, int]


VISIT = (
    '{"at": "2026-01-02T03:04:05.5", "zoned": "2026-01-02T03:04:05+02:00", "score": 1, "sure": true, "note": "n", '
    '"facts": {"a": 1}}'
)


@pytest.mark.parametrize(
    ("schema", "reply"),
    [
        (None, "text"),
        (Label, LABEL),
        (Visit, VISIT),
        (int, '{"value": 3}'),
        (bool, '{"value": true}'),
        (Literal["a", "b"], '{"value": "b"}'),
        (list[str], '{"value": ["x"]}'),
        (dict[str, int], '{"x": 1}'),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": 4}'),
        ({"type": "object", "properties": {"d": {"type": "string", "format": "date"}}}, '{"d": "2026-01-02"}'),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_answered", [True, False], ids=["answers", "none"])
def test_each_partition_has_the_promised_dtypes(client, table, schema, reply, is_answered):
    said = reply if is_answered else Refusal(400, {"error": {"message": "no"}})
    with serve_completions(lambda *_: said) as gateway:
        result = client(gateway).map(table, "{text}", schema=schema, ledger=None)
        parts = [result.get_partition(number).compute(scheduler="sync") for number in (0, 3)]
    for part in parts:
        assert list(part.columns) == list(result.columns)
        assert part.dtypes.to_dict() == result._meta.dtypes.to_dict()
        assert set(part["status"]) == {"ok" if is_answered else "error"}
        assert part.iloc[0, 0] is not None or not is_answered


def test_what_dtypes_hold_is_what_was_answered(client, table):
    with serve_completions(lambda *_: VISIT) as gateway:
        row = client(gateway).map(table, "{text}", schema=Visit).compute(scheduler="sync").iloc[0]
    assert row["at"] == pd.Timestamp("2026-01-02T03:04:05.5")
    assert row["zoned"] == pd.Timestamp("2026-01-02T01:04:05Z")
    assert (row["score"], row["facts"]) == (1.0, {"a": 1})


def test_categories_are_known(client, table):
    with serve_completions(lambda *_: LABEL) as gateway:
        result = client(gateway).map(table, "{text}", schema=Label)
    assert result["topic"].cat.known
    assert list(result["topic"].cat.categories) == ["screen", "battery"]


def test_a_value_that_does_not_fit_the_dtype_is_an_error_of_its_row(client, table):
    class Count(BaseModel):
        count: int

    def reply(prompt, _):
        return f'{{"count": {2**70 if prompt == "review 1" else 5}}}'

    with serve_completions(reply) as gateway:
        frame = client(gateway).map(table, "{text}", schema=Count).compute(scheduler="sync")
    assert frame["count"].dtype == "Int64"
    assert frame["status"].value_counts().to_dict() == {"ok": 23, "error": 1, "stopped": 0, "skipped": 0}
    assert "does not fit Int64" in frame["error"].iloc[1]


def test_a_root_model_of_dicts_is_one_column(client, table):
    with serve_completions(lambda *_: '{"value": {"x": 1}}') as gateway:
        frame = client(gateway).map(table, "{text}", schema=RootModel[dict[str, int]]).compute(scheduler="sync")
    assert list(frame.columns) == ["answer", *COLUMNS]


def test_empty_partitions_have_the_dtypes_too(client, table):
    with serve_completions(lambda *_: LABEL) as gateway:
        result = client(gateway).map(table[table["text"] == "review 3"], "{text}", schema=Label)
        frame = result.get_partition(3).compute(scheduler="sync")
        whole = result.compute(scheduler="sync")
    assert len(frame) == 0
    assert frame.dtypes.to_dict() == whole.dtypes.to_dict() == result._meta.dtypes.to_dict()
    assert len(gateway.bodies) == 1


def test_a_missing_value_is_named_when_its_partition_is_computed(client, table):
    holed = table.assign(text=table["text"].where(table["text"] != "review 9"))
    with serve_completions() as gateway:
        with pytest.raises(ValueError, match="na='skip'"):
            client(gateway).map(holed, "{text}").compute(scheduler="sync")
        frame = client(gateway).map(holed, "{text}", na="skip").compute(scheduler="sync")
    assert (frame["status"] == "skipped").sum() == 1


# --- what is paid


def test_computing_again_pays_once(client, table):
    with serve_completions() as gateway:
        result = client(gateway).map(table, "{text}")
        result.head(2)
        assert len(gateway.bodies) == 6
        result.compute(scheduler="threads")
        result.compute(scheduler="threads")
    assert set(gateway.counts.values()) == {1}
    assert len(gateway.bodies) == 24


def test_rows_that_ask_the_same_are_asked_once_over_all_partitions(client, table):
    with serve_completions() as gateway:
        client(gateway).map(table.assign(text="same"), "{text}").compute(scheduler="threads")
    assert len(gateway.bodies) == 1


def test_a_ledger_for_each_partition(client, table, tmp_path, cache_folder):
    with serve_completions() as gateway:
        result = client(gateway).map(table, "{text}", ledger=tmp_path / "part-{partition}.sqlite")
        result.compute(scheduler="threads")
        result.compute(scheduler="threads")
    assert sorted(file.name for file in tmp_path.glob("*.sqlite")) == [f"part-{number}.sqlite" for number in range(4)]
    assert not list(cache_folder.rglob("*.sqlite"))
    assert len(gateway.bodies) == 24


# --- limits


def test_requests_at_once_are_those_of_all_partitions(client, table):
    lock, now, most = threading.Lock(), 0, 0
    both = threading.Event()

    def reply(prompt, _):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == 3:
                both.set()
        both.wait(0.3)
        with lock:
            now -= 1
        return prompt

    with serve_completions(reply) as gateway:
        client(gateway).map(table, "{text}", concurrency=3).compute(scheduler="threads", num_workers=4)
    assert most == 3


def test_a_budget_is_that_of_all_partitions(client, table):
    with serve_completions(lambda *_: "one two three four five six seven eight nine ten") as gateway:
        result = client(gateway).map(table, "{text}", budget="200 tokens")
        frame = result.compute(scheduler="threads")
        again = result.compute(scheduler="threads")
    assert len(gateway.bodies) == 10  # of 20 tokens each
    assert (frame["status"] == "ok").sum() == (again["status"] == "ok").sum() == 10
    assert set(frame.loc[frame["status"] == "stopped", "error"]) == {"the budget of 200 tokens allows no more rows"}


def test_a_key_that_is_refused_ends_all_partitions(client, table):
    with serve_completions(lambda *_: Refusal(401, {"error": {"message": "bad key"}})) as gateway:
        frame = client(gateway).map(table, "{text}").compute(scheduler="sync")
    assert len(gateway.bodies) == 1
    assert set(frame["status"]) == {"error", "stopped"}
    assert frame["error"].str.contains("bad key").all()


# --- what travels


def test_no_key_and_no_headers_value_stands_in_the_graph(client, table):
    with serve_completions() as gateway:
        amber = client(gateway, headers={"X-Team": "very-private"})
        result = amber.map(table, lambda row: row["text"], extra_headers={"X-Row": "also-private"}, schema=Label)
    for stored in (cloudpickle.dumps(dict(result.__dask_graph__())), cloudpickle.dumps(result)):
        for secret in (KEY, "very-private", "also-private"):
            assert secret.encode() not in stored
    names = repr(list(result.__dask_graph__())) + repr(result) + repr(result.expr)
    assert "review" not in names
    assert KEY not in names
    assert "private" not in names


def elsewhere_of(monkeypatch, result, table):
    """The same computation by a task that has come out of a pickle, as in a process that is not the client's."""
    monkeypatch.setattr("amber_nb.map.dask_frames._here", {})
    monkeypatch.setattr("amber_nb.map.dask_frames._contexts", {})
    task = pickle.loads(cloudpickle.dumps(result.expr.operand("func")))
    return table.map_partitions(lambda part: task(part), meta=result._meta)


def test_a_worker_uses_its_own_settings(client, table, monkeypatch):
    with serve_completions() as gateway:
        result = elsewhere_of(monkeypatch, client(gateway, max_retries=0).map(table, "{text}"), table)
        monkeypatch.setenv("AMBER_BASE_URL", gateway.base_url)
        monkeypatch.setenv("AMBER_API_KEY", "ambrs-exampletoken-of-the-worker")
        frame = result.compute(scheduler="sync")
    assert set(frame["status"]) == {"ok"}
    assert {headers["authorization"] for headers in gateway.headers} == {"Bearer ambrs-exampletoken-of-the-worker"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "has no key for"),
        ({"AMBER_DOMAIN": "acme"}, "has no key for"),
        ({"AMBER_DOMAIN": "acme", "AMBER_API_KEY": KEY}, "for another gateway"),
    ],
)
def test_a_worker_without_the_settings_is_named(client, table, monkeypatch, elsewhere, variables, words):
    with serve_completions() as gateway:
        result = elsewhere_of(monkeypatch, client(gateway).map(table, "{text}"), table)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match=f"The worker process \\d+ on .* {words}") as caught:
            result.compute(scheduler="sync")
    assert "AMBER_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value)
    assert not gateway.bodies


def test_a_key_alone_goes_to_the_gateway_of_the_graph(client, table, monkeypatch, elsewhere):
    with serve_completions() as gateway:
        result = elsewhere_of(monkeypatch, client(gateway).map(table, "{text}"), table)
        monkeypatch.setenv("AMBER_API_KEY", KEY)
        assert set(result.compute(scheduler="sync")["status"]) == {"ok"}


def test_headers_that_do_not_travel_are_named(client, table, monkeypatch):
    with serve_completions() as gateway:
        amber = client(gateway, headers={"X-Team": "very-private"})
        here = amber.map(table, "{text}")
        there = elsewhere_of(monkeypatch, here, table)
        with pytest.raises(ConfigError, match="X-Team") as caught:
            there.compute(scheduler="sync")
        here.compute(scheduler="sync")
    assert "very-private" not in str(caught.value)
    assert gateway.headers[0]["x-team"] == "very-private"


def test_prices_and_parameters_travel(client, table, monkeypatch):
    with serve_completions() as gateway:
        result = elsewhere_of(
            monkeypatch, client(gateway).map(table, "{text}", temperature=0, system="Be brief."), table
        )
        monkeypatch.setenv("AMBER_API_KEY", KEY)
        frame = result.compute(scheduler="sync")
    assert frame["cost"].notna().all()
    assert gateway.bodies[0]["temperature"] == 0
    assert np.all([body["messages"][0]["content"] == "Be brief." for body in gateway.bodies])
