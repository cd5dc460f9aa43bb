"""Say where an MCP server is: a URL, a command, an entry of an `mcpServers` file, or an object of this process.

The file is as other tools keep it: https://modelcontextprotocol.io/docs/develop/connect-local-servers and VS Code's,
whose key is `servers`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from ..config import expand_variables
from ..errors import ConfigError
from ..redact import SecretHeaders, is_secret, scrub
from .command_name import name_command, reduce_command
from .concealed import ConcealedText, conceal
from .log_filter import hide_in_logs

__all__ = ["Target", "check_url", "is_loopback", "read_targets"]

_KEYS = ("mcpServers", "servers", "mcp_servers")
_URL_KEYS = ("url", "serverUrl", "httpUrl")
_PORTS = {"http": 80, "https": 443}
_NOT_IN_URLS = re.compile(r"[\s\x00-\x1f\x7f]")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_MAX_NAME = 60
_MAX_NAMED = 20  # entries that an error lists
_OWN_NAME = "amber"  # of the domain's own server: no other one may look like it
_MIN_SECRET = 4  # characters of a value that its name calls a secret
_MIN_VALUE = 8  # of any other value: "info" and "true" are in many texts
_MAX_AT_ONCE = 100
_WORD = re.compile(r"[a-z]{1,15}|[A-Z]{1,15}|[\d.,:-]{1,15}")  # too common to be hidden wherever it stands
_NO_TEXTS = {
    *("name", "uri", "uriTemplate", "type", "role", "mimeType", "data", "blob", "inputSchema", "outputSchema"),
    *("nextCursor", "resultType"),
}
_KEY_IN_PATH = re.compile(r"(?=.*\d)[\w-]{20,}")  # an address may hold its key in its path


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

    def __post_init__(self) -> None:
        if self.url is not None and (secrets := self.rare_secrets):
            with contextlib.suppress(httpx2.InvalidURL):
                query = httpx2.URL(self.url).query.decode()  # as it is sent and logged
                secrets |= {query} if len(query) >= _MIN_VALUE else set()
            hide_in_logs(secrets)

    def __repr__(self) -> str:  # arguments and URLs may hold keys
        return f"Target({self.name!r})"

    @property
    def secrets(self) -> set[str]:
        """What no message may repeat: values of headers and environment, keys in the URL and in arguments."""
        url = urlsplit(self.url or "")
        bare = [(name, text.partition(" ")[2]) for name, text in self.headers.items()]  # "Bearer …"
        named = [*self.headers.items(), *bare, *self.env.items(), *parse_qsl(url.query)]
        named += _read_secret_options(self.command)
        found = {text for name, text in named if _is_secret_value(name, text)}
        paths = {part for part in url.path.split("/") if _KEY_IN_PATH.fullmatch(part)}
        return found | paths | ({url.query} if len(url.query) >= _MIN_VALUE else set())

    @property
    def rare_secrets(self) -> set[str]:
        """The secrets that are no common word, so that they can be hidden in names and addresses, too."""
        return {secret for secret in self.secrets if not _WORD.fullmatch(secret)}

    def scrub(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the server answered without its secrets; a password such as "postgres" stays in tools' names."""
        secrets, rare = self.secrets, self.rare_secrets
        scrubbed: dict[str, Any] = _scrub_all(answer, rare)
        if "nextCursor" in answer:  # nobody sees it but the server
            scrubbed["nextCursor"] = answer["nextCursor"]
        return _scrub_texts(scrubbed, secrets - rare) if secrets != rare else scrubbed

    @property
    def digest(self) -> str:
        """What tells the server from others of its name in recordings, on any machine: without its keys and folders."""
        parts: list[str] = [self.name]  # of a server of this process, nothing else is the same in another one
        if self.url is not None:
            url = urlsplit(self.url)
            port = url.port or _PORTS.get(url.scheme)
            parts = [url.scheme, url.hostname or "", str(port), url.path.rstrip("/")]
        elif self.command:
            parts = reduce_command([self.command[0], *([self.folder] if self.folder else []), *self.command[1:]])
        text = json.dumps(_scrub_all(parts, self.secrets))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


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
    target, arguments = conceal(target), conceal(arguments)  # at once: a verbose traceback prints a frame's variables
    headers = SecretHeaders(_texts(headers, "headers"))
    env = SecretHeaders(_texts(env, "env"))
    _refuse_own_settings(env)
    if not all(isinstance(argument, (str, os.PathLike)) for argument in arguments):
        raise TypeError("the arguments of a server's command must be texts")
    texts = conceal([os.fspath(argument) for argument in arguments])
    if isinstance(target, Mapping):
        return _read_entries(target, texts, "this dict", headers, env)
    text = ConcealedText(target.strip() if isinstance(target, str) else "")
    if "://" in text:
        if texts:
            raise ConfigError("A server with a URL takes no arguments: those are for a command.")
        return [_from_url(text, headers, env)]
    if isinstance(target, os.PathLike) or text.endswith(".json"):
        return _read_file(Path(text or target), texts, headers, env)
    if isinstance(target, str):
        if not text:
            raise ConfigError("An MCP server needs a URL, a command or a file; this is an empty text.")
        if " " in text and not texts and not os.path.exists(text):
            raise ConfigError("Give the words of a command one by one: mcp('npx', '-y', '…'), not in one text.")
        return [_from_command((text, *texts), headers, env)]
    if any(cls.__module__.partition(".")[0] == "mcp" for cls in type(target).__mro__):
        if texts or headers or env:
            raise TypeError("a server of this process takes no arguments, headers= or env=")
        return [Target(name=_clean_name(str(getattr(target, "name", ""))) or "server", server=target)]
    raise TypeError(
        "mcp() takes a URL, a command with its arguments, the path of a JSON file with mcpServers, or a dict of that "
        f"form, not {type(target).__name__}"
    )


