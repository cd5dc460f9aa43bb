"""Thinking that a model wrote into its text, as models do that are served without a parser for it."""

from __future__ import annotations

import re

from ..types import Delta, ReasoningDelta, TextDelta

__all__ = ["ThinkingSplitter", "split_thinking"]

_STARTS = ("<think>", "<thinking>", "<thought>")
_ENDS = tuple(start.replace("<", "</") for start in _STARTS)
# The template of some models writes the start tag, so that only the end is part of the reply: on a line of its own, or
# before a blank line.
_LONE_END = re.compile(r"(?m)^[ \t]*</think>[ \t]*(?:\n|\Z)|</think>[ \t]*\n[ \t]*\n")
_FENCE = re.compile(r"(?m)^[ \t]*(?:```|~~~)")
_LONGEST = max(map(len, _ENDS))


def split_thinking(text: str, *, is_whole: bool = False) -> tuple[str, str]:
    """Return the thinking that leads a text, and the text behind it, as far as both are written.

    Args:
        text: of a reply.
        is_whole: whether no more will come: then a tag that is not closed is part of the text.

    Example:
        >>> split_thinking("<think>Three?</think>It is 3.")
        ('Three?', 'It is 3.')
    """
    body = text.lstrip()
    for start, end in zip(_STARTS, _ENDS, strict=True):
        if body.startswith(start):
            thinking, closed, rest = body[len(start) :].partition(end)
            if is_whole and not closed:
                return "", text
            return thinking.strip(), rest.lstrip("\r\n") if rest.strip() else rest.strip()
    if "</think>" not in text or "<think>" in text:
        return "", text
    found = _LONE_END.search(text)
    # Within code it is what the text is about.
    before = text[: found.start()] if found else ""
    if found is None or len(_FENCE.findall(before)) % 2 or "`" in before.rpartition("\n")[2]:
        return "", text
    return text[: found.start()].strip(), text[found.end() :].lstrip("\r\n")


class ThinkingSplitter:
    """Divide a text that comes in pieces into the thinking that leads it and the rest."""

    def __init__(self) -> None:
        self._blank: list[str] = []  # before everything else
        self._held = ""  # what may be the beginning of a tag
        self._end: str | None = None  # the tag that ends the thinking
        self._is_behind = False  # behind the thinking: its blank lines are no part of the text
        self._is_text = False

    def feed(self, text: str) -> list[Delta]:
        """Return what a piece adds."""
        if self._is_text:
            return [TextDelta(text)] if text else []
        if not text.strip() and not self._held and self._end is None and not self._is_behind:
            self._blank.append(text)  # joined once: adding to a string each time is quadratic
            return []
        text, self._held = "".join(self._blank) + self._held + text, ""
        self._blank.clear()
        if self._is_behind:
            return self._begin_text(text.lstrip())
        if self._end is None:
            body = text.lstrip()
            if not body or any(start.startswith(body) for start in _STARTS):
                self._held = text  # it may still become a tag
                return []
            start = next((start for start in _STARTS if body.startswith(start)), None)
            if start is None:
                return self._begin_text(text)
            self._end, text = start.replace("<", "</"), body[len(start) :]
        thinking, end, rest = text.partition(self._end)
        if not end:
            keep = next((n for n in range(_LONGEST, 0, -1) if n < len(self._end) and text.endswith(self._end[:n])), 0)
            thinking, self._held = text[: len(text) - keep], text[len(text) - keep :]
            return [ReasoningDelta(thinking)] if thinking else []
        self._is_behind = True
        added: list[Delta] = [ReasoningDelta(thinking)] if thinking else []
        return [*added, *self._begin_text(rest.lstrip())]

    def _begin_text(self, text: str) -> list[Delta]:
        self._is_text = bool(text)
        return [TextDelta(text)] if text else []
