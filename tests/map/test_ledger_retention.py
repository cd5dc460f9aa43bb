"""For how long a ledger keeps the rows of its runs."""

import pytest
from ledgers import begin, key, stored

from amber_nb.map.ledger import Ledger

DAY_S = 86_400


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def test_rows_that_are_not_used_are_dropped_once_a_day(path, clock):
    with Ledger(path) as ledger:
        ledger.store(begin(ledger, prompt=b"old"), [(key(1), "1"), (key(2), "2")])
    clock.advance(20 * DAY_S)
    with Ledger(path) as ledger:
        ledger.store(begin(ledger, prompt=b"new"), [(key(3), "3")])
        assert set(ledger.find([key(2)])) == {key(2)}  # which uses it
    clock.advance(9.5 * DAY_S)
    with Ledger(path):  # looks, and finds nothing
        pass
    clock.advance(0.9 * DAY_S)
    with Ledger(path):
        pass
    clock.advance(0.7 * DAY_S)
    assert set(stored(path)) == {key(1), key(2), key(3)}  # a reader that keeps all
    with Ledger(path) as ledger:
        assert set(ledger.find([key(1), key(2), key(3)])) == {key(2), key(3)}
        assert len(ledger.list_runs()) == 2
    clock.advance(40 * DAY_S)
    with Ledger(path) as ledger:
        assert ledger.list_runs() == []
    assert stored(path) == {}


KEPT = {  # by age in days
    4: {1, 2, 3, 4, 5, 6, 7, 8},
    7: {1, 3, 4, 6, 7},
    28: {1, 3, 4, 6, 7},
    32: {1, 4, 7},
    58: {1, 4, 7},
    62: {1, 4},
    1_000: {1, 4},
}


def test_a_row_stays_for_as_long_as_the_longest_of_its_runs_keeps_it(path, clock):
    def call(days, name, store=(), find=()):
        with Ledger(path, retain_days=days) as ledger:
            run = begin(ledger, prompt=name)
            ledger.store(run, [(key(number), str(number)) for number in store])
            ledger.find([key(number) for number in find], run)

    call(None, b"for ever", store=[1])
    call(5, b"short", store=[2, 3, 4, 5], find=[1])
    call(30, b"long", store=[6], find=[3])
    call(None, b"for ever, too", find=[4])
    call(5, b"5 at first", store=[7])
    call(60, b"5 at first")
    call(60, b"60 at first", store=[8])
    call(5, b"60 at first")
    age = 0
    for days, rows in KEPT.items():
        clock.advance((days - age) * DAY_S)
        age = days
        with Ledger(path, retain_days=1):  # of a run that would keep less
            pass
        assert {int.from_bytes(k, "big") for k in stored(path)} == rows, days
    with Ledger(path, retain_days=None) as ledger:
        assert [run.retain_days for run in ledger.list_runs()] == [None, 5, None]
        assert ledger.delete_older(900) == 2  # which is asked for
        assert ledger.list_runs() == []


def test_no_row_goes_before_its_time(path, clock):
    """A row's last use is noted by the day; looked for at half a day's distance, late in the day."""
    clock.advance(0.6 * DAY_S)
    with Ledger(path) as ledger:
        ledger.store(begin(ledger), [(key(1), "1")])
    age = 0.5
    clock.advance(age * DAY_S)
    while age < 40:
        with Ledger(path, retain_days=30):
            pass
        if not stored(path):
            break
        clock.advance(DAY_S)
        age += 1
    assert 30 <= age <= 31
