"""Keep a run within its budget: what is under way counts with what it may cost, before that is known."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ..prices import PriceTable, cost_of
from ..types import Charge
from .budget import Budget
from .tally import Tally

__all__ = ["BudgetReserve"]

_GROWTH = 2  # by which an answer may be longer than the longest so far, where nothing limits it
_LIMITS = ("max_completion_tokens", "max_tokens")


class BudgetReserve:
    """What a run may still spend, less what its requests under way may cost.

    A request counts with the tokens of its prompt and as many for its answer as the request allows (`max_tokens`).
    Where it sets no limit, with twice the longest answer so far; then no more are under way than have been answered.

    Args:
        budget: of the run.
        tally: its numbers.
        body: of each request, without its messages.
        prices: the customer's, or None.
    """

    def __init__(self, budget: Budget, tally: Tally, body: Mapping[str, Any], prices: PriceTable | None) -> None:
        self._budget = budget
        self._tally = tally
        self._model = str(body.get("model"))
        self._prices = prices
        limits = [body.get(name) for name in _LIMITS]
        self._limit = next((each for each in limits if isinstance(each, int) and not isinstance(each, bool)), None)
        self._reserved = Decimal()

    def take(self, prompt_tokens: int) -> Decimal | None:
        """Reserve what a request may cost; None where the budget does not surely allow it now.

        Args:
            prompt_tokens: of the request, estimated.
        """
        tally, amount = self._tally, self._budget.amount
        if not tally.replies:  # the first one shows what they cost
            return Decimal() if amount > 0 and not tally.in_flight else None
        spent = Decimal(tally.spent_tokens) if self._budget.currency is None else tally.spent
        if not tally.in_flight:  # alone it may cost as much as the others did
            return Decimal() if spent + spent / tally.replies <= amount else None
        if self._limit is None and tally.in_flight >= tally.replies:
            return None
        answer_tokens = self._limit if self._limit is not None else _GROWTH * tally.longest_reply
        cost = self._price(prompt_tokens, answer_tokens)
        if cost is None or spent + self._reserved + cost > amount:
            return None
        self._reserved += cost
        return cost

    def give_back(self, reserved: Decimal) -> None:
        """Count a request as settled."""
        self._reserved -= reserved

    def _price(self, prompt_tokens: int, answer_tokens: int) -> Decimal | None:
        if self._budget.currency is None:
            return Decimal(prompt_tokens + answer_tokens)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": answer_tokens,
            "total_tokens": prompt_tokens + answer_tokens,
        }
        cost = cost_of([Charge(models=(self._model,), usage=usage)], self._prices)
        return cost.amount if cost is not None else None
