"""The error tree, and the notes added to the SDK's own errors.

    AmberError
    ├── ConfigError     what was looked for, where, and the fix
    ├── StreamCut       the reply ended early; `.answer` holds the text so far
    ├── BadReply        200, but not a chat completion; the first bytes of what came
    ├── ImageError      what was given, the limit, and how to get below it
    ├── ToolError       tool, arguments, cause
    ├── RefusalError    a schema was asked for, and the model refused; `.answer`
    ├── SchemaError     a schema was asked for, and what came does not fit it; `.answer`
    └── CassetteMiss    the nearest recorded exchange, what differs, the command that records again

Everything else that can go wrong on the wire is an `openai.OpenAIError` and passes through,
with the remedy added by `annotate` (a traceback shows an exception's notes).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .error_body import error_message, summarize
from .redact import MASK
from .types import PartialAnswer, replace_surrogates

__all__ = [
    "AmberError",
    "BadReply",
    "CassetteMiss",
    "ConfigError",
    "ImageError",
    "RefusalError",
    "SchemaError",
    "StreamCut",
    "ToolError",
    "annotate",
    "gateway_reason",
    "is_out_of_quota",
]


class AmberError(Exception):
    """Base of the errors of amber_nb; those of the SDK pass through as they are."""


class ConfigError(AmberError):
    """The settings are missing, incomplete or contradict each other; the message names the fix."""


class StreamCut(AmberError):
    """The reply ended early; `.answer` holds the text so far."""

    answer: PartialAnswer | None = None


class BadReply(AmberError):
    """The gateway answered 200, but not with a chat completion; `.answer` holds any text so far."""

    answer: PartialAnswer | None = None


class ImageError(AmberError):
    """An image cannot be sent; the message names it, the limit and the remedy. Nothing was sent."""


class ToolError(AmberError):
    """A tool cannot be run, or the model calls tools without end.

    Attributes:
        name: of the tool, or None.
        arguments: of the call, as the model wrote them or as checked.
        answer: what had come, with its `tool_runs`.
    """

    answer: PartialAnswer | None = None

    def __init__(self, message: str, *, name: str | None = None, arguments: Any = None) -> None:
        super().__init__(message)
        self.name = name
        self.arguments = arguments


class ProtocolError(ToolError):
    """An MCP server answered a request with an error of the protocol, and not with a result."""


class RefusalError(AmberError):
    """The model refused what the schema asks for; `.answer` holds its words."""

    answer: PartialAnswer | None = None


class SchemaError(AmberError):
    """The reply does not fit the schema, after one correction either; `.answer` holds it."""

    answer: PartialAnswer | None = None


class CassetteMiss(AmberError):
    """Nothing is recorded for this request; the message shows the nearest recording, and how to record again."""


def annotate(error: BaseException, *, base_url: str, key: str | None) -> None:
    """Add the remedy to an SDK error as a note, and mask the key where the gateway has echoed it.

    Args:
        error: the exception, changed in place; the key is masked in its causes, too, and lone surrogates become U+FFFD.
        base_url: where the request went, without credentials.
        key: the key in use, to be masked, or None.
    """
    for cause in _causes(error):
        _mask_error(cause, key or "")
    if any(note.startswith("amber:") for note in getattr(error, "__notes__", ())):
        return  # by the client that the request went through; another one is only asked around it
    for note in (_reason_note(error, key or ""), _remedy(error, base_url)):
        if note:
            error.add_note(note)


def is_out_of_quota(error: BaseException) -> bool:
    """Return whether an SDK error says that the quota or the budget is used up, which waiting does not change."""
    if {getattr(error, "code", None), getattr(error, "type", None)} & _QUOTA_CODES:
        return True
    # LiteLLM passes on the words alone. A rate limit mentions quotas, too: only the words of OpenAI's message count.
    words = gateway_reason(error)
    return getattr(error, "status_code", None) == 429 and any(sign in words for sign in _QUOTA_SIGNS)


def gateway_reason(error: BaseException, key: str = "") -> str:
    """Return what the gateway says of a refusal, in one line, whatever form its body has; "" where it says nothing.

    Args:
        error: the SDK's error.
        key: to be masked, "" for none; before the text is shortened, since the piece of a key is secret, too.
    """
    response = getattr(error, "response", None)
    if response is None:
        return ""
    try:
        text = response.text
    except Exception:  # a body that was not read, or is no text
        text = ""
    try:
        said = _mask_value(json.loads(text), key)
        reason = error_message(said) or ""
        text = text if said else ""  # of `{}` there is nothing to tell
    except (ValueError, RecursionError):
        reason = ""
    return " ".join((reason or summarize(_mask_text(text, key)) or _mask_text(str(error), key)).split())


def _reason_note(error: BaseException, key: str) -> str | None:
    """Return a note with what the gateway said, where the SDK's message does not say it."""
    if not isinstance(getattr(error, "status_code", None), int):
        return None
    reason = _mask_text(gateway_reason(error, key), key)[:_REASON_CHARS]
    if not reason or reason in " ".join(str(error).split()):
        return None
    if reason.startswith("a web page"):
        return f"amber: instead of an answer came {reason}: is a firewall, a proxy or a sign-in page in between?"
    return f"amber: the gateway says: {reason}"


