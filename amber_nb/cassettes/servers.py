"""What MCP servers answer, in a cassette: replayed without the server, or asked and recorded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

import httpx2

from ..errors import CassetteMiss, ConfigError, ProtocolError
from .file import Cassette, Interaction, encode_json
from .match import SERVER_METHOD, CassetteRequest, RequestKey
from .recording import Recording
from .server_names import (
    LIST_TOOLS,
    describe_change,
    is_listing,
    join_names,
    quote_name,
    shorten_name,
)

__all__ = ["ServerExchanges"]

_DOCUMENTS = ("/tools/call", "/resources/read", "/prompts/get")  # what brings in documents of others
_HEADERS = {"content-type": "application/json"}


class _Session(Protocol):
    """What is needed of a `CassetteSession`."""

    mode: str
    name: str

    @property
    def cassette(self) -> Cassette: ...
    def identify(self, method: str, path: str, content: bytes, secrets: Collection[str] = ()) -> CassetteRequest: ...
    def find(self, request: CassetteRequest, fits: Callable[[Interaction], bool] = ...) -> Interaction | None: ...
    def miss(self, request: CassetteRequest) -> CassetteMiss: ...
    def record(self, request: CassetteRequest) -> Recording: ...
    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...


class ServerExchanges:
    """Answer for MCP servers from a session's cassette, or have them asked and record what they answer.

    Args:
        session: of the cassette.
        may_ask: servers may be asked; in a replay their answers are not recorded then.

    Attributes:
        may_ask: whether a server may be asked: never in a replay, unless its tools are to run.
    """

    def __init__(self, session: _Session, *, may_ask: bool) -> None:
        self.may_ask = may_ask
        self._session = session
        self._noted: set[str] = set()  # the servers whose documents the reader was told of
        self._listings: dict[str, Any] = {}  # what each server listed last in this session, as its tools
        self._changes: dict[str, str] = {}  # by server: how that differs from the recording, where it was asked anew

    async def exchange(
        self,
        path: str,
        body: Mapping[str, Any],
        send: Callable[[], Awaitable[dict[str, Any]]],
        *,
        secrets: Collection[str] = (),
    ) -> dict[str, Any]:
        """Return a server's recorded answer; where nothing is recorded and the mode allows it, send and record.

        Args:
            path: what the server is asked, such as `/tools/call`.
            body: identifies the exchange; `server` is the server's name, `target` a digest of where it is.
            send: asks the server; what it raises is raised, and of that only a ProtocolError is recorded.
            secrets: the server's own, beside the session's key, masked in the file.

        Raises:
            CassetteMiss: nothing is recorded, and this session only replays.
            ProtocolError: the server answered with an error, now or when it was recorded.
        """
        session = self._session
        if session.mode == "replay" and self.may_ask:
            answer = await send()
            self._compare(path, body, answer)
            return answer
        request = self._identify(path, body, secrets)
        if found := session.find(request) or self._repeat(request):
            return self._answer(found)
        if session.mode == "replay":
            raise session.miss(request)
        recording = session.record(request)
        try:
            answer = await send()
        except ProtocolError as error:
            self._record(recording, request, {"error": str(error)}, status=HTTPStatus.BAD_REQUEST)
            raise
        except BaseException:
            recording.drop()
            raise
        self._record(recording, request, answer)
        return answer

    def find(
        self, path: str, body: Mapping[str, Any], *, has_failed: bool = False, secrets: Collection[str] = ()
    ) -> dict[str, Any] | None:
        """Return the recorded answer of a call that a replayed conversation made, marked as used; None without one.

        Args:
            path: as in `exchange`.
            body: as in `exchange`.
            has_failed: whether the call failed in that conversation.
            secrets: as in `exchange`.
        """
        request = self._identify(path, body, secrets)

        def fits(old: Interaction) -> bool:
            return old.request.exact == request.key.exact and self._has_failed(old) == has_failed

        found = self._session.find(request, fits)
        return self._read(found) if found is not None else None

    def _has_failed(self, recorded: Interaction) -> bool:
        if _is_error(recorded):
            return True
        return self._read(self._session.cassette.with_body(recorded)).get("isError") is True

    def list_recorded(self) -> str:
        """Return a sentence that names the servers of the cassette, each with what was asked of it; "" for none."""
        asked: dict[str, dict[str, None]] = {}
        for old in self._session.cassette.interactions:
            if old.request.of_server and isinstance(body := old.request.body, dict):
                names = asked.setdefault(shorten_name(body.get("server", "")), {})
                if (name := body.get("name", body.get("uri"))) is not None:
                    names[shorten_name(name)] = None
        servers = [f"{server} ({join_names(names)})" if names else server for server, names in asked.items()]
        return f"Recorded of MCP servers are: {join_names(servers, '; ')}. " if servers else ""

    def find_change(self, recorded: Interaction, now: RequestKey) -> str:
        """Return why a chat request may have other tools than the nearest recording; "" where no listing tells."""
        old, new = (request.body for request in (recorded.request, now))
        if not (isinstance(old, dict) and isinstance(new, dict)) or old.get("tools") == new.get("tools"):
            return ""
        changes = list(self._changes.values()) or [
            change
            for server, listings in self._recorded_listings().items()
            if (change := self._between(server, listings, recorded.line))
        ]
        return "".join(f"A likely cause: {change} " for change in changes[:3])

    def _between(self, server: str, listings: list[tuple[int, Any]], line: int) -> str:
        """Return how the listing that the replay has got differs from the one that was in force at this line."""
        now = self._listings.get(server, listings[-1][1])
        before = [listing for at, listing in listings if at < line][-1:]
        then = [*before, *(listing for _, listing in listings)]
        return next(filter(None, (describe_change(server, listing, now) for listing in then)), "")

    def _recorded_listings(self) -> dict[str, list[tuple[int, Any]]]:
        """Return the recorded listings of each server's tools, with their lines."""
        found: dict[str, list[tuple[int, Any]]] = {}
        for old in self._session.cassette.interactions:
            if old.request.of_server and old.request.path == LIST_TOOLS and not _is_error(old):
                answer = self._read(self._session.cassette.with_body(old))
                found.setdefault(_server(old.request.body), []).append((old.line, answer))
        return found

    def _compare(self, path: str, body: Mapping[str, Any], answer: Any) -> None:
        """Remember how the tools that a server lists in a replay differ from the recorded ones."""
        if path != LIST_TOOLS:
            return
        server = _server(body)
        recorded = [listing for _, listing in self._recorded_listings().get(server, ())]
        changes = [describe_change(server, listing, answer) for listing in reversed(recorded)]
        self._changes.pop(server, None)
        if changes and all(changes):
            self._changes[server] = changes[0]

    def _identify(self, path: str, body: Mapping[str, Any], secrets: Collection[str]) -> CassetteRequest:
        return self._session.identify(SERVER_METHOD, path, encode_json(dict(body)), secrets)

    def _repeat(self, request: CassetteRequest) -> Interaction | None:
        """Return the last recorded listing once more: a replay may open connections that the recording kept."""
        if self._session.mode != "replay" or not is_listing(request.key.path):
            return None
        same = [old for old in self._session.cassette.interactions if old.request.exact == request.key.exact]
        return self._session.cassette.with_body(max(same, key=lambda old: old.n)) if same else None

    def _answer(self, found: Interaction) -> dict[str, Any]:
        answer = self._read(found)
        if _is_error(found):
            name = found.request.body.get("name") if isinstance(found.request.body, dict) else None
            raise ProtocolError(str(answer.get("error")), name=name, arguments={})
        if found.request.path == LIST_TOOLS:
            self._listings[_server(found.request.body)] = answer
        return answer

    def _read(self, found: Interaction) -> dict[str, Any]:
        try:
            answer = json.loads(b"".join(piece for _, piece in found.steps))
            if isinstance(answer, dict):
                return answer
        except (ValueError, RecursionError):
            pass
        raise ConfigError(
            f"{self._session.name}, line {found.line}: what the MCP server answered is no JSON object. Nothing was "
            "changed; take the file back from version control, or record again."
        )

    def _record(self, recording: Recording, request: CassetteRequest, answer: Any, status: int = HTTPStatus.OK) -> None:
        try:
            content = encode_json(answer)
        except (RecursionError, TypeError, ValueError) as error:  # the caller's answer must not be lost for it
            recording.drop()
            self._session.warn(f"A server's answer was not recorded in {self._session.name}: {type(error).__name__}")
            return
        server = _server(request.key.body)
        if request.key.path in _DOCUMENTS and server not in self._noted:
            self._noted.add(server)
            self._session.note(
                f"what the MCP server {quote_name(server)} returns is kept in {self._session.name}: whoever gets "
                "the file can read these documents."
            )
        recording.begin_response(httpx2.Response(status, headers=_HEADERS))
        recording.add(content)
        recording.end()


def _is_error(recorded: Interaction) -> bool:
    return recorded.status is not None and recorded.status >= HTTPStatus.BAD_REQUEST


def _server(body: Any) -> str:
    return str(body.get("server", "")) if isinstance(body, Mapping) else ""
