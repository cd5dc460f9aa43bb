"""Functions, pydantic models and tool dicts as tools that a request offers, and their calls checked."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, TypeAdapter

from .arguments import ArgumentsError, describe_unknown, ensure_json, format_path, validate_value
from .options import TOOL_NAME, ToolOptions, check_name, merge_options, options_of, tool
from .schema import SchemaGenerator, simplify_schema, to_strict_schema
from .signature import Call, Signature, innermost_function, parse_docstring, read_signature
from .structured import JsonSchema

__all__ = ["Tool", "tool", "tool_of_server", "tools_from"]


@dataclass(frozen=True)
class Tool:
    """A tool: how it is offered to the model, and how a call of it is checked."""

    name: str
    spec: dict[str, Any]  # as it is sent
    function: Callable[..., Any] | None  # None: calls are shown and returned, not run
    is_async: bool
    serial: bool
    require_approval: bool | None  # None: as `ask` says
    timeout_s: float | None
    read_only: bool | None  # None: nobody said; never sent
    binder: Signature | _ModelBinder | _DictBinder = field(repr=False, compare=False)
    remote: Any = field(default=None, repr=False, compare=False)  # the tool of an MCP server that it stands for

    @property
    def runs_here(self) -> bool:
        """Whether its calls are run; else they are shown and returned."""
        return self.function is not None or self.remote is not None

    def defaults(self) -> dict[str, Any]:
        """Return what will apply to arguments that are not given, by name, as far as it can be told in JSON."""
        return self.binder.defaults()

    def prepare(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Call | None]:
        """Check arguments and bind the function to them, typed as its hints say, in one validation.

        Args:
            arguments: JSON values by name.

        Returns:
            A copy of the arguments, in which `3.0` is `3` where an integer is wanted; and the call, None without a
            function.

        Raises:
            ArgumentsError: they do not fit.
        """
        try:
            strict = self.spec.get("function", {}).get("strict") is True
            return self.binder.bind(ensure_json(arguments), strict=strict)
        except (ArgumentsError, KeyboardInterrupt):
            raise
        except BaseException as error:  # of a user's validator or default: sys.exit ends no answer either
            raise ArgumentsError(f"The arguments cannot be checked ({type(error).__name__}).") from error


def tools_from(tools: Any, handlers: Mapping[str, Callable[..., Any]] | None = None) -> dict[str, Tool]:
    """Make tools of functions, models and tool dicts.

    Args:
        tools: one or an iterable of functions and other callables, pydantic model classes, and tool dicts as OpenAI has
            them; dicts of another type are tools of the gateway's own, such as {"type": "web_search"}, and are sent as
            they are; None for none.
        handlers: the functions of tool dicts and model classes, by their tool's name. A dict's is called with the
            arguments by name, a model's with the instance.

    Returns:
        The tools by name, in order.

    Raises:
        TypeError: something is no tool, or has a hint that no JSON value can become.
        ValueError: a name is missing, taken twice or not one that OpenAI takes; a schema cannot be made, read or
            called; a handler belongs to no tool.
    """
    unused = dict(handlers or {})
    by_name: dict[str, Tool] = {}
    is_single = isinstance(tools, (Mapping, Tool, staticmethod, classmethod, str, bytes)) or callable(tools)
    if tools is None:
        tools = ()
    elif is_single or not isinstance(tools, Iterable):
        tools = (tools,)
    for source in tools:
        new = _make_tool(source, unused)
        if new.name in by_name:
            raise ValueError(f"Two tools are called {new.name!r}: give one of them another with @tool(name=…).")
        by_name[new.name] = new
    if unused:
        names = ", ".join(map(repr, unused))
        raise ValueError(f"No tool dict or model is called {names}, which handlers= names. There are: {list(by_name)}.")
    return by_name


def _make_tool(source: Any, handlers: dict[str, Callable[..., Any]]) -> Tool:
    """Make one tool; take its handler out of `handlers`."""
    if isinstance(source, Tool):  # of an answer whose conversation goes on
        is_open = not source.runs_here and source.name in handlers
        return _add_handler(source, handlers.pop(source.name)) if is_open else source
    if isinstance(source, Mapping):
        return _from_dict(source, handlers)
    if isinstance(source, staticmethod):
        source = source.__func__
    if isinstance(source, classmethod):
        raise TypeError("This class method is not bound to its class yet: give Class.method.")
    if isinstance(source, type) and issubclass(source, BaseModel):
        return _from_model(source, handlers)
    if callable(source):
        return _from_function(source, handlers)
    raise TypeError(
        f"An object of type {type(source).__name__} is no tool: functions, pydantic model classes, tool dicts such as "
        "{'type': 'function', 'function': {…}} and MCP servers (amber.mcp, mcp(…)) are. A server's address or command, "
        "and a server of the SDK, are given as tools=mcp(…)."
    )


def tool_of_server(spec: dict[str, Any], remote: Any, *, require_approval: bool | None, read_only: bool | None) -> Tool:
    """Make a tool of what an MCP server lists.

    Args:
        spec: as it is sent.
        remote: runs its calls.
        require_approval: whether each call, or none, asks the reader; None: as it is known of the server.
        read_only: whether a call changes nothing; None: nobody who is believed has said.

    Raises:
        ValueError: the schema cannot be checked safely.
    """
    function = spec["function"]
    return Tool(
        name=function["name"],
        spec=spec,
        function=None,
        is_async=True,
        serial=False,
        require_approval=require_approval,
        timeout_s=None,
        read_only=read_only,
        binder=_DictBinder(JsonSchema(function["parameters"], function["name"]), None),
        remote=remote,
    )


def _add_handler(tool: Tool, handler: Callable[..., Any]) -> Tool:
    if not isinstance(tool.binder, _ModelBinder):
        return _from_dict(tool.spec, {tool.name: handler})
    _check_model_handler(handler, tool.name)
    options = ToolOptions(
        require_approval=tool.require_approval,
        read_only=tool.read_only,
        serial=tool.serial or None,
        timeout_s=tool.timeout_s,
    )
    binder = replace(tool.binder, handler=handler)
    return _assemble(tool.spec, _merge_handler_options(options, handler), handler, binder)


def _merge_handler_options(options: ToolOptions, handler: Any) -> ToolOptions:
    """Return a model's options over its handler's; approval is required, and a warning given, if either says so."""
    of_handler = options_of(handler)
    is_changing = of_handler.get("read_only") is False
    careful = ToolOptions(
        require_approval=of_handler.get("require_approval") or None, read_only=False if is_changing else None
    )
    return merge_options(careful, options, of_handler)


def _function_spec(name: str, description: str, schema: dict[str, Any], strict: bool | None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    function["parameters"] = to_strict_schema(schema, name) if strict else schema
    if strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _assemble(
    spec: dict[str, Any],
    options: ToolOptions,
    function: Callable[..., Any] | None,
    binder: Signature | _ModelBinder | _DictBinder,
) -> Tool:
    return Tool(
        name=spec["function"]["name"],
        spec=spec,
        function=function,
        is_async=function is not None and _is_async(function),
        serial=bool(options.get("serial")),
        require_approval=options.get("require_approval"),
        timeout_s=options.get("timeout_s"),
        read_only=options.get("read_only"),
        binder=binder,
    )


def _is_async(function: Any) -> bool:
    inner = innermost_function(function)
    if inspect.iscoroutinefunction(inner):
        return True
    return not isinstance(inner, type) and inspect.iscoroutinefunction(innermost_function(type(inner).__call__))


def _from_function(function: Callable[..., Any], handlers: Mapping[str, Any]) -> Tool:
    options = options_of(function)
    name = options.get("name") or _function_name(function)
    if name in handlers:
        raise ValueError(f"{name} is a function already: handlers= is for tool dicts and model classes.")
    signature = read_signature(function, name)
    spec = _function_spec(name, signature.description, signature.schema(), options.get("strict"))
    return _assemble(spec, options, function, signature)


def _function_name(function: Any) -> str:
    inner = innermost_function(function)
    name = getattr(inner, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        what = "A lambda" if name else f"This {type(inner).__name__}"
        raise ValueError(f"{what} has no name that the model could call: tool(function, name='…') gives it one.")
    return check_name(name, "The name of this function")


@dataclass(frozen=True)
class _ModelBinder:
    adapter: TypeAdapter[Any]
    known: tuple[str, ...] | None  # None: the model takes names that it does not know
    handler: Callable[..., Any] | None
    written_defaults: Mapping[str, Any]

    def defaults(self) -> dict[str, Any]:
        return dict(self.written_defaults)

    def bind(self, arguments: dict[str, Any], *, strict: bool) -> tuple[dict[str, Any], Call | None]:
        if self.known is not None and (unknown := [name for name in arguments if name not in self.known]):
            mistakes = [f"{format_path((name,))}: {describe_unknown(name, list(self.known))}" for name in unknown[:5]]
            raise ArgumentsError("; ".join(mistakes))
        checked, instance = validate_value(self.adapter, arguments, (), null_is_default=strict)
        return checked, None if self.handler is None else functools.partial(self.handler, instance)


def _from_model(model: type[BaseModel], handlers: dict[str, Callable[..., Any]]) -> Tool:
    options = options_of(model)
    name = options.get("name") or check_name(model.__name__, "The name of this model")
    handler = handlers.pop(name, None)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(model)
        whole = adapter.json_schema(schema_generator=SchemaGenerator)
        schema = simplify_schema(whole)
    except Exception as error:
        raise TypeError(f"{name}: no JSON schema can be made of this model ({str(error).splitlines()[0]}).") from error
    if schema.get("type") != "object":
        raise ValueError(f"{name} is no object in JSON, and arguments are: give the model a field that holds it.")
    properties = schema.get("properties", {})
    description, descriptions = parse_docstring(model.__doc__)
    schema.pop("description", None)
    for key in descriptions.keys() & properties.keys():
        properties[key].setdefault("description", descriptions[key])
    config = model.model_config
    is_by_name = config.get("populate_by_name") or config.get("validate_by_name")
    known = None if config.get("extra") == "allow" else (*properties, *(model.model_fields if is_by_name else ()))
    if handler is not None:
        _check_model_handler(handler, name)
        options = _merge_handler_options(options, handler)
    spec = _function_spec(name, description, schema, options.get("strict"))
    written = {
        key: inner["default"]
        for key, inner in whole.get("properties", {}).items()
        if isinstance(inner, Mapping) and "default" in inner
    }
    return _assemble(spec, options, handler, _ModelBinder(adapter, known, handler, written))


def _check_model_handler(handler: Any, name: str) -> None:
    _check_callable(handler, name)
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise ValueError(f"The handler of {name} is called with the instance alone, and does not take that.") from None
    except ValueError:  # it has no signature
        return


def _check_callable(handler: Any, name: str) -> None:
    if not callable(handler):
        raise TypeError(f"The handler of {name} is a {type(handler).__name__}, which cannot be called.")


@dataclass(frozen=True)
class _DictBinder:
    schema: JsonSchema
    handler: Signature | None

    def defaults(self) -> dict[str, Any]:
        return {} if self.handler is None else self.handler.defaults()

    def bind(self, arguments: dict[str, Any], *, strict: bool) -> tuple[dict[str, Any], Call | None]:
        self.schema.check(arguments)
        # Null is a value of such a schema, and the handler's to understand.
        return (arguments, None) if self.handler is None else self.handler.bind(arguments, strict=False)


def _of_gateway(source: Mapping[str, Any]) -> Tool:
    """Make a tool that the gateway runs; where the model calls it by its name all the same, the call is returned."""
    kind = source["type"]
    inner = source.get(kind)
    name = inner.get("name") if isinstance(inner, Mapping) else None
    spec = _copy_spec(source, kind)
    binder = _DictBinder(JsonSchema({"type": "object"}, kind), None)
    return Tool(
        name=str(name or kind),
        spec=spec,
        function=None,
        is_async=False,
        serial=False,
        require_approval=None,
        timeout_s=None,
        read_only=None,
        binder=binder,
    )


def _copy_spec(source: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        spec = copy.deepcopy(dict(source))
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: this tool dict is no JSON ({error}).") from None
    return spec


def _from_dict(source: Mapping[str, Any], handlers: dict[str, Callable[..., Any]]) -> Tool:
    function = source.get("function")
    if function is None and isinstance(source.get("type"), str) and source["type"] != "function":
        return _of_gateway(source)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        hint = " Servers of an mcpServers dict are given as tools=mcp(…)." if "mcpServers" in source else ""
        example = "{'type': 'function', 'function': {'name': '…', 'parameters': {…}}}"
        raise ValueError(f"This dict is no tool: {example} is one.{hint}")
    name = function["name"]
    if not TOOL_NAME.fullmatch(name):
        raise ValueError(f"The tool name {name[:80]!r} is none that OpenAI takes: 1 to 64 of a-z, A-Z, 0-9, _ and -.")
    spec = _copy_spec({**source, "function": dict(function)}, name)
    parameters = spec["function"].get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict):
        raise ValueError(f"{name}: its parameters must be a JSON schema, a dict.")
    schema = JsonSchema(parameters, name)
    handler = handlers.pop(name, None)
    if handler is None:
        return _assemble(spec, {}, None, _DictBinder(schema, None))
    _check_callable(handler, name)
    signature = read_signature(handler, f"the handler of {name}", is_handler=True)
    _check_handler_names(signature, parameters, name)
    return _assemble(spec, options_of(handler), handler, _DictBinder(schema, signature))


def _check_handler_names(signature: Signature, parameters: dict[str, Any], name: str) -> None:
    """Check that a handler takes the names of a schema, as far as the schema's first level tells them."""
    properties = parameters.get("properties", {})
    names = [parameter.name for parameter in signature.parameters]
    if signature.extra is None and (unknown := [key for key in properties if key not in names]):
        raise ValueError(f"The handler of {name} has no parameter {', '.join(unknown)}, which the schema has.")
    is_closed = not parameters.keys() & {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"}
    missing = [param.name for param in signature.parameters if param.is_required and param.name not in properties]
    if missing and is_closed and not parameters.get("additionalProperties"):
        raise ValueError(f"The handler of {name} needs {', '.join(missing)}, which the schema does not have.")
