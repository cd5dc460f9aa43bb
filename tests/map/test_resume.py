"""A map that goes on where it was: after its end, a stop, an interrupt, a kill; and what is another run."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from typing import Annotated

import pandas as pd
import pytest
from completions import Refusal, completion, serve_completions
from patience import until
from pydantic import AfterValidator, BaseModel

from amber_nb import Amber

CONCURRENCY = 8


def test_the_same_call_again_sends_nothing(client, reviews):
    with serve_completions() as gateway:
        amber = client(gateway)
        first = amber.map(reviews, "Say {text}")
        again = amber.map(reviews, "Say {text}")
        elsewhere = client(gateway).map(reviews, "Say {text}")
        assert len(gateway.bodies) == 12
    pd.testing.assert_frame_equal(first, again, check_exact=False, atol=0.001)
    assert again.attrs["totals"]["from_ledger"] == 12
    assert again.attrs["totals"]["cost"] == 0
    assert again.attrs["run"] == first.attrs["run"] == elsewhere.attrs["run"]


def test_appended_rows_cost_as_many_requests(client):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(300)]})
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(frame.iloc[:200], "Say {text}")
        assert len(gateway.bodies) == 200
        result = amber.map(frame, "Say {text}")
        assert len(gateway.bodies) == 300
    assert result["answer"].tolist() == [f"echo Say row {number}" for number in range(300)]
    assert result.attrs["changes"] == []


def test_a_row_that_failed_is_asked_again(client, fast_clock):
    broken = [True]

    def reply(prompt, _):
        return Refusal(400) if broken[0] and prompt == "b" else f"fine {prompt}"

    with serve_completions(reply) as gateway:
        amber = client(gateway)
        frame = pd.DataFrame({"text": list("abc")})
        assert amber.map(frame, "{text}")["status"].tolist() == ["ok", "error", "ok"]
        broken[0] = False
        result = amber.map(frame, "{text}")
    assert result["answer"].tolist() == ["fine a", "fine b", "fine c"]
    assert gateway.counts == {"a": 1, "b": 2, "c": 1}


def test_resume_false_asks_anew_and_keeps_the_new_answers(client):
    with serve_completions(lambda prompt, number: f"{prompt}{number}") as gateway:
        amber, frame = client(gateway), pd.DataFrame({"text": list("ab")})
        amber.map(frame, "{text}")
        assert amber.map(frame, "{text}", resume=False)["answer"].tolist() == ["a1", "b1"]
        assert amber.map(frame, "{text}")["answer"].tolist() == ["a1", "b1"]
        assert len(gateway.bodies) == 4


@pytest.mark.parametrize(
    ("prompt", "options", "changes"),
    [
        ("Tell {text}", {}, ["prompt"]),
        ("Say {text}", {"model": "m"}, ["model"]),
        ("Say {text}", {"system": "Be brief."}, ["system"]),
        ("Say {text}", {"temperature": 1}, ["parameters"]),
        ("Tell {text}", {"model": "m"}, ["model", "prompt"]),
        ("Say {text}", {"concurrency": 3, "requests_per_minute": 1e6}, []),
    ],
)
def test_what_differs_is_another_run_and_is_named(client, reviews, prompt, options, changes):
    with serve_completions() as gateway:
        amber = client(gateway)
        first = amber.map(reviews, "Say {text}")
        result = amber.map(reviews, prompt, **options)
    assert sorted(result.attrs["changes"]) == changes
    assert len(gateway.bodies) == (24 if changes else 12)
    assert (result.attrs["run"] != first.attrs["run"]) == bool(changes)


def test_a_schema_that_changed_is_another_run(client):
    frame = pd.DataFrame({"text": ["a"]})
    with serve_completions(lambda *_: '{"value": 1}') as gateway:
        amber = client(gateway)
        amber.map(frame, "{text}", schema=int)
        assert amber.map(frame, "{text}", schema=float).attrs["changes"] == ["schema"]
        assert len(gateway.bodies) == 2


def test_answers_that_a_stricter_schema_refuses_are_asked_again(client):
    def lower(text):
        if text != text.lower():
            raise ValueError("not in lower case")
        return text

    class Loose(BaseModel):
        label: str

    class Strict(BaseModel):
        label: Annotated[str, AfterValidator(lower)]

    Strict.__name__ = "Loose"  # as a cell that defines it anew
    said = ["Bad"]
    with serve_completions(lambda *_: json.dumps({"label": said[0]})) as gateway:
        amber, frame = client(gateway), pd.DataFrame({"text": list("ab")})
        amber.map(frame, "{text}", schema=Loose)
        said[0] = "bad"
        result = amber.map(frame, "{text}", schema=Strict)
        assert result["label"].tolist() == ["bad", "bad"]
        assert result.attrs["changes"] == []
        assert len(gateway.bodies) == 4
        assert amber.map(frame, "{text}", schema=Strict)["label"].tolist() == ["bad", "bad"]
        assert len(gateway.bodies) == 4


def test_gateways_do_not_share_answers(client, reviews):
    with serve_completions() as one, serve_completions(lambda *_: "other") as other:
        client(one).map(reviews, "Say {text}")
        result = client(other).map(reviews, "Say {text}")
        assert set(result["answer"]) == {"other"}
        assert len(other.bodies) == 12


def test_a_simulated_row_is_never_stored(client, reviews, cache_folder):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(reviews, "Say {text}", mode="simulate")
        assert not cache_folder.exists()
        result = amber.map(reviews, "Say {text}")
        assert result.attrs["totals"]["from_ledger"] == 0


def test_no_ledger_where_none_is_wanted_and_another_where_it_is(client, reviews, cache_folder, tmp_path):
    with serve_completions() as gateway:
        amber = client(gateway)
        assert amber.map(reviews, "Say {text}", ledger=None).attrs["ledger"] is None
        assert not cache_folder.exists()
        amber.map(reviews, "Say {text}", ledger=tmp_path / "own.sqlite")
        assert (tmp_path / "own.sqlite").exists()
        assert not cache_folder.exists()
        assert len(gateway.bodies) == 24
        amber.map(reviews, "Say {text}", ledger=str(tmp_path / "own.sqlite"))
        assert len(gateway.bodies) == 24


def test_rows_that_are_to_be_asked_each_are_found_again_each(client):
    frame = pd.DataFrame({"text": ["a", "a", "a"]})
    with serve_completions(lambda prompt, number: f"{prompt}{number}") as gateway:
        amber = client(gateway)
        first = amber.map(frame, "{text}", distinct=False, concurrency=1)
        again = amber.map(frame, "{text}", distinct=False)
        assert first["answer"].tolist() == again["answer"].tolist() == ["a0", "a1", "a2"]
        assert len(gateway.bodies) == 3


def test_the_ledger_holds_no_prompt_no_address_and_no_key(client, cache_folder):
    frame = pd.DataFrame({"text": ["a most secret prompt"]})
    with serve_completions(lambda *_: "a harmless answer") as gateway:
        client(gateway).map(frame, "Tell me of {text}", system="quite private instructions")
    raw = b"".join(path.read_bytes() for path in (cache_folder / "amber_nb").iterdir() if path.is_file())
    assert b"a harmless answer" in raw
    for secret in (b"most secret", b"tell me", b"private", b"127.0.0.1", b"ambrs-", b"text"):
        assert secret not in raw.replace(b'"text"', b"").replace(b" TEXT", b"").lower(), secret


class Held:
    """A gateway's reply that holds requests back from a number on, until they are let go."""

    def __init__(self, free):
        self.free, self.begun, self.gate = free, 0, threading.Event()
        self._lock = threading.Lock()

    def __call__(self, prompt, _):
        with self._lock:
            self.begun += 1
            is_held = self.begun > self.free
        return Refusal(200, completion(f"echo {prompt}"), wait=self.gate if is_held else None)


