"""What a server is told in secret is nowhere else: not in recordings, displays, logs, pickles or verbose tracebacks."""

import asyncio
import contextlib
import json
import sys

import pytest

from amber_nb import Amber, mcp
from amber_nb.cassettes.file import Cassette
from amber_nb.mcp_servers.target import Target

KEY = "ambrs-exampletoken"
SECRET = "s3cret-of-the-user"
PROGRAM = """
import os
from mcp.server import MCPServer

server = MCPServer("toolbox")


@server.tool(description="Looks at " + os.environ.get("PROJECT", "nothing"))
def look(project: str = "") -> str:
    return __file__[-11:] + " of " + os.environ.get("PROJECT", "nobody")


server.run()
"""


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "cassettes" / "talk.jsonl"


@pytest.fixture
def program(tmp_path):
    """Makes a server of a program in a folder of that name; all are closed at the end."""
    servers = []

    def make(folder="a", **options):
        path = tmp_path / folder / "server.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM, encoding="utf-8")
        servers.append(mcp(sys.executable, str(path), **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def client(mode, tape, **more):
    where = {"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "max_retries": 0} if mode != "replay" else {}
    return contextlib.closing(Amber(mode=mode, cassette=tape, **where, **more))


# --- recordings


@pytest.mark.filterwarnings("ignore:amber. what the MCP server")
def test_servers_of_one_name_have_recordings_of_their_own(tape, program):
    for folder in ("a", "b"):
        with client("cache", tape):
            assert program(folder).call("look").text.startswith(f"{folder}/server.py"[-11:])
    assert len({json.dumps(old.request.body) for old in Cassette(tape).interactions}) == 2
    with client("replay", tape):
        assert [program(folder).call("look").text[:1] for folder in ("b", "a")] == ["b", "a"]


def test_the_domains_own_server_is_the_same_wherever_it_is(tape):
    seen = []

    class Servers:
        async def exchange(self, path, body, send, secrets):
            seen.append(body["target"])
            return {"tools": []}

    class Session:
        servers = Servers()

    for url in ("http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"):
        with contextlib.closing(Amber(mode="record", cassette=tape, base_url=url, api_key=KEY)) as amber:
            asyncio.run(amber.mcp.list_tools(Session))
    assert len(seen) == 2
    assert len(set(seen)) == 1


# --- what a server repeats


@pytest.mark.filterwarnings("ignore:amber. what the MCP server")
@pytest.mark.parametrize("value", [SECRET, "acme-reports-2024"])
def test_what_a_server_repeats_of_its_secrets_is_hidden_everywhere_and_replays(tape, program, value):
    seen = []
    for mode in ("record", "replay"):
        with client(mode, tape):
            server = program(env={"PROJECT": value})
            result = server.call("look", project="mine")
            shown = [*server._repr_mimebundle_().values(), repr(server), result.text, repr(result)]
            assert value not in "".join(shown)
            seen.append(shown)
    assert seen[0] == seen[1]
    assert "Looks at •••" in seen[0][1]
    assert seen[0][3] == "a/server.py of •••"
    assert value not in tape.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:amber. what the MCP server")
def test_without_secrets_an_answer_is_not_looked_through(tape, program, monkeypatch):
    monkeypatch.setattr(Target, "scrub", None)
    with client("record", tape):
        assert program().call("look").text == "a/server.py of nobody"
