"""What the simulator says: documented replies, a report of what arrived, essays, tool results, and drift."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .api import SeededChoice, text_of
from .prompt import Prompt
from .search_tools import describe_hits, read_hits

__all__ = [
    "FUNCTION_PROMPT",
    "HELLO_MESSAGES",
    "HELLO_PROMPT",
    "IMAGE_PROMPT",
    "IMAGE_REPLY",
    "IMAGE_URL",
    "INTRODUCTIONS",
    "MAX_WORDS",
    "Draft",
    "Essay",
    "change_argument",
    "describe_request",
    "describe_results",
    "documented_reply",
    "later_version",
    "rephrase",
    "word_count",
]

MAX_WORDS = 20_000


# --- documented replies, to the letter

HELLO_PROMPT = "Hello!"
HELLO_REPLY = "Hello! How can I help you today?"
# The documented stream answers these, and its deltas have no role.
HELLO_MESSAGES = [
    {"role": "developer", "content": "You are a helpful assistant."},
    {"role": "user", "content": HELLO_PROMPT},
]

IMAGE_PROMPT = "What's in this image?"
IMAGE_URL = "https://ambersearch.de/uploads/amber_Team_73637a5596.jpg"
IMAGE_REPLY = (
    "This image shows a large group of people posing outdoors on a sloped stone walkway or steps, surrounded by trees. "
    "Most of them are wearing matching blue sweatshirts, suggesting they may be part of a team, company, or group "
    "event. Many are raising their hands or making cheerful poses, so it looks like a casual group photo.\n\n"
    "On the left side, there’s part of a building and a sign that appears to say “SUMIANI HOTEL & BEACH.” "
    "The setting looks sunny and wooded, possibly at a hotel or retreat location."
)

FUNCTION_PROMPT = "What's the weather like in Aachen today?"
FUNCTION_NAME = "get_current_weather"
FUNCTION_ARGUMENTS = '{"location":"Aachen, North Rhine-Westphalia","unit":"celsius"}'

# Of the notebook on tools: the simulator cannot tell a good review from a bad one.
REVIEWS_PROMPT = 'Rate these reviews: "Great tea, I love it!" "The kettle was broken, a bad buy." "It boils water."'
REVIEWS_REPLY = (
    '{"value": [{"text": "Great tea, I love it!", "stars": 5, "sentiment": "positive"}, '
    '{"text": "The kettle was broken, a bad buy.", "stars": 1, "sentiment": "negative"}, '
    '{"text": "It boils water.", "stars": 3, "sentiment": "neutral"}]}'
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a choice says before it is cut to the limits; what only a documented reply has is None elsewhere.

    Attributes:
        content: text.
        is_json: whether the text is meant for a `response_format`.
        calls: name and arguments (JSON) of each tool call.
    """

    content: str | None = None
    is_json: bool = False
    calls: tuple[tuple[str, str], ...] = ()
    call_id: str | None = None
    completion_id: str | None = None
    created: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


_FUNCTION_REPLY = Draft(
    calls=((FUNCTION_NAME, FUNCTION_ARGUMENTS),),
    call_id="call_Tug3jwD1JpmzTapCFFWmYw7i",
    completion_id="chatcmpl-DufEoQk1y55a5G8XzKBnAe63ceFdA",
    created=1782397258,
    prompt_tokens=164,
    completion_tokens=31,
)


def documented_reply(prompt: str, image_urls: list[str], tool_names: list[str]) -> Draft | None:
    """Return the documented reply to a user message, or None."""
    if image_urls:
        return Draft(IMAGE_REPLY) if (prompt, image_urls) == (IMAGE_PROMPT, [IMAGE_URL]) else None
    if prompt == FUNCTION_PROMPT and FUNCTION_NAME in tool_names:
        return _FUNCTION_REPLY
    if prompt == REVIEWS_PROMPT:
        return Draft(REVIEWS_REPLY, is_json=True)
    return Draft(HELLO_REPLY) if prompt == HELLO_PROMPT else None


