"""Compare fresh exchanges with recorded ones, request by request: `--amber=live` and `amber-nb bless`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TypeAlias

from ..cassettes.file import Cassette, Interaction
from ..config import display_path
from ..error_body import error_message, summarize
from ..types import TextDelta, read_tokens
from ..wire.accumulator import CompletionAccumulator, GatewayError, IncompleteStream
from ..wire.stream import MalformedEvent, SSEDecoder
from .drift import ReplySummary, Row, default_comparator, judge, parse_comparator, parse_tags
from .renamed import last_prompt
from .runs import CassetteRun, CellExchange
from .server_answers import choose_comparator, compare_answers, describe_call, read_call, summarize_answer

__all__ = ["compare_run", "judge_exchanges"]

_PROMPT = 400  # characters of a prompt that a report repeats

Runs: TypeAlias = Sequence[Sequence[CellExchange]]  # what each run asked, in its order
_Group: TypeAlias = tuple[str, ...]  # what are calls of one tool of a server, or the completions
_Choice: TypeAlias = Callable[[int | None], str | None]  # a cell → the comparator wanted for it, or None
# A recorded exchange, or None, and its counterparts by the number of their run, in order.
_Pair: TypeAlias = tuple[Interaction | None, dict[int, CellExchange]]


def compare_run(run: CassetteRun, runs: Runs, default: str | None, tags: Mapping[int, Iterable[str]]) -> None:
    """Judge a live run against its cassette, and put the rows into its result.

    Args:
        run: in live mode.
        runs: what was asked in each run of the notebook or test, this one included.
        default: comparator where no tag names one.
        tags: of the code cells, by their number from 1; a wrong one is a problem of the run.
    """
    comparators: dict[int | None, str | None] = {}
    for number, cell_tags in tags.items():
        try:
            comparators[number] = parse_tags(cell_tags)
        except ValueError as error:
            run.result.problems.append(f"cell {number}: {error}")
    if run.cassette.exists():
        recorded = Cassette(run.cassette).interactions
        run.result.rows = judge_exchanges(run.name, recorded, runs, lambda cell: comparators.get(cell) or default)
    else:
        run.result.notes.append(f"nothing to compare with: there is no {display_path(run.cassette)}")


def judge_exchanges(notebook: str, recorded: Iterable[Interaction], runs: Runs, how: _Choice) -> list[Row]:
    """Judge every chat completion of several runs, and every answer of an MCP server.

    Args:
        notebook: its name.
        recorded: what its cassette holds.
        runs: what was asked anew.
        how: returns the comparator wanted for a cell, or None.
    """
    recorded = list(recorded)
    groups: defaultdict[_Group, list[_Pair]] = defaultdict(list)
    for exchange in recorded:
        if group := _group(exchange):
            groups[group].append((exchange, {}))
    for number, run in enumerate(runs):
        fresh: defaultdict[_Group, list[CellExchange]] = defaultdict(list)
        for item in run:
            if group := _group(item[1]):
                fresh[group].append(item)
        for group, items in fresh.items():
            _match(groups[group], number, items)
    place = {id(exchange): number for number, exchange in enumerate(recorded)}
    pairs = sorted(chain.from_iterable(groups.values()), key=lambda pair: place.get(id(pair[0]), len(place)))
    rows = [_judge_pair(notebook, pair, len(runs), how) for pair in pairs]
    calls: Counter[int | None] = Counter()
    for row in rows:
        calls[row.cell] += 1
        row.call = calls[row.cell]
    return sorted(rows, key=lambda row: (row.cell is None, row.cell or 0))  # stable: within a cell as recorded


def _group(exchange: Interaction) -> _Group | None:
    """Return what an exchange is one of, and compared with; None for one that is not compared."""
    if exchange.request.of_server:
        return read_call(exchange)
    return ("completion",) if exchange.request.path.partition("?")[0] == "/chat/completions" else None


def _match(pairs: list[_Pair], number: int, fresh: Iterable[CellExchange]) -> None:
    """Add the exchanges of a run to their pairs: the same request first, then, in order, what is left.

    A prompt that holds an earlier answer is another one now, and still the same question of the notebook.
    """
    by_request = {}
    for index, (recorded, counterparts) in enumerate(pairs):
        exchange = recorded or next(iter(counterparts.values()))[1]
        by_request[exchange.slot] = index
    free = dict(enumerate(counterparts for _, counterparts in pairs))
    left = []
    for item in fresh:
        index = by_request.get(item[1].slot, -1)
        if index in free:
            free.pop(index)[number] = item
        else:
            left.append(item)
    for counterparts, item in zip(free.values(), left, strict=False):
        counterparts[number] = item
    pairs += [(None, {number: item}) for item in left[len(free) :]]


def _judge_pair(notebook: str, pair: _Pair, n_runs: int, how: _Choice) -> Row:
    exchange, counterparts = pair
    cell = next((cell for cell, _ in counterparts.values()), None)
    either = exchange or next(iter(counterparts.values()))[1]
    summarize = summarize_answer if either.request.of_server else _summarize
    recorded = summarize(exchange) if exchange is not None else None
    replies = {number: summarize(fresh) for number, (_, fresh) in counterparts.items()}
    if recorded is not None and replies:
        missing = ReplySummary(text="", error="NotAsked: this run did not come so far as to ask it")
        replies = {number: replies.get(number, missing) for number in range(n_runs)}
    runs = tuple(replies.values())
    name = how(cell)
    wanted = parse_comparator(name) if name else None
    if either.request.of_server:
        comparator, prompt = choose_comparator(wanted), describe_call(either)
        other_arguments = any(fresh.request.exact != either.request.exact for _, fresh in counterparts.values())
        verdict = judge(recorded, runs, comparator, partial(compare_answers, either, other_arguments))
    else:
        comparator, prompt = wanted or default_comparator(recorded), last_prompt(either.request.body)
        verdict = judge(recorded, runs, comparator)
    return Row(
        notebook=notebook,
        cell=cell,
        call=0,
        prompt=prompt[:_PROMPT],
        how=str(comparator),
        verdict=verdict,
        recorded=recorded,
        runs=runs,
    )


def _summarize(exchange: Interaction) -> ReplySummary:
    """Summarize the reply of an exchange, whole or as far as it came."""
    body = b"".join(piece for _, piece in exchange.steps)
    if exchange.status is None:
        return _failure(exchange, f"{(exchange.error or ('Closed', ''))[0]}: no response came")
    if exchange.status >= 400:
        return _failure(exchange, f"HTTP {exchange.status}: {_error_text(body)}")
    if "json" in (exchange.headers or {}).get("content-type", ""):
        return _summarize_json(exchange, body)
    fold, decoder = CompletionAccumulator(), SSEDecoder()
    error = first_token_s = None
    try:
        for t, piece in exchange.steps:
            for event in decoder.feed(piece):
                adds_text = any(isinstance(delta, TextDelta) for delta in fold.feed(event))
                if adds_text and first_token_s is None:
                    first_token_s = t
        if last := decoder.close():
            fold.feed(last)
        if exchange.how == "failed":
            raise IncompleteStream(f"the connection broke ({(exchange.error or ('', ''))[0]})")
        if exchange.how == "whole":
            fold.close()
    except (GatewayError, IncompleteStream) as problem:
        error = f"StreamCut: {problem}"
    except MalformedEvent as problem:
        error = f"BadReply: {problem}"
    completion = fold.completion()
    usage = completion.usage.to_dict(warnings=False) if completion.usage is not None else {}
    prompt_tokens, completion_tokens, _ = read_tokens(usage)
    return ReplySummary(
        text=fold.text,
        tool_calls=tuple(fold.calls),
        refusal=fold.refusal,
        finish_reason=fold.finish_reason,
        model=completion.model or "",
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        first_token_s=first_token_s,
        total_s=exchange.took_s,
        error=error,
    )


def _summarize_json(exchange: Interaction, body: bytes) -> ReplySummary:
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        reply = choice["message"]
        functions = [call["function"] for call in reply.get("tool_calls") or ()]
        prompt_tokens, completion_tokens, _ = read_tokens(completion.get("usage") or {})
        return ReplySummary(
            text=reply.get("content") or "",
            tool_calls=tuple((function["name"], function["arguments"]) for function in functions),
            refusal=reply.get("refusal"),
            finish_reason=choice.get("finish_reason"),
            model=completion.get("model") or "",
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_s=exchange.took_s,
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return _failure(exchange, f"BadReply: {_error_text(body)}")


def _failure(exchange: Interaction, error: str) -> ReplySummary:
    return ReplySummary(text="", error=error, total_s=exchange.took_s)


def _error_text(body: bytes) -> str:
    try:
        return error_message(json.loads(body)) or summarize(body)
    except (ValueError, RecursionError):
        return summarize(body)
