"""A ledger that another process keeps locked: an interrupt comes through, and closing waits for nobody for long."""

import contextlib
import itertools
import signal
import threading

import pytest
from ledgers import DISK, NETWORK, begin, key, stored
from patience import until

from amber_nb import clock
from amber_nb.errors import AmberError
from amber_nb.map import ledger_file
from amber_nb.map.ledger import Ledger
from amber_nb.map.ledger_writer import LedgerWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture(params=[DISK, NETWORK], ids=["log", "journal"])
def ledger(request, path):
    with Ledger(path, mounts=request.param) as ledger:
        yield ledger


@contextlib.contextmanager
def locked(path, how="IMMEDIATE"):
    """Another connection has it locked, which to SQLite is as another process."""
    with contextlib.closing(ledger_file.connect(path)) as other:
        other.execute(f"BEGIN {how}")
        yield


@pytest.fixture
def steps(monkeypatch):
    """Looks at the clock, each of which is a chance for an interrupt; ten seconds go by between two."""
    seen = []

    def monotonic():
        seen.append(None)
        return 10.0 * len(seen)

    monkeypatch.setattr(clock, "monotonic", monotonic)
    return seen


@contextlib.contextmanager
def interrupted():
    """Expect Ctrl-C, which comes at the third look at the clock; it else stands still."""
    looks = itertools.count(1)

    def monotonic():
        if next(looks) == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "monotonic", monotonic)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_an_interrupt_ends_the_wait_for_a_transaction(ledger):
    with locked(ledger.path), interrupted():
        begin(ledger)
    assert ledger.claim([key(1)]) == {key(1)}  # nothing is left locked by it
    for connection in (ledger._writer, ledger._reader):  # in milliseconds; SQLite hears of no interrupt meanwhile
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] <= 500


def test_an_interrupt_ends_the_wait_for_a_commit(path):
    """Whoever reads keeps a journal from being committed."""
    with Ledger(path, mounts=NETWORK) as ledger:
        with contextlib.closing(ledger_file.connect(path)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM runs").fetchall()
            with interrupted():
                begin(ledger)
            other.execute("COMMIT")
        assert ledger.list_runs() == []
        begin(ledger)


def test_an_interrupt_ends_the_wait_for_the_opening(path):
    Ledger(path, mounts=NETWORK).close()
    with locked(path, "EXCLUSIVE"), interrupted():
        Ledger(path, mounts=NETWORK)
    assert stored(path) == {}


def test_no_wait_is_longer_than_half_a_minute(ledger, steps):
    run = begin(ledger)
    with locked(ledger.path):
        del steps[:]
        with pytest.raises(AmberError, match=r"keeps the ledger .* locked"):
            ledger.store(run, [(key(1), "1")])
    assert len(steps) == 4  # the first says when, of three tries the last comes after 30 s


def wait_in(threads, call):
    """Call in a thread, and return what becomes of it."""
    came = []

    def work():
        try:
            came.append(call())
        except Exception as error:
            came.append(error)

    threads.append(threading.Thread(target=work, daemon=True))
    threads[-1].start()
    return came


def test_closing_ends_the_waits_of_other_threads(ledger, clock):
    run, threads = begin(ledger), []
    ledger.claim([key(1)])
    with locked(ledger.path):
        waits = [
            wait_in(threads, lambda: ledger.store(run, [(key(1), "1")])),
            wait_in(threads, lambda: ledger.claim([key(2)])),
        ]
        until(ledger._lock.locked)
        wait_in(threads, lambda: ledger.close(0))  # the clock stands still: none would end by itself
        until(lambda: not any(thread.is_alive() for thread in threads))
        assert all(isinstance(came[0], Exception) for came in waits)
    with Ledger(ledger.path, mounts=DISK if ledger.has_wal else NETWORK) as other:
        assert other.claim([key(1)]) == {key(1)}  # though nobody has given it up


def test_a_writer_that_closes_tells_what_it_could_not_store(ledger, clock):
    told = []
    writer = LedgerWriter(ledger, begin(ledger))
    writer.put(key(0), "0", lambda error: told.append((0, error)))
    until(lambda: told)
    with locked(ledger.path):
        for number in (1, 2):
            writer.put(key(number), "1", lambda error, number=number: told.append((number, type(error))))
            until(ledger._lock.locked)  # the first is under way when the second comes
        assert writer.close(0) == [key(1), key(2)]
        assert writer.close(0) == [key(1), key(2)]
    assert told == [(0, None), (1, AmberError), (2, AmberError)]
    assert set(ledger.find([key(0), key(1), key(2)])) == {key(0)}


def test_a_writer_that_closes_waits_for_a_short_lock(ledger, clock):
    threads = []
    writer = LedgerWriter(ledger, begin(ledger))
    with locked(ledger.path):
        writer.put(key(1), "1", lambda error: None)
        until(ledger._lock.locked)
        lost = wait_in(threads, lambda: writer.close(5))
        clock.advance(4)
    threads[0].join(20)
    assert lost == [[]]
    assert set(ledger.find([key(1)])) == {key(1)}


def test_a_ledger_may_be_closed_by_two_threads(ledger):
    threads = []
    begin(ledger)
    came = [wait_in(threads, ledger.close) for _ in range(4)]
    for thread in threads:
        thread.join(20)
    assert came == [[None]] * 4
    assert [file.name for file in ledger.path.parent.iterdir()] == ["ledger.sqlite"]
