"""`amber.map` against a gateway on this machine: what is sent, what comes back, and what a row's end is called."""

import asyncio
import enum
import json
from datetime import date
from typing import Literal

import pandas as pd
import polars as pl
import pytest
from completions import Refusal, completion, serve_completions
from pydantic import BaseModel

from amber_nb import Amber, CassetteMiss, ConfigError
from amber_nb.map.results import COLUMNS


class Label(BaseModel):
    topic: Literal["screen", "battery"]
    stars: int
    seen: date | None = None


def label(prompt, _):
    number = int(prompt.rpartition(" ")[2])
    topic = ("screen", "battery")[number % 2]
    return json.dumps({"topic": topic, "stars": number, "seen": f"2026-01-{number + 1:02}"})


def test_the_result_has_the_index_and_the_new_columns_alone(client, reviews):
    with serve_completions() as gateway:
        result = client(gateway).map(reviews, "Say {text}")
    assert list(result.columns) == ["answer", *COLUMNS]
    assert result.index.equals(reviews.index)
    assert result["answer"].tolist() == [f"echo Say review {number}" for number in range(12)]
    assert set(result["status"]) == {"ok"}
    assert result["error"].isna().all()
    assert result["finish_reason"].tolist() == ["stop"] * 12
    assert str(result.dtypes["prompt_tokens"]) == str(result.dtypes["completion_tokens"]) == "Int64"
    assert result["cost"].tolist() == pytest.approx([(10 + 2 * 4) / 1e6] * 12)
    assert (result["latency_s"] > 0).all()
    totals = result.attrs["totals"]
    assert (totals["rows"], totals["ok"], totals["requests"]) == (12, 12, 12)
    assert totals["cost"] == pytest.approx(result["cost"].sum())
    assert result.attrs["mode"] == "live"
    assert result.attrs["run"]
    assert json.dumps(result.attrs)


def test_a_multi_index_stays(client):
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]])
    with serve_completions() as gateway:
        result = client(gateway).map(pd.DataFrame({"text": list("wxyz")}, index=index), "{text}")
    assert result.index.equals(index)


def test_a_schema_gives_columns_with_dtypes(client, reviews):
    with serve_completions(label) as gateway:
        result = client(gateway).map(reviews, "Label {text}", schema=Label)
    assert list(result.columns) == ["topic", "stars", "seen", *COLUMNS]
    assert list(result["topic"].cat.categories) == ["screen", "battery"]
    assert str(result.dtypes["stars"]) == "Int64"
    assert str(result.dtypes["seen"]).startswith("datetime64")
    assert result["stars"].tolist() == list(range(12))
    assert gateway.bodies[0]["response_format"]["json_schema"]["name"] == "Label"


class Measure(BaseModel):
    value: float


class Topic(enum.Enum):
    SCREEN = "screen"
    BATTERY = "battery"


@pytest.mark.parametrize(
    ("schema", "reply", "value", "dtype"),
    [
        (bool, '{"value": true}', True, "boolean"),
        (Measure, '{"value": 2.5}', 2.5, "Float64"),
        (int, '{"value": 3}', 3, "Int64"),
        (Literal["a", "b"], '{"value": "b"}', "b", "category"),
        (Topic, '{"value": "screen"}', "screen", "category"),
        (list[str], '{"value": ["x", "y"]}', ["x", "y"], "object"),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": 4}', 4, "Int64"),
    ],
)
def test_other_schemas_give_a_column(client, schema, reply, value, dtype):
    with serve_completions(lambda *_: reply) as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["a", "b"]}), "{text}", schema=schema)
    assert result.iloc[0, 0] == value
    assert str(result.dtypes.iloc[0]) == dtype
    names = {Measure: "value"}
    assert result.columns[0] == ("n" if isinstance(schema, dict) else names.get(schema, "answer"))


