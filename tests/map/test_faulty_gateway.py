"""Maps on gateways that fail in every way: each row ends with an answer or with its reason."""

import random
import threading

import pandas as pd
import pytest
from completions import Refusal, completion, serve_completions
from patience import until
from pydantic import BaseModel

FAULTS = {
    "429 with Retry-After": Refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "3"}),
    "429 without": Refusal(429, {"error": {"message": "slow down"}}),
    "500": Refusal(500, {"error": {"message": "broken"}}),
    "503 as a page": Refusal(503, b"<html><title>Maintenance</title></html>", {"Content-Type": "text/html"}),
    "cut": Refusal(200, completion("a whole answer"), cut=True),
    "page": Refusal(200, b"<html><title>Sign in</title></html>", {"Content-Type": "text/html"}),
    "empty": Refusal(200, b""),
    "error as an answer": Refusal(200, {"error": {"message": "upstream failed"}}),
    "no choices": Refusal(200, {"choices": []}),
}
HOPELESS = Refusal(400, {"error": {"message": "this prompt is refused"}})


@pytest.mark.parametrize("concurrency", [1, 32])
def test_each_row_ends_ok_or_with_its_reason(client, fast_clock, concurrency):
    draw = random.Random(7)
    lock = threading.Lock()
    kinds = list(FAULTS.values())

    def reply(prompt, _):
        with lock:
            number = draw.random()
            fault = draw.choice(kinds)
        if prompt.endswith("7"):
            return HOPELESS
        return fault if number < 0.1 * len(kinds) / 2 else f"fine {prompt}"

    frame = pd.DataFrame({"text": [f"row {number}" for number in range(300)]})
    with serve_completions(reply) as gateway:
        result = client(gateway).map(frame, "{text}", concurrency=concurrency)
    assert set(result["status"]) <= {"ok", "error"}
    assert (result["status"] == "error")[frame["text"].str.endswith("7")].all()
    assert (result["status"] == "ok").sum() > 200
    assert (result["error"].isna() == (result["status"] == "ok")).all()
    assert (result["answer"].isna() == (result["status"] == "error")).all()
    assert result["answer"].dropna().tolist() == [f"fine {text}" for text in frame["text"][result["answer"].notna()]]
    assert result.attrs["ended"] is None


@pytest.mark.parametrize(("name", "fault"), FAULTS.items(), ids=FAULTS)
def test_a_fault_that_stays_ends_in_an_error_that_names_it(client, fast_clock, name, fault):
    frame = pd.DataFrame({"text": ["good", "bad"]})
    with serve_completions(lambda prompt, _: fault if prompt == "bad" else "fine") as gateway:
        result = client(gateway, max_retries=2).map(frame, "{text}", max_wait_s=30)
    assert result["status"].tolist() == ["ok", "error"]
    assert len(result["error"].iloc[1]) > 10
    if not name.startswith("429"):
        assert gateway.counts["bad"] == 3


def test_a_gateway_that_falls_silent_is_tried_again_and_named(client, clock):
    never = threading.Event()
    stalled = Refusal(200, completion("late"), wait=never)
    frame = pd.DataFrame({"text": ["a"]})
    found = []
    with serve_completions(lambda *_: stalled) as gateway:
        amber = client(gateway, max_retries=1)
        thread = threading.Thread(
            target=lambda: found.append(amber.map(frame, "{text}", timeout_s=5, ledger=None)), daemon=True
        )
        thread.start()
        for number in (1, 2):
            until(lambda number=number: len(gateway.bodies) == number)
            while thread.is_alive() and len(gateway.bodies) == number:
                clock.advance(1.0)
                thread.join(0.02)
        thread.join(10)
        never.set()
    (result,) = found
    assert result["status"].tolist() == ["error"]
    assert "APITimeoutError" in result["error"].iloc[0]


