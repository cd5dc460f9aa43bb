"""The tools of servers beside functions: by which names, how many, and which are left out."""

import asyncio
import itertools
import json
import re
import warnings
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amber_nb import ConfigError, tools
from amber_nb.config import load_config
from amber_nb.mcp_servers import toolset
from amber_nb.mcp_servers.factory import McpServers, mcp
from amber_nb.mcp_servers.listing import read_tools
from amber_nb.mcp_servers.options import ServerOptions
from amber_nb.mcp_servers.server import McpServer
from amber_nb.mcp_servers.target import Target
from amber_nb.mcp_servers.toolset import choose_names, load_tools, split_tools

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
CONFIG = load_config(mode="simulate")


class Listing(McpServer):
    """A server that lists these tools, and is not asked."""

    def __init__(self, name, *listed, config=None, **options):
        super().__init__(Target(name=name, command=(name,)), ServerOptions(**options), config=config)
        listed = [
            {"name": each, "inputSchema": {"type": "object"}} if isinstance(each, str) else each for each in listed
        ]
        self.listed = read_tools({"tools": listed})

    async def list_tools(self, session):
        return self.listed


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch):
    monkeypatch.setattr(toolset, "_told", weakref.WeakKeyDictionary())


def amber_listing(*listed, **options):
    return Listing("amber", *listed, config=CONFIG, trust=True, **options)


def load(functions=(), *servers):
    return asyncio.run(load_tools(tools.tools_from(list(functions)), servers, None))


def names(taken, *servers):
    return choose_names(taken, [(server, tool) for server in servers for tool in server.listed])


def search(query: str) -> str:
    """Search here."""


# --- what tools= takes


def test_servers_are_divided_from_functions():
    one, other, third = Listing("one"), Listing("other"), Listing("third")
    others, servers = split_tools([search, one, McpServers([other, third]), {"type": "web_search"}])
    assert others == [search, {"type": "web_search"}]
    assert servers == [one, other, third]


@pytest.mark.parametrize("given", [search, {"type": "web_search"}, None, "text", 5])
def test_what_is_no_server_is_left_to_the_functions(given):
    assert split_tools(given) == ([given], [])


def test_servers_alone_and_from_a_generator():
    one = Listing("one")
    assert split_tools(one) == ([], [one])
    assert split_tools(McpServers([one])) == ([], [one])
    assert split_tools(each for each in (one, search)) == ([search], [one])
    assert split_tools([]) == ([], [])


def test_the_function_mcp_itself_is_no_server():
    with pytest.raises(TypeError, match="mcp is a function"):
        split_tools([mcp])
    with pytest.raises(TypeError, match="mcp is a function"):
        split_tools(mcp)


def test_a_function_that_is_called_mcp_is_one():
    def mcp(text: str) -> str:
        """Say it."""

    assert split_tools([mcp]) == ([mcp], [])


@pytest.mark.parametrize("method", ["call", "call_async", "read", "prompt", "select", "tools"])
def test_a_method_of_a_server_is_no_function(method):
    notes = Listing("notes")
    for source in (getattr(notes, method), [search, getattr(notes, method)]):
        with pytest.raises(TypeError, match=rf"^notes\.{method} is for you; .*tools=notes\.select\(only='…'\)"):
            split_tools(source)
    with pytest.raises(TypeError, match=r"^amber\.mcp\.call is for you; .*tools=amber\.mcp offers"):
        split_tools(amber_listing().call)
    with pytest.raises(TypeError, match=r"^server\.call is for you"):
        split_tools(Listing("my-notes").call)


def test_methods_of_other_objects_are_functions():
    class Notes:
        def call(self, name: str) -> str:
            """Call."""

    method = Notes().call
    assert split_tools(method) == ([method], [])


# --- names


def test_names_stay_where_they_can():
    assert names([], Listing("files", "read_file", "list-all")) == ["read_file", "list-all"]
    assert names([], Listing("files", "read_file", prefix="my_")) == ["my_read_file"]


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("a.b/c d", "a_b_c_d"),
        ("suche_für", "suche_f_r"),
        ("a\n\x1b", "a__"),
        ("検索", "tool_1b6b1a"),
        ("検索_v2", "tool_19e460"),
        ("\n", "tool_01ba47"),
        ("__", "__"),
        ("x" * 64, "x" * 64),
    ],
)
def test_names_that_the_endpoint_does_not_take(name, offered):
    assert names([], Listing("s", name)) == [offered]