# --- the ordinary reply

INTRODUCTIONS = (
    "**This is the simulator**, not a model. Here is what arrived:",
    "**Simulated reply.** No model has read this; what arrived:",
    "**The simulator speaks:** nothing here was thought up by a model. I received:",
)
_NOT_REPORTED = ("model", "messages", "stream", "stream_options", "tools", "response_format", "n")


def describe_request(params: dict[str, Any], image_lines: list[str]) -> str:
    """Return a Markdown list of what arrived: prompt, messages, parameters, images and tools.

    Args:
        params: the parameters of a valid request.
        image_lines: a description of each image.
    """
    messages = params["messages"]
    user_texts = [text_of(message) for message in messages if message["role"] == "user"]
    lines = []
    if user_texts:
        count = len(user_texts[-1].split())
        words = f"({count} word{'s' if count != 1 else ''})"
        lines.append("- **Prompt:** " + (f"“{_shorten(user_texts[-1])}” {words}" if count else "no text"))
    counts = Counter(message["role"] for message in messages)
    lines.append("- **Messages:** " + ", ".join(f"{count} `{role}`" for role, count in counts.items()))
    if len(user_texts) > 1:
        earlier = [f"“{_shorten(text, 40)}”" for text in user_texts[:-1]]
        history = " and ".join(earlier) if len(earlier) < 3 else f"{earlier[0]} … {earlier[-1]}"
        lines.append(f"- **History:** this is turn {len(user_texts)}; before it you said {history}")
    others = [(name, value) for name, value in params.items() if name not in _NOT_REPORTED]
    if others:
        lines.append("- **Parameters:** " + ", ".join(f"`{name}` = {_code(value)}" for name, value in others[:8]))
    for number, line in enumerate(image_lines[:8], 1):
        lines.append(f"- **Image{f' {number}' if len(image_lines) > 1 else ''}:** {line}")
    if len(image_lines) > 8:
        lines.append(f"- … and {len(image_lines) - 8} more images")
    tools = [f"`{tool['function']['name']}`" for tool in params.get("tools") or []]
    if tools:
        lines.append(f"- **Tools:** {', '.join(tools[:8])}{' …' if len(tools) > 8 else ''}; none called")
    return "\n".join(lines)


def _shorten(text: str, limit: int = 80) -> str:
    text = re.sub(r"\s+", " ", text[: limit * 4]).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _code(value: Any) -> str:
    return f"`{_shorten(json.dumps(value, ensure_ascii=False)[:200], 50).replace('`', '')}`"


# --- the reply to tool results


def describe_results(results: list[tuple[str, str, str]]) -> str:
    """Return a Markdown report of tool results.

    Args:
        results: name, arguments (JSON) and result (JSON or text) of each call.
    """
    hits = [read_hits(result) for _, _, result in results]
    others = [call for call, found in zip(results, hits, strict=True) if found is None]
    if len(others) < len(results):
        text = describe_hits([hit for found in hits for hit in found or []])
        return f"{text}\n\n{describe_results(others)}" if others else text
    calls = [(f"`{name}`", _in_brackets(arguments), _parse(result)) for name, arguments, result in results]
    if len(calls) == 1:
        name, arguments, value = calls[0]
        return f"From {name}{arguments}:{_describe_result(value)}"
    if all(_is_flat(value) for _, _, value in calls):
        labels = [name + _cell(arguments) for name, arguments, _ in calls]
        lines = _table([value for _, _, value in calls], labels)
    else:
        lines = [f"- {name}{arguments}:{_describe_result(value, '  ')}" for name, arguments, value in calls[:50]]
    return "\n".join([f"From {len(calls)} tool calls:", "", *lines])


def _parse(result: str) -> Any:
    try:
        return json.loads(result)
    except (ValueError, RecursionError):
        return result


def _is_flat(value: Any) -> bool:
    """Return whether a value is an object that makes a row of a table."""
    return isinstance(value, dict) and bool(value) and not any(isinstance(item, dict | list) for item in value.values())


