"""Make the request of each row: a format string over columns, or a function of a row, and images of a column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from string import Formatter
from types import CodeType, FunctionType, MethodType
from typing import Any, Literal

from .. import images
from ..chat.messages import add_images, messages_for
from ..display.escape import shorten
from ..errors import ImageError
from ..types import Message, replace_surrogates
from .rows import Rows

__all__ = ["Request", "RequestBuilder", "RowProblem", "Template", "describe_function", "dump"]

_BRACES = (
    "Braces in a prompt name columns. Double those that are text, {{ and }}, such as those of JSON; or give a function "
    "instead: amber.map(frame, lambda row: f\"… {row['text']}\")."
)
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
_NO_NAME = re.compile(r"[\"'\n{}]")  # what a column is hardly called
_SHOWN_CHARS = 40
_CHECKED_ROWS = 3
_LISTED_NAMES = 12  # in an error message
_MISSING_LABELS = 3  # rows that an error message names
_DESCRIBED_VALUES = 1_000  # of a list or a dict that a function closes over
_ENDS_RUN = (SystemExit, KeyboardInterrupt)  # of what the user's code raises; all else is the row's own error


@dataclass(frozen=True, slots=True)
class Request:
    """The request of a row.

    Attributes:
        row: its number, from 0.
        messages: as they are sent.
        content: the request's body; it also is what tells one request from another.
        image_tokens: estimated tokens of its images.
    """

    row: int
    messages: list[dict[str, Any]]
    content: bytes
    image_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row for which there is no request.

    Attributes:
        row: its number, from 0.
        reason: why, in one line; None for a row that is skipped, since a value is missing.
    """

    row: int
    reason: str | None


class Template:
    """A format string over columns.

    A field is the whole name of a column, spaces and dots included; a conversion and a format may follow, as in
    `{price:.2f}`. It reads nothing but columns: `{text.__class__}` is no column.

    Args:
        text: the format string.
        rows: the table.

    Attributes:
        positions: of the columns that it names, in the order of their first use.

    Raises:
        ValueError: a brace or a field that is no column, or none at all; the message says what to write.
    """

    def __init__(self, text: str, rows: Rows) -> None:
        self.positions: list[int] = []
        self._parts: list[tuple[str, int | None, str, str]] = []  # text before, place among the values, conversion, …
        try:
            parts = list(Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"The prompt cannot be read as a format string ({error}). {_BRACES}") from None
        for literal, field, form, conversion in parts:
            place = None
            if field is not None:
                position = self._find(field, form or "", rows)
                if position not in self.positions:
                    self.positions.append(position)
                place = self.positions.index(position)
            if conversion is not None and conversion not in _CONVERSIONS:
                raise ValueError(f"The prompt has a conversion !{conversion} that does not exist. {_BRACES}")
            if "{" in (form or ""):
                raise ValueError(f"The prompt has a format within a format, {form!r}. {_BRACES}")
            self._parts.append((literal, place, form or "", conversion or ""))

    @staticmethod
    def _find(field: str, form: str, rows: Rows) -> int:
        if rows.is_series and field in ("", "value"):
            return 0
        if not field:
            raise ValueError(f"The prompt has {{}} without a column. {_BRACES}")
        # A colon may be part of a column's name, too.
        for name in (f"{field}:{form}" if form else field, field, field.strip()):
            if name in rows.names:
                return rows.position(name)
        if _NO_NAME.search(field):  # such as JSON
            raise ValueError(f"{_BRACES} Here they hold {shorten(field, _SHOWN_CHARS)!r}, which is no column.")
        try:
            return rows.position(field)
        except ValueError as error:
            raise ValueError(f"{error} {_BRACES}") from None

    @property
    def late_chars(self) -> int:
        """How many characters of fixed text stand behind the first column."""
        places = [number for number, (_, place, _, _) in enumerate(self._parts) if place is not None]
        return sum(len(literal) for literal, _, _, _ in self._parts[places[0] + 1 :]) if places else 0

    def render(self, values: Sequence[Any]) -> str:
        """Return the prompt of a row.

        Args:
            values: of the columns at `positions`.
        """
        pieces = []
        for literal, place, form, conversion in self._parts:
            pieces.append(literal)
            if place is not None:
                value = values[place]
                if conversion:
                    value = _CONVERSIONS[conversion](value)
                pieces.append(format(value, form) if form else str(value))
        return "".join(pieces)


