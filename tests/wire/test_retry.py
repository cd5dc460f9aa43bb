"""When `ask` tries again: the policy as a table, and the waiting as a reader meets it."""

import asyncio
import email.utils
import json
import os
import signal
import threading

import httpx2
import openai
import pytest

from amber_nb import Amber, ConfigError
from amber_nb import clock as the_clock
from amber_nb.chat.ask import AskRun
from amber_nb.simulator import Server
from amber_nb.types import RequestSent, Waiting
from amber_nb.wire.retry import RetryPolicy

KEY = "ambrs-exampletoken"
REQUEST = httpx2.Request("POST", "https://gateway.invalid/v1/chat/completions")
BACKOFF = "backoff"
NO = None


def refusal(status, headers=None, **error):
    response = httpx2.Response(
        status, headers=headers or {}, json={"error": {"message": "no", **error}}, request=REQUEST
    )
    return openai.OpenAI(api_key="x")._make_status_error_from_response(response)


def dated(seconds):
    """Made when it is needed: a date does not wait for its test."""
    return lambda: refusal(429, {"retry-after": email.utils.formatdate(the_clock.time() + seconds, usegmt=True)})


QUOTA = "OpenAIException - You exceeded your current quota, please check your plan and billing details."
AZURE = "You have exceeded the token rate limit of your current pricing tier. See https://aka.ms/oai/quotaincrease."
POLICY = {
    "408": (refusal(408), BACKOFF),
    "409": (refusal(409), BACKOFF),
    "429": (refusal(429), BACKOFF),
    "500": (refusal(500), BACKOFF),
    "529": (refusal(529), BACKOFF),
    "400": (refusal(400), NO),
    "401": (refusal(401), NO),
    "404": (refusal(404), NO),
    "302": (refusal(302), NO),
    "timeout": (openai.APITimeoutError(REQUEST), BACKOFF),
    "no connection": (openai.APIConnectionError(request=REQUEST), BACKOFF),
    "seconds": (refusal(429, {"retry-after": "7"}), 7),
    "a fraction": (refusal(503, {"retry-after": "1.5"}), 1.5),
    "milliseconds": (refusal(429, {"retry-after-ms": "250", "retry-after": "7"}), 0.25),
    "bad milliseconds": (refusal(429, {"retry-after-ms": "x", "retry-after": "7"}), 7),
    "a date": (dated(20), 20),
    "a date gone by": (dated(-20), BACKOFF),
    "at once": (refusal(429, {"retry-after": "0"}), BACKOFF),
    "below 0": (refusal(429, {"retry-after": "-5"}), BACKOFF),
    "not a number": (refusal(429, {"retry-after": "nan"}), BACKOFF),
    "nonsense": (refusal(429, {"retry-after": "soon"}), BACKOFF),
    "all that is allowed": (refusal(429, {"retry-after": "60"}), 60),
    "more": (refusal(429, {"retry-after": "60.5"}), NO),
    "for ever": (refusal(429, {"retry-after": "1e999"}), NO),
    "a far date": (dated(9_000), NO),
    "told to": (refusal(400, {"x-should-retry": "true"}), BACKOFF),
    "told not to": (refusal(503, {"x-should-retry": "false", "retry-after": "1"}), NO),
    "quota": (refusal(429, code="insufficient_quota"), NO),
    "quota by its type": (refusal(429, type="insufficient_quota", code=None), NO),
    "quota, and told to": (refusal(429, {"x-should-retry": "true"}, code="insufficient_quota"), NO),
    "quota in LiteLLM's words": (refusal(429, code="429", message=QUOTA), NO),
    "a budget": (refusal(429, type="budget_exceeded", code="429"), NO),
    "a rate that mentions quotas": (refusal(429, code="429", message=AZURE), BACKOFF),
}


