"""What a server says of its tools, whatever it says; and how that is shown."""

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amber_nb.mcp_servers.frames import prompts_frame, resources_frame, tools_frame
from amber_nb.mcp_servers.listing import ListedTool, describe_changes, listing_html, listing_text, read_tools

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
FIELDS = [
    "name",
    "title",
    "description",
    "inputSchema",
    "annotations",
    "uri",
    "uriTemplate",
    "mimeType",
    "size",
    "arguments",
]
ITEMS = JSON | st.fixed_dictionaries(
    {"name": st.text(min_size=1, max_size=9)}, optional=dict.fromkeys(FIELDS[1:], JSON)
)


def tool(name="search", **fields):
    return {"name": name, "inputSchema": {"type": "object"}, **fields}


def read(*tools):
    return read_tools({"tools": list(tools)})


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"properties": value}
    return value


# --- reading


def test_a_tool_as_the_protocol_has_it():
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    (listed,) = read(
        {
            "name": "search",
            "title": "Search",
            "description": " Search the documents. \n",
            "inputSchema": schema,
            "annotations": {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": True},
        }
    )
    assert dataclasses.replace(listed, definition="") == ListedTool(
        "search", "Search the documents.", schema, True, False, True, ""
    )


@pytest.mark.parametrize(
    "listing", [{}, {"tools": None}, {"tools": 1}, {"tools": "search"}, {"tools": {"name": "search"}}]
)
def test_a_listing_of_another_form_has_no_tools(listing):
    assert read_tools(listing) == []


@pytest.mark.parametrize(
    "item", [None, 1, "search", [], {}, {"name": None}, {"name": 1}, {"name": ""}, {"name": ["a"]}]
)
def test_what_has_no_usable_name_is_left_out(item):
    assert [listed.name for listed in read(item, tool())] == ["search"]


@pytest.mark.parametrize(
    ("name", "shown", "fault"),
    [
        ("x" * 128, "x" * 128, ""),
        ("x" * 129, "x" * 127 + "…", "its name is longer than 128 characters"),
        ("a\ud800b", "a\ufffdb", "its name holds half a character, which cannot be sent"),
    ],
)
def test_a_tool_that_cannot_be_called_is_listed_as_that(name, shown, fault):
    (listed,) = read(tool(name))
    assert (listed.name, listed.unusable) == (shown, fault)
    for text in (listing_text("x", [listed], True), listing_html("x", [listed], True)):
        assert (f"not offered: {fault}" in text) is bool(fault)


def test_of_equal_names_the_first_counts():
    assert [listed.description for listed in read(tool(description="a"), tool(description="b"))] == ["a"]


@pytest.mark.parametrize("value", [None, 1, [], "text", ["type"]])
def test_wrong_types_cost_their_field(value):
    (listed,) = read(tool(inputSchema=value, annotations=value, description=[value], title={"a": value}))
    assert listed.schema == {"type": "object", "properties": {}}
    assert (listed.read_only, listed.destructive, listed.description) == (None, None, "")


@pytest.mark.parametrize("hint", ["true", 1, 0, None, [True], {"a": True}])
def test_only_true_and_false_are_hints(hint):
    (listed,) = read(tool(annotations={"readOnlyHint": hint, "destructiveHint": hint}))
    assert (listed.read_only, listed.destructive) == (None, None)


def test_the_title_stands_for_a_description():
    assert read(tool(title="Search"))[0].description == "Search"
    assert read(tool(title="Search", description=""))[0].description == "Search"


def test_long_descriptions_are_cut_and_still_compared():
    (one,), (other,) = read(tool(description="x" * 100_000 + "a")), read(tool(description="x" * 100_000 + "b"))
    assert len(one.description) == 4_000
    assert one.description == other.description
    assert one.definition != other.definition


def test_of_very_many_tools_some_are_read():
    assert len(read(*(tool(f"tool_{n}") for n in range(12_000)))) == 10_000


def test_a_schema_that_nests_without_end_costs_its_tool_alone():
    deep = read(tool("deep", inputSchema=nested(100_000)), tool())
    assert [listed.name for listed in deep] == ["deep", "search"]
    json.dumps(deep[0].schema)


@given(st.lists(ITEMS, max_size=5) | JSON)
def test_any_json_can_be_listed_and_shown(items):
    listing = {"tools": items, "resources": items, "resourceTemplates": items, "prompts": items}
    tools = read_tools(listing)
    for listed in tools:
        f"{listed.name}{listed.description}".encode()
        assert len(listed.description) <= 4_000
    for text in (listing_text("x", tools, False), listing_html("x", tools, True), describe_changes([], tools)):
        text.encode()
    assert list(tools_frame(tools)["name"]) == [listed.name for listed in tools]
    for frame in (resources_frame(listing), prompts_frame(listing)):
        frame.to_html().encode()


@pytest.mark.parametrize(
    ("execution", "needs_task"),
    [({"taskSupport": "required"}, True), ({"taskSupport": "optional"}, False), ({"taskSupport": []}, False)]
    + [(value, False) for value in (None, 1, "required", ["required"], {})],
)
def test_a_tool_that_needs_tasks(execution, needs_task):
    assert read(tool(execution=execution))[0].needs_task is needs_task


# --- the definition


@pytest.mark.parametrize(
    "change",
    [
        {"description": "other"},
        {"inputSchema": {"type": "object", "required": []}},
        {"annotations": {"readOnlyHint": False}},
        {"annotations": {"readOnlyHint": True, "destructiveHint": True}},
        {"annotations": {}},
    ],
)
def test_a_changed_definition_is_another_one(change):
    before = tool(description="text", annotations={"readOnlyHint": True})
    assert read(before)[0].definition != read(before | change)[0].definition


@pytest.mark.parametrize("change", [{"icons": []}, {"_meta": {"a": 1}}, {"outputSchema": {}}, {"title": "Title"}])
def test_what_no_reader_allows_is_no_part_of_a_definition(change):
    before = tool(description="text")
    assert read(before)[0].definition == read(before | change)[0].definition


def test_the_order_of_names_changes_no_definition():
    one, other = {"type": "object", "title": "a"}, {"title": "a", "type": "object"}
    assert read(tool(inputSchema=one))[0].definition == read(tool(inputSchema=other))[0].definition


# --- changes


def test_changes_are_told_by_kind():
    before = read(tool("kept"), tool("gone"), tool("changed", description="a"))
    now = read(tool("new"), tool("changed", description="b"), tool("kept"))
    assert describe_changes(before, now) == "new: new; gone: gone; changed: changed"
    assert describe_changes(before, reversed(before)) == ""


def test_many_changes_are_counted():
    now = read(*(tool(f"tool_{n}") for n in range(1_000)))
    assert describe_changes([], now) == "new: tool_0, tool_1, tool_2, tool_3, tool_4 and 995 more"


def test_hostile_names_stay_on_the_line_of_their_warning():
    text = describe_changes([], read(tool("a\nfake: line"), tool("b\x1b[31m\u202e"), tool("c" * 128)))
    assert "\n" not in text
    assert not re.search("[\x00-\x1f\u202e]", text)
    assert len(text) < 200


# --- shown


def test_the_table_as_text():
    tools = read(
        tool("read", description="Read a file.\nMore.", annotations={"readOnlyHint": True}),
        tool("write", annotations={"readOnlyHint": False}),
        tool("other"),
    )
    assert listing_text("files", tools, trusted=True).splitlines() == [
        "MCP server files: 3 tools",
        "tool   read-only  what it does",
        "read   yes        Read a file.",
        "write  no",
        "other  not said",
    ]
    assert "yes, it says" in listing_text("files", tools, trusted=False)


def test_a_server_without_tools():
    assert listing_text("files", [], True) == "MCP server files: no tools"
    assert "<table" not in listing_html("files", [], True)


def test_no_server_makes_rows_of_its_own():
    hostile = [
        tool("a\nsearch  yes", description="\n\nfirst\r\nsecond\u2028third\x85fourth"),
        tool("b\tc\x0bd\x1ce", description="\x1b[2J\u202e"),
    ]
    text = listing_text("x", read(*hostile), False)
    assert len(text.splitlines()) == 4
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    html = listing_html("x", read(*hostile), False)
    assert html.count("<tr>") == 3
    assert "\n" not in html


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></tr><b>", "$x$ \\(y\\)", "&lt;b&gt;"]
)
def test_no_text_of_a_server_is_markup(text):
    html = listing_html(text, read(tool(text, description=text)), False)
    plain = re.sub(r"</?(?:table|thead|tbody|tr|th|td|div|code|span)(?: [a-z]+=\"[\w\s:;.,-]*\")*>", "", html)
    assert "<" not in plain
    assert not re.search(r"\$x\$|\\\(", html)


