"""The same question, asked of a model that has changed since: other words, another argument, a later name."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Any

from .dice import Dice
from .schemas import Schema, Unsatisfiable

__all__ = ["other_arguments", "redated", "reworded"]

_SYNONYMS = {
    "hello": ("Hi", "Hi there", "Good day"),
    "help": ("assist", "support"),
    "today": ("right now", "this time"),
    "shows": ("depicts", "captures"),
    "large": ("big", "sizeable"),
    "group": ("crowd", "gathering"),
    "wearing": ("dressed in",),
    "suggesting": ("which suggests", "indicating"),
    "looks": ("seems", "appears"),
    "possibly": ("perhaps", "maybe"),
    "cheerful": ("happy", "joyful"),
    "many": ("several", "a lot"),
    "important": ("essential", "crucial"),
    "usually": ("normally", "as a rule"),
    "often": ("frequently", "commonly"),
    "shown": ("displayed", "presented"),
    "result": ("outcome", "finding"),
    "arrived": ("came in", "was received"),
}
_ADDED = (
    "Let me know if you would like more detail.",
    "I am happy to go into any of this further.",
    "Feel free to ask if something is unclear.",
    "Tell me if you need anything else.",
)
# Code and addresses stay as they are.
_WORD = re.compile(r"```.*?```|`[^`]*`|\S*://\S*|\b(" + "|".join(_SYNONYMS) + r")\b", re.DOTALL | re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_OTHER = {"celsius": "fahrenheit", "fahrenheit": "celsius", "metric": "imperial", "imperial": "metric"}
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_DAYS = 28  # between two versions of a model


def reworded(text: str, drift: int) -> str:
    """The text in other words: synonyms, sometimes two sentences in another order, and a closing sentence."""
    if not text.strip():
        return text
    dice = Dice(f"drift {drift}")

    def other(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        word = dice.pick(_SYNONYMS[found[1].lower()])
        return word[0].upper() + word[1:] if found[1][0].isupper() else word

    *before, last = _WORD.sub(other, text).split("\n\n")
    if drift % 2 == 0:
        before = [_turned(paragraph) for paragraph in before]
    closing = _ADDED[(drift - 1) % len(_ADDED)]
    prose = last[-1:] in ".!?" and not last.startswith(("-", "#", "|", "`"))
    return "\n\n".join([*before, f"{last} {closing}" if prose else f"{last}\n\n{closing}"])


def _turned(paragraph: str) -> str:
    sentences = _SENTENCE.split(paragraph)
    if len(sentences) < 3 or paragraph.startswith(("-", "#", "|", "`")):
        return paragraph
    return " ".join([*sentences[:-2], sentences[-1], sentences[-2]])


def other_arguments(arguments: str, schema: dict[str, Any], drift: int) -> str:
    """A call's arguments with one changed, at every odd `drift` and where the tool's schema permits it."""
    try:
        values = json.loads(arguments)
    except ValueError:
        return arguments
    if drift % 2 == 0 or not isinstance(values, dict):
        return arguments
    for name, value in values.items():
        changed = {**values, name: _changed(value, drift)}
        try:
            if changed != values and Schema(schema).valid(schema, changed):
                return json.dumps(changed, ensure_ascii=False, separators=(",", ":"))
        except Unsatisfiable:
            return arguments
    return arguments


def _changed(value: Any, drift: int) -> Any:
    if isinstance(value, str):
        return _OTHER.get(value.lower(), value)
    return value + drift if isinstance(value, int) and not isinstance(value, bool) else value


def redated(model: str, drift: int) -> str:
    """The deployed model's name with a later date; a name without one gets a number."""
    found = _DATED.search(model)
    if found is None:
        return f"{model}-r{drift}"
    later = date.fromisoformat(found[0]) + timedelta(days=_DAYS * min(drift, 10_000))
    return model[: found.start()] + later.isoformat()
