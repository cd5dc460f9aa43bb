"""The tempo of a streamed reply, shared by both doors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import clock

__all__ = ["delays"]

FIRST_TOKEN_EVENTS = 15  # a model thinks before its first token about as long as it writes this many


def delays(events: Iterable[bytes | float], chunks_per_s: float) -> Iterator[tuple[float, bytes]]:
    """Pairs of (seconds to wait before it, event); no waiting at 0 chunks a second.

    Each event is due at its own time: a reader who was away finds what has come meanwhile, as on a network. A number
    among the events is a pause, waited for at any pace, and comes with an empty event.
    """
    step = 1 / chunks_per_s if chunks_per_s > 0 else 0.0
    start = clock.monotonic()
    number = FIRST_TOKEN_EVENTS
    for event in events:
        if isinstance(event, (int, float)):
            start += event
            yield event, b""
            continue
        yield max(0.0, start + number * step - clock.monotonic()) if step else 0.0, event
        number += 1
