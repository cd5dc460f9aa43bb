"""Request checks: parameters, messages, tools and schemas; refusals in OpenAI's words."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

from jsonschema import Draft202012Validator, FormatChecker, SchemaError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from .api import ApiError, text_of

__all__ = ["check_body", "invalid_type", "metaschema_fault", "missing"]


# --- refusals


def missing(param: str) -> ApiError:
    """Return the refusal of a request without a required parameter."""
    return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def invalid_type(param: str, expected: str, value: Any) -> ApiError:
    """Return the refusal of a value that is not what is expected, such as "a string"."""
    names = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal"}
    got = {**names, list: "an array", dict: "an object"}.get(type(value), "null")
    text = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return ApiError(400, text, param=param, code="invalid_type")


def _invalid_value(param: str, value: str, options: str) -> ApiError:
    text = f"Invalid value: '{value[:60]}'. Supported values are: {options}."
    return ApiError(400, text, param=param, code="invalid_value")


def _unknown(param: str) -> ApiError:
    return ApiError(400, f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


# --- models: pydantic finds what is wrong, and `_api_error` says it in OpenAI's words


def _error(kind: str, at: str = "", **context: Any) -> PydanticCustomError:
    """Return an error of a kind that `_api_error` knows, for the path `at` below the value being validated."""
    return PydanticCustomError(kind, "see its context", {"at": at, **context})


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    nullable: ClassVar[tuple[str, ...]] = ()  # fields in which null is a value of the wrong type

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        """Treat null like an absent parameter."""
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or name in cls.nullable}


class _ImageURL(_Model):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class _Part(_Model):
    nullable = ("text", "refusal")
    type: str
    text: str = ""
    refusal: str = ""
    image_url: _ImageURL | None = None

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        if self.type in ("text", "refusal") and self.type not in self.model_fields_set:
            raise _error("missing", self.type)
        if self.type == "image_url" and self.image_url is None:
            raise _error("invalid_type", "image_url", expected="an object", value=None)
        return self


def _to_parts(value: Any) -> Any:
    if value is None or isinstance(value, list):
        return value
    if not isinstance(value, str):
        raise _error("invalid_type", expected="a string or an array of objects", value=value)
    return [{"type": "text", "text": value}]


class _CalledFunction(_Model):
    name: str
    arguments: str


class _ToolCall(_Model):
    type: Literal["function"] = "function"
    function: _CalledFunction = Field(None, validate_default=True)  # absent is of the wrong type here
    id: str


class _Message(_Model):
    nullable = ("name", "content")
    part_types: ClassVar[dict[str, tuple[str, ...]]] = {"user": ("text", "image_url"), "assistant": ("text", "refusal")}
    role: Literal["system", "developer", "user", "assistant", "tool"]
    name: str = ""
    tool_calls: list[_ToolCall] | None = Field(None, min_length=1)
    tool_call_id: Any = None
    refusal: Any = None
    content: Annotated[Annotated[list[_Part], Field(min_length=1)] | None, BeforeValidator(_to_parts)] = None

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.role == "tool" and not isinstance(self.tool_call_id, str):
            raise _error("missing", "tool_call_id")
        if self.content is None and not (self.role == "assistant" and (self.tool_calls or self.refusal)):
            if "content" not in self.model_fields_set:
                raise _error("missing", "content")
            raise _error("invalid_type", "content", expected="a string or an array of objects", value=None)
        allowed = self.part_types.get(self.role, ("text",))
        for j, part in enumerate(self.content or ()):
            if part.type not in allowed:
                raise _error("invalid_value", f"content[{j}]", value=part.type, options=allowed)
        return self


_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class _Function(_Model):
    name: _Name
    description: str | None = None
    strict: bool | None = None
    parameters: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        _check_schema(f"function '{self.name}'", self.parameters, self.strict, at="parameters")
        return self


class _Tool(_Model):
    type: Literal["function"]
    function: _Function


class _JsonSchema(_Model):
    name: _Name
    strict: bool | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class _ResponseFormat(_Model):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None

    @model_validator(mode="after")
    def _check_schema(self) -> Self:
        spec = self.json_schema
        if self.type == "json_schema" and spec is None:
            raise _error("missing", "json_schema")
        if spec and spec.strict and spec.schema_ is None:
            raise _error("missing", "json_schema.schema")
        if spec and self.type == "json_schema":
            _check_schema(f"response_format '{spec.name}'", spec.schema_, spec.strict)
        return self


class _StreamOptions(_Model):
    model_config = ConfigDict(extra="forbid")
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


def _to_strings(value: Any) -> Any:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _error("invalid_type", expected="a string or an array of strings", value=value)
    return items


def _string_or_object(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise _error("invalid_type", expected="a string or an object", value=value)
    return value


_Penalty = Annotated[float, Field(ge=-2.0, le=2.0)]
_Tokens = Annotated[int, Field(ge=1, le=10**9)]


class _Body(_Model):
    nullable = ("messages",)
    model: Any = None  # looked up elsewhere
    messages: list[_Message] = Field(min_length=1)
    frequency_penalty: _Penalty = 0.0
    logit_bias: dict[str, Any] = {}
    logprobs: bool = False
    max_completion_tokens: _Tokens = 1
    max_tokens: _Tokens = 1
    metadata: dict[str, Any] = {}
    modalities: Any = None
    moderation: dict[str, Any] = {}
    n: int = Field(1, ge=1, le=128)
    parallel_tool_calls: bool = True
    prediction: dict[str, Any] = {}
    presence_penalty: _Penalty = 0.0
    prompt_cache_key: str = ""
    prompt_cache_options: dict[str, Any] = {}
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: _ResponseFormat | None = None
    safety_identifier: str = ""
    seed: int = Field(0, ge=-(2**63), le=2**63 - 1)
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    stop: Annotated[list[str], BeforeValidator(_to_strings), Field(max_length=4)] = []
    store: bool = False
    stream: bool = False
    stream_options: _StreamOptions | None = None
    temperature: float = Field(1.0, ge=0.0, le=2.0)
    tool_choice: Annotated[Any, AfterValidator(_string_or_object)] = None
    tools: list[_Tool] | None = Field(None, min_length=1, max_length=128)
    top_p: float = Field(1.0, ge=0.0, le=1.0)
    user: str = ""
    verbosity: Literal["low", "medium", "high"] | None = None


_UNSUPPORTED = {
    "audio": "It answers in text only.",
    **dict.fromkeys(("function_call", "functions"), "Use 'tools' and 'tool_choice' instead."),
    **dict.fromkeys(("logprobs", "top_logprobs"), "The simulator has no probabilities to tell."),
    "web_search_options": "The simulator fetches nothing.",
}
_EXPECTED = {  # by pydantic's type of error
    "string_type": "a string",
    "bool_type": "a boolean",
    "int_type": "an integer",
    "float_type": "a decimal",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "an array of objects",
}
_OUT_OF_RANGE = {  # by pydantic's type of error: OpenAI's words and code
    "too_short": (
        "empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "empty_array",
    ),
    "too_long": (
        "array too long. Expected an array with maximum length {max_length}, but got {actual_length} instead.",
        "array_above_max_length",
    ),
    "string_pattern_mismatch": (
        "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$' and has at most "
        "64 characters.",
        "invalid_value",
    ),
    "greater_than_equal": ("{noun} below minimum value. Expected a value >= {ge:g}.", "{noun}_below_min_value"),
    "less_than_equal": ("{noun} above maximum value. Expected a value <= {le:g}.", "{noun}_above_max_value"),
}


def _api_error(error: ErrorDetails) -> ApiError:
    """Return the refusal for an error of pydantic, or of `_error`."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    path = [f"[{part}]" if isinstance(part, int) else f".{part[:60]}" for part in error["loc"]]
    param = ("".join(path) + (f".{context['at']}" if context.get("at") else "")).removeprefix(".")
    if kind == "missing":
        return missing(param)
    if kind == "extra_forbidden":
        return _unknown(param)
    if kind in _EXPECTED:
        return invalid_type(param, _EXPECTED[kind], value)
    if kind == "literal_error":
        if not isinstance(value, str):
            return invalid_type(param, "a string", value)
        return _invalid_value(param, value, context["expected"].replace(" or ", ", "))
    if kind == "invalid_type":
        return invalid_type(param, context["expected"], context["value"])
    if kind == "invalid_value":
        return _invalid_value(param, context["value"], ", ".join(f"'{name}'" for name in context["options"]))
    if kind == "invalid_schema":
        code = "invalid_function_parameters" if param.endswith(".parameters") else None
        return ApiError(400, context["text"], param=param, code=code)
    text, code = _OUT_OF_RANGE[kind]
    noun = "integer" if isinstance(context.get("ge", context.get("le")), int) else "decimal"
    text = f"Invalid '{param}': {text.format(noun=noun, **context)}"
    return ApiError(400, text, param=param, code=code.format(noun=noun))


