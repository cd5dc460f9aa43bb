"""Differences between two texts, JSON values or sets of tool calls, and the similarity of texts.

Both sides are compared as values: the order of JSON keys, the spelling of numbers and a code fence do not matter.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, TypeAlias

from rapidfuzz.distance import LCSseq

from ..display.escape import shorten

__all__ = [
    "Call",
    "Line",
    "Piece",
    "call_key",
    "common_pairs",
    "diff_calls",
    "diff_json",
    "diff_texts",
    "format_json",
    "parse_json",
    "similarity",
]

Call: TypeAlias = tuple[str, str]  # a tool's name and its arguments as JSON text
Piece: TypeAlias = tuple[bool, str]  # (changed, text)
_Path: TypeAlias = "tuple[_Path, str] | None"  # linked, and written only where something differs

_FENCED = re.compile(r"```[ \t]*(?:json[c5l]?)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[^\W\d]\w*")
_MISSING: Any = object()

# A number with its separators, a sign of a script that is written without spaces, or a word with its apostrophes.
_WORD = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
    r"|[^\W\d\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af](?:\w|['’](?=\w))*"
)
_MAX_WORDS = 100_000  # a side; beyond it a text is compared by its beginning

_LINE_END = re.compile(r"\r\n|\r|\n")
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_SIGN = re.compile(r"\w+|[^\w\s]")
_CONTEXT = 3  # equal lines kept around a change
_MAX_LINES = 5_000  # of a text; more could not be read
_MAX_TOKENS = 4_000  # of a line whose words are compared
_MAX_PAIRS = 2_500  # lines against lines when a changed block is paired by likeness
_MIN_LIKENESS = 0.3  # lines less alike stand alone
_KEPT = 160  # characters of agreement kept at either end of a long stretch within a line


# --- JSON values and tool calls


def parse_json(text: str) -> Any:
    """Return the value of a JSON text, with or without a code fence.

    Numbers without a fraction become integers, so that 1 equals 1.0.

    Raises:
        ValueError: the text is not strict JSON (NaN and repeated keys are not), or is nested too deep.
    """
    bare = text.strip()
    if fenced := _FENCED.fullmatch(bare):
        bare = fenced[1]
    try:
        return json.loads(
            bare, parse_float=_parse_number, parse_constant=_reject_constant, object_pairs_hook=_unique_keys
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def _parse_number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(value := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return value


def format_json(text: str) -> str:
    """Indent a JSON text and sort its keys; return any other text unchanged."""
    try:
        return json.dumps(parse_json(text), indent=2, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def call_key(call: Call) -> tuple[str, bool, str]:
    """Return a key that is equal for equal calls.

    Returns:
        The tool's name, whether its arguments are JSON, and the arguments: canonical JSON, or else their text.
    """
    name, arguments = call
    try:
        return name, True, json.dumps(parse_json(arguments.strip() or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return name, False, arguments


def diff_json(old: Any, new: Any) -> Iterator[str]:
    """Yield each place where two JSON values differ, such as `$.items[2].price: 3 → 4`, in order."""
    stack: list[tuple[_Path, Any, Any]] = [(None, old, new)]
    while stack:
        path, a, b = stack.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            keys = sorted(a.keys() | b.keys(), reverse=True)
            stack += [((path, _key_step(key)), a.get(key, _MISSING), b.get(key, _MISSING)) for key in keys]
        elif isinstance(a, list) and isinstance(b, list):
            items = list(enumerate(zip_longest(a, b, fillvalue=_MISSING)))
            stack += [((path, f"[{index}]"), x, y) for index, (x, y) in reversed(items)]
        elif isinstance(a, bool) != isinstance(b, bool) or a != b:  # in Python True equals 1, in JSON it does not
            yield f"{_format_path(path)}: {_format_value(a)} → {_format_value(b)}"


def _key_step(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(shorten(key, 40), ensure_ascii=False)}]"


def _format_path(path: _Path) -> str:
    steps = []
    while path is not None:
        path, step = path
        steps.append(step)
    text = "$" + "".join(reversed(steps[:50]))
    return shorten(text, 80) if len(steps) <= 50 else shorten("$…" + text[1:], 80)


def _format_value(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, (dict, list)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value):,}"
    return shorten(json.dumps(value, ensure_ascii=False), 40)


def diff_calls(old: Sequence[Call], new: Sequence[Call]) -> Iterator[str]:
    """Yield the differences between two sets of tool calls, whatever their order."""
    old_keys, new_keys = Counter(map(call_key, old)), Counter(map(call_key, new))
    added = list((new_keys - old_keys).elements())
    for name, is_json, arguments in (old_keys - new_keys).elements():
        index = next((index for index, key in enumerate(added) if key[0] == name), None)
        if index is None:
            yield f"{shorten(name, 60)} is not called any more"
            continue
        _, also_json, new_arguments = added.pop(index)
        if is_json and also_json:
            where = ", ".join(islice(diff_json(json.loads(arguments), json.loads(new_arguments)), 2))
            yield f"{shorten(name, 60)} is called with {where}"
        else:
            yield f"{shorten(name, 60)} is called with arguments that are not JSON"
    for name, _, _ in added:
        yield f"{shorten(name, 60)} is called, too"


# --- longest common subsequences


def similarity(old: str, new: str) -> float:
    """Return the share of words that two texts have in the same order, from 0 to 1.

    This is the F-measure of ROUGE-L with equal weights, `2 · L / (m + n)`: `m` and `n` are the numbers of words, and
    `L` is the length of their longest common subsequence (Chin-Yew Lin, "ROUGE: A Package for Automatic Evaluation of
    Summaries", 2004). Case, punctuation and Markdown's signs do not count. One word of ten replaced gives 0.9; the
    halves of a text swapped 0.5; a paraphrase mostly 0.3 to 0.6.

    Example:
        >>> similarity("The answer is **42**.", "the answer is 43")
        0.75
    """
    a, b = _words(old)[:_MAX_WORDS], _words(new)[:_MAX_WORDS]
    if not a or not b:
        return float(a == b)
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return _WORD.findall(plain) or plain.split()


def common_pairs(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the indices `(i, j)` of a longest common subsequence, ascending: `a[i] == b[j]`."""
    blocks = LCSseq.opcodes(a, b).as_matching_blocks()
    return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]


