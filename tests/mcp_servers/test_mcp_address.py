"""Where the domain's own MCP server is, and that the key goes to no address that a project chose."""

import pytest

from amber_nb import ConfigError
from amber_nb.base_url import check_mcp_url, mcp_address, same_origin
from amber_nb.config import load_config, simulated, with_login
from amber_nb.mcp_servers.factory import amber_server

KEY, OTHER_KEY = "ambrs-exampletoken", "ambrs-exampletoken-of-another"
OWN = "https://acme.ambersearch.de/mcp/"
ELSEWHERE = "https://mcp.example/mcp/"


@pytest.fixture(autouse=True)
def _elsewhere(elsewhere):
    pass


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://acme.ambersearch.de/api/beta/openai/v1", OWN),
        ("https://gateway.example:8443/v1", "https://gateway.example:8443/mcp/"),
        ("http://127.0.0.1:8000/api/beta/openai/v1", "http://127.0.0.1:8000/mcp/"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/mcp/"),
    ],
)
def test_the_server_is_beside_the_endpoint(base_url, address):
    assert mcp_address(base_url) == address
    assert load_config(base_url=base_url, api_key=KEY).mcp_url == address


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        (ELSEWHERE, ELSEWHERE),
        (" https://mcp.example/mcp ", "https://mcp.example/mcp"),
        ("https://mcp.example", "https://mcp.example"),
        ("http://localhost:8000/mcp/", "http://localhost:8000/mcp/"),
        ("HTTPS://mcp.example/mcp/", ELSEWHERE),
    ],
)
def test_an_address_as_it_is_written(url, checked):
    assert check_mcp_url(url, "here") == checked


@pytest.mark.parametrize(
    "url",
    [
        "mcp.example/s3cret",
        "ftp://mcp.example/s3cret",
        "http://mcp.example/s3cret",
        "https://user:s3cret@mcp.example/",
        "https://mcp.example/?key=s3cret",
        "https://mcp.example/#s3cret",
        "https://mcp.example:s3cret/",
        "https:///s3cret",
    ],
)
def test_an_address_that_no_key_is_sent_to(monkeypatch, url):
    monkeypatch.setenv("AMBER_MCP_URL", url)
    with pytest.raises(ConfigError, match="AMBER_MCP_URL") as caught:
        load_config(domain="acme", api_key=KEY)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        ("https://acme.ambersearch.de/other", True),
        ("https://ACME.ambersearch.de:443/mcp", True),
        ("https://acme.ambersearch.de:8443/mcp/", False),
        ("http://acme.ambersearch.de/mcp/", False),
        ("http://acme.ambersearch.de:443/mcp/", False),
        ("https://acme.ambersearch.de.evil.example/mcp/", False),
        ("https://evil.example/acme.ambersearch.de/mcp/", False),
        ("https://ambersearch.de/mcp/", False),
    ],
)
def test_the_same_origin(url, is_same):
    assert same_origin(url, OWN) is same_origin(OWN, url) is is_same


# --- the rule of trust: a key goes only to a host that the same or a more trusted source names

PLACES = ("argument", "environment", "dotenv", "keyring")


def load(elsewhere, monkeypatch, *, key, host, url=None, url_text=ELSEWHERE):
    """Load settings whose key, host and address come from these places."""
    values = {place: {} for place in PLACES}
    values[key]["AMBER_API_KEY"] = KEY
    values[host]["AMBER_DOMAIN"] = "acme"
    if url is not None:
        values[url]["AMBER_MCP_URL"] = url_text
    for name, value in values["environment"].items():
        monkeypatch.setenv(name, value)
    lines = [f"{name}={value}\n" for name, value in values["dotenv"].items()]
    (elsewhere / ".env").write_text("".join(lines), encoding="utf-8")
    login = {name.removeprefix("AMBER_").lower(): value for name, value in values["keyring"].items()}
    arguments = {name.removeprefix("AMBER_").lower(): value for name, value in values["argument"].items()}
    return load_config(**arguments, stored_login=lambda: login)