def check_body(body: dict[str, Any], *, lenient: bool = False) -> dict[str, Any]:
    """Check every parameter but `model`, and return those that are not null.

    Args:
        body: the request's JSON.
        lenient: drop unknown parameters, and allow options without their partner, as LiteLLM does.

    Raises:
        ApiError: 400.
    """
    if "messages" not in body:
        raise missing("messages")
    params = {name: value for name, value in body.items() if value is not None or name == "messages"}
    unknown = [name for name in params if name not in _Body.model_fields and name not in _UNSUPPORTED]
    if unknown and not lenient:
        raise _unknown(unknown[0][:60])
    try:
        _Body.model_validate(params)
    except ValidationError as error:
        raise _api_error(error.errors(include_url=False)[0]) from error
    params = {name: value for name, value in params.items() if name not in unknown}
    _check_order(params["messages"])
    for name, reason in _UNSUPPORTED.items():
        if name in params and (name, params[name]) != ("logprobs", False):
            text = f"Unsupported parameter: '{name}' is not supported with this model. {reason}"
            raise ApiError(400, text, param=name, code="unsupported_parameter")
    if params.get("modalities", ["text"]) != ["text"]:
        raise ApiError(400, "This model answers in text only.", param="modalities", code="invalid_value")
    if "max_tokens" in params and "max_completion_tokens" in params:
        text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(400, text, param="max_tokens", code="invalid_parameter_combination")
    if "stream_options" in params and not params.get("stream") and not lenient:
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(400, text, param="stream_options")
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in params and "tools" not in params and not (lenient or params[name] == "none"):
            text = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
            raise ApiError(400, text, param=name)
    if "tools" in params:
        _check_tools(params["tools"], params.get("tool_choice", "auto"))
    wants_json = params.get("response_format", {}).get("type") == "json_object"
    if wants_json and not any("json" in text_of(message).lower() for message in params["messages"]):
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise ApiError(400, text, param="messages")
    return params


