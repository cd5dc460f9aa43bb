"""Tell of a run: its picture for the reader, the attrs of its frame, and its row of the usage log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from .. import display
from ..prices import DEFAULT_CURRENCY
from ..types import Charge, RequestRow
from .engine import MapEngine
from .ledger import RunFacts, RunStart
from .plan import MapPlan
from .tally import Tally

__all__ = ["KeptRun", "make_attrs", "make_progress", "make_usage_row"]

_BADGES = {"simulate": "simulated", "replay": "replayed"}
_NOTED_PAUSE_S = 1.0
_SLOWED = 0.9  # of the requests at once that were asked for


@dataclass(slots=True)
class KeptRun:
    """What is known of where a run's rows are kept.

    Attributes:
        facts: what tells it from others.
        ledger: the ledger's name, None for none.
        start: what the ledger knows of it, None before it has begun.
        is_refused: whether a ledger was named, and this mode keeps none.
    """

    facts: RunFacts
    ledger: str | None = None
    start: RunStart | None = None
    is_refused: bool = False


def make_progress(plan: MapPlan, engine: MapEngine | None, kept: KeptRun, *, is_ended: bool) -> display.MapProgress:
    """Return a picture of a run as it is now.

    Args:
        plan: what it is to do.
        engine: what does it, None before it has begun.
        kept: where its rows are kept.
        is_ended: whether it is over.
    """
    badge = _BADGES.get(plan.mode)
    base = display.MapProgress(title=str(plan.body["model"]), badge=badge, rows=plan.count, timed=badge is None)
    if engine is None:
        return base
    tally = engine.tally
    return replace(
        base,
        ok=tally.ok,
        failed=tally.failed,
        skipped=tally.skipped,
        stopped=tally.rows - tally.done if is_ended else 0,
        from_ledger=tally.from_ledger,
        requests=tally.requests,
        in_flight=engine.limits.in_flight,
        elapsed_s=tally.elapsed_s,
        rows_per_s=tally.rows_per_s(),
        left_s=tally.left_s(),
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        cached_tokens=tally.cached_tokens,
        cost=_cost_text(tally, tally.spent),
        projected_cost=_cost_text(tally, tally.projected_cost()),
        note=_note(plan, engine),
        newest=tuple(reversed(tally.newest)),
        failures=tuple(
            display.Failure(reason=reason, count=failure.count, labels=tuple(failure.labels))
            for reason, failure in sorted(tally.failures.items(), key=lambda item: -item[1].count)
        ),
        remarks=(
            *_ledger_remarks(engine, kept, is_ended=is_ended),
            *engine.remarks,
            *(_answer_remarks(engine) if is_ended else ()),
        ),
        end=(engine.end_reason or "") if is_ended else None,
    )


def _cost_text(tally: Tally, amount: Decimal | None) -> str | None:
    """Return an amount in the currency of the run; None where it is unknown."""
    if tally.cost is None or tally.unpriced or amount is None:
        return None
    return str(replace(tally.cost, amount=amount))


def _note(plan: MapPlan, engine: MapEngine) -> str:
    limits = engine.limits
    if limits.pause_s >= _NOTED_PAUSE_S:
        return f"waiting {limits.pause_s:.0f} s, as the gateway asks"
    if limits.at_once < plan.concurrency * _SLOWED:
        return f"slowed down to {int(limits.at_once)} at once"
    return ""


def _ledger_remarks(engine: MapEngine, kept: KeptRun, *, is_ended: bool) -> list[str]:
    if kept.is_refused:
        return ["no row is kept: in this mode there is no ledger"]
    if kept.start is None:
        return []
    stored, name = engine.tally.from_ledger, kept.ledger
    if stored and not engine.tally.requests and is_ended:
        return [f"all from the ledger {name}: nothing was sent"]
    if stored:
        return [f"{stored:,} rows were in the ledger {name}, and were not sent again"]
    if kept.start.changes:
        changed = _join([f"the {part}" for part in kept.start.changes])
        return [f"{changed} changed since the last run: all rows are asked anew, and kept in the ledger {name}"]
    return [f"finished rows are kept in the ledger {name}"]


def _answer_remarks(engine: MapEngine) -> list[str]:
    """Return what is to be looked at of the answers that came."""
    cut, empty = engine.results.count_doubtful()
    remarks = []
    if cut:
        remarks.append(
            f"{cut:,} {'answer was' if cut == 1 else 'answers were'} cut off at the limit of tokens: raise max_tokens"
        )
    if empty:
        remarks.append(f"{empty:,} {'answer is' if empty == 1 else 'answers are'} empty")
    return remarks


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def make_attrs(plan: MapPlan, engine: MapEngine, kept: KeptRun, prefix: str) -> dict[str, Any]:
    """Return the attrs of a result, in plain values: files keep them as JSON."""
    tally, prompt = engine.tally, engine.tally.prompt_tokens
    is_measured = not tally.replies or tally.unmeasured < tally.replies
    is_known = tally.cost is not None and not tally.unpriced
    totals = {
        "rows": plan.count,
        **engine.results.counts(),
        "from_ledger": tally.from_ledger,
        "requests": tally.requests,
        "prompt_tokens": prompt if is_measured else None,
        "completion_tokens": tally.completion_tokens if is_measured else None,
        "cached_tokens": tally.cached_tokens if is_measured else None,
        "without_usage": tally.unmeasured,
        "cached_share": round(tally.cached_tokens / prompt, 4) if prompt else None,
        "cost": float(tally.spent) if is_known else None if tally.replies else 0.0,
        "cost_from_ledger": tally.cost_from_ledger,
        "elapsed_s": round(tally.elapsed_s, 3) if plan.is_timed else None,
    }
    return {
        "prefix": prefix,
        "run": kept.start.key if kept.start is not None else _run_key(kept.facts),
        "mode": plan.mode,
        "model": str(plan.body["model"]),
        "totals": totals,
        "currency": plan.prices.currency if plan.prices is not None else DEFAULT_CURRENCY,
        "ended": engine.end_reason,
        "changes": list(kept.start.changes) if kept.start is not None else [],
        "ledger": kept.ledger,
    }


def _run_key(facts: RunFacts) -> str:
    parts = [f"{name}={value.hex()}" for name, value in sorted(facts.parts.items()) if name != "data"]
    return blake2b("\n".join(parts).encode(), digest_size=6).hexdigest()


def make_usage_row(plan: MapPlan, tally: Tally, began: float) -> RequestRow:
    """Return the row of the usage log for a whole run: one for each request would outgrow the result.

    Args:
        plan: of the run.
        tally: its numbers.
        began: the Unix time at which it began.
    """
    is_measured = tally.replies > tally.unmeasured
    usage: dict[str, Any] = {"prompt_tokens": tally.prompt_tokens, "completion_tokens": tally.completion_tokens}
    if tally.cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": tally.cached_tokens}
    model = str(plan.body["model"])
    return RequestRow(
        time=began,
        mode=plan.mode,
        model=model,
        asked_model=model,
        prompt_tokens=tally.prompt_tokens if is_measured else None,
        completion_tokens=tally.completion_tokens if is_measured else None,
        total_tokens=tally.spent_tokens if is_measured else None,
        cached_tokens=tally.cached_tokens if is_measured else None,
        latency_s=tally.elapsed_s,
        status=200 if tally.replies else None,
        # Without the usage of each reply it is not known what all of them cost.
        charge=Charge(models=(model,), usage=usage) if is_measured and not tally.unmeasured else None,
    )
