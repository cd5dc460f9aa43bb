"""What a prompt says without a model: its words, names, numbers and dates, and which value suits which property."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from .dates import Moment, find_moments, find_times
from .described import fit_moments, move_example
from .durations import find_durations

__all__ = ["Hint", "Prompt", "likely_types", "stems"]

MAX_CHARS = 20_000  # characters of a prompt that are read, and of a string that is suggested


# --- words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP = _words(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing don down during each few for from further had has have having he her here hers him his
    how i if in into is it its just let like ll me more most my need no nor not now of off on once only or other our out
    over own please re same she should so some such t than that the their them then there these they this those through
    to too under until up use using ve very want was we were what whats when where which while who whom why will with
    would you your yours tell give show call provided ist die der das ein eine und oder wie was in für"""
)
# Words that open a sentence with a capital letter and are neither a name nor a place.
_OPENERS = _words(
    """answer ask book calculate call can check classify compare compute convert could create describe do does draw
    extract fetch fill find generate get give hello hey hi i is label list look make name note please rate read remind
    reply return review roll say schedule search send set show sort subject sum summarise summarize tell test text
    thanks translate turn use what what's when where which who why write yes no now today tomorrow the then there this
    that these those it he she we you they my our if in on at for from and or but so how a an are was were will would
    monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
    october november december celsius fahrenheit json markdown english german"""
)
_PLACE = r"[A-ZÀ-ÖØ-Þ][\w’'.-]*[\w](?:[ -](?:(?:am|an der|de|del|la|of|upon) )?[A-ZÀ-ÖØ-Þ][\w’'-]*\w)*"
_PLACES = re.compile(
    rf"\b(?:in|for|at|near|to|from|of|between|around|visit|nach|von|für|bei)\s+"
    rf"({_PLACE}(?:\s*(?:,\s*(?:and|or|und)?|and|or|und|to|vs\.?|&)\s*(?:in |for |from )?{_PLACE}){{0,20}})"
)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(\d{1,3}(?:,\d{3})+|\d{1,15})(\.\d{1,10})?(?![\w-])")
_NO_NUMBER = re.compile(r"\S+@\S+|https?://\S+|\d{4}-\d\d-\d\d\S*|\d{1,2}:\d\d(?::\d\d)?")
_QUOTED = re.compile(r'"([^"\n]{1,200})"|“([^”\n]{1,200})”|`([^`\n]{1,200})`')
_FOUND = {  # what has a form of its own, wherever it stands
    "email": re.compile(r"\b[\w.+-]{1,60}@[A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,60}){1,4}", re.ASCII),
    "uri": re.compile(r"https?://[\w.~:/?#@!$&'()*+,;=%-]{1,300}(?<![.,;:!?)])", re.ASCII),
}


_DATE_WORDS = _words("date day time at on datetime timestamp")  # of a property's name; which date it is they do not say


