"""Open whatever can be seen: turn a path, a URL, bytes, an array, a figure … into an opened image or a link."""

from __future__ import annotations

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

import numpy as np
from PIL import ExifTags, Image

from ..errors import ImageError
from ..types import replace_surrogates
from . import plots
from .codec import MAX_BYTES, OpenedImage, open_bytes, svg_message
from .display_objects import ACCEPTED, find_shown
from .figures import Picture, find_pictures, is_figure, render_picture
from .file_bytes import decode_base64, decode_data_url, find_file_in_array, find_file_in_bundle, is_image_file
from .wording import with_article

__all__ = ["Link", "download", "iter_sources", "join_pictures", "open_source"]

_MAX_DOWNLOAD_BYTES = 50_000_000
_DOWNLOAD_TIMEOUT_S = 30.0
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# What a file's name looks like, when nothing else is known: something, a dot and a kind.
_FILE_NAME = re.compile(r"[^\x00-\x1f\ud800-\udfff]{1,80}\.\w{1,8}|[\w.-]{1,40}|~?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")


# As the notebook shows such an image; a photo's file is turned.
_UNTURNED = "not turned, though its EXIF says so: ImageOps.exif_transpose(image) turns it"


@dataclass(frozen=True, slots=True)
class Link:
    """An image that the gateway fetches; it is not looked at here."""

    url: str
    name: str  # for the reader: the file and the host, without query and password


def iter_sources(images: Any) -> Iterable[Any] | None:
    """Return the sources in an iterable of them, or None for a single source.

    A file, an array of pixels and a table are single sources, though they are iterable; a column of paths is several.
    What matplotlib's functions return is as many as it means pictures: most often one.
    """
    if isinstance(images, (str, bytes, bytearray, memoryview)):
        return None
    try:
        pictures = find_pictures(images)
    except ImageError:
        # Of several, the wrong one is named when its turn comes.
        return images if type(images) in (list, tuple) else None
    if pictures is not None:
        return pictures if len(pictures) > 1 else None
    if isinstance(images, Mapping) or _find_encoded(images) is not None:
        return None
    if _is_from_package(images, "pandas"):
        return None if type(images).__name__ in ("DataFrame", "Styler") else list(images)
    if plots.is_array(images):
        return _list_objects(images)
    is_iterator = isinstance(images, Iterator) and not hasattr(type(images), "read")
    return images if is_iterator or isinstance(images, (Sequence, Set, ValuesView, deque)) else None


def join_pictures(sources: Iterable[Any]) -> list[Any]:
    """Return sources with those of matplotlib's as the pictures that they mean, each of which comes once."""
    joined: dict[Any, Any] = {}
    for number, source in enumerate(sources):
        try:
            pictures = [source] if isinstance(source, Picture) else find_pictures(source)
        except ImageError:  # which is said again when the source is opened, with its place
            pictures = None
        if pictures is None:
            joined[number] = source
        else:
            joined |= {picture.key: picture for picture in pictures if picture.key not in joined}
    return list(joined.values())


def _find_encoded(source: Any) -> Any | None:
    """Return the array in what `cv2.imencode` returns, (True, array); None for anything else."""
    is_pair = isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], (bool, np.bool_))
    return source[1] if is_pair and isinstance(source[1], np.ndarray) else None


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
    if isinstance(source, str):
        return _open_text(source, name)
    if (pictures := [source] if isinstance(source, Picture) else find_pictures(source)) is not None:
        return _open_pictures(source, pictures)
    if isinstance(source, Mapping):
        return _open_part(source, name)
    if isinstance(source, os.PathLike):
        return _open_path(Path(os.fsdecode(source)))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _open_bytes(bytes(source), name)
    if isinstance(source, Image.Image):
        notes = [_UNTURNED] if _is_unturned(source) else []
        return OpenedImage(source, "image", exclusive=False, notes=notes)
    if _is_from_package(source, "pandas"):
        return _open_table(source)
    if hasattr(source, "read"):
        return open_bytes(_read_stream(source), name)
    if _is_from_package(source, "plotly") and hasattr(source, "to_plotly_json"):
        return open_bytes(plots.render_plotly(source), "plotly figure", is_drawing=True)
    if (encoded := _find_encoded(source)) is not None:
        source = encoded
    if plots.is_array(source):
        return _open_array(source, name)
    if _is_from_package(source, "altair") and hasattr(source, "to_dict"):
        return open_bytes(plots.render_altair(source), "altair chart", is_drawing=True)
    return _open_shown(find_shown(source), type(source).__name__)


def _open_shown(shown: Any, kind: str) -> OpenedImage | Link:
    if is_figure(shown):
        return _open_pictures(shown, [Picture(shown)])
    return _open_text(shown, kind) if isinstance(shown, str) else open_bytes(shown, kind)


