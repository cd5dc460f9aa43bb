"""When the next request may go out: rates, requests at once, pauses; on a clock that does not wait."""

import asyncio

import pytest

from amber_nb import clock as package_clock
from amber_nb.map.limits import RequestLimits, read_reset_s


def times_of(count, seconds=0.0, tokens=0, used=None, **options):
    """The times at which `count` requests go out, each of which takes so long."""

    async def run():
        limits = RequestLimits(options.pop("concurrency", 1_000), **options)
        went = []
        for _ in range(count):
            await limits.acquire(tokens)
            went.append(package_clock.monotonic())
            await package_clock.sleep_async(seconds)
            limits.settle(tokens, used)
            limits.release()
        return went

    return asyncio.run(run())


def most_in(times, window_s):
    """The most of these times that lie within any window."""
    start = most = 0
    for end, time in enumerate(times):
        while time - times[start] >= window_s:
            start += 1
        most = max(most, end - start + 1)
    return most


def test_a_rate_is_held_within_two_percent_and_used_to_ninety_five(fast_clock):
    times = times_of(1_800, requests_per_minute=600)
    assert most_in(times, 60.0) <= 612
    assert 1_799 / (times[-1] - times[0]) * 60 >= 570


def test_a_rate_is_used_though_the_loop_is_late(fast_clock):
    times = times_of(1_200, seconds=0.013, requests_per_minute=600)
    assert most_in(times, 60.0) <= 612
    assert 1_199 / (times[-1] - times[0]) * 60 >= 570


def test_a_pause_is_not_made_up_for(fast_clock):
    async def run():
        limits = RequestLimits(10, requests_per_minute=600)
        times = []
        for number in range(120):
            await limits.acquire()
            times.append(package_clock.monotonic())
            limits.release()
            if number == 59:
                limits.pause(30.0)
        return times

    times = asyncio.run(run())
    assert times[60] - times[59] >= 30.0
    assert most_in(times[60:], 1.0) <= 16


def test_tokens_of_a_minute_are_held_by_what_was_used(fast_clock):
    few = times_of(100, tokens=1_000, used=100, tokens_per_minute=60_000)
    many = times_of(100, tokens=1_000, used=2_000, tokens_per_minute=60_000)
    assert few[-1] - few[0] == pytest.approx(99 * 0.1, abs=1.5)
    assert many[-1] - many[0] == pytest.approx(99 * 2.0, abs=3.0)


def test_no_more_than_so_many_are_under_way():
    async def run():
        limits = RequestLimits(3)
        for _ in range(3):
            await limits.acquire()
        fourth = asyncio.create_task(limits.acquire())
        await asyncio.sleep(0)
        assert not fourth.done()
        limits.release()
        await fourth
        return limits.in_flight

    assert asyncio.run(run()) == 3


def test_those_that_wait_go_in_their_order():
    async def run():
        limits, order = RequestLimits(1), []

        async def one(number):
            await limits.acquire()
            order.append(number)
            limits.release()

        await limits.acquire()
        tasks = [asyncio.create_task(one(number)) for number in range(20)]
        await asyncio.sleep(0)
        limits.release()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == list(range(20))


def test_a_waiter_that_is_cancelled_holds_nobody_up():
    async def run():
        limits = RequestLimits(1)
        await limits.acquire()
        first, second = asyncio.create_task(limits.acquire()), asyncio.create_task(limits.acquire())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        limits.release()
        await second
        return limits.in_flight

    assert asyncio.run(run()) == 1


def test_refusals_halve_what_goes_at_once_and_answers_raise_it_again(clock):
    async def run():
        limits = RequestLimits(64)
        numbers = [await limits.acquire() for _ in range(64)]
        for number in numbers:  # all were under way: that is one refusal, not sixty-four
            limits.refuse(number, None)
        assert limits.at_once == 32
        for _ in numbers:
            limits.release()
        clock.advance(2.0)
        number = await limits.acquire()
        limits.refuse(number, None)
        assert limits.at_once == 16
        for _ in range(16):
            limits.succeed()
        assert 16.9 < limits.at_once < 17.1
        for _ in range(5_000):
            limits.succeed()
        assert limits.at_once == 64

    asyncio.run(run())


def test_refusals_without_an_answer_between_them_pause_all_for_as_long_as_the_gateway_asks(clock):
    async def run():
        limits = RequestLimits(4)
        first, second = await limits.acquire(), await limits.acquire()
        assert limits.refuse(first, 12.0) == 12.0
        assert limits.pause_s == 0  # one alone says little
        limits.succeed()
        assert limits.refuse(second, 12.0) == 12.0
        assert limits.pause_s == 0
        limits.refuse(second, 12.0)
        assert limits.pause_s == 12.0
        clock.advance(5.0)
        assert limits.pause_s == 7.0

    asyncio.run(run())


def test_refusals_without_a_time_wait_longer_each_time(clock):
    async def run():
        limits, pauses = RequestLimits(4), []
        for _ in range(8):
            clock.advance(100.0)
            pauses.append(limits.refuse(await limits.acquire(), None))
            limits.release()
        return pauses

    assert asyncio.run(run()) == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "10s"}, 0),
        ({"x-ratelimit-remaining-requests": "0"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "23h59m"}, 0),
        ({"x-ratelimit-remaining-requests": "none", "x-ratelimit-reset-requests": "soon"}, 0),
    ],
)
def test_headers_that_say_that_nothing_remains_pause_all(clock, headers, pause_s):
    async def run():
        limits = RequestLimits(4)
        limits.read_headers(headers)
        return limits.pause_s

    assert asyncio.run(run()) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("12.5", 12.5), ("", None), (None, None),
     ("soon", None), ("1 s", None), ("-3", None), ("2026-12-01T00:00:00Z", None)],
)  # fmt: skip
def test_a_reset_is_read(text, seconds):
    assert read_reset_s(text) == seconds
