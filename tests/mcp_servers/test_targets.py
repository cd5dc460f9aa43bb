"""Where a server is: what `mcp(…)` takes, files of other programs, and what never leaves or is never shown."""

import json
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server import MCPServer

from amber_nb import ConfigError
from amber_nb.config import load_config
from amber_nb.mcp_servers.command_name import name_command
from amber_nb.mcp_servers.factory import amber_server, mcp
from amber_nb.mcp_servers.target import Target, check_url, is_loopback
from amber_nb.mcp_servers.target_arguments import read_targets

KEY = "ambrs-exampletoken"
SECRET = "s3cret-of-the-user"


def only(*arguments, **options):
    (target,) = read_targets(*arguments, **options)
    return target


def write(folder, content, name="servers.json"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# --- names


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("npx -y @modelcontextprotocol/server-everything", "server-everything"),
        ("npx -y @scope/pkg@1.2", "pkg"),
        ("npx pkg@latest", "pkg"),
        ("npx --package @scope/pkg the-command", "the-command"),
        ("npx.cmd -y pkg", "pkg"),
        ("cmd /c npx -y @scope/pkg@1.2", "pkg"),
        (r"C:\Windows\cmd.exe /c npx -y pkg", "pkg"),
        ("uvx pkg", "pkg"),
        ("uvx pkg[extra]==1.0", "pkg"),
        ("uvx --from git+https://t0ken@host.example/x/y the-command", "the-command"),
        ("uv run x.py", "x"),
        ("uv --directory /home/somebody/project run x.py", "x"),
        ("uv tool run pkg", "pkg"),
        ("pipx run pkg", "pkg"),
        ("python -m mod", "mod"),
        ("python3.12 -m package.server", "package.server"),
        ("python -u /home/somebody/x.py", "x"),
        ("/usr/bin/python3 ./x.py", "x"),
        (r"python C:\Users\somebody\x.py", "x"),
        ("node /home/somebody/dist/index.js", "index"),
        ("docker run -i --rm image", "image"),
        ("docker run -i --rm mcp/fetch", "fetch"),
        ("docker run -i --rm -e TOKEN ghcr.io/org/image:v1.2", "image"),
        ("docker run -i --rm -v /home/somebody:/data host.example:5000/org/image:v1", "image"),
        ("docker exec -i container server", "container"),
        ("/home/somebody/bin/server --x", "server"),
        (r"C:\Users\somebody\server.exe", "server"),
        ("env A=b npx -y pkg", "pkg"),
    ],
)
def test_a_command_is_named_after_what_it_starts(command, name):
    target = only(*[command.split(" ")[0]], command.split(" ")[1:])
    assert target.name == name
    assert target.command == tuple(command.split(" "))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (f"docker run -e TOKEN={SECRET} image", "image"),
        (f"docker run --env TOKEN={SECRET} image", "image"),
        (f"docker run --env=TOKEN={SECRET} image", "image"),
        (f"docker run --password {SECRET} image", "docker"),
        (f"docker run TOKEN={SECRET} image", "docker"),
        (f"env TOKEN={SECRET} npx -y pkg", "pkg"),
        (f"npx --unknown {SECRET} pkg", "npx"),
        (f"npx https://host.example/pkg.tgz?token={SECRET}", "npx"),
        (f"bash -lc TOKEN={SECRET}", "bash"),
        (f"bash -c {SECRET}", "bash"),
        (f"node --eval {SECRET}", "node"),
        (f"python -c {SECRET}", "python"),
        (f"npx -y mcp-remote https://host.example/sse?token={SECRET}", "mcp-remote"),
        (f"/opt/{SECRET}/server {SECRET}", "server"),
        (f"uv --directory /opt/{SECRET} run x.py", "x"),
        (f"docker run -v /opt/{SECRET}:/data image", "image"),
    ],
)
def test_no_secret_and_no_path_becomes_a_name(command, name):
    assert only(command.split(" ")[0], command.split(" ")[1:]).name == name


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_any_command_gets_a_short_name_without_a_path(words):
    words = [word.replace("\0", "") for word in words]
    if "://" in words[0]:
        return
    try:
        name = only(words[0], words[1:]).name
    except ConfigError:  # an empty word, a file, a folder, a script
        return
    assert 0 < len(name) <= 60
    assert not set(name) & set("/\\ \n\"'<>$&")


