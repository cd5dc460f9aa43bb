"""What can be read out of a prompt without a model: stems, names, places, numbers, dates, addresses, mood."""

from __future__ import annotations

import re
from functools import cached_property

__all__ = ["Prompt", "mood_of", "stems"]

MAX_READ = 20_000  # characters of a prompt that are looked at: the rest changes nothing but the cost


def _bag(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP = _bag(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing don down during each few for from further had has have having he her here hers him his
    how i if in into is it its just let like ll me more most my need no nor not now of off on once only or other our out
    over own please re same she should so some such t than that the their them then there these they this those through
    to too under until up use using ve very want was we were what whats when where which while who whom why will with
    would you your yours tell give show call provided ist die der das ein eine und oder wie was in für"""
)
# Words that open a sentence with a capital letter and are neither a name nor a place.
_OPENERS = _bag(
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
_GOOD = _bag(
    """amazing awesome best brilliant charming clean comfortable delicious delighted easy enjoy enjoyed excellent
    fantastic fast favourite flawless fresh friendly fun glad good gorgeous great happy helpful impressed impressive
    like liked love loved lovely magnificent nice outstanding perfect pleasant pleased polite positive quick recommend
    recommended reliable satisfied smooth solid stunning super superb sturdy tasty terrific thank thanks thrilled top
    warm well wonderful worth high highly"""
)
_BAD = _bag(
    """angry annoyed annoying awful bad bland boring broke broken cheap cold crash crashed crashes defective delayed
    dirty disappointed disappointing disappointment disgusting dull expensive fail failed fails fault faulty flimsy
    frustrated frustrating hate hated horrible inedible late lazy leak leaking lousy low mediocre mess miserable
    negative never noisy overpriced pathetic poor refund rude ruined sad scratched slow smelly stale stuck terrible
    ugly unfriendly unhappy unhelpful unreliable upset useless waste weak worse worst wrong"""
)
_NOT = _bag("not no never n't hardly barely isn't wasn't don't didn't doesn't aren't weren't won't without")
_VERY = _bag("very really so extremely absolutely totally incredibly truly highly")


def stems(text: str) -> set[str]:
    """Give the stems of the content words of a text; `camelCase` and `snake_case` count as several words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\W]+", " ", text[:MAX_READ])
    return {_stem(word) for word in spaced.lower().split() if word not in _STOP and (len(word) > 1 or word.isdigit())}


def _stem(word: str) -> str:
    for ending, rest in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("er", ""), ("s", ""), ("e", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + rest
            break
    # "roll" / "rolled", "book" / "booking" agree now; "plan" / "planning" need the doubled letter off.
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sl" else word


def mood_of(text: str) -> float:
    """Give the mood of a text from -1 (bad) to 1 (good); 0 when no word tells."""
    words = re.findall(r"[\w’']+", text[:MAX_READ].lower().replace("’", "'"))
    score = 0.0
    count = 0.0
    for place, word in enumerate(words):
        value = (word in _GOOD) - (word in _BAD)
        if not value:
            continue
        before = words[max(0, place - 3) : place]
        if word != "never" and any(other in _NOT for other in before):
            value = -value
        weight = 1.5 if before and before[-1] in _VERY else 1.0
        score += value * weight
        count += weight
    return score / count if count else 0.0


class Prompt:
    """A prompt and what can be read out of it; each property is computed on first use.

    Example:
        Prompt("What's the weather in Paris and Rome?").places  # ["Paris", "Rome"]
    """

    def __init__(self, text: str) -> None:
        self.text = text[:MAX_READ]

    @cached_property
    def stems(self) -> set[str]:
        return stems(self.text)

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def subject(self) -> str:
        """What the prompt is about: after the first colon or blank line when there is one, else all of it."""
        match = re.search(r":\s+(?=\S)|\n\s*\n", self.text)
        rest = self.text[match.end() :].strip() if match else ""
        return rest.strip("\"“”'") if len(rest) >= 3 else self.text.strip()

    @cached_property
    def mood(self) -> float:
        return mood_of(self.subject)

    def mood_of_item(self, index: int) -> float:
        """The mood of one of several texts in quotes; where there are no several, of the whole prompt."""
        return mood_of(self.quoted[index % len(self.quoted)]) if len(self.quoted) > 1 else self.mood

    @cached_property
    def places(self) -> list[str]:
        """Capitalised names after "in", "for", "from" …, in order; "Aachen, North Rhine-Westphalia" is one place."""
        found: list[str] = []
        for match in _PLACES.finditer(self.text):
            parts = re.split(r"\s*,\s*(?:(?:and|or|und)\s+)?|\s+(?:and|or|und|to|vs\.?|&)\s+", match[1])
            names = [re.sub(r"^(?:in|for|from)\s+|['’]s$", "", part).strip(" .") for part in parts]
            names = [name for name in names if name and name.lower() not in _OPENERS]
            joined = not re.search(r"\b(?:and|or|und|to|vs)\b|&", match[1])
            if len(names) == 2 and joined and "," in match[1]:
                names = [", ".join(names)]
            found += names
        return list(dict.fromkeys(found)) or self.names

    @cached_property
    def names(self) -> list[str]:
        """Capitalised words in order, without those that only open a sentence."""
        found = re.findall(_PLACE, self.text)
        names = []
        for name in found:
            words = re.sub(r"['’]s$", "", name).split(" ")
            while words and (words[0].lower() in _OPENERS or words[0].lower() in _STOP):
                words = words[1:]
            opens = re.search(r"(?:^|[.!?\n]\s*)" + re.escape(name), self.text)
            if words and not (opens and len(words) == 1 and len(found) > 1 and _looks_common(words[0], self.lower)):
                names.append(" ".join(words))
        return list(dict.fromkeys(names))

    @cached_property
    def numbers(self) -> list[float | int]:
        """The numbers in order, without those that are part of a date, a time, an id or an address."""
        text = re.sub(r"\S+@\S+|https?://\S+|\d{4}-\d\d-\d\d\S*|\d{1,2}:\d\d(?::\d\d)?", " ", self.text)
        found: list[float | int] = []
        for match in re.finditer(r"(?<![\w.])[-+]?(\d{1,3}(?:,\d{3})+|\d{1,15})(\.\d{1,10})?(?![\w-])", text):
            value = float(match[0].replace(",", ""))
            found.append(value if match[2] else int(value))
        return found

    @cached_property
    def quoted(self) -> list[str]:
        return [
            a or b or c for a, b, c in re.findall(r'"([^"\n]{1,200})"|“([^”\n]{1,200})”|`([^`\n]{1,200})`', self.text)
        ]

    @cached_property
    def emails(self) -> list[str]:
        return re.findall(r"\b[\w.+-]{1,60}@[A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,60}){1,4}", self.text, re.ASCII)

    @cached_property
    def urls(self) -> list[str]:
        return [url.rstrip(".,;:!?)") for url in re.findall(r"https?://[^\s<>\"'`{}|\\^]{1,300}", self.text, re.ASCII)]

    @cached_property
    def dates(self) -> list[str]:
        return re.findall(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b", self.text, re.ASCII)

    @cached_property
    def times(self) -> list[str]:
        return [f"{int(h):02d}:{m}" for h, m in re.findall(r"\b([01]?\d|2[0-3]):([0-5]\d)\b", self.text, re.ASCII)]

    @cached_property
    def keywords(self) -> list[str]:
        """The content words in order, lower case, each once; of the subject when the prompt has one."""
        found = re.findall(r"[^\W\d_][\w’'-]{2,30}", self.subject)
        words = [re.sub(r"['’]s$", "", word.lower()) for word in found]
        return list(dict.fromkeys(word for word in words if word not in _STOP and word not in _OPENERS))

    def mentions(self, option: str) -> int | None:
        """Give the place where a word or phrase occurs, also in the plural or with `_` for a space; None if nowhere."""
        plain = re.sub(
            r"[_\s-]+", r"[_\\s-]", re.escape(option.lower().strip()).replace(r"\ ", " ").replace(r"\-", "-")
        )
        if not plain or len(plain) > 400:
            return None
        match = re.search(rf"(?<!\w){plain}(?:s|es)?(?!\w)", self.lower)
        return match.start() if match else None


def _looks_common(word: str, text: str) -> bool:
    """Whether a sentence opener is no name, as far as a list of words can tell: its kind ends like a verb or adverb."""
    return word.lower().endswith(("ly", "ing", "ed", "ise", "ize", "ate")) or f" {word.lower()} " in text
