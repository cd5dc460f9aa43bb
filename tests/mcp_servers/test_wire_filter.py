"""One bad part of a server's listing does not cost the rest, and rubbish without end ends the session."""

import asyncio

import anyio
import mcp_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCResponse

from amber_nb.mcp_servers.wire_filter import Filter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ("title", "description", "inputSchema", "outputSchema", "annotations", "icons", "execution", "_meta", "x")


class Transport:
    """A transport of these messages, which then ends."""

    def __init__(self, *items):
        self.items = items

    async def __aenter__(self):
        sending, receiving = anyio.create_memory_object_stream(len(self.items) or 1)
        for item in self.items:
            sending.send_nowait(item)
        sending.close()
        self.receiving = receiving
        return receiving, "write"

    async def __aexit__(self, *error):
        self.receiving.close()


def receive(*items):
    """What comes through the filter, and how often it told the end."""
    ends = []
    gate = Filter(lambda: ends.append(1))

    async def run():
        async with gate.around(Transport(*items)) as (read, write):
            assert write._stream == "write"
            return [item async for item in read]

    return asyncio.run(run()), len(ends), gate.rubbish


def response(result):
    return SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=1, result=result))


def listing(*tools, **fields):
    (item,), _, _ = receive(response({"tools": list(tools), **fields}))
    return item.message.result


def tool(**fields):
    return {"name": "search", "inputSchema": {"type": "object"}, **fields}


def test_a_good_listing_is_as_it_was():
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    good = tool(description="Search.", title="Search", inputSchema=schema, annotations={"readOnlyHint": True})
    assert listing(good, nextCursor="2") == {"tools": [good], "nextCursor": "2"}


@pytest.mark.parametrize("bad", [None, 1, "search", [], {}, {"name": 1}, {"name": None}, {"title": "search"}])
def test_what_is_no_tool_costs_itself(bad):
    assert [each["name"] for each in listing(bad, tool(), bad)["tools"]] == ["search"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, 1, "text", ["a"], {"readOnlyHint": "yes", "taskSupport": 5, "src": 1}])
def test_a_wrong_type_costs_its_field(field, value):
    result = listing(tool(**{field: value}))
    (read,) = mcp_types.ListToolsResult.model_validate(result).tools
    assert read.name == "search"
    assert read.output_schema is None
    assert read.icons is None


def test_a_tool_that_needs_tasks_stays_one():
    assert listing(tool(execution={"taskSupport": "required"}))["tools"][0]["execution"] == {"taskSupport": "required"}
    assert "execution" not in listing(tool(execution={"taskSupport": "optional"}))["tools"][0]


@pytest.mark.parametrize("field", ["nextCursor", "_meta"])
@pytest.mark.parametrize("value", [1, ["x"], True])
def test_a_wrong_type_beside_the_tools_costs_itself(field, value):
    assert len(mcp_types.ListToolsResult.model_validate(listing(tool(), **{field: value})).tools) == 1


@given(st.lists(st.dictionaries(st.sampled_from(("name", *FIELDS)), JSON) | JSON, max_size=4), JSON, JSON)
def test_any_listing_can_be_read_by_the_sdk(tools, cursor, meta):
    mcp_types.ListToolsResult.model_validate(listing(tool(), *tools, nextCursor=cursor, _meta=meta))


@pytest.mark.parametrize(
    "result",
    [{}, {"tools": None}, {"tools": {"a": 1}}, {"content": [{"type": "text", "text": "tools"}]}, {"tools": "x"}],
)
def test_other_results_are_left_alone(result):
    (item,), _, _ = receive(response(dict(result)))
    assert item.message.result == result


def test_other_messages_pass():
    error = mcp_types.ErrorData(code=1, message="no")
    items = [
        SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/progress")),
        SessionMessage(JSONRPCError(jsonrpc="2.0", id=1, error=error)),
    ]
    assert receive(*items)[0] == items


def test_the_end_is_told():
    assert receive() == ([], 1, 0)
    assert receive(response({}))[1] == 1


def test_some_rubbish_is_counted_and_passed_on():
    items, ends, n_rubbish = receive(*[ValueError("no JSON")] * 100, response({}))
    assert (len(items), ends, n_rubbish) == (101, 1, 0)


def test_rubbish_without_end_ends_the_session():
    items, ends, n_rubbish = receive(*[ValueError("no JSON")] * 5_000, response({}))
    assert (len(items), ends, n_rubbish) == (100, 1, 101)


def test_a_line_of_rubbish_beside_each_message_ends_nothing():
    items, ends, n_rubbish = receive(*[ValueError("no JSON"), response({})] * 500)
    assert (len(items), ends, n_rubbish) == (1_000, 1, 0)


# --- results of tools

GOOD = {"type": "text", "text": "what was asked for"}


def result_of(**fields):
    (item,), _, _ = receive(response(fields))
    return item.message.result


@pytest.mark.parametrize(
    ("bad", "instead"),
    [
        ({"type": "video", "data": "AAAA"}, "(content of the kind video, which cannot be read)"),
        ({"type": "text", "text": None}, "(content of the kind text, which cannot be read)"),
        ({"type": "image", "data": "AAAA"}, "(content of the kind image, which cannot be read)"),
        ({"type": "text", "text": "still here", "annotations": "x"}, "still here"),
        ({"text": "no type"}, "no type"),
        ("a bare text", "a bare text"),
        (None, "(content of the kind NoneType, which cannot be read)"),
        ({"type": "\x1b[2J" + "v" * 900}, f"(content of the kind ␛[2J{'v' * 55}…, which cannot be read)"),
    ],
)
def test_a_bad_block_costs_itself(bad, instead):
    read = result_of(content=[GOOD, bad, GOOD])
    assert [block["text"] for block in read["content"]] == ["what was asked for", instead, "what was asked for"]


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({"structuredContent": {"a": 1}}, []),
        ({"content": None, "isError": False}, []),
        ({"content": "a bare text"}, [{"type": "text", "text": "a bare text"}]),
        ({"content": GOOD}, [GOOD]),
    ],
)
def test_content_that_is_no_list_becomes_one(given, content):
    assert result_of(**given)["content"] == content


@pytest.mark.parametrize(("value", "read"), [([1], {"result": [1]}), ("a", {"result": "a"}), ({"a": 1}, {"a": 1})])
def test_structured_content_is_an_object(value, read):
    assert result_of(content=[], structuredContent=value)["structuredContent"] == read


@given(JSON | st.lists(JSON, max_size=4), JSON, JSON, JSON)
def test_any_result_can_be_read_by_the_sdk(content, structured, is_error, meta):
    fields = {"content": content, "structuredContent": structured, "isError": is_error, "_meta": meta}
    mcp_types.CallToolResult.model_validate(result_of(**fields))
