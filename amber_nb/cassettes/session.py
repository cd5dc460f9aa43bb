"""Records, replays, or does either: what the transports of these modes share. Sync and async differ in I/O only."""

from __future__ import annotations

import contextvars
import itertools
import json
import logging
import os
import re
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx2

from .. import clock
from ..config import record_command
from ..errors import CassetteMiss
from .exchange import Exchange, Steps, lines_of, masked
from .file import Cassette
from .match import Asked, Pixels, asked, continuation, difference, nearest
from .occurrences import Place, Take, Takes

__all__ = ["PLACE", "Deck", "Tape"]

_log = logging.getLogger(__name__)

# What a recording keeps of the response's headers: what the SDK acts on, and the id that support asks for.
KEPT_HEADERS = ("content-type", "content-encoding", "retry-after", "retry-after-ms", "x-should-retry", "x-request-id")
# Where the requests of the running task come from; for those that run on another thread than their cell.
PLACE: contextvars.ContextVar[Place | None] = contextvars.ContextVar("amber_place", default=None)

_TAIL = 64  # bytes at the end of a stream that are looked at
_LAST = re.compile(rb"data:\s*\[DONE\]\s*\Z")

_lock = threading.Lock()
_numbers = itertools.count()
_loaded: weakref.WeakValueDictionary[Path, _Loaded] = weakref.WeakValueDictionary()


class _Loaded:
    """A cassette and who has taken what of it, shared by all clients of this process."""

    def __init__(self, path: Path) -> None:
        self.cassette = Cassette(path)
        self.renew()

    def still_there(self) -> bool:
        """Whether the file has what this process wrote: then others have only added to it."""
        there = {(one.asked.key, one.n) for one in self.cassette.exchanges}
        return bool(self.written) and self.written.keys() <= there

    def renew(self) -> None:
        self.takes = Takes()
        self.written: dict[tuple[str, int], Place] = {}
        self.old = {(one.asked.key, one.n) for one in self.cassette.exchanges}


def _load(path: Path) -> _Loaded:
    path = Path(os.path.abspath(path))
    with _lock:
        loaded = _loaded.get(path)
        if loaded is None:
            loaded = _loaded[path] = _Loaded(path)
        elif loaded.cassette.reload() and not loaded.still_there():  # somebody has put another one there
            loaded.renew()
        return loaded


