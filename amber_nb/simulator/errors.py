"""The one exception of the simulator: a request that is refused, in OpenAI's error format."""

from __future__ import annotations

import json

__all__ = ["ApiError"]

# LiteLLM names the kind of an error by the status alone, where OpenAI says "invalid_request_error" for most of them.
_LITELLM_TYPES = {401: "auth_error", 404: None, 405: None, 413: None}


class ApiError(Exception):
    """A refusal with its HTTP status and the fields of OpenAI's error object.

    Example:
        raise ApiError(400, "Unknown parameter: 'foo'.", param="foo", code="unknown_parameter")
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, allow: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.allow = allow  # the methods that a 405 names

    def body(self, *, litellm: bool = False) -> bytes:
        """Give the JSON body; LiteLLM puts the status as a string into `code` and may leave `type` null."""
        error: dict[str, str | None] = {"message": self.message, "type": "invalid_request_error", "param": self.param}
        if litellm:
            error["type"] = _LITELLM_TYPES.get(self.status, "invalid_request_error")
            error["code"] = str(self.status)
        else:
            error["code"] = self.code
        return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "replace")