# --- texts side by side


@dataclass(frozen=True, slots=True)
class Line:
    """One row of two texts side by side.

    Attributes:
        sign: `" "` equal, `"~"` changed, `"-"` in the old text only, `"+"` in the new one only, `"…"` left out.
        old: the old line; what was left out, where `sign` is `"…"`.
        new: the new line.
    """

    sign: str
    old: tuple[Piece, ...] = ()
    new: tuple[Piece, ...] = ()


def diff_texts(old: str, new: str, *, max_chars: int = 24_000) -> list[Line]:
    """Align two texts line by line, mark changed words, and leave long agreement out.

    Args:
        old: the recorded text.
        new: the text to compare with it.
        max_chars: characters shown, both sides together; a last row says that the rest is left out.
    """
    a, b = (_LINE_END.split(text) if text else [] for text in (old, new))
    lines: list[Line] = []
    spent = 0
    for line in _fold_equal(list(_align(a[:_MAX_LINES], b[:_MAX_LINES]))):
        room = max_chars - spent
        if room <= 0:
            lines.append(Line("…", ((False, "the rest is not shown here"),)))
            return lines
        line = Line(line.sign, _cut(line.old, room // 2 + 1), _cut(line.new, room // 2 + 1))
        spent += sum(len(text) + 40 for _, text in line.old + line.new) + 40  # each piece and line is markup, too
        lines.append(line)
    if max(len(a), len(b)) > _MAX_LINES:
        lines.append(Line("…", ((False, f"lines from {_MAX_LINES + 1:,} on are not compared"),)))
    return lines


def _align(a: Sequence[str], b: Sequence[str]) -> Iterator[Line]:
    i = j = 0
    for x, y in [*common_pairs(a, b), (len(a), len(b))]:
        yield from _align_changed(a[i:x], b[j:y])
        if x < len(a):
            yield Line(" ", ((False, a[x]),), ((False, b[y]),))
        i, j = x + 1, y + 1


def _align_changed(a: Sequence[str], b: Sequence[str]) -> Iterator[Line]:
    """Put lines of a changed block next to each other where they are alike, the others alone."""
    i = j = 0
    for x, y in [*_pair_by_likeness(a, b), (len(a), len(b))]:
        yield from (Line("-", old=((True, line),)) for line in a[i:x])
        yield from (Line("+", new=((True, line),)) for line in b[j:y])
        if x < len(a):
            yield Line("~", *_mark_words(a[x], b[y]))
        i, j = x + 1, y + 1


def _pair_by_likeness(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of lines, ascending, whose likeness adds up to the most."""
    if not a or not b:
        return []
    if len(a) * len(b) > _MAX_PAIRS:
        return [(k, k) for k in range(min(len(a), len(b)))]
    old_words, new_words = ([Counter(_SIGN.findall(line[:2_000])) for line in side] for side in (a, b))
    like = [[_likeness(x, y) for y in new_words] for x in old_words]
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            paired = like[i][j] + best[i + 1][j + 1] if like[i][j] >= _MIN_LIKENESS else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if like[i][j] >= _MIN_LIKENESS and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(a: Counter[str], b: Counter[str]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0


def _mark_words(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(a), len(b)) > _MAX_TOKENS:
        return ((True, old),), ((True, new),)
    same_old, same_new = [False] * len(a), [False] * len(b)
    for i, j in _drop_islands(common_pairs(a, b), a):
        same_old[i] = same_new[j] = True
    return _join_tokens(a, same_old), _join_tokens(b, same_new)


def _drop_islands(pairs: list[tuple[int, int]], a: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the pairs but for runs within the line that hold no word: a space between two changes is changed, too."""
    run: list[tuple[int, int]] = []
    for pair in [*pairs, None]:
        if pair is not None and (not run or (run[-1][0] + 1, run[-1][1] + 1) == pair):
            run.append(pair)
            continue
        at_end = run and (run[0] == (0, 0) or pair is None)
        if at_end or any(a[i].isalnum() for i, _ in run):
            yield from run
        run = [pair] if pair is not None else []


def _join_tokens(tokens: Sequence[str], same: Sequence[bool]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    start = 0
    for k in range(1, len(tokens) + 1):
        if k == len(tokens) or same[k] != same[start]:
            pieces.append((not same[start], "".join(tokens[start:k])))
            start = k
    return tuple(pieces)


def _fold_equal(lines: list[Line]) -> Iterator[Line]:
    """Leave out long stretches of equal lines, and of equal text within a changed line."""
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
            yield from (Line(line.sign, _elide(line.old), _elide(line.new)) for line in lines[k:end])
        k = end


def _elide(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    if len(pieces) < 2:
        return pieces
    return tuple(
        (changed, text)
        if changed or len(text) <= 3 * _KEPT
        else (changed, f"{text[:_KEPT]} […{len(text) - 2 * _KEPT:,} equal characters…] {text[-_KEPT:]}")
        for changed, text in pieces
    )


def _cut(pieces: tuple[Piece, ...], room: int) -> tuple[Piece, ...]:
    """Keep as many pieces as there is room for, in characters."""
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
