"""What is in the cell while an answer is written: snapshots, refreshed rarely where a page has the live layer."""

import itertools
import sys
import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from amber_nb.display import cell_output, comm, live
from amber_nb.types import (
    ReasoningDelta,
    RequestSent,
    TextDelta,
    ToolCallDelta,
    ToolProgress,
    ToolRun,
    Waiting,
)


class Layer:
    def __init__(self):
        self.hello = threading.Event()
        self.hears = self.can_listen = True
        self.was_greeted = self.has_drawn = False

    def listen(self):
        return self.can_listen


class Calls:
    def __init__(self):
        self.events, self.asked, self.withdrawn = [], [], []
        self.handle = self.events.append
        self.withdraw = self.withdrawn.append

    def is_seen(self, index):
        return index == 0

    def ask(self, call, index, *, spec, check, defaults, warning, scope):
        self.asked.append((call, index, spec, check, defaults, warning))
        return "future"


class Answer:
    hook = "amber-hook amber-live-0"

    def __init__(self, **settings):
        self.settings, self.notes, self.text, self.closed = settings, [], "", None
        self.layer = LAYER
        self.is_drawn = LAYER.hello.is_set()
        self.calls = Calls() if settings["tools"] else None
        self.set_note = self.notes.append

    def feed(self, text):
        self.text += text

    def retire(self):
        self.settings["on_stop"]()

    def close(self, bundle):
        self.closed = bundle


LAYER = Layer()


@pytest.fixture
def page(clock, monkeypatch):
    """The clock, and what was put on the page."""
    page = SimpleNamespace(clock=clock, shown=[])
    handle = SimpleNamespace(update=lambda bundle, raw=False: page.shown.append(bundle))

    def display(bundle, raw, display_id):
        page.first = bundle
        return handle

    monkeypatch.setattr(live, "LiveAnswer", Answer)
    monkeypatch.setitem(globals(), "LAYER", Layer())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=SimpleNamespace(display=display)))
    monkeypatch.setattr(live.NotebookDisplay, "_open", {})
    comm.snapshots._thread = threading.current_thread()  # none is started: the test sends what is due
    return page


@pytest.fixture
def layer(page):
    """The layer, which a page has."""
    LAYER.hello.set()
    LAYER.was_greeted = LAYER.has_drawn = True
    return LAYER


def send_due(page, seconds):
    end = page.clock.now + seconds
    while (wait := comm.snapshots.send_due()) is not None and page.clock.now + wait <= end:
        page.clock.advance(wait)
    page.clock.advance(max(0.0, end - page.clock.now))


def run(page, shown, seconds):
    """Ten words a second."""
    for _ in range(round(seconds * 10)):
        shown.handle(TextDelta("word "))
        send_due(page, 0.1)


def opened(**settings):
    return live.NotebookDisplay(**({"model": "m", "badge": "simulated", "on_stop": lambda: None} | settings))


def words(page):
    return [bundle["text/html"].count("word") for bundle in page.shown]


# --- the snapshot


def test_the_output_is_ordinary_html_from_the_first_moment(page):
    opened(head="<div>a.png</div>")
    assert sorted(page.first) == ["text/html", "text/plain"]
    html = page.first["text/html"]
    assert html.startswith('<div class="amber-answer"><div class="amber-hook amber-live-0">')
    assert "simulated" in html
    assert "<div>a.png</div>" in html
    assert "still being written when this was saved" in html
    assert page.first["text/plain"] == "[still being written when this was saved]"


def test_it_is_refreshed_at_doublings(page, layer):
    shown = opened()
    run(page, shown, 0.9)
    assert page.shown == []
    run(page, shown, 60)
    seen = words(page)
    assert 5 <= len(seen) <= 8
    assert all(later >= 2 * earlier for earlier, later in itertools.pairwise(seen))
    assert page.shown[-1]["text/plain"].endswith("word \n[still being written when this was saved]")
    assert "install amber_nb" not in repr(page.shown)


