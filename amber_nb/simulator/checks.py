"""Whether a request may be answered: the key, the JSON, every parameter. What is wrong is said in OpenAI's words."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from .errors import ApiError
from .kinds import Check, a_text, a_truth, an_object, number, of_kind, one_of, unsupported
from .messages import check_messages, invalid_type, missing
from .toolchecks import check_format, check_tools

__all__ = ["check_body", "check_key", "parse_body"]

MAX_DEPTH = 120
_KEY = re.compile(r"Bearer +ambrs-[\x21-\x7e]+", re.IGNORECASE)


def check_key(authorization: str | None) -> None:
    """Check the form of the key; its text is never repeated.

    Raises:
        ApiError: 401.
    """
    if not authorization or not authorization.strip():
        raise ApiError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if _KEY.fullmatch(authorization.strip()) is None:
        raise ApiError(
            401, "Incorrect API key provided. A key of the gateway starts with 'ambrs-'.", code="invalid_api_key"
        )


def parse_body(data: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ApiError: 400 for anything else, also for NaN, numbers out of bounds, lone surrogates and bottomless nesting.
    """
    bad = ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
        "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)",
    )
    try:
        body = json.loads(data.decode("utf-8"), parse_constant=_refuse, parse_int=_whole, parse_float=_decimal)
        if _depth(body) > MAX_DEPTH:
            raise bad
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:  # UnicodeError, from a lone surrogate, is a ValueError
        raise bad from error
    if not isinstance(body, dict):
        raise bad
    return body


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _whole(digits: str) -> int:
    if len(digits) > 30:
        raise ValueError("the number is too large")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value) or len(digits) > 400:
        raise ValueError("the number is too large")
    return value


def _depth(value: Any) -> int:
    """Measure the nesting level by level: a recursive walk could itself run out of stack."""
    level = [value]
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _stop(param: str, value: Any) -> None:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise invalid_type(param, "a string or an array of strings", value)
    if len(items) > 4:
        text = (
            f"Invalid '{param}': array too long. Expected an array with maximum length 4, but got {len(items)} instead."
        )
        raise ApiError(400, text, param=param, code="array_above_max_length")


def _modalities(param: str, value: Any) -> None:
    if value != ["text"]:
        raise ApiError(400, "This model answers in text only.", param=param, code="invalid_value")


def _logprobs(param: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise invalid_type(param, "a boolean", value)
    if value:
        unsupported("The simulator has no probabilities to tell.")(param, value)


def _stream_options(param: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    for name, option in value.items():
        if name not in ("include_usage", "include_obfuscation"):
            raise _unknown(f"{param}.{name[:60]}")
        if not isinstance(option, bool | None):
            raise invalid_type(f"{param}.{name}", "a boolean", option)


def _unknown(param: str) -> ApiError:
    return ApiError(400, f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


_tokens = number(1, 10**9, whole=True)
_use_tools = unsupported("Use 'tools' and 'tool_choice' instead.")
_PARAMETERS: dict[str, Check] = {
    "audio": unsupported("It answers in text only."),
    "frequency_penalty": number(-2, 2),
    "function_call": _use_tools,
    "functions": _use_tools,
    "logit_bias": an_object,
    "logprobs": _logprobs,
    "max_completion_tokens": _tokens,
    "max_tokens": _tokens,
    "metadata": an_object,
    "modalities": _modalities,
    "moderation": an_object,
    "n": number(1, 128, whole=True),
    "parallel_tool_calls": a_truth,
    "prediction": an_object,
    "presence_penalty": number(-2, 2),
    "prompt_cache_key": a_text,
    "prompt_cache_options": an_object,
    "prompt_cache_retention": one_of("in_memory", "in-memory", "24h"),
    "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "response_format": an_object,
    "safety_identifier": a_text,
    "seed": number(-(2**63), 2**63 - 1, whole=True),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "stop": _stop,
    "store": a_truth,
    "stream": a_truth,
    "stream_options": _stream_options,
    "temperature": number(0, 2),
    "tool_choice": of_kind("a string or an object", str, dict),
    "tools": of_kind("an array of objects", list),
    "top_logprobs": unsupported("The simulator has no probabilities to tell."),
    "top_p": number(0, 1),
    "user": a_text,
    "verbosity": one_of("low", "medium", "high"),
    "web_search_options": unsupported("The simulator fetches nothing."),
}


def check_body(body: dict[str, Any], *, lenient: bool = False) -> dict[str, Any]:
    """Check every parameter and give those that are set: null is the same as absent.

    Args:
        body: the request's JSON; `model` is looked up elsewhere.
        lenient: ignore unknown parameters, as LiteLLM does.

    Raises:
        ApiError: 400.
    """
    if "messages" not in body:
        raise missing("messages")
    given = {name: value for name, value in body.items() if value is not None or name == "messages"}
    for name in [name for name in given if name not in ("model", "messages", *_PARAMETERS)]:
        if not lenient:
            raise _unknown(name[:60])
        del given[name]
    check_messages(given["messages"])
    for name, check in _PARAMETERS.items():
        if name in given:
            check(name, given[name])
    if "max_tokens" in given and "max_completion_tokens" in given:
        text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(400, text, param="max_tokens", code="invalid_parameter_combination")
    if "stream_options" in given and not given.get("stream") and not lenient:
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(400, text, param="stream_options")
    check_tools(given, lenient=lenient)
    check_format(given)
    return given
