"""Plausible strings for one place of a schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .hints import PERSON, PLACE, WHOLE, Hint, nth
from .words import Prompt, stems

__all__ = ["strings", "told_strings"]

MAX_LENGTH = 20_000
# A format's own examples; {n} makes items of an array differ.
_FORMATS = {
    "date": ["2026-01-{d:02d}"],
    "time": ["{h:02d}:30:00Z"],
    "date-time": ["2026-01-{d:02d}T09:30:00Z"],
    "duration": ["P{n}D"],
    "email": ["person{n}@example.com"],
    "hostname": ["host{n}.example.com"],
    "ipv4": ["192.0.2.{o}"],
    "ipv6": ["2001:db8::{n}"],
    "uri": ["https://example.com/{n}"],
    "uri-reference": ["/{n}"],
    "uuid": ["123e4567-e89b-42d3-a456-{n:012d}"],
    "json-pointer": ["/item/{n}"],
    "regex": ["^a*$"],
    "idn-email": ["person{n}@example.com"],
    "idn-hostname": ["host{n}.example.com"],
    "iri": ["https://example.com/{n}"],
    "iri-reference": ["/{n}"],
}

_TO = frozenset(["to", "cc", "bcc", *stems("recipient receiver addressee address")])


def strings(schema: dict[str, Any], hint: Hint, prompt: Prompt) -> Iterator[str]:
    """Yield strings to try, the most plausible first; the last ones are cut or filled to the wanted length."""
    kind = schema.get("format")
    told = [text for text in told_strings(schema, hint, prompt) if text]
    yield from told
    if isinstance(schema.get("default"), str):
        yield schema["default"]
    yield from (text for text in nth(schema.get("examples") or [], hint.index) if isinstance(text, str))
    n = hint.index + 1
    for template in _FORMATS.get(kind or "", []):
        yield template.format(n=n, d=n % 28 + 1, h=n % 24, o=n % 254 + 1)
    generic = [text for text in _generic_strings(hint, prompt) if text]
    yield from generic
    low = int(min(schema.get("minLength", 0), MAX_LENGTH))
    high = int(min(schema.get("maxLength", MAX_LENGTH), MAX_LENGTH))
    for text in [*told, *generic]:
        if len(text) > high:
            short = text[:high]
            yield short.rpartition(" ")[0] or short
            yield short
        elif len(text) < low:
            yield (text + " " + "and so on " * (low // 10 + 1))[:low].rstrip().ljust(low, ".")
    yield "x" * low
    yield chr(97 + hint.index % 26) * max(low, min(1, high))


def told_strings(schema: dict[str, Any], hint: Hint, prompt: Prompt) -> list[str]:
    """Give what the prompt itself says for this place; empty when it says nothing."""
    kind = schema.get("format", "")
    words = hint.words
    if kind in ("date", "date-time") or words & {"date", "day"}:
        clock = f"T{prompt.times[0]}:00Z" if prompt.times else "T09:00:00Z"
        return (
            [day + clock for day in nth(prompt.dates, hint.index)]
            if kind == "date-time"
            else nth(prompt.dates, hint.index)
        )
    if kind == "time" or words & {"tim"}:
        return [time + ":00Z" if kind == "time" else time for time in nth(prompt.times, hint.index)]
    if kind.endswith("email") or words & {"email", "mail"}:
        return nth(prompt.emails, hint.index)
    if kind in ("uri", "iri") or words & {"url", "uri", "link"}:
        return nth(prompt.urls, hint.index)
    if kind:
        return []
    if prompt.emails and (hint.name.lower() in _TO or words & _TO):
        return nth(prompt.emails, hint.index)
    found: list[str] = []
    label = re.escape(hint.name.lower().replace("_", " ").strip())
    if label:
        named = re.search(
            rf"\b{label}\b(?:\s*(?:is|was|=|:|named|called)\s*)[\"“']?([\w@.’'-]{{1,60}})", prompt.text, re.IGNORECASE
        )
        found += [named[1].strip(".'")] if named else []
    if hint.about(PLACE) or "city" in hint.description.lower():
        found += nth(prompt.places, hint.index)
    if words & stems("subject topic title theme"):
        found += re.findall(r"\b(?:about|regarding|concerning|über)\s+([^.,;:!?\n]{2,80})", prompt.text)
    if hint.about(WHOLE):
        found += [*nth(prompt.quoted, hint.index), prompt.subject]
    if hint.about(PERSON):
        found += nth(prompt.quoted, hint.index) + nth(prompt.names, hint.index)
    if words & {"id", "number", "cod", "key", "order", "sku"}:
        found += nth(re.findall(r"(?<![\w-])#?((?=[\w-]*\d)[A-Za-z0-9][\w-]{0,40})", prompt.text), hint.index)
    if words & {"expression", "formula", "calculation", "express"}:
        sums = re.findall(r"[\d(][\d\s.+*/^()-]*[\d)]", prompt.text)
        found += [text.strip() for text in sums]
    return found + ([] if found else nth(prompt.quoted, hint.index))


def _generic_strings(hint: Hint, prompt: Prompt) -> list[str]:
    words = hint.words
    subject = re.sub(r"\s+", " ", prompt.subject)
    if words & (stems("summary description reason explanation comment note answer reply response abstract")):
        return [subject[:160].rpartition(" ")[0] + " …" if len(subject) > 160 else subject]
    if words & stems("title headline heading topic"):
        return [" ".join(prompt.keywords[:5]).capitalize() or "Untitled"]
    if hint.about(PLACE):
        return ["Aachen", "Berlin", "Paris", "Rome", "Oslo", "Lisbon", f"Town {hint.index + 1}"][hint.index % 7 :]
    if words & stems("timezone"):
        return ["Europe/Berlin"]
    if words & stems("language"):
        return ["English"]
    if words & stems("currency"):
        return ["EUR"]
    if words & stems("unit"):
        return ["kg"]
    keywords = nth(prompt.keywords, hint.index)
    if hint.about(PERSON) and not prompt.names:
        keywords = [word.capitalize() for word in keywords]
    if hint.about(WHOLE):
        return [subject, *keywords[:30], f"text {hint.index + 1}"]
    return [
        *keywords[:30],
        *([hint.name.replace("_", " ")] if hint.name else []),
        f"text {hint.index + 1}",
        str(hint.index),
    ]
