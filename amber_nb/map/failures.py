"""Say in one line why a row failed, and decide whether all other rows would fail, too."""

from __future__ import annotations

import openai

from ..errors import gateway_reason, is_out_of_quota
from ..types import replace_surrogates
from ..wire.retry import retry_after_s

__all__ = ["describe_failure", "describe_remedy", "ends_run"]

_CHARS = 300
_REMEDY = "amber: "
_PARAMETER_NOTE = "amber: the gateway or the model refuses "
_NO_REMEDIES = (_PARAMETER_NOTE, "amber: the gateway says: ")
# How gateways say that a model is unknown, where the status is that of any mistake.
_MODEL_SIGNS = ("invalid model name", "model_not_found", "no connected db", "unknown model", "model does not exist")


def describe_failure(error: Exception, key: str) -> str:
    """Return why a row failed, in one line.

    Args:
        error: the exception, of which the remedies were noted, and in which the key was masked.
        key: to be masked in what the gateway says, too.
    """
    if isinstance(error, openai.APIStatusError):
        said = gateway_reason(error, key) or str(error)
        text = f"{type(error).__name__} ({error.status_code}): {said}"
    else:
        text = f"{type(error).__name__}: {error}"
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(_PARAMETER_NOTE)]
    text = " ".join(replace_surrogates(" ".join([text, *notes])).split())
    return text if len(text) <= _CHARS else text[: _CHARS - 1] + "…"


def describe_remedy(error: Exception) -> str:
    """Return what can be done about a failure, in one line; "" where nobody knows."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(_REMEDY)]
    remedies = [note.removeprefix(_REMEDY) for note in notes if not note.startswith(_NO_REMEDIES)]
    return " ".join(" ".join(remedies).split())


def ends_run(error: Exception, max_wait_s: float) -> bool:
    """Return whether what was refused of one row would be refused of each.

    The quota is used up, the key or the model is refused, a parameter is, or the gateway is another one or wants a
    pause that is longer than `max_wait_s`.
    """
    if not isinstance(error, openai.APIStatusError):
        return False
    if is_out_of_quota(error):
        return True
    status, reason = error.status_code, gateway_reason(error)
    if status == 403:
        # What stands in between may refuse the words of a single prompt.
        return not reason.startswith("a web page")
    if status in (401, 402, 404, 405) or 300 <= status < 400:
        return True
    if status == 429:
        return (retry_after_s(error) or 0.0) > max_wait_s
    if any(note.startswith(_PARAMETER_NOTE) for note in getattr(error, "__notes__", ())):
        return True
    return status == 400 and any(sign in reason.lower() for sign in _MODEL_SIGNS)
