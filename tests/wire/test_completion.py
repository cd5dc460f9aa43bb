"""Bodies that are no stream, what a gateway says instead of a reply, and streams in pieces of any size."""

import asyncio
import gzip
import json

import httpx2
import openai
import pytest
from gateway import DONE, Said, chunk, serve

from amber_nb import Amber, BadReply, StreamCut
from amber_nb.error_body import error_message, summarize
from amber_nb.types import TextDelta
from amber_nb.wire.completion import StreamedCompletion

MESSAGE = {"role": "assistant", "content": "Hi"}
CHOICE = {"index": 0, "finish_reason": "stop", "message": MESSAGE}
BODY = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}


def text_of(events):
    """The text that events add up to."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def body(**changes):
    return {**BODY, **changes}


def choice(**changes):
    return body(choices=[{**CHOICE, **changes}])


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TAKEN = {
    "as it should be": BODY,
    "no id, no model": {"choices": [CHOICE]},
    "unknown values": choice(finish_reason="end_turn") | {"service_tier": "gold", "extra": [1]},
    "no index": body(choices=[{"finish_reason": "stop", "message": MESSAGE}]),
    "odd usage": body(usage={"total_tokens": "3"}),
    "an empty error beside": body(error=None),
}
REFUSED = {
    "error": ({"error": {"message": "no such model"}}, BadReply, "no such model"),
    "error as text": ({"error": "no such model"}, BadReply, "no such model"),
    "error beside choices": (body(error={"message": "overloaded"}), StreamCut, "overloaded"),
    "a rate limit": ({"error": {"message": "Rate limit reached", "code": "429"}}, BadReply, "Rate limit reached"),
    "detail": ({"detail": "no such model"}, BadReply, "no such model"),
    "details": ({"detail": [{"loc": ["body"], "msg": "field required"}]}, BadReply, "field required"),
    "message": ({"message": "no such model"}, BadReply, "no such model"),
    "a list": ([BODY, BODY], BadReply, "not a chat completion"),
    "null": (None, BadReply, "null"),
    "a text": ("sorry", BadReply, "sorry"),
    "choices null": (body(choices=None), BadReply, "no message in its choices"),
    "choices empty": (body(choices=[]), BadReply, "no message in its choices"),
    "choices no list": (body(choices={"0": CHOICE}), BadReply, "no message in its choices"),
    "choices of null": (body(choices=[None]), BadReply, "no message in its choices"),
    "message null": (choice(message=None), BadReply, "no message in its choices"),
    "content of a wrong kind": (choice(message={"content": True}), BadReply, "not a chat completion"),
    "calls of a wrong kind": (choice(message={"tool_calls": [5]}), BadReply, "not a chat completion"),
    "finish null": (choice(finish_reason=None), StreamCut, "no finish_reason"),
}


@pytest.fixture(scope="module")
def ask():
    said = {}
    with serve(lambda _: said["next"]) as url:
        amber = Amber(base_url=url, api_key="ambrs-exampletoken", max_retries=0)

        def call(data, kind="application/json", **params):
            said["next"] = Said([data if isinstance(data, bytes) else json.dumps(data).encode()], kind=kind)
            return amber.ask("Hello!", show=False, **params)

        yield call
        amber.close()


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/event-stream"])
@pytest.mark.parametrize("name", TAKEN)
def test_a_whole_reply_is_taken(ask, name, kind):
    answer = ask(TAKEN[name], kind)
    assert (answer.text, answer.complete) == ("Hi", True)
    assert answer.completion.choices[0].message.content == "Hi"
    assert answer.completion.object == "chat.completion"
    assert ask(b"\xef\xbb\xbf" + json.dumps(TAKEN[name]).encode(), kind).text == "Hi"
    assert ask(json.dumps(TAKEN[name], indent=2).encode() + b"\n\n", kind).text == "Hi"


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_reply_is_told(ask, name, kind):
    data, error, says = REFUSED[name]
    with pytest.raises((StreamCut, BadReply), match=says) as info:
        ask(data, kind)
    if kind == "application/json":
        assert type(info.value) is error
    assert str(info.value).count("..") == 0


def test_calls_of_a_whole_reply_need_no_index(ask):
    said = ask(choice(finish_reason="tool_calls", message={"tool_calls": [CALL, {**CALL, "id": "b"}]}))
    assert [call["id"] for call in said.messages[-1]["tool_calls"]] == ["a", "b"]


def test_several_choices_and_reasoning_of_a_whole_reply(ask):
    two = body(choices=[{**CHOICE, "index": n, "message": {**MESSAGE, "reasoning_content": "Hm"}} for n in (0, 1)])
    answer = ask(two, n=2)
    assert (len(answer.completion.choices), answer.reasoning) == (2, "Hm")
    with pytest.raises(StreamCut, match="2 of 3 choices"):
        ask(two, n=3)


def test_half_a_gzip_is_no_reply(ask):
    with pytest.raises(BadReply):
        ask(gzip.compress(json.dumps(BODY).encode()))  # without saying so


HEL, LO = chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop")
GATEWAY_TIMEOUT = b"<html><head><title>504 Gateway Time-out</title></head></html>"
OVER = b'{"error": {"message": "overloaded"}}'
AZURE = b'data: {"choices": [], "prompt_filter_results": []}\n\n'
# name: the events, what comes of them, the text, words of the message
STREAMS = {
    "whole": ([HEL, LO, DONE], None, "Hello", ""),
    "whole, CRLF": ([event.replace(b"\n", b"\r\n") for event in (HEL, LO, DONE)], None, "Hello", ""),
    "whole, CR": ([event.replace(b"\n", b"\r") for event in (HEL, LO, DONE)], None, "Hello", ""),
    "whole, no last blank line": ([HEL, LO.rstrip()], None, "Hello", ""),
    "whole, keep-alives": ([b": ping\n\n", HEL, b"event: ping\ndata: {}\n\n", LO, DONE], None, "Hello", ""),
    "white space before": ([b" \n\n", HEL, LO, DONE], None, "Hello", ""),
    "no end": ([HEL], StreamCut, "Hel", "no finish_reason"),
    "a page": ([HEL, GATEWAY_TIMEOUT + b"\n\n"], BadReply, "Hel", "504 Gateway Time-out"),
    "a page, no blank line": ([HEL, GATEWAY_TIMEOUT], StreamCut, "Hel", "in the middle of an event"),
    "a page, then more": ([HEL, GATEWAY_TIMEOUT + b"\n\n", LO, DONE], BadReply, "Hel", "504 Gateway Time-out"),
    "a page in an event": ([HEL.rstrip() + b"\n", GATEWAY_TIMEOUT + b"\n\n"], BadReply, "Hel", "no blank line"),
    "an error": ([HEL, OVER + b"\n\n"], StreamCut, "Hel", "overloaded"),
    "an error, no blank line": ([HEL, OVER + b"\n"], StreamCut, "Hel", "overloaded"),
    "an error after no choices": ([AZURE, OVER + b"\n\n"], BadReply, "", "overloaded"),
    "words": ([HEL, b"upstream error\n\n", LO, DONE], BadReply, "Hel", "upstream error"),
    "NUL, then more": ([HEL, b"\0", LO, DONE], BadReply, "Hel", "not a chat completion"),
    "NUL at the end": ([HEL, LO, b"\0"], None, "Hello", ""),
    "noise at the end": ([HEL, LO, DONE, b"data: bye\n\n", GATEWAY_TIMEOUT], None, "Hello", ""),
    "an error at the end": ([HEL, LO, OVER + b"\n\n"], StreamCut, "Hello", "overloaded"),
    "pings without a name": ([b"data: {}\n\n", HEL, b'data: {"type": "ping"}\n\n', LO, DONE], None, "Hello", ""),
    "pings of another name": ([HEL, b"event: heartbeat\ndata: 12:30\n\n", LO, DONE], None, "Hello", ""),
    "an error alone": ([OVER + b"\n\n"], BadReply, "", "overloaded"),
    "an error first": ([OVER + b"\n\n", HEL, LO, DONE], BadReply, "", "overloaded"),
    "no stream": ([json.dumps(BODY, indent=1).encode()], None, "Hi", ""),
    "no stream, then a page": ([json.dumps(BODY).encode() + b"\n\n", GATEWAY_TIMEOUT], None, "Hi", ""),
}


def outcome(pieces):
    """What a call makes of a stream in these pieces: the error's type, its message, the text, what was shown."""

    async def body():
        for piece in pieces:
            yield piece

    def gateway(_):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body())

    async def asked():
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(gateway))
        async with openai.AsyncOpenAI(api_key="k", base_url="http://gateway.invalid/v1", http_client=http) as client:
            shown = []
            call = StreamedCompletion(client, {"model": "m", "messages": []}, {}, shown.append)
            try:
                await call.run()
            except (StreamCut, BadReply) as error:
                return type(error), str(error), call.reply().text, text_of(shown)
            return None, "", call.reply().text, text_of(shown)

    return asyncio.run(asked())


