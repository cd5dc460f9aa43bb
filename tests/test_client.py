"""Amber's verbs: what comes back, what is refused before anything is sent, and what a break leaves behind."""

import asyncio
import contextlib
import copy
import inspect
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings

import openai
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from patience import PATIENCE_S, until, until_async

from amber_nb import Amber, Answer, BadReply, StreamCut
from amber_nb.simulator import respond
from amber_nb.types import AskOptions, ChatParams

KEY = "ambrs-exampletoken"
BOTH = pytest.mark.parametrize("verb", ["ask", "ask_async"])


def ask(amber, verb, *args, **kwargs):
    call = getattr(amber, verb)(*args, **kwargs)
    return asyncio.run(_awaited(call)) if verb == "ask_async" else call


async def _awaited(coroutine):
    return await coroutine


@BOTH
@pytest.mark.parametrize("client", ["amber", "simulated"])
def test_hello(client, verb, request):
    amber = request.getfixturevalue(client)
    answer = ask(amber, verb, "Hello!")
    assert isinstance(answer, Answer)
    assert str(answer) == answer.text == "Hello! How can I help you today?"
    assert (answer.finish_reason, answer.complete, answer.mode, answer.refusal) == ("stop", True, amber.mode, None)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 <= answer.first_token_s <= answer.total_s
    assert amber.last is answer
    assert isinstance(answer.completion, openai.types.chat.ChatCompletion)
    assert answer.messages == [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello! How can I help you today?"},
    ]


def test_the_completion_is_the_one_that_is_not_streamed(amber):
    whole = amber.openai.chat.completions.create(
        model="azure/gpt-5.4", messages=[{"role": "user", "content": "Name a river"}]
    )
    streamed = amber.ask("Name a river").completion
    assert streamed.choices[0].message.content == whole.choices[0].message.content
    assert (streamed.model, streamed.usage, streamed.object) == (whole.model, whole.usage, whole.object)


def seen(monkeypatch):
    """The bodies that reach the simulator."""
    bodies = []

    def spy(request, **kwargs):
        bodies.append(__import__("json").loads(request.body))
        return respond(request, **kwargs)

    monkeypatch.setattr("amber_nb.simulator.respond", spy)
    return bodies


def test_what_is_sent(simulated, monkeypatch):
    bodies = seen(monkeypatch)
    simulated.ask("Hi", system="Be brief.", model="azure/gpt-5.4-mini", temperature=0.5, max_tokens=50)
    assert bodies == [
        {
            "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "model": "azure/gpt-5.4-mini",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "max_tokens": 50,
        }
    ]


def test_going_on_inherits_and_leaves_the_earlier_answer_alone(simulated, monkeypatch):
    bodies = seen(monkeypatch)
    first = simulated.ask("Hi", system="Be brief.", temperature=0.5)
    before = first.messages
    second = first.ask("and then?")
    again = first.ask("and then?", temperature=0.1)
    assert first.messages == before
    assert [len(body["messages"]) for body in bodies] == [2, 4, 4]
    assert [body["temperature"] for body in bodies] == [0.5, 0.5, 0.1]
    assert second.messages[:3] == before
    assert bodies[1]["messages"][-1] == {"role": "user", "content": "and then?"}
    third = asyncio.run(_awaited(again.ask_async("and?")))
    assert len(third.messages) == 7


def test_tool_calls_are_there_to_go_on_with(simulated):
    tool = {
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
        },
    }
    answer = simulated.ask("What's the weather like in Aachen today?", tools=[tool])
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.messages[-1]["tool_calls"]
    assert set(call) == {"id", "type", "function"}
    done = answer.ask([{"role": "tool", "tool_call_id": call["id"], "content": "14 °C"}])
    assert "14" in done.text


@BOTH
@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        (None, TypeError),
        (5, TypeError),
        (b"Hi", TypeError),
        ({"role": "user"}, TypeError),
        (["Hi"], TypeError),
        ([], ValueError),
        ([{"content": "Hi"}], ValueError),
        ([{"role": "robot", "content": "Hi"}], ValueError),
    ],
)
def test_a_prompt_of_the_wrong_type_is_refused_before_any_request(simulated, verb, prompt, error):
    with pytest.raises(error):
        ask(simulated, verb, prompt)
    assert len(simulated.usage_log) == 0


@BOTH
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("temprature", "Did you mean 'temperature'"),
        ("max_token", "Did you mean 'max_tokens'"),
        ("stream", "always streams"),
        ("timeout", "timeout_s"),
        ("messages", "first argument"),
        ("whatever_this_is", "extra_body"),
        ("only", r"tools=amber\.mcp\.select\(only='search'\)"),
        ("mcp", "MCP servers go into tools="),
    ],
)
def test_an_unknown_parameter_is_a_type_error_with_a_suggestion(simulated, verb, name, says):
    with pytest.raises(TypeError, match=says):
        ask(simulated, verb, "Hi", **{name: 1})
    assert len(simulated.usage_log) == 0


