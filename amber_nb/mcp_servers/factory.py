"""Make MCP servers: `mcp(…)`, and the server of the gateway's own domain."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ..base_url import same_origin, within_host
from ..cassettes.session import CassetteSession, newest_session
from ..checks import check_seconds
from ..config import Config
from ..errors import ConfigError
from ..redact import SecretHeaders
from ..tracebacks import short_traceback
from .concealed import conceal
from .notices import tell
from .options import SILENCE_S, ServerOptions, change_options, refuse_unknown
from .server import McpServer
from .target import Target, clean_name
from .target_arguments import read_targets

__all__ = ["McpServers", "amber_server", "mcp"]

AMBER = "amber"


# A text is a file with several servers at times, too: rarely enough for a checker not to doubt each command and URL.
@overload
def mcp(
    target: os.PathLike[str],
    *arguments: str,
    headers: Mapping[str, str] | None = ...,
    env: Mapping[str, str] | None = ...,
    only: str | Iterable[str] | None = ...,
    exclude: str | Iterable[str] | None = ...,
    prefix: str | None = ...,
    require_approval: bool | None = ...,
    timeout_s: float | None = ...,
    trust: bool = ...,
) -> McpServer | McpServers: ...
@overload
def mcp(
    target: Any,
    *arguments: str,
    headers: Mapping[str, str] | None = ...,
    env: Mapping[str, str] | None = ...,
    only: str | Iterable[str] | None = ...,
    exclude: str | Iterable[str] | None = ...,
    prefix: str | None = ...,
    require_approval: bool | None = ...,
    timeout_s: float | None = ...,
    trust: bool = ...,
) -> McpServer: ...
def mcp(  # noqa: D417 - what is unknown is refused
    target: Any = None,
    *arguments: str,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    only: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
    prefix: str | None = None,
    require_approval: bool | None = None,
    timeout_s: float | None = None,
    trust: bool = False,
    **unknown: Any,
) -> McpServer | McpServers:
    """Return an MCP server whose tools `ask(tools=…)` offers.

    Nothing is connected here: the first use opens the connection, which is then kept. What a server says of itself and
    returns is somebody else's text; each call asks the reader first, unless `require_approval=False` is said.

    Args:
        target: a URL (streamable HTTP, or SSE where the server is old); a command; the path of a JSON file with
            `mcpServers` or, as in VS Code, `servers` (comments are allowed), or a dict of that form; or an `MCPServer`
            of the SDK in this process.
        arguments: of the command; or the names of entries of the file.
        headers: sent with each request to the URL.
        env: variables for the command's process, beside PATH, HOME and the few that the SDK hands on.
        only: the tools that are offered, by the server's own names, or patterns such as "read_*"; for one server.
        exclude: tools that are not; for one server.
        prefix: put before the tools' names, for the model.
        require_approval: True: each call asks the reader; False: none asks, unless results of another server are in
            the conversation; None: each asks, but those of a trusted server that are read-only.
        timeout_s: seconds of silence after which a call has failed; default 60. Progress that the server tells is no
            silence.
        trust: whether what the server says of its tools (read-only, destructive) is believed.

    Returns:
        An `McpServer`; of a file with several entries, `McpServers`, a sequence of them. An entry that cannot be used
        is left out of it, and named in a warning.

    Raises:
        ConfigError: the target is none; the file cannot be read; a setting of amber_nb would go to the server.
        TypeError: an argument has the wrong type, or there is no such keyword.

    Example:
        >>> files = mcp("npx", "-y", "@modelcontextprotocol/server-filesystem", ".")
        >>> amber.ask("Which notebooks are here?", tools=[amber.mcp, files])
    """
    # At once, under the same name: a verbose traceback prints a frame's variables.
    target, arguments = conceal(target), conceal(arguments)
    headers = SecretHeaders(headers) if isinstance(headers, Mapping) else headers
    env = SecretHeaders(env) if isinstance(env, Mapping) else env
    unknown = conceal(unknown)
    with short_traceback:
        refuse_unknown("mcp", unknown, KEYWORDS)
        check_seconds("timeout_s", timeout_s)
        if not isinstance(trust, bool):
            raise TypeError("trust must be True or False")
        options = change_options(
            ServerOptions(timeout_s=timeout_s or SILENCE_S, trust=trust),
            only=only,
            exclude=exclude,
            prefix=prefix,
            require_approval=require_approval,
        )
        targets = read_targets(target, arguments, headers=headers, env=env)
        several = len(targets) > 1 or bool(targets.faults)
        # A server without such a tool would be an error of its own.
        if several and (options.only is not None or options.exclude):
            raise ConfigError(
                "only= and exclude= are for one server, and these are several: name one of them, as in "
                f"mcp(…, {targets.names[0]!r}, only=…)."
            )
        for fault in targets.faults.values():
            tell(newest_session(), f"{fault} This server is left out.")
        servers = [McpServer(each, options) for each in targets]
        return McpServers(servers, targets.names, targets.faults) if several else servers[0]


def _show_parameters() -> inspect.Signature:
    """Return the signature of `mcp` for help and completion: what it refuses is none of its parameters."""
    own = inspect.signature(mcp)
    kept = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    return own.replace(parameters=[kept[0].replace(default=inspect.Parameter.empty), *kept[1:]])


mcp.__signature__ = _show_parameters()  # type: ignore[attr-defined]
KEYWORDS = tuple(inspect.signature(mcp).parameters)[2:]


def amber_server(config: Config, session: CassetteSession | None) -> McpServer:
    """Return the MCP server that the gateway's domain serves, reached with the gateway's key."""
    # What a proxy before the gateway wants, it wants here, too; another host gets none of it.
    own = config.headers if same_origin(config.mcp_url, config.base_url) else {}
    key = config.mcp_key or config.api_key
    headers = SecretHeaders({**own, "Authorization": f"Bearer {key.reveal()}"})
    target = Target(name=AMBER, url=config.mcp_url, headers=headers, transport="http")
    # What it says of itself is believed of the domain's own alone, not of what AMBER_MCP_URL may name elsewhere.
    options = ServerOptions(trust=within_host(config.mcp_url, config.base_url))
    return McpServer(target, options, config=config, session=lambda: session)


class McpServers(Sequence[McpServer]):
    """Several MCP servers, such as all of a file: they go into `tools=` as one.

    Args:
        servers: the servers.
        names: of each in its file, where they have other ones there.
        faults: why servers of the file are left out, by their names there.
    """

    def __init__(
        self, servers: Iterable[McpServer], names: Sequence[str] = (), faults: Mapping[str, str] | None = None
    ) -> None:
        self._servers = tuple(servers)
        self._names = tuple(names) or tuple(server.name for server in self._servers)
        self._faults = dict(faults or {})

    @overload
    def __getitem__(self, index: int | str) -> McpServer: ...
    @overload
    def __getitem__(self, index: slice) -> McpServers: ...
    def __getitem__(self, index: int | str | slice) -> McpServer | McpServers:
        if isinstance(index, slice):
            return McpServers(self._servers[index], self._names[index], self._faults)
        if isinstance(index, str):
            with short_traceback:
                return self._find(index)
        return self._servers[index]

    def _find(self, name: str) -> McpServer:
        """Return the server of a name: as the file has it, as it is shown, or as it would be shown."""
        if name in self._names:
            return self._servers[self._names.index(name)]
        for shown in (name, clean_name(name)):
            if found := [server for server in self._servers if server.name == shown]:
                return found[0]
        if fault := next((fault for each, fault in self._faults.items() if clean_name(each) == clean_name(name)), ""):
            raise ConfigError(fault)
        raise KeyError(f"{name!r}; there are: {', '.join(server.name for server in self._servers)}")

    def __len__(self) -> int:
        return len(self._servers)

    def __iter__(self) -> Iterator[McpServer]:
        return iter(self._servers)

    if not TYPE_CHECKING:  # a checker would take any attribute for one that is there

        @short_traceback
        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or not self._names:
                return object.__getattribute__(self, name)
            verb = f".{name}" if hasattr(McpServer, name) else ""
            server = name if name in self._names else self._names[0]
            text = f"These are {len(self)} MCP servers: take one of them, as in servers[{server!r}]{verb}."
            raise AttributeError(text, name=None)  # None: Python adds no guess of its own

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self._servers))

    def __str__(self) -> str:
        return "\n".join(str(server).partition("\n")[0] for server in self._servers)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        bundles = [server._repr_mimebundle_() for server in self._servers]
        return {
            "text/html": "".join(bundle["text/html"] for bundle in bundles),
            "text/plain": "\n\n".join(bundle["text/plain"] for bundle in bundles),
        }

    def close(self) -> None:
        """Close the connections of all."""
        for server in self._servers:
            server.close()

    def __enter__(self) -> McpServers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()  # of all at once; then each is waited for
        for server in self._servers:
            server.__exit__(*error)
