"""Recording and replaying, through the SDK's clients and through `ask`: the same replies, no network, no key."""

import asyncio
import base64
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import openai
import pytest
from gateway import DONE, Said, chunk, serve, spoken
from patience import so_far, until, until_async
from PIL import Image

from amber_nb import Amber, CassetteMiss, ConfigError, StreamCut
from amber_nb.simulator import Server

KEY = "ambrs-exampletoken"
MODEL = "azure/gpt-5.4"


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "cassettes" / "talk.jsonl"


def recorder(url, tape, **more):
    return Amber(mode="record", cassette=tape, base_url=url, api_key=KEY, max_retries=0, **more)


def player(tape):
    return Amber(mode="replay", cassette=tape)


def user(text):
    return [{"role": "user", "content": text}]


def talk(amber):
    """One of everything."""

    async def several():
        answers = await asyncio.gather(*(amber.ask_async(f"Count to {n}") for n in (3, 3, 4)))
        streamed = await amber.async_openai.chat.completions.create(model=MODEL, messages=user("Hi"), stream=True)
        pieces = [piece async for piece in streamed]
        await amber.async_openai.close()
        return [answer.completion for answer in answers] + pieces

    create = amber.openai.chat.completions.create
    said = [amber.ask("Hello!").completion, amber.ask("Hello!").ask("And then?").completion]
    said += [create(model=MODEL, messages=user("Hello!")), *create(model=MODEL, messages=user("Hello!"), stream=True)]
    said += asyncio.run(several())
    with pytest.raises(openai.NotFoundError) as error:
        create(model="unknown", messages=user("Hello!"))
    return [*said, str(error.value), amber.models().to_dict()]


def test_everything_comes_back_the_same_without_gateway_or_key(tape):
    with Server() as gateway:
        recorded = talk(recorder(gateway.base_url, tape))
    amber = player(tape)
    assert talk(amber) == recorded
    assert amber.mode == "replay"
    assert amber._session.unused == []
    assert set(amber.usage_log["mode"]) == {"replay"}
    assert amber.last.mode == "replay"


def test_a_replay_cannot_reach_a_network(tape, monkeypatch):
    with Server() as gateway:
        recorder(gateway.base_url, tape).ask("Hello!")

    def refuse(*arguments, **more):
        raise AssertionError("a socket was made")

    amber = player(tape)
    amber.ask("Hello!")  # the private loop has its own pair of sockets by now
    again = player(tape)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert again.ask("Hello!").text == "Hello! How can I help you today?"
    assert again.openai._client._transport._inner is None
    with pytest.raises(CassetteMiss):
        again.ask("Good evening!")


def test_the_file_can_be_read_by_a_person(tape):
    with Server() as gateway:
        recorder(gateway.base_url, tape).ask("Grüß Gott!\nWie geht es?", system="Be brief.")
    lines = tape.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"amber_cassette": 1}'
    assert lines[2] == '{"message": {"role": "developer", "content": "Be brief."}}'
    assert "Grüß Gott!" in lines[3]
    events = [json.loads(line) for line in lines[5:-2]]
    assert all(list(event) == ["t", "data"] for event in events)
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    assert json.loads(lines[-1])["end"]["how"] == "whole"