def test_nothing_is_printed_in_a_script(simulated, capfd):
    simulated.ask("Hello!")
    assert capfd.readouterr() == ("", "")
    simulated.ask("Hello!", show=True)
    assert capfd.readouterr().out == "Hello! How can I help you today?\n"


def test_several_at_once(simulated):
    async def all_of_them():
        return await asyncio.gather(*(simulated.ask_async(f"Question {n}") for n in range(20)))

    answers = asyncio.run(all_of_them())
    assert [answer.messages[0]["content"] for answer in answers] == [f"Question {n}" for n in range(20)]
    assert len({answer.text for answer in answers}) > 1


def test_from_many_threads(amber):
    texts = {}

    def one(n):
        texts[n] = amber.ask(f"Question {n}").text

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {n: amber.ask(f"Question {n}").text for n in range(8)}


def test_an_answer_is_immutable_and_pickles_without_its_client(simulated):
    answer = simulated.ask("Hello!")
    with pytest.raises(AttributeError):
        answer._reply = None
    with pytest.raises(AttributeError):
        answer.text = "other"
    data = pickle.dumps(answer)
    assert b"ambrs" not in data
    loaded = pickle.loads(data)
    assert loaded == answer
    assert (loaded.text, loaded.usage, loaded.messages) == (answer.text, answer.usage, answer.messages)
    with pytest.raises(RuntimeError, match=r"answer\.messages"):
        loaded.ask("and then?")


