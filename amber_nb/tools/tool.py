"""Functions, pydantic models and tool dicts → tools as the endpoint takes them, and their calls, checked."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter

from .arguments import ArgumentsError, describe_unknown, ensure_json, format_path, parse_arguments, validate_value
from .docs import parse_docstring
from .json_schema import JsonSchema
from .marks import NAME, Mark, checked_name, mark_of, tool
from .schema import SchemaGenerator, simplify_schema, to_strict_schema
from .signatures import Call, Signature, innermost, signature_of

__all__ = ["ArgumentsError", "Tool", "parse_arguments", "tool", "tools_from"]


class Checker(Protocol):
    """Checks arguments; the second of the pair is the call with them, None where there is no function."""

    def checked(self, arguments: Mapping[str, Any], *, strict: bool = False) -> tuple[dict[str, Any], Call | None]: ...


@dataclass(frozen=True)
class Tool:
    """One tool: how it is offered to the model, and how a call of it is checked."""

    name: str
    spec: dict[str, Any]  # as it is sent
    function: Callable[..., Any] | None  # None: calls are shown and returned, not run
    is_async: bool
    serial: bool
    require_approval: bool | None  # None: not said
    timeout_s: float | None
    checker: Checker = field(repr=False, compare=False)

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as JSON values, those that were given; `3.0` is `3` where a whole number is wanted.

        Raises:
            ArgumentsError: they do not fit.
        """
        return self._checked(arguments)[0]

    def bound(self, arguments: Mapping[str, Any]) -> Call:
        """The call of the function with these arguments, typed as its hints say; nothing has run yet.

        Raises:
            ArgumentsError: they do not fit.
            TypeError: there is no function.
        """
        call = self._checked(arguments)[1]
        if call is None:
            raise TypeError(f"{self.name} has no function: give handlers={{{self.name!r}: function}}.")
        return call

    def _checked(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Call | None]:
        try:
            return self.checker.checked(arguments, strict=self._strict)
        except (ArgumentsError, KeyboardInterrupt):
            raise
        except BaseException as error:  # of a validator or a default of the user's: sys.exit ends no answer either
            raise ArgumentsError(f"The arguments cannot be checked ({type(error).__name__}).") from error

    @property
    def _strict(self) -> bool:
        return self.spec["function"].get("strict") is True


def tools_from(tools: Any, handlers: Mapping[str, Callable[..., Any]] | None = None) -> dict[str, Tool]:
    """One tool or an iterable of them, by name and in order; None is none.

    Args:
        tools: functions and other callables (also `@tool`-marked ones), pydantic model classes, and tool dicts as
            OpenAI has them.
        handlers: the functions of tool dicts and model classes by their tool's name. A dict's is called with the
            arguments by name, a model's with the instance.

    Raises:
        TypeError: something is no tool, or has a hint that no JSON can become.
        ValueError: a name is missing, taken twice or not one that OpenAI takes; a schema cannot be made, read or
            called; a handler belongs to no tool.
    """
    waiting = dict(handlers or {})
    found: dict[str, Tool] = {}
    for one in _several(tools):
        made = _made(one, waiting)
        if made.name in found:
            raise ValueError(f"Two tools are called {made.name!r}: give one of them another with @tool(name=…).")
        found[made.name] = made
    if waiting:
        names = ", ".join(repr(name) for name in waiting)
        raise ValueError(f"No tool dict or model is called {names}, which handlers= names. There are: {list(found)}.")
    return found


def _several(tools: Any) -> Iterable[Any]:
    if tools is None:
        return ()
    if isinstance(tools, (Mapping, Tool, staticmethod, classmethod)) or callable(tools):
        return (tools,)
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Iterable):
        raise TypeError(_no_tool(tools))
    return tools


def _no_tool(thing: Any) -> str:
    return (
        f"A {type(thing).__name__} is no tool: functions, pydantic model classes and tool dicts such as "
        "{'type': 'function', 'function': {…}} are."
    )


