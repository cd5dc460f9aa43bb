"""Fixtures that ask the simulator in process, without a port."""

import json

import pytest

from amber_nb.simulator import Request, respond

KEY = {"authorization": "Bearer ambrs-test"}


@pytest.fixture(scope="session")
def post():
    """Send a request and return (status, JSON); a string becomes the only user message, `body=` is sent as it is."""

    def send(prompt="Hi", *, body=None, dialect="openai", **params):
        if body is None:
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            body = {"model": "azure/gpt-5.4", "messages": messages, **params}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = respond(Request("POST", "/chat/completions", KEY, data), dialect=dialect)
        assert response.events is None
        return response.status, json.loads(response.body)

    return send


@pytest.fixture(scope="session")
def say(post):
    """Send a prompt and return the message of the first choice."""

    def send(prompt, **params):
        status, reply = post(prompt, **params)
        assert status == 200, reply
        return reply["choices"][0]["message"]

    return send


@pytest.fixture(scope="session")
def stream():
    """Send a prompt with `stream=True` and return the chunks; the last event has to be [DONE]."""

    def send(prompt, *, dialect="openai", **params):
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body = {"model": "azure/gpt-5.4", "messages": messages, "stream": True, **params}
        response = respond(Request("POST", "/chat/completions", KEY, json.dumps(body).encode()), dialect=dialect)
        assert response.status == 200, response.body
        assert response.events[-1] == b"data: [DONE]\n\n"
        assert all(event.startswith(b"data: ") and event.endswith(b"\n\n") for event in response.events)
        return [json.loads(event[6:]) for event in response.events[:-1]]

    return send
