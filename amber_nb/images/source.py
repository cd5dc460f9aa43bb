"""Open whatever can be seen: turn a path, a URL, bytes, an array, a figure … into an opened image or a link."""

from __future__ import annotations

import base64
import importlib
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

from ..errors import ImageError
from ..types import replace_surrogates
from . import plots
from .codec import MAX_BYTES, OpenedImage, open_bytes, svg_message

__all__ = ["Link", "download", "iter_sources", "open_source"]

_ACCEPTED = (
    "a path, an http(s) URL, bytes, a PIL image, a numpy array, a matplotlib figure, a plotly or altair chart, "
    "a DataFrame, or anything that shows itself as PNG or JPEG"
)
_MAX_DOWNLOAD_BYTES = 50_000_000
_DOWNLOAD_TIMEOUT_S = 30.0
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# What a file's name looks like, when nothing else is known: something, a dot and a kind.
_FILE_NAME = re.compile(r"[^\x00-\x1f\ud800-\udfff]{1,80}\.\w{1,8}|[\w.-]{1,40}|~?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")
_MIME_TYPES = ("image/png", "image/jpeg")


@dataclass(frozen=True, slots=True)
class Link:
    """An image that the gateway fetches; it is not looked at here."""

    url: str
    name: str  # for the reader: the file and the host, without query and password


def iter_sources(images: Any) -> Iterable[Any] | None:
    """Return the sources in an iterable of them, or None for a single source.

    A file, an array of pixels and a table are single sources, though they are iterable; a column of paths and the array
    of `plt.subplots(2, 2)` are several.
    """
    if isinstance(images, (str, bytes, bytearray, memoryview, Mapping)):
        return None
    if _is_from_package(images, "pandas"):
        return None if type(images).__name__ in ("DataFrame", "Styler") else list(images)
    if plots.is_array(images):
        if plots.contains_axes(images):
            return list(images.flat)
        return list(images) if getattr(images.dtype, "kind", "") in "OU" and images.ndim == 1 else None
    is_iterator = isinstance(images, Iterator) and not hasattr(type(images), "read")
    return images if is_iterator or isinstance(images, (Sequence, Set, ValuesView, deque)) else None


def open_source(source: Any, name: str | None = None) -> OpenedImage | Link:
    """Open one source; `name` is what to call bytes and data URLs.

    Raises:
        ImageError: it is no image, too large, broken, or needs a library that is not installed; the message says which.
    """
    try:
        return _open(source, name or "image")
    except ImageError:
        raise
    except Exception as error:  # of an object of anybody's making
        raise ImageError(
            f"This {type(source).__name__} cannot be read as an image ({type(error).__name__})."
        ) from error


def download(link: Link) -> bytes:
    """Fetch the bytes of a linked image; proxies and certificates are the system's, redirects are followed.

    Raises:
        ImageError: there is nothing, too much, or no connection; the message names the host, not the address.
    """
    httpx2 = importlib.import_module("httpx2")  # only here: it takes longer to load than an image to prepare
    try:
        with (
            httpx2.Client(follow_redirects=True, timeout=_DOWNLOAD_TIMEOUT_S) as client,
            client.stream("GET", link.url) as response,
        ):
            if not response.is_success:
                raise ImageError(f"{link.name} could not be fetched: its server said {response.status_code}.")
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _MAX_DOWNLOAD_BYTES:
                    limit = f"{_MAX_DOWNLOAD_BYTES / 1e6:.0f} MB"
                    raise ImageError(f"{link.name} has more than the {limit} that are fetched.")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise ImageError(
            f"{link.name} could not be fetched: {type(error).__name__}. Is the address reachable?"
        ) from None
    return bytes(data)


def _open(source: Any, name: str) -> OpenedImage | Link:
    if isinstance(source, Mapping):
        return _open_part(source, name)
    if isinstance(source, str):
        return _open_text(source, name)
    if isinstance(source, os.PathLike):
        return _open_path(Path(os.fsdecode(source)))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return open_bytes(bytes(source), name)
    if isinstance(source, Image.Image):
        return OpenedImage(source, "image", exclusive=False)
    if _is_from_package(source, "pandas"):
        return _open_table(source)
    if (png := plots.render_matplotlib(source)) is not None:
        return open_bytes(png, "figure" if plots.is_figure(source) else "axes", is_drawing=True)
    if hasattr(source, "read"):
        return open_bytes(_read_stream(source), name)
    if _is_from_package(source, "plotly") and hasattr(source, "to_plotly_json"):
        return open_bytes(plots.render_plotly(source), "plotly figure", is_drawing=True)
    if plots.is_array(source):
        image, notes = plots.image_from_array(source)
        return OpenedImage(image, "array", exclusive=True, notes=notes)
    return _open_displayable(source)


def _is_from_package(source: Any, package: str) -> bool:
    """Return whether an object's class is of a package, which is not imported for the question."""
    return type(source).__module__.partition(".")[0] == package


