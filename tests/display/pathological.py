"""Markdown that would take a careless parser for ever: texts of any size, and the size that has to be bearable."""

import math
from collections.abc import Callable

__all__ = ["PATHOLOGICAL"]

PROSE = "Some *text* with `code` and a [link](https://x.org/y), as long as it may be, and on it goes, never ending.\n\n"
UNITS = (
    "[", "![", "*", "**a ", "`", "$", "$a{ ", "[a](", "<", "<!--", "&amp;", "\\", "~~a ", "|", "\u202e", "\x00",
    "\ud800",
)  # fmt: skip


def again(unit: str) -> Callable[[int], str]:
    return lambda n: unit * (n // len(unit))


def lines(line: Callable[[int], str]) -> Callable[[int], str]:
    """Lines of which each is longer than the one before: as many as are n characters when a line adds one."""
    return lambda n: "".join(line(i) for i in range(math.isqrt(2 * n)))


# name: a text of about n characters, and the n of which it has to be bearable
PATHOLOGICAL: dict[str, tuple[Callable[[int], str], int]] = {
    **{unit: (again(unit), 100_000) for unit in UNITS},
    "brackets in paragraphs": (again("[" * 2_000 + "\n\n"), 100_000),
    "nested images": (lambda n: again("![")(n // 3) + again("](x)")(2 * n // 3), 150_000),
    "backtick runs": (lines(lambda i: " " + "`" * i), 180_000),
    "formulas without an end": (again("\\[\n"), 75_000),
    "quotes": (again(">"), 25_000),
    "quote lines": (lines(lambda i: ">" * min(i, 500) + "a\n"), 180_000),
    "deep list": (lines(lambda i: "  " * i + "- a\n"), 180_000),
    "list in list": (lambda n: again("- ")(n) + "a", 50_000),
    "10,000 columns": (lambda n: "".join(again(cell)(n // 3) + "|\n" for cell in ("|a", "|-", "|b")), 60_000),
    "short rows": (lambda n: again("|a")(n // 4) + "|\n" + again("|-")(n // 4) + "|\n" + again("|b\n")(n // 2), 10_000),
    "definitions": (lambda n: "".join(f"[a{i}]: /x\n" for i in range(n // 13)), 260_000),
    "bare addresses": (again("http://a.b/"), 275_000),
    "tags without an end": (again("<sub>"), 40_000),
    "tags in tags": (lambda n: again("<sub>")(n // 2) + again("</sub>")(n // 2), 40_000),
    "footnotes": (again("[^1]: a[^1]\n"), 100_000),
    "environments without an end": (again("\\begin{align}\n"), 100_000),
    "formulas with empty lines": (again("$$\nx\n\n"), 75_000),
    "code in rows": (lambda n: "|a|b|\n|-|-|\n|" + again("`|a``")(n), 40_000),
    "fences in Markdown": (again("```markdown\n```python\n"), 100_000),
    "used definitions": (again("[a]: /x\n\n[a]\n\n"), 100_000),
    "brackets of an address": (again("https://x.org/" + ")" * 500 + " "), 100_000),
    "one line of 5 MB": (again("word "), 5_000_000),
    "10 MB": (again(PROSE), 10_000_000),
    "10 MB of code": (lambda n: "```python\n" + again("x = 1  # y\n")(n), 10_000_000),
}
