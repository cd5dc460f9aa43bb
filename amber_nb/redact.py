"""Values that are secrets by their name are not shown: they would stay in the notebook's file. No import of ours."""

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
    "is_secret",
    "masked",
    "masked_table",
    "masked_text",
    "masked_within",
    "secrets_in",
    "unmasked",
    "without",
]

HIDDEN = "•••"  # in place of a value that is a secret by its name
MASK = "***"  # in place of the key
_NAME = re.compile(
    r"token|passw|passphrase|secret|(?:api|access|private)[_-]?key|authoriz|credential"
    r"|(?:^|[_-])(?:key|pwd|pw|pin|auth)$",
    re.IGNORECASE,
)
_COUNT = re.compile(r"(?:(?:max|min|n|num|total|prompt|completion|cached|input|output)_)*tokens", re.IGNORECASE)
_NUMBER = re.compile(r"[\d.]{1,5}")  # stands for other things than the secret, too
_WORD = re.compile(r"[\w.-]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_DEEPEST = 30
_CUT = re.compile(r"…|\n\(")  # where a text may have been cut: there, or before what is said of it
_MOST_CUTS, _LONGEST_BEGINNING = 50, 2_000
_MOST_LOOKED_FOR = 100  # texts; each is looked for in each
_SHORTEST = 4  # characters of a secret that is looked for in other texts: shorter ones are everywhere
# What JSON consists of, also what is only half written: its last string may have no end yet.
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


def is_secret(name: str) -> bool:
    """Whether a value of that name is one."""
    name = _CAMEL.sub("_", name)
    return _NAME.search(name) is not None and _COUNT.fullmatch(name) is None


def masked(value: Any, depth: int = 0) -> Any:
    """A JSON value, with what is secret in it replaced."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret(str(name)) and item not in (None, "") else masked(item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(item, depth + 1) for item in value]
    return masked_within(value) if isinstance(value, str) else value


def masked_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """The rows of a table without its secrets: below the name of one, and to the right of it, as in a record."""
    below = [is_secret(name) for name in columns]
    return [
        [
            HIDDEN if cell and (under or is_secret(left)) else cell
            for cell, under, left in zip(row, [*below, *[False] * len(row)], ["", *row], strict=False)
        ]
        for row in rows
    ]


def masked_within(text: str) -> str:
    """A text without the secrets of the JSON or the table in it."""
    start = text.find("{")  # a list alone names nothing
    if start >= 0:
        text = text[:start] + _masked_leaves(masked_text(text[start:]))
    return _masked_csv(text) if "\n" in text else text


def _masked_leaves(text: str) -> str:
    """JSON without the secrets of the tables in its strings."""
    if "\\n" not in text:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    hidden = masked(value)
    return text if hidden == value else json.dumps(hidden, ensure_ascii=False, separators=(",", ":"))


def _masked_csv(text: str) -> str:
    head = text.partition("\n")[0]
    try:
        columns, *rows = csv.reader(io.StringIO(text, newline=""))
    except (csv.Error, ValueError):
        columns, rows = head.split(","), [[]]
    body = rows[:-1] if rows and rows[-1] and rows[-1][0].startswith("(") else rows  # what was left out is said below
    if len(columns) == 1 and not _WORD.fullmatch(head.strip()):
        return text  # a sentence
    if any(len(row) != len(columns) for row in body):  # no table that can be hidden in part
        names = all(_WORD.fullmatch(name) for name in columns) and any(map(is_secret, columns))
        return f"{head}\n{HIDDEN}" if names else text
    hidden = masked_table(columns, body)
    if hidden == body:
        return text
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *hidden, *rows[len(body) :]])
    return out.getvalue().rstrip("\n")


def unmasked(value: Any, original: Any) -> Any:
    """A JSON value that was shown masked, and came back, with the secrets that were hidden in it."""
    if isinstance(value, Mapping) and isinstance(original, Mapping):
        return {
            name: original[name]
            if item == HIDDEN and is_secret(str(name)) and name in original
            else unmasked(item, original.get(name))
            for name, item in value.items()
        }
    if isinstance(value, list) and isinstance(original, list) and len(value) == len(original):
        return [  # by place only where nothing but the secret is hidden: items may have been put in another order
            unmasked(item, before) if item == masked(before) or len(value) == 1 else item
            for item, before in zip(value, original, strict=True)
        ]
    if isinstance(value, str) and (value == "…" or HIDDEN in value):  # too deep to be shown; hidden within a text
        return original if value in ("…", masked(original)) and original is not None else value
    return value


def secrets_in(value: Any, depth: int = 0, *, hidden: bool = False, shortest: int = _SHORTEST) -> set[str]:
    """The texts in a JSON value that are secrets by their name, as they would stand in other texts."""
    if depth > _DEEPEST:
        return set()
    if isinstance(value, Mapping):
        pairs = [(hidden or is_secret(str(name)), one) for name, one in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(hidden, one) for one in value]
    else:
        text = str(value) if hidden and isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
        found = len(text) >= shortest and not _NUMBER.fullmatch(text)
        # Also as JSON, CSV and Python write it.
        return {text, *_written(text)} if found else set()
    return set().union(*(secrets_in(one, depth + 1, hidden=under, shortest=shortest) for under, one in pairs))


def _written(text: str) -> Iterator[str]:
    yield from (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield from (text.replace('"', '""'), repr(text)[1:-1], " ".join(text.split()))


def without(value: Any, secrets: set[str]) -> Any:
    """A text, or a JSON value, in which these secrets are replaced wherever they stand.

    More than 100, which a model may send, are not looked for: all texts of some length are hidden.
    """
    ordered = sorted(secrets, key=len, reverse=True)  # one may begin with another
    return _without(value, ordered, min(map(len, ordered), default=0), 0) if ordered else value


def _without(value: Any, secrets: list[str], shortest: int, depth: int) -> Any:
    if isinstance(value, str):
        if len(value) < shortest and (len(value) <= _SHORTEST or len(secrets) > _MOST_LOOKED_FOR):
            return value
        if len(secrets) > _MOST_LOOKED_FOR:
            return HIDDEN
        for one in secrets:
            value = value.replace(one, HIDDEN)
        return _without_beginnings(value, secrets)
    if isinstance(value, Mapping) and depth <= _DEEPEST:
        return {
            _without(name, secrets, shortest, depth): _without(one, secrets, shortest, depth + 1)
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple)) and depth <= _DEEPEST:
        return [_without(one, secrets, shortest, depth + 1) for one in value]
    return value


def _without_beginnings(text: str, secrets: list[str]) -> str:
    """A text that was cut, without the secret that it was cut in."""
    for cut in reversed([one.start() for one in islice(_CUT.finditer(text), _MOST_CUTS)]):
        tail = text[max(0, cut - _LONGEST_BEGINNING) : cut]
        left = max((_common(tail, one) for one in secrets), default=0)
        if left:
            text = text[: cut - left] + HIDDEN + text[cut:]
    return text


def _common(tail: str, secret: str) -> int:
    """How many characters at the end of a text are the beginning of a secret; fewer than four say nothing."""
    start = tail.find(secret[:_SHORTEST])
    while start >= 0:
        if secret.startswith(tail[start:]):
            return len(tail) - start
        start = tail.find(secret[:_SHORTEST], start + 1)
    return 0


def masked_text(text: str) -> str:
    """JSON as far as it is written, with what is secret in it replaced; of a longer text this is a beginning too.

    Where the text is no JSON, what looks like a name before a colon is taken for one.
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
        name = "" if token in "{}[]:," else _named(token) if token.strip() else name
    return "".join(out)


def _named(token: str) -> str:
    """What a string in a JSON text says, its escapes read."""
    try:
        said = json.loads(token)
    except ValueError:
        said = None
    return said if isinstance(said, str) else token.strip("'\"` \t\n\r")
