"""The clock: the machine's own, another one in its place, and the one that tests use."""

import asyncio
import contextlib
import threading

import pytest
from virtual_clock import VirtualClock

from amber_nb import clock as the_clock


def test_the_machines_clock_waits_and_goes_on():
    before = the_clock.monotonic()
    the_clock.sleep(0.001)
    asyncio.run(the_clock.sleep_async(0.001))
    assert the_clock.monotonic() > before
    assert the_clock.time() > 1_700_000_000
    event = threading.Event()
    assert not the_clock.wait(event, 0.001)
    event.set()
    assert the_clock.wait(event, None)


async def stay(limit, extended=None, virtual=None):
    """Stay in a block with a limit, for ever or until it is seen that nothing ends it."""
    async with the_clock.timeout(limit) as timeout:
        if extended is not None:
            timeout.extend(extended)
        if virtual is not None:
            virtual.advance(5)
        if extended is None or extended < 1:
            await asyncio.Event().wait()
        for _ in range(9):
            await asyncio.sleep(0)
    return timeout.expired()


@pytest.mark.parametrize("virtual", [None, VirtualClock()], ids=["machine", "virtual"])
def test_a_limit_ends_what_takes_longer(virtual):
    with virtual.replace() if virtual is not None else contextlib.nullcontext():
        for case in ((0.01, None), (60, 0.01)):
            with pytest.raises(TimeoutError):
                asyncio.run(stay(*case, virtual))
        assert not asyncio.run(stay(0.01, 60, virtual))
        assert not asyncio.run(stay(None, 60, virtual))


def test_another_clock_holds_in_all_threads_until_the_block_ends():
    found = []
    with VirtualClock().replace():
        thread = threading.Thread(target=lambda: found.append(the_clock.monotonic()))
        thread.start()
        thread.join()
    assert found == [100]
    assert the_clock.monotonic() != 100


def test_a_virtual_clock_does_what_is_due_in_its_order(clock):
    done = []
    clock.call_at(clock.now + 2, lambda: done.append(("b", clock.now)))
    clock.call_at(clock.now + 1, lambda: done.append(("a", clock.now)))
    forget = clock.call_at(clock.now + 1, lambda: done.append("never"))
    forget()
    clock.call_at(clock.now + 9, lambda: done.append("later"))
    clock.advance(5)
    assert done == [("a", 101), ("b", 102)]
    assert clock.now == 105


def test_a_virtual_sleep_ends_when_the_clock_has_moved(clock):
    woken = []
    thread = threading.Thread(target=lambda: (the_clock.sleep(3), woken.append(clock.now)))
    thread.start()
    assert clock.sleeper() == 3
    clock.advance(2)
    assert woken == []
    clock.advance(1)
    thread.join(20)
    assert woken == [103]


def test_a_fast_clock_moves_by_what_is_slept(fast_clock):
    the_clock.sleep(3)
    asyncio.run(the_clock.sleep_async(4))
    assert (fast_clock.now, fast_clock.sleeps) == (107, [3, 4])
