"""Recordings under bad luck: keys in odd places, other line ends, a kill in the middle of a write, streams left."""

import asyncio
import base64
import gzip
import json

import pytest
from gateway import DONE, Said, chunk, serve, spoken
from patience import so_far, until

from amber_nb import Amber, CassetteMiss, ConfigError
from amber_nb.cassettes.file import Cassette, Interaction, dumps
from amber_nb.cassettes.match import fingerprint
from amber_nb.simulator import Server

KEY = "ambrs-exampletoken"


@pytest.fixture
def tape(tmp_path):
    return tmp_path / "cassettes" / "talk.jsonl"


def recorder(url, tape, **more):
    return Amber(mode=more.pop("mode", "record"), cassette=tape, base_url=url, api_key=KEY, max_retries=0, **more)


def player(tape):
    return Amber(mode="replay", cassette=tape)


def user(text):
    return [{"role": "user", "content": text}]


def record(tape, *pieces, prompt="Hello!", kind="text/event-stream", status=200):
    with serve(lambda asked: Said(list(pieces), status, kind)) as url:
        try:
            return recorder(url, tape).ask(prompt).text
        except Exception as error:
            return error


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF, by git"),
        pytest.param(lambda text: text.replace("}\n", "}  \n"), id="trailing blanks"),
        pytest.param(
            lambda text: "".join(json.dumps(json.loads(line), indent=None) + "\n" for line in text.splitlines()),
            id="by a formatter",
        ),
        pytest.param(
            lambda text: "".join(json.dumps(json.loads(line), sort_keys=True) + "\n" for line in text.splitlines()),
            id="keys sorted",
        ),
    ],
)
def test_a_file_that_was_only_formatted_otherwise_still_plays(tape, change):
    with Server() as gateway:
        text = recorder(gateway.base_url, tape).ask("Grüß Gott!").text
        recorder(gateway.base_url, tape).models()
    tape.write_bytes(change(tape.read_text(encoding="utf-8")).encode())
    amber = player(tape)
    assert amber.ask("Grüß Gott!").text == text
    assert len(amber.models()) == 3


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param([f"<html>{KEY} \xff</html>".encode("latin-1")], "text/html", id="no UTF-8"),
        pytest.param([chunk({"content": KEY}).replace(b"ambrs-", b"ambrs\\u002d")], "text/event-stream", id="escaped"),
        pytest.param([json.dumps({"error": {"message": KEY}}).encode()], "application/json", id="error"),
        pytest.param(
            [chunk({"content": "a"}), KEY[:9].encode(), KEY[9:].encode()], "text/event-stream", id="in pieces"
        ),
    ],
)
def test_the_key_hides_nowhere(tape, body, kind):
    record(tape, *body, kind=kind)
    lines = [json.loads(line) for line in tape.read_text(encoding="utf-8").splitlines()]
    plain = json.dumps(lines, ensure_ascii=False)
    assert KEY not in plain
    assert "ambrs" not in plain
    assert all(b"ambrs" not in base64.b64decode(line.get("base64", "")) for line in lines)


def test_the_key_of_a_copy_is_masked_too(tape):
    with serve(lambda asked: Said(list(spoken("Your key is key-of-another-team.", 99)))) as url:
        sdk = recorder(url, tape).openai.with_options(api_key="key-of-another-team")
        list(sdk.chat.completions.create(model="m", messages=user("Hello!"), stream=True))
    assert "another-team" not in tape.read_text(encoding="utf-8")


@pytest.mark.parametrize("cut", [0, 12])
def test_what_was_compressed_is_stored_plain(tape, cut):
    body = gzip.compress(b"".join(spoken(f"Your key is {KEY}. " * 50, 2_000)))

    def answer(asked):
        said = Said([body[: len(body) - cut]])
        said.kind = "text/event-stream\r\nContent-Encoding: gzip"
        return said

    with serve(answer) as url:
        try:
            live = recorder(url, tape).ask("Hello!").text
        except Exception as error:
            live = type(error)
    content = tape.read_text(encoding="utf-8")
    assert "base64" not in content
    assert KEY not in content
    try:
        replayed = player(tape).ask("Hello!").text
    except Exception as error:
        replayed = type(error)
    assert replayed == (live.replace(KEY, "***") if isinstance(live, str) else live)


def test_a_prompt_with_the_key_is_cached_once_and_replayed_where_the_key_is_known(tape, monkeypatch):
    asked = []

    def answer(prompt):
        asked.append(prompt)
        return Said(list(spoken("Well", 9)))

    with serve(answer) as url:
        for _ in range(2):
            recorder(url, tape, mode="cache").ask(f"Is it {KEY}?")
    assert len(asked) == 1
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    assert player(tape).ask(f"Is it {KEY}?").text == "Well"
    with pytest.raises(CassetteMiss) as error:
        player(tape).ask(f"Was it {KEY}?")
    assert KEY not in str(error.value)


