"""Every fault of the simulator through `ask`: nothing is silent, nothing foreign is raised, no text is lost.

All of them in this process, where no time passes; over HTTP those whose mechanism is the socket.
"""

import asyncio
import re

import openai
import pytest

from amber_nb import Amber, AmberError, BadReply, StreamCut
from amber_nb.simulator import FAULTS, Server

KEY = "ambrs-exampletoken"
WHOLE = "whole"
HALF = "Hello! How can"
ALL = "Hello! How can I help you today?"
# name: what `ask` makes of it, the text on the answer, words of the message or its notes, or the finish_reason
EXPECTED = {
    "cut-end": (StreamCut, HALF, "no finish_reason"),
    "cut-fin": (StreamCut, HALF, "the connection was closed"),
    "cut-reset": (StreamCut, HALF, "the connection broke"),
    "cut-mid-line": (StreamCut, HALF, "in the middle of an event"),
    "cut-json": (BadReply, HALF, "not a chat completion"),
    "cut-tool-call": (StreamCut, "", "no finish_reason"),
    "broken-gzip": (StreamCut, "", "compression is broken"),
    "only-done": (BadReply, "", "nothing before it"),
    "early-done": (StreamCut, HALF, r"\[DONE\] came in the middle"),
    "empty-body": (StreamCut, "", "nothing of a reply came"),
    "no-content": (BadReply, "", "no content"),
    "single-newlines": (BadReply, ALL, "no blank line"),
    "json-error": (BadReply, "", "The model is overloaded"),
    "json-detail": (BadReply, "", "The model is overloaded"),
    "html-page": (BadReply, "", "web page, “Sign in”.*AMBER_BASE_URL"),
    "html-in-stream": (StreamCut, HALF, "web page, “502 Bad Gateway”"),
    "server-error-text": (BadReply, HALF, "Internal Server Error"),
    "error-object": (StreamCut, HALF, "the gateway reported: The model is overloaded"),
    "event-error": (StreamCut, HALF, "the gateway reported: The model is overloaded"),
    "detail-event": (StreamCut, HALF, "the gateway reported: The model is overloaded"),
    "object-error": (StreamCut, HALF, "the gateway reported: The model is overloaded"),
    "invalid-utf8": (BadReply, HALF, "not a chat completion"),
    "choices-null": (BadReply, "", "no message in its choices"),
    "choices-empty": (BadReply, "", "no message in its choices"),
    "message-null": (BadReply, "", "no message in its choices"),
    "finish-null": (StreamCut, ALL, "no finish_reason"),
    "silence": (openai.APITimeoutError, None, "no answer from .* in time"),
    "stalled": (StreamCut, HALF, "nothing came for 0.3 s"),
    "only-pings": (StreamCut, "", "only keep-alives came for 0.3 s"),
    "endless-pings": (StreamCut, HALF, "only keep-alives came for 0.3 s"),
    "endless-event-pings": (StreamCut, HALF, "only keep-alives came for 0.3 s"),
    "length": (WHOLE, HALF, "length"),
    "content-filter": (WHOLE, HALF, "content_filter"),
    "content-filter-empty": (WHOLE, "", "content_filter"),
    "content-filter-nested": (WHOLE, HALF, "content_filter"),
    "redirect": (openai.APIStatusError, None, "on to elsewhere.invalid, and redirects are refused.*AMBER_BASE_URL"),
    "retry-after-1": (WHOLE, ALL, "stop"),
    "retry-after-61": (openai.RateLimitError, None, r"asks to wait 61 s, longer than max_wait_s \(60 s\)"),
    "retry-after-long": (openai.RateLimitError, None, r"asks to wait 300 s, longer than max_wait_s \(60 s\)"),
    "no-retry-after": (WHOLE, ALL, "stop"),
    "insufficient-quota": (openai.RateLimitError, None, "quota is used up"),
    "insufficient-quota-litellm": (openai.RateLimitError, None, "quota is used up"),
    "overloaded": (WHOLE, ALL, "stop"),
    "bad-gateway-html": (openai.InternalServerError, None, "the gateway or the model behind it failed"),
    "key-not-accepted": (openai.AuthenticationError, None, "does not accept the key"),
    "no-connected-db": (openai.BadRequestError, None, "does not accept the key"),
    "content-policy": (openai.BadRequestError, None, "content filter refused the prompt"),
    "keep-alives": (WHOLE, ALL, "stop"),
    "empty-data": (WHOLE, ALL, "stop"),
    "event-ping": (WHOLE, ALL, "stop"),
    "crlf": (WHOLE, ALL, "stop"),
    "cr": (WHOLE, ALL, "stop"),
    "bom": (WHOLE, ALL, "stop"),
    "split-utf8": (WHOLE, ALL, "stop"),
    "azure-first-chunk": (WHOLE, ALL, "stop"),
    "usage-without-choices": (WHOLE, ALL, "stop"),
    "usage-with-choices": (WHOLE, ALL, "stop"),
    "usage-after-done": (WHOLE, ALL, "stop"),
    "no-index": (WHOLE, ALL, "stop"),
    "tool-call-no-index": (WHOLE, "", "tool_calls"),
    "null-delta": (WHOLE, ALL, "stop"),
    "litellm": (WHOLE, ALL, "stop"),
    "no-done": (WHOLE, ALL, "stop"),
    "no-blank-line": (WHOLE, ALL, "stop"),
    "json-body": (WHOLE, ALL, "stop"),
    "strange-values": (WHOLE, ALL, "end_turn"),
    "one-event": (WHOLE, ALL, "stop"),
    "always-streamed": (WHOLE, ALL, "stop"),
}
# What comes where no stream was asked for, if it is not the same.
UNSTREAMED = {
    "cut-end": (StreamCut, "", "the connection was closed"),
    "cut-fin": (StreamCut, "", "the connection was closed"),
    "cut-reset": (StreamCut, "", "the connection broke"),
    "cut-mid-line": (StreamCut, "", "the connection was closed"),
    "cut-json": (StreamCut, "", "the connection was closed"),
    "only-done": (WHOLE, ALL, "stop"),
    "early-done": (WHOLE, ALL, "stop"),
    "single-newlines": (WHOLE, ALL, "stop"),
    "html-in-stream": (BadReply, "", "web page, “502 Bad Gateway”"),
    "server-error-text": (BadReply, "", "Internal Server Error"),
    "error-object": (BadReply, "", "The model is overloaded"),
    "event-error": (BadReply, "", "overloaded"),
    "detail-event": (BadReply, "", "overloaded"),
    "object-error": (BadReply, "", "The model is overloaded"),
    "invalid-utf8": (BadReply, "", "not a chat completion"),
    "stalled": (StreamCut, "", "nothing came for 0.3 s"),
    "only-pings": (WHOLE, ALL, "stop"),
    "endless-pings": (WHOLE, ALL, "stop"),
    "endless-event-pings": (WHOLE, ALL, "stop"),
}
# In which nothing comes: they alone are read with little patience, as a busy machine makes any reply a late one.
SILENT = {"silence", "stalled", "only-pings", "endless-pings", "endless-event-pings"}
# What a connection does, and not the bytes on it; and one reply of each kind of body.
ON_THE_SOCKET = [
    *("cut-end", "cut-fin", "cut-reset", "cut-mid-line", "broken-gzip", "empty-body", "no-content", "split-utf8"),
    *("silence", "stalled", "endless-pings", "redirect", "bad-gateway-html", "json-body", "crlf"),
]
ONCE_MORE = {"retry-after-1", "retry-after-61", "retry-after-long", "no-retry-after", "overloaded"} | {
    name for name in FAULTS if "quota" in name
}


