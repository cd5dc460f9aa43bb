"""What is in the cell while an answer is written: live views, or safe HTML where no page shows them."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from amber_nb.display import comm, live
from amber_nb.types import (
    ReasoningDelta,
    RequestSent,
    TextDelta,
    ToolCallDelta,
    ToolProgress,
    ToolRun,
    Waiting,
)


class View:
    def __init__(self, **settings):
        self.settings, self.notes, self.text, self.closed = settings, [], "", False
        self.hello = threading.Event()
        self.hears = self.can_listen = True
        self.set_note = self.notes.append

    def feed(self, text):
        self.text += text

    def listen(self):
        return self.can_listen

    def close(self):
        self.closed = True


@pytest.fixture
def page(clock, monkeypatch):
    """The clock, and what was put on the page."""
    page = SimpleNamespace(clock=clock, shown=[])
    handle = SimpleNamespace(update=lambda thing, raw=False: page.shown.append(thing))
    ipython = SimpleNamespace(display=SimpleNamespace(display=lambda view, display_id: handle))
    monkeypatch.setattr(live, "StreamView", View)
    monkeypatch.setitem(live.sys.modules, "IPython", ipython)
    monkeypatch.setattr(live.NotebookDisplay, "_greeted", False)
    comm.scheduler._thread = threading.current_thread()  # none is started: the test sends what is due
    return page


def send_due(page, seconds):
    end = page.clock.now + seconds
    while (wait := comm.scheduler.send_due()) is not None and page.clock.now + wait <= end:
        page.clock.advance(wait)
    page.clock.advance(max(0.0, end - page.clock.now))


def run(page, shown, seconds):
    """Ten words a second."""
    for _ in range(round(seconds * 10)):
        shown.handle(TextDelta("word "))
        send_due(page, 0.1)


def opened(**settings):
    return live.NotebookDisplay(**({"model": "m", "badge": "simulated", "on_stop": lambda: None} | settings))


def test_html_stands_in_for_a_view_that_no_page_shows(page):
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


def test_the_images_stand_above_either(page):
    strip = [("a.png", ("1 × 1",), "")]
    shown = opened(strip=strip, head="<div>a.png</div>")
    run(page, shown, 2)
    assert shown._view.settings["strip"] == strip
    assert "<div>a.png</div>" in page.shown[-1]["text/html"]


def test_a_page_that_comes_late_gets_the_live_view(page):
    shown = opened()
    run(page, shown, 2)
    shown._view.hello.set()
    run(page, shown, 0.6)
    assert page.shown[-1] is shown._view
    before = len(page.shown)
    run(page, shown, 3)
    assert len(page.shown) == before


def test_where_a_page_came_before_the_next_is_given_time(page):
    first = opened()
    first._view.hello.set()
    first.settle({"text/html": "", "text/plain": ""})
    page.shown.clear()
    second = opened()
    run(page, second, 9)
    assert page.shown == []
    run(page, second, 2)
    assert page.shown


def test_where_no_greeting_could_be_heard_nothing_follows_from_its_absence(page):
    shown = opened()
    shown._view.can_listen = False
    shown.listen()
    run(page, shown, 5)
    assert page.shown == []


def test_ipykernel_6_is_polled(page, monkeypatch):
    assert opened().poll_s == 0
    shown = opened()
    shown._view.hears = False
    assert shown.poll_s > 0


def test_a_costly_refresh_is_made_less_often(page, monkeypatch):
    def slow(text, **_):
        page.clock.advance(0.4)
        return text

    monkeypatch.setattr(live, "answer_html", slow)
    run(page, opened(), 12)
    assert 2 <= len(page.shown) <= 4


def test_what_the_model_does_is_noted_once_and_made_harmless(page):
    shown = opened()
    calling = ToolCallDelta(0, "\x1b[2J" + "x" * 100, "{")
    for event in (RequestSent(), ReasoningDelta("Hm"), ReasoningDelta("m"), calling, calling, RequestSent()):
        shown.handle(event)
    first, second, third = shown._view.notes
    assert first == "thinking"
    assert second.startswith("calling ␛[2Jxx")
    assert len(second) == 60
    assert third == ""


def test_text_takes_a_note_away(page):
    shown = opened()
    for event in (Waiting(2, "busy"), Waiting(1, "busy"), TextDelta("Hi"), ReasoningDelta("Hm"), TextDelta("!")):
        shown.handle(event)
    assert shown._view.notes == ["waiting 2 s (busy)", "waiting 1 s (busy)", "thinking"]
    assert shown._view.text == "Hi!"


def test_the_view_is_closed_when_the_answer_settles(page):
    shown = opened()
    run(page, shown, 0.5)
    shown.settle({"text/html": "<p>whole</p>", "text/plain": "whole"})
    run(page, shown, 5)
    assert page.shown == [{"text/html": "<p>whole</p>", "text/plain": "whole"}]
    assert shown._view.closed


def test_a_refresh_that_is_under_way_does_not_replace_the_settled_form(page, monkeypatch):
    shown = opened()

    def settle_meanwhile(text, **_):
        shown.settle({"text/html": "settled", "text/plain": "settled"})
        return text

    monkeypatch.setattr(live, "answer_html", settle_meanwhile)
    run(page, shown, 2)
    assert [each["text/html"] for each in page.shown] == ["settled"]


class Inspector(View):
    def __init__(self):
        super().__init__()
        self.events, self.asked, self.withdrawn = [], [], []
        self.handle = self.events.append
        self.withdraw = self.withdrawn.append

    def is_seen(self, index):
        return index == 0

    def ask(self, call, index, *, spec, check):
        self.asked.append((call, index, spec, check))
        return "future"


class Column(View):
    def __init__(self, children, _dom_classes):
        super().__init__()
        self.children = children


@pytest.fixture
def tools(page, monkeypatch):
    """A display with tools, and what is in it."""
    displayed = []
    handle = SimpleNamespace(update=lambda thing, raw=False: page.shown.append(thing))
    display = SimpleNamespace(display=lambda view, display_id: displayed.append(view) or handle)
    monkeypatch.setitem(live.sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setattr(live, "ToolInspector", Inspector)
    monkeypatch.setattr(live, "_Column", Column)
    shown = opened(tools=True)
    return SimpleNamespace(display=shown, column=displayed[0], inspector=shown._inspector)


def test_tools_stand_above_the_text_in_one_output(page, tools):
    assert tools.column.children == [tools.inspector, tools.display._view]
    events = [ToolCallDelta(0, "f", "{"), ToolProgress(index=0, round=1, name="f", arguments="{}", state="checking")]
    for event in (*events, TextDelta("x")):
        tools.display.handle(event)
    assert tools.inspector.events == events
    assert tools.display.ask(1, 0, spec=3, check=4) == "future"
    assert tools.inspector.asked == [(1, 0, 3, 4)]
    assert (tools.display.is_seen(0), tools.display.is_seen(1)) == (True, False)
    tools.display.withdraw(0)
    assert tools.inspector.withdrawn == [0]
    tools.display.settle({"text/html": "", "text/plain": ""})
    assert page.shown == [{"text/html": "", "text/plain": ""}]
    assert [each.closed for each in (tools.column, tools.inspector, tools.display._view)] == [True] * 3


def test_tools_are_seen_where_no_page_shows_them_live(page, tools):
    call = {"index": 0, "round": 1, "name": "look_up", "arguments": "{}"}
    tools.display.handle(ToolProgress(**call, state="running"))
    send_due(page, 2)
    assert page.shown == []
    run = ToolRun(name="look_up", arguments={}, status="ran", sent="14")
    tools.display.handle(ToolProgress(**call, state="over", run=run))
    send_due(page, 1)
    assert "look_up" in page.shown[-1]["text/html"]
    tools.display._view.hello.set()
    send_due(page, 1)
    assert page.shown[-1] is tools.column


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
    assert shown._view.notes == notes