def test_stop_gives_what_is_finished_and_the_next_call_goes_on(client, runs):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(40)]})
    reply = Held(20)
    with serve_completions(reply) as gateway:
        amber = client(gateway)
        found = []
        thread = threading.Thread(target=lambda: found.append(amber.map(frame, "{text}", concurrency=CONCURRENCY)))
        thread.start()
        until(lambda: reply.begun == 20 + CONCURRENCY)
        until(lambda: runs[0].progress().ok == 20)
        runs[0].stop()
        thread.join(20)
        (stopped,) = found
        assert (stopped["status"] == "ok").sum() == 20
        assert (stopped["status"] == "stopped").sum() == 20
        assert stopped.attrs["ended"] == "stopped"
        reply.gate.set()
        reply.free = 10**6
        result = amber.map(frame, "{text}")
        assert result["answer"].tolist() == [f"echo row {number}" for number in range(40)]
        assert sum(count > 1 for count in gateway.counts.values()) <= CONCURRENCY
        assert len(gateway.bodies) <= 40 + CONCURRENCY


def test_an_interrupt_raises_and_last_map_has_what_is_finished(client, runs):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(40)]})
    reply = Held(20)
    with serve_completions(reply) as gateway:
        amber = client(gateway)

        def interrupt():
            until(lambda: runs and runs[0].progress().ok == 20)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            amber.map(frame, "{text}", concurrency=CONCURRENCY)
        thread.join(10)
        assert (amber.last_map["status"] == "ok").sum() == 20
        assert amber.last_map.attrs["ended"] == "interrupted"
        reply.gate.set()
        reply.free = 10**6
        amber.map(frame, "{text}")
        assert sum(count > 1 for count in gateway.counts.values()) <= CONCURRENCY


