"""Errors are one look: the reader's own lines and the message, in a notebook and in Python."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import pydoc
import sys
from pathlib import Path
from traceback import walk_tb as walk

import openai
import pytest
from pydantic import BaseModel, field_validator

sys.path.insert(0, str(Path(__file__).parent / "bench"))

import tracebacks as bench
from scripted import calling

from amber_nb import Amber, AmberError, ImageError, SchemaError, image_part, tool
from amber_nb import tracebacks as tracebacks_module
from amber_nb.chat import ask as ask_module

MOST_LINES = 15
MARKS_MORE = sys.version_info >= (3, 13)  # Python marks more of a line, and shows a call of many lines whole
# In plain Python the SDK's own frames stay, above the one that sends.
OF_THE_SDK = {"gateway down, streamed by .openai": 32 if MARKS_MORE else 20}
if MARKS_MORE:
    OF_THE_SDK["nothing recorded, .openai"] = 32


@pytest.fixture(scope="module")
def shown():
    return bench.table()


@pytest.mark.parametrize("name", bench.ERRORS)
def test_an_error_is_one_look(shown, name):
    short, long, script = shown[name]
    line = bench.ERRORS[name]
    for text, most in [
        (short, MOST_LINES),
        (long, MOST_LINES),
        (script, OF_THE_SDK.get(name, MOST_LINES)),
    ]:
        lines = text.strip().splitlines()
        if MARKS_MORE:
            lines = [each for each in lines if not each.strip() or each.strip(" ~^")]
        assert len(lines) <= most, text
        assert any(line in each for each in lines), text  # the reader's own line
        assert bench.OWN_LINES.get(name, "") in text
        assert "amber_nb/" not in text
        if name not in OF_THE_SDK and text is not script:
            assert "site-packages" not in text
    assert short.splitlines()[-1] in long  # the message, and its remedy, whatever the length of the cell


def frames(error):
    return [frame.f_globals["__name__"].partition(".")[0] for frame, _ in walk(error.__traceback__)]


def names(error):
    return [frame.f_code.co_name for frame, _ in walk(error.__traceback__)]


def test_the_nearest_cause_stays_without_its_frames(amber):
    down = Amber(base_url="http://127.0.0.1:9/v1", api_key="ambrs-x", max_retries=0)
    with pytest.raises(openai.APIConnectionError) as caught:
        down.ask("hello")
    cause = caught.value.__cause__
    assert type(cause).__name__ == "ConnectError"
    assert cause.__traceback__ is None
    assert frames(caught.value) == [__name__]
    # What the other layers said is still there for a program, and no longer printed.
    assert cause.__context__ is not None
    assert cause.__suppress_context__


CALLS = {
    "a frame's column": "__import__('pandas').Series(['401']).map(lambda text: gateway.ask(text).text)",
    "a thread pool": "list(__import__('concurrent.futures').futures.ThreadPoolExecutor(2).map(down.ask, ['a', 'b']))",
    "functions within functions": "deep(2)",
    "several at once": "await __import__('asyncio').gather(down.ask_async('a'), down.ask_async('b'))",
    "an ask within a policy": "gateway.ask('call', tools=weather, require_approval=lambda call: down.ask('x'))",
    "an interrupt in a policy": "gateway.ask('call', tools=weather, require_approval=interrupt)",
}
MORE = """
def deep(count):
    return deep(count - 1) if count else down.ask("x")

