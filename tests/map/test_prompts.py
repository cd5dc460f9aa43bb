"""Prompts of rows: format strings over columns, functions of rows, and what is refused before anything is sent."""

import asyncio
import json
import os
import subprocess
import sys

import pandas as pd
import polars as pl
import pytest

from amber_nb.map.prompts import Request, RequestBuilder, RowProblem, describe_function
from amber_nb.map.rows import open_rows

FRAME = pd.DataFrame(
    {"text": ["good", "bad"], "price": [1.5, 2.25], "product name": ["phone", "lamp"], 7: ["x", "y"], "a:b": [1, 2]},
    index=["r1", "r2"],
)


def build(frame, prompt, **options):
    rows = open_rows(frame)
    return RequestBuilder(rows, prompt, body={"model": "m"}, **options).build(0, len(rows))


def texts(frame, prompt, **options):
    return [each.messages[-1]["content"] if isinstance(each, Request) else each.reason
            for each in build(frame, prompt, **options)]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "first"),
    [
        ("Classify: {text}", "Classify: good"),
        ("{text} costs {price:.2f}", "good costs 1.50"),
        ("{product name}!", "phone!"),
        ("{7}{text!r}", "x'good'"),
        ("{a:b}", "1"),
        ('Give {{"label": …}} for {text}', 'Give {"label": …} for good'),
        ("{text:>6}|{text}", "  good|good"),
        (lambda row: f"{row['text']} {row.price} {row.name}", "good 1.5 r1"),
        (lambda row: [{"role": "user", "content": row["text"]}], "good"),
    ],
)
def test_a_prompt_takes_its_values_from_the_row(prompt, first):
    assert texts(FRAME, prompt)[0] == first


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("Classify: {txt}", ["no column 'txt'", "Did you mean 'text'?", "{{ and }}"]),
        ('Give {"label": 1} for {text}', ["no column", "{{ and }}", "lambda row", "Here they hold '\"label\"'"]),
        ("{text} and }", ["format string", "{{ and }}"]),
        ("{}", ["without a column", "{{ and }}"]),
        ("{text.__class__}", ["no column 'text.__class__'"]),
        ("{text[0]}", ["no column 'text[0]'"]),
        ("{text!x}", ["conversion !x"]),
        ("{text:{price}}", ["format within a format"]),
        ("no column at all", ["names no column", "{text}"]),
    ],
)
def test_a_prompt_that_cannot_be_filled_names_the_remedy(prompt, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  – the words below say which
        build(FRAME, prompt)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_prompt_where_the_table_belongs_says_so():
    with pytest.raises(TypeError, match="The table comes first"):
        open_rows("Classify: {text}")


@pytest.mark.parametrize("frame", [["a"], {"text": ["a"]}, "text", 3, None])
def test_what_is_no_table_is_refused(frame):
    with pytest.raises(TypeError, match="DataFrame or a Series"):
        open_rows(frame)


def test_a_lazy_frame_is_to_be_collected():
    with pytest.raises(TypeError, match="collect"):
        open_rows(pl.LazyFrame({"text": ["a"]}))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame([["a", "b"]], columns=["text", "text"])
    with pytest.raises(ValueError, match="2 columns are called 'text'"):
        build(frame, "{text}")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"text": ["a", None, "c"]}),
        pd.DataFrame({"text": ["a", float("nan"), "c"]}),
        pd.DataFrame({"text": pd.array(["a", pd.NA, "c"])}),
        pd.Series(["a", None, "c"], name="text"),
        pl.DataFrame({"text": ["a", None, "c"]}),
    ],
)
def test_a_missing_value_is_named_or_skipped(frame):
    with pytest.raises(ValueError, match=r"'text' has no value in 1 row \(1\)\. na='skip'"):
        build(frame, "{text}")
    assert texts(frame, "{text}", na="skip") == ["a", None, "c"]


def test_whole_numbers_stay_whole_beside_others():
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5]})
    assert texts(frame, lambda row: f"{row['n']} {row['x']}") == ["1 0.5", "2 1.5"]
    assert texts(frame, "{n} {x}") == ["1 0.5", "2 1.5"]


def test_a_series_gives_its_values():
    assert texts(pd.Series(["a", "b"]), "say {}") == ["say a", "say b"]
    assert texts(pd.Series(["a", "b"], name="text"), "say {text} {value}") == ["say a a", "say b b"]
    assert texts(pd.Series(["a", "b"]), lambda value: value * 2) == ["aa", "bb"]


def test_a_function_that_fails_is_the_rows_own_error():
    def prompt(row):
        if row["text"] == "bad":
            raise KeyError("nope")
        return row["text"]

    assert texts(FRAME, prompt) == ["good", "the prompt's function failed: KeyError: 'nope'"]
    assert "returned None" in texts(FRAME, lambda row: None)[0]
    assert build(FRAME, lambda row: None, na="skip")[0] == RowProblem(0, None)
    assert "prompt must be" in texts(FRAME, lambda row: 3)[0]


class Silent:
    def __init__(self, error):
        self.error = error

    def __str__(self):
        raise self.error


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def messages_that_fail(row):
    yield {"role": "user", "content": row["text"]}
    raise RuntimeError("half a prompt")


def raises(error):
    def prompt(row):
        raise error

    return prompt


