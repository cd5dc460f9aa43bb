"""Everything that `images=` takes, sent to the simulator over HTTP, which tells what arrived."""

import base64
import http.server
import io
import pathlib
import pickle
import sys
import threading
from types import SimpleNamespace

import altair
import IPython.display
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from samples import BLUE, RED, WHITE, Report, decode_part, file, image_reports, near, photo, quarters

from amber_nb import ImageError, image_part
from amber_nb.images.part import collect_images
from amber_nb.simulator import IMAGE_REPLY, IMAGE_URL

SIZE = (96, 64)
ARRAY = np.asarray(quarters())
GREY = np.full((64, 96), 176, dtype="uint8")


def figure(colour="#2355d7", **options):
    """A figure of 320 × 240 pixels, outside pyplot."""
    fig = Figure(figsize=(3.2, 2.4), dpi=100, facecolor=colour, **options)
    for number in (1, 2):
        axes = fig.add_subplot(1, 2, number)
        axes.plot([1, 3, 2])
        axes.set_title(f"axes {number}")
        axes.set_facecolor(colour)
    return fig


class Shows:
    """An object with one of the display methods."""

    def __init__(self, method, value):
        self.value = value
        self.__class__ = type("Shows", (Shows,), {method: lambda self, **_: self.value})


PNG = file(quarters(), "PNG")
JPEG = file(quarters(), "JPEG", quality=95)
FRAME = pd.DataFrame({"city": ["Aachen", "Bonn"], "temp": [14.2, 16.5]})
HERE = {
    "bytes": lambda: PNG,
    "bytearray": lambda: bytearray(PNG),
    "memoryview": lambda: memoryview(PNG),
    "BytesIO": lambda: io.BytesIO(PNG),
    "BytesIO at its end": lambda: at_end(io.BytesIO()),
    "PIL": quarters,
    "array RGB": lambda: ARRAY,
    "array RGBA": lambda: np.dstack([ARRAY, np.full(ARRAY.shape[:2], 255, "uint8")]),
    "array float": lambda: ARRAY / 255,
    "array float32": lambda: (ARRAY / 255).astype("float32"),
    "array float16": lambda: (ARRAY / 255).astype("float16"),
    "array view": lambda: np.asarray(quarters((192, 128)))[::2, ::2],
    "array fortran": lambda: np.asfortranarray(ARRAY),
    "array overshoot": lambda: np.clip(ARRAY / 255, 1e-5, None) + 5e-4,
    "array uint16": lambda: ARRAY.astype("uint16") * 257,
    "_repr_png_": lambda: Shows("_repr_png_", PNG),
    "_repr_png_ base64": lambda: Shows("_repr_png_", base64.b64encode(PNG).decode()),
    "_repr_png_ with metadata": lambda: Shows("_repr_png_", (PNG, {"width": 10})),
    "_repr_jpeg_": lambda: Shows("_repr_jpeg_", JPEG),
    "_repr_mimebundle_": lambda: Shows("_repr_mimebundle_", {"image/png": base64.b64encode(PNG).decode()}),
    "IPython Image": lambda: IPython.display.Image(data=PNG),
    "data URL": lambda: "data:image/png;base64," + base64.b64encode(PNG).decode(),
    "a part of the user's": lambda: {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode(), "detail": "low"},
    },
    "an ImagePart": lambda: image_part(PNG),
    "Out[n]": lambda: {3: quarters()}[3],
}


def at_end(buffer):
    quarters().save(buffer, "PNG")
    return buffer


@pytest.mark.parametrize("name", HERE)
def test_it_arrives(amber, name):
    answer = amber.ask("What is it?", images=HERE[name]())
    (result,) = image_reports(answer.text)
    assert result.size == SIZE
    assert result.format == ("JPEG" if "jpeg" in name else "PNG")
    assert near(result.colour, BLUE, most=4)


