"""Find dates and times of day in a text, in the ways that people write them in English and German."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Moment", "find_moments", "find_times"]

_MONTHS = (
    "jan(?:uary|uar)?|jän(?:ner)?|feb(?:ruary|ruar|r|er)?|mar(?:ch)?|märz?|apr(?:il)?|may|mai|june?|juni|july?|juli|"
    "aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?"
)
_MONTH_STARTS = (
    *("jan|jän", "feb", "mar|mär", "apr", "may|mai", "jun", "jul", "aug", "sep", "oct|okt", "nov", "dec|dez"),
)
_DAY = r"(\d{1,2})(?:st|nd|rd|th|\.)?"
_FORMS = {  # how a date is written → the groups in which year, month and day stand
    r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)": (1, 2, 3),
    r"(?<![\w/.])(\d{4})/(\d{1,2})/(\d{1,2})(?![\w/])": (1, 2, 3),
    rf"(?<!\w){_DAY}(?: of)? ({_MONTHS})\.?,? (\d{{4}})(?!\d)": (3, 2, 1),
    rf"(?<!\w)(\d{{1,2}})(?:\.|([-/])) ?({_MONTHS})(?:\2|\.? )(\d{{4}})(?!\d)": (4, 3, 1),
    rf"(?<![\w-])(\d{{4}})-({_MONTHS})-(\d{{1,2}})(?!\w)": (1, 2, 3),
    rf"(?<!\w)({_MONTHS})\.? {_DAY}(?:, ?| )(\d{{4}})(?!\d)": (3, 1, 2),
    r"(?<![\w.])(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})(?!\d)": (3, 2, 1),
    r"(?<![\w/])(\d{1,2})/(\d{1,2})/(\d{4})(?![\w/])": (3, 1, 2),  # the American order, unless it cannot be
    r"(?<![\w.,+-])((?:19|20)\d\d)(\d\d)(\d\d)(?!\w(?<!T)|[.,-]\d)": (1, 2, 3),
}
_LABELS = {  # how a date is written → the words before it that make it the number of something
    re.compile(r"[\d. ]*\.[\d. ]*"): (
        "v|ver|versions?|releases?|builds?|rev|revisions?|firmware|kernel|section|chapter|kapitel|abschnitt"
    ),
    re.compile(r"\d{8}"): (
        "versions?|builds?|invoices?|orders?|tickets?|cases?|customers?|accounts?|members?|users?|parts?|articles?|"
        "numbers?|nr|no|ids?|sku|code|ref|reference|phone|tel|rechnung|bestellung|nummer|kunde|kundin|konto|artikel"
    ),
}
_NO_DATES = {
    form: re.compile(rf"(?:\b(?:{words})[.:]?\s{{0,2}}(?:[#\"'`]|no\.? |nr\.? )?|#)$", re.I)
    for form, words in _LABELS.items()
}
_PATTERNS = [(re.compile(pattern, re.I), groups) for pattern, groups in _FORMS.items()]
_TIME = re.compile(
    r"(?<![\d:.-])([01]?\d|2[0-3])(?:([:.])([0-5]\d)(?::([0-5]\d)(?:\.\d{1,9})?)?)?"
    r"(?:\s?(am|pm|a\.m\.|p\.m\.|uhr|o['’]clock)(?!\w)(?:(?<=uhr) ([0-5]\d)(?![\w.:]))?)?(?![\d:])",
    re.I,
)
_GAP = re.compile(r"T|,?\s+(?:(?:at|um|from|ab)\s+)?|,", re.I)  # between a date and its time
_ZONE = re.compile(r"\s?(z|utc|gmt|[+-]\d\d:?\d\d)(?![\w:])", re.I)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date in a text, with the time that follows it.

    Attributes:
        date: `YYYY-MM-DD`.
        time: `HH:MM:SS`, or None.
        zone: `Z` or `±HH:MM`, "" where none is written.
        start: where it begins in the text, in characters.
        end: where the date ends.
    """

    date: str
    time: str | None
    zone: str
    start: int
    end: int


def find_moments(text: str) -> list[Moment]:
    """Return the dates of a text in their order; what is no day of the calendar is none."""
    text = text.replace("\u00a0", " ").replace("\u202f", " ")
    found: dict[int, Moment] = {}
    for pattern, (year, month, day) in _PATTERNS:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 20) : match.start()]
            if any(form.fullmatch(match[0]) and label.search(before) for form, label in _NO_DATES.items()):
                continue
            date = _date(int(match[year]), _month(match[month]), int(match[day]), match[0])
            if date is not None and not any(match.start() < each < match.end() for each in found):
                time, zone = _time_after(text, match.end())
                found.setdefault(match.start(), Moment(date, time, zone, match.start(), match.end()))
    return [found[start] for start in sorted(found)]


def find_times(text: str) -> Iterator[tuple[int, str]]:
    """Yield the times of day as `HH:MM:SS`, each with its place."""
    for match in _TIME.finditer(text):
        if time := _time(match):
            yield match.start(), time


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(number for number, starts in enumerate(_MONTH_STARTS, 1) if re.match(starts, text, re.I))


def _date(year: int, month: int, day: int, written: str) -> str | None:
    if month > 12 and "/" in written:
        month, day = day, month
    try:
        return dt.date(year, month, day).isoformat()
    except ValueError:
        return None


def _time_after(text: str, end: int) -> tuple[str | None, str]:
    """Return the time that follows a date at once, and its zone."""
    gap = _GAP.match(text, end)
    match = _TIME.match(text, gap.end()) if gap is not None else None
    time = _time(match) if match is not None else None
    if match is None or time is None:
        return None, ""
    zone = _ZONE.match(text, match.end())
    name = zone[1].upper() if zone is not None else ""
    return time, "Z" if name in ("Z", "UTC", "GMT") else name[:3] + ":" + name[-2:] if name else ""


def _time(match: re.Match[str]) -> str | None:
    """Return a time of day; None for a number alone, which may be anything."""
    hour, sign, minute, second, word, behind = match.groups()
    if word is None and sign != ":":  # a number, or one with a point
        return None
    minute = minute or behind
    number = int(hour)
    if word is not None and word[0].lower() in "ap":
        if not 1 <= number <= 12:
            return None
        number = number % 12 + (12 if word[0].lower() == "p" else 0)
    return f"{number:02d}:{minute or '00'}:{second or '00'}"
