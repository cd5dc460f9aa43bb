"""Where settings come from, and that a key never goes where it should not."""

import pickle
import traceback

import pytest

from amber_nb import Amber, ConfigError, config
from amber_nb.base_url import resolve_base_url
from amber_nb.config import load_config
from amber_nb.redact import Secret

URL = "https://acme.ambersearch.de/api/beta/openai/v1"
KEY = "ambrs-exampletoken"


@pytest.fixture(autouse=True)
def _elsewhere(elsewhere):
    pass


def dotenv(directory, **values):
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ("acme", URL),
        ("ACME", URL),
        (" acme ", URL),
        ("acme.ambersearch.de", URL),
        ("acme.ambersearch.de/", URL),
        ("https://acme.ambersearch.de", URL),
        ("https://acme.ambersearch.de/", URL),
        (URL, URL),
        ("gateway.acme.example", "https://gateway.acme.example/api/beta/openai/v1"),
    ],
)
def test_a_domain_stands_for_the_documented_endpoint(domain, url):
    assert resolve_base_url(domain=domain) == url


@pytest.mark.parametrize(
    "domain", ["ac me", "acme/v1", "acme?x", "-acme", "a" * 64, "acme..de", "user@acme", "äöü", "acme:99999"]
)
def test_what_is_no_host_is_refused(domain):
    with pytest.raises(ConfigError, match="domain"):
        resolve_base_url(domain=domain)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("https://Gateway.acme.example/v1", "https://gateway.acme.example/v1"),
    ],
)
def test_a_base_url_is_taken_as_it_is(url, kept):
    assert resolve_base_url(base_url=url) == kept


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://acme", "https://"),
        ("acme", "https://"),
        ("https://", "https://"),
        ("https://user:hunter2@acme.example/v1", "user or password"),
        ("https://acme.example/v1?key=hunter2", "query"),
        ("http://acme.example/v1", "must use https"),
        ("https://acme.example:port/v1", "not a URL"),
    ],
)
def test_a_bad_base_url_is_refused_without_repeating_it(url, says):
    with pytest.raises(ConfigError, match=says) as caught:
        resolve_base_url(base_url=url)
    assert "hunter2" not in str(caught.value)


def test_argument_beats_environment_beats_dotenv_beats_keyring(elsewhere, monkeypatch):
    def stored():
        return {"base_url": "https://stored.example/v1", "api_key": "ambrs-test"}

    assert load_config(stored_login=stored).base_url == "https://stored.example/v1"
    dotenv(elsewhere, AMBER_DOMAIN="fromfile", AMBER_API_KEY="ambrs-secret")
    assert load_config(stored_login=stored).base_url.startswith("https://fromfile.")
    monkeypatch.setenv("AMBER_DOMAIN", "fromenv")
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    read = load_config(stored_login=stored)
    assert (read.base_url.split(".")[0], read.api_key.reveal()) == ("https://fromenv", KEY)
    read = load_config(domain="given", api_key="ambrs-wrong", stored_login=stored)
    assert (read.base_url.split(".")[0], read.api_key.reveal()) == ("https://given", "ambrs-wrong")


def test_the_keyring_is_not_asked_where_there_is_a_key():
    def stored():
        raise AssertionError("the keyring was opened")

    assert load_config(domain="acme", api_key=KEY, stored_login=stored).mode == "live"
    assert load_config(mode="simulate", stored_login=stored).mode == "simulate"


def test_dotenv_is_read_afresh_and_never_copied_into_the_environment(elsewhere, monkeypatch):
    dotenv(elsewhere, AMBER_DOMAIN="one", AMBER_API_KEY=KEY)
    assert load_config().base_url.startswith("https://one.")
    dotenv(elsewhere, AMBER_DOMAIN="two", AMBER_API_KEY=KEY)
    assert load_config().base_url.startswith("https://two.")
    assert not [name for name in config.child_environment() if name.startswith("AMBER_")]


def test_dotenv_is_found_from_a_folder_below(elsewhere, monkeypatch):
    dotenv(elsewhere, AMBER_DOMAIN="acme", AMBER_API_KEY=KEY)
    (elsewhere / "notebooks").mkdir()
    monkeypatch.chdir(elsewhere / "notebooks")
    assert load_config().base_url == URL


