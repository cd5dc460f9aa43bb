"""The usage log reads what a reply used from wherever a gateway tells it."""

import json

import httpx2
import pytest

from amber_nb.wire.usage import UsageLog

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 3}}


def row_of(body, kind):
    log = UsageLog("live")
    reply = httpx2.Response(200, content=body, headers={"content-type": kind})
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: reply), event_hooks=log.hooks()) as http:
        http.post("https://gateway.invalid/v1", json={"model": "asked"})
    return log.rows[0]


def whole(**fields):
    return row_of(json.dumps({"model": "m", **fields}), "application/json")


def streamed(*events):
    return row_of("".join(events) + "data: [DONE]\n\n", "text/event-stream")


def event(data, name=""):
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"


HOLDERS = [
    {"usage": USAGE},
    {"x_groq": {"id": "r", "usage": USAGE}},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
    {"usage": {}, "choices": [{"index": 0, "usage": USAGE}]},
    {"usage": None, "x_groq": {"usage": USAGE}, "choices": [None]},
]


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("has_model", [True, False])
def test_a_usage_is_found_wherever_it_is(holder, has_model):
    text = {"model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    for row in (whole(**holder), streamed(event(text), event({**({"model": "m"} if has_model else {}), **holder}))):
        assert (row.prompt_tokens, row.completion_tokens, row.total_tokens) == (5, 7, 12)
        assert row.model == "m"
        assert row.charge.usage == USAGE
        assert row.charge.models == ("asked", "m")


def test_an_event_may_be_the_usage():
    text = event({"model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]})
    for data in (USAGE, {"usage": USAGE}):
        row = streamed(text, event(data, "usage"))
        assert (row.model, row.total_tokens) == ("m", 12)
    assert streamed(text, event(USAGE, "progress")).total_tokens is None
    assert streamed(event("x", "usage"), event(USAGE)).total_tokens is None


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        (CACHED, 3),
        ({**USAGE, "prompt_cache_hit_tokens": 3}, 3),
        ({**USAGE, "cache_read_input_tokens": "3"}, 3),
        ({**USAGE, "cached_tokens": 3}, 3),
        ({**USAGE, "cached_tokens": 0}, 0),
        ({**USAGE, "prompt_tokens_details": [3]}, None),
        (USAGE, None),
    ],
)
def test_cached_tokens_are_known_where_somebody_tells_them(usage, cached):
    assert whole(usage=usage).cached_tokens == cached
