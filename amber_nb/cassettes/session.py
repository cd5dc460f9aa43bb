"""Record and replay for one client: which recording answers a request, and how a new one gets into the file."""

from __future__ import annotations

import contextvars
import json
import logging
import os
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ..config import Config, display_path
from ..errors import CassetteMiss
from .file import Cassette, Interaction, dumps, mask
from .match import (
    CassetteRequest,
    Cell,
    Occurrence,
    OccurrenceCounter,
    Pixels,
    RequestKey,
    continuation,
    difference,
    fingerprint,
)
from .nearest import find_nearest
from .recording import Recording
from .schemas import same_but_for_forms
from .server_names import describe_request
from .servers import ServerExchanges

__all__ = ["ADAPTED", "CURRENT_CELL", "CassetteSession", "newest_session", "open_session"]

_log = logging.getLogger(__name__)
_warned: dict[Any, Any] = {}  # what Python has shown once: the registry of its warnings

# The cell whose requests the running task sends, where the task runs on another thread than the cell.
CURRENT_CELL: contextvars.ContextVar[Cell | None] = contextvars.ContextVar("amber_place", default=None)
# What `ask` leaves out of the requests of the running task, because the gateway refused it before.
ADAPTED: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar("amber_adapted", default=frozenset())

_lock = threading.Lock()
_numbers = count()
_newest: weakref.ref[CassetteSession] | None = None
_shared: weakref.WeakValueDictionary[Path, _SharedCassette] = weakref.WeakValueDictionary()


class _SharedCassette:
    """A cassette and the occurrences counted on it, shared by all clients of this process."""

    def __init__(self, path: Path) -> None:
        self.cassette = Cassette(path)
        self.reset()

    def holds_own(self) -> bool:
        """Return whether the file holds what this process wrote: then others have only added to it."""
        there = {each.slot for each in self.cassette.interactions}
        return bool(self.written) and self.written.keys() <= there

    def reset(self) -> None:
        self.counter = OccurrenceCounter()
        self.written: dict[tuple[str, int], Cell] = {}
        self.old = {each.slot for each in self.cassette.interactions}


def _load(path: Path) -> _SharedCassette:
    path = Path(os.path.abspath(path))
    with _lock:
        shared = _shared.get(path)
        if shared is None:
            shared = _shared[path] = _SharedCassette(path)
        elif shared.cassette.reload() and not shared.holds_own():  # another file stands there now
            shared.reset()
        return shared


def open_session(config: Config, current_cell: Callable[[], Cell], pixels: Pixels) -> CassetteSession | None:
    """Open the session of a config, see `CassetteSession`; None in the modes that neither record nor replay."""
    global _newest
    _newest = None
    if config.mode not in ("record", "replay", "cache") or config.cassette is None:
        return None
    session = CassetteSession(config, config.cassette, current_cell, pixels)
    _newest = weakref.ref(session)
    return session


def newest_session() -> CassetteSession | None:
    """Return the session of the newest client; None where that neither records nor replays, or is gone."""
    return _newest() if _newest is not None else None


