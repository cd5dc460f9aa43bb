"""The live view's kernel side: what is sent when, what is sent again, and that nothing stays behind."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fakecomm
import pytest
from patience import until
from virtual_clock import VirtualClock

from amber_nb.display import comm as comms
from amber_nb.display.cards import strip_html, strip_items
from amber_nb.display.live import StreamView
from amber_nb.types import SentImage

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
    # That of the process remembers when it sent, by another clock.
    monkeypatch.setattr(comms, "scheduler", comms.SendScheduler())
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
    view.set_note("waiting")
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
        view.set_note("late")
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
    assert view._stream._repeats == list(comms.REPEATS_S)
    view.close()


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
        original_size=(9, 9),
        size=(4, 4),
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
    notified = []
    view._stream.notified = False
    notify = view._notify
    view._notify = lambda: notified.append(1) or notify()
    for _ in range(20_000):
        view.feed("abcd")
    assert (len(notified), len(comm.sent)) == (1, 1)  # all else that `feed` does is to append
    clock.advance(comms.SLOW_GAP_S)
    until(lambda: len(comm.sent) > 1)
    assert comm.contents()[1] == {"o": 0, "e": 80_000, "t": "abcd" * 20_000}
