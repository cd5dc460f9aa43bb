"""MCP servers that nobody here wrote: each tool of each, called by an `ask` whose arguments the simulator fills.

`pytest --slow -s tests/mcp_servers/test_real_servers.py` prints what came. The servers are installed at the releases
that are written down in `real/`, into a folder of the test's own. Those of npm listen on all interfaces of the machine,
so a file is loaded before them (`real/loopback.cjs`) that has them listen on 127.0.0.1, at a free port.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys

import pytest
from real_servers import HERE, Reader, call_each, listen
from scripted import calling

from amber_nb import mcp
from amber_nb.chat.approval import ApprovalPrompt

INSTALL_S = 600
ASK_S = 100
SAMPLING = "failed: MCP error -32600: Sampling is refused: amber_nb lends no ser"
RAN = "ran"

EVERYTHING = {
    "echo": RAN,
    "get-annotated-message": RAN,
    "get-env": RAN,
    "get-resource-links": RAN,
    "get-resource-reference": RAN,
    "get-structured-content": RAN,
    "get-sum": RAN,
    "get-tiny-image": RAN,
    # It fetches an address, by default one of the network, and is allowed one domain that there is not.
    "gzip-file-as-resource": "failed: Error processing file https://raw.githubusercontent.com/mode",
    "toggle-simulated-logging": RAN,
    "toggle-subscriber-updates": RAN,
    "trigger-long-running-operation": RAN,
    "trigger-elicitation-request": RAN,
    "trigger-url-elicitation": RAN,
    "simulate-research-query": "not offered",
}
FILESYSTEM = dict.fromkeys(
    [
        "read_file", "read_text_file", "read_media_file", "read_multiple_files", "write_file", "edit_file",
        "create_directory", "list_directory", "list_directory_with_sizes", "directory_tree", "move_file",
        "search_files", "get_file_info", "list_allowed_directories",
    ],
    RAN,
)  # fmt: skip
FAST = {
    "add": RAN,
    "people": RAN,
    "fail": "failed: Error calling tool 'fail': it went wrong",
    "count": RAN,
    "choose": RAN,
}
STREAM = {"start-notification-stream": RAN}
# Of the SDK's examples: what each lists. elicitationUrlExample is left out: it wants OAuth.
EXAMPLES_STDIO = {
    "mcpServerOutputSchema": {"get_weather": RAN},
    "toolWithSampleServer": {"summarize": SAMPLING},
    "progressExample": {"count": RAN},
}
EXAMPLES_HTTP = {
    "simpleStreamableHttp": {
        "greet": RAN,
        "multi-greet": RAN,
        "collect-user-info": RAN,
        "collect-user-info-task": "not offered",
        "start-notification-stream": RAN,
        "list-files": RAN,
        "delay": "not offered",
    },
    "jsonResponseStreamableHttp": {"greet": RAN, "multi-greet": RAN},
    "simpleStatelessStreamableHttp": STREAM,
    "simpleSseServer": STREAM,
    "sseAndStreamableHttpCompatibleServer": STREAM,
    "elicitationFormExample": {"register_user": RAN, "create_event": RAN, "update_shipping_address": RAN},
    "ssePollingExample": {"long-task": RAN},
    "standaloneSseWithGetStreamableHttp": {},
    "honoWebStandardStreamableHttp": {"greet": RAN},
    "simpleTaskInteractive": {"confirm_delete": "not offered", "write_haiku": "not offered"},
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_S + ASK_S)]


def install(*command, folder):
    foreign = ("PYTHONPATH", "AMBER_", "OPENAI_", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The folder of npm's packages."""
    folder = tmp_path_factory.mktemp("node")
    for path in HERE.glob("package*.json"):
        shutil.copy(path, folder)
    install("npm", "ci", "--no-audit", "--no-fund", "--silent", folder=folder)
    return folder / "node_modules" / "@modelcontextprotocol"


