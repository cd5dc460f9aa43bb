"""Events → completion: adds up like the SDK, and says so where the SDK stays silent."""

import json

import pytest

from amber_nb.types import ReasoningDelta, TextDelta, ToolCallDelta
from amber_nb.wire.accumulator import CompletionAccumulator, GatewayError, IncompleteStream
from amber_nb.wire.stream import Event, MalformedEvent
from amber_nb.wire.thinking import split_thinking


def chunk(delta=None, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish, "logprobs": None}
    return Event(json.dumps({"id": "c1", "created": 7, "model": "m", "choices": [choice], **more}).encode())


def folded(*events):
    fold = CompletionAccumulator()
    for event in events:
        fold.feed(event)
    fold.close()
    return fold


DONE = Event(b"[DONE]")


def test_text_adds_up():
    fold = folded(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk(finish="stop"),
        DONE,
    )
    completion = fold.completion()
    assert (fold.text, completion.choices[0].message.content, completion.choices[0].finish_reason) == (
        "Hello",
        "Hello",
        "stop",
    )
    assert (completion.id, completion.created, completion.model, completion.object) == ("c1", 7, "m", "chat.completion")


def test_feed_tells_what_is_new_in_the_first_choice():
    fold = CompletionAccumulator()
    assert fold.feed(chunk({"content": "a"})) == [TextDelta("a")]
    assert fold.feed(chunk({"content": "b"}, index=1)) == []
    assert fold.feed(chunk({"refusal": "no"})) == [TextDelta("no")]


def test_reasoning_and_calls_are_deltas_of_their_own():
    fold, seen = CompletionAccumulator(), []
    for delta in (
        {"role": "assistant"},
        {"reasoning_content": "Well"},
        {"content": "Hello"},
        {"reasoning_content": "more"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "get_time", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
    ):
        seen.append(fold.feed(chunk(delta)))
    assert seen == [
        [],
        [ReasoningDelta("Well")],
        [TextDelta("Hello")],
        [ReasoningDelta("more")],
        [ToolCallDelta(0, "get_weather", "{")],
        [ToolCallDelta(1, "get_time", "")],
        [ToolCallDelta(0, "get_weather", "}")],
    ]


def test_usage_comes_with_or_without_choices():
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    bare = Event(json.dumps({"choices": [], "usage": usage}).encode())
    for last in (bare, chunk({}, usage=usage)):
        fold = folded(chunk({"content": "x"}), chunk(finish="stop"), last, DONE)
        assert fold.completion().usage.total_tokens == 3


def test_an_azure_filter_result_may_come_first():
    first = Event(b'{"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "model": ""}')
    assert folded(first, chunk({"content": "x"}), chunk(finish="stop"), DONE).text == "x"


def calls(*deltas):
    fold = folded(*(chunk({"tool_calls": [delta]}) for delta in deltas), chunk(finish="tool_calls"))
    return [
        (call.id, call.function.name, call.function.arguments)
        for call in fold.completion().choices[0].message.tool_calls
    ]


def test_tool_calls_add_up():
    assert calls(
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x":'}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": "1}"}},
    ) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_tool_calls_without_an_index_add_up():
    assert calls(
        {"id": "a", "function": {"name": "f", "arguments": '{"x":'}},
        {"function": {"arguments": "1}"}},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
        {"id": "a", "function": {"arguments": " "}},
    ) == [("a", "f", '{"x":1} '), ("b", "g", "{}")]


def test_calls_that_share_an_index_are_told_apart_by_their_ids():
    # An id that is another one in each delta, as some servers make it, begins no new call: no name comes with it.
    assert calls(
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":'}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"index": 0, "id": "b", "function": {"name": "f", "arguments": '{"x":'}},
        {"index": 0, "id": "other", "function": {"arguments": "2"}},
        {"index": 0, "id": "another", "function": {"arguments": "}"}},
    ) == [("a", "f", '{"x":1}'), ("another", "f", '{"x":2}')]


def test_several_choices_and_reasoning():
    fold = folded(
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "b"}, index=1),
        chunk({"content": "a"}),
        chunk(finish="stop", index=1),
        chunk(finish="stop"),
    )
    assert [choice.message.content for choice in fold.completion().choices] == ["a", "b"]
    assert fold.reasoning == "hm"


