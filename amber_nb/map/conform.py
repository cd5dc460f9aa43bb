"""Give the frame of one partition the columns and dtypes that all partitions have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ..value_frame import plain_value
from .results import ANSWER, Results

__all__ = ["conform_frame", "meta_frame"]


def meta_frame(index: Any, schema: Any, prefix: str) -> Any:
    """Return a result without rows, with the dtypes of all partitions.

    Args:
        index: of the table, without rows.
        schema: of the answers, or None.
        prefix: of the columns' names.
    """
    pandas = import_module("pandas")
    frame: Any = Results(0).frame(index[:0], schema, prefix)
    for name in frame.columns:
        dtype = frame[name].dtype
        if isinstance(dtype, pandas.DatetimeTZDtype):
            frame[name] = frame[name].astype("datetime64[us, UTC]")
        elif dtype.kind in "mM":  # its unit would depend on the values
            frame[name] = frame[name].astype(f"{'datetime64' if dtype.kind == 'M' else 'timedelta64'}[us]")
    return frame


def conform_frame(frame: Any, values: Sequence[Any], meta: Any, prefix: str) -> Any:
    """Return a partition's frame with the columns and dtypes of `meta`; a row whose answer does not fit is an error.

    Args:
        frame: of `Results.frame`.
        values: of its rows, None where there is none.
        meta: of `meta_frame`.
        prefix: of the columns' names.
    """
    pandas = import_module("pandas")
    columns: dict[str, Any] = {}
    misfits: dict[int, str] = {}
    for name in meta.columns:
        if name in frame.columns:
            column = frame[name]
        else:
            cells = [_cell(value, name.removeprefix(prefix)) for value in values]
            column = pandas.Series(cells, index=frame.index, dtype="object")
        columns[name], rows = _cast(pandas, column, meta[name].dtype)
        for row in rows:
            misfits.setdefault(row, f"{name} does not fit {meta[name].dtype}: {str(column.iloc[row])[:80]}")
    status, error = columns[f"{prefix}status"], columns[f"{prefix}error"]
    ended = frame.attrs.get("ended")
    if ended is not None:
        columns[f"{prefix}error"] = error = error.mask((status == "stopped") & error.isna(), ended)
    for row, reason in misfits.items():
        status.iloc[row], error.iloc[row] = "error", reason
    result: Any = pandas.DataFrame(
        {name: column.set_axis(frame.index) for name, column in columns.items()},
        index=frame.index,
        columns=meta.columns,
    )
    return result


def _cell(value: Any, name: str) -> Any:
    """Return what of an answer belongs into a column of dicts or lists."""
    found = plain_value(value)
    if name == ANSWER and not (isinstance(found, Mapping) and ANSWER in found):
        return found
    for each in name.split("."):
        found = found.get(each) if isinstance(found, Mapping) else None
    return found


def _cast(pandas: Any, column: Any, dtype: Any) -> tuple[Any, list[int]]:
    """Return a column in a dtype, and the rows whose value has no place in it."""
    if column.dtype == dtype:
        return column.copy(), []
    try:
        cast = _cast_whole(pandas, column, dtype)
    except (TypeError, ValueError, OverflowError, AttributeError):
        cast = pandas.Series(None, index=range(len(column)), dtype="object")
        for row, value in enumerate(column):
            try:
                cast.iloc[row] = _cast_whole(pandas, pandas.Series([value], dtype="object"), dtype).iloc[0]
            except (TypeError, ValueError, OverflowError, AttributeError):
                cast.iloc[row] = None
        cast = cast.astype(dtype).set_axis(column.index)
    lost = column.notna().to_numpy() & cast.isna().to_numpy()
    rows: list[int] = lost.nonzero()[0].tolist()
    return cast, rows


def _cast_whole(pandas: Any, column: Any, dtype: Any) -> Any:
    if dtype.kind == "M":
        times = pandas.to_datetime(column, utc=True)  # what has no zone counts as UTC
        if not isinstance(dtype, pandas.DatetimeTZDtype):
            times = times.dt.tz_localize(None)
        return times.astype(dtype)
    if dtype == "object":
        return column.astype("object").where(column.notna(), None)
    return column.astype(dtype)
