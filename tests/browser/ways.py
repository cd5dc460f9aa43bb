"""What the tests of the ways share: cells to ask in, how far they are, what the page and the file hold in the end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import expect

__all__ = ["KINDS", "START", "UNFINISHED", "WORDS", "Kind", "begun", "end", "execute", "live", "outputs", "settled"]

START = """
import os
os.environ["AMBER_SIM_CHUNKS_PER_S"] = "40"
from amber_nb import Amber
amber = Amber()
def look_up(name: str) -> str:
    "Look up what is known of a tea."
    return " ".join(f"number{i}" for i in range(300))
def delete_folder(path: str) -> str:
    "Delete a folder and all that is in it."
    return "deleted " + path
print(os.getpid())
"""
UNFINISHED = "still being written when this was saved"
WORDS = re.compile(r"(\w+\W+){12}")
STOP, ALLOW = "Stop this answer", "Allow"


@dataclass(frozen=True)
class Kind:
    """A kind of answer: the call that asks for it, and what the settled one says.

    Attributes:
        call: an expression; `{verb}` is `amber.ask`, or the same awaited.
        words: that the settled text has at least.
        says: a part of it.
        waits: whether a card waits for the reader.
    """

    call: str
    words: int
    says: str = ""
    waits: bool = False

    @property
    def cell(self) -> str:
        """A cell that awaits it."""
        return f"answer = {self.awaited}\nprint('END', answer.complete)"

    @property
    def blocking(self) -> str:
        """A cell that blocks the kernel until it has it."""
        return f"answer = {self.call.format(verb='amber.ask')}\nprint('END', answer.complete)"

    @property
    def awaited(self) -> str:
        """The expression, awaited."""
        return self.call.format(verb="await amber.ask_async")

    @property
    def task(self) -> str:
        """A cell that has a task ask, and ends."""
        return f"import asyncio\ntask = asyncio.ensure_future({self.call.format(verb='amber.ask_async')})"


KINDS = {
    "answer": Kind("{verb}('Write 150 words about tea.')", 140),
    "tools": Kind("{verb}('Look up Assam, the tea.', tools=look_up)", 30, "look_up(name="),
    "card": Kind("{verb}('Delete the folder /tmp/x.', tools=delete_folder, require_approval=True)", 5, "deleted", True),
}


def live(out: Any, kind: Kind = KINDS["answer"], *, count: int = 1) -> None:
    """Expect that an output shows an answer that is still being written, or the card that waits."""
    button = out.get_by_role("button", name=ALLOW if kind.waits else STOP, exact=True)
    expect(button).to_have_count(count, timeout=40_000)  # a page may have to be loaded
    if not kind.waits:
        expect(out.get_by_role("log").first).to_contain_text(WORDS)


def begun(book: Any, index: int = 1, kind: Kind = KINDS["answer"]) -> Any:
    """The output of a cell that was run, once some of its answer is on the page, or its card."""
    book.run(0, wait=True)
    book.run(index)
    out = book.output(index)
    live(out, kind)
    return out


def execute(book: Any, command: str, **arguments: Any) -> None:
    """Execute a command of JupyterLab."""
    book.page.evaluate(
        "([command, args]) => jupyterapp.commands.execute(command, args).then(() => null)", [command, arguments]
    )


def end(out: Any, kind: Kind) -> None:
    """Allow what waits, and expect one settled answer in the place of the live one."""
    if kind.waits:
        allow = out.get_by_role("button", name=ALLOW, exact=True).first
        expect(allow).to_have_attribute("aria-disabled", "false")
        allow.click()
    expect(out.locator(".amber-view")).to_have_count(0)
    expect(out.locator(".amber-answer").first).to_contain_text(kind.says)
    expect(out).not_to_contain_text(UNFINISHED)


def outputs(saved: dict[str, Any], index: int = 1) -> list[dict[str, Any]]:
    """The mime bundles of a cell in a file."""
    return [output["data"] for output in saved["cells"][index]["outputs"] if "data" in output]


def settled(book: Any, index: int = 1, kind: Kind = KINDS["answer"], *, printed: bool = True) -> str:
    """The text of the settled answer on the page, which is the one in the file."""
    out = book.output(index)
    end(out, kind)
    if printed:
        expect(out).to_contain_text("END True")
    expect(out.locator(".amber-answer")).to_have_count(1)
    saved = book.saved()
    (data,) = outputs(saved, index)
    assert sorted(data) == ["text/html", "text/plain"]
    assert "amber-hook" not in "".join(data["text/html"])
    text = "".join(data["text/plain"])
    assert len(text.split()) >= kind.words
    assert kind.says in "".join(data["text/html"]) + text
    return text
