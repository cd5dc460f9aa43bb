"""What of matplotlib is given, and how many pictures it means; what is seen beside axes is sent with them."""

import logging
import sys
import threading
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib_inline.config import InlineBackend
from PIL import Image
from samples import decode_part, file, quarters

from amber_nb import ImageError, image_part
from amber_nb.images import find_pictures
from amber_nb.images.part import collect_images
from amber_nb.tools.results import to_tool_content

PNG = file(quarters(), "PNG")
X = np.random.default_rng(0).normal(size=100)
FRAME = pd.DataFrame(X[:24].reshape(6, 4), columns=list("abcd")).assign(group=list("xxyyzz"))


@pytest.fixture(autouse=True)
def pyplot():
    """No figure from another test, on a backend that needs no screen."""
    backend = matplotlib.get_backend()
    plt.switch_backend("agg")
    plt.close("all")
    with matplotlib.rc_context({"figure.figsize": (3, 2), "figure.dpi": 50}):  # small, as many are drawn
        yield
    plt.close("all")
    plt.switch_backend(backend)


def grid_with_a_gap():
    fig, axes = plt.subplots(2, 2)
    axes[1, 1].remove()
    return fig, axes


# What is given to `images=`, each one picture: that of the figure.
WHOLE = {
    "figure": plt.figure,
    "axes": lambda: plt.gca(),
    "plot": lambda: plt.plot(X, X, X, -X),
    "line": lambda: plt.plot(X)[0],
    "bars": lambda: plt.bar(["a", "b"], [1, 3]),
    "bar": lambda: plt.bar(["a", "b"], [1, 3])[1],
    "bar labels": lambda: plt.bar_label(plt.bar([1], [2])),
    "histogram": lambda: plt.hist(X),
    "two histograms": lambda: plt.hist([X, X + 1]),
    "histogram in 2-D": lambda: plt.hist2d(X, X),
    "hexagons": lambda: plt.hexbin(X, X),
    "pie": lambda: plt.pie([1, 2]),
    "pie with percentages": lambda: plt.pie([1, 2], autopct="%d"),
    "box plot": lambda: plt.boxplot([X, X]),
    "box plot without outliers": lambda: plt.boxplot([X, X], showfliers=False),
    "violins": lambda: plt.violinplot([X, X]),
    "error bars": lambda: plt.errorbar([1, 2], [1, 2], [0.1, 0.1]),
    "error bars alone": lambda: plt.errorbar([1, 2], [1, 2], [0.1, 0.1], fmt="none"),
    "stems": lambda: plt.stem([1, 2]),
    "stack": lambda: plt.stackplot([1, 2], [1, 2], [3, 4]),
    "contours": lambda: plt.contour(np.outer(X[:9], X[:9])),
    "stream": lambda: plt.streamplot(np.arange(4), np.arange(4), np.ones((4, 4)), np.ones((4, 4))),
    "image": lambda: plt.imshow(np.eye(3)),
    "spectrogram": lambda: plt.specgram(X, NFFT=64, noverlap=10),
    "correlation": lambda: plt.acorr(X),
    "power": lambda: plt.psd(X, return_line=True),
    "ticks": lambda: plt.xticks([1, 2], ["a", "b"], rotation=90),
    "legend": lambda: (plt.plot([1], label="a"), plt.legend())[1],
    "label": lambda: plt.ylabel("EUR"),
    "title": lambda: plt.title("Title"),
    "title of the figure": lambda: (plt.plot([1]), plt.suptitle("Title"))[1],
    "text": lambda: plt.text(0.5, 0.5, "here"),
    "colour bar": lambda: plt.colorbar(plt.imshow(np.eye(3))),
    "axes of a colour bar": lambda: plt.colorbar(plt.imshow(np.eye(3))).ax,
    "axis": lambda: plt.gca().xaxis,
    "twin": lambda: plt.gca().twinx(),
    "inset": lambda: plt.gca().inset_axes([0.5, 0.5, 0.3, 0.3]),
    "subplots": plt.subplots,
    "subplots in a list": lambda: list(plt.subplots()),
    "subplots 1 × 2": lambda: plt.subplots(1, 2),
    "subplots 2 × 2": lambda: plt.subplots(2, 2),
    "their array": lambda: plt.subplots(2, 2)[1],
    "with a gap": grid_with_a_gap,
    "array with a gap": lambda: grid_with_a_gap()[1],
    "mosaic": lambda: plt.subplot_mosaic("AB"),
    "dict of a mosaic": lambda: plt.subplot_mosaic("AB")[1],
    "axes and colour bar": lambda: plt.colorbar(plt.imshow(np.eye(3))) and plt.gcf().axes,
    "frame.plot": lambda: FRAME.plot(),
    "frame.plot in parts": lambda: FRAME.plot(subplots=True),
    "secondary_y": lambda: FRAME.plot(secondary_y=["a"]),
    "right_ax": lambda: FRAME.plot(secondary_y=["a"]).right_ax,
    "frame.hist": lambda: FRAME.hist(),
    "boxplot by group": lambda: FRAME.boxplot(by="group"),
    "boxplot as a dict": lambda: FRAME.boxplot(return_type="dict"),
    "boxplot as both": lambda: FRAME.boxplot(return_type="both"),
    "boxplot as a Series": lambda: FRAME.boxplot(by="group", return_type="axes"),
    "groups": lambda: FRAME.groupby("group")["a"].plot(),
    "scatter matrix": lambda: pd.plotting.scatter_matrix(FRAME[["a", "b"]]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_it_is_one_picture_of_the_figure(name):
    source = WHOLE[name]()
    plt.gca().set_xlabel("something") if name == "figure" else None
    (part,) = collect_images(source).parts
    figure = image_part(plt.gcf())
    assert dict(part) == dict(figure)
    assert len(find_pictures(source)) == 1
    content = to_tool_content(source)
    assert [dict(image) for image, _ in content.images] == [dict(figure)]
    assert "follows" in content.text


MANY = {
    "two figures": (lambda: [plt.subplots()[0], plt.subplots()[0]], 2),
    "tuple of figures": (lambda: (plt.subplots()[0], plt.subplots()[0]), 2),
    "dict of figures": (lambda: {"a": plt.subplots()[0], "b": plt.subplots()[0]}, 2),
    "axes of two figures": (lambda: [plt.subplots()[1], plt.subplots()[1]], 2),
    "two pairs": (lambda: [plt.subplots(), plt.subplots(1, 2)], 2),
    "axes of one figure": (lambda: list(plt.subplots(1, 2)[1]), 2),
    "unpacked": (lambda: tuple(plt.subplots(1, 3)[1]), 3),
    "flat": (lambda: plt.subplots(2, 2)[1].flat, 4),
    "figure and axes of two": (lambda: (lambda fig, axes: [fig, axes[0]])(*plt.subplots(1, 2)), 2),
    "bars of two axes": (lambda: [axes.bar([1], [2]) for axes in plt.subplots(1, 2)[1]], 2),
    "lines of two axes": (lambda: [axes.plot([1, 2], [2, 1])[0] for axes in plt.subplots(1, 2)[1]], 2),
    "generator": (lambda: (plt.subplots()[1] for _ in range(3)), 3),
    "figure, axes and colour bar": (
        lambda: (lambda ax: (ax.figure, ax, ax.figure.add_axes([0, 0, 1, 1])))(plt.gca()),
        1,
    ),
    "figure and pixels": (lambda: (plt.subplots(), np.zeros((20, 30), "uint8")), 2),
    "figure and the bytes of a file": (lambda: (plt.gcf().add_subplot(), np.frombuffer(PNG, "uint8")), 2),
    "figure and photo": (lambda: [plt.subplots(), quarters()], 2),
    "photo between": (lambda: [plt.gca(), quarters(), plt.gcf()], 2),
    "groups of a frame": (lambda: FRAME.groupby("group").plot(), 3),
    "row of a grid": (lambda: plt.subplots(2, 2)[1][0], 1),
    "the same twice": (lambda: [plt.gcf().add_subplot().figure] * 2, 1),
    "lines of one": (lambda: list(plt.plot(X, X, X, -X)), 1),
}


@pytest.mark.parametrize("name", MANY)
def test_several_are_several(name):
    source, number = MANY[name]
    assert len(collect_images(source()).parts) == number
    if name not in ("flat", "generator", "figure and pixels", "figure and the bytes of a file"):
        assert len(to_tool_content(source()).images) == number


def test_within_a_tools_dict_each_is_drawn_once():
    fig, axes = plt.subplots()
    bars = axes.bar([1, 2], [3, 4])
    content = to_tool_content({"plot": (fig, axes), "bars": bars, "total": 7})
    assert len(content.images) == 1
    assert content.text.count("image 1 (") == 2
    assert '"total":7' in content.text


def size(source):
    return image_part(source).sent.size


def drawn(*, ratios=(1, 1), **options):
    fig, axes = plt.subplots(1, 2, figsize=(8, 3), width_ratios=ratios, **options)
    for each in axes:
        each.plot([1, 3, 2])
    return fig, axes


def test_axes_are_cut_out_with_what_belongs_to_them():
    plain = size(drawn(layout="constrained")[1][0])
    fig, (left, right) = drawn(layout="constrained")
    fig.colorbar(left.imshow(np.eye(3), aspect="auto"), ax=left, label="units")
    bar = fig.axes[-1]
    assert size(left) == size(bar) == size(left.images[0]) == size([left, bar])
    assert size(left)[0] < size(fig)[0] * 0.7
    assert size(right)[0] < size(left)[0]
    fig, (left, right) = drawn(layout="constrained")
    twin = left.twinx()
    twin.plot([100_000, 300_000])
    twin.set_ylabel("a scale of its own")
    assert size(left) == size(twin)
    assert size(left)[0] > plain[0]


def test_what_stands_between_axes_and_their_colour_bar_is_not_cut_in_two():
    fig, (left, right) = drawn()
    fig.colorbar(left.imshow(np.eye(3)), ax=[left, right])
    assert dict(image_part(left)) == dict(image_part(right)) == dict(image_part(fig))


def test_of_a_figure_with_more_the_axes_are_a_part():
    fig, (left, _) = drawn()
    fig.suptitle("Both")
    part, whole = size(left), size(fig)
    assert part[0] < whole[0] * 0.6
    assert part[1] < whole[1]
    assert image_part(left).sent.name == "axes"
    assert image_part(fig).sent.name == "figure"


def test_a_legend_outside_is_in_the_picture():
    """Its ground stands beside the axes, where a cut would have left it out."""
    fig, axes = plt.subplots(figsize=(3, 2), dpi=100)
    axes.plot([1, 2], label="series")
    inside = size(fig)
    legend = axes.legend(bbox_to_anchor=(1.05, 1), loc="upper left", facecolor="#ff0000", framealpha=1)
    for source in (fig, axes, legend):
        picture = decode_part(image_part(source)).convert("RGB")
        assert picture.width > inside[0] + 50
        red = np.argwhere((np.asarray(picture) == (255, 0, 0)).all(axis=2))
        assert red[:, 1].max() < picture.width - 5  # its right edge, too
        assert len(red) > 500


EMPTY = {
    "figure": lambda: plt.figure(),
    "gcf after show": lambda: (plt.plot([1]), plt.close(), plt.gcf())[2],
    "outside pyplot": Figure,
    "all removed": lambda: (plt.gca().remove(), plt.gcf())[1],
    "all hidden": lambda: (plt.gca().set_visible(False), plt.gcf())[1],
    "subfigures": lambda: (plt.figure().subfigures(1, 2), plt.gcf())[1],
    "empty title": lambda: (plt.figure().suptitle(""), plt.gcf())[1],
    "array of subfigures": lambda: plt.figure().subfigures(1, 2),
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_figure_says_so(name):
    source = EMPTY[name]()
    with pytest.raises(ImageError, match=r"This figure is empty: no axes .* keep the one that was drawn on"):
        image_part(source)
    content = to_tool_content(source)
    assert content.images == ()
    assert "This figure is empty" in content.text


@pytest.mark.parametrize("kind", ["text", "line", "legend"])
def test_a_figure_without_axes_may_show_something(kind):
    fig = plt.figure()
    if kind == "text":
        fig.text(0.5, 0.5, "only this")
    elif kind == "line":
        fig.add_artist(Line2D([0, 1], [0, 1]))
    else:
        fig.legend(handles=[Line2D([], [], label="a")])
    assert min(size(fig)) > 10


@pytest.mark.parametrize(
    ("fill", "notes"),
    [
        (lambda axes: None, ("the axes hold no data",)),
        (lambda axes: axes.set_title("to come"), ("the axes hold no data",)),
        (lambda axes: axes.plot([], []), ()),
        (lambda axes: axes.text(0.5, 0.5, "none"), ()),
        (lambda axes: axes.table([["a"]], loc="center"), ()),
        (lambda axes: axes.inset_axes([0.1, 0.1, 0.5, 0.5]), ()),
        (lambda axes: axes.imshow(np.eye(2)), ()),
    ],
)
def test_axes_without_data_are_sent_and_told(fill, notes):
    fig, axes = plt.subplots()
    fill(axes)
    assert image_part(fig).sent.notes == image_part(axes).sent.notes == notes


def removed(artist):
    artist.remove()
    return artist


WRONG = {
    "removed axes": (lambda: removed(plt.gca()), "Axes stands in no figure"),
    "removed line": (lambda: removed(plt.plot([1])[0]), "Line2D stands in no figure"),
    "line of nothing": (lambda: Line2D([0], [0]), "Line2D stands in no figure"),
    "no bars": (lambda: plt.bar([], []), "BarContainer is empty"),
    "hidden axes": (lambda: (drawn()[1][0].set_visible(False), plt.gcf().axes[0])[1], "This Axes shows nothing"),
    "pyplot": (lambda: plt, r"A module is no image. plt.gcf\(\) is the figure"),
    "not called": (lambda: plt.gcf, "Was it to be called"),
    "method": (lambda: plt.gca().plot, "Was it to be called"),
    "far away": (lambda: (plt.text(1e4, 1e4, "x"), plt.gcf())[1], "Something stands far outside of it"),
    "broken maths": (
        lambda: (plt.title(r"$\frac{$"), plt.gcf())[1],
        "matplotlib could not draw this figure: ValueError",
    ),
    "numbers": (lambda: (np.zeros(5), np.zeros(6)), "Image 1 of 2|A tuple is no image"),
    "two at once": (lambda: [plt.subplots(), plt.subplots()], "This list means 2 pictures, and one is taken here"),
    "animation": (
        type("FuncAnimation", (), {"__module__": "matplotlib.animation"}),
        "Give the figure as it is at a frame",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_picture_is_told(name):
    source, message = WRONG[name]
    with pytest.raises(ImageError, match=message) as caught:
        image_part(source())
    assert len(str(caught.value)) < 500


def test_in_a_list_the_wrong_one_is_named():
    with pytest.raises(ImageError, match=r"Image 2 of 3: This Line2D stands in no figure"):
        collect_images([plt.gca(), Line2D([0], [0]), quarters()])


@pytest.fixture
def inline(monkeypatch):
    """The options of a notebook's inline backend, where none runs."""
    backend = InlineBackend()
    monkeypatch.setattr(InlineBackend, "_instance", backend)
    return backend


@pytest.mark.filterwarnings("ignore:InlineBackend:DeprecationWarning")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bbox_inches": "tight"}, None),
        ({}, None),  # what is not said is IPython's own: a tight box
        ({"bbox_inches": None}, (640, 480)),
        ({"bbox_inches": None, "dpi": 50}, (320, 240)),
        ({"bbox_inches": None, "pil_kwargs": {"optimize": True}, "metadata": {"Author": "me"}}, (640, 480)),
        ({"pad_inches": 0}, "less"),
        ({"pad_inches": 1}, "more"),
    ],
)
def test_the_inline_backends_own_options_hold(inline, options, expected):
    fig, axes = plt.subplots(figsize=(6.4, 4.8), dpi=100)
    usual = size(fig)
    inline.print_figure_kwargs = options
    result = size(fig)
    assert size(axes) == result
    if isinstance(expected, str):
        assert (result < usual) == (expected == "less")
    else:
        assert result == (expected or usual)


def test_of_matplotlib_nothing_leaks(caplog, capfd):
    fig, axes = plt.subplots(layout="tight", figsize=(0.8, 0.6))  # too small for its margins
    axes.set_title("漢字 \U0001f600", fontfamily=["No Such Font", "DejaVu Sans"])  # without glyphs
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        before = list(warnings.filters)
        level = logging.getLogger("matplotlib").level
        image_part(fig)
        image_part(axes)
        assert warnings.filters == before
    assert [str(warning.message) for warning in caught] == []
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("matplotlib").level == level


def test_threads_draw_axes_with_partners_and_rcparams_stay():
    before = dict(matplotlib.rcParams)
    results = []

    def draw():
        fig = Figure(figsize=(3, 2))
        left, right = fig.subplots(1, 2)
        fig.colorbar(left.imshow(np.eye(3)), ax=left)
        results.append((size(left), size(right), size(fig)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=draw) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(results) == 4
    assert len(set(results)) == 1
    assert dict(matplotlib.rcParams) == before


def test_the_screen_is_left_alone():
    """The current figure and axes, and the canvas that shows them."""
    fig, axes = plt.subplots()
    other = plt.figure()
    canvas = fig.canvas
    image_part(axes)
    assert plt.gcf() is other
    assert fig.canvas is canvas
    assert plt.get_fignums() == [fig.number, other.number]
    assert Image.MAX_IMAGE_PIXELS == 89_478_485