def test_a_lone_surrogate_is_read():
    assert (
        folded(Event(rb'{"choices": [{"index": 0, "delta": {"content": "\ud83d"}, "finish_reason": "stop"}]}')).text
        == "\ud83d"
    )


@pytest.mark.parametrize(
    "events",
    [
        [],
        [DONE],
        [chunk({"content": "Hel"})],
        [chunk({"content": "Hel"}), DONE],
        [chunk({"content": "a"}), chunk(finish="stop", index=1)],
    ],
    ids=["nothing", "only DONE", "no finish", "DONE without finish", "one of two choices"],
)
def test_an_early_end_is_never_silent(events):
    with pytest.raises((IncompleteStream, MalformedEvent)):
        folded(*events)


@pytest.mark.parametrize(
    "data",
    [
        b"Internal Server Error",
        b"<html>",
        b'{"choices": [',
        b"[" * 100_000,
    ],
)
def test_what_is_no_chunk_is_never_silent(data):
    with pytest.raises(MalformedEvent):
        CompletionAccumulator().feed(Event(data))


@pytest.mark.parametrize(
    "data", [b"[1]", b"null", b'"x"', b'{"choices": null}', b'{"id": 1}', b"{}", b'{"type": "ping"}']
)
def test_events_that_say_nothing_are_passed_over_and_are_no_reply(data):
    assert folded(chunk({"content": "x"}), Event(data), chunk(finish="stop"), Event(data)).text == "x"
    with pytest.raises(MalformedEvent):
        folded(Event(data), DONE)


@pytest.mark.parametrize(
    "choices",
    [
        5,
        "x",
        ["x"],
        [{"delta": {"content": True}}],
        [{"delta": {"content": [5]}}],
        [{"delta": {"tool_calls": 5}}],
        [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": 5}}]}}],
        [{"index": "x", "delta": {}}],
        [{"delta": {}, "finish_reason": 5}],
        [{"delta": {"refusal": 5}}],
    ],
)
def test_a_field_of_the_wrong_kind_is_garbled(choices):
    fold = CompletionAccumulator()
    fold.feed(chunk({"content": "Hel"}))
    with pytest.raises(MalformedEvent):
        fold.feed(Event(json.dumps({"choices": choices}).encode()))
    assert fold.text == "Hel"
    assert fold.completion().choices[0].message.content == "Hel"


def test_choices_are_counted():
    one = CompletionAccumulator()
    one.feed(chunk({"content": "a"}, finish="stop"))
    with pytest.raises(IncompleteStream):
        one.close(2)
    other = CompletionAccumulator()
    other.feed(chunk({"content": "a"}, finish="stop", index=1))
    other.close()
    assert other.text == "a"
    text = CompletionAccumulator()
    text.feed(chunk({"content": "a"}, finish="stop", index="0"))
    text.close()
    assert text.text == "a"


def test_a_detail_beside_choices_is_no_fault():
    assert folded(chunk({"content": "a"}, detail="x"), chunk(finish="stop")).text == "a"


@pytest.mark.parametrize(
    "event",
    [
        Event(b'{"error": {"message": "overloaded"}}'),
        Event(b'{"error": "overloaded"}'),
        Event(b'{"message": "overloaded"}', b"error"),
        Event(b"overloaded", b"error"),
        Event(b'{"object": "error", "message": "overloaded"}'),
        Event(b'{"detail": "overloaded"}'),
    ],
)
def test_a_fault_in_the_middle_is_told(event):
    fold = CompletionAccumulator()
    fold.feed(chunk({"content": "Hel"}))
    with pytest.raises(GatewayError, match="overloaded"):
        fold.feed(event)
    assert fold.text == "Hel"


def test_keep_alives_add_nothing():
    assert folded(Event(b""), chunk({"content": "x"}), Event(b" "), chunk(finish="stop")).text == "x"


def test_pings_add_nothing_whatever_they_say():
    assert folded(Event(b'{"type": "ping"}', b"ping"), chunk({"content": "x"}), chunk(finish="stop")).text == "x"


@pytest.mark.parametrize(
    "event",
    [chunk({"content": "lo"}), chunk(finish="stop"), chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})],
    ids=["text", "end", "call"],
)
def test_a_reply_that_goes_on_after_done_is_cut(event):
    fold = CompletionAccumulator()
    fold.feed(chunk({"content": "Hel"}))
    fold.feed(DONE)
    with pytest.raises(IncompleteStream, match="in the middle"):
        fold.feed(event)
    assert fold.text == "Hel"


