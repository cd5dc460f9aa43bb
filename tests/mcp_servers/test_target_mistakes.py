"""What a newcomer writes for a server, and the error that says how it is written."""

import inspect
import sys
import traceback
from pathlib import Path

import pytest

from amber_nb import ConfigError
from amber_nb.mcp_servers.command_name import is_address
from amber_nb.mcp_servers.factory import mcp
from amber_nb.mcp_servers.target_arguments import read_targets

SECRET = "s3cret-of-the-user"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- a script, a folder


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("notes_server.py", "A .py file is started by another program: mcp(sys.executable, 'notes_server.py')."),
        ("./notes_server.py", "mcp(sys.executable, '…/notes_server.py')"),
        (Path("notes_server.py"), "mcp(sys.executable, 'notes_server.py')"),
        (Path("/srv/tools/notes_server.py"), "mcp(sys.executable, '…/notes_server.py')"),
        ("server.js", "mcp('node', 'server.js')"),
        ("dist/index.MJS", "mcp('node', '…/index.MJS')"),
        ("server.ts", "mcp('npx', 'tsx', 'server.ts')"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_script_is_started_by_another_program(target, says, exists):
    if exists and not str(target).startswith("/"):
        Path(target).parent.mkdir(exist_ok=True)
        Path(target).write_text("")
    for arguments in ((), ("--read-only",)):
        with pytest.raises(ConfigError) as caught:
            mcp(target, *arguments)
        assert says in str(caught.value)
        assert "/srv" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="a script starts by itself on POSIX alone")
@pytest.mark.parametrize("name", ["./server.sh", "./server.py", "./my.local"])
def test_a_script_that_starts_by_itself_is_a_command(name):
    Path(name).write_text("#!/bin/sh\n")
    Path(name).chmod(0o755)
    assert mcp(name)._target.command == (name,)


@pytest.mark.parametrize("target", [".", "tools", "./tools", "tools/"])
def test_a_folder_is_no_server(target):
    Path("tools").mkdir()
    with pytest.raises(ConfigError, match="This is a folder"):
        mcp(target)
    with pytest.raises(ConfigError, match="it is a folder"):
        mcp(Path(target))


def test_a_command_goes_before_a_folder_of_its_name(monkeypatch):
    Path("bin").mkdir()
    Path("docker").mkdir()
    program = Path("bin", "docker.exe" if sys.platform == "win32" else "docker")
    program.write_text("")
    program.chmod(0o755)
    with pytest.raises(ConfigError, match="This is a folder"):
        mcp("docker", env={"PATH": "elsewhere"})
    assert mcp("docker", env={"PATH": "bin"}).name == "docker"
    monkeypatch.setenv("PATH", "bin")
    assert mcp("docker").name == "docker"


# --- a URL without its scheme


@pytest.mark.parametrize(
    "word",
    [
        "mcp.example.com",
        "mcp.example.com/mcp",
        "example.org",
        "www.acme.consulting/mcp",
        "mcp.acme.consulting",
        "127.0.0.1:9/mcp",
        "127.0.0.1",
        "localhost",
        "localhost:8000",
        "localhost/mcp",
        "[::1]:8000/mcp",
        "intranet:8080/mcp",
        "MCP.Acme.DE",
    ],
)
def test_a_url_begins_with_its_scheme(word):
    with pytest.raises(ConfigError, match=r"A URL begins with https:// \(or http:// on this machine\)") as caught:
        mcp(word)
    assert word not in str(caught.value)


@pytest.mark.parametrize(
    "word",
    [
        *("npx", "npx.cmd", "python3.12", "server.exe", "server.sh", "mcp.exe", "api.cmd", "package.server", "my-mcp"),
        *("./mcp.example.com", "/usr/bin/x.com", r"C:\tools\x.com", "venv/bin/python", ".venv/bin/x.com", "a:b", "x_y"),
        *("mcp-server-fetch", "node-v22.1", "@scope/pkg", "mcp.server"),
    ],
)
def test_a_command_is_no_url(word):
    assert not is_address(word)
    assert mcp(word)._target.command == (word,)


def test_what_is_there_is_no_url():
    Path("mcp.example.com").write_text("")
    assert mcp("mcp.example.com").name == "mcp.example.com"


def test_where_a_url_may_begin_with_http():
    with pytest.raises(ConfigError, match=r"must begin with https:// \(or http:// on this machine\)"):
        mcp("ftp://h.example/")


# --- words in a list, or in one string