def test_naming_ends_for_launchers_of_launchers():
    assert name_command(["env"] * 100) == "env"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://mcp.example.com/mcp", "mcp.example.com"),
        ("https://MCP.example.com:8443/a/b?key=1234", "mcp.example.com:8443"),
        ("https://mcp.example.com:443/mcp", "mcp.example.com"),
        ("http://127.0.0.1:80/mcp", "127.0.0.1"),
        ("http://127.0.0.1:443/mcp", "127.0.0.1:443"),
        ("http://127.0.0.1:8000/mcp", "127.0.0.1:8000"),
        ("http://[::1]:8000/mcp", "1:8000"),
        (" https://mcp.example.com/mcp\n", "mcp.example.com"),
        ("https://mcp.example.com/mcp.json", "mcp.example.com"),
    ],
)
def test_a_url_is_named_after_its_host(url, name):
    target = only(url)
    assert (target.name, target.url, target.command) == (name, url.strip(), ())


@pytest.mark.parametrize("name", ["amber", "Amber", "AMBER", " amber ", "-amber-"])
def test_no_other_server_is_called_as_the_domains_own(name):
    assert only({"mcpServers": {name: {"command": "x"}}}).name.startswith("other-")
    assert amber_server(load_config(mode="simulate"), None).name == "amber"


def test_a_command_called_amber_is_renamed_too():
    assert only("/usr/bin/amber").name == "other-amber"
    assert only("http://amber/mcp").name == "other-amber"
    assert only("http://amber:81/mcp").name == "other-amber:81"


def test_equal_names_of_a_file_are_told_apart():
    servers = {"a b": {"command": "x"}, "a-b": {"command": "y"}, "a/b": {"command": "z"}, "a-b-2": {"command": "w"}}
    names = [target.name for target in read_targets({"mcpServers": servers})]
    assert names == ["a-b-3", "a-b", "a-b-4", "a-b-2"]  # what is called here as it is there keeps its name


# --- what mcp(…) takes


def test_a_server_of_the_sdk_in_this_process():
    server = MCPServer("documents of ACME")
    target = only(server)
    assert (target.name, target.server) == ("documents-of-ACME", server)
    with pytest.raises(TypeError, match="takes no arguments"):
        read_targets(server, ["x"])


@pytest.mark.parametrize("target", [None, 1, b"npx", object(), MCPServer, print])
def test_other_things_are_no_servers(target):
    with pytest.raises(TypeError, match="takes a URL"):
        read_targets(target)


def test_a_server_of_amber_nb_is_none_of_the_sdk():
    with pytest.raises(TypeError, match="not McpServer"):
        mcp(mcp("npx", "pkg"))


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("",), {}, "empty string"),
        (("  ",), {}, "empty string"),
        (("npx -y pkg",), {}, "one by one"),
        (("npx -y " + "x" * 5_000,), {}, "one by one"),
        (("https://h.example", ["x"]), {}, "no arguments"),
        (("https://h.example",), {"env": {"A": "b"}}, "no env="),
        (("npx", ["pkg"]), {"headers": {"A": "b"}}, "env="),
        (("npx", ["a\0b"]), {}, "null characters"),
        (("npx",), {"env": {"AMBER_API_KEY": KEY}}, "AMBER_API_KEY is a setting"),
        (("npx",), {"env": {"amber_domain": "acme"}}, "amber_domain is a setting"),
    ],
)
def test_what_is_refused(arguments, options, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read_targets(*arguments, **options)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("npx", [1]), {}),
        (("npx",), {"env": {"A": 1}}),
        (("npx",), {"env": ["A"]}),
        (("https://h.example",), {"headers": {"A": None}}),
        (("https://h.example",), {"headers": "A: b"}),
    ],
)
def test_wrong_types_are_type_errors(arguments, options):
    with pytest.raises(TypeError):
        read_targets(*arguments, **options)


