"""The usage log and the list of models as DataFrames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ..types import RequestRow

__all__ = ["models_frame", "usage_frame"]

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
