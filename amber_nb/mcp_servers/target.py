"""Say where an MCP server is: a URL, a command, or an object of this process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ..errors import ConfigError
from ..redact import SecretHeaders
from .command_name import name_command, reduce_command
from .concealed import ConcealedText
from .log_filter import hide_in_logs
from .target_secrets import MIN_VALUE, find_secrets, is_place, is_word, scrub_all, scrub_texts

__all__ = [
    "Target",
    "Targets",
    "check_url",
    "clean_name",
    "from_command",
    "from_url",
    "is_loopback",
    "name_apart",
]

_PORTS = {"http": 80, "https": 443}
_NOT_IN_URLS = re.compile(r"[\s\x00-\x1f\x7f]")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_MAX_NAME = 60
_OWN_NAME = "amber"  # of the domain's own server: no other one may look like it


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
        if self.secrets:
            secrets = set(self.rare_secrets)
            with contextlib.suppress(httpx2.InvalidURL):
                query = httpx2.URL(self.url or "").query.decode()  # as it is sent and logged
                secrets |= {query} if len(query) >= MIN_VALUE else set()
            hide_in_logs(self, secrets)

    def __repr__(self) -> str:  # arguments and URLs may hold keys
        return f"Target({self.name!r})"

    @property  # not cached: that would stand in the object's variables in clear
    def secrets(self) -> set[str]:
        """Values that no message may repeat: of headers and environment, keys in the URL and in arguments."""
        return find_secrets(self.url, self.headers, self.env, self.command)

    @property
    def rare_secrets(self) -> set[str]:
        """The secrets that no answer may repeat, and no recording: no common words, no addresses and folders."""
        places = {text for name, text in self.env.items() if is_place(name, text)}
        return {secret for secret in self.secrets - places if not is_word(secret)}

    def scrub(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the server answered without its secrets.

        A password such as "postgres" stays in tools' names, and the server's own address in its links.
        """
        scrubbed: dict[str, Any] = scrub_all(answer, self.rare_secrets)
        if "nextCursor" in answer:  # nobody sees it but the server
            scrubbed["nextCursor"] = answer["nextCursor"]
        words = {secret for secret in self.secrets if is_word(secret)}
        return scrub_texts(scrubbed, words) if words else scrubbed

    @property
    def digest(self) -> str:
        """A digest that identifies the server in recordings on any machine: without its keys and folders."""
        parts: list[str] = [self.name]  # of a server of this process, nothing else is the same in another one
        if self.url is not None:
            url = urlsplit(self.url)
            port = url.port or _PORTS.get(url.scheme)
            parts = [url.scheme, url.hostname or "", str(port), url.path.rstrip("/")]
        elif self.command:
            parts = reduce_command([self.command[0], *([self.folder] if self.folder else []), *self.command[1:]])
        text = json.dumps(scrub_all(parts, self.secrets))
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


def from_url(
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


def from_command(
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


def clean_name(name: str) -> str:
    """Return the name of a server here, for that in a file: without spaces, slashes and the like.

    Of two alphabets, only the Latin one stays: letters of another may look like it.
    """
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    if "LATIN" in scripts and len(scripts) > 1:
        name = "".join(each if not each.isalpha() or "LATIN" in unicodedata.name(each, "") else "-" for each in name)
    name = _NOT_IN_NAMES.sub("-", name).strip("-.")[:_MAX_NAME]
    return f"other-{name}" if name.casefold() == _OWN_NAME else name


def name_apart(targets: Mapping[str, Target]) -> list[Target]:
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
