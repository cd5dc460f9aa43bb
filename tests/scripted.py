"""A gateway that says one reply after the other: texts, and calls of tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

from gateway import DONE, Said, chunk, serve, spoken

from amber_nb import Amber

KEY = "ambrs-exampletoken"


def calling(*calls: Any, text: str | None = None) -> Iterator[bytes]:
    """A reply that calls tools: (name, arguments) or (name, arguments, id)."""
    if text:
        yield chunk({"content": text})
    for index, (name, arguments, *rest) in enumerate(calls):
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        head = {"index": index, "id": rest[0] if rest else f"id{index}", "type": "function"}
        yield chunk({"tool_calls": [{**head, "function": {"name": name, "arguments": ""}}]})
        for at in range(0, len(written), 7):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": written[at : at + 7]}}]})
    yield chunk(finish="tool_calls" if calls else "stop")
    yield DONE


@contextmanager
def scripted() -> Iterator[Callable[..., Amber]]:
    """Makes clients whose gateways give these replies, one after the other, and the last one again and again.

    A reply is a text, its events, or a function that gives them anew each time, at its own pace.
    """
    with ExitStack() as stack:

        def play(*replies: Any, **options: Any) -> Amber:
            number = count()
            said = [one if callable(one) else [*(spoken(one, 5) if isinstance(one, str) else one)] for one in replies]

            def reply(_: str) -> Said:
                one = said[min(next(number), len(said) - 1)]
                return Said(one() if callable(one) else one)

            url = stack.enter_context(serve(reply))
            amber = Amber(base_url=url, api_key=KEY, max_retries=0, **options)
            stack.callback(amber.close)
            return amber

        yield play