@pytest.mark.parametrize("name", ["grey", "bool", "one channel", "masked"])
def test_grey_arrives(amber, name):
    source = {
        "grey": GREY,
        "bool": np.ones((64, 96), bool),
        "one channel": GREY[:, :, None],
        "masked": np.ma.masked_array(GREY, mask=np.arange(96) < 20 + 0 * GREY),
    }[name]
    (result,) = image_reports(amber.ask("What is it?", images=source).text)
    assert result == Report("PNG", SIZE, WHITE if name == "bool" else (176,) * 3)


def test_paths_arrive(amber, tmp_path, monkeypatch):
    folder = tmp_path / "Überraschung & co"
    folder.mkdir()
    path = folder / "photo 1.png"
    path.write_bytes(PNG)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    with path.open("rb") as stream:
        stream.read(10)
        sources = [path, str(path), "photo 1.png", "~/photo 1.png", path.as_uri(), stream, pathlib.PurePosixPath(path)]
        answer = amber.ask("What is it?", images=sources)
        assert stream.tell() == 10
    assert [image.size for image in image_reports(answer.text)] == [SIZE] * 7
    assert [image.name for image in answer._images] == ["photo 1.png"] * 5 + ["image", "photo 1.png"]


def test_a_figure_arrives_and_is_as_it_was(amber):
    fig = figure(layout="constrained")
    before = state(fig)
    with matplotlib.rc_context({"savefig.dpi": 300, "savefig.bbox": "tight", "savefig.facecolor": "red"}):
        answer = amber.ask("What is it?", images=[fig, fig.axes[0]])
    whole, part = image_reports(answer.text)
    assert part.size[0] < 200
    assert part.size[1] < 260
    assert near(part.colour, BLUE)
    assert state(fig) == before
    shown = io.BytesIO()
    fig.savefig(shown, bbox_inches="tight", dpi=100)  # as the inline backend does
    assert (whole.format, whole.size) == ("PNG", Image.open(shown).size)


def state(fig):
    """All that is known of a figure, but for what drawing caches."""
    places = [axes.get_position(original=True).bounds + axes.get_position().bounds for axes in fig.axes]
    limits = [axes.get_xlim() + axes.get_ylim() for axes in fig.axes]
    in_layout = [axes.get_in_layout() for axes in fig.axes]
    canvas = (type(fig.canvas), fig.dpi, tuple(fig.get_size_inches()), fig.get_facecolor(), fig.stale)
    return places, limits, in_layout, canvas, type(fig.get_layout_engine()), vars(fig.subplotpars)


@pytest.mark.parametrize("layout", [None, "constrained", "tight", "compressed"])
def test_every_layout_is_as_it_was(layout):
    fig = figure(layout=layout)
    before = state(fig)
    image_part(fig)
    image_part(fig.axes[1])
    assert state(fig) == before


def test_the_facecolor_is_the_figures(amber):
    (result,) = image_reports(amber.ask("What is it?", images=figure("#e11e23")).text)
    assert near(result.colour, RED)


def test_a_subfigure_and_a_grid_of_axes(amber):
    fig = Figure(figsize=(4, 2), dpi=100)
    left, right = fig.subfigures(1, 2)
    grid = np.array([left.subplots(), *right.subplots(1, 2)], dtype=object)
    assert image_part(left).sent.size[0] < 250
    whole = image_part(fig).sent.size
    for together in (grid, grid.reshape(3, 1)):
        (report,) = image_reports(amber.ask("What is it?", images=together).text)
        assert report.size == whole
    assert len(image_reports(amber.ask("What is it?", images=list(grid)).text)) == 3
    assert image_part(SimpleNamespace(figure=fig)).sent.size == whole  # as seaborn's grids hold theirs


def test_axes_that_were_removed():
    fig = figure()
    axes = fig.axes[0]
    axes.remove()
    with pytest.raises(ImageError, match="stands in no figure"):
        image_part(axes)


def test_what_cannot_be_drawn():
    fig = figure()
    fig.axes[0].set_title(r"$\frac{$")
    with pytest.raises(ImageError, match="matplotlib could not draw this figure: ValueError"):
        image_part(fig)


