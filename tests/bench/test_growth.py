"""What grows with its input grows in proportion to it: four times as much takes about four times the CPU time.

A ratio of two times of the same run, so that no machine is too slow for it.
"""

import gc
import json
import random
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakecomm import Comm
from gateway import DONE, chunk, serve, spoken
from gateway import Said as Reply
from kernels import execute, kernel_with

from amber_nb import Amber
from amber_nb.cassettes.file import Interaction, dumps
from amber_nb.cassettes.match import difference, fingerprint
from amber_nb.cassettes.nearest import find_nearest
from amber_nb.cassettes.recording import Recording
from amber_nb.display.answer_html import markdown_html
from amber_nb.display.comm import DeltaStream
from amber_nb.display.highlight import code_html
from amber_nb.display.layer import LiveLayer
from amber_nb.display.live_answer import LiveAnswer
from amber_nb.testing.drift import ReplySummary, Row, compare, judge, parse_comparator
from amber_nb.testing.report import diff_texts, render_html
from amber_nb.testing.similarity import split_words
from amber_nb.tools import to_tool_content
from amber_nb.tools.structured import JsonSchema
from amber_nb.types import ToolContent, ToolRun
from amber_nb.wire.accumulator import CompletionAccumulator
from amber_nb.wire.stream import SSEDecoder

sys.path.append(str(Path(__file__).parents[1] / "display"))
from pathological import PATHOLOGICAL

pytestmark = pytest.mark.slow

MOST = 5.5  # four is linear, sixteen is quadratic
SHORTEST_S = 0.05  # of a measured time: what is over sooner is done several times


def cpu(work, times=1):
    gc.collect()
    gc.disable()  # as timeit does: it looks through all that the process holds
    try:
        start = time.process_time()
        for _ in range(times):
            work()
        return time.process_time() - start
    finally:
        gc.enable()


def ratio(small, large):
    """One after the other: the machine is now faster, now slower."""
    small()  # once, what is made once
    times = 1
    while (took := cpu(small, times)) < SHORTEST_S:
        times *= 2
    return cpu(large, times) / took


# --- what is done to n of something: each makes its input, and gives what is measured


def answer(text, n):
    return partial(markdown_html, text(n))


