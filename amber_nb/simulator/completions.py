"""A checked request → the completion: what kind of reply it gets, cut to its limits, with ids and usage."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .deltas import pieces
from .dice import Dice, letters
from .documented import Documented, find_documented
from .drift import other_arguments, redated, reworded
from .errors import ApiError
from .essay import MAX_WORDS, essay, wanted_words
from .instances import Maker
from .messages import image_urls, last_user, text_of
from .pictures import read_pictures
from .prose import facts, opening
from .schemas import Schema, Unsatisfiable
from .toolcalls import Call, answer_from_results, plan_calls, usable_tools
from .words import Prompt

__all__ = ["complete"]

MAX_CHARACTERS = 200_000  # of all choices together


@dataclass(frozen=True, slots=True)
class _Draft:
    """What one choice would say without limits: a text or calls."""

    content: str | None = None
    calls: tuple[Call, ...] = ()
    documented: Documented | None = None


def complete(given: dict[str, Any], deployed: str, drift: int = 0) -> dict[str, Any]:
    """Give the completion of a checked request.

    Args:
        given: the parameters that are set.
        deployed: the name of the model that answers.
        drift: above 0, it has changed since, and answers otherwise; each number is another one.

    Raises:
        ApiError: 400, for images that are none and schemas that no value was found for.
    """
    # The same request, streamed or not, has the same answer and the same id.
    telling = {name: value for name, value in given.items() if name not in ("stream", "stream_options")}
    key = hashlib.sha256(json.dumps(telling, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    pictures = read_pictures(image_urls(given["messages"]))
    if drift:
        key = hashlib.sha256(f"{key}/{drift}".encode()).hexdigest()
        deployed = redated(deployed, drift)
    documented = _documented(given)
    prompt = Prompt(text_of(last_user(given["messages"])))
    told = cache(lambda: facts(given, pictures))  # the same for every choice
    choices = []
    completion_tokens = 0
    n = given.get("n", 1)
    for index in range(n):
        seed = f"{key}/{index}"
        draft = documented or _draft(given, prompt, told, Dice(seed), index + drift, n)
        if drift:
            draft = _drifted(draft, given, drift)
        choice, spent = _choice(draft, given, index, seed)
        choices.append(choice)
        completion_tokens += spent
    page = documented.documented if documented and documented.documented and not drift else Documented()
    prompt_tokens = page.prompt_tokens or _prompt_tokens(given)
    return {
        "id": page.completion_id or "chatcmpl-" + letters(key, 29),
        "choices": choices,
        "created": page.created or 1_770_000_000 + int(key[:6], 16) % 10_000_000,
        "model": deployed,
        "object": "chat.completion",
        "service_tier": "default",
        "system_fingerprint": "",
        "usage": {
            "completion_tokens": completion_tokens,
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "completion_tokens_details": {
                "accepted_prediction_tokens": None,
                "audio_tokens": None,
                "reasoning_tokens": None,
                "rejected_prediction_tokens": None,
            },
            "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 0},
        },
    }


def _wants_json(given: dict[str, Any]) -> bool:
    return bool(given.get("response_format", {}).get("type", "text") != "text")


def _documented(given: dict[str, Any]) -> _Draft | None:
    """Give the reply of the vendor's page, unless a parameter rules it out."""
    messages = given["messages"]
    if messages[-1]["role"] != "user" or _wants_json(given):
        return None
    functions, must = usable_tools(given)
    urls = [url for url, _ in image_urls(messages, of=messages[-1])]
    found = find_documented(text_of(messages[-1]), urls, [function["name"] for function in functions])
    if found is None or (must and found.tool_name is None):
        return None
    if found.tool_name is None or found.tool_arguments is None:
        return _Draft(found.content, documented=found)
    schema = next(item for item in functions if item["name"] == found.tool_name).get("parameters") or {}
    try:
        fits = Schema(schema).valid(schema, json.loads(found.tool_arguments))
    except Unsatisfiable:
        fits = False
    return _Draft(calls=(Call(found.tool_name, found.tool_arguments),), documented=found) if fits else None


def _drifted(draft: _Draft, given: dict[str, Any], drift: int) -> _Draft:
    schemas = {item["name"]: item.get("parameters") or {} for item in usable_tools(given)[0]}
    calls = [replace(c, arguments=other_arguments(c.arguments, schemas[c.name], drift)) for c in draft.calls]
    # JSON was made another way already, and must stay what its schema says.
    content = draft.content if draft.content is None or _wants_json(given) else reworded(draft.content, drift)
    return _Draft(content, tuple(calls))


