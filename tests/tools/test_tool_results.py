"""A tool's result → what the model is told: within the limit, said where it was cut, and never an exception."""

import collections
import csv
import datetime
import decimal
import enum
import io
import itertools
import json
import sqlite3
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import altair
import IPython.display
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from pydantic import BaseModel, Field, RootModel, SecretStr
from samples import decode_part, quarters

from amber_nb import image_part
from amber_nb.tools import to_tool_content
from amber_nb.tools.bounded_json import BoundedJson
from amber_nb.tools.results import MAX_CHARACTERS, MAX_IMAGES, materialize


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


@dataclass
class Point:
    x: float
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    left: int
    right: str


class Account(BaseModel):
    name: str
    since: datetime.date
    secret: SecretStr = SecretStr("hunter2")
    hidden: str = Field("x", exclude=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Sunny, 14 °C", "Sunny, 14 °C"),
        ("", "Done. The tool returned an empty text."),
        (None, "Done. The tool returned no result."),
        (3, "3"),
        (True, "true"),
        (1.5, "1.5"),
        (10**30, "1" + "0" * 30),
        ({"city": "Köln", "n": [1, None, False]}, '{"city":"Köln","n":[1,null,false]}'),
        ([1, (2, 3)], "[1,[2,3]]"),
        ({3, 1, 2}, "[1,2,3]"),
        ({1: "a", "1": "b", None: 0, Colour.RED: 1}, '{"1":"a","1 (str)":"b","null":0,"red":1}'),
        (Point(1.0, ["a"]), '{"x":1.0,"tags":["a"]}'),
        (Pair(1, "b"), '{"left":1,"right":"b"}'),
        (Account(name="Ada", since="2026-01-02"), '{"name":"Ada","since":"2026-01-02","secret":"**********"}'),
        (Colour.RED, "red"),
        ([Colour.RED, Colour.TWO], '["red",2]'),
        (datetime.datetime(2026, 11, 24, 8, 30), "2026-11-24T08:30:00"),
        ([datetime.date(2026, 11, 24), datetime.timedelta(hours=2)], '["2026-11-24","2:00:00"]'),
        (decimal.Decimal("1.10"), "1.10"),
        ([decimal.Decimal("1.10"), uuid.UUID(int=1)], '["1.10","00000000-0000-0000-0000-000000000001"]'),
        (PurePosixPath("/tmp/x"), "/tmp/x"),
        (b"\x89PNG", "(4 bytes of binary data)"),
        ({"file": b"x"}, '{"file":"(1 byte of binary data)"}'),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (np.bool_(True), "true"),
        (np.array(3), "3"),
        (np.arange(4), "[0,1,2,3]"),
        (np.eye(2), "[[1.0,0.0],[0.0,1.0]]"),
        (np.datetime64("2026-11-24"), "2026-11-24"),
        (np.array(["a", None], dtype=object), '["a",null]'),
        ([pd.NA, pd.NaT, pd.Timestamp("2026-11-24")], '[null,null,"2026-11-24T00:00:00"]'),
        (collections.deque([1, 2]), "[1,2]"),
        (collections.OrderedDict(a=1).values(), "[1]"),
        (range(3), "range(0, 3)"),
        ("a\ud800b", "a\ufffdb"),
        ({"\ud800": "\udfff"}, '{"\ufffd":"\ufffd"}'),
    ],
)
def test_it_is_compact(value, text):
    content = to_tool_content(value)
    assert content.text == text
    assert (content.images, content.table, content.notes) == ((), None, ())
    content.text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "null"),
        ([1.0, float("inf")], "[1.0,null]"),
        (np.array([np.nan, 1]), "[null,1.0]"),
        (np.float64("nan"), "null"),
    ],
)
def test_what_is_no_number_is_null_and_said(value, text):
    content = to_tool_content(value)
    assert content.notes == ("NaN and infinite numbers as null",)
    assert content.text == f"{text}\n(NaN and infinite numbers as null)"


def test_a_row_of_a_database():
    base = sqlite3.connect(":memory:")
    base.row_factory = sqlite3.Row
    rows = base.execute("select 1 as a, 'x' as b").fetchall()
    base.close()
    assert to_tool_content(rows).text == '[{"a":1,"b":"x"}]'


def body(content):
    """The text without what is said of cuts."""
    head, _, suffix = content.text.rpartition("\n(")
    assert suffix == "; ".join(note for note in content.notes if not note.startswith("the table shows")) + ")"
    return head


# --- tables


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