def _table(rows: list[dict[str, Any]], labels: list[str] | None = None) -> list[str]:
    """Return the lines of a Markdown table with up to eight columns, and one for the labels of the rows."""
    keys = list(dict.fromkeys(str(key) for row in rows for key in row))[:8]
    lines = [[*map(_cell, keys)], ["---"] * len(keys), *([_cell(row.get(key, "")) for key in keys] for row in rows)]
    if labels is not None:
        lines = [[label, *line] for label, line in zip(["call", "---", *labels], lines, strict=True)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _in_brackets(arguments: str) -> str:
    value = _parse(arguments)
    if not isinstance(value, dict) or not value:
        return ""
    return " (" + ", ".join(_cell(item, 40) for item in list(value.values())[:4]) + ")"


def _cell(value: Any, limit: int = 80) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = re.sub(r"\s+", " ", text[: limit * 4]).replace("|", "\\|")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _describe_result(value: Any, indent: str = "") -> str:
    """Return a result as the rest of a sentence, a short list or a small table."""
    newline = "\n" if indent else "\n\n"
    if isinstance(value, dict) and value:
        lines = [f"{indent}- **{_cell(key)}**: {_cell(item)}" for key, item in list(value.items())[:12]]
        lines += [f"{indent}- … and {len(value) - 12} more"] if len(value) > 12 else []
        return newline + "\n".join(lines)
    if isinstance(value, list) and value:
        rows = value[:10]
        rest = f"\n\n{indent}… and {len(value) - 10} more." if len(value) > 10 else ""
        is_table = not indent and all(map(_is_flat, rows))
        return newline + "\n".join(_table(rows) if is_table else [f"{indent}- {_cell(row)}" for row in rows]) + rest
    text = _cell(value, 600) if not isinstance(value, str) else value.strip()
    if len(text) > 600:
        text = text[:600].rstrip() + " …"
    if "\n" in text:
        return "\n\n" + "\n".join("> " + line for line in text.splitlines()[:12])
    return f" {text}" if text else " (an empty result)"


# --- drift: the same question, asked of a later version of the model

_REPHRASINGS = {  # of the documented greeting
    "hello": ("Hi", "Hi there", "Good day"),
    "help": ("assist", "support"),
    "today": ("right now", "this time"),
}
_CLOSINGS = (
    "Let me know if you would like more detail.",
    "I am happy to go into any of this further.",
    "Feel free to ask if something is unclear.",
    "Tell me if you need anything else.",
)
_OPPOSITES = {"celsius": "fahrenheit", "fahrenheit": "celsius", "metric": "imperial", "imperial": "metric"}
_MARKDOWN = ("-", "#", "|", "`")  # beginnings of a block that is no paragraph
_VERSION_DAYS = 28  # between two versions of a model


def rephrase(text: str, drift: int) -> str:
    """Return the text in other words: the last two sentences swapped at an even `drift`, and a closing sentence."""
    if not text.strip():
        return text
    choices = SeededChoice(f"drift {drift}")
    if text == HELLO_REPLY:
        for word, others in _REPHRASINGS.items():
            other = choices.choice(others)
            text = text.replace(word, other).replace(word.capitalize(), other)
    *paragraphs, last = text.split("\n\n")
    if drift % 2 == 0:
        paragraphs = [_swap_sentences(paragraph) for paragraph in paragraphs]
    closing = _CLOSINGS[(drift - 1) % len(_CLOSINGS)]
    is_prose = last[-1:] in ".!?" and not last.startswith(_MARKDOWN)
    return "\n\n".join([*paragraphs, f"{last} {closing}" if is_prose else f"{last}\n\n{closing}"])


def _swap_sentences(paragraph: str) -> str:
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)
    if len(sentences) < 3 or paragraph.startswith(_MARKDOWN):
        return paragraph
    return " ".join([*sentences[:-2], sentences[-1], sentences[-2]])


