"""Add up the tool calls of a streamed reply, in the forms in which gateways send them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CallAccumulator", "split_objects"]

CallDelta = tuple[int, str, str]  # the call's place, its name so far, and what its arguments have grown by

_MAX_OBJECTS = 50  # in the arguments of one call; more are no calls, but a mistake
_SPACE = re.compile(r"\s*")
_MARK = re.compile(r'["\\{}\[\]]')
_NOTHING = ("", "null", "{}")
_OWN = ("index", "id", "type", "function", "custom", "name", "arguments", "input")


class CallAccumulator:
    """The tool calls of one choice.

    Calls are told apart by their index, or by their ids where several share an index or have none; a delta that names a
    function after whole arguments begins another call, unless it is the same call once more; and two objects in the
    arguments of one call are two calls.

    Args:
        tool_names: of the functions that the model may call.
    """

    def __init__(self, tool_names: Collection[str]) -> None:
        self._tool_names = tool_names
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, int] = {}
        self._older: _Call | None = None  # a call in the form from before there were tool calls

    def add(self, raw: dict[str, Any] | None) -> list[CallDelta]:
        """Add a piece of a call."""
        if raw is None:
            return []
        function = raw.get("function") or raw.get("custom") or {}
        name, arguments = _text(function, "name"), _arguments(function)
        call = self._find(raw, name, arguments)
        added = call.add(raw, function, name, arguments)
        return [(call.place, call.name, added)]

    def add_function_call(self, raw: dict[str, Any]) -> list[CallDelta]:
        """Add a piece of a call in the older form; where both forms come, they are the same call."""
        if self._older is None:
            self._older = _Call(0)
        name, arguments = _text(raw, "name"), _arguments(raw)
        added = self._older.add({}, raw, name, arguments)
        return [] if self._calls else [(0, self._older.name, added)]

    def function_call(self) -> dict[str, Any] | None:
        """Return the call in the older form, or None."""
        if self._older is None or self._older.is_empty:
            return None
        (call, *_) = self._older.build()
        function: dict[str, Any] = call["function"]
        return function

    def build(self) -> list[dict[str, Any]]:
        """Return the calls in the order in which they began."""
        return [each for call in self._calls if not call.is_empty for each in call.build()]

    def _find(self, raw: dict[str, Any], name: str, arguments: str) -> _Call:
        """Return the call that this piece belongs to, made where it begins another one."""
        index, id = raw.get("index"), _text(raw, "id")
        if index is None:  # some gateways leave it out: a new id begins a new call, no id goes on with the last one
            known = self._by_id.get(id) if id else max(len(self._calls) - 1, 0)
            index = known if known is not None else len(self._calls)
        call = self._by_index.get(index)
        if call is None or self._begins_another(call, raw, id, name, arguments):
            call = self._by_index[index] = _Call(len(self._calls))
            self._calls.append(call)
        if id:
            self._by_id.setdefault(id, index)
        return call

    def _begins_another(self, call: _Call, raw: dict[str, Any], id: str, name: str, arguments: str) -> bool:
        if not name:
            return False  # an id that is another one in each piece, as some servers make it, begins nothing
        if id and call.id and id != call.id:
            return name != call.name or call.scanner.is_whole or not call.pieces
        before = call.name
        if name != before and before in self._tool_names and not name.startswith(before):
            return True
        if not call.pieces:
            in_pieces = before + name in self._tool_names or not ("id" in raw or arguments)
            return bool(before) and name != before and not name.startswith(before) and not in_pieces
        # Some repeat the name in each piece: only what begins with an object may be another call.
        if not call.scanner.is_whole or not (name != before or arguments.lstrip().startswith("{")):
            return False
        return call.arguments.strip() not in _NOTHING and call.rest_of(arguments) is None


@dataclass(eq=False, slots=True)
class _Call:
    place: int
    id: str = ""
    type: str = "function"
    name: str = ""
    pieces: list[str] = field(default_factory=list)  # joined at the end: adding to a string each time is quadratic
    fields: dict[str, Any] = field(default_factory=dict)
    function_fields: dict[str, Any] = field(default_factory=dict)
    scanner: _ObjectScanner = field(default_factory=lambda: _ObjectScanner())

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of a call: some gateways send its fields, and nothing in them."""
        return not (self.name or self.pieces or self.fields)

    def add(self, raw: dict[str, Any], function: dict[str, Any], name: str, arguments: str) -> str:
        """Add a piece, and return what the arguments have grown by."""
        if name and name != self.name:
            self.name = name if name.startswith(self.name) else self.name + name
        self.id = _text(raw, "id") or self.id
        self.type = _text(raw, "type") or self.type
        for values, into in ((raw, self.fields), (function, self.function_fields)):
            for key, value in values.items():
                if key not in _OWN:
                    _keep(into, key, value)
        if self.pieces and arguments.lstrip().startswith("{"):
            if len(self.pieces) == 1 and self.pieces[0].strip() in _NOTHING:  # {} or null before the real ones
                self.pieces, self.scanner = [], _ObjectScanner()
            elif name and self.scanner.is_whole and (rest := self.rest_of(arguments)) is not None:
                arguments = rest
        if arguments:
            self.pieces.append(arguments)
            self.scanner.feed(arguments)
        return arguments

    def rest_of(self, arguments: str) -> str | None:
        """Return what arguments that came whole once more add; None where they are others."""
        known = self.arguments
        return arguments[len(known) :] if arguments.startswith(known) else None

    def build(self) -> list[dict[str, Any]]:
        objects = split_objects(self.arguments) if self.scanner.objects > 1 else [self.arguments]
        calls = []
        for number, arguments in enumerate(objects):
            function = {"name": self.name, "arguments": arguments, **self.function_fields}
            # Two calls may not have one id.
            calls.append({"id": "" if number else self.id, "type": self.type, "function": function, **self.fields})
        return calls


