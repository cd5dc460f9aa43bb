"""Limits that several processes share: what the keeper lends, takes back and passes on."""

import asyncio
import random

import pytest
from patience import until_async

from amber_nb import clock as package_clock
from amber_nb.map.budget import Budget
from amber_nb.map.limit_keeper import LimitKeeper, LimitKeepers, shared_settings
from amber_nb.map.shared_limits import SharedLimits, open_shared_limits


def settings(concurrency=8, requests_per_minute=None, tokens_per_minute=None, budget=None):
    return shared_settings(concurrency, requests_per_minute, tokens_per_minute, budget)


def message(client, **changes):
    """What a client says; of nothing there is none."""
    counts = ("held", "in_flight", "waiting", "peak", "places", "tokens_each", "admitted", "to_admit", "succeeded")
    nothing = dict.fromkeys((*counts, "pause_s", "correction", "replies", "tokens"), 0)
    head = {"client": client, "worker": f"tcp://{client}", "closed": False, "end": None, "refused": [], "amount": "0"}
    return {**head, **nothing, **changes}


def test_requests_at_once_are_shared_evenly():
    keeper = LimitKeeper(settings(8))
    assert keeper.sync(message("a", waiting=20, peak=20))["quota"] == 8
    # b gets nothing before a has let go, and a hears of its share with its next message
    assert keeper.sync(message("b", waiting=20, peak=20))["quota"] == 0
    assert keeper.sync(message("a", held=8, in_flight=8, peak=20))["quota"] == 4
    assert keeper.sync(message("b", waiting=20, peak=20))["quota"] == 0
    assert keeper.sync(message("a", held=4, in_flight=4, peak=20))["quota"] == 4
    assert keeper.sync(message("b", waiting=20, peak=20))["quota"] == 4


def test_what_one_does_not_need_another_has():
    keeper = LimitKeeper(settings(8))
    assert keeper.sync(message("a", waiting=2, peak=2))["quota"] == 2
    assert keeper.sync(message("b", waiting=20, peak=20))["quota"] == 6


@pytest.mark.parametrize("gone", ["drop_worker", "closed", "silent"])
def test_what_a_client_held_that_is_gone_is_free(clock, gone):
    keeper = LimitKeeper(settings(8))
    keeper.sync(message("a", waiting=20, peak=20))
    if gone == "drop_worker":
        keeper.drop_worker("tcp://a")
    elif gone == "closed":
        keeper.sync(message("a", closed=True))
    else:
        clock.advance(61.0)
    assert keeper.sync(message("b", waiting=20, peak=20))["quota"] == 8


@pytest.mark.parametrize("seed", range(20))
def test_the_sum_is_never_above_the_limit_whatever_the_clients_do(seed):
    """Each client starts as much as it may at any time, also while its message is under way."""
    dice = random.Random(seed)
    limit = dice.randrange(1, 20)
    keeper = LimitKeeper(settings(limit))
    clients = {name: {"quota": 0, "in_flight": 0, "rows": dice.randrange(5, 200)} for name in "abcd"}
    for _ in range(20_000):
        if not any(each["rows"] for each in clients.values()):
            break
        name, client = dice.choice(list(clients.items()))
        done = dice.randrange(client["in_flight"] + 1)
        client["in_flight"] -= done
        said = message(
            name,
            held=max(client["quota"], client["in_flight"]),
            in_flight=client["in_flight"],
            waiting=client["rows"],
            peak=client["in_flight"] + client["rows"],
            succeeded=done,
        )

        def start(client=client):
            count = max(0, min(client["rows"], client["quota"] - client["in_flight"]))
            client["in_flight"] += count
            client["rows"] -= count

        start()
        answer = keeper.sync(said)
        start()
        client["quota"] = answer["quota"]
        start()
        assert sum(each["in_flight"] for each in clients.values()) <= limit
    assert not any(each["rows"] for each in clients.values())


def test_a_rate_is_that_of_all_within_two_percent(clock):
    keeper, times, waiting = LimitKeeper(settings(1_000, requests_per_minute=600)), [], dict.fromkeys("abc", 0)
    for step in range(20 * 180):
        name = "abc"[step % 3]
        answer = keeper.sync(message(name, held=1_000, waiting=50, peak=50, places=waiting[name]))
        times += [clock.now + delay for delay in answer["places"]]
        clock.advance(0.05)
    times.sort()
    most = max(sum(start <= time < start + 60.0 for time in times) for start in times[::10])
    assert most <= 612
    assert (len(times) - 1) / (times[-1] - times[0]) * 60 >= 570


def test_places_are_lent_only_for_what_can_go_out(clock):
    keeper = LimitKeeper(settings(4, requests_per_minute=60_000))
    assert len(keeper.sync(message("a", waiting=50, peak=50))["places"]) == 4
    assert len(keeper.sync(message("a", held=4, in_flight=1, waiting=50, peak=50, places=2))["places"]) == 1


