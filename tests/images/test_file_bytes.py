"""Image files in what carries them: base64 of every make, data URLs, arrays of bytes, outputs, IPython's own Image."""

import base64
import io
import json
import textwrap
import urllib.parse

import IPython.display
import ipywidgets
import nbformat
import numpy as np
import plotly.graph_objects
import pytest
from IPython.utils.capture import CapturedIO, RichOutput
from PIL import features
from samples import BLUE, decode_part, file, image_reports, near, photo, quarters

from amber_nb import ImageError, image_part
from amber_nb.images.file_bytes import decode_base64, is_image_file
from amber_nb.images.part import collect_images

SIZE = (96, 64)
PNG, JPEG = file(quarters(), "PNG"), file(quarters(), "JPEG", quality=95)
WEBP, GIF, BMP = file(quarters(), "WEBP", lossless=True), file(quarters(), "GIF"), file(quarters(), "BMP")
B64 = base64.b64encode(PNG).decode()
LONG = base64.b64encode(JPEG).decode()  # with both of the signs that the alphabets differ in
URL = "data:image/png;base64,"
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
assert set("+/") <= set(LONG)


class Tensor:
    """A row of bytes of another library's."""

    shape, dtype, ndim = (len(PNG),), np.dtype("uint8"), 1

    def __array__(self, dtype=None, copy=None):
        return np.frombuffer(PNG, np.uint8)


CARRIERS = {
    "base64": B64,
    "as bytes": B64.encode(),
    "of a JPEG": LONG,
    "of a WebP": base64.b64encode(WEBP).decode(),
    "of a GIF": base64.b64encode(GIF).decode(),
    "of a BMP": base64.b64encode(BMP).decode(),
    "line ends": base64.encodebytes(PNG).decode(),
    "line ends, as bytes": base64.encodebytes(PNG),
    "line ends of Windows": "\r\n".join(textwrap.wrap(B64, 76)),
    "lines of 64": "\n".join(textwrap.wrap(B64, 64)),
    "indented lines": textwrap.indent("\n".join(textwrap.wrap(B64, 76)), "    "),
    "spaces between": " ".join(textwrap.wrap(B64, 76)),
    "escaped line ends": "\\n".join(textwrap.wrap(B64, 76)),
    "slashes of JSON": LONG.replace("/", "\\/"),
    "for URLs": base64.urlsafe_b64encode(JPEG).decode(),
    "for URLs, no padding": base64.urlsafe_b64encode(JPEG).decode().rstrip("="),
    "no padding": B64.rstrip("="),
    "str() of bytes": str(B64.encode()),
    "quotes": f'"{LONG}"',
    "blank around": f"\n  {B64}\n",
    "data URL": URL + B64,
    "data URL, line ends": URL + base64.encodebytes(PNG).decode(),
    "data URL, a line end first": f"{URL}\n{B64}",
    "data URL, indented": URL + textwrap.indent("\n".join(textwrap.wrap(B64, 76)), "\t"),
    "data URL, upper case": "DATA:IMAGE/PNG;BASE64," + B64,
    "data URL, no type": "data:;base64," + B64,
    "data URL, wrong type": "data:image/jpeg;base64," + B64,
    "data URL, parameters": "data:image/png;charset=utf-8;base64," + B64,
    "data URL, a space": "data:image/png; base64," + B64,
    "data URL, percent signs": URL + urllib.parse.quote(B64, safe=""),
    "data URL, no padding": URL + B64.rstrip("="),
    "data URL, for URLs": "data:image/jpeg;base64," + base64.urlsafe_b64encode(JPEG).decode(),
    "data URL, as bytes": (URL + B64).encode(),
    "data URL in a part": {"type": "image_url", "image_url": {"url": URL + base64.encodebytes(PNG).decode()}},
    "a part of the other endpoint": {"type": "input_image", "image_url": URL + B64},
    "imencode": (True, np.frombuffer(PNG, np.uint8)),
    "imencode of numpy's bool": (np.True_, np.frombuffer(JPEG, np.uint8)),
    "array of bytes": np.frombuffer(PNG, np.uint8),
    "array of a JPEG": np.frombuffer(JPEG, np.uint8),
    "array of a BMP": np.frombuffer(BMP, np.uint8),
    "column": np.frombuffer(WEBP, np.uint8)[:, None],  # as OpenCV 3 and 4 gave it
    "row": np.frombuffer(GIF, np.uint8)[None],
    "signed": np.frombuffer(PNG, np.int8),
    "every second": np.repeat(np.frombuffer(PNG, np.uint8), 2)[::2],
    "tensor": Tensor(),
    "characters": np.frombuffer(PNG, "S1"),
    "mime bundle": {"text/plain": "<Figure>", "image/png": B64},
    "bundle of bytes": {"image/jpeg": JPEG},
    "bundle of a GIF": {"image/gif": base64.b64encode(GIF).decode()},
    "lines in a bundle": {"image/png": base64.encodebytes(PNG).decode().splitlines(keepends=True)},
    "output": {"output_type": "display_data", "data": {"image/png": B64 + "\n"}, "metadata": {}},
    "nbformat's output": nbformat.v4.new_output("display_data", data={"image/png": B64}),
    "captured": RichOutput(data={"image/png": B64}),
    "captured, first": CapturedIO(io.StringIO(), io.StringIO(), [{"data": {"image/png": B64}}]).outputs[0],
    "upload": {"name": "sky.png", "type": "image/png", "size": len(PNG), "content": memoryview(PNG)},
    "IPython, data": IPython.display.Image(data=PNG),
    "IPython, JPEG": IPython.display.Image(data=JPEG),
    "IPython, GIF": IPython.display.Image(data=GIF, format="gif"),
    "IPython, WebP": IPython.display.Image(data=WEBP, format="webp"),
    "IPython, width": IPython.display.Image(data=PNG, width=40),
    "IPython, retina": IPython.display.Image(data=PNG, retina=True),
    "IPython, URL of data": IPython.display.Image(url=URL + B64),
    "ipywidgets": ipywidgets.Image(value=PNG, format="png"),
}  # fmt: skip