def test_what_says_nothing_may_come_after_done():
    usage = {"total_tokens": 3}
    late = chunk({"content": ""}, usage=usage)
    assert folded(chunk({"content": "x"}), chunk(finish="stop"), DONE, late).completion().usage.total_tokens == 3


def test_a_whole_message_may_come_as_one_chunk():
    said = Event(b'{"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}')
    assert folded(said).text == "Hi"


def test_a_delta_may_be_null():
    assert (
        folded(chunk({"content": "x"}), Event(b'{"choices": [{"delta": null, "finish_reason": "stop"}]}')).text == "x"
    )


def test_sources_are_told_as_soon_as_they_are_named():
    fold = CompletionAccumulator()
    fold.feed(Event(b'{"sources": [{"title": "Handbook"}]}'))
    assert fold.named_sources
    assert [source.title for source in fold.take_sources()] == ["Handbook"]
    fold.feed(chunk({"content": "x"}))
    assert not fold.named_sources
    fold.feed(chunk({"annotations": [{"url_citation": {"url": "https://a.example"}}]}))
    assert fold.named_sources
    assert len(fold.take_sources()) == 2


@pytest.mark.parametrize(
    "events",
    [
        [
            chunk({"content": "Hello"}),
            Event(b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}'),
        ],
        [
            Event(b'{"choices": [{"message": {"content": "He"}}]}'),
            Event(b'{"choices": [{"message": {"content": "Hello"}}]}'),
        ],
        [
            Event(b'{"choices": [{"message": {"content": "Hel"}}]}'),
            Event(b'{"choices": [{"message": {"content": "lo"}}]}'),
        ],
        [chunk({"text": "Hel"}), Event(b'{"choices": [{"delta": {}, "text": "lo"}]}')],
        [
            chunk({"content": False, "refusal": False, "reasoning": {}}),
            chunk({"content": "Hello", "function_call": "none"}),
        ],
        [chunk({"content": "Hello"}), chunk({}, error={"code": "", "message": "", "type": None})],
        [chunk({"content": "Hello"}), Event(b'{"choices": [], "usage": {}, "detail": {"cached": true}}')],
        [Event(b'{"type": "status", "detail": "queued"}'), chunk({"content": "Hello"})],
        [chunk({"content": "Hello"}), chunk({}, error={"code": 0, "message": "success"})],
    ],
)
def test_what_can_only_mean_one_thing_is_read_once(events):
    fold = folded(*events, chunk(finish="stop"), DONE, chunk(finish="stop"))
    assert fold.text == "Hello"
    assert fold.completion().choices[0].finish_reason == "stop"


def test_events_of_other_names_tell_usage_and_sources():
    fold = folded(
        chunk({"content": "x"}, finish="stop"),
        Event(b'{"usage": {"total_tokens": 3}}', b"usage"),
        Event(b'{"citations": ["https://a.example"]}', b"citations"),
    )
    assert fold.completion().usage.total_tokens == 3
    assert [source.url for source in fold.take_sources()] == ["https://a.example"]


@pytest.mark.parametrize("top", [{"x_groq": {"usage": {"total_tokens": 3}}}, {}])
def test_usage_in_other_places(top):
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "usage": {"total_tokens": 3}}
    if top:
        del choice["usage"]
    fold = folded(Event(json.dumps({"choices": [choice], **top}).encode()))
    assert fold.completion().usage.total_tokens == 3


@pytest.mark.parametrize(
    ("text", "thinking", "rest"),
    [
        ("<think>a</think>b", "a", "b"),
        ("<think>a", "", "<think>a"),
        ("a\n</think>\nb", "a", "b"),
        ("a</think>\n\nb", "a", "b"),
        ("It ends with </think>\nand goes on.", "", "It ends with </think>\nand goes on."),
        ("~~~\n</think>\n~~~", "", "~~~\n</think>\n~~~"),
        ("`x\n</think>`", "", "`x\n</think>`"),
    ],
)
def test_thinking_in_a_text_that_is_whole(text, thinking, rest):
    assert split_thinking(text, is_whole=True) == (thinking, rest)


def test_a_tag_that_is_not_closed_is_thinking_while_more_may_come():
    assert split_thinking("<think>a") == ("a", "")