def _open_pictures(source: Any, pictures: Sequence[Picture]) -> OpenedImage:
    if len(pictures) > 1:
        raise ImageError(
            f"This {type(source).__name__} means {len(pictures)} pictures, and one is taken here: give one of them, or "
            "ask(images=…) all."
        )
    png, name, notes = render_picture(pictures[0])
    opened = open_bytes(png, name, is_drawing=True)
    opened.notes += notes
    return opened


def _open_bytes(data: bytes, name: str) -> OpenedImage | Link:
    """Open an image file, or base64 or a data URL of one, as `base64.b64encode` returns it."""
    if data[:5].lower() == b"data:":
        return open_bytes(decode_data_url(data.decode("ascii", "replace")), name)
    decoded = None if is_image_file(data[:64], len(data)) else decode_base64(data)
    return open_bytes(data if decoded is None else decoded, name)


def _is_unturned(image: Image.Image) -> bool:
    """Return whether an image is one as it was opened, and its file says that it is to be turned."""
    try:
        # A copy keeps the EXIF, also one that was turned by hand.
        return image.format not in (None, "TIFF") and image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # of EXIF that cannot be read
        return False


def _list_objects(array: Any) -> list[Any] | None:
    """Return what an array of paths, bytes or images holds; None for one of numbers."""
    kind = getattr(array.dtype, "kind", "")
    is_of_objects = kind == "O" or (kind == "S" and array.dtype.itemsize > 1) or (kind == "U" and array.ndim == 1)
    items = list(np.asarray(array).flat) if is_of_objects and array.ndim else []
    is_of_numbers = all(isinstance(item, (int, float, complex, np.generic, type(None))) for item in items)
    return None if not items or (is_of_numbers and kind == "O") else items


def _open_array(source: Any, name: str) -> OpenedImage | Link:
    items = [source.item()] if isinstance(source, np.ndarray) and source.dtype.kind in "OSU" and not source.ndim else []
    if items := items or _list_objects(source) or []:
        if len(items) > 1:
            raise ImageError(
                f"This array holds {len(items)} objects, and one image is taken here: give one of them, or "
                "ask(images=…) all."
            )
        return _open(items[0], name)
    is_row = isinstance(source, np.ndarray) or getattr(source, "ndim", 0) == 1  # a tensor may hold a file as well
    if is_row and (data := find_file_in_array(np.asarray(source))) is not None:
        return open_bytes(data, name)
    image, notes = plots.image_from_array(source)
    return OpenedImage(image, "array", exclusive=True, notes=notes)


def _is_from_package(source: Any, package: str) -> bool:
    """Return whether an object's class is of a package, which is not imported for the question."""
    return type(source).__module__.partition(".")[0] == package


def _open_table(source: Any) -> OpenedImage:
    if type(source).__name__ not in ("DataFrame", "Styler"):
        raise ImageError(f"{with_article(type(source).__name__)} is no image: {ACCEPTED} is.")
    frame = source if type(source).__name__ == "DataFrame" else source.data
    return open_bytes(plots.render_table(source), f"table of {_count(len(frame), 'row')}", is_drawing=True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _open_part(part: Mapping[Any, Any], name: str) -> OpenedImage | Link:
    """Open the image of a content part, as the wire has it, of a notebook's output, or of an upload."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    if isinstance(url, str):
        if url[:5].lower() == "data:" or _is_web_url(url):
            return _open_text(url, name)
        raise ImageError("The URL of an image part must be an http(s) or a data URL.")
    if (data := find_file_in_bundle(part)) is not None:
        return open_bytes(data, name)
    if isinstance(content := part.get("content"), (bytes, memoryview)):  # of ipywidgets' FileUpload
        return open_bytes(bytes(content), str(part.get("name") or name))
    if "image/svg+xml" in part or "image/svg+xml" in (part.get("data") or ()):
        raise ImageError(svg_message("This output is an SVG"))
    raise ImageError("This dict is no image part: {'type': 'image_url', 'image_url': {'url': …}} is one.")


def _is_web_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _open_text(text: str, name: str) -> OpenedImage | Link:
    """Open a URL, a data URL or a path."""
    text = text.strip()
    if _is_web_url(text):
        return _link(text)
    if text[:5].lower() == "data:":
        return open_bytes(decode_data_url(text), name)
    if (data := decode_base64(text)) is not None:
        return open_bytes(data, name)
    if text[:7].lower() == "file://":
        return _open_path(Path(url2pathname(unquote(urlsplit(text).path))))
    scheme, colon, _ = text[:40].partition("://")
    if colon and _SCHEME.fullmatch(scheme):
        raise ImageError(
            f"{with_article(scheme)}:// address is nothing that the gateway fetches: only http and https are. Read it "
            "yourself and give its bytes."
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