@pytest.mark.parametrize("name", CARRIERS)
def test_the_file_is_found(name):
    (part,) = collect_images(CARRIERS[name]).parts
    assert part.sent.original_size == SIZE
    assert near(decode_part(part).convert("RGB").getpixel((48, 40)), BLUE, 6)
    assert part == image_part(CARRIERS[name])


def test_one_of_them_arrives(amber):
    answer = amber.ask("What is it?", images=[CARRIERS["line ends"], CARRIERS["imencode"], CARRIERS["IPython, data"]])
    assert [report.size for report in image_reports(answer.text)] == [SIZE] * 3


@pytest.mark.parametrize("embed", [True, False])
def test_the_file_that_ipython_names(tmp_path, monkeypatch, embed):
    (tmp_path / "sky.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    assert image_part(IPython.display.Image(filename="sky.png", embed=embed)).sent.size == SIZE
    assert image_part(IPython.display.Image(str(tmp_path / "sky.png"), embed=embed)).sent.size == SIZE
    assert image_part(IPython.display.Image(url="sky.png")).sent.size == SIZE  # as the page would fetch it
    (tmp_path / "logo.svg").write_text(SVG)
    with pytest.raises(ImageError, match=r"logo.svg is an SVG, which models do not read"):
        image_part(IPython.display.Image(filename="logo.svg", embed=False))


@pytest.mark.parametrize("how", [{"url": "https://a.example/b.png?sig=1"}, {"data": "https://a.example/b.png?sig=1"}])
def test_the_address_that_ipython_holds_is_a_link(how):
    part = image_part(IPython.display.Image(embed=False, **how))
    assert part["image_url"] == {"url": "https://a.example/b.png?sig=1"}
    assert part.sent.name == "b.png (a.example)"


def test_an_upload_keeps_its_name():
    assert image_part(CARRIERS["upload"]).sent.name == "sky.png"


class Page:
    def _repr_html_(self):
        return "<b>hello</b>"


def of_package(package, kind):
    return type(kind, (Page,), {"__module__": f"{package}.x"})()


def shows(bundle):
    """An object whose bundle has what is asked for."""

    def make(self, include=None, exclude=None):
        return {kind: data for kind, data in bundle.items() if include is None or kind in include}

    return type("Shows", (), {"_repr_mimebundle_": make})()


class Old:
    def _repr_mimebundle_(self):
        return {"image/svg+xml": SVG}


WRONG = {
    "base64 of text": (base64.b64encode(b"Dear diary, this is no picture at all." * 3).decode(), "neither a path of"),
    "base64 of text, as bytes": (base64.b64encode(b"Dear diary, no picture." * 5), "holds text, not an image"),
    "base64 of an SVG": (base64.b64encode(SVG.encode()).decode(), "is an SVG"),
    "base64 cut": (B64[: len(B64) // 2], "cannot be decoded|no image that can be read"),
    "data URL cut": (URL + B64[:41], "is broken|cannot be decoded|no image that can be read"),
    "data URL broken": (URL + "@@@" + B64, "base64 of this data URL is broken"),
    "data URL of an SVG": ("data:image/svg+xml;utf8," + SVG, "is an SVG"),
    "data URL of an SVG, encoded": ("data:image/svg+xml," + urllib.parse.quote(SVG), "is an SVG"),
    "data URL of an SVG, base64": ("data:image/svg+xml;base64," + base64.b64encode(SVG.encode()).decode(), "is an SVG"),
    "data URL of text": ("data:text/plain,hello", "is not base64"),
    "SVG in a bundle": ({"image/svg+xml": SVG}, "This output is an SVG"),
    "SVG in an output": ({"data": {"image/svg+xml": SVG}}, "This output is an SVG"),
    "text in an output": ({"data": {"text/plain": "1"}}, "no image part"),
    "array of other bytes": (np.arange(200, dtype="uint8"), r"shape \(200,\)"),
    "array of numbers": (np.arange(9.0), r"shape \(9,\) .* A row of numbers is to be plotted"),
    "array of bytes of text": (np.frombuffer(b"Dear diary" * 9, "uint8"), "Its bytes do not begin as an image"),
    "failed imencode": ((False, None), "Image 1 of 2"),
    "IPython SVG": (IPython.display.SVG(data=SVG), "shows itself as SVG"),
    "IPython HTML": (IPython.display.HTML("<img src='x.png'>"), "shows itself as a page"),
    "IPython Markdown": (IPython.display.Markdown("![x](x.png)"), "shows itself as a page"),
    "IPython Video": (IPython.display.Video(url="x.mp4"), "Give frames of it"),
    "captured, all": (CapturedIO(io.StringIO(), io.StringIO(), []), r"give .outputs\[0\]"),
    "bundle of a page": (shows({"text/html": "<b>hello</b>"}), "It shows itself as a page"),
    "bundle of an SVG": (shows({"image/svg+xml": SVG}), "shows itself as SVG"),
    "bundle of text": (shows({"text/plain": "hello"}), "is no image: a path"),
    "bundle that fails": (shows(None), "is no image: a path"),
    "bundle without a choice": (Old(), "shows itself as SVG"),
    "empty plotly figure": (plotly.graph_objects.Figure(), "This plotly figure is empty: no trace"),
    "bokeh": (of_package("bokeh", "figure"), "get_screenshot_as_png"),
    "holoviews": (of_package("holoviews", "Curve"), "backend='matplotlib'"),
    "requests": (of_package("requests", "Response"), r"Its .content are the bytes"),
    "folium": (of_package("folium", "Map"), "screenshot"),
    "polars": (of_package("polars", "DataFrame"), r"Its .to_pandas\(\)"),
    "another page": (Page(), "It shows itself as a page"),
    "slider": (ipywidgets.IntSlider(), "It is a widget"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_none_is_told(name):
    source, message = WRONG[name]
    with pytest.raises(ImageError, match=message) as caught:
        collect_images(source)
    text = str(caught.value)
    assert len(text) < 500
    assert B64[:30] not in text
    assert "diary" not in text


def test_pixels_that_begin_as_a_file_does_are_pixels():
    pixels = np.zeros((20, 30), "uint8")
    pixels[0, :8] = list(PNG[:8])
    assert image_part(pixels).sent.size == (30, 20)
    assert image_part(np.array([[66, 77] * 40], "uint8")).sent.size == (80, 1)  # not every BM is a BMP


def test_base64_of_any_length_comes_back():
    for length in range(64):
        data = PNG[:8] + photo((9, 9)).tobytes()[:length]
        for text in (base64.b64encode(data), base64.urlsafe_b64encode(data).rstrip(b"="), base64.encodebytes(data)):
            assert decode_base64(text, is_told=True) == data
    assert decode_base64("é" * 80) is None
    assert decode_base64(json.dumps({"a": 1}) * 10) is None
    assert decode_base64("A" * 41, is_told=True) is None  # no base64 has that length


def test_heads_of_files():
    formats = ["TIFF", "AVIF"] if "avif" in features.get_supported() else ["TIFF"]
    assert all(map(is_image_file, (PNG, JPEG, WEBP, GIF, BMP, *(file(quarters(), each) for each in formats))))
    assert not any(map(is_image_file, (b"", b"BM", b"RIFF....WAVE", b"hello", b"%PDF")))