class RequestBuilder:
    """Make the requests of a table's rows, in windows.

    Args:
        rows: the table.
        prompt: a format string, or a function of a row that returns a prompt or messages; its None skips the row where
            `na` is `"skip"`.
        images: the name of the column that holds the images of a row: anything that `image_part` takes, or a list.
        system: instructions, the same for all rows, or None.
        role: of those.
        body: of each request, without its messages.
        na: what is done with a row that lacks a value: `"raise"` or `"skip"`. Only what a format string or `images`
            names is looked at: a function gets NaN, None and NA as they are, and returns None to skip the row.

    Raises:
        TypeError: the prompt is neither a text nor a function.
        ValueError: a column is missing, or a value is and `na` is `"raise"`; the message says what to do.
    """

    def __init__(
        self,
        rows: Rows,
        prompt: str | Callable[[Any], str | Iterable[Message]],
        *,
        images: str | None = None,
        system: str | None = None,
        role: str = "developer",
        body: Mapping[str, Any],
        na: Literal["raise", "skip"] = "raise",
    ) -> None:
        if not isinstance(prompt, str) and not callable(prompt):
            raise TypeError(
                "prompt must be a text such as 'Classify: {text}', or a function of a row, not "
                f"{type(prompt).__name__}."
            )
        if na not in ("raise", "skip"):
            raise ValueError(f"na must be 'raise' or 'skip', not {na!r}.")
        self._rows = rows
        self._prompt = prompt
        self._system = system
        self._role = role
        self._na = na
        self._template = Template(prompt, rows) if isinstance(prompt, str) else None
        self._images = None if images is None else rows.position(images)
        if self._template is not None and not self._template.positions and self._images is None:
            raise ValueError(
                "The prompt names no column, so that each row would ask the same. Name one in braces: "
                f"'… {{{rows.names[0] if rows.names else 'text'}}}'."
            )
        self._skipped = self._check_missing()
        # The same for all rows, and first, as gateways keep the beginning of prompts in a cache.
        self.head = dump(dict(body))[:-1] + b', "messages": '

    def _check_missing(self) -> set[int]:
        used = list(self._template.positions) if self._template is not None else []
        used += [self._images] if self._images is not None else []
        skipped: set[int] = set()
        for position in used:
            missing = self._rows.missing(position)
            if missing and self._na == "raise":
                labels = ", ".join(self._rows.label(row) for row in missing[:_MISSING_LABELS])
                more = ", …" if len(missing) > _MISSING_LABELS else ""
                count = "1 row" if len(missing) == 1 else f"{len(missing):,} rows"
                raise ValueError(
                    f"The column {self._rows.names[position]!r} has no value in {count} ({labels}{more}). "
                    "na='skip' leaves such rows out; or fill them first."
                )
            skipped.update(missing)
        return skipped

    def check(self) -> None:
        """Make the first requests.

        Raises:
            ValueError: there is none for any of the first rows, so that the prompt is wrong, and not a row.
        """
        built = self.build(0, min(len(self._rows), _CHECKED_ROWS))
        problems = [each for each in built if isinstance(each, RowProblem) and each.reason is not None]
        if len(problems) == len(built) > 1:
            names = ", ".join(self._rows.names[:_LISTED_NAMES])
            raise ValueError(
                f"No request can be made of any of the first {len(built)} rows: {problems[0].reason}. "
                f"The columns: {names}{', …' if len(self._rows.names) > _LISTED_NAMES else ''}."
            )

    def build(
        self, start: int, stop: int, *, is_stopped: Callable[[], bool] = lambda: False
    ) -> list[Request | RowProblem]:
        """Return what is asked about the rows from `start` to before `stop`, in their order.

        Args:
            start: the first row.
            stop: the row behind the last one.
            is_stopped: asked before each row; the rows from there on are left out.

        Raises:
            SystemExit, KeyboardInterrupt: the user's code raised it; any other exception is the row's problem.
        """
        sources = self._rows.values([self._images], start, stop)[0] if self._images is not None else None
        built: list[Request | RowProblem] = []
        for row, prompt in enumerate(self._prompts(start, stop, is_stopped), start):
            number = row - start
            if row in self._skipped or prompt is None:
                built.append(RowProblem(row, None))
            elif isinstance(prompt, RowProblem):
                built.append(prompt)
            else:
                built.append(self._request(row, prompt, sources[number] if sources is not None else None))
        return built

    def _prompts(self, start: int, stop: int, is_stopped: Callable[[], bool]) -> Iterator[Any]:
        """Yield the prompt of each row, a RowProblem, or None where the row is skipped."""
        make: Callable[[int, Any], Any]
        if self._template is not None:
            columns = self._rows.values(self._template.positions, start, stop)
            given: Iterable[Any] = zip(*columns, strict=True) if columns else [()] * (stop - start)
            make = self._render
        else:
            given, make = self._rows.records(start, stop), self._call
        for row, values in enumerate(given, start):
            if is_stopped():
                return
            yield None if row in self._skipped else make(row, values)

    def _render(self, row: int, values: Sequence[Any]) -> str | RowProblem:
        assert self._template is not None
        try:
            return self._template.render(values)
        except _ENDS_RUN:
            raise
        except BaseException as error:  # a format that the value does not know, or the value's own __str__
            return RowProblem(row, f"the prompt cannot be made: {_describe(error)}")

    def _call(self, row: int, record: Any) -> Any:
        function: Any = self._prompt
        try:
            prompt = function(record)
        except _ENDS_RUN:
            raise
        except BaseException as error:
            return RowProblem(row, f"the prompt's function failed: {_describe(error, named=True)}")
        if prompt is None and self._na == "raise":
            return RowProblem(row, "the prompt's function returned None; na='skip' leaves such rows out")
        return prompt

    def _request(self, row: int, prompt: Any, source: Any) -> Request | RowProblem:
        tokens = 0
        try:
            messages = messages_for(prompt, self._system, self._role)
            if source is not None:
                # By attribute: `images` loads Pillow with its first name.
                parts = images.collect_images(source, thumbnails=False).parts
                tokens = sum(part.sent.tokens or 0 for part in parts)
                messages = add_images(messages, parts)
            return Request(row, messages, self.content(messages), tokens)
        except _ENDS_RUN:
            raise
        except (TypeError, ValueError, ImageError) as error:
            return RowProblem(row, _describe(error))
        except BaseException as error:  # of a generator of messages, or of an object in a cell
            return RowProblem(row, f"the prompt cannot be made: {_describe(error)}")

    def content(self, messages: Sequence[Mapping[str, Any]]) -> bytes:
        """Return the body of a request with these messages."""
        return self.head + dump(messages) + b"}"

    @property
    def late_chars(self) -> int:
        """How many characters of the prompt's fixed text stand behind its first column."""
        return self._template.late_chars if self._template is not None else 0

    def label(self, row: int) -> str:
        """Return what the index calls a row, in one short line."""
        return self._rows.label(row)


