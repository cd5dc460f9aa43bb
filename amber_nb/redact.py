"""Redact secrets: values whose name says that they are secret would else stay in the notebook's file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

__all__ = [
    "HIDDEN",
    "MASK",
    "Secret",
    "SecretHeaders",
    "collect_secrets",
    "hide_text",
    "is_secret",
    "redact",
    "redact_embedded",
    "redact_json_text",
    "redact_table",
    "restore",
    "scrub",
]

HIDDEN = "•••"  # in place of a value that is a secret by its name
MASK = "***"  # in place of the key
_NAME = re.compile(
    r"token|passw|passphrase|secret|(?:api|access|private)[_-]?key|authoriz|credential"
    r"|(?:^|[_-])(?:key|pwd|pw|pin|auth)$",
    re.IGNORECASE,
)
_COUNT = re.compile(r"(?:(?:max|min|n|num|total|prompt|completion|cached|input|output)_)*tokens", re.IGNORECASE)
_NUMBER = re.compile(r"[\d.]{1,5}")  # a short number means other things, too
_WORD = re.compile(r"[\w.-]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MAX_DEPTH = 30
_CUT = re.compile(r"…|\n\(")  # where a text may have been cut: there, or before what is text of it
_MAX_CUTS, _MAX_PREFIX = 50, 2_000
_MAX_SECRETS = 100  # each is searched in each text
_MIN_CHARS = 4  # of a secret that is searched in other texts: shorter texts are everywhere
# The tokens of JSON that may be cut: its last string may have no end.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]:,]|[^"{}\[\]:,]+', re.DOTALL)


class Secret:
    """A string that no repr, f-string, pickle or verbose traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the string itself, for the code that sends it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        raise TypeError("a key is never pickled")


def hide_text(value: Any) -> Any:
    """Return a text as a secret: it may be a key, and a verbose traceback prints a frame's variables."""
    return Secret(value) if isinstance(value, str) else value


class SecretHeaders(dict[str, str]):
    """Headers whose values no repr and no verbose traceback shows: any of them may be a key."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, MASK))


def is_secret(name: str) -> bool:
    """Return whether a value of that name is a secret."""
    name = _CAMEL.sub("_", name)
    return _NAME.search(name) is not None and _COUNT.fullmatch(name) is None


def redact(value: Any, depth: int = 0) -> Any:
    """Replace the secrets in a JSON value."""
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret(str(name)) and item not in (None, "") else redact(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact(item, depth + 1) for item in value]
    return redact_embedded(value) if isinstance(value, str) else value


def redact_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Replace the secrets in the rows of a table: the cells below the name of a secret, and to the right of it."""
    below = [is_secret(name) for name in columns]
    return [
        [
            HIDDEN if cell and (under or is_secret(left)) else cell
            for cell, under, left in zip(row, [*below, *[False] * len(row)], ["", *row], strict=False)
        ]
        for row in rows
    ]


def redact_embedded(text: str) -> str:
    """Replace the secrets in the JSON or the table that a text holds."""
    start = text.find("{")  # a list alone names nothing
    if start >= 0:
        text = text[:start] + _mask_leaves(redact_json_text(text[start:]))
    return _mask_csv(text) if "\n" in text else text


def _mask_leaves(text: str) -> str:
    """Replace the secrets in the tables that the strings of a JSON text hold."""
    if "\\n" not in text:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    hidden = redact(value)
    return text if hidden == value else json.dumps(hidden, ensure_ascii=False, separators=(",", ":"))


def _mask_csv(text: str) -> str:
    head = text.partition("\n")[0]
    try:
        columns, *rows = csv.reader(io.StringIO(text, newline=""))
    except (csv.Error, ValueError):
        columns, rows = head.split(","), [[]]
    body = rows[:-1] if rows and rows[-1] and rows[-1][0].startswith("(") else rows  # what was left out is text below
    if len(columns) == 1 and not _WORD.fullmatch(head.strip()):
        return text  # a sentence
    if any(len(row) != len(columns) for row in body):  # no table that can be hidden in part
        names = all(_WORD.fullmatch(name) for name in columns) and any(map(is_secret, columns))
        return f"{head}\n{HIDDEN}" if names else text
    hidden = redact_table(columns, body)
    if hidden == body:
        return text
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *hidden, *rows[len(body) :]])
    return out.getvalue().rstrip("\n")


