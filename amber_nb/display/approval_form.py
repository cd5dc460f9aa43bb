"""The forms in which a reader edits the arguments of a tool call, and answers a question of an MCP server."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unicodedata import category, normalize

from ..redact import HIDDEN, is_secret
from ..types import InputRequest, ToolCall, replace_surrogates
from .escape import shorten, show_controls

__all__ = [
    "MAX_EDITED_CHARS",
    "describe_defaults",
    "describe_message",
    "describe_tool",
    "find_wrong_format",
    "form_fields",
    "input_fields",
    "input_values",
    "parse_edited",
    "refuse_input",
    "warning_of",
]

MAX_EDITED_CHARS = 200_000  # characters of all arguments; longer ones are allowed or denied as they are
_MAX_HINT_CHARS = 300
_MAX_DESCRIPTION_CHARS = 2_000
_MAX_OPTIONS = 200
_MAX_TITLE_CHARS = 100
_MAX_INPUTS = 50
_MAX_LEVELS = 10
_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}
_ROOT_KEYWORDS = {
    *("type", "properties", "required", "title", "description", "additionalProperties", "$schema", "$defs"),
}
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)


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


# --- a question of an MCP server


def refuse_input(schema: Mapping[str, Any]) -> str:
    """Return why a question with this schema is not put to the reader; "" where it may be.

    Example:
        >>> refuse_input({"type": "object", "properties": {"api_key": {"type": "string"}}})
        'the field "api_key" looks like a secret, and no server is given one here'
    """
    described = schema.get("properties", {})
    required = schema.get("required", [])
    if schema.get("type", "object") != "object" or not isinstance(described, Mapping) or {*schema} - _ROOT_KEYWORDS:
        return "it asks for something else than a form of simple fields"
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return "it does not say which of its fields are required"
    if len(described) > _MAX_INPUTS or len(_json(schema)) > MAX_EDITED_CHARS:
        return f"its form is too long: {len(described)} fields"
    for name in dict.fromkeys((*map(str, described), *required)):
        label = show_controls(replace_surrogates(_json(shorten(name, _MAX_TITLE_CHARS))))
        if _asks_for_secret(name, described.get(name), schema):
            return f"the field {label} looks like a secret, and no server is given one here"
        if name not in described or _input_kind(described[name], schema) is None:
            return f"the field {label} is no text, number, choice or yes or no"
    return ""


def describe_message(question: InputRequest) -> str:
    """Return what a server asks, in lines of which every character is seen."""
    text = question.message.strip().replace("\r\n", "\n")
    return show_controls(replace_surrogates(shorten(text, _MAX_DESCRIPTION_CHARS)))


def input_values(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that the form of a question begins with: the schema's defaults, and no for a yes or no."""
    values: dict[str, Any] = {}
    for name, one in schema.get("properties", {}).items():
        kind, options = _input_kind(one, schema) or ("", [])
        default = next((level["default"] for level in _levels(one, schema) if "default" in level), None)
        if default is not None and _fits(kind, default, options):
            values[name] = default
        elif kind == "flag" or (kind == "several" and name in schema.get("required", [])):
            values[name] = False if kind == "flag" else []
    return values


