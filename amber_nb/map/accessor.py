"""`frame.amber.map(…)`: the accessor of pandas DataFrames and Series.

It is registered when an `Amber` is made. Where pandas is not loaded by then, it is registered as soon as that is:
`import amber_nb` and an `ask` load no pandas.
"""

from __future__ import annotations

import importlib.util
import sys
import weakref
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..errors import ConfigError

__all__ = ["MapAccessor", "register"]

NAME = "amber"


_newest: weakref.ref[Any] | None = None


class MapAccessor:
    """Ask a model about each row of this frame: `frame.amber.map("Classify: {text}")`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def map(self, prompt: Any, *, amber: Any = None, **options: Any) -> Any:
        """Ask about each row, as `Amber.map` does.

        Args:
            prompt: a format string over columns, or a function of a row.
            amber: the client; None for the newest one.
            **options: the other arguments of `Amber.map`.

        Raises:
            ConfigError: there is no client.
        """
        return _find_client(amber).map(self._frame, prompt, **options)

    def map_async(self, prompt: Any, *, amber: Any = None, **options: Any) -> Any:
        """Ask as `map` does, without blocking the event loop."""
        return _find_client(amber).map_async(self._frame, prompt, **options)


def _find_client(amber: Any) -> Any:
    client = amber if amber is not None else _newest() if _newest is not None else None
    if client is None:
        raise ConfigError("There is no client: make one first, amber = Amber(), or pass it as amber=.")
    return client


def register(client: Any) -> None:
    """Have the accessor use this client from now on, and pandas know the accessor."""
    global _newest
    _newest = weakref.ref(client)
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "api"):
        _register_at(pandas)
    elif not any(isinstance(finder, _AfterPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterPandas())


def _register_at(pandas: ModuleType) -> None:
    for kind in (pandas.DataFrame, pandas.Series):
        if NAME not in getattr(kind, "_accessors", ()):
            register_accessor: Callable[..., Any] = (
                pandas.api.extensions.register_dataframe_accessor
                if kind is pandas.DataFrame
                else pandas.api.extensions.register_series_accessor
            )
            register_accessor(NAME)(MapAccessor)


class _AfterPandas(MetaPathFinder):
    """Register the accessor once pandas has been imported; it finds no module by itself."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register_at(module)

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
