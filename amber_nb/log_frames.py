"""Make DataFrames of the usage log, the tool runs and the list of models; pandas is loaded with the first of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .prices import PriceTable, cost_of
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
    "cost": "Float64",
    "currency": "str",
    "list_price": "boolean",
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
    "server": "str",
}


def usage_frame(rows: Iterable[RequestRow], prices: PriceTable | None = None) -> pd.DataFrame:
    """Return a frame with a row for each request; `Amber.usage_log` describes its columns and its `attrs`."""
    pandas, listed = import_module("pandas"), list(rows)
    costs = [cost_of([row.charge], prices) for row in listed]
    columns: dict[str, Any] = {
        name: [getattr(row, "total_tokens" if name == "tokens" else name) for row in listed]
        for name in USAGE
        if name not in ("cost", "currency", "list_price")
    }
    columns["time"] = pandas.to_datetime(columns["time"], unit="s", utc=True)
    columns["cost"] = [cost and float(cost.amount) for cost in costs]
    columns["currency"] = [cost and cost.currency for cost in costs]
    columns["list_price"] = [cost and cost.list_price for cost in costs]
    frame = _frame(columns, USAGE)
    # Plain values: files keep a frame's attrs as JSON. What was refused, or asked no model, costs nothing.
    known = [cost for cost in costs if cost is not None]  # all in one currency, and by the same prices
    frame.attrs |= {
        "cost": float(sum(cost.amount for cost in known)) if known else None,
        "currency": known[0].currency if known else None,
        "list_price": known[0].list_price if known else None,
        "without_cost": sum(
            cost is None and row.asked_model is not None and (row.status or 200) < 400
            for row, cost in zip(listed, costs, strict=True)
        ),
    }
    return frame


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


def _parse_date(pandas: Any, value: Any) -> Any:
    """Return a date that a gateway sends as a Unix time or as a text; NaT where it is neither."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return pandas.to_datetime(value, unit="s" if is_number else None, utc=True, errors="coerce")


def models_frame(models: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a frame with a row for each model; `Amber.models` describes its columns."""
    pandas, listed = import_module("pandas"), list(models)
    texts = {
        name: [text if isinstance(text := model.get(name), str) else None for model in listed]
        for name in ("id", "owned_by")
    }
    frame = _frame(texts, dict.fromkeys(texts, "str"))
    created = [_parse_date(pandas, model.get("created")) for model in listed]
    frame["created"] = pandas.to_datetime(pandas.Series(created, dtype="object"), utc=True)
    return frame


def _frame(columns: dict[str, Any], dtypes: Mapping[str, str]) -> pd.DataFrame:
    frame: pd.DataFrame = import_module("pandas").DataFrame(columns)
    missing = {name: frame[name].isna() for name, dtype in dtypes.items() if dtype == "str"}
    frame = frame.astype(dict(dtypes))
    for name, rows in missing.items():  # pandas 2 makes the text 'None' of what is missing
        frame.loc[rows, name] = None
    return frame