FRAME = pd.DataFrame(
    {
        "city": ["Köln", 'He said "hi", twice', None],
        "temp": [14.5, np.nan, 3.0],
        "n": [1, 2, 3],
        "day": pd.to_datetime(["2026-11-24", "2026-11-25", None]),
        "narrow": np.array([0.1, 2.5, 3], dtype="float32"),
    }
)


def test_a_table_is_csv_and_cells():
    content = to_tool_content(FRAME)
    assert content.text == (
        'city,temp,n,day,narrow\nKöln,14.5,1,2026-11-24,0.1\n"He said ""hi"", twice",,2,2026-11-25,2.5\n,3.0,3,,3.0'
    )
    columns, rows = content.table
    assert columns == ("city", "temp", "n", "day", "narrow")
    assert rows[1] == ('He said "hi", twice', "", "2", "2026-11-25", "2.5")
    assert content.notes == ()


@pytest.mark.parametrize(
    ("frame", "head"),
    [
        (FRAME[["n"]], ["n"]),
        (FRAME[["n"]].set_axis(["a", "b", "c"]), ["index", "n"]),
        (FRAME[["n"]].iloc[1:], ["index", "n"]),
        (FRAME.set_index("city")[["n"]], ["city", "n"]),
        (FRAME.set_index(["city", "n"])[["temp"]], ["city", "n", "temp"]),
        (FRAME["temp"], ["temp"]),
        (pd.Series([1, 2]), ["value"]),
        (pd.Series([1, 2], index=["a", "b"], name="x"), ["index", "x"]),
        (pd.Index([1, 2], name="k"), ["k"]),
        (pd.Index([1, 2]), ["value"]),
        (pd.MultiIndex.from_product([[1], [2]], names=["a", "b"]), ["a", "b"]),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])), ["a / x", "a / y"]),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ["a", "a"]),
        (FRAME[["n"]].style, ["n"]),
        (FRAME.groupby("n")["temp"].sum(), ["n", "temp"]),
    ],
)
def test_the_index_only_where_it_says_something(frame, head):
    content = to_tool_content(frame)
    assert rows_of(content.text)[0] == head
    assert list(content.table[0]) == head


def test_a_long_table_is_cut_at_a_row():
    frame = pd.DataFrame({"n": range(5_000), "text": 'a "quoted", text'})
    content = to_tool_content(frame)
    rows = rows_of(body(content))
    assert 15_000 < len(content.text) <= MAX_CHARACTERS
    assert all(row == [str(number), 'a "quoted", text'] for number, row in enumerate(rows[1:]))
    assert content.notes[0] == f"the first {len(rows) - 1:,} of 5,000 rows"
    assert content.notes[1] == "the table shows the first 20 of 5,000 rows"
    assert len(content.table[1]) == 20


def test_a_wide_table_is_cut_at_a_column():
    frame = pd.DataFrame(np.ones((3, 4_000)), columns=[f"column {n}" for n in range(4_000)])
    content = to_tool_content(frame)
    kept = len(rows_of(body(content))[0])
    assert len(content.text) <= MAX_CHARACTERS
    assert content.notes[0] == f"the first {kept:,} of 4,000 columns"
    assert len(content.table[0]) == len(content.table[1][0]) == 12


def test_long_cells():
    content = to_tool_content(pd.DataFrame({"text": ["x" * 30_000, "y"], "n": [1, 2]}))
    assert "long cells are cut, where they end in …" in content.notes
    assert rows_of(body(content))[2] == ["y", "2"]
    assert content.table[1][0][0] == "x" * 79 + "…"
    item = to_tool_content(pd.DataFrame([["z" * 3_000] * 30]))
    assert len(item.text) <= MAX_CHARACTERS
    assert len(rows_of(body(item))[1]) == 30


def test_odd_cells():
    frame = pd.DataFrame({"a": [{"k": 1}, [1, 2], b"xyz", object(), Raises()]}, dtype=object)
    cells = [row[0] for row in rows_of(to_tool_content(frame).text)[1:]]
    assert cells[:3] == ['{"k":1}', "[1,2]", "(3 bytes of binary data)"]
    assert cells[4].startswith("<Raises, whose repr failed")


def test_empty_tables():
    assert to_tool_content(pd.DataFrame()).text == "A table of 0 rows and no columns."
    content = to_tool_content(pd.DataFrame({"a": [], "b": []}))
    assert content.text == "a,b\n(no rows)"
    assert content.table == (("a", "b"), ())


