"""The gateway's routes: a request → a response, pure and the same for the same request."""

from __future__ import annotations

import hashlib
import json
import re
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Any
from urllib.parse import unquote

from . import api, content
from .api import ApiError, Dialect, Request, Response, SeededChoice, image_urls, split_tokens, text_of
from .content import MAX_WORDS, Draft, Essay
from .faults import FAULTS, PREFIX, STREAM_HEADERS, Reply
from .mcp_endpoint import respond_mcp
from .prompt import Prompt, stems
from .search_tools import choose_search, narrow_prompt, read_plainly
from .validate import check_body, invalid_type, missing
from .values import ExampleBuilder, Unsatisfiable
from .written_schema import cut_schemas, find_schema

__all__ = ["MODELS", "respond"]

MODELS: dict[str, str] = {  # model that is asked for → deployed model that answers; the default comes first
    "azure/gpt-5.4": "gpt-5.4-2026-03-05",
    "azure/gpt-5.4-mini": "gpt-5.4-mini-2026-03-17",
    "azure/gpt-5.4-nano": "gpt-5.4-nano-2026-03-17",
}
MAX_CHARS = 200_000  # of all choices together
MAX_CALLS = 16
_MODELS_CREATED = 1_772_668_800
_COMPLETION_DETAILS = ("accepted_prediction_tokens", "audio_tokens", "reasoning_tokens", "rejected_prediction_tokens")
_CORRECTION = "This does not fit the schema."  # begins the message by which a client asks for a corrected reply
# Words that say nothing about what a tool is for.
_GENERIC = stems(
    "get set find fetch search look lookup list create make do run execute call compute calculate return value data "
    "info information given use tool function new add update check show read write specified location city state"
) | {"current"}
_NUMERIC_KEYS = ("age", "year", "price", "rating", "score", "count", "quantity", "stars", "number", "amount")
_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties|attributes)\b:?\s+"
    r"((?:[\"'`]?\w+[\"'`]?(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*$|(?=\W)))+)"
)


def respond(
    request: Request, *, dialect: Dialect = "openai", max_body_bytes: int = api.MAX_BODY_BYTES, drift: int = 0
) -> Response:
    """Return the response to a request; it depends on the arguments alone, and nothing is raised.

    The model `fault/<name>` answers with a fault of `FAULTS`.

    Args:
        request: the request; its path is relative to the base URL, such as `/chat/completions`, or `/mcp/`.
        dialect: `openai` keeps to OpenAI's format; `litellm` differs from it where that proxy does.
        max_body_bytes: a longer body is refused with 413.
        drift: above 0, a later version of the model answers, and says something else; each number is a version.

    Example:
        respond(Request("GET", "/models", {"authorization": "Bearer ambrs-test"})).status  # 200
    """
    try:
        return _route(request, dialect == "litellm", max_body_bytes, drift)
    except ApiError as error:
        return error.response(dialect)
    except RecursionError:
        return ApiError(400, "The request is nested too deeply.", code="invalid_request").response(dialect)


def _route(request: Request, litellm: bool, max_body_bytes: int, drift: int) -> Response:
    path = request.path.partition("?")[0]
    if path == api.MCP_PATH:
        return respond_mcp(request, max_body_bytes=max_body_bytes)
    is_model = path == "/models" or path.startswith("/models/")
    if not is_model and path != "/chat/completions":
        url = path.removeprefix("/unknown")[:200]
        text = f"Unknown request URL: {request.method} {url}. Please check the URL for typos."
        raise ApiError(404, text, code="unknown_url")
    method = "GET" if is_model else "POST"
    if request.method != method:
        text = f"Not allowed to {request.method[:20]} on {path[:200]}. (HINT: Perhaps you meant to use {method}?)"
        raise ApiError(405, text, code="method_not_supported", allow=method)
    api.check_key(request.headers.get("authorization"))
    if len(request.body) > max_body_bytes:
        raise api.too_large(max_body_bytes)
    if is_model:
        return _json_response(_list_models(unquote(path.removeprefix("/models").removeprefix("/")), litellm))
    return _chat(api.parse_body(request.body), litellm, drift, request.headers.get("x-stainless-retry-count", ""))


