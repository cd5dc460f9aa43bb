"""Every kind of thing that a gateway says, streamed and whole, by `ask` and `ask_async`: nothing of it is lost.

Each kind is a message, the deltas that it may come in, fields beside it, and what an answer is then. A kind whose whole
form is not named comes in one message, as its deltas merged.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from gateway import DONE, Said, serve
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from amber_nb import Amber
from amber_nb.answer import Answer
from amber_nb.types import Source
from amber_nb.wire.accumulator import CompletionAccumulator
from amber_nb.wire.stream import Event

KEY = "ambrs-exampletoken"
CITE = {
    "type": "url_citation",
    "url_citation": {"url": "https://a.example/b", "title": "T", "start_index": 0, "end_index": 2},
}
SIGNATURE = {"vendor": {"signature": "SIG=="}}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
PIXEL = io.BytesIO()
Image.new("RGB", (2, 2)).save(PIXEL, "PNG")
PICTURE = {
    "type": "image_url",
    "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PIXEL.getvalue()).decode()}"},
}


def call(name: str, arguments: Any, id: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


@dataclass
class Kind:
    """What comes, and what the answer is then: `want` gives pairs of what it is and what it should be."""

    whole: dict[str, Any]
    deltas: list[dict[str, Any]]
    want: Callable[[Answer[Any]], list[tuple[object, object]]]
    finish: str = "stop"
    choice: dict[str, Any] = field(default_factory=dict)  # fields of the choice, in the last event
    top: dict[str, Any] = field(default_factory=dict)  # fields beside the choices, in the last event
    first: dict[str, Any] | None = None  # an event before all others, and its fields in the whole reply


def message(answer: Answer[Any]) -> dict[str, Any]:
    return answer.completion.choices[0].message.to_dict(warnings=False)


def content(answer: Answer[Any]) -> list[tuple[object, object]]:
    return [(answer.text, "Hello")]


def notice(words: str) -> Callable[[Answer[Any]], list[tuple[object, object]]]:
    return lambda answer: [(words in answer._repr_mimebundle_()["text/plain"], True)]


def tokens(answer: Answer[Any]) -> object:
    return answer._footer_text().split(" · ")[1:-1]


HELLO = [{"role": "assistant", "content": "Hel"}, {"content": "lo"}]
SAID = {"content": "Hello"}
KINDS = {
    "usage with holes": Kind(
        SAID, HELLO, lambda a: [(tokens(a), [])], top={"usage": {"prompt_tokens": None, "total_tokens": None}}
    ),
    "usage without a total": Kind(
        SAID,
        HELLO,
        lambda a: [(tokens(a), ["12 tokens"])],
        top={"usage": {"prompt_tokens": 5, "completion_tokens": 7.0}},
    ),
    "usage as text": Kind(SAID, HELLO, lambda a: [(tokens(a), ["12 tokens"])], top={"usage": {"total_tokens": "12"}}),
    "usage of another kind": Kind(SAID, HELLO, lambda a: [(tokens(a), [])], top={"usage": {"total_tokens": [1]}}),
    "reasoning_content": Kind(
        {**SAID, "reasoning_content": "Hm."},
        [{"reasoning_content": "H"}, {"reasoning_content": "m."}, *HELLO],
        lambda a: [(a.reasoning, "Hm."), (a.messages[-1]["reasoning_content"], "Hm.")],
    ),
    "reasoning under two names": Kind(
        {**SAID, "reasoning": "Hm.", "reasoning_content": "Hm."},
        [{"reasoning": "Hm.", "reasoning_content": "Hm."}, *HELLO],
        lambda a: [(a.reasoning, "Hm."), (a.messages[-1]["reasoning"], "Hm.")],
    ),
    "thinking blocks": Kind(
        {**SAID, "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "S"}]},
        [
            {"thinking_blocks": [{"type": "thinking", "thinking": "H"}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "m.", "signature": "S"}]},
            *HELLO,
        ],
        lambda a: [
            (a.reasoning, "Hm."),
            (a.messages[-1]["thinking_blocks"], [{"type": "thinking", "thinking": "Hm.", "signature": "S"}]),
        ],
    ),
    "reasoning details by index": Kind(
        {**SAID, "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]},
        [
            {"reasoning_details": [{"type": "reasoning.text", "text": "H", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "m.", "index": 0}]},
            *HELLO,
        ],
        lambda a: [(a.reasoning, "Hm."), (a.messages[-1]["reasoning_details"][0]["text"], "Hm.")],
    ),
    "thinking written into the text": Kind(
        {"content": "<think>\nHm.\n</think>\n\nHello"},
        [{"content": "<thi"}, {"content": "nk>\nHm.\n</th"}, {"content": "ink>\n\nHel"}, {"content": "lo"}],
        lambda a: [(a.reasoning, "Hm."), (a.messages[-1]["content"], "Hello")],
    ),
    "thinking without its start": Kind(
        {"content": "Hm.\n</think>\nHello"},
        [{"content": "Hm.\n</th"}, {"content": "ink>\nHello"}],
        lambda a: [(a.reasoning, "Hm.")],
    ),
    "content in parts": Kind(
        {"content": [THINKING, {"type": "text", "text": "Hello"}]},
        [{"content": [THINKING]}, {"content": [{"type": "text", "text": "Hel"}]}, {"content": "lo"}],
        lambda a: [(a.reasoning, "Hm."), (a.messages[-1]["content"], [THINKING, {"type": "text", "text": "Hello"}])],
    ),
    "content in parts of text": Kind(
        {"content": [{"type": "text", "text": "Hello"}]},
        [{"content": {"type": "text", "text": "Hel"}}, {"content": ["lo"]}],
        lambda a: [(a.messages[-1]["content"], "Hello")],
    ),
    "annotations": Kind(
        {**SAID, "annotations": [CITE]},
        [*HELLO, {"annotations": [CITE]}],
        lambda a: [
            (a.sources, (Source("T", "https://a.example/b", 0, 2),)),
            (message(a)["annotations"], [CITE]),
            ("annotations" in a.messages[-1], False),
            ('href="https://a.example/b"' in a._repr_mimebundle_()["text/html"], True),
            ("[1] T – https://a.example/b" in a._repr_mimebundle_()["text/plain"], True),
        ],
    ),
    "citations at the top": Kind(
        SAID,
        HELLO,
        lambda a: [(a.sources, (Source(None, "https://a.example"),))],
        top={"citations": ["https://a.example"]},
    ),
    "sources first": Kind(
        SAID,
        HELLO,
        lambda a: [(a.sources, (Source("handbook.pdf"),))],
        first={"sources": [{"source": {"name": "handbook.pdf"}}]},
    ),
    "logprobs": Kind(
        SAID,
        HELLO,
        lambda a: [([token.token for token in a.completion.choices[0].logprobs.content], ["Hello"])],
        choice={"logprobs": {"content": [{"token": "Hello", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}},
    ),
    "a picture": Kind(
        {"content": None, "images": [PICTURE]},
        [{"content": "", "images": [PICTURE]}],
        lambda a: [
            (message(a)["images"], [PICTURE]),
            ("1 picture" in str(a._repr_mimebundle_()["text/plain"]), True),
            ("data:image/webp" in a._repr_mimebundle_()["text/html"], True),
        ],
    ),
    "audio": Kind(
        {"content": None, "audio": {"id": "a1", "data": "AAAA", "transcript": "Hello"}},
        [
            {"audio": {"id": "a1", "transcript": "Hel"}},
            {"audio": {"data": "AA", "transcript": "lo"}},
            {"audio": {"data": "AA"}},
        ],
        lambda a: [
            (message(a)["audio"], {"id": "a1", "data": "AAAA", "transcript": "Hello"}),
            (a.messages[-1]["audio"], {"id": "a1"}),
            ("audio: Hello" in a._repr_mimebundle_()["text/plain"], True),
        ],
    ),
    "fields that nobody knows": Kind(
        {**SAID, "mood": {"tone": "calm"}},
        [{"mood": {"tone": "calm"}}, *HELLO],
        lambda a: [(message(a)["mood"], {"tone": "calm"}), (a.messages[-1]["mood"], {"tone": "calm"})],
    ),
    "the older form of a call": Kind(
        {"content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}},
        [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"x":1}'}}],
        lambda a: [
            (message(a)["function_call"], {"name": "f", "arguments": '{"x":1}'}),
            (a.messages[-1]["tool_calls"][0]["function"], {"name": "f", "arguments": '{"x":1}'}),
        ],
        finish="function_call",
    ),
    "a signed call": Kind(
        {"content": None, "tool_calls": [call("f", "{}", extra_content=SIGNATURE)]},
        [{"tool_calls": [{"index": 0, **call("f", "{}")}]}, {"tool_calls": [{"extra_content": SIGNATURE}]}],
        lambda a: [(a.messages[-1]["tool_calls"][0]["extra_content"], SIGNATURE)],
        finish="tool_calls",
    ),
    "arguments as an object": Kind(
        {"content": None, "tool_calls": [call("f", {"x": 1})]},
        [{"tool_calls": [{"index": 0, **call("f", {"x": 1})}]}],
        lambda a: [(json.loads(a.messages[-1]["tool_calls"][0]["function"]["arguments"]), {"x": 1})],
        finish="tool_calls",
    ),
    "two objects in one": Kind(
        {"content": None, "tool_calls": [call("f", '{"x":1}{"x":2}')]},
        [
            {"tool_calls": [{"index": 0, **call("f", '{"x":1}')}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":2}'}}]},
        ],
        lambda a: [([each["function"]["arguments"] for each in a.messages[-1]["tool_calls"]], ['{"x":1}', '{"x":2}'])],
        finish="tool_calls",
    ),
    "cut by another word": Kind(SAID, HELLO, notice("limit of tokens"), finish="MAX_TOKENS"),
    "filtered by another word": Kind(SAID, HELLO, notice("content filter"), finish="SAFETY"),
    "cut by the gateway": Kind(SAID, HELLO, notice("[cut off by the gateway]"), finish="abort"),
    "cancelled, and not by the reader": Kind(SAID, HELLO, notice("[cut off by the gateway]"), finish="cancelled"),
    "an end by another word": Kind(SAID, HELLO, content, finish="end_turn"),
}


def pieces(kind: Kind) -> Iterator[bytes]:
    head = {"id": "c", "created": 1, "model": "m"}
    if kind.first:
        yield event(kind.first)
    for delta in kind.deltas:
        yield event({**head, "choices": [{"index": 0, "delta": delta}]})
    end = {"index": 0, "delta": {}, "finish_reason": kind.finish, **kind.choice}
    yield event({**head, "choices": [end], **kind.top})
    yield DONE


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def whole(kind: Kind) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **kind.whole}, "finish_reason": kind.finish, **kind.choice}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**head, "choices": [choice], **kind.top, **(kind.first or {})}).encode()


@pytest.mark.parametrize("form", ["streamed", "whole"])
@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_it_is_lost(name: str, form: str) -> None:
    kind = KINDS[name]
    said = Said(list(pieces(kind))) if form == "streamed" else Said([whole(kind)], kind="application/json")
    with serve(lambda _: said) as url:
        amber = Amber(base_url=url, api_key=KEY, mode="live", max_retries=0)
        answers = [amber.ask("?"), asyncio.run(amber.ask_async("?"))]
        amber.close()
    for answer in answers:
        assert answer.complete
        if kind.whole.get("content"):
            assert answer.text == "Hello"
        for found, wanted in kind.want(answer):
            assert found == wanted


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from(["mood", "annotations", "extra_content", "vendor"]), JSON, max_size=3)
CALLS = st.lists(
    st.builds(
        lambda name, value, fields: call(name, json.dumps(value), **fields),
        st.sampled_from("fg"),
        st.dictionaries(st.sampled_from("xy"), st.integers(0, 9), min_size=1),
        st.dictionaries(st.just("signature"), TEXTS, max_size=1),
    ),
    max_size=3,
)


@given(
    content=st.none() | TEXTS,
    reasoning=st.none() | TEXTS,
    fields=FIELDS,
    calls=CALLS,
    top=st.dictionaries(st.sampled_from(["citations", "vendor", "service_tier"]), JSON, max_size=2),
    data=st.data(),
)
def test_any_completion_streamed_in_any_cut_adds_up_to_itself(
    content: str | None,
    reasoning: str | None,
    fields: dict[str, Any],
    calls: list[dict[str, Any]],
    top: dict[str, Any],
    data: st.DataObject,
) -> None:
    for number, each in enumerate(calls):
        each["id"] = f"id{number}"
    reply = {"role": "assistant", "content": content, "reasoning_content": reasoning, "tool_calls": calls, **fields}
    deltas: list[dict[str, Any]] = []
    for name in ("reasoning_content", "content"):
        deltas += [{name: piece} for piece in cut(reply[name] or "", data)]
    for index, each in enumerate(calls):
        first, *rest = cut(each["function"]["arguments"], data)
        head = {**each, "index": index, "function": {**each["function"], "arguments": first}}
        deltas += [{"tool_calls": [head]}]
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in rest]
    deltas.insert(data.draw(st.integers(0, len(deltas))), fields)
    accumulator = CompletionAccumulator()
    for delta in deltas:
        accumulator.feed(Event(json.dumps({"id": "c", "choices": [{"index": 0, "delta": delta}]}).encode()))
    accumulator.feed(Event(json.dumps({**top, "choices": [{"index": 0, "finish_reason": "stop"}]}).encode()))
    accumulator.close()
    completion = accumulator.completion().to_dict(warnings=False)
    found = completion["choices"][0]["message"]
    assert without_empty(found) == without_empty(reply)
    assert without_empty({name: completion.get(name) for name in top}) == without_empty(top)


def cut(text: str, data: st.DataObject) -> list[str]:
    """The text in pieces."""
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)) | {0, len(text)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


def without_empty(value: Any) -> Any:
    return {name: item for name, item in value.items() if item not in (None, "", [], {}, 0, False)}