def test_dotenv_does_not_carry_other_variables_out(elsewhere, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    dotenv(elsewhere, AMBER_BASE_URL="https://acme.example/${DB_PASSWORD}", AMBER_API_KEY=KEY)
    assert "hunter2" not in load_config().base_url


def test_a_binary_dotenv_is_a_clear_error(elsewhere):
    (elsewhere / ".env").write_bytes(b"AMBER_DOMAIN=\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"\.env") as caught:
        load_config()
    assert str(elsewhere) not in str(caught.value)


@pytest.mark.parametrize("setting", ["AMBER_DOMAIN", "AMBER_BASE_URL"])
@pytest.mark.parametrize("place", ["arguments", "environment", "keyring"])
def test_a_projects_dotenv_cannot_send_the_users_key_elsewhere(elsewhere, monkeypatch, setting, place):
    dotenv(elsewhere, **{setting: "https://evil.example"})
    given = {"api_key": KEY} if place == "arguments" else {}
    if place == "environment":
        monkeypatch.setenv("AMBER_API_KEY", KEY)
    login = {"base_url": URL, "api_key": KEY} if place == "keyring" else {}
    with pytest.raises(ConfigError, match=r"from \.env, but the key from"):
        load_config(**given, stored_login=lambda: login)


def test_a_key_in_dotenv_may_go_to_the_users_own_host(elsewhere, monkeypatch):
    dotenv(elsewhere, AMBER_API_KEY=KEY)
    monkeypatch.setenv("AMBER_DOMAIN", "acme")
    assert load_config().base_url == URL


def test_no_settings_without_a_person_is_an_error():
    with pytest.raises(ConfigError, match="neither a domain nor a key") as caught:
        load_config()
    assert "AMBER_MODE=simulate" in str(caught.value)
    with pytest.raises(ConfigError):
        Amber()


def test_no_settings_with_a_person_is_the_simulator(monkeypatch):
    assert load_config(kernel=True, person=True).mode == "simulate"
    monkeypatch.setenv("AMBER_DISPLAY", "live")
    assert load_config(kernel=True).mode == "simulate"


def test_a_claim_that_somebody_is_looking_needs_a_kernel_and_the_user(elsewhere, monkeypatch):
    dotenv(elsewhere, AMBER_DISPLAY="live")
    with pytest.raises(ConfigError):
        load_config(kernel=True)
    monkeypatch.setenv("AMBER_DISPLAY", "live")
    with pytest.raises(ConfigError):
        load_config()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"AMBER_API_KEY": KEY}, "no domain"),
        ({"AMBER_DOMAIN": "acme"}, "no key"),
        ({"AMBER_BASE_URL": URL}, "no key"),
        ({"AMBER_MODE": "live"}, "neither"),
        ({"AMBER_TOKEN": KEY}, "AMBER_TOKEN .*Did you mean AMBER_API_KEY"),
        ({"AMBER_KEY": KEY, "AMBER_DOMAIN": "acme"}, "Did you mean AMBER_API_KEY"),
        ({"AMBER_URL": URL, "AMBER_API_KEY": KEY}, "Did you mean AMBER_BASE_URL"),
        ({"AMBER_API_BASE": URL, "AMBER_API_KEY": KEY}, "Did you mean AMBER_BASE_URL"),
        ({"AMBER_MODEE": "simulate", "AMBER_DOMAIN": "acme", "AMBER_API_KEY": KEY}, "Did you mean AMBER_MODE"),
        ({"AMBER_APIKEY": KEY, "AMBER_DOMAIN": "acme"}, "Did you mean AMBER_API_KEY"),
        ({"AMBER_DOMIAN": "acme"}, "Did you mean AMBER_DOMAIN"),
        ({"AMBER_API_KEY": "", "AMBER_DOMAIN": "acme"}, "no key"),
    ],
)
def test_half_a_configuration_is_never_the_simulator(monkeypatch, environment, says):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(kernel=True, person=True)
    assert KEY not in str(caught.value)
    # Nor in a verbose traceback, which prints every variable on the way.
    frames = [
        frame for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "amber_nb" in frame.f_code.co_filename
    ]
    assert frames
    assert not [name for frame in frames for name, value in frame.f_locals.items() if KEY in repr(value)]


def test_a_foreign_variable_does_not_disturb_a_whole_configuration(monkeypatch):
    for name in ("AMBER_WEATHER_STATION", "AMBER_HOME", "AMBER_URL", "AMBER_TOKEN", "AMBER_DOMIAN"):
        monkeypatch.setenv(name, "7")
    assert load_config(domain="acme", api_key=KEY).mode == "live"


