"""The notes on SDK errors, and the mask over a key that a gateway echoes."""

import json
import socket
import ssl
import threading

import httpx2
import openai
import pytest
import trustme

from amber_nb import Amber
from amber_nb.error_body import summarize
from amber_nb.errors import BadReply, annotate
from amber_nb.wire.models import read_models

KEY = "ambrs-exampletoken"


def caught(amber, **ask):
    with pytest.raises(openai.OpenAIError) as info:
        amber.ask("Hello!", **ask)
    return info.value, "\n".join(info.value.__notes__)


@pytest.mark.parametrize(
    ("ask", "kind", "says"), [({"model": "azure/nonesuch"}, openai.NotFoundError, "amber.models()")]
)
def test_the_note_says_what_to_do_next(amber, ask, kind, says):
    error, note = caught(amber, **ask)
    assert isinstance(error, kind)
    assert says in note


def test_a_key_that_is_not_accepted(gateway):
    error, note = caught(Amber(base_url=gateway.base_url, api_key="malformed-secret", max_retries=0))
    assert isinstance(error, openai.AuthenticationError)
    assert "ambrs-" in note
    assert "amber-nb login" in note
    assert "malformed-secret" not in f"{error} {error.body} {error.message} {note}"


def answering(status, headers="", body="{}"):
    """A server that gives every request the same answer; returns its base URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}"
                    f"Connection: close\r\n\r\n{body}".encode()
                )

    threading.Thread(target=serve, daemon=True).start()
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("status", "headers", "kind", "says"),
    [
        (401, "", openai.AuthenticationError, "does not accept the key"),
        (403, "", openai.PermissionDeniedError, "administrator"),
        (404, "", openai.NotFoundError, "AMBER_DOMAIN"),
        (429, "Retry-After: 7\r\n", openai.RateLimitError, "try again in 7 s"),
        (429, "", openai.RateLimitError, "slow down"),
        (500, "", openai.InternalServerError, "Try again"),
        (503, "", openai.InternalServerError, "Try again"),
    ],
)
def test_every_status_has_its_remedy(status, headers, kind, says):
    body = f'{{"error": {{"message": "bad key {KEY}", "type": null, "code": "{status}"}}}}'
    listening, url = answering(status, headers, body)
    with listening:
        error, note = caught(Amber(base_url=url, api_key=KEY, max_retries=0))
        listening.shutdown(socket.SHUT_RDWR)
    assert isinstance(error, kind)
    assert says in note
    assert KEY not in f"{error!r} {error} {error.body} {error.message} {note}"
    assert "***" in str(error)


LITELLM = "LiteLLM: model group 'x' failed with the error above."


@pytest.mark.parametrize(
    ("status", "message", "says"),
    [
        (400, "/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view …", "amber.models()"),
        (401, f"litellm.AuthenticationError: AuthenticationError: OpenAIException - no key. {LITELLM}", "not at fault"),
        (403, f"litellm.PermissionDeniedError: OpenAIException - no. {LITELLM}", "not at fault"),
        (404, f"litellm.NotFoundError: AzureException - The API deployment does not exist. {LITELLM}", "not at fault"),
        (401, "key not allowed to access model. This key can only access models=['y']", "may not use this model"),
        (401, "Authentication Error, Invalid proxy server token passed.", "does not accept the key"),
        (400, "No connected db.", "does not accept the key"),
    ],
)
def test_a_proxys_words_say_more_than_its_status(status, message, says):
    body = json.dumps({"error": {"message": message, "type": None, "param": None, "code": str(status)}})
    listening, url = answering(status, body=body)
    with listening:
        _, note = caught(Amber(base_url=url, api_key=KEY, max_retries=0))
        listening.shutdown(socket.SHUT_RDWR)
    assert says in note
    assert ("does not accept the key" in note) == (says == "does not accept the key")


@pytest.mark.parametrize("status", [403, 404, 405, 501])
def test_a_missing_list_of_models_does_not_send_to_that_list(status):
    listening, url = answering(status)
    with listening:
        with pytest.raises(openai.APIStatusError) as info:
            Amber(base_url=url, api_key=KEY, max_retries=0).models()
        listening.shutdown(socket.SHUT_RDWR)
    (note,) = info.value.__notes__
    assert "amber.models()" not in note
    assert "does not list its models" in note


def test_an_unreachable_host():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error, note = caught(Amber(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0))
    assert isinstance(error, openai.APIConnectionError)
    assert "cannot be reached" in note


def test_a_wrong_domain(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error, note = caught(Amber(domain="acmee", api_key=KEY, max_retries=0))
    assert isinstance(error, openai.APIConnectionError)
    assert "no host of that name: https://acmee.ambersearch.de" in note


def test_a_certificate_that_is_not_trusted():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listening.accept()
        with connection:
            try:
                context.wrap_socket(connection, server_side=True).close()
            except (OSError, ssl.SSLError):
                return

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with listening:
        error, note = caught(
            Amber(base_url=f"https://127.0.0.1:{listening.getsockname()[1]}/v1", api_key=KEY, max_retries=0)
        )
        server.join(5)
    assert isinstance(error, openai.APIConnectionError)
    assert "SSL_CERT_FILE" in note


def test_no_answer_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        amber = Amber(
            base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1", api_key=KEY, max_retries=0, timeout_s=0.05
        )
        error, note = caught(amber)
    assert isinstance(error, openai.APITimeoutError)
    assert "timeout_s" in note


def test_models_explains_too(gateway):
    with pytest.raises(openai.AuthenticationError) as info:
        Amber(base_url=gateway.base_url, api_key="wrong", max_retries=0).models()
    assert "does not accept the key" in info.value.__notes__[0]


@pytest.mark.parametrize("length", [0, *range(176, 202), *range(276, 302), *range(476, 502)])
@pytest.mark.parametrize("form", ['{{"error": {{"message": "{}"}}}}', "{}", '{{"detail": [{{"msg": "{}"}}]}}'])
def test_no_piece_of_the_key_is_told_where_a_text_is_cut(length, form):
    """The beginning of every key, which is no secret, may stay."""
    said = form.format(f"{'x' * length} {KEY} is wrong")
    request = httpx2.Request("POST", "https://a.example/v1")
    refused = openai.BadRequestError("no", response=httpx2.Response(400, text=said, request=request), body=None)
    unread = [BadReply(f"It says: {summarize(said, limit)}. No text had come.") for limit in (200, 500)]
    with pytest.raises(BadReply) as no_list:
        read_models(said.encode())
    for error in (refused, *unread, no_list.value):
        annotate(error, base_url="https://a.example/v1", key=KEY)
        told = f"{error} {getattr(error, '__notes__', [])}"
        assert "xxxx" in told or not length
        assert KEY[:7] not in told
        assert "ambrs-***" not in told


def test_the_beginning_of_every_key_is_told():
    error = BadReply("Keys begin with 'ambrs-'.")
    annotate(error, base_url="https://a.example/v1", key=KEY)
    assert str(error) == "Keys begin with 'ambrs-'."


@pytest.mark.parametrize("body", ["{}", "[]", "null", '""', ""])
def test_a_body_that_says_nothing_is_not_told(body):
    response = httpx2.Response(403, text=body, request=httpx2.Request("POST", "https://a.example/v1"))
    error = openai.PermissionDeniedError("no", response=response, body=None)
    annotate(error, base_url="https://a.example/v1", key=KEY)
    (note,) = error.__notes__
    assert "administrator" in note
