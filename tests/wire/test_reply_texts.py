"""Answers nobody plans for: huge, in tiny pieces, without line ends or letters. Nothing is lost, nothing explodes."""

import hashlib
import json
import threading

import nbformat
import pytest
from gateway import DONE, Said, chunk, serve, spoken
from kernels import execute, kernel_with
from nbformat.v4 import new_code_cell, new_notebook, new_output

from amber_nb import Amber

PROSE = "Some *text* with `code` and a [link](https://x.org/y), as long as it may be, and on it goes.\n\n"
# name: (a text, how often it comes in the whole size, characters in a chunk)
TEXTS = {
    "10 MB": (PROSE, 10_000_000 // len(PROSE), 1_000),
    "one line of 5 MB": ("word ", 1_000_000, 5_000_000),
    "no space in 5 MB": ("x", 5_000_000, 50_000),
    "100,000 tiny chunks": ("It is. ", 30_000, 2),
    "one character a chunk": ("Zażółć gęślą jaźń, 🙂 שלום.\n", 1_000, 1),
    "NUL": ("a\x00b\x00\x00\n", 20_000, 7),
    "controls": ("".join(map(chr, range(32))) + "\x7f\x9b", 2_000, 5),
    "lone surrogates": ("a\ud800 b\udfff c\udc00\ud800 ", 5_000, 3),
    "right to left": ("\u202eevil\u202c \u2066\u202b\u2067x ", 10_000, 4),
    "one grapheme of 5 MB": ("\u0301", 2_500_000, 1_000),
    "line ends": ("a\r\nb\rc\n\r\n\r\rd\u2028e\u2029f\x85", 5_000, 3),
    "backslashes and quotes": ('\\"\\\\n\\u0041"', 5_000, 3),
    "nothing": ("", 1, 1),
}
# A twentieth of it shows as much, and the whole is run now and then.
SIZES = [pytest.param(20, id="a twentieth"), pytest.param(1, id="whole", marks=pytest.mark.slow)]


def text_of(name, part=20):
    """One of the texts, or a part of it, and how many characters come in a chunk."""
    text, count, size = TEXTS[name]
    return ("e" if text == "\u0301" else "") + text * -(-count // part), size


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


@pytest.mark.parametrize("part", SIZES)
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_lost_and_the_notebook_can_be_written(amber, name, part, tmp_path):
    text, size = text_of(name, part)
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
def test_events_cut_anywhere(amber, end):
    """At every byte at once, and at one in eleven by itself; at each by itself: test_sse.py."""
    text = 'Grüße 🌍\r\n‮x\x00 \\ " '
    events = b": hello\n\n" + b"".join(spoken(text, 2)).replace(b"\\ud83c\\udf0d", "🌍".encode())
    body = events.replace(b"\n", end)
    check(amber.ask(said("bytes", (body[at : at + 1] for at in range(len(body)))), show=False), text)
    for cut in range(1, len(body), 11):
        check(amber.ask(said("cut", [body[:cut], body[cut:]]), show=False), text)


# --- in a kernel that a person's front end talks to, whose view never comes


@pytest.fixture(scope="module")
def kernel(base_url):
    with kernel_with(base_url) as client:
        yield client


DIGEST = """
import hashlib
print(answer.complete, hashlib.sha256(answer.text.encode("utf-8", "surrogatepass")).hexdigest())
"""


def digest(text):
    return f"True {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}\n"


@pytest.mark.parametrize("part", SIZES)
@pytest.mark.parametrize(
    "name", ["10 MB", "one line of 5 MB", "NUL", "lone surrogates", "right to left", "one grapheme of 5 MB"]
)
def test_it_is_shown_in_a_kernel(kernel, name, part):
    text, size = text_of(name, part)
    shown, printed = execute(kernel, f"answer = amber.ask({said(name, spoken(text, size))!r})" + DIGEST)
    assert printed == digest(text)
    assert all(len(data.get("text/html", "").encode()) <= 500_000 for data in shown)
    assert sorted(shown[-1]) == ["text/html", "text/plain"]


@pytest.mark.parametrize("name", ["lone surrogates", "NUL", "right to left", "line ends"])
def test_it_is_shown_meanwhile(kernel, name):
    """No view comes to the page, as nobody is there: the safe HTML that stands in for it is seen before the end."""
    text, size = text_of(name)[0][:200], text_of(name)[1]
    refreshed = threading.Event()

    class Held(list):
        def __iter__(self):
            for number, piece in enumerate(super().__iter__()):
                if number == len(self) - 1:
                    refreshed.wait(20)
                yield piece

    def see(data):
        if "live view is not available" in data.get("text/html", ""):
            refreshed.set()

    SAID["held"] = Held(spoken(text, size))
    at_once = "from amber_nb.display import live\nlive.HELLO_S = 0\n"
    _, printed = execute(kernel, at_once + "answer = amber.ask('held')" + DIGEST, see)
    assert printed == digest(text)
    assert refreshed.is_set()


@pytest.mark.parametrize(
    "message", ["a\ud800b", "\x00\x1b[2J\u202e", "x" * 100_000], ids=["surrogate", "controls", "long"]
)
def test_an_error_message_of_any_kind_is_told(kernel, message):
    fault = b"data: " + json.dumps({"error": {"message": message}}).encode() + b"\n\n"
    said("fault", [chunk({"content": "So far"}), fault])
    with pytest.raises(AssertionError, match="StreamCut"):
        execute(kernel, "amber.ask('fault')")