@pytest.mark.parametrize(
    ("key", "host", "url", "is_allowed"),
    [
        ("argument", "argument", "environment", True),
        ("argument", "argument", "dotenv", False),
        ("environment", "environment", "environment", True),
        ("environment", "environment", "dotenv", False),
        ("environment", "argument", "dotenv", False),
        ("dotenv", "dotenv", "environment", True),
        ("dotenv", "dotenv", "dotenv", True),
        ("dotenv", "environment", "dotenv", True),
        ("dotenv", "argument", "dotenv", True),
        ("keyring", "keyring", "environment", True),
        ("keyring", "keyring", "dotenv", False),
        ("keyring", "environment", "dotenv", False),
        ("keyring", "keyring", "keyring", True),
    ],
)
def test_who_may_name_the_address(elsewhere, monkeypatch, key, host, url, is_allowed):
    if is_allowed:
        assert load(elsewhere, monkeypatch, key=key, host=host, url=url).mcp_url == ELSEWHERE
        return
    with pytest.raises(ConfigError, match=r"AMBER_MCP_URL\) comes from \.env, but the key from elsewhere") as caught:
        load(elsewhere, monkeypatch, key=key, host=host, url=url)
    assert "mcp.example" not in str(caught.value)


@pytest.mark.parametrize("key", ["argument", "environment", "keyring"])
def test_a_project_may_name_another_path_of_the_users_own_host(elsewhere, monkeypatch, key):
    text = "https://acme.ambersearch.de/mcp/v2/"
    assert load(elsewhere, monkeypatch, key=key, host=key, url="dotenv", url_text=text).mcp_url == text


@pytest.mark.parametrize(
    "text",
    ["https://acme.ambersearch.de:8443/mcp/", "https://acme.ambersearch.de.evil.example/mcp/", "https://evil.example/"],
)
def test_a_project_may_name_nothing_that_only_looks_like_it(elsewhere, monkeypatch, text):
    with pytest.raises(ConfigError, match="key from elsewhere"):
        load(elsewhere, monkeypatch, key="environment", host="environment", url="dotenv", url_text=text)


def test_a_key_of_the_projects_own_beside_the_users_is_no_permission(elsewhere, monkeypatch):
    """Else a project would bring a key of its own, and get the user's."""
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    monkeypatch.setenv("AMBER_DOMAIN", "acme")
    (elsewhere / ".env").write_text(f"AMBER_API_KEY={OTHER_KEY}\nAMBER_MCP_URL={ELSEWHERE}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="key from elsewhere"):
        load_config()


def test_not_even_the_same_key_is_permission(elsewhere, monkeypatch):
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    monkeypatch.setenv("AMBER_DOMAIN", "acme")
    (elsewhere / ".env").write_text(f"AMBER_API_KEY={KEY}\nAMBER_MCP_URL={ELSEWHERE}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="key from elsewhere"):
        load_config()


def test_the_environment_goes_before_the_project(elsewhere, monkeypatch):
    monkeypatch.setenv("AMBER_MCP_URL", ELSEWHERE)
    (elsewhere / ".env").write_text("AMBER_MCP_URL=https://evil.example/\n", encoding="utf-8")
    assert load_config(domain="acme", api_key=KEY).mcp_url == ELSEWHERE


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_is_none(monkeypatch, empty):
    monkeypatch.setenv("AMBER_MCP_URL", empty)
    assert load_config(domain="acme", api_key=KEY).mcp_url == OWN


def test_without_a_login_no_address_is_taken(monkeypatch, elsewhere):
    monkeypatch.setenv("AMBER_MCP_URL", ELSEWHERE)
    config = load_config(mode="simulate")
    assert config.mcp_url == "https://simulator.invalid/mcp/"
    assert simulated(load_config(domain="acme", api_key=KEY)).mcp_url == "https://simulator.invalid/mcp/"


def test_after_a_login_the_old_address_gets_no_key(monkeypatch):
    monkeypatch.setenv("AMBER_MCP_URL", ELSEWHERE)
    before = load_config(domain="acme", api_key=KEY)
    stored = load_config(domain="other", api_key=OTHER_KEY)
    after = with_login(before, stored)
    assert after.mcp_url == "https://other.ambersearch.de/mcp/"
    assert after.api_key.reveal() == OTHER_KEY
    assert amber_server(after, None)._target.headers == {"Authorization": f"Bearer {OTHER_KEY}"}


def test_nothing_shows_the_key_of_the_domains_server():
    server = amber_server(load_config(domain="acme", api_key=KEY), None)
    for shown in (repr(server), repr(server._target), repr(server._target.headers), repr(server.options), server.key):
        assert KEY not in shown
    assert KEY in server._target.secrets
