"""Notebooks as tests: the pytest plugin and what stands behind it.

A lazy door: pytest loads the plugin in every run, whether there are notebooks or not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import cassette_path
    from .drift import comparator, from_tags
    from .exchanges import rows_of
    from .nbval_cells import comparable, flush, once_more, skipped
    from .recording import bless, drifted, record
    from .report import write
    from .results import Result, Results, told
    from .runs import NotebookRun, Settings, TestRun, cassette_of_test, executed, fingerprint, mirrored

# name → module it lives in
_HOME = {
    "NotebookRun": ".runs",
    "Result": ".results",
    "Results": ".results",
    "Settings": ".runs",
    "TestRun": ".runs",
    "bless": ".recording",
    "cassette_path": "..tapes",
    "cassette_of_test": ".runs",
    "comparable": ".nbval_cells",
    "comparator": ".drift",
    "drifted": ".recording",
    "executed": ".runs",
    "fingerprint": ".runs",
    "flush": ".nbval_cells",
    "from_tags": ".drift",
    "mirrored": ".runs",
    "once_more": ".nbval_cells",
    "record": ".recording",
    "rows_of": ".exchanges",
    "skipped": ".nbval_cells",
    "told": ".results",
    "write": ".report",
}

__all__ = [
    "NotebookRun",
    "Result",
    "Results",
    "Settings",
    "TestRun",
    "bless",
    "cassette_of_test",
    "cassette_path",
    "comparable",
    "comparator",
    "drifted",
    "executed",
    "fingerprint",
    "flush",
    "from_tags",
    "mirrored",
    "once_more",
    "record",
    "rows_of",
    "skipped",
    "told",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