_REASON_CHARS = 300
_KEY_PREFIX = "ambrs-"  # of every key, and no secret
_MIN_PIECE = 6  # characters of the key that are masked where the rest of it was cut off
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "budget_exceeded"}
_UNKNOWN_HOST_SIGNS = ("Name or service not known", "nodename nor servname", "getaddrinfo", "resolution")
_QUOTA_SIGNS = ("insufficient_quota", "exceeded your current quota", "check your plan and billing")
# How LiteLLM words what other gateways tell by a status: its own refusals, and those of the provider behind it.
_UNKNOWN_MODEL_SIGNS = ("Invalid model name passed in", "model_not_found")
_MODEL_ACCESS_SIGNS = ("model_access_denied", "not allowed to access model")
_RELAYED_SIGNS = ("litellm.AuthenticationError", "litellm.PermissionDeniedError", "litellm.NotFoundError")


def _remedy(error: BaseException, base_url: str) -> str | None:
    # The SDK's classes are recognized by their attributes: importing openai would cost each user of this leaf 0.5 s.
    status = getattr(error, "status_code", None)
    text = str(error)
    if isinstance(status, int) and 300 <= status < 400:
        return _redirect_remedy(error, base_url)
    if is_out_of_quota(error):
        return (
            "amber: the quota is used up, and trying again does not help. Ask your amber administrator for more, or "
            "take another model (see amber.models())."
        )
    if status == 400 and ("content_filter" in text + str(getattr(error, "code", "")) or "content management" in text):
        return "amber: the content filter refused the prompt, and nothing was answered. Say it in other words."
    if isinstance(status, int) and (note := _proxy_remedy(error, status, text, base_url)):
        return note
    if status == 401 or (status == 400 and "No connected db" in text):  # LiteLLM's message for an unknown key
        return (
            f"amber: {base_url} does not accept the key. Keys begin with 'ambrs-' and belong to one domain: compare "
            "AMBER_API_KEY with the key in amber's settings, or store a new one with amber.login() or `amber-nb login`."
        )
    if status == 403 and gateway_reason(error).startswith("a web page"):
        return "amber: the gateway was not reached: what stands in between refuses the request. Ask your IT."
    if status == 403:
        return (
            "amber: the key is known, but it may not do this. Ask your amber administrator for access to the model, "
            "or see what the key may use with amber.models()."
        )
    if status == 404 and re.search(r"\bmodel\b", text, re.IGNORECASE):
        return "amber: there is no such model here, or not for this key. See the names with amber.models()."
    if status == 404:
        return (
            f"amber: nothing there at {base_url}, or no such model. See the names with amber.models(); the base URL is "
            "https://<domain>.ambersearch.de/api/beta/openai/v1 (AMBER_DOMAIN or AMBER_BASE_URL)."
        )
    if status == 413:
        return (
            "amber: the request is too large for the gateway. Send fewer images, or smaller ones: "
            "images=[image_part(…, max_side_px=1024)]."
        )
    if status == 429:
        wait = _header(error, "retry-after")
        again = f"; try again in {wait} s" if wait.strip().isdigit() else ""
        return (
            f"amber: the gateway asks to slow down{again}. Send fewer requests at once, or raise max_retries and "
            "max_wait_s; if it is the quota, your amber administrator can."
        )
    if isinstance(status, int) and status >= 500:
        return (
            "amber: the gateway or the model behind it failed. Try again; if it stays, tell your amber administrator."
        )
    if any(cls.__name__ == "APITimeoutError" for cls in type(error).__mro__):
        return f"amber: no answer from {base_url} in time. Try again, or give the model longer with timeout_s."
    if any(cls.__name__ == "APIConnectionError" for cls in type(error).__mro__):
        return _connection_remedy(error, base_url)
    return None