def test_a_project_cannot_have_recordings_written_where_it_likes(tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    monkeypatch.setenv("AMBER_DOMAIN", "acme")
    for path in (tmp_path / "x.jsonl", "../x.jsonl", "~/x.jsonl"):
        (project / ".env").write_text(f"AMBER_MODE=record\nAMBER_CASSETTE={path}\n")
        with pytest.raises(ConfigError, match="below the working directory"):
            Amber()
    (project / ".env").write_text("AMBER_MODE=record\nAMBER_CASSETTE=tapes/x.jsonl\n")
    assert Amber().mode == "record"
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_a_kill_in_the_middle_of_a_write_costs_that_exchange_alone(tape):
    record(tape, *spoken("One", 9), prompt="one")
    whole = tape.read_bytes()
    # What a process leaves that was killed there: its note of where it began, and half of what it wrote.
    (tape.parent / ".talk.jsonl.begun").write_text(str(len(whole)))
    tape.write_bytes(whole + whole.splitlines()[1][:40])
    assert player(tape).ask("one").text == "One"
    record(tape, *spoken("Two", 9), prompt="two")
    amber = player(tape)
    assert [amber.ask("one").text, amber.ask("two").text] == ["One", "Two"]
    assert [path.name for path in tape.parent.iterdir()] == ["talk.jsonl"]


def test_others_that_add_to_the_file_do_not_make_us_forget(tape):
    said = iter(["first", "other", "second"])
    with serve(lambda asked: Said(list(spoken(next(said), 9)))) as url:
        amber = recorder(url, tape)
        amber.ask("X")
        line = tape.read_bytes().splitlines(keepends=True)
        tape.write_bytes(b"".join([*line, *(part.replace(b"X", b"Y") for part in line[1:])]))  # as another process
        recorder(url, tape)
        next(said)
        amber.ask("X")
    amber = player(tape)
    assert [amber.ask("X").text, amber.ask("X").text] == ["first", "second"]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_that_was_left_is_kept_at_the_end_of_the_cell(tape, way):
    with serve(lambda asked: Said(list(spoken("One two three", 4)))) as url:
        amber = recorder(url, tape)

        async def some():
            stream = await amber.async_openai.chat.completions.create(model="m", messages=user("Hello!"), stream=True)
            return stream, [piece async for piece, _ in _first(stream)]

        async def _first(stream):
            async for piece in stream:
                yield piece, None
                break

        if way == "sync":
            stream = amber.openai.chat.completions.create(model="m", messages=user("Hello!"), stream=True)
            first = next(iter(stream)).choices[0].delta.content
            amber._session.checkpoint()
            amber._session.checkpoint()
            assert json.loads(tape.read_text().splitlines()[-1])["end"]["how"] == "closed"
            rest = [piece.choices[0].delta.content or "" for piece in stream]
            assert first + "".join(rest) == "One two three"
        else:
            with asyncio.Runner() as runner:
                stream, _ = runner.run(some())
                amber._session.checkpoint()
                assert json.loads(tape.read_text().splitlines()[-1])["end"]["how"] == "closed"
                runner.run(stream.close())
    ends = [json.loads(line)["end"] for line in tape.read_text().splitlines() if line.startswith('{"end"')]
    assert len(ends) == 1
    assert ends[0]["how"] == ("whole" if way == "sync" else "closed")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        pytest.param(
            "\n".join(map(str, range(900))), "\n".join(map(str, [*range(899), "other"])), id="last of many lines"
        ),
        pytest.param("word " * 5_000 + "old", "word " * 5_000 + "new", id="end of a long line"),
        pytest.param("a" * 3_000_000, "a" * 2_999_999 + "b", id="3 MB"),
    ],
)
def test_a_miss_shows_what_differs_however_long(tape, was, now):
    record(tape, *spoken("Well", 9), prompt=was)
    with pytest.raises(CassetteMiss) as error:
        player(tape).ask(now)
    text = str(error.value)
    text.encode()
    lines = [line for line in text.splitlines() if line[:1] in ("+", "-") and line[:3] not in ("---", "+++")]
    assert lines
    assert len({line[1:] for line in lines}) == len(lines)
    assert len(text) < 10_000


