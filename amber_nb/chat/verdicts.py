"""How a decision on a call is told to the model, and read again from a recording. One is the other's inverse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Recorded", "denied_text", "edited_text", "recorded", "result_text"]

_DENIED = "Denied: this call was not allowed to run."
_REASON = " Reason: "
_EDITED = re.compile(r"\[The (reader|policy) changed the arguments to (\{.*?\})\]\n", re.DOTALL)
_FAILED = "Error: "
_RESULT = "[Result]\n"
_LATE = re.compile(r"Error: no result within [\d.e+]+ s\.")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a message of a tool tells of its call."""

    status: Literal["ran", "denied", "failed", "timeout"]
    text: str
    by: str | None = None
    arguments: dict[str, Any] | None = None
    reason: str = ""
    error: str | None = None


def denied_text(reason: str) -> str:
    """What the model is told of a call that may not run."""
    return f"{_DENIED}{_REASON}{reason}" if reason else _DENIED


def edited_text(arguments: Mapping[str, Any], by: str) -> str:
    """What stands before the result of a call that ran with other arguments than the model's."""
    return f"[The {by} changed the arguments to {json.dumps(arguments, ensure_ascii=False)}]\n"


def result_text(text: str) -> str:
    """A result, marked as one where it reads like something else that is told here."""
    return f"{_RESULT}{text}" if text.startswith((_RESULT, _DENIED, _FAILED, "[The reader ", "[The policy ")) else text


def recorded(text: str) -> Recorded:
    """Read what the model was told."""
    by, arguments = None, None
    if text.startswith("[The "):
        try:
            end = text.index("]\n")
            while True:  # the arguments may hold that too
                found = _EDITED.fullmatch(text[: end + 2])
                try:
                    arguments = json.loads(found[2]) if found else None
                except ValueError:
                    end = text.index("]\n", end + 1)
                    continue
                by, text = (found[1], text[end + 2 :]) if found else (None, text)
                break
        except ValueError:  # no end of it: it is a result that begins so
            by, arguments = None, None
    if text.startswith(_RESULT):
        return Recorded("ran", text.removeprefix(_RESULT), by, arguments)
    if text.startswith(_DENIED):
        return Recorded("denied", text, by, arguments, reason=text.removeprefix(_DENIED).removeprefix(_REASON))
    if _LATE.fullmatch(text):
        return Recorded("timeout", text, by, arguments, error=text.removeprefix(_FAILED).rstrip("."))
    if text.startswith(_FAILED):
        return Recorded("failed", text, by, arguments, error=text.removeprefix(_FAILED))
    return Recorded("ran", text, by, arguments)
