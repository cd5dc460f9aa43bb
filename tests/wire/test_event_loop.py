"""Waiting on the private loop: an interrupt ends it at once, and leaves the loop as it was."""

import asyncio
import os
import signal
import sys
import threading

import pytest
from patience import PATIENCE_S

from amber_nb.wire import event_loop as loop


def within(frame):
    """Whether it is code of the loop's, or of a lock that it waits for."""
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == loop.__file__


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_is_never_lost_and_leaves_no_lock_taken():
    """It comes before each line that the waiting thread runs, one after the other."""
    main, sent = threading.main_thread().ident, 0

    def interrupt_before(number):
        """Interrupt the wait before its line of that number; False where it has fewer."""
        nonlocal sent
        seen, before = 0, sent

        def trace(frame, event, _):
            nonlocal seen, sent
            if not within(frame):
                return None
            if event == "line":
                seen += 1
                if seen == number:
                    sent += 1
                    signal.pthread_kill(main, signal.SIGINT)
            return trace

        future = loop.submit(asyncio.sleep(60))
        turns, tracer = iter(range(3)), sys.gettrace()  # of coverage, where that is measured
        inbox = loop.Inbox()

        def turn():
            if next(turns, None) is None:
                raise StopAsyncIteration

        inbox.poll(turn, 0.0)

        sys.settrace(trace)
        try:
            loop.wait(future, inbox)
        except KeyboardInterrupt:
            return True
        except StopAsyncIteration:
            assert sent == before, f"the interrupt before line {number} is lost"
            return False
        finally:
            sys.settrace(tracer)
            future.cancel()
        raise AssertionError("the wait has ended by itself")

    while interrupt_before(sent + 1):
        pass
    assert sent >= 20
    assert loop.wait(loop.submit(asyncio.sleep(0, "still here"))) == "still here"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_ends_a_wait_that_blocks():
    blocked = threading.Event()

    class Gate(loop._Gate):
        def wait(self, timeout_s):
            blocked.set()
            super().wait(timeout_s)

    def interrupt():
        blocked.wait(20)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_Gate", Gate)
        thread = threading.Thread(target=interrupt)
        thread.start()
        future = loop.submit(asyncio.sleep(60))
        with pytest.raises(KeyboardInterrupt):
            loop.wait(future)
        thread.join()
    assert future.cancelled()


def test_what_is_put_in_and_the_end_wake_it(monkeypatch):
    monkeypatch.setattr(loop, "_SIGNAL_CHECK_S", 3 * PATIENCE_S)
    inbox, called = loop.Inbox(), threading.Event()

    async def work():
        await asyncio.to_thread(called.wait, PATIENCE_S)
        return "over"

    future = loop.submit(work())
    inbox.put(called.set)  # before anybody waits
    assert loop.wait(future, inbox) == "over"
    assert called.is_set()


def test_polls_go_on_until_the_end():
    inbox, polls, over = loop.Inbox(), [], threading.Event()

    async def work():
        await asyncio.to_thread(over.wait, PATIENCE_S)

    def poll():
        polls.append(threading.current_thread())
        if len(polls) == 3:
            over.set()

    inbox.poll(poll, 0.001)
    loop.wait(loop.submit(work()), inbox)
    assert set(polls) == {threading.main_thread()}


def test_it_does_not_turn_around_where_nothing_is_to_be_done(monkeypatch):
    turns, over = [], threading.Event()

    class Gate(loop._Gate):
        def wait(self, timeout_s):
            turns.append(timeout_s)
            if len(turns) == 3:
                over.set()
            super().wait(timeout_s)

    async def work():
        await asyncio.to_thread(over.wait, 20)
        return "over"

    monkeypatch.setattr(loop, "_Gate", Gate)
    assert loop.wait(loop.submit(work()), loop.Inbox()) == "over"
    assert set(turns) == {loop._SIGNAL_CHECK_S}


def test_an_async_waiter_wakes_up_where_that_is_asked_for():
    inbox, over, turns = loop.Inbox(wake_s=0.001), threading.Event(), []

    async def work():
        await asyncio.to_thread(over.wait, PATIENCE_S)

    def turn():
        turns.append(1)
        if len(turns) == 3:
            over.set()

    inbox.run = turn
    asyncio.run(loop.wait_async(loop.submit(work()), inbox))
    assert len(turns) >= 3
