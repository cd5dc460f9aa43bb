"""The SDK's clients: configured by us alone, on every mode's transport, and logged."""

import asyncio
import datetime
import gzip
import json
import sys
import threading

import httpx2
import openai
import pytest

from amber_nb import Amber, ConfigError, config
from amber_nb.wire.clients import Clients
from amber_nb.wire.usage import UsageLog

KEY = "ambrs-exampletoken"
HELLO = [{"role": "user", "content": "Hello!"}]
HOSTILE = {
    "OPENAI_API_KEY": "sk-wrong",
    "OPENAI_ADMIN_KEY": "sk-admin",
    "OPENAI_ORG_ID": "org-wrong",
    "OPENAI_PROJECT_ID": "proj-wrong",
    "OPENAI_BASE_URL": "https://evil.example/v1",
    "OPENAI_WEBHOOK_SECRET": "whsec",
    "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer sk-wrong\nX-Evil: wrong\nopenai-project: wrong\n  X-Spaced : wrong",
}


@pytest.fixture
def sent(monkeypatch):
    """What reaches the wire, recorded by a transport of the SDK's own client."""
    requests = []

    def answer(request):
        requests.append(request)
        return httpx2.Response(200, json={"object": "list", "data": []})

    class Recording(httpx2.Client):
        def __init__(self, **kwargs):
            super().__init__(transport=httpx2.MockTransport(answer), **kwargs)

    monkeypatch.setattr("amber_nb.wire.clients._HttpClient", Recording)
    return requests


@pytest.mark.parametrize("copied", [False, True], ids=["as made", "with_options"])
def test_no_openai_variable_reaches_amber(monkeypatch, sent, elsewhere, copied):
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    client = Amber(domain="acme", api_key=KEY).openai
    (client.with_options(max_retries=0) if copied else client).models.list()
    (request,) = sent
    assert request.url.host == "acme.ambersearch.de"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    text = json.dumps(dict(request.headers)).lower()
    assert not [
        word for word in ("wrong", "evil", "openai-organization", "openai-project", "sk-", "whsec") if word in text
    ]


def test_our_own_headers_are_sent(sent, elsewhere):
    Amber(domain="acme", api_key=KEY, headers={"X-Team": "wind"}).openai.models.list()
    assert sent[0].headers["x-team"] == "wind"


def test_openai_is_the_sdk_itself(simulated):
    assert type(simulated.openai) is openai.OpenAI
    assert type(simulated.async_openai) is openai.AsyncOpenAI
    assert simulated.openai is simulated.openai


def test_a_copy_of_the_sdks_client_outlives_ours(amber, gateway):
    copy = Amber(base_url=gateway.base_url, api_key=KEY).openai.with_options(timeout=30)
    assert copy.models.list().data
    copy.close()


def test_a_closed_client_is_made_anew(simulated):
    with simulated.openai as first:
        assert first.models.list().data
    assert simulated.openai is not first
    assert len(simulated.models())


@pytest.mark.parametrize("usage", [{"prompt_tokens_details": [1], "total_tokens": 3}, {"total_tokens": "3"}, 5])
def test_a_strange_usage_does_not_break_the_request(usage):
    def answer(_):
        return httpx2.Response(200, json={"model": "m", "usage": usage})

    log = UsageLog("live")
    with httpx2.Client(transport=httpx2.MockTransport(answer), event_hooks=log.hooks()) as http:
        assert http.post("https://gateway.invalid/v1", json={}).status_code == 200
    assert log.rows[0].model == "m"


def test_one_async_client_for_each_loop(simulated):
    async def ask():
        client = simulated.async_openai
        assert client is simulated.async_openai
        return client, (await client.chat.completions.create(model="azure/gpt-5.4", messages=HELLO)).choices[
            0
        ].message.content

    (one, text), (two, _) = asyncio.run(ask()), asyncio.run(ask())
    assert text == "Hello! How can I help you today?"
    assert one is not two


