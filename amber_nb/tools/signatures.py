"""A callable → the schema of its parameters, and JSON arguments → a call of it with the values that it hints at."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import _ParameterKind
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .arguments import ArgumentsError, describe_unknown, ensure_json, format_path, validate_value
from .docs import parse_docstring
from .hints import adapter_of, resolved
from .schema import SchemaGenerator, simplify_schema

__all__ = ["Call", "Signature", "innermost", "signature_of"]

Call = Callable[[], Any]
_BY_PLACE = (_ParameterKind.POSITIONAL_ONLY, _ParameterKind.POSITIONAL_OR_KEYWORD)
_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a call can fill."""

    name: str
    kind: _ParameterKind
    adapter: TypeAdapter[Any]
    required: bool
    default: Callable[[], Any]
    explicit: bool  # the default is pydantic's `Field(…)`, which Python itself would hand over as it is
    description: str | None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes."""

    function: Callable[..., Any]
    name: str
    description: str
    parameters: tuple[Parameter, ...]
    others: TypeAdapter[Any] | None  # of **kwargs
    taken: frozenset[str]  # names that **kwargs does not take: they are filled already

    def schema(self) -> dict[str, Any]:
        """The parameters as a JSON schema."""
        adapters: list[tuple[str, Literal["validation"], TypeAdapter[Any]]] = [
            (one.name, "validation", one.adapter) for one in self.parameters
        ]
        if self.others is not None:
            adapters.append(("**", "validation", self.others))
        found, shared = TypeAdapter.json_schemas(adapters, schema_generator=SchemaGenerator)
        properties = {}
        for one in self.parameters:
            properties[one.name] = {
                key: value for key, value in found[one.name, "validation"].items() if key != "default"
            }
            if one.description:
                properties[one.name]["description"] = one.description
            if not one.required and one.default() is None:
                properties[one.name]["default"] = None  # of which `simplify_schema` makes the right thing
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if required := [one.name for one in self.parameters if one.required]:
            schema["required"] = required
        if self.others is not None:
            schema["additionalProperties"] = found["**", "validation"] or True
        return simplify_schema({**schema, **shared})

    def checked(self, arguments: Mapping[str, Any], *, strict: bool = False) -> tuple[dict[str, Any], Call]:
        """The arguments as JSON, those that were given, and the call of the function with typed values.

        Args:
            arguments: JSON values by name.
            strict: null stands for what is left out, as OpenAI's strict form has no other way to.

        Raises:
            ArgumentsError: they do not fit; every wrong one is named.
        """
        given = ensure_json(arguments)
        known = {one.name: one for one in self.parameters}
        wrong: list[str] = []
        values: dict[str, Any] = {}
        ready: dict[str, Any] = {}
        for name, value in given.items():
            adapter = known[name].adapter if name in known else self.others
            if adapter is None or name in self.taken:
                wrong.append(
                    f"{format_path((name,))}: " + describe_unknown(name, [one for one in known if one not in given])
                )
                continue
            if strict and value is None and name in known and not known[name].required:
                continue
            try:
                ready[name], values[name] = validate_value(adapter, value, (name,), null_is_default=strict)
            except ArgumentsError as error:
                wrong.append(str(error))
        wrong += [f"{one.name}: is missing" for one in self.parameters if one.required and one.name not in given]
        if wrong:
            raise ArgumentsError("; ".join(wrong[:10]))
        return ready, self._call(values)

    def _call(self, values: dict[str, Any]) -> Call:
        several = next((one for one in self.parameters if one.kind is _ParameterKind.VAR_POSITIONAL), None)
        all_by_place = several is not None and bool(values.get(several.name))
        positional: list[Any] = []
        skipped: list[Any] = []  # defaults, which are handed over only where something comes after them
        named: dict[str, Any] = {}
        for one in self.parameters:
            value = values.pop(one.name, _MISSING)
            if one.kind is _ParameterKind.VAR_POSITIONAL:
                if all_by_place:
                    positional += [*skipped, *value]
                    skipped = []
                continue
            if value is _MISSING and one.explicit:
                value = one.default()
            by_place = one.kind is _ParameterKind.POSITIONAL_ONLY or (all_by_place and one.kind in _BY_PLACE)
            if by_place and value is _MISSING:
                skipped.append(one.default())
            elif by_place:
                positional += [*skipped, value]
                skipped = []
            elif value is not _MISSING:
                named[one.name] = value
        return functools.partial(self.function, *positional, **named, **values)


def signature_of(function: Callable[..., Any], name: str, *, handler: bool = False) -> Signature:
    """What a callable takes; hints may be texts, and pydantic's `Field` may stand for a default.

    `*args` and `**kwargs` are offered where they carry a hint; without one they stay empty.

    Args:
        function: anything that can be called.
        name: what to call it.
        handler: its schema is given elsewhere: `**kwargs` takes what else the schema has, hint or not.

    Raises:
        TypeError: a hint cannot be found, or no JSON can become such a value.
        ValueError: it tells no signature, or one that cannot be called with names.
    """
    inner = innermost(function)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise ValueError(f"{name} tells no signature (it is written in C): wrap it in a function with hints.") from None
    offered = [one for one in signature.parameters.values() if one.name not in _bound(function)]
    if offered and offered[0].name in ("self", "cls") and offered[0].annotation is inspect.Parameter.empty:
        raise ValueError(f"{name} is a method without its object: give object.{name}, not Class.{name}.")
    open_ones = [one for one in offered if _is_open(one) and one.annotation is inspect.Parameter.empty]
    if len(open_ones) == len(offered) == 2 and not handler:
        raise ValueError(
            f"{name} takes (*args, **kwargs) and nothing else, as a decorator without functools.wraps does: the model "
            "could not know what to send. Add functools.wraps, or write the parameters out."
        )
    summary, texts = parse_docstring(_docstring(function, inner))
    parameters = []
    others = None
    for one in offered:
        if one in open_ones and not (handler and one.kind is _ParameterKind.VAR_KEYWORD):
            continue
        parameter = _parameter(one, inner, name, texts)
        if one.kind is _ParameterKind.VAR_KEYWORD:
            others = parameter.adapter
        else:
            parameters.append(parameter)
    taken = (_names(inner) | _bound(function)) - {one.name for one in parameters}
    return Signature(function, name, summary, tuple(parameters), others, frozenset(taken))


def _is_open(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (_ParameterKind.VAR_POSITIONAL, _ParameterKind.VAR_KEYWORD)


def _parameter(parameter: inspect.Parameter, inner: Any, name: str, texts: dict[str, str]) -> Parameter:
    what = f"{name}({parameter.name})"
    hint: Any = Any
    if parameter.annotation is not inspect.Parameter.empty:
        hint = resolved(parameter.annotation, _globals(inner), _local(inner), what)
    if parameter.kind is _ParameterKind.VAR_POSITIONAL:
        hint = list[hint]
    field = parameter.default if isinstance(parameter.default, FieldInfo) else None
    if field is not None:
        hint = Annotated[hint, field]
    description, written = _annotated(hint)
    default = parameter.default
    field = field or written
    explicit = field is not None and (field is parameter.default or default is inspect.Parameter.empty)
    if explicit and field is not None:
        default = inspect.Parameter.empty if field.is_required() else field.default
        give = functools.partial(field.get_default, call_default_factory=True)
        if field.default_factory is not None:
            default = PydanticUndefined  # not known before the call
    else:
        give = functools.partial(_as_it_is, default)
    return Parameter(
        name=parameter.name,
        kind=parameter.kind,
        adapter=adapter_of(hint, what),
        required=default is inspect.Parameter.empty and not _is_open(parameter),
        default=give,
        explicit=explicit and default is not inspect.Parameter.empty,
        description=description or texts.get(parameter.name),
    )


def _as_it_is(value: Any) -> Any:
    return value


def _annotated(hint: Any) -> tuple[str | None, FieldInfo | None]:
    """The description in `Annotated[…]`, and the `Field` that has a default, if one has."""
    description = None
    field = None
    if get_origin(hint) is Annotated:
        for one in get_args(hint)[1:]:
            if isinstance(one, FieldInfo) and not one.is_required():
                field = one
            said = one if isinstance(one, str) else getattr(one, "description", getattr(one, "documentation", None))
            description = said if isinstance(said, str) else description
    return description, field


def innermost(function: Any) -> Any:
    """The function within partials, bound, static and class methods."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, (staticmethod, classmethod)) or inspect.ismethod(function):
            function = function.__func__
        else:
            return function