def change_argument(arguments: str, drift: int, is_valid: Callable[[Any], bool]) -> str:
    """Return the arguments (JSON) of a call with one of them changed, at an odd `drift` and if the result is valid."""
    values = _parse(arguments)
    if drift % 2 == 0 or not isinstance(values, dict):
        return arguments
    for name, value in values.items():
        other = value
        if isinstance(value, str):
            other = _OPPOSITES.get(value.lower(), value)
        elif isinstance(value, int) and not isinstance(value, bool):
            other = value + drift
        if other != value and is_valid({**values, name: other}):
            return json.dumps({**values, name: other}, ensure_ascii=False, separators=(",", ":"))
    return arguments


def later_version(model: str, drift: int) -> str:
    """Return the name of a deployed model with a later date; a name without a date gets a number."""
    match = re.search(r"\d{4}-\d{2}-\d{2}\Z", model)
    if match is None:
        return f"{model}-r{drift}"
    later = date.fromisoformat(match[0]) + timedelta(days=_VERSION_DAYS * min(drift, 10_000))
    return model[: match.start()] + later.isoformat()


# --- essays: something worth watching as it streams

_WORD_COUNT = re.compile(r"(?<![\w.])(\d{1,3}(?:[,.]\d{3})+|\d{1,9})[\s-]*(?:words?|wörtern?)\b", re.IGNORECASE)
_TOPIC = re.compile(r"\b(?:about|on|of|über)\s+(?:the\s+|a\s+)?([^.,;:!?\n]{3,80})", re.IGNORECASE)
_ABOUT_WRITING = re.compile(
    r"words?|essay|story|text|paragraphs?|article|long|short|blog|post|poem|report|markdown|sections?|least|most|roughly|"
    r"around|exactly"
)


def _phrases(text: str) -> list[str]:
    return " ".join(text.split()).split(" / ")


_OPENERS = _phrases(
    """At first sight, / Seen from a distance, / In practice, / More often than not, / On a quiet day, / As a rule, /
    To begin with, / Looked at closely, / For most people, / In the long run, / Now and then, / Every so often,"""
)
_CLAIMS = _phrases(
    """the study of {a} rewards patience more than cleverness / progress with {a} is a matter of small steps / the
    history of {a} is longer than one would guess / everything about {a} looks simple until somebody measures it /
    success with {a} depends on the care that is put into it / the best part of {a} is what happens in between / {a}
    and {b} have more in common than they admit / knowing {a} makes {b} easier to understand / there is no {a}
    without {b} / work on {a} teaches us to ask better questions / nobody masters {a} in an afternoon / the meaning
    of {a} changes with the light / a good example of {a} needs no explanation / the promise of {a} holds as long as
    {b} can be trusted / the first rule of {a} is to keep notes / talk of {a} soon turns into talk of {b}"""
)
_ENDINGS = _phrases(
    """and that is worth remembering / which surprises nobody who has tried it / although the details differ from place
    to place / so a second look pays off / and the rest follows by itself / while the usual advice says the opposite
    / because habits are stronger than plans / even if the evidence is still thin / and there is some comfort in
    that / as long as the numbers are read with care / before anything else is decided / and a friendly word helps"""
)
_HEADINGS = _phrases(
    """Why {a} matters / A closer look at {a} / How {a} meets {b} / What people say about {a} / First steps with {a} /
    Small questions about {a} / The other side of {a} / Notes on {b} / From {a} to {b} / What remains of {a}"""
)
_POINTS = _phrases(
    """start with {a} and stop in time / write down what was said of {b} / compare before and after / ask somebody who
    knows {a} / leave room for {b} / measure twice, then once more / prefer the simple form of {a}"""
)


def word_count(prompt: Prompt) -> int | None:
    """Return the number of words that a prompt asks for ("write 500 words", "a 1,200-word essay"), or None."""
    match = _WORD_COUNT.search(prompt.text)
    count = int(re.sub(r"\D", "", match[1])) if match else 0
    return min(count, MAX_WORDS) or None


