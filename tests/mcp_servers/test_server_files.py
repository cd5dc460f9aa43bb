"""Files of other programs: comments, variables, entries that cannot be used, and the group that a file makes."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amber_nb import ConfigError
from amber_nb.mcp_servers.factory import McpServers, mcp
from amber_nb.mcp_servers.server_file import read_server_file
from amber_nb.mcp_servers.target_arguments import read_targets

SECRET = "s3cret-of-the-user"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


def only(*arguments, **options):
    (target,) = read_targets(*arguments, **options)
    return target


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file in the current folder, and returns its path as one types it."""
    monkeypatch.chdir(tmp_path)

    def make(content, name="mcp.json"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8", newline="")
        return name

    return make


# --- comments and trailing commas


@pytest.mark.parametrize(
    "text",
    [
        '// of the team\n{"servers": {"a": {"command": "x"}}} // end',
        '{"servers": {"a": {"command": "x",},},}',
        '{"servers": {"a": {"command": "x", /* one\ntwo */ "args": [] , } // , }\n, } }',
        '{"servers": /**/ {"a": {"command": "x"}}}/* without end',
        '{"servers": {"a": {"command": "x",\r\n// c\r\n}}}\r\n',
    ],
)
def test_comments_and_trailing_commas_are_allowed(write, text):
    assert only(write(text)).command == ("x",)
    assert only(write(text, "mcp.jsonc")).name == "a"


@pytest.mark.parametrize("word", ["https://x/*y*/", "a // b", ",]", ", }", '\\" // ,]', "/* ,}", "\\\\"])
def test_what_looks_like_a_comment_in_a_string_stays(write, word):
    assert only(write({"servers": {"a": {"command": "x", "args": [word, word]}}})).command == ("x", word, word)


@given(JSON, st.sampled_from([None, 1]))
def test_any_json_is_read_as_it_is(tmp_path_factory, value, indent):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    assert read_server_file(path, "any.json") == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"servers": {}\n "a": 1}', "line 2, column 2: a comma or a closing bracket is missing"),
        ('{"servers" {}}', "column 12: a colon"),
        ("{'servers': {}}", "column 2: a name in double quotes"),
        ('{\n"servers": }', "line 2, column 12: a value is missing"),
        ('/* two\nlines */ {"a": x}', "line 2, column 16: a value is missing here, or is not in double quotes"),
        ('{"servers": "x\n}', "line 1, column 15: a text holds a line break"),
        ('{"servers": "x', "column 13: the text that begins here has no closing quote"),
        ('{"servers": "C:\\dev"}', "a backslash in a text is written twice"),
        ('{"servers": "C:\\users"}', "a backslash in a text is written twice"),
        ('{"servers": {}} }', "column 17: the file should end before this"),
        ('{"servers": {"a": [1,,]}}', "column 2"),
        ("", "it is empty"),
        (f'{{"n": {"1" * 5_000}}}', "a number is too long"),
    ],
)
def test_a_fault_is_told_with_its_place(write, text, says):
    with pytest.raises(ConfigError, match=r"^The file mcp\.json is no JSON: ") as caught:
        read_targets(write(text))
    assert says in str(caught.value)
    assert caught.value.__context__ is None  # which would hold the whole text


# --- what cannot be read


def test_why_a_file_cannot_be_read_is_told_by_the_name_that_was_typed(write, tmp_path):
    write({}, "folder.json/mcp.json")
    with pytest.raises(ConfigError, match=r"^The file other/mcp\.json cannot be read: there is none of this name\.$"):
        read_targets(os.path.join("other", "mcp.json"))
    with pytest.raises(ConfigError, match=r"^The file folder\.json cannot be read: it is a folder\.$"):
        read_targets("folder.json")
    for path in (tmp_path / "x.json", str(tmp_path / "x.json")):  # made of parts, which nobody typed
        with pytest.raises(ConfigError, match=r"^The file x\.json cannot be read: there is none of this name\.$"):
            read_targets(path)


def test_a_file_without_permission(write, monkeypatch):
    name = write({})

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read any file
    with pytest.raises(ConfigError, match="you have no permission to read it"):
        read_targets(name)


