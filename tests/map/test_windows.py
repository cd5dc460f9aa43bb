"""Windows of rows: made on a thread of the run's own, small at first, and no more of them once the run has ended."""

import asyncio
import contextvars
import os
import threading
from types import SimpleNamespace

import pandas as pd
import pytest
from completions import serve_completions
from patience import PATIENCE_S, until

from amber_nb.map.prompts import Request
from amber_nb.map.windows import WindowMaker

POOL = min(32, (os.cpu_count() or 1) + 4)  # threads of asyncio's own, which all runs share


def maker(build, ledger=None, **plan):
    plan = {"count": 10_000, "concurrency": 100, "distinct": True, "base_url": "u", "mode": "live", **plan}
    return WindowMaker(SimpleNamespace(builder=SimpleNamespace(build=build), **plan), ledger, "", resume=True)


def prompt_threads():
    return [thread for thread in threading.enumerate() if thread.name == "amber map prompts"]


def in_caller():
    """Whether this is the first look at a prompt, in the thread that calls map."""
    return threading.current_thread().name != "amber map prompts"


def test_prompt_functions_of_many_runs_wait_for_none_of_each_other(client):
    count = POOL + 1
    together = threading.Barrier(count)

    def prompt(row):
        if not in_caller():
            together.wait(PATIENCE_S)
        return row["text"]

    found = []
    with serve_completions() as gateway:
        amber = client(gateway)
        frame = pd.DataFrame({"text": ["a"]})
        threads = [
            threading.Thread(target=lambda: found.append(amber.map(frame, prompt, ledger=None, show=False)))
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [result["answer"].tolist() for result in found] == [["echo a"]] * count


def test_a_stop_lets_no_prompt_follow_the_one_under_way(client, runs):
    made, begun, go_on = [], threading.Event(), threading.Event()

    def prompt(row):
        if not in_caller():
            made.append(row["text"])
            if len(made) == 2:
                begun.set()
                go_on.wait(PATIENCE_S)
        return row["text"]

    found = []
    with serve_completions() as gateway:
        amber = client(gateway)
        frame = pd.DataFrame({"text": list("abcdefgh")})
        thread = threading.Thread(target=lambda: found.append(amber.map(frame, prompt, show=False)))
        thread.start()
        begun.wait(PATIENCE_S)
        assert all(each.daemon for each in prompt_threads())  # else the process would wait for them
        runs[0].stop()
        thread.join()  # whatever the function does
        assert not go_on.is_set()
        go_on.set()
        until(lambda: not prompt_threads())
    assert made == ["a", "b"]
    assert set(found[0]["status"]) == {"stopped"}


def test_the_first_request_waits_for_few_prompts(client):
    with serve_completions() as gateway:

        def prompt(row):
            if row["n"] >= 4:
                until(lambda: gateway.bodies)
            return f"say {row['n']}"

        result = client(gateway).map(pd.DataFrame({"n": range(100)}), prompt, show=False)
    assert set(result["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("seconds", "rows"),
    [
        ([0] * 8, [4, 8, 16, 32, 64, 128, 200, 200]),
        ([0.5] * 3, [4, 4, 4]),
        ([0, 0, 2, 2, 2, 0], [4, 8, 16, 8, 4, 4]),
    ],
)
def test_windows_grow_while_they_are_made_at_once(clock, seconds, rows):
    windows = maker(lambda start, stop, is_stopped: clock.advance(seconds[len(made)]) or [])
    made, start = [], 0
    for _ in seconds:
        stop = windows.next_stop(start)
        windows.prepare(start, stop)
        made.append(stop - start)
        start = stop
    assert made == rows
    assert windows.next_stop(9_999) == 10_000


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_prompt_that_exits_ends_the_run_and_keeps_its_rows(client, error):
    def prompt(row):
        if row["text"] == "f":
            raise error
        return row["text"]

    with serve_completions() as gateway:
        amber = client(gateway)
        with pytest.raises(RuntimeError, match=f"raised {error.__name__}, which ends the run"):
            amber.map(pd.DataFrame({"text": list("abcdefgh")}), prompt, concurrency=1, show=False)
        assert set(amber.last_map["status"]) <= {"ok", "stopped"}
        assert amber.map(pd.DataFrame({"text": ["z"]}), "{text}")["answer"].tolist() == ["echo z"]


def test_a_ledger_is_left_alone_once_a_run_is_closed():
    used = []

    class Ledger:
        key_of = staticmethod(lambda content, *_: content)

        def __getattr__(self, name):
            used.append(name)
            return lambda keys, *_, **__: {}

    windows = maker(lambda start, stop, is_stopped: [Request(0, [], b"a")], Ledger())
    assert windows.prepare(0, 1).elsewhere
    assert used == ["claim", "find"]
    windows.close()
    windows.prepare(0, 1)
    windows.look_again([])
    assert used == ["claim", "find"]


def test_a_prompt_knows_the_context_of_its_run():
    cell = contextvars.ContextVar("cell")
    found = []
    windows = maker(lambda start, stop, is_stopped: found.append((cell.get(), threading.current_thread().name)) or [])

    async def body():
        cell.set("In [3]")
        for _ in range(2):
            await windows.prepare_async(0, 1)
        assert len(prompt_threads()) == 1

    asyncio.run(body())
    windows.close()
    assert found == [("In [3]", "amber map prompts")] * 2
    until(lambda: not prompt_threads())