def _check_order(messages: list[dict[str, Any]]) -> None:
    """Check that each tool call is followed by its result, and each result belongs to a call."""
    open_ids: list[str] = []
    call_position = 0
    for i, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_ids:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise ApiError(400, f"Invalid parameter: {text}", param=f"messages.[{i}].role")
            open_ids.remove(message["tool_call_id"])
        elif open_ids:
            text = (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                + ", ".join(name[:60] for name in open_ids[:10])
            )
            raise ApiError(400, text, param=f"messages.[{call_position}].role")
        else:
            calls = message.get("tool_calls") if message["role"] == "assistant" else None
            open_ids = [call["id"] for call in calls or []]
            call_position = i


def _check_tools(tools: list[dict[str, Any]], choice: Any) -> None:
    names = [tool["function"]["name"] for tool in tools]
    for i, name in enumerate(names):
        if name in names[:i]:
            text = f"Invalid 'tools': the names of tools have to be unique, but '{name}' occurs twice."
            raise ApiError(400, text, param=f"tools[{i}].function.name", code="invalid_value")
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            raise _invalid_value("tool_choice", choice, "'none', 'auto', 'required'")
        return
    choices: Any = [choice]
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools")
        if not isinstance(allowed, dict):
            raise invalid_type("tool_choice.allowed_tools", "an object", allowed)
        if allowed.get("mode") not in ("auto", "required"):
            raise _invalid_value("tool_choice.allowed_tools.mode", str(allowed.get("mode")), "'auto', 'required'")
        choices = allowed.get("tools")
        if not isinstance(choices, list) or not choices:
            raise invalid_type("tool_choice.allowed_tools.tools", "an array of objects that is not empty", choices)
    elif choice.get("type") != "function":
        raise _invalid_value("tool_choice.type", str(choice.get("type")), "'function', 'allowed_tools'")
    for tool in choices:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise missing("tool_choice.function.name")
        if function["name"] not in names:
            text = f"Tool choice '{function['name'][:64]}' not found in 'tools' parameter."
            raise ApiError(400, text, param="tool_choice")


