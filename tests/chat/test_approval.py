"""The reader at a page: cards are waited for as long as a page is there, and never asked about twice."""

import asyncio
from concurrent.futures import Future

import pytest

from amber_nb import Allow, Deny, clock, tool
from amber_nb.chat.approval import ApprovalPrompt
from amber_nb.chat.execute import CellExecutor
from amber_nb.display import NotebookDisplay
from amber_nb.tools import tools_from
from amber_nb.types import ToolCall
from amber_nb.wire.event_loop import Inbox

CALL = ToolCall(id="a", name="buy", arguments={"item": "tea"})


class View(NotebookDisplay):
    """A display whose pages do what a test says."""

    has_page = True
    silent_s = 0.0

    def __init__(self):
        self.future = Future()
        self.seen_at = self.heard_at = clock.monotonic()
        self.withdrawn = []

    def ask(self, call, index, *, spec, check, defaults, warning, scope):
        self.warning = warning
        return self.future

    def has_waited(self, since):
        return clock.monotonic() - since > 2

    def is_seen(self, index):
        return clock.monotonic() >= self.seen_at

    def withdraw(self, index):
        self.withdrawn.append(index)
        self.future.cancel()


class Gone(View):
    """Its page was there, and gives no sign of life any more."""

    @property
    def silent_s(self):
        return clock.monotonic() - self.heard_at


def decide(view, timeout_s=None, read_only=None):
    prompt = ApprovalPrompt(CellExecutor(Inbox(), None), view, can_type=True, timeout_s=timeout_s)
    bought = tools_from(tool(lambda item: item, name="buy", read_only=read_only))["buy"]
    return asyncio.run(prompt.decide(CALL, 0, bought, lambda _: ""))


@pytest.fixture(autouse=True)
def keyboard(monkeypatch):
    def refuse(self, *_):
        raise AssertionError("nobody is at the keyboard")

    monkeypatch.setattr(ApprovalPrompt, "_ask_at_keyboard", refuse)


def test_a_decision_on_the_page_counts(fast_clock):
    view = View()
    view.future.set_result((Allow(), True))
    approval = decide(view)
    assert (approval.decision, approval.by, approval.always) == (Allow(), "reader", True)


@pytest.mark.parametrize(
    ("read_only", "warning"), [(False, "This tool says that it changes things."), (None, ""), (True, "")]
)
def test_a_card_warns_where_the_tool_says_so(fast_clock, read_only, warning):
    view = View()
    view.future.set_result((Allow(), False))
    decide(view, read_only=read_only)
    assert view.warning == warning


def test_a_card_is_waited_for_while_a_page_is_loaded_again(fast_clock):
    class Slow(View):
        def is_seen(self, index):
            if super().is_seen(index) and not self.future.done():
                self.future.set_result((Deny("no"), False))
            return super().is_seen(index)

    view = Slow()
    view.seen_at += 60  # long after the patience for a page that may not come
    assert decide(view).decision == Deny("no")


@pytest.mark.parametrize("seen_after_s", [0, 10_000])
def test_after_two_minutes_without_a_page_it_is_a_no(fast_clock, seen_after_s):
    view = Gone()
    view.seen_at += seen_after_s
    began = clock.monotonic()
    approval = decide(view)
    assert approval.decision == Deny("no page was there to decide on it for 120 s")
    assert approval.by == "timeout"
    assert 120 <= clock.monotonic() - began <= 130
    assert view.withdrawn == [0]


def test_a_page_that_is_there_is_waited_for(fast_clock):
    assert decide(View(), timeout_s=1_000).decision == Deny("nobody decided within 1000 s")


def test_where_all_widgets_are_closed_it_is_a_no(fast_clock):
    view = View()
    view.future.cancel()
    assert decide(view).decision == Deny("its card was closed before anybody decided")


def test_where_no_page_ever_drew_anything_the_keyboard_is_asked(fast_clock, monkeypatch):
    async def ask(self, *_):
        return "typed"

    monkeypatch.setattr(ApprovalPrompt, "_ask_at_keyboard", ask)
    view = View()
    view.has_page, view.seen_at = False, clock.monotonic() + 60
    assert decide(view) == "typed"
    assert view.withdrawn == [0]
