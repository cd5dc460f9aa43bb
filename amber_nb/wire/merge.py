"""Merge the values of fields that come in pieces, or again and again, with the events of a stream."""

from __future__ import annotations

from typing import Any

__all__ = ["merge", "set_first"]

_LABELS = ("id", "type", "role", "name", "index", "object", "model", "status", "format", "created", "mime_type", "url")
_PIECES = ("data", "transcript", "text", "thinking", "summary", "partial_json")  # texts that never come twice
_EMPTY: tuple[Any, ...] = (None, "", 0, [], {})


def merge(into: dict[str, Any], field: str, value: Any) -> None:
    """Merge one more value of a field that may come in pieces, or again and again.

    Texts go on, labels are replaced, dicts are merged, lists whose items have an index are merged by it, other lists
    are extended; a text or a list that begins with all that came before takes its place.
    """
    known = into.get(field)
    if field in _PIECES and isinstance(value, str) and isinstance(known, str):
        into[field] = known + value  # also where a piece is the same as all before it
    elif value is None or value == known:
        into.setdefault(field, value)
    elif known is None or known == "" or type(known) is not type(value):
        into[field] = _copied(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            merge(known, name, item)
    elif isinstance(value, list):
        _merge_list(known, value)
    elif isinstance(value, str) and field not in _LABELS and not field.endswith(("_id", "_type")):
        into[field] = value if value.startswith(known) else known + value
    elif value not in ("", 0):
        into[field] = value


def _merge_list(known: list[Any], value: list[Any]) -> None:
    pieces = bool(value and known) and _goes_on(value[0], known[-1])
    if value[: len(known)] == known and not pieces:
        known[:] = _copied(value)  # all of it again, and more
        return
    for item in value:
        index = item.get("index") if isinstance(item, dict) else None
        numbered = (each for each in known if isinstance(each, dict) and index is not None)
        place = next((each for each in numbered if each.get("index") == index), None)
        if isinstance(place, dict):
            for name, part in item.items():
                merge(place, name, part)
        elif _goes_on(item, known[-1] if known else None):
            for name, part in item.items():
                merge(known[-1], name, part)
        elif item not in known:
            known.append(_copied(item))


def _goes_on(item: Any, last: Any) -> bool:
    """Return whether a thinking block goes on with the last one, which its signature ends."""
    if not isinstance(item, dict) or not isinstance(last, dict):
        return False
    return item.get("type") == last.get("type") == "thinking" and not last.get("signature")


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def set_first(head: dict[str, Any], field: str, value: Any) -> None:
    """Set a field, and keep the first value that is not empty; what is a list or a dict may grow."""
    known = head.get(field)
    if isinstance(value, (list, dict)) and isinstance(known, type(value)):
        merge(head, field, value)
    elif known in _EMPTY and (value not in _EMPTY or field not in head):
        head[field] = _copied(value)
