"""What a map is to do, all that its arguments say, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import tools
from ..prices import PriceTable
from .budget import Budget
from .prompts import RequestBuilder

__all__ = ["MapPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlan:
    """What a map is to do.

    Attributes:
        builder: makes the requests.
        count: of the rows.
        body: of each request, without its messages.
        own: what of it is amber's own choice, see `ChatLoop`.
        base_url: where the requests go.
        mode: of the client.
        response_format: what `schema=` asks for, or None.
        concurrency: requests at once, at most.
        requests_per_minute: None for no limit of one's own.
        tokens_per_minute: the same of tokens.
        distinct: whether rows that ask the same are asked once.
        timeout_s: seconds of silence, None for the client's.
        max_retries: how often a request that failed is sent again.
        max_wait_s: seconds that a row may wait between its tries, all together.
        budget: what the run may cost, or None.
        prices: the customer's, or None.
    """

    builder: RequestBuilder
    count: int
    body: Mapping[str, Any]
    own: frozenset[str]
    base_url: str
    mode: str
    response_format: tools.ResponseFormat | None = None
    concurrency: int = 32
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    distinct: bool = True
    timeout_s: float | None = None
    max_retries: int = 2
    max_wait_s: float = 600.0
    budget: Budget | None = None
    prices: PriceTable | None = None

    @property
    def is_timed(self) -> bool:
        """Whether times are told: without a gateway they are those of nothing, and others with each run."""
        return self.mode not in ("simulate", "replay")