@pytest.mark.parametrize(
    ("cell", "prompt", "reason"),
    [
        (Silent(RuntimeError("odd\ncell")), "{text}", "the prompt cannot be made: RuntimeError: odd cell"),
        (Silent(asyncio.CancelledError()), "{text}", "the prompt cannot be made: CancelledError"),
        (10**30, "{text:c}", "the prompt cannot be made: OverflowError: "),
        ("a", "{text:c}", "the prompt cannot be made: Unknown format code"),
        ("a", messages_that_fail, "the prompt cannot be made: RuntimeError: half a prompt"),
        ("a", raises(asyncio.CancelledError()), "the prompt's function failed: CancelledError"),
        ("a", raises(StopIteration("x")), "the prompt's function failed: StopIteration: x"),
        ("a", raises(GeneratorExit()), "the prompt's function failed: GeneratorExit"),
        ("a", raises(Mute()), "the prompt's function failed: Mute"),
        ("a", raises(ValueError("\ud800")), "the prompt's function failed: ValueError: \ufffd"),
    ],
)
def test_whatever_a_row_raises_is_its_own_error(cell, prompt, reason):
    (text,) = texts(pd.DataFrame({"text": [cell]}, dtype="object"), prompt)
    assert text.startswith(reason)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_exit_is_no_rows_error(error):
    with pytest.raises(error):
        build(FRAME, raises(error()))


def test_rows_behind_a_stop_are_not_made():
    made = []
    builder = RequestBuilder(open_rows(FRAME), lambda row: made.append(row) or "a", body={"model": "m"})
    assert len(builder.build(0, 2, is_stopped=lambda: bool(made))) == len(made) == 1


def test_a_label_without_words_is_called_by_its_type():
    frame = pd.DataFrame({"text": ["a"]}, index=pd.Index([Silent(RuntimeError())], dtype="object"))
    assert open_rows(frame).label(0) == "Silent"


def test_a_frame_of_another_library_is_named_with_it():
    foreign = type("DataFrame", (), {"__module__": "vaex.frame"})()
    with pytest.raises(TypeError, match=r"of pandas or Polars, not vaex\.frame\.DataFrame\. Convert"):
        open_rows(foreign)


def test_a_prompt_that_fails_on_all_of_the_first_rows_is_refused():
    frame = pd.DataFrame({"text": list("abcd")})
    rows = open_rows(frame)
    with pytest.raises(ValueError, match=r"any of the first 3 rows: the prompt's function failed: KeyError.*: text\."):
        RequestBuilder(rows, lambda row: row["txt"], body={"model": "m"}).check()
    RequestBuilder(rows, lambda row: row["text"] if row["text"] != "a" else 1 / 0, body={"model": "m"}).check()
    RequestBuilder(open_rows(frame[:1]), lambda row: 1 / 0, body={"model": "m"}).check()


def test_the_body_begins_with_what_all_rows_share():
    rows = open_rows(FRAME)
    builder = RequestBuilder(rows, "{text}", system="Be brief.", body={"model": "m", "temperature": 0})
    first, second = builder.build(0, 2)
    assert json.loads(first.content) == {
        "model": "m",
        "temperature": 0,
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "good"}],
    }
    assert first.content.startswith(builder.head)
    assert second.content.startswith(builder.head)


def test_half_characters_do_not_stop_a_run():
    (request,) = build(pd.DataFrame({"text": ["a\ud800b"]}, dtype="object"), "{text}")
    assert json.loads(request.content)["messages"][0]["content"] == "a\ufffdb"


def test_images_of_a_column_become_parts():
    pixel = (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
        b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
    )
    frame = pd.DataFrame({"photo": [pixel, [pixel, pixel], b"nothing"]})
    one, two, none = build(frame, "What is it?", images="photo")
    assert [part["type"] for part in one.messages[0]["content"]] == ["text", "image_url"]
    assert [part["type"] for part in two.messages[0]["content"]] == ["text", "image_url", "image_url"]
    assert isinstance(none, RowProblem)
    assert none.reason


class Caller:
    def __init__(self, question):
        self.question = question

    def __call__(self, row):
        return self.question + row["text"]

    def ask(self, row):
        return row["text"]


FUNCTIONS = {
    "a comprehension": "def f(row):\n    return [word for word in row['text'] if word not in {'a', 'b', 'c'}]",
    "another constant": "def f(row):\n    return [word for word in row['text'] if word not in {'a', 'b'}]",
    "a default": "def f(row, question='What is '):\n    return question + row['text']",
    "another default": "def f(row, question='Who is '):\n    return question + row['text']",
    "a keyword": "def f(row, *, question='What is '):\n    return question + row['text']",
    "a partial": "import functools\nf = functools.partial(lambda question, row: question, 'What is ')",
    "another partial": "import functools\nf = functools.partial(lambda question, row: question, 'Who is ')",
    "a closure": "def g(question):\n    return lambda row: question\nf = g('What is ')",
    "another closure": "def g(question):\n    return lambda row: question\nf = g('Who is ')",
    "itself": "def g():\n    def f(row):\n        return f(row)\n    return f\nf = g()",
    "an object": "f = Caller('a')",
    "a method": "f = Caller('a').ask",
    "a builtin": "f = str",
}


def test_functions_are_told_apart_by_what_they_do_and_by_no_address():
    def define(source):
        names = {"Caller": Caller}
        exec("\n" * len(kept) + source, names)  # as a cell that is run again
        kept.append(names)
        return describe_function(names["f"])

    kept = []  # so that no address comes again
    first = {name: define(source) for name, source in FUNCTIONS.items()}
    assert {name: define(source) for name, source in FUNCTIONS.items()} == first
    assert len(set(first.values())) == len(first)
    assert not [text for text in first.values() if "0x" in text]
    program = "import sys; from amber_nb.map.prompts import describe_function as d; exec(sys.argv[1]); print(d(f))"
    for seed in "12":
        said = subprocess.run(
            [sys.executable, "-c", program, FUNCTIONS["a comprehension"]],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == first["a comprehension"]
