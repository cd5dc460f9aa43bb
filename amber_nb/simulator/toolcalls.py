"""Which tools a prompt asks for, their arguments, and the answer once the results are there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .instances import Maker
from .words import Prompt, stems

__all__ = ["Call", "answer_from_results", "plan_calls", "usable_tools"]

MAX_CALLS = 16
_GENERIC = stems(
    "get set current find fetch search look lookup list create make do run execute call compute calculate return value "
    "data info information given use tool function new add update check show read write specified location city state"
) | {"current"}
# What a prompt may say when it means a tool of that name.
_KINDRED = {
    "weather": "temperature rain raining rainy sunny snow warm warmer cold colder hot hotter umbrella forecast wind",
    "time": "clock hour o'clock late timezone",
    "calculate": "plus minus times divided multiply product square root percent math",
    "calculator": "plus minus times divided multiply product square root percent math calculate compute",
    "email": "mail send message write",
    "translate": "translation german french spanish english",
    "stock": "share shares ticker price",
    "convert": "conversion exchange",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool, its arguments as they are sent: JSON in one line."""

    name: str
    arguments: str


def usable_tools(given: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Give the functions that `tool_choice` leaves, and whether one of them has to be called."""
    functions = [tool["function"] for tool in given.get("tools") or []]
    choice = given.get("tool_choice", "auto")
    if choice == "none":
        return [], False
    if isinstance(choice, str):
        return functions, choice == "required" and bool(functions)
    if choice["type"] == "function":
        names, must = [choice["function"]["name"]], True
    else:
        names = [item["function"]["name"] for item in choice["allowed_tools"]["tools"]]
        must = choice["allowed_tools"]["mode"] == "required"
    return [function for function in functions if function["name"] in names], must


def plan_calls(
    prompt: Prompt, functions: list[dict[str, Any]], *, must: bool, parallel: bool, room: int = 20_000
) -> list[Call]:
    """Pick tools by the words of the prompt and fill in their arguments.

    Args:
        prompt: the last user message.
        functions: the tools that may be called.
        must: call one even when no word fits.
        parallel: whether several calls may be made.
        room: how many characters the arguments of a call may have.

    Raises:
        Unsatisfiable: for parameters that no value was found for.
    """
    chosen = _pick(prompt, functions)
    if not chosen and must:
        chosen = functions[:1]
    calls: list[Call] = []
    for function in chosen:
        schema = function.get("parameters") or {"type": "object", "properties": {}}
        places = prompt.places if parallel and _takes_one_place(schema) else []
        for index in range(max(1, len(places))):
            maker = Maker(schema, prompt, optional=False, room=room)
            arguments = json.dumps(maker.make(index), ensure_ascii=False, separators=(",", ":"))
            call = Call(function["name"], arguments)
            if call not in calls:
                calls.append(call)
    return calls[: MAX_CALLS if parallel else 1]


def _pick(prompt: Prompt, functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the tools asked for, the best first: a further one only when it answers to words of its own."""
    scored = []
    for order, function in enumerate(functions):
        hits, score = _score(prompt, function)
        if score >= 2:
            scored.append((-score, order, hits, function))
    scored.sort(key=lambda item: item[:2])
    chosen: list[dict[str, Any]] = []
    explained: set[str] = set()
    for negative, _, hits, function in scored:
        if not chosen or (hits - explained and -negative >= 3):
            chosen.append(function)
        explained |= hits
    # The calls come in the order in which the tools were given: like a plan, not like a ranking.
    return [function for function in functions if function in chosen]


def _score(prompt: Prompt, function: dict[str, Any]) -> tuple[set[str], float]:
    """Give the words of the prompt that a tool answers to, and how well: its name counts most."""
    name_words = stems(function["name"])
    telling = (name_words - _GENERIC) or name_words
    told = prompt.stems
    by_name = telling & told
    for word in telling:
        kindred = next((text for key, text in _KINDRED.items() if stems(key) == {word}), "")
        if not by_name:
            by_name = by_name | (stems(kindred) & told)
    by_description = (stems(function.get("description") or "") - _GENERIC - telling) & told
    properties = (function.get("parameters") or {}).get("properties", {})
    by_parameter = (stems(" ".join(list(properties)[:50])) - _GENERIC - telling) & told
    score = 3 * len(by_name) + 1.0 * len(by_description) + 0.5 * len(by_parameter - by_description)
    if re.search(rf"(?<!\w){re.escape(function['name'].lower())}(?!\w)", prompt.lower):
        score += 5
    return by_name or by_description, score


def _takes_one_place(schema: dict[str, Any]) -> bool:
    """Whether a tool has exactly one text parameter for a place: then two places are two calls."""
    names = stems("city location place country town address capital region")
    found = [
        name
        for name, sub in schema.get("properties", {}).items()
        if isinstance(sub, dict) and sub.get("type", "string") == "string" and "enum" not in sub and stems(name) & names
    ]
    return len(found) == 1


def answer_from_results(results: list[tuple[str, str, str]]) -> str:
    """Tell what the tools gave back.

    Args:
        results: name, arguments and result of each call, as JSON or text.
    """
    if len(results) == 1:
        name, arguments, result = results[0]
        return f"From `{name}`{_of(arguments)}:{_readable(result)}"
    lines = [f"From {len(results)} tool calls:", ""]
    values = [_value(result) for _, _, result in results]
    if all(isinstance(value, dict) and _is_flat(value) for value in values):
        keys = list(dict.fromkeys(str(key) for value in values for key in value))[:8]
        lines.append("| call | " + " | ".join(map(_cell, keys)) + " |")
        lines.append("| --- |" + " --- |" * len(keys))
        for (name, arguments, _), value in zip(results, values, strict=True):
            cells = [_cell(value.get(key, "")) for key in keys]
            lines.append(f"| `{name}`{_cell(_of(arguments))} | " + " | ".join(cells) + " |")
    else:
        lines += [f"- `{name}`{_of(arguments)}:{_readable(result, '  ')}" for name, arguments, result in results[:50]]
    return "\n".join(lines)


def _value(result: str) -> Any:
    try:
        return json.loads(result)
    except (ValueError, RecursionError):
        return result


def _is_flat(value: dict[str, Any]) -> bool:
    return bool(value) and not any(isinstance(item, dict | list) for item in value.values())


def _of(arguments: str) -> str:
    value = _value(arguments)
    if not isinstance(value, dict) or not value:
        return ""
    return " (" + ", ".join(_cell(item, 40) for item in list(value.values())[:4]) + ")"


def _cell(value: Any, most: int = 80) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = re.sub(r"\s+", " ", text[: most * 4]).replace("|", "\\|")
    return text if len(text) <= most else text[: most - 1] + "…"


def _readable(result: str, indent: str = "") -> str:
    """Give a result as the rest of a sentence, a short list or a small table."""
    value = _value(result)
    if isinstance(value, dict) and value:
        lines = [f"{indent}- **{_cell(key)}**: {_cell(item)}" for key, item in list(value.items())[:12]]
        lines += [f"{indent}- … and {len(value) - 12} more"] if len(value) > 12 else []
        return ("\n" if indent else "\n\n") + "\n".join(lines)
    if isinstance(value, list) and value:
        rows = value[:10]
        rest = f"\n\n{indent}… and {len(value) - 10} more." if len(value) > 10 else ""
        if not indent and all(isinstance(row, dict) and row and _is_flat(row) for row in rows):
            keys = list(dict.fromkeys(str(key) for row in rows for key in row))[:8]
            table = ["| " + " | ".join(map(_cell, keys)) + " |", "|" + " --- |" * len(keys)]
            table += ["| " + " | ".join(_cell(row.get(key, "")) for key in keys) + " |" for row in rows]
            return "\n\n" + "\n".join(table) + rest
        return ("\n" if indent else "\n\n") + "\n".join(f"{indent}- {_cell(row)}" for row in rows) + rest
    text = _cell(value, 600) if not isinstance(value, str) else value.strip()
    if len(text) > 600:
        text = text[:600].rstrip() + " …"
    if "\n" in text:
        return "\n\n" + "\n".join("> " + line for line in text.splitlines()[:12])
    return f" {text}" if text else " (an empty result)"