def test_whoever_gives_everything_is_stopped_by_no_variable(monkeypatch):
    monkeypatch.setenv("AMBER_MODELS", "7")
    assert load_config(base_url=URL, api_key=KEY, mode="live").base_url == URL
    with pytest.raises(ConfigError, match="Did you mean AMBER_MODEL"):
        load_config(base_url=URL, api_key=KEY)


@pytest.mark.parametrize("place", ["arguments", "environment"])
def test_two_settings_of_one_source_that_disagree(monkeypatch, place):
    given = {"domain": "acme", "base_url": "https://other.example/v1"}
    if place == "environment":
        monkeypatch.setenv("AMBER_DOMAIN", given.pop("domain"))
        monkeypatch.setenv("AMBER_BASE_URL", given.pop("base_url"))
    with pytest.raises(ConfigError, match=r"domain.*AMBER_DOMAIN.*base_url.*AMBER_BASE_URL"):
        load_config(api_key=KEY, **given)


def test_two_settings_of_one_source_that_agree():
    assert load_config(domain="acme", base_url=URL + "/", api_key=KEY).base_url == URL


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mode": "simulated"}, "Did you mean 'simulate'"),
        ({"mode": "mock"}, "live, record, replay, cache, simulate"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": True}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
    ],
)
def test_bad_values_are_named(given, says):
    with pytest.raises(ConfigError, match=says):
        load_config(domain="acme", api_key=KEY, **given)


@pytest.mark.parametrize("pace", ["fast", "-1", "nan", "inf"])
def test_a_bad_pace_is_named(monkeypatch, pace):
    monkeypatch.setenv("AMBER_SIM_CHUNKS_PER_S", pace)
    with pytest.raises(ConfigError, match="AMBER_SIM_CHUNKS_PER_S"):
        load_config(mode="simulate")


@pytest.mark.parametrize("lines", ["many", "-1", "1.5"])
def test_a_bad_number_of_lines_is_named(monkeypatch, lines):
    monkeypatch.setenv("AMBER_FOLD", lines)
    with pytest.raises(ConfigError, match="AMBER_FOLD"):
        load_config(mode="simulate")


@pytest.mark.parametrize(("lines", "folded"), [("1", True), ("0", False), (None, False)])
def test_answers_are_folded_as_set(monkeypatch, lines, folded):
    if lines is not None:
        monkeypatch.setenv("AMBER_FOLD", lines)
    amber = Amber(mode="simulate")
    bundle = amber.ask("Explain light scattering.", show=False)._repr_mimebundle_()
    amber.close()
    assert ("<summary>Show all (" in bundle["text/html"]) == folded
    assert "Show all" not in bundle["text/plain"]


@pytest.mark.parametrize("given", [{"api_key": 5}, {"domain": b"acme"}, {"headers": {"a": 1}}])
def test_wrong_types_are_type_errors(given):
    with pytest.raises(TypeError):
        load_config(**{"domain": "acme", "api_key": KEY, **given})


@pytest.mark.parametrize("key", ["ambrs-secret\nX-Evil: 1", "ambrs-secret word", "ambrs-sécret"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key):
    with pytest.raises(ConfigError, match="AMBER_API_KEY") as caught:
        load_config(domain="acme", api_key=key)
    assert "secret" not in "".join(traceback.format_exception(caught.value)).replace("test_a_key", "").lower()


def test_a_key_shows_itself_nowhere():
    amber = Amber(domain="acme", api_key=KEY)
    secret = Secret(KEY)
    shown = [
        repr(amber),
        str(amber),
        repr(amber._config),
        str(secret),
        repr(secret),
        f"{secret}",
        f"{[secret]}",
        "{!s}{!r}".format(secret, secret),  # noqa: UP032
    ]
    assert not [text for text in shown if "exampletoken" in text or "ambrs" in text]
    assert "***" in repr(amber)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(secret)


def test_the_simulator_needs_no_key_and_keeps_the_users(monkeypatch):
    monkeypatch.setenv("AMBER_API_KEY", KEY)
    read = load_config(mode="simulate")
    assert (read.base_url, read.api_key.reveal()) == (config.SIMULATOR_URL, config.SIMULATOR_KEY)
