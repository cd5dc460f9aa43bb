"""A schema in OpenAI's strict form: every property required, nothing beyond them, and only what the models keep to."""

from __future__ import annotations

from typing import Any

__all__ = ["strict_form"]

# What OpenAI and Azure both take. The other constraints are checked here when a call comes.
_KEPT = ("type", "description", "enum", "const", "anyOf", "properties", "items", "$ref")
_OLD_DEFS = "definitions"  # as drafts before 2019-09 call "$defs"
_SCALARS = ("string", "number", "integer", "boolean")


def strict_form(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The parameters of a tool in the strict form; what may be left out becomes nullable.

    Raises:
        ValueError: the strict form cannot say this, such as names that are not known beforehand or any value at all.
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        raise ValueError(f"{name}: the strict form needs parameters that are one object.")
    strict = _strict(schema, name)
    if definitions := {**schema.get(_OLD_DEFS, {}), **schema.get("$defs", {})}:
        strict["$defs"] = {key: _strict(one, f"{name}: {key}") for key, one in definitions.items()}
    return strict


def _strict(schema: Any, where: str) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise ValueError(_any(where))
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(f"#/{_OLD_DEFS}/", "#/$defs/")}  # nothing may stand beside it
    schema = _plain_words(schema, where)
    if not schema.keys() & {"type", "anyOf", "enum", "const"}:
        raise ValueError(_any(where))
    strict = {key: value for key, value in schema.items() if key in _KEPT}
    if "anyOf" in schema:
        strict["anyOf"] = [_strict(one, where) for one in schema["anyOf"]]
    if "items" in schema:
        strict["items"] = _strict(schema["items"], f"{where}[]")
    elif schema.get("type") == "array":
        raise ValueError(_any(f"{where}[]"))
    if schema.get("type") == "object" or "properties" in schema:
        return {**strict, **_object(schema, where)}
    return strict


def _plain_words(schema: dict[str, Any], where: str) -> dict[str, Any]:
    """The same, said with the keywords that the strict form has."""
    schema = dict(schema)
    if "oneOf" in schema:
        schema["anyOf"] = [*schema.get("anyOf", ()), *schema.pop("oneOf")]
    if "allOf" in schema:
        several = schema.pop("allOf")
        if len(several) != 1 or not isinstance(several[0], dict):
            raise ValueError(f"{where}: the strict form has no allOf.")
        schema = {**several[0], **schema}
    if "prefixItems" in schema:  # how many and in which order is checked when a call comes
        several = schema.pop("prefixItems")
        kinds = [one for number, one in enumerate(several) if one not in several[:number]]
        if kinds:
            schema["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return schema


def _object(schema: dict[str, Any], where: str) -> dict[str, Any]:
    if schema.get("additionalProperties") or schema.get("patternProperties") or "properties" not in schema:
        raise ValueError(
            f"{where}: the strict form needs the names of all fields, and a dict has any. Use a dataclass, a TypedDict "
            "or a pydantic model instead, or leave strict=True out."
        )
    required = schema.get("required", ())
    properties = {}
    for name, one in schema["properties"].items():
        inner = _strict(one, f"{where}.{name}" if where else name)
        properties[name] = inner if name in required else _nullable(inner)
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    null = {"type": "null"}
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind) or null in schema.get("anyOf", ()):
        return schema
    if kind in _SCALARS and not schema.keys() & {"enum", "const", "anyOf"}:
        return {**schema, "type": [kind, "null"]}
    said = {"description": schema["description"]} if "description" in schema else {}
    inner = {key: value for key, value in schema.items() if key != "description"}
    choices = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    return {"anyOf": [*choices, null], **said}


def _any(where: str) -> str:
    return f"{where}: the strict form needs a type, and this is any value. Give it a hint, or leave strict=True out."