def _made(one: Any, handlers: dict[str, Callable[..., Any]]) -> Tool:
    if isinstance(one, Tool):  # of an answer that is gone on from
        return _handled(one, handlers.pop(one.name)) if one.function is None and one.name in handlers else one
    if isinstance(one, Mapping):
        return _from_dict(one, handlers)
    if isinstance(one, staticmethod):
        one = one.__func__
    if isinstance(one, classmethod):
        raise TypeError("This class method is not bound to its class yet: give Class.method.")
    if isinstance(one, type) and issubclass(one, BaseModel):
        return _from_model(one, handlers)
    if callable(one):
        return _from_function(one, handlers)
    raise TypeError(_no_tool(one))


def _handled(made: Tool, handler: Callable[..., Any]) -> Tool:
    """A tool that had no function, with one."""
    if not isinstance(made.checker, _Model):
        return _from_dict(made.spec, {made.name: handler})
    _takes_one(handler, made.name)
    said = Mark(require_approval=made.require_approval, serial=made.serial or None, timeout_s=made.timeout_s)
    mark = _with_handler(said, handler)
    return _assembled(made.name, made.spec, mark, handler, replace(made.checker, handler=handler))


def _with_handler(mark: Mark, handler: Any) -> Mark:
    """What is said of a model and of the handler that its calls run: approval that either asks for is needed."""
    said = mark_of(handler)
    wanted = True if said.require_approval else mark.require_approval
    return replace(mark.over(said), require_approval=wanted if wanted is not None else said.require_approval)


def _from_function(function: Callable[..., Any], handlers: Mapping[str, Any]) -> Tool:
    mark = mark_of(function)
    name = mark.name or _own_name(function)
    if name in handlers:
        raise ValueError(f"{name} is a function already: handlers= is for tool dicts and model classes.")
    signature = signature_of(function, name)
    return _tool(name, signature.description, signature.schema(), mark, function, signature)


