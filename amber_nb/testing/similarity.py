"""How alike two texts are, and which parts of two sequences belong together: longest common subsequences."""

import re
import unicodedata
from collections.abc import Hashable, Sequence

__all__ = ["common_pairs", "similarity", "words"]

# A number with its separators, a sign of a script that is written without spaces, or a word with its apostrophes.
_WORD = re.compile(
    r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]"
    r"|[^\W\d\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af](?:\w|['’](?=\w))*"
)
_MOST_WORDS = 100_000  # a side; beyond it a text is compared by its beginning
_MOST_CELLS = 100_000_000  # 12 MB of bits to find the way back in


def words(text: str) -> list[str]:
    """The words and numbers of a text, without case, punctuation and Markdown's signs."""
    plain = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return _WORD.findall(plain) or plain.split()


def similarity(old: str, new: str) -> float:
    """How alike two texts are, from 0 (nothing in common) to 1 (the same words in the same order).

    The F-measure of ROUGE-L, with precision and recall of equal weight: `2 · L / (m + n)`, where `m` and `n` are the
    numbers of words and `L` is the length of their longest common subsequence, that is of the most words that both
    texts have in the same order, whatever stands between them (Chin-Yew Lin, "ROUGE: A Package for Automatic
    Evaluation of Summaries", 2004, equations 2 to 4 with β = 1). One word of ten replaced gives 0.9; the halves of a
    text swapped 0.5; a paraphrase mostly 0.3 to 0.6.

    `L` is computed 64 cells at a time on long integers (Heikki Hyyrö, "Bit-parallel LCS-length computation
    revisited", 2004), so exactly, without difflib's heuristics, and in 0.1 s for two texts of 100 kB.

    Example:
        >>> similarity("The answer is **42**.", "the answer is 43")
        0.75
    """
    a, b = words(old)[:_MOST_WORDS], words(new)[:_MOST_WORDS]
    if not a or not b:
        return float(a == b)
    head, tail = _same_ends(a, b)
    middle = _common_length(a[head : len(a) - tail], b[head : len(b) - tail])
    return 2 * (head + middle + tail) / (len(a) + len(b))


def common_pairs(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The places of a longest common subsequence, ascending; only the common ends if all of it would take too long."""
    head, tail = _same_ends(a, b)
    m, n = len(a) - head - tail, len(b) - head - tail
    pairs = [(i, i) for i in range(head)]
    if m and n and m * n <= _MOST_CELLS:
        rows = _rows(a[head : head + m], b[head : head + n])
        pairs += [(head + i, head + j) for i, j in _way_back(rows, m, n)]
    return pairs + [(len(a) - k, len(b) - k) for k in range(tail, 0, -1)]


def _same_ends(a: Sequence[Hashable], b: Sequence[Hashable]) -> tuple[int, int]:
    """How many items are the same at the beginning, and of the rest at the end."""
    most = min(len(a), len(b))
    head = next((k for k in range(most) if a[k] != b[k]), most)
    most -= head
    return head, next((k for k in range(most) if a[-1 - k] != b[-1 - k]), most)


def _places(a: Sequence[Hashable]) -> dict[Hashable, int]:
    """Of each item the places where it stands, as bits."""
    at: dict[Hashable, list[int]] = {}
    for place, item in enumerate(a):
        at.setdefault(item, []).append(place)
    bits = {}
    for item, places in at.items():
        buffer = bytearray(places[-1] // 8 + 1)
        for place in places:
            buffer[place >> 3] |= 1 << (place & 7)
        bits[item] = int.from_bytes(buffer, "little")
    return bits


def _common_length(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    places, full = _places(a), (1 << len(a)) - 1
    row = full
    for item in b:
        if both := row & places.get(item, 0):
            row = ((row + both) | (row - both)) & full
    return len(a) - row.bit_count()


def _rows(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[int]:
    """After each item of `b` a row of bits: 0 where one more item of `a` makes the common subsequence longer."""
    places, full = _places(a), (1 << len(a)) - 1
    row, rows = full, [full]
    for item in b:
        if both := row & places.get(item, 0):
            row = ((row + both) | (row - both)) & full
        rows.append(row)
    return rows


def _way_back(rows: Sequence[int], i: int, j: int) -> list[tuple[int, int]]:
    pairs = []
    while i and j:
        if rows[j] >> (i - 1) & 1:
            i -= 1  # a[i - 1] adds nothing here
        elif not rows[j - 1] >> (i - 1) & 1:
            j -= 1  # it does so without b[j - 1], too
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