def test_a_stream_that_stalls_has_all_its_text_in_the_file(page, layer):
    shown = opened()
    run(page, shown, 3.5)
    before = words(page)[-1]
    send_due(page, 1.0)
    assert words(page)[-1] == before < 35
    send_due(page, 2.0)
    assert words(page)[-1] == 35
    count = len(page.shown)
    send_due(page, 60)
    assert len(page.shown) == count


def test_a_call_that_ends_is_in_the_file(page, layer):
    shown = opened(tools=True)
    send_due(page, 2)
    run_ = ToolRun(name="look_up", arguments={}, status="ran", sent="14")
    shown.handle(ToolProgress(index=0, round=1, name="look_up", arguments="{}", state="over", run=run_))
    send_due(page, 1)
    assert "look_up" in page.shown[-1]["text/html"]


# --- where no page has the layer


def test_html_follows_the_text_where_no_page_has_the_layer(page):
    shown = opened()
    run(page, shown, 0.9)
    assert page.shown == []
    run(page, shown, 3)
    assert 5 <= len(page.shown) <= 7  # twice a second at most
    assert "install amber_nb" in page.shown[0]["text/html"]
    assert page.shown[-1]["text/html"].count("word") > page.shown[0]["text/html"].count("word")


def test_what_does_not_change_is_not_shown_again(page):
    shown = opened()
    run(page, shown, 2)
    before = len(page.shown)
    send_due(page, 60)
    assert len(page.shown) <= before + 1
    assert page.shown[-1]["text/html"].count("word") == 20


def test_a_page_that_comes_late_gets_no_more_html_than_needed(page):
    shown = opened()
    run(page, shown, 2)
    LAYER.hello.set()
    shown._answer.is_drawn = True
    before = len(page.shown)
    run(page, shown, 1.5)
    assert len(page.shown) <= before + 1


def test_where_no_greeting_could_be_heard_nothing_follows_from_its_absence(page):
    shown = opened()
    LAYER.can_listen = False
    shown.listen()
    run(page, shown, 5)
    assert page.shown == []


def test_ipykernel_6_is_polled(page, monkeypatch):
    assert opened().poll_s == 0
    LAYER.hears = False
    assert opened().poll_s > 0


def test_a_costly_refresh_is_made_less_often(page, monkeypatch):
    def slow(text, **_):
        page.clock.advance(0.4)
        return text

    monkeypatch.setattr(live, "markdown_html", slow)
    run(page, opened(), 12)
    assert 2 <= len(page.shown) <= 4


def test_what_the_model_does_is_noted_once_and_made_harmless(page):
    shown = opened()
    calling = ToolCallDelta(0, "\x1b[2J" + "x" * 100, "{")
    for event in (RequestSent(), ReasoningDelta("Hm"), ReasoningDelta("m"), calling, calling, RequestSent()):
        shown.handle(event)
    first, second, third = shown._answer.notes
    assert first == "thinking"
    assert second.startswith("calling ␛[2Jxx")
    assert len(second) == 60
    assert third == ""


def test_text_takes_a_note_away(page):
    shown = opened()
    for event in (Waiting(2, "busy"), Waiting(1, "busy"), TextDelta("Hi"), ReasoningDelta("Hm"), TextDelta("!")):
        shown.handle(event)
    assert shown._answer.notes == ["waiting 2 s (busy)", "waiting 1 s (busy)", "thinking"]
    assert shown._answer.text == "Hi!"


def test_the_answer_is_closed_when_it_settles(page):
    shown = opened()
    run(page, shown, 0.5)
    shown.settle({"text/html": "<p>whole</p>", "text/plain": "whole"})
    run(page, shown, 5)
    assert page.shown == [{"text/html": "<p>whole</p>", "text/plain": "whole"}]
    assert shown._answer.closed == page.shown[0]