def test_long_listings_are_cut_where_they_are_shown():
    tools = read(*(tool(f"tool_{n}", description="x" * 4_000) for n in range(5_000)))
    for shown in (listing_text("x", tools, False), listing_html("x", tools, False)):
        assert "5,000 tools" in shown
        assert "and 4,900 more" in shown
        assert len(shown) < 100_000


# --- frames


def test_the_tools_as_a_frame():
    frame = tools_frame(read(tool("a", annotations={"readOnlyHint": True}), tool("b")))
    assert list(frame.columns) == ["name", "description", "read_only", "destructive", "parameters"]
    assert frame["read_only"].dtype == "boolean"
    assert frame["read_only"].isna().tolist() == [False, True]
    assert tools_frame([]).shape == (0, 5)


def test_the_resources_as_a_frame():
    listing = {
        "resources": [
            {"uri": "file:///a", "name": "a", "title": "A", "description": "d", "mimeType": "text/plain", "size": 3},
            {"uri": "\ud800", "name": 1, "size": 10**30},
            {"uri": ["x"], "size": True, "description": {"a": 1}},
            "rubbish",
        ],
        "resourceTemplates": [{"uriTemplate": "file:///{path}", "name": "t"}],
    }
    frame = resources_frame(listing)
    assert frame["uri"].fillna("-").tolist() == ["file:///a", "\ufffd", "-", "file:///{path}"]
    assert frame["name"].fillna("-").tolist() == ["A", "-", "-", "t"]
    assert frame["size"].fillna(-1).tolist() == [3, -1, -1, -1]
    assert resources_frame({}).shape == (0, 5)


def test_the_prompts_as_a_frame():
    arguments = [{"name": "topic", "required": True}, {"name": "length"}, 1, {"name": []}]
    frame = prompts_frame({"prompts": [{"name": "p", "arguments": arguments}, {"name": "q", "arguments": 5}]})
    assert frame["arguments"].tolist() == ["topic*, length", ""]
    assert prompts_frame({"prompts": "x"}).shape == (0, 3)
