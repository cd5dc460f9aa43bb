"""What an attack on the images has found, each as it should be."""

import io
import os
import sys
import threading
import warnings
from collections import deque
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageCms, TiffImagePlugin
from samples import decode_part, file, near, quarters

from amber_nb import ImageError, ImageInput, image_part
from amber_nb.images import codec
from amber_nb.images.part import collect_images

PNG = file(quarters(), "PNG")


def error_message(source, **options):
    with pytest.raises(ImageError) as caught:
        image_part(source, **options)
    return str(caught.value)


@pytest.mark.parametrize("column", ["dtype", "shape", "data", "read", "figure", "images", "url"])
def test_a_table_may_have_any_column(column):
    frame = pd.DataFrame({column: [1, 2], "b": [3, 4]})
    assert [part.sent.name for part in collect_images(frame).parts] == ["table of 2 rows"]
    assert image_part(frame.style).sent.name == "table of 2 rows"


def test_what_is_secret_in_an_address_stays_out_of_the_errors():
    assert image_part(" https://a.example/x.png?tok=SECRET\n").sent.name == "x.png (a.example)"
    for source in ("git+ssh://u:pw@h/SECRET", "ftp://u:pw@h/x.png?SECRET", "https://u:pw@/x.png?SECRET"):
        message = error_message(source)
        assert "SECRET" not in message
        assert "pw" not in message


def test_a_prompt_or_base64_in_the_wrong_place_is_not_said_again():
    prompt = "What is in this picture? my secret password is hunter2"
    assert (
        error_message(prompt)
        == f"This str of {len(prompt)} characters is neither a path of a file nor an http(s) or data URL."
    )
    assert "iVBOR" not in error_message("iVBORw0KGgo/" * 20)
    assert "cairosvg" in error_message("<svg xmlns='x'/>")
    assert error_message("").startswith("This str of 0 characters")


def test_numbers_that_are_not_finite_are_refused():
    for wrong in (np.nan, np.inf, -np.inf):
        pixels = np.full((4, 6), 0.5, dtype="float32")
        pixels[0, 0] = wrong
        assert "not finite" in error_message(Image.fromarray(pixels))
        assert "not finite" in error_message(file(Image.fromarray(pixels), "TIFF"))


def test_an_image_of_one_number_is_not_black():
    part = image_part(Image.fromarray(np.full((4, 6), 100.0, dtype="float32")))
    assert decode_part(part).getpixel((0, 0)) == 128


