"""Notebooks that test themselves: `pytest --nbval` with their mode set for them.

nbval runs each notebook in a kernel of its own, which no fixture reaches: the mode travels by environment, set before
the kernel starts and taken back when its notebook is done. In `pyproject.toml`:

    [tool.pytest.ini_options]
    amber_mode = "simulate"

Without that setting notebooks are left alone.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

__all__: list[str] = []

MODES = ("simulate",)
# What an answer looks like depends on the release of Pygments; what it says is its text/plain.
NOT_COMPARED = ("text/html",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the ini setting `amber_mode`."""
    parser.addini(
        "amber_mode", "mode of amber_nb in notebooks run by nbval: 'simulate', or empty to leave them alone", default=""
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a mode that does not exist, before any notebook runs in another one."""
    mode = config.getini("amber_mode")
    if mode and mode not in MODES:
        raise pytest.UsageError(f"amber_mode must be one of {', '.join(MODES)}, or empty; it is {mode!r}")
    config.pluginmanager.register(_Notebooks(mode), "amber_nb-notebooks")


class _Notebooks:
    """Sets the environment of one notebook after the other."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._environment: pytest.MonkeyPatch | None = None
        self._path: Path | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Before nbval starts the kernel, which happens in the setup of a notebook's first cell."""
        if self._mode and _is_notebook(item) and item.path != self._path:
            self._forget()
            self._path = item.path
            self._environment = pytest.MonkeyPatch()
            self._environment.setenv("AMBER_MODE", self._mode)
            self._environment.setenv("AMBER_DISPLAY", "static")
            self._environment.setenv("AMBER_SIM_CHUNKS_PER_S", "0")
            notebook: Any = item.parent
            notebook.skip_compare = (*notebook.skip_compare, *NOT_COMPARED)
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        """After a notebook's last cell."""
        result = yield
        if self._path is not None and (nextitem is None or nextitem.path != self._path):
            self._forget()
        return result

    def _forget(self) -> None:
        if self._environment is not None:
            self._environment.undo()
        self._environment = self._path = None


def _is_notebook(item: pytest.Item) -> bool:
    # By what nbval's cells have, not by their class: nbval need not be installed.
    return item.path.suffix == ".ipynb" and hasattr(item.parent, "skip_compare")