def _describe(error: BaseException, *, named: bool = False) -> str:
    """Return an exception in one line, with its type where it is `named` or the message does not speak for itself."""
    kind = type(error).__name__
    try:
        text = " ".join(replace_surrogates(str(error)).split())
    except Exception:  # the user's own __str__
        text = ""
    if not named and text and isinstance(error, (TypeError, ValueError, ImageError)):
        return text
    return f"{kind}: {text}" if text else kind


def describe_function(function: Any) -> str:
    """Return what tells a prompt's function from another: its code, its defaults and the values that it closes over.

    The same source gives the same text, also when its cell is run again or in another process. What a function reads
    of its module is not seen, nor what an object holds.
    """
    return _describe_value(function, ())


def _describe_value(value: Any, within: tuple[int, ...]) -> str:
    if value is None or value is ... or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if id(value) in within:  # a function that calls itself closes over itself
        return "itself"
    within = (*within, id(value))
    parts: Iterable[Any]
    if isinstance(value, CodeType):
        parts = (value.co_code.hex(), value.co_names, value.co_consts)
    elif isinstance(value, partial):
        parts = (value.func, value.args, value.keywords)
    elif isinstance(value, MethodType):
        parts = (value.__func__, value.__self__)
    elif isinstance(value, FunctionType):
        cells = [_cell_value(cell) for cell in value.__closure__ or ()]
        parts = (value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells)
    elif isinstance(value, (set, frozenset)):
        parts = sorted(_describe_value(each, within) for each in value)  # whose order differs from process to process
    elif isinstance(value, dict):
        parts = (len(value), *islice(value.items(), _DESCRIBED_VALUES))
    elif isinstance(value, (list, tuple)):
        parts = (len(value), *value[:_DESCRIBED_VALUES])
    else:  # whose repr may hold an address, and take its time
        name = getattr(value, "__qualname__", None)
        parts = (name,) if isinstance(name, str) else (vars(type(value)).get("__call__"),)
    return f"{type(value).__qualname__}({', '.join(_describe_value(each, within) for each in parts)})"


def _cell_value(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is assigned to it yet
        return None


def dump(value: Any) -> bytes:
    """Return JSON in UTF-8; half characters, which cannot be sent, become U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return replace_surrogates(text).encode()
