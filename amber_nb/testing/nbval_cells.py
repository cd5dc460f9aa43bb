"""What the plugin does with nbval's cells and kernels."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import Any

import nbformat
import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel

from ..display.notebook import is_answer
from .results import Asked
from .runs import NotebookRun

__all__ = ["comparable", "flush", "once_more", "skipped"]

HTML = "text/html"
TEXT = "text/plain"
_FLUSH_S = 10.0
# A client says in which mode it is, and where it asks: not the same in a recording and its replay.
_CLIENT = re.compile(r"^Amber\(mode='\w+', base_url='[^']*'")


def comparable(outputs: Iterable[Any], *, html: bool) -> list[Any]:
    """The outputs with what is ours as it can be compared: answers by their text, and clients by their model.

    Args:
        outputs: of a cell, as nbval has them.
        html: compare the HTML of answers as well.
    """
    return [_comparable(output, html) for output in outputs]


def _comparable(output: Any, html: bool) -> Any:
    data = output.get("data")
    if not data:
        return output
    if is_answer(data) and not html:
        data = {name: value for name, value in data.items() if name != HTML}
    elif _CLIENT.match(data.get(TEXT, "")):
        data = {**data, TEXT: _CLIENT.sub("Amber(", data[TEXT])}
    else:
        return output
    return nbformat.from_dict({**output, "data": data})


def skipped(cells: Iterable[Any]) -> set[int]:
    """Numbers of the cells that nbval leaves out, by a comment or a tag. It counts code cells, from 0."""
    return {cell.cell_num for cell in cells if cell.options["skip"]}


def flush(kernel: Any) -> None:
    """Run an empty cell more: a client keeps what streams in the background when a cell ends, and nbval kills kernels.

    Args:
        kernel: nbval's, None where it never started. One that is dead or busy is left alone.
    """
    if kernel is None:
        return
    with contextlib.suppress(Exception):
        if kernel.is_alive():
            kernel.await_reply(kernel.execute_cell_input("pass", allow_stdin=False), timeout=_FLUSH_S)


def once_more(run: NotebookRun, book: Any, number: int) -> list[Asked]:
    """Run a notebook in another fresh kernel, on a cassette of its own, and see what was asked.

    Args:
        run: its first run.
        book: nbval's collector of it.
        number: of this run.
    """
    option = book.config.option
    name = book.nb.metadata.get("kernelspec", {}).get("name", "python")
    name = CURRENT_ENV_KERNEL_NAME if option.nbval_current_env else option.nbval_kernel_name or name
    again = NotebookRun(f"{run.name}-{number}", run.cassette, run.settings, run.mode)
    with pytest.MonkeyPatch.context() as environment:
        for variable, value in again.environment.items():
            environment.setenv(variable, value)
        kernel = RunningKernel(name, cwd=str(book.path.parent), startup_timeout=option.nbval_kernel_startup_timeout)
    try:
        at = None
        for at, cell in enumerate((cell for cell in book.nb.cells if cell.cell_type == "code"), 1):
            sent = kernel.execute_cell_input(cell.source, allow_stdin=False)
            kernel.await_reply(sent, timeout=option.nbval_cell_timeout)
            again.look(at)
        flush(kernel)
        again.look(at)
    except Exception as error:  # a kernel that died or a cell that hangs: what came until then counts
        run.result.warnings.append(f"run {number + 1} broke off: {type(error).__name__}")
    finally:
        kernel.stop()
    return again.asked
