from .comparison import compare_run
from .drift import parse_comparator
from .execution import NotebookExecution
from .kernels import UnknownKernel, find_other_kernels
from .notebooks import NotebookUnderTest, PytestSession, load_results
from .recording import bless, list_drifted, record
from .report import write_report
from .runs import Result, format_result

__all__ = [
    "NotebookExecution",
    "NotebookUnderTest",
    "PytestSession",
    "Result",
    "UnknownKernel",
    "bless",
    "compare_run",
    "find_other_kernels",
    "format_result",
    "list_drifted",
    "load_results",
    "parse_comparator",
    "record",
    "write_report",
]