@pytest.mark.parametrize(
    "arguments", [(["python", "x.py"],), (("python", "x.py"),), ("python", ["x.py"]), ("python", "-u", ("x.py",))]
)
def test_words_come_one_by_one(arguments):
    with pytest.raises(TypeError, match=r"write mcp\(\*words\)"):
        mcp(*arguments)


def test_a_word_is_a_string():
    with pytest.raises(TypeError, match="must be strings"):
        mcp("python", 5)


@pytest.mark.parametrize(
    "entry",
    [
        {"command": f"python notes_server.py --token={SECRET}"},
        {"command": "python notes_server.py", "args": []},
        {"command": "uv run", "args": ["notes_server.py"]},
    ],
)
def test_an_entry_gets_the_advice_of_a_command(entry):
    with pytest.raises(ConfigError, match=r"one by one: \{'command': 'npx', 'args': \['-y', '…'\]\}") as caught:
        mcp({"servers": {"notes": entry}})
    assert str(caught.value).startswith("this dict, server 'notes': ")
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match=r"one by one: mcp\('npx', '-y', '…'\)"):
        mcp(entry["command"], *entry.get("args", []))


def test_a_program_may_have_a_space_in_its_path(tmp_path):
    Path("my server").write_text("")
    assert read_targets({"command": str(tmp_path / "my server")})[0].command == (str(tmp_path / "my server"),)
    # Of another machine, where the recording was made.
    program = r"C:\Program Files\nodejs\npx.cmd"
    assert read_targets({"command": program, "args": ["-y", "pkg"]})[0].command == (program, "-y", "pkg")


# --- headers and env of the wrong kind


def test_headers_of_a_command_are_refused():
    with pytest.raises(ConfigError, match="headers are for a server with a url") as caught:
        read_targets({"servers": {"a": {"command": "x", "headers": {"X-Key": SECRET}}}})
    assert SECRET not in str(caught.value)
    assert read_targets({"command": "x", "headers": {}})[0].command == ("x",)  # as generators of files write it


def test_env_of_a_url_is_ignored_as_other_programs_do():
    entry = {"url": "https://h.example/", "env": {"KEY": "${UNSET_OF_A_TEST}"}, "args": []}
    (target,) = read_targets(entry)
    assert (target.url, target.env) == ("https://h.example/", {})


# --- keywords


def test_a_policy_is_an_argument_of_ask():
    with pytest.raises(TypeError, match=r"a policy goes into ask\(…, require_approval=policy\)"):
        mcp("npx", require_approval=lambda call: True)
    with pytest.raises(TypeError, match=r"must be True, False or None$"):
        mcp("npx", require_approval="no")


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"onyl": "a"}, "mcp() takes no 'onyl'. Did you mean 'only'?"),
        ({"header": {"X-Key": SECRET}}, "Did you mean 'headers'?"),
        ({"require_aproval": False}, "Did you mean 'require_approval'?"),
        ({"timeout": 5}, "Did you mean 'timeout_s'?"),
        ({"command": SECRET}, "the words of a command come first"),
        ({"args": [SECRET]}, "the words of a command come first"),
        ({"url": SECRET}, "the URL comes first"),
        ({"token": SECRET}, "a key goes into headers="),
        (
            {"colour": SECRET},
            "Its keywords are headers, env, only, exclude, prefix, require_approval, timeout_s, trust.",
        ),
        ({"x" * 1_000: 1}, "x…'."),
    ],
)
def test_an_unknown_keyword_is_told_what_was_meant(keywords, says, monkeypatch):
    monkeypatch.setenv("AMBER_TRACEBACK", "full")
    for arguments in ((), ("npx",)):
        with pytest.raises(TypeError) as caught:
            mcp(*arguments, **keywords)
        assert says in str(caught.value)
        assert SECRET not in str(caught.value)
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
        assert [frame.f_code.co_name for frame in frames] == ["mcp", "refuse_unknown"]
        assert not any(SECRET in repr(frame.f_locals) for frame in frames)


def test_help_and_completion_show_the_parameters_that_there_are():
    parameters = inspect.signature(mcp).parameters
    assert list(parameters) == [
        *("target", "arguments", "headers", "env", "only", "exclude", "prefix", "require_approval", "timeout_s"),
        "trust",
    ]
    assert parameters["target"].default is inspect.Parameter.empty


def test_nothing_is_no_server():
    with pytest.raises(TypeError, match="takes a URL"):
        mcp()