def test_a_program_with_a_space_in_its_path(tmp_path):
    program = tmp_path / "my server"
    program.write_text("")
    assert only(str(program)).command == (str(program),)


def test_paths_are_arguments_like_texts(tmp_path):
    assert only("npx", ["pkg", tmp_path]).command == ("npx", "pkg", str(tmp_path))


# --- URLs


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://{SECRET}.example/x",
        f"https:///{SECRET}",
        f"https://user:{SECRET}@h.example/",
        f"https://{SECRET}@h.example/",
        f"https://h.example:port/{SECRET}",
        f"https://[::1/{SECRET}",
        f"https://h.example/a b/{SECRET}",
        f"https://h.example/\t{SECRET}",
        f"https://h.example/\x00{SECRET}",
        f"https://h exam.ple/{SECRET}",
        f"file:///home/{SECRET}",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError) as caught:
        read_targets(url)
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError):
        check_url(url, "here")


@pytest.mark.parametrize(
    "url", ["http://h.example/mcp", "HTTP://h.example/mcp", "Http://10.0.0.1/", "http://[2001:db8::1]/"]
)
def test_no_header_goes_over_plain_http(url):
    assert only(url).url == url
    with pytest.raises(ConfigError, match="plain http"):
        read_targets(url, headers={"Authorization": f"Bearer {SECRET}"})
    with pytest.raises(ConfigError, match="plain http"):
        read_targets({"url": url, "headers": {"X-Key": SECRET}})


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/", "http://127.0.0.1/", "http://[::1]:80/", "http://127.9.9.9/"]
)
def test_a_header_may_go_to_this_machine(url):
    assert only(url, headers={"X-Key": SECRET}).headers == {"X-Key": SECRET}
    assert is_loopback(url)


@pytest.mark.parametrize("url", ["http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://0.0.0.0/"])
def test_other_machines_that_look_like_this_one(url):
    assert not is_loopback(url)


# --- files


ENTRIES = [
    ({"command": "npx", "args": ["-y", "pkg"]}, {"command": ("npx", "-y", "pkg")}),
    (
        {"type": "stdio", "command": "npx", "args": ["pkg"], "cwd": "/tmp"},
        {"command": ("npx", "pkg"), "folder": "/tmp"},
    ),
    ({"command": "npx", "env": {"A": "b"}}, {"command": ("npx",), "env": {"A": "b"}}),
    ({"url": "https://h.example/mcp"}, {"url": "https://h.example/mcp", "transport": None}),
    ({"type": "http", "url": "https://h.example/mcp"}, {"transport": "http"}),
    ({"type": "sse", "url": "https://h.example/sse"}, {"transport": "sse"}),
    ({"type": "SSE", "url": "https://h.example/sse"}, {"transport": "sse"}),
    ({"type": "streamable-http", "url": "https://h.example/mcp"}, {"transport": "http"}),
    ({"type": "streamableHttp", "url": "https://h.example/mcp"}, {"transport": "http"}),
    ({"transport": "sse", "url": "https://h.example/mcp"}, {"transport": "sse"}),
    ({"serverUrl": "https://h.example/mcp"}, {"url": "https://h.example/mcp"}),
    ({"httpUrl": "https://h.example/mcp"}, {"url": "https://h.example/mcp"}),
    ({"url": "https://h.example/mcp", "headers": {"X-Key": "abcd"}}, {"headers": {"X-Key": "abcd"}}),
]


