"""Anything that can be seen → an opened image, or a link. What is asked of which object, and in which order."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set, ValuesView
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from PIL import Image

from .. import images
from ..errors import ImageError
from ..types import encodable
from . import arrays, figures
from .opened import MOST_BYTES, Opened, open_file, open_image, rasterise

__all__ = ["Link", "open_source", "several"]

KNOWN = (
    "a path, an http(s) URL, bytes, a PIL image, a numpy array, a matplotlib figure, a plotly or altair chart, "
    "a DataFrame, or anything that shows itself as PNG or JPEG"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# What a file's name looks like, when nothing else is known: something, a dot and a kind.
_NAME = re.compile(r"[^\x00-\x1f\ud800-\udfff]{1,80}\.\w{1,8}|[\w.-]{1,40}|~?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")
_MIMES = ("image/png", "image/jpeg")


@dataclass(frozen=True, slots=True)
class Link:
    """An image that the gateway is to fetch; nobody here looks at it."""

    url: str
    name: str


def several(images: Any) -> Iterable[Any] | None:
    """The sources in an iterable of them; None for one source, also one that happens to be iterable.

    A file, an array of pixels and a table are one; a column of paths and what `plt.subplots(2, 2)` gives are several.
    """
    if isinstance(images, (str, bytes, bytearray, memoryview, Mapping)):
        return None
    if _is_pandas(images):
        return None if type(images).__name__ in ("DataFrame", "Styler") else list(images)
    if arrays.is_array(images):
        if figures.holds_axes(images):
            return list(images.flat)
        return list(images) if getattr(images.dtype, "kind", "") in "OU" and images.ndim == 1 else None
    if isinstance(images, Iterable) and isinstance(images, (Sequence, Set, ValuesView, deque)):
        return images
    if isinstance(images, Iterator) and not hasattr(type(images), "read"):
        return images
    return None


def open_source(source: Any, name: str | None = None) -> Opened | Link:
    """Open one source.

    Args:
        source: anything.
        name: what to call bytes and data URLs.

    Raises:
        ImageError: it is no image, too large, broken, or of a kind that needs something more; the message says what.
    """
    try:
        return _open(source, name or "image")
    except ImageError:
        raise
    except Exception as error:  # of an object of anybody's making
        raise ImageError(
            f"This {type(source).__name__} cannot be read as an image ({type(error).__name__})."
        ) from error


def _open(source: Any, name: str) -> Opened | Link:
    if isinstance(source, Mapping):
        return _part(source, name)
    if isinstance(source, str):
        return _text(source, name)
    if isinstance(source, os.PathLike):
        return _path(Path(os.fsdecode(source)))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return open_file(bytes(source), name)
    if isinstance(source, Image.Image):
        return open_image(source, "image", ours=False)
    if _is_pandas(source):
        return _table(source)
    if (figure := figures.figure_png(source)) is not None:
        return open_file(figure, "figure" if figures.is_figure(source) else "axes", drawn=True)
    if hasattr(source, "read"):
        return open_file(_read(source), name)
    if type(source).__module__.partition(".")[0] == "plotly" and hasattr(source, "to_plotly_json"):
        png = _extra("plotly_png", source, "kaleido and a Chrome or Chromium", "pip install kaleido")
        return open_file(png, "plotly figure", drawn=True)
    if arrays.is_array(source):
        image, notes = arrays.array_image(source)
        return open_image(image, "array", ours=True, notes=notes)
    return _shown(source)


def _is_pandas(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "pandas"


def _table(source: Any) -> Opened:
    if type(source).__name__ not in ("DataFrame", "Styler"):
        raise ImageError(f"A {type(source).__name__} is no image: {KNOWN} is.")
    frame = source if type(source).__name__ == "DataFrame" else source.data
    png = _extra("table_png", source, "dataframe_image and matplotlib", "pip install 'amber_nb[pictures]'")
    return open_file(png, f"table of {_count(len(frame), 'row')}", drawn=True)


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}" if number == 1 else f"{number:,} {of}s"


def _part(part: Mapping[str, Any], name: str) -> Opened | Link:
    """A content part, as the wire has it."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else None
    if not isinstance(url, str):
        raise ImageError("This dict is no image part: {'type': 'image_url', 'image_url': {'url': …}} is one.")
    if url[:5].lower() == "data:" or _is_link(url):
        return _text(url, name)
    raise ImageError("The URL of an image part must be an http(s) or a data URL.")


