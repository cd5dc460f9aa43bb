"""Choices that look varied and are the same for the same request, on every machine and every version of Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Dice", "letters"]

T = TypeVar("T")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Dice:
    """A stream of choices drawn from a seed text.

    `random.Random` is not used: its methods may draw differently in another Python, and notebooks keep the outputs.

    Example:
        Dice("hello").pick(["red", "green"])
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "replace")
        self._drawn = 0

    def below(self, limit: int) -> int:
        """Give a number from 0 to limit - 1."""
        self._drawn += 1
        digest = hashlib.sha256(self._seed + self._drawn.to_bytes(8, "big")).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def pick(self, options: Sequence[T]) -> T:
        """Give one of the options."""
        return options[self.below(len(options))]


def letters(seed: str, count: int) -> str:
    """Give letters and digits drawn from a seed, for ids such as `chatcmpl-…`."""
    number = int.from_bytes(hashlib.sha512(seed.encode("utf-8", "replace")).digest(), "big")
    out = []
    for _ in range(count):
        number, rest = divmod(number, len(_ALPHABET))
        out.append(_ALPHABET[rest])
    return "".join(out)