@pytest.mark.parametrize("at", ["update", "close"])
def test_an_interrupt_while_it_settles_leaves_nothing_open(page, monkeypatch, at):
    shown = opened()
    whole, text = ({"text/html": each, "text/plain": each} for each in ("whole", "text"))
    target = shown._handle if at == "update" else shown._answer
    before = getattr(target, at)

    def interrupt(*arguments, **_):
        monkeypatch.setattr(target, at, before)
        raise KeyboardInterrupt

    monkeypatch.setattr(target, at, interrupt)
    with pytest.raises(KeyboardInterrupt):
        shown.settle(whole)
    if at == "update":
        assert shown._answer.closed == whole
    shown.settle(text)
    expected = text if at == "update" else whole  # what is in the output already is not replaced by less
    assert page.shown == [expected]
    assert shown._answer.closed == expected
    assert live.NotebookDisplay._open == {}


def test_a_refresh_that_is_under_way_does_not_replace_the_settled_form(page, monkeypatch):
    shown = opened()

    def settle_meanwhile(text, **_):
        shown.settle({"text/html": "settled", "text/plain": "settled"})
        return text

    monkeypatch.setattr(live, "markdown_html", settle_meanwhile)
    run(page, shown, 2)
    assert [each["text/html"] for each in page.shown] == ["settled"]


def test_events_of_tools_and_questions_go_to_the_calls(page):
    shown = opened(tools=True)
    events = [ToolCallDelta(0, "f", "{"), ToolProgress(index=0, round=1, name="f", arguments="{}", state="checking")]
    for event in (*events, TextDelta("x")):
        shown.handle(event)
    calls = shown._answer.calls
    assert calls.events == events
    assert shown.ask(1, 0, spec=3, check=4, defaults={"a": 5}, warning="6") == "future"
    assert calls.asked == [(1, 0, 3, 4, {"a": 5}, "6")]
    assert (shown.is_seen(0), shown.is_seen(1)) == (True, False)
    shown.withdraw(0)
    assert calls.withdrawn == [0]


def test_another_run_of_the_cell_stops_the_request_of_the_last(page, monkeypatch):
    stopped = []
    where = {"cell_id": "c", "execution_id": "1"}
    for name in where:
        monkeypatch.setattr(cell_output.kernel, name, lambda name=name: where[name])
    first = opened(on_stop=lambda: stopped.append("first"))
    opened(on_stop=lambda: stopped.append("beside it"))
    assert stopped == []
    where["cell_id"] = "d"
    opened()
    assert stopped == []
    where.update(cell_id="c", execution_id="2")
    opened()
    assert stopped == ["first", "beside it"]
    first.settle({"text/html": "", "text/plain": ""})
    where["execution_id"] = "3"
    opened()
    assert stopped == ["first", "beside it", "beside it"]


def test_another_run_of_the_cell_stops_it_also_where_it_asks_nothing(page, monkeypatch):
    stopped, before = [], set()
    where = {"cell_id": "c", "execution_id": "1"}
    for name in where:
        monkeypatch.setattr(cell_output.kernel, name, lambda name=name: where[name])
    monkeypatch.setattr(cell_output.kernel, "before_each_cell", before.add)
    opened(on_stop=lambda: stopped.append("first"))
    opened(on_stop=lambda: stopped.append("beside it"))
    (run_hook,) = before
    for cell, execution in (("c", "1"), ("d", "2")):
        where.update(cell_id=cell, execution_id=execution)
        run_hook("info")
    assert stopped == []
    where.update(cell_id="c", execution_id="3")
    run_hook("info")
    assert stopped == ["first", "beside it"]


def test_a_display_without_tools_asks_nobody(page):
    shown = opened()
    future = shown.ask(1, 0, spec=3, check=4)
    assert isinstance(future, Future)
    assert future.cancelled()
    assert not shown.is_seen(0)
    shown.withdraw(0)
    shown.settle({"text/html": "", "text/plain": ""})


@pytest.mark.parametrize(
    ("states", "notes"),
    [
        (["checking", "over"], []),
        (["running"], ["running f0"]),
        (
            ["running", "waiting", "waiting"],
            ["running f0", "waiting for your decision on f1", "waiting for your decision on f1 and 1 more"],
        ),
    ],
)
def test_what_the_tools_do_is_noted(page, states, notes):
    shown = opened()
    for n, state in enumerate(states):
        shown.handle(ToolProgress(index=n, round=1, name=f"f{n}", arguments="", state=state))
    assert shown._answer.notes == notes
