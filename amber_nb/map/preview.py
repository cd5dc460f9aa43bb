"""Show what a map would ask and what it would cost, before anything is sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ..display.cards import value_html
from ..display.escape import escape_text, shorten
from ..prices import Cost, PriceTable, cost_of
from ..types import Charge
from ..value_types import find_fields
from .prompts import Request, RowProblem
from .rows import Rows
from .windows import number_content

if TYPE_CHECKING:
    from .ledger import Ledger
    from .plan import MapPlan

__all__ = ["Estimate", "MapPreview", "preview_run"]

_WINDOW = 1_024
_SHOWN_PROMPTS = 3
_SHOWN_PROBLEMS = 3
_SHOWN_CHARS = 600
# Bytes of UTF-8 for a token, of prompts in the languages and tables that people have: few tokens, expected, many.
_BYTES_PER_TOKEN = (5.0, 4.0, 2.5)
_TOKENS_PER_MESSAGE = 4
# Tokens of a reply, where nothing limits it: of a text, and for each field of a typed answer.
_TEXT_TOKENS = (20, 150, 800)
_FIELD_TOKENS = (5, 12, 60)
_LATE_CHARS = 400  # of a prompt's fixed text behind its first column, from which on a hint is worth it


@dataclass(frozen=True, slots=True)
class Estimate:
    """A low, an expected and a high figure."""

    low: int
    expected: int
    high: int

    def __str__(self) -> str:
        return f"about {self.expected:,} ({self.low:,} to {self.high:,})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPreview:
    """What a map would do; shown as HTML with plain text beside it.

    Attributes:
        rows: of the table.
        distinct: requests that differ.
        in_ledger: of those, how many are answered already, and would not be sent.
        skipped: rows that lack a value.
        problems: rows for which there is no request, with the reason.
        prompts: the first ones, as label and text.
        prompt_tokens: estimated, of all requests that would be sent.
        completion_tokens: the same of their replies.
        costs: for the low, the expected and the high figure; None where the price is unknown.
        remarks: what could be better.
        model: that would be asked.
    """

    rows: int
    distinct: int
    in_ledger: int
    skipped: int
    problems: tuple[tuple[str, str], ...]
    problem_count: int
    prompts: tuple[tuple[str, str], ...]
    prompt_tokens: Estimate
    completion_tokens: Estimate
    costs: tuple[Cost, Cost, Cost] | None
    model: str
    remarks: tuple[str, ...] = field(default=())

    @property
    def to_send(self) -> int:
        """How many requests would be sent."""
        return self.distinct - self.in_ledger

    @property
    def cost(self) -> Cost | None:
        """The expected cost; None where the price is unknown."""
        return self.costs[1] if self.costs is not None else None

    def _facts(self) -> dict[str, str]:
        facts = {"rows": f"{self.rows:,}", "distinct requests": f"{self.distinct:,}"}
        if self.in_ledger:
            facts["in the ledger, not sent again"] = f"{self.in_ledger:,}"
            facts["to be sent"] = f"{self.to_send:,}"
        facts["model"] = self.model
        if self.to_send:
            facts |= {
                "prompt tokens": str(self.prompt_tokens),
                "completion tokens": str(self.completion_tokens),
                "cost": self._cost_text(),
            }
        if self.skipped:
            facts["skipped, a value is missing"] = f"{self.skipped:,}"
        if self.problem_count:
            facts["rows without a request"] = f"{self.problem_count:,}"
        return facts

    def _cost_text(self) -> str:
        if self.costs is None:
            return "unknown"
        low, expected, high = self.costs
        return f"about {expected} ({low.amount:,.2g} to {high.amount:,.2g})"

    def __repr__(self) -> str:
        lines = ["nothing was sent", *(f"{name}: {value}" for name, value in self._facts().items())]
        lines += [f"row {label}: {reason}" for label, reason in self.problems]
        lines += self.remarks
        for label, prompt in self.prompts:
            lines += ["", f"--- row {label}", prompt]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        blocks = [value_html(self._facts())]
        blocks += [f"<div>{escape_text(f'row {label}: {reason}')}</div>" for label, reason in self.problems]
        blocks += [f"<div>{escape_text(remark)}</div>" for remark in self.remarks]
        for label, prompt in self.prompts:
            blocks.append(
                f'<div style="opacity:.75;margin-top:.6em">{escape_text(f"row {label}")}</div>'
                # No pre: nbconvert's pages break its lines within words.
                f'<div style="white-space:pre-wrap;overflow-wrap:break-word">{escape_text(prompt)}</div>'
            )
        head = "<div><b>Preview</b>: nothing was sent</div>"
        return {"text/html": f'<div class="amber-map">{head}{"".join(blocks)}</div>', "text/plain": repr(self)}


def preview_run(plan: MapPlan, rows: Rows, ledger: Ledger | None) -> MapPreview:
    """Make the requests of all rows, and count them.

    Args:
        plan: of the run.
        rows: the table.
        ledger: whose answers would be taken, or None.
    """
    seen: Counter[bytes] = Counter()
    n_bytes = image_tokens = messages = skipped = problem_count = in_ledger = 0
    problems: list[tuple[str, str]] = []
    prompts: list[tuple[str, str]] = []
    for start in range(0, len(rows), _WINDOW):
        fresh: list[tuple[Request, bytes]] = []
        for built in plan.builder.build(start, min(len(rows), start + _WINDOW)):
            if isinstance(built, RowProblem):
                skipped += built.reason is None
                problem_count += built.reason is not None
                if built.reason is not None and len(problems) < _SHOWN_PROBLEMS:
                    problems.append((rows.label(built.row), built.reason))
                continue
            if len(prompts) < _SHOWN_PROMPTS:
                prompts.append((rows.label(built.row), _prompt_text(built.messages)))
            content = built.content
            digest = blake2b(content, digest_size=16).digest()
            number = seen[digest]
            seen[digest] += 1
            if not plan.distinct:
                content = number_content(content, number)
            elif number:
                continue
            fresh.append((built, content))
        requests = [each for each, _ in fresh]
        if ledger is not None:
            keys = {ledger.key_of(content, plan.base_url, plan.mode): each for each, content in fresh}
            stored = ledger.find([*keys])
            in_ledger += len(stored)
            requests = [each for key, each in keys.items() if key not in stored]
        for each in requests:
            n_bytes += sum(_text_bytes(message.get("content")) for message in each.messages)
            messages += len(each.messages)
            image_tokens += each.image_tokens
    distinct = len(seen) if plan.distinct else seen.total()
    sent = distinct - in_ledger
    schema_bytes = len(json.dumps(plan.body.get("response_format"))) if plan.response_format is not None else 0
    prompt_tokens = Estimate(
        *(
            round((n_bytes + sent * schema_bytes * is_counted) / per_token)
            + messages * _TOKENS_PER_MESSAGE
            + image_tokens
            # Some gateways do not count the schema.
            for per_token, is_counted in zip(_BYTES_PER_TOKEN, (False, True, True), strict=True)
        )
    )
    completion_tokens = Estimate(*(sent * tokens for tokens in _reply_tokens(plan)))
    costs = _estimate_costs(str(plan.body["model"]), prompt_tokens, completion_tokens, plan.prices)
    tokens = prompt_tokens.expected + completion_tokens.expected
    return MapPreview(
        rows=len(rows),
        distinct=distinct,
        in_ledger=in_ledger,
        skipped=skipped,
        problems=tuple(problems),
        problem_count=problem_count,
        prompts=tuple(prompts),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        costs=costs,
        model=str(plan.body["model"]),
        remarks=(*_budget_remark(plan, sent, tokens, costs), *_remarks(plan)),
    )


def _prompt_text(messages: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            parts = [
                part.get("text") or f"[{part.get('type', 'part')}]" for part in content if isinstance(part, Mapping)
            ]
            content = "\n".join(parts)
        role = message.get("role")
        lines.append(str(content) if role == "user" else f"[{role}] {content}")
    return shorten("\n".join(lines), _SHOWN_CHARS)


def _text_bytes(content: Any) -> int:
    if isinstance(content, str):
        return len(content.encode("utf-8", "replace"))
    parts = content if isinstance(content, list) else []
    return sum(_text_bytes(part.get("text")) for part in parts if isinstance(part, Mapping))


def _reply_tokens(plan: MapPlan) -> tuple[int, ...]:
    """Return the tokens of one reply: low, expected, high."""
    if plan.response_format is None:
        tokens = _TEXT_TOKENS
    else:
        payload: Any = plan.response_format.payload
        schema = payload["json_schema"]["schema"]
        count = max(1, len(find_fields(schema) or ()))
        low, expected, high = _FIELD_TOKENS
        tokens = (low * count, expected * count, high * count)
    limits = [plan.body.get(name) for name in ("max_completion_tokens", "max_tokens")]
    limit = next((each for each in limits if isinstance(each, int)), None)
    return tokens if limit is None else (min(tokens[0], limit), min(tokens[1], limit), limit)


def _estimate_costs(
    model: str, prompt: Estimate, completion: Estimate, prices: PriceTable | None
) -> tuple[Cost, Cost, Cost] | None:
    costs = []
    for sent, given in (
        (prompt.low, completion.low),
        (prompt.expected, completion.expected),
        (prompt.high, completion.high),
    ):
        usage = {"prompt_tokens": sent, "completion_tokens": given, "total_tokens": sent + given}
        costs.append(cost_of([Charge(models=(model,), usage=usage)], prices))
    low, expected, high = costs
    return None if low is None or expected is None or high is None else (low, expected, high)


def _budget_remark(plan: MapPlan, sent: int, tokens: int, costs: tuple[Cost, Cost, Cost] | None) -> Iterator[str]:
    """Yield for how many requests the budget will be enough."""
    budget = plan.budget
    expected = Decimal(tokens) if budget is None or budget.currency is None else costs[1].amount if costs else Decimal()
    if budget is None or not sent or not expected:
        return
    count = min(sent, int(sent * budget.amount / expected))
    enough = "all" if count == sent else f"about {count:,} of the {sent:,}"
    yield f"the budget of {budget} will be enough for {enough} requests"


def _remarks(plan: MapPlan) -> tuple[str, ...]:
    late = plan.builder.late_chars
    if late < _LATE_CHARS:
        return ()
    return (
        f"{late:,} characters of the prompt are the same in each row, and stand behind its first column: put them "
        "first, or into system=, and the gateway's prompt cache may make them cheaper.",
    )
