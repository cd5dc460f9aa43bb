"""Pleasant Markdown of a wanted length on the words of a prompt: something worth watching as it streams."""

from __future__ import annotations

import re

from .dice import Dice
from .words import Prompt

__all__ = ["essay", "wanted_words"]

MAX_WORDS = 20_000
_WANTED = re.compile(r"(?<![\w.])(\d{1,3}(?:[,.]\d{3})+|\d{1,9})[\s-]*(?:words?|wörtern?)\b", re.IGNORECASE)
_TOPIC = re.compile(r"\b(?:about|on|of|über)\s+(?:the\s+|a\s+)?([^.,;:!?\n]{3,80})", re.IGNORECASE)
_ABOUT_WRITING = re.compile(
    r"words?|essay|story|text|paragraphs?|article|long|short|blog|post|poem|report|markdown|sections?|least|most|roughly|"
    r"around|exactly"
)
_OPENERS = """At first sight,
Seen from a distance,
In practice,
More often than not,
On a quiet day,
As a rule,
To begin with,
Looked at closely,
For most people,
In the long run,
Now and then,
Every so often,""".splitlines()
_CLAIMS = """the study of {a} rewards patience more than cleverness
progress with {a} is a matter of small steps
the history of {a} is longer than one would guess
everything about {a} looks simple until somebody measures it
success with {a} depends on the care that is put into it
the best part of {a} is what happens in between
{a} and {b} have more in common than they admit
knowing {a} makes {b} easier to understand
there is no {a} without {b}
work on {a} teaches us to ask better questions
nobody masters {a} in an afternoon
the meaning of {a} changes with the light
a good example of {a} needs no explanation
the promise of {a} holds as long as {b} can be trusted
the first rule of {a} is to keep notes
talk of {a} soon turns into talk of {b}""".splitlines()
_ENDINGS = """and that is worth remembering
which surprises nobody who has tried it
although the details differ from place to place
so a second look pays off
and the rest follows by itself
while the usual advice says the opposite
because habits are stronger than plans
even if the evidence is still thin
and there is some comfort in that
as long as the numbers are read with care
before anything else is decided
and a friendly word helps""".splitlines()
_HEADINGS = """Why {a} matters
A closer look at {a}
How {a} meets {b}
What people say about {a}
First steps with {a}
Small questions about {a}
The other side of {a}
Notes on {b}
From {a} to {b}
What remains of {a}""".splitlines()
_POINTS = """start with {a} and stop in time
write down what was said of {b}
compare before and after
ask somebody who knows {a}
leave room for {b}
measure twice, then once more
prefer the simple form of {a}""".splitlines()


def wanted_words(prompt: Prompt) -> int | None:
    """Give the number of words that a prompt asks for: "write 500 words", "a 1,200-word essay"."""
    match = _WANTED.search(prompt.text)
    if match is None or int(re.sub(r"\D", "", match[1])) == 0:
        return None
    return min(int(re.sub(r"\D", "", match[1])), MAX_WORDS)


def essay(prompt: Prompt, words: int, dice: Dice) -> str:
    """Write about so many words in Markdown; under 40 it is one paragraph.

    Args:
        prompt: gives the topic.
        words: how many, as `str.split` counts them.
        dice: varies the wording.
    """
    names = {name.lower(): name for name in re.findall(r"(?<=[a-z,] )[A-Z]\w+", prompt.text)}  # Aachen stays Aachen
    topics = [names.get(word, word) for word in prompt.keywords if not _ABOUT_WRITING.fullmatch(word)][:6]
    match = _TOPIC.search(_WANTED.sub("", prompt.text))
    if match:
        named = re.sub(r"\s+(?:in|with|for|using|as)\s*$", "", match[1].strip())
        topics = [part.strip() for part in re.split(r"\s+(?:and|or|und)\s+|\s+in\s+", named) if part.strip()] or topics
    topics = topics or ["patience", "craft"]
    return _Writer(topics, dice).write(words)


class _Writer:
    def __init__(self, topics: list[str], dice: Dice) -> None:
        self._topics = topics
        self._dice = dice
        self._recent: list[str] = []

    def write(self, words: int) -> str:
        if words < 40:
            return self._sentences(words)
        title = " and ".join(self._topics[:2])
        title = f"# {title[0].upper()}{title[1:]}: a simulated essay"
        blocks = [title, self._sentences(min(words - len(title.split()), 35 + self._dice.below(20)))]
        extras = [self._list, self._table, self._code, self._maths, self._quote]
        turn = 0
        while (left := words - sum(len(block.split()) for block in blocks)) > 0:
            if left < 60:
                if left > 6:
                    blocks.append(self._sentences(left))
                break
            if turn % 3 == 0:
                blocks.append("## " + self._fill(_HEADINGS))
            if turn > 0:
                blocks.append(extras[(turn - 1) % len(extras)]())
            left = words - sum(len(block.split()) for block in blocks)
            if left > 0:
                blocks.append(self._sentences(min(left, 20 + self._dice.below(30))))
            turn += 1
        return "\n\n".join(blocks)

    def _pick(self, options: list[str]) -> str:
        """Pick one that was not used lately."""
        one = self._dice.pick([option for option in options if option not in self._recent] or options)
        self._recent = [*self._recent[-20:], one]
        return one

    def _fill(self, options: list[str]) -> str:
        """Pick a phrase and put topics in; it starts with a capital letter."""
        phrase = self._pick(options)
        first = self._dice.below(len(self._topics))
        other = (first + 1 + self._dice.below(max(1, len(self._topics) - 1))) % len(self._topics)
        second = self._topics[other] if other != first else "practice"
        text = phrase.format(a=self._topics[first], b=second)
        return text[0].upper() + text[1:]

    def _sentences(self, words: int) -> str:
        """Write a paragraph of about so many words; a short one is cut to exactly so many."""
        out: list[str] = []
        while len(out) < words - 6:
            claim = self._fill(_CLAIMS)
            lower = claim if claim.startswith(tuple(self._topics)) else claim[0].lower() + claim[1:]
            form = self._dice.below(3)
            sentence = claim if form == 0 else f"{self._pick(_OPENERS)} {lower}"
            if form != 1:
                sentence += f", {self._pick(_ENDINGS)}"
            out += (sentence + ".").split()
        if words <= 12:
            out = (out or self._fill(_CLAIMS).split())[:words]
            out[-1] = out[-1].rstrip(".,") + "."
        return " ".join(out)

    def _list(self) -> str:
        points = list(dict.fromkeys(self._fill(_POINTS) for _ in range(4)))
        return "\n".join(f"{i}. {point}" for i, point in enumerate(points, 1))

    def _table(self) -> str:
        rows = [
            f"| {topic} | {self._dice.below(90) + 10} | {self._dice.below(100) / 10} |" for topic in self._topics[:4]
        ]
        return "\n".join(["| topic | count | mean |", "| --- | ---: | ---: |", *rows])

    def _quote(self) -> str:
        return "> " + self._sentences(14)

    def _code(self) -> str:
        name = re.sub(r"\W", "_", self._topics[0])
        step = self._dice.below(8) + 2
        code = f"{name} = [n * {step} for n in range(10)]\nprint(sum({name}) / len({name}))"
        return f"```python\n{code}\n```"

    def _maths(self) -> str:
        power = self._dice.below(3) + 2
        limit = f"$$\\sum_{{k=1}}^{{n}} \\frac{{1}}{{k^{power}}} < 2.$$"
        return f"The effort grows with $n^{power}$, and yet\n\n{limit}"
