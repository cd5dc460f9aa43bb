"""Records, replays, or does either: what the transports of these modes share. Sync and async differ in I/O only."""

from __future__ import annotations

import contextvars
import itertools
import json
import logging
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import httpx2

from ..errors import CassetteMiss
from ..tapes import record_command
from .canonical import Asked, Pixels, asked, difference, nearest
from .cassette import Cassette
from .exchange import Exchange, lines_of
from .takes import Place, Take, Takes

__all__ = ["PLACE", "Deck", "Tape"]

_log = logging.getLogger(__name__)

# What a recording keeps of the response's headers: what the SDK acts on, and the id that support asks for.
KEPT_HEADERS = ("content-type", "content-encoding", "retry-after", "retry-after-ms", "x-should-retry", "x-request-id")
# Where the requests of the running task come from; for those that run on another thread than their cell.
PLACE: contextvars.ContextVar[Place | None] = contextvars.ContextVar("amber_place", default=None)

_lock = threading.Lock()
_numbers = itertools.count()
_loaded: weakref.WeakValueDictionary[Path, _Loaded] = weakref.WeakValueDictionary()


class _Loaded:
    """A cassette and who has taken what of it, shared by all clients of this process."""

    def __init__(self, path: Path) -> None:
        self.cassette = Cassette(path)
        self.renew()

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
        elif loaded.cassette.reload():  # somebody has put another one there
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
        self._number = next(_numbers)
        if mode != "replay":
            self._loaded.cassette.check()

    def look(self, request: httpx2.Request, content: bytes) -> Exchange | Tape:
        """What was recorded for a request, or a tape to record it on.

        Raises:
            CassetteMiss: nothing was, and this deck only replays.
        """
        attempt = _number(request.headers.get("x-stainless-retry-count"))
        place = PLACE.get() or self._where()
        path = request.url.raw_path.decode("ascii").removeprefix(self._base_path)
        one = asked(request.method, path, content, None if self._mode == "replay" else self._pixels)
        if self._mode != "record" and (found := self._find(one, place, attempt, content)):
            self._used.add(found.line)
            self._note({"used": found.line})
            return found
        if self._mode == "replay":
            raise CassetteMiss(self._missing(one))
        request.headers["accept-encoding"] = "identity"  # what is written must be readable, and searched for the key
        return self._tape(one, place, attempt)

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

    def _tape(self, one: Asked, place: Place, attempt: int) -> Tape:
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
        return Tape(draft, lambda done: self._keep(done, take))

    def _keep(self, done: Exchange, take: Take) -> None:
        take.failed = done.status is None or done.status >= 400
        loaded = self._loaded
        slot = (done.asked.key, done.n)
        stale = [
            old
            for old in loaded.cassette.exchanges
            if ((old.asked.key, old.n) == slot and slot in loaded.old and slot not in loaded.written)
            or (
                done.cell is not None
                and self._mode == "record"
                and old.cell == done.cell
                and loaded.written.get((old.asked.key, old.n)) != take.place
            )
        ]
        try:
            loaded.cassette.add(done, lines_of(done, self._secret), stale)
            loaded.written[slot] = take.place
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

    def __init__(self, draft: Exchange, keep: Callable[[Exchange], None]) -> None:
        self._draft = draft
        self._keep = keep
        self._began = time.monotonic()
        self._steps: list[tuple[float, bytes]] = []
        self._ended = False

    def answered(self, response: httpx2.Response) -> None:
        """The response begins."""
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        self._draft = replace(
            self._draft,
            status=response.status_code,
            headers=headers,
            answered_s=time.monotonic() - self._began,
        )

    def see(self, piece: bytes) -> None:
        """A piece of the body passes."""
        self._steps.append((time.monotonic() - self._began, piece))

    def end(self, how: str = "whole", error: BaseException | None = None) -> None:
        """It is over; only the first call counts."""
        if self._ended:
            return
        self._ended = True
        if how == "closed" and self._said_all():
            how = "whole"
        broken = (type(error).__name__, str(error)) if error is not None else None
        took_s = time.monotonic() - self._began
        self._keep(replace(self._plain(), how=how, error=broken, took_s=took_s))

    def _said_all(self) -> bool:
        # The SDK stops reading at [DONE], and closes.
        return b"".join(piece for _, piece in self._steps[-3:]).rstrip().endswith(b"data: [DONE]")

    def _plain(self) -> Exchange:
        """The exchange with its body decoded, where a server has compressed it in spite of what was asked."""
        done = replace(self._draft, steps=tuple(self._steps))
        headers = dict(done.headers or {})
        if not headers.pop("content-encoding", None):
            return done
        raw = b"".join(piece for _, piece in self._steps)
        try:
            plain = httpx2.Response(200, headers=dict(done.headers or {}), content=raw).content
        except httpx2.RequestError:  # broken on the way: kept as it came
            return done
        return replace(done, headers=headers, steps=((done.steps[-1][0], plain),) if raw else ())


def _number(value: str | None) -> int:
    return int(value) if value is not None and value.isdigit() else 0
