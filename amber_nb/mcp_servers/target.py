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
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from ..errors import ConfigError
from ..redact import SecretHeaders, is_secret, scrub
from .command_name import find_launcher, is_address, name_command, reduce_command
from .concealed import ConcealedText, conceal
from .log_filter import hide_in_logs
from .server_file import expand_text, find_workspace, read_server_file

__all__ = ["Target", "Targets", "check_url", "clean_name", "is_loopback", "read_targets"]

_KEYS = ("mcpServers", "servers", "mcp_servers")
_URL_KEYS = ("url", "serverUrl", "httpUrl")
_PORTS = {"http": 80, "https": 443}
_WORDS = "Give the words of a command one by one"
_NOT_IN_URLS = re.compile(r"[\s\x00-\x1f\x7f]")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_MAX_NAME = 60
_MAX_NAMED = 20  # entries that an error lists
_MAX_FAULTS = 3  # of entries, in one error
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


class Targets(list[Target]):
    """The targets of one `mcp(…)`.

    Attributes:
        names: of each, as the file has it.
        faults: why entries of the file are left out, by their names there.
    """

    def __init__(
        self, targets: Iterable[Target], names: Iterable[str] = (), faults: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(targets)
        self.names = tuple(names) or tuple(target.name for target in self)
        self.faults = dict(faults or {})


def read_targets(
    target: Any,
    arguments: Sequence[str] = (),
    *,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Targets:
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
    headers = SecretHeaders(_check_texts(headers, "headers"))
    env = SecretHeaders(_check_texts(env, "env"))
    _refuse_own_settings(env)
    if isinstance(target, (list, tuple)) or any(isinstance(argument, (list, tuple)) for argument in arguments):
        raise TypeError("mcp() takes the words of a command one by one, not as a list: write mcp(*words)")
    if not all(isinstance(argument, (str, os.PathLike)) for argument in arguments):
        raise TypeError("the arguments of a server's command must be strings")
    texts = conceal([os.fspath(argument) for argument in arguments])
    if isinstance(target, Mapping):
        return _read_entries(target, texts, "this dict", Path("mcp.json"), headers, env)
    text = ConcealedText(target.strip() if isinstance(target, str) else "")
    if "://" in text:
        if texts:
            raise ConfigError("A server with a URL takes no arguments: those are for a command.")
        return Targets([_from_url(text, headers, env)])
    if text or isinstance(target, os.PathLike):
        _refuse_script(text or os.fspath(target), env, is_text=bool(text))
    if isinstance(target, os.PathLike) or text.lower().endswith((".json", ".jsonc")):
        path = Path(text or target)
        # As it was typed; an absolute path is mostly made of parts, and may hold the reader's name.
        name = path.name if path.is_absolute() else str(text or target)
        content = read_server_file(path, name)
        if not isinstance(content, Mapping):
            raise ConfigError(f"The file {name} holds no JSON object.")
        return _read_entries(content, texts, name, path, headers, env)
    if isinstance(target, str):
        _check_word(text, texts, env)
        return Targets([_from_command((text, *texts), headers, env)])
    if any(cls.__module__.partition(".")[0] == "mcp" for cls in type(target).__mro__):
        if texts or headers or env:
            raise TypeError("a server of this process takes no arguments, headers= or env=")
        return Targets([Target(name=clean_name(str(getattr(target, "name", ""))) or "server", server=target)])
    raise TypeError(
        "mcp() takes a URL, a command with its arguments, the path of a JSON file with mcpServers, or a dict of that "
        f"form, not {type(target).__name__}"
    )


def _refuse_script(path: str, env: Mapping[str, str], *, is_text: bool) -> None:
    """Raise an error for a script that another program must start; a text may also be one that starts by itself."""
    launcher = "" if is_text and _is_several_words(path, ()) else find_launcher(path)
    if launcher and not (is_text and os.name != "nt" and _is_found(path, env)):
        name = f"{'…/' if os.path.dirname(path) else ''}{os.path.basename(path)}"
        raise ConfigError(
            f"A {os.path.splitext(name)[1]} file is started by another program: mcp({launcher}, {name!r})."
        )


def _check_word(text: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """Raise an error where the first word of a command is something else: nothing, a folder, several words, a URL."""
    if not text:
        raise ConfigError("An MCP server needs a URL, a command or a file; this is an empty string.")
    if _is_several_words(text, arguments):
        raise ConfigError(f"{_WORDS}: mcp('npx', '-y', '…'), not in one string.")
    if _is_found(text, env):
        return
    if os.path.isdir(text):
        raise ConfigError("This is a folder: an MCP server needs a URL, a command or a file.")
    if is_address(text) and not os.path.exists(text):
        raise ConfigError("A URL begins with https:// (or http:// on this machine), and no command has this name.")


def _is_found(word: str, env: Mapping[str, str]) -> bool:
    """Return whether a word is a command on the PATH, or a program that can be started."""
    return "\0" not in word and shutil.which(word, path=env.get("PATH")) is not None


def _is_several_words(command: str, arguments: Sequence[str]) -> bool:
    """Return whether a command's program and arguments stand in one text; a path may hold a space itself."""
    first, separator, _ = command.partition(" ")
    return bool(separator) and not os.path.exists(command) and not (arguments and re.search(r"[\\/]", first))


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
        return "must begin with https:// (or http:// on this machine) and name a host"
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
    name = clean_name(parts.hostname or "") or "server"
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
        name=name or clean_name(name_command(words)) or "server", command=tuple(words), env=env, folder=folder
    )


def _read_entries(
    content: Mapping[str, Any],
    names: list[str],
    where: str,
    path: Path,
    headers: Mapping[str, str],
    env: Mapping[str, str],
) -> Targets:
    """Read entries of a file: those that are named, or all; of all, one that cannot be used costs only itself."""
    if not {"command", *_URL_KEYS}.isdisjoint(content):  # one entry, without a name of its own
        entries: Mapping[str, Any] = {"": content}
    else:
        entries = next((content[key] for key in _KEYS if isinstance(content.get(key), Mapping)), {})
    if not entries or not all(isinstance(name, str) for name in entries):
        raise ConfigError(f"{where} has no mcpServers: {{'mcpServers': {{'name': {{'command': …}}}}}} is the form.")
    named = [_find_entry(str(name), entries, where) for name in names]  # not concealed: errors name them
    chosen = list(dict.fromkeys(named)) or [name for name, entry in entries.items() if not _is_disabled(entry)]
    if not chosen:
        raise ConfigError(f"All servers of {where} are disabled. To take one all the same, name it.")
    if (headers or env) and len(chosen) > 1:  # else each stranger would get the key of one
        raise ConfigError(f"headers= and env= are for one server, and {where} has {len(chosen)}: name one of them.")
    workspace, targets, faults = find_workspace(path), {}, {}
    for name in chosen:
        try:
            targets[name] = _read_entry(name, entries[name], where, workspace, headers, env)
        except ConfigError as error:
            if named or len(chosen) == 1:
                raise
            faults[name] = str(error)
    if not targets:
        raise ConfigError(f"No server of {where} can be used. {' '.join(list(faults.values())[:_MAX_FAULTS])}")
    return Targets(_name_apart(targets), targets, faults)


def _find_entry(name: str, entries: Mapping[str, Any], where: str) -> str:
    """Return the name of an entry as the file has it, for that or for the name that its server has here."""
    found = [name] if name in entries else [each for each in entries if clean_name(each) == clean_name(name)]
    if len(found) != 1:
        known = ", ".join(map(repr, list(entries)[:_MAX_NAMED]))
        raise ConfigError(f"{where} has no server {name!r}. There are: {known}.")
    return found[0]


def _name_apart(targets: Mapping[str, Target]) -> list[Target]:
    """Return the targets with a number at the end of a name that another one has: recordings are kept by names.

    Args:
        targets: by their names in the file; one that is called here as it is there keeps that name.
    """
    taken = {target.name for name, target in targets.items() if target.name == name}
    names = {target.name for target in targets.values()}
    apart = []
    for name, target in targets.items():
        new, number = target.name, 1
        while target.name != name and (new in taken or (number > 1 and new in names)):
            number += 1
            new = f"{target.name}-{number}"
        taken.add(new)
        apart.append(replace(target, name=new))
    return apart


def _is_disabled(entry: Any) -> bool:
    return isinstance(entry, Mapping) and (entry.get("disabled") is True or entry.get("enabled") is False)


def _read_entry(
    name: str, entry: Any, where: str, workspace: Path, headers: Mapping[str, str], env: Mapping[str, str]
) -> Target:
    """Read an entry of a file; each error begins with its name."""
    try:
        if not isinstance(entry, Mapping):
            raise ConfigError("this is no JSON object")
        url = next(filter(None, (_check_text(entry.get(key), key) for key in _URL_KEYS)), None)
        if url is not None:
            return _read_url_entry(name, url, entry, workspace, headers, env)
        return _read_command_entry(name, entry, workspace, headers, env)
    except (ConfigError, TypeError) as error:
        said = str(error).removesuffix(".")
    raise ConfigError(f"{where}, server {name!r}: {said}." if name else f"{where}: {said}.")


def _read_url_entry(
    name: str, url: str, entry: Mapping[str, Any], workspace: Path, headers: Mapping[str, str], env: Mapping[str, str]
) -> Target:
    kind = str(entry.get("type") or entry.get("transport") or "").lower()
    transport = "sse" if kind == "sse" else "http" if "http" in kind else None
    # Its "env" is nobody's, and is ignored: Cursor's documentation has shown entries with both.
    both = _join(entry, "headers", headers, workspace)
    return _from_url(expand_text(url, workspace), both, env, clean_name(name), transport)


def _read_command_entry(
    name: str, entry: Mapping[str, Any], workspace: Path, headers: Mapping[str, str], env: Mapping[str, str]
) -> Target:
    arguments = _check_list(entry.get("args"), "args")
    command, folder = (_check_text(entry.get(key), key) for key in ("command", "cwd"))
    if command is None:
        raise ConfigError("it has neither a command nor a url")
    if _check_texts(entry.get("headers"), "headers"):
        raise ConfigError("headers are for a server with a url; a command's process gets env")
    _refuse_own_settings(_check_texts(entry.get("env"), "env"))
    command = expand_text(command, workspace)
    if _is_several_words(command, arguments):
        raise ConfigError(f"{_WORDS}: {{'command': 'npx', 'args': ['-y', '…']}}, not in one string")
    return _from_command(
        (command, *(expand_text(each, workspace) for each in arguments)),
        headers,
        _join(entry, "env", env, workspace),
        clean_name(name),
        folder and expand_text(folder, workspace),
    )


def _join(entry: Mapping[str, Any], key: str, given: Mapping[str, str], workspace: Path) -> SecretHeaders:
    """Return headers or variables of an entry, and those that are given in their place: the entry's are not read then.

    So a value that another program asks its user for, `${input:…}`, can be given.
    """
    own, fold = _check_texts(entry.get(key), key), str.casefold if key == "headers" else str
    names = {fold(name) for name in given}
    read = {name: expand_text(text, workspace) for name, text in own.items() if fold(name) not in names}
    return SecretHeaders({**read, **given})


def _refuse_own_settings(env: Mapping[str, str]) -> None:
    if own := [name for name in env if name.upper().startswith("AMBER_")]:
        raise ConfigError(f"{own[0]} is a setting of amber_nb, and no server gets one: leave it out of env.")


def _check_texts(value: Any, name: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise TypeError(f"{name} must map strings to strings")
    return value


def _check_list(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} must be a list of strings")
    return list(value)


def _check_text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string")
    return value or None


def clean_name(name: str) -> str:
    """Return the name of a server here, for that in a file: without spaces, slashes and the like."""
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
