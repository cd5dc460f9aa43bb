"""The ordinary reply: Markdown that says it is the simulator and tells what arrived."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from .dice import Dice
from .messages import text_of
from .pictures import Picture

__all__ = ["facts", "opening"]

_OPENINGS = (
    "**This is the simulator**, not a model. Here is what arrived:",
    "**Simulated reply.** No model has read this; what arrived:",
    "**The simulator speaks:** nothing here was thought up by a model. I received:",
)
_SILENT = ("model", "messages", "stream", "stream_options", "tools", "response_format", "n")


def opening(dice: Dice) -> str:
    """Say who speaks."""
    return dice.pick(_OPENINGS)


def facts(given: dict[str, Any], pictures: list[Picture]) -> str:
    """Tell what arrived: the prompt, the messages, the parameters, the images and the tools.

    Args:
        given: the checked request.
        pictures: its images.
    """
    messages = given["messages"]
    said = [message for message in messages if message["role"] == "user"]
    lines = []
    if said:
        prompt = text_of(said[-1])
        words = len(prompt.split())
        what = f"“{_short(prompt)}” ({words} word{'s' if words != 1 else ''})" if words else "no text"
        lines.append(f"- **Prompt:** {what}")
    counts = Counter(message["role"] for message in messages)
    lines.append("- **Messages:** " + ", ".join(f"{count} `{role}`" for role, count in counts.items()))
    if len(said) > 1:
        before = [f"“{_short(text_of(message), 40)}”" for message in said[:-1]]
        told = (
            before[0]
            if len(before) == 1
            else f"{before[0]} … {before[-1]}"
            if len(before) > 2
            else " and ".join(before)
        )
        lines.append(f"- **History:** this is turn {len(said)}; before it you said {told}")
    parameters = {name: value for name, value in given.items() if name not in _SILENT}
    if parameters:
        shown = [f"`{name}` = {_value(value)}" for name, value in list(parameters.items())[:8]]
        lines.append("- **Parameters:** " + ", ".join(shown))
    lines += [_picture_line(i, len(pictures), picture) for i, picture in enumerate(pictures[:8], 1)]
    if len(pictures) > 8:
        lines.append(f"- … and {len(pictures) - 8} more images")
    tools = [tool["function"]["name"] for tool in given.get("tools") or []]
    if tools:
        names = ", ".join(f"`{name}`" for name in tools[:8]) + (" …" if len(tools) > 8 else "")
        lines.append(f"- **Tools:** {names}; none called")
    return "\n".join(lines)


def _picture_line(number: int, total: int, picture: Picture) -> str:
    label = f"- **Image{f' {number}' if total > 1 else ''}:** "
    if picture.host is not None:
        return f"{label}a link to `{picture.host}`; the simulator fetches nothing, so it has not seen it"
    return (
        f"{label}{picture.format}, {picture.width} × {picture.height} pixels, "
        f"mostly {picture.colour} (`{picture.colour_hex}`)"
    )


def _short(text: str, most: int = 80) -> str:
    text = re.sub(r"\s+", " ", text[: most * 4]).strip()
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _value(value: Any) -> str:
    return f"`{_short(json.dumps(value, ensure_ascii=False)[:200], 50).replace('`', '')}`"