def test_tokens_are_those_that_were_used(clock):
    keeper = LimitKeeper(settings(20, tokens_per_minute=60_000))
    said = {"waiting": 8, "peak": 8, "tokens_each": 100}
    assert len(keeper.sync(message("a", **said))["places"]) == 3  # 100 tokens last 0.1 s
    assert keeper.sync(message("b", **said, correction=5_000))["places"] == []
    clock.advance(5.3)
    assert keeper.sync(message("b", **said))["places"]


def test_a_pause_reaches_the_others(clock):
    keeper = LimitKeeper(settings(8))
    number = keeper.sync(message("a", waiting=9, peak=9))["number"]
    keeper.sync(message("a", held=8, in_flight=8, peak=9, refused=[[number, 12.0], [number, 12.0]]))
    answer = keeper.sync(message("b", waiting=1, peak=1))
    assert answer["pause_s"] == 12.0
    assert int(keeper._limits.at_once) == 4  # halved once: all were under way


def test_a_budget_is_lent_row_by_row():
    keeper = LimitKeeper(settings(8, budget=Budget(100)))
    assert keeper.sync(message("a", to_admit=5))["admitted"] == 1  # the first shows what a row costs
    assert keeper.sync(message("b", to_admit=5))["admitted"] == 0
    assert keeper.sync(message("a", to_admit=5, replies=1, tokens=20))["admitted"] == 4
    assert keeper.sync(message("b", to_admit=5))["admitted"] == 0
    keeper.drop_worker("tcp://a")  # it may have sent them
    assert keeper.sync(message("b", to_admit=5))["end"] == "the budget of 100 tokens allows no more rows"


def test_a_run_that_has_ended_may_begin_anew_later(clock):
    keeper = LimitKeeper(settings())
    keeper.sync(message("a", end="the key is refused"))
    keeper.sync(message("a", closed=True))
    assert keeper.sync(message("b"))["end"] == "the key is refused"
    keeper.sync(message("b", closed=True))
    clock.advance(6.0)
    assert keeper.sync(message("c"))["end"] is None


def test_keepers_are_apart_and_the_oldest_are_forgotten():
    keepers = LimitKeepers()
    for number in range(400):
        keepers.sync({**message("a", closed=True), "run": str(number), "settings": settings()})
    assert len(keepers._keepers) == 256
    assert "399" in keepers._keepers


# --- a client


def test_two_processes_have_no_more_under_way_than_one_would():
    async def run():
        keepers, now, most, order = LimitKeepers(), 0, 0, []
        many = [SharedLimits(keepers.sync_here, "run", name, settings(3)) for name in ("a", "b")]

        async def one(limits):
            nonlocal now, most
            assert await limits.admit() is None
            await limits.acquire()
            now += 1
            most = max(most, now)
            for _ in range(20):
                await asyncio.sleep(0)
            now -= 1
            order.append(limits)
            limits.release()

        for each in many:
            each.begin()
        await asyncio.gather(*(one(limits) for _ in range(40) for limits in many))
        for each in many:
            await each.close()
        return most, len(order), keepers._keepers["run"].held

    assert asyncio.run(run()) == (3, 80, 0)


def test_engines_of_a_process_share_one_client():
    async def run():
        keepers = LimitKeepers()
        async with open_shared_limits(keepers.sync_here, "run", "", settings()) as first:
            async with open_shared_limits(keepers.sync_here, "run", "", settings()) as second:
                assert first is second
            async with open_shared_limits(keepers.sync_here, "other", "", settings()) as third:
                assert third is not first
            assert keepers._keepers["run"].has_clients
        return keepers._keepers["run"].has_clients

    assert asyncio.run(run()) is False


def test_what_could_not_be_told_is_told_again():
    async def run():
        keepers, broken = LimitKeepers(), True

        async def call(told):
            if broken and told["replies"]:
                raise OSError
            return keepers.sync(told)

        limits = SharedLimits(call, "run", "", settings(budget=Budget(1_000)))
        limits.begin()
        assert await limits.admit() is None
        limits.spend(30, None)
        limits.dismiss()
        limits.end("enough")
        await until_async(lambda: limits._failures)
        broken = False
        await until_async(lambda: keepers._keepers["run"]._spending.spent_tokens == 30)
        await limits.close()

    asyncio.run(run())


def test_a_scheduler_that_does_not_answer_ends_the_run(fast_clock):
    async def run():
        async def call(_):
            raise OSError

        limits = SharedLimits(call, "run", "", settings())
        limits.begin()
        reason = await limits.admit()
        await limits.close()
        return reason

    assert "does not answer (OSError)" in asyncio.run(run())


def test_without_an_answer_nothing_new_goes_out_after_a_while(clock):
    async def run():
        keepers = LimitKeepers()
        limits = SharedLimits(keepers.sync_here, "run", "", settings())
        limits._waiting = limits._peak = 1
        said = limits._message()
        limits._take(said, keepers.sync(said))
        before = limits._wait_s()
        clock.advance(31.0)
        return before, limits._wait_s(), package_clock.monotonic()

    before, after, _ = asyncio.run(run())
    assert before is not None
    assert after is None
