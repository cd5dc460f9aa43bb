"""What the plugin does with nbval's cells and kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import nbformat
import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel

from ..show.notebook import is_answer
from .exchanges import Asked
from .runs import NotebookRun

__all__ = ["once_more", "without_html"]

HTML = "text/html"


def without_html(outputs: Iterable[Any]) -> list[Any]:
    """The outputs, with answers reduced to their text."""
    return [_plain(output) for output in outputs]


def _plain(output: Any) -> Any:
    data = output.get("data")
    if not data or not is_answer(data):
        return output
    kept = {name: value for name, value in data.items() if name != HTML}
    return nbformat.from_dict({**output, "data": kept})


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
        for at, cell in enumerate((cell for cell in book.nb.cells if cell.cell_type == "code"), 1):
            sent = kernel.execute_cell_input(cell.source, allow_stdin=False)
            kernel.await_reply(sent, timeout=option.nbval_cell_timeout)
            again.look(at)
    except Exception as error:  # a kernel that died or a cell that hangs: what came until then counts
        run.result.warnings.append(f"run {number + 1} broke off: {type(error).__name__}")
    finally:
        kernel.stop()
    return again.asked
