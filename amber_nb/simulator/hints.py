"""What is known of the place that a value is made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .words import stems

__all__ = ["MOOD", "PERSON", "PLACE", "WHOLE", "Hint", "nth"]

PLACE = frozenset(stems("city location place country town destination origin region state address where capital venue"))
WHOLE = frozenset(stems("query question prompt text message content body input request search sentence review"))
PERSON = frozenset(stems("name person author user customer recipient sender title company brand product who"))
MOOD = frozenset(stems("rating score stars sentiment mood satisfaction quality polarity valence grade"))


@dataclass(frozen=True, slots=True)
class Hint:
    """What is known of a place: its property's name and description, which item of an array it is, which number."""

    name: str = ""
    description: str = ""
    index: int = 0
    order: int = 0  # how many numbers the same object has before it: `a` and `b` of a sum take different ones

    def read(self, schema: dict[str, Any]) -> Hint:
        description = schema.get("description") or self.description
        return Hint(self.name or schema.get("title", ""), description, self.index, self.order)

    @property
    def words(self) -> set[str]:
        return stems(self.name)

    def about(self, group: frozenset[str]) -> bool:
        """Whether the name belongs to a group of words, or, when the name says nothing, the description does."""
        return bool(self.words & group) or (len(self.name) < 3 and bool(stems(self.description) & group))


def nth(items: list[Any], index: int) -> list[Any]:
    """Give the items with the wanted one first, in a fixed order."""
    return items[index % len(items) :] + items[: index % len(items)] if items else []
