"""Maps on gateways that fail in every way: each row ends with an answer or with its reason."""

import random
import threading

import pandas as pd
import pytest
from completions import Refusal, completion, serve_completions
from patience import until

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


def test_a_wait_that_is_longer_than_allowed_fails_the_row(client, fast_clock):
    busy = Refusal(429, {"error": {"message": "slow down"}}, {"Retry-After": "20"})
    frame = pd.DataFrame({"text": ["a", "b"]})
    with serve_completions(lambda prompt, _: busy if prompt == "b" else "fine") as gateway:
        result = client(gateway).map(frame, "{text}", max_wait_s=50)
    assert result["status"].tolist() == ["ok", "error"]
    assert gateway.counts["b"] == 3
