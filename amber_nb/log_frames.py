"""Make DataFrames of the usage log, the tool runs and the list of models; pandas is loaded with the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .types import RequestRow, ToolRun

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["models_frame", "tools_frame", "usage_frame"]

# column → dtype; nullable where the gateway may send nothing; what is no text is missing, see `_frame`
USAGE = {
    "time": "datetime64[ms, UTC]",
    "mode": "str",
    "model": "str",
    "tokens": "Int64",
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "cached_tokens": "Int64",
    "latency_s": "Float64",
    "first_token_s": "Float64",
    "status": "Int64",
}
TOOLS = {
    "round": "Int64",
    "name": "str",
    "status": "str",
    "arguments": "object",
    "result": "object",
    "sent": "str",
    "error": "str",
    "edited": "bool",
    "decided_by": "str",
    "duration_s": "Float64",
}
MODELS = {"id": "str", "owned_by": "str", "created": "Float64"}


def usage_frame(rows: Iterable[RequestRow]) -> pd.DataFrame:
    """Return a frame with a row for each request; `Amber.usage_log` describes its columns."""
    pandas, listed = import_module("pandas"), list(rows)
    columns: dict[str, Any] = {
        name: [getattr(row, "total_tokens" if name == "tokens" else name) for row in listed] for name in USAGE
    }
    columns["time"] = pandas.to_datetime(columns["time"], unit="s", utc=True)
    return _frame(columns, USAGE)


def tools_frame(runs: Iterable[ToolRun]) -> pd.DataFrame:
    """Return a frame with a row for each tool call; `Answer.tools_frame` describes its columns."""
    pandas, listed = import_module("pandas"), [run.redacted() for run in runs]
    columns: dict[str, Any] = {name: [getattr(run, name) for run in listed] for name in TOOLS}
    for name in ("arguments", "result"):  # dicts and arrays, each in a cell of its own
        column = pandas.Series(index=range(len(listed)), dtype="object")
        for row, value in enumerate(columns[name]):
            column.at[row] = value
        columns[name] = column
    return _frame(columns, TOOLS)


def models_frame(models: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a frame with a row for each model; `Amber.models` describes its columns."""
    pandas, listed = import_module("pandas"), list(models)
    frame = _frame({name: [model.get(name) for model in listed] for name in MODELS}, MODELS)
    frame["created"] = pandas.to_datetime(frame["created"], unit="s", utc=True)
    return frame


def _frame(columns: dict[str, Any], dtypes: Mapping[str, str]) -> pd.DataFrame:
    frame: pd.DataFrame = import_module("pandas").DataFrame(columns)
    missing = {name: frame[name].isna() for name, dtype in dtypes.items() if dtype == "str"}
    frame = frame.astype(dict(dtypes))
    for name, rows in missing.items():  # pandas 2 makes the text 'None' of what is missing
        frame.loc[rows, name] = None
    return frame
