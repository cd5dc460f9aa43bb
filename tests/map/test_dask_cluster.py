"""Dask tables on a cluster of three processes: shared limits, a worker that is killed, and what the workers know."""

import contextlib
import json
import os
import signal
import threading

import cloudpickle
import dask.dataframe as dd
import pandas as pd
import pytest
from completions import Refusal, serve_completions
from distributed import Client, LocalCluster
from patience import until

from amber_nb import ConfigError
from amber_nb.map import shared_limits
from amber_nb.map.ledger import Ledger

KEY = "ambrs-exampletoken"


@contextlib.contextmanager
def three_workers(**variables):
    """Start three processes with these settings; the client of the cluster is the default of Dask meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with (
            LocalCluster(
                n_workers=3,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                worker_dashboard_address=None,
            ) as cluster,
            Client(cluster) as dask_client,
        ):
            dask_client.wait_for_workers(3)
            yield dask_client


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with three_workers(AMBER_API_KEY=KEY, XDG_CACHE_HOME=str(tmp_path_factory.mktemp("cache"))) as dask_client:
        yield dask_client


def reviews(rows, partitions):
    return dd.from_pandas(pd.DataFrame({"text": [f"r{number}" for number in range(rows)]}), npartitions=partitions)


class Held:
    """Answers at once until so many were answered; from then on, requests are held until they are released."""

    def __init__(self, free):
        self.lock = threading.Lock()
        self.free = free
        self.released = threading.Event()
        self.held = []

    def __call__(self, prompt, _):
        with self.lock:
            self.free -= 1
            is_held = self.free < 0 and not self.released.is_set()
            if is_held:
                self.held.append(prompt)
        if is_held:
            self.released.wait(60)
        return f"echo {prompt}"


@pytest.mark.parametrize("path", ["ledger.sqlite", "ledger-{partition}.sqlite"])
def test_a_killed_worker_costs_the_rows_in_flight(client, tmp_path, cluster, path):
    """Rows that are durable are never asked again, and the frame is that of an undisturbed run."""
    table = reviews(120, 6)
    reply = Held(free=45)
    with serve_completions(reply) as gateway:
        result = client(gateway).map(table, "Say {text}", ledger=tmp_path / path, concurrency=6)
        future = cluster.compute(result)
        until(lambda: len(reply.held) == 6)
        until(lambda: sum(stored(file) for file in tmp_path.glob("ledger*.sqlite")) == 45)
        under_way = cluster.run(count_under_way)
        victim = max(under_way, key=under_way.get)
        os.kill(cluster.run(os.getpid, workers=[victim])[victim], signal.SIGKILL)
        until(lambda: len(reply.held) > 6)  # what it had in flight is lent to others
        before = set(reply.held[:6])
        reply.released.set()
        frame = future.result(timeout=60)
    with serve_completions() as calm:
        undisturbed = client(calm).map(table.compute(), "Say {text}", ledger=None)
    repeated = {prompt for prompt, count in gateway.counts.items() if count > 1}
    assert len(gateway.counts) == 120
    assert max(gateway.counts.values()) == 2
    assert repeated
    assert repeated <= before
    pd.testing.assert_frame_equal(frame.drop(columns="latency_s"), undisturbed.drop(columns="latency_s"))


def set_variable(name, value):
    """Set a variable of the environment of this process, a worker."""
    os.environ[name] = value


def count_under_way():
    """How many requests this process has under way."""
    return sum(limits.in_flight for limits in shared_limits._open.values())


def stored(path):
    """How many rows are in a ledger."""
    with Ledger(path, retain_days=None) as ledger:
        return sum(run.stored for run in ledger.list_runs())


def test_requests_at_once_are_never_above_the_limit_over_all_workers(client, tmp_path, cluster):
    lock, now, most = threading.Lock(), 0, 0
    full = threading.Event()

    def reply(prompt, _):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == 5:
                full.set()
        full.wait(0.2)
        with lock:
            now -= 1
        return prompt

    with serve_completions(reply) as gateway:
        result = client(gateway).map(reviews(240, 6), "{text}", ledger=tmp_path / "l.sqlite", concurrency=5)
        assert set(cluster.compute(result).result(timeout=60)["status"]) == {"ok"}
    assert most == 5
    assert len(gateway.bodies) == 240


def test_a_budget_is_that_of_all_workers(client, tmp_path, cluster):
    with serve_completions(lambda *_: "one two three four five six seven eight nine ten") as gateway:
        result = client(gateway).map(reviews(60, 6), "{text}", ledger=tmp_path / "l.sqlite", budget="400 tokens")
        frame = cluster.compute(result).result(timeout=60)
    assert len(gateway.bodies) == 20  # of 20 tokens each
    assert (frame["status"] == "ok").sum() == 20
    assert set(frame.loc[frame["status"] == "stopped", "error"]) == {"the budget of 400 tokens allows no more rows"}


def test_a_key_that_is_refused_ends_the_run_everywhere(client, cluster):
    with serve_completions(lambda *_: Refusal(401, {"error": {"message": "bad key"}})) as gateway:
        frame = cluster.compute(client(gateway).map(reviews(600, 12), "{text}", ledger=None)).result(timeout=60)
    assert set(frame["status"]) == {"error", "stopped"}
    assert len(gateway.bodies) <= 3  # one a worker, where all have begun at once


def test_computing_again_and_the_same_rows_in_several_partitions_are_paid_once(client, tmp_path, cluster):
    table = reviews(60, 6)
    table = table.assign(text=table["text"].str.replace(r"\d$", "", regex=True))  # six that differ
    with serve_completions() as gateway:
        result = client(gateway).map(table, "{text}", ledger=tmp_path / "l.sqlite")
        result.head()
        for _ in range(2):
            assert len(cluster.compute(result).result(timeout=60)) == 60
    assert set(gateway.counts.values()) == {1}


def test_the_key_is_nowhere_on_the_way(client, tmp_path, cluster):
    with serve_completions() as gateway:
        result = client(gateway).map(reviews(12, 3), "secret-prompt {text}", ledger=tmp_path / "l.sqlite")
        graph = cloudpickle.dumps(dict(result.__dask_graph__()))
        expression = cloudpickle.dumps(result.expr)
        cluster.compute(result).result(timeout=60)
    logs = json.dumps([cluster.get_scheduler_logs(), cluster.get_worker_logs(), cluster.get_events()], default=str)
    keys = repr(list(result.__dask_graph__()))
    assert KEY.encode() not in graph + expression
    for text in (logs, keys, repr(result)):
        assert KEY not in text
        assert "secret-prompt" not in text


def test_the_workers_use_their_own_key(client, tmp_path, cluster):
    with serve_completions() as gateway:
        cluster.compute(client(gateway).map(reviews(6, 3), "{text}", ledger=tmp_path / "l.sqlite")).result(timeout=60)
    assert {headers["authorization"] for headers in gateway.headers} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AMBER_API_KEY": ""}, "has no key for"),
        ({"AMBER_DOMAIN": "acme"}, "has settings for another gateway"),
    ],
)
def test_workers_without_the_settings_are_named(client, cluster, variables, words):
    for name, value in variables.items():
        cluster.run(set_variable, name, value)
    try:
        with (
            serve_completions() as gateway,
            pytest.raises(ConfigError, match=rf"The worker \d \(tcp://127\.0\.0\.1:\d+\) {words}") as caught,
        ):
            cluster.compute(client(gateway).map(reviews(6, 3), "{text}", ledger=None)).result(timeout=60)
    finally:
        cluster.run(set_variable, "AMBER_API_KEY", KEY)
        cluster.run(set_variable, "AMBER_DOMAIN", "")
    assert KEY not in str(caught.value)
    assert not gateway.bodies


def test_the_simulator_answers_on_workers_without_a_key(simulated, cluster):
    cluster.run(set_variable, "AMBER_SIM_CHUNKS_PER_S", "0")
    frame = cluster.compute(simulated.map(reviews(6, 3), "{text}")).result(timeout=60)
    assert set(frame["status"]) == {"ok"}
