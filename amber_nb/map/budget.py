"""Read a budget, in money or in tokens, and decide whether it allows one request more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from numbers import Real
from typing import Any, Protocol

from ..errors import ConfigError
from ..prices import DEFAULT_CURRENCY, PriceTable, cost_of
from ..types import Charge

__all__ = ["Budget", "Spending", "read_budget"]

_FORMS = "a number of money such as 2.50, '2.50 EUR', or '200_000 tokens'"
_TEXT = re.compile(r"\s*(?P<number>[\d_,.]*\d)\s*(?P<scale>[kKmM]?)\s*(?P<unit>[A-Za-z]*)\s*")
_NUMBER = re.compile(r"(?:\d+(?:_\d+)*|\d{1,3}(?:,\d{3})+)?(?:\.\d+)?")
# A comma or a point before three digits: the thousands of one language are the decimals of another.
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP"}
_SCALES = {"": 1, "k": 1_000, "m": 1_000_000}


class Spending(Protocol):
    """What was spent, such as a `Tally`."""

    @property
    def replies(self) -> int:
        """How many replies came."""

    @property
    def spent(self) -> Decimal:
        """Money."""

    @property
    def spent_tokens(self) -> int:
        """Tokens, of prompts and replies."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may cost: an amount of money, or a number of tokens.

    Attributes:
        amount: in the currency, or in tokens.
        currency: None for tokens.
    """

    amount: Decimal
    currency: str | None = None

    def __str__(self) -> str:
        if self.currency is None:
            return f"{int(self.amount):,} tokens"
        places = max(2, -int(self.amount.as_tuple().exponent))
        return f"{self.amount:,.{places}f} {self.currency}"

    def is_blind(self, unmeasured: int, unpriced: int) -> bool:
        """Return whether it is not known what replies have cost.

        Args:
            unmeasured: replies that tell no usage.
            unpriced: replies whose cost is unknown.
        """
        return bool(unmeasured if self.currency is None else unpriced)

    def allows(self, tally: Spending, requests: int) -> bool:
        """Return whether so many requests, those under way included, are surely within it.

        A request is expected to cost as much as the mean of those before it. A budget of 0 allows none.
        """
        spent = tally.spent_tokens if self.currency is None else tally.spent
        count = tally.replies
        if not count:
            return requests <= 1 and self.amount > 0  # the first one shows what they cost
        return Decimal(spent) * (1 + Decimal(requests) / count) <= self.amount


def _move_symbol(text: str) -> str:
    """Return a text whose currency stands behind the number, by its letters."""
    for symbol, letters in _SYMBOLS.items():
        if symbol in text:
            return f"{text.replace(symbol, '')} {letters}"
    return text


def read_budget(budget: Any, model: str, prices: PriceTable | None) -> Budget | None:
    """Read `map(budget=…)`.

    Args:
        budget: a number of money, a text such as `"2.50 EUR"` or `"200_000 tokens"`, or None.
        model: that is asked.
        prices: the customer's, or None for the makers' list prices.

    Raises:
        TypeError: it is neither a number nor a text.
        ConfigError: it cannot be read, is in another currency than the prices, or the model's price is unknown.
    """
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, (Real, Decimal, str)):
        raise TypeError(f"budget must be {_FORMS}, not {type(budget).__name__}.")
    currency = prices.currency if prices is not None else DEFAULT_CURRENCY
    unit = ""
    try:
        if isinstance(budget, str):
            found = _TEXT.fullmatch(_move_symbol(budget))
            if found is None:
                raise InvalidOperation
            number = found["number"]
            if _AMBIGUOUS.fullmatch(number) or not _NUMBER.fullmatch(number):
                raise ConfigError(
                    f"budget={budget!r} can be read in two ways: write a point before decimals and no sign, or _, "
                    "between thousands, such as '2.50' or '1_000'."
                )
            amount = Decimal(number.replace("_", "").replace(",", "")) * _SCALES[found["scale"].lower()]
            unit = found["unit"]
        else:
            amount = Decimal(str(budget))
    except InvalidOperation:
        raise ConfigError(f"budget={budget!r} cannot be read: it is {_FORMS}.") from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(f"budget={budget!r} cannot be read: it is {_FORMS}.")
    if unit.lower() in ("token", "tokens", "tok"):
        if amount != int(amount):
            raise ConfigError(f"budget={budget!r} cannot be read: tokens are whole, such as '200_000 tokens'.")
        return Budget(amount)
    if unit and unit.upper() != currency.upper():
        raise ConfigError(
            f"budget={budget!r} is in {unit}, and the prices are in {currency}: give it in {currency} or in tokens."
        )
    probe = {"prompt_tokens": 1_000, "completion_tokens": 1_000, "total_tokens": 2_000}
    if cost_of([Charge(models=(model,), usage=probe)], prices) is None:
        raise ConfigError(
            f"budget={budget!r} needs the price of {model}, which is unknown. Tell it, for a million tokens: "
            f"Amber(prices={{{model!r}: (input, output)}}); or give the budget in tokens: budget='200_000 tokens'."
        )
    return Budget(amount, currency)