def interrupt(call):
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def shown_in_notebook(tmp_path_factory):
    """The tracebacks of calls in a kernel, and the lines of the first in other modes of IPython."""
    folder = tmp_path_factory.mktemp("calls")
    (folder / "team.py").write_text(bench.TEAM + MORE, encoding="utf-8")
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    modes = [f"%xmode {mode}" for mode in ("Plain", "Minimal", "Verbose")]
    cells = ["from team import *", *CALLS.values()]
    cells += [cell for mode in modes for cell in (mode, "down.ask('hello')")]
    with bench.serve(lambda text: bench.reply(text, bench.threading.Event())) as url:
        texts = bench.in_notebook(cells, folder, {"TABLE_URL": url, "TABLE_CASSETTE": str(folder / "empty.jsonl")})
    shown = dict(zip(CALLS, texts, strict=False))
    return shown | dict(zip(modes, texts[len(CALLS) + 1 :: 2], strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_no_frame_stands_between_the_readers_own(shown_in_notebook, name):
    text = shown_in_notebook[name]
    assert 4 < len(text.strip().splitlines()) <= MOST_LINES + 1, text
    assert CALLS[name] in text
    assert "site-packages" not in text
    assert "amber_nb/" not in text
    if name == "functions within functions":
        assert text.count("team.py") == 3
    if name == "an ask within a policy":
        assert text.count("amber: http") == 1  # the remedy of the client that failed


@pytest.mark.parametrize("mode", ["%xmode Plain", "%xmode Minimal", "%xmode Verbose"])
def test_each_mode_of_ipython_shows_the_message(shown_in_notebook, mode):
    text = shown_in_notebook[mode]
    assert "APIConnectionError: Connection error." in text
    assert "Unexpected exception" not in text


def test_an_awaited_error_is_short_too(simulated):
    async def ask():
        await simulated.ask_async("hello", temprature=0)

    with pytest.raises(TypeError, match="temperature") as caught:
        asyncio.run(ask())
    assert "amber_nb" not in frames(caught.value)


def test_full_shows_every_frame(simulated, monkeypatch):
    monkeypatch.setenv("AMBER_TRACEBACK", "full")
    with pytest.raises(TypeError) as caught:
        simulated.ask("hello", temprature=0)
    assert frames(caught.value).count("amber_nb") > 2
    assert not hasattr(caught.value, "_render_traceback_")


def test_a_dotenv_may_ask_for_every_frame(simulated, elsewhere):
    Path(".env").write_text("AMBER_TRACEBACK=full\n", encoding="utf-8")
    with pytest.raises(TypeError) as caught:
        simulated.ask("hello", temprature=0)
    assert "amber_nb" in frames(caught.value)


def test_a_fault_of_ours_keeps_its_frames(simulated, monkeypatch):
    ours = {"__name__": "amber_nb.chat.messages"}
    exec("def fail(*_): return {}['a fault']", ours)
    monkeypatch.setattr(ask_module, "messages_for", ours["fail"])
    with pytest.raises(KeyError) as caught:
        simulated.ask("hello")
    assert names(caught.value)[-3:] == ["ask", "__init__", "fail"]


def test_what_the_users_code_chained_stays(script):
    def policy(call):
        failure = OSError("503")
        failure.__cause__ = ValueError("root")
        raise RuntimeError("service down") from failure

    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(RuntimeError) as caught:
        script(calling(("add", {"a": 1, "b": 2}))).ask("?", tools=add, require_approval=policy)
    assert str(caught.value.__cause__.__cause__) == "root"


def test_an_error_with_a_rendering_of_its_own_keeps_it(script):
    class Drawn(Exception):
        def _render_traceback_(self):
            return ["drawn"]

    def policy(call):
        raise Drawn

    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(Drawn) as caught:
        script(calling(("add", {"a": 1, "b": 2}))).ask("?", tools=add, require_approval=policy)
    assert caught.value._render_traceback_() == ["drawn"]


def test_a_fault_of_ours_below_a_policy_keeps_its_frames(script, simulated, monkeypatch):
    ours = {"__name__": "amber_nb.chat.messages"}
    exec("def fail(*_): return {}['a fault']", ours)

    def add(a: int, b: int) -> int:
        return a + b

    def policy(call):
        return ours["fail"]()

    with pytest.raises(KeyError) as caught:
        script(calling(("add", {"a": 1, "b": 2}))).ask("?", tools=add, require_approval=policy)
    traceback = tracebacks_module._users_alone(caught.value)
    kept = [frame.f_code.co_name for frame, _ in walk(traceback)]
    assert kept[-2:] == ["policy", "fail"]


def test_the_key_stands_in_no_frame(monkeypatch):
    monkeypatch.setenv("AMBER_TRACEBACK", "full")
    with pytest.raises(TypeError) as caught:
        Amber(token="ambrs-secret", headers={"Authorization": "Bearer ambrs-secret"})
    ours = [frame for frame, _ in walk(caught.value.__traceback__) if frame.f_globals["__name__"] != __name__]
    assert ours
    assert "ambrs-secret" not in repr([frame.f_locals for frame in ours])


def test_frames_of_a_policy_and_what_it_calls_stay(script):
    def look_up(call):
        return {}[call.name]

    def policy(call):
        try:
            return look_up(call)
        except KeyError as error:
            raise LookupError("no such rule") from error

    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(LookupError) as caught:
        script(calling(("add", {"a": 1, "b": 2}))).ask("?", tools=add, require_approval=policy)
    assert names(caught.value)[1:] == ["policy"]
    assert names(caught.value.__cause__) == ["policy", "look_up"]


class Checked(BaseModel):
    stars: int

    @field_validator("stars")
    @classmethod
    def check_stars(cls, stars):
        return stars // 0


def test_what_a_validator_raised_is_the_cause(script):
    with pytest.raises(SchemaError) as caught:
        script('{"stars": 3}').ask("?", schema=Checked)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert names(caught.value.__cause__) == ["check_stars"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_short_error_can_be_copied(copied):
    with pytest.raises(ImageError) as caught:
        image_part("missing.png")
    assert str(copied(caught.value)) == str(caught.value)


@pytest.mark.parametrize(
    "call", [lambda: image_part("missing.png"), lambda: image_part(), lambda: tool(3), lambda: Amber(api_kee="x")]
)
def test_other_functions_raise_short_errors(call):
    with pytest.raises((AmberError, TypeError)) as caught:
        call()
    assert set(frames(caught.value)) == {__name__}


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("api_kee", "Did you mean api_key=?"),
        ("key", "Did you mean api_key=?"),
        ("token", "Did you mean api_key=?"),
        ("url", "Did you mean base_url=?"),
        ("timeout", "Did you mean timeout_s=?"),
        ("retries", "Did you mean max_retries=?"),
        ("tenant", "Did you mean domain=?"),
        ("temperature", r"amber.ask\(…, temperature=…\)"),
        ("display", "set AMBER_DISPLAY in the environment"),
        ("xyzzy", "Its keywords are domain, base_url, api_key"),
        ("max_tokens", r"belongs to one question, amber.ask\(…, max_tokens=…\)"),
        ("system", r"amber.ask\(…, system=…\)"),
        ("system_prompt", r"amber.ask\(…, system=…\)"),
        ("schema", r"amber.ask\(…, schema=…\)"),
        ("Temperature", r"amber.ask\(…, temperature=…\)"),
        ("temprature", r"amber.ask\(…, temperature=…\)"),
        ("image", r"amber.ask\(…, images=…\)"),
        ("extra_headers", r"amber.ask\(…, extra_headers=…\)"),
        ("AMBER_API_KEY", "Did you mean api_key=?"),
        ("OPENAI_API_KEY", "Did you mean api_key=?"),
        ("openai_base_url", "Did you mean base_url=?"),
        ("Api_Key", "Did you mean api_key=?"),
        ("AMBER_MODE", "Did you mean mode=?"),
        ("AMBER_DISPLAY", "set AMBER_DISPLAY in the environment"),
        ("api_base", "Did you mean base_url=?"),
        ("default_headers", "Did you mean headers=?"),
        ("organization", "Its keywords are"),
        ("max_retry", "Did you mean max_retries=?"),
        ("x" * 300, f"takes no '{'x' * 59}…'"),
    ],
)
def test_a_wrong_keyword_of_amber_gets_its_hint(keyword, hint):
    with pytest.raises(TypeError, match=hint) as caught:
        Amber(**{keyword: "ambrs-secret"})
    assert "ambrs-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("acme", "Amber(domain='acme')"),
        ("my-company", "Amber(domain='my-company')"),
        ("acme.ambersearch.de", "Amber(domain='acme.ambersearch.de')"),
        ("https://user:pass@acme.example/v1", "Amber(base_url=…)"),
        ("ambrs-exampletoken", "Amber(api_key=…)"),
        ("sk-1234", "Amber(api_key=…)"),
        ("aB3dE5f7G9h1J2k3L4m5", "Amber(api_key=…)"),
        ("azure/gpt-5.4", "Amber(model='azure/gpt-5.4')"),
        ("replay", "Amber(mode='replay')"),
        ("runs/one.jsonl", "Amber(cassette=…)"),
        ("x" * 300, "Amber(api_key=…)"),
        ("Tell me a joke.", "Amber(domain='acme')"),
        (3, "Amber(domain='acme')"),
        (None, "Amber(domain='acme')"),
    ],
)
def test_a_value_without_a_keyword_gets_its_hint(value, hint):
    with pytest.raises(TypeError) as caught:
        Amber(value)
    assert str(caught.value) == f"Amber() takes keywords alone: {hint}."
    assert set(frames(caught.value)) == {__name__}


def test_help_shows_no_catch_all():
    assert [each.kind for each in inspect.signature(Amber).parameters.values()] == [inspect.Parameter.KEYWORD_ONLY] * 12
    help_text = pydoc.render_doc(Amber, renderer=pydoc.plaintext)
    assert "unnamed" not in help_text
    assert "unknown:" not in help_text
