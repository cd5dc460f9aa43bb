"""Draw matplotlib figures as a notebook shows them, and the axes that an artist or a plotting function's result means.

matplotlib is never imported here: whoever has one of its objects has imported it.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ..errors import ImageError
from .codec import MAX_PIXELS, MAX_SIDE_PX, ignore_warnings
from .wording import describe_error

__all__ = ["Picture", "find_pictures", "is_artist", "is_figure", "render_picture"]

_AXES_MARGIN_INCH = 0.08  # around axes that are cut out of their figure
_MIN_SHARE = 0.5  # of other axes that lie within those that are asked for: they are a part of what is seen
_MAX_DEPTH, _MAX_ITEMS = 4, 10_000  # of a collection of artists
_MAX_RESULT = 12  # members of what a plotting function returns
_ARTIST_ATTRIBUTES = ("ax", "lines", "wedges")  # of a Colorbar, a StreamplotSet, a PieContainer
# What the inline backend hands to matplotlib, but for the format: a PNG is what is sent.
_PRINT_OPTIONS = ("bbox_inches", "pad_inches", "bbox_extra_artists", "facecolor", "edgecolor", "dpi")
_FIGURE_MIME_TYPES = ("image/png", "image/jpeg", "image/svg+xml", "application/pdf")
_EMPTY = (
    "This figure is empty: no axes and no text of it are visible. After plt.show(), and in a new cell of a notebook, "
    "plt.gcf() is a new figure: keep the one that was drawn on (fig, ax = plt.subplots()), and give fig."
)
_MATHS = "What stands between two dollars is a formula: mend it, or write \\$ for a dollar that is none."
_BROKEN = "Mend or remove what raises this: fig.savefig('figure.png') does so, too, and shows where."
_matplotlib_lock = threading.RLock()  # matplotlib draws in one thread at a time


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A matplotlib figure as one picture, or a part of it."""

    figure: Any  # matplotlib's; not a subfigure
    parts: tuple[Any, ...] = ()  # axes and subfigures that are cut out; (): the whole figure

    @property
    def key(self) -> tuple[int, frozenset[int]]:
        """What two pictures that show the same have in common."""
        parts = _with_partners(self.figure, self.parts)
        return id(self.figure), frozenset() if _is_whole(self.figure, parts) else frozenset(map(id, parts))


# --- what is meant


def is_figure(source: Any) -> bool:
    """Return whether an object is a matplotlib figure."""
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(source, module.Figure)


def is_artist(source: Any) -> bool:
    """Return whether an object is something that matplotlib draws, such as a figure, axes or a line."""
    module = sys.modules.get("matplotlib.artist")
    return module is not None and isinstance(source, module.Artist)


def find_pictures(source: Any) -> list[Picture] | None:
    """Return the pictures that a matplotlib object means, or a collection of them; None for anything else.

    An artist means its axes, or its figure where it stands in none; so do the containers, lists, tuples and dicts of
    artists that plotting functions return. The pair of `plt.subplots()` is its figure. An array, a Series or a dict of
    axes is one picture for each figure; axes and figures in a list are a picture each. None comes twice.

    Raises:
        ImageError: an artist stands in no figure, or there are no artists in a container.
    """
    if "matplotlib.artist" not in sys.modules:
        return None
    pictures = _find(source, 0)
    return None if pictures is None else list({picture.key: picture for picture in pictures}.values())


def _find(source: Any, depth: int) -> list[Picture] | None:
    if is_artist(source):
        return [_picture_of(source)]
    if depth > _MAX_DEPTH or isinstance(source, (str, bytes, int, float)):
        return None
    if isinstance(source, Mapping):
        return _merge(_find_each(source.values(), depth))
    if isinstance(source, list):
        return _find_each(source, depth)
    if isinstance(source, tuple):
        return _find_in_tuple(source, depth)
    kind = type(source)
    package = str(kind.__module__).partition(".")[0]
    if package == "numpy" or (package == "pandas" and kind.__name__ == "Series"):
        if getattr(getattr(source, "dtype", None), "kind", "") != "O":
            return None
        items = source.flat if package == "numpy" else source
        return _merge(_find_each(items, depth, skip_missing=True))
    if package == "matplotlib" and isinstance(source, Sequence):  # ax.lines, ax.patches
        if not len(source):
            raise ImageError(_empty_container(source))
        return _find_each(source, depth)
    if package in ("matplotlib", "mpl_toolkits") and not isinstance(source, type):
        for name in _ARTIST_ATTRIBUTES:
            if (pictures := _find(getattr(source, name, None), depth + 1)) is not None:
                return pictures
    return None