def _own_name(function: Any) -> str:
    inner = innermost(function)
    name = getattr(inner, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        what = "A lambda" if name else f"This {type(inner).__name__}"
        raise ValueError(f"{what} has no name that the model could call: tool(function, name='…') gives it one.")
    return checked_name(name, "The name of this function")


def _tool(
    name: str,
    description: str,
    schema: dict[str, Any],
    mark: Mark,
    function: Callable[..., Any] | None,
    checker: Checker,
) -> Tool:
    said: dict[str, Any] = {"name": name}
    if description:
        said["description"] = description
    said["parameters"] = to_strict_schema(schema, name) if mark.strict else schema
    if mark.strict:
        said["strict"] = True
    return _assembled(name, {"type": "function", "function": said}, mark, function, checker)


def _assembled(
    name: str, spec: dict[str, Any], mark: Mark, function: Callable[..., Any] | None, checker: Checker
) -> Tool:
    return Tool(
        name=name,
        spec=spec,
        function=function,
        is_async=function is not None and _is_async(function),
        serial=bool(mark.serial),
        require_approval=mark.require_approval,
        timeout_s=mark.timeout_s,
        checker=checker,
    )


def _is_async(function: Any) -> bool:
    inner = innermost(function)
    if inspect.iscoroutinefunction(inner):
        return True
    if isinstance(inner, type):
        return False
    return inspect.iscoroutinefunction(innermost(type(inner).__call__))


@dataclass(frozen=True)
class _Model:
    """The check of a model's arguments, and the call of its handler with the instance."""

    adapter: TypeAdapter[Any]
    known: tuple[str, ...] | None  # None: the model takes names that it does not know
    handler: Callable[..., Any] | None

    def checked(self, arguments: Mapping[str, Any], *, strict: bool = False) -> tuple[dict[str, Any], Call | None]:
        given = ensure_json(arguments)
        if self.known is not None and (strange := [name for name in given if name not in self.known]):
            wrong = [f"{format_path((name,))}: {describe_unknown(name, list(self.known))}" for name in strange[:5]]
            raise ArgumentsError("; ".join(wrong))
        ready, instance = validate_value(self.adapter, given, (), null_is_default=strict)
        return ready, None if self.handler is None else functools.partial(self.handler, instance)


def _from_model(model: type[BaseModel], handlers: dict[str, Callable[..., Any]]) -> Tool:
    mark = mark_of(model)
    name = mark.name or checked_name(model.__name__, "The name of this model")
    handler = handlers.pop(name, None)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(model)
        schema = simplify_schema(adapter.json_schema(schema_generator=SchemaGenerator))
    except Exception as error:
        raise TypeError(f"{name}: no JSON schema can be made of this model ({str(error).splitlines()[0]}).") from error
    if schema.get("type") != "object":
        raise ValueError(f"{name} is no object in JSON, and arguments are: give the model a field that holds it.")
    summary, texts = parse_docstring(model.__doc__)
    schema.pop("description", None)
    for key, text in texts.items():
        if key in schema.get("properties", {}):
            schema["properties"][key].setdefault("description", text)
    known: tuple[str, ...] | None = tuple(schema.get("properties", ()))
    if model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name"):
        known = (*known, *model.model_fields) if known is not None else None
    if model.model_config.get("extra") == "allow":
        known = None
    if handler is not None:
        _takes_one(handler, name)
        mark = _with_handler(mark, handler)
    return _tool(name, summary, schema, mark, handler, _Model(adapter, known, handler))


def _takes_one(handler: Any, name: str) -> None:
    _checked_handler(handler, name)
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise ValueError(f"The handler of {name} is called with the instance alone, and does not take that.") from None
    except ValueError:  # it tells no signature
        return


def _checked_handler(handler: Any, name: str) -> None:
    if not callable(handler):
        raise TypeError(f"The handler of {name} is a {type(handler).__name__}, which cannot be called.")


@dataclass(frozen=True)
class _Dict:
    """The check of a tool dict's arguments: by its schema, then by its handler's own hints."""

    schema: JsonSchema
    handler: Signature | None

    def checked(self, arguments: Mapping[str, Any], *, strict: bool = False) -> tuple[dict[str, Any], Call | None]:
        given = ensure_json(arguments)
        self.schema.check(given)
        # Null is a value of such a schema, and the handler's to understand.
        return (given, None) if self.handler is None else self.handler.checked(given)


def _from_dict(given: Mapping[str, Any], handlers: dict[str, Callable[..., Any]]) -> Tool:
    function = given.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ValueError(
            "This dict is no tool: {'type': 'function', 'function': {'name': '…', 'parameters': {…}}} is one."
        )
    name = function["name"]
    if not NAME.fullmatch(name):
        raise ValueError(f"The tool name {name[:80]!r} is none that OpenAI takes: 1 to 64 of a-z, A-Z, 0-9, _ and -.")
    try:
        spec = copy.deepcopy({key: dict(value) if key == "function" else value for key, value in given.items()})
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: this tool dict is no JSON ({error}).") from None
    parameters = spec["function"].get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict):
        raise ValueError(f"{name}: its parameters must be a JSON schema, a dict.")
    schema = JsonSchema(parameters, name)
    handler = handlers.pop(name, None)
    if handler is None:
        return _assembled(name, spec, Mark(), None, _Dict(schema, None))
    _checked_handler(handler, name)
    signature = signature_of(handler, f"the handler of {name}", handler=True)
    checked_names(signature, parameters, name)
    return _assembled(name, spec, mark_of(handler), handler, _Dict(schema, signature))


def checked_names(signature: Signature, parameters: dict[str, Any], name: str) -> None:
    """Whether a handler fits a schema's names, as far as the schema's first level tells."""
    properties = parameters.get("properties", {})
    taken = [one.name for one in signature.parameters]
    if signature.others is None and (left := [one for one in properties if one not in taken]):
        raise ValueError(f"The handler of {name} has no parameter {', '.join(left)}, which the schema has.")
    closed = not parameters.keys() & {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"}
    never = [one.name for one in signature.parameters if one.required and one.name not in properties]
    if never and closed and not parameters.get("additionalProperties"):
        raise ValueError(f"The handler of {name} needs {', '.join(never)}, which the schema does not have.")