def input_fields(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of a question's form, as `form_fields` does, and of each `title`, `format` and `blank`.

    A `blank` field is shown although it has no value, and one that is left empty is not given. Of the kind `several`
    are lists of choices.
    """
    values, fields = input_values(schema), []
    for name, one in schema.get("properties", {}).items():
        kind, options = _input_kind(one, schema) or ("json", [])
        given = _field(name, values, one, schema, name in schema.get("required", []), None)
        title = next((text for level in _levels(one, schema) if isinstance(text := level.get("title"), str)), "")
        form = next((text for level in _levels(one, schema) if isinstance(text := level.get("format"), str)), "")
        fields.append(
            given
            | {"kind": kind, "options": options, "start": None, "secret": False, "blank": True}
            | {"about": " · ".join(filter(None, (given["about"], _describe_limits(_resolved(one, schema)[1]))))}
            | {"title": show_controls(replace_surrogates(shorten(title, _MAX_TITLE_CHARS))).strip()}
            | {"format": form if form in _FORMATS else ""}
        )
    return fields


def find_wrong_format(schema: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return which text is not of the format that its field asks for; "" where each is."""
    for name, one in schema.get("properties", {}).items():
        for form in (level.get("format") for level in _levels(one, schema)):
            if isinstance(form, str) and form in _FORMATS and isinstance(values.get(name), str):
                matches, wanted = _FORMATS[form]
                if not matches(values[name]):
                    return f"{name}: should be {wanted}"
    return ""


def _input_kind(schema: Any, root: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the kind of a question's field and its options; None where a server may not ask for it."""
    _, plain = _resolved(schema, root)
    if plain.get("type") == "array":
        options = _options(_resolved(plain.get("items"), root)[1])
        return ("several", options) if options else None
    if options := _options(plain):
        return "choice", options
    kind = _KINDS.get(str(plain.get("type")))
    return (kind, []) if kind else None


def _describe_limits(schema: Mapping[str, Any]) -> str:
    """Return which numbers a field takes, such as "15 to 120"."""
    least, most = (schema.get(word) for word in ("minimum", "maximum"))
    if isinstance(least, (int, float)) and isinstance(most, (int, float)):
        return f"{least} to {most}"
    if isinstance(least, (int, float)):
        return f"at least {least}"
    return f"at most {most}" if isinstance(most, (int, float)) else ""


def _asks_for_secret(name: str, schema: Any, root: Mapping[str, Any]) -> bool:
    levels = list(_levels(schema, root))
    titles = [title for level in levels if isinstance(title := level.get("title"), str)]
    return any(level.get("format") == "password" or level.get("writeOnly") is True for level in levels) or any(
        is_secret(_to_identifier(text)) for text in (name, *titles)
    )


def _to_identifier(text: str) -> str:
    """Return a title as a name: without what nobody sees in it, and with underscores between its words."""
    seen = "".join(one for one in normalize("NFKD", text) if category(one) not in ("Cf", "Cc", "Mn"))
    return re.sub(r"\W+", "_", seen).strip("_")


def _is_iso(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def is_iso(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return is_iso


_FORMATS: dict[str, tuple[Callable[[str], object], str]] = {
    "email": (_EMAIL.fullmatch, "an e-mail address"),
    "uri": (_URI.fullmatch, "an address such as https://example.org"),
    "date": (_is_iso(datetime.date.fromisoformat), "a date such as 2026-12-31"),
    "date-time": (_is_iso(datetime.datetime.fromisoformat), "a date and time such as 2026-12-31T18:00:00Z"),
}

# --- the fields of both


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
        "start": _escape_controls(_json(start, 2)) if _fits(kind, start, options) and start is not None else None,
        "needed": needed,
        "secret": is_secret(name),
        "about": show_controls(shorten(about, _MAX_HINT_CHARS)),
        "options": options if kind == "choice" else [],
        "odd": shorten(shown, _MAX_HINT_CHARS) if given and shown != text else "",
    }


def _resolved(schema: Any, root: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return a field's description and its schema, with references followed and "or null" left out."""
    levels = list(_levels(schema, root))
    last = levels[-1] if levels else None
    about = next((text for level in levels if isinstance(text := level.get("description"), str) and text), "")
    if last is None or _next_level(last, root) is not None:  # no schema, or one without an end
        return about, {}
    kinds = last.get("type")
    if isinstance(kinds, list):
        left = [kind for kind in kinds if kind != "null"]
        return about, {**last, "type": left[0] if len(left) == 1 else None}
    return about, last


def _levels(schema: Any, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a field's schema and those that it leads to."""
    for _ in range(_MAX_LEVELS):
        if not isinstance(schema, Mapping):
            return
        yield schema
        schema = _next_level(schema, root)


def _next_level(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    return None if isinstance(schema.get("type"), list) else next(_inner(schema, root), None)


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
    labels = schema.get("enumNames")
    several = schema.get("oneOf", schema.get("anyOf"))
    if values is None and isinstance(several, list) and all(isinstance(e, Mapping) and "const" in e for e in several):
        values, labels = [each["const"] for each in several], [each.get("title") for each in several]
    if not isinstance(values, list) or not 0 < len(values) <= _MAX_OPTIONS:
        return []
    if not isinstance(labels, list) or len(labels) != len(values):
        labels = [None] * len(values)
    texts = [
        label if isinstance(label, str) and label else value if isinstance(value, str) else _json(value)
        for label, value in zip(labels, values, strict=True)
    ]
    return [
        (show_controls(replace_surrogates(shorten(text, _MAX_HINT_CHARS))), _json(value))
        for text, value in zip(texts, values, strict=True)
    ]


def _fits(kind: str, value: Any, options: list[tuple[str, str]]) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        "text": lambda: isinstance(value, str),
        "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
        "flag": lambda: isinstance(value, bool),
        "choice": lambda: _json(value) in [raw for _, raw in options],
        "several": lambda: isinstance(value, list) and {*map(_json, value)} <= {raw for _, raw in options},
    }
    return tests.get(kind, lambda: True)()


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    # Lone surrogates would not travel; escaped, they do.
    return text if replace_surrogates(text) == text else json.dumps(value, indent=indent)


def _escape_controls(text: str) -> str:
    """Return the same JSON, in which every character is seen: what a default shows is what it is."""
    return "".join(one if show_controls(one) == one else f"\\u{ord(one):04x}" for one in text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
