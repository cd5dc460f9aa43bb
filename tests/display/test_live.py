"""The live view's kernel side: what is sent when, what is sent again, and that nothing stays behind."""

from __future__ import annotations

import itertools
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fakecomm
import pytest
from patience import until
from virtual_clock import VirtualClock

from amber_nb.display import feed, hearing, live
from amber_nb.display.cards import strip_html, strip_items
from amber_nb.display.live import StreamView
from amber_nb.types import SentImage


class Wire:
    """A feed, and what it sent when."""

    def __init__(self, pump: feed.Pump, clock: VirtualClock) -> None:
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.pump = pump
        self.feed = feed.Feed(lambda message: self.sent.append((clock.now, message)))
        pump.open(self.feed)

    def add(self, text: str) -> None:
        self.feed.fresh.append(text)
        self.pump.ring(self.feed)

    @property
    def texts(self) -> list[str]:
        return [message["t"] for _, message in self.sent if "t" in message]


@pytest.fixture
def pump(clock: VirtualClock) -> feed.Pump:
    """A pump that starts no thread: the test turns it."""
    one = feed.Pump()
    one._thread = threading.current_thread()
    return one


def run(pump: feed.Pump, clock: VirtualClock, seconds: float) -> None:
    """Turn the pump for so many seconds."""
    end = clock.now + seconds
    while (wait := pump.turn()) is not None and clock.now + wait <= end:
        clock.advance(wait)
    clock.advance(end - clock.now)