def test_a_row_that_does_not_fit_is_corrected_once_and_paid_for_twice(client):
    def reply(prompt, _):
        return '{"topic": "screen", "stars": 5}' if "does not fit" in prompt else '{"topic": "nothing"}'

    with serve_completions(reply) as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["a"]}), "{text}", schema=Label)
    assert result["topic"].tolist() == ["screen"]
    assert result["prompt_tokens"].tolist() == [20]
    assert len(gateway.bodies) == 2


def test_a_row_that_never_fits_is_an_error_and_no_exception(client):
    def reply(prompt, _):
        return "no JSON" if "bad" in prompt or "does not fit" in prompt else '{"topic": "screen", "stars": 5}'

    with serve_completions(reply) as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["bad", "good"]}), "{text}", schema=Label)
    assert result["status"].tolist() == ["error", "ok"]
    assert "does not fit the schema" in result["error"].iloc[0]
    assert result["topic"].isna().tolist() == [True, False]
    assert result["cost"].notna().all()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (completion("half", "content_filter"), "content filter"),
        (completion("", "length"), "limit of tokens"),
        (Refusal(400, {"error": {"message": "too long for the model"}}), "BadRequestError (400): too long"),
        (Refusal(200, b"<html><title>Sign in</title></html>", {"Content-Type": "text/html"}), "not a chat completion"),
        (Refusal(200, b""), "not a chat completion"),
        (Refusal(200, {"error": {"message": "overloaded"}}), "overloaded"),
        (Refusal(500, cut=True), "Connection error"),
        (Refusal(200, completion("whole"), cut=True), "Connection error"),
        (Refusal(413, {"error": {"message": "too large"}}), "413"),
    ],
)
def test_a_row_that_fails_says_why(client, fast_clock, reply, words):
    with serve_completions(lambda prompt, _: reply if "bad" in prompt else "fine") as gateway:
        result = client(gateway, max_retries=1).map(pd.DataFrame({"text": ["good", "bad"]}), "{text}")
    assert result["status"].tolist() == ["ok", "error"]
    assert words.lower() in result["error"].iloc[1].lower()
    assert result["answer"].isna().tolist() == [False, True]


def test_a_text_cut_at_its_limit_is_an_answer_that_says_so(client):
    with serve_completions(lambda *_: completion("half a", "length")) as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["a"]}), "{text}", max_tokens=2)
    assert result["status"].tolist() == ["ok"]
    assert result["finish_reason"].tolist() == ["length"]


def test_what_passes_is_tried_again(client, fast_clock):
    def reply(prompt, number):
        if number == 0:
            return {"a": Refusal(500), "b": Refusal(200, b"<html>"), "c": Refusal(200, completion("x"), cut=True)}[
                prompt
            ]
        return "fine"

    with serve_completions(reply) as gateway:
        result = client(gateway).map(pd.DataFrame({"text": list("abc")}), "{text}")
    assert set(result["status"]) == {"ok"}
    assert gateway.counts == {"a": 2, "b": 2, "c": 2}


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"retry-after-ms": "7000"}])
def test_a_gateway_that_asks_to_wait_is_waited_for(client, fast_clock, headers):
    busy = Refusal(429, {"error": {"message": "slow down"}}, headers)
    with serve_completions(lambda _, number: busy if number < 4 else "fine") as gateway:
        result = client(gateway, max_retries=0).map(pd.DataFrame({"text": ["a"]}), "{text}")
    assert result["status"].tolist() == ["ok"]
    assert fast_clock.sleeps.count(7.0) == 4
    assert len(gateway.bodies) == 5


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Refusal(401, {"error": {"message": "no such key"}}), "AuthenticationError (401)"),
        (Refusal(403, {"error": {"message": "not yours"}}), "403"),
        (Refusal(404, {"error": {"message": "no such model"}}), "404"),
        (Refusal(400, {"error": {"message": "Invalid model name passed in"}}), "Invalid model name"),
        (
            Refusal(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
            "quota",
        ),
        (Refusal(429, {"error": {"message": "later"}}, {"Retry-After": "86400"}), "later"),
        (Refusal(302, b"", {"Location": "https://elsewhere.example"}), "302"),
        (Refusal(400, {"error": {"message": "'temperature' does not support 0.5"}}), "temperature"),
    ],
)
def test_what_each_row_would_meet_ends_the_run_at_once(client, reviews, reply, words):
    with serve_completions(lambda *_: reply) as gateway:
        result = client(gateway).map(reviews, "Say {text}", temperature=0.5, concurrency=8)
    # What may be meant for one row is tried with a second.
    tries = 2 if words in ("403", "later", "temperature") else 1
    assert len(gateway.bodies) == tries
    assert result["status"].tolist() == [*["error"] * tries, *["stopped"] * (12 - tries)]
    assert words in result["error"].iloc[0]
    assert words in result.attrs["ended"]
    if "401" in words:
        assert "does not accept the key" in result.attrs["ended"]
    assert result.index.equals(reviews.index)


