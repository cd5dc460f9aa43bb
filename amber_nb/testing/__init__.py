"""Notebooks as tests: the pytest plugin and what it delegates to.

Names are imported on first use: pytest loads the plugin in every session, with notebooks or without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drift import parse_comparator
    from .notebooks import NotebookUnderTest, PytestSession, load_results
    from .recording import bless, compare_run, list_drifted, record
    from .report import write_report
    from .runs import Result, digest, format_result

# name → module it lives in
_HOME = {
    "NotebookUnderTest": ".notebooks",
    "PytestSession": ".notebooks",
    "Result": ".runs",
    "bless": ".recording",
    "compare_run": ".recording",
    "digest": ".runs",
    "format_result": ".runs",
    "list_drifted": ".recording",
    "load_results": ".notebooks",
    "parse_comparator": ".drift",
    "record": ".recording",
    "write_report": ".report",
}

__all__ = [
    "NotebookUnderTest",
    "PytestSession",
    "Result",
    "bless",
    "compare_run",
    "digest",
    "format_result",
    "list_drifted",
    "load_results",
    "parse_comparator",
    "record",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value
