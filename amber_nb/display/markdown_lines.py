"""Lines of Markdown: how wide they are, which of their ends are but spaces, and which of their signs mean themselves.

frontend/src/markdown/columns.js and spans.js read them alike.
"""

import re

__all__ = ["CJK", "columns_of", "flowing_ends", "literal_signs"]

_LONG_LINE = 60  # columns; a line of that length is taken for one that was broken because it was full
_AHEAD = 200  # characters of the next line that may decide
# Characters as wide as two, and as many more as are written without spaces between their words.
_IDEOGRAPHS = (
    "\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19"
    "\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\U00016fe0-\U0001b2ff\U0001f200-\U0001f265\U00020000-\U0003fffd"
)
_WIDE = re.compile(f"[{_IDEOGRAPHS}\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f900-\U0001faff]")
CJK = re.compile(f"[{_IDEOGRAPHS}\u1160-\u11ff\u20a9\u3131-\u318e\ud7b0-\ud7fb\uff61-\uffdc\uffe8-\uffee]")
_UNSPACED = re.compile(
    "[\u2e80-\u303e\u3041-\u3130\u3190-\ua4cf\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\U00020000-\U0003fffd]"
)
_LIST_SIGN = re.compile(
    r"[ \t]*(?:[-+*•‣⁃◦▪▫▸▹►▶●○■□◆◇·–—→⇒➔➜➤✓✔✗✘✅❌❗⚠☐☑☒★☆|>│├└┌┬┼─═║╔╚╠#{}\[\]<]"
    r"|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)](?=\s)|[`\\]--)"
)
# How a line begins that stands by itself: a speaker or a label, a time or a date, a level of a log, an address, a path.
_ENTRY = re.compile(
    r"[ \t]*(?:[*_]{0,3}(?:[^\W\d_][\w.'-]{0,24}|[A-ZÀ-ÖØ-ÞА-Я][\w.'-]{0,20}(?: [\w.'-]{1,20}){1,2})"
    r"(?: ?\([^()]{1,20}\))?[*_]{0,3}(?:：|:(?=[\s*_]|$))"
    r"|\d{4}[-/.]\d{1,2}(?:[-/. T]|$)|\d{1,2}:\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,3}(?:\.\d{1,3}){3}"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}[ ,.]+\d"
    r"|(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)(?!\w)"
    r"|(?:https?|ftp)://|www\.|~?/\w|\.{1,2}/|[a-zA-Z]:\\)"
)
_FIELD = re.compile(r"[,;](?!\s|\d{3}(?!\d)|$)")  # and no thousands
_CLAUSE = re.compile(r"[,;—，；]$")
_CAPITAL = re.compile(r"[ \t]*[\"'“‘«(*_]{0,3}[A-ZÀ-ÖØ-ÞΑ-ΩА-Я]")
_FIRST_WORD = re.compile(r"[ \t]*([^ \t]*)")
# The lines of a tree, and what its branches begin with.
_BRANCH = re.compile(r"^[ \t|│┃║]*(?:[├└┌┬┼╠╚]|\+--|\|--|(`+|\\)--+(?=[ \t]*[^\s-])).*$", re.MULTILINE)
_TICKS = re.compile("`+")
_UNDERSCORES = re.compile("_+")
_PATH = re.compile(
    r"(?:(?<![A-Za-z0-9])[A-Za-z]:|(?<!\S)(?:%\w{1,40}%|\.{1,2}|\\\\[\w.$-]{1,60}(?=\\[\w*$])))\\[^\s`<>\"|]*"
)
_SEPARATOR = re.compile(r"\\(?:(?!\*\*(?:[^*\w.\\]|$))(?:[*_]+(?=[\\.\w?])|[!-/:-@\[-_{-~]))?")


def columns_of(line: str) -> int:
    """Return how many columns a line takes; a wide character takes two."""
    return len(line) + (0 if line.isascii() else len(_WIDE.findall(line)))


def flowing_ends(text: str) -> dict[int, str]:
    """Return where the line ends stand that are but spaces, and what each of them is: a line feed, or nothing."""
    ends: dict[int, str] = {}
    start = width = 0
    while (end := text.find("\n", start)) >= 0:
        line = text[start:end].strip(" \t")
        columns = columns_of(line) if len(line) >= _LONG_LINE // 2 else 0
        width = max(width, columns)
        if columns >= _LONG_LINE:
            stop = text.find("\n", end + 1)
            following = text[end + 1 : end + 1 + _AHEAD if stop < 0 else min(stop, end + 1 + _AHEAD)]
            if _flows(line, following, width - columns):
                ends[end] = _joint(line, following)
        start = end + 1
    return ends


def _flows(line: str, following: str, room: int) -> bool:
    """Return whether a full line goes on in the next one; `room` is what the widest line so far has more than it."""
    if _LIST_SIGN.match(following) or _ENTRY.match(following) or line[-1] in ":：":
        return False
    if len(_FIELD.findall(line)) >= 3 or (_CLAUSE.search(line) and _CAPITAL.match(following)):
        return False
    if any((count := line.count(sign)) >= 3 and count == following.count(sign) for sign in ",;\t"):
        return False
    word = _FIRST_WORD.match(following)[1]  # type: ignore[index]
    needed = columns_of(word[:2]) if _UNSPACED.match(word) else 1 + columns_of(word)
    return needed > room  # it would have stood there, had the line been broken because it was full


def _joint(line: str, following: str) -> str:
    last, first = line.rstrip("*_~")[-1:], following.lstrip(" \t*_~")[:1]
    unspaced = _UNSPACED.match(last) and _UNSPACED.match(first)
    return "" if unspaced and "://" not in line.split()[-1] else "\n"  # an address would grow


def literal_signs(text: str) -> dict[int, int]:
    """Return where the signs begin, and end, that a tree or a Windows path needs: they are no marks of Markdown."""
    signs: dict[int, int] = {}
    if "--" in text or "├" in text or "└" in text:
        for branch in _BRANCH.finditer(text):
            sign, rest = branch[1] or "", text[branch.end(1) : branch.end()] if branch[1] else ""
            closer = next((run for run in _TICKS.finditer(rest) if len(run[0]) == len(sign)), None)
            if sign[:1] == "`" and closer and rest[closer.start() - 1] not in " \t":
                continue  # an option in code
            if sign:
                signs[branch.start(1)] = branch.end(1) + (sign == "\\")
            for run in _UNDERSCORES.finditer(text, branch.start(), branch.end()):
                signs[run.start()] = run.end()
    if "\\" in text:
        for path in _PATH.finditer(text):
            for found in _SEPARATOR.finditer(text, path.start(), path.end()):
                signs[found.start()] = found.end()
    return signs