def test_a_quota_that_ends_midway_keeps_what_came(client, reviews):
    empty = Refusal(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})
    asked = []

    def reply(prompt, _):
        asked.append(prompt)
        return empty if len(asked) > 5 else "fine"

    with serve_completions(reply) as gateway:
        amber = client(gateway)
        result = amber.map(reviews, "Say {text}", concurrency=1)
        assert result["status"].value_counts().to_dict() == {"ok": 5, "error": 1, "stopped": 6, "skipped": 0}
        assert amber.last_map is result


def test_a_web_page_that_refuses_one_prompt_ends_no_run(client):
    page = Refusal(403, b"<html><title>Blocked</title></html>", {"Content-Type": "text/html"})
    with serve_completions(lambda prompt, _: page if "DROP" in prompt else "fine") as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["a", "DROP TABLE", "c"]}), "{text}")
    assert result["status"].tolist() == ["ok", "error", "ok"]


def test_what_the_model_refuses_of_ambers_own_is_learnt_once(client, reviews):
    def reply(prompt, _):
        body = gateway.bodies[-1]
        if body["messages"][0]["role"] == "developer":
            return Refusal(400, {"error": {"message": "messages: unknown role developer"}})
        return "fine"

    with serve_completions(reply) as gateway:
        result = client(gateway).map(reviews, "Say {text}", system="Be brief.", concurrency=8)
    assert set(result["status"]) == {"ok"}
    assert len(gateway.bodies) == 13
    assert [body["messages"][0]["role"] for body in gateway.bodies[1:]] == ["system"] * 12


def test_a_gateway_that_is_not_there_ends_the_run(client, reviews, fast_clock):
    with serve_completions() as gateway:
        pass
    frame = pd.DataFrame({"text": [str(number) for number in range(500)]})
    result = client(gateway, max_retries=0).map(frame, "Say {text}", concurrency=4)
    assert "APIConnectionError" in result.attrs["ended"]
    assert (result["status"] == "stopped").sum() > 400


def test_rows_that_ask_the_same_are_asked_once(client):
    frame = pd.DataFrame({"text": ["a", "b", "a", "a"]})
    with serve_completions(lambda prompt, number: f"{prompt}{number}") as gateway:
        result = client(gateway).map(frame, "{text}", ledger=None)
        assert result["answer"].tolist() == ["a0", "b0", "a0", "a0"]
        assert gateway.counts == {"a": 1, "b": 1}
        assert result["cost"].tolist()[2:] == [0, 0]
        assert result.attrs["totals"]["cost"] == pytest.approx(result["cost"].sum())
        each = client(gateway).map(frame, "{text}", ledger=None, distinct=False)
        assert sorted(each["answer"]) == ["a1", "a2", "a3", "b1"]


@pytest.mark.parametrize(
    ("columns", "options", "word"),
    [
        ({"text": ["a"], "answer": ["x"]}, {}, "prefix='llm_'"),
        ({"text": ["a"], "status": ["x"]}, {}, "prefix='llm_'"),
        ({"text": ["a"], "topic": ["x"]}, {"schema": Label}, "prefix='llm_'"),
        ({"text": ["a"]}, {"schema": dict[str, int], "prefix": 3}, "prefix must be"),
        ({"text": ["a"], "llm_answer": ["x"]}, {"prefix": "llm_"}, "llm_answer"),
    ],
)
def test_a_name_that_collides_is_refused_before_anything_is_sent(client, columns, options, word):
    with serve_completions() as gateway:
        with pytest.raises((ValueError, TypeError), match=word):
            client(gateway).map(pd.DataFrame(columns), "{text}", **options)
        assert not gateway.bodies


