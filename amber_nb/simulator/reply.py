"""Request → response of the stand-in gateway: pure, and the same for the same request."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal
from urllib.parse import unquote

from .breaks import Plain
from .checks import check_body, check_key, parse_body
from .completions import complete
from .deltas import sse
from .errors import ApiError
from .exchange import Request, Response
from .faults import FAULTS, PREFIX, near
from .messages import invalid_type, missing

__all__ = ["BASE_PATH", "MODELS", "Dialect", "Request", "Response", "error_response", "respond", "too_large"]

BASE_PATH = "/api/beta/openai/v1"
MODELS: dict[str, str] = {  # the alias that is asked for → the deployed model that answers; the default comes first
    "azure/gpt-5.4": "gpt-5.4-2026-03-05",
    "azure/gpt-5.4-mini": "gpt-5.4-mini-2026-03-17",
    "azure/gpt-5.4-nano": "gpt-5.4-nano-2026-03-17",
}
MAX_BODY_BYTES = 50_000_000
_MODELS_CREATED = 1_772_668_800
_JSON = "application/json"

Dialect = Literal["openai", "litellm"]


def respond(
    request: Request, *, dialect: Dialect = "openai", max_body_bytes: int = MAX_BODY_BYTES, drift: int = 0
) -> Response:
    """Answer a request as the gateway would; nothing is read but the request, so it never raises and never varies.

    Args:
        request: the request, its path below the base URL, such as `/chat/completions`.
        dialect: `openai` keeps to OpenAI's format; `litellm` differs from it where that proxy does.
        max_body_bytes: a longer body is refused with 413.
        drift: above 0, the model has changed since, and answers otherwise; each number is another model.

    The model `fault/<name>` answers with a fault of `faults.FAULTS`.

    Example:
        respond(Request("GET", "/models", {"authorization": "Bearer ambrs-test"})).status  # 200
    """
    litellm = dialect == "litellm"
    try:
        return _route(request, litellm, max_body_bytes, drift)
    except ApiError as error:
        return error_response(error, dialect=dialect)
    except RecursionError:
        deep = ApiError(400, "The request is nested too deeply.", code="invalid_request")
        return error_response(deep, dialect=dialect)


def error_response(error: ApiError, *, dialect: Dialect = "openai") -> Response:
    """Give a refusal as a response."""
    headers = {"content-type": _JSON} | ({"allow": error.allow} if error.allow else {})
    return Response(error.status, headers, error.body(litellm=dialect == "litellm"))


def _route(request: Request, litellm: bool, max_body_bytes: int, drift: int) -> Response:
    path = request.path.partition("?")[0]
    is_model = path == "/models" or path.startswith("/models/")
    if not is_model and path != "/chat/completions":
        asked = path.removeprefix("/unknown")[:200]
        text = f"Unknown request URL: {request.method} {asked}. Please check the URL for typos."
        raise ApiError(404, text, code="unknown_url")
    wanted = "GET" if is_model else "POST"
    if request.method != wanted:
        text = f"Not allowed to {request.method[:20]} on {path[:200]}. (HINT: Perhaps you meant to use {wanted}?)"
        raise ApiError(405, text, code="method_not_supported", allow=wanted)
    check_key(request.headers.get("authorization"))
    if len(request.body) > max_body_bytes:
        raise too_large(max_body_bytes)
    if is_model:
        return _json(_models(unquote(path.removeprefix("/models").removeprefix("/")), litellm))
    return _chat(parse_body(request.body), litellm, drift, request.headers.get("x-stainless-retry-count", ""))


def too_large(max_body_bytes: int) -> ApiError:
    """Give the refusal of a body over the limit."""
    return ApiError(
        413, f"The request is too large: at most {max_body_bytes:,} bytes are read.", code="request_too_large"
    )


def _json(value: Any) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(200, {"content-type": _JSON, "x-request-id": _request_id(body)}, body)


def _request_id(data: bytes) -> str:
    return "req_" + hashlib.sha256(data).hexdigest()[:32]


def _models(name: str, litellm: bool) -> dict[str, Any]:
    cards = [
        {"id": alias, "object": "model", "created": _MODELS_CREATED, "owned_by": alias.partition("/")[0]}
        for alias in MODELS
    ]
    if not name:
        return {"object": "list", "data": cards}
    _check_model(name, litellm)
    return next(card for card in cards if card["id"] == name)


def _check_model(name: str, litellm: bool) -> None:
    if name in MODELS:
        return
    close = [f"`{PREFIX}{one}`" for one in near(name.removeprefix(PREFIX))] if name.startswith(PREFIX) else []
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    if litellm:
        text = f"Invalid model name passed in model={name[:100]}. Call `/v1/models` to view available models."
        raise ApiError(400, text + meant, param="model")
    text = f"The model `{name[:100]}` does not exist or you do not have access to it."
    raise ApiError(404, text + meant, code="model_not_found")


def _chat(body: dict[str, Any], litellm: bool, drift: int, attempt: str) -> Response:
    model = body.get("model")
    if model is None:
        raise missing("model")
    if not isinstance(model, str):
        raise invalid_type("model", "a string", model)
    fault = FAULTS.get(model.removeprefix(PREFIX)) if model.startswith(PREFIX) else None
    if fault is not None:
        model = next(iter(MODELS))
        body = {**body, "model": model}  # the text is that of the default model
    _check_model(model, litellm)
    given = check_body(body, lenient=litellm)
    completion = complete(given, MODELS[model], drift)
    streamed = bool(given.get("stream"))
    include_usage = bool((given.get("stream_options") or {}).get("include_usage"))
    if fault is not None:
        tries = int(attempt) if attempt.isdecimal() and len(attempt) < 9 else 0
        return fault.make(Plain(completion, streamed, include_usage, litellm, tries))
    if not streamed:
        return _json(completion)
    headers = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-request-id": _request_id(completion["id"].encode()),
    }
    return Response(200, headers, events=sse(completion, include_usage=include_usage, litellm=litellm))