def test_a_table_within_something():
    content = to_tool_content({"sales": FRAME[["n"]], "total": 6})
    assert json.loads(content.text) == {"sales": "n\n1\n2\n3", "total": 6}
    assert content.table is None
    many = to_tool_content([pd.DataFrame({"n": range(5_000)}), "text"])
    assert any(note.startswith("of a table, the first ") for note in many.notes)
    assert json.loads(body(many))[1] == "text"


def test_of_a_long_frame_no_more_is_read_than_is_sent():
    class Cell:
        read = 0

        def __str__(self):
            Cell.read += 1
            return "x"

    content = to_tool_content(pd.DataFrame({"n": np.arange(100_000), "text": [Cell()] * 100_000}))
    sent = len(rows_of(body(content))) - 1
    assert 1_000 < sent < 10_000
    assert Cell.read == sent + 1  # the first that finds no room


# --- limits


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (list(range(50_000)), "the first {n} of 50,000 items"),
        ({f"k{n}": n for n in range(50_000)}, "the first {n} of 50,000 entries"),
        (np.arange(50_000), "the first {n} of 50,000 items"),
        (set(range(50_000)), "the first {n} of 50,000 items"),
    ],
)
def test_long_values_are_cut_at_an_item(value, note):
    content = to_tool_content(value)
    assert 15_000 < len(content.text) <= MAX_CHARACTERS
    read = json.loads(body(content))
    assert content.notes == (note.format(n=f"{len(read):,}"),)
    if not isinstance(value, (set, dict)):
        assert read == list(value[: len(read)])


@pytest.mark.parametrize(
    "value",
    [
        {"rows": [{"a": "x" * 50, "b": n} for n in range(10_000)], "total": 10_000},
        {"text": "x" * 50_000, "after": 1},
        ["\x01" * 30_000, "b"],
        ['"' * 30_000],
        ["\U0001f600" * 30_000],
        [[[list(range(10_000))] * 3] * 3],
        {"k" * 30_000: 1},
        {"k" * 19_590: {"deep": [1, 2, 3]}},
        np.zeros((500, 500)),
        [["x" * 700] * 27, list(range(1_000))],
    ],
)
def test_what_is_cut_is_still_json(value):
    content = to_tool_content(value)
    assert len(content.text) <= MAX_CHARACTERS
    assert content.notes
    json.loads(body(content))


def test_what_stands_beside_a_long_value_is_said_to_be_left_out():
    assert to_tool_content({"rows": list(range(50_000)), "total": 3}).notes[1] == "the first 1 of 2 entries"


@pytest.mark.parametrize("room", range(45, 130))
def test_what_is_open_is_closed_within_the_room(room):
    value = {"a": [[["text " * 3, {"b": [1.25, None, "more text" * 20]}], 2], [3, [4, [5, [6, {"c": [7]}]]]]], "d": "e"}
    text = BoundedJson(room).dumps(value)
    json.loads(text)
    assert len(text) <= room


def test_a_long_text():
    content = to_tool_content("x" * 50_000)
    assert content.text == "x" * 19_600 + "\n(the first 19,600 of 50,000 characters)"
    assert to_tool_content("y" * MAX_CHARACTERS).text == "y" * MAX_CHARACTERS
    assert to_tool_content("y" * (MAX_CHARACTERS + 1)).notes
    with_image = to_tool_content(["z" * 50_000, quarters()])
    assert len(with_image.images) == 1
    assert len(with_image.text) <= MAX_CHARACTERS
    assert any("characters" in note for note in with_image.notes)


def test_cycles_and_depth():
    circle: list[Any] = [1]
    circle.append(circle)
    content = to_tool_content(circle)
    assert json.loads(body(content)) == [1, "…"]
    assert content.notes == ("it contains itself, where … stands",)
    same = [1]
    assert to_tool_content([same, same]).text == "[[1],[1]]"
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]
    content = to_tool_content(deep)
    assert "nested deeper" in content.notes[0]
    json.loads(body(content))
    while deep:  # taken apart by hand: Python itself would recurse
        deep = deep[0]


# --- whatever has no form


class Raises:
    def __repr__(self):
        raise ValueError("no")

    __str__ = __repr__


class Huge:
    def __repr__(self):
        return "x" * 1_000_000


class BadModel(BaseModel):
    a: int = 1

    def model_dump(self, **_):
        raise RuntimeError("no")


class BadDict(dict):
    def items(self):
        raise KeyError("no")


class BadText(str):
    def __str__(self):
        raise ValueError("no")


class BadLength(list):
    def __len__(self):
        raise OverflowError


