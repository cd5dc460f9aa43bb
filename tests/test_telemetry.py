"""Spans by OpenTelemetry's conventions: what is on them, where they hang, and none without a provider."""

import asyncio
import json
import subprocess
import sys
import threading

import openai
import pytest
from gateway import DONE, chunk, spoken
from opentelemetry import trace
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from patience import PATIENCE_S, until, until_async
from scripted import calling

from amber_nb import Amber, StreamCut, tool

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Recorded:
    """The spans that have ended."""

    def __init__(self, exporter):
        self._exporter = exporter

    def __iter__(self):
        return iter(self._exporter.get_finished_spans())

    def __getitem__(self, name):
        (span,) = [span for span in self if span.name == name]
        return span

    def tree(self):
        """Pairs of a span's name and that of its parent, sorted."""
        names = {span.context.span_id: span.name for span in self}
        return sorted((span.name, names[span.parent.span_id] if span.parent else "") for span in self)


@pytest.fixture
def provider(monkeypatch):
    """A tracer provider of the program's, for this test alone: a real one is set up once for a process."""
    provider = TracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return provider


@pytest.fixture
def spans(provider):
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Recorded(exporter)


def span(name):
    return trace.get_tracer("test").start_as_current_span(name)


def told(text, **fields):
    """A reply with its usage, as the vendor tells it."""
    head = {"id": "chatcmpl-1", "model": "gpt-5.4-2026-03-05"}
    *events, _ = spoken(text, 5, **head)
    return [*events, b"data: " + json.dumps({**head, "choices": [], "usage": fields}).encode() + b"\n\n", DONE]


USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


def test_a_request_has_a_span_by_the_conventions(spans, script):
    amber = script(told("Hello", **USAGE))
    amber.ask("Hi", temperature=0.5, max_tokens=9, stop="END", seed=3, user="somebody")
    chat = spans["chat azure/gpt-5.4"]
    assert (chat.kind, chat.status.status_code) == (trace.SpanKind.CLIENT, trace.StatusCode.UNSET)
    assert chat.instrumentation_scope.name == "amber_nb"
    attributes = dict(chat.attributes)
    assert attributes.pop("server.port") > 0
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "azure/gpt-5.4",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 3,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-5.4-2026-03-05",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 16,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "server.address": "127.0.0.1",
        "amber_nb.mode": "live",
    }


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": None}, {"prompt_tokens": "many", "completion_tokens": 2.0}])
def test_a_usage_with_holes_is_told_as_far_as_it_goes(spans, script, usage):
    script(told("Hello", **usage)).ask("Hi")
    attributes = spans["chat azure/gpt-5.4"].attributes
    assert "gen_ai.usage.input_tokens" not in attributes
    assert attributes.get("gen_ai.usage.output_tokens") == (2 if "completion_tokens" in usage else None)


@pytest.mark.parametrize(
    ("model", "maker"), [("gpt-5.4", "openai"), ("anthropic/claude", "anthropic"), ("acme/law", "openai")]
)
def test_the_provider_is_told_by_the_models_prefix(spans, script, model, maker):
    script("Hello").ask("Hi", model=model)
    assert spans[f"chat {model}"].attributes["gen_ai.provider.name"] == maker


def get_weather(city: str) -> str:
    """Get the weather."""
    with span("thread"):
        return f"14 in {city}"


async def get_weather_async(city: str) -> str:
    """Get the weather."""
    await asyncio.sleep(0)
    with span("coroutine"):
        return f"14 in {city}"


@tool(serial=True)
def get_weather_serially(city: str) -> str:
    """Get the weather."""
    with span("cell"):
        return f"14 in {city}"


@tool(serial=True)
def list_weather(city: str):
    """List the weather."""
    with span("generator"):
        yield city