def test_the_key_is_nowhere(tape):
    """Not even where the gateway repeats it, whole or in a header."""
    with serve(lambda prompt: Said([*spoken(f"Your key is {KEY}.", 400)])) as url:
        amber = recorder(url, tape, headers={"X-Team": KEY})
        assert KEY in amber.ask(f"Is it {KEY}?").text
    assert KEY not in tape.read_text(encoding="utf-8")
    assert "Your key is ***." in tape.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        pytest.param([chunk({"content": "Hel"}), chunk({"content": "lo"})], "Hello", id="no finish_reason"),
        pytest.param([chunk({"content": "Hel"}), chunk({"content": "lo"})[:-9]], "Hel", id="mid-line"),
        pytest.param([chunk({"content": "Hel"}), b'data: {"error": {"message": "over"}}\n\n'], "Hel", id="error"),
        pytest.param([chunk({"content": "Gr\u00fc\u00df"}), b'data: {"x": "\xff"}\n\n'], "Grüß", id="no UTF-8"),
        pytest.param([b"<html>502</html>"], "", id="HTML"),
    ],
)
def test_a_bad_reply_comes_back_as_bad(tape, pieces, text):
    def ask(amber):
        with pytest.raises(Exception) as error:  # noqa: PT011 – compared below
            amber.ask("Hello!")
        return type(error.value), str(error.value), getattr(error.value.answer, "text", None)

    with serve(lambda prompt: Said(pieces)) as url:
        recorded = ask(recorder(url, tape))
    assert recorded[2] == text
    assert ask(player(tape)) == recorded


def test_a_broken_connection_comes_back_broken(tape):
    with pytest.raises(openai.APIConnectionError):
        recorder("http://127.0.0.1:9/v1", tape).ask("Hello!")
    with pytest.raises(openai.APIConnectionError) as error:
        player(tape).ask("Hello!")
    assert type(error.value.__cause__).__name__ == "ConnectError"


def test_equal_requests_come_back_in_their_order(tape):
    count = iter(range(10))
    with serve(lambda prompt: Said([*spoken(f"Number {next(count)}", 99)])) as url:
        amber = recorder(url, tape)
        recorded = [amber.ask("Say a number").text for _ in range(3)]
    amber = player(tape)
    assert [amber.ask("Say a number").text for _ in range(3)] == recorded == ["Number 0", "Number 1", "Number 2"]
    with pytest.raises(CassetteMiss, match=r"recorded 3 times .*asked once more"):
        amber.ask("Say a number")


def test_overlapping_requests_are_counted_when_they_begin(tape):
    """The first one asked is answered last, and is still the first."""
    slow = threading.Event()
    order = iter(["first", "second"])
    asked = []

    def say(prompt):
        mine = next(order)
        asked.append(mine)

        def pieces():
            yield chunk({"content": mine})
            if mine == "first":
                slow.wait(5)
            yield chunk(finish="stop")
            if mine == "second":
                slow.set()
            yield DONE

        return Said(pieces())

    async def both(amber):
        first = asyncio.ensure_future(amber.ask_async("Hello!"))
        if amber.mode == "record":
            await until_async(lambda: asked)  # it has arrived before the other is sent
        return [answer.text for answer in (await asyncio.gather(first, amber.ask_async("Hello!")))]

    with serve(say) as url:
        assert asyncio.run(both(recorder(url, tape))) == ["first", "second"]
    assert asyncio.run(both(player(tape))) == ["first", "second"]


def test_a_retried_attempt_is_superseded(tape):
    tries = iter([429, 503, 200])

    def say(prompt):
        status = next(tries)
        pieces = spoken("Here I am", 99) if status == 200 else [b'{"error": {"message": "busy"}}']
        return Said([*pieces], status, "text/event-stream" if status == 200 else "application/json")

    with serve(say) as url:
        sdk = recorder(url, tape).openai.with_options(max_retries=2)
        list(sdk.chat.completions.create(model="m", messages=user("Hello!"), stream=True))
    attempts = [
        json.loads(line)["request"].get("attempt", 0)
        for line in tape.read_text().splitlines()
        if line.startswith('{"request"')
    ]
    assert attempts == [0, 1, 2]
    amber = player(tape)
    sdk = amber.openai.with_options(max_retries=2)
    chunks = list(sdk.chat.completions.create(model="m", messages=user("Hello!"), stream=True))
    assert chunks[0].choices[0].delta.content == "Here I am"
    assert list(amber.usage_log["status"]) == [200]  # asked once: the SDK had nothing to wait for


