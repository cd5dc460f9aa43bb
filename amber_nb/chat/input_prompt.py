"""Ask the reader at the keyboard what an MCP server asks: field by field, or as JSON in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..display.approval_form import describe_message, find_wrong_format, input_fields, input_values
from ..display.cards import server_label
from ..display.escape import shorten, show_controls
from ..tools.arguments import ArgumentsError
from ..tools.structured import JsonSchema
from ..types import Allow, Deny, InputRequest

__all__ = ["INPUT_NOTICE", "check_of", "prompt_input"]

INPUT_NOTICE = "Your answer goes to this server. Give it no passwords or keys."
_MAX_SHOWN_CHARS = 2_000
_MAX_LISTED = 30  # options of a choice
_YES, _NO = ("y", "yes", "true"), ("n", "no", "false")


def check_of(question: InputRequest) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that tells what is wrong with an answer, "" if nothing is.

    Raises:
        ValueError: the question's schema is none that can be checked.
    """
    schema = JsonSchema(question.schema, "its form", part="field")

    def check(values: Mapping[str, Any]) -> str:
        try:
            schema.check(dict(values))
        except ArgumentsError as error:
            return str(error)
        return find_wrong_format(question.schema, values)

    return check


def prompt_input(question: InputRequest, check: Callable[[Mapping[str, Any]], str]) -> Allow | Deny:
    """Ask with `input`: the fields one by one, all of them as JSON, or a refusal."""
    print(f"amber: the server '{server_label(question.server) or '?'}' asks:")
    for line in describe_message(question).splitlines():
        print(f"  | {line}".rstrip())
    print(f"  {INPUT_NOTICE}")
    fields = input_fields(question.schema)
    values = input_values(question.schema)
    offer = "[a]nswer, [n]o, or the answer as JSON: " if fields else "[y]es, [n]o: "
    while True:
        line = input(f"Answer it? {offer}").strip()
        if line.lower() in ("n", "no"):
            return Deny()
        if line.startswith("{"):
            given = _parse(line)
            if given is None:
                continue
            values = given
        elif line.lower() in ("a", "answer", "y", "yes"):
            values = _ask_fields(fields, values)
        elif not (line.lower() in ("s", "send") and offer.startswith("[s]")):
            continue
        if wrong := check(values):
            print(show_controls(wrong))
            continue
        if not fields or line.startswith("{") or line.lower() in ("s", "send"):
            return Allow(values)
        print(show_controls(f"  {shorten(json.dumps(values, ensure_ascii=False), _MAX_SHOWN_CHARS)}"))
        offer = "[s]end this, [a]nswer again, [n]o, or the answer as JSON: "


def _parse(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        print(f"This is no JSON: {error}")
        return None
    return value if isinstance(value, dict) else None


def _ask_fields(fields: list[dict[str, Any]], before: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields:
        name = field["name"]
        if field["about"]:
            print(f"  {field['about']}")
        while True:
            line = input(f"{_label(field, name in before, before.get(name))}: ").strip()
            if not line and name in before:
                values[name] = before[name]
                break
            if not line and not field["needed"]:
                break
            try:
                values[name] = _read(field, line)
                break
            except ValueError as error:
                print(f"  {error}")
    return values


def _label(field: Mapping[str, Any], has_value: bool, value: Any) -> str:
    """Return what is asked for in a line: its title, its options, and what an empty answer means."""
    title = " ".join((field["title"] or field["name"]).split())
    parts = []
    if field["options"]:
        listed = [f"{number} {label}" for number, (label, _) in enumerate(field["options"][:_MAX_LISTED], 1)]
        several = "several, " if field["kind"] == "several" else ""
        parts.append(f"({several}{', '.join(listed)}{', …' if len(field['options']) > _MAX_LISTED else ''})")
    elif field["kind"] == "flag":
        parts.append("(y or n)")
    if has_value:
        labels = {raw: label for label, raw in field["options"]}
        shown = [labels.get(json.dumps(each, ensure_ascii=False), each) for each in _as_list(value)]
        text = ("y" if value else "n") if field["kind"] == "flag" else ", ".join(map(str, shown))
        parts.append(f"[{shorten(text, 200)}]")
    elif not field["needed"]:
        parts.append("[none]")
    return show_controls(" ".join([title, *parts]))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read(field: Mapping[str, Any], line: str) -> Any:
    """Return the value that a reader has typed.

    Raises:
        ValueError: it is none of the field's kind.
    """
    kind = field["kind"]
    if not line:
        raise ValueError("a value is wanted")
    if kind == "several":
        return [_choose(field["options"], each.strip()) for each in line.split(",") if each.strip()]
    if kind == "choice":
        return _choose(field["options"], line)
    if kind == "flag":
        if line.lower() not in (*_YES, *_NO):
            raise ValueError("y or n is wanted")
        return line.lower() in _YES
    if kind == "integer":
        try:
            return int(line)
        except ValueError:
            raise ValueError("a whole number is wanted") from None
    if kind == "number":
        try:
            number = json.loads(line)
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, (int, float)) or number - number != 0:  # not finite
            raise ValueError("a number is wanted")
        return number
    return line


def _choose(options: list[tuple[str, str]], text: str) -> Any:
    """Return the option of this label or value, or else of this number."""
    by_text = {str(json.loads(raw)): raw for _, raw in options} | dict(options)
    if text in by_text:
        return json.loads(by_text[text])
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= len(options):
        return json.loads(options[int(text[:6]) - 1][1])
    raise ValueError(f"no option {text[:40]!r}")