def test_the_first_text_goes_at_once_and_the_rest_together(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    for word in ("a", "b", "c", "d"):
        wire.add(word)
        run(pump, clock, 0.001)
    run(pump, clock, 0.2)
    assert wire.texts == ["a", "bcd"]
    assert [message["o"] for _, message in wire.sent] == [0, 1]
    assert [message["e"] for _, message in wire.sent] == [1, 4]


def test_a_view_sends_twenty_times_a_second_at_most(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    for _ in range(2_000):
        wire.add("word")
        run(pump, clock, 0.001)
    run(pump, clock, 0.2)
    assert "".join(wire.texts) == "word" * 2_000
    times = [at for at, _ in wire.sent]
    assert 2 * 18 <= len(times) <= 2.2 * 20
    assert all(later - earlier >= 0.0499 for earlier, later in itertools.pairwise(times))


def test_many_views_share_a_hundred_sends_fairly(pump: feed.Pump, clock: VirtualClock) -> None:
    wires = [Wire(pump, clock) for _ in range(20)]  # ten sends a second of each would be twice the limit
    for _ in range(200):
        for wire in wires:
            wire.add("x")
        run(pump, clock, 0.01)
    counts = [len(wire.sent) for wire in wires]
    assert 190 <= sum(counts) <= 201
    assert max(counts) - min(counts) <= 1
    times = sorted(at for wire in wires for at, _ in wire.sent)
    assert all(times[i + 100] - times[i] >= 0.999 for i in range(len(times) - 100))


def test_a_first_text_overtakes(pump: feed.Pump, clock: VirtualClock) -> None:
    wires = [Wire(pump, clock) for _ in range(40)]
    for _ in range(50):
        for wire in wires:
            wire.add("x")
        run(pump, clock, 0.01)
    late = Wire(pump, clock)
    late.add("first")
    run(pump, clock, 0.011)
    assert late.texts == ["first"]


def test_text_is_sent_again_from_where_it_was_lost(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    for i in range(20):
        wire.add(f"<{i}>")
        run(pump, clock, 0.06)
    run(pump, clock, 0.1)
    whole = "".join(wire.texts)
    for have in (0, 1, 7, len(whole) - 1):
        wire.sent.clear()
        wire.feed.rewind(have)
        pump.ring(wire.feed)
        run(pump, clock, 0.1)
        assert wire.sent[0][1] == {"o": have, "e": len(whole), "t": whole[have:]}
    wire.sent.clear()
    wire.feed.rewind(len(whole) + 50)  # from another life of this view, or a lie
    pump.ring(wire.feed)
    run(pump, clock, 0.1)
    assert wire.texts == []


def test_a_reader_on_a_bad_line_gets_everything(pump: feed.Pump, clock: VirtualClock) -> None:
    """A model of the browser: it ignores duplicates and asks at gaps, once a second."""
    chance = random.Random(3)
    wire = Wire(pump, clock)
    shown, asked = "", float("-inf")
    text = "".join(chance.choice("abc dé\U0001f600\n") for _ in range(3000))
    read = 0
    for at in range(0, 40_000, 5):
        if piece := text[at : at + 5]:
            wire.add(piece)
        run(pump, clock, 0.01)
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
                wire.feed.rewind(len(shown))
                pump.ring(wire.feed)
    assert shown == text


def test_silence_is_checked_once(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    wire.add("text")
    run(pump, clock, 60)
    assert [message for _, message in wire.sent] == [{"o": 0, "e": 4, "t": "text"}, {"e": 4}]
    assert wire.sent[1][0] - wire.sent[0][0] == pytest.approx(feed.TAIL_CHECK_S)


def test_large_text_travels_in_bearable_pieces(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    text = "0123456789" * 100_000
    wire.add(text)
    wire.add("end")
    run(pump, clock, 5)
    assert "".join(wire.texts) == text + "end"
    assert max(map(len, wire.texts)) == feed.MAX_SEND


def test_surrogates(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    for piece in ("a\ud83d", "\ude00b", "\ude00", "c\ud800", "d\udfff"):
        wire.add(piece)
        run(pump, clock, 0.1)
    assert "".join(wire.texts) == "a\U0001f600b\ufffdc\ufffdd\ufffd"
    assert wire.sent[-1][1]["e"] == 8
    "".join(wire.texts).encode()


def test_notes(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    wire.add("text before")
    wire.feed.note("waiting 12 s (Retry-After)")
    pump.ring(wire.feed)
    run(pump, clock, 0.1)
    assert wire.sent[-1][1]["n"] == "waiting 12 s (Retry-After)"
    wire.feed.rewind(0, greet=True)
    pump.ring(wire.feed)
    run(pump, clock, 0.1)
    assert wire.sent[-1][1]["n"] == "waiting 12 s (Retry-After)"
    wire.add("goes on")
    run(pump, clock, 0.1)
    wire.feed.rewind(0, greet=True)
    pump.ring(wire.feed)
    run(pump, clock, 0.1)
    assert "n" not in wire.sent[-1][1]


def test_a_send_that_fails_ends_its_view_only(
    pump: feed.Pump, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = Wire(pump, clock)
    bad = Wire(pump, clock)

    def fail(_message: object) -> None:
        raise OSError("socket closed")

    bad.feed._send = fail
    bad.add("x")
    good.add("y")
    run(pump, clock, 1)
    bad.add("x")
    run(pump, clock, 1)
    assert good.texts == ["y"]
    assert caplog.text.count("could not be updated") == 1


# --- the widget, on a fake comm


class Comm(fakecomm.Comm):
    """With the two members of ipykernel's that matter, and who has sent."""

    def __init__(self) -> None:
        super().__init__()
        self.senders: list[str] = []
        self.fired = 0

    def handle_msg(self, msg: dict[str, Any]) -> None:
        self.fired += 1  # ipykernel's fires pre_execute and post_execute here
        super().handle_msg(msg)

    def _reply_subshell_for(self, data: object, default: object) -> object:
        return "the busy shell"

    def send(self, data: dict[str, Any], buffers: Any = None) -> None:
        super().send(data, buffers)
        self.senders.append(threading.current_thread().name)


@pytest.fixture
def comm(monkeypatch: pytest.MonkeyPatch) -> Comm:
    one = Comm()
    monkeypatch.setattr(StreamView, "open", lambda self: setattr(self, "comm", one))
    monkeypatch.setattr(live, "pump", feed.Pump())  # the one of the process remembers when it sent, by another clock
    return one


@pytest.fixture
def view(comm: Comm) -> Iterator[StreamView]:
    one = StreamView(model="m", on_stop=lambda: None)
    yield one
    one.close()


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "amber-views"]


def test_nothing_is_sent_before_somebody_listens(view: StreamView, comm: Comm) -> None:
    view.feed("early ")
    view.note("waiting")
    assert comm.sent == []
    assert our_threads() == []
    assert not view.hello.is_set()
    comm.hear({"hello": 0})
    assert view.hello.is_set()
    until(lambda: comm.sent)
    assert comm.contents()[0] == {"o": 0, "e": 6, "t": "early ", "n": "waiting", "age": [0.0, 0.0]}


def test_it_sends_on_its_own_thread_and_leaves_none(view: StreamView, comm: Comm) -> None:
    comm.hear({"hello": 0})
    view.feed("text")
    until(lambda: any("t" in content for content in comm.contents()))
    assert set(comm.senders) == {"amber-views"}
    view.close()
    until(lambda: not our_threads())
    assert comm.closed == 1


def test_closing_twice_and_feeding_after(view: StreamView, comm: Comm) -> None:
    comm.hear({"hello": 0})
    for _ in range(2):
        view.close()
        view.feed("late")
        view.note("late")
    until(lambda: not our_threads())
    assert comm.closed == 1


def test_closing_from_many_threads(view: StreamView, comm: Comm) -> None:
    comm.hear({"hello": 0})
    threads = [threading.Thread(target=view.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert comm.closed == 1


def test_stop_is_acknowledged_before_it_is_carried_out(comm: Comm) -> None:
    seen: list[list[dict[str, Any]]] = []
    view = StreamView(model="m", on_stop=lambda: seen.append(comm.contents()))
    comm.hear({"stop": True})
    comm.hear({"stop": True})
    view.close()
    assert seen == [[{"stopping": 1}]]
    assert comm.contents() == [{"stopping": 1}] * 2


def test_a_stop_that_fails_says_so(comm: Comm, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("loop is closed")

    view = StreamView(model="m", on_stop=fail)
    comm.hear({"hello": 0})
    comm.hear({"stop": True})
    until(lambda: any(content.get("n") == "could not stop: RuntimeError" for content in comm.contents()))
    view.close()
    assert "Stop failed" in caplog.text


@pytest.mark.parametrize("content", [None, [], "x", {}, {"hello": "x"}, {"have": None}, {"have": -5}, {"stop": 0}])
def test_odd_messages_do_no_harm(view: StreamView, comm: Comm, content: object) -> None:
    comm.hear({"hello": 0})
    comm.hear(content)
    view.feed("x")
    until(lambda: any(content.get("t") == "x" for content in comm.contents()))


def test_messages_come_through_while_a_cell_runs_and_fire_no_events(view: StreamView, comm: Comm) -> None:
    assert comm._reply_subshell_for({}, "Lab's subshell") == "Lab's subshell"
    comm.hear({"hello": 0})
    assert comm.fired == 0
    assert view.hello.is_set()


def test_a_kernel_that_cannot_hear_is_known(comm: Comm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "kernel", object())
    view = StreamView(model="m", on_stop=lambda: None)
    assert not view.hears
    assert view._feed._repeats == list(feed.UNHEARD_S)
    view.close()


def test_who_cannot_hear_is_sent_everything_again_for_a_while(pump: feed.Pump, clock: VirtualClock) -> None:
    wire = Wire(pump, clock)
    wire.feed = feed.Feed(lambda message: wire.sent.append((clock.now, message)), hears=False)
    pump.open(wire.feed)
    for seconds in (0.0, 0.125, 0.375, 0.125, 4.375, 1.0):  # sent at the ages of 0, 0.125, 0.5, 0.625, 5 and 6 s
        wire.add("x")
        clock.advance(seconds)
        while pump.turn() == 0:
            pass
    assert [message["o"] for _, message in wire.sent if "t" in message] == [0, 1, 0, 3, 0, 5]


def test_a_comm_without_the_members_is_left_alone() -> None:
    class Plain:
        __slots__ = ()

    plain = Plain()
    hearing.let_through(plain)
    assert not hasattr(plain, "_reply_subshell_for")


def test_repr_and_state(view: StreamView) -> None:
    assert repr(view) == "StreamView(model='m')"
    view.feed("secret text")
    state = view.get_state()
    assert "secret" not in repr(state)
    assert state["layout"] is None
    assert len(state["_esm"]) + len(state["_css"]) <= 25_000


def test_the_strip_of_images_is_built_as_the_settled_one(comm: Comm) -> None:
    image = SentImage(
        name="a\u202e$1.png",
        before=(9, 9),
        after=(4, 4),
        format="PNG",
        n_bytes=2_000,
        tokens=7,
        notes=("note",),
        thumbnail=b"webp",
    )
    items = strip_items([image] * 17)
    lines = ("9 × 9 → 4 × 4", "PNG · 2 kB · ≈ 7 tokens", "note")
    assert items[:12] == [("a[U+202E]$1.png", lines, "data:image/webp;base64,d2VicA==")] * 12
    assert items[12:] == [("and 5 more", (), "")]
    assert strip_items([replace(image, thumbnail=b"")])[0][2] == ""
    view = StreamView(model="m", strip=items, on_stop=lambda: None)
    state = view.get_state()
    view.close()
    assert state["strip"] == items
    styles = set(re.findall('style="([^"]+)"', strip_html([image] * 17)))
    pieces = {piece for style in styles for piece in ([style] if ";opacity" not in style else style.rsplit(";", 1))}
    assert len(pieces) == 5
    assert all(f'"{piece}"' in state["_esm"] for piece in pieces)


def test_unknown_names_are_refused(comm: Comm) -> None:
    with pytest.raises(TypeError, match="colour"):
        StreamView(model="m", on_stop=lambda: None, colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        StreamView("m", on_stop=lambda: None)  # type: ignore[misc]


def test_many_chunks_are_one_message(clock: VirtualClock, view: StreamView, comm: Comm) -> None:
    comm.hear({"hello": 0})
    until(lambda: comm.sent)
    rung = []
    view._feed.ringing = False
    ring = view._ring
    view._ring = lambda: rung.append(1) or ring()
    for _ in range(20_000):
        view.feed("abcd")
    assert (len(rung), len(comm.sent)) == (1, 1)  # all else that `feed` does is to append
    clock.advance(feed.TRICKLE_GAP_S)
    until(lambda: len(comm.sent) > 1)
    assert comm.contents()[1] == {"o": 0, "e": 80_000, "t": "abcd" * 20_000}