def _proxy_remedy(error: BaseException, status: int, text: str, base_url: str) -> str | None:
    """Return the remedy where the words of a proxy, or what was asked of it, say more than the status."""
    path = str(getattr(getattr(getattr(error, "request", None), "url", None), "path", ""))
    if path.endswith("/models") and status in (403, 404, 405, 501):
        return (
            f"amber: {base_url} does not list its models, at least not for this key. If answers come, name a model as "
            "its operator does: Amber(model=…). If not, the address may be wrong: the base URL is "
            "https://<domain>.ambersearch.de/api/beta/openai/v1 (AMBER_DOMAIN or AMBER_BASE_URL)."
        )
    if status in (400, 404) and any(sign in text for sign in _UNKNOWN_MODEL_SIGNS):
        return "amber: the gateway has no model of that name, or not for this key. See the names with amber.models()."
    if status == 401 and any(sign in text for sign in _MODEL_ACCESS_SIGNS):
        return (
            "amber: the key is known, but it may not use this model. See what it may use with amber.models(), or ask "
            "your amber administrator for access."
        )
    if status in (401, 403, 404) and any(sign in text for sign in _RELAYED_SIGNS):
        return (
            "amber: the provider behind the gateway refused the gateway's own login or settings for this model; your "
            "key is not at fault. Tell your amber administrator, or take another model (see amber.models())."
        )
    return None


def _redirect_remedy(error: BaseException, base_url: str) -> str:
    try:
        host = urlsplit(_header(error, "location")).hostname  # only the host: a path or a query may hold secrets
    except ValueError:
        host = None
    return (
        f"amber: {base_url} sends the request on to {host or 'another address'}, and redirects are refused: the key "
        "would travel along, and a question would arrive without its body. If that is where the gateway lives now, set "
        "AMBER_DOMAIN or AMBER_BASE_URL to it; else a proxy or a sign-in page stands in between: ask your IT."
    )


def _connection_remedy(error: BaseException, base_url: str) -> str:
    causes = " ".join(str(cause) for cause in _causes(error))
    if "CERTIFICATE_VERIFY_FAILED" in causes or "certificate verify failed" in causes:
        return (
            f"amber: the certificate of {base_url} is not trusted here, usually because the company's network signs "
            "with its own CA. Set SSL_CERT_FILE to that CA's .pem file (ask your IT); do not switch the check off."
        )
    if any(sign in causes for sign in _UNKNOWN_HOST_SIGNS):
        return (
            f"amber: no host of that name: {base_url}. Is the domain right (AMBER_DOMAIN, the part before "
            "'.ambersearch.de'), and do you need the VPN?"
        )
    return (
        f"amber: {base_url} cannot be reached. Is the domain right (AMBER_DOMAIN), are you online, and does your "
        "network need a proxy (HTTPS_PROXY) or the VPN?"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _header(error: BaseException, name: str) -> str:
    return getattr(getattr(error, "response", None), "headers", {}).get(name) or ""


def _mask_error(error: BaseException, key: str) -> None:
    # Not by assignment: a class of the user's may forbid it, as a frozen dataclass does.
    BaseException.args.__set__(error, tuple(_mask_value(arg, key) for arg in error.args))  # type: ignore[attr-defined]
    for name in ("message", "body"):
        if hasattr(error, name):
            with contextlib.suppress(Exception):
                setattr(error, name, _mask_value(getattr(error, name), key))


def _mask_value(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return replace_surrogates(_mask_text(value, key))  # which a kernel cannot send: the cell would fail silently
    if isinstance(value, dict):
        return {name: _mask_value(item, key) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask_value(item, key) for item in value]
    return value


def _mask_text(text: str, key: str) -> str:
    """Mask the key, and its beginning alone: a text that was shortened may hold a key without its end."""
    if not key:
        return text
    text = text.replace(key, MASK)
    shortest = max(_MIN_PIECE, len(_KEY_PREFIX) + 1) if key.startswith(_KEY_PREFIX) else _MIN_PIECE
    if len(key) <= shortest or key[:shortest] not in text:
        return text
    first, *others = text.split(key[:shortest])
    return MASK.join([first, *(_without_common_start(other, key[shortest:]) for other in others)])


def _without_common_start(text: str, other: str) -> str:
    return text[next((at for at, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), len(other)) :]
