"""What is on the page while an answer is written: the live view, or safe HTML where no view comes to the page."""

import threading
from types import SimpleNamespace

import pytest

from amber_nb.show import stage


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
def page(monkeypatch):
    """The clock, and what was put on the page."""
    page = SimpleNamespace(now=100.0, shown=[])
    handle = SimpleNamespace(update=lambda thing, raw=False: page.shown.append(thing))
    ipython = SimpleNamespace(display=SimpleNamespace(display=lambda view, display_id: handle))
    monkeypatch.setattr(stage, "StreamView", View)
    monkeypatch.setattr(stage.time, "monotonic", lambda: page.now)
    monkeypatch.setitem(stage.sys.modules, "IPython", ipython)
    monkeypatch.setattr(stage.Stage, "_greeted", False)
    return page


def run(page, one, seconds):
    """Ten ticks a second, and a word before each."""
    for _ in range(round(seconds * 10)):
        page.now += 0.1
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
        page.now += 0.4
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