def _count_words(blocks: list[str]) -> int:
    return sum(len(block.split()) for block in blocks)


class Essay:
    """A Markdown essay on the topic of a prompt.

    Args:
        prompt: gives the topic.
        choices: varies the wording.
    """

    def __init__(self, prompt: Prompt, choices: SeededChoice) -> None:
        self._choices = choices
        self._recent: list[str] = []
        names = {name.lower(): name for name in re.findall(r"(?<=[a-z,] )[A-Z]\w+", prompt.text)}  # keep the capitals
        topics = [names.get(word, word) for word in prompt.keywords if not _ABOUT_WRITING.fullmatch(word)][:6]
        match = _TOPIC.search(_WORD_COUNT.sub("", prompt.text))
        if match:
            topic = re.sub(r"\s+(?:in|with|for|using|as)\s*$", "", match[1].strip())
            parts = re.split(r"\s+(?:and|or|und)\s+|\s+in\s+", topic)
            topics = [part.strip() for part in parts if part.strip()] or topics
        self._topics = topics or ["patience", "craft"]

    def write(self, words: int) -> str:
        """Return about so many words, as `str.split` counts them; under 40 they are one paragraph."""
        if words < 40:
            return self._sentences(words)
        title = " and ".join(self._topics[:2])
        title = f"# {title[0].upper()}{title[1:]}: a simulated essay"
        blocks = [title, self._sentences(min(words - len(title.split()), 35 + self._choices.below(20)))]
        extras = [self._list, self._table, self._code, self._formula, self._quote]
        turn = 0
        while (left := words - _count_words(blocks)) >= 60:
            if turn % 3 == 0:
                blocks.append("## " + self._fill(_HEADINGS))
            if turn > 0:
                blocks.append(extras[(turn - 1) % len(extras)]())
            left = words - _count_words(blocks)
            if left > 0:
                blocks.append(self._sentences(min(left, 20 + self._choices.below(30))))
            turn += 1
        return "\n\n".join([*blocks, self._sentences(left)] if left > 6 else blocks)

    def _pick(self, phrases: list[str]) -> str:
        """Return a phrase that was not used lately."""
        phrase = self._choices.choice([phrase for phrase in phrases if phrase not in self._recent] or phrases)
        self._recent = [*self._recent[-20:], phrase]
        return phrase

    def _fill(self, phrases: list[str]) -> str:
        """Return a phrase with topics put in; it starts with a capital letter."""
        phrase = self._pick(phrases)
        first = self._choices.below(len(self._topics))
        other = (first + 1 + self._choices.below(max(1, len(self._topics) - 1))) % len(self._topics)
        text = phrase.format(a=self._topics[first], b=self._topics[other] if other != first else "practice")
        return text[0].upper() + text[1:]

    def _sentences(self, words: int) -> str:
        """Return a paragraph of about so many words; a short one is cut to exactly so many."""
        out: list[str] = []
        while len(out) < words - 6:
            claim = self._fill(_CLAIMS)
            lower = claim if claim.startswith(tuple(self._topics)) else claim[0].lower() + claim[1:]
            form = self._choices.below(3)
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
        below = self._choices.below
        rows = [f"| {topic} | {below(90) + 10} | {below(100) / 10} |" for topic in self._topics[:4]]
        return "\n".join(["| topic | count | mean |", "| --- | ---: | ---: |", *rows])

    def _quote(self) -> str:
        return "> " + self._sentences(14)

    def _code(self) -> str:
        name = re.sub(r"\W", "_", self._topics[0])
        step = self._choices.below(8) + 2
        return f"```python\n{name} = [n * {step} for n in range(10)]\nprint(sum({name}) / len({name}))\n```"

    def _formula(self) -> str:
        power = self._choices.below(3) + 2
        formula = f"$$\\sum_{{k=1}}^{{n}} \\frac{{1}}{{k^{power}}} < 2.$$"
        return f"The effort grows with $n^{power}$, and yet\n\n{formula}"
