"""Which recording a CassetteMiss names as the nearest: the one whose prompt is most alike."""

import base64
import json
import random

import pytest

from amber_nb import Amber, CassetteMiss
from amber_nb.cassettes.match import fingerprint
from amber_nb.cassettes.nearest import find_nearest
from amber_nb.simulator import Server

LONG = "\n".join(f"Paragraph {n} of the report that every question is about." for n in range(400))
SYSTEM = "You are a careful analyst. Answer in one sentence."


def key(*messages, path="/chat/completions", model="azure/gpt-5.4", **parameters):
    """A request; each message is a user's, or a pair of role and content."""
    pairs = [message if isinstance(message, tuple) else ("user", message) for message in messages]
    body = {"model": model, "messages": [{"role": role, "content": content} for role, content in pairs], **parameters}
    return fingerprint("POST", path, json.dumps(body).encode())


def image(data):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(data).decode()}"}}


def look(text, data):
    return key(("user", [{"type": "text", "text": text}, image(data)]))


TALK = ("Name three rivers.", ("assistant", "Rhine, Elbe, Oder."))
ASKED = [  # what is asked, which recording is the nearest, and the others
    (
        "one line",
        key("Summarise the report in 5 sentences."),
        key("Summarise the report in 3 sentences."),
        [key("List three rivers."), key("Translate 'good morning' into French.")],
    ),
    ("a word misspelt", key("colour"), key("color"), [key("red"), key("summer")]),
    ("one letter", key("Grüße aus Köln"), key("Gruesse aus Köln"), [key("Grüße an alle"), key("aus")]),
    ("signs alone", key("2 * 3 = ?"), key("2 + 3 = ?"), [key("What is the capital of France?"), key("7 - 1")]),
    (
        "without spaces",
        key("今日は良い天気ですね"),
        key("今日は悪い天気ですね"),
        [key("明日の予定は何ですか"), key("天気")],
    ),
    (
        "a long beginning",
        key(f"{LONG}\nWho wrote it?"),
        key(f"{LONG}\nWho wrote this?"),
        [key(f"{LONG}\nHow long is it?"), key(f"{LONG}\nSummarise."), key("Who wrote it?")],
    ),
    ("a long end", key(f"Who wrote it?\n{LONG}"), key(f"Who wrote this?\n{LONG}"), [key(f"How long?\n{LONG}")]),
    ("one of many lines", key(LONG.replace("raph 250", "raph X")), key(LONG), [key(LONG[:9_000]), key(LONG[9_000:])]),
    (
        "the system prompt",
        key(("developer", SYSTEM + " Be kind."), "Why?"),
        key(("developer", SYSTEM), "Why?"),
        [key(("developer", "Be brief."), "How?"), key(("developer", SYSTEM), "What is the capital of France?")],
    ),
    (
        "the last of several messages",
        key(*TALK, "And three lakes?"),
        key(*TALK, "And three hills?"),
        [key(*TALK, "Translate them into French."), key("Name three rivers."), key("Name three lakes.")],
    ),
    (
        "an earlier message",
        key("Name four rivers.", TALK[1], "And lakes?"),
        key(*TALK, "And lakes?"),
        [key("Name three rivers."), key(*TALK, "Which one is the longest of them all?")],
    ),
    ("the model", key("Hello!", model="b"), key("Hello!", model="a"), [key("Hello there!", model="b")]),
    (
        "the temperature",
        key("Hello!", temperature=1),
        key("Hello!", temperature=0),
        [key("Hello!", temperature=0, model="x", seed=3), key("Good night!", temperature=1)],
    ),
    (
        "one parameter of several",
        key("Hello!", model="a", temperature=1, seed=3),
        key("Hello!", model="a", temperature=0, seed=3),
        [key("Hello!", model="b", temperature=0, seed=4), key("Hello!")],
    ),
    (
        "another image",
        look("What is it?", b"new"),
        look("What is it?", b"old"),
        [look("Describe the colours.", b"old")],
    ),
    ("the same image", look("What is this?", b"cat"), look("What is that?", b"cat"), [look("What is that?", b"dog")]),
    ("another path", key("Hello!", path="/embeddings"), key("Bye!", path="/embeddings"), [key("Hello!")]),
    (
        "no messages",
        fingerprint("POST", "/x", b'{"input": "good day"}'),
        fingerprint("POST", "/x", b'{"input": "good"}'),
        [fingerprint("POST", "/x", b'{"input": "evening"}'), fingerprint("POST", "/x", b"")],
    ),
]


@pytest.mark.parametrize(("now", "nearest", "others"), [pytest.param(*case, id=name) for name, *case in ASKED])
def test_the_nearest_is_the_most_alike(now, nearest, others):
    for at in range(len(others) + 1):
        recorded = [*others[:at], nearest, *others[at:]]
        assert find_nearest(recorded, now) == at
    # In a large cassette, too, where few are compared word by word.
    dice = random.Random(3)
    crowd = [
        key(" ".join(dice.choices(["one", "two", "three", "four", "five", "six", "seven"], k=5))) for _ in range(300)
    ]
    assert find_nearest([*crowd, *others, nearest], now) == len(crowd) + len(others)


def test_of_equal_ones_the_first_is_named():
    assert find_nearest([key("a b"), key("a c"), key("a d")], key("a x")) == 0


def test_the_message_shows_the_difference_to_the_nearest(tmp_path):
    cassette = tmp_path / "c.jsonl"
    with Server() as server:
        amber = Amber(mode="record", cassette=cassette, base_url=server.base_url, api_key="ambrs-x")
        for prompt in ("List three rivers.", "Summarise the report in 3 sentences.", "Translate it."):
            amber.ask(prompt)
        amber.close()
    with pytest.raises(CassetteMiss) as miss:
        Amber(mode="replay", cassette=cassette).ask("Summarise the report in 5 sentences.")
    assert "in 3 sentences" in str(miss.value)
    assert "rivers" not in str(miss.value)
