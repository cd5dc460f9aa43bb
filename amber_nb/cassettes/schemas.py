"""JSON schemas of a request as other releases of pydantic write them: they mean the same, and a recording is found."""

from __future__ import annotations

from typing import Any

from .match import RequestKey, make_key

__all__ = ["adopt_forms", "same_but_for_forms"]

# Keywords that hold schemas by a name of the user's: what is missing there is a property, and no form of the same.
_BY_NAME = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_DECIMAL = "^(?!^[-+.]*$)"  # begins the pattern that some releases give a Decimal


def same_but_for_forms(recorded: RequestKey, now: RequestKey, *, results: bool) -> bool:
    """Return whether two requests differ only in how their schemas are written.

    Args:
        recorded: the request of a recording.
        now: the request that is asked.
        results: whether the results of tools must be the same, too.
    """
    if recorded.path != now.path or _outline(recorded.body) != _outline(now.body):
        return False
    key = make_key(now.method, now.path, _adopt_body(now.body, recorded.body))
    if key.exact == recorded.exact:
        return True
    return not results and key.without_results is not None and key.without_results == recorded.without_results


def _outline(body: Any) -> Any:
    """Return what is quickly compared: most recordings are of another request."""
    if not isinstance(body, dict):
        return body
    messages = body.get("messages")
    return body.get("model"), body.keys(), len(messages) if isinstance(messages, list) else None


def _adopt_body(now: Any, recorded: Any) -> Any:
    """Return the request with the forms of the recorded one, in its tools' parameters and its response_format."""
    if not isinstance(now, dict):
        return now
    body = dict(now)
    if isinstance(now.get("tools"), list) and isinstance(recorded.get("tools"), list):
        pairs = zip(now["tools"], recorded["tools"], strict=False)
        tools = [_adopt_at(one, other, ("function", "parameters")) for one, other in pairs]
        body["tools"] = tools + now["tools"][len(tools) :]
    if "response_format" in now and "response_format" in recorded:
        path = ("json_schema", "schema")
        body["response_format"] = _adopt_at(now["response_format"], recorded["response_format"], path)
    return body


def _adopt_at(now: Any, recorded: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return adopt_forms(now, recorded)
    name, *rest = path
    if isinstance(now, dict) and isinstance(recorded, dict) and name in now and name in recorded:
        return {**now, name: _adopt_at(now[name], recorded[name], tuple(rest))}
    return now


def adopt_forms(now: Any, recorded: Any, *, by_name: bool = False) -> Any:
    """Return a schema with the forms of the recorded one, wherever both mean the same.

    Args:
        now: the schema.
        recorded: the schema to take the forms from.
        by_name: both are schemas by their names.
    """
    if isinstance(now, dict) and isinstance(recorded, dict):
        adopted = {
            key: adopt_forms(value, recorded[key], by_name=not by_name and key in _BY_NAME)
            if key in recorded
            else value
            for key, value in now.items()
            if key in recorded or by_name or not _says_nothing(key, now, recorded)
        }
        extra = () if by_name else recorded.keys() - now.keys()
        return adopted | {key: recorded[key] for key in extra if _says_nothing(key, recorded, now)}
    if isinstance(now, list) and isinstance(recorded, list) and len(now) == len(recorded):
        return [adopt_forms(one, other) for one, other in zip(now, recorded, strict=True)]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (now, recorded))
    return recorded if numbers and now == recorded else now


def _says_nothing(key: str, schema: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether a keyword that only one of two schemas has is a matter of pydantic's release.

    2.9 gives a constant an enum, too, 2.11 says that a dict is open and names an enum's keys, 2.12 has a pattern for
    decimals, and 2.13 takes the description of a dataclass from its docstring.
    """
    value = schema[key]
    if key == "additionalProperties":
        return value is True
    if key == "propertyNames":
        return isinstance(value, dict) and schema.get("type") == "object"
    if key == "description":
        return "properties" in schema and "properties" in other
    if key == "enum":
        return bool(value == [schema.get("const")] or value == [other.get("const")])
    if key == "const":
        return bool(other.get("enum") == [value])
    return key == "pattern" and isinstance(value, str) and value.startswith(_DECIMAL)