def _find_each(items: Any, depth: int, *, skip_missing: bool = False) -> list[Picture] | None:
    """Return the pictures of all items, or None if one of them is nothing of matplotlib's."""
    found: list[Picture] = []
    for item in islice(items, _MAX_ITEMS):
        if skip_missing and (item is None or _is_removed(item)):  # of a grid whose last places are not used
            continue
        if isinstance(item, (list, tuple)) and not item:  # the outliers of a box plot without any
            continue
        if (pictures := _find(item, depth + 1)) is None:
            return None
        found += pictures
    return found or None


def _find_in_tuple(source: tuple[Any, ...], depth: int) -> list[Picture] | None:
    """Return the pictures of a pair of figure and axes, of a container, or of a plotting function's result."""
    container = sys.modules.get("matplotlib.container")
    if container is not None and isinstance(source, container.Container):  # of bars, of lines with their errors
        pictures = _find_each(_leaves(source), depth)
        if pictures is None:
            raise ImageError(_empty_container(source))
        return pictures
    if len(source) > _MAX_RESULT:
        return _find_each(source, depth)
    found = [_find(item, depth + 1) for item in source]
    pictures = [picture for each in found for picture in each or ()]
    if not pictures:
        return None
    if None not in found:
        is_one = all(picture.figure is source[0] for picture in pictures)
        return pictures[:1] if is_one else pictures
    # (counts, edges, bars) as plt.hist returns them, (places, labels) of plt.xticks: no list of images has a row of
    # numbers in it.
    others = [item for item, each in zip(source, found, strict=False) if each is None]
    is_result = any(isinstance(item, np.ndarray) and item.ndim == 1 for item in others) and all(
        map(_is_numeric, others)
    )
    return pictures if is_result else None


def _empty_container(source: Any) -> str:
    return f"This {type(source).__name__} is empty: it holds nothing that is drawn. Give its figure."


def _is_numeric(value: Any) -> bool:
    values = value if isinstance(value, (list, tuple)) and value else [value]
    return all(each is None or isinstance(each, (int, float)) or _is_data(each) for each in values)


def _is_data(value: Any) -> bool:
    # Bytes may be an image's.
    return isinstance(value, np.ndarray) and value.dtype.kind in "biufcmM" and value.dtype != np.uint8


def _leaves(container: Any) -> Iterator[Any]:
    """Yield the artists in a container, whose members may be missing and may be tuples."""
    for item in container:
        if isinstance(item, (tuple, list)):
            yield from _leaves(item)
        elif item is not None and not _is_removed(item):
            yield item


def _is_removed(artist: Any) -> bool:
    return is_artist(artist) and not is_figure(artist) and getattr(artist, "figure", None) is None


def _picture_of(artist: Any) -> Picture:
    figure = artist
    while figure is not None and not is_figure(figure):  # an artist's may be a subfigure
        figure = getattr(figure, "figure", None)
    if figure is None:
        raise ImageError(f"This {type(artist).__name__} stands in no figure (was it removed?). Give the figure itself.")
    if artist is figure:
        return Picture(figure)
    axes = getattr(artist, "axes", None)
    if isinstance(axes, list):  # of a subfigure
        return Picture(figure, (artist,))
    if axes is not None:
        return Picture(figure, (axes,))
    parent = artist.figure
    return Picture(figure) if parent is figure else Picture(figure, (parent,))


def _merge(pictures: list[Picture] | None) -> list[Picture] | None:
    """Return one picture for each figure, of all that is asked for of it."""
    if pictures is None:
        return None
    merged: dict[int, Picture] = {}
    for picture in pictures:
        earlier = merged.setdefault(id(picture.figure), picture)
        if earlier is not picture:
            parts = dict.fromkeys(earlier.parts + picture.parts) if earlier.parts and picture.parts else ()
            merged[id(picture.figure)] = Picture(picture.figure, tuple(parts))
    return list(merged.values())


# --- drawing


