"""Shorten the tracebacks of errors that are meant for the reader: their own lines, and the message.

What fails on the way to an answer passes forty frames of this package, the SDK and asyncio, which say nothing to the
person who asked. `short_traceback` stands around each public function and takes those frames away. It keeps all frames
of the user's own tools, policies and validators, and all frames of an error that nobody raised on purpose: that is a
fault of amber_nb, and its report needs them. `AMBER_TRACEBACK=full` keeps every frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import functools
import re
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from .config import wants_full_traceback
from .errors import AmberError

__all__ = ["short_traceback"]

# The packages between a public function and the user's code or the network, by the first part of a module's name.
# A frame of any other module is the user's: a name that is missing here makes a traceback longer, and loses nothing.
_MACHINERY = {
    *(
        "amber_nb",
        "openai",
        "httpx2",
        "httpcore2",
        "h11",
        "h2",
        "anyio",
        "sniffio",
        "ssl",
        "socket",
        "selectors",
        "urllib",
    ),
    *("asyncio", "concurrent", "threading", "contextlib", "contextvars", "functools", "inspect", "typing"),
    *("pydantic", "pydantic_core", "jiter", "json", "PIL", "numpy", "pandas", "matplotlib", "pathlib"),
    *("IPython", "ipykernel"),
}
F = TypeVar("F", bound=Callable[..., Any])
_RAISE = dis.opmap["RAISE_VARARGS"]
_BLANK = re.compile(r"\n(?:[ \t]*\n)+(?!The |During )")  # lines that the terse form of IPython has between its parts
_MOST_LINES = 15  # what one sees of an output at once


class _ShortTraceback:
    """A context manager without state, and a decorator of sync functions.

    An error that leaves it carries no frame of the function that uses it.
    """

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def run_with_short_traceback(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run_with_short_traceback  # type: ignore[return-value]

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and _is_for_reader(error) and not wants_full_traceback():
            # What `error` holds when the block ends is what is raised on: the frame of the block itself is not added.
            _shorten(error)


short_traceback = _ShortTraceback()


def _is_for_reader(error: BaseException) -> bool:
    """Return whether the message says it all: an error of ours or of the SDK, or one that the user's code raised."""
    if isinstance(error, (AmberError, KeyboardInterrupt, asyncio.CancelledError)) or _root(error) == "openai":
        return True
    if getattr(error, "_render_traceback_", None) is render_traceback:  # it came through another public function
        return True
    entries = [*_entries(error.__traceback__)]
    return any(map(_is_users, entries)) or (bool(entries) and _is_raised_on_purpose(entries[-1]))


def _is_raised_on_purpose(entry: TracebackType) -> bool:
    """Return whether a `raise` of this package made the error, or the call of a function of its own that was wrong."""
    if entry.tb_frame.f_globals is globals():  # the decorator's own frame: the arguments do not fit the function
        return True
    return _package(entry) == "amber_nb" and entry.tb_frame.f_code.co_code[entry.tb_lasti] == _RAISE


def _shorten(error: BaseException) -> None:
    chain = [*_chain(error)]
    is_machinery = [each.__traceback__ is not None and _is_machinery(each.__traceback__) for each in chain]
    change = object.__setattr__  # a class of the user's may forbid its own, as a frozen dataclass does
    for each in chain:
        change(each, "__traceback__", _from_first_users(each.__traceback__))
    # Of an error that the user's code did not raise, the nearest cause stays: causes of causes repeat it in the words
    # of other layers. `__context__` still holds them.
    if is_machinery[0] or error.__traceback__ is None:
        nearest = 1 if error.__cause__ is not None else 0
        if nearest + 1 < len(chain) and all(is_machinery[nearest + 1 :]):
            change(chain[nearest], "__suppress_context__", True)
            if nearest and chain[nearest].__cause__ is chain[nearest].__context__:
                change(chain[nearest], "__cause__", None)
    if not hasattr(error, "_render_traceback_"):
        with contextlib.suppress(AttributeError):  # a class with slots alone
            change(error, "_render_traceback_", render_traceback)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what a traceback shows above it, nearest first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _root(error: BaseException) -> str:
    """Return the package of an error's class."""
    return type(error).__module__.partition(".")[0]


def _package(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_users(entry: TracebackType) -> bool:
    return _package(entry) not in _MACHINERY


def _is_machinery(traceback: TracebackType) -> bool:
    return not any(map(_is_users, _entries(traceback)))


def _from_first_users(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame of the user's on; None where there is none."""
    return next((entry for entry in _entries(traceback) if _is_users(entry)), None)


def render_traceback() -> list[str]:
    """Render the error that IPython is about to show; IPython calls this instead of its own renderer.

    A function, and not a method that holds its error, so that the error still pickles.

    Returns:
        The lines, in the reader's colours and mode. In IPython's usual mode they have as many lines around each of the
        reader's own as fit into `_MOST_LINES`; where the frames are too many for that, each is a line.
    """
    errors = [error for error in (getattr(sys, "last_value", None), sys.exc_info()[1]) if error is not None]
    error = next((each for each in errors if getattr(each, "_render_traceback_", None) is render_traceback), errors[0])
    renderer: Any = sys.modules["IPython"].get_ipython().InteractiveTB
    shown = type(error), error, _users_alone(error)
    lines: list[str] = renderer.structured_traceback(*shown)
    if renderer.mode != "Context":
        return lines
    for context in (3, 2):
        if _is_one_look(lines):
            return lines
        lines = renderer.structured_traceback(*shown, context=context)
    if not _is_one_look(lines):
        try:
            renderer.set_mode("Plain")
            text = "\n".join(renderer.structured_traceback(*shown))
        finally:
            renderer.set_mode("Context")
        lines = [_BLANK.sub("\n", text)]
    return lines


def _is_one_look(lines: list[str]) -> bool:
    return "\n".join(lines).count("\n") < _MOST_LINES


def _users_alone(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error without the frames that are not the user's.

    What follows the last of the user's frames stays where it is about a fault: in a tool of theirs, or of our own.
    """
    entries = [*_entries(error.__traceback__)]
    users = [at for at, entry in enumerate(entries) if _is_users(entry)]
    last = users[-1] if users else -1
    tail = entries[last + 1 :]
    is_told = isinstance(error, (AmberError, KeyboardInterrupt)) or _root(error) == "openai"
    if is_told or not tail or _is_raised_on_purpose(tail[-1]):
        tail = []
    result = None
    # IPython leaves out the first frame, which is its own.
    for entry in reversed([*entries[: 1 if last > 0 else 0], *(entries[at] for at in users if at), *tail]):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result
