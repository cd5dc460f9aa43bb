"""Servers for the tests: in this process, and as a process of their own."""

import sys
from pathlib import Path

import pytest
from mcp.server import MCPServer

from amber_nb import Allow, mcp
from amber_nb.chat.approval import Approval, ApprovalPrompt

PROGRAM = str(Path(__file__).parent / "programs" / "toolbox.py")


@pytest.fixture
def start():
    """Makes a server of the program toolbox.py, in a process of its own; all are closed at the end."""
    servers = []

    def make(**options):
        server = mcp(sys.executable, PROGRAM, **options)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def serve_here():
    """Makes a server in this process of functions, each with the hints of its `hints` attribute."""
    servers = []

    def make(*functions, name="helper", **options):
        inner = MCPServer(name)
        for function in functions:
            inner.add_tool(function, annotations=getattr(function, "hints", None))
        server = mcp(inner, **options)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def reader(monkeypatch):
    """A reader, who allows what is asked for, and the questions."""
    asked = []

    class Reader:
        always = False
        decision = Allow()
        inputs = []  # noqa: RUF012 - what is asked for by servers
        answer = Allow({"colour": "red"})

        @property
        def names(self):
            return [call.name for call, _, _ in asked]

        @property
        def warnings(self):
            return [warning for _, warning, _ in asked]

        @property
        def scopes(self):
            return [scope for _, _, scope in asked]

    person = Reader()

    async def decide(self, call, index, tool, check, *, warning="", scope="", grant=None):
        asked.append((call, warning, scope))
        return Approval(person.decision, "reader", person.always)

    async def request_input(self, question, call, index):
        person.inputs.append((question, call))
        return person.answer

    monkeypatch.setattr(ApprovalPrompt, "decide", decide)
    monkeypatch.setattr(ApprovalPrompt, "request_input", request_input, raising=False)
    person.inputs.clear()
    return person


@pytest.fixture(autouse=True)
def _no_client_before(monkeypatch):
    """A server that belongs to no client uses the recordings of the newest client, which may be another test's."""
    monkeypatch.setattr("amber_nb.cassettes.session._newest", None)