def test_tables_arrive(amber):
    answer = amber.ask("What is it?", images=[FRAME, FRAME.style.highlight_max(subset=["temp"])])
    plain, styled = image_reports(answer.text)
    assert plain.format == styled.format == "PNG"
    assert min(plain.size) > 60
    assert answer._images[0].name == "table of 2 rows"
    with pytest.raises(ImageError, match="200 rows and 2 columns"):
        image_part(pd.concat([FRAME] * 100))


def test_a_column_of_paths_is_many(amber, tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(PNG)
    paths = pd.Series([str(tmp_path / "1.png"), tmp_path / "2.png"], name="path")
    for many in (paths, paths.to_numpy(), list(paths), tuple(paths), iter(paths), tmp_path.glob("*.png")):
        assert len(image_reports(amber.ask("What is it?", images=many).text)) == 2


def test_altair_arrives(amber):
    chart = altair.Chart(FRAME).mark_bar().encode(x="city", y="temp")
    answer = amber.ask("What is it?", images=chart)
    (result,) = image_reports(answer.text)
    assert result.format == "PNG"
    assert near(result.colour, WHITE)
    assert answer._images[0].name == "altair chart"


class Missing:
    """An import that finds nothing, wherever the module is."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, *_):
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}")


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("dataframe_image", FRAME, r"pip install 'amber_nb\[pictures\]'"),
        ("vl_convert", altair.Chart(FRAME).mark_bar(), "pip install vl-convert-python"),
        ("kaleido", type("Figure", (), {"__module__": "plotly.x", "to_plotly_json": dict})(), "kaleido"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, module, source, message):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(module), *sys.meta_path])
    with pytest.raises(ImageError, match=message):
        image_part(source)


def test_a_link_is_sent_as_it_is(amber):
    answer = amber.ask("What's in this image?", images=IMAGE_URL)
    assert answer.text == IMAGE_REPLY
    assert answer.messages[0] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "What's in this image?"},
            {"type": "image_url", "image_url": {"url": IMAGE_URL}},
        ],
    }


def test_a_links_secrets_are_not_shown():
    part = image_part("HTTPS://user:pass@blob.example.org/a/photo%20one.jpg?sig=s3cret#x", detail="low")
    assert part["image_url"] == {
        "url": "HTTPS://user:pass@blob.example.org/a/photo%20one.jpg?sig=s3cret#x",
        "detail": "low",
    }
    assert part.sent.name == "photo one.jpg (blob.example.org)"
    shown = repr(part) + part._repr_mimebundle_()["text/html"] + repr(part.sent)
    assert "s3cret" not in shown
    assert "pass" not in shown


def test_a_link_is_fetched_where_that_was_asked(gateway, served):
    part = image_part(f"{served}/a/photo.png", inline=True)
    assert decode_part(part).size == SIZE
    assert part.sent.name == "photo.png (127.0.0.1)"
    for path, message in {
        "missing.png": "missing.png (127.0.0.1) could not be fetched: its server said 404",
        "endless.png": "has more than the 50 MB",
        "page.png": "page.png (127.0.0.1) holds text",
        "photo.png?sig=s3cret&status=500": "said 500",
    }.items():
        with pytest.raises(ImageError) as caught:
            image_part(f"{served}/{path}", inline=True)
        assert message in str(caught.value)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(ImageError, match="could not be fetched: ConnectError"):
        image_part("http://127.0.0.1:9/photo.png", inline=True)


@pytest.fixture
def served():
    """A web server of pictures."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            files = {"photo.png": PNG, "page.png": b"<html>", "endless.png": None}
            name = self.path.rpartition("/")[2].partition("?")[0]
            status = 500 if "status=500" in self.path else 200 if name in files else 404
            self.send_response(status)
            self.end_headers()
            try:
                for _ in range(60 if name == "endless.png" else 1):
                    self.wfile.write(files.get(name) or bytes(1_000_000))
            except OSError:
                pass

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
NO_IMAGES = {
    "None in a list": (None, "A NoneType is no image"),
    "number": (5, "An int is no image"),
    "class": (Image.Image, "The class Image is no image"),
    "nested list": ([quarters()], "A list is no image"),
    "missing": ("no such.png", "There is no file no such.png"),
    "folder": (pathlib.Path(__file__).parent, "images is a folder"),
    "prose": ("A picture of\na cat", "neither a path of a file nor"),
    "NUL": ("a\0b", "neither a path of a file nor"),
    "s3": ("s3://bucket/key.png", "An s3:// address"),
    "no host": ("https:///x.png", "This URL cannot be read"),
    "space in a URL": ("https://a.de/b c.png", "This URL cannot be read"),
    "bad port": ("https://[::1/x.png", "This URL cannot be read"),
    "data URL without base64": ("data:image/png,abc", "is not base64"),
    "broken base64": ("data:image/png;base64,@@@", "base64 of this data URL is broken"),
    "empty data URL": ("data:image/png;base64,", "This image is empty"),
    "another dict": ({"a": 1}, "This dict is no image part"),
    "javascript part": ({"image_url": {"url": "javascript:alert(1)"}}, "must be an http"),
    "text file object": (io.StringIO("a"), "gives str, not bytes"),
    "closed file": (SimpleNamespace(read=lambda n: 1 / 0, seekable=lambda: False), "image (ZeroDivisionError)"),
    "SVG object": (IPython.display.SVG(data=SVG), "shows itself as SVG, which models do not read"),
    "broken display": (Shows("_repr_png_", 1), "its _repr_png_ has an int that does not decode"),
    "empty image": (Image.new("RGB", (0, 5)), "has no pixels: it is 0 × 5"),
    "empty array": (np.zeros((0, 5)), "has no pixels"),
    "1-D": (np.zeros(5), r"shape (5,) and dtype float64 is no image: (height, width)"),
    "channels first": (np.zeros((3, 40, 50)), "array.transpose(1, 2, 0)"),
    "batch": (np.zeros((2, 40, 50, 3)), "images=list(array)"),
    "two channels": (np.zeros((4, 5, 2)), "shape (4, 5, 2)"),
    "float 0..255": (np.full((4, 5), 200.0), "values from 200 to 200, and float must be in 0..1: array / 255"),
    "signed float": (np.array([[-3.0, 2.0]]), "array.max() - array.min()"),
    "infinite": (np.array([[0.0, np.inf]]), "values from 0 to inf"),
    "NaN": (np.array([[0.0, np.nan]]), "holds NaN"),
    "int64": (np.full((4, 5), 200), "array.astype('uint8')"),
    "large int": (np.full((4, 5), 2_000), "Its values go from 2000 to 2000: array.astype('uint16') is taken"),
    "Hounsfield": (np.array([[-1_000, 3_000]] * 2, "int16"), "to 3000: (array - array.min()) / (array.max()"),
    "one large int": (np.full((4, 5), 70_000), "Its values go from 70000 to 70000: all values are equal"),
    "complex": (np.zeros((4, 5), complex), "dtype complex128 is no image"),
    "strings": (np.array([["a"]]), "is no image"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_told(name):
    source, message = NO_IMAGES[name]
    with pytest.raises(ImageError) as caught:
        image_part(source)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_one_bad_image_of_five_is_named_before_any_request(amber, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    sources = [quarters(), PNG, tmp_path / "notes.png", GREY, quarters()]
    with pytest.raises(ImageError) as caught:
        amber.ask("What is it?", images=sources)
    assert str(caught.value) == "Image 3 of 5: notes.png holds text, not an image (10 bytes)."
    assert len(amber.usage_log) == 0
    assert amber.last is None


def test_too_many_are_refused():
    with pytest.raises(ImageError, match="More than 500 images"):
        collect_images(PNG for _ in iter(int, 1))


def test_a_mock_is_no_image():
    """An object that answers to every name is not asked for what it would make up."""

    class Anything:
        def __getattr__(self, name):
            return lambda *_, **__: b"made up"

    with pytest.raises(ImageError, match="holds text, not an image"):
        image_part(Anything())


def test_nothing_is_lost_on_the_way_through_a_pickle():
    part = pickle.loads(pickle.dumps(image_part(photo((300, 200)))))
    assert part == image_part(photo((300, 200)))
    assert part.sent.size == (300, 200)
    assert repr(part) == "ImagePart('image', 300 × 200 JPEG)"
