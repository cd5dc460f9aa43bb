"""Read the rows of a table: pandas or Polars, a DataFrame or a Series, in windows; no copy of the whole is made."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

__all__ = ["Rows", "open_rows"]

_SERIES_NAME = "value"  # the column of a Series without a name
_LISTED_COLUMNS = 12  # in an error message
_LABEL_CHARS = 60


class Rows(ABC):
    """The rows of a table.

    Attributes:
        names: the columns' names, as a prompt writes them.
        is_series: whether there is one column, and a function of a row gets its value.
        library: `"pandas"` or `"polars"`.
    """

    names: list[str]
    is_series: bool
    library: str

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def values(self, positions: Sequence[int], start: int, stop: int) -> list[list[Any]]:
        """Return the values of some columns, by their positions, in the rows from `start` to before `stop`."""

    @abstractmethod
    def missing(self, position: int) -> list[int]:
        """Return the rows in which a column has no value."""

    @abstractmethod
    def records(self, start: int, stop: int) -> list[Any]:
        """Return rows as a function of a row gets them: a pandas Series, a dict of Polars, the value of a Series."""

    @abstractmethod
    def label(self, row: int) -> str:
        """Return what the index calls a row, in one short line."""

    def position(self, name: str) -> int:
        """Return the position of the column with this name.

        Raises:
            ValueError: there is none, or more than one; the message names the nearest, or the way out.
        """
        found = [at for at, each in enumerate(self.names) if each == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{len(found)} columns are called {name!r}: rename them, so that the prompt names one.")
        near = get_close_matches(name, self.names, n=1)
        listed = ", ".join(self.names[:_LISTED_COLUMNS]) + (", …" if len(self.names) > _LISTED_COLUMNS else "")
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"There is no column {name!r}. {hint}The columns: {listed or 'none'}.")


def open_rows(frame: Any) -> Rows:
    """Return the rows of a DataFrame or a Series.

    Raises:
        TypeError: it is none of those; the message says how to make one.
    """
    library = library_of(frame)
    kind = type(frame).__name__
    if library == "pandas" and kind == "Series":
        name = _SERIES_NAME if frame.name is None else frame.name
        return _PandasRows(frame.to_frame(name=name), is_series=True)
    if library == "pandas" and hasattr(frame, "columns"):
        return _PandasRows(frame)
    if library == "polars" and kind == "Series":
        return _PolarsRows(frame.to_frame(frame.name or _SERIES_NAME), is_series=True)
    if library == "polars" and kind == "DataFrame":
        return _PolarsRows(frame)
    if library == "polars":
        raise TypeError("map takes a polars.DataFrame or a polars.Series: collect() the LazyFrame first.")
    hint = " Make a frame of it: pandas.DataFrame({'text': …})." if isinstance(frame, (list, tuple, dict, set)) else ""
    if isinstance(frame, str):
        hint = " The table comes first, then the prompt: amber.map(frame, 'Classify: {text}')."
    name = type(frame).__name__
    if name in ("DataFrame", "Series"):  # of another library, or another's that only looks like one
        name = f"{type(frame).__module__}.{name}"
        hint = " Convert it to pandas or Polars first."
    raise TypeError(f"map takes a DataFrame or a Series of pandas or Polars, not {name}.{hint}")


def library_of(frame: Any) -> str:
    """Return the package of a table's class, `"pandas"` or another; also of a subclass such as a GeoDataFrame."""
    modules = [cls.__module__.partition(".")[0] for cls in type(frame).__mro__]
    return next((name for name in ("pandas", "polars", "dask_expr", "dask") if name in modules), modules[0])


class _PandasRows(Rows):
    library = "pandas"

    def __init__(self, frame: Any, *, is_series: bool = False) -> None:
        self._frame = frame
        self.is_series = is_series
        self.names = [_name(label) for label in frame.columns]

    def __len__(self) -> int:
        return len(self._frame)

    def values(self, positions: Sequence[int], start: int, stop: int) -> list[list[Any]]:
        return [self._frame.iloc[start:stop, position].tolist() for position in positions]

    def missing(self, position: int) -> list[int]:
        mask = self._frame.iloc[:, position].isna().to_numpy()
        found: list[int] = mask.nonzero()[0].tolist()
        return found

    def records(self, start: int, stop: int) -> list[Any]:
        columns = self.values(range(len(self.names)), start, stop)
        if self.is_series:
            return columns[0]
        pandas, labels, index = import_module("pandas"), self._frame.columns, self._frame.index
        # By hand: iloc would turn whole numbers beside others into floats.
        cells = zip(*columns, strict=True) if columns else [()] * (stop - start)
        return [
            pandas.Series(list(row), index=labels, name=index[start + number], dtype="object")
            for number, row in enumerate(cells)
        ]

    def label(self, row: int) -> str:
        return _shorten(self._frame.index[row])


class _PolarsRows(Rows):
    library = "polars"

    def __init__(self, frame: Any, *, is_series: bool = False) -> None:
        self._frame = frame
        self.is_series = is_series
        self.names = list(frame.columns)

    def __len__(self) -> int:
        return int(self._frame.height)

    def values(self, positions: Sequence[int], start: int, stop: int) -> list[list[Any]]:
        window = self._frame.slice(start, stop - start)
        return [window.to_series(position).to_list() for position in positions]

    def missing(self, position: int) -> list[int]:
        column = self._frame.to_series(position)
        empty = column.is_null() | column.is_nan() if column.dtype.is_float() else column.is_null()
        found: list[int] = empty.arg_true().to_list()
        return found

    def records(self, start: int, stop: int) -> list[Any]:
        window = self._frame.slice(start, stop - start)
        found: list[Any] = window.to_series(0).to_list() if self.is_series else window.to_dicts()
        return found

    def label(self, row: int) -> str:
        return str(row)


def _name(label: Hashable) -> str:
    return label if isinstance(label, str) else str(label)


def _shorten(label: Any) -> str:
    if isinstance(label, dt.datetime) and (label.hour, label.minute, label.second) == (0, 0, 0):
        label = label.date()
    try:
        text = ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)
    except Exception:  # the label's own __str__
        text = type(label).__name__
    text = " ".join(text.split())
    return text if len(text) <= _LABEL_CHARS else text[: _LABEL_CHARS - 1] + "…"