# On a socket half a reply may be late.
PATIENT = {"silent": {"max_retries": 0, "timeout_s": 1}}


@pytest.fixture(scope="module")
def clients():
    """Over HTTP and in process, with and without another try."""
    with pytest.MonkeyPatch.context() as patch, Server() as server:
        patch.setenv("AMBER_SIM_CHUNKS_PER_S", "0")
        made = {}
        for kind, settings in {
            "plain": {"max_retries": 0, "timeout_s": 20},
            "once more": {"max_retries": 1, "timeout_s": 20},
            "silent": {"max_retries": 0, "timeout_s": 0.3},
        }.items():
            made["http", kind] = Amber(base_url=server.base_url, api_key=KEY, **PATIENT.get(kind, settings))
            made["in process", kind] = Amber(mode="simulate", **settings)
        yield made
        for client in made.values():
            client.close()


def test_the_table_is_whole():
    assert set(EXPECTED) == set(FAULTS)
    assert set(UNSTREAMED) < set(FAULTS)


def call(amber, verb, name, unstreamed=False, **ask):
    if unstreamed:
        ask["extra_body"] = {"stream": False, "stream_options": None}
    asked = getattr(amber, verb)("Hello!", model=f"fault/{name}", show=False, **ask)
    return asyncio.run(_awaited(asked)) if verb == "ask_async" else asked


async def _awaited(coroutine):
    return await coroutine


BOTH = pytest.mark.parametrize("unstreamed", [False, True], ids=["streamed", "not streamed"])


@pytest.mark.parametrize("name", FAULTS)
@BOTH
@pytest.mark.parametrize("verb", ["ask", "ask_async"])
def test_every_fault(clients, fast_clock, verb, unstreamed, name):
    check(clients, "in process", verb, unstreamed, name)


@pytest.mark.parametrize("name", [name for name in ON_THE_SOCKET if name not in SILENT])
@BOTH
@pytest.mark.parametrize("verb", ["ask", "ask_async"])
def test_every_fault_of_a_connection(clients, verb, unstreamed, name):
    check(clients, "http", verb, unstreamed, name)


