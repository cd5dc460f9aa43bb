"""Servers for the tests: in this process, and as a process of their own."""

import sys
from pathlib import Path

import pytest
from mcp.server import MCPServer

from amber_nb import mcp

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