def _is_link(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _text(text: str, name: str) -> Opened | Link:
    text = text.strip()
    if _is_link(text):
        return _link(text)
    if text[:5].lower() == "data:":
        return open_file(_data_url(text), name)
    if text[:7].lower() == "file://":
        return _path(Path(url2pathname(unquote(urlsplit(text).path))))
    scheme, colon, _ = text[:40].partition("://")
    if colon and _SCHEME.fullmatch(scheme):
        raise ImageError(
            f"A {scheme}:// address is nothing that the gateway fetches: only http and https are. Read it yourself and "
            "give its bytes."
        )
    if text.startswith(("<svg", "<?xml")):
        raise ImageError(rasterise("This str is an SVG"))
    # Else it is a prompt in the wrong place, or base64: nothing that should be said again in an error.
    if (
        not text
        or _BASE64.fullmatch(text)
        or "\0" in text
        or len(text) > 1_000
        or "\n" in text
        or not _NAME.fullmatch(re.split(r"[/\\]", text)[-1])
    ):
        raise ImageError(
            f"This str of {_count(len(text), 'character')} is neither a path of a file nor an http(s) or data URL."
        )
    return _path(Path(text))


def _link(url: str) -> Link:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or any(character <= " " for character in url) or encodable(url) != url:
        raise ImageError("This URL cannot be read: https://host/picture.jpg is what one looks like.")
    # Neither the query nor a password: both may be secrets that open the picture to everybody.
    file = unquote(parts.path.rpartition("/")[2])
    return Link(url, f"{file} ({host})" if file else host)


def _data_url(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise ImageError("This data URL is not base64: data:image/png;base64,… is what one looks like.")
    try:
        return base64.b64decode(data.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError("The base64 of this data URL is broken.") from None


def _path(path: Path) -> Opened:
    name = path.name or "the path"
    try:
        path = path.expanduser()
        if not str(path).isprintable():
            raise ImageError("This path has characters that cannot be shown.")
        if path.is_dir():
            raise ImageError(f"{name} is a folder: give its files, such as sorted(Path(…).glob('*.png')).")
        if path.exists() and not path.is_file():
            raise ImageError(f"{name} is no regular file: read it yourself, and give its bytes.")
        if not path.is_file():
            here = "" if path.is_absolute() else " (a relative path is looked up in the notebook's folder)"
            raise ImageError(f"There is no file {name}{here}.")
        if path.stat().st_size > MOST_BYTES:
            raise ImageError(
                f"{name} has {path.stat().st_size / 1e6:,.0f} MB: at most {MOST_BYTES / 1e6:.0f} MB are read. Make it "
                "smaller first."
            )
        data = path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or 'no such path'}.") from None
    return open_file(data, name)


def _read(stream: Any) -> bytes:
    """A whole file object, from its beginning; its place is put back."""
    place = None
    try:
        if stream.seekable():
            place = stream.tell()
            stream.seek(0)
        data = stream.read(MOST_BYTES + 1)
        if isinstance(stream, io.RawIOBase):  # a pipe gives what it has
            while data and len(data) <= MOST_BYTES and (more := stream.read(MOST_BYTES + 1 - len(data))):
                data += more
    finally:
        if place is not None:
            stream.seek(place)
    if not isinstance(data, bytes):
        raise ImageError(f"This file gives {type(data).__name__}, not bytes: open it with mode 'rb'.")
    return data


def _extra(name: str, source: Any, needed: str, command: str) -> bytes:
    """What a room does that needs more than is always installed."""
    try:
        make = getattr(images, name)
    except ImportError:
        raise ImageError(f"A {type(source).__name__} as a picture needs {needed}: {command}.") from None
    try:
        data: bytes = make(source)
    except ImageError:
        raise
    except Exception as error:  # of a library, and of what it starts
        raise ImageError(
            f"This {type(source).__name__} could not be drawn ({type(error).__name__}). It needs {needed}: {command}. "
            "Or save it as a PNG yourself, and give that."
        ) from error
    return data


def _shown(source: Any) -> Opened:
    """An object that shows itself, by IPython's protocol."""
    kind = type(source).__name__
    if isinstance(source, type):
        raise ImageError(f"The class {source.__name__} is no image: {KNOWN} is.")
    if type(source).__module__.partition(".")[0] == "altair" and hasattr(source, "to_dict"):
        png = _extra("altair_png", source, "vl-convert-python", "pip install vl-convert-python")
        return open_file(png, "altair chart", drawn=True)
    for method in ("_repr_png_", "_repr_jpeg_"):
        if (data := _called(source, method)) is not None:
            return open_file(data, kind)
    bundle = _bundle(source)
    for mime in _MIMES:
        if mime in bundle and (data := _bytes_of(bundle[mime])) is not None:
            return open_file(data, kind)
    inner = getattr(source, "figure", None)  # seaborn's grids
    if figures.is_figure(inner) and (picture := figures.figure_png(inner)) is not None:
        return open_file(picture, "figure", drawn=True)
    if "image/svg+xml" in bundle or _answers(source, "_repr_svg_"):
        raise ImageError(rasterise(f"This {kind} shows itself as SVG"))
    url = getattr(source, "url", None)  # IPython.display.Image(url=…)
    if isinstance(url, str) and _is_link(url):
        raise ImageError(f"This {kind} holds an address only: give its .url, which the gateway then fetches.")
    raise ImageError(f"A {kind} is no image: {KNOWN} is.")


def _answers(source: Any, method: str) -> bool:
    # An object that makes up every attribute (a mock, a proxy) has this one too.
    return callable(getattr(type(source), method, None))


def _called(source: Any, method: str) -> bytes | None:
    if not _answers(source, method):
        return None
    try:
        return _bytes_of(getattr(source, method)())
    except Exception as error:
        raise ImageError(f"This {type(source).__name__} could not show itself ({type(error).__name__}).") from error


def _bundle(source: Any) -> Mapping[str, Any]:
    if not _answers(source, "_repr_mimebundle_"):
        return {}
    try:
        bundle = source._repr_mimebundle_(include=_MIMES)
    except Exception:  # charts raise here where nothing can draw them
        return {}
    bundle = bundle[0] if isinstance(bundle, tuple) and bundle else bundle
    return bundle if isinstance(bundle, Mapping) else {}


def _bytes_of(shown: Any) -> bytes | None:
    """The file in what a display method gives: bytes, base64, or a pair of them and metadata."""
    shown = shown[0] if isinstance(shown, tuple) and shown else shown
    if isinstance(shown, str):
        try:
            return base64.b64decode(shown)
        except (binascii.Error, ValueError):
            return None
    return bytes(shown) if isinstance(shown, (bytes, bytearray, memoryview)) else None