@pytest.fixture(scope="module")
def fastmcp_python(tmp_path_factory):
    """The Python of an environment with FastMCP."""
    folder = tmp_path_factory.mktemp("python")
    install(sys.executable, "-m", "venv", folder, folder=folder)
    python = folder / "bin" / "python"
    install(python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt", folder=folder)
    return python


@pytest.fixture
def reader(monkeypatch):
    """Answers what servers ask."""
    person = Reader()
    monkeypatch.setattr(ApprovalPrompt, "request_input", lambda self, *arguments: person(*arguments))
    return person


@pytest.fixture
def each(simulated, reader):
    """Calls each tool of a server, see `call_each`."""

    def call(label, *target, folder="", **options):
        with mcp(*map(str, target), require_approval=False, timeout_s=20, **options) as server:
            return call_each(simulated, label, server, str(folder))

    return call


def node(path, *arguments):
    return ("node", "--require", HERE / "loopback.cjs", path, *arguments)


@pytest.mark.parametrize(
    ("transport", "path"), [("stdio", None), ("streamableHttp", "/mcp"), ("sse", "/sse")], ids=["stdio", "http", "sse"]
)
def test_server_everything(each, packages, reader, transport, path):
    program = packages / "server-everything" / "dist" / "index.js"
    env = {"GZIP_ALLOWED_DOMAINS": "there-is-none.invalid"}
    label = f"server-everything, {transport}"
    if path is None:
        assert each(label, "node", program, transport, env=env) == EVERYTHING
    else:
        with listen(*node(program, transport), **env) as port:
            assert each(label, f"http://127.0.0.1:{port}{path}") == EVERYTHING
    assert len(reader.asked) == 1  # the other one would have had a page opened


def test_server_filesystem(each, packages, tmp_path):
    for name, text in {"notes.txt": "Hello", "old.txt": "Hello", "path.txt": str(tmp_path / "path.txt")}.items():
        (tmp_path / name).write_text(text)
    program = packages / "server-filesystem" / "dist" / "index.js"
    assert each("server-filesystem, stdio", "node", program, tmp_path, folder=tmp_path) == FILESYSTEM
    assert (tmp_path / "sub").is_dir()
    assert (tmp_path / "new.txt").exists()
    assert not (tmp_path / "old.txt").exists()


@pytest.mark.parametrize("name", EXAMPLES_STDIO)
def test_examples_of_the_sdk_over_stdio(each, packages, name):
    program = packages / "sdk" / "dist" / "esm" / "examples" / "server" / f"{name}.js"
    assert each(f"{name}, stdio", "node", program) == EXAMPLES_STDIO[name]


@pytest.mark.parametrize("name", EXAMPLES_HTTP)
def test_examples_of_the_sdk_over_http(each, packages, reader, name):
    program = packages / "sdk" / "dist" / "esm" / "examples" / "server" / f"{name}.js"
    with listen(*node(program)) as port:
        assert each(f"{name}, http", f"http://127.0.0.1:{port}/mcp") == EXAMPLES_HTTP[name]


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
def test_a_server_of_fastmcp(each, fastmcp_python, transport):
    with fast(fastmcp_python, transport) as target:
        outcomes = each(f"fastmcp, {transport}", *target, exclude="pixel")
    # It ran by a protocol that does not know such results, and runs no second time unasked.
    assert outcomes.pop("choose_by_result").startswith("failed: The MCP server ")
    assert outcomes == FAST


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
def test_a_picture_of_fastmcp(script, fastmcp_python, transport):
    """Not by the simulator, which calls a tool again and again whose result is a picture."""
    with fast(fastmcp_python, transport) as target, mcp(*map(str, target), require_approval=False) as server:
        answer = script(calling(("pixel", {})), "Red.").ask("?", tools=server)
    assert answer.tool_runs[0].status == RAN
    assert len(answer.tool_runs[0].content.images) == 1


@contextlib.contextmanager
def fast(python, transport):
    """The server of real/fast.py: what `mcp` gets for it."""
    program = HERE / "fast.py"
    if transport == "stdio":
        yield python, program
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with listen(python, program, transport, port, port=port):
        yield (f"http://127.0.0.1:{port}/{'mcp' if transport == 'http' else 'sse'}",)


@pytest.mark.parametrize(("accepts", "words"), [(True, "User provided"), (False, "declined")])
def test_the_reader_answers_what_a_server_asks(simulated, packages, reader, accepts, words):
    reader.accepts = accepts
    program = str(packages / "server-everything" / "dist" / "index.js")
    with mcp("node", program, require_approval=False) as server:
        tools = server.select(only="trigger-elicitation-request")
        answer = simulated.ask("Ask me.", tools=tools, tool_choice="required", show=False, max_rounds=2)
    assert words in str(answer.tool_runs[0].sent)