# --- schemas


def _check_schema(owner: str, schema: dict[str, Any] | None, strict: bool | None, at: str = "") -> None:
    """Refuse what is no JSON schema, and in strict mode also what breaks its rules."""
    if schema is None:
        return
    fault = metaschema_fault(json.dumps(schema))
    kind = schema.get("type")
    if fault is None and strict and kind != "object":
        got = kind if isinstance(kind, str) else "None"
        fault = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{got}\"'."
    elif fault is None and strict:
        fault = _strict_fault(schema, ())
    if fault is not None:
        raise _error("invalid_schema", at, text=f"Invalid schema for {owner}: {fault}")


@lru_cache(maxsize=512)
def metaschema_fault(schema: str) -> str | None:
    """Return in what a schema, as JSON, is none, in OpenAI's words; None where it is one."""
    # The check takes about a millisecond a property, and clients send the same tools again and again.
    try:
        Draft202012Validator.check_schema(json.loads(schema), format_checker=FormatChecker(["regex"]))
    except SchemaError as error:
        return f"In context={_context(tuple(map(str, error.path)))}, {error.message[:300]}."
    return None


def _strict_fault(schema: dict[str, Any], path: tuple[str, ...]) -> str | None:
    """Return where a schema breaks the rules of strict mode: objects are closed, all properties are required."""
    kind = schema.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            return f"In context={_context(path)}, 'additionalProperties' is required to be supplied and to be false."
        absent = [name for name in schema.get("properties", {}) if name not in schema.get("required", [])]
        if absent:
            text = "'required' is required to be supplied and to be an array including every key in properties."
            return f"In context={_context(path)}, {text} Missing '{absent[0]}'."
    # `not` and `if` describe values and build none.
    keys = ("items", "then", "else", "contains", "propertyNames")
    parts: list[tuple[tuple[str, ...], Any]] = [((key,), schema[key]) for key in keys if key in schema]
    for key in ("allOf", "anyOf", "oneOf", "prefixItems"):
        parts += [((key, str(i)), part) for i, part in enumerate(schema.get(key, []))]
    for key in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
        parts += [((key, name), part) for name, part in schema.get(key, {}).items()]
    faults = (_strict_fault(part, path + steps) for steps, part in parts if isinstance(part, dict))
    return next((fault for fault in faults if fault is not None), None)


def _context(path: tuple[str, ...]) -> str:
    return "(" + ", ".join(f"'{name[:40]}'" for name in path) + ("," if len(path) == 1 else "") + ")"
