"""Keep what has come of each row, column by column, and make the frame of it."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import nan
from typing import Any

from .. import value_frame
from ..types import finish_kind, replace_surrogates
from ..value_types import find_fields

__all__ = ["COLUMNS", "Outcome", "Results", "column_names"]

ANSWER = "answer"
# Beside the answer, in this order.
COLUMNS = ("status", "error", "finish_reason", "prompt_tokens", "completion_tokens", "cost", "latency_s")
STATUSES = ("ok", "error", "stopped", "skipped")
STOPPED, OK, ERROR, SKIPPED = range(4)  # as they are kept: a row is stopped until something has come of it
_CODES = bytes.maketrans(bytes([OK, ERROR, STOPPED, SKIPPED]), bytes(range(4)))
_UNKNOWN = -1  # tokens


@dataclass(slots=True)
class Outcome:
    """What has come of one request.

    Attributes:
        value: the text, or the typed value; None where there is an error.
        error: why there is none, in one line; None where there is a value.
        finish_reason: the wire's.
        prompt_tokens: of all requests of the row, its corrections included; None where it is unknown.
        completion_tokens: the same of its replies.
        cached_tokens: of the prompts, read from the gateway's cache.
        cost: in the currency of the prices; None where it is unknown.
        latency_s: seconds from the last request to the end of its reply.
    """

    value: Any = None
    error: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost: float | None = None
    latency_s: float | None = None


def column_names(schema: Any, prefix: str) -> list[str]:
    """Return the names of the columns of a result, as far as they are known beforehand."""
    values = [ANSWER]
    if schema is not None and find_fields(schema):
        values = value_frame.rows_columns(schema)
    return [f"{prefix}{name}" for name in (*values, *COLUMNS)]


class Results:
    """The outcomes of a table's rows; a row that asks the same as another has that row's.

    Args:
        count: of the rows.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._status = bytearray(count)
        self._leader = array("q", bytes(8 * count))  # the row whose outcome it is, plus one; 0: its own
        self._values: list[Any] = [None] * count
        self._errors: dict[int, str] = {}
        self._finish: list[str | None] = [None] * count
        self._prompt_tokens = array("q", [_UNKNOWN]) * count
        self._completion_tokens = array("q", [_UNKNOWN]) * count
        self._cost = array("d", [nan]) * count
        self._latency_s = array("d", [nan]) * count

    def set(self, row: int, outcome: Outcome) -> None:
        """Keep the outcome of a row."""
        self._status[row] = OK if outcome.error is None else ERROR
        self._values[row] = outcome.value
        if outcome.error is not None:
            self._errors[row] = outcome.error
        self._finish[row] = outcome.finish_reason
        self._prompt_tokens[row] = _UNKNOWN if outcome.prompt_tokens is None else outcome.prompt_tokens
        self._completion_tokens[row] = _UNKNOWN if outcome.completion_tokens is None else outcome.completion_tokens
        self._cost[row] = nan if outcome.cost is None else outcome.cost
        self._latency_s[row] = nan if outcome.latency_s is None else outcome.latency_s

    def is_ok(self, row: int) -> bool | None:
        """Return whether a row has an answer; None as long as it is not settled."""
        status = self._status[row]
        return None if status == STOPPED else status == OK

    def skip(self, row: int) -> None:
        """Take note that a row is not asked about, since a value is missing."""
        self._status[row] = SKIPPED

    def follow(self, row: int, leader: int) -> None:
        """Take note that a row asks the same as an earlier one."""
        self._leader[row] = leader + 1

    def copy_followers(self) -> None:
        """Give each row that asks the same as another what has come of that; it cost nothing."""
        for row, leader in enumerate(self._leader):
            if not leader:
                continue
            source = leader - 1
            self._status[row] = self._status[source]
            self._values[row] = self._values[source]
            if source in self._errors:
                self._errors[row] = self._errors[source]
            self._finish[row] = self._finish[source]
            self._prompt_tokens[row] = self._prompt_tokens[source]
            self._completion_tokens[row] = self._completion_tokens[source]
            self._latency_s[row] = self._latency_s[source]
            if self._cost[source] == self._cost[source]:  # known
                self._cost[row] = 0.0

    def count_doubtful(self) -> tuple[int, int]:
        """Return how many answers were cut off at the limit of tokens, and how many others are empty."""
        kinds = {reason: finish_kind(reason) for reason in {*self._finish}}
        cut = empty = 0
        for row, status in enumerate(self._status):
            if status == OK:
                is_cut = kinds[self._finish[row]] == "length"
                value = self._values[row]
                cut += is_cut
                empty += not is_cut and isinstance(value, str) and not value.strip()
        return cut, empty

    def values(self) -> list[Any]:
        """Return the texts or typed values, None where a row has none."""
        return [*self._values]

    def counts(self) -> dict[str, int]:
        """Return how many rows have each status."""
        return {status: self._status.translate(_CODES).count(code) for code, status in enumerate(STATUSES)}

    def frame(
        self,
        index: Any,
        schema: Any = None,
        prefix: str = "",
        attrs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the rows as a pandas DataFrame.

        Args:
            index: of the table.
            schema: of the values; None for texts.
            prefix: of the columns' names.
            attrs: of the frame.
        """
        pandas, numpy = import_module("pandas"), import_module("numpy")
        columns: dict[str, Any] = {}
        if schema is None:
            columns[ANSWER] = _texts(pandas, self._values)
        else:
            columns |= self._typed_columns(schema)
        status = numpy.frombuffer(bytes(self._status.translate(_CODES)), dtype="int8")
        columns["status"] = pandas.Categorical.from_codes(status, categories=STATUSES)
        columns["error"] = _texts(pandas, [self._errors.get(row) for row in range(self._count)])
        columns["finish_reason"] = _texts(pandas, self._finish)
        for name, numbers in (("prompt_tokens", self._prompt_tokens), ("completion_tokens", self._completion_tokens)):
            values = numpy.array(numbers, dtype="int64")
            columns[name] = pandas.arrays.IntegerArray(values, values == _UNKNOWN)
        for name, floats in (("cost", self._cost), ("latency_s", self._latency_s)):
            values = numpy.array(floats, dtype="float64")
            columns[name] = pandas.arrays.FloatingArray(values, numpy.isnan(values))
        series = {  # with their dtypes: pandas would make texts of objects that all are some
            f"{prefix}{name}": pandas.Series(values, index=index, dtype=values.dtype)
            for name, values in columns.items()
        }
        frame = pandas.DataFrame(series, index=index)
        frame.attrs |= dict(attrs or {})
        return frame

    def _typed_columns(self, schema: Any) -> dict[str, Any]:
        try:
            typed = value_frame.rows_frame(self._values, schema)
        except Exception:  # such as of a computed field: the user's code
            cells = import_module("numpy").empty(self._count, dtype="object")
            cells[:] = self._values
            return {ANSWER: cells}  # paid for, and not lost
        if not find_fields(schema):
            return {ANSWER: typed.iloc[:, 0].array}
        columns: dict[str, Any] = {}
        for name in typed.columns:
            own_name = name
            while own_name in COLUMNS or own_name in columns:  # a field that the schema does not name
                own_name += "_"
            columns[own_name] = typed[name].array
        return columns

    def polars_frame(self, schema: Any = None, prefix: str = "") -> Any:
        """Return the rows as a Polars DataFrame; it has no place for `attrs`."""
        polars, pandas = import_module("polars"), import_module("pandas")
        frame = self.frame(pandas.RangeIndex(self._count), schema, prefix)
        return polars.DataFrame([_to_polars(polars, frame[name]) for name in frame.columns])


def _texts(pandas: Any, values: Sequence[str | None]) -> Any:
    values = [None if value is None else replace_surrogates(value) for value in values]  # Arrow's texts are UTF-8
    column = pandas.Series(values, dtype="object").astype("str")
    missing = [value is None for value in values]
    if any(missing):  # pandas 2 makes the text 'None' of what is missing
        column = column.mask(missing, None)
    return column.array


def _to_polars(polars: Any, column: Any) -> Any:
    """Return a column of Polars; as JSON texts where it has no dtype for the values, such as numbers beside texts."""
    values = [None if _is_missing(value) else value for value in column.tolist()]
    kinds = {"Int64": polars.Int64, "Float64": polars.Float64, "boolean": polars.Boolean, "str": polars.String}
    dtype = kinds.get(str(column.dtype))
    if str(column.dtype) == "category":
        dtype = polars.Enum(list(map(str, column.cat.categories)))
    try:
        found = polars.Series(column.name, values, dtype=dtype)
        if dtype is not None or _is_kept(values, found.to_list()):
            return found
    except Exception:  # of different kinds or shapes; Polars has its own classes of errors
        pass
    try:
        texts = [
            value if value is None or isinstance(value, str) else json.dumps(value, default=str) for value in values
        ]
        return polars.Series(column.name, texts, dtype=polars.String)
    except Exception:  # of a class whose text cannot be made
        return polars.Series(column.name, values, dtype=polars.Object)


def _is_kept(value: Any, found: Any) -> bool:
    """Return whether Polars gives back what it was given: of lists of different kinds it makes None."""
    if isinstance(value, dict):
        return (
            isinstance(found, dict)
            and value.keys() <= found.keys()
            and all(_is_kept(value.get(name), each) for name, each in found.items())
        )
    if isinstance(value, list):
        return isinstance(found, list) and len(value) == len(found) and all(map(_is_kept, value, found))
    return bool(value == found)


def _is_missing(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )
