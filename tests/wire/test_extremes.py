"""Answers nobody plans for: huge, in tiny pieces, without line ends or letters. Nothing is lost, nothing explodes."""

import hashlib
import json
import time
import tracemalloc

import nbformat
import pytest
from gateway import DONE, Said, chunk, serve, spoken
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_notebook, new_output

from amber_nb import Amber

PROSE = "Some *text* with `code` and a [link](https://x.org/y), as long as it may be, and on it goes.\n\n"
# name: (text, characters in a chunk)
EXTREMES = {
    "10 MB": (PROSE * (10_000_000 // len(PROSE)), 1_000),
    "one line of 5 MB": ("word " * 1_000_000, 5_000_000),
    "no space in 5 MB": ("x" * 5_000_000, 50_000),
    "100,000 tiny chunks": ("It is. " * 30_000, 2),
    "one character a chunk": ("Zażółć gęślą jaźń, 🙂 שלום.\n" * 1_000, 1),
    "NUL": ("a\x00b\x00\x00\n" * 20_000, 7),
    "controls": ("".join(map(chr, range(32))) * 2_000 + "\x7f\x9b", 5),
    "lone surrogates": ("a\ud800 b\udfff c\udc00\ud800 " * 5_000, 3),
    "right to left": ("\u202eevil\u202c \u2066\u202b\u2067x " * 10_000, 4),
    "one grapheme of 5 MB": ("e" + "\u0301" * 2_500_000, 1_000),
    "line ends": ("a\r\nb\rc\n\r\n\r\rd\u2028e\u2029f\x85" * 5_000, 3),
    "backslashes and quotes": ('\\"\\\\n\\u0041"' * 5_000, 3),
    "nothing": ("", 1),
}


@pytest.fixture(scope="module")
def base_url():
    """What each name stands for, and whatever a test puts under a name of its own."""
    with serve(lambda name: Said(SAID[name])) as url:
        yield url


@pytest.fixture(scope="module")
def amber(base_url):
    client = Amber(base_url=base_url, api_key="ambrs-exampletoken", max_retries=0)
    yield client
    client.close()


SAID = {}


def said(name, pieces):
    SAID[name] = list(pieces)
    return name


def check(answer, text):
    assert answer.text == text
    assert answer.completion.choices[0].message.content == (text or None) or not text
    assert answer.complete
    assert answer.finish_reason == "stop"
    return answer._repr_mimebundle_()


@pytest.mark.parametrize("name", EXTREMES)
def test_nothing_is_lost_and_the_notebook_can_be_written(amber, name, tmp_path):
    text, size = EXTREMES[name]
    bundle = check(amber.ask(said(name, spoken(text, size)), show=False), text)
    assert len(bundle["text/html"].encode()) <= 500_000
    cell = new_code_cell("x", outputs=[new_output("display_data", data=bundle)])
    path = tmp_path / "book.ipynb"
    nbformat.write(new_notebook(cells=[cell]), path)
    (output,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert dict(output.data) == bundle


def test_a_character_in_two_chunks_is_one(amber):
    """A gateway written in a language of UTF-16 may cut between the surrogates."""
    halves = "".join(f"{chr(0xD800 + n)}|{chr(0xDC00 + n)}" for n in range(256)).split("|")
    pieces = [chunk({"content": piece}) for piece in ("a", *halves, "z")]
    text = ("a" + "".join(halves) + "z").encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    bundle = check(amber.ask(said("halves", [*pieces, chunk(finish="stop"), DONE]), show=False), text)
    assert bundle["text/plain"] == text
    assert text in bundle["text/html"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_cut_at_every_byte(amber, end):
    text = 'Grüße 🌍\r\n‮x\x00 \\ " '
    events = b": hello\n\n" + b"".join(spoken(text, 2)).replace(b"\\ud83c\\udf0d", "🌍".encode())
    body = events.replace(b"\n", end)
    check(amber.ask(said("bytes", (body[at : at + 1] for at in range(len(body)))), show=False), text)
    for cut in range(1, len(body), 7):
        check(amber.ask(said("cut", [body[:cut], body[cut:]]), show=False), text)


# --- in a kernel that a person's front end talks to, whose view never comes


@pytest.fixture(scope="module")
def kernel(base_url):
    manager, client = start_new_kernel(kernel_name="python3")
    execute(
        client, f"from amber_nb import Amber\namber = Amber(base_url={base_url!r}, api_key='ambrs-x', max_retries=0)"
    )
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client, code):
    """What the cell shows: each state of its displays, the text it printed."""
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = client.session.msg("execute_request", content | {"stop_on_error": False}, metadata={"cellId": "a"})
    client.shell_channel.send(message)
    shown, printed = [], ""
    while True:
        reply = client.get_iopub_msg(timeout=60)
        kind, content = reply["msg_type"], reply["content"]
        if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if kind == "status" and content["execution_state"] == "idle":
            return shown, printed
        if kind == "error":
            raise AssertionError("\n".join(content["traceback"]))
        if kind in ("display_data", "update_display_data"):
            shown.append(content["data"])
        elif kind == "stream" and content["name"] == "stdout":
            printed += content["text"]


DIGEST = """
import hashlib
print(answer.complete, hashlib.sha256(answer.text.encode("utf-8", "surrogatepass")).hexdigest())
"""


def digest(text):
    return f"True {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}\n"


@pytest.mark.parametrize(
    "name", ["10 MB", "one line of 5 MB", "NUL", "lone surrogates", "right to left", "one grapheme of 5 MB"]
)
def test_it_is_shown_in_a_kernel(kernel, name):
    text, size = EXTREMES[name]
    shown, printed = execute(kernel, f"answer = amber.ask({said(name, spoken(text, size))!r})" + DIGEST)
    assert printed == digest(text)
    assert all(len(data.get("text/html", "").encode()) <= 500_000 for data in shown)
    assert sorted(shown[-1]) == ["text/html", "text/plain"]


@pytest.mark.parametrize("name", ["lone surrogates", "NUL", "right to left", "line ends"])
def test_it_is_shown_meanwhile(kernel, name):
    text, size = EXTREMES[name][0][:200], EXTREMES[name][1]

    class Slowly(list):
        def __iter__(self):
            for piece in super().__iter__():
                time.sleep(2.5 / len(self))
                yield piece

    SAID["slowly"] = Slowly(spoken(text, size))
    shown, printed = execute(kernel, "answer = amber.ask('slowly')" + DIGEST)
    assert printed == digest(text)
    assert any("live view is not available" in data.get("text/html", "") for data in shown)


@pytest.mark.parametrize(
    "message", ["a\ud800b", "\x00\x1b[2J\u202e", "x" * 100_000], ids=["surrogate", "controls", "long"]
)
def test_an_error_message_of_any_kind_is_told(kernel, message):
    fault = b"data: " + json.dumps({"error": {"message": message}}).encode() + b"\n\n"
    said("fault", [chunk({"content": "So far"}), fault])
    with pytest.raises(AssertionError, match="StreamCut"):
        execute(kernel, "amber.ask('fault')")


# --- time and memory: four times the text is four times the work


def prose(count):
    return spoken("It is. " * (count // 7 * 4), 4)


def reasoning(count):
    yield from (chunk({"reasoning_content": "Hm, "}) for _ in range(count))
    yield from spoken("So.", 4)


def arguments(count):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    yield chunk({"tool_calls": [call]})
    yield from (chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1234"}}]}) for _ in range(count))
    yield chunk(finish="tool_calls") + DONE


def long_line(count):
    return spoken("word " * count, 5 * count)


def cpu(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def ratio(measure, small, large):
    """One after the other, and the best of some: the machine is now faster, now slower."""
    return min(1 / measure(small) * measure(large) for _ in range(4 if measure is cpu else 1))


def body(events):
    """As few pieces as can be: what is measured is the reader, and the gateway is in the same process."""
    whole = b"".join(events)
    return [whole[at : at + 1_000_000] for at in range(0, len(whole), 1_000_000)]


@pytest.mark.parametrize("kind", [prose, reasoning, arguments, long_line], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("measure", [cpu, peak], ids=["time", "memory"])
def test_four_times_the_chunks(amber, kind, measure):
    small = 25_000 if measure is cpu else 10_000  # memory needs no rounds, but each takes ten times as long
    for name, count in (("small", small), ("large", 4 * small)):
        SAID[name] = body(kind(count))
    found = ratio(measure, lambda: amber.ask("small", show=False), lambda: amber.ask("large", show=False))
    print(f"{kind.__name__} {measure.__name__}: {found:.2f}")
    assert found <= 5


GREETED = """
import time
from amber_nb.show import live, stage
class Greeted(live.StreamView):
    def __init__(self, **how):
        super().__init__(**how)
        self.hello.set()
stage.StreamView = Greeted
def cpu(name):
    start = time.process_time()
    amber.ask(name)
    return time.process_time() - start
"""


def test_four_times_the_chunks_shown_live(kernel):
    for name, count in (("small", 25_000), ("large", 100_000)):
        SAID[name] = body(prose(count))
    execute(kernel, GREETED)
    try:
        # One after the other, and the best of some: the machine is now faster, now slower.
        _, printed = execute(kernel, "print(min(cpu('large') / cpu('small') for _ in 'abcd'))")
    finally:
        execute(kernel, "stage.StreamView = live.StreamView")
    print(f"live: {float(printed):.2f}")
    assert float(printed) <= 5