def test_the_timing_comes_back_if_wanted(tape, monkeypatch, fast_clock):
    with serve(lambda prompt: Said([chunk({"content": "One"}), chunk(finish="stop")])) as url:
        recorder(url, tape).ask("Hello!")
    lines = [json.loads(line) for line in tape.read_text().splitlines()]
    pieces = [line for line in lines if "t" in line]
    pieces[0]["t"], pieces[-1]["t"] = 0.5, 7.5
    tape.write_text("".join(json.dumps(line) + "\n" for line in lines))
    player(tape).ask("Hello!")
    assert fast_clock.sleeps == []
    monkeypatch.setenv("AMBER_REPLAY_SPEED", "2")
    assert player(tape).ask("Hello!").total_s == pytest.approx(7.5 / 2)
    assert sum(fast_clock.sleeps) == pytest.approx(7.5 / 2)


def test_a_miss_names_the_line_that_differs_and_is_not_retried(tape):
    with Server() as gateway:
        amber = recorder(gateway.base_url, tape)
        amber.ask("Hello!")
        amber.ask("Classify:\nGreat pen\nAnswer in one word.", temperature=0)
    with pytest.raises(CassetteMiss) as error:
        player(tape).ask("Classify:\nGreat pencil\nAnswer in one word.", temperature=0)
    text = str(error.value)
    assert "\n-     Great pen\n+     Great pencil\n" in text
    assert "AMBER_MODE=record" in text
    amber = player(tape)
    with pytest.raises(CassetteMiss):
        amber.openai.with_options(max_retries=5).chat.completions.create(model=MODEL, messages=user("Good evening!"))
    assert len(amber.usage_log) == 1


def test_without_a_cassette_a_replay_says_how_to_record(tmp_path):
    (tmp_path / "talk.ipynb").write_text("{}")
    with pytest.raises(CassetteMiss, match=r"amber-nb record .*talk\.ipynb"):
        player(tmp_path / "cassettes" / "talk.jsonl")
    with pytest.raises(ConfigError, match=r"ends in \.jsonl"):
        Amber(mode="replay", cassette=tmp_path / "talk.yaml")
    with pytest.raises(ConfigError, match="AMBER_CASSETTE"):
        Amber(mode="replay")


def picture(**how):
    image = Image.new("RGB", (40, 30), "navy")
    image.putpixel((3, 4), how.pop("dot", (255, 0, 0)))
    file = io.BytesIO()
    image.save(file, "PNG", **how)
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def test_an_image_is_stored_by_its_digest_and_known_by_its_pixels(tape):
    with Server() as gateway:
        text = recorder(gateway.base_url, tape).ask(picture(compress_level=9)).text
    content = tape.read_text(encoding="utf-8")
    assert "base64" not in content
    assert "data:image/png sha256=" in content
    assert player(tape).ask(picture(compress_level=9)).text == text
    with pytest.warns(RuntimeWarning, match="encoded otherwise"):
        assert player(tape).ask(picture(compress_level=0)).text == text
    with pytest.raises(CassetteMiss, match="sha256"):
        player(tape).ask(picture(dot=(0, 255, 0)))


def test_what_a_tool_tells_is_taken_from_the_recording(tape, monkeypatch):
    def clock(time):
        call = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
        return [*user("How late is it?"), said, {"role": "tool", "tool_call_id": "1", "content": time}]

    with serve(lambda prompt: Said([*spoken(f"It is {prompt}.", 99)])) as url:
        recorder(url, tape).ask(clock("12:00"))
    assert player(tape).ask(clock("18:30")).text == "It is 12:00."
    monkeypatch.setenv("AMBER_REPLAY_TOOLS", "run")
    assert player(tape).ask(clock("12:00")).text == "It is 12:00."
    with pytest.raises(CassetteMiss, match="18:30"):
        player(tape).ask(clock("18:30"))


