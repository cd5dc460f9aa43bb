"""MCP servers in a real JupyterLab: a listing, a search with sources, a call that asks, a server's question."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TESTS = pathlib.Path(__file__).parents[1]
SETUP = f"""
import sys

sys.path.insert(0, {str(TESTS)!r})
from amber_nb import Amber, mcp
from scripted import calling, scripted

play = scripted().__enter__()
amber = Amber(mode="simulate")
stranger = mcp(sys.executable, {str(TESTS / "mcp_servers" / "programs" / "toolbox.py")!r})
"""
LIST = "amber.mcp"
SEARCH = """
found = amber.ask("What did we agree with ACME?", tools=amber.mcp)
"""
STRANGER = """
found = calling(("search", {"query": "ACME"})), "Found."
gateway = play(*found, calling(("write", {"text": "ACME agreed"})), calling(("choose", {})), "Noted.")
first = gateway.ask("What did we agree with ACME?", tools=amber.mcp, show=False)
answer = first.ask("Write it down.", tools=[amber.mcp, stranger])
print([(run.name, run.status, run.result) for run in answer.tool_runs])
"""


def card(out: Any, name: str) -> Any:
    return out.get_by_role("group", name=re.compile(f"^{name}\\b"))


def button(where: Any, name: str) -> Any:
    return where.get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_reader_sees_and_decides_what_servers_do(
    notebook: Callable[..., Any], artefacts: pathlib.Path, theme: str
) -> None:
    book = notebook([SETUP, LIST, SEARCH, STRANGER], theme=theme)
    book.run(0, wait=True)
    book.run(1, wait=True)
    listing = book.output(1)
    expect(listing.get_by_role("table")).to_contain_text("web_search")
    listing.screenshot(path=artefacts / f"servers-listing-{theme[-5:].strip()}.png")

    book.run(2, wait=True)
    answer = book.output(2)
    expect(answer).to_contain_text("search · amber")
    expect(answer.locator(".amber-sources a").first).to_have_attribute(
        "href", "https://wiki.example.com/contracts/acme-agreement"
    )
    answer.screenshot(path=artefacts / f"servers-search-{theme[-5:].strip()}.png")

    book.run(3)
    out = book.output(3)
    call = card(out, "write")
    expect(call).to_contain_text("toolbox")
    expect(call).to_contain_text("The MCP server 'toolbox' is not trusted")
    expect(call).to_contain_text(
        "Results of 'amber' are in this conversation: this call can pass them on to 'toolbox'."
    )
    expect(button(call, "Allow all calls of write in this answer")).to_be_visible()
    out.screenshot(path=artefacts / f"servers-card-{theme[-5:].strip()}.png")
    button(call, "Allow").click()
    second = card(out, "choose")
    button(second, "Allow").click()
    question = out.get_by_role("group", name="The server 'toolbox' asks")
    expect(question).to_contain_text("Which colour?")
    out.screenshot(path=artefacts / f"servers-question-{theme[-5:].strip()}.png")
    question.get_by_label("colour").fill("red")
    button(question, "Send").click()
    book.finished(3)
    expect(out).to_contain_text("[('write', 'ran', 'wrote ACME agreed'), ('choose', 'ran', 'accept red')]")
    out.screenshot(path=artefacts / f"servers-settled-{theme[-5:].strip()}.png")
