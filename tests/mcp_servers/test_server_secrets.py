"""What a server is told in secret is nowhere else: not in recordings, displays, logs, pickles or verbose tracebacks."""

import asyncio
import contextlib
import copy
import gc
import importlib
import json
import logging
import pickle
import sys
import traceback

import httpx2
import pytest

from amber_nb import Amber, ConfigError, ToolError, mcp
from amber_nb.cassettes.file import Cassette
from amber_nb.mcp_servers.log_filter import _LOGGERS
from amber_nb.mcp_servers.target import Target
from amber_nb.mcp_servers.target_arguments import read_targets

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


# --- verbose tracebacks, which print the variables of each frame


ENTRIES = {
    "a": {"command": "true", "env": {"TOKEN": SECRET}, "args": ["--api-key", SECRET]},
    "b": {"url": f"https://x.example/mcp?key={SECRET}", "headers": {"Authorization": f"Bearer {SECRET}"}},
    "c": {"args": [[SECRET]]},
    "d": {"url": f"https://x.example/{SECRET} /mcp"},
    "e": {"command": "true", "args": [SECRET, "${NO_SUCH_VARIABLE_HERE}"]},
    "f": {"command": "true", "args": [SECRET, "\0"]},
}
BROKEN = {name: ENTRIES[name] for name in "cdef"}


@pytest.mark.parametrize(
    "arguments",
    [
        [{"mcpServers": BROKEN}],
        *([{"mcpServers": ENTRIES}, name] for name in (*"cdef", "no such")),
        ["broken.json"],
        ["servers.json", "no such"],
        [f"http://[bad/mcp?token={SECRET}"],
        [f"http://x.example/mcp?token={SECRET}", "an argument"],
        [f"http://x.example/mcp?token={SECRET}#\0"],
        [f"https://user:{SECRET}@x.example/mcp"],
        [f"true --token {SECRET}"],
        ["true", SECRET, "\0"],
        [[SECRET]],
    ],
)
def test_no_frame_of_an_error_shows_what_a_server_is_told(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, entries in (("servers", ENTRIES), ("broken", BROKEN)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")
    with pytest.raises((ConfigError, TypeError)) as caught:
        read_targets(arguments[0], arguments[1:])
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert frames
    for frame in frames:
        assert SECRET not in repr(frame.f_locals), frame.f_code.co_name


def test_a_target_shows_nothing_of_where_the_server_is():
    for target in read_targets({"mcpServers": {name: ENTRIES[name] for name in "ab"}}):
        assert SECRET in repr([str(target.url), *map(str, target.command)])
        assert SECRET not in repr(vars(target))
        assert type(target.name) is str


# --- logs


def test_a_key_in_a_url_is_in_no_log(tape, caplog):
    with client("record", tape), contextlib.closing(mcp(f"http://127.0.0.1:9/mcp?api_key={SECRET}&x=it's")) as server:
        caplog.set_level(logging.DEBUG)
        with pytest.raises(ToolError):
            server.call("look")
    assert "127.0.0.1" in caplog.text
    url = httpx2.URL(f"http://127.0.0.1:9/mcp?api_key={SECRET}&x=it's")
    logging.getLogger("httpx2").info('HTTP Request: %s %s "%s"', "POST", url, "200 OK")
    try:
        raise RuntimeError(str(url))
    except RuntimeError:
        logging.getLogger("mcp.client.streamable_http").exception("Error at %(url)s", {"url": url})
    assert caplog.records[-2].getMessage() == 'HTTP Request: POST http://127.0.0.1:9/mcp?••• "200 OK"'
    assert "RuntimeError: http://127.0.0.1:9/mcp?•••" in caplog.text
    assert SECRET not in caplog.text + repr([vars(record) for record in caplog.records])


def test_a_logger_of_the_users_with_the_sdks_name_is_left_alone(caplog):
    target = Target(name="a", url="http://127.0.0.1:9/mcp", headers={"Accept-Language": "de-DE,de;q=0.9"})
    with caplog.at_level(logging.INFO, logger="client"):
        logging.getLogger("client").info("de-DE,de;q=0.9")
    assert caplog.messages == ["de-DE,de;q=0.9"]
    del target


def test_what_a_target_hid_in_logs_is_forgotten_with_it(caplog):
    def log(text):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="httpx2"):
            logging.getLogger("httpx2").info(text)
        return caplog.messages

    own = "a-value-of-this-test-alone"  # what other tests have hidden may still be hidden
    first, second = (Target(name="a", url="http://127.0.0.1:9/mcp", headers={"X": own}) for _ in range(2))
    del first
    gc.collect()
    Target(name="b", url="http://127.0.0.1:9/mcp", headers={"X": "another-secret"})
    assert log(own) == ["•••"]  # the other one has it, too
    del second
    gc.collect()
    Target(name="b", url="http://127.0.0.1:9/mcp", headers={"X": "another-secret"})
    assert log(own) == [own]


def test_each_logger_of_the_sdk_and_its_http_client_is_filtered():
    for name in ("streamable_http", "sse"):
        importlib.import_module(f"mcp.client.{name}")
    loggers = {
        name
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and name.startswith(("mcp.client", "mcp.shared", "httpx2", "httpcore2"))
    }
    assert {"httpx2", "mcp.client.streamable_http"} <= loggers <= set(_LOGGERS)


# --- pickles and copies


def test_a_server_is_never_pickled_and_a_copy_is_itself():
    server = mcp("true", env={"MY_TOKEN": SECRET})
    with pytest.raises(TypeError, match="make it anew with mcp"):
        pickle.dumps(server)
    assert copy.copy(server) is server
    assert copy.deepcopy([server]) == [server]
