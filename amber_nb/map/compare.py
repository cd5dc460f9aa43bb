"""Compare the results of two maps over the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..display.escape import escape_text
from ..prices import Cost
from .results import COLUMNS
from .rows import library_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "compare"]

_MAX_LABELS = 50  # of a column that is compared as labels
_MISSING = "(none)"


@dataclass(frozen=True, repr=False)
class Comparison:
    """How two results differ; shown as HTML with plain text beside it.

    Attributes:
        rows: that both have.
        changed: the rows whose answers differ, with the columns `<name>_a` and `<name>_b`.
        shares: of the rows that are the same, by column.
        confusion: for each column with few values, how often which value of `a` (rows) became which of `b` (columns).
        costs: of the answers of `a` and of `b`, as their column says it: of what came from a ledger, what it had cost;
            None where it is unknown of one.
        currency: of the costs.
        failed: rows without an answer, of `a` and of `b`.
    """

    rows: int
    changed: pd.DataFrame
    shares: dict[str, float]
    confusion: dict[str, pd.DataFrame]
    costs: tuple[float | None, float | None]
    currency: str
    failed: tuple[int, int]

    def _lines(self) -> list[str]:
        lines = [f"{len(self.changed):,} of {self.rows:,} rows changed"]
        lines += [f"{name}: {100 * share:.1f} % the same" for name, share in self.shares.items()]
        if any(self.failed):
            lines.append(f"without an answer: {self.failed[0]:,} and {self.failed[1]:,}")
        if None not in self.costs:
            costs = [str(Cost(Decimal(str(cost)), self.currency)) for cost in self.costs]
            lines.append(f"cost: {costs[0]} and {costs[1]}")
        return lines

    def __repr__(self) -> str:
        tables = [f"\n{name}\n{table}" for name, table in self.confusion.items()]
        return "\n".join([*self._lines(), *tables])

    def _repr_html_(self) -> str:
        head = "".join(f"<div>{escape_text(line)}</div>" for line in self._lines())
        tables = [f"<div><b>{escape_text(name)}</b></div>{table.to_html()}" for name, table in self.confusion.items()]
        return f'<div class="amber-comparison">{head}{"".join(tables)}</div>'


def compare(a: Any, b: Any) -> Comparison:
    """Compare two results of `map` over the same rows, such as of two prompts or two models.

    Args:
        a: a result.
        b: another one, with the same index.

    Raises:
        TypeError: one of them is no DataFrame of pandas or Polars.
        ValueError: they have other rows, no column of answers in common, or a name twice.

    Example:
        >>> compare(amber.map(frame, "Classify: {text}"), amber.map(frame, "Which topic? {text}"))
    """
    pandas = import_module("pandas")
    a, b = (_to_pandas(pandas, frame) for frame in (a, b))
    if not a.index.equals(b.index):
        raise ValueError("The results have different rows: compare two maps over the same table.")
    left, right = _answers(a), _answers(b)
    names = [name for name in left if name in right]
    if not names:
        raise ValueError(f"No column of answers is in both: {', '.join(left)} and {', '.join(right)}.")
    differs = {name: _differs(left[name], right[name]) for name in names}
    any_differs = pandas.concat(differs, axis=1).any(axis=1).to_numpy()
    changed = pandas.DataFrame(
        {f"{name}_{side}": frame[name].array for name in names for side, frame in (("a", left), ("b", right))},
        index=a.index,
    )[any_differs]
    confusion = {name: table for name in names if (table := _confusion(left[name], right[name])) is not None}
    return Comparison(
        rows=len(a),
        changed=changed,
        shares={name: float(1 - differs[name].mean()) if len(a) else 1.0 for name in names},
        confusion=confusion,
        costs=(_cost(a), _cost(b)),
        currency=str(a.attrs.get("currency", "")),
        failed=(_failed(a), _failed(b)),
    )


def _to_pandas(pandas: Any, frame: Any) -> Any:
    """Return a result as a pandas DataFrame without names that stand twice."""
    if library_of(frame) == "polars" and hasattr(frame, "get_columns"):
        columns = {}
        for each in frame.get_columns():
            column = pandas.Series(each.to_list(), dtype="object")
            is_enum = type(each.dtype).__name__ == "Enum"
            columns[each.name] = pandas.Categorical(column, categories=[*each.dtype.categories]) if is_enum else column
        return pandas.DataFrame(columns)
    if not isinstance(frame, pandas.DataFrame):
        raise TypeError(f"compare takes two results of map, not a {type(frame).__name__}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"Two columns are called {twice!r}: rename one of them.")
    return frame


def _answers(frame: Any) -> dict[str, Any]:
    """Return the columns of answers, by their names without the prefix."""
    prefix = _find_prefix(frame)
    own = {f"{prefix}{name}" for name in COLUMNS}
    names = [str(name) for name in frame.columns if str(name).startswith(prefix) and name not in own]
    return {name.removeprefix(prefix): frame[name] for name in names}


def _find_prefix(frame: Any) -> str:
    """Return the prefix of a result's columns, also of one that was joined to its table, whose attrs are gone."""
    names = [str(name) for name in frame.columns]
    wanted = [frame.attrs.get("prefix", ""), ""]
    wanted += [name.removesuffix("status") for name in names if name.endswith("status")]
    return next((prefix for prefix in wanted if all(f"{prefix}{name}" in names for name in COLUMNS)), "")