WEATHER = {
    get_weather: ("get_weather", "thread"),
    get_weather_async: ("get_weather_async", "coroutine"),
    get_weather_serially: ("get_weather_serially", "cell"),
    list_weather: ("list_weather", "generator"),
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("function", WEATHER, ids=lambda function: WEATHER[function][1])
def test_spans_hang_below_the_callers_and_those_of_a_tool_below_it(spans, script, function, is_async):
    name, inner = WEATHER[function]
    amber = script(calling((name, {"city": "Aachen"})), "Fine.")

    async def ask():
        with span("caller"):
            return await amber.ask_async("?", tools=function)

    if is_async:
        assert asyncio.run(ask()).text == "Fine."
    else:
        with span("caller"):
            assert amber.ask("?", tools=function).text == "Fine."
    assert spans.tree() == sorted(
        [
            ("caller", ""),
            ("chat azure/gpt-5.4", "caller"),
            ("chat azure/gpt-5.4", "caller"),
            (f"execute_tool {name}", "caller"),
            (inner, f"execute_tool {name}"),
        ]
    )
    ran = spans[f"execute_tool {name}"]
    assert ran.kind == trace.SpanKind.INTERNAL
    assert dict(ran.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": ran.attributes["gen_ai.tool.call.id"],
        "gen_ai.tool.description": ran.attributes["gen_ai.tool.description"],
        "amber_nb.mode": "live",
    }
    assert "weather" in ran.attributes["gen_ai.tool.description"]


def test_asks_at_the_same_time_keep_apart(spans, script):
    amber = script("Hello")

    async def ask(name):
        with span(name):
            await amber.ask_async(name)

    async def ask_all():
        await asyncio.gather(*(ask(name) for name in "abc"))

    asyncio.run(ask_all())
    assert [parent for name, parent in spans.tree() if name.startswith("chat")] == ["a", "b", "c"]


def test_an_ask_of_a_tool_hangs_below_the_tool(spans, script):
    inner = script("inner")

    def consult(question: str) -> str:
        return inner.ask(question, model="other").text

    script(calling(("consult", {"question": "?"})), "Fine.").ask("?", tools=consult)
    assert ("chat other", "execute_tool consult") in spans.tree()


def fail(secret: str) -> None:
    raise LookupError(secret)


def test_a_tool_that_fails_is_an_error_by_its_name_alone(spans, script):
    script(calling(("fail", {"secret": "hunter2"})), "Fine.").ask("?", tools=fail)
    failed = spans["execute_tool fail"]
    assert (failed.status.status_code, failed.attributes["error.type"]) == (trace.StatusCode.ERROR, "LookupError")
    assert "hunter2" not in failed.to_json()


def test_a_tool_that_takes_too_long_is_an_error(spans, script, clock):
    @tool(timeout_s=5)
    async def slow() -> None:
        clock.advance(5)
        await asyncio.Event().wait()

    script(calling(("slow", {})), "Fine.").ask("?", tools=slow)
    assert spans["execute_tool slow"].attributes["error.type"] == "timeout"


def test_a_call_that_does_not_run_has_no_span(spans, script):
    script(calling(("get_weather", {"town": 3})), "Fine.").ask("?", tools=get_weather)
    script(calling(("get_weather", {"city": "Aachen"})), "Fine.").ask(
        "?", tools=get_weather, require_approval=lambda _: False
    )
    assert {one.name for one in spans} == {"chat azure/gpt-5.4"}


def test_an_error_of_the_gateway_is_told_by_its_name_alone(spans, gateway):
    amber = Amber(base_url=gateway.base_url, api_key="ambrs-exampletoken", max_retries=0)
    with pytest.raises(openai.NotFoundError):
        amber.ask("the prompt", model="nothing-of-that-name")
    amber.close()
    failed = spans["chat nothing-of-that-name"]
    assert (failed.status.status_code, failed.attributes["error.type"]) == (trace.StatusCode.ERROR, "NotFoundError")
    assert not failed.events
    assert "the prompt" not in failed.to_json()


def test_a_reply_that_breaks_off_tells_what_came(spans, script):
    amber = script([chunk({"content": "Hel"}, id="chatcmpl-2")])
    with pytest.raises(StreamCut):
        amber.ask("?")
    cut = spans["chat azure/gpt-5.4"]
    assert (cut.attributes["error.type"], cut.attributes["gen_ai.response.id"]) == ("StreamCut", "chatcmpl-2")


def test_what_is_cancelled_ends_and_is_no_error(spans, script):
    held = threading.Event()

    def reply():
        yield chunk({"content": "Hel"}, id="chatcmpl-3")
        held.wait(PATIENCE_S)

    amber = script(reply)

    async def cancel():
        task = asyncio.ensure_future(amber.ask_async("?"))
        await until_async(lambda: (amber.usage_log["first_token_s"] > 0).any())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    held.set()
    until(lambda: list(spans))
    stopped = spans["chat azure/gpt-5.4"]
    assert (stopped.status.status_code, stopped.attributes["gen_ai.response.id"]) == (
        trace.StatusCode.UNSET,
        "chatcmpl-3",
    )
    assert "error.type" not in stopped.attributes


def test_lone_surrogates_do_not_stop_an_export(spans, script, monkeypatch):
    monkeypatch.setenv(CONTENT, "true")
    amber = script(calling(("f", {"\ud83d": "\ud83d"}, "\ud83d"), text="\ud83d"))
    amber.ask("?", tools={"type": "function", "function": {"name": "f"}})
    attributes = spans["chat azure/gpt-5.4"].attributes
    assert "\ufffd" in attributes["gen_ai.output.messages"]
    str(dict(attributes)).encode()


def test_an_answer_of_a_type_is_told_as_json(spans, script):
    script("5").ask("?", schema=int)
    assert spans["chat azure/gpt-5.4"].attributes["gen_ai.output.type"] == "json"


# Content


def test_no_content_without_the_conventions_variable(spans, script, monkeypatch):
    monkeypatch.setenv(CONTENT, "no_content")
    amber = script(calling(("get_weather", {"city": "Aachen"})), "Fine.")
    amber.ask("the question", system="the instruction", tools=get_weather)
    assert not [
        one for one in spans if any(word in one.to_json() for word in ("Aachen", "Fine", "question", "instruction"))
    ]


@pytest.mark.parametrize("value", ["true", "SPAN_ONLY", "span_and_event"])
def test_content_where_it_is_asked_for(spans, script, monkeypatch, value):
    monkeypatch.setenv(CONTENT, value)
    amber = script(calling(("get_weather", {"city": "Aachen"}, "call_1"), text="Wait."), "Fine.")
    amber.ask("the question", system="the instruction", tools=get_weather)
    first, second = [dict(one.attributes) for one in spans if one.name.startswith("chat")]
    assert json.loads(first["gen_ai.system_instructions"]) == [{"type": "text", "content": "the instruction"}]
    question = {"role": "user", "parts": [{"type": "text", "content": "the question"}]}
    assert json.loads(first["gen_ai.input.messages"]) == [question]
    call = {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": '{"city": "Aachen"}'}
    said = {"role": "assistant", "parts": [{"type": "text", "content": "Wait."}, call]}
    assert json.loads(first["gen_ai.output.messages"]) == [{**said, "finish_reason": "tool_calls"}]
    result = {"type": "tool_call_response", "id": "call_1", "response": "14 in Aachen"}
    assert json.loads(second["gen_ai.input.messages"]) == [question, said, {"role": "tool", "parts": [result]}]
    ran = spans["execute_tool get_weather"].attributes
    assert json.loads(ran["gen_ai.tool.call.arguments"]) == {"city": "Aachen"}
    assert ran["gen_ai.tool.call.result"] == "14 in Aachen"


def log_in(name: str, password: str) -> dict:
    return {"name": name, "token": "hunter3"}


def test_content_has_no_secrets_and_no_pictures(spans, script, monkeypatch):
    monkeypatch.setenv(CONTENT, "true")
    amber = script(calling(("log_in", {"name": "ada", "password": "hunter2"})), "Fine.")
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    link = {"type": "image_url", "image_url": {"url": "https://acme.example/a.png"}}
    amber.ask([{"role": "user", "content": [{"type": "text", "text": "?"}, picture, link]}], tools=log_in)
    everything = "".join(one.to_json() for one in spans)
    assert not [secret for secret in ("hunter2", "hunter3", "iVBORw0KGgo") if secret in everything]
    parts = json.loads(next(iter(spans)).attributes["gen_ai.input.messages"])[0]["parts"]
    assert [part["type"] for part in parts] == ["text", "blob", "uri"]


def test_a_projects_dotenv_cannot_ask_for_content(elsewhere):
    (elsewhere / ".env").write_text(f"{CONTENT}=true\n", encoding="utf-8")
    assert not Amber(mode="simulate")._config.trace_content


# Where there is no provider, and beside others


def test_without_a_provider_no_span_begins(script, monkeypatch):
    def begin(*_, **__):
        raise AssertionError("a span began")

    monkeypatch.setattr(trace.ProxyTracer, "start_span", begin)
    monkeypatch.setattr(trace.NoOpTracer, "start_span", begin)
    amber = script(calling(("here", {})), "Fine.")

    def here() -> str:
        return ""

    assert amber.ask("?", tools=here).text == "Fine."


def test_nothing_of_opentelemetry_is_looked_for_or_imported():
    code = """
import os, sys
os.environ.update(AMBER_MODE="simulate", AMBER_SIM_CHUNKS_PER_S="0")
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        assert not name.startswith(("opentelemetry", "genai_prices")), name
        asked.append(name)
asked = []
sys.meta_path.insert(0, Watch)
from amber_nb import Amber
amber = Amber()
amber.ask("Hello!")
amber.ask("What's the weather like in Aachen today?", tools=[{"type": "function", "function": {"name": "f"}}])
asked.clear()
amber.ask("Hello!")
assert asked == [], asked
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def instrumented(provider):
    """The SDK's classes as the official instrumentation leaves them."""
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


def test_an_instrumentation_of_the_sdk_adds_no_second_span(spans, instrumented, script):
    """The tests make an error of each warning."""
    amber = script("Hello")
    amber.ask("?")
    asyncio.run(amber.ask_async("?"))
    assert [one.instrumentation_scope.name for one in spans] == ["amber_nb"] * 2
    amber.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}], stream=True).close()
    assert [one.instrumentation_scope.name for one in spans][2:] == ["opentelemetry.instrumentation.genai.openai"]


def test_an_instrumentation_that_comes_later_neither(spans, provider, script):
    amber = script("Hello")
    amber.ask("?")
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        amber.ask("?")
    finally:
        instrumentor.uninstrument()
    assert [one.instrumentation_scope.name for one in spans] == ["amber_nb"] * 2