def test_a_prefix_goes_before_all_columns(client):
    with serve_completions() as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["a"], "answer": ["x"]}), "{text}", prefix="llm_")
    assert list(result.columns) == [f"llm_{name}" for name in ("answer", *COLUMNS)]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"tools": [print]}, TypeError, "no tools= yet"),
        ({"temprature": 0}, TypeError, "Did you mean 'temperature'"),
        ({"stream": True}, TypeError, "amber decides"),
        ({"previw": True}, TypeError, "Did you mean 'preview'"),
        ({"n": 2}, TypeError, "no n="),
        ({"concurrency": 0}, ConfigError, "concurrency"),
        ({"concurrency": True}, ConfigError, "concurrency"),
        ({"requests_per_minute": -1}, ConfigError, "requests_per_minute"),
        ({"tokens_per_minute": float("nan")}, ConfigError, "tokens_per_minute"),
        ({"timeout_s": 0}, ConfigError, "timeout_s"),
        ({"na": "drop"}, ValueError, "'raise' or 'skip'"),
        ({"images": "photo"}, ValueError, "no column 'photo'"),
        ({"images": 3}, TypeError, "name of a column"),
        ({"ledger": 3}, TypeError, "ledger must be"),
        ({"schema": 3}, TypeError, "schema must be"),
        ({"mode": "replay"}, ConfigError, "mode"),
        ({"budget": "ten"}, ConfigError, "budget"),
        ({"budget": "1 GBP"}, ConfigError, "USD"),
        ({"model": "nobody/knows", "budget": 1.0}, ConfigError, "price of nobody/knows"),
        ({"schema": Label, "response_format": {"type": "json_object"}}, TypeError, "response_format"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_sent(client, reviews, options, kind, words):
    with serve_completions() as gateway:
        with pytest.raises(kind, match=words):
            client(gateway).map(reviews, "Say {text}", **options)
        assert not gateway.bodies


def test_parameters_travel(client):
    with serve_completions() as gateway:
        client(gateway, headers={"x-team": "data"}).map(
            pd.DataFrame({"text": ["a"]}), "{text}", model="m", temperature=0, max_tokens=5, extra_body={"top_k": 3}
        )
    body = gateway.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"], body["top_k"]) == ("m", 0, 5, 3)
    assert "stream" not in body
    assert gateway.headers[0]["x-team"] == "data"
    assert gateway.headers[0]["authorization"].startswith("Bearer ")


def test_missing_values_are_skipped_where_that_is_said(client):
    frame = pd.DataFrame({"text": ["a", None, "c"]})
    with serve_completions() as gateway:
        result = client(gateway).map(frame, "{text}", na="skip")
    assert result["status"].tolist() == ["ok", "skipped", "ok"]
    assert result["answer"].isna().tolist() == [False, True, False]
    assert len(gateway.bodies) == 2


@pytest.mark.parametrize("frame", [pd.DataFrame({"text": []}), pd.DataFrame({"text": [None]})])
def test_a_table_without_a_row_to_ask_about_sends_nothing(client, frame):
    with serve_completions() as gateway:
        result = client(gateway).map(frame, "{text}", na="skip", schema=Label)
    assert len(result) == len(frame)
    assert list(result.columns) == ["topic", "stars", "seen", *COLUMNS]
    assert not gateway.bodies


def test_a_polars_frame_gives_one_back(client):
    frame = pl.DataFrame({"text": ["review 0", "review 1"]})
    with serve_completions(label) as gateway:
        result = client(gateway).map(frame, "{text}", schema=Label)
        texts = client(gateway).map(frame["text"], "Say {}", ledger=None)
    assert isinstance(result, pl.DataFrame)
    assert result["topic"].to_list() == ["screen", "battery"]
    assert result["stars"].dtype == pl.Int64
    assert result["status"].to_list() == ["ok", "ok"]
    assert isinstance(texts, pl.DataFrame)


def test_it_runs_inside_a_running_loop_and_without_one(client, reviews):
    with serve_completions() as gateway:
        amber = client(gateway)

        async def both():
            inside = amber.map(reviews, "Say {text}", ledger=None)
            awaited, other = await asyncio.gather(
                amber.map_async(reviews, "Say {text}", ledger=None),
                amber.map_async(reviews, "Tell {text}", ledger=None),
            )
            return inside, awaited, other

        inside, awaited, other = asyncio.run(both())
        assert inside["answer"].tolist() == awaited["answer"].tolist()
        assert other["answer"].iloc[0] == "echo Tell review 0"


def test_the_simulator_is_never_asked_unasked(reviews, monkeypatch):
    monkeypatch.setattr("amber_nb.display.kernel.in_kernel", lambda: True)
    monkeypatch.setattr("amber_nb.display.kernel.has_front_end", lambda: True)
    amber = Amber()
    monkeypatch.undo()
    assert amber.mode == "simulate"
    with pytest.raises(ConfigError, match="mode='simulate'"):
        amber.map(reviews, "Say {text}")
    result = amber.map(reviews, "Say {text}", mode="simulate")
    assert result.attrs["mode"] == "simulate"
    again = amber.map(reviews, "Say {text}", mode="simulate")
    assert (again.equals(result), again.attrs) == (True, result.attrs)
    assert set(result["status"]) == {"ok"}


def test_a_live_client_asks_the_simulator_where_that_is_said(client, reviews):
    with serve_completions() as gateway:
        result = client(gateway).map(reviews, "Say {text}", mode="simulate")
        assert not gateway.bodies
    assert result.attrs["mode"] == "simulate"
    assert result.attrs["ledger"] is None


def test_a_recording_answers_as_it_does_for_ask(client, reviews, tmp_path):
    cassette = tmp_path / "map.jsonl"
    with serve_completions() as gateway:
        recorded = client(gateway, mode="record", cassette=cassette).map(reviews, "Say {text}")
        assert len(gateway.bodies) == 12
        cached = client(gateway, mode="cache", cassette=cassette).map(reviews, "Say {text}")
        assert len(gateway.bodies) == 12
    replaying = Amber(mode="replay", cassette=cassette)
    replayed = replaying.map(reviews, "Say {text}")
    columns = ["answer", "status", "prompt_tokens"]
    assert recorded[columns].equals(cached[columns])
    assert recorded[columns].equals(replayed[columns])
    for result, is_timed in ((recorded, True), (replayed, False)):
        assert set(result["latency_s"].notna()) == {is_timed}
        assert (result.attrs["totals"]["elapsed_s"] is not None) == is_timed
    with pytest.raises(CassetteMiss, match="not recorded"):
        replaying.map(reviews, "Tell {text}")
    assert replaying.last_map is not None


def test_the_key_is_nowhere_in_what_fails(client, reviews):
    with serve_completions(lambda *_: Refusal(401, {"error": {"message": "bad key ambrs-exampletoken"}})) as gateway:
        result = client(gateway).map(reviews, "Say {text}")
    assert "exampletoken" not in result.to_csv() + str(result.attrs)


def test_a_map_is_one_row_of_the_usage_log(client, reviews):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(reviews, "Say {text}")
    row = amber.usage_log.iloc[0]
    assert len(amber.usage_log) == 1
    assert row["prompt_tokens"] == 120
    assert row["cost"] == pytest.approx((120 + 2 * 48) / 1e6)


def test_half_characters_of_a_typed_answer_do_not_end_the_map(client):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    with serve_completions(lambda *_: '{"name": "a\\ud800b"}') as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["x"]}), "{text}", schema=schema)
    assert result["name"].tolist() == ["a\ufffdb"]