def test_names_that_are_not_latin_stay_apart_and_keep_the_prefix():
    one, other = names([], Listing("s", "検索", "翻訳", prefix="jp_"))
    assert one != other
    assert one.startswith("jp_tool_")
    assert names([one.removeprefix("jp_")], Listing("社内", "検索"))[0].startswith("server_")


def test_long_names_are_cut_and_stay_apart():
    one, other = names([], Listing("s", "x" * 100 + "a", "x" * 100 + "b"))
    assert len(one) == len(other) == 64
    assert one != other
    assert one[:57] == other[:57] == "x" * 57


def test_in_a_collision_the_stranger_is_renamed():
    stranger, amber = Listing("evil", "search"), amber_listing("search")
    assert names([], stranger, amber) == ["evil_search", "search"]
    assert names([], amber, stranger) == ["search", "evil_search"]
    assert names(["search"], stranger) == ["evil_search"]


def test_a_stranger_cannot_take_the_name_that_another_gets():
    stranger = Listing("evil", "search", "evil_search", "evil_search_2")
    assert len(set(names(["search"], stranger))) == 3
    assert names(["search", "evil_search"], Listing("evil", "search")) == ["evil_search_2"]


def test_a_stranger_cannot_take_a_name_by_characters_or_length():
    assert names(["web_search"], Listing("evil", "web.search")) == ["evil_web_search"]
    long = "y" * 80
    (cut,) = names([], amber_listing(long))
    assert names([], Listing("evil", cut, long), amber_listing(long))[2] == cut


def test_a_function_and_a_tool_of_the_domain():
    with pytest.raises(ValueError, match=r"amber\.mcp\.select"):
        names(["search"], amber_listing("search"))
    assert names(["search"], amber_listing("search", prefix="acme_")) == ["acme_search"]


def test_servers_of_equal_names():
    assert names([], Listing("s", "a"), Listing("s", "a"), Listing("s", "a")) == ["a", "s_a", "s_a_2"]


TOOL_NAMES = st.lists(
    st.text(min_size=1, max_size=90) | st.sampled_from(["search", "amber_search", "s_search"]), max_size=6
)


@given(
    st.lists(st.sampled_from(["search", "s_search", "x"]), unique=True), TOOL_NAMES, TOOL_NAMES, st.text(max_size=70)
)
def test_any_names_are_apart_allowed_and_always_the_same(taken, ours, theirs, prefix):
    servers = [Listing("s", *theirs, prefix=prefix), Listing("s", *ours), amber_listing("company_search")]
    chosen = names(taken, *servers)
    assert len(set(chosen) | set(taken)) == len(chosen) + len(taken)
    assert all(map(NAME.fullmatch, chosen))
    assert chosen == names(taken, *servers)
    assert chosen[-1] == "company_search"


# --- loading


def test_tools_of_servers_stand_beside_functions():
    by_name = load(
        [search], Listing("files", {"name": "read", "description": "Read.", "inputSchema": {"type": "object"}})
    )
    assert list(by_name) == ["search", "read"]
    assert by_name["read"].spec == {
        "type": "function",
        "function": {"name": "read", "description": "Read.", "parameters": {"type": "object", "properties": {}}},
    }
    assert by_name["read"].remote.listed.name == "read"
    assert by_name["read"].remote.server_name == "files"
    assert by_name["search"].remote is None


def test_a_renamed_tool_is_called_by_its_servers_name():
    by_name = load([search], Listing("files", "search"))
    assert by_name["files_search"].remote.listed.name == "search"


def test_a_server_that_is_given_twice_is_asked_once():
    files = Listing("files", "read")
    assert list(load([], files, files)) == ["read"]


@pytest.mark.parametrize(("n", "n_functions"), [(128, 0), (127, 1)])
def test_as_many_tools_as_a_request_takes(n, n_functions):
    assert len(load([search][:n_functions], Listing("files", *map("t{}".format, range(n))))) == 128


@pytest.mark.parametrize(("sizes", "n_functions"), [((129,), 0), ((128,), 1), ((5, 125), 0), ((3, 9_997), 1)])
def test_too_many_tools_is_an_error_that_names_the_way_out(sizes, n_functions):
    servers = [Listing(f"s{size}", *map("t{}".format, range(size))) for size in sizes]
    with pytest.raises(ConfigError, match="Choose with only=") as caught:
        load([search][:n_functions], *servers)
    assert f"'s{max(sizes)}' has {max(sizes):,}" in str(caught.value)
    assert f"{sum(sizes) + n_functions:,} tools" in str(caught.value)