def linear_profile(name):
    """sRGB's colours with a gamma of 1: what is stored as 55 is seen as 128."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        at = profile.index(tag)
        start = int.from_bytes(profile[at + 4 : at + 8])
        profile[start : start + 12] = b"curv" + bytes(8)  # of no points: the identity
        profile[at + 8 : at + 12] = (12).to_bytes(4)
    old, new = "sRGB built-in".encode("utf-16-be"), name.encode("utf-16-be")
    assert old in profile
    assert len(old) == len(new)
    return bytes(profile.replace(old, new))


def test_a_linear_profile_counts_whatever_it_is_called():
    image = Image.new("RGB", (8, 8), (55, 55, 55))
    result = decode_part(image_part(file(image, "PNG", icc_profile=linear_profile("Linear sRGB  "))))
    assert near(result.getpixel((4, 4)), (128, 128, 128))
    assert near(decode_part(image_part(file(image, "PNG"))).getpixel((4, 4)), (55, 55, 55))


def test_a_palette_keeps_its_transparency():
    image = Image.new("RGBA", (60, 40), (255, 0, 0, 0)).quantize(8, method=Image.Quantize.FASTOCTREE)
    assert decode_part(image_part(image)).getpixel((5, 5))[3] == 0


def tiff(pixels, **tags):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[int(tag[1:])] = value
    return file(Image.fromarray(pixels), "TIFF", tiffinfo=info)


def test_where_white_is_zero():
    pixels = np.full((4, 6), 200 * 257, dtype="uint16")
    assert decode_part(image_part(tiff(pixels))).getpixel((0, 0)) == 200
    assert decode_part(image_part(tiff(pixels, t262=0))).getpixel((0, 0)) == 55


def test_an_enormous_array_is_measured_before_it_is_copied():
    """A copy of it would fill any memory."""
    huge = np.broadcast_to(np.uint8(3), (500_000, 200_000))
    assert "100,000 million pixels; at most 150 million" in error_message(huge)
    assert "at most 150 million" in error_message(np.broadcast_to(0.5, (500_000, 200_000)))


def test_an_enormous_figure_is_measured_before_it_is_drawn():
    message = error_message(Figure(figsize=(200, 200), dpi=100))
    assert message.startswith("This figure is 20,000 × 20,000 pixels; at most 150 million are drawn.")


def test_a_strip_of_enormous_length_is_refused():
    assert "a side of more than 100,000 is not decoded" in error_message(Image.new("1", (1, 200_000)))


def test_the_pages_of_a_tiff_are_not_counted(monkeypatch):
    """To look at thousands of them took half a minute, growing with the square of their number."""
    positions = []
    seek = TiffImagePlugin.TiffImageFile._seek
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "_seek", lambda self, at: positions.append(at) or seek(self, at))
    page = Image.new("L", (1, 1))
    many = file(page, "TIFF", save_all=True, append_images=[page] * 50)
    positions.clear()
    assert image_part(many).sent.notes == ("first page of several",)
    assert max(positions) == 1


def test_threads_leave_the_warnings_filters_alone():
    before = list(warnings.filters)
    at_once(lambda: image_part(PNG), threads=6, rounds=40)
    assert warnings.filters == before


def test_threads_draw_figures_and_leave_rcparams_alone():
    def draw():
        fig = Figure(figsize=(1, 1))
        fig.subplots().plot([1, 2])
        image_part(fig)

    with matplotlib.rc_context({"savefig.bbox": "tight"}):
        at_once(draw, threads=4, rounds=5)
        assert matplotlib.rcParams["savefig.bbox"] == "tight"


def at_once(work, threads, rounds):
    errors = []

    def run():
        try:
            for _ in range(rounds):
                work()
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        running = [threading.Thread(target=run) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


def test_a_figure_with_titles_and_an_aspect_is_as_it_was():
    fig = Figure(layout="constrained")
    left, right = fig.subfigures(1, 2)
    left.suptitle("left")
    axes = right.subplots()
    axes.plot([0, 1, 4])
    axes.set_aspect("equal", adjustable="datalim")
    fig.suptitle("both")

    def state():
        titles = [fig._suptitle.get_position(), left._suptitle.get_position()]
        frames = [part.bbox_relative.bounds for part in (left, right)]
        return titles, frames, axes.get_xlim(), axes.get_ylim(), axes.get_position(original=True).bounds

    before = state()
    image_part(fig)
    image_part(axes)
    assert state() == before


def test_a_figure_that_was_drawn_is_not_stale_afterwards():
    fig = Figure()
    fig.subplots().plot([1, 2])
    FigureCanvasAgg(fig).draw()
    assert fig.stale is False
    image_part(fig)
    assert fig.stale is False


def test_erased_colours_are_not_sent():
    image = Image.new("RGBA", (20, 20), (1, 2, 3, 0))
    image.paste((200, 0, 0, 255), (0, 0, 5, 5))
    result = decode_part(image_part(image))
    assert result.getpixel((10, 10)) == (0, 0, 0, 0)
    assert result.getpixel((2, 2)) == (200, 0, 0, 255)


def test_the_readers_frame_is_the_one_that_is_sent():
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue", "green")]
    image = Image.open(io.BytesIO(file(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    image.seek(1)
    part = image_part(image)
    assert part.sent.notes == ("one frame of an animation",)
    assert decode_part(part).convert("RGB").getpixel((4, 4)) == (0, 0, 255)
    assert image.tell() == 1


def test_the_limit_of_bytes_is_reached_in_few_steps(monkeypatch):
    """Each step is an encoding, and of a large picture it takes seconds."""
    sizes = []
    save = codec._save
    monkeypatch.setattr(codec, "_save", lambda image, *rest: sizes.append(image.size) or save(image, *rest))
    noise = np.random.default_rng(0).integers(0, 256, (3_000, 4_000, 3), dtype="uint8")
    part = image_part(noise, max_side_px=4_000, format="png")
    assert part.sent.n_bytes <= 3_700_000
    assert len([size for size in sizes if max(size) > 256]) <= 3  # but for the samples


class Raises:
    """An object whose every attribute of that name raises."""

    def __init__(self, *names):
        kind = {name: property(lambda self: 1 / 0) for name in names}
        self.__class__ = type("Raises", (Raises,), kind)


@pytest.mark.parametrize("names", [("read",), ("figure",), ("url",), ("shape",), ("__array__", "shape", "dtype")])
def test_an_object_that_raises_is_no_image(names):
    assert "Raises" in error_message(Raises(*names))
    with pytest.raises(ImageError, match="Image 2 of 2"):
        collect_images([PNG, Raises(*names)])


def test_other_strange_sources():
    closed = io.BytesIO(PNG)
    closed.close()
    assert "cannot be read as an image (ValueError)" in error_message(closed)
    assert "cannot be read as an image" in error_message("file://[")
    assert "cannot be read" in error_message("https://h/\ud800.png")
    error_message("\ud800.png").encode()
    assert error_message("/dev/zero") == "zero is no regular file: read it yourself, and give its bytes."
    assert image_part(np.full((4, 5), 77 * 257, dtype=">u2")).sent.size == (5, 4)
    assert "transpose" not in error_message(np.zeros((4, 4, 2)))
    assert image_part(Image.new("RGBA", (9, 9), (1, 2, 3, 128)).convert("LA").convert("La")).sent.size == (9, 9)
    lies = {"shape": (2, 2), "dtype": object, "__array__": lambda self, *_, **__: np.zeros(3)}
    assert "shape (3,)" in error_message(type("Lying", (), lies)())


def test_a_file_objects_place_is_put_back_even_when_it_fails():
    class Half(io.BytesIO):
        def read(self, *_):
            raise OSError("gone")

    stream = Half(PNG)
    stream.__class__ = type("Stream", (Half,), {"getvalue": None})
    stream.seek(3)
    error_message(stream)
    assert stream.tell() == 3


def test_a_pipe_is_read_to_its_end():
    reading, writing = os.pipe()
    data = file(quarters((400, 300)), "BMP")

    def write():
        with os.fdopen(writing, "wb") as out:
            out.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb", 0) as stream:
        assert image_part(stream).sent.size == (400, 300)
    thread.join()


def test_what_else_is_several(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    path = tmp_path / "a.png"
    for many in (deque([path]), {path: 1}.keys(), np.array([str(path)]), pd.array([str(path)]), frozenset([path])):
        assert len(collect_images(many).parts) == 1


def test_an_inputs_parameters_are_looked_at_at_once():
    for wrong in ({"detail": "bad"}, {"max_side_px": "huge"}, {"most": 0}, {"most": -1}, {"most": "x"}, {"most": 2.5}):
        with pytest.raises(ValueError, match="must be"):
            ImageInput(**wrong)


def test_a_link_from_the_page_is_never_a_path():
    photos = ImageInput()
    for address in (str(Path(__file__)), f"file://{__file__}", "data:image/png;base64,AAAA", "ftp://h/x.png"):
        with pytest.raises(ImageError, match="Only http and https"):
            photos._link(address)


def test_a_confidential_inputs_pictures_are_nowhere(simulated):
    photos = ImageInput([PNG], thumbnails=False)
    for images in (photos, [photos, photos]):
        answer = simulated.ask("What?", images=images)
        assert "<img" not in answer._repr_mimebundle_()["text/html"]
    assert photos.images[0].sent.thumbnail == b""


def test_a_question_that_fails_leaves_the_input_open(simulated, monkeypatch):
    photos = ImageInput([PNG])
    ended = []
    monkeypatch.setattr(photos, "done", lambda: ended.append(1))
    with pytest.raises(ImageError, match="Image 2 of 2"):
        simulated.ask("What?", images=[photos, "nope.png"])
    with pytest.raises(ValueError, match="must be one"):
        simulated.ask([{"role": "assistant", "content": "?"}], images=photos)
    assert ended == []
    simulated.ask("What?", images=photos)
    assert ended == [1]


def test_images_in_a_message_of_the_callers_are_seen_too(simulated):
    part = image_part(quarters())
    message = {"role": "user", "content": [{"type": "text", "text": "What?"}, part]}
    answer = simulated.ask([message])
    assert answer._repr_mimebundle_()["text/html"].count("<img") == 1
    assert "<img" not in simulated.ask([message], thumbnails=False)._repr_mimebundle_()["text/html"]
    assert "<img" not in answer.ask("And?")._repr_mimebundle_()["text/html"]
