"""A run over a table while it goes on: what pages are told and when, Stop, the document, and the bar in a terminal."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import fakecomm
import pytest
from virtual_clock import VirtualClock

from amber_nb.display import cell_output, comm, layer, map_view
from amber_nb.display.layer import LiveLayer
from amber_nb.display.map_progress import Failure, MapProgress, map_html, map_text
from amber_nb.display.map_view import MapDisplay, MapTerminal

START = MapProgress(title="azure/gpt-5.4", badge="simulated", rows=100_000)


def at(done: int, **others: Any) -> MapProgress:
    """A picture of the run with so many rows done."""
    newest = ((str(done), "positive", False),)
    return replace(START, ok=done, elapsed_s=done / 100, newest=newest, **others)


class Page(SimpleNamespace):
    """What pages were told, what stands in the outputs, and the passing of time."""

    clock: VirtualClock
    comm: fakecomm.Comm

    def pass_time(self, seconds: float) -> None:
        """Let this time pass, and have everything sent that is due in it."""
        end = self.clock.now + seconds
        while True:
            if self.is_heard:  # else the layer would be opened anew
                self.comm.hear({"here": []})
            waits = [wait for each in (comm.scheduler, comm.snapshots) if (wait := each.send_due()) is not None]
            if not waits or self.clock.now + min(waits) > end:
                break
            self.clock.advance(max(0.0, min(waits)))
        self.clock.advance(max(0.0, end - self.clock.now))

    def told(self) -> list[dict[str, Any]]:
        return [content["m"] for content in self.comm.contents() if "m" in content]

    def pictures(self) -> list[dict[str, Any]]:
        return [message for message in self.told() if "of" in message]


@pytest.fixture
def page(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    page = Page(clock=clock, comm=fakecomm.Comm(), displays=[], shown=[], console=False, is_heard=False)
    handle = SimpleNamespace(update=lambda bundle, raw=False: page.shown.append(bundle))

    def display(bundle: Any, raw: bool, display_id: bool) -> Any:
        page.displays.append(bundle)
        return handle

    monkeypatch.setattr(LiveLayer, "open", lambda opened: setattr(opened, "comm", page.comm))
    monkeypatch.setattr(LiveLayer, "current", None)
    monkeypatch.setattr(LiveLayer, "was_greeted", False)
    monkeypatch.setattr(LiveLayer, "has_drawn", False)
    monkeypatch.setattr(MapDisplay, "_open", {})
    monkeypatch.setattr(map_view.LiveMap, "_running", set())
    monkeypatch.setattr(cell_output.kernel, "may_only_print", lambda: page.console)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=SimpleNamespace(display=display)))
    for scheduler in (comm.scheduler, comm.snapshots):
        scheduler._thread = threading.current_thread()  # none is started: the test sends what is due
    yield page
    if LiveLayer.current is not None:
        LiveLayer.current.close()


def opened(page: Page, *, greeted: bool = True, on_stop: Callable[[], None] = lambda: None) -> MapDisplay:
    """A run that has begun, on a page that has the layer and draws it."""
    shown = MapDisplay(START, on_stop)
    if greeted:
        page.is_heard = True
        page.comm.hear({"hello": 1})
        page.comm.hear({"a": shown._map.number, "m": {"drawn": 1}})
        page.pass_time(0)
    return shown


# --- what pages are told


def test_nothing_is_sent_before_a_page_is_there(page: Page) -> None:
    shown = opened(page, greeted=False)
    shown.update(at(5))
    page.pass_time(0.9)
    assert page.comm.sent == []
    page.comm.hear({"hello": 1})
    page.pass_time(0)
    first, second = page.comm.contents()
    assert first["open"] == {"id": shown._map.id, "title": "azure/gpt-5.4", "badge": "simulated", "rows": 100_000}
    assert second["m"]["of"] == [5, 0, 0, 100_000]
    assert second["m"]["newest"] == [("5", "positive", False)]


def test_a_page_that_comes_late_is_told_all(page: Page) -> None:
    shown = opened(page)
    shown.update(at(5))
    page.pass_time(5)
    before = len(page.comm.sent)
    page.comm.hear({"hello": 1})
    page.pass_time(1)
    again = page.comm.contents()[before:]
    assert "open" in again[0]
    assert again[1]["m"]["newest"] == [("5", "positive", False)]


def test_of_many_updates_few_messages_are_made(page: Page) -> None:
    """100,000 rows in 100 s: at most four messages a second, of which each has the newest picture."""
    shown = opened(page)
    page.comm.sent.clear()
    for done in range(0, 100_000, 10):
        for one in range(10):
            shown.update(at(done + one))
        page.pass_time(0.01)
    assert 300 <= len(page.pictures()) <= 401
    assert page.pictures()[-1]["of"][0] >= 99_700
    assert 90 <= sum("newest" in picture for picture in page.pictures()) <= 101


def test_many_runs_at_once_share_twenty_messages_a_second(page: Page) -> None:
    runs = [opened(page) for _ in range(10)]
    page.pass_time(2)
    page.comm.sent.clear()
    for done in range(1_000):
        for shown in runs:
            shown.update(at(done))
        page.pass_time(0.01)
    assert 150 <= len(page.pictures()) <= 210


def test_the_last_picture_is_sent_once_more_and_then_there_is_silence(page: Page) -> None:
    shown = opened(page)
    page.pass_time(5)
    page.comm.sent.clear()
    shown.update(at(1))
    shown.update(at(2))
    page.pass_time(60)
    first, second = page.pictures()
    assert first["of"] == second["of"] == [2, 0, 0, 100_000]
    assert "newest" in second
    assert second["elapsed"] == first["elapsed"] + 1.0  # it goes on while nothing comes


def test_a_page_that_asks_is_told_again(page: Page) -> None:
    shown = opened(page)
    page.pass_time(5)
    page.comm.sent.clear()
    page.comm.hear({"a": shown._map.number, "m": {"ask": 1}})
    page.pass_time(0)
    assert len(page.pictures()) == 1
    shown.settle(at(100_000, end=""))
    page.comm.hear({"a": shown._map.number, "m": {"ask": 1}})
    assert page.comm.contents()[-1] == {"a": shown._map.number, "end": 1}


# --- Stop


def test_stop_is_called_once(page: Page) -> None:
    stops: list[str] = []
    shown = opened(page, on_stop=lambda: stops.append("stop"))
    for _ in range(3):
        page.comm.hear({"a": shown._map.number, "m": {"stop": True}})
    assert stops == ["stop"]
    assert page.comm.contents()[-1] == {"a": shown._map.number, "m": {"stopping": 1}}
    shown.update(at(5))
    page.pass_time(1)
    assert page.pictures()[-1]["stopping"] == 1  # a page that comes now has to know


def test_a_stop_that_fails_is_told(page: Page) -> None:
    def fail() -> None:
        raise RuntimeError("secret")

    shown = opened(page, on_stop=fail)
    page.comm.hear({"a": shown._map.number, "m": {"stop": True}})
    page.pass_time(1)
    assert page.pictures()[-1]["note"] == "could not stop: RuntimeError"


def test_a_deleted_cell_stops_its_run(page: Page) -> None:
    stops: list[str] = []
    shown = opened(page, on_stop=lambda: stops.append("stop"))
    page.comm.hear({"a": shown._map.number, "left": 1})
    page.pass_time(layer.SEARCH_S + 0.5)
    assert stops == ["stop"]


def test_another_run_of_the_cell_retires_it(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    stops: list[str] = []
    where = {"cell_id": "c", "execution_id": "1"}
    before: set[Callable[..., None]] = set()
    for name in where:
        monkeypatch.setattr(cell_output.kernel, name, lambda name=name: where[name])
    monkeypatch.setattr(cell_output.kernel, "before_each_cell", before.add)
    opened(page, on_stop=lambda: stops.append("first"))
    opened(page, on_stop=lambda: stops.append("beside it"))
    (hook,) = before
    hook("info")
    assert stops == []
    where["execution_id"] = "2"
    hook("info")
    hook("info")
    assert stops == ["first", "beside it"]
    assert [content for content in page.comm.contents() if content.get("open", {}).get("outdated")]


# --- the document


def test_the_output_is_ordinary_html_from_the_first_moment(page: Page) -> None:
    shown = opened(page, greeted=False)
    (bundle,) = page.displays
    assert sorted(bundle) == ["text/html", "text/plain"]
    assert bundle["text/html"].startswith(f'<div class="amber-map"><div class="amber-hook amber-live-{shown._map.id}">')
    assert "still running when this was saved" in bundle["text/html"]
    assert bundle["text/plain"].endswith("[still running when this was saved]")


def test_where_no_page_has_the_layer_the_html_follows(page: Page) -> None:
    shown = opened(page, greeted=False)
    for done in range(50):
        shown.update(at(done))
        page.pass_time(0.1)
    assert 7 <= len(page.shown) <= 9  # twice a second, after the first one
    assert "install amber_nb" in page.shown[-1]["text/html"]
    before = len(page.shown)
    page.pass_time(60)
    assert len(page.shown) <= before + 1  # what does not change is not shown again


def test_where_a_page_draws_over_it_snapshots_are_rare(page: Page) -> None:
    shown = opened(page)
    for done in range(600):
        shown.update(at(done))
        page.pass_time(1)
    assert 15 <= len(page.shown) <= 25  # every ten seconds, then every minute
    assert "install amber_nb" not in repr(page.shown)


def test_the_settled_form_comes_last(page: Page) -> None:
    shown = opened(page)
    shown.update(at(99_000))
    end = at(100_000, end="", failures=(Failure(reason="E", count=1, labels=("a",)),))
    assert shown.settle(end)
    shown.update(at(100_000))
    page.pass_time(60)
    assert shown._map.deliver(page.clock.now) is None  # as one that was under way
    assert page.shown == [{"text/html": map_html(end), "text/plain": map_text(end)}]
    assert page.comm.contents()[-1] == {"a": shown._map.number, "end": 1}
    page.comm.hear({"heal": shown._map.id})
    assert page.comm.contents()[-1] == {"heal": shown._map.id, "data": page.shown[0]}
    assert MapDisplay._open == {}
    assert map_view.LiveMap._running == set()


def test_a_front_end_that_may_only_print_gets_nothing_live(page: Page) -> None:
    page.console = True
    shown = opened(page, greeted=False)
    shown.update(at(5))
    page.pass_time(10)
    assert not shown.settle(at(5, end="stopped by you"))  # the caller shows its one static display
    assert page.displays == page.shown == page.comm.sent == []


def test_ipykernel_6_is_polled(page: Page) -> None:
    assert opened(page).poll_s == 0
    page.comm.kernel = SimpleNamespace(_supports_kernel_subshells=False)  # type: ignore[assignment]
    LiveLayer.current = None
    assert opened(page, greeted=False).poll_s > 0


# --- in a terminal


class Terminal(io.StringIO):
    is_terminal = True

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(map_view, "sys", SimpleNamespace(stderr=terminal))  # pytest sets its own again
    return terminal


def test_a_terminal_has_a_bar_and_then_the_summary(stderr: Terminal, clock: VirtualClock) -> None:
    shown = MapTerminal(START)
    clock.advance(1)
    shown.update(at(37_000, failed=3, cost="0.01 USD"))
    bar = stderr.getvalue()
    assert "azure/gpt-5.4  37 %|" in bar
    assert "37,003 of 100,000 rows · 3 failed · 0.01 USD" in bar
    end = at(100_000, end="")
    for _ in range(2):
        shown.settle(end)
    shown.update(at(5))
    assert stderr.getvalue().removeprefix(bar).endswith(f"\r{map_text(end)}\n")
    assert stderr.getvalue().count(map_text(end)) == 1


def test_a_terminal_is_written_to_ten_times_a_second_at_most(stderr: Terminal, clock: VirtualClock) -> None:
    shown = MapTerminal(START)
    before = stderr.getvalue().count("\r")
    for done in range(1_000):
        shown.update(at(done))
        clock.advance(0.001)
    assert 9 <= stderr.getvalue().count("\r") - before <= 11


def test_what_a_model_is_called_cannot_act_on_a_terminal(stderr: Terminal) -> None:
    hostile = "\x1b]0;title\x07\x1b[2J"
    shown = MapTerminal(replace(START, title=hostile, note=hostile, cost=hostile))
    shown.settle(replace(START, title=hostile, end=hostile, cost=hostile))
    assert "\x1b]" not in stderr.getvalue()
    assert "\x1b[2J" not in stderr.getvalue()


def test_where_stderr_is_no_terminal_it_is_quiet(stderr: Terminal) -> None:
    stderr.is_terminal = False
    shown = MapTerminal(START)
    shown.update(at(5))
    shown.settle(at(100_000, end=""))
    assert stderr.getvalue() == ""