@pytest.mark.parametrize("key", ["mcpServers", "servers", "mcp_servers"])
@pytest.mark.parametrize(("entry", "reads"), ENTRIES)
def test_entries_as_other_programs_write_them(tmp_path, entry, reads, key):
    path = write(tmp_path, {"inputs": [], key: {"one": entry}})
    for target in (only(str(path)), only(path, ["one"]), only({key: {"one": entry}})):
        assert target.name == "one"
        assert {name: getattr(target, name) for name in reads} == reads
    assert {name: getattr(only(entry), name) for name in reads} == reads  # an entry by itself


def test_a_file_is_read_whatever_its_beginning_says_of_its_encoding(tmp_path):
    content = json.dumps({"mcpServers": {"übersicht": {"command": "x"}}}, ensure_ascii=False).encode()
    assert only(write(tmp_path, b"\xef\xbb\xbf" + content)).name == "übersicht"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON: it is empty"),
        (b"// a comment", "no JSON: line 1, column 13: a value is missing here"),
        ("{}".encode("utf-16"), "cannot be read: it is not in UTF-8"),
        (b"\xff\xfe\x00", "cannot be read: it is not in UTF-8"),
        (b"[" * 100_000, "no JSON: it is nested too deeply"),
        (b"[]", "no JSON object"),
        (b"null", "no JSON object"),
        (b"{}", "has no mcpServers"),
        (b'{"mcpServers": []}', "has no mcpServers"),
        (b'{"mcpServers": {}}', "has no mcpServers"),
        (b'{"mcpServers": {"a": 1}}', "no JSON object"),
        (b'{"mcpServers": {"a": {}}}', "neither a command nor a url"),
        (b'{"mcpServers": {"a": {"command": 1}}}', "command must be a string"),
        (b'{"mcpServers": {"a": {"command": "x", "args": "y"}}}', "args must be a list"),
        (b'{"mcpServers": {"a": {"command": "x", "args": [1]}}}', "args must be a list"),
        (b'{"mcpServers": {"a": {"command": "x", "env": {"B": 1}}}}', "env must map"),
        (b'{"mcpServers": {"a": {"url": "x", "headers": []}}}', "headers must map"),
        (b'{"mcpServers": {"a": {"command": "x", "disabled": true}}}', "are disabled"),
    ],
)
def test_a_broken_file_is_named_without_its_folder(tmp_path, content, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read_targets(write(tmp_path, content))
    assert "servers.json" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.json", "", "~nobody-by-that-name/x.json"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    path = Path(name) if name.startswith("~") else tmp_path / name
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_targets(path)
    assert str(tmp_path.parent) not in str(caught.value)


def test_disabled_entries_are_left_out_unless_they_are_named():
    servers = {"a": {"command": "a"}, "b": {"command": "b", "disabled": True}, "c": {"command": "c", "enabled": False}}
    content = {"mcpServers": servers | {"d": {"command": "d", "disabled": False}}}
    assert [target.name for target in read_targets(content)] == ["a", "d"]
    assert [target.name for target in read_targets(content, ["b", "a", "b"])] == ["b", "a"]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"no server 'x'\. There are: 'a', 'b'"):
        read_targets({"mcpServers": {"a": {"command": "a"}, "b": {"command": "b"}}}, ["x"])


def test_a_header_goes_to_one_server_of_a_file():
    content = {
        "mcpServers": {"a": {"url": "https://a.example/"}, "b": {"url": "https://b.example/"}, "c": {"command": "c"}}
    }
    with pytest.raises(ConfigError, match="for one server"):
        read_targets(content, headers={"Authorization": f"Bearer {SECRET}"})
    with pytest.raises(ConfigError, match="for one server"):
        read_targets(content, ["a", "c"], env={"TOKEN": SECRET})
    assert only(content, ["a"], headers={"X": "new"}).headers == {"X": "new"}
    assert only(content, ["c"], env={"X": "new"}).env == {"X": "new"}
    with pytest.raises(ConfigError, match="no env="):
        read_targets(content, ["a"], env={"TOKEN": SECRET})
    with pytest.raises(ConfigError, match="headers= are for"):
        read_targets(content, ["c"], headers={"TOKEN": SECRET})


