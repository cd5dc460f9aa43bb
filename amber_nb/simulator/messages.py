"""The messages of a request: whether they are well formed, and what is in them."""

from __future__ import annotations

from typing import Any

from .errors import ApiError

__all__ = ["check_messages", "image_urls", "last_user", "text_of"]

ROLES = ("system", "developer", "user", "assistant", "tool")
_PARTS = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}
_DETAILS = ("auto", "low", "high", "original")


def text_of(message: dict[str, Any]) -> str:
    """Give the text of a checked message, its text parts joined by line breaks."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if part["type"] == "text")
    return content or ""


# How a client asks for a reply to be corrected: the question is the one before.
_CORRECTION = "This does not fit the schema."


def last_user(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the last user message that asks something; an empty one when there is none."""
    asking = (item for item in reversed(messages) if item["role"] == "user" and not _corrects(item))
    return next(asking, {"role": "user", "content": ""})


def _corrects(message: dict[str, Any]) -> bool:
    return isinstance(message["content"], str) and message["content"].startswith(_CORRECTION)


def image_urls(messages: list[dict[str, Any]], *, of: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """Give the images of checked messages, or of one of them, as pairs of URL and place."""
    found = []
    for i, message in enumerate(messages):
        if (of is None or message is of) and isinstance(message.get("content"), list):
            for j, part in enumerate(message["content"]):
                if part["type"] == "image_url":
                    found.append((part["image_url"]["url"], f"messages.[{i}].content.[{j}].image_url"))
    return found


def invalid_type(param: str, expected: str, value: Any) -> ApiError:
    """Give OpenAI's refusal of a value of the wrong type."""
    names = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
        list: "an array",
        dict: "an object",
    }
    got = names.get(type(value), "null")
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return ApiError(400, message, param=param, code="invalid_type")


def invalid_value(param: str, value: str, allowed: tuple[str, ...]) -> ApiError:
    """Give OpenAI's refusal of a value that is not one of the allowed ones."""
    options = ", ".join(f"'{name}'" for name in allowed)
    message = f"Invalid value: '{value[:60]}'. Supported values are: {options}."
    return ApiError(400, message, param=param, code="invalid_value")


def missing(param: str) -> ApiError:
    """Give OpenAI's refusal when a required parameter is absent."""
    return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def check_messages(messages: Any) -> None:
    """Check the messages and how tool calls and their results follow each other.

    Raises:
        ApiError: 400, in OpenAI's words.
    """
    if not isinstance(messages, list):
        raise invalid_type("messages", "an array of objects", messages)
    if not messages:
        text = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise ApiError(400, text, param="messages", code="empty_array")
    for i, message in enumerate(messages):
        _check_message(message, f"messages[{i}]")
    _check_order(messages)


def _check_message(message: Any, param: str) -> None:
    if not isinstance(message, dict):
        raise invalid_type(param, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing(f"{param}.role")
    if not isinstance(role, str):
        raise invalid_type(f"{param}.role", "a string", role)
    if role not in ROLES:
        raise invalid_value(f"{param}.role", role, ROLES)
    if not isinstance(message.get("name", ""), str):
        raise invalid_type(f"{param}.name", "a string", message["name"])
    content = message.get("content")
    if role == "assistant" and message.get("tool_calls") is not None:
        _check_calls(message["tool_calls"], f"{param}.tool_calls")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise missing(f"{param}.tool_call_id")
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("refusal")):
            return
        if "content" in message:
            raise invalid_type(f"{param}.content", "a string or an array of objects", content)
        raise missing(f"{param}.content")
    if isinstance(content, list):
        if not content:
            text = f"Invalid '{param}.content': empty array. Expected an array with minimum length 1."
            raise ApiError(400, text, param=f"{param}.content", code="empty_array")
        for j, part in enumerate(content):
            _check_part(part, f"{param}.content[{j}]", _PARTS[role])
    elif not isinstance(content, str):
        raise invalid_type(f"{param}.content", "a string or an array of objects", content)


def _check_part(part: Any, param: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(part, dict):
        raise invalid_type(param, "an object", part)
    kind = part.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    if not isinstance(kind, str):
        raise invalid_type(f"{param}.type", "a string", kind)
    if kind not in allowed:
        raise invalid_value(param, kind, allowed)
    if kind != "image_url":
        if kind not in part:
            raise missing(f"{param}.{kind}")
        if not isinstance(part[kind], str):
            raise invalid_type(f"{param}.{kind}", "a string", part[kind])
        return
    image = part.get("image_url")
    if not isinstance(image, dict):
        raise invalid_type(f"{param}.image_url", "an object", image)
    if not isinstance(image.get("url"), str):
        raise (
            missing(f"{param}.image_url.url")
            if "url" not in image
            else invalid_type(f"{param}.image_url.url", "a string", image["url"])
        )
    if image.get("detail") not in (None, *_DETAILS):
        raise invalid_value(f"{param}.image_url.detail", str(image["detail"]), _DETAILS)


def _check_calls(calls: Any, param: str) -> None:
    if not isinstance(calls, list):
        raise invalid_type(param, "an array of objects", calls)
    if not calls:
        text = (
            f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise ApiError(400, text, param=param, code="empty_array")
    for j, call in enumerate(calls):
        place = f"{param}[{j}]"
        if not isinstance(call, dict):
            raise invalid_type(place, "an object", call)
        if call.get("type", "function") != "function":
            raise invalid_value(f"{place}.type", str(call["type"]), ("function",))
        function = call.get("function")
        if not isinstance(function, dict):
            raise invalid_type(f"{place}.function", "an object", function)
        for name, value in (
            ("id", call.get("id")),
            *((f"function.{key}", function.get(key)) for key in ("name", "arguments")),
        ):
            if value is None:
                raise missing(f"{place}.{name}")
            if not isinstance(value, str):
                raise invalid_type(f"{place}.{name}", "a string", value)


def _check_order(messages: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    asked_at = 0
    for i, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise ApiError(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{i}].role",
                )
            waiting.remove(message["tool_call_id"])
        elif waiting:
            raise ApiError(
                400,
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                + ", ".join(name[:60] for name in waiting[:10]),
                param=f"messages.[{asked_at}].role",
            )
        else:
            calls = message.get("tool_calls") if message["role"] == "assistant" else None
            waiting = [call["id"] for call in calls or []]
            asked_at = i