class CassetteSession:
    """Record to a cassette, or replay from it, for one client.

    Args:
        config: the settings, in mode "record", "replay" or "cache".
        path: of the cassette.
        current_cell: returns the cell of a request where `CURRENT_CELL` is not set.
        pixels: returns a digest of the pixels of an image.

    Attributes:
        speed: of a replayed stream, 1 as recorded, 0 without waiting.
        name: of the cassette, as messages name it.
        servers: what MCP servers are asked.

    Raises:
        ConfigError: the cassette is damaged, or cannot be written where it must be.
    """

    def __init__(self, config: Config, path: Path, current_cell: Callable[[], Cell], pixels: Pixels) -> None:
        self._shared = _load(path)
        self.mode = config.mode
        self.speed = config.replay_speed
        self._base_path = urlsplit(config.base_url).path
        self._secret = config.secret.reveal() if config.secret is not None else ""
        self._run_tools = config.replay_tools == "run"
        self._journal = config.journal
        self._record_command = config.record_command
        self.name = config.cassette_name or display_path(path)
        self._current_cell = current_cell
        self._pixels = pixels
        self._used: set[int] = set()
        self._served: Counter[int] = Counter()  # by the line: how often the results after it were returned
        self._client_number = next(_numbers)
        self._recordings: set[Recording] = set()
        # Never in a test run: it would depend on what a server says today, and nobody sees what is sent there.
        may_ask = self.mode != "replay" or (self._run_tools and self._journal is None)
        self.servers = ServerExchanges(self, may_ask=may_ask)
        if self.mode != "replay":
            self._shared.cassette.check()

    @property
    def cassette(self) -> Cassette:
        """The file, which other clients of this process may use, too."""
        return self._shared.cassette

    def lookup(self, request: httpx2.Request, content: bytes) -> Interaction | Recording:
        """Return the recorded interaction of a request, or a Recording to record it with.

        Raises:
            CassetteMiss: nothing is recorded, and this session only replays.
        """
        retries = request.headers.get("x-stainless-retry-count", "")
        attempt = int(retries) if retries.isdigit() else 0
        # As the file has it; a copy of the client, made by `with_options`, may have another key.
        secrets = {self._secret, request.headers.get("authorization", "").removeprefix("Bearer ")} - {""}
        if self.mode == "replay":
            secrets &= {self._secret}
        path = request.url.raw_path.decode("ascii").removeprefix(self._base_path)
        asked = self.identify(request.method, path, content, secrets, attempt)
        if found := self.find(asked):
            return found
        if self.mode == "replay":
            raise self.miss(asked)
        # What is compressed could neither be read in the file nor searched for the key.
        request.headers["accept-encoding"] = "identity"
        return self.record(asked)

    def identify(
        self, method: str, path: str, content: bytes, secrets: Collection[str] = (), attempt: int = 0
    ) -> CassetteRequest:
        """Return what identifies a request in the cassette; the session's key is masked besides these secrets."""
        hidden = frozenset({self._secret, *secrets} - {""})
        content = mask(content, hidden)
        key = fingerprint(method, path, content, None if self.mode == "replay" else self._pixels)
        cell = CURRENT_CELL.get() or self._current_cell()
        return CassetteRequest(key=key, content=content, secrets=hidden, cell=cell, attempt=attempt)

    def find(
        self, request: CassetteRequest, fits: Callable[[Interaction], bool] = lambda _: True
    ) -> Interaction | None:
        """Return the recorded interaction of a request, which counts as used; None where it is to be asked.

        Args:
            request: what is asked.
            fits: whether an interaction may be it.
        """
        if self.mode == "record" or (found := self._find(request, fits)) is None:
            return None
        self._used.add(found.line)
        self._write_journal({"used": found.line, "cassette": str(self.cassette.path)})
        return self.cassette.with_body(found)

    def miss(self, request: CassetteRequest) -> CassetteMiss:
        """Build the CassetteMiss for a request that is not recorded."""
        return CassetteMiss(mask(self._miss_message(request.key).encode(), request.secrets).decode())

    def recorded_results(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Return the recorded messages that follow these: the results of tools, and the images that tools returned.

        Args:
            path: of the request, such as `/chat/completions`.
            body: `{"model": …, "messages": […]}`.

        Returns:
            An empty list where nothing is recorded; None where the tools are to run.
        """
        if self.mode != "replay" or self._run_tools:
            return None
        secrets = {self._secret} - {""}
        content = mask(json.dumps(body).encode(), secrets)
        key = fingerprint("POST", path, content, self._pixels if b"image/" in content else None)
        recorded = [(old.line, continuation(key, old.request)) for old in self._shared.cassette.interactions]
        found = [(line, more) for line, more in recorded if more]
        # The request that came right after: a later request of the conversation begins with these messages, too.
        fewest = min((len(more) for _, more in found), default=0)
        found = [(line, more) for line, more in found if len(more) == fewest]
        # Of several, the one that was used least: questions may be asked at once.
        line, more = min(found, key=lambda pair: (self._served[pair[0]], pair[0] in self._used), default=(0, []))
        self._served[line] += 1
        return list(takewhile(lambda message: message.get("role") != "assistant", more))

    def missing_results(self) -> CassetteMiss:
        """Build the CassetteMiss for tool calls whose results are not in the cassette."""
        return CassetteMiss(
            f"What the tools told is not recorded in {self.name}: they did not run then, or the answer was stopped "
            f"while they did. With AMBER_REPLAY_TOOLS=run they run. To record again: {self._record_command}"
        )

    def learnt(self) -> dict[str, frozenset[str]]:
        """Return what `ask` left out, by model, when this was recorded: a replay leaves it out from the start."""
        found: dict[str, frozenset[str]] = {}
        for each in self._shared.cassette.interactions:
            if each.adapted:
                found[_model(each)] = found.get(_model(each), frozenset()) | frozenset(each.adapted)
        return found

    @property
    def unused(self) -> list[int]:
        """The first lines of the interactions that this session has not replayed."""
        learnt = self.learnt()
        return [
            each.line
            for each in self._shared.cassette.interactions
            # The refusal from which something was learnt is not asked for again.
            if each.line not in self._used and not (_was_refused(each) and _model(each) in learnt)
        ]

    def _find(self, request: CassetteRequest, fits: Callable[[Interaction], bool]) -> Interaction | None:
        key, content = request.key, request.content
        recorded = self._shared.cassette.interactions
        interactions = [old for old in recorded if (self.mode == "replay" or old.good) and fits(old)]
        same = {old.n: old for old in interactions if old.request.exact == key.exact}
        if same:
            return self._next(key.exact, request, same)
        if self.mode == "replay" and key.without_results is not None and not self._run_tools:
            # The recorded request holds the results that the tools gave then; those that they give now do not count.
            similar = dict(enumerate(old for old in interactions if old.request.without_results == key.without_results))
            if found := self._next(key.without_results, request, similar):
                return found
        if b'"schema"' in content or b'"parameters"' in content:
            # Without a warning: the schemas mean the same, and there is nothing to be done about them.
            results = self.mode != "replay" or self._run_tools
            found_in = (old for old in interactions if same_but_for_forms(old.request, key, results=results))
            similar = dict(enumerate(found_in))
            if found := self._next(key.exact, request, similar):
                return found
        if b"image/" not in content:
            return None
        key = fingerprint(key.method, key.path, content, self._pixels)
        if key.by_pixels is None:
            return None
        similar = dict(enumerate(old for old in interactions if old.request.by_pixels == key.by_pixels))
        found = self._next(key.by_pixels, request, similar)
        if found is not None:
            self.warn(
                f"{self.name}, line {found.line}: an image is encoded otherwise than when this was "
                "recorded, with the same pixels (another release of a plotting library, perhaps); it is used."
            )
        return found

    def _next(self, key: str, request: CassetteRequest, among: Mapping[int, Interaction]) -> Interaction | None:
        counter = self._shared.counter
        occurrence = counter.replay(key, request.cell, self._client_number, request.attempt, among)
        if occurrence is None:
            return None
        occurrence.failed = True  # a retry gets the same interaction again
        return among[occurrence.n]

    def _miss_message(self, key: RequestKey) -> str:
        recorded = [old for old in self.cassette.interactions if old.request.of_server == key.of_server]
        again = f"To record again: {self._record_command}"
        if not recorded:
            what = "Nothing of an MCP server" if key.of_server else "Nothing"
            return f"{what} is recorded in {self.name}, and in mode 'replay' nothing is asked. {again}"
        subject = describe_request(key) if key.of_server else "This request"
        same = [old for old in recorded if old.request.exact == key.exact]
        if same:
            times = "once" if len(same) == 1 else f"{len(same)} times"
            return (
                f"{subject} is recorded {times} in {self.name} (line {same[0].line}), and it is asked once "
                f"more than that. {again}"
            )
        nearest = recorded[find_nearest([old.request for old in recorded], key)]
        hint = self.servers.list_recorded() if key.of_server else self.servers.find_change(nearest, key)
        return (
            f"{subject} is not recorded in {self.name}. {hint}The nearest recording (line {nearest.line}) differs:\n\n"
            f"{difference(nearest.request, key)}\n\n{again}"
        )

    def record(self, request: CassetteRequest) -> Recording:
        """Begin to record a request."""
        shared, key, cell, attempt = self._shared, request.key, request.cell, request.attempt
        same = [old for old in shared.cassette.interactions if old.request.exact == key.exact]
        elsewhere = {old.n for old in same if cell.id is not None and old.cell not in (None, cell.id)}
        if self.mode == "cache":  # what is good stays
            elsewhere |= {old.n for old in same if old.good}
        occurrence = shared.counter.record(key.exact, cell, self._client_number, attempt, elsewhere)
        adapted = () if key.of_server else tuple(sorted(ADAPTED.get()))
        draft = Interaction(request=key, n=occurrence.n, attempt=attempt, cell=cell.id, adapted=adapted)
        recording = Recording(
            draft,
            lambda done: self._save(done, occurrence, request.secrets),
            self._recordings.discard,
            lambda: shared.counter.release(key.exact, occurrence),
        )
        self._recordings.add(recording)
        return recording

    def checkpoint(self) -> None:
        """Save what has come of the interactions under way: a stream that was left by `break` may never end."""
        for recording in list(self._recordings):
            recording.checkpoint()

    def _save(self, done: Interaction, occurrence: Occurrence, secrets: Collection[str]) -> None:
        occurrence.failed = done.status is None or done.status >= 400
        done = replace(done, n=occurrence.n)
        shared = self._shared
        rerecorded = done.slot in shared.old and done.slot not in shared.written
        replaces_cell = done.cell is not None and self.mode == "record"
        stale = [
            old
            for old in shared.cassette.interactions
            if (old.slot == done.slot and rerecorded)
            or (old.slot == done.slot and old.attempt == done.attempt and done.attempt in occurrence.in_file)
            or (replaces_cell and old.cell == done.cell and shared.written.get(old.slot) != occurrence.cell)
        ]
        try:
            kept = shared.cassette.add(done, dumps(done, secrets), stale)
            shared.written[kept.slot] = occurrence.cell
            occurrence.n = kept.n  # another number, where another process had used ours
            occurrence.in_file.add(done.attempt)
            self._write_journal({"recorded": True, "cassette": str(shared.cassette.path)})
        except Exception as error:  # the caller's answer must not be lost for it
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.warn(f"A reply was not recorded in {self.name}: {reason}")

    def _write_journal(self, line: dict[str, object]) -> None:
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    @property
    def is_in_run(self) -> bool:
        """Whether this is a test run, whose warnings go to its journal."""
        return self._journal is not None

    def warn(self, text: str) -> None:
        """Warn, in a run of a test in its journal; what is recorded there is not kept then."""
        self._tell("warning", text)

    def note(self, text: str) -> None:
        """Warn of what is right and should be known; in a run of a test its recording is kept all the same."""
        self._tell("note", text)

    def _tell(self, kind: str, text: str) -> None:
        if self._journal is not None:  # in the output of a notebook it would be a difference
            self._write_journal({kind: text})
            return
        try:
            # Without a file: the private loop has no frame of the user's, and a line of ours would tell nothing.
            warnings.warn_explicit(f"amber: {text}", RuntimeWarning, "<amber>", 1, module="amber_nb", registry=_warned)
        except RuntimeWarning:  # a filter makes it an error, which would look like a broken connection in a transport
            _log.warning("amber: %s", text)


def _model(interaction: Interaction) -> str:
    body = interaction.request.body
    return str(body.get("model")) if isinstance(body, dict) else ""


def _was_refused(interaction: Interaction) -> bool:
    return interaction.status is not None and 400 <= interaction.status < 500
