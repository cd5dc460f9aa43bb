"""Messages on what cannot be sent: the reason is in them, their remedy works, and they do not contradict themselves."""

import io
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from PIL import Image
from samples import file

from amber_nb import ImageError, image_part
from amber_nb.images.part import collect_images
from amber_nb.images.wording import describe_error, with_article

PNG = file(Image.new("RGB", (4, 4), "red"), "PNG")


@pytest.fixture(autouse=True)
def agg():
    mpl.use("agg")
    yield
    plt.close("all")


class Broken(Line2D):
    def draw(self, renderer):
        raise RuntimeError("no colour\nfor this line")


class Silent(Line2D):
    def draw(self, renderer):
        raise KeyError


FIGURES = {
    "a fraction": (lambda ax: ax.set_title(r"$\frac{1}{$"), r"ParseSyntaxException.*write \\\$ for a dollar"),
    "an unknown command": (lambda ax: ax.set_xlabel(r"$\nonsense$"), r"nonsense.*write \\\$ for a dollar"),
    "two superscripts": (lambda ax: ax.text(0, 0, "$a^b^c$"), r"Double superscript.*write \\\$"),
    "a brace": (lambda ax: ax.set_ylabel("${x$"), r"Parse.*write \\\$"),
    "an artist": (lambda ax: ax.add_line(Broken([0, 1], [0, 1])), r"RuntimeError: no colour for this line.*savefig"),
    "one without a word": (lambda ax: ax.add_line(Silent([0, 1], [0, 1])), r"figure: KeyError\. Mend or remove"),
    "a formatter": (
        lambda ax: ax.xaxis.set_major_formatter(lambda value, place: 1 // 0),
        "ZeroDivisionError: .*Mend or remove",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_why_a_figure_cannot_be_drawn(name):
    break_it, message = FIGURES[name]
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    break_it(axes)
    with pytest.raises(ImageError, match=message) as caught:
        image_part(figure)
    assert caught.value.__cause__ is not None
    assert "\n" not in str(caught.value)


def test_what_an_error_says_is_cut():
    assert len(describe_error(ValueError("x" * 5_000))) < 250
    assert describe_error(ValueError("")) == "ValueError"
    assert describe_error(ValueError("a\n  ^\nb\x1b[31m")) == "ValueError: a b [31m"


INF, NAN = np.inf, np.nan
ARRAYS = {
    "inf": np.array([[0, INF], [1, 2.0]]),
    "-inf": np.array([[0, -INF], [1, 2.0]]),
    "inf in 0..1": np.array([[0, INF], [1, 0.5]]),
    "both": np.array([[-INF, INF], [1, -7.0]]),
    "NaN": np.array([[0, NAN], [1, 0.5]]),
    "NaN, 0..255": np.array([[0, NAN], [1, 200.0]]),
    "NaN, more": np.array([[0, NAN], [1, 2000.0]]),
    "NaN and inf": np.array([[0, NAN], [INF, 2000.0]]),
    "NaN and inf, 0..1": np.array([[0, NAN], [INF, 1.0]]),
    "equal": np.full((3, 3), 300.0),
    "equal and whole": np.full((3, 3), -3),
    "equal but inf": np.array([[300, INF], [300, 300.0]]),
    "equal but NaN": np.array([[300, NAN], [300, 300.0]]),
    "only NaN": np.full((2, 2), NAN),
    "only inf": np.full((2, 2), INF),
    "negative": np.array([[-5, 0], [1, 3.5]]),
    "0..255": np.array([[0, 17], [1, 255.0]]),
    "int8": np.array([[-128, 0], [1, 127]], "int8"),
    "int32": np.array([[-(2**31), 0], [1, 2**31 - 1]], "int32"),
    "int64": np.array([[-(2**63), 0], [1, 2**63 - 1]]),
    "uint32": np.array([[0, 2**32 - 1], [5, 9]], "uint32"),
    "small ints": np.array([[0, 200], [5, 9]]),
    "larger ints": np.array([[0, 4000], [5, 9]]),
    "float16": np.array([[-60000, 0], [1, 60000]], "float16"),
    "float32": np.array([[-1e38, 0], [1, 3e38]], "float32"),
    "huge": np.array([[-1.7e308, 0], [1, 1.7e308]]),
    "close": np.array([[1000000.1, 1000000.2], [1000000.15, 1000000.1]]),
    "colours": np.linspace(-1, 1, 48).reshape(4, 4, 3),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_the_formula_works(name):
    with pytest.raises(ImageError) as caught:
        image_part(ARRAYS[name])
    message = str(caught.value)
    assert ("equal" in message) == name.startswith("equal")
    formula = re.search(r"(?:np\.\w+\(.*\)|\(array - .*\)|array\.astype\('\w+'\)|array / 255)(?=[ ,.:])", message)[0]
    result = eval(formula, {"np": np, "array": ARRAYS[name]})
    assert result.shape == ARRAYS[name].shape
    image_part(result)
    if "equal" not in message and np.isfinite(ARRAYS[name]).any():
        assert len(np.unique(result)) > 1  # and shows something


def shows(**methods):
    return type("Plot", (), {name: lambda self, data=data, **_: data for name, data in methods.items()})()


BROKEN = {
    "base64": (shows(_repr_png_="iVBORw0KGgo!!!!"), "shows as image/png is broken: its _repr_png_ has a text of 15"),
    "data URL": (shows(_repr_png_="data:image/png;base64,iVBOR!!"), "image/png is broken"),
    "JPEG": (shows(_repr_jpeg_="%%%"), "image/jpeg is broken: its _repr_jpeg_ has a text of 3"),
    "a pair": (shows(_repr_png_=("!!!", {})), "image/png is broken"),
    "lines": (shows(_repr_png_=["!!!\n", "!!"]), "has a list of lines"),
    "a number": (shows(_repr_png_=5), "has an int that does not decode"),
    "an object": (shows(_repr_png_={}), "has a dict that does not decode"),
    "bundle": (shows(_repr_mimebundle_={"image/png": "!!!"}), "its mime bundle has a text of 3"),
    "bundle and SVG": (shows(_repr_mimebundle_={"image/png": "!!!", "image/svg+xml": "<svg/>"}), "image/png is broken"),
    "text": (shows(_repr_png_=b"hello"), "holds text, not an image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_shows_itself_broken(name):
    source, message = BROKEN[name]
    with pytest.raises(ImageError, match=message) as caught:
        image_part(source)
    assert "anything that shows itself" not in str(caught.value)


def test_another_form_does_where_one_is_broken_or_missing():
    assert image_part(shows(_repr_png_="!!!", _repr_mimebundle_={"image/png": PNG}))
    assert image_part(shows(_repr_png_=None, _repr_jpeg_=file(Image.new("RGB", (4, 4)), "JPEG")))
    with pytest.raises(ImageError, match="A Plot is no image"):
        image_part(shows(_repr_png_=None))


@pytest.mark.parametrize("name", ["lines", "patches", "collections", "texts", "images"])
def test_a_list_of_artists_is_their_axes(name):
    figure, axes = plt.subplots()
    with pytest.raises(ImageError, match="ArtistList is empty"):
        image_part(getattr(axes, name))
    axes.plot([1, 2])
    axes.plot([2, 1])
    axes.bar([1], [2])
    axes.scatter([1], [2])
    axes.text(0, 0, "x")
    axes.imshow([[1, 2]])
    expected = image_part(figure)
    assert image_part(getattr(axes, name)) == expected
    assert collect_images(getattr(axes, name)).parts == [expected]
    assert collect_images([getattr(axes, name), figure]).parts == [expected]


def objects(shape, fill):
    array = np.empty(shape, object)
    for place in np.ndindex(array.shape):
        array[place] = fill
    return array


@pytest.mark.parametrize(
    ("array", "count"),
    [
        (objects(1, PNG), 1),
        (objects(3, PNG), 3),
        (objects((2, 2), PNG), 4),
        (objects((), PNG), 1),
        (objects(2, bytearray(PNG)), 2),
        (objects(2, Image.new("RGB", (4, 4))), 2),
        (np.array([PNG, PNG]), 2),
        (np.array([PNG]), 1),
        (np.array(PNG), 1),
        (np.array(["https://a.example/1.png", "https://a.example/2.png"]), 2),
    ],
)
def test_an_array_of_files(array, count):
    assert len(collect_images(array).parts) == count
    if count == 1:
        assert image_part(array)
    else:
        with pytest.raises(ImageError, match=f"holds {count} objects, and one image is taken here"):
            image_part(array)


@pytest.mark.parametrize("numbers", [objects((2, 2), 1), objects((2, 2), None), objects(3, 0.5)])
def test_an_array_of_numbers_as_objects_is_one_array(numbers):
    with pytest.raises(ImageError, match=r"An array of shape .* and dtype object is no image"):
        image_part(numbers)
    with pytest.raises(ImageError, match="An array of shape"):
        collect_images(numbers)


class Tensor:
    shape, dtype, ndim = (2, 2), np.dtype("uint8"), 2

    def __array__(self, *_, **__):
        raise LookupError("it lies on another machine")


class Bundle:
    def _repr_mimebundle_(self, **_):
        raise LookupError("it lies on another machine")


class Shown:
    def _repr_png_(self):
        raise LookupError("it lies on another machine")


@pytest.mark.parametrize("kind", [Tensor, Bundle, Shown])
@pytest.mark.parametrize("ask", [image_part, lambda source: collect_images([source])])
def test_an_error_of_the_users_is_the_cause(kind, ask):
    with pytest.raises(ImageError, match="it lies on another machine") as caught:
        ask(kind())
    assert isinstance(caught.value.__cause__, LookupError)
    assert "detach" not in str(caught.value)  # it is none of torch's


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("int", "An int"),
        ("object", "An object"),
        ("Axes3D", "An Axes3D"),
        ("ndarray", "An ndarray"),
        ("Estimator", "An Estimator"),
        ("SVG", "An SVG"),
        ("MRIScan", "An MRIScan"),
        ("s3", "An s3"),
        ("ftp", "An ftp"),
        ("float", "A float"),
        ("NoneType", "A NoneType"),
        ("uint8", "A uint8"),
        ("UUID", "A UUID"),
        ("Unit", "A Unit"),
        ("User", "A User"),
        ("URL", "A URL"),
        ("Umbrella", "An Umbrella"),
        ("gs", "A gs"),
        ("_Plot", "A _Plot"),
    ],
)
def test_articles(noun, expected):
    assert with_article(noun) == expected


@pytest.mark.parametrize(
    ("source", "start"),
    [(3, "An int is no image"), (object(), "An object is"), (1.5, "A float is"), ("s3://bucket/a.png", "An s3://")],
)
def test_messages_have_the_right_article(source, start):
    with pytest.raises(ImageError) as caught:
        image_part(source)
    assert str(caught.value).startswith(start)


def test_of_any_other_error_the_kind_is_told():
    class Row(Tensor):
        shape, ndim = (4,), 1

    with pytest.raises(ImageError, match=r"This Row cannot be read as an image \(LookupError\)") as caught:
        image_part(Row())
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_stream_that_is_no_file_is_told():
    with pytest.raises(ImageError, match="open it with mode 'rb'"):
        image_part(io.StringIO("text"))
