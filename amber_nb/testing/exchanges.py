"""Recorded exchanges against fresh ones: which belong together, and what each of them said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from ..cassettes.interaction import Interaction
from ..wire.stream import (
    CompletionAccumulator,
    GatewayError,
    IncompleteStream,
    MalformedEvent,
    SSEDecoder,
    error_message,
    summarize,
)
from .drift import Comparator, Said, comparator, default_for, judge
from .reportrow import Row
from .results import Asked

__all__ = ["rows_of", "said"]

_PROMPT = 400  # characters of a prompt that a report repeats


def rows_of(
    notebook: str,
    recorded: Sequence[Interaction],
    runs: Sequence[Sequence[Asked]],
    how: Callable[[int | None], str | None] = lambda cell: None,
) -> list[Row]:
    """Judge every completion of a notebook.

    Args:
        notebook: its path, as the report names it.
        recorded: the exchanges of its cassette.
        runs: what was asked and answered now, once or several times.
        how: the comparison wanted for a cell, None where nobody said.
    """
    old = [one for one in recorded if _is_completion(one)]
    pairs: list[tuple[Interaction | None, list[Asked | None]]] = [(one, []) for one in old]
    for number, run in enumerate(runs):
        fresh = [asked for asked in run if _is_completion(asked[1])]
        for row, asked in zip(_matched(pairs, fresh), fresh, strict=True):
            if row is None:
                pairs.append((None, [None] * number + [asked]))
            else:
                pairs[row][1].append(asked)
        for _, found in pairs:
            found.extend([None] * (number + 1 - len(found)))
    rows = []
    for one, found in pairs:
        came = [asked for asked in found if asked is not None]
        cell = came[0][0] if came else None
        before = said(one) if one is not None else None
        after = tuple(said(asked[1]) if asked is not None else _MISSING for asked in found) if came else ()
        if before is None:
            after = tuple(said(asked[1]) for asked in came)
        wanted = how(cell)
        way: Comparator = comparator(wanted) if wanted else default_for(before)
        source = one if one is not None else came[0][1]
        rows.append(
            Row(
                notebook=notebook,
                cell=cell,
                call=0,
                prompt=_prompt(source),
                how=str(way),
                verdict=judge(before, after, way),
                recorded=before,
                runs=after,
            )
        )
    rows.sort(key=lambda row: (row.cell is None, row.cell or 0))  # stable: within a cell as recorded
    for _, calls in groupby(rows, key=lambda row: row.cell):
        for number, judged in enumerate(calls, 1):
            judged.call = number
    return rows


_MISSING = Said(text="", error="NotAsked: this run did not come so far as to ask it")


def _matched(pairs: Sequence[tuple[Interaction | None, list[Any]]], fresh: Sequence[Asked]) -> list[int | None]:
    """For each fresh exchange its row: the same request first, then, in order, what is left.

    A prompt that holds an earlier answer is another one now, and still the same question of the notebook.
    """
    rows: list[int | None] = [None] * len(fresh)
    free = set(range(len(pairs)))

    def slot(one: Interaction | None, found: Sequence[Any]) -> tuple[str, int] | None:
        known = one or next((asked[1] for asked in found if asked is not None), None)
        return (known.request.exact, known.n) if known is not None else None

    by_slot = {slot(one, found): row for row, (one, found) in enumerate(pairs)}
    for at, (_, one) in enumerate(fresh):
        row = by_slot.get((one.request.exact, one.n))
        if row in free:
            rows[at] = row
            free.discard(row)
    left = sorted(free)
    for at, row in enumerate(rows):
        if row is None and left:
            rows[at] = left.pop(0)
    return rows


def said(one: Interaction) -> Said:
    """What an exchange said, whole or as far as it came."""
    body = b"".join(piece for _, piece in one.steps)
    if one.status is None:
        return _failed(one, f"{(one.error or ('Closed', ''))[0]}: no response came")
    if one.status >= 400:
        return _failed(one, f"HTTP {one.status}: {_told(body)}")
    fold = CompletionAccumulator()
    error = None
    if "json" in (one.headers or {}).get("content-type", ""):
        return _whole(one, body)
    decoder = SSEDecoder()
    first_token_s = None
    try:
        for t, piece in one.steps:
            for event in decoder.feed(piece):
                if fold.feed(event) and first_token_s is None:
                    first_token_s = t
        if last := decoder.close():
            fold.feed(last)
        if one.how == "failed":
            raise IncompleteStream(f"the connection broke ({(one.error or ('', ''))[0]})")
        if one.how == "whole":
            fold.close()
    except GatewayError as fault:
        error = f"StreamCut: {fault}"
    except IncompleteStream as cut:
        error = f"StreamCut: {cut}"
    except MalformedEvent as garbled:
        error = f"BadReply: {garbled}"
    completion = fold.completion()
    calls = completion.choices[0].message.tool_calls if completion.choices else None
    usage = completion.usage
    return Said(
        text=fold.text,
        tool_calls=tuple((call["function"]["name"], call["function"]["arguments"]) for call in _plain(calls)),
        refusal=fold.refusal,
        finish_reason=fold.finish_reason,
        model=completion.model or "",
        prompt_tokens=usage.prompt_tokens if usage is not None else None,
        completion_tokens=usage.completion_tokens if usage is not None else None,
        first_token_s=first_token_s,
        total_s=one.took_s,
        error=error,
    )


def _whole(one: Interaction, body: bytes) -> Said:
    try:
        reply = json.loads(body)
        choice = reply["choices"][0]
        said_message = choice["message"]
        usage = reply.get("usage") or {}
        return Said(
            text=said_message.get("content") or "",
            tool_calls=tuple(
                (call["function"]["name"], call["function"]["arguments"])
                for call in said_message.get("tool_calls") or ()
            ),
            refusal=said_message.get("refusal"),
            finish_reason=choice.get("finish_reason"),
            model=reply.get("model") or "",
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            total_s=one.took_s,
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return _failed(one, f"BadReply: {_told(body)}")


def _failed(one: Interaction, error: str) -> Said:
    return Said(text="", error=error, total_s=one.took_s)


def _told(body: bytes) -> str:
    try:
        return error_message(json.loads(body)) or summarize(body)
    except (ValueError, RecursionError):
        return summarize(body)


def _plain(calls: Any) -> list[dict[str, Any]]:
    return [call if isinstance(call, dict) else call.to_dict() for call in calls or ()]


def _prompt(one: Interaction) -> str:
    messages = one.request.body.get("messages") if isinstance(one.request.body, dict) else None
    for asked in reversed(messages or ()):
        if isinstance(asked, dict) and asked.get("role") == "user":
            content = asked.get("content")
            if isinstance(content, list):
                parts = [part.get("text", "[image]") for part in content if isinstance(part, dict)]
                content = " ".join(map(str, parts))
            return str(content)[:_PROMPT]
    return ""


def _is_completion(one: Interaction) -> bool:
    return one.request.path.partition("?")[0] == "/chat/completions"
