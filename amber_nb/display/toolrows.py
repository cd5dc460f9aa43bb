"""A call of a tool as the live view is told of it. Nothing secret is in it, and nothing that acts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from .. import clock
from ..redact import redact_json_text
from ..types import ToolStep, replace_surrogates
from .cards import STATUS_WORDS, format_arguments, preview, run_facts, summarize_arguments
from .escape import shorten, show_controls

__all__ = ["change", "row", "shown"]

_LONGEST = 4_000  # characters of arguments
_LONGEST_SAID = 300
_LONGEST_GIST = 100
_LIVE = {"writing": "writing its arguments", "checking": "checking", "waiting": "waiting for you", "running": "running"}


def row(step: ToolStep, changed: Mapping[str, Any] | None, card: Mapping[str, Any] | None) -> dict[str, Any]:
    """All that is told of a call.

    Args:
        step: the call.
        changed: its arguments, where the reader has edited them.
        card: what the page needs to ask the reader, while it does.
    """
    run = step.run.redacted() if step.run is not None else None
    writing = run is None and step.state == "writing"
    arguments = run.arguments if run is not None else step.arguments if changed is None else changed
    text = redact_json_text(step.arguments[:_LONGEST]) if writing else format_arguments(arguments)
    began = step.began if run is None and step.state == "running" else None
    return {
        "name": shown(step.name, 100) or "?",
        "round": step.round,
        "state": step.state if run is None else run.status,
        "word": _LIVE.get(step.state, "") if run is None else run_facts(run),
        "sign": STATUS_WORDS[run.status][0] if run is not None else "",
        "gist": "" if writing else shown(summarize_arguments(_object(arguments), _LONGEST_GIST), _LONGEST_GIST),
        "said": shown(preview(run, _LONGEST_SAID), _LONGEST_SAID) if run is not None else "",
        "ran": None if began is None else round(max(0.0, clock.monotonic() - began), 1) if began else 0.0,
        "ask": card,
        "t": shown(text, _LONGEST),
    }


def change(had: Mapping[str, Any], has: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row is new; of its text only what was added, and from where on."""
    found = {name: value for name, value in has.items() if name not in had or had[name] != value}
    if "t" in found:
        text, before = has["t"], had.get("t", "")
        found |= {"o": len(before), "t": text[len(before) :]} if text.startswith(before) else {"o": 0}
    return found


def shown(text: str, most: int) -> str:
    """Text that can travel, and of which every character is seen."""
    return show_controls(shorten(replace_surrogates(text), most))


def _object(arguments: Mapping[str, Any] | str) -> Mapping[str, Any] | str:
    """Arguments read where they are a JSON object."""
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(arguments)
            return read if isinstance(read, dict) else arguments
    return arguments
