"""Say what was meant by a keyword that `Amber` does not have, and by a value without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from . import config as settings
from .redact import Secret
from .setting_sources import meant_setting
from .types import AskOptions

__all__ = ["explain_keyword", "explain_unnamed"]

_ASK_NAMES = ("prompt", "schema", *AskOptions.__annotations__)
_MEANT = {
    **dict.fromkeys(("system_prompt", "system_message", "instructions"), "system"),
    "default_headers": "headers",
}
_PREFIX = re.compile(r"^(?:amber|openai|azure_openai)_")  # of variables in the environment
_KEY_STARTS = ("ambrs", "sk-")
_MAX_NAME = 16  # characters of a company's name; what is longer may be a key
_MAX_ECHO = 60  # characters of a name in a message


def explain_keyword(name: str, names: Sequence[str]) -> str:
    """Return the message for a keyword that `Amber` does not have.

    Args:
        name: of the keyword.
        names: of those that it has.
    """
    said = f"Amber() takes no {name if len(name) <= _MAX_ECHO else name[: _MAX_ECHO - 1] + '…'!r}"
    bare = _PREFIX.sub("", name.lower())
    setting = (meant_setting(f"AMBER_{bare.upper()}") or "").removeprefix("AMBER_").lower()
    near = get_close_matches(bare, [*names, *_ASK_NAMES], n=1, cutoff=0.75) or get_close_matches(bare, names, n=1)
    # What is written as it should be goes before what is only alike, here and there.
    exact = next((each for each in (bare, _MEANT.get(bare)) if each in names or each in _ASK_NAMES), None)
    meant = exact or (setting if setting in names else near[0] if near and not setting else None)
    if meant in names:
        return f"{said}. Did you mean {meant}=?"
    if meant is not None:
        return f"{said}: it belongs to one question, amber.ask(…, {meant}=…)."
    if setting:
        return f"{said}: set AMBER_{setting.upper()} in the environment or in .env."
    return f"{said}. Its keywords are {', '.join(names)}."


def explain_unnamed(value: Any) -> str:
    """Return the message for a value without a keyword; one that may be a secret is not repeated."""
    text = value.reveal() if isinstance(value, Secret) else ""
    is_short = len(text) <= _MAX_ECHO and text.isprintable()
    if "://" in text:
        meant = "base_url=…"
    elif text.endswith(".jsonl"):
        meant = "cassette=…"
    elif is_short and text in settings.MODES:
        meant = f"mode={text!r}"
    elif is_short and re.fullmatch(r"[\w.-]+/[\w.:-]+", text):
        meant = f"model={text!r}"
    elif text.lower().startswith(_KEY_STARTS) or (len(text) > _MAX_NAME and re.fullmatch(r"[\w-]+", text)):
        meant = "api_key=…"
    elif is_short and re.fullmatch(r"[A-Za-z0-9-]+(?:(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]+)?", text):
        meant = f"domain={text!r}"
    else:
        meant = "domain='acme'"
    return f"Amber() takes keywords alone: Amber({meant})."