class _ObjectScanner:
    """Tell whether JSON that comes in pieces is whole, reading each character once."""

    def __init__(self) -> None:
        self.objects = 0  # that have ended, side by side
        self._depth = 0
        self._in_text = False
        self._escaped = False

    @property
    def is_whole(self) -> bool:
        return self.objects > 0 and self._depth == 0

    def feed(self, text: str) -> None:
        at = 0
        if self._escaped and text:
            self._escaped, at = False, 1
        while mark := _MARK.search(text, at):
            sign, at = mark[0], mark.end()
            if sign == "\\" and self._in_text:
                self._escaped = at == len(text)
                at += 1
            elif sign == '"':
                self._in_text = not self._in_text
            elif not self._in_text and sign in "{[":
                self._depth += 1
            elif not self._in_text and sign in "}]":
                self._depth -= 1
                self.objects += self._depth == 0


def split_objects(arguments: str) -> list[str]:
    """Return the JSON objects that stand one behind the other; what is something else, as it is.

    Example:
        >>> split_objects('{"x":1}{"x":2}'), split_objects('{}{"x":1}'), split_objects('{"x":')
        (['{"x":1}', '{"x":2}'], ['{"x":1}'], ['{"x":'])
    """
    objects: list[str] = []
    at, decoder = 0, json.JSONDecoder()
    try:
        while (start := _end_of_space(arguments, at)) < len(arguments):
            value, at = decoder.raw_decode(arguments, start)
            if not isinstance(value, dict) or len(objects) == _MAX_OBJECTS:
                return [arguments]
            objects.append(arguments[start:at])
    except (ValueError, RecursionError):
        return [arguments]
    if len(objects) < 2:
        return [arguments]
    filled = [each for each in objects if each.strip("{} \t\r\n")]  # {} before the real ones
    return filled or objects[:1]


def _end_of_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _arguments(function: dict[str, Any]) -> str:
    value = function.get("arguments", function.get("input"))
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    if value is not None and not isinstance(value, str):
        raise TypeError("arguments")
    return value or ""


def _keep(into: dict[str, Any], key: str, value: Any) -> None:
    if isinstance(value, dict) and isinstance(into.get(key), dict):
        into[key] = {**into[key], **value}
    elif value is not None:
        into[key] = value


def _text(part: dict[str, Any], name: str) -> str:
    value = part.get(name)
    if isinstance(value, int) and not isinstance(value, bool):  # an id that is a number
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise TypeError(name)
    return value or ""