def test_arguments_go_over_what_the_file_says():
    entry = {"url": "https://a.example/", "headers": {"A": "file", "B": "file"}}
    assert only(entry, headers={"B": "argument"}).headers == {"A": "file", "B": "argument"}


# --- variables


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("${NOTE}", "value"),
        ("${env:NOTE}", "value"),
        ("a${NOTE}b${NOTE}", "avaluebvalue"),
        ("${NOTE:-x}", "value"),
        ("${UNSET:-x y}", "x y"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${env:UNSET:-x}", "x"),
        ("$NOTE {NOTE} $${", "$NOTE {NOTE} $${"),
        ("${DOLLAR}", "${NOTE}"),
    ],
)
def test_variables_of_a_file(monkeypatch, text, read):
    monkeypatch.setenv("NOTE", "value")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("DOLLAR", "${NOTE}")  # a value is not read again
    monkeypatch.delenv("UNSET", raising=False)
    entry = {"command": "x", "args": [text], "env": {"A": text}, "cwd": text}
    target = only(entry)
    assert (target.command, target.env, target.folder) == (("x", read), {"A": read}, read)
    if read == "value":
        assert only({"url": f"https://h.example/{text}", "headers": {"A": text}}).headers == {"A": read}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${UNSET}", "UNSET is not set"),
        ("${EMPTY}", "EMPTY is not set"),
        ("${AMBER_API_KEY}", "AMBER_API_KEY is a setting"),
        ("${env:AMBER_API_KEY}", "AMBER_API_KEY is a setting"),
        ("${AMBER_API_KEY:-x}", "AMBER_API_KEY is a setting"),
        ("${amber_api_key}", "amber_api_key is a setting"),
        ("${UNSET:-${AMBER_API_KEY}}", "within another"),
        ("${input:token}", "another program"),
    ],
)
@pytest.mark.parametrize("place", ["args", "env", "url", "headers", "command", "cwd"])
def test_a_variable_that_is_not_read(monkeypatch, text, says, place):
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    monkeypatch.setenv("EMPTY", "")
    entry = {
        "args": {"command": "x", "args": [text]},
        "env": {"command": "x", "env": {"A": text}},
        "url": {"url": f"https://h.example/{text}"},
        "headers": {"url": "https://h.example/", "headers": {"A": text}},
        "command": {"command": text},
        "cwd": {"command": "x", "cwd": text},
    }[place]
    with pytest.raises(ConfigError, match=says) as caught:
        read_targets({"mcpServers": {"one": entry}})
    assert KEY not in str(caught.value)
    assert "one" in str(caught.value)


def test_no_entry_sets_a_setting_of_amber_nb():
    with pytest.raises(ConfigError, match="AMBER_MODE is a setting"):
        read_targets({"command": "x", "env": {"AMBER_MODE": "live"}})


# --- secrets