def _draft(given: dict[str, Any], prompt: Prompt, told: Callable[[], str], dice: Dice, index: int, n: int) -> _Draft:
    messages = given["messages"]
    results = _results(messages)
    functions, must = usable_tools(given)
    if results:
        # A forced choice is kept only for a tool that has not run yet: clients that force it on every round would
        # otherwise go round for ever.
        ran = {name for name, _, _ in results}
        forced = given.get("tool_choice", "auto")
        functions = [item for item in functions if item["name"] not in ran] if isinstance(forced, dict) and must else []
        must = bool(functions)
    if functions:
        calls = _calls(prompt, functions, must, given.get("parallel_tool_calls", True), MAX_CHARACTERS // n)
        if calls:
            return _Draft(calls=calls)
    if _wants_json(given):
        if results:
            prompt = Prompt(prompt.text + ":\n" + "\n".join(result for _, _, result in results))
        return _Draft(_instance(given["response_format"], prompt, index, MAX_CHARACTERS // n))
    if results:
        return _Draft(answer_from_results(results))
    words = wanted_words(prompt)
    if words is not None:
        return _Draft(essay(prompt, min(words, MAX_WORDS // n), dice))
    return _Draft(f"{opening(dice)}\n\n{told()}")


def _results(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Give name, arguments and result of the tool calls since the last user message, if the results are the last."""
    if messages[-1]["role"] != "tool":
        return []
    asked: dict[str, tuple[str, str]] = {}
    results: list[tuple[str, str, str]] = []
    for message in messages:
        if message["role"] == "user":
            results = []
        for call in message.get("tool_calls") or [] if message["role"] == "assistant" else []:
            asked[call["id"]] = (call["function"]["name"], call["function"]["arguments"])
        if message["role"] == "tool":
            results.append((*asked[message["tool_call_id"]], text_of(message)))
    return results


def _calls(prompt: Prompt, functions: list[dict[str, Any]], must: bool, parallel: bool, room: int) -> tuple[Call, ...]:
    try:
        return tuple(plan_calls(prompt, functions, must=must, parallel=parallel, room=room))
    except Unsatisfiable as error:
        text = f"Invalid schema for a function in 'tools': {error}."
        raise ApiError(400, text, param="tools", code="invalid_function_parameters") from error


def _instance(wanted: dict[str, Any], prompt: Prompt, index: int, room: int) -> str:
    spec = wanted.get("json_schema") or {}
    schema = spec.get("schema") if wanted["type"] == "json_schema" else _asked_keys(prompt)
    if schema is None:
        schema = _asked_keys(prompt)
    try:
        value = Maker(schema, prompt, room=room).make(index)
    except Unsatisfiable as error:
        text = f"Invalid schema for response_format '{spec.get('name', '')}': {error}."
        raise ApiError(400, text, param="response_format") from error
    return json.dumps(value, ensure_ascii=False)


def _asked_keys(prompt: Prompt) -> dict[str, Any]:
    """Give a schema with the keys that a prompt lists: "JSON with the keys name and age"."""
    match = re.search(
        r"\b(?:keys?|fields?|properties|attributes)\b:?\s+((?:[\"'`]?\w+[\"'`]?(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*$|(?=\W)))+)",
        prompt.text,
    )
    names = [name for name in re.findall(r"\w+", match[1]) if name not in ("and", "the")][:20] if match else []
    if not names:
        return {
            "type": "object",
            "properties": {"simulated": {"const": True}, "prompt": {"type": "string", "maxLength": 200}},
            "required": ["simulated", "prompt"],
        }
    numeric = ("age", "year", "price", "rating", "score", "count", "quantity", "stars", "number", "amount")
    return {
        "type": "object",
        "properties": {name: {"type": "number" if name.lower() in numeric else "string"} for name in names},
        "required": names,
    }


def _choice(draft: _Draft, given: dict[str, Any], index: int, seed: str) -> tuple[dict[str, Any], int]:
    """Cut a draft at `stop` and at the token limit; give the choice and the tokens that it took."""
    content = draft.content
    finish_reason = "tool_calls" if draft.calls else "stop"
    if content is not None:
        stop = given.get("stop", [])
        for ending in [stop] if isinstance(stop, str) else stop:
            content = content.partition(ending)[0] if ending else content
    limit = given.get("max_completion_tokens", given.get("max_tokens", 10**9))
    parts = pieces(content or "")
    if len(parts) > limit:
        parts = parts[:limit]
        content = "".join(parts)
        finish_reason = "length"
    spent = len(parts)
    calls: list[dict[str, Any]] = []
    for j, call in enumerate(draft.calls):
        arguments = pieces(call.arguments)
        if spent + len(arguments) > limit:
            arguments = arguments[: limit - spent]
            finish_reason = "length"
        spent += len(arguments)
        call_id = draft.documented.tool_call_id if draft.documented and index == 0 else None
        calls.append(
            {
                "id": call_id or "call_" + letters(f"{seed}/{j}", 24),
                "function": {"arguments": "".join(arguments), "name": call.name},
                "type": "function",
                "index": j,
            }
        )
        if finish_reason == "length":
            break
    if draft.documented and draft.documented.completion_tokens and finish_reason != "length":
        spent = draft.documented.completion_tokens
    message = {
        "content": content,
        "refusal": None,
        "role": "assistant",
        "annotations": None,
        "audio": None,
        "function_call": None,
        "tool_calls": calls or None,
    }
    return {"finish_reason": finish_reason, "index": index, "logprobs": None, "message": message}, spent


def _prompt_tokens(given: dict[str, Any]) -> int:
    """Estimate the tokens of the prompt: a quarter of the characters, something for each message and image."""
    messages = given["messages"]
    characters = sum(len(text_of(message)) for message in messages)
    characters += len(json.dumps(given.get("tools") or "", ensure_ascii=False))
    return 3 + characters // 4 + 4 * len(messages) + 170 * len(image_urls(messages))