def _json_response(value: Any) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(200, {"content-type": "application/json", "x-request-id": _request_id(body)}, body)


def _request_id(data: bytes) -> str:
    return "req_" + hashlib.sha256(data).hexdigest()[:32]


def _list_models(name: str, litellm: bool) -> dict[str, Any]:
    cards = [
        {"id": model, "object": "model", "created": _MODELS_CREATED, "owned_by": model.partition("/")[0]}
        for model in MODELS
    ]
    if not name:
        return {"object": "list", "data": cards}
    _check_model(name, litellm)
    return next(card for card in cards if card["id"] == name)


def _check_model(name: str, litellm: bool) -> None:
    if name in MODELS:
        return
    near = get_close_matches(name.removeprefix(PREFIX), FAULTS, cutoff=0.5) if name.startswith(PREFIX) else []
    suggestion = " Did you mean " + " or ".join(f"`{PREFIX}{fault}`" for fault in near) + "?" if near else ""
    if litellm:
        text = f"Invalid model name passed in model={name[:100]}. Call `/v1/models` to view available models."
        raise ApiError(400, text + suggestion, param="model")
    text = f"The model `{name[:100]}` does not exist or you do not have access to it."
    raise ApiError(404, text + suggestion, code="model_not_found")


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
    params = check_body(body, lenient=litellm)
    completion = _Completion(params, MODELS[model], drift).build()
    streamed = bool(params.get("stream"))
    include_usage = bool((params.get("stream_options") or {}).get("include_usage"))
    if fault is not None:
        earlier = int(attempt) if attempt.isdecimal() and len(attempt) < 9 else 0
        return fault.respond(Reply(completion, streamed, include_usage, litellm, earlier))
    if not streamed:
        return _json_response(completion)
    headers = {**STREAM_HEADERS, "x-request-id": _request_id(completion["id"].encode())}
    role = params["messages"] != content.HELLO_MESSAGES
    events = api.completion_events(completion, include_usage=include_usage, litellm=litellm, role=role)
    return Response(200, headers, events=events)