def test_nothing_shows_what_a_target_holds():
    target = only(
        {"url": f"https://h.example/{SECRET}?token={SECRET}", "headers": {"Authorization": f"Bearer {SECRET}"}}
    )
    other = only({"command": "npx", "args": ["--token", SECRET], "env": {"TOKEN": SECRET}})
    for shown in (repr(target), repr(target.headers), repr(other), repr(other.env), f"{target} {other}"):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("entry", "secrets"),
    [
        ({"url": "https://h.example/"}, set()),
        ({"url": "https://h.example/", "headers": {"Authorization": f"Bearer {SECRET}"}}, {f"Bearer {SECRET}", SECRET}),
        ({"url": f"https://h.example/?token={SECRET}"}, {SECRET, f"token={SECRET}"}),
        ({"url": "https://h.example/?token=ab%2Fcd"}, {"ab/cd", "token=ab%2Fcd"}),
        ({"url": "https://h.example/s/NzY0YjM2Mjc4OTAxMjM0NTY3/mcp"}, {"NzY0YjM2Mjc4OTAxMjM0NTY3"}),
        ({"url": "https://h.example/a-path-of-many-words/mcp"}, set()),
        ({"command": "x", "env": {"TOKEN": "abcd"}}, {"abcd"}),
        ({"command": "x", "env": {"LOG_LEVEL": "info", "DEBUG": "true", "PORT": "8080", "MODE": "production"}}, set()),
        ({"command": "x", "env": {"DATABASE_URL": f"db://u:{SECRET}@h"}}, {f"db://u:{SECRET}@h", SECRET}),
        ({"command": "npx", "args": ["-y", "@scope/package-of-ours", "/home/somebody/data"]}, set()),
        ({"command": "x", "args": ["--api-key", SECRET]}, {SECRET}),
        ({"command": "x", "args": [f"--api-key={SECRET}"]}, {SECRET}),
        ({"command": "docker", "args": ["run", "-e", f"TOKEN={SECRET}", "image"]}, {SECRET}),
        ({"command": "x", "args": ["--token"]}, set()),
        ({"command": "x", "args": ["postgresql://u:Pa55%20word@db/x"]}, {"Pa55%20word", "Pa55 word"}),
        ({"command": "x", "args": ["--url=https://u:Pa55word@h/x"]}, {"Pa55word"}),
        ({"command": "x", "args": ["https://h.example/mcp?api_key=abcd1"]}, {"abcd1"}),
        ({"command": "x", "args": ["--header", f"Authorization: Bearer {SECRET}"]}, {f"Bearer {SECRET}", SECRET}),
        ({"command": "x", "args": ["-H", "X-Api-Key:abcd1"]}, {"abcd1"}),
        ({"command": "x", "args": [f"--header=X-Team: {SECRET}"]}, {SECRET}),
        ({"command": "x", "args": ["--env=TOKEN=abcd1", "-e", f"TEAM={SECRET}"]}, {"abcd1", SECRET}),
        ({"command": "x", "args": ["--header", "--env", "-e"]}, set()),
    ],
)
def test_what_no_message_and_no_recording_repeats(entry, secrets):
    assert only(entry).secrets == secrets


@pytest.mark.parametrize("form", ["--header|Authorization: Bearer {}", "postgresql://u:{}@db/x", "--env=TOKEN={}"])
def test_recordings_outlive_a_new_key(form):
    one, two = (only({"command": "x", "args": form.format(key).split("|")}) for key in ("Pa55word1", "0ther-w0rd"))
    assert one.digest == two.digest


def test_answers_keep_addresses_and_folders_of_the_environment():
    """A link and a file that a server returns begin with them, and would be of no use without."""
    env = {"JIRA_URL": "https://acme.example.com", "DATA_DIR": "/srv/data", "TEAM_ID": "team-one-of-ours"}
    env |= {"HOOK": "https://h.example/s/NzY0YjM2Mjc4OTAxMjM0NTY3", "API_KEY_FILE": "/srv/keys"}
    target = only({"command": "x", "env": env})
    said = {"text": " ".join(env.values())}
    assert target.scrub(said) == {"text": "https://acme.example.com /srv/data ••• ••• •••"}
    assert target.secrets == set(env.values())  # an error shows none of them


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("\u0430mber", "mber"),
        ("B\u00fcro", "B\u00fcro"),
        ("\u0431\u0430\u0437\u0430", "\u0431\u0430\u0437\u0430"),
    ],
)
def test_letters_of_another_alphabet_do_not_imitate_a_name(name, here):
    assert only({"mcpServers": {name: {"command": "x"}}}).name == here


def test_a_server_of_this_process_has_no_secrets():
    assert Target(name="x", server=object()).secrets == set()