@pytest.mark.parametrize("name", POLICY)
def test_the_policy(name, clock):
    error, expected = POLICY[name]
    wait = RetryPolicy(max_retries=2).next(error() if callable(error) else error)
    if expected is NO:
        assert wait is None
    elif expected == BACKOFF:
        assert 0.375 <= wait.seconds <= 0.5
        assert "Retry-After" not in wait.reason
    else:
        assert wait.seconds == expected
        assert wait.reason.endswith(", Retry-After")


def test_the_backoff_doubles_up_to_eight_seconds():
    retries = RetryPolicy(max_retries=9, max_wait_s=1_000)
    waits = [retries.next(refusal(500)).seconds for _ in range(9)]
    for wait, most in zip(waits, [0.5, 1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert 0.75 * most <= wait <= most
    assert retries.next(refusal(500)) is None


def test_the_waits_are_bounded_together_and_the_error_says_so():
    retries = RetryPolicy(max_retries=9, max_wait_s=60)
    assert retries.next(refusal(429, {"retry-after": "40"})).seconds == 40
    error = refusal(429, {"retry-after": "40"})
    assert retries.next(error) is None
    (note,) = error.__notes__
    assert note == "amber: the gateway asks to wait 40 s after 40 s of waiting, longer than max_wait_s (60 s)"
    assert RetryPolicy(max_retries=9, max_wait_s=0).next(refusal(500)) is None
    assert RetryPolicy(max_retries=0).next(refusal(500)) is None


class Busy:
    """A gateway that refuses as often as it is told, notes the header that counts, and then answers."""

    def __init__(self, *headers, body=None):
        self.counts, self._headers = [], list(headers)
        self._body = body or {"error": {"message": "busy"}}

    def __call__(self, request):
        self.counts.append(request.headers.get("x-stainless-retry-count"))
        if self._headers:
            return httpx2.Response(429, headers=self._headers.pop(0), json=self._body)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
        return httpx2.Response(200, json={"id": "1", "created": 1, "model": "m", "choices": [choice]})


@pytest.fixture
def busy(monkeypatch):
    """A client of a `Busy` gateway."""

    def client(gateway, **settings):
        made = Amber(base_url="https://gateway.invalid/v1", api_key=KEY, **settings)
        http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(gateway), event_hooks=made._log.async_hooks(), follow_redirects=False
        )
        monkeypatch.setattr("openai.DefaultAsyncHttpxClient", lambda **_: http)
        return made

    return client


SOON, LONG = {"retry-after": "3"}, {"retry-after": "30"}


def test_each_try_counts_itself_and_has_its_row(busy, fast_clock):
    gateway = Busy(SOON, SOON)
    amber = busy(gateway)
    assert amber.ask("Hello!").text == "Hi"
    assert gateway.counts == ["0", "1", "2"]
    assert fast_clock.sleeps == [1, 1, 1] * 2  # the reader is told each second
    assert list(amber.usage_log["status"]) == [429, 429, 200]


def test_a_count_of_the_callers_own_stays(busy, fast_clock):
    gateway = Busy(SOON)
    busy(gateway).ask("Hello!", extra_headers={"X-Stainless-Retry-Count": "7"})
    assert gateway.counts == ["7", "7"]


@pytest.mark.parametrize("settings", [{"max_retries": 0}, {"max_wait_s": 0}, {"max_retries": 1}])
def test_the_tries_are_bounded(busy, fast_clock, settings):
    gateway = Busy(*[SOON] * 9)
    with pytest.raises(openai.RateLimitError):
        busy(gateway, **settings).ask("Hello!")
    assert len(gateway.counts) == 1 + settings.get("max_retries", 0)


@pytest.mark.parametrize("where", ["client", "ask"])
def test_a_wait_that_is_too_long_is_not_begun(busy, clock, where):
    gateway = Busy(LONG)
    amber = busy(gateway, **({"max_wait_s": 29} if where == "client" else {}))
    with pytest.raises(openai.RateLimitError) as info:
        amber.ask("Hello!", **({"max_wait_s": 29} if where == "ask" else {}))
    assert info.value.__notes__[0] == "amber: the gateway asks to wait 30 s, longer than max_wait_s (29 s)"
    assert clock.sleeps == []
    assert len(gateway.counts) == 1


def test_a_wait_ends_on_the_machines_clock(busy):
    assert busy(Busy({"retry-after-ms": "40"})).ask("Hello!").text == "Hi"


@pytest.mark.parametrize("bad", [-1, "x", True, float("nan")])
def test_a_wait_that_is_none_is_named(bad, simulated):
    with pytest.raises(ConfigError, match="max_wait_s"):
        Amber(mode="simulate", max_wait_s=bad)
    with pytest.raises(ConfigError, match="max_wait_s"):
        simulated.ask("Hello!", max_wait_s=bad)
    assert simulated.usage_log.empty


@pytest.mark.parametrize("dialect", ["insufficient-quota", "insufficient-quota-litellm"])
def test_a_quota_that_is_used_up_is_asked_once(dialect):
    lines = []
    with Server(log=lines.append) as server:
        amber = Amber(base_url=server.base_url, api_key=KEY)
        with pytest.raises(openai.RateLimitError):
            amber.ask("Hello!", model=f"fault/{dialect}", show=False)
        amber.close()
    assert len(lines) == 1


@pytest.fixture
def once_it_waits(clock, askings):
    """Has something called with the ask once it waits, from another thread.

    The clock stands still, so nothing but what is called can end the wait.
    """
    threads = []

    def begin(act):
        def watch():
            clock.sleeper()
            act(askings[0])

        threads.append(threading.Thread(target=watch, daemon=True))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join(10)


def test_stop_while_it_waits_gives_an_empty_answer(busy, askings, once_it_waits):
    once_it_waits(AskRun._stop)
    answer = busy(Busy(LONG)).ask("Hello!")
    assert (answer.text, answer.finish_reason, answer.complete) == ("", "cancelled", False)


def test_cancelling_while_it_waits(busy, clock):
    async def cancelled():
        task = asyncio.ensure_future(busy(Busy(LONG)).ask_async("Hello!"))
        await asyncio.to_thread(clock.sleeper)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_while_it_waits(busy, once_it_waits):
    once_it_waits(lambda _: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        busy(Busy(LONG)).ask("Hello!")


def test_the_wait_is_counted_down_on_the_page(busy, fast_clock, monkeypatch):
    shown = []

    class Display:
        rest_s = poll_s = 0.0

        def __init__(self, **_):
            self.handle = shown.append

        def settle(self, bundle):
            shown.append(bundle["text/plain"])

    monkeypatch.setattr("amber_nb.chat.ask.display.NotebookDisplay", Display)
    monkeypatch.setattr("amber_nb.chat.ask.kernel.has_front_end", lambda: True)
    busy(Busy({"retry-after": "2.5"})).ask("Hello!", show=True)
    waits = [Waiting(left, "the gateway is busy, Retry-After") for left in (3, 2, 1)]
    assert shown == [RequestSent(), *waits, RequestSent(), "Hi"]
    assert fast_clock.sleeps == [0.5, 1.0, 1.0]


def test_what_cannot_be_connected_to_is_tried_again(busy, fast_clock):
    tried = []

    def gone(request):
        tried.append(json.loads(request.content)["model"])
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(openai.APIConnectionError):
        busy(gone, max_retries=1).ask("Hello!")
    assert len(tried) == 2
    assert len(fast_clock.sleeps) == 1


def test_a_refusal_that_breaks_off_is_an_error_of_the_sdk(busy):
    class Broken(httpx2.AsyncByteStream):
        async def __aiter__(self):
            yield b'{"error": '
            raise httpx2.RemoteProtocolError("gone")

    def answer(request):
        return httpx2.Response(400, stream=Broken(), request=request)

    with pytest.raises(openai.APIConnectionError, match="its reason cannot be read"):
        busy(answer, max_retries=0).ask("Hello!")