def _open_table(source: Any) -> OpenedImage:
    if type(source).__name__ not in ("DataFrame", "Styler"):
        raise ImageError(f"A {type(source).__name__} is no image: {_ACCEPTED} is.")
    frame = source if type(source).__name__ == "DataFrame" else source.data
    return open_bytes(plots.render_table(source), f"table of {_count(len(frame), 'row')}", is_drawing=True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _open_part(part: Mapping[str, Any], name: str) -> OpenedImage | Link:
    """Open the image of a content part, as the wire has it."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else None
    if not isinstance(url, str):
        raise ImageError("This dict is no image part: {'type': 'image_url', 'image_url': {'url': …}} is one.")
    if url[:5].lower() == "data:" or _is_web_url(url):
        return _open_text(url, name)
    raise ImageError("The URL of an image part must be an http(s) or a data URL.")


def _is_web_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _open_text(text: str, name: str) -> OpenedImage | Link:
    """Open a URL, a data URL or a path."""
    text = text.strip()
    if _is_web_url(text):
        return _link(text)
    if text[:5].lower() == "data:":
        return open_bytes(_decode_data_url(text), name)
    if text[:7].lower() == "file://":
        return _open_path(Path(url2pathname(unquote(urlsplit(text).path))))
    scheme, colon, _ = text[:40].partition("://")
    if colon and _SCHEME.fullmatch(scheme):
        raise ImageError(
            f"A {scheme}:// address is nothing that the gateway fetches: only http and https are. Read it yourself and "
            "give its bytes."
        )
    if text.startswith(("<svg", "<?xml")):
        raise ImageError(svg_message("This str is an SVG"))
    # Else it is a prompt in the wrong place, or base64: nothing that an error should repeat.
    if (
        not text
        or _BASE64.fullmatch(text)
        or "\0" in text
        or len(text) > 1_000
        or "\n" in text
        or not _FILE_NAME.fullmatch(re.split(r"[/\\]", text)[-1])
    ):
        raise ImageError(
            f"This str of {_count(len(text), 'character')} is neither a path of a file nor an http(s) or data URL."
        )
    return _open_path(Path(text))


def _link(url: str) -> Link:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or any(character <= " " for character in url) or replace_surrogates(url) != url:
        raise ImageError("This URL cannot be read: https://host/picture.jpg is what one looks like.")
    # Neither the query nor a password: both may be secrets that open the picture to everybody.
    file = unquote(parts.path.rpartition("/")[2])
    return Link(url, f"{file} ({host})" if file else host)


def _decode_data_url(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise ImageError("This data URL is not base64: data:image/png;base64,… is what one looks like.")
    try:
        return base64.b64decode(data.encode("ascii"), validate=True)
    except ValueError:
        raise ImageError("The base64 of this data URL is broken.") from None


def _open_path(path: Path) -> OpenedImage:
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
            hint = "" if path.is_absolute() else " (a relative path is looked up in the notebook's folder)"
            raise ImageError(f"There is no file {name}{hint}.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ImageError(
                f"{name} has {size / 1e6:,.0f} MB: at most {MAX_BYTES / 1e6:.0f} MB are read. Make it smaller first."
            )
        data = path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or 'no such path'}.") from None
    return open_bytes(data, name)


def _read_stream(stream: Any) -> bytes:
    """Read a whole file object from its beginning, and put its position back."""
    position = None
    try:
        if stream.seekable():
            position = stream.tell()
            stream.seek(0)
        data = stream.read(MAX_BYTES + 1)
        if isinstance(stream, io.RawIOBase):  # a pipe gives what it has
            while data and len(data) <= MAX_BYTES and (more := stream.read(MAX_BYTES + 1 - len(data))):
                data += more
    finally:
        if position is not None:
            stream.seek(position)
    if not isinstance(data, bytes):
        raise ImageError(f"This file gives {type(data).__name__}, not bytes: open it with mode 'rb'.")
    return data


def _open_displayable(source: Any) -> OpenedImage:
    """Open what an object shows in a notebook, by IPython's display protocol."""
    kind = type(source).__name__
    if isinstance(source, type):
        raise ImageError(f"The class {source.__name__} is no image: {_ACCEPTED} is.")
    if _is_from_package(source, "altair") and hasattr(source, "to_dict"):
        return open_bytes(plots.render_altair(source), "altair chart", is_drawing=True)
    for method in ("_repr_png_", "_repr_jpeg_"):
        if not _has_method(source, method):
            continue
        try:
            data = _display_bytes(getattr(source, method)())
        except Exception as error:
            raise ImageError(f"This {kind} could not show itself ({type(error).__name__}).") from error
        if data is not None:
            return open_bytes(data, kind)
    bundle = _mime_bundle(source)
    for mime_type in _MIME_TYPES:
        if mime_type in bundle and (data := _display_bytes(bundle[mime_type])) is not None:
            return open_bytes(data, kind)
    figure = getattr(source, "figure", None)  # seaborn's grids
    if plots.is_figure(figure) and (png := plots.render_matplotlib(figure)) is not None:
        return open_bytes(png, "figure", is_drawing=True)
    if "image/svg+xml" in bundle or _has_method(source, "_repr_svg_"):
        raise ImageError(svg_message(f"This {kind} shows itself as SVG"))
    url = getattr(source, "url", None)  # IPython.display.Image(url=…)
    if isinstance(url, str) and _is_web_url(url):
        raise ImageError(f"This {kind} holds an address only: give its .url, which the gateway then fetches.")
    raise ImageError(f"A {kind} is no image: {_ACCEPTED} is.")


def _has_method(source: Any, name: str) -> bool:
    # Of its class: an object that makes up every attribute (a mock, a proxy) would have this one too.
    return callable(getattr(type(source), name, None))


def _mime_bundle(source: Any) -> Mapping[str, Any]:
    if not _has_method(source, "_repr_mimebundle_"):
        return {}
    try:
        bundle = source._repr_mimebundle_(include=_MIME_TYPES)
    except Exception:  # charts raise here where nothing can draw them
        return {}
    bundle = bundle[0] if isinstance(bundle, tuple) and bundle else bundle
    return bundle if isinstance(bundle, Mapping) else {}


def _display_bytes(data: Any) -> bytes | None:
    """Return the file that a display method returned: bytes, base64, or a pair of them and metadata."""
    data = data[0] if isinstance(data, tuple) and data else data
    if isinstance(data, str):
        try:
            return base64.b64decode(data)
        except ValueError:
            return None
    return bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None
