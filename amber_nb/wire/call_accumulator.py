"""Add up the tool calls of a streamed reply, in the forms in which gateways send them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

__all__ = ["CallAccumulator", "split_objects"]

CallDelta = tuple[int, str, str]  # the call's place, its name so far, and what its arguments have grown by


class CallAccumulator:
    """The tool calls of one choice.

    Calls are told apart by their index, or by their ids where several share an index or have none; a delta that names a
    function after whole arguments begins another call, and two objects in the arguments of one call are two calls.

    Args:
        tool_names: of the functions that the model may call.

    Attributes:
        function_call: the call in the form from before there were tool calls, or None.
    """

    def __init__(self, tool_names: Collection[str]) -> None:
        self.function_call: dict[str, Any] | None = None
        self._tool_names = tool_names
        self._calls: list[dict[str, Any]] = []  # the arguments in pieces
        self._by_index: dict[int, dict[str, Any]] = {}

    def add(self, raw: dict[str, Any] | None) -> list[CallDelta]:
        """Add a piece of a call."""
        if raw is None:
            return []
        function = raw.get("function") or raw.get("custom") or {}
        name = _text(function, "name") or ""
        arguments = function.get("arguments", function.get("input"))
        if isinstance(arguments, (dict, list)):
            arguments = json.dumps(arguments, ensure_ascii=False)
        elif arguments is not None and not isinstance(arguments, str):
            raise TypeError("arguments")
        call = self._find(raw, name, arguments or "")
        known = call["function"]
        if name and name != known["name"]:
            known["name"] = name if name.startswith(known["name"]) else known["name"] + name
        call["id"] = _text(raw, "id") or call["id"]
        call["type"] = _text(raw, "type") or call["type"]
        if arguments:
            known["arguments"].append(arguments)
        for fields, into in ((raw, call), (function, known)):
            for field, value in fields.items():
                if field not in ("index", "id", "type", "function", "custom", "name", "arguments", "input"):
                    _keep(into, field, value)
        place = next(place for place in reversed(range(len(self._calls))) if self._calls[place] is call)
        return [(place, known["name"], arguments or "")]

    def add_function_call(self, raw: dict[str, Any]) -> list[CallDelta]:
        """Add a piece of a call in the older form."""
        added = self.add({"index": 0, "function": raw})
        call = self._calls[0]["function"]
        self.function_call = {**call, "arguments": "".join(call["arguments"])}
        return added

    def _find(self, raw: dict[str, Any], name: str, arguments: str) -> dict[str, Any]:
        """Return the call that this piece belongs to, made where it begins another one."""
        index, id = raw.get("index"), _text(raw, "id") or ""
        if index is None:  # some gateways leave it out: a new id begins a new call, no id goes on with the last one
            known = next((i for i, call in self._by_index.items() if id and call["id"] == id), None)
            index = known if known is not None else len(self._calls) if id else max(len(self._calls) - 1, 0)
        call = self._by_index.get(index)
        if call is None or self._begins_another(call, raw, id, name, arguments):
            call = {"id": "", "type": "function", "function": {"name": "", "arguments": []}}
            self._by_index[index] = call
            self._calls.append(call)
        return call

    def _begins_another(self, call: dict[str, Any], raw: dict[str, Any], id: str, name: str, arguments: str) -> bool:
        if not name:
            return False  # an id that is another one in each piece, as some servers make it, begins nothing
        if id and call["id"] and id != call["id"]:
            return True
        before = call["function"]["name"]
        pieces = call["function"]["arguments"]
        if name != before and before in self._tool_names and not name.startswith(before):
            return True
        if name != before and not pieces and (before + name in self._tool_names or not ("id" in raw or arguments)):
            return False  # a name in pieces
        if not pieces:
            return bool(before) and name != before and not name.startswith(before)
        # Some repeat the name in each piece: only what begins with an object may be another call.
        if name == before and not arguments.lstrip().startswith("{"):
            return False
        if not _is_whole("".join(pieces)):
            return False
        # The same call once more, as some gateways end with all calls whole.
        return not (id and id == call["id"] and name == before and "".join(pieces) == arguments)

    def build(self) -> list[dict[str, Any]]:
        """Return the calls in the order in which they began."""
        calls = []
        for call in self._calls:
            function = call["function"]
            for number, arguments in enumerate(split_objects("".join(function["arguments"]))):
                # Two calls may not have one id.
                id = call["id"] if not number else ""
                calls.append({**call, "id": id, "function": {**function, "arguments": arguments}})
        return calls


def split_objects(arguments: str) -> list[str]:
    """Return the JSON objects that stand one behind the other; what is something else, as it is.

    Example:
        >>> split_objects('{"x":1}{"x":2}'), split_objects('{}{"x":1}'), split_objects('{"x":')
        (['{"x":1}', '{"x":2}'], ['{"x":1}'], ['{"x":'])
    """
    objects: list[str] = []
    at, decoder = 0, json.JSONDecoder()
    try:
        while rest := arguments[at:].lstrip():
            start = len(arguments) - len(rest)
            value, end = decoder.raw_decode(arguments, start)
            if not isinstance(value, dict):
                return [arguments]
            objects.append(arguments[start:end])
            at = end
    except (ValueError, RecursionError):
        return [arguments]
    if len(objects) < 2:
        return [arguments]
    filled = [each for each in objects if each.strip("{} \t\r\n")]  # {} before the real ones
    return filled or objects[:1]


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


def _keep(into: dict[str, Any], field: str, value: Any) -> None:
    if isinstance(value, dict) and isinstance(into.get(field), dict):
        into[field] = {**into[field], **value}
    elif value is not None or field not in into:
        into[field] = value


def _text(part: dict[str, Any], name: str) -> str | None:
    value = part.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(name)
    return value
