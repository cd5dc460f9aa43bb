"""Find the recording that is most like a request which was not recorded, for the message that says so.

Two steps, so that a large cassette costs little: the words that two requests share tell which few of all recordings are
looked at, and these are compared word by word.
"""

from __future__ import annotations

import difflib
import heapq
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from .match import RequestKey

__all__ = ["find_nearest"]

# What makes a recording the nearest, the weightiest first.
Likeness: TypeAlias = tuple[bool, float, float]  # same path; likeness of the messages; share of equal parameters

_LOOKED_AT = 24  # recordings that are compared word by word
_MAX_CHARS = 200_000  # of a request's messages that are compared: their beginning and their end
_ALL_CHARS = 4_000_000  # of all recordings, in the first step
_MAX_WORDS = 800  # that are compared in their order, from where two texts begin to differ, and once more behind these
_SHORT = 400  # characters of a text that is compared letter by letter, too: a word may be misspelt
# A digest of a file, a number, a sign of a script that is written without spaces, a word, or any other sign.
_WORD = re.compile(
    r"data:[\w.+/-]* sha256=[0-9a-f]{64}|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|\d+(?:\.\d+)*"
    r"|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+|[^\w\s]"
)


def find_nearest(recorded: Sequence[RequestKey], now: RequestKey) -> int:
    """Return the index of the request that is most like this one; of equal ones, the first.

    The prompt decides: all messages, and the last one once more, since questions of one notebook often share a long
    beginning. Then the parameters, such as the model.

    Args:
        recorded: one request at least.
        now: the request to compare them with.
    """
    texts = _texts(now, _MAX_CHARS)
    limit = max(400, min(_MAX_CHARS, _ALL_CHARS // len(recorded)))
    words = [frozenset(_WORD.findall(text)) for text in _texts(now, limit)]

    def shared(index: int) -> tuple[bool, float]:
        others = (frozenset(_WORD.findall(text)) for text in _texts(recorded[index], limit))
        return recorded[index].path == now.path, sum(map(_overlap, others, words))

    candidates: Sequence[int] = range(len(recorded))
    if len(candidates) > _LOOKED_AT:
        candidates = sorted(heapq.nlargest(_LOOKED_AT, candidates, key=shared))

    def likeness(index: int) -> Likeness:
        messages = sum(map(_likeness, _texts(recorded[index], _MAX_CHARS), texts))
        return recorded[index].path == now.path, messages, _equal_parameters(recorded[index].body, now.body)

    return max(candidates, key=likeness)


def _texts(request: RequestKey, limit: int) -> tuple[str, str]:
    """Return the text of all messages, and that of the last one of the user; of another body its JSON."""
    messages = request.body.get("messages") if isinstance(request.body, dict) else None
    if not isinstance(messages, list):
        text = _shorten(json.dumps(request.body, ensure_ascii=False), limit)
        return text, text
    parts = ["\n".join(_strings(message)) for message in messages]
    users = [
        part
        for part, message in zip(parts, messages, strict=True)
        if isinstance(message, dict) and message.get("role") == "user"
    ]
    return _shorten("\n".join(parts), limit), _shorten(users[-1] if users else "", limit)


def _strings(value: Any) -> Iterator[str]:
    """Yield the strings of a message in their order, but for the kinds of its parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("type", "id", "tool_call_id"):
                yield from _strings(item)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]}\n{text[-(limit // 2) :]}"


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / ((len(one) + len(other)) or 1)


def _likeness(old: str, new: str) -> float:
    by_words = _ratio(_WORD.findall(old), _WORD.findall(new))
    return (by_words + _ratio(old, new)) / 2 if max(len(old), len(new)) <= _SHORT else by_words


def _ratio(old: Sequence[str], new: Sequence[str]) -> float:
    """Return the share of items that two sequences have in the same order; of long ones nearly."""
    n_items = len(old) + len(new)
    if not n_items:
        return 1.0
    start = _common_prefix(old, new)
    old, new = old[start:], new[start:]
    end = _common_prefix(old[::-1], new[::-1])
    old, new = old[: len(old) - end], new[: len(new) - end]
    equal: int = start + end
    for at in (0, _MAX_WORDS):
        matcher = difflib.SequenceMatcher(None, old[at : at + _MAX_WORDS], new[at : at + _MAX_WORDS])
        equal += sum(block.size for block in matcher.get_matching_blocks())
    return 2 * equal / n_items


def _common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (was, is_) in pairs if was != is_), min(len(one), len(other)))


def _equal_parameters(old: Any, new: Any) -> float:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return float(bool(old == new))
    names = (old.keys() | new.keys()) - {"messages"}
    return float(sum(name in old and name in new and old[name] == new[name] for name in names)) / (len(names) or 1)