def test_cache_asks_once(tape):
    asked = []

    def say(prompt):
        asked.append(prompt)
        status = 500 if prompt == "fail" and asked.count("fail") == 1 else 200
        return Said([*spoken("Well", 9)], status)

    with serve(say) as url:
        for _ in range(2):
            amber = Amber(mode="cache", cassette=tape, base_url=url, api_key=KEY, max_retries=0)
            assert amber.ask("one").text == "Well"
            assert amber.ask("one").text == "Well"
        assert asked == ["one", "one"]
        amber = Amber(mode="cache", cassette=tape, base_url=url, api_key=KEY, max_retries=0)
        with pytest.raises(openai.InternalServerError):
            amber.ask("fail")
        assert amber.ask("fail").text == "Well"  # a failure is not kept for ever
    assert Amber(mode="cache", cassette=tape, base_url=url, api_key=KEY).ask("fail").text == "Well"


def test_recording_again_replaces(tape):
    with Server() as gateway:
        recorder(gateway.base_url, tape).ask("Hello!")
        recorder(gateway.base_url, tape).ask("Name three rivers")
    size = len(tape.read_bytes().splitlines())
    script = f"""
        from amber_nb import Amber
        amber = Amber(mode="record", cassette={str(tape)!r}, base_url=URL, api_key={KEY!r})
        amber.ask("Hello!")
    """
    with Server() as gateway:
        python(script.replace("URL", repr(gateway.base_url)))
    assert len(tape.read_bytes().splitlines()) == size
    assert player(tape).ask("Name three rivers").text


def python(script, **more):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60, **more)