def render_picture(picture: Picture) -> tuple[bytes, str, list[str]]:
    """Draw a picture as the notebook's inline backend shows it: with all that stands outside the figure's own box.

    Axes are cut out of their figure with their colour bars, twins and insets, and are the whole figure if there is
    nothing else in it. The figure, rcParams and the reader's screen are left as they were.

    Returns:
        A PNG file, what it is called, and notes for the reader.

    Raises:
        ImageError: the figure is empty, matplotlib cannot draw it, or it has too many pixels.
    """
    figure = picture.figure
    options = {
        "bbox_inches": "tight",
        "facecolor": figure.get_facecolor(),
        "edgecolor": figure.get_edgecolor(),
        "dpi": figure.dpi,
        **_inline_options(),
    }
    remedy = "Lower its size or its dpi: fig.set_dpi(100)."
    _check_size(figure.get_size_inches(), options, "This figure is", remedy)
    if _is_empty(figure):
        raise ImageError(_EMPTY)
    out = io.BytesIO()
    try:
        with _matplotlib_lock, _quiet(), _preserve_layout(figure):
            axes = _visible_axes(figure)
            parts = picture.parts
            if parts:
                figure.draw_without_rendering()  # a layout moves axes, and their box with them
                parts = _with_partners(figure, parts)
                if _is_whole(figure, parts):
                    parts = ()
                else:
                    options["bbox_inches"] = _box_of(figure, parts)
                    axes = [each for each in axes if each in parts]
            if options["bbox_inches"] == "tight":
                box = figure.get_tightbbox(bbox_extra_artists=options.get("bbox_extra_artists"))
                remedy = (
                    "Something stands far outside of it: remove that, or have it not counted, .set_in_layout(False)."
                )
                _check_size((box.width, box.height), options, "With all that stands in it, this figure is", remedy)
            figure.savefig(out, format="png", transparent=False, **options)
            notes = [] if not axes or any(map(_shows_something, axes)) else ["the axes hold no data"]
    except ImageError:
        raise
    except Exception as error:  # a text with broken maths, an artist of the user's, a closed canvas
        reason = describe_error(error)
        remedy = _MATHS if "Parse" in reason and "Exception" in reason else _BROKEN
        raise ImageError(f"matplotlib could not draw this figure: {reason}. {remedy}") from error
    return out.getvalue(), "axes" if parts else "figure", notes


def _inline_options() -> dict[str, Any]:
    """Return how the reader's notebook prints figures, without importing anything for the question."""
    ipython, config = sys.modules.get("IPython"), sys.modules.get("matplotlib_inline.config")
    options: Mapping[str, Any] = {}
    if config is not None and config.InlineBackend.initialized():
        options = config.InlineBackend.instance().print_figure_kwargs
    shell = ipython.get_ipython() if ipython is not None else None
    formatters = getattr(getattr(shell, "display_formatter", None), "formatters", {})
    figure_class = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    for mime_type in _FIGURE_MIME_TYPES:  # which set_matplotlib_formats changes, and not the configuration
        printer = getattr(formatters.get(mime_type), "type_printers", {}).get(figure_class)
        if isinstance(printer, partial):
            options = printer.keywords
            break
    return {name: options[name] for name in _PRINT_OPTIONS if name in options}


def _check_size(inches: Any, options: Mapping[str, Any], what: str, remedy: str) -> None:
    width, height = (round(float(side) * float(options["dpi"])) for side in inches)
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        limit = f"at most {MAX_PIXELS // 1_000_000} million are drawn"
        raise ImageError(f"{what} {width:,} × {height:,} pixels; {limit}. {remedy}")


def _is_whole(figure: Any, parts: tuple[Any, ...]) -> bool:
    """Return whether nothing is left of a figure beside these parts of it."""
    axes = _visible_axes(figure)
    return not parts or (bool(axes) and all(each in parts for each in axes))


def _visible_axes(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_visible()]


def _is_empty(figure: Any) -> bool:
    """Return whether nothing is drawn of a figure but its ground."""
    for child in figure.get_children():
        if child is figure.patch or not child.get_visible():
            continue
        if isinstance(getattr(child, "axes", None), list):  # a subfigure
            if not _is_empty(child):
                return False
        elif getattr(child, "get_text", lambda: "something")():
            return False
    return True


def _shows_something(axes: Any) -> bool:
    return bool(axes.has_data() or axes.texts or axes.tables or axes.artists or axes.child_axes)


