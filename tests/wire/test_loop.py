"""Waiting on the private loop: an interrupt ends it at once, and leaves the loop as it was."""

import asyncio
import os
import random
import signal
import threading
import time

import pytest

from amber_nb.wire import loop


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_is_never_lost_and_leaves_no_lock_taken():
    main, dice = threading.main_thread().ident, random.Random(1)

    def interrupted_soon(pause_s):
        def interrupt():
            time.sleep(pause_s)
            signal.pthread_kill(main, signal.SIGINT)

        future = loop.submit(asyncio.sleep(60))
        threading.Thread(target=interrupt).start()
        loop.wait(future, lambda: None, every_s=0)  # it turns around all the time

    for _ in range(150):
        with pytest.raises(KeyboardInterrupt):
            interrupted_soon(0.003 + 0.003 * dice.random())
    assert loop.wait(loop.submit(asyncio.sleep(0, "still here"))) == "still here"


def test_a_bell_and_the_end_wake_it():
    bell, ticks = loop.Bell(), []
    future = loop.submit(asyncio.sleep(0.05, "over"))
    bell.ring()
    assert loop.wait(future, lambda: ticks.append(1), every_s=20, bell=bell) == "over"
    assert ticks == [1]


def test_it_does_not_turn_around_where_nothing_is_to_be_done():
    before = time.thread_time()
    assert loop.wait(loop.submit(asyncio.sleep(1, "over")), None, 0.0, loop.Bell()) == "over"
    assert time.thread_time() - before < 0.2