def _differs(left: Any, right: Any) -> Any:
    pandas = import_module("pandas")
    pairs = zip(_plain(left), _plain(right), strict=True)
    return pandas.Series([one != other for one, other in pairs], dtype="bool")


def _plain(column: Any) -> list[Any]:
    missing = column.isna().tolist()
    return [None if empty else _unpack(value) for value, empty in zip(column.tolist(), missing, strict=True)]


def _unpack(value: Any) -> Any:
    """Return lists for the arrays that a file's cells come back as."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _unpack(each) for name, each in value.items()}
    return [*map(_unpack, value)] if isinstance(value, list) else value


def _confusion(left: Any, right: Any) -> Any:
    """Return how often which label became which; None where a column holds no labels."""
    pandas = import_module("pandas")
    columns = []
    for column in (left, right):
        values = _plain(column)
        if any(isinstance(value, (list, dict, float)) for value in values):
            return None
        columns.append([_MISSING if value is None else str(value) for value in values])
    labels = _order_labels([left, right], {*columns[0], *columns[1]})
    few = len(labels) <= _MAX_LABELS and (len(labels) < len(left) / 2 or len(labels) <= 10)
    if not few or not labels or max(map(len, labels)) > 60:
        return None
    table = pandas.crosstab(
        pandas.Series(columns[0], name="a", dtype="object"), pandas.Series(columns[1], name="b", dtype="object")
    )
    return table.reindex(index=labels, columns=labels, fill_value=0)


def _order_labels(columns: list[Any], labels: set[str]) -> list[str]:
    """Return labels in the order of a schema, where the columns have one; others behind them, by the alphabet."""
    ordered = [str(each) for column in columns if hasattr(column, "cat") for each in column.cat.categories]
    return [*dict.fromkeys(label for label in ordered if label in labels), *sorted(labels - {*ordered})]


def _cost(frame: Any) -> float | None:
    prefix = _find_prefix(frame)
    if f"{prefix}cost" not in frame.columns:
        return None
    cost = frame[f"{prefix}cost"]
    is_unknown = cost.isna() & (frame[f"{prefix}status"] == "ok") if f"{prefix}status" in frame.columns else cost.isna()
    return None if is_unknown.any() else float(cost.sum())


def _failed(frame: Any) -> int:
    name = f"{_find_prefix(frame)}status"
    return int((frame[name] != "ok").sum()) if name in frame.columns else 0
