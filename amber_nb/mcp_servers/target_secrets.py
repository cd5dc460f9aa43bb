"""Find what is secret of a server's address, headers, environment and command, and hide it in what the server says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..redact import is_secret, scrub

__all__ = ["find_secrets", "is_place", "is_word", "scrub_all", "scrub_texts"]

MIN_VALUE = 8  # characters of a value whose name says nothing: "info" and "true" are in many texts
_MIN_SECRET = 4  # characters of a value that its name calls a secret
_MAX_AT_ONCE = 100
_WORD = re.compile(r"[a-z]{1,15}|[A-Z]{1,15}|[\d.,:-]{1,15}")  # too common to be hidden wherever it stands
_NO_TEXTS = {
    *("name", "uri", "uriTemplate", "type", "role", "mimeType", "data", "blob", "inputSchema", "outputSchema"),
    *("nextCursor", "resultType"),
}
_KEY_IN_PATH = re.compile(r"(?=.*\d)[\w-]{20,}")  # an address may hold its key in its path
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")  # of the user in an address, such as that of a database
_ABSOLUTE_PATH = re.compile(r"(?:~|[A-Za-z]:)?[\\/].*", re.DOTALL)
_HEADER_OPTIONS = ("-H", "--header")
_ENV_OPTIONS = ("-e", "--env")


def find_secrets(
    url: str | None, headers: Mapping[str, str], env: Mapping[str, str], command: Sequence[str]
) -> set[str]:
    """Return what no message may repeat: values of headers and environment, keys in the URL and in arguments.

    Args:
        url: of a server that is reached over HTTP.
        headers: sent to it.
        env: of a server's process.
        command: the words that start it.
    """
    parts = urlsplit(url or "")
    pairs = [*_split_headers(headers.items()), *env.items(), *parse_qsl(parts.query), *_read_options(command)]
    for text in (*env.values(), *command):
        pairs += [("password", form) for word in _PASSWORD.findall(text) for form in (word, unquote(word))]
    found = {text for name, text in pairs if _is_secret_value(name, text)}
    found |= {part for part in parts.path.split("/") if _KEY_IN_PATH.fullmatch(part)}
    return found | ({parts.query} if len(parts.query) >= MIN_VALUE else set())


def _split_headers(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield headers, also without the scheme that stands before a key, as in `Bearer …`."""
    for name, text in pairs:
        yield name, text
        yield name, text.partition(" ")[2]


def _read_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield names and values among a command's words: of secrets, headers, variables and queries of addresses.

    Such as `--token …`, `TOKEN=…`, `--header "X-Key: …"`, `--env=NAME=…` and `https://…?key=…`.
    """
    for word, following in zip(words, (*words[1:], ""), strict=False):
        name, separator, text = word.partition("=")
        value = text if separator else following
        if is_secret(name.lstrip("-")) and (separator or word.startswith("-")):
            yield name, value
        if name in _HEADER_OPTIONS:
            header, _, text = value.partition(":")
            yield from _split_headers([(header.strip(), text.strip())])
        elif name in _ENV_OPTIONS:
            variable, _, text = value.partition("=")
            yield variable, text
        if "://" in word:
            yield from parse_qsl(word.partition("?")[2].partition("#")[0])


def is_word(secret: str) -> bool:
    """Return whether a secret is a common word or number, which cannot be hidden in names and addresses, too."""
    return _WORD.fullmatch(secret) is not None


def is_place(name: str, text: str) -> bool:
    """Return whether a variable is only an address or a path: links and files that a server returns begin with it."""
    if is_secret(name):
        return False
    if not text.startswith(("http://", "https://")):
        return _ABSOLUTE_PATH.fullmatch(text) is not None
    bare = "?" not in text and not _PASSWORD.search(text) and "@" not in text
    return bare and not any(_KEY_IN_PATH.fullmatch(part) for part in text.split("/"))


def scrub_all(value: Any, secrets: Iterable[str]) -> Any:
    """Replace secrets in a JSON value, however many there are: of more than 100, `scrub` would hide all texts."""
    ordered = sorted(secrets, key=len, reverse=True)
    for start in range(0, len(ordered), _MAX_AT_ONCE):
        value = scrub(value, set(ordered[start : start + _MAX_AT_ONCE]))
    return value


def scrub_texts(value: Any, words: set[str]) -> Any:
    """Replace words in a JSON value, but in what a client must send back or understand as it is."""
    if isinstance(value, Mapping):
        return {name: item if name in _NO_TEXTS else scrub_texts(item, words) for name, item in value.items()}
    if isinstance(value, list):
        return [scrub_texts(item, words) for item in value]
    return scrub_all(value, words) if isinstance(value, str) else value


def _is_secret_value(name: str, text: str) -> bool:
    """Return whether a value is to be hidden wherever a text repeats it: not where it is a common word or number."""
    if is_secret(name):
        return len(text) >= _MIN_SECRET
    return len(text) >= MIN_VALUE and not is_word(text)
