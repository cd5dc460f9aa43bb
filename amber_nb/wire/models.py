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


def read_models(body: bytes) -> list[Mapping[str, Any]]:
    """Return the models of a list, each with at least its `id`.

    Raises:
        BadReply: what came is no list of models; the message says what it is.
    """
    try:
        reply = parse_json(body) if body.strip() else None
    except MalformedEvent:
        reply = None
    listed = reply
    if isinstance(reply, Mapping):
        listed = next((reply[name] for name in _LISTS if isinstance(reply.get(name), list)), None)
    if not isinstance(listed, list):
        said = error_message(reply) or summarize(body, _QUOTED_CHARS) or "nothing"
        raise BadReply(f"The gateway's reply is not a list of models. It says: {said.rstrip(' .')}.")
    models = [{"id": item} if isinstance(item, str) else item for item in listed]
    named = [{**model, "id": model.get("id") or model.get("name")} for model in models if isinstance(model, Mapping)]
    return [model for model in named if isinstance(model["id"], str)]