@pytest.mark.parametrize("name", STREAMS)
def test_how_a_stream_is_cut_into_pieces_changes_nothing(name):
    events, error, text, says = STREAMS[name]
    whole = b"".join(events)
    cut = outcome(events)
    assert (cut[0], cut[2]) == (error, text)
    assert says in cut[1]
    assert outcome([whole]) == cut
    assert outcome([whole[at : at + 1] for at in range(len(whole))]) == cut
    assert outcome([whole[at : at + 37] for at in range(0, len(whole), 37)]) == cut


PAGE = (
    "<!DOCTYPE html><html><head><title> 502 Bad\nGateway </title><style>p{}</style></head><body><p>x</p></body></html>"
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (PAGE, "a web page, “502 Bad Gateway”"),
        (PAGE.encode(), "a web page, “502 Bad Gateway”"),
        ("<html><body><script>alert(1)</script>Sign &amp; in</body></html>", "a web page, “Sign & in”"),
        ("<html></html>", "a web page"),
        (f"APIError: {PAGE}", "APIError: (a web page, “502 Bad Gateway”)"),
        (" plain \n", "plain"),
        (b"\xff", "\ufffd"),
        ("x" * 10_000, "x" * 500),
    ],
)
def test_the_gist(said, told):
    assert summarize(said) == told


@pytest.mark.parametrize("said", [None, {}, [], {"error": {}}, {"error": {"code": 5}}, {"detail": []}, "", 5])
def test_no_message(said):
    assert error_message(said) is None


@pytest.mark.parametrize("size", [1_000, 4_000_000])
def test_the_gist_of_a_hostile_page_takes_no_time(size):
    summarize("<html>" + "<" * size)
    summarize("<html>" + "<script" * size)
    summarize("<html><title" + "<title>" * size)
