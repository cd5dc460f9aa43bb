"""Everything hostile as a tool's name, argument, result and error, on cards and off them: it is text, and no more."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from witness import Watch

pytestmark = pytest.mark.browser

HOSTILE = pathlib.Path(__file__).parents[1] / "show" / "hostile.json"


@pytest.fixture
def browser(browser: Any) -> Watch:
    """conftest's browser, watched."""
    return Watch(browser)


PAYLOADS = """
import json, time
from amber_nb.show import Stage, answer_html, tools_html, tools_text
from amber_nb.types import Told, ToolCall, ToolRun, ToolStep

corpus = [one["text"] for one in json.load(open({path!r}))]
stopped, steps = [], []
stage = Stage(model="azure/gpt-5.4", badge=None, tools=True, on_stop=lambda: stopped.append(1))
for n, text in enumerate(corpus):
    one = ToolStep(key=str(n), round=1, name=text, arguments=text, state="writing")
    steps.append(one)
    if n % 3 == 0:
        spec = {{"function": {{"parameters": {{"properties": {{text: {{"type": "string", "description": text,
                 "enum": [text]}} for text in [text, "b"]}}}}}}}}
        one.state = "waiting"
        call = ToolCall(id="x", name=text, arguments={{text: text, "b": [text], "password": text}})
        stage.ask(call, one, spec=spec, check=lambda arguments: "")
    elif n % 3 == 1:
        one.run = ToolRun(name=text, arguments={{text: text}}, status="failed", error=text, sent=text, traceback=text)
        one.state = "over"
end = time.monotonic() + 60
while not stopped and time.monotonic() < end:
    stage.tick("", steps)
    time.sleep(0.1)
for n, one in enumerate(steps):
    text = corpus[n]
    one.run = one.run or ToolRun(name=text, arguments={{text: text}}, status="denied", reason=text, sent=text,
                                 told=Told(text=text, table=((text,), ((text,),)), notes=(text,)))
runs = [one.run for one in steps]
stage.settle({{"text/html": answer_html("", head=tools_html(runs)), "text/plain": tools_text(runs)}})
print(len(corpus))
"""


def test_nothing_that_anybody_says_runs(notebook: Callable[..., Any], browser: Watch, artefacts: pathlib.Path) -> None:
    book = notebook(["'a cell that another hand changes'", PAYLOADS.format(path=str(HOSTILE))])
    book.run(1)
    out = book.output(1)
    expect(out.locator(".amber-call")).to_have_count(208)
    expect(out.get_by_role("button", name="Deny…", exact=True)).to_have_count(75)
    for one in out.get_by_role("button", name="JSON", exact=True).all()[:5]:
        one.click()
    out.screenshot(path=artefacts / "tools-hostile.png")
    assert browser.problems(book.page, least=2_000) == []
    out.get_by_role("button", name="Stop this answer").click()
    book.finished(1)
    expect(out.locator(".amber-answer details").first).to_be_visible()
    assert browser.problems(book.page, least=1_000) == []

    saved = book.saved()
    saved["cells"][0]["source"] = ["# changed\n"]  # by other hands: the file has lost its signature
    path = book.path.with_name("untrusted-tools.ipynb")
    path.write_text(json.dumps(saved), encoding="utf-8")
    again = notebook.saved(path)  # type: ignore[attr-defined]
    expect(again.page.locator(".amber-answer details").first).to_be_visible()
    assert again.page.locator(".jp-mod-trusted .amber-answer").count() == 0
    again.page.screenshot(path=artefacts / "tools-untrusted.png")
    assert browser.problems(again.page, least=1_000) == []
