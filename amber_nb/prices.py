"""What a reply costs: by the customer's own prices, else by the list prices of the models' makers.

`genai-prices` knows those; it is an extra, loaded with the first question for a cost. It is never told to fetch newer
prices: what a cost is does not depend on a network.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .types import Charge, read_cached_tokens, read_count, read_tokens

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["Cost", "PriceTable", "charge_of", "cost_of", "read_prices"]

MILLION = 1_000_000
DEFAULT_CURRENCY = "USD"  # in which makers list their prices
_FORM = "prices are (input, output) or (input, output, cached) for a million tokens"
_FIELDS = ("input", "output", "cached")
# How gateways say by whom a model is served: the prefix of its name → the provider as genai-prices calls it.
_PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
}
_LISTED_TIERS = (None, "auto", "default", "standard", "on_demand")  # others have prices of their own


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount of money; `str(cost)` rounds it to be read: `0.0012 EUR`, `0.0034 USD (list price)`.

    Attributes:
        amount: the exact amount.
        currency: as the prices name it, `"EUR"`.
        list_price: whether it is reckoned with the maker's list prices, which may not be what the customer pays.
    """

    amount: Decimal
    currency: str
    list_price: bool = False

    def __str__(self) -> str:
        # Cents, or the first two digits where it is less.
        places = max(2, 1 - self.amount.adjusted()) if self.amount else 2
        return f"{self.amount:,.{places}f} {self.currency}{' (list price)' if self.list_price else ''}"


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The customer's prices, by the models' names.

    Attributes:
        by_model: input, output and cached input, for a million tokens.
        currency: of all of them.
    """

    by_model: Mapping[str, tuple[Decimal, Decimal, Decimal]]
    currency: str = DEFAULT_CURRENCY

    def amount(self, charge: Charge) -> Decimal | None:
        """Return what a reply costs, by the name that was asked for, else by that of the reply; None if unknown."""
        price = next((self.by_model[name] for name in charge.models if name in self.by_model), None)
        tokens = _read_tokens(charge)
        if price is None or tokens is None:
            return None
        return (price[0] * tokens.uncached + price[1] * tokens.output + price[2] * tokens.cached) / MILLION


def read_prices(prices: Mapping[str, Any] | str | PathLike[str] | None) -> PriceTable | None:
    """Check the prices that `Amber` was given, a table or the file that holds one.

    Raises:
        ConfigError: the file cannot be read, or a price is none; the message has the file's name, without its folders.
    """
    if prices is None:
        return None
    if isinstance(prices, Mapping):
        return _check_table(prices, "prices=")
    if not isinstance(prices, (str, PathLike)):
        raise ConfigError(f"prices= must be a dict or the path of a .toml file, not {type(prices).__name__}.")
    path = Path(fspath(prices)).expanduser()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"prices=: the file {path.name} cannot be read ({type(error).__name__}).") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(f"prices=: the file {path.name} is no TOML ({reason}).") from None
    return _check_table(table, path.name)


def _check_table(table: Mapping[str, Any], where: str) -> PriceTable:
    rows = dict(table)
    currency = rows.pop("currency", DEFAULT_CURRENCY)
    if not isinstance(currency, str) or not currency.strip() or len(currency) > 10:
        raise ConfigError(f"{where}: currency must be a text such as 'EUR'.")
    return PriceTable({name: _check_row(name, row, where) for name, row in rows.items()}, currency.strip())


def _check_row(name: object, row: Any, where: str) -> tuple[Decimal, Decimal, Decimal]:
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: a model's name must be a text, not {type(name).__name__}.")
    if isinstance(row, Mapping):
        unknown = [field for field in row if field not in _FIELDS]
        if unknown or "input" not in row or "output" not in row:
            raise ConfigError(f"{where}: {name!r} needs input and output, and may have cached, for a million tokens.")
        row = [row[field] for field in _FIELDS if field in row]
    if not isinstance(row, (tuple, list)) or len(row) not in (2, 3):
        raise ConfigError(f"{where}: {name!r} has no prices that can be read; {_FORM}.")
    numbers = [_check_price(value) for value in row]
    if None in numbers:
        raise ConfigError(f"{where}: {name!r} has a price that is no number of 0 or more; {_FORM}.")
    read = [number for number in numbers if number is not None]
    return read[0], read[1], read[2] if len(read) == 3 else read[0]


def _check_price(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(str(value))  # 0.1 as it was written, not as it is stored
    return number if number.is_finite() and number >= 0 else None


def charge_of(completion: ChatCompletion, asked_model: object) -> Charge | None:
    """Return what a reply is paid for; None where it does not tell its usage."""
    if completion.usage is None:
        return None
    names = (name for name in (asked_model, completion.model) if isinstance(name, str) and name)
    usage, tier = completion.usage.to_dict(warnings=False), completion.service_tier
    return Charge(models=tuple(dict.fromkeys(names)), usage=usage, service_tier=tier)


def cost_of(charges: Iterable[Charge | None], prices: PriceTable | None) -> Cost | None:
    """Return what replies cost together; None where that is unknown of one of them.

    Args:
        charges: of each reply; None where it is not known what was used.
        prices: the customer's; with none, the list prices of the makers stand in for them.
    """
    amount = prices.amount if prices is not None else _list_amount
    amounts = [amount(charge) if charge is not None else None for charge in charges]
    known = [each for each in amounts if each is not None]
    if not known or len(known) < len(amounts):
        return None
    return Cost(sum(known, Decimal()), prices.currency if prices else DEFAULT_CURRENCY, list_price=prices is None)


@dataclass(frozen=True, slots=True)
class _Tokens:
    uncached: int  # of the input, what was written to a cache included
    cached: int
    written: int
    output: int


def _read_tokens(charge: Charge) -> _Tokens | None:
    """Return the tokens that are paid for; None where the usage has holes, or counts what has another price."""
    usage = charge.usage
    sent, given, total = read_tokens(usage)
    details = [_details(usage, name) for name in ("prompt_tokens_details", "completion_tokens_details")]
    cached = read_cached_tokens(usage)
    written = read_count(details[0].get("cache_write_tokens") or usage.get("cache_creation_input_tokens") or 0)
    if sent is None or given is None or cached is None or written is None or cached + written > sent:
        return None
    if any(each.get("audio_tokens") for each in details):
        return None
    if total is not None and (rest := total - sent - given):
        # xAI and some proxies count the reasoning beside the completion; anything else is not known.
        if rest != read_count(details[1].get("reasoning_tokens")):
            return None
        given += rest
    return _Tokens(sent - cached, cached, written, given)


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, Mapping) else {}


@cache
def _list_prices() -> Any:
    """The package `genai_prices`, or None where it is not installed."""
    with suppress(ImportError):
        return import_module("genai_prices")
    return None


def _list_amount(charge: Charge) -> Decimal | None:
    """Return what a reply costs by its maker's list prices; None where its names do not say one maker and model."""
    tokens = _read_tokens(charge)
    if tokens is None or charge.service_tier not in _LISTED_TIERS or (module := _list_prices()) is None:
        return None
    found = [price for price in (_list_price(module, name, tokens) for name in charge.models) if price is not None]
    if not found or len({model for model, _ in found}) > 1 < len({amount for _, amount in found}):
        return None  # one model was asked for, and another one replied
    return found[0][1]


@lru_cache(10_000)  # it takes 0.2 ms, and the rows of a map are alike
def _list_price(module: Any, name: str, tokens: _Tokens) -> tuple[str, Decimal] | None:
    """Return a model as genai-prices calls it, and the price of the tokens; `module` is that package."""
    prefix, slash, model = name.partition("/")
    provider = _PROVIDERS.get(prefix.lower()) if slash else None
    if slash and provider is None:
        return None  # a gateway's own name
    sent = tokens.uncached + tokens.cached
    usage = {"input_tokens": sent, "output_tokens": tokens.output}
    if tokens.cached:
        usage["cache_read_tokens"] = tokens.cached
    if tokens.written:
        usage["cache_write_tokens"] = tokens.written
    try:
        price = module.calc_price(module.Usage(**usage), model if slash else name, provider_id=provider)
    except (LookupError, ValueError):  # it does not know the model, or has no price for these tokens
        return None
    if (sent and not price.input_price) or (tokens.output and not price.output_price):
        return None  # a price that is missing counts as 0 there
    return str(price.model.id), Decimal(price.total_price)
