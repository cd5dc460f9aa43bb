"""Two texts side by side: lines that belong together, the words that changed in them, long agreement left out."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .similarity import common_pairs

__all__ = ["Line", "Piece", "side_by_side"]

Piece: TypeAlias = tuple[bool, str]  # (changed, text)
_LINE_END = re.compile(r"\r\n|\r|\n")
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_SIGN = re.compile(r"\w+|[^\w\s]")
_CONTEXT = 3  # equal lines kept around a change
_MOST_LINES = 5_000  # of a text; more could not be read
_MOST_TOKENS = 4_000  # of a line whose words are compared
_MOST_PAIRS = 2_500  # lines against lines when a changed block is paired by likeness
_LIKE = 0.3  # lines less alike stand alone
_KEPT = 160  # characters of agreement kept at either end of a long stretch within a line


@dataclass(frozen=True, slots=True)
class Line:
    """One row: `" "` equal, `"~"` changed, `"-"` only recorded, `"+"` only now, `"…"` left out (see `old`)."""

    sign: str
    old: tuple[Piece, ...] = ()
    new: tuple[Piece, ...] = ()


def side_by_side(old: str, new: str, *, most: int = 24_000) -> list[Line]:
    """Align two texts.

    Args:
        old: What was recorded.
        new: What came now.
        most: Characters shown, both sides together; the rest is left out, and a last row says so.
    """
    a, b = (_LINE_END.split(text) if text else [] for text in (old, new))
    lines: list[Line] = []
    spent = 0
    for line in _folded(list(_aligned(a[:_MOST_LINES], b[:_MOST_LINES]))):
        room = most - spent
        if room <= 0:
            lines.append(Line("…", ((False, "the rest is not shown here"),)))
            return lines
        line = Line(line.sign, _within(line.old, room // 2 + 1), _within(line.new, room // 2 + 1))
        spent += sum(len(text) + 40 for _, text in line.old + line.new) + 40  # each piece and line is markup, too
        lines.append(line)
    if max(len(a), len(b)) > _MOST_LINES:
        lines.append(Line("…", ((False, f"lines from {_MOST_LINES + 1:,} on are not compared"),)))
    return lines


def _aligned(a: Sequence[str], b: Sequence[str]) -> Iterator[Line]:
    i = j = 0
    for x, y in [*common_pairs(a, b), (len(a), len(b))]:
        yield from _changed(a[i:x], b[j:y])
        if x < len(a):
            yield Line(" ", ((False, a[x]),), ((False, b[y]),))
        i, j = x + 1, y + 1


def _changed(a: Sequence[str], b: Sequence[str]) -> Iterator[Line]:
    """A block of lines that differ: likely pairs next to each other, the others alone."""
    i = j = 0
    for x, y in [*_pairs(a, b), (len(a), len(b))]:
        yield from (Line("-", old=((True, line),)) for line in a[i:x])
        yield from (Line("+", new=((True, line),)) for line in b[j:y])
        if x < len(a):
            yield Line("~", *_words(a[x], b[y]))
        i, j = x + 1, y + 1


def _pairs(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs of lines, ascending, whose likeness adds up to the most."""
    if not a or not b:
        return []
    if len(a) * len(b) > _MOST_PAIRS:
        return [(k, k) for k in range(min(len(a), len(b)))]
    bags = [[Counter(_SIGN.findall(line[:2_000])) for line in side] for side in (a, b)]
    like = [[_likeness(x, y) for y in bags[1]] for x in bags[0]]
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            paired = like[i][j] + best[i + 1][j + 1] if like[i][j] >= _LIKE else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if like[i][j] >= _LIKE and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _likeness(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0


def _words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(a), len(b)) > _MOST_TOKENS:
        return ((True, old),), ((True, new),)
    same_old, same_new = [False] * len(a), [False] * len(b)
    for i, j in _calm(common_pairs(a, b), a):
        same_old[i] = same_new[j] = True
    return _pieces(a, same_old), _pieces(b, same_new)


def _calm(pairs: list[tuple[int, int]], a: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Without islands of agreement that hold no word: a space between two changed words is part of the change."""
    run: list[tuple[int, int]] = []
    for pair in [*pairs, None]:
        if pair is not None and (not run or (run[-1][0] + 1, run[-1][1] + 1) == pair):
            run.append(pair)
            continue
        at_end = run and (run[0] == (0, 0) or pair is None)
        if at_end or any(a[i].isalnum() for i, _ in run):
            yield from run
        run = [pair] if pair is not None else []


def _pieces(tokens: Sequence[str], same: Sequence[bool]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    start = 0
    for k in range(1, len(tokens) + 1):
        if k == len(tokens) or same[k] != same[start]:
            pieces.append((not same[start], "".join(tokens[start:k])))
            start = k
    return tuple(pieces)


def _folded(lines: list[Line]) -> Iterator[Line]:
    """Long stretches of equal lines, and of equal text within a changed line, left out."""
    near = [False] * len(lines)
    for k, line in enumerate(lines):
        if line.sign != " ":
            start = max(0, k - _CONTEXT)
            near[start : k + _CONTEXT + 1] = [True] * (min(len(lines), k + _CONTEXT + 1) - start)
    k = 0
    while k < len(lines):
        end = k
        while end < len(lines) and not near[end]:
            end += 1
        if end - k > _CONTEXT:
            yield Line("…", ((False, f"{end - k:,} equal lines"),))
        else:
            end = max(end, k + 1)
            for line in lines[k:end]:
                yield Line(line.sign, _shortened(line.old, _elided), _shortened(line.new, _elided))
        k = end


def _shortened(pieces: tuple[Piece, ...], how: Callable[[str], str]) -> tuple[Piece, ...]:
    if len(pieces) < 2:
        return pieces
    return tuple((changed, text if changed else how(text)) for changed, text in pieces)


def _elided(text: str) -> str:
    if len(text) <= 3 * _KEPT:
        return text
    return f"{text[:_KEPT]} […{len(text) - 2 * _KEPT:,} equal characters…] {text[-_KEPT:]}"


def _within(pieces: tuple[Piece, ...], room: int) -> tuple[Piece, ...]:
    """As many pieces as there is room for."""
    kept: list[Piece] = []
    for changed, text in pieces:
        if len(text) > room:
            kept.append((changed, f"{text[:room]} […{len(text) - room:,} more characters]"))
            break
        kept.append((changed, text))
        room -= len(text) + 40
        if room <= 0 and len(kept) < len(pieces):
            kept.append((False, " […]"))
            break
    return tuple(kept)
