"""Record one interaction while it passes: an HTTP response piece by piece, or the answer of an MCP server."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import httpx2

from .. import clock
from .file import Interaction

__all__ = ["Recording"]

# What a recording keeps of the response's headers: what the SDK acts on, and the id that support asks for.
KEPT_HEADERS = ("content-type", "content-encoding", "retry-after", "retry-after-ms", "x-should-retry", "x-request-id")
_TAIL_PIECES = 64  # at the end of a stream, where `[DONE]` is looked for; one may be a single byte
_DONE = re.compile(rb"data:\s*\[DONE\]\s*\Z")


class Recording:
    """Record one interaction while it passes; nothing is held back, and all is saved when it ends."""

    def __init__(
        self,
        draft: Interaction,
        save: Callable[[Interaction], None],
        on_end: Callable[[Recording], None] = lambda recording: None,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._draft = draft
        self._save = save
        self._on_end = on_end
        self._on_drop = on_drop
        self._began = clock.monotonic()
        self._steps: list[tuple[float, bytes]] = []
        self._ended = False
        self._saved_pieces = 0

    def begin_response(self, response: httpx2.Response) -> None:
        """Note the status and the headers."""
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        answered_s = clock.monotonic() - self._began
        self._draft = replace(self._draft, status=response.status_code, headers=headers, answered_s=answered_s)

    def add(self, piece: bytes) -> None:
        """Note a piece of the body."""
        self._steps.append((clock.monotonic() - self._began, piece))

    def checkpoint(self) -> None:
        """Save what has come so far as if it had ended; the end replaces it."""
        if not self._ended and self._draft.status is not None and len(self._steps) > self._saved_pieces:
            self._saved_pieces = len(self._steps)
            self._save(self._finish("closed", None))

    def end(self, how: str = "whole", error: BaseException | None = None) -> None:
        """Save the interaction; only the first call counts."""
        if self._ended:
            return
        self._ended = True
        self._on_end(self)
        self._save(self._finish(how, error))

    def drop(self) -> None:
        """End without saving anything: nothing came."""
        if not self._ended:
            self._ended = True
            self._on_end(self)
            self._on_drop()

    def _finish(self, how: str, error: BaseException | None) -> Interaction:
        # The SDK stops reading at [DONE], and closes.
        if how == "closed" and _DONE.search(b"".join(piece for _, piece in self._steps[-_TAIL_PIECES:])):
            how = "whole"
        broken = (type(error).__name__, str(error)) if error is not None else None
        took_s = clock.monotonic() - self._began
        interaction = replace(self._draft, steps=tuple(self._steps), how=how, error=broken, took_s=took_s)
        return _decode(interaction) if "content-encoding" in (interaction.headers or {}) else interaction


def _decode(interaction: Interaction) -> Interaction:
    """Return the interaction with its body decompressed, so that the key in it is found and masked."""
    headers = dict(interaction.headers or {})
    encoding = headers.pop("content-encoding")
    pieces: list[bytes] = []
    how, error = interaction.how, interaction.error
    body = (piece for _, piece in interaction.steps)
    response = httpx2.Response(200, headers={"content-encoding": encoding}, content=body)
    try:
        pieces.extend(response.iter_bytes())
    except httpx2.RequestError as broken:  # as far as it went
        how, error = "failed", (type(broken).__name__, str(broken))
    plain = b"".join(pieces)
    steps = ((interaction.steps[-1][0], plain),) if plain else ()
    return replace(interaction, headers=headers, steps=steps, how=how, error=error)
