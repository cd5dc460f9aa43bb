"""The thread that stores answers: what goes into one commit, who is told, and when claims are given up."""

import threading

import pytest
from ledgers import DISK, NETWORK, begin, key
from patience import until

from amber_nb.map.ledger import Ledger
from amber_nb.map.ledger_writer import LedgerWriter


@pytest.fixture(params=[DISK, NETWORK], ids=["log", "journal"])
def ledger(request, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite", mounts=request.param) as ledger:
        yield ledger


def test_rows_that_come_during_a_commit_go_into_the_next(ledger, monkeypatch):
    run, commits, began, go_on = begin(ledger), [], threading.Event(), threading.Event()
    store = ledger.store

    def slow(run, rows, **options):
        commits.append([k for k, _ in rows])
        began.set()
        assert go_on.wait(20)
        store(run, rows, **options)

    monkeypatch.setattr(ledger, "store", slow)
    writer, told = LedgerWriter(ledger, run), []
    writer.put(key(0), "0", lambda error: told.append((0, error, len(ledger.find([key(0)])))))
    assert began.wait(20)
    for number in range(1, 9):
        writer.put(
            key(number), str(number), lambda error, n=number: told.append((n, error, len(ledger.find([key(n)]))))
        )
    assert told == []
    go_on.set()
    writer.close()
    assert commits == [[key(0)], [key(number) for number in range(1, 9)]]
    assert told == [(number, None, 1) for number in range(9)]  # in order, each when it could be found
    with pytest.raises(RuntimeError, match="closed"):
        writer.put(key(9), "9", told.append)


def test_a_writer_tells_an_error_to_each_row_and_goes_on(ledger):
    told = []
    writer = LedgerWriter(ledger, "0" * 12)
    writer.put(key(1), "1", told.append)
    writer.close()
    assert isinstance(told[0], ValueError)
    writer = LedgerWriter(ledger, begin(ledger))

    def fail(_):
        raise KeyError("the loop is closed")

    writer.put(key(1), "1", fail)
    writer.put(key(2), "2", told.append)
    with pytest.raises(KeyError):
        writer.close()
    writer.close()
    assert told[1:] == [None]
    assert set(ledger.find([key(1), key(2)])) == {key(1), key(2)}


def test_a_writer_gives_up_claims_at_once_and_alone(ledger):
    """Another process has it while the run goes on; nothing has to be stored for that."""
    with Ledger(ledger.path, mounts=DISK if ledger.has_wal else NETWORK) as other:
        writer = LedgerWriter(ledger, begin(ledger))
        assert len(ledger.claim([key(1), key(2), key(3)])) == 3
        assert len(other.claim([key(4)])) == 1
        writer.release(key(1))
        writer.release(key(4))  # is not its own
        until(lambda: other.claim([key(1)]))
        assert ledger.claim([key(2), key(4)]) == {key(2)}
        assert writer.close() == []
        writer.release(key(2))
        assert other.claim([key(2)]) == set()


def test_claims_are_given_up_with_the_rows_of_a_commit(ledger):
    run = begin(ledger)
    ledger.claim([key(1), key(2)])
    statements = []
    ledger._writer.set_trace_callback(statements.append)
    ledger.store(run, [(key(1), "1")], release=[key(2)])
    ledger._writer.set_trace_callback(None)
    assert sum(statement.startswith("BEGIN") for statement in statements) == 1
    with Ledger(ledger.path, mounts=DISK if ledger.has_wal else NETWORK) as other:
        assert other.claim([key(1), key(2)]) == {key(2)}
