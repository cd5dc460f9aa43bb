"""The usage log and the list of models as DataFrames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ..types import RequestRow, ToolRun

__all__ = ["models_frame", "tools_frame", "usage_frame"]

# column → dtype; the nullable ones are <NA> where the gateway told nothing
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


def usage_frame(rows: Iterable[RequestRow]) -> pd.DataFrame:
    """One row a request, oldest first.

    Columns: `time` (UTC, when it was sent), `mode`, `model` (the reply's; the request's where none came), `tokens`,
    `prompt_tokens`, `completion_tokens`, `cached_tokens`, `latency_s` (to the end of the reply), `first_token_s`
    (streamed replies), `status` (HTTP; <NA> where no answer came).
    """
    listed = list(rows)
    columns: dict[str, Any] = {
        name: [getattr(row, "total_tokens" if name == "tokens" else name) for row in listed] for name in USAGE
    }
    columns["time"] = pd.to_datetime(columns["time"], unit="s", utc=True)
    return pd.DataFrame(columns).astype(USAGE)


def tools_frame(runs: Iterable[ToolRun]) -> pd.DataFrame:
    """One row a call of a tool, in the model's order.

    Columns: `round` (from 1), `name`, `status` (`ran`, `denied`, `invalid`, `failed`, `timeout`, `not_run`),
    `arguments` (dict, as it ran), `result` (the function's own), `sent` (what the model was told), `error`, `edited`,
    `decided_by`, `duration_s`. What is a secret by its name stands as ••• in all but `result`, since a frame is shown.
    """
    listed = [run.redacted() for run in runs]
    columns: dict[str, Any] = {name: [getattr(run, name) for run in listed] for name in TOOLS}
    for name in ("arguments", "result"):  # dicts and arrays, each in a cell of its own
        column = pd.Series(index=range(len(listed)), dtype="object")
        for place, value in enumerate(columns[name]):
            column.at[place] = value
        columns[name] = column
    return pd.DataFrame(columns).astype(TOOLS)


def models_frame(models: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a model: `id` (the name to ask with), `owned_by`, `created` (UTC), in the gateway's order."""
    listed = list(models)
    created = pd.to_datetime(pd.Series([model.get("created") for model in listed], dtype="Float64"), unit="s", utc=True)
    return pd.DataFrame(
        {
            "id": pd.Series([model.get("id") for model in listed], dtype="str"),
            "owned_by": pd.Series([model.get("owned_by") for model in listed], dtype="str"),
            "created": created,
        }
    )