def check_url(url: str, where: str) -> str:
    """Return the URL of a server; raise a ConfigError, which does not repeat it, where it cannot be one."""
    url = ConcealedText(url.strip())
    if fault := _find_fault(url):
        raise ConfigError(f"The URL of the MCP server ({where}) {fault}.")
    return url


def _find_fault(url: str) -> str:
    """Return what is wrong with a URL, in a frame that raises nothing: its parts are in clear here."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        httpx2.URL(url)  # which knows more of what a host may be
    except (ValueError, httpx2.InvalidURL):
        return "is not a URL"
    if _NOT_IN_URLS.search(url):
        return "holds a space or a control character"
    if parts.scheme not in ("http", "https") or not host:
        return "must begin with https:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user or password: take headers="
    return ""


def is_loopback(url: str) -> bool:
    """Return whether a URL is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _from_url(
    url: str, headers: Mapping[str, str], env: Mapping[str, str], name: str = "", transport: str | None = None
) -> Target:
    if env:
        raise ConfigError("A server with a URL takes no env=: that is for a command.")
    url = check_url(url, f"entry {name!r}" if name else "mcp(…)")
    if headers and urlsplit(url).scheme == "http" and not is_loopback(url):
        raise ConfigError("A header may be a key, and over plain http it can be read on the way: take https://.")
    return Target(name=name or _name_url(url), url=url, headers=headers, transport=transport)


def _name_url(url: str) -> str:
    """Return the host of a URL, and its port where that is not its scheme's: a machine may serve several."""
    parts = urlsplit(url)
    name = _clean_name(parts.hostname or "") or "server"
    return name if parts.port in (None, _PORTS.get(parts.scheme)) else f"{name}:{parts.port}"


def _from_command(
    words: Sequence[str],
    headers: Mapping[str, str],
    env: Mapping[str, str],
    name: str = "",
    folder: str | None = None,
) -> Target:
    if headers:
        raise ConfigError("headers= are for a server with a URL; a command's process gets env=.")
    if any("\0" in text for text in (*words, *env, *env.values(), folder or "")):
        raise ConfigError("A command, its arguments and its env hold no null characters.")
    return Target(
        name=name or _clean_name(name_command(words)) or "server", command=tuple(words), env=env, folder=folder
    )


def _read_file(path: Path, names: list[str], headers: Mapping[str, str], env: Mapping[str, str]) -> list[Target]:
    try:
        content = conceal(json.loads(path.expanduser().read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise ConfigError(f"The file {path.name} cannot be read ({error.strerror or type(error).__name__}).") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"The file {path.name} is no JSON (comments and trailing commas are none).") from None
    except RuntimeError:  # of expanduser
        raise ConfigError(f"The file {path.name} cannot be read: its path begins with an unknown user.") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"The file {path.name} holds no JSON object.")
    return _read_entries(content, names, path.name, headers, env)


