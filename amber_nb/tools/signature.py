"""The signature of a function: the schema of its parameters, and a call of it with checked arguments."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import _ParameterKind
from typing import Annotated, Any, get_args, get_origin

from griffe import Docstring, DocstringSectionAdmonition, Parser, parse
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from .arguments import ArgumentsError, describe_unknown, format_path, validate_value
from .schema import SchemaGenerator, build_adapter, resolve_annotation, simplify_schema

__all__ = ["Call", "Signature", "innermost_function", "parse_docstring", "read_signature"]

Call = Callable[[], Any]
_POSITIONAL = (_ParameterKind.POSITIONAL_ONLY, _ParameterKind.POSITIONAL_OR_KEYWORD)
_MISSING: Any = object()
_EMPTY = inspect.Parameter.empty
_SPHINX = re.compile(
    r"^[ ]*:(param|parameter|arg|argument|key|keyword|returns?|rtype|raises?|type)\b[^:\n]*:(?!`)", re.MULTILINE
)
_NUMPY = re.compile(r"^\w[\w ]*\n-{3,}[ ]*$", re.MULTILINE)
# The library wants a blank line above a heading and none below.
_GOOGLE_HEADING = re.compile(r"\n+(Args|Arguments|Parameters|Params|Returns|Yields|Raises):[ ]*\n+(?=[ ])")
_GOOGLE_WARNINGS = re.compile(r"^Warnings:[ ]*$", re.MULTILINE)  # those that a function emits, to the library
_LIST_ITEM = re.compile(r"\s*([-*•]|\d+[.)])\s|\s*$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that the model may fill."""

    name: str
    kind: _ParameterKind
    adapter: TypeAdapter[Any]
    is_required: bool
    get_default: Callable[[], Any]
    default: Any  # as it is written; _MISSING: there is none, or a function makes it
    is_field: bool  # the default stands in pydantic's `Field(…)`, which Python itself would hand over as it is
    description: str | None


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a function, and its description."""

    function: Callable[..., Any]
    description: str
    parameters: tuple[Parameter, ...]
    extra: TypeAdapter[Any] | None  # of the values of **kwargs; None: no other names are taken
    reserved: frozenset[str]  # names that **kwargs does not take: they are filled already

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the parameters."""
        adapters = {parameter.name: parameter.adapter for parameter in self.parameters}
        if self.extra is not None:
            adapters["**"] = self.extra
        schemas, shared = TypeAdapter.json_schemas(
            [(name, "validation", adapter) for name, adapter in adapters.items()], schema_generator=SchemaGenerator
        )
        properties = {}
        for parameter in self.parameters:
            inner = dict(schemas[parameter.name, "validation"])
            inner.pop("default", None)
            if parameter.description:
                inner["description"] = parameter.description
            if not parameter.is_required and parameter.get_default() is None:
                inner["default"] = None  # for `simplify_schema`, which then removes null
            properties[parameter.name] = inner
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if required := self._required():
            schema["required"] = required
        if self.extra is not None:
            schema["additionalProperties"] = schemas["**", "validation"] or True
        return simplify_schema({**schema, **shared})

    def defaults(self) -> dict[str, Any]:
        """Return the defaults that are written down and can be told in JSON, by name."""
        found: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.default is _MISSING:
                continue
            with contextlib.suppress(Exception):  # of a value or a serializer of the user's; then it is not told
                value = parameter.adapter.dump_python(parameter.default, mode="json", warnings=False)
                json.dumps(value, allow_nan=False)
                found[parameter.name] = value
        return found

    def _required(self) -> list[str]:
        return [parameter.name for parameter in self.parameters if parameter.is_required]

    def bind(self, arguments: dict[str, Any], *, strict: bool) -> tuple[dict[str, Any], Call]:
        """Check arguments, and bind the function to their typed values.

        Args:
            arguments: JSON values by name, which may be changed.
            strict: null means that an argument is left out, for which OpenAI's strict form has no other way.

        Returns:
            The JSON values that are handed over, and the call.

        Raises:
            ArgumentsError: they do not fit; each wrong argument is named.
        """
        by_name = {parameter.name: parameter for parameter in self.parameters}
        mistakes: list[str] = []
        checked: dict[str, Any] = {}
        typed: dict[str, Any] = {}
        for name, value in arguments.items():
            adapter = by_name[name].adapter if name in by_name else self.extra
            if adapter is None or name in self.reserved:
                unfilled = [other for other in by_name if other not in arguments]
                mistakes.append(f"{format_path((name,))}: {describe_unknown(name, unfilled)}")
                continue
            if strict and value is None and name in by_name and not by_name[name].is_required:
                continue
            try:
                checked[name], typed[name] = validate_value(adapter, value, (name,), null_is_default=strict)
            except ArgumentsError as error:
                mistakes.append(str(error))
        mistakes += [f"{name}: is missing" for name in self._required() if name not in arguments]
        if mistakes:
            raise ArgumentsError("; ".join(mistakes[:10]))
        return checked, self._partial(typed)

    def _partial(self, values: dict[str, Any]) -> Call:
        """Return the function with values for its parameters, by position where they cannot be named."""
        has_varargs = any(
            values.get(parameter.name) and parameter.kind is _ParameterKind.VAR_POSITIONAL
            for parameter in self.parameters
        )
        positional: list[Any] = []
        n_positional = 0  # without the defaults at the end, which the function has itself
        named: dict[str, Any] = {}
        for parameter in self.parameters:
            value = values.pop(parameter.name, _MISSING)
            if value is _MISSING and parameter.is_field:
                value = parameter.get_default()
            if parameter.kind is _ParameterKind.VAR_POSITIONAL:
                positional += value if has_varargs else ()
            elif parameter.kind is _ParameterKind.POSITIONAL_ONLY or (has_varargs and parameter.kind in _POSITIONAL):
                positional.append(parameter.get_default() if value is _MISSING else value)
            else:
                named |= {} if value is _MISSING else {parameter.name: value}
                continue
            if value is not _MISSING:
                n_positional = len(positional)
        return functools.partial(self.function, *positional[:n_positional], **named, **values)


