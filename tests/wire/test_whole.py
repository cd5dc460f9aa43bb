"""Whole replies, read without a request: to the same values as by one, whatever their form."""

from __future__ import annotations

import asyncio
import json

import httpx2
import openai
import pytest
from gateway import DONE, chunk
from hypothesis import given
from hypothesis import strategies as st
from test_completion import BODY, CHOICE, REFUSED, STREAMS, TAKEN
from test_forms import KINDS, pieces, whole

from amber_nb import BadReply, StreamCut
from amber_nb.wire import whole as module
from amber_nb.wire.accumulator import CompletionAccumulator, GatewayError, IncompleteStream
from amber_nb.wire.completion import StreamedCompletion
from amber_nb.wire.stream import MalformedEvent
from amber_nb.wire.whole import WholeReply, read_reply

JSON = "application/json"
ORDINARY = {
    **BODY,
    "choices": [
        {
            **CHOICE,
            "message": {**CHOICE["message"], "refusal": None, "annotations": [], "tool_calls": None, "audio": None},
            "logprobs": None,
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "service_tier": "default",
    "system_fingerprint": "fp",
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "cost": None},
}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def message(**fields):
    return {**ORDINARY, "choices": [{**ORDINARY["choices"][0], "message": {"role": "assistant", **fields}}]}


def choice(**fields):
    return {**ORDINARY, "choices": [{**ORDINARY["choices"][0], **fields}]}


FORMS = {
    "ordinary": ORDINARY,
    "in a result": {"result": ORDINARY},
    "in data": {"data": ORDINARY},
    "in a response": {"response": ORDINARY},
    "a list of one": [ORDINARY],
    "a refusal": message(content=None, refusal="No."),
    "a refusal beside text": message(content="", refusal="No."),
    "no content": message(content=None),
    "a number": message(content=4),
    "thinking": message(content="<think>Hm.</think>\n\nHi"),
    "thinking, cut": choice(finish_reason="length", message={"content": "<think>Hm."}),
    "thinking that is text": message(content="<think>Hm."),
    "reasoning": message(content="Hi", reasoning_content="Hm."),
    "reasoning twice": message(content="<think>Hm.</think>Hi", reasoning="Hm."),
    "empty reasoning": message(content="Hi", reasoning_content=""),
    "a call": message(content=None, tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{}"}}]),
    "text of the older endpoint": {"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}], "model": "m"},
    "a delta": {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]},
    "an index of another number": choice(index=3),
    "an index as text": choice(index="0"),
    "a finish_reason as an object": choice(finish_reason={"type": "stop"}),
    "an odd model and tier": {**ORDINARY, "model": 5, "service_tier": ["gold"]},
    "no model": {**ORDINARY, "model": ""},
    "usage null": {**ORDINARY, "usage": None},
    "usage empty": {**ORDINARY, "usage": {}},
    "usage in x_groq": {**ORDINARY, "usage": None, "x_groq": {"usage": USAGE}},
    "usage in the choice": {**choice(usage=USAGE), "usage": None},
    "an error that says nothing": {**ORDINARY, "error": {"code": 0, "message": ""}},
    "emoji": message(content="\U0001f600"),
    "an error in the choice": choice(error={"message": "overloaded"}),
    "an error beside": {**ORDINARY, "error": {"message": "overloaded"}},
    "an object of errors": {**ORDINARY, "object": "error", "message": "overloaded"},
    "failed": choice(finish_reason="error"),
    "no finish_reason": choice(finish_reason=None),
    "an empty finish_reason": choice(finish_reason=""),
    **TAKEN,
    **{name: data for name, (data, _, _) in REFUSED.items()},
}
BODIES = {
    **{name: json.dumps(data).encode() for name, data in FORMS.items()},
    **{f"{name}, whole": whole(kind) for name, kind in KINDS.items()},
    **{f"{name}, streamed": b"".join(pieces(kind)) for name, kind in KINDS.items()},
    **{f"stream: {name}": b"".join(events) for name, (events, *_) in STREAMS.items()},
    "a stream's end behind it": json.dumps(ORDINARY).encode() + b"\n\ndata: [DONE]\n\n",
    "a byte-order mark": b"\xef\xbb\xbf" + json.dumps(ORDINARY).encode(),
    "indented": json.dumps(ORDINARY, indent=2).encode(),
    "lines of JSON": b"\n".join(chunk({"content": text}, end)[6:-2] for text, end in (("H", None), ("i", "stop"))),
    "a lone surrogate": json.dumps(message(content="\ud83d")).encode(),
    "empty": b"",
    "blank": b" \n",
    "an empty object": b"{}",
    "a page": b"<!doctype html><html><head><title>Sign in</title></head></html>",
    "cut": json.dumps(ORDINARY).encode()[:-20],
    "not UTF-8": json.dumps(ORDINARY).encode().replace(b"Hi", b"H\xff"),
    "only the end of a stream": DONE,
}


def by_request(content, kind):
    """What a request makes of the body: the values, or the kind of the error."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": kind}, content=content))

    async def run():
        http = httpx2.AsyncClient(transport=transport)
        async with openai.AsyncOpenAI(api_key="k", base_url="http://gateway.invalid/v1", http_client=http) as client:
            try:
                reply = await StreamedCompletion(client, {"model": "m", "messages": []}, {}).run()
            except (BadReply, StreamCut) as error:
                return type(error), ""
        usage = reply.completion.usage and reply.completion.usage.to_dict(warnings=False)
        labels = (getattr(reply.completion, field, None) for field in ("model", "service_tier"))
        return WholeReply(
            reply.text,
            reply.refusal,
            reply.reasoning,
            reply.finish_reason,
            *(label if isinstance(label, str) and label else None for label in labels),
            {name: value for name, value in (usage or {}).items() if value is not None} or None,
        )

    return asyncio.run(run())


def alone(content, kind):
    try:
        return read_reply(content, kind)
    except MalformedEvent:
        return BadReply, ""
    except (GatewayError, IncompleteStream):
        return StreamCut, ""


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", "text/event-stream", "text/plain", ""])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_reads_to_the_same_values_as_by_a_request(name, kind):
    assert alone(BODIES[name], kind) == by_request(BODIES[name], kind)


def test_the_ordinary_form_is_read_at_once(monkeypatch):
    monkeypatch.setattr(module, "ReplyReader", None)  # what reads with more care
    assert read_reply(json.dumps(ORDINARY).encode(), JSON) == WholeReply(
        "Hi", None, None, "stop", "m", "default", USAGE
    )


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", MalformedEvent, "nothing"),
        (b"{}", MalformedEvent, "no message in its choices"),
        (b'{"error": {"message": "no such model"}}', MalformedEvent, "no such model"),
        (BODIES["a page"], MalformedEvent, "a web page, “Sign in”"),
        (BODIES["cut"], MalformedEvent, '{"id"'),
        (BODIES["no finish_reason"], IncompleteStream, "no finish_reason"),
        (BODIES["an error beside"], GatewayError, "overloaded"),
        (json.dumps(ORDINARY).replace('"index": 0', '"index": Infinity').encode(), MalformedEvent, "Infinity"),
    ],
)
def test_what_is_no_completion_says_why(content, error, says):
    with pytest.raises(error, match=says):
        read_reply(content, JSON)


def test_as_many_choices_as_were_asked_for():
    two = json.dumps({**BODY, "choices": [CHOICE, {**CHOICE, "index": 1}]}).encode()
    assert read_reply(two, JSON, 2).text == "Hi"
    with pytest.raises(IncompleteStream, match="2 of 3 choices"):
        read_reply(two, JSON, 3)
    with pytest.raises(IncompleteStream, match="1 of 2 choices"):
        read_reply(BODIES["ordinary"], JSON, 2)


VALUES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "Hi", "stop", "error", "<think>a</think>b"])
)
ANY = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["text", "type", "a"]), inner),
    max_leaves=4,
)
CHOICE_FIELDS = ["finish_reason", "index", "error", "text", "delta", "logprobs", "usage", "other"]
MESSAGE_FIELDS = ["content", "refusal", "reasoning", "reasoning_content", "tool_calls", "audio", "annotations", "other"]
TOP_FIELDS = ["error", "object", "type", "usage", "model", "service_tier", "detail", "x_groq"]


@given(
    top=st.dictionaries(st.sampled_from(TOP_FIELDS), ANY, max_size=2),
    of_choice=st.dictionaries(st.sampled_from(CHOICE_FIELDS), ANY, max_size=2),
    of_message=st.dictionaries(st.sampled_from(MESSAGE_FIELDS), ANY, max_size=3),
)
def test_reading_at_once_and_with_care_is_the_same(top, of_choice, of_message):
    data = {**ORDINARY, **top, "choices": [{**ORDINARY["choices"][0], **of_choice}]}
    data["choices"][0]["message"] = {**ORDINARY["choices"][0]["message"], **of_message}
    content = json.dumps(data).encode()
    # A line break before it is no difference to a reader, and has it read with care: `[DONE]` behind it.
    assert alone(content, JSON) == alone(content + b"\n\ndata: [DONE]", JSON)


def test_blanks_are_no_sign_of_life():
    reader = module.ReplyReader(JSON, CompletionAccumulator())
    reader.feed(b'\n {"choices": ')
    before = reader.activity
    reader.feed(b" \r\n")
    assert reader.activity == before
    reader.feed(b"[")
    assert reader.activity > before
