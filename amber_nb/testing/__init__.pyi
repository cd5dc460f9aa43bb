from .drift import parse_comparator
from .notebooks import NotebookUnderTest, PytestSession, load_results
from .recording import bless, compare_run, list_drifted, record
from .report import write_report
from .runs import Result, format_result

__all__ = [
    "NotebookUnderTest",
    "PytestSession",
    "Result",
    "bless",
    "compare_run",
    "format_result",
    "list_drifted",
    "load_results",
    "parse_comparator",
    "record",
    "write_report",
]