def read_signature(function: Callable[..., Any], name: str, *, is_handler: bool = False) -> Signature:
    """Read the parameters of a callable; hints may be texts, and pydantic's `Field` may stand for a default.

    `*args` and `**kwargs` are offered if they carry a hint; without one they stay empty.

    Args:
        function: the callable.
        name: of the function, for errors.
        is_handler: its schema is given elsewhere: `**kwargs` takes what else the schema has, with a hint or without.

    Raises:
        TypeError: a hint cannot be found, or no JSON value can become such a value.
        ValueError: the callable has no signature, or one that cannot be called with names.
    """
    inner = innermost_function(function)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        raise ValueError(f"{name} tells no signature (it is written in C): wrap it in a function with hints.") from None
    bound: set[str] = set()  # arguments that partials fill already: they are not the model's business
    part = function
    while isinstance(part, functools.partial):
        bound |= set(part.keywords)
        part = part.func
    offered = [parameter for parameter in signature.parameters.values() if parameter.name not in bound]
    if offered and offered[0].name in ("self", "cls") and offered[0].annotation is _EMPTY:
        raise ValueError(f"{name} is a method without its object: give object.{name}, not Class.{name}.")
    untyped = [parameter for parameter in offered if _is_variadic(parameter) and parameter.annotation is _EMPTY]
    if len(untyped) == len(offered) == 2 and not is_handler:
        raise ValueError(
            f"{name} takes (*args, **kwargs) and nothing else, as a decorator without functools.wraps does: the model "
            "could not know what to send. Add functools.wraps, or write the parameters out."
        )
    description, descriptions = parse_docstring(_docstring(inner))
    parameters = []
    extra = None
    for raw in offered:
        if raw in untyped and not (is_handler and raw.kind is _ParameterKind.VAR_KEYWORD):
            continue
        parameter = _read_parameter(raw, inner, name, descriptions)
        if raw.kind is _ParameterKind.VAR_KEYWORD:
            extra = parameter.adapter
        else:
            parameters.append(parameter)
    reserved = (_keyword_names(inner) | bound) - {parameter.name for parameter in parameters}
    return Signature(function, description, tuple(parameters), extra, frozenset(reserved))


def _is_variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (_ParameterKind.VAR_POSITIONAL, _ParameterKind.VAR_KEYWORD)


def _read_parameter(raw: inspect.Parameter, inner: Any, name: str, descriptions: dict[str, str]) -> Parameter:
    where = f"{name}({raw.name})"
    hint: Any = Any
    if raw.annotation is not _EMPTY:
        hint = resolve_annotation(raw.annotation, _global_names(inner), _local_names(inner), where)
    if raw.kind is _ParameterKind.VAR_POSITIONAL:
        hint = list[hint]
    if isinstance(raw.default, FieldInfo):
        hint = Annotated[hint, raw.default]
    description, annotated_field = _read_annotated(hint)
    field = raw.default if isinstance(raw.default, FieldInfo) else annotated_field if raw.default is _EMPTY else None
    is_required = raw.default is _EMPTY if field is None else field.is_required()
    return Parameter(
        name=raw.name,
        kind=raw.kind,
        adapter=build_adapter(hint, where),
        is_required=is_required and not _is_variadic(raw),
        default=_written_default(raw, field),
        get_default=lambda: raw.default if field is None else field.get_default(call_default_factory=True),
        is_field=field is not None and not is_required,
        description=description or descriptions.get(raw.name),
    )


