"""Regular expressions of a JSON schema: a text that matches, and a match that cannot run for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from re import _parser as parser  # type: ignore[attr-defined]  # the parse tree that `re` itself compiles
from typing import Any

from .dice import Dice

__all__ = ["PatternError", "examples", "matches"]

MAX_PATTERN = 1_000
MAX_TEXT = 10_000
_MANY = 1_000  # a repeat that may go on longer than this counts as endless
_CLASSES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_WORD": "abcdefghijklmnopqrstuvwxyz0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "abcdefghijklmnopqrstuvwxyz",
    "CATEGORY_NOT_WORD": "-./ ",
    "CATEGORY_NOT_SPACE": "abcdefghijklmnopqrstuvwxyz0123456789",
}
_PRINTABLE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.,:;!?@#/()[]{}<>+*=%&'\"$^|~`\\"


class PatternError(ValueError):
    """A pattern that Python does not know, or that is too costly."""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[re.Pattern[str], Any, int]:
    """Give the compiled pattern, its parse tree, and the longest text that it is tried on."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError("the pattern is too long")
    pattern = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)  # ECMAScript's named group
    try:
        tree = parser.parse(pattern)
        compiled = re.compile(pattern)
    except (re.error, OverflowError, FutureWarning, DeprecationWarning, RecursionError, MemoryError) as error:
        raise PatternError("the pattern is not supported") from error
    depth, count = _repeats(tree)
    if depth > 3 or count > 12:
        raise PatternError("the pattern is too costly")
    # Repeats within repeats, or many side by side, may take exponential time on a text that does not match.
    by_count = MAX_TEXT if count < 3 else 500 if count < 5 else 40
    return compiled, tree, min(by_count, {2: 16, 3: 10}.get(depth, MAX_TEXT))


def _repeats(tree: Any) -> tuple[int, int]:
    """Give how deep open-ended repeats are nested, and how many there are.

    A choice or an optional part within a repeat counts as a level: `(a|aa)+` is as bad as `(a+)+`.
    """
    depth = count = 0
    for op, value in tree:
        name = str(op)
        endless = 0
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            endless = int(value[1] is parser.MAXREPEAT or value[1] > _MANY or value[1] - value[0] > 20)
            parts = [value[2]]
        elif name == "BRANCH":
            parts = value[1]
        elif name == "SUBPATTERN":
            parts = [value[3]]
        elif name in ("ASSERT", "ASSERT_NOT"):
            parts = [value[1]]
        elif name == "ATOMIC_GROUP":
            parts = [value]
        else:
            parts = []
        inner = [_repeats(part) for part in parts]
        below = max((item[0] for item in inner), default=0)
        varies = name == "BRANCH" or (name.endswith("_REPEAT") and value[0] != value[1])
        depth = max(depth, endless + below, int(varies))
        count += endless + sum(item[1] for item in inner)
    return depth, count


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text; a text too long to be tried at a bearable cost does not match.

    Raises:
        PatternError: for a pattern that is not understood or too costly.
    """
    compiled, _, longest = _compiled(pattern)
    return len(text) <= longest and compiled.search(text) is not None


def examples(pattern: str, seed: str, min_length: int = 0) -> Iterator[str]:
    """Yield texts made to match the pattern, short ones first; a caller checks them.

    Raises:
        PatternError: for a pattern that is not understood or too costly.
    """
    _, tree, longest = _compiled(pattern)
    for turn, stretch in enumerate((2, 0, 1, 4, 7, 12, min_length, min_length + 1, min_length // 2 + 1)):
        if stretch > longest:
            continue
        for again in range(2):
            text = _generate(tree, Dice(f"{seed}{turn}{again}"), stretch, {})
            if text is None:
                break
            # A pattern without anchors may be found anywhere: what is missing is added behind.
            yield text
            if len(text) < min_length:
                yield text + "a" * (min_length - len(text))


def _generate(tree: Any, dice: Dice, stretch: int, groups: dict[int, str]) -> str | None:
    out = ""
    for op, value in tree:
        name = str(op)
        part: str | None = ""
        if name == "LITERAL":
            part = chr(value)
        elif name in ("NOT_LITERAL", "ANY", "IN", "CATEGORY"):
            part = _character(name, value, dice)
        elif name == "BRANCH":
            part = _generate(dice.pick(value[1]), dice, stretch, groups)
        elif name == "SUBPATTERN":
            part = _generate(value[3], dice, stretch, groups)
            if value[0] is not None and part is not None:
                groups[value[0]] = part
        elif name == "ATOMIC_GROUP":
            part = _generate(value, dice, stretch, groups)
        elif name.endswith("_REPEAT"):
            low, high, inner = value
            part = _repeat(inner, min(low + stretch, int(high)), dice, stretch, groups)
        elif name == "GROUPREF":
            part = groups.get(value, "")
        elif name == "ASSERT":
            part = ""  # what follows has to satisfy it: the caller checks
        if part is None or len(out) + len(part) > MAX_TEXT:
            return None
        out += part
    return out


def _repeat(inner: Any, times: int, dice: Dice, stretch: int, groups: dict[int, str]) -> str | None:
    if times > MAX_TEXT:
        return None
    out = ""
    for _ in range(times):
        part = _generate(inner, dice, stretch, groups)
        if part is None or len(out) + len(part) > MAX_TEXT:
            return None
        if not part and not out:
            return ""
        out += part
    return out


def _character(name: str, value: Any, dice: Dice) -> str | None:
    if name == "ANY":
        return dice.pick("abcdefghijklmnopqrstuvwxyz")
    if name == "NOT_LITERAL":
        return dice.pick([c for c in _PRINTABLE if ord(c) != value])
    if name == "CATEGORY":
        return dice.pick(_CLASSES[str(value)])
    wanted = ""
    negated = False
    for op, item in value:
        kind = str(op)
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            wanted += chr(item)
        elif kind == "RANGE":
            # A few hundred of a huge range are choice enough; a lone surrogate cannot be sent.
            span = range(item[0], min(item[1], item[0] + 500) + 1)
            wanted += "".join(chr(code) for code in span if not 0xD800 <= code < 0xE000)
        elif kind == "CATEGORY":
            wanted += _CLASSES[str(item)]
    if negated:
        wanted = "".join(c for c in _PRINTABLE if c not in wanted)
    return dice.pick(wanted) if wanted else None