def _bound(function: Any) -> set[str]:
    """Arguments that a partial fills already: they are not the model's business."""
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names |= set(function.keywords)
        function = function.func
    return names


def _names(inner: Any) -> set[str]:
    """All that the function itself has a name for, `self` included."""
    try:
        parameters = inspect.signature(_code(inner)).parameters.values()
    except (ValueError, TypeError):  # it is written in C
        return set()
    return {one.name for one in parameters if one.kind is not _ParameterKind.POSITIONAL_ONLY and not _is_open(one)}


def _docstring(function: Any, inner: Any) -> str | None:
    if isinstance(inner, type):
        # A dataclass writes its own signature there when nobody else says anything.
        own = inner.__doc__ or ""
        return None if own.startswith(f"{inner.__name__}(") else own
    if inspect.isroutine(inner):
        return inspect.getdoc(inner)
    return inspect.getdoc(type(inner).__call__) or type(inner).__doc__


def _code(inner: Any) -> Any:
    """The function whose globals the annotations are written in."""
    if isinstance(inner, type):
        start = inspect.getattr_static(inner, "__init__")
        return start if inspect.isfunction(start) else inner.__new__
    return inspect.unwrap(inner if inspect.isroutine(inner) else type(inner).__call__)


def _globals(inner: Any) -> Mapping[str, Any]:
    found = getattr(_code(inner), "__globals__", None)
    if isinstance(inner, type):
        found = {**(found or {}), **vars(sys.modules.get(inner.__module__, sys))}
    return found or {}


def _local(inner: Any) -> Mapping[str, Any]:
    """What a function sees besides its globals: its own type parameters, and variables around it that it uses."""
    code = _code(inner)
    names = {one.__name__: one for one in getattr(code, "__type_params__", ())}
    free = getattr(getattr(code, "__code__", None), "co_freevars", ())
    cells = zip(free, getattr(code, "__closure__", None) or (), strict=False)
    for name, cell in cells:
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return names