def _written_default(raw: inspect.Parameter, field: FieldInfo | None) -> Any:
    if field is None:
        return _MISSING if raw.default is _EMPTY else raw.default
    return _MISSING if field.is_required() or field.default_factory is not None else field.default


def _read_annotated(hint: Any) -> tuple[str | None, FieldInfo | None]:
    """Return the description in `Annotated[…]`, and the `Field` that has a default; None for what is not there."""
    description = None
    field = None
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, FieldInfo) and not extra.is_required():
                field = extra
            description_of = getattr(extra, "description", getattr(extra, "documentation", None))
            text = extra if isinstance(extra, str) else description_of
            description = text if isinstance(text, str) else description
    return description, field


# --- what stands within a callable


def innermost_function(function: Any) -> Any:
    """Return the function within partials, bound, static and class methods."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, (staticmethod, classmethod)) or inspect.ismethod(function):
            function = function.__func__
        else:
            return function


def _keyword_names(inner: Any) -> set[str]:
    """Return the names that the function itself takes by keyword, `self` included."""
    try:
        parameters = inspect.signature(_code_function(inner)).parameters.values()
    except (ValueError, TypeError):  # it is written in C
        return set()
    return {
        parameter.name
        for parameter in parameters
        if parameter.kind is not _ParameterKind.POSITIONAL_ONLY and not _is_variadic(parameter)
    }


def _docstring(inner: Any) -> str | None:
    if isinstance(inner, type):
        # A dataclass without a docstring gets its signature as one.
        docstring = inner.__doc__ or ""
        return None if docstring.startswith(f"{inner.__name__}(") else docstring
    if inspect.isroutine(inner):
        return inspect.getdoc(inner)
    return inspect.getdoc(type(inner).__call__) or type(inner).__doc__


def _code_function(inner: Any) -> Any:
    """Return the function whose module the annotations are written in."""
    if isinstance(inner, type):
        init = inspect.getattr_static(inner, "__init__")
        return init if inspect.isfunction(init) else inner.__new__
    return inspect.unwrap(inner if inspect.isroutine(inner) else type(inner).__call__)


def _global_names(inner: Any) -> Mapping[str, Any]:
    names = getattr(_code_function(inner), "__globals__", None) or {}
    return {**names, **vars(sys.modules.get(inner.__module__, sys))} if isinstance(inner, type) else names


def _local_names(inner: Any) -> Mapping[str, Any]:
    """Return what a function sees besides its globals: its type parameters, and variables around it that it uses."""
    function = _code_function(inner)
    names = {parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())}
    free = getattr(getattr(function, "__code__", None), "co_freevars", ())
    for name, cell in zip(free, getattr(function, "__closure__", None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return names


# --- docstrings


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Split a docstring, in the style of Google, NumPy or Sphinx or in none.

    Returns:
        The text and the notes outside the other sections; each parameter's description by its name.
    """
    text = inspect.cleandoc(docstring or "")
    style = Parser.sphinx if _SPHINX.search(text) else Parser.numpy if _NUMPY.search(text) else Parser.google
    if style is Parser.google:
        text = _GOOGLE_WARNINGS.sub("Warning:", _GOOGLE_HEADING.sub(r"\n\n\1:\n", text))
    try:
        sections = parse(Docstring(text), style, warnings=False)
    except Exception:  # whatever a malformed section makes the library raise
        return text, {}
    parts: list[str] = []
    parameters: dict[str, str] = {}
    for section in sections:
        if isinstance(section, DocstringSectionAdmonition):
            parts.append(_render_note(section, style))
        elif section.kind.value == "text":
            parts.append(section.value.strip())
        elif section.kind.value in ("parameters", "other parameters", "attributes"):
            for item in section.value:
                parameters.setdefault(item.name.strip(" *"), _join_lines(item.description or ""))
    return "\n\n".join(filter(None, parts)), {name: text for name, text in parameters.items() if text}


def _render_note(section: DocstringSectionAdmonition, style: Parser) -> str:
    kind, title, contents = str(section.value.kind), str(section.title), section.value.contents.strip()
    if style is Parser.numpy:
        return f"{title}\n{'-' * len(title)}\n{contents}" if kind in ("note", "warning") else ""
    if kind == "example":
        return ""
    is_untitled = title.lower().replace(" ", "-") == kind
    heading = f"{title}:" if is_untitled else f"{kind.replace('-', ' ').capitalize()}: {title}"
    return f"{heading}\n{textwrap.indent(contents, '    ')}"


def _join_lines(text: str) -> str:
    """Join wrapped lines; paragraphs and items of a list stay apart."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        if lines and lines[-1] and not _LIST_ITEM.match(line):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return "\n".join(lines).strip()