def test_two_processes_record_to_one_file(tape):
    script = f"""
        import sys
        from amber_nb import Amber
        amber = Amber(mode="record", cassette={str(tape)!r}, base_url=URL, api_key={KEY!r})
        amber.ask(f"Process {{sys.argv[1]}} says 0")
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(1, 30):
            amber.ask(f"Process {{sys.argv[1]}} says {{n}}")
        amber.ask("Hello!")
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with Server() as gateway:
        code = textwrap.dedent(script.replace("URL", repr(gateway.base_url)))
        both = [subprocess.Popen([sys.executable, "-c", code, name], **pipes) for name in "AB"]
        # One that begins when the other has ended records anew what that one had asked.
        assert [one.stdout.readline() for one in both] == ["ready\n", "ready\n"]
        for one in both:
            one.stdin.write("go\n")
            one.stdin.flush()
        assert [one.communicate(timeout=60) and one.returncode for one in both] == [0, 0]
    amber = player(tape)
    for name in "AB":
        for n in range(30):
            amber.ask(f"Process {name} says {n}")
        amber.ask("Hello!")
    assert amber._session.unused == []


def test_a_crash_loses_the_exchange_in_flight_and_no_other(tape):
    under_way = threading.Event()

    def say(prompt):
        def endless():
            for n in range(100_000):
                yield chunk({"content": f"{n} " * 500})
                if n == 100:  # more than the sockets keep: the child is reading
                    under_way.set()

        return Said(endless() if prompt == "endless" else [*spoken("Fine", 9)])

    script = f"""
        from amber_nb import Amber
        amber = Amber(mode="record", cassette={str(tape)!r}, base_url=URL, api_key={KEY!r})
        amber.ask("one"), amber.ask("two")
        print("ready", flush=True)
        amber.ask("endless")
    """
    with serve(say) as url:
        code = textwrap.dedent(script.replace("URL", repr(url)))
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        assert under_way.wait(20)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    amber = player(tape)
    assert [amber.ask("one").text, amber.ask("two").text] == ["Fine", "Fine"]
    with pytest.raises(CassetteMiss):
        amber.ask("endless")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda lines: ["not json\n", *lines[1:]], "line 1: this is no JSON", id="foreign"),
        pytest.param(lambda lines: ['{"version": 1}\n', *lines[1:]], "line 1: this is no cassette", id="other JSON"),
        pytest.param(lambda lines: ['{"amber_cassette": 2}\n'], "line 1: the cassette has version 2", id="newer"),
        pytest.param(lambda lines: lines[:-1], "line 2 has no end", id="truncated"),
        pytest.param(lambda lines: [*lines[:-1], lines[-1][:9]], "the last line is not complete", id="torn"),
        pytest.param(lambda lines: [*lines[:3], "<<<<<<< HEAD\n", *lines[3:]], "line 4: ", id="merge conflict"),
        pytest.param(lambda lines: [*lines[:4], *lines[6:4:-1], "{}\n", *lines[7:]], "line 7: ", id="empty object"),
        pytest.param(lambda lines: [*lines[:1], *lines[2:]], 'line 2: a line with "request"', id="a line lost"),
    ],
)
@pytest.mark.parametrize("mode", ["record", "replay", "cache"])
def test_a_damaged_cassette_is_refused_by_line_and_left_alone(tape, mode, damage, says):
    with Server() as gateway:
        recorder(gateway.base_url, tape).ask("Hello!")
        spoiled = "".join(damage(tape.read_text(encoding="utf-8").splitlines(keepends=True)))
        tape.write_text(spoiled, encoding="utf-8")
        with pytest.raises(ConfigError, match=says) as error:
            Amber(mode=mode, cassette=tape, base_url=gateway.base_url, api_key=KEY)
    assert "cassettes/talk.jsonl" in str(error.value)
    assert str(tape.parent.parent) not in str(error.value)
    assert tape.read_text(encoding="utf-8") == spoiled


def test_where_nothing_can_be_written_nothing_is_asked(tmp_path):
    (tmp_path / "cassettes").write_text("in the way")
    with pytest.raises(ConfigError, match=r"cannot be read|cannot be written"):
        recorder("http://127.0.0.1:9/v1", tmp_path / "cassettes" / "talk.jsonl")


def test_a_full_disk_does_not_lose_the_answer(tape, monkeypatch):
    with Server() as gateway:
        amber = recorder(gateway.base_url, tape)
        amber.ask("Hello!")
        before = tape.read_bytes()
        monkeypatch.setattr("amber_nb.cassettes.file._write", lambda file, block: file.write(block[: len(block) // 2]))
        with pytest.warns(RuntimeWarning, match="not recorded in .*No space left"):
            assert amber.ask("Name three rivers").text
    assert tape.read_bytes() == before


def test_a_stopped_answer_comes_back_stopped(tape, askings):
    over = threading.Event()

    def say(prompt):
        def endless():
            yield chunk({"content": "One "})
            yield chunk({"content": "two "})
            over.wait(20)

        return Said(endless())

    async def stop(amber):
        task = asyncio.ensure_future(amber.ask_async("Count"))
        await until_async(
            lambda: askings and (come := askings[0]._loop.partial_result(cancelled=False).reply) and "two" in come.text
        )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        over.set()
        return amber.last

    with serve(say) as url:
        recorded = asyncio.run(stop(recorder(url, tape)))
    answer = player(tape).ask("Count")
    assert (answer.text, answer.finish_reason, answer.complete) == ("One two ", "cancelled", False)
    assert (recorded.text, recorded.finish_reason) == ("One two ", "cancelled")


def test_a_silence_comes_back_as_one(tape, clock, askings):
    def say(prompt):
        def pings():
            yield chunk({"content": "One"})
            until(lambda: "One" in so_far(askings[0]))
            while True:  # until the reader hangs up
                yield b": ping\n\n"
                clock.advance(0.1)

        return Said(pings())

    with serve(say) as url, pytest.raises(StreamCut) as recorded:
        recorder(url, tape).ask("Count", timeout_s=4)
    assert " came for 4 s" in str(recorded.value)
    with pytest.raises(StreamCut) as replayed:
        player(tape).ask("Count", timeout_s=4)
    assert str(replayed.value) == str(recorded.value)
    assert replayed.value.answer.text == "One"
