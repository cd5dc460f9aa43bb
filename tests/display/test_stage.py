"""What is on the page while an answer is written: the live view, or safe HTML where no view comes to the page."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from amber_nb.display import stage
from amber_nb.types import ToolRun, ToolStep


class View:
    def __init__(self, **settings):
        self.settings, self.notes, self.closed = settings, [], False
        self.hello = threading.Event()
        self.hears = True
        self.feed = lambda text: None
        self.listen = lambda: self.hears
        self.note = self.notes.append

    def close(self):
        self.closed = True


@pytest.fixture
def page(clock, monkeypatch):
    """The clock, and what was put on the page."""
    page = SimpleNamespace(advance=clock.advance, shown=[])
    handle = SimpleNamespace(update=lambda thing, raw=False: page.shown.append(thing))
    ipython = SimpleNamespace(display=SimpleNamespace(display=lambda view, display_id: handle))
    monkeypatch.setattr(stage, "StreamView", View)
    monkeypatch.setitem(stage.sys.modules, "IPython", ipython)
    monkeypatch.setattr(stage.Stage, "_greeted", False)
    return page


def run(page, one, seconds):
    """Ten ticks a second, and a word before each."""
    for _ in range(round(seconds * 10)):
        page.advance(0.1)
        one.feed("word ")
        one.tick()


def opened():
    return stage.Stage(model="m", badge="simulated", on_stop=lambda: None)


def test_html_stands_in_for_a_view_that_does_not_come(page):
    one = opened()
    run(page, one, 0.9)
    assert page.shown == []
    run(page, one, 3)
    assert 5 <= len(page.shown) <= 7  # twice a second at most
    assert "install amber_nb" in page.shown[0]["text/html"]
    assert page.shown[-1]["text/html"].count("word") > page.shown[0]["text/html"].count("word")


def test_the_images_stand_above_either(page):
    strip = [("a.png", ("1 × 1",), "")]
    one = stage.Stage(model="m", badge=None, strip=strip, head="<div>a.png</div>", on_stop=lambda: None)
    run(page, one, 2)
    assert one._view.settings["strip"] == strip
    assert "<div>a.png</div>" in page.shown[-1]["text/html"]


def test_a_view_that_comes_late_takes_its_place(page):
    one = opened()
    run(page, one, 2)
    one._view.hello.set()
    one.tick()
    assert page.shown[-1] is one._view
    shown = len(page.shown)
    run(page, one, 3)
    assert len(page.shown) == shown


def test_where_a_view_came_before_the_next_is_given_time(page):
    first = opened()
    first._view.hello.set()
    first.tick()
    second = opened()
    run(page, second, 9)
    assert page.shown == []
    run(page, second, 2)
    assert page.shown


def test_where_no_greeting_could_be_heard_nothing_follows_from_its_absence(page):
    one = opened()
    one._view.hears = False
    run(page, one, 5)
    assert page.shown == []


def test_a_costly_refresh_is_made_less_often(page, monkeypatch):
    def slow(text, **_):
        page.advance(0.4)
        return text

    monkeypatch.setattr(stage, "answer_html", slow)
    one = opened()
    run(page, one, 12)
    assert 2 <= len(page.shown) <= 4


def test_what_the_model_does_is_noted_once_and_made_harmless(page):
    one = opened()
    for activity in ("", "thinking", "thinking", "calling \x1b[2J" + "x" * 100, ""):
        one.tick(activity)
    thinking, calling, nothing = one._view.notes
    assert thinking == "thinking"
    assert calling.startswith("calling ␛[2Jxx")
    assert len(calling) == 60
    assert nothing == ""


def test_the_view_is_closed_when_the_answer_settles(page):
    one = opened()
    one.settle({"text/html": "<p>whole</p>", "text/plain": "whole"})
    assert page.shown == [{"text/html": "<p>whole</p>", "text/plain": "whole"}]
    assert one._view.closed


class Inspector(View):
    def __init__(self):
        super().__init__()
        self.shown, self.asked, self.withdrawn = [], [], []
        self.show = self.shown.append
        self.heard = lambda key: key == "1.0"
        self.withdraw = self.withdrawn.append

    def ask(self, call, step, *, spec, check):
        self.asked.append((call, step, spec, check))
        return "future"


class Both(View):
    def __init__(self, children, _dom_classes):
        super().__init__()
        self.children = children


@pytest.fixture
def tools(page, monkeypatch):
    """A stage with tools, and what is on it."""
    displayed = []
    handle = SimpleNamespace(update=lambda thing, raw=False: page.shown.append(thing))
    display = SimpleNamespace(display=lambda view, display_id: displayed.append(view) or handle)
    monkeypatch.setitem(stage.sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setattr(stage, "ToolInspector", Inspector)
    monkeypatch.setattr(stage, "_Both", Both)
    one = stage.Stage(model="m", badge=None, tools=True, on_stop=lambda: None)
    return SimpleNamespace(stage=one, both=displayed[0], inspector=one._inspector)


def test_tools_stand_above_the_text_in_one_output(page, tools):
    assert tools.both.children == [tools.inspector, tools.stage._view]
    steps = [ToolStep(key="1.0", round=1, name="f", arguments="{", state="writing")]
    tools.stage.tick("", steps)
    assert tools.inspector.shown == [steps]
    assert tools.stage.ask(1, 2, spec=3, check=4) == "future"
    assert tools.inspector.asked == [(1, 2, 3, 4)]
    assert (tools.stage.heard("1.0"), tools.stage.heard("1.1")) == (True, False)
    tools.stage.withdraw("1.0")
    assert tools.inspector.withdrawn == ["1.0"]
    tools.stage.settle({"text/html": "", "text/plain": ""})
    assert page.shown == [{"text/html": "", "text/plain": ""}]
    assert [one.closed for one in (tools.both, tools.inspector, tools.stage._view)] == [True] * 3


def test_tools_are_seen_where_no_view_comes(page, tools):
    step = ToolStep(key="1.0", round=1, name="look_up", arguments="{}", state="running")
    for _ in range(20):
        page.advance(0.1)
        tools.stage.tick("", [step])
    assert page.shown == []
    step.run, step.state = ToolRun(name="look_up", arguments={}, status="ran", sent="14"), "over"
    page.advance(1)
    tools.stage.tick("", [step])
    assert "look_up" in page.shown[-1]["text/html"]
    tools.stage._view.hello.set()
    tools.stage.tick("", [step])
    assert page.shown[-1] is tools.both


def test_a_stage_without_tools_asks_nobody(page):
    one = opened()
    future = one.ask(1, 2, spec=3, check=4)
    assert isinstance(future, Future)
    assert future.cancelled()
    assert not one.heard("1.0")
    one.withdraw("1.0")
    one.settle({"text/html": "", "text/plain": ""})


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["writing", "over"], ""),
        (["running"], "running f0"),
        (["running", "waiting", "waiting"], "waiting for your decision on f1 and 1 more"),
    ],
)
def test_what_the_tools_do_is_noted(page, states, words):
    steps = [ToolStep(key=str(n), round=1, name=f"f{n}", arguments="", state=state) for n, state in enumerate(states)]
    assert stage._doing(steps) == words