@pytest.mark.parametrize("name", [name for name in ON_THE_SOCKET if name in SILENT])
def test_a_connection_on_which_nothing_comes(clients, name):
    """On the machine's clock, and so once each: a real socket says nothing for a second."""
    check(clients, "http", "ask", False, name)


def check(clients, door, verb, unstreamed, name):
    """Ask, and hold what comes against the table."""
    kind, text, says = UNSTREAMED.get(name, EXPECTED[name]) if unstreamed else EXPECTED[name]
    silent = name in SILENT and kind != WHOLE
    amber = clients[door, "silent" if silent else "once more" if name in ONCE_MORE else "plain"]
    before, asked = amber.last, len(amber.usage_log)
    if kind == WHOLE:
        answer = call(amber, verb, name, unstreamed)
        assert (answer.text, answer.finish_reason, answer.complete) == (text, says, True)
        assert amber.last is answer
        assert answer.completion.choices[0].finish_reason == says
        assert (answer.completion.choices[0].message.content or "") == text
        return
    with pytest.raises(kind) as info:
        call(amber, verb, name, unstreamed)
    error = info.value
    assert isinstance(error, (AmberError, openai.OpenAIError))
    told = "\n".join([str(error), *getattr(error, "__notes__", ())])
    assert re.search(says.replace("0.3 s", "1 s") if door == "http" else says, told), told
    assert KEY not in told
    assert "x=1" not in told  # the query of a redirect
    if text is None:
        assert len(amber.usage_log) == asked + 1  # raised at once, where another try was allowed too
        return
    assert isinstance(error, (StreamCut, BadReply))
    assert (error.answer.text, error.answer.complete) == (text, False)
    assert amber.last is (error.answer if text else before)


def test_a_fault_may_come_in_any_text(clients):
    """Letters of several bytes, cut in the middle."""
    for client in (clients["http", "plain"], clients["in process", "plain"]):
        whole = client.ask("Tell me about Zürich – 🌍!", show=False).text
        assert "Zürich – 🌍" in whole
        assert client.ask("Tell me about Zürich – 🌍!", model="fault/split-utf8", show=False).text == whole


def test_usage_comes_in_every_dialect(clients):
    for name in ("usage-without-choices", "usage-with-choices", "usage-after-done", "litellm", "json-body"):
        assert call(clients["http", "plain"], "ask", name).usage.total_tokens > 0


def test_a_tool_call_without_an_index_is_whole(clients):
    (said,) = call(clients["http", "plain"], "ask", "tool-call-no-index").messages[-1]["tool_calls"]
    assert said["function"] == {"name": "get_current_weather", "arguments": '{"location":"Aachen"}'}


@pytest.mark.parametrize("unstreamed", [False, True])
@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("length", "cut off at the limit of tokens"),
        ("content-filter", "cut off by the content filter"),
        ("content-filter-empty", "cut off by the content filter"),
        ("cut-end", "the reply ended early"),
    ],
)
def test_why_a_reply_ended_is_marked_in_the_output(clients, name, mark, unstreamed, capsys):
    client = clients["in process", "plain"]
    if name == "cut-end":
        with pytest.raises(StreamCut) as info:
            call(client, "ask", name)
        answer = info.value.answer
    else:
        answer = call(client, "ask", name, unstreamed)
    bundle = answer._repr_mimebundle_()
    assert mark in bundle["text/html"]
    assert bundle["text/plain"].endswith(f"[{mark}]")
    if name == "content-filter-empty":
        client.ask("Hello!", model=f"fault/{name}", show=True)
        assert capsys.readouterr().out == f"[{mark}]\n"


@pytest.mark.parametrize("verb", ["ask", "sync", "async"])
def test_a_redirect_is_not_followed(verb, monkeypatch):
    seen = []
    with Server(log=seen.append) as target, Server() as server:
        elsewhere = target.base_url
        answer = FAULTS["redirect"].respond

        def redirect(plain):
            made = answer(plain)
            return type(made)(made.status, {**made.headers, "location": elsewhere + "/chat/completions?k=1"})

        monkeypatch.setitem(FAULTS, "redirect", type(FAULTS["redirect"])("to a real host", redirect))
        amber = Amber(base_url=server.base_url, api_key=KEY)
        question = {"model": "fault/redirect", "messages": [{"role": "user", "content": "Hello!"}]}
        ways = {
            "ask": lambda: amber.ask("Hello!", model="fault/redirect", show=False),
            "sync": lambda: amber.openai.chat.completions.create(**question),
            "async": lambda: asyncio.run(_closing(amber.async_openai, question)),
        }
        with pytest.raises(openai.APIStatusError) as info:
            ways[verb]()
        amber.close()
    assert info.value.status_code == 302
    assert seen == []


async def _closing(client, question):
    async with client:
        return await client.chat.completions.create(**question)
