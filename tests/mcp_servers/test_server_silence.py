"""How long a server may be silent, and what it tells while a call runs; by a clock that stands still."""

import asyncio
import threading

import pytest
from patience import until_async

from amber_nb.mcp_servers.calls import NO_LISTENER, describe_progress, limit_silence


class Notes:
    """A listener that keeps what it hears, and answers when it may."""

    def __init__(self, answer=None):
        self.notes = []
        self.asked = []
        self.answer = answer
        self.may_answer = asyncio.Event()

    def report(self, note):
        self.notes.append(note)

    async def ask_reader(self, message, schema):
        self.asked.append((message, schema))
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def settle():
    for _ in range(6):
        await asyncio.sleep(0)


async def silent(seconds, during, listener=NO_LISTENER):
    """Run `during(heard)` in a call that is silent until it is ended; return how it ended."""
    ended = asyncio.Event()

    async def call():
        async with limit_silence(seconds, listener) as heard:
            started.set_result(heard)
            await ended.wait()

    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(call())
    await during(await started)
    await settle()
    is_over = task.done()
    ended.set()
    try:
        await task
    except TimeoutError:
        return "timeout"
    return "over" if is_over else "still running"


@pytest.mark.parametrize(("passed", "outcome"), [(59.9, "still running"), (60.0, "timeout"), (1_000.0, "timeout")])
def test_a_silent_server(clock, passed, outcome):
    async def during(heard):
        clock.advance(passed)

    assert asyncio.run(silent(60.0, during)) == outcome


def test_each_sign_of_life_puts_the_end_off(clock):
    async def during(heard):
        for n in range(10):
            clock.advance(59.0)
            await heard.progress(n, 10, None)
            await settle()
        clock.advance(59.0)

    assert asyncio.run(silent(60.0, during)) == "still running"


def test_after_the_last_sign_of_life_the_time_runs(clock):
    async def during(heard):
        await heard.progress(1, None, None)
        await settle()
        clock.advance(60.0)

    assert asyncio.run(silent(60.0, during)) == "timeout"


def test_progress_comes_from_the_servers_own_loop(clock):
    async def during(heard):
        clock.advance(59.0)
        await asyncio.to_thread(lambda: asyncio.run(heard.progress(1, 2, "reading")))
        await settle()
        clock.advance(59.0)

    notes = []

    class Keeps(Notes):
        def report(self, note):
            notes.append((note, threading.current_thread() is threading.main_thread()))

    async def run():
        return await silent(60.0, during, Keeps())

    assert asyncio.run(run()) == "still running"
    assert notes == [("1 of 2: reading", False)]


@pytest.mark.parametrize("answer", [{"name": "ACME"}, None])
def test_the_readers_time_is_not_the_servers(clock, answer):
    async def run():
        listener = Notes(answer)

        async def during(heard):
            asked = asyncio.create_task(heard.ask_reader("Which?", {"type": "object"}))
            await until_async(lambda: listener.asked)
            await settle()
            clock.advance(3_600.0)
            await settle()
            listener.may_answer.set()
            assert await asked == answer
            await settle()
            clock.advance(59.0)

        assert await silent(60.0, during, listener) == "still running"
        assert listener.asked == [("Which?", {"type": "object"})]

    asyncio.run(run())


@pytest.mark.parametrize("answer", [{}, TimeoutError("nobody answered")])
def test_after_the_readers_answer_the_servers_time_runs(clock, answer):
    async def run():
        listener = Notes(answer)
        listener.may_answer.set()

        async def during(heard):
            try:
                await heard.ask_reader("Which?", {})
            except TimeoutError:
                assert isinstance(answer, TimeoutError)
            await settle()
            clock.advance(60.0)

        assert await silent(60.0, during, listener) == "timeout"

    asyncio.run(run())


def test_what_a_server_tells_after_the_end_does_no_harm(clock):
    heard = []

    async def run():
        async with limit_silence(60.0, NO_LISTENER) as limit:
            heard.append(limit)
        await limit.progress(1, None, "late")
        await settle()

    asyncio.run(run())
    asyncio.run(heard[0].progress(2, None, "later, and the loop is closed"))


def test_without_a_listener_nobody_is_asked():
    assert asyncio.run(NO_LISTENER.ask_reader("Which?", {})) is None
    NO_LISTENER.report("x")


@pytest.mark.parametrize(
    ("told", "note"),
    [
        ((3, 10, "reading"), "3 of 10: reading"),
        ((3.0, 10.0, None), "3 of 10"),
        ((0.25, None, ""), "0.25"),
        ((1, 0, "\n"), "1 of 0"),
        ((float("nan"), float("inf"), None), "nan of inf"),
        ((10**30, None, None), "1e+30"),
        ((1, None, "a\nb\x1b[31m\u202e\ud800"), "1: a b␛[31m[U+202E]\ufffd"),
    ],
)
def test_progress_in_words(told, note):
    assert describe_progress(*told) == note


def test_long_progress_is_cut():
    assert len(describe_progress(1, 2, "x" * 100_000)) < 220
