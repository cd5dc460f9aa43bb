"""Whether the tools, the choice of a tool and the response format of a request are well formed."""

from __future__ import annotations

from typing import Any

from .errors import ApiError
from .kinds import a_name, a_text, a_truth, an_object, one_of
from .messages import invalid_type, invalid_value, missing, text_of
from .schemachecks import check_strict, check_well_formed
from .schemas import Unsatisfiable

__all__ = ["check_format", "check_tools"]

MAX_TOOLS = 128


def check_tools(given: dict[str, Any], *, lenient: bool) -> None:
    """Check `tools`, `tool_choice` and what only goes with them.

    Raises:
        ApiError: 400.
    """
    tools = given.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in given and not (lenient or given[name] == "none"):
                text = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                raise ApiError(400, text, param=name)
        return
    if not 1 <= len(tools) <= MAX_TOOLS:
        kind = "empty array" if not tools else "array too long"
        text = f"Invalid 'tools': {kind}. Expected an array with length 1 to {MAX_TOOLS}, but got {len(tools)} instead."
        raise ApiError(400, text, param="tools", code="empty_array" if not tools else "array_above_max_length")
    names: list[str] = []
    for i, tool in enumerate(tools):
        names.append(_check_tool(tool, f"tools[{i}]"))
        if names[-1] in names[:-1]:
            text = f"Invalid 'tools': the names of tools have to be unique, but '{names[-1]}' occurs twice."
            raise ApiError(400, text, param=f"tools[{i}].function.name", code="invalid_value")
    _check_choice(given.get("tool_choice", "auto"), names)


def _check_tool(tool: Any, param: str) -> str:
    an_object(param, tool)
    if "type" not in tool:
        raise missing(f"{param}.type")
    one_of("function")(f"{param}.type", tool["type"])
    function = tool.get("function")
    if function is None:
        raise missing(f"{param}.function")
    an_object(f"{param}.function", function)
    name = function.get("name")
    if name is None:
        raise missing(f"{param}.function.name")
    a_name(f"{param}.function.name", name)
    if function.get("description") is not None:
        a_text(f"{param}.function.description", function["description"])
    if function.get("strict") is not None:
        a_truth(f"{param}.function.strict", function["strict"])
    if function.get("parameters") is not None:
        an_object(f"{param}.function.parameters", function["parameters"])
        _check_schema(
            function["parameters"], bool(function.get("strict")), f"function '{name}'", f"{param}.function.parameters"
        )
    return str(name)


def _check_choice(choice: Any, names: list[str]) -> None:
    if isinstance(choice, str):
        one_of("none", "auto", "required")("tool_choice", choice)
        return
    kind = choice.get("type")
    if kind == "function":
        wanted = [choice]
    elif kind == "allowed_tools":
        allowed = choice.get("allowed_tools")
        an_object("tool_choice.allowed_tools", allowed)
        one_of("auto", "required")("tool_choice.allowed_tools.mode", allowed.get("mode"))
        wanted = allowed.get("tools")
        if not isinstance(wanted, list) or not wanted:
            raise invalid_type("tool_choice.allowed_tools.tools", "an array of objects that is not empty", wanted)
    else:
        raise invalid_value("tool_choice.type", str(kind), ("function", "allowed_tools"))
    for item in wanted:
        function = item.get("function") if isinstance(item, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise missing("tool_choice.function.name")
        if function["name"] not in names:
            text = f"Tool choice '{function['name'][:64]}' not found in 'tools' parameter."
            raise ApiError(400, text, param="tool_choice")


def check_format(given: dict[str, Any]) -> None:
    """Check `response_format` and its schema.

    Raises:
        ApiError: 400.
    """
    wanted = given.get("response_format")
    if wanted is None:
        return
    if "type" not in wanted:
        raise missing("response_format.type")
    one_of("text", "json_object", "json_schema")("response_format.type", wanted["type"])
    if wanted["type"] == "json_object" and not any("json" in text_of(item).lower() for item in given["messages"]):
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise ApiError(400, text, param="messages")
    if wanted["type"] != "json_schema":
        return
    if wanted.get("json_schema") is None:
        raise missing("response_format.json_schema")
    spec = wanted["json_schema"]
    an_object("response_format.json_schema", spec)
    if spec.get("name") is None:
        raise missing("response_format.json_schema.name")
    a_name("response_format.json_schema.name", spec["name"])
    if spec.get("strict") is not None:
        a_truth("response_format.json_schema.strict", spec["strict"])
    if spec.get("schema") is None:
        if spec.get("strict"):
            raise missing("response_format.json_schema.schema")
        return
    an_object("response_format.json_schema.schema", spec["schema"])
    _check_schema(spec["schema"], bool(spec.get("strict")), f"response_format '{spec['name']}'", "response_format")


def _check_schema(schema: dict[str, Any], strict: bool, owner: str, param: str) -> None:
    try:
        check_well_formed(schema)
        if strict:
            check_strict(schema)
    except Unsatisfiable as error:
        code = "invalid_function_parameters" if owner.startswith("function") else None
        raise ApiError(400, f"Invalid schema for {owner}: {error}", param=param, code=code) from error
