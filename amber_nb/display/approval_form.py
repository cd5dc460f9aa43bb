"""The form in which a reader edits the arguments of a tool call."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..redact import HIDDEN, is_secret
from ..types import ToolCall, replace_surrogates
from .escape import shorten, show_controls

__all__ = ["MAX_EDITED_CHARS", "describe_defaults", "describe_tool", "form_fields", "parse_edited", "warning_of"]

MAX_EDITED_CHARS = 200_000  # characters of all arguments; longer ones are allowed or denied as they are
_MAX_HINT_CHARS = 300
_MAX_DESCRIPTION_CHARS = 2_000
_MAX_OPTIONS = 200
_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}


def describe_tool(spec: Mapping[str, Any]) -> str:
    """Return a tool's own description, of which every character is seen; "" where it has none."""
    description = spec.get("function", spec).get("description")
    if not isinstance(description, str):
        return ""
    return show_controls(shorten(replace_surrogates(description), _MAX_DESCRIPTION_CHARS))


def describe_defaults(call: ToolCall, spec: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return in a line what will apply to arguments that are not given, as the form says it; "" where nothing will."""
    left_out = [field for field in form_fields(call, spec, defaults) or () if field["raw"] is None]
    parts = [
        f"{field['name']} = {HIDDEN if field['secret'] else field['start']}"
        for field in left_out
        if field["start"] is not None
    ]
    return show_controls(shorten(replace_surrogates(f"Not given: {', '.join(parts)}"), 2_000)) if parts else ""


def warning_of(read_only: bool | None) -> str:
    """Return what a reader is warned of before a call is allowed; "" where nobody said that the tool changes things."""
    return "This tool says that it changes things." if read_only is False else ""


def form_fields(call: ToolCall, spec: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the fields of the form, those of the schema first; None where the arguments are too long to be edited.

    Args:
        call: the call to decide on.
        spec: the tool as the model knows it.
        defaults: of the function's arguments, by name; the model does not know them.

    Returns:
        One dict a field: `name`, `kind` (`text`, `integer`, `number`, `flag`, `choice`, `json`), `raw` (its value as
        JSON; None: not given), `start` (the value that applies where it is not given, and that it is added with),
        `needed`, `secret`, `about`, `options` (label and JSON of each), `odd` (the value with signs for what a reader
        would not see in it).
    """
    if len(_json(call.arguments)) > MAX_EDITED_CHARS:
        return None
    root = spec.get("function", spec).get("parameters")
    root = root if isinstance(root, Mapping) else {}
    described = root.get("properties")
    described = described if isinstance(described, Mapping) else {}
    required = root.get("required")
    needed = required if isinstance(required, list) else []
    names = dict.fromkeys((*map(str, described), *call.arguments))
    return [
        _field(name, call.arguments, described.get(name), root, name in needed, defaults.get(name)) for name in names
    ]


def parse_edited(text: str, call: ToolCall) -> dict[str, Any] | None:
    """Return the arguments that the form sends back; None where nothing was changed.

    Raises:
        ValueError: this is no JSON object.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("the arguments must be an object: { … }")
    # As JSON: to Python 1, 1.0 and true are the same.
    same = json.dumps(value, sort_keys=True) == json.dumps(call.arguments, sort_keys=True)
    return None if same else value


def _field(
    name: str, arguments: Mapping[str, Any], schema: Any, root: Mapping[str, Any], needed: bool, default: Any
) -> dict[str, Any]:
    about, plain = _resolved(schema, root)
    options = _options(plain)
    kind = "choice" if options else _KINDS.get(str(plain.get("type")), "json")
    given = name in arguments
    value = arguments.get(name)
    if given and not _fits(kind, value, options):
        kind = "json"
    start = schema.get("default") if isinstance(schema, Mapping) else None
    if default is not None and not is_secret(name):  # a secret of the code's own is not for the page
        start = default
    if len(_json(start)) > _MAX_HINT_CHARS:
        start = None
    text = value if isinstance(value, str) else _json(value)
    shown = show_controls(text)
    return {
        "name": replace_surrogates(name),
        "kind": kind,
        "raw": _json(value, 2) if given else None,
        "start": _json(start, 2) if _fits(kind, start, options) and start is not None else None,
        "needed": needed,
        "secret": is_secret(name),
        "about": show_controls(shorten(about, _MAX_HINT_CHARS)),
        "options": options if kind == "choice" else [],
        "odd": shorten(shown, _MAX_HINT_CHARS) if given and shown != text else "",
    }


def _resolved(schema: Any, root: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a field's description and its schema, with references followed and "or null" left out."""
    about = ""
    for _ in range(10):
        if not isinstance(schema, Mapping):
            return about, {}
        description = schema.get("description")
        about = about or (description if isinstance(description, str) else "")
        kinds = schema.get("type")
        if isinstance(kinds, list):
            left = [kind for kind in kinds if kind != "null"]
            return about, {**schema, "type": left[0] if len(left) == 1 else None}
        inner = next(_inner(schema, root), None)
        if inner is None:
            return about, schema
        schema = inner
    return about, {}


def _inner(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        place: Any = root
        for step in reference.removeprefix("#/").split("/"):
            place = place.get(step) if isinstance(place, Mapping) else None
        yield place
    for word in ("anyOf", "oneOf", "allOf"):
        several = schema.get(word)
        if isinstance(several, list):
            left = [each for each in several if not (isinstance(each, Mapping) and each.get("type") == "null")]
            if len(left) == 1:
                yield left[0]


def _options(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and JSON of each value that there is to choose from."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if not isinstance(values, list) or not 0 < len(values) <= _MAX_OPTIONS:
        return []
    return [(show_controls(each if isinstance(each, str) else _json(each)), _json(each)) for each in values]


def _fits(kind: str, value: Any, options: list[tuple[str, str]]) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "text": lambda: isinstance(value, str),
        "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
        "flag": lambda: isinstance(value, bool),
        "choice": lambda: _json(value) in [raw for _, raw in options],
    }
    return tests.get(kind, lambda: True)()


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # Lone surrogates would not travel; escaped, they do.
    return text if replace_surrogates(text) == text else json.dumps(value, indent=indent)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
