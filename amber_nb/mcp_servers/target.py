"""Say where an MCP server is: a URL, a command, an entry of an `mcpServers` file, or an object of this process.

The file is as other tools keep it: https://modelcontextprotocol.io/docs/develop/connect-local-servers and VS Code's,
whose key is `servers`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from ..config import expand_variables
from ..errors import ConfigError
from ..redact import SecretHeaders

__all__ = ["Target", "check_url", "read_targets"]

_KEYS = ("mcpServers", "servers", "mcp_servers")
_LAUNCHERS = re.compile(
    r"(?:npx|pnpx|bunx|uvx|pipx|uv|node|deno|bun|python[\d.]*|pythonw|py|docker|podman|bash|sh|env)(?:\.exe|\.cmd)?"
)
_VERBS = ("run", "tool", "exec", "dlx", "-m", "x")  # between a launcher and what it launches
_SUFFIX = re.compile(r"\.(?:py|js|mjs|cjs|ts|sh|exe|cmd|bat)$")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_MAX_NAME = 60


@dataclass(frozen=True, repr=False)
class Target:
    """One MCP server: its name here, and how it is reached.

    Attributes:
        name: for readers and recordings: neither a path nor what the server says of itself.
        url: of a server that is reached over HTTP, or None.
        headers: sent with each of its requests.
        transport: "http", "sse", or None for what answers.
        command: of a server that is started, with its arguments; empty without one.
        env: added to the minimal environment of the process.
        folder: where it is started; None: here.
        server: an `MCPServer` or a `Server` of the SDK in this process, or None.
    """

    name: str
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=SecretHeaders)
    transport: str | None = None
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=SecretHeaders)
    folder: str | None = None
    server: Any = None

    def __repr__(self) -> str:  # arguments and URLs may hold keys
        return f"Target({self.name!r})"

    @property
    def secrets(self) -> set[str]:
        """What no message may repeat: the values of headers and environment, and the URL's query."""
        query = {urlsplit(self.url).query} if self.url else set()
        values = {*self.headers.values(), *self.env.values(), *query}
        bare = {value.partition(" ")[2] for value in self.headers.values()}  # "Bearer …"
        return {value for value in values | bare if len(value) >= 4}


def read_targets(
    target: Any,
    arguments: Sequence[str] = (),
    *,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> list[Target]:
    """Read the first arguments of `mcp`.

    Args:
        target: a URL, a command, the path of a JSON file, a dict of its form, or a server of the SDK.
        arguments: of the command; or the names of entries of the file.
        headers: sent to a URL.
        env: for a command's process.

    Raises:
        ConfigError: it is no such thing; the file cannot be read; a setting of amber_nb would go to the server.
        TypeError: an argument has the wrong type.
    """
    headers = SecretHeaders(_texts(headers, "headers"))
    env = SecretHeaders(_texts(env, "env"))
    _refuse_own_settings(env)
    if not all(isinstance(argument, (str, os.PathLike)) for argument in arguments):
        raise TypeError("the arguments of a server's command must be texts")
    texts = [os.fspath(argument) for argument in arguments]
    if isinstance(target, Mapping):
        return list(_read_entries(target, texts, "this dict", headers, env))
    if isinstance(target, os.PathLike) or (isinstance(target, str) and target.endswith(".json")):
        return list(_read_file(Path(target).expanduser(), texts, headers, env))
    if isinstance(target, str):
        text = target.strip()
        if "://" in text:
            if texts or env:
                raise ConfigError("A server with a URL takes neither arguments nor env=: those are for a command.")
            return [_from_url(text, headers)]
        if not text:
            raise ConfigError("An MCP server needs a URL, a command or a file; this is an empty text.")
        if headers:
            raise ConfigError("headers= are for a server with a URL; a command's process gets env=.")
        if " " in text and not texts and not Path(text).exists():
            raise ConfigError("Give the words of a command one by one: mcp('npx', '-y', '…'), not in one text.")
        return [Target(name=_command_name([text, *texts]), command=(text, *texts), env=env)]
    if hasattr(target, "list_tools") or hasattr(target, "lifespan"):
        if texts or headers or env:
            raise TypeError("a server of this process takes no arguments, headers= or env=")
        return [Target(name=_clean(str(getattr(target, "name", "") or "server")), server=target)]
    raise TypeError(
        "mcp() takes a URL, a command with its arguments, the path of a JSON file with mcpServers, or a dict of that "
        f"form, not {type(target).__name__}"
    )


def check_url(url: str, where: str) -> str:
    """Return the URL of a server; raise a ConfigError, which does not repeat it, where it cannot be one."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"The URL of the MCP server ({where}) is none.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"The URL of the MCP server ({where}) must begin with https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"The URL of the MCP server ({where}) must not carry a user or password: take headers=.")
    return url.strip()


def is_loopback(url: str) -> bool:
    """Return whether a URL is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _from_url(url: str, headers: Mapping[str, str], name: str = "", transport: str | None = None) -> Target:
    url = check_url(url, f"entry {name!r}" if name else "mcp(…)")
    if headers and url.startswith("http://") and not is_loopback(url):
        raise ConfigError("A header may be a key, and over plain http it can be read on the way: take https://.")
    name = name or _clean(urlsplit(url).hostname or "server")
    return Target(name=name, url=url, headers=headers, transport=transport)


def _read_file(path: Path, names: list[str], headers: Mapping[str, str], env: Mapping[str, str]) -> Iterator[Target]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"The file {path.name} cannot be read ({error.strerror or type(error).__name__}).") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"The file {path.name} is no JSON.") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"The file {path.name} holds no JSON object.")
    yield from _read_entries(content, names, path.name, headers, env)