# --- anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ("command", "args", "env", "cwd", "url", "headers", "type", "disabled")
VALUES = st.sampled_from(["x", ["x"], {"A": "b"}, "https://h.example/", "sse", "${UNSET}"]) | JSON


@given(JSON | st.dictionaries(st.text(max_size=9), st.dictionaries(st.sampled_from(FIELDS), VALUES), max_size=3))
def test_any_file_is_read_or_refused(servers):
    try:
        targets = read_targets({"mcpServers": servers})
    except ConfigError:
        return
    assert targets
    assert len({target.name for target in targets}) == len(targets)
    for target in targets:
        assert target.name
        assert bool(target.command) != bool(target.url)


@given(st.sampled_from(["https://", "https://h.example/", "https://h.example:", "https://[", "HTTP://x"]), st.text())
def test_what_is_taken_for_a_url_is_one_for_the_client(start, rest):
    try:
        url = check_url(start + rest, "here")
    except ConfigError:
        return
    assert httpx2.URL(url).host


# --- digests, which tell servers of one name apart in recordings


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["https://x.example/a"], ["https://x.example/b"]),
        (["https://x.example/a"], ["https://x.example:8443/a"]),
        (["http://127.0.0.1/a"], ["https://127.0.0.1/a"]),
        (["python", "a/server.py"], ["python", "b/server.py"]),
        (["python", "/home/me/a/server.py"], ["python", "/home/me/b/server.py"]),
        (["npx", "mcp-remote", "https://a.example/mcp/sse"], ["npx", "mcp-remote", "https://b.example/mcp/sse"]),
        ([{"command": "python", "args": ["s.py"], "cwd": "/x/a"}], [{"command": "python", "args": ["s.py"]}]),
        ([MCPServer("a")], [MCPServer("b")]),
    ],
)
def test_other_servers_have_other_digests(one, other):
    assert only(one[0], one[1:]).digest != only(other[0], other[1:]).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["https://x.example/a?key=one-key-1"], ["https://X.example:443/a?key=other-key-2"]),
        (["https://x.example/s/k3y-of-the-one-user-1/mcp"], ["https://x.example/s/k3y-of-the-other-user-2/mcp"]),
        (["/usr/bin/python3.12", "/home/me/a/server.py"], ["python", "/srv/b/a/server.py"]),
        (["python3", "s.py", "--dir=/home/me/data/in"], ["python.exe", "s.py", r"--dir=C:\Users\me\data\in"]),
        (["docker", "run", "-v", "/home/me/x/y:/data", "i"], ["docker", "run", "-v", "/srv/x/y:/data", "i"]),
        (["x", "--token", "one-key-1"], ["x", "--token", "other-key-2"]),
        (["x", "--token=one-key-1"], ["x", "--token=other-key-2"]),
        ([MCPServer("a")], [MCPServer("a")]),
    ],
)
def test_a_digest_holds_no_key_and_nothing_of_a_machine(one, other):
    digest = only(one[0], one[1:]).digest
    assert digest == only(other[0], other[1:]).digest
    assert len(digest) == 12
    assert int(digest, 16)


def test_many_secrets_hide_no_more_than_themselves():
    target = only("x", env={f"V{number}": f"value-{number:03}" for number in range(150)})
    assert target.scrub({"type": "text", "text": "of value-149, value-000"}) == {"type": "text", "text": "of •••, •••"}


def test_a_common_word_that_is_a_password_leaves_names_as_they_are():
    target = only("x", env={"PGPASSWORD": "postgres", "TOKEN": SECRET})
    tool = {"name": "postgres_query", "description": "Queries postgres.", "inputSchema": {"title": "postgres"}}
    assert target.scrub({"tools": [tool], "nextCursor": SECRET}) == {
        "tools": [{**tool, "description": "Queries •••."}],
        "nextCursor": SECRET,
    }
    assert target.scrub({"structuredContent": {"a": ["postgres", 1, f"x{SECRET}"]}}) == {
        "structuredContent": {"a": ["•••", 1, "x•••"]}
    }
