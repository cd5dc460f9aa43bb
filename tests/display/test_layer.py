"""The kernel side of the live layer: answers that come and go, pages that come and go, and what is kept for them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fakecomm
import pytest
from patience import PATIENCE_S, until
from virtual_clock import VirtualClock

from amber_nb.display import comm as comms
from amber_nb.display.cards import strip_html, strip_items
from amber_nb.display.layer import MAX_KEPT_BYTES, PING_S, RETRY_S, SEARCH_S, SILENT_S, LiveLayer
from amber_nb.display.live_answer import LiveAnswer
from amber_nb.types import SentImage


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


THREAD = "amber-views-here"  # not that of the process, which an earlier test may have left at work
BUNDLE = {"text/html": "<p>whole</p>", "text/plain": "whole"}


@pytest.fixture
def comms_made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Comm]]:
    made: list[Comm] = []

    def open_comm(layer: LiveLayer) -> None:
        made.append(Comm())
        layer.comm = made[-1]

    monkeypatch.setattr(LiveLayer, "open", open_comm)
    monkeypatch.setattr(LiveLayer, "current", None)
    # That of the process remembers when it sent, by another clock.
    monkeypatch.setattr(comms, "scheduler", comms.SendScheduler(THREAD))
    yield made
    if LiveLayer.current is not None:
        LiveLayer.current.close()


@pytest.fixture
def comm(comms_made: list[Comm]) -> Comm:
    layer = LiveLayer.current = LiveLayer()
    assert layer.comm is comms_made[0]
    return comms_made[0]


@pytest.fixture
def answer(comm: Comm) -> Iterator[LiveAnswer]:
    made = LiveAnswer(title="m", on_stop=lambda: None)
    yield made
    made.close(BUNDLE)


def texts(comm: Comm) -> list[dict[str, Any]]:
    """What was sent to the view of the text."""
    return [content["s"] for content in comm.contents() if "s" in content]


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == THREAD]


def test_nothing_is_sent_before_a_page_is_there(answer: LiveAnswer, comm: Comm) -> None:
    answer.feed("early ")
    answer.set_note("waiting")
    assert comm.sent == []
    assert not answer.layer.hello.is_set()
    comm.hear({"hello": 1})
    assert answer.layer.hello.is_set()
    until(lambda: texts(comm))
    opened = comm.contents()[0]
    assert opened["a"] == answer.number
    assert opened["open"] == {"id": answer.id, "title": "m", "badge": "", "strip": [], "tools": False}
    assert texts(comm)[0] == {"o": 0, "e": 6, "t": "early ", "n": "waiting", "age": [0.0, 0.0]}


def test_a_page_that_is_there_is_told_at_once(comm: Comm) -> None:
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    assert comm.contents()[0]["open"]["id"] == answer.id
    answer.close(BUNDLE)
    assert comm.contents()[-1] == {"a": answer.number, "end": 1}


def test_hooks_cannot_be_guessed(comm: Comm) -> None:
    answers = [LiveAnswer(title="m", on_stop=lambda: None) for _ in range(3)]
    assert len({answer.hook for answer in answers}) == 3
    assert all(re.fullmatch("amber-hook amber-live-[0-9a-f]{32}", answer.hook) for answer in answers)
    for answer in answers:
        answer.close(BUNDLE)


def test_it_sends_on_its_own_thread_and_leaves_none(answer: LiveAnswer, comm: Comm) -> None:
    comm.hear({"hello": 1})
    answer.feed("text")
    until(lambda: any("t" in message for message in texts(comm)))
    assert THREAD in comm.senders
    answer.close(BUNDLE)
    answer.layer.close()
    until(lambda: not our_threads())
    assert comm.closed == 1


def test_closing_twice_and_feeding_after(answer: LiveAnswer, comm: Comm) -> None:
    comm.hear({"hello": 1})
    for _ in range(2):
        answer.close(BUNDLE)
        answer.feed("late")
        answer.set_note("late")
    assert [content for content in comm.contents() if "end" in content] == [{"a": answer.number, "end": 1}]
    assert "late" not in repr(comm.contents())


def test_closing_from_many_threads(answer: LiveAnswer, comm: Comm) -> None:
    comm.hear({"hello": 1})
    threads = [threading.Thread(target=answer.close, args=(BUNDLE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("end" in content for content in comm.contents()) == 1


def test_stop_is_acknowledged_before_it_is_carried_out(comm: Comm) -> None:
    seen: list[list[dict[str, Any]]] = []
    answer = LiveAnswer(title="m", on_stop=lambda: seen.append(texts(comm)))
    comm.hear({"a": answer.number, "s": {"stop": True}})
    comm.hear({"a": answer.number, "s": {"stop": True}})
    answer.close(BUNDLE)
    assert seen == [[{"stopping": 1}]]
    assert texts(comm) == [{"stopping": 1}] * 2


def test_stop_goes_to_its_own_answer(comm: Comm) -> None:
    stopped: list[int] = []
    first, second = (LiveAnswer(title="m", on_stop=lambda n=n: stopped.append(n)) for n in range(2))
    comm.hear({"a": second.number, "s": {"stop": True}})
    comm.hear({"a": 99, "s": {"stop": True}})
    assert stopped == [1]
    for answer in (first, second):
        answer.close(BUNDLE)


def test_an_answer_whose_cell_runs_again_is_stopped_and_told_so(comm: Comm) -> None:
    stopped: list[int] = []
    answer = LiveAnswer(title="m", on_stop=lambda: stopped.append(1))
    answer.retire()
    assert (stopped, [content for content in comm.contents() if "open" in content]) == ([1], [])  # no page is there
    comm.hear({"hello": 1})
    assert next(content["open"]["outdated"] for content in comm.contents() if "open" in content) == 1
    answer.close(BUNDLE)


def test_a_stop_that_fails_says_so(comm: Comm, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("loop is closed")

    answer = LiveAnswer(title="m", on_stop=fail)
    comm.hear({"hello": 1})
    comm.hear({"a": answer.number, "s": {"stop": True}})
    until(lambda: any(message.get("n") == "could not stop: RuntimeError" for message in texts(comm)))
    answer.close(BUNDLE)
    assert "Stop failed" in caplog.text


@pytest.mark.parametrize(
    "content",
    [None, [], "x", {}, {"hello": "x"}, {"stale": "x"}, {"stale": [1, None]}, {"heal": 1},
     {"heal": []}, {"a": "1"}, {"a": None}, {"a": []}, {"a": 1, "s": 1}, {"a": 1, "s": {"have": None}},
     {"a": 1, "s": {"have": -5}}, {"a": 1, "s": {"stop": 0}}, {"a": 1, "c": {"hello": 1}}],
)  # fmt: skip
def test_odd_messages_do_no_harm(answer: LiveAnswer, comm: Comm, content: object) -> None:
    comm.hear({"hello": 1})
    comm.hear(content)
    answer.feed("x")
    until(lambda: any(message.get("t") == "x" for message in texts(comm)))


def test_messages_come_through_while_a_cell_runs_and_fire_no_events(answer: LiveAnswer, comm: Comm) -> None:
    assert comm._reply_subshell_for({}, "Lab's subshell") == "Lab's subshell"
    comm.hear({"hello": 1})
    assert comm.fired == 0
    assert answer.layer.hello.is_set()


def test_a_kernel_that_cannot_hear_is_known(comms_made: list[Comm], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comm, "kernel", object())
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    assert not answer.layer.hears
    assert answer._stream._repeats == list(comms.REPEATS_S)
    assert "open" in comms_made[0].contents()[0]  # unasked
    answer.close(BUNDLE)


def test_repr_and_state(answer: LiveAnswer) -> None:
    assert repr(answer.layer) == "LiveLayer(items=1)"
    answer.feed("s3cret text")
    state = answer.layer.get_state()
    assert "s3cret" not in repr(state)
    assert state["layout"] is None


def test_one_layer_serves_all_answers_and_a_closed_one_is_made_anew(comms_made: list[Comm]) -> None:
    first, second = (LiveAnswer(title="m", on_stop=lambda: None) for _ in range(2))
    assert first.layer is second.layer
    assert len(comms_made) == 1
    first.layer.close()
    third = LiveAnswer(title="m", on_stop=lambda: None)
    assert third.layer is not first.layer
    assert len(comms_made) == 2
    for answer in (first, second, third):
        answer.close(BUNDLE)


# --- documents that hold an older form


def test_a_document_that_holds_a_snapshot_is_healed(comm: Comm) -> None:
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    comm.hear({"heal": answer.id})
    assert not any("heal" in content for content in comm.contents())  # it is still being written
    answer.close(BUNDLE)
    comm.hear({"heal": answer.id})
    comm.hear({"stale": ["0" * 32, answer.id]})
    assert [content for content in comm.contents() if "heal" in content] == [{"heal": answer.id, "data": BUNDLE}] * 2


def test_a_page_that_has_missed_the_end_is_told_again(comm: Comm) -> None:
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    answer.close(BUNDLE)
    comm.hear({"a": answer.number, "s": {"have": 3}})
    assert [content for content in comm.contents() if "end" in content] == [{"a": answer.number, "end": 1}] * 2


def test_answers_come_and_go_in_many_threads(comms_made: list[Comm]) -> None:
    problems: list[Exception] = []

    def ask() -> None:
        try:
            for _ in range(50):
                LiveAnswer(title="m", on_stop=lambda: None).close({"text/html": "x" * 400_000, "text/plain": ""})
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(comms_made) == 1
    layer = LiveLayer.current
    assert layer is not None
    assert layer.items == {}
    assert layer._kept_bytes == sum(size for _, size in layer._settled.values()) <= MAX_KEPT_BYTES


def test_an_answer_that_begins_while_another_ends_is_still_asked_about(
    clock: VirtualClock, comm: Comm, comms_made: list[Comm], monkeypatch: pytest.MonkeyPatch
) -> None:
    comms.scheduler._thread = threading.current_thread()  # none is started: the test sends what is due
    comm.hear({"hello": 1})
    first = LiveAnswer(title="m", on_stop=lambda: None)
    later: list[LiveAnswer] = []
    monkeypatch.setattr(first, "end", lambda: later.append(LiveAnswer(title="m", on_stop=lambda: None)))
    first.close(BUNDLE)
    send_due(clock, 2 * PING_S)
    assert any("ping" in content for content in comm.contents())
    later[0].close(BUNDLE)


def test_an_answer_whose_layer_was_replaced_while_it_was_made_is_drawn_by_the_new_one(
    comm: Comm, comms_made: list[Comm], monkeypatch: pytest.MonkeyPatch
) -> None:
    comm.hear({"hello": 1})
    made = comms.DeltaStream

    def replace_layer(*arguments: Any, **settings: Any) -> comms.DeltaStream:
        LiveLayer.current._open_anew()
        return made(*arguments, **settings)

    monkeypatch.setattr(comms, "DeltaStream", replace_layer)
    answer = LiveAnswer(title="m", tools=True, on_stop=lambda: None)
    assert LiveLayer.current is answer.layer is answer.calls.pages
    assert LiveLayer.current.items == {answer.number: answer}
    comms_made[-1].hear({"hello": 1})
    assert any("open" in content for content in comms_made[-1].contents())
    answer.close(BUNDLE)
    assert LiveLayer.current.items == {}


def test_an_answer_that_ends_as_its_layer_is_replaced_stays_in_neither(
    comm: Comm, comms_made: list[Comm], monkeypatch: pytest.MonkeyPatch
) -> None:
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    first, going, remove = answer.layer, threading.Event(), LiveLayer.remove

    def remove_late(layer: LiveLayer, item: LiveAnswer, bundle: dict[str, str]) -> bool:
        other = threading.Thread(target=lambda: (going.set(), first._open_anew()))
        other.start()
        going.wait(PATIENCE_S)
        other.join(0.05)  # it waits for the lock
        return remove(layer, item, bundle)

    monkeypatch.setattr(LiveLayer, "remove", remove_late)
    answer.close(BUNDLE)
    until(lambda: LiveLayer.current is not first)
    assert LiveLayer.current.items == first.items == {}


def test_what_is_kept_is_bound_and_the_oldest_goes_first(comm: Comm) -> None:
    bundle = {"text/html": "x" * (MAX_KEPT_BYTES // 4), "text/plain": ""}
    answers = [LiveAnswer(title="m", on_stop=lambda: None) for _ in range(6)]
    for answer in answers:
        answer.close(bundle)
    comm.hear({"stale": [answer.id for answer in answers]})
    assert [content["heal"] for content in comm.contents() if "heal" in content] == [each.id for each in answers[2:]]


# --- signs of life


def send_due(clock: VirtualClock, seconds: float) -> None:
    end = clock.now + seconds
    while (wait := comms.scheduler.send_due()) is not None and clock.now + wait <= end:
        clock.advance(wait)
    clock.advance(max(0.0, end - clock.now))


def test_a_page_that_answers_keeps_its_layer(clock: VirtualClock, comm: Comm, comms_made: list[Comm]) -> None:
    comms.scheduler._thread = threading.current_thread()  # none is started: the test sends what is due
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    for _ in range(10):
        send_due(clock, PING_S)
        comm.hear({"here": [answer.id]})
    assert sum("ping" in content for content in comm.contents()) >= 9
    assert len(comms_made) == 1
    answer.close(BUNDLE)
    pings = sum("ping" in content for content in comm.contents())
    send_due(clock, 60)
    assert sum("ping" in content for content in comm.contents()) == pings  # nothing is open


def test_a_page_that_does_not_hold_an_answer_is_no_sign_that_another_does(clock: VirtualClock, comm: Comm) -> None:
    comm.hear({"hello": 1})
    kept, lost = (LiveAnswer(title="m", on_stop=lambda: None) for _ in range(2))
    for here in ([kept.id], 1, [1, None, kept.id]):
        clock.advance(PING_S)
        comm.hear({"here": here})
    assert (kept.silent_s, lost.silent_s) == (0, 3 * PING_S)
    comm.hear({"a": lost.number, "s": {"drawn": 1}})
    assert lost.silent_s == 0
    for answer in (kept, lost):
        answer.close(BUNDLE)


def test_where_no_page_answers_the_layer_is_opened_anew(
    clock: VirtualClock, comm: Comm, comms_made: list[Comm]
) -> None:
    comms.scheduler._thread = threading.current_thread()
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", tools=True, on_stop=lambda: None)
    answer.feed("so far")
    send_due(clock, SILENT_S + 2 * PING_S)
    first, second = comms_made
    assert first.closed == 1
    opens = [content for content in second.contents() if "open" in content]
    assert len(opens) == 5  # unasked: a page that was loaded again while a cell blocks cannot be heard
    assert texts(second)[0]["t"] == "so far"
    send_due(clock, RETRY_S + PING_S)
    *_, second = comms_made  # the page that was to have it came later still
    assert len(comms_made) == 3
    second.hear({"hello": 1})
    send_due(clock, 1)
    assert {content["open"]["id"] for content in second.contents() if "open" in content} == {answer.id}
    assert texts(second)[-1]["t"] == "so far"
    assert any(content.get("c", {}).get("whole") for content in second.contents())
    assert LiveLayer.current is answer.layer
    answer.close(BUNDLE)


@pytest.mark.parametrize("is_held", [False, True])
def test_an_answer_that_one_page_has_lost_stops_only_if_no_other_holds_it(
    clock: VirtualClock, comm: Comm, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    monkeypatch.setattr(comms, "snapshots", comms.SendScheduler())
    comms.snapshots._thread = threading.current_thread()  # none is started: the test sends what is due
    comm.hear({"hello": 1})
    stopped: list[str] = []
    lost, other = (LiveAnswer(title="m", on_stop=lambda name=name: stopped.append(name)) for name in ("lost", "other"))
    for _ in range(2):  # two pages
        comm.hear({"a": lost.number, "left": 1})
    assert [content for content in comm.contents() if "who" in content] == [{"who": lost.id}]
    comm.hear({"here": [other.id, lost.id] if is_held else [other.id]})
    assert comms.snapshots.send_due() == SEARCH_S
    assert stopped == []
    clock.advance(SEARCH_S)
    comms.snapshots.send_due()
    assert stopped == ([] if is_held else ["lost"])
    comm.hear({"a": other.number, "left": 1})  # it ends meanwhile
    other.close(BUNDLE)
    clock.advance(SEARCH_S)
    comms.snapshots.send_due()
    assert "other" not in stopped
    lost.close(BUNDLE)


@pytest.mark.parametrize(("sessions", "opened"), [({"a": False}, 1), ({"a": False, "b": True}, 2), ({}, 2)])
def test_a_page_that_cannot_be_heard_keeps_its_layer(
    clock: VirtualClock,
    comm: Comm,
    comms_made: list[Comm],
    monkeypatch: pytest.MonkeyPatch,
    sessions: dict[str, bool],
    opened: int,
) -> None:
    comms.scheduler._thread = threading.current_thread()
    monkeypatch.setattr(comms, "page_sessions", sessions)
    comm.hear({"hello": 1})
    answer = LiveAnswer(title="m", on_stop=lambda: None)
    send_due(clock, SILENT_S + PING_S + 1)
    assert len(comms_made) == opened
    answer.close(BUNDLE)


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
    data = "data:image/webp;base64,d2VicA=="
    assert items[:12] == [(f"{number} of 17 · a[U+202E]$1.png", lines, data) for number in range(1, 13)]
    assert items[12:] == [("and 5 more", (), "")]
    assert strip_items([replace(image, thumbnail=b"")])[0][2] == ""
    answer = LiveAnswer(title="m", strip=items, on_stop=lambda: None)
    comm.hear({"hello": 1})
    announcement = comm.contents()[0]["open"]
    answer.close(BUNDLE)
    assert announcement["strip"] == items
    esm = LiveLayer.current.get_state()["_esm"] if LiveLayer.current else ""
    styles = set(re.findall('style="([^"]+)"', strip_html([image] * 17)))
    pieces = {piece for style in styles for piece in ([style] if ";opacity" not in style else style.rsplit(";", 1))}
    assert len(pieces) == 5
    assert all(f'"{piece}"' in esm for piece in pieces)


def test_unknown_names_are_refused(comm: Comm) -> None:
    with pytest.raises(TypeError, match="colour"):
        LiveAnswer(title="m", on_stop=lambda: None, colour="red")  # type: ignore[call-arg]


def test_many_chunks_are_one_message(clock: VirtualClock, answer: LiveAnswer, comm: Comm) -> None:
    comm.hear({"hello": 1})
    until(lambda: texts(comm))
    notified = []
    answer._stream.notified = False
    notify = answer._notify
    answer._notify = lambda: notified.append(1) or notify()
    for _ in range(20_000):
        answer.feed("abcd")
    assert (len(notified), len(texts(comm))) == (1, 1)  # all else that `feed` does is to append
    until(lambda: clock.advance(comms.SLOW_GAP_S) or len(texts(comm)) > 1)
    assert texts(comm)[1] == {"o": 0, "e": 80_000, "t": "abcd" * 20_000}


def test_sources_wait_for_a_page_as_text_does(answer: LiveAnswer, comm: Comm) -> None:
    """What is sent before a page has the layer keeps JupyterLab from drawing the answer."""
    answer.set_sources([("Handbook", "")])
    assert comm.sent == []
    comm.hear({"hello": 1})
    assert {"sources": [("Handbook", "")]} in texts(comm)
    answer.set_sources([("Handbook", ""), ("Policy", "")])
    assert texts(comm)[-1] == {"sources": [("Handbook", ""), ("Policy", "")]}