def test_the_name_that_was_typed_is_that_of_the_file_in_each_error(write):
    name = write({"servers": {"a": {"command": 1}}}, "./.vscode/mcp.json")
    with pytest.raises(ConfigError, match=r"^\./\.vscode/mcp\.json, server 'a': command must be a string\.$"):
        read_targets(name)


# --- variables


@pytest.mark.parametrize(
    ("name", "folder"), [("mcp.json", ""), (".vscode/mcp.json", ""), ("a/.cursor/mcp.json", "a"), ("a/mcp.json", "a")]
)
def test_the_folder_of_the_workspace(write, tmp_path, name, folder):
    entry = {"command": "${workspaceFolder}/x", "args": ["${workspaceFolderBasename}"], "cwd": "${workspaceFolder}"}
    target = only(write({"servers": {"a": entry}}, name))
    workspace = tmp_path / folder
    assert target.command == (f"{workspace}/x", workspace.name)
    assert target.folder == str(workspace)


def test_other_variables_of_editors(write, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/of-a-test")
    monkeypatch.setenv("USERPROFILE", "/home/of-a-test")
    monkeypatch.setenv("NOTE", "value")
    args = ["${userHome}${/}x", "${pathSeparator}", "${env:NOTE}-${workspaceFolder}"]
    target = only(write({"servers": {"a": {"command": "x", "args": args}}}))
    assert target.command == ("x", f"/home/of-a-test{os.sep}x", os.sep, f"value-{tmp_path}")


def test_a_dict_belongs_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert only({"command": "x", "cwd": "${workspaceFolder}"}).folder == str(tmp_path)


def test_a_folder_is_not_read_again(write, tmp_path):
    name = write({"servers": {"a": {"command": "x", "cwd": "${workspaceFolder}"}}}, "${NOTE}/mcp.json")
    assert only(name).folder == str(tmp_path / "${NOTE}")


def test_a_variable_in_the_default_of_another_is_refused(write):
    with pytest.raises(ConfigError, match="within another"):
        read_targets(write({"servers": {"a": {"command": "x", "cwd": "${UNSET:-${workspaceFolder}}"}}}))


@pytest.mark.parametrize("name", ["config", "command", "workspaceFolder"])
def test_a_variable_that_another_program_alone_knows(name):
    with pytest.raises(ConfigError, match=rf"this dict: \$\{{{name}:…\}} is known to another program alone"):
        read_targets({"command": "x", "args": [f"a${{{name}:of.it}}"]})


def test_what_another_program_asks_for_can_be_given(write):
    url = {"url": "https://h.example/", "headers": {"Authorization": "Bearer ${input:token}", "X-Team": "a"}}
    name = write({"servers": {"a": url, "b": {"command": "x", "env": {"TOKEN": "${input:token}", "A": "b"}}}})
    headers = {"authorization": f"Bearer {SECRET}"}
    assert only(name, ["a"], headers=headers).headers == {"X-Team": "a", **headers}
    assert only(name, ["b"], env={"TOKEN": SECRET}).env == {"A": "b", "TOKEN": SECRET}
    with pytest.raises(ConfigError, match="another program"):
        read_targets(name, ["b"], env={"token": SECRET})  # another variable


# --- entries that cannot be used

BROKEN = {
    "github": {"url": "https://h.example/", "headers": {"Authorization": "Bearer ${UNSET_OF_A_TEST}"}},
    "asks me": {"command": "x", "env": {"TOKEN": "${input:token}"}},
    "typo": {"comand": "x"},
}


def test_an_entry_that_cannot_be_used_costs_only_itself(write):
    name = write({"servers": {"notes": {"command": "notes"}, **BROKEN}})
    with pytest.warns(RuntimeWarning) as caught:
        servers = mcp(name)
    assert [str(each.message) for each in caught] == [
        "amber: mcp.json, server 'github': The variable UNSET_OF_A_TEST is not set. This server is left out.",
        "amber: mcp.json, server 'asks me': ${input:…} is asked for by another program: give the value with headers= "
        "or env=. This server is left out.",
        "amber: mcp.json, server 'typo': it has neither a command nor a url. This server is left out.",
    ]
    assert isinstance(servers, McpServers)  # as with all of them: servers["notes"] is written already
    assert [server.name for server in servers] == ["notes"]
    for group in (servers, servers[:1]):
        with pytest.raises(ConfigError, match="UNSET_OF_A_TEST is not set"):
            group["github"]
        for spelling in ("asks me", "asks-me"):
            with pytest.raises(ConfigError, match="another program"):
                group[spelling]
    with pytest.raises(ConfigError, match="UNSET_OF_A_TEST is not set"):
        mcp(name, "notes", "github")  # who names it wants it
    assert mcp(name, "notes").name == "notes"


def test_no_entry_can_be_used():
    with pytest.raises(ConfigError, match=r"^No server of this dict can be used\. .*UNSET_OF.*'asks me'.*'typo'"):
        mcp({"servers": BROKEN})


def test_a_secret_of_an_entry_that_is_left_out_is_not_told():
    broken = {"url": f"http://h.example/{SECRET}", "headers": {"X-Key": SECRET}}
    with pytest.warns(RuntimeWarning, match="server 'b': A header may be a key") as caught:
        mcp({"servers": {"a": {"command": "x"}, "b": broken}})
    assert SECRET not in str(caught[0].message)


# --- the group

SPACED = {"my notes": {"command": "a"}, "files": {"command": "b"}}


def test_a_name_with_a_space_has_two_spellings_everywhere(write):
    name = write({"servers": SPACED})
    for spelling in ("my notes", "my-notes"):
        assert mcp(name)[spelling]._target.command == mcp(name, spelling)._target.command == ("a",)
        assert mcp(name)[:1][spelling].name == mcp(name, spelling).name == "my-notes"


def test_entries_of_like_names_are_never_taken_for_each_other():
    servers = {"servers": {"a b": {"command": "one"}, "a/b": {"command": "two"}, "a-b": {"command": "three"}}}
    for name, command in (("a b", "one"), ("a/b", "two"), ("a-b", "three")):
        assert mcp(servers)[name]._target.command == mcp(servers, name)._target.command == (command,)
    del servers["servers"]["a-b"]
    with pytest.raises(ConfigError, match=r"no server 'a-b'\. There are: 'a b', 'a/b'"):
        mcp(servers, "a-b")


def test_an_unknown_name_of_a_group():
    with pytest.raises(KeyError, match="there are: my-notes, files"):
        mcp({"servers": SPACED})["x"]


@pytest.mark.parametrize("options", [{"only": "save*"}, {"exclude": ["a", "b"]}, {"only": ()}])
def test_patterns_are_for_one_server(options):
    with pytest.raises(ConfigError, match=r"name one of them, as in mcp\(…, 'my notes', only=…\)"):
        mcp({"servers": SPACED}, **options)
    assert mcp({"servers": SPACED}, "my notes", **options).name == "my-notes"
    with pytest.raises(ConfigError, match="these are several"):
        mcp({"servers": SPACED}, "my notes", "files", **options)


def test_other_options_are_for_all_servers():
    servers = mcp({"servers": SPACED}, prefix="p_", require_approval=False, exclude=())
    assert [server.options.prefix for server in servers] == ["p_", "p_"]


def test_two_servers_of_one_machine_have_names_of_their_own():
    servers = McpServers([mcp("http://127.0.0.1:8765/mcp"), mcp("http://127.0.0.1:8766/mcp")])
    assert servers["127.0.0.1:8766"]._target.url == "http://127.0.0.1:8766/mcp"
    assert servers["127.0.0.1:8765"] is servers[0]


def test_variables_of_an_env_file_are_the_servers(tmp_path):
    (tmp_path / ".vscode").mkdir()
    lines = ["TOKEN=abc${HOME}", "MODE=file", "AMBER_API_KEY=ambrs-exampletoken"]
    (tmp_path / "server.env").write_text("\n".join(lines), encoding="utf-8")
    file = tmp_path / ".vscode" / "mcp.json"
    entry = {"command": "x", "envFile": "${workspaceFolder}/server.env", "env": {"MODE": "entry"}}
    file.write_text(json.dumps({"servers": {"a": entry}}), encoding="utf-8")
    (target,) = read_targets(file)
    assert dict(target.env) == {"TOKEN": "abc${HOME}", "MODE": "entry"}


def test_an_env_file_that_is_not_there_is_an_error():
    with pytest.raises(ConfigError, match=r"its envFile none\.env cannot be read"):
        read_targets({"command": "x", "envFile": "${workspaceFolder}/none.env"})