class Deck:
    """A cassette in one of the modes, for one client.

    Args:
        path: of the cassette.
        mode: "record", "replay" or "cache".
        base_path: of the URL; what follows it is recorded.
        secret: the key, to be masked in what is written.
        pixels: digests the pixels of an image.
        where: tells the place of a request that carries none.
        run_tools: whether what tools tell must be what was recorded.
        speed: of a replayed stream, 1 as recorded, 0 without waiting.
        journal: a file that gets a line for each exchange that was used, and for each warning.

    Raises:
        ConfigError: the cassette is damaged, or cannot be written where it must be.
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: str,
        base_path: str,
        secret: str = "",
        pixels: Pixels | None = None,
        where: Callable[[], Place] = Place,
        run_tools: bool = False,
        speed: float = 0.0,
        journal: Path | None = None,
    ) -> None:
        self._loaded = _load(path)
        self._mode = mode
        self._base_path = base_path
        self._secret = secret
        self._pixels = pixels
        self._where = where
        self._run_tools = run_tools
        self.speed = speed
        self._journal = journal
        self._used: set[int] = set()
        self._given: Counter[int] = Counter()  # how often what follows was told, by the line
        self._number = next(_numbers)
        self._tapes: set[Tape] = set()
        if mode != "replay":
            self._loaded.cassette.check()

    def look(self, request: httpx2.Request, content: bytes) -> Exchange | Tape:
        """What was recorded for a request, or a tape to record it on.

        Raises:
            CassetteMiss: nothing was, and this deck only replays.
        """
        attempt = _number(request.headers.get("x-stainless-retry-count"))
        # Masked as the file has it; a copy of the client, made by `with_options`, may have another key.
        secrets = {self._secret, request.headers.get("authorization", "").removeprefix("Bearer ")} - {""}
        if self._mode == "replay":
            secrets &= {self._secret}
        content = masked(content, secrets)
        place = PLACE.get() or self._where()
        path = request.url.raw_path.decode("ascii").removeprefix(self._base_path)
        one = asked(request.method, path, content, None if self._mode == "replay" else self._pixels)
        if self._mode != "record" and (found := self._find(one, place, attempt, content)):
            self._used.add(found.line)
            self._note({"used": found.line})
            return self._loaded.cassette.whole(found)
        if self._mode == "replay":
            raise CassetteMiss(masked(self._missing(one).encode(), secrets).decode())
        request.headers["accept-encoding"] = "identity"  # what is written must be readable, and searched for the key
        return self._tape(one, place, attempt, secrets)

    def told(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """What followed these messages when they were recorded: what the tools told then, and pictures of theirs.

        None where tools are to run: in other modes than replay, or because they were wished to.
        """
        if self._mode != "replay" or self._run_tools:
            return None
        secrets = {self._secret} - {""}
        content = masked(json.dumps(body).encode(), secrets)
        one = asked("POST", path, content, self._pixels if b"image/" in content else None)
        found = [(old.line, more) for old in self._loaded.cassette.exchanges if (more := continuation(one, old.asked))]
        # The request that came right after; a later one of the same conversation holds what was asked then, too.
        nearest = min((len(more) for _, more in found), default=0)
        found = [(line, more) for line, more in found if len(more) == nearest]
        # Of several the one that was taken least: questions may be asked at once.
        line, more = min(found, key=lambda one: (self._given[one[0]], one[0] in self._used), default=(0, []))
        self._given[line] += 1
        return list(takewhile(lambda message: message.get("role") != "assistant", more))

    def untold(self) -> CassetteMiss:
        """The error for calls that were to run, where nothing that follows them is recorded."""
        cassette = self._loaded.cassette
        return CassetteMiss(
            f"What the tools told is not recorded in {cassette.name}: they did not run then, or the answer was stopped "
            "while they did. With AMBER_REPLAY_TOOLS=run they run. "
            f"To record again: {record_command(cassette.path)}"
        )

    @property
    def unused(self) -> list[int]:
        """Lines of the file where exchanges begin that this deck has not played."""
        return [one.line for one in self._loaded.cassette.exchanges if one.line not in self._used]

    def _find(self, one: Asked, place: Place, attempt: int, content: bytes) -> Exchange | None:
        exchanges = [old for old in self._loaded.cassette.exchanges if self._mode == "replay" or old.good]
        same = {old.n: old for old in exchanges if old.asked.key == one.key}
        if same:
            return self._taken(one.key, place, attempt, same)
        if self._mode == "replay" and one.called is not None and not self._run_tools:
            # What a tool told then stands in the recorded request: what it tells now does not count.
            alike = dict(enumerate(old for old in exchanges if old.asked.called == one.called))
            if found := self._taken(one.called, place, attempt, alike):
                return found
        if b"image/" not in content:
            return None
        one = asked(one.method, one.path, content, self._pixels)
        if one.loose is None:
            return None
        alike = dict(enumerate(old for old in exchanges if old.asked.loose == one.loose))
        found = self._taken(one.loose, place, attempt, alike)
        if found is not None:
            self._warn(
                f"{self._loaded.cassette.name}, line {found.line}: an image is encoded otherwise than when this was "
                "recorded, with the same pixels (another release of a plotting library, perhaps); the recording is "
                "used."
            )
        return found

    def _taken(self, key: str, place: Place, attempt: int, among: Mapping[int, Exchange]) -> Exchange | None:
        take = self._loaded.takes.replay(key, place, self._number, attempt, among)
        if take is None:
            return None
        take.failed = True  # whoever tries again gets the same again
        return among[take.n]

    def _missing(self, one: Asked) -> str:
        cassette = self._loaded.cassette
        recorded = cassette.exchanges
        again = f"To record again: {record_command(cassette.path)}"
        if not recorded:
            return f"Nothing is recorded in {cassette.name}, and in mode 'replay' nothing is asked. {again}"
        same = [old for old in recorded if old.asked.key == one.key]
        if same:
            times = "once" if len(same) == 1 else f"{len(same)} times"
            return (
                f"This request is recorded {times} in {cassette.name} (line {same[0].line}), and it is asked once "
                f"more than that. {again}"
            )
        near = nearest(one, (old.asked for old in recorded))
        assert near is not None
        line = next(old.line for old in recorded if old.asked is near)
        return (
            f"This request is not recorded in {cassette.name}. The nearest recording (line {line}) differs:\n\n"
            f"{difference(near, one)}\n\n{again}"
        )

    def _tape(self, one: Asked, place: Place, attempt: int, secrets: Collection[str]) -> Tape:
        loaded = self._loaded
        elsewhere = [
            old.n
            for old in loaded.cassette.exchanges
            if place.cell is not None and old.cell not in (None, place.cell) and old.asked.key == one.key
        ]
        if self._mode == "cache":  # what is good stays
            elsewhere += [old.n for old in loaded.cassette.exchanges if old.good and old.asked.key == one.key]
        take = loaded.takes.record(one.key, place, self._number, attempt, elsewhere)
        draft = Exchange(asked=one, n=take.n, attempt=attempt, cell=place.cell)
        tape = Tape(draft, lambda done: self._keep(done, take, secrets), self._tapes.discard)
        self._tapes.add(tape)
        return tape

    def checkpoint(self) -> None:
        """Keep what has come of the exchanges that are not over: a stream that was left by `break` may never be."""
        for tape in list(self._tapes):
            tape.checkpoint()

    def _keep(self, done: Exchange, take: Take, secrets: Collection[str]) -> None:
        take.failed = done.status is None or done.status >= 400
        done = replace(done, n=take.n)
        loaded = self._loaded
        slot = (done.asked.key, done.n)
        stale = [
            old
            for old in loaded.cassette.exchanges
            if ((old.asked.key, old.n) == slot and slot in loaded.old and slot not in loaded.written)
            or ((old.asked.key, old.n, old.attempt) == (*slot, done.attempt) and done.attempt in take.kept)
            or (
                done.cell is not None
                and self._mode == "record"
                and old.cell == done.cell
                and loaded.written.get((old.asked.key, old.n)) != take.place
            )
        ]
        try:
            kept = loaded.cassette.add(done, lines_of(done, secrets), stale)
            loaded.written[(kept.asked.key, kept.n)] = take.place
            take.n = kept.n  # another one, where another process had taken ours
            take.kept.add(done.attempt)
        except Exception as error:  # the caller's answer is not to be lost for it
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._warn(f"A reply was not recorded in {loaded.cassette.name}: {reason}")

    def _note(self, line: dict[str, object]) -> None:
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _warn(self, text: str) -> None:
        if self._journal is not None:  # in a notebook's own output it would be a difference
            self._note({"warning": text})
            return
        try:
            warnings.warn(f"amber: {text}", RuntimeWarning, stacklevel=2)
        except RuntimeWarning:  # made an error by a filter: in a transport it would look like a broken connection
            _log.warning("amber: %s", text)


class Tape:
    """One exchange while it passes by; nothing is held back, and all is written when it ends."""

    def __init__(
        self, draft: Exchange, keep: Callable[[Exchange], None], over: Callable[[Tape], None] = lambda tape: None
    ) -> None:
        self._draft = draft
        self._keep = keep
        self._over = over
        self._began = clock.monotonic()
        self._steps: list[tuple[float, bytes]] = []
        self._ended = False
        self._noted = 0

    def answered(self, response: httpx2.Response) -> None:
        """The response begins."""
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        self._draft = replace(
            self._draft,
            status=response.status_code,
            headers=headers,
            answered_s=clock.monotonic() - self._began,
        )

    def see(self, piece: bytes) -> None:
        """A piece of the body passes."""
        self._steps.append((clock.monotonic() - self._began, piece))

    def checkpoint(self) -> None:
        """Keep what has come so far, as if it were over; the end will take its place."""
        if not self._ended and self._draft.status is not None and len(self._steps) > self._noted:
            self._noted = len(self._steps)
            self._keep(self._done("closed", None))

    def end(self, how: str = "whole", error: BaseException | None = None) -> None:
        """It is over; only the first call counts."""
        if self._ended:
            return
        self._ended = True
        self._over(self)
        self._keep(self._done(how, error))

    def _done(self, how: str, error: BaseException | None) -> Exchange:
        if how == "closed" and self._said_all():
            how = "whole"
        broken = (type(error).__name__, str(error)) if error is not None else None
        took_s = clock.monotonic() - self._began
        done = replace(self._draft, steps=tuple(self._steps), how=how, error=broken, took_s=took_s)
        return _decoded(done) if "content-encoding" in (done.headers or {}) else done

    def _said_all(self) -> bool:
        # The SDK stops reading at [DONE], and closes.
        tail = b""
        for _, piece in reversed(self._steps):
            tail = piece + tail
            if len(tail) >= _TAIL:
                break
        return _LAST.search(tail) is not None


def _decoded(one: Exchange) -> Exchange:
    """With its body decoded, where a server has compressed it in spite of what was asked: a key might hide in it."""
    headers = dict(one.headers or {})
    encoding = headers.pop("content-encoding")
    pieces: list[bytes] = []
    how, error = one.how, one.error
    response = httpx2.Response(200, headers={"content-encoding": encoding}, stream=_Steps(one.steps))
    try:
        pieces.extend(response.iter_bytes())
    except httpx2.RequestError as broken:  # as far as it went
        how, error = "failed", (type(broken).__name__, str(broken))
    plain = b"".join(pieces)
    return replace(one, headers=headers, steps=((one.steps[-1][0], plain),) if plain else (), how=how, error=error)


class _Steps(httpx2.SyncByteStream):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[bytes]:
        return (piece for _, piece in self._steps)


def _number(value: str | None) -> int:
    return int(value) if value is not None and value.isdigit() else 0