def test_only_and_exclude_leave_as_many_as_fit():
    every = map("t{}".format, itertools.count())
    files = Listing("files", *itertools.islice(every, 1_000), only=("t1*",), exclude=("t10*",))
    assert len(load([], files)) == 100
    with pytest.raises(ConfigError, match="no such tool"):
        load([], Listing("files", "read", only=("write",)))


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"properties": {"a": value}}
    return value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "nonsense"}}},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"$ref": "https://evil.example/schema"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"type": "object", "description": "x" * 60_000},
        nested(300),
        nested(5_000),
    ],
)
def test_a_schema_that_cannot_be_used_costs_its_tool_alone(schema):
    files = Listing("files", {"name": "odd\x1b\nname", "inputSchema": schema}, "read")
    with pytest.warns(RuntimeWarning, match="odd__name of the MCP server 'files' is left out") as caught:
        assert list(load([], files)) == ["read"]
    message = str(caught[0].message)
    assert len(message) < 500
    assert not re.search("[\x00-\x1f]", message)


def test_the_name_of_a_schemas_language_is_not_sent():
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {}}
    (tool,) = load([], Listing("files", {"name": "a", "inputSchema": schema})).values()
    assert tool.spec["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("session", [None, type("Session", (), {})], ids=["without recordings", "with recordings"])
def test_what_is_left_out_is_told_once_until_it_changes(monkeypatch, session):
    told = []
    monkeypatch.setattr(toolset, "tell", lambda session, text: told.append((session, text)))
    session = session and session()

    def ask(description):
        listed = [{"name": name, "inputSchema": {"type": "object"}} for name in ("n" * 129, "a\ud800b", "read")]
        bad = {"name": "bad", "description": description, "inputSchema": {"type": "x"}}
        server = Listing("files", *listed, bad)
        assert list(asyncio.run(load_tools({}, [server], session))) == ["read"]

    for description in ("one", "one", "other"):
        ask(description)
    assert {each for each, _ in told} == {session}
    first, second, third, fourth = (text for _, text in told)
    assert first == (
        f"the tool {'n' * 127}… of the MCP server 'files' is left out, since its name is longer than 128 characters"
    )
    assert "a\ufffdb of the MCP server 'files' is left out, since its name holds half a character" in second
    assert third == fourth
    assert third.startswith("the tool bad of the MCP server 'files' is left out, since its schema cannot be used")


# --- schemas as endpoints take them


def sent(schema):
    (tool,) = load([], Listing("files", {"name": "a", "inputSchema": schema})).values()
    return tool, tool.spec["function"]["parameters"]


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "parameters"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        (
            {"type": "object", "description": "d", "properties": {"x": {"type": "array"}}},
            {"type": "object", "description": "d", "properties": {"x": {"type": "array", "items": {}}}},
        ),
        (
            {"properties": {"x": {"type": ["array", "null"], "items": True}, "y": {"items": TEXT, "type": "array"}}},
            {
                "type": "object",
                "properties": {
                    "x": {"type": ["array", "null"], "items": {}},
                    "y": {"items": TEXT, "type": "array"},
                },
            },
        ),
        (
            {
                "properties": {"a": TEXT, "b": {}},
                "description": "one of them",
                "oneOf": [
                    {"required": ["a"], "properties": {"a": NUMBER}},
                    {"required": ["b"], "properties": {"b": NUMBER}},
                ],
            },
            {"properties": {"a": TEXT, "b": NUMBER}, "description": "one of them", "type": "object"},
        ),
        (
            {"anyOf": [{"properties": {"k": {"const": 1}, "a": TEXT}}, {"properties": {"k": {"const": 2}, "a": TEXT}}]},
            {"type": "object", "properties": {"k": {"anyOf": [{"const": 1}, {"const": 2}]}, "a": TEXT}},
        ),
        (
            {
                "required": ["a"],
                "properties": {"a": TEXT},
                "allOf": [
                    {"$ref": "#/$defs/B"},
                    {"required": ["a", "c"], "properties": {"c": NUMBER}, "oneOf": [{"required": ["d"]}]},
                ],
                "$defs": {"B": {"required": ["b"], "properties": {"b": {"type": "array"}}}},
            },
            {
                "required": ["a", "b", "c"],
                "properties": {"a": TEXT, "b": {"type": "array", "items": {}}, "c": NUMBER},
                "$defs": {"B": {"required": ["b"], "properties": {"b": {"type": "array", "items": {}}}}},
                "type": "object",
            },
        ),
        (
            {"$ref": "#/$defs/a~1%20b", "$defs": {"a/ b": {"type": "object", "properties": {"a": TEXT}}}},
            {
                "$defs": {"a/ b": {"type": "object", "properties": {"a": TEXT}}},
                "type": "object",
                "properties": {"a": TEXT},
            },
        ),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#/allOf/0"}]}, {"type": "object", "properties": {}}),
        (
            {"$ref": "#/x", "x": {"properties": [1], "required": 5, "allOf": 1, "anyOf": [1]}},
            {"x": {"properties": [1], "required": 5, "allOf": 1, "anyOf": [1]}, "type": "object", "properties": {}},
        ),
        (
            {"properties": {"a": {"default": {"type": "array"}, "enum": [{"type": "array"}]}}},
            {
                "properties": {"a": {"default": {"type": "array"}, "enum": [{"type": "array"}]}},
                "type": "object",
            },
        ),
    ],
)
def test_a_schema_is_sent_as_endpoints_take_it(schema, parameters):
    before = json.dumps(schema)
    tool, found = sent(schema)
    assert found == parameters
    assert json.dumps(schema) == before
    assert tool.remote.listed.schema == schema


