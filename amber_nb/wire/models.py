"""Read a gateway's list of models, in the forms in which gateways send it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..error_body import error_message, summarize
from ..errors import BadReply
from .stream import MalformedEvent, parse_json

__all__ = ["read_models"]

_QUOTED_CHARS = 200
_LISTS = ("data", "models")  # fields that hold the list; some send it bare
_NAMES = ("id", "name", "model", "model_name")


def read_models(body: bytes) -> list[Mapping[str, Any]]:
    """Return the models of a list, each with at least its `id`.

    Raises:
        BadReply: what came is no list of models; the message says what it is.
    """
    try:
        reply = parse_json(body) if body.strip() else None
    except MalformedEvent:
        reply = None
    listed = _find_list(reply)
    models = None if listed is None else [model for item in listed if (model := _read_model(item)) is not None]
    if models is None or (listed and not models):
        said = error_message(reply) or summarize(body, _QUOTED_CHARS) or "nothing"
        raise BadReply(f"The gateway's reply is not a list of models. It says: {said.rstrip(' .')}.")
    return models


def _find_list(reply: Any) -> list[Any] | None:
    """Return the list of models in a reply; also where it is a dict of models by their ids."""
    if isinstance(reply, list):
        return reply
    if not isinstance(reply, Mapping):
        return None
    for held in (reply[name] for name in _LISTS if name in reply):
        if isinstance(held, list):
            return held
        if isinstance(held, Mapping) and error_message(held) is None:
            if (inner := _find_list(held)) is not None:
                return inner
            if all(isinstance(model, Mapping) for model in held.values()):
                return [{"id": name, **model} for name, model in held.items()]
    return None


def _read_model(item: Any) -> Mapping[str, Any] | None:
    """Return a model with its `id`, the name to ask with; None where it has none."""
    model = item if isinstance(item, Mapping) else {"id": item}
    names = (model.get(name) for name in _NAMES)
    found = next((str(name) for name in names if type(name) is int or (isinstance(name, str) and name.strip())), None)
    return None if found is None else {**model, "id": found}