def read_request(connection):
    """All of it: what is closed with bytes unread is reset, and the client never sees the answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
    while len(body) < length:
        body += connection.recv(65536)


class Streaming:
    """A gateway that sends what it is told and tells when its client has gone."""

    def __init__(self, *pieces, kind="text/event-stream", hold=False):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        self.gone = threading.Event()
        self.sent = threading.Event()
        self._pieces, self._kind, self._hold = pieces, kind, hold
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _ = self.listening.accept()
        self._connection = connection
        with connection:
            read_request(connection)
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {self._kind}\r\nConnection: close\r\n\r\n".encode())
            for piece in self._pieces:
                connection.sendall(piece)
            self.sent.set()
            if self._hold:
                with contextlib.suppress(OSError):
                    connection.recv(1)  # returns when the client closes
                self.gone.set()

    def drop(self):
        self._connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        self.amber = Amber(base_url=self.url, api_key=KEY, max_retries=0)
        return self.amber

    def __exit__(self, *_):
        self.listening.close()
        self.amber.close()


HEL = b'data: {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'


@BOTH
@pytest.mark.parametrize(
    ("pieces", "kind", "error", "text"),
    [
        ([HEL], "text/event-stream", StreamCut, "Hel"),
        ([HEL, b'data: {"error": {"message": "overloaded"}}\n\n'], "text/event-stream", StreamCut, "Hel"),
        ([HEL, b"data: Internal Server Error\n\n"], "text/event-stream", BadReply, "Hel"),
        ([b"<html><body>Login</body></html>"], "text/html", BadReply, ""),
        ([b'{"error": {"message": "no"}}'], "application/json", BadReply, ""),
        ([b""], "text/event-stream", StreamCut, ""),
    ],
    ids=["cut", "fault", "garbage", "html", "json error", "empty"],
)
def test_a_reply_that_is_not_whole_is_never_silent(verb, pieces, kind, error, text):
    gateway = Streaming(*pieces, kind=kind)
    with gateway as amber:
        with pytest.raises(error) as info:
            ask(amber, verb, "Hello!")
        assert info.value.answer.text == text
        assert info.value.answer.complete is False
        if text:
            assert amber.last is info.value.answer
            assert amber.last.messages[-1] == {"role": "assistant", "content": text}


def test_a_whole_reply_to_a_streamed_request_is_taken():
    body = (
        b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": '
        b'[{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]}'
    )
    with Streaming(body, kind="application/json") as amber:
        assert amber.ask("Hello!").text == "Hi"


def test_cancelling_closes_the_request_and_keeps_the_text():
    gateway = Streaming(HEL, hold=True)

    async def cancelled(amber):
        task = asyncio.ensure_future(amber.ask_async("Hello!"))
        await until_async(lambda: (amber.usage_log["first_token_s"] > 0).any())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with gateway as amber:
        asyncio.run(cancelled(amber))
        assert gateway.gone.wait(PATIENCE_S)
        assert (amber.last.text, amber.last.finish_reason, amber.last.complete) == ("Hel", "cancelled", False)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_closes_the_request_and_keeps_the_text():
    gateway = Streaming(HEL, hold=True)

    def interrupt(amber):
        until(lambda: (amber.usage_log["first_token_s"] > 0).any())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with gateway as amber:
        threading.Thread(target=interrupt, args=(amber,), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            amber.ask("Hello!")
        assert gateway.gone.wait(PATIENCE_S)
        assert (amber.last.text, amber.last.finish_reason) == ("Hel", "cancelled")


ECHO = f'data: {{"error": {{"message": "bad key {KEY}"}}}}\n\n'.encode()


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([HEL, ECHO], "text/event-stream"),
        ([f"<html>{KEY}</html>".encode()], "text/html"),
        ([ECHO[6:]], "application/json"),
    ],
)
def test_a_key_that_the_gateway_echoes_is_masked(pieces, kind):
    with Streaming(*pieces, kind=kind) as amber:
        with pytest.raises((StreamCut, BadReply)) as info:
            amber.ask("Hello!")
        assert KEY not in "".join(traceback.format_exception(info.value))


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([HEL, b'data: {"id": "c", "choi'], StreamCut),
        ([HEL.replace(b'"Hel"', b"true")], BadReply),
        ([b'{"id": "1"}'], BadReply),
    ],
    ids=["in an event", "wrong kind", "no completion"],
)
def test_however_it_breaks_the_next_answer_is_shown(pieces, error, simulated, capsys):
    with Streaming(*pieces) as amber, pytest.raises(error):
        amber.ask("Hello!", show=True)
    capsys.readouterr()
    simulated.ask("Hello!", show=True)
    assert capsys.readouterr().out == "Hello! How can I help you today?\n"


def test_a_whole_reply_under_a_wrong_content_type_is_taken():
    body = b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, '
    body += b'"finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]}'
    with Streaming(body, kind="text/plain") as amber:
        assert amber.ask("Hello!").text == "Hi"


def test_a_slow_answer_does_not_hold_back_another_ones_display(simulated, capsys):
    slow_gateway = Streaming(HEL, hold=True)
    with slow_gateway as slow:

        def wait_for_it():
            with contextlib.suppress(StreamCut):
                slow.ask("Hello!", show=True)

        asking = threading.Thread(target=wait_for_it)
        asking.start()
        assert slow_gateway.sent.wait(10)
        simulated.ask("Hello!", show=True)
        assert "How can I help" in capsys.readouterr().out
        slow_gateway.drop()
        asking.join(10)


def test_a_lone_surrogate_can_be_shown_and_gone_on_from(capsys):
    piece = HEL.replace(b"Hel", rb"\ud83d!").replace(b'"index"', b'"finish_reason": "stop", "index"')
    with Streaming(piece) as amber:
        answer = amber.ask("Hello!", show=True)
    assert answer.text == "\ud83d!"
    assert capsys.readouterr().out == "\ufffd!\n"
    assert answer.messages[-1]["content"] == "\ufffd!"


def test_going_on_from_an_open_tool_call_is_explained(simulated):
    tool = {"type": "function", "function": {"name": "get_current_weather", "parameters": {"type": "object"}}}
    answer = simulated.ask("What's the weather like in Aachen today?", tools=[tool], tool_choice="required")
    with pytest.raises(ValueError, match=r"result of get_current_weather.*tool_call_id"):
        answer.ask("and?")


def test_new_instructions_replace_the_earlier_ones(simulated):
    answer = simulated.ask("Hi", system="Be brief.").ask("More", system="Be long.")
    assert [m["content"] for m in answer.messages if m["role"] == "developer"] == ["Be long."]


def test_nobody_changes_an_answer_from_outside(simulated):
    prompt = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    answer = simulated.ask(prompt)
    prompt[0]["content"][0]["text"] = "changed"
    answer.messages[0]["content"][0]["text"] = "changed"
    assert answer.messages[0]["content"][0]["text"] == "Hi"
    assert copy.copy(answer) is copy.deepcopy(answer) is answer


def test_a_pickle_holds_no_header(simulated):
    answer = simulated.ask("Hi", extra_headers={"X-Gate": KEY})
    assert KEY.encode() not in pickle.dumps(answer)


@pytest.mark.parametrize("given", [{"timeout_s": -1}, {"timeout_s": "x"}, {"extra_body": "abc"}])
def test_bad_options_are_named_before_anything_is_sent(simulated, given):
    with pytest.raises(Exception, match=next(iter(given))):
        simulated.ask("Hi", **given)
    assert simulated.usage_log.empty


def test_a_script_ends_cleanly(elsewhere, gateway):
    code = (
        "from amber_nb import Amber\n"
        f"amber = Amber(base_url={gateway.base_url!r}, api_key={KEY!r})\n"
        "amber.ask('Hello!'); amber.openai.models.list(); print(amber.last)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Hello! How can I help you today?\n")
    assert "Exception" not in done.stderr
    assert "ResourceWarning" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("client", ["simulated", "amber"])
def test_asking_after_a_fork(client, request):
    amber = request.getfixturevalue(client)
    amber.ask("Hello!")
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if amber.ask("Hello!").complete else 1)
        os._exit(2)
    ended = (0, 0)

    def child_ended():
        nonlocal ended
        ended = os.waitpid(pid, os.WNOHANG)
        return ended != (0, 0)

    try:
        until(child_ended)
    finally:
        if ended == (0, 0):
            os.kill(pid, signal.SIGKILL)
    assert ended == (pid, 0)


def test_models(simulated):
    models = simulated.models()
    assert list(models.columns) == ["id", "owned_by", "created"]
    assert "azure/gpt-5.4" in set(models["id"])


ACME = "https://acme.ambersearch.de/api/beta/openai/v1"


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("acme", ACME),
        ("acme.ambersearch.de", ACME),
        ("https://acme.ambersearch.de/", ACME),
        (ACME, ACME),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
    ],
)
def test_login(monkeypatch, elsewhere, typed, url):
    vault = {}

    class Keyring:
        @staticmethod
        def set_password(service, entry, value):
            vault[service, entry] = value

        @staticmethod
        def get_password(service, entry):
            return vault.get((service, entry))

    monkeypatch.setattr("amber_nb.login._keyring", lambda: Keyring)
    monkeypatch.setattr("builtins.input", lambda _: typed)
    monkeypatch.setattr("getpass.getpass", lambda _: KEY)
    monkeypatch.setenv("AMBER_SIM_CHUNKS_PER_S", "0")
    simulated = Amber(mode="simulate", model="azure/gpt-5.4-mini")
    last = simulated.ask("Hello!")
    simulated.login()
    assert (simulated.mode, simulated.base_url, simulated.model) == ("live", url, "azure/gpt-5.4-mini")
    assert (simulated.last, len(simulated.usage_log)) == (last, 1)
    fresh = Amber()
    assert (fresh.mode, fresh.base_url) == (simulated.mode, simulated.base_url)


def test_a_simulated_client_that_was_given_a_gateway_says_so(monkeypatch, elsewhere):
    monkeypatch.setenv("AMBER_MODE", "simulate")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody is looking: a run in CI is meant to be simulated
        Amber(domain="acme", api_key=KEY)
        monkeypatch.setattr("amber_nb.display.kernel.has_front_end", lambda: True)
        Amber()
        Amber(mode="simulate", domain="acme", api_key=KEY)
    with pytest.warns(UserWarning, match="mode='live'") as caught:
        Amber(domain="acme", api_key=KEY)
    assert [warning.filename for warning in caught] == [__file__]
    assert KEY not in str(caught[0].message)


@pytest.mark.parametrize("broken", [None, "raises"])
def test_login_without_a_keyring_says_so(monkeypatch, elsewhere, broken):
    class Keyring:
        @staticmethod
        def set_password(*_):
            raise OSError(f"no D-Bus for {KEY}")

    monkeypatch.setattr("amber_nb.login._keyring", lambda: Keyring if broken else None)
    monkeypatch.setattr("builtins.input", lambda _: "acme")
    monkeypatch.setattr("getpass.getpass", lambda _: KEY)
    with pytest.raises(Exception, match="AMBER_API_KEY") as info:
        Amber(mode="simulate").login()
    assert KEY not in str(info.value)
    assert info.value.__suppress_context__


def test_a_headless_keyring_counts_as_not_found(monkeypatch, elsewhere):
    class Keyring:
        @staticmethod
        def get_password(*_):
            raise RuntimeError("no backend")

    monkeypatch.setattr("amber_nb.login._keyring", lambda: Keyring)
    with pytest.raises(Exception, match="neither a domain nor a key"):
        Amber()


def test_completion_knows_the_parameters_of_ask(simulated):
    shell = InteractiveShell(user_ns={"amber": simulated})
    shell.Completer.use_jedi = False  # which reads the same signature, and takes two seconds to start
    for verb in ("ask", "ask_async"):
        with provisionalcompleter():
            found = [each.text for each in shell.Completer.completions(f"amber.{verb}(ima", len(f"amber.{verb}(ima"))]
        assert "images=" in found
        assert inspect.signature(getattr(simulated, verb)).parameters["max_rounds"].default == 8


def test_the_endpoints_parameters_are_typed():
    """Those of the SDK, but for what `ask` names otherwise or decides."""
    theirs = set(inspect.signature(openai.resources.chat.AsyncCompletions.create).parameters) - {"self"}
    assert set(AskOptions.__annotations__) >= theirs - {"messages", "stream", "stream_options", "timeout"}
    assert set(ChatParams.__annotations__) <= theirs