@pytest.mark.parametrize("where", ["properties", "$defs", "anyOf", "items", "additionalProperties"])
def test_arrays_have_items_wherever_they_are(where):
    inner = {"type": "array"}
    around = (
        {where: {"a": inner}} if where in ("properties", "$defs") else {where: [inner] if where == "anyOf" else inner}
    )
    _, found = sent({"type": "object", "properties": {"x": {"type": ["object", "array"], **around}}})
    assert '{"type": "array", "items": {}}' in json.dumps(found)


def test_the_servers_own_schema_checks_the_arguments():
    one_of = {"properties": {"a": TEXT, "b": TEXT}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    tool, parameters = sent(one_of)
    assert "oneOf" not in parameters
    assert tool.prepare({"a": "x"})[0] == {"a": "x"}
    for wrong in ({}, {"a": "x", "b": "y"}):
        with pytest.raises(tools.ArgumentsError):
            tool.prepare(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "$ref", "anyOf", "allOf", "required", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_schema_is_offered_or_left_out(schema, description):
    files = Listing("files", {"name": "odd", "inputSchema": schema, "description": description}, "read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert list(load([], files)) in (["read"], ["odd", "read"])


# --- what is believed


@pytest.mark.parametrize(
    ("hints", "trusted", "stranger"),
    [
        ({}, None, None),
        ({"readOnlyHint": True}, True, None),
        ({"readOnlyHint": False}, False, False),
        ({"destructiveHint": True}, False, False),
        ({"destructiveHint": False}, None, None),
        ({"readOnlyHint": True, "destructiveHint": True}, False, False),
    ],
)
def test_a_stranger_is_only_believed_that_a_call_changes_something(hints, trusted, stranger):
    listed = {"name": "a", "inputSchema": {"type": "object"}, "annotations": hints}
    assert load([], Listing("s", listed))["a"].read_only is stranger
    assert load([], Listing("s", listed, trust=True))["a"].read_only is trusted
    assert load([], amber_listing(listed))["a"].read_only is trusted


@pytest.mark.parametrize("asks", [None, True, False])
def test_whether_calls_ask_is_as_the_user_says(asks):
    assert load([], Listing("s", "a", require_approval=asks))["a"].require_approval is asks


def test_groups_of_calls():
    company, web = load([], amber_listing("search", "web_search")).values()
    assert company.remote.group != web.remote.group
    assert (company.remote.group_name, web.remote.group_name) == ("amber", "amber, web_search")
    (of_stranger,) = load([], Listing("s", "web_search")).values()
    assert of_stranger.remote.group_name == "s"
    assert of_stranger.remote.group not in (company.remote.group, web.remote.group)


@pytest.mark.parametrize(
    ("name", "hints", "is_open"),
    [
        ("search", {}, False),
        ("search", {"openWorldHint": True}, True),
        ("web_search", {}, True),
        ("web_search", {"openWorldHint": False}, False),
        ("fetch_url", {}, True),  # the vendor may add tools
    ],
)
def test_what_of_the_domains_own_server_reaches_beyond_it(name, hints, is_open):
    listed = {"name": name, "inputSchema": {"type": "object"}, "annotations": hints}
    remote = load([], amber_listing(listed))[name].remote
    assert (remote.group != remote.server.key) is is_open
    assert remote.group_name == (f"amber, {name}" if is_open else "amber")