def test_a_parameter_that_changed_is_seen_before_a_long_prompt(tape):
    record(tape, *spoken("Well", 9), prompt="\n".join(map(str, range(900))))
    with pytest.raises(CassetteMiss, match=r'\n\+ "temperature": 0'):
        player(tape).ask("\n".join(map(str, range(900))), temperature=0)


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_other_line_ends_keep_their_times(tape, clock, askings, end):
    def answer(asked):
        def pieces():
            for piece in list(spoken("word " * 2_000, 5))[:-2]:
                yield piece.replace(b"\n", end)
            until(lambda: len(so_far(askings[0])) == 10_000)
            clock.advance(3)
            yield chunk({}, "stop").replace(b"\n", end)

        return Said(pieces())

    with serve(answer) as url:
        recorder(url, tape).ask("Hello!")
    lines = tape.read_text(encoding="utf-8").splitlines()
    times = [json.loads(line)["t"] for line in lines if line.startswith('{"t"')]
    assert len(times) > 1_900
    assert times[-1] - times[-3] == 3
    assert player(tape).ask("Hello!").text == "word " * 2_000


@pytest.mark.parametrize("last", [[b"data:[DONE]\n\n"], [bytes([byte]) for byte in DONE]])
def test_a_stream_is_whole_however_its_done_came(tape, last):
    pieces = [*list(spoken("Well", 9))[:-1], *last]
    with serve(lambda asked: Said(pieces)) as url:
        list(recorder(url, tape).openai.chat.completions.create(model="m", messages=user("Hi"), stream=True))
    assert json.loads(tape.read_text().splitlines()[-1])["end"]["how"] == "whole"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"n": 1', '"n": Infinity'),
        ('"messages": 1', '"messages": -1'),
        ('"messages": 1', '"messages": true'),
        ('"status": 200', '"status": 1e400'),
        ('"path": "/chat/completions"', '"path": 5'),
        ('"amber_cassette": 1', '"amber_cassette": true'),
        ('"content-type": "text/event-stream"', '"content-type": "a\\nb"'),
    ],
)
def test_fields_of_the_wrong_kind_are_refused(tape, old, new):
    record(tape, *spoken("Well", 9))
    content = tape.read_text(encoding="utf-8")
    assert old in content
    tape.write_text(content.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match="line"):
        player(tape)


def test_what_a_killed_process_left_cuts_the_file_once(tape):
    """Its mark says how long the file was; a recording that replaces an earlier one makes it longer."""

    def interaction(text):
        steps = ((0.1, f'{{"text": "{text}"}}'.encode()),)
        return Interaction(request=fingerprint("POST", "/chat/completions", b"{}"), n=1, status=200, steps=steps)

    tape.parent.mkdir(parents=True, exist_ok=True)
    first = Cassette(tape)
    old = first.add(interaction("short"), dumps(interaction("short")))
    tape.with_name(f".{tape.name}.begun").write_text(str(tape.stat().st_size))
    tape.write_bytes(tape.read_bytes() + b'{"request": {"meth')
    longer = interaction("long " * 100)
    Cassette(tape).add(longer, dumps(longer), stale=[old])
    (kept,) = Cassette(tape).interactions
    assert kept.steps == longer.steps


@pytest.mark.parametrize(
    "old",
    [
        "<think>Hm.</think>\n\nHello",
        "Hm.\n</think>\n\nHello",
        [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hello"}],
    ],
)
def test_a_recording_from_when_thinking_went_back_still_plays(tape, old):
    body = {"model": "azure/gpt-5.4", "stream": True, "stream_options": {"include_usage": True}}
    assistant = {"role": "assistant", "content": old}

    def exchange(messages, text):
        request = {"method": "POST", "path": "/chat/completions", "n": 1, "messages": len(messages), "body": body}
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        return [
            {"request": request},
            *({"message": message} for message in messages),
            {"response": {"t": 0.0, "status": 200, "headers": {"content-type": "text/event-stream"}}},
            {"t": 0.0, "data": {"id": "c", "created": 1, "model": "m", "choices": [choice]}},
            {"t": 0.0, "raw": "data: [DONE]\n\n"},
            {"end": {"t": 0.0, "how": "whole"}},
        ]

    said = old if isinstance(old, str) else "Hello"
    lines = [
        {"amber_cassette": 1},
        *exchange(user("Hi"), said),
        *exchange([*user("Hi"), assistant, *user("And?")], "Good."),
    ]
    tape.parent.mkdir()
    tape.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    amber = player(tape)
    assert amber.ask("Hi").ask("And?").text == "Good."
    with pytest.raises(CassetteMiss):
        player(tape).ask([*user("Hi"), {"role": "assistant", "content": "Bye"}, *user("And?")])


def test_pictures_in_a_model_s_message_still_tell_requests_apart():
    def key(*parts):
        body = {"model": "m", "messages": [{"role": "assistant", "content": list(parts)}]}
        return fingerprint("POST", "/chat/completions", json.dumps(body).encode()).exact

    text = {"type": "text", "text": "Hello"}
    assert key(text, {"type": "image_url", "image_url": {"url": "https://a.example"}}) != key(text)
