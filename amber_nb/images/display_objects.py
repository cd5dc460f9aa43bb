"""What an object shows in a notebook: the file, the address or the figure that it holds, or why it is no image.

Nothing is imported for the question; an object's library is known by the name of its package.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..errors import ImageError
from .codec import svg_message
from .figures import is_figure
from .file_bytes import MIME_TYPES, display_bytes
from .wording import describe_error, with_article

__all__ = ["ACCEPTED", "find_shown"]

ACCEPTED = (
    "a path, an http(s) URL, bytes, base64, a PIL image, a numpy array, a matplotlib figure or axes, a plotly or "
    "altair chart, a DataFrame, or anything that shows itself as PNG or JPEG"
)
# By package: how to make something of it that is an image.
_HINTS = {
    "bokeh": "bokeh.io.export.get_screenshot_as_png(plot) makes a PIL image of it.",
    "holoviews": "holoviews.render(plot, backend='matplotlib') makes a figure of it.",
    "folium": "It is a web page: give a screenshot of it.",
    "httpx": "Its .content are the bytes of a file.",
    "ipywidgets": "It is a widget: give the picture that it shows.",
    "networkx": "networkx.draw(graph) draws it: give plt.gcf() in the same cell.",
    "plotnine": "Its .draw() is a figure.",
    "polars": "Its .to_pandas() is a DataFrame.",
    "pyarrow": "Its .to_pandas() is a DataFrame.",
    "requests": "Its .content are the bytes of a file.",
}


def find_shown(source: Any) -> Any:
    """Return what an object shows by IPython's display protocol, or holds.

    Returns:
        The bytes of a file, the text of a path or URL, or a matplotlib figure.

    Raises:
        ImageError: it shows no image, or could not show itself.
    """
    if isinstance(source, type):
        raise ImageError(f"The class {source.__name__} is no image: {ACCEPTED} is.")
    package, kind = str(type(source).__module__).partition(".")[0], type(source).__name__
    if package in ("IPython", "ipywidgets") and kind == "Image" and (held := _find_held(source)) is not None:
        return held
    shown: dict[str, Any] = {}
    for mime_type, method in (("image/png", "_repr_png_"), ("image/jpeg", "_repr_jpeg_")):
        if _has_method(source, method):
            try:
                shown[method] = mime_type, getattr(source, method)()
            except Exception as error:
                raise ImageError(f"This {kind} could not show itself ({describe_error(error)}).") from error
            if (data := _read_shown(shown[method][1])) is not None:
                return data
    failures: list[Exception] = []
    bundle = _mime_bundle(source, failures)
    for mime_type in MIME_TYPES:
        if mime_type in bundle:
            shown["mime bundle"] = mime_type, bundle[mime_type]
            if (data := _read_shown(bundle[mime_type])) is not None:
                return data
    figure = getattr(source, "figure", None)  # seaborn's grids
    if is_figure(figure):
        return figure
    for origin, (mime_type, data) in shown.items():
        if (data[0] if isinstance(data, tuple) and data else data) is not None:
            raise ImageError(
                f"What this {kind} shows as {mime_type} is broken: its {origin} has {_describe_shown(data)} that does "
                "not decode. The bytes of the file, or their base64, is what it should be."
            )
    bundle = bundle or _mime_bundle(source, failures, is_whole=True)
    if "image/svg+xml" in bundle or _has_method(source, "_repr_svg_"):
        raise ImageError(svg_message(f"This {kind} shows itself as SVG"))
    hint = _hint(source, package, kind, bundle) or f": {ACCEPTED} is."
    cause = failures[0] if failures else None
    hint += f" It could not show itself ({describe_error(cause)})." if cause is not None else ""
    raise ImageError(f"{with_article(kind)} is no image{hint}") from cause


def _read_shown(data: Any) -> bytes | None:
    try:
        return display_bytes(data)
    except ImageError:  # of a data URL that is broken
        return None


def _describe_shown(data: Any) -> str:
    data = data[0] if isinstance(data, tuple) and data else data
    if isinstance(data, str):
        return f"a text of {len(data):,} characters"
    name = type(data).__name__
    return "a list of lines" if isinstance(data, list) else with_article(name)[0].lower() + with_article(name)[1:]


def _find_held(image: Any) -> bytes | str | None:
    """Return what IPython's or ipywidgets' own Image holds: its file, or the address that the page would fetch."""
    for name in ("data", "value", "url", "filename"):
        held = getattr(image, name, None)
        if isinstance(held, (bytes, bytearray, memoryview)) and held:
            return bytes(held)
        if isinstance(held, str) and held:
            return held
    return None


def _hint(source: Any, package: str, kind: str, bundle: Mapping[str, Any]) -> str:
    """Return what to give instead, as the rest of a sentence and the next; empty where nothing is known."""
    if source is None:
        return ". What shows a picture, such as plt.show(), returns None: give the figure itself."
    if isinstance(source, ModuleType):
        return ". plt.gcf() is the figure that was drawn in this cell."
    if callable(source) and kind in ("function", "method", "builtin_function_or_method"):
        return ". Was it to be called? plt.gcf() is a figure, plt.gcf a function."
    if package == "matplotlib" and kind.endswith("Animation"):
        return ". Give the figure as it is at a frame, or save frames with .save('frame.png')."
    if kind == "CapturedIO":
        return ". Its .outputs are what was shown: give .outputs[0]."
    if package in _HINTS:
        return f". {_HINTS[package]}"
    if kind in ("Video", "Audio", "YouTubeVideo"):
        return ". Give frames of it, as PIL images or arrays."
    is_page = any(_has_method(source, name) for name in ("_repr_html_", "_repr_latex_", "_repr_markdown_"))
    if is_page or "text/html" in bundle:
        return ". It shows itself as a page, not as a picture: save it as a PNG, or put its text into the prompt."
    return ""


def _has_method(source: Any, name: str) -> bool:
    # Of its class: an object that makes up every attribute (a mock, a proxy) would have this one too.
    return callable(getattr(type(source), name, None))


def _mime_bundle(source: Any, failures: list[Exception], *, is_whole: bool = False) -> Mapping[str, Any]:
    if not _has_method(source, "_repr_mimebundle_"):
        return {}
    try:
        bundle = source._repr_mimebundle_() if is_whole else source._repr_mimebundle_(include=MIME_TYPES)
    except Exception as error:  # charts raise here where nothing can draw them
        failures.append(error)
        return {}
    bundle = bundle[0] if isinstance(bundle, tuple) and bundle else bundle
    return bundle if isinstance(bundle, Mapping) else {}