class _Completion:
    """Build the completion of a valid request; an image or a schema may still be refused."""

    def __init__(self, params: dict[str, Any], deployed: str, drift: int) -> None:
        self._params = params
        self._messages: list[dict[str, Any]] = params["messages"]
        self._drift = drift
        self._deployed = content.later_version(deployed, drift) if drift else deployed
        self._choice_count = params.get("n", 1)
        asking = ("system", "developer", "user")
        self._written_schema = find_schema([text_of(m) for m in self._messages if m["role"] in asking])
        kind = (params.get("response_format") or {}).get("type", "text")
        self._wants_json = kind != "text" or self._written_schema is not None
        self._functions, self._must_call = _usable_functions(params)
        # The same request, streamed or not, has the same answer and the same id.
        relevant = {name: value for name, value in params.items() if name not in ("stream", "stream_options")}
        key = hashlib.sha256(json.dumps(relevant, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
        self._key = hashlib.sha256(f"{key}/{drift}".encode()).hexdigest() if drift else key
        self._images = api.read_images(image_urls(self._messages))
        prompts = [text_of(message) for message in self._messages if message["role"] == "user"]
        prompt = next((text for text in reversed(prompts) if not text.startswith(_CORRECTION)), "")
        self._prompt = Prompt(prompt if self._written_schema is None else cut_schemas(prompt))

    @cached_property
    def _report(self) -> str:
        return content.describe_request(self._params, self._images)

    def build(self) -> dict[str, Any]:
        """Return the completion as JSON-ready data."""
        documented = self._documented_draft()
        choices = []
        completion_tokens = 0
        for index in range(self._choice_count):
            draft = documented or self._draft(SeededChoice(f"{self._key}/{index}"), index + self._drift)
            if self._drift:
                draft = self._apply_drift(draft)
            choice, tokens = self._choice(draft, index)
            choices.append(choice)
            completion_tokens += tokens
        prompt_tokens = draft.prompt_tokens or self._prompt_tokens()
        return {
            "id": draft.completion_id or "chatcmpl-" + api.random_id(self._key, 29),
            "choices": choices,
            "created": draft.created or 1_770_000_000 + int(self._key[:6], 16) % 10_000_000,
            "model": self._deployed,
            "object": "chat.completion",
            "service_tier": "default",
            "system_fingerprint": "",
            "usage": {
                "completion_tokens": completion_tokens,
                "prompt_tokens": prompt_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
                "completion_tokens_details": dict.fromkeys(_COMPLETION_DETAILS),
                "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 0},
            },
        }

    def _documented_draft(self) -> Draft | None:
        """Return the documented reply, unless a parameter rules it out."""
        last = self._messages[-1]
        if last["role"] != "user":
            return None
        names = [function["name"] for function in self._functions]
        draft = content.documented_reply(text_of(last), [url for url, _ in image_urls([last])], names)
        if draft is None or (self._must_call and not draft.calls) or self._wants_json != draft.is_json:
            return None
        values = [(self._parameters(name), arguments) for name, arguments in draft.calls]
        if draft.is_json:
            schema = self._schema()
            values = [(False if schema is None else schema, draft.content or "")]
        return draft if all(_is_valid(schema, json.loads(value)) for schema, value in values) else None

    def _parameters(self, name: str) -> Any:
        return next(function for function in self._functions if function["name"] == name).get("parameters") or {}

    def _apply_drift(self, draft: Draft) -> Draft:
        calls = tuple(
            (name, content.change_argument(arguments, self._drift, partial(_is_valid, self._parameters(name))))
            for name, arguments in draft.calls
        )
        if draft.content is None or self._wants_json:  # JSON differs by its index, and must stay valid
            return Draft(draft.content, calls=calls)
        return Draft(content.rephrase(draft.content, self._drift), calls=calls)

    def _draft(self, choices: SeededChoice, index: int) -> Draft:
        results = _tool_results(self._messages)
        functions, must_call = self._functions, self._must_call
        if results:
            # A forced tool is called only if it has not run yet: clients that force it in every round would otherwise
            # never get an answer.
            names = {name for name, _, _ in results}
            is_forced = must_call and isinstance(self._params.get("tool_choice"), dict)
            functions = [function for function in functions if function["name"] not in names] if is_forced else []
            must_call = bool(functions)
        max_chars = MAX_CHARS // self._choice_count
        if functions:
            calls = self._calls(functions, must_call, max_chars)
            if calls:
                return Draft(calls=calls)
        if self._wants_json:
            prompt = self._prompt
            if results:
                prompt = Prompt(prompt.text + ":\n" + "\n".join(read_plainly(result) for _, _, result in results))
            return Draft(self._json(prompt, index, max_chars), is_json=True)
        if results:
            return Draft(content.describe_results(results))
        words = content.word_count(self._prompt)
        if words is not None:
            return Draft(Essay(self._prompt, choices).write(min(words, MAX_WORDS // self._choice_count)))
        return Draft(f"{choices.choice(content.INTRODUCTIONS)}\n\n{self._report}")

    def _calls(self, functions: list[dict[str, Any]], must_call: bool, max_chars: int) -> tuple[tuple[str, str], ...]:
        """Return calls of the tools that the prompt asks for; several places are several calls."""
        parallel = self._params.get("parallel_tool_calls", True)
        calls: list[tuple[str, str]] = []
        try:
            for function in _pick_functions(self._prompt, functions) or functions[: int(must_call)]:
                schema = function.get("parameters") or {"type": "object", "properties": {}}
                prompt = narrow_prompt(self._prompt, function)
                places = self._prompt.places if parallel and _takes_one_place(schema) else []
                for index in range(max(1, len(places))):
                    builder = ExampleBuilder(schema, prompt, optional=False, max_chars=max_chars)
                    value = builder.build(index)
                    if must_call and not value:  # a typed answer, forced as a tool, says something
                        value = ExampleBuilder(schema, prompt, max_chars=max_chars).build(index)
                    arguments = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
                    calls.append((function["name"], arguments))
        except Unsatisfiable as error:
            text = f"Invalid schema for a function in 'tools': {error}."
            raise ApiError(400, text, param="tools", code="invalid_function_parameters") from error
        return tuple(dict.fromkeys(calls))[: MAX_CALLS if parallel else 1]

    def _schema(self) -> dict[str, Any] | None:
        """Return the schema that the reply must fit: that of `response_format`, or one written into a prompt."""
        spec = self._params.get("response_format") or {}
        schema: dict[str, Any] | None = (spec.get("json_schema") or {}).get("schema")
        return schema if spec.get("type") == "json_schema" and schema is not None else self._written_schema

    def _json(self, prompt: Prompt, index: int, max_chars: int) -> str:
        schema = self._schema()
        try:
            builder = ExampleBuilder(_schema_of_keys(prompt) if schema is None else schema, prompt, max_chars=max_chars)
            value = builder.build(index)
        except Unsatisfiable as error:
            if schema is not None and schema is self._written_schema:  # a model would make something of it
                return json.dumps(ExampleBuilder(_schema_of_keys(prompt), prompt).build(index), ensure_ascii=False)
            name = (self._params["response_format"].get("json_schema") or {}).get("name", "")
            text = f"Invalid schema for response_format '{name}': {error}."
            raise ApiError(400, text, param="response_format") from error
        return json.dumps(value, ensure_ascii=False)

    def _choice(self, draft: Draft, index: int) -> tuple[dict[str, Any], int]:
        """Cut a draft at `stop` and at the token limit; return the choice and its number of tokens."""
        text = draft.content
        finish_reason = "tool_calls" if draft.calls else "stop"
        stop = self._params.get("stop", [])
        for ending in [stop] if isinstance(stop, str) else stop:
            if text is not None and ending:
                text = text.partition(ending)[0]
        limit = self._params.get("max_completion_tokens", self._params.get("max_tokens", 10**9))
        tokens = split_tokens(text or "")
        if len(tokens) > limit:
            text = "".join(tokens[:limit])
            finish_reason = "length"
        count = min(len(tokens), limit)
        calls: list[dict[str, Any]] = []
        for number, (name, arguments) in enumerate(draft.calls):
            tokens = split_tokens(arguments)
            if count + len(tokens) > limit:
                tokens = tokens[: limit - count]
                finish_reason = "length"
            count += len(tokens)
            documented_id = draft.call_id if index == 0 else None
            call_id = documented_id or "call_" + api.random_id(f"{self._key}/{index}/{number}", 24)
            function = {"arguments": "".join(tokens), "name": name}
            calls.append({"id": call_id, "function": function, "type": "function", "index": number})
            if finish_reason == "length":
                break
        if draft.completion_tokens and finish_reason != "length":
            count = draft.completion_tokens
        message = {
            "content": text,
            "refusal": None,
            "role": "assistant",
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": calls or None,
        }
        return {"finish_reason": finish_reason, "index": index, "logprobs": None, "message": message}, count

    def _prompt_tokens(self) -> int:
        """Estimate the prompt's tokens: a quarter of the characters, and something for each message and image."""
        characters = sum(len(text_of(message)) for message in self._messages)
        characters += len(json.dumps(self._params.get("tools") or "", ensure_ascii=False))
        return 3 + characters // 4 + 4 * len(self._messages) + 170 * len(self._images)


def _is_valid(schema: Any, value: Any) -> bool:
    return ExampleBuilder(schema, Prompt("")).is_valid(value)


def _tool_results(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return name, arguments and result of the tool calls since the last user message; none unless they come last."""
    if messages[-1]["role"] != "tool":
        return []
    calls: dict[str, tuple[str, str]] = {}
    results: list[tuple[str, str, str]] = []
    for message in messages:
        if message["role"] == "user":
            results = []
        for call in message.get("tool_calls") or [] if message["role"] == "assistant" else []:
            calls[call["id"]] = (call["function"]["name"], call["function"]["arguments"])
        if message["role"] == "tool":
            results.append((*calls[message["tool_call_id"]], text_of(message)))
    return results


def _usable_functions(params: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Return the functions that `tool_choice` leaves, and whether one of them must be called."""
    functions = [tool["function"] for tool in params.get("tools") or []]
    choice = params.get("tool_choice", "auto")
    if choice == "none":
        return [], False
    if isinstance(choice, str):
        return functions, choice == "required" and bool(functions)
    allowed = choice.get("allowed_tools") or {"mode": "required", "tools": [choice]}
    names = [tool["function"]["name"] for tool in allowed["tools"]]
    return [function for function in functions if function["name"] in names], allowed["mode"] == "required"


def _pick_functions(prompt: Prompt, functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the functions that a prompt asks for, in their given order: each must answer to words of its own."""
    scores = [(*_score(prompt, function), function) for function in functions]
    selection: list[dict[str, Any]] = []
    used_words: set[str] = set()
    enough = 1 if len(functions) == 1 else 2
    for score, words, function in sorted(scores, key=lambda item: -item[0]):
        if score >= enough and (not selection or (words - used_words and score >= 3)):
            selection.append(function)
        if score >= 2:
            used_words |= words
    selection = choose_search(prompt, functions, selection, lambda function: _score(prompt, function)[0])
    return [function for function in functions if function in selection]


def _score(prompt: Prompt, function: dict[str, Any]) -> tuple[float, set[str]]:
    """Return how well a function fits a prompt, and which words of the prompt it answers to; its name counts most."""
    name_words = stems(function["name"])
    name_words = (name_words - _GENERIC) or name_words
    by_name = name_words & prompt.stems
    by_description = (stems(function.get("description") or "") - _GENERIC - name_words) & prompt.stems
    properties = (function.get("parameters") or {}).get("properties", {})
    by_parameter = (stems(" ".join(list(properties)[:50])) - _GENERIC - name_words - by_description) & prompt.stems
    score = 3 * len(by_name) + len(by_description) + 0.5 * len(by_parameter)
    if re.search(rf"(?<!\w){re.escape(function['name'].lower())}(?!\w)", prompt.lower):
        score += 5
    numeric = [
        part for part in properties.values() if isinstance(part, dict) and part.get("type") in ("number", "integer")
    ]
    if numeric and len(numeric) == len(properties) <= len(prompt.numbers):  # "What is 3 plus 4?", and a function of two
        score += 2
    return score, by_name or by_description


def _takes_one_place(schema: dict[str, Any]) -> bool:
    """Return whether a tool has exactly one text parameter for a place: two places are then two calls."""
    place_words = stems("city location place country town address capital region")
    texts = [
        name
        for name, part in schema.get("properties", {}).items()
        if isinstance(part, dict) and part.get("type", "string") == "string" and "enum" not in part
    ]
    return sum(bool(stems(name) & place_words) for name in texts) == 1


def _schema_of_keys(prompt: Prompt) -> dict[str, Any]:
    """Return a schema with the keys that a prompt lists ("JSON with the keys name and age"), or one of our own."""
    match = _KEYS.search(prompt.text)
    names = [name for name in re.findall(r"\w+", match[1]) if name not in ("and", "the")][:20] if match else []
    properties: dict[str, Any] = {
        name: {"type": "number" if name.lower() in _NUMERIC_KEYS else "string"} for name in names
    } or {"simulated": {"const": True}, "prompt": {"type": "string", "maxLength": 200}}
    return {"type": "object", "properties": properties, "required": list(properties)}
