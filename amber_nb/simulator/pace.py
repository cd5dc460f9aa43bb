"""The tempo of a streamed reply, shared by both doors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["delays"]

FIRST_TOKEN_EVENTS = 15  # a model thinks before its first token about as long as it writes this many


def delays(events: Iterable[bytes], chunks_per_s: float) -> Iterator[tuple[float, bytes]]:
    """Pairs of (seconds to wait before it, event); no waiting at 0 chunks a second."""
    step = 1 / chunks_per_s if chunks_per_s > 0 else 0.0
    for number, event in enumerate(events):
        yield (step * FIRST_TOKEN_EVENTS if number == 0 else step), event
