"""Turn replies into the outcome of a row, and into the record that the ledger keeps of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .. import tools
from ..prices import Cost, PriceTable, cost_of
from ..types import Charge, finish_kind, read_cached_tokens, read_tokens, replace_surrogates
from ..wire.whole import WholeReply
from .results import Outcome

__all__ = ["Unusable", "add_usage", "price_reply", "read_record", "read_value", "write_record"]

_CUT = {
    "length": "cut off at the limit of tokens: raise max_tokens",
    "content_filter": "cut off by the content filter",
    "cut": "cut off by the gateway",
    "error": "the model reports an error",
}
_VERSION = 1  # of a record
_REFUSAL_CHARS = 300


class Unusable(Exception):
    """A reply is none to work with; the message says why."""


def read_value(reply: WholeReply, response_format: tools.ResponseFormat | None) -> Any:
    """Return the text of a reply, or the typed value where a schema was asked for.

    Args:
        reply: the last one of the row.
        response_format: what `schema=` asks for, or None.

    Raises:
        Unusable: it was refused, cut off or filtered.
        tools.ResponseMismatch: it does not fit the schema.
    """
    kind = finish_kind(reply.finish_reason)
    if reply.refusal:
        raise Unusable(f"the model refused: {reply.refusal[:_REFUSAL_CHARS]}")
    if kind in _CUT and not (kind == "length" and reply.text and response_format is None):
        raise Unusable(_CUT[kind])
    if kind == "tool_calls" and not reply.text:
        raise Unusable("the model called a tool instead of answering")
    if response_format is None:
        return replace_surrogates(reply.text)
    return response_format.parse(reply.text)[0]


def add_usage(outcome: Outcome, replies: Sequence[WholeReply], costs: Sequence[Cost | None]) -> None:
    """Note what the replies of a row used and cost, and how the last one ended.

    Args:
        outcome: of the row.
        replies: all of the row, those before a correction included: they are paid for, too.
        costs: of each.
    """
    if not replies:
        return
    counts = [read_tokens(reply.usage or {}) for reply in replies]
    outcome.prompt_tokens = _sum([prompt for prompt, _, _ in counts])
    outcome.completion_tokens = _sum([completion for _, completion, _ in counts])
    outcome.cached_tokens = _sum([read_cached_tokens(reply.usage or {}) for reply in replies])
    amounts = [cost.amount for cost in costs if cost is not None]
    outcome.cost = float(sum(amounts)) if len(amounts) == len(replies) else None
    outcome.finish_reason = replies[-1].finish_reason


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def price_reply(reply: WholeReply, model: str, prices: PriceTable | None) -> Cost | None:
    """Return what a reply costs; None where its usage or the price is unknown.

    Args:
        reply: what came.
        model: as it was asked for.
        prices: the customer's, or None.
    """
    if reply.usage is None:
        return None
    models = tuple(dict.fromkeys(name for name in (model, reply.model) if name))
    return cost_of([Charge(models=models, usage=reply.usage, service_tier=reply.service_tier)], prices)


def write_record(replies: Sequence[WholeReply], latency_s: float | None) -> str:
    """Return the JSON text that the ledger keeps of an answered row."""
    last = replies[-1]
    record = {
        "v": _VERSION,
        "text": last.text,
        "finish_reason": last.finish_reason,
        "latency_s": None if latency_s is None else round(latency_s, 3),
        "replies": [[reply.model, reply.usage, reply.service_tier] for reply in replies],
    }
    return json.dumps(record)  # ASCII, so that half characters survive


def read_record(
    record: str, response_format: tools.ResponseFormat | None, model: str, prices: PriceTable | None
) -> Outcome | None:
    """Return the outcome that a record of the ledger holds; None where it does not fit what is asked for now."""
    try:
        stored = json.loads(record)
        if stored["v"] != _VERSION:
            return None
        replies = [
            WholeReply(
                text=stored["text"],
                refusal=None,
                reasoning=None,
                finish_reason=stored["finish_reason"],
                model=reply_model,
                usage=usage,
                service_tier=tier,
            )
            for reply_model, usage, tier in stored["replies"]
        ]
        outcome = Outcome(value=read_value(replies[-1], response_format))
        add_usage(outcome, replies, [price_reply(reply, model, prices) for reply in replies])
    except (ValueError, LookupError, TypeError, Unusable, tools.ResponseMismatch):
        return None
    outcome.latency_s = stored["latency_s"]
    return outcome