def _read_entries(
    content: Mapping[str, Any], names: list[str], where: str, headers: Mapping[str, str], env: Mapping[str, str]
) -> list[Target]:
    names = [str(name) for name in names]  # not concealed: errors name them
    if not {"command", *_URL_KEYS}.isdisjoint(content):  # one entry, without a name of its own
        entries: Mapping[str, Any] = {"": content}
    else:
        entries = next((content[key] for key in _KEYS if isinstance(content.get(key), Mapping)), {})
    if not entries or not all(isinstance(name, str) for name in entries):
        raise ConfigError(f"{where} has no mcpServers: {{'mcpServers': {{'name': {{'command': …}}}}}} is the form.")
    if missing := [name for name in names if name not in entries]:
        known = ", ".join(map(repr, list(entries)[:_MAX_NAMED]))
        raise ConfigError(f"{where} has no server {missing[0]!r}. There are: {known}.")
    chosen = list(dict.fromkeys(names)) or [name for name, entry in entries.items() if not _is_disabled(entry)]
    if not chosen:
        raise ConfigError(f"All servers of {where} are disabled. To take one all the same, name it.")
    if (headers or env) and len(chosen) > 1:  # else each stranger would get the key of one
        raise ConfigError(f"headers= and env= are for one server, and {where} has {len(chosen)}: name one of them.")
    targets = [_read_entry(name, entries[name], where, headers, env) for name in chosen]
    return _name_apart(targets)


def _name_apart(targets: Sequence[Target]) -> list[Target]:
    """Return the targets with a number at the end of a name that another one has: recordings are kept by names."""
    named: dict[str, Target] = {}
    for target in targets:
        name, number = target.name, 1
        while name in named or (number > 1 and any(name == each.name for each in targets)):
            number += 1
            name = f"{target.name}-{number}"
        named[name] = replace(target, name=name)
    return list(named.values())


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
        url = next(filter(None, (_text(entry.get(key), key) for key in _URL_KEYS)), None)
        command, folder = (_text(entry.get(key), key) for key in ("command", "cwd"))
    except TypeError as error:
        raise ConfigError(f"{what}: {error}.") from None
    _refuse_own_settings(own_env)
    kind = str(entry.get("type") or entry.get("transport") or "").lower()
    if url is not None:
        transport = "sse" if kind == "sse" else "http" if "http" in kind else None
        return _from_url(
            _expand_text(url, what), SecretHeaders({**own_headers, **headers}), env, _clean_name(name), transport
        )
    if command is None:
        raise ConfigError(f"{what}: it has neither a command nor a url.")
    return _from_command(
        (_expand_text(command, what), *arguments),
        headers,
        SecretHeaders({**own_env, **env}),
        _clean_name(name),
        folder and _expand_text(folder, what),
    )


def _expand(texts: Mapping[str, str], where: str) -> SecretHeaders:
    return SecretHeaders({name: _expand_text(text, where) for name, text in texts.items()})


def _expand_text(text: str, where: str) -> str:
    try:
        return ConcealedText(expand_variables(text))
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


def _clean_name(name: str) -> str:
    name = _NOT_IN_NAMES.sub("-", name).strip("-.")[:_MAX_NAME]
    return f"other-{name}" if name.casefold() == _OWN_NAME else name


def _read_secret_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the values among a command's words whose name says that they are secret: `--token …`, `TOKEN=…`."""
    for word, following in zip(words, (*words[1:], ""), strict=False):
        name, separator, text = word.partition("=")
        if is_secret(name.lstrip("-")) and (separator or word.startswith("-")):
            yield name, text if separator else following


def _scrub_all(value: Any, secrets: Iterable[str]) -> Any:
    """Replace secrets in a JSON value, however many there are: of more than 100, `scrub` would hide all texts."""
    ordered = sorted(secrets, key=len, reverse=True)
    for start in range(0, len(ordered), _MAX_AT_ONCE):
        value = scrub(value, set(ordered[start : start + _MAX_AT_ONCE]))
    return value


def _scrub_texts(value: Any, words: set[str]) -> Any:
    """Replace words in a JSON value, but in what a client must send back or understand as it is."""
    if isinstance(value, Mapping):
        return {name: item if name in _NO_TEXTS else _scrub_texts(item, words) for name, item in value.items()}
    if isinstance(value, list):
        return [_scrub_texts(item, words) for item in value]
    return _scrub_all(value, words) if isinstance(value, str) else value


def _is_secret_value(name: str, text: str) -> bool:
    """Return whether a value is to be hidden wherever a text repeats it: not where it is a common word or number."""
    if is_secret(name):
        return len(text) >= _MIN_SECRET
    return len(text) >= _MIN_VALUE and not _WORD.fullmatch(text)
