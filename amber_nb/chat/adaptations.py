"""What `ask` adds to a request by itself, and leaves out where a gateway or a model refuses it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import openai

from ..errors import gateway_reason
from .messages import own_fields, without_own_fields

__all__ = ["Adaptations", "adapt", "find_adaptation", "parameter_note"]

# name: what the gateway refuses, and what is done about it from then on
ADAPTATIONS = {
    "system_role": "refuses the role developer: instructions go as system (system_role='system' says so at once)",
    "stream_options": "refuses stream_options: they are left out, and so the usage may be missing",
    "response_format": "refuses response_format: the schema goes into the instructions",
    "message_fields": "refuses fields that the model itself sent, such as its thinking: they are left out",
    "stream": "cannot stream: the answer comes in one piece",
}
_NOT = r"(not|n't|un)\W?\w*\W*(support|allow|permit|implement|enabl|possible|available|work)"
_STREAM = r"\bstream(ing)?\b(?!_)"
_NO_STREAM = re.compile(rf"{_STREAM}[^.]{{0,60}}{_NOT}|{_NOT}[^.]{{0,60}}{_STREAM}", re.IGNORECASE)
_RENAMED = {"max_tokens": "max_completion_tokens"}  # parameters that newer models know by another name
_NOT_PARAMETERS = ("model", "messages", "tools")
_REFUSED = (400, 404, 405, 415, 422, 501)


class Adaptations:
    """What a client has learnt of each model; kept in the cassette, too.

    Args:
        learnt: names of adaptations by model, of the recordings.
    """

    def __init__(self, learnt: Mapping[str, frozenset[str]] | None = None) -> None:
        self._by_model = {model: set(names) for model, names in (learnt or {}).items()}

    def of(self, model: object) -> set[str]:
        """Return the adaptations of a model, to be read or added to."""
        return self._by_model.setdefault(str(model), set())


def adapt(body: Mapping[str, Any], names: Collection[str], own: Collection[str]) -> dict[str, Any]:
    """Return a request's body without what was refused.

    Args:
        body: of the request.
        names: of adaptations.
        own: what of it is `ask`'s own choice, see `ChatLoop`; the rest stays.
    """
    adapted = dict(body)
    if "message_fields" in names:
        adapted["messages"] = without_own_fields(adapted["messages"])
    if "response_format" in names and "response_format" in own:
        schema = adapted.pop("response_format")["json_schema"]["schema"]
        role = "developer" if "role" in own else "system"
        adapted["messages"] = _with_instruction(adapted["messages"], schema, role)
    if "system_role" in names:
        adapted["messages"] = [
            {**message, "role": "system"} if message.get("role") == "developer" else message
            for message in adapted["messages"]
        ]
    if ("stream_options" in names and "stream_options" in own) or "stream" in names:
        adapted.pop("stream_options", None)
    return adapted


def _with_instruction(messages: Sequence[dict[str, Any]], schema: Any, role: str) -> list[dict[str, Any]]:
    text = (
        "Answer with one JSON value that fits this JSON schema, and with nothing else: "
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
    first = messages[0] if messages else {}
    if first.get("role") in ("developer", "system") and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": role, "content": text}, *messages]


def find_adaptation(error: openai.APIStatusError, body: Mapping[str, Any], own: Collection[str]) -> str | None:
    """Return what of a request that `ask` decided on by itself this refusal is about; None where it is the user's.

    Args:
        error: the refusal.
        body: of the request, as it was sent.
        own: what of it is `ask`'s own choice, see `ChatLoop`.
    """
    if error.status_code not in _REFUSED:
        return None
    reason, param = gateway_reason(error).lower(), str(getattr(error, "param", None) or "")
    roles = [message.get("role") for message in body["messages"]]
    is_about_roles = "developer" in reason and re.search(r"role|messages", f"{reason} {param}")
    if "role" in own and "developer" in roles and is_about_roles:
        return "system_role"
    if "stream_options" in own and "stream_options" in body and re.search(r"stream_options|include_usage", reason):
        return "stream_options"
    if any(re.search(rf"(?<!\w){re.escape(field.lower())}(?!\w)", reason) for field in own_fields(body["messages"])):
        return "message_fields"
    if "response_format" in own and "response_format" in body and re.search(r"response_format|json.schema", reason):
        return "response_format"
    is_about_streams = error.status_code != 404 and _NO_STREAM.search(reason) and "retry" not in reason
    return "stream" if param == "stream" or is_about_streams else None


def parameter_note(error: openai.APIStatusError, params: Mapping[str, Any]) -> str | None:
    """Return a note on a refusal that names a parameter of the user's, and what to do; None where it names none."""
    if error.status_code not in _REFUSED:
        return None
    reason, param = gateway_reason(error), getattr(error, "param", None)
    for name in params:
        # A name that is a word of English, too, counts only where it is quoted.
        quoted = rf"['\"`]{name}['\"`]|{name}[:=]" if name.isalpha() else rf"(?<!\w){name}(?!\w)"
        if name not in _NOT_PARAMETERS and (param == name or re.search(quoted, reason)):
            other = f", or take {_RENAMED[name]}=" if name in _RENAMED else ""
            what = f"the gateway or the model refuses {name}=, which is sent"
            return f"amber: {what}. Correct it, or leave it out{other}."
    return None