def stems(text: str) -> set[str]:
    """Return the stems of the content words of a text; `camelCase` and `snake_case` are split into words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\W]+", " ", text[:MAX_CHARS])
    return {_stem(word) for word in spaced.lower().split() if word not in _STOP and (len(word) > 1 or word.isdigit())}


def _stem(word: str) -> str:
    for ending, rest in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("er", ""), ("s", ""), ("e", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + rest
            break
    # "roll" and "rolled" agree now; "plan" and "planning" need the doubled letter off.
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sl" else word


class Prompt:
    """A prompt, and what can be read out of it.

    Args:
        text: the prompt; the first 20,000 characters are read.

    Attributes:
        stems: the stems of its content words.
        quoted: the texts in quotation marks or backticks.

    Example:
        Prompt("What's the weather in Paris and Rome?").places  # ["Paris", "Rome"]
    """

    def __init__(self, text: str) -> None:
        self.text = text[:MAX_CHARS]
        self.lower = self.text.lower()
        self.stems = stems(self.text)
        self.quoted = ["".join(groups) for groups in _QUOTED.findall(self.text)]

    @cached_property
    def subject(self) -> str:
        """The text after the first colon or blank line, if there is any, else all of it."""
        match = re.search(r":\s+(?=\S)|\n\s*\n", self.text)
        rest = self.text[match.end() :].strip() if match else ""
        return rest.strip("\"“”'") if len(rest) >= 3 else self.text.strip()

    @cached_property
    def places(self) -> list[str]:
        """Capitalised names after "in", "for", "from" …, in order; "Aachen, North Rhine-Westphalia" is one place."""
        places: list[str] = []
        for match in _PLACES.finditer(self.text):
            parts = re.split(r"\s*,\s*(?:(?:and|or|und)\s+)?|\s+(?:and|or|und|to|vs\.?|&)\s+", match[1])
            names = [re.sub(r"^(?:in|for|from)\s+|['’]s$", "", part).strip(" .") for part in parts]
            names = [name for name in names if name and name.lower() not in _OPENERS]
            is_list = re.search(r"\b(?:and|or|und|to|vs)\b|&", match[1])
            if len(names) == 2 and not is_list and "," in match[1]:
                names = [", ".join(names)]
            places += names
        return list(dict.fromkeys(places)) or self.names

    @cached_property
    def names(self) -> list[str]:
        """Capitalised words in order, without those that only open a sentence."""
        candidates = re.findall(_PLACE, self.text)
        names = []
        for candidate in candidates:
            words = re.sub(r"['’]s$", "", candidate).split(" ")
            while words and (words[0].lower() in _OPENERS or words[0].lower() in _STOP):
                words = words[1:]
            opens = re.search(r"(?:^|[.!?\n]\s*)" + re.escape(candidate), self.text)
            if words and not (opens and len(words) == 1 and len(candidates) > 1 and self._is_common(words[0])):
                names.append(" ".join(words))
        return list(dict.fromkeys(names))

    def _is_common(self, opener: str) -> bool:
        """Return whether the word that opens a sentence is a verb or adverb rather than a name."""
        word = opener.lower()
        return word.endswith(("ly", "ing", "ed", "ise", "ize", "ate")) or f" {word} " in self.lower

    @cached_property
    def numbers(self) -> list[float | int]:
        """The numbers in order, without those that are part of a date, a time, an id or an address."""
        matches = _NUMBER.finditer(_NO_NUMBER.sub(" ", self.without_dates))
        return [(float if match[2] else int)(match[0].replace(",", "")) for match in matches]

    def find(self, kind: str) -> list[str]:
        """Return the e-mail addresses ("email"), web addresses ("uri"), dates, times or durations, as JSON has them."""
        if kind == "date":
            return [moment.date for moment in self.moments]
        if kind == "time":
            return [time for _, time in self.times]
        if kind == "duration":
            return find_durations(self.text)
        return [match[0] for match in _FOUND[kind].finditer(self.text)]

    @cached_property
    def moments(self) -> list[Moment]:
        """The dates, with the times that follow them."""
        return find_moments(self.text)

    @cached_property
    def without_dates(self) -> str:
        """The text without its dates, whose numbers are none of their own."""
        text = self.text
        for moment in reversed(self.moments):
            text = text[: moment.start] + " " + text[moment.end :]
        return text

    @cached_property
    def times(self) -> list[tuple[int, str]]:
        """The times of day, each with its place."""
        return list(find_times(self.text))

    def place_of(self, name: str) -> int | None:
        """Return where the prompt first speaks of a name such as `due_date`: of the first of its words that occurs."""
        for word in re.findall(r"[a-zà-ÿ]{2,40}", name.lower()):
            if word not in _DATE_WORDS and (match := re.search(rf"\b{re.escape(word)}", self.lower)):
                return match.start()
        return None

    @cached_property
    def keywords(self) -> list[str]:
        """The content words of the subject in order, in lower case, each once."""
        words = [re.sub(r"['’]s$", "", word.lower()) for word in re.findall(r"[^\W\d_][\w’'-]{2,30}", self.subject)]
        return list(dict.fromkeys(word for word in words if word not in _STOP and word not in _OPENERS))

    def position(self, phrase: str) -> int | None:
        """Return where a word or phrase occurs, also in the plural or with `_` for a space; None if nowhere."""
        words = [re.escape(word) for word in re.split(r"[_\s-]+", phrase.lower().strip())]
        if not any(words) or len(phrase) > 200:
            return None
        match = re.search(r"(?<!\w)" + r"[_\s-]".join(words) + r"(?:s|es)?(?!\w)", self.lower)
        return match.start() if match else None


# --- values for a property

_PLACE_WORDS = stems("city location place country town destination origin region state address capital venue")
_TEXT_WORDS = stems("query question prompt text message content body input request search sentence review")
_PERSON_WORDS = stems("name person author user customer recipient sender title company brand product")
_RECIPIENT_WORDS = {"to", "cc", "bcc", *stems("recipient receiver addressee address")}
_TOPIC_WORDS = stems("subject topic title theme")
_NUMBER_NAMES = {"id", *stems("number code key order sku")}
_LONG_TEXT_WORDS = stems("summary description reason explanation comment note answer reply response abstract")
_DATE_NAMES, _TIME_NAMES = {"date", "dat", "day"}, {"tim"}  # stems of a name
_END_WORDS = stems("end to until return checkout due deadline departure expiry")
_FOUND_BY = {  # what is looked for → formats, and stems of a name, that ask for it
    "email": (("email", "idn-email"), {"email", "mail"}),
    "uri": (("uri", "iri"), {"url", "uri", "link"}),
}
# Examples of each format; the fields make the items of an array differ.
_FORMATS = {
    "date": "2026-01-{day:02d}",
    "time": "{hour:02d}:30:00Z",
    "date-time": "2026-01-{day:02d}T09:30:00Z",
    "local-date-time": "2026-01-{day:02d}T09:30:00",
    "duration": "P{n}D",
    "ipv4": "192.0.2.{octet}",
    "ipv6": "2001:db8::{n}",
    "uuid": "123e4567-e89b-42d3-a456-{n:012d}",
    "json-pointer": "/item/{n}",
    "regex": "^a*$",
    **dict.fromkeys(("email", "idn-email"), "person{n}@example.com"),
    **dict.fromkeys(("hostname", "idn-hostname"), "host{n}.example.com"),
    **dict.fromkeys(("uri", "iri"), "https://example.com/{n}"),
    **dict.fromkeys(("uri-reference", "iri-reference"), "/{n}"),
}
_KEYWORDS = {  # by which a schema without `type` tells what it is about
    "object": ("properties", "required", "additionalProperties", "minProperties", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "uniqueItems", "contains"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
}
_NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def likely_types(schema: dict[str, Any]) -> list[str]:
    """Return the types of a schema; without `type`, those that it may mean, the likeliest first."""
    if "type" in schema:
        return schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    first = [kind for kind, keywords in _KEYWORDS.items() if schema.keys() & set(keywords)]
    return list(dict.fromkeys([*first, "string", "number", "object", "array", "boolean", "null"]))


def _bounds(schema: dict[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    lows = [Fraction(str(schema[key])) for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [Fraction(str(schema[key])) for key in ("maximum", "exclusiveMaximum") if key in schema]
    return max(lows, default=None), min(highs, default=None)


@dataclass(frozen=True, slots=True)
class Hint:
    """What is known of a value besides its schema, and which values that suggests.

    Attributes:
        name: the property's name, or the schema's title.
        description: the schema's description.
        index: position in an array, or number of the instance.
        order: how many numbers its object has before it, so that `a` and `b` of a sum take different numbers.
        depth: values around it.
        references: references that led to it.
    """

    prompt: Prompt
    name: str = ""
    description: str = ""
    index: int = 0
    order: int = 0
    depth: int = 0
    references: int = 0

    @property
    def is_lean(self) -> bool:
        """Whether a recursive schema is brought to an end here."""
        return self.references > 2

    @property
    def words(self) -> set[str]:
        """The stems of the name."""
        return stems(self.name)

    def with_schema(self, schema: dict[str, Any]) -> Hint:
        """Return the hint with the title and description of a schema."""
        name, description = self.name or schema.get("title", ""), schema.get("description") or self.description
        return replace(self, name=name, description=description)

    def inner(self, name: str, index: int = 0, order: int = 0) -> Hint:
        """Return the hint for a value within this one."""
        return Hint(self.prompt, name, "", index, order, self.depth + 1, self.references)

    def is_about(self, words: set[str]) -> bool:
        """Return whether the name, or for a very short name the description, has one of the stems."""
        return bool(self.words & words) or (len(self.name) < 3 and bool(stems(self.description) & words))

    def turn(self, items: list[Any], extra: int = 0) -> list[Any]:
        """Return the items starting with the one at this index, or `extra` behind it."""
        start = (self.index + extra) % len(items) if items else 0
        return items[start:] + items[:start]

    def strings(self, schema: dict[str, Any]) -> Iterator[str]:
        """Yield strings to try, the most plausible first; the last ones are cut or padded to the schema's bounds."""
        mentioned = [text for text in fit_moments(self._mentioned_strings(schema), schema) if text]
        known = [*mentioned, schema.get("default"), *self.turn(schema.get("examples") or [])]
        yield from (text for text in known if isinstance(text, str))
        n = self.index + 1
        if schema.get("format") in _FORMATS:
            text = _FORMATS[schema["format"]].format(n=n, day=n % 28 + 1, hour=n % 24, octet=n % 254 + 1)
            yield move_example(text, schema)
            return  # how strictly a format is checked depends on what is installed; other texts pass only here or there
        generic = [text for text in self._generic_strings() if text]
        yield from generic
        low = int(min(schema.get("minLength", 0), MAX_CHARS))
        high = int(min(schema.get("maxLength", MAX_CHARS), MAX_CHARS))
        for text in [*mentioned, *generic]:
            if len(text) > high:
                yield text[:high].rpartition(" ")[0] or text[:high]
                yield text[:high]
            elif len(text) < low:
                yield (text + " " + "and so on " * (low // 10 + 1))[:low].rstrip().ljust(low, ".")
        yield "x" * low
        yield chr(97 + self.index % 26) * max(low, min(1, high))

    def _near(self, items: list[Any], starts: list[int]) -> list[Any]:
        """Return the items starting with the one that the prompt names as this property is named.

        "issued 2 January, due 1 February": the first behind the word; where it is not said, the end of a span is last.
        """
        place = self.prompt.place_of(self.name) if len(items) > 1 else None
        if place is not None:
            behind = [at for at, start in enumerate(starts) if start > place]
            return items[behind[0] :] + items[: behind[0]] if behind else items
        return self.turn(items, len(items) - 1) if self.words & _END_WORDS else self.turn(items)

    def _mentioned_strings(self, schema: dict[str, Any]) -> list[str]:
        """Return what the prompt itself says for a property; empty if it says nothing."""
        kind = schema.get("format", "")
        words = self.words
        if kind in ("date-time", "local-date-time"):
            times = [time for _, time in self.prompt.times]
            return [
                f"{moment.date}T{moment.time or next(iter(times), '09:00:00')}"
                + ("" if kind == "local-date-time" else moment.zone or "Z")
                for moment in self._near(self.prompt.moments, [moment.start for moment in self.prompt.moments])
            ]
        if kind == "date" or (not kind and words & _DATE_NAMES):
            return [each.date for each in self._near(self.prompt.moments, [each.start for each in self.prompt.moments])]
        if kind == "time" or (not kind and words & _TIME_NAMES):
            found_times = self._near(self.prompt.times, [start for start, _ in self.prompt.times])
            return [time + "Z" if kind else time[:5] for _, time in found_times]
        if kind == "duration":
            return self.turn(self.prompt.find("duration"))
        for found, (formats, names) in _FOUND_BY.items():
            if kind in formats or words & names:
                return self.turn(self.prompt.find(found))
        if kind:
            return []
        emails = self.prompt.find("email")
        if emails and (self.name.lower() in _RECIPIENT_WORDS or words & _RECIPIENT_WORDS):
            return self.turn(emails)
        texts: list[str] = []
        if self.is_about(_PLACE_WORDS) or "city" in self.description.lower():
            texts += self.turn(self.prompt.places)
        if words & _TOPIC_WORDS:
            texts += re.findall(r"\b(?:about|regarding|concerning|über)\s+([^.,;:!?\n]{2,80})", self.prompt.text)
        if self.is_about(_TEXT_WORDS):
            texts += [*self.turn(self.prompt.quoted), self.prompt.subject]
        if self.is_about(_PERSON_WORDS):
            texts += self.turn(self.prompt.quoted) + self.turn(self.prompt.names)
        if words & _NUMBER_NAMES:
            texts += self.turn(
                re.findall(r"(?<![\w-])#?((?=[\w-]*\d)[A-Za-z0-9][\w-]{0,40})", self.prompt.without_dates)
            )
        return texts or self.turn(self.prompt.quoted)

    def _generic_strings(self) -> list[str]:
        n = self.index + 1
        if self.words & stems("timezone"):
            return ["Europe/Berlin"]
        if self.is_about(_PLACE_WORDS):
            return ["Aachen", "Berlin", "Paris", "Rome", "Oslo", "Lisbon", f"Town {n}"][self.index % 7 :]
        keywords = self.turn(self.prompt.keywords)[:30]
        if self.words & _LONG_TEXT_WORDS or self.is_about(_TEXT_WORDS):
            return [re.sub(r"\s+", " ", self.prompt.subject), *keywords, f"text {n}"]
        if self.is_about(_PERSON_WORDS) and not self.prompt.names:
            keywords = [word.capitalize() for word in keywords]
        return [*keywords, self.name.replace("_", " "), f"text {n}", str(self.index)]

    def options(self, enum: list[Any], schema: dict[str, Any]) -> list[Any]:
        """Return the options of an enum, those that the prompt mentions first, then the default."""
        positions = [self.prompt.position(str(option)) for option in enum]
        mentioned = sorted((position, i) for i, position in enumerate(positions) if position is not None)
        if mentioned:
            return self.turn([enum[i] for _, i in mentioned]) + enum
        overlaps = [len(stems(str(option)) & self.prompt.stems) for option in enum]
        if max(overlaps, default=0) > 0:
            return [enum[overlaps.index(max(overlaps))], *enum]
        return [schema["default"], *enum] if "default" in schema else self.turn(enum)

    def boolean(self, schema: dict[str, Any]) -> bool:
        """Return whether the prompt mentions the property, else its default."""
        if not self.words & self.prompt.stems:
            return schema.get("default") is True
        name = re.escape(self.name.lower().replace("_", " "))
        return re.search(rf"\b(?:no|not|without)\s+{name}", self.prompt.lower) is None

    def _labelled_number(self) -> float | int | None:
        """Find "radius 3", "radius: 3", "radius of 3", "3 days", "three days"."""
        number = r"([-+]?\d{1,15}(?:\.\d{1,10})?)"
        for word in re.findall(r"[a-z]{2,40}", self.name.lower()):
            stem = re.escape(word.rstrip("s"))
            match = re.search(rf"\b{stem}s?\b\W{{0,3}}(?:(?:of|is|to|was|at)\s)?\s?{number}\b", self.prompt.lower)
            match = match or re.search(rf"(?<![\w.]){number}[\s-]{stem}s?\b", self.prompt.lower)
            if match:
                return float(match[1]) if "." in match[1] else int(match[1])
            match = re.search(rf"\b({'|'.join(_NUMBER_WORDS)}) (?:\w+ )?{stem}s?\b", self.prompt.lower)
            if match:
                return _NUMBER_WORDS.index(match[1]) + 1
        return None

    def lacks_number(self, schema: Any) -> bool:
        """Return whether a schema asks for a number, or for null, and neither prompt nor schema suggests one."""
        if not isinstance(schema, dict) or schema.keys() & {"default", "enum", "const"}:
            return False
        if not {*likely_types({"type": "string", **schema})} <= {"integer", "number", "null"}:
            return False
        return not self.prompt.numbers and self._labelled_number() is None

    def numbers(self, schema: dict[str, Any], *, whole: bool = False) -> Iterator[float | int]:
        """Yield numbers to try, the most plausible first, then those near the bounds and steps of the schema."""
        labelled = self._labelled_number()
        plausible = [labelled, *self.turn(self.prompt.numbers, self.order), schema.get("default")]
        for number in plausible:
            if isinstance(number, int | float) and not isinstance(number, bool):
                yield round(number) if whole else number
        low, high = _bounds(schema)
        step = Fraction(str(schema.get("multipleOf", 1)))
        start = low if low is not None else high if high is not None else Fraction(0)
        base = math.ceil(start / step) if low is not None else math.floor(start / step)
        direction = -1 if low is None and high is not None else 1
        steps = (step * (base + direction * (offset + extra)) for offset in range(300) for extra in (self.index, 0))
        values: list[Fraction] = []
        if low is not None and high is not None:
            values += [low + (high - low) * part for part in (Fraction(1, 2), Fraction(1, 3), Fraction(9, 10), 0, 1)]
        values += [edge + Fraction(sign, 2) for edge in (low, high) if edge is not None for sign in (1, -1)]
        for value in itertools.chain(steps, values):
            if value.denominator == 1:
                yield value.numerator if abs(value) < 10**30 else float(value)
            elif not whole:
                yield float(value)

    def item_count(self, default: int) -> int:
        """Return how many items an array gets: as many as the prompt says ("three ideas") or lists, else `default`."""
        if not default:
            return 0
        number = self._labelled_number()
        if isinstance(number, int) and 0 < number <= 50:
            return number
        if self.is_about(_PLACE_WORDS) and self.prompt.places:
            return len(self.prompt.places[:20])
        if len(self.prompt.quoted) > 1 and (self.is_about(_TEXT_WORDS) or self.name in ("", "value", "items")):
            return len(self.prompt.quoted[:20])
        if re.match(r"(?:number|value|operand|arg)", self.name.lower()) and self.prompt.numbers:
            return len(self.prompt.numbers[:50])
        return default

    def is_mentioned(self, schema: Any) -> bool:
        """Return whether the prompt says something for an optional argument; the others are left to their defaults."""
        if not isinstance(schema, dict):
            return False
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return any(self.is_mentioned(branch) for branch in schema[key])
        if "enum" in schema:
            return any(self.prompt.position(str(option)) is not None for option in schema["enum"])
        kinds = likely_types({"type": "string", **schema})
        is_named = bool(self.words & self.prompt.stems)
        if "boolean" in kinds:
            return is_named
        if "integer" in kinds or "number" in kinds:
            return self._labelled_number() is not None
        if "string" in kinds:
            if self.is_about(_TEXT_WORDS) or not self.name:
                return False
            return bool(self._mentioned_strings(schema)) and (is_named or not self.prompt.quoted)
        return "array" in kinds and self.is_mentioned(schema.get("items", {}))
