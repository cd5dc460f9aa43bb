"""An interrupt in the middle of showing an answer: nothing stays open, and the text is kept."""

import pytest

from amber_nb.answer import Answer
from amber_nb.chat import ask
from amber_nb.chat.ask import AskRun


class Display:
    rest_s = 0.0

    def __init__(self):
        self.settled = []

    def handle(self, event):
        pass

    def settle(self, bundle):
        self.settled.append(bundle)
        return True


def test_two_interrupts_leave_no_display_open(script, monkeypatch):
    display = Display()
    monkeypatch.setattr(AskRun, "_open_display", lambda self: display)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Answer, "_repr_mimebundle_", interrupt)
    monkeypatch.setattr(ask, "escape_code", interrupt)
    with pytest.raises(KeyboardInterrupt):
        script("Rain").ask("?", show=True)
    assert display.settled == [ask.EMPTY]


def test_an_interrupt_while_the_html_is_made_leaves_no_display_open(script, monkeypatch):
    display = Display()
    monkeypatch.setattr(AskRun, "_open_display", lambda self: display)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Answer, "_repr_mimebundle_", interrupt)
    amber = script("Rain & <b>wind</b>")
    with pytest.raises(KeyboardInterrupt):
        amber.ask("?", show=True)
    (bundle,) = display.settled
    assert "Rain &amp; &lt;b&gt;wind&lt;/b&gt;" in bundle["text/html"]
    assert bundle["text/plain"] == "Rain & <b>wind</b>"
    assert amber.last.text == "Rain & <b>wind</b>"