def test_a_hundred_rows_that_fail_alike_before_any_answer_end_the_run(client, fast_clock):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(1_000)]})
    with serve_completions(lambda *_: HOPELESS) as gateway:
        result = client(gateway).map(frame, "{text}", concurrency=4)
    assert 100 <= len(gateway.bodies) <= 104
    assert (result["status"] == "stopped").sum() >= 896
    assert "this prompt is refused" in result.attrs["ended"]


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize(
    "poison",
    [
        Refusal(403, {"error": {"message": "blocked by the content policy"}}),
        Refusal(404, {"error": {"message": "no such document"}}),
        Refusal(400, {"error": {"message": "'max_tokens' is too large: 512. Your request has 3800 input tokens"}}),
        Refusal(429, {"error": {"message": "later"}}, {"Retry-After": "7000"}),
    ],
)
def test_one_row_that_is_refused_ends_no_run_that_works(client, fast_clock, poison, first):
    names = [f"row {number}" for number in range(60)]
    frame = pd.DataFrame({"text": ["poison", *names] if first else [*names, "poison"]})
    with serve_completions(lambda prompt, _: poison if prompt == "poison" else "fine") as gateway:
        amber = client(gateway)
        if first:  # the others were answered before: the poison is the first request of the second run
            amber.map(frame[1:], "{text}", max_tokens=512)
        result = amber.map(frame, "{text}", max_tokens=512, concurrency=4)
        again = amber.map(frame, "{text}", max_tokens=512, concurrency=4)
    for found in (result, again):
        assert (found["status"] == "ok").sum() == 60
        assert (found["status"] == "error").sum() == 1
        assert found.attrs["ended"] is None


def test_a_gateway_that_breaks_midway_ends_the_run(client, fast_clock):
    asked = []

    def reply(prompt, _):
        asked.append(prompt)
        return "fine" if len(asked) <= 50 else Refusal(500)

    frame = pd.DataFrame({"text": [f"row {number}" for number in range(2_000)]})
    with serve_completions(reply) as gateway:
        result = client(gateway, max_retries=0).map(frame, "{text}", concurrency=4)
    assert (result["status"] == "ok").sum() == 50
    assert 100 <= (result["status"] == "error").sum() <= 108
    assert "the last 100 rows all failed" in result.attrs["ended"]


def test_a_key_that_is_revoked_midway_is_not_tried_for_all_rows_that_wait(client):
    asked = []

    def reply(prompt, _):
        asked.append(prompt)
        return "fine" if len(asked) <= 5 else Refusal(401)

    frame = pd.DataFrame({"text": [f"row {number}" for number in range(200)]})
    with serve_completions(reply) as gateway:
        result = client(gateway).map(frame, "{text}", concurrency=32, requests_per_minute=6_000, show=False)
    assert len(gateway.bodies) <= 5 + 32
    assert (result["status"] == "stopped").sum() >= 200 - 5 - 32


def test_a_row_that_waits_is_not_sent_again_once_the_run_has_ended(client, clock):
    busy = Refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "60"})
    found = []

    def reply(prompt, number):
        if prompt == "row 1":
            return busy
        return Refusal(401) if prompt == "row 20" else "fine"

    frame = pd.DataFrame({"text": [f"row {number}" for number in range(40)]})
    with serve_completions(reply) as gateway:
        amber = client(gateway)
        thread = threading.Thread(target=lambda: found.append(amber.map(frame, "{text}", concurrency=2, ledger=None)))
        thread.start()
        thread.join(20)  # nobody moves the clock: the wait ends with the run
        assert gateway.counts["row 1"] == 1
    (result,) = found
    assert result["status"].iloc[1] == "error"
    assert "slow down" in result["error"].iloc[1]


def test_a_gateway_that_asks_for_an_instant_each_time_is_not_asked_for_ever(client, fast_clock):
    busy = Refusal(429, {"error": {"message": "slow down"}}, {"retry-after-ms": "1"})
    with serve_completions(lambda *_: busy) as gateway:
        result = client(gateway).map(pd.DataFrame({"text": ["a", "b"]}), "{text}")
    assert result["status"].tolist() == ["error", "error"]
    assert len(gateway.bodies) < 100


def test_a_value_whose_text_fails_holds_nobody_up(client):
    class Odd(BaseModel):
        n: int

        def __str__(self):
            raise ZeroDivisionError

    frame = pd.DataFrame({"text": ["a", "b"]})
    with serve_completions(lambda *_: '{"n": 1}') as gateway:
        result = client(gateway).map(frame, "{text}", schema=Odd)
    assert result["n"].tolist() == [1, 1]


def test_a_wait_that_is_longer_than_allowed_fails_the_row(client, fast_clock):
    busy = Refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "20"})
    frame = pd.DataFrame({"text": ["a", "b"]})
    with serve_completions(lambda prompt, _: busy if prompt == "b" else "fine") as gateway:
        result = client(gateway).map(frame, "{text}", max_wait_s=50)
    assert result["status"].tolist() == ["ok", "error"]
    assert gateway.counts["b"] == 3