def test_the_simulator_opens_no_port_and_leaves_no_thread(simulated, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.socket.bind", refuse)
    before = set(threading.enumerate())
    chunks = list(simulated.openai.chat.completions.create(model="azure/gpt-5.4", messages=HELLO, stream=True))
    assert len(chunks) == 10
    assert set(threading.enumerate()) == before


def test_a_simulated_reply_behaves_like_one_from_a_network(simulated):
    ask = {"model": simulated.model, "messages": HELLO}
    completions = simulated.openai.chat.completions
    raw = completions.with_raw_response.create(**ask)
    assert isinstance(raw.elapsed, datetime.timedelta)
    assert (raw.is_closed, int(raw.headers["content-length"])) == (True, len(raw.content))
    with completions.with_streaming_response.create(**ask) as response:
        assert not response.is_closed
        body = b"".join(response.http_response.iter_raw())
    assert json.loads(body)["object"] == "chat.completion"
    assert response.is_closed
    with completions.with_streaming_response.create(**ask, stream=True) as response:
        assert not response.is_closed
        assert response.headers["transfer-encoding"] == "chunked"
        assert b"".join(response.http_response.iter_raw()).endswith(b"data: [DONE]\n\n")


def test_so_does_one_of_the_async_client(simulated):
    async def ask():
        completions = simulated.async_openai.chat.completions
        raw = await completions.with_raw_response.create(model=simulated.model, messages=HELLO)
        assert isinstance(raw.elapsed, datetime.timedelta)
        async with completions.with_streaming_response.create(model=simulated.model, messages=HELLO) as response:
            assert not response.is_closed
            return b"".join([piece async for piece in response.http_response.aiter_raw()])

    assert json.loads(asyncio.run(ask()))["object"] == "chat.completion"


def test_the_simulator_is_paced_in_the_callers_own_thread(fast_clock):
    slept = fast_clock.sleeps
    amber = Amber(mode="simulate")
    stream = amber.openai.chat.completions.create(model="azure/gpt-5.4", messages=HELLO, stream=True)
    first = next(stream)
    assert first.choices[0].delta.content == "Hello"
    assert len(slept) == 1  # chunk by chunk: the second is not waited for before the first is handed out
    list(stream)
    assert slept[0] > slept[1] == pytest.approx(1 / config.SIMULATOR_CHUNKS_PER_S)


def rows(amber):
    return amber.usage_log.to_dict("records")


@pytest.mark.parametrize("client", ["amber", "simulated"])
def test_every_request_has_its_row(client, request):
    amber = request.getfixturevalue(client)
    create = amber.openai.chat.completions.create
    create(model="azure/gpt-5.4", messages=HELLO)
    list(create(model="azure/gpt-5.4", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    list(create(model="azure/gpt-5.4", messages=HELLO, stream=True))
    amber.ask("Hello!")
    with pytest.raises(openai.NotFoundError):
        create(model="azure/nonesuch", messages=HELLO)
    amber.models()
    log = amber.usage_log
    assert list(log["status"]) == [200, 200, 200, 200, 404, 200]
    assert list(log["model"])[:5] == ["gpt-5.4-2026-03-05"] * 4 + ["azure/nonesuch"]
    assert set(log["mode"]) == {amber.mode}
    tokens = list(log["tokens"].astype(object))
    assert tokens[0] == tokens[1] == tokens[3] > 0
    assert log["tokens"].isna().tolist() == [False, False, True, False, True, True]
    assert (log["latency_s"] > 0).all()
    assert log["first_token_s"].isna().tolist() == [True, False, False, False, True, True]
    assert str(log["time"].dtype) == "datetime64[ms, UTC]"


def test_a_request_without_an_answer_has_its_row_too():
    amber = Amber(base_url="http://127.0.0.1:9/v1", api_key=KEY, max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        amber.openai.models.list()
    assert amber.usage_log["status"].isna().tolist() == [True]


def test_compressed_replies_are_counted(monkeypatch):
    body = httpx2.Response(
        200, json={"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    ).content

    def answer(_):
        return httpx2.Response(
            200,
            headers={"content-encoding": "gzip", "content-type": "application/json"},
            stream=httpx2.ByteStream(gzip.compress(body)),
        )

    log = UsageLog("live")
    with httpx2.Client(transport=httpx2.MockTransport(answer), event_hooks=log.hooks()) as http:
        assert http.post("https://gateway.invalid/v1", json={"model": "x"}).json()["model"] == "m"
    assert (log.rows[0].total_tokens, log.rows[0].model) == (3, "m")


def test_live_keeps_the_sdks_own_transport_and_proxies(monkeypatch, elsewhere):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    log = UsageLog("live")
    ours = Clients(config.load_config(domain="acme", api_key=KEY), log).sync()
    with ours, openai.OpenAI(api_key="x") as plain:
        mounts = [{str(pattern.pattern) for pattern in one._client._mounts} for one in (ours, plain)]
        assert mounts[0] == mounts[1]
        assert "https://" in mounts[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SSL_CERT_FILE", "/no/such/file.pem", "SSL_CERT_FILE names no file"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE holds no certificate"),
        ("HTTPS_PROXY", "ftp://user:secret@proxy", "HTTPS_PROXY is no proxy's address"),
        ("HTTPS_PROXY", " http://user:secret@proxy", "HTTPS_PROXY is no proxy's address"),
        ("all_proxy", "socks5://user:secret@proxy", "all_proxy names a SOCKS proxy.*socksio"),
    ],
)
def test_a_wrong_setting_of_the_network_is_named_without_its_value(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "socksio", None)
    amber = Amber(base_url="https://gateway.invalid/v1", api_key=KEY, mode="live")
    with pytest.raises(ConfigError, match=words) as raised:
        amber.ask("?")
    assert "secret" not in str(raised.value)
    assert value not in str(raised.value)


@pytest.mark.parametrize("valid", ["proxy.corp:8080", "http://proxy.corp:8080", "user:secret@proxy.corp", "10.0.0.1"])
def test_a_proxy_without_a_scheme_is_not_blamed_for_another(monkeypatch, valid):
    monkeypatch.setenv("HTTPS_PROXY", valid)
    monkeypatch.setenv("ALL_PROXY", "ftp://x")
    amber = Amber(base_url="https://gateway.invalid/v1", api_key=KEY, mode="live")
    with pytest.raises(ConfigError, match=r"^ALL_PROXY is no proxy's address"):
        amber.ask("?")