def test_a_cancelled_await_keeps_what_is_finished(client, runs):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(40)]})
    reply = Held(20)

    async def cancel(amber):
        task = asyncio.create_task(amber.map_async(frame, "{text}", concurrency=CONCURRENCY))
        while not (runs and runs[0].progress().ok == 20):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serve_completions(reply) as gateway:
        amber = client(gateway)
        asyncio.run(cancel(amber))
        assert (amber.last_map["status"] == "ok").sum() == 20
        reply.gate.set()


def test_two_at_once_do_not_pay_twice(client):
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(60)]})
    with serve_completions() as gateway:
        clients = [client(gateway), client(gateway)]
        found = [None, None]

        def run(number):
            found[number] = clients[number].map(frame, "{text}", concurrency=4)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert set(gateway.counts.values()) == {1}
        assert len(gateway.bodies) == 60
    assert found[0]["answer"].tolist() == found[1]["answer"].tolist() == [f"echo row {number}" for number in range(60)]


CHILD = """
import json, sys
import pandas as pd
from amber_nb import Amber
amber = Amber(base_url=sys.argv[1], api_key="ambrs-exampletoken")
frame = pd.DataFrame({"text": [f"row {number}" for number in range(int(sys.argv[2]))]})
result = amber.map(frame, "{text}", concurrency=int(sys.argv[3]), show=False)
print(json.dumps([result["answer"].tolist(), result.attrs["totals"]["requests"]]))
"""


def start(gateway, rows):
    command = [sys.executable, "-c", CHILD, gateway.base_url, str(rows), str(CONCURRENCY)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 21))])
def test_a_kill_at_any_moment_costs_at_most_what_was_in_flight(seed):
    rows, random_ = 120, random.Random(seed)
    with serve_completions() as gateway:
        for _ in range(2):
            child = start(gateway, rows)
            moment = len(gateway.bodies) + random_.randrange(1, rows // 2)
            until(lambda at=moment, process=child: len(gateway.bodies) >= at or process.poll() is not None)
            child.kill()  # SIGKILL
            child.communicate()
        child = start(gateway, rows)
        answers, _ = json.loads(child.communicate(timeout=60)[0])
        assert answers == [f"echo row {number}" for number in range(rows)]
        again = {prompt for prompt, count in gateway.counts.items() if count > 1}
        assert len(gateway.bodies) - rows <= 2 * CONCURRENCY
        assert len(again) <= 2 * CONCURRENCY
        assert len(gateway.counts) == rows
        undisturbed = Amber(base_url=gateway.base_url, api_key="ambrs-exampletoken")
        frame = pd.DataFrame({"text": [f"row {number}" for number in range(rows)]})
        assert undisturbed.map(frame, "{text}", ledger=None)["answer"].tolist() == answers
        undisturbed.close()


def test_a_function_that_is_defined_again_is_no_other_prompt(client):
    source = (
        "def prompt(row, words={words}):\n    return ' '.join([word for word in row['text'].split() if word in words])"
    )

    def define(words):
        names = {}
        exec(source.format(words=words), names)
        kept.append(names)  # so that no address comes again
        return names["prompt"]

    kept = []
    frame = pd.DataFrame({"text": ["a b", "b a"]})
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(frame, define(["a", "b"]))
        again = amber.map(frame, define(["a", "b"]))
        assert (again.attrs["changes"], again.attrs["totals"]["from_ledger"]) == ([], 2)
        assert amber.map(frame, define(["a"])).attrs["changes"] == ["prompt"]
