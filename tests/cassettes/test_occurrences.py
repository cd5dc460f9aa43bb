"""Which of several equal requests one is."""

import pytest

from amber_nb.cassettes.match import Cell, OccurrenceCounter

NOWHERE = Cell()


def cell(name, run=1):
    return Cell(name, f"{name}/{run}")


def numbers(takes, places, client=1):
    return [takes.record("key", place, client, 0).n for place in places]


def test_equal_requests_are_counted():
    assert numbers(OccurrenceCounter(), [NOWHERE] * 3) == [1, 2, 3]
    assert numbers(OccurrenceCounter(), [cell("a"), cell("a"), cell("b")]) == [1, 2, 3]


def test_a_cell_that_runs_again_takes_its_own_numbers_again():
    takes = OccurrenceCounter()
    assert numbers(takes, [cell("a"), cell("b"), cell("a", 2), cell("b", 2), cell("b", 2)]) == [1, 2, 1, 2, 3]


def test_numbers_in_the_file_that_belong_to_other_cells_are_left():
    takes = OccurrenceCounter()
    assert takes.record("key", cell("b"), 1, 0, taken={1}).n == 2


def test_a_retry_keeps_its_number():
    takes = OccurrenceCounter()
    first, second = (takes.record("key", NOWHERE, 1, 0) for _ in range(2))
    first.failed = True
    assert takes.record("key", NOWHERE, 1, 1).n == 1
    second.failed = True
    assert takes.record("key", NOWHERE, 1, 1).n == 2
    assert takes.record("key", NOWHERE, 1, 0).n == 3


def replayed(takes, place, client, among=(1, 2)):
    take = takes.replay("key", place, client, 0, among)
    return None if take is None else take.n


def test_a_replay_gives_each_once():
    takes = OccurrenceCounter()
    assert [replayed(takes, NOWHERE, 1) for _ in range(3)] == [1, 2, None]


def test_a_second_client_begins_anew_where_all_are_taken():
    takes = OccurrenceCounter()
    assert [replayed(takes, NOWHERE, client) for client in (1, 1, 2, 2, 2)] == [1, 2, 1, 2, None]


@pytest.mark.parametrize("runs", [2, 3])
def test_a_cell_that_is_replayed_again_gets_its_own(runs):
    takes = OccurrenceCounter()
    for run in range(runs):
        assert replayed(takes, cell("a", run), 1) == 1
    for run in range(runs):
        assert replayed(takes, cell("b", run), 1) == 2