def code(n):
    texts = [("x = f(y)\n" * (n // 9), language) for language in ("python", "c", "java", "sql", "bash", "html")]
    return lambda: [code_html(*text) for text in texts]


@pytest.fixture(autouse=True)
def layer(monkeypatch):
    """A layer without a kernel."""
    monkeypatch.setattr(LiveLayer, "open", lambda self: setattr(self, "comm", Comm()))
    monkeypatch.setattr(LiveLayer, "current", None)


def read(n, events):
    """A reply of n events is read, as few pieces as can be."""
    body = b"".join(events(n))

    def work():
        decoder, fold = SSEDecoder(), CompletionAccumulator()
        for at in range(0, len(body), 1_000_000):
            for event in decoder.feed(body[at : at + 1_000_000]):
                fold.feed(event)
        fold.close(1)
        return fold.completion()

    return work


def prose(n):
    return spoken("It is. " * (n // 7 * 4), 4)


def reasoning(n):
    yield from (chunk({"reasoning_content": "Hm, "}) for _ in range(n))
    yield from spoken("So.", 4)


def arguments(n):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    yield chunk({"tool_calls": [call]})
    yield from (chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1234"}}]}) for _ in range(n))
    yield chunk(finish="tool_calls") + DONE


def long_line(n):
    return spoken("word " * n, 5 * n)


STREAMS = [partial(read, events=events) for events in (prose, reasoning, arguments, long_line)]
NAMES = ["prose", "reasoning", "arguments", "one long line"]


@pytest.fixture(scope="module")
def gateway_of_chunks():
    """The base URL of a gateway that says `n` chunks for the prompt `n`, in as few pieces as can be."""
    bodies = {}

    def answer(prompt):
        if prompt not in bodies:
            body = b"".join(prose(int(prompt)))
            bodies[prompt] = [body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000)]
        return Reply(bodies[prompt])

    with serve(answer) as url:
        yield url


def missed(n):
    """What was asked is nearly what was recorded; it differs in the end."""
    old, new = (
        fingerprint(
            "POST", "/chat/completions", json.dumps({"messages": [{"role": "user", "content": text + end}]}).encode()
        )
        for text in ["\n".join(f"line {i}" for i in range(n))]
        for end in (" old", " new")
    )
    return partial(difference, old, new)


def nearest(n):
    """The nearest of n recordings, where all are much alike."""
    keys = [
        fingerprint("POST", "/x", json.dumps({"messages": [{"role": "user", "content": f"{i} of 3 " * 60}]}).encode())
        for i in range(n)
    ]
    return partial(find_nearest, keys, keys[-1])


def recorded(n):
    """An exchange on its way into a cassette, its lines ended as some gateways do."""
    pieces = [piece.replace(b"\n", b"\r") for piece in prose(n)]
    draft = Interaction(request=fingerprint("POST", "/chat/completions", b"{}"), n=1, status=200, headers={})

    def work():
        kept = []
        tape = Recording(draft, kept.append)
        for piece in pieces:
            tape.add(piece)
        tape.end()
        return dumps(kept[0])

    return work


def chunks_fed(n):
    def feed():
        answer = LiveAnswer(title="m", on_stop=lambda: None)
        for _ in range(n):
            answer.feed("abcd")
        answer.close({"text/html": "", "text/plain": ""})

    return feed


def chunks_sent(n):
    def send():
        stream = DeltaStream(len)
        for number in range(n):
            stream.fresh.append("abcd")
            if number % 20 == 0:
                stream.deliver(number)

    return send


def secrets(n):
    arguments = {"token": [f"aaaa{i}" for i in range(n)], "x": [f"b{i}" for i in range(n)]}
    return ToolRun(name="f", arguments=arguments, status="ran", sent="done", content=ToolContent(text="done")).redacted


def frame(n):
    return partial(to_tool_content, pd.DataFrame({"n": np.arange(n), "text": "x"}))


def unique_items(n):
    schema = JsonSchema({"properties": {"a": {"uniqueItems": True}}}, "f")
    return partial(schema.find_mistakes, {"a": [{"x": i} for i in range(n)]})


def pattern(n):
    return partial(JsonSchema({"properties": {"a": {"pattern": "^(a+)+$"}}}, "f").find_mistakes, {"a": "a" * n + "!"})


def words(n, seed):
    return " ".join(random.Random(seed).choices([f"word{i}" for i in range(3_000)], k=n))


def similar(n):
    return partial(judge, ReplySummary(text=words(n, 1)), [ReplySummary(text=words(n, 2))], parse_comparator("similar"))


MARKS = [
    "*a ",
    '"a ',
    "'a ",
    "_a ",
    "$a ",
    "([{",
    "|",
    "| |\n",
    "-",
    "[1,",
    "```\n",
    "<sup>",
    " ",
    "> ",
    "1 - ",
    "{\n",
    "$5",
]


def marks(text, n):
    return partial(split_words, text * n + "x")


def calls(n):
    one, other = (
        ReplySummary(text="", tool_calls=tuple(("f", json.dumps({"n": i})) for i in order) + more)
        for order, more in ((range(n), ()), (range(n - 1, -1, -1), (("g", "{}"),)))
    )
    return partial(compare, one, other, parse_comparator("tools"))


def beside(old, new, n):
    return partial(diff_texts, old(n), new(n))


def report(rows):
    return partial(render_html, rows, title="Drift", subtitle="24 November 2026")


def row(old, new, cell=1):
    recorded, runs = ReplySummary(text=old), (ReplySummary(text=new),)
    verdict = judge(recorded, runs, parse_comparator("exact"))
    at = {"notebook": "a.ipynb", "cell": cell, "call": 1, "prompt": "Hello?"}
    return Row(**at, how="exact", verdict=verdict, recorded=recorded, runs=runs)


def long_report(n):
    return report([row(*("\n".join(f"{word} {i} and {i * 7919 % 1000}" for i in range(n)) for word in ("one", "two")))])


def report_of_many(n):
    return report([row("Hello!", "Good day!", cell) for cell in range(1, n + 1)])


# Of more than 40,000 characters in a paragraph, or 20,000 brackets, nothing is made but text.
LIMITED = {"[", "![", "**a ", "$", "$a{ ", "[a](", "<", "<!--", "&amp;", "\\", "~~a ", "\u202e"}
LIMITED |= {
    "tags without an end",
    "tags in tags",
    "brackets in paragraphs",
    "nested images",
    "formulas without an end",
    "short rows",
}

GROWTH = [  # what, how much of it is done, and the n of the smaller one
    *[
        (f"answer: {name}", partial(answer, text), 2_500 if name in LIMITED else whole // 4)
        for name, (text, whole) in PATHOLOGICAL.items()
    ],
    ("code", code, 1_000),
    *[(f"stream: {name}", work, 25_000) for name, work in zip(NAMES, STREAMS, strict=True)],
    ("a request that was not recorded", missed, 2_000),
    ("the nearest recording", nearest, 1_000),
    ("an exchange that is recorded", recorded, 5_000),
    ("chunks fed to a view", chunks_fed, 25_000),
    ("chunks sent by a feed", chunks_sent, 10_000),
    ("secrets to hide", secrets, 2_000),
    ("rows of a frame", frame, 250_000),
    ("unique items of a schema", unique_items, 1_000),
    ("text for a pattern of a schema", pattern, 50_000),
    ("similar: words", similar, 500),
    *[(f"words of {text!r}", partial(marks, text), 2_500) for text in MARKS],
    ("tools: calls", calls, 1_000),
    ("side by side: words", partial(beside, partial(words, seed=1), partial(words, seed=2)), 3_000),
    (
        "side by side: lines",
        partial(beside, *(lambda n, seed=seed: words(n, seed).replace(" word1", "\nword1") for seed in (1, 2))),
        3_000,
    ),
    ("side by side: one word", partial(beside, lambda n: "a" * n, lambda n: "b" * n), 25_000),
    ("side by side: empty lines", partial(beside, lambda n: "\n" * n, lambda n: "x\n" * (n // 2)), 2_500),
    ("report: lines", long_report, 1_000),
    ("report: rows", report_of_many, 25),
]


@pytest.mark.parametrize(("work", "n"), [pytest.param(work, n, id=what) for what, work, n in GROWTH])
def test_four_times_as_much(work, n):
    small, large = work(n), work(4 * n)
    found = []
    while len(found) < 4 and (not found or found[-1] > MOST):
        found.append(ratio(small, large))
    print(f"{found[-1]:.2f}")
    assert min(found) <= MOST, found


def peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("work", STREAMS, ids=NAMES)
def test_four_times_the_stream_is_four_times_the_memory(work):
    assert peak(work(40_000)) / peak(work(10_000)) <= MOST


@pytest.mark.parametrize("mode", ["live", "record"])
def test_four_times_as_much_to_ask_for(gateway_of_chunks, mode, tmp_path):
    """The whole way through `ask`, and into a cassette."""
    where = {"cassette": tmp_path / "cassettes" / "a.jsonl"} if mode == "record" else {}
    amber = Amber(base_url=gateway_of_chunks, api_key="ambrs-x", max_retries=0, mode=mode, **where)
    asks = [partial(amber.ask, str(n), show=False) for n in (10_000, 40_000)]
    for ask in asks:
        ask()
    found = []
    while len(found) < 4 and (not found or found[-1] > MOST):
        found.append(ratio(*asks))
    amber.close()
    assert min(found) <= MOST, found


GREETED = """
import time
from amber_nb.display.layer import live_layer
live_layer().hello.set()
def cpu(prompt):
    start = time.process_time()
    amber.ask(prompt)
    return time.process_time() - start
cpu('25000'), cpu('100000')
print(min(cpu('100000') / cpu('25000') for _ in 'abcd'))
"""


def test_four_times_as_much_to_show_live(gateway_of_chunks):
    """In a kernel, with a layer that a page has."""
    with kernel_with(gateway_of_chunks) as client:
        _, printed = execute(client, GREETED)
    assert float(printed) <= MOST