def _box_of(figure: Any, parts: tuple[Any, ...]) -> Any:
    """Return the box, in inches, around parts of a figure and all that belongs to them."""
    boxes = []
    for part in parts:
        if not part.get_visible() or (isinstance(part.axes, list) and _is_empty(part)):
            continue
        if (bounds := part.get_tightbbox()) is not None:
            boxes.append(bounds.transformed(figure.dpi_scale_trans.inverted()))
    if not boxes:
        kinds = " and ".join(dict.fromkeys(type(part).__name__ for part in parts))
        raise ImageError(f"This {kinds} shows nothing: it is empty or not visible. Draw on it, or give another part.")
    return type(boxes[0]).union(boxes).padded(_AXES_MARGIN_INCH)


def _with_partners(figure: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return parts of a figure with the axes that are seen as one with them: twins, colour bars, insets.

    What lies between axes and their colour bar belongs to them as well: it would be cut in two.
    """
    subfigures = [part for part in parts if isinstance(part.axes, list)]
    members = [part for part in parts if part not in subfigures and part.get_visible()]
    for subfigure in subfigures:
        members += [axes for axes in subfigure.axes if axes.get_visible() and axes not in members]
    others = [axes for axes in _visible_axes(figure) if axes not in members]
    while members:
        frame = type(members[0].bbox).union([member.bbox.frozen() for member in members])
        scaled = {id(axes) for bar in members for axes in _colour_bar_parents(figure, bar)}
        joined = [
            axes
            for axes in others
            if _share_within(axes.bbox, frame) >= _MIN_SHARE
            or id(axes) in scaled
            or any(parent in members for parent in _colour_bar_parents(figure, axes))
        ]
        if not joined:
            break
        members += joined
        others = [axes for axes in others if axes not in joined]
    return (*(part for part in parts if part not in members), *members)


def _share_within(box: Any, frame: Any) -> float:
    width = min(box.x1, frame.x1) - max(box.x0, frame.x0)
    height = min(box.y1, frame.y1) - max(box.y0, frame.y0)
    area = box.width * box.height
    return float(width * height / area) if width > 0 and height > 0 and area > 0 else 0.0


def _colour_bar_parents(figure: Any, axes: Any) -> list[Any]:
    """Return the axes whose colours these explain, if these are a colour bar's."""
    parents = list(getattr(axes, "_colorbar_info", {}).get("parents", ()))
    bar = getattr(axes, "_colorbar", None)
    if bar is None or parents:
        return parents
    mappable_axes = getattr(bar.mappable, "axes", None)
    if mappable_axes is not None:
        return [mappable_axes]
    return [other for other in figure.axes if other is not axes]  # of colours alone, in axes of its own


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what matplotlib says of fonts, glyphs and layouts: it has said it when the figure was shown."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        # Of the caller's module, which is this one: matplotlib warns where it was called.
        with ignore_warnings(Warning, module=r"amber_nb\.images\.|matplotlib\.|mpl_toolkits\."):
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _preserve_layout(figure: Any) -> Iterator[None]:
    """Put back what layout engines and aspects move while a figure is drawn.

    All that is private to matplotlib and not asked for with a default is used here: `_stale` and the titles; tried with
    3.9 and 3.11.
    """
    figures = list(_with_subfigures(figure))
    with ExitStack() as undo:  # which goes from its last to its first
        # First, as reading positions may change it; the property would call the canvas to draw again.
        undo.callback(setattr, figure, "_stale", figure.stale)
        for part in figures:
            for name in ("_suptitle", "_supxlabel", "_supylabel"):
                if (title := getattr(part, name, None)) is not None:
                    undo.callback(title.set_position, title.get_position())
        for axes in figure.axes:
            undo.callback(axes.viewLim.set, axes.viewLim.frozen())
        for axes in figure.axes:
            undo.callback(axes.set_in_layout, axes.get_in_layout())  # set_position takes them out of it
            undo.callback(axes.set_position, axes.get_position(), which="active")
            undo.callback(axes.set_position, axes.get_position(original=True), which="original")
        for part in figures:
            if hasattr(part, "bbox_relative"):
                undo.callback(part.bbox_relative.set, part.bbox_relative.frozen())
            undo.callback(vars(part.subplotpars).update, vars(part.subplotpars).copy())
        yield


def _with_subfigures(figure: Any) -> Iterator[Any]:
    yield figure
    for subfigure in getattr(figure, "subfigs", ()):
        yield from _with_subfigures(subfigure)
