"""Say in one line why a row failed, and decide whether all other rows would fail, too."""

from __future__ import annotations

import enum

import openai

from ..errors import gateway_reason, is_out_of_quota
from ..types import replace_surrogates
from ..wire.retry import retry_after_s

__all__ = ["Severity", "describe_failure", "describe_remedy", "judge_failure"]

_CHARS = 300


class Severity(enum.Enum):
    """Of what a failure is.

    A run ends at a failure of `RUN`; at one of `LIKELY_RUN` where nothing was answered before, and at two of
    `MAYBE_RUN`; once something was answered, at many in a row.
    """

    ROW = 0
    MAYBE_RUN = 2
    LIKELY_RUN = 1
    RUN = 3


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
    told = [note.removeprefix(_REMEDY) for note in notes]
    text = " ".join(replace_surrogates(" – ".join([text, *told])).split())
    return text if len(text) <= _CHARS else text[: _CHARS - 1] + "…"


def describe_remedy(error: Exception) -> str:
    """Return what can be done about a failure, in one line; "" where nobody knows."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(_REMEDY)]
    remedies = [note.removeprefix(_REMEDY) for note in notes if not note.startswith(_NO_REMEDIES)]
    return " ".join(" ".join(remedies).split())


def judge_failure(error: Exception, max_wait_s: float) -> Severity:
    """Return of what a failure is: of one row, maybe of all, or surely of all.

    The key is refused, or the quota is used up: no row will be answered. An unknown model, a redirect, a parameter that
    is refused, or a pause longer than `max_wait_s` is most often the run's, but may be said of one prompt, too.
    """
    if not isinstance(error, openai.APIStatusError):
        return Severity.ROW
    status, reason = error.status_code, gateway_reason(error)
    if is_out_of_quota(error) or status in (401, 402):
        return Severity.RUN
    if status in (404, 405) or 300 <= status < 400:
        return Severity.LIKELY_RUN
    if status == 403 and not reason.startswith("a web page"):  # such a page refuses the words of a single prompt
        return Severity.MAYBE_RUN
    if status == 429 and (retry_after_s(error) or 0.0) > max_wait_s:
        return Severity.MAYBE_RUN
    if status == 400 and any(sign in reason.lower() for sign in _MODEL_SIGNS):
        return Severity.LIKELY_RUN
    if any(note.startswith(_PARAMETER_NOTE) for note in getattr(error, "__notes__", ())):
        return Severity.MAYBE_RUN
    return Severity.ROW
