"""What is sent to pages and when, what is sent again, and how pages are heard; real kernels: .ci/run --slow."""

from __future__ import annotations

import itertools
import json
import random
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from virtual_clock import VirtualClock

from amber_nb.display import comm


class Wire:
    """A stream, and what it sent when."""

    def __init__(self, scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.scheduler = scheduler
        self.stream = comm.DeltaStream(lambda message: self.sent.append((clock.now, message)))
        scheduler.open(self.stream)

    def add(self, text: str) -> None:
        self.stream.fresh.append(text)
        self.scheduler.notify(self.stream)

    @property
    def texts(self) -> list[str]:
        return [message["t"] for _, message in self.sent if "t" in message]


@pytest.fixture
def scheduler(clock: VirtualClock) -> comm.SendScheduler:
    """A scheduler that starts no thread: the test calls it."""
    made = comm.SendScheduler()
    made._thread = threading.current_thread()
    return made


def run(scheduler: comm.SendScheduler, clock: VirtualClock, seconds: float) -> None:
    """Call the scheduler for so many seconds."""
    end = clock.now + seconds
    while (wait := scheduler.send_due()) is not None and clock.now + wait <= end:
        clock.advance(wait)
    clock.advance(end - clock.now)


def test_the_first_text_goes_at_once_and_the_rest_together(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    for word in ("a", "b", "c", "d"):
        wire.add(word)
        run(scheduler, clock, 0.001)
    run(scheduler, clock, 0.2)
    assert wire.texts == ["a", "bcd"]
    assert [message["o"] for _, message in wire.sent] == [0, 1]
    assert [message["e"] for _, message in wire.sent] == [1, 4]


def test_a_view_sends_twenty_times_a_second_at_most(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    for _ in range(2_000):
        wire.add("word")
        run(scheduler, clock, 0.001)
    run(scheduler, clock, 0.2)
    assert "".join(wire.texts) == "word" * 2_000
    times = [at for at, _ in wire.sent]
    assert 2 * 18 <= len(times) <= 2.2 * 20
    assert all(later - earlier >= 0.0499 for earlier, later in itertools.pairwise(times))


def test_many_views_share_a_hundred_sends_fairly(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wires = [Wire(scheduler, clock) for _ in range(20)]  # ten sends a second of each would be twice the limit
    for _ in range(200):
        for wire in wires:
            wire.add("x")
        run(scheduler, clock, 0.01)
    counts = [len(wire.sent) for wire in wires]
    assert 190 <= sum(counts) <= 201
    assert max(counts) - min(counts) <= 1
    times = sorted(at for wire in wires for at, _ in wire.sent)
    assert all(times[i + 100] - times[i] >= 0.999 for i in range(len(times) - 100))


def test_a_first_text_overtakes(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wires = [Wire(scheduler, clock) for _ in range(40)]
    for _ in range(50):
        for wire in wires:
            wire.add("x")
        run(scheduler, clock, 0.01)
    late = Wire(scheduler, clock)
    late.add("first")
    run(scheduler, clock, 0.011)
    assert late.texts == ["first"]


def test_text_is_sent_again_from_where_it_was_lost(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    for i in range(20):
        wire.add(f"<{i}>")
        run(scheduler, clock, 0.06)
    run(scheduler, clock, comm.SLOW_GAP_S)
    whole = "".join(wire.texts)
    for have in (0, 1, 7, len(whole) - 1):
        wire.sent.clear()
        wire.stream.rewind(have)
        scheduler.notify(wire.stream)
        run(scheduler, clock, comm.SLOW_GAP_S)
        assert wire.sent[0][1] == {"o": have, "e": len(whole), "t": whole[have:]}
    wire.sent.clear()
    wire.stream.rewind(len(whole) + 50)  # from another life of this view, or a lie
    scheduler.notify(wire.stream)
    run(scheduler, clock, comm.SLOW_GAP_S)
    assert wire.texts == []


def test_a_reader_on_a_bad_line_gets_everything(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    """A model of the browser: it ignores duplicates and asks at gaps, once a second."""
    chance = random.Random(3)
    wire = Wire(scheduler, clock)
    shown, asked = "", float("-inf")
    text = "".join(chance.choice("abc dé\U0001f600\n") for _ in range(3000))
    read = 0
    for at in range(0, 40_000, 5):
        if piece := text[at : at + 5]:
            wire.add(piece)
        run(scheduler, clock, 0.01)
        for _, message in wire.sent[read:]:
            read += 1
            if chance.random() < 0.3:
                continue
            start = message.get("o", message["e"])
            if message["e"] <= len(shown):
                continue
            if start <= len(shown) and "t" in message:
                shown += message["t"][len(shown) - start :]
                asked = float("-inf")
            elif clock.now - asked > 1:
                asked = clock.now
                wire.stream.rewind(len(shown))
                scheduler.notify(wire.stream)
    assert shown == text


def test_silence_is_checked_once(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    wire.add("text")
    run(scheduler, clock, 60)
    assert [message for _, message in wire.sent] == [{"o": 0, "e": 4, "t": "text"}, {"e": 4}]
    assert wire.sent[1][0] - wire.sent[0][0] == pytest.approx(comm.END_CHECK_S)


def test_large_text_travels_in_bearable_pieces(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    text = "0123456789" * 100_000
    wire.add(text)
    wire.add("end")
    run(scheduler, clock, 5)
    assert "".join(wire.texts) == text + "end"
    assert max(map(len, wire.texts)) == comm.MAX_SEND_CHARS


def test_surrogates(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    for piece in ("a\ud83d", "\ude00b", "\ude00", "c\ud800", "d\udfff"):
        wire.add(piece)
        run(scheduler, clock, comm.SLOW_GAP_S)
    assert "".join(wire.texts) == "a\U0001f600b\ufffdc\ufffdd\ufffd"
    assert wire.sent[-1][1]["e"] == 8
    "".join(wire.texts).encode()


def test_notes(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    wire.add("text before")
    wire.stream.set_note("waiting 12 s (Retry-After)")
    scheduler.notify(wire.stream)
    run(scheduler, clock, comm.SLOW_GAP_S)
    assert wire.sent[-1][1]["n"] == "waiting 12 s (Retry-After)"
    wire.stream.rewind(0, greeting=True)
    scheduler.notify(wire.stream)
    run(scheduler, clock, comm.SLOW_GAP_S)
    assert wire.sent[-1][1]["n"] == "waiting 12 s (Retry-After)"
    wire.add("goes on")
    run(scheduler, clock, comm.SLOW_GAP_S)
    wire.stream.rewind(0, greeting=True)
    scheduler.notify(wire.stream)
    run(scheduler, clock, comm.SLOW_GAP_S)
    assert "n" not in wire.sent[-1][1]


def test_a_send_that_fails_ends_its_view_only(
    scheduler: comm.SendScheduler, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = Wire(scheduler, clock)
    bad = Wire(scheduler, clock)

    def fail(_message: object) -> None:
        raise OSError("socket closed")

    bad.stream._send = fail
    bad.add("x")
    good.add("y")
    run(scheduler, clock, 1)
    bad.add("x")
    run(scheduler, clock, 1)
    assert good.texts == ["y"]
    assert caplog.text.count("could not be updated") == 1


def test_views_that_cannot_ask_are_sent_everything_again(scheduler: comm.SendScheduler, clock: VirtualClock) -> None:
    wire = Wire(scheduler, clock)
    wire.stream = comm.DeltaStream(lambda message: wire.sent.append((clock.now, message)), hears=False)
    scheduler.open(wire.stream)
    for seconds in (0.0, 0.1875, 0.3125, 0.1875, 4.3125, 1.0):  # at the ages of 0, 0.1875, 0.5, 0.6875, 5 and 6 s
        wire.add("x")
        clock.advance(seconds)
        while scheduler.send_due() == 0:
            pass
    assert [message["o"] for _, message in wire.sent if "t" in message] == [0, 1, 0, 3, 0, 5]


def test_a_comm_without_the_members_is_left_alone() -> None:
    class Plain:
        __slots__ = ()

    plain = Plain()
    comm.allow_messages_while_busy(plain)
    assert not hasattr(plain, "_reply_subshell_for")


# --- hearing a page while a cell runs


class Kernel:
    """As ipykernel 6: a socket that is read only when somebody flushes it, and a queue that waits for the cell."""

    def __init__(self):
        self.socket = []
        self.msg_queue = SimpleNamespace(_queue=[])
        self.shell_stream = SimpleNamespace(flush=self._flush)

    def _flush(self, flag):
        assert flag == 1
        while self.socket:
            queue = self.msg_queue._queue
            queue.append((len(queue), None, (self.socket.pop(0),)))

    def comes(self, content, *buffers, kind="comm_msg", session="a page"):
        parts = [json.dumps(part).encode() for part in ({"msg_type": kind, "session": session}, {}, {}, content)]
        self.socket.append([memoryview(b"id"), b"<IDS|MSG>", b"signature", *parts, *buffers])


def custom(content, comm_id="mine"):
    return {"comm_id": comm_id, "data": {"method": "custom", "content": content}}


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def listener(kernel):
    return comm.BusyCellListener(SimpleNamespace(comm_id="mine", kernel=kernel))


def test_it_hears_its_own_comm_and_each_word_once(kernel, listener):
    kernel.comes(custom({"hello": 0}))
    kernel.comes({"code": "1"}, kind="execute_request")
    kernel.comes(custom({"stop": True}, comm_id="another's"))
    kernel.comes({"comm_id": "mine", "data": {"method": "update", "state": {}}})
    assert listener.read() == [({"hello": 0}, [])]
    kernel.comes(custom({"stop": True}), b"a file")
    assert listener.read() == [({"stop": True}, [b"a file"])]
    assert listener.read() == []
    assert len(kernel.msg_queue._queue) == 5  # nothing was taken away from the kernel


def test_it_knows_the_pages_that_it_has_heard(kernel, listener):
    kernel.comes(custom({"hello": 0}, comm_id="another's"), session="no page of ours")
    kernel.comes({"code": "1"}, kind="execute_request", session="a console")
    kernel.comes(custom({"hello": 0}), session=3)
    assert len(listener.read()) == 1
    assert listener.sessions == set()
    kernel.comes(custom({"hello": 0}))
    listener.read()
    assert listener.sessions == {"a page"}


def test_what_is_no_message_is_passed_over(kernel, listener):
    kernel.socket += [[], [b"<IDS|MSG>"], [b"x"], [b"<IDS|MSG>", b"", b"no JSON", b"", b"", b"{}"]]
    kernel.comes([])
    kernel.comes({"comm_id": "mine"})
    kernel.comes(custom({"hello": 3}))
    assert listener.read() == [({"hello": 3}, [])]


def test_another_thread_cannot_hear(listener):
    found = []
    thread = threading.Thread(target=lambda: found.append(listener.read()))
    thread.start()
    thread.join()
    assert found == [None]


def test_a_kernel_of_another_build_is_left_alone():
    assert comm.BusyCellListener(SimpleNamespace(comm_id="mine", kernel=object())).read() is None
    assert not comm.allow_messages_while_busy(SimpleNamespace(kernel=object()))
    assert comm.allow_messages_while_busy(SimpleNamespace(kernel=SimpleNamespace(_supports_kernel_subshells=True)))