def restore(value: Any, original: Any) -> Any:
    """Put the secrets of `original` back into a JSON value that was shown redacted, and edited perhaps."""
    if isinstance(value, Mapping) and isinstance(original, Mapping):
        return {
            name: original[name]
            if item == HIDDEN and is_secret(str(name)) and name in original
            else restore(item, original.get(name))
            for name, item in value.items()
        }
    if isinstance(value, list) and isinstance(original, list) and len(value) == len(original):
        return [  # by position only where nothing but the secret is hidden: the items may have another order
            restore(item, before) if item == redact(before) or len(value) == 1 else item
            for item, before in zip(value, original, strict=True)
        ]
    if isinstance(value, str) and (value == "…" or HIDDEN in value):  # too deep to be shown, or hidden within a text
        return original if value in ("…", redact(original)) and original is not None else value
    return value


def collect_secrets(value: Any, depth: int = 0, *, hidden: bool = False) -> set[str]:
    """Return the texts in a JSON value that are secrets by their name, in each form that other texts may repeat them.

    `hidden`: the name of the value says that it is secret. `depth`: of the value within its container.
    """
    if depth > _MAX_DEPTH:
        return set()
    if isinstance(value, Mapping):
        pairs = [(hidden or is_secret(str(name)), item) for name, item in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(hidden, item) for item in value]
    else:
        text = str(value) if hidden and isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
        found = len(text) >= _MIN_CHARS and not _NUMBER.fullmatch(text)
        # In the forms of JSON, CSV and Python, too.
        return {text, *_spellings(text)} if found else set()
    return set().union(*(collect_secrets(item, depth + 1, hidden=under) for under, item in pairs))


def _spellings(text: str) -> Iterator[str]:
    yield from (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield from (text.replace('"', '""'), repr(text)[1:-1], " ".join(text.split()))


def scrub(value: Any, secrets: set[str]) -> Any:
    """Replace secrets wherever they are in a text or a JSON value.

    Where there are more than 100, which only a hostile model sends, all but short texts are hidden instead.
    """
    ordered = sorted(secrets, key=len, reverse=True)  # a secret may begin with another
    return _scrub(value, ordered, min(map(len, ordered), default=0), 0) if ordered else value


def _scrub(value: Any, secrets: list[str], shortest: int, depth: int) -> Any:
    if isinstance(value, str):
        if len(value) < shortest and (len(value) <= _MIN_CHARS or len(secrets) > _MAX_SECRETS):
            return value
        if len(secrets) > _MAX_SECRETS:
            return HIDDEN
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return _scrub_cut_secrets(value, secrets)
    if isinstance(value, Mapping) and depth <= _MAX_DEPTH:
        return {
            _scrub(name, secrets, shortest, depth): _scrub(item, secrets, shortest, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)) and depth <= _MAX_DEPTH:
        return [_scrub(item, secrets, shortest, depth + 1) for item in value]
    return value


def _scrub_cut_secrets(text: str, secrets: list[str]) -> str:
    """Replace the beginning of a secret where the text was cut within it."""
    for cut in reversed([item.start() for item in islice(_CUT.finditer(text), _MAX_CUTS)]):
        tail = text[max(0, cut - _MAX_PREFIX) : cut]
        left = max((_common(tail, item) for item in secrets), default=0)
        if left:
            text = text[: cut - left] + HIDDEN + text[cut:]
    return text


def _common(tail: str, secret: str) -> int:
    """Return how many characters at the end of a text begin a secret; fewer than four do not count."""
    start = tail.find(secret[:_MIN_CHARS])
    while start >= 0:
        if secret.startswith(tail[start:]):
            return len(tail) - start
        start = tail.find(secret[:_MIN_CHARS], start + 1)
    return 0


def redact_json_text(text: str) -> str:
    """Replace the secrets in JSON that may be cut.

    In a text that is not JSON, a word before a colon counts as a name.
    """
    out: list[str] = []
    name = ""
    hiding, begun, depth = False, False, 0
    for token in _TOKEN.findall(text):
        if hiding:
            depth += (token in "{[") - (token in "}]")
            if depth < 0 or (token == "," and not depth):
                hiding = False
            else:
                value = token.lstrip()
                if not begun:
                    out.append(token[: len(token) - len(value)])
                if value and not begun:
                    begun = True
                    out.append(f'"{HIDDEN}"')
                continue
        out.append(token)
        if token == ":" and is_secret(name):
            hiding, begun, depth = True, False, 0
        name = "" if token in "{}[]:," else _string_value(token) if token.strip() else name
    return "".join(out)


def _string_value(token: str) -> str:
    """Return the value of a string token of JSON."""
    try:
        text = json.loads(token)
    except ValueError:
        text = None
    return text if isinstance(text, str) else token.strip("'\"` \t\n\r")
