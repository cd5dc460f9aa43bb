"""Find durations in a text, in the ways that people write them in English and German."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["find_durations"]

_NUMBERS = (
    ("two", "zwei"), ("three", "drei"), ("four", "vier"), ("five", "fünf"), ("six", "sechs"), ("seven", "sieben"),
    ("eight", "acht"), ("nine", "neun"), ("ten", "zehn"), ("eleven", "elf"), ("twelve", "zwölf"),
)  # fmt: skip
_WORDS = {
    **dict.fromkeys(("a", "an", "one", "ein", "eine", "einen", "einer", "einem"), "1"),
    **dict.fromkeys(("half a", "half an", "eine halbe", "einen halben", "ein halbes"), "0.5"),
    **dict.fromkeys(("anderthalb", "eineinhalb", "one and a half"), "1.5"),
    **{word: str(number) for number, words in enumerate(_NUMBERS, 2) for word in words},
}
_UNITS = {  # the unit of ISO 8601 → how it is written
    "Y": r"years?|yrs?|jahre?n?",
    "M": r"months?|monate?n?",
    "W": r"weeks?|wks?|wochen?",
    "D": r"days?|tage?n?",
    "TH": r"hours?|hrs?|h|stunden?|std(?! dev)",
    "TM": r"minutes?|mins?|minuten?",
    "TS": r"seconds?|secs?|sekunden?|sek",
}
_GERMAN = re.compile(r"jahr|monat|woche|tag|st|minuten?$|sek", re.I)
_HALVES = {"0.5TH": "30TM", "0.5TM": "30TS", "0.5D": "12TH", "0.5Y": "6M"}
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_UNIT = "|".join(f"(?P<{name}>{forms})" for name, forms in _UNITS.items())
_FIGURE = r"(?P<number>\d{1,6}(?:[.,]\d{1,3})?)(?P<half> and a half|½)?[\s-]?"
_PART = re.compile(
    rf"(?:(?<![\w.,:])|(?<=\d[hd])(?=\d))(?:{_FIGURE}|(?P<word>{_WORD})[\s-])"
    rf"(?:{_UNIT})(?P<after> and a half)?(?![^\W\d_])",
    re.I,
)
_CLOCK = re.compile(r"(?<![\w.,:])(\d{1,3}):([0-5]\d)\s?(?:hours?|hrs?|h|stunden|std)\b", re.I)
_ISO = re.compile(r"(?<![\w-])P(?=\d|T\d)(?:\d{1,6}[YMWD])*(?:T(?:\d{1,6}(?:\.\d{1,3})?[HMS])+)?(?!\w)")
_MORE_MINUTES = re.compile(r" ?(\d{1,2}) ?m(?!\w)", re.I)  # 1h 30m
_JOINT = re.compile(r",?\s*(?:(?:and|und)\s+)?", re.I)  # between the parts of one duration
_RATE = re.compile(  # "twice a day", "20 EUR an hour"
    r"(?:\b(?:once|twice|thrice|times|mal|every|each|per|pro)|[$€£]\s?\d[\d.,]*|\d\s?(?:eur|euros?|usd|dollars?|km|miles?))"
    r"\s+$",
    re.I,
)
_ORDER = [*_UNITS]


def find_durations(text: str) -> list[str]:
    """Return the durations of a text as ISO 8601 writes them, such as `PT90M`; `1h 30min` is one, `PT1H30M`."""
    text = text.replace("\u00a0", " ").replace("\u202f", " ")
    found = {match.start(): match[0] for match in _ISO.finditer(text)}
    found |= {match.start(): f"PT{int(match[1])}H{int(match[2])}M" for match in _CLOCK.finditer(text)}
    parts: list[tuple[str, str]] = []  # of the duration that is being read: numbers and units
    start = end = -1
    for match in _PART.finditer(text):
        unit = next(name for name in _UNITS if match[name])
        before = text[max(0, match.start() - 20) : match.start()]
        if match["word"] and (_RATE.search(before) or (unit == "TS" and match["word"].lower() == "a")):
            continue  # "a second opinion"
        if not (parts and _goes_on(parts[-1], unit) and _JOINT.fullmatch(text[end : match.start()])):
            if parts:
                found[start] = _to_iso(parts)
            parts, start = [], match.start()
        parts.append((_to_number(match, match[unit]), unit))
        end = match.end()
        if unit == "TH" and (minutes := _MORE_MINUTES.match(text, end)):
            parts.append((minutes[1], "TM"))
            end = minutes.end()
    if parts:
        found[start] = _to_iso(parts)
    return [found[place] for place in sorted(found)]


def _goes_on(last: tuple[str, str], unit: str) -> bool:
    """Return whether a smaller unit belongs to what stands before it: not behind a fraction."""
    return "." not in last[0] and _ORDER.index(unit) > _ORDER.index(last[1])


def _to_number(match: re.Match[str], unit: str) -> str:
    if match["word"]:
        number = _WORDS[re.sub(r"\s+", " ", match["word"].lower())]
    else:
        number = match["number"]
        # English has a comma, and German a point, between thousands.
        if re.fullmatch(r"\d{1,3}\.\d{3}" if _GERMAN.match(unit) else r"\d{1,3},\d{3}", number):
            number = re.sub(r"[.,]", "", number)
        number = number.replace(",", ".")
    return str(Decimal(number) + Decimal("0.5")) if match["half"] or match["after"] else number


def _to_iso(parts: list[tuple[str, str]]) -> str:
    if len(parts) == 1:
        number, unit = parts[0]
        halved = _HALVES.get(number + unit, number + unit)
        number, unit = re.findall(r"[\d.]+|\D+", halved)
        parts = [(number, unit)]
    elif any(unit == "W" for _, unit in parts):  # weeks stand alone there
        days = sum(Decimal(number) * (7 if unit == "W" else 1) for number, unit in parts if unit in ("W", "D"))
        parts = [*(each for each in parts if each[1] in "YM"), (str(days), "D"), *(p for p in parts if p[1][0] == "T")]
    iso = "P"
    for number, unit in parts:
        iso += "T" * (unit[0] == "T" and "T" not in iso) + number + unit[-1]
    return iso