def _read_entries(
    content: Mapping[str, Any], names: list[str], where: str, headers: Mapping[str, str], env: Mapping[str, str]
) -> Iterator[Target]:
    if "command" in content or "url" in content:  # one entry, without a name of its own
        entries: Mapping[str, Any] = {"": content}
    else:
        entries = next((content[key] for key in _KEYS if isinstance(content.get(key), Mapping)), {})
    if not entries:
        raise ConfigError(f"{where} has no mcpServers: {{'mcpServers': {{'name': {{'command': …}}}}}} is the form.")
    if missing := [name for name in names if name not in entries]:
        raise ConfigError(f"{where} has no server {missing[0]!r}. There are: {', '.join(map(repr, entries))}.")
    chosen = names or [name for name, entry in entries.items() if not _is_disabled(entry)]
    for name in chosen:
        yield _read_entry(name, entries[name], where, headers, env)


def _is_disabled(entry: Any) -> bool:
    return isinstance(entry, Mapping) and (entry.get("disabled") is True or entry.get("enabled") is False)


def _read_entry(name: str, entry: Any, where: str, headers: Mapping[str, str], env: Mapping[str, str]) -> Target:
    what = f"{where}, server {name!r}" if name else where
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{what}: this is no JSON object.")
    try:
        own_headers = _expand(_texts(entry.get("headers"), "headers"), what)
        own_env = _expand(_texts(entry.get("env"), "env"), what)
        arguments = [_expand_text(each, what) for each in _list_of_texts(entry.get("args"), "args")]
        url, command, folder = (_text(entry.get(key), key) for key in ("url", "command", "cwd"))
    except TypeError as error:
        raise ConfigError(f"{what}: {error}.") from None
    _refuse_own_settings(own_env)
    kind = str(entry.get("type") or entry.get("transport") or "").lower()
    if url is not None:
        transport = "sse" if kind == "sse" else "http" if "http" in kind else None
        return _from_url(_expand_text(url, what), SecretHeaders({**own_headers, **headers}), _clean(name), transport)
    if command is None:
        raise ConfigError(f"{what}: it has neither a command nor a url.")
    words = (_expand_text(command, what), *arguments)
    return Target(
        name=_clean(name) or _command_name(words),
        command=words,
        env=SecretHeaders({**own_env, **env}),
        folder=folder and _expand_text(folder, what),
    )


def _expand(texts: Mapping[str, str], where: str) -> SecretHeaders:
    return SecretHeaders({name: _expand_text(text, where) for name, text in texts.items()})


def _expand_text(text: str, where: str) -> str:
    try:
        return expand_variables(text)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _refuse_own_settings(env: Mapping[str, str]) -> None:
    if own := [name for name in env if name.upper().startswith("AMBER_")]:
        raise ConfigError(f"{own[0]} is a setting of amber_nb, and no server gets one: leave it out of env.")


def _texts(value: Any, name: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise TypeError(f"{name} must map texts to texts")
    return value


def _list_of_texts(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} must be a list of texts")
    return list(value)


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a text")
    return value or None


def _command_name(words: Sequence[str]) -> str:
    """Return a name for a command: that of what a launcher such as npx launches; never a path."""
    first = PurePath(words[0].replace("\\", "/")).name
    if _LAUNCHERS.fullmatch(first) and not {"-c", "-e"} & set(words):
        rest = [word for word in words[1:] if word in _VERBS or not word.startswith("-")]
        launched = next((word for word in rest if word not in _VERBS), first)
        first = launched.replace("\\", "/").rstrip("/").rpartition("/")[2].split("@")[0] or launched
    return _clean(_SUFFIX.sub("", first)) or "server"


def _clean(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name).strip("-.")[:_MAX_NAME]