class Everything:
    """Makes up every attribute."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: Everything()


class Shows:
    def _repr_png_(self):
        raise ValueError("no")


class NoModule:
    pass


NoModule.__module__ = None

HOSTILE = {
    "repr raises": Raises,
    "within": lambda: {"a": [Raises()]},
    "huge repr": Huge,
    "model_dump raises": BadModel,
    "items raises": lambda: BadDict(a=1),
    "str raises": lambda: BadText("x"),
    "len raises": lambda: BadLength([1]),
    "any attribute": Everything,
    "png raises": Shows,
    "no module": NoModule,
    "no module within": lambda: [NoModule()],
    "endless": lambda: itertools.count(),
    "generator": lambda: (n for n in range(3)),
    "class": lambda: int,
    "function": lambda: print,
    "module": lambda: sys,
    "file": lambda: io.BytesIO(b"x"),
    "exception": lambda: ValueError("x"),
    "digits": lambda: 10**10_000,
    "digits within": lambda: [10**10_000],
    "frozen": lambda: frozenset([1, "a"]),
    "empty figure": lambda: Figure(figsize=(0.001, 0.001)),
    "matplotlib artist": lambda: Figure().add_subplot().text(0, 0, "$x^{$"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_escapes(name):
    content = to_tool_content(HOSTILE[name]())
    assert content.text
    assert len(content.text) <= MAX_CHARACTERS
    content.text.encode()
    for note in content.notes:
        note.encode()


def test_an_object_is_its_repr_and_said():
    content = to_tool_content(object())
    assert (
        content.text == "<object object>\n(object has no form in JSON, and stands as its repr)"
    )  # without its address
    assert to_tool_content(Huge()).text.startswith("x" * 999 + "…")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5) | st.dates()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=30,
)


@given(VALUES)
def test_any_value(value):
    content = to_tool_content(value)
    content.text.encode()
    assert len(content.text) <= MAX_CHARACTERS
    if isinstance(value, (list, dict, tuple)):
        json.loads(body(content) if content.notes else content.text)


# --- images


FIGURE_SIZE = (299, 228)


def figure():
    plot = Figure(figsize=(3.2, 2.4), dpi=100)
    plot.add_subplot().plot([1, 3, 2])
    return plot


class ShowsPng:
    def _repr_png_(self):
        out = io.BytesIO()
        quarters().save(out, "PNG")
        return out.getvalue()


class Stream(ShowsPng):
    def read(self):
        raise AssertionError("a file is not read for the model")


class HasNothingToShow:
    def _repr_png_(self):
        return None

    def __repr__(self):
        return "a formula"


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (quarters, (96, 64)),
        (figure, FIGURE_SIZE),
        (ShowsPng, (96, 64)),
        (lambda: np.asarray(quarters()), (96, 64)),
        (lambda: image_part(quarters()), (96, 64)),
    ],
)
def test_images(value, size):
    content = to_tool_content(value())
    assert content.text == f"An image ({size[0]} × {size[1]} pixels) follows."
    ((part, sent),) = content.images
    assert decode_part(part).size == size == sent.size
    assert content.notes == ()


def test_charts_and_axes():
    chart = altair.Chart(pd.DataFrame({"a": [1, 2]})).mark_point().encode(x="a:Q")
    for value in (chart, figure().axes[0]):
        content = to_tool_content(value)
        assert content.text.startswith("An image (")
        assert len(content.images) == 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_what_ipython_would_show(kind):
    out = io.BytesIO()
    quarters().save(out, kind)
    content = to_tool_content(IPython.display.Image(data=out.getvalue(), format=kind.lower()))
    assert content.text == "An image (96 × 64 pixels) follows."
    assert to_tool_content(IPython.display.Image(url="https://a.example/b.png")).images == ()


def test_several_images():
    content = to_tool_content([quarters(), figure()])
    assert content.text == "2 images follow: 96 × 64 pixels, 299 × 228 pixels."
    assert [sent.size for _, sent in content.images] == [(96, 64), FIGURE_SIZE]


def test_texts_and_images():
    content = to_tool_content(("The sales of 2026", figure()))
    assert content.text == "The sales of 2026\nimage 1 (299 × 228 pixels)"
    content = to_tool_content({"plot": figure(), "total": 3, "more": [quarters()]})
    assert json.loads(content.text.partition("\n")[0]) == {
        "plot": "image 1 (299 × 228 pixels)",
        "total": 3,
        "more": ["image 2 (96 × 64 pixels)"],
    }
    assert content.text.endswith("\n2 images follow: 299 × 228 pixels, 96 × 64 pixels.")
    same = quarters()
    assert len(to_tool_content([same, same]).images) == 1


def test_many_images():
    content = to_tool_content([Image.new("RGB", (8, 8)) for _ in range(MAX_IMAGES + 5)])
    assert len(content.images) == MAX_IMAGES
    assert f"the first {MAX_IMAGES} images" in content.notes


@pytest.mark.parametrize("value", ["https://example.com/a.png", "/etc/hostname", "data:image/png;base64,iVBORw0KGgo="])
def test_texts_are_no_images(value):
    assert to_tool_content(value).text == value
    assert to_tool_content(value).images == ()
    part = {"type": "image_url", "image_url": {"url": value}}
    assert to_tool_content(part).images == ()  # what a tool has read somewhere is not fetched or opened
    assert json.loads(to_tool_content(part).text) == part


def test_files_and_numbers_are_no_images(tmp_path):
    path = tmp_path / "a.png"
    quarters().save(path)
    assert to_tool_content(path).text == str(path)
    assert to_tool_content(path.read_bytes()).images == ()
    with path.open("rb") as stream:
        assert to_tool_content(stream).images == ()
        assert stream.tell() == 0
    for numbers in (np.zeros((30, 30)), np.zeros((30, 30, 3)), np.zeros((2, 2, 3), dtype="uint8")):
        assert to_tool_content(numbers).images == ()
    assert to_tool_content(Stream()).notes == ("Stream has no form in JSON, and stands as its repr",)


def test_what_cannot_be_drawn_is_said():
    content = to_tool_content(Image.new("RGB", (0, 5)))
    assert content.images == ()
    assert content.notes[0].startswith("it could not be sent as an image: ")
    assert to_tool_content(HasNothingToShow()).text.startswith("a formula\n")


def test_no_library_is_loaded_for_it():
    code = (
        "import sys; from amber_nb.tools import to_tool_content; to_tool_content([{'a': 1}, object(), b'x', {1, 2}]);"
        "print([n for n in ('pandas', 'matplotlib', 'plotly', 'altair', 'IPython') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Countries(RootModel[list[str]]):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Countries(["DE", "FR"]), '["DE","FR"]'),
        ({"n": Countries(["DE"])}, '{"n":["DE"]}'),
        (np.array(["2024-01-01", "NaT"], "datetime64[ns]"), '["2024-01-01T00:00:00.000000000",null]'),
        (np.array([3_600], "timedelta64[s]"), '["3600 seconds"]'),
        (np.array([["2024-01-01"]], "datetime64[D]"), '[["2024-01-01"]]'),
        (np.ma.array([1, 2], mask=[True, False]), "[null,2]"),
        ({"mean": np.ma.masked}, '{"mean":null}'),
        (np.dtype("int64"), "int64"),
        (pd.DataFrame({"a": [1], "b": [1.5]}).dtypes.to_dict(), '{"a":"int64","b":"float64"}'),
        (pd.Series(["x", "y", "x"]).unique(), '["x","y"]'),
        (pd.array([1, None], "Int64"), "[1,null]"),
        (pd.Categorical(["x", "y"]), '["x","y"]'),
        (pd.array(["2024-01-01"], "datetime64[ns]"), '["2024-01-01T00:00:00"]'),
    ],
)
def test_kinds_that_libraries_give(value, text):
    content = to_tool_content(value)
    assert content.text == text
    assert content.notes == ()


def test_a_value_that_cannot_be_read_spoils_no_other():
    class Odd(enum.Enum):
        A = 1

        @property
        def value(self):
            raise RuntimeError("no")

    class Broken(BaseModel):
        def model_dump(self, **how):
            raise RuntimeError("no")

    content = to_tool_content({"rows": 2, "odd": Odd.A, "broken": Broken(), "head": [1]})
    assert content.text.startswith('{"rows":2,"odd":"<Odd.A: 1>","broken":"Broken()","head":[1]}')
    assert content.notes == tuple(
        f"{name} could not be read (RuntimeError), and stands as its repr" for name in ("Odd", "Broken")
    )


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_of_what_goes_on_it_is_said_that_it_does(count):
    content = to_tool_content(materialize("" for _ in range(count)))
    note = "at most 10,000 items were read"
    assert (note in content.notes) is (count > 10_000)
    assert ("the first 6,533 of more items" if count > 10_000 else "the first 6,533 of 10,000 items") in content.notes
