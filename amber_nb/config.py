"""Settings, read once into a frozen `Config`: argument > environment > `.env` > keyring.

The only module that reads `os.environ`; all others get their settings as arguments. Error messages name a setting, and
its value only where that cannot be a secret.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dotenv import dotenv_values, find_dotenv

from .base_url import API_PATH, check_mcp_url, mcp_address, resolve_base_url, same_origin
from .checks import check_choice, check_retries, check_seconds, parse_count, parse_number
from .errors import CassetteMiss, ConfigError
from .paths import CASSETTE_FOLDER, CASSETTE_SUFFIX, cassette_path, display_path, read_run, record_command
from .prices import PriceTable, read_prices
from .redact import Secret
from .setting_sources import SettingSource, find_unknown_names

__all__ = [
    "CASSETTE_FOLDER",
    "CASSETTE_SUFFIX",
    "Config",
    "cassette_path",
    "child_environment",
    "display_path",
    "expand_variables",
    "load_config",
    "network_problem",
    "read_display",
    "read_simulator_drift",
    "read_simulator_pace",
    "record_command",
    "session_notebook",
    "simulated",
    "wants_full_traceback",
    "with_login",
]

DEFAULT_MODEL = "azure/gpt-5.4"
# `.invalid` can never resolve (RFC 2606): should a simulated request ever reach a network, it ends there.
SIMULATOR_URL = f"https://simulator.invalid{API_PATH}"
SIMULATOR_KEY = "ambrs-simulator"
REPLAY_URL = f"https://replay.invalid{API_PATH}"
REPLAY_KEY = "none-needed"
SIMULATOR_CHUNKS_PER_S = 60.0  # chunks a second; about what a large hosted model streams

MAX_RETRIES = 2
MAX_WAIT_S = 60.0
MAP_MAX_WAIT_S = 600.0  # of a row of a map, which may wait longer than a reader

# As the process began, where a test run set them: a cell may delete them before it makes a client.
_OF_RUN = {
    name: os.environ.get(name)
    for name in ("AMBER_JOURNAL", "AMBER_MODE", "AMBER_CASSETTE")
    if os.environ.get("AMBER_JOURNAL")
}

_TRACE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

MODES = ("live", "record", "replay", "cache", "simulate")
TOOLS = ("recorded", "run")
ROLES = ("developer", "system")
DISPLAYS = ("auto", "live", "static", "none")
TRACEBACKS = ("short", "full")
_NESTED_VARIABLE = re.compile(r"\$\{[^}]*\$\{")
_VARIABLE = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one `Amber`; times in seconds."""

    mode: str
    base_url: str
    api_key: Secret
    mcp_url: str = ""  # where the domain's MCP server is
    mcp_key: Secret | None = None  # its key, where a replay may ask it; None: that of the endpoint
    is_fallback: bool = False  # whether nothing was set, and so nobody has chosen the simulator
    model: str = DEFAULT_MODEL
    display: str = "auto"
    fold_lines: int = 0  # of a settled answer that are shown before the rest is folded; 0: all
    timeout_s: float | None = None  # None: the SDK's own (600 s, 5 s to connect)
    max_retries: int = MAX_RETRIES
    max_wait_s: float = MAX_WAIT_S
    map_max_wait_s: float = MAP_MAX_WAIT_S
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    system_role: str | None = None  # of instructions; None: developer, and system where the gateway refuses that
    sim_chunks_per_s: float = SIMULATOR_CHUNKS_PER_S
    sim_drift: int = 0  # above 0, the simulator answers as another version of its model would
    cassette: Path | None = None
    secret: Secret | None = None  # the user's key, in any mode, to be kept out of recordings and errors
    replay_speed: float = 0.0  # 1: as recorded; 0: without waiting
    replay_tools: str = "recorded"  # "run": run the tools, and compare their results with the recorded ones
    journal: Path | None = None  # the file in which a test run reads which recordings were used
    cassette_name: str = ""  # its path as messages show it
    record_command: str = ""  # the command that records its cassette anew, for messages
    ambient_headers: tuple[str, ...] = field(default=(), repr=False)  # names in OPENAI_CUSTOM_HEADERS, not to be sent
    prices: PriceTable | None = field(default=None, repr=False)  # the customer's own
    trace_content: bool = False  # whether OpenTelemetry's spans hold messages, by the variable of its conventions


def load_config(
    *,
    domain: str | None = None,
    base_url: str | None = None,
    api_key: str | Secret | None = None,
    model: str | None = None,
    mode: str | None = None,
    cassette: str | os.PathLike[str] | None = None,
    timeout_s: float | None = None,
    max_retries: int | None = None,
    max_wait_s: float | None = None,
    headers: Mapping[str, str] | None = None,
    system_role: str | None = None,
    prices: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    kernel: bool = False,
    person: bool = False,
    notebook: Path | None = None,
    holds_real_answers: Callable[[], bool] = bool,
    stored_login: Callable[[], Mapping[str, str]] = dict,
) -> Config:
    """Read the settings from the arguments, the environment, `.env` and the keyring.

    `domain` to `prices` are as `Amber` describes them. `kernel`: this is a notebook's kernel; `person`: somebody sits
    at its front end, so that the simulator may answer where nothing is set. `notebook` is the notebook of this kernel,
    where it is known; its cassette lies in `cassettes/` beside it, and `holds_real_answers` returns whether it holds
    answers of a real gateway. `stored_login` reads the keyring; it is called only when no other source has a key.

    Raises:
        ConfigError: nothing is set (and nobody is there to see the simulator's badge), half is set, two settings
            disagree, or a value is not allowed.
        CassetteMiss: mode `replay`, and there is no cassette.
    """
    arguments = {
        "AMBER_DOMAIN": domain,
        "AMBER_BASE_URL": base_url,
        "AMBER_API_KEY": api_key,
        "AMBER_MODEL": model,
        "AMBER_MODE": mode,
        "AMBER_CASSETTE": None if cassette is None else os.fspath(cassette),
        "AMBER_SYSTEM_ROLE": system_role,
    }
    sources = [
        SettingSource("the arguments", arguments),
        SettingSource("the environment", os.environ),
        SettingSource("the test run", _OF_RUN),
        SettingSource(".env", _dotenv(), trusted=False),
    ]
    unknown = find_unknown_names(sources)
    texts = ChainMap(*(source.texts for source in sources))
    display = check_choice("AMBER_DISPLAY", texts.get("AMBER_DISPLAY"), DISPLAYS) or "auto"
    # A project's .env may not claim that somebody is looking.
    claimed = any(source.texts.get("AMBER_DISPLAY") == "live" for source in sources if source.trusted)
    newcomer = kernel and (person or claimed) and display != "none" and not unknown
    path = _find_cassette(sources, notebook)
    chosen = check_choice("AMBER_MODE", texts.get("AMBER_MODE"), MODES)
    # From the environment alone: a project's .env may not have files written.
    journal_name = os.environ.get("AMBER_JOURNAL") or _OF_RUN.get("AMBER_JOURNAL")
    journal = Path(journal_name) if journal_name else None
    run = read_run(journal)
    if run.get("mode") and chosen not in ("simulate", "replay"):
        chosen, path = _choose_in_run(chosen, path, run)
    # What the run records, unless the code itself says that it replays what something else has recorded.
    is_of_run = path is not None and run.get("cassette") == str(path)
    is_recorded_by_run = path is not None and (is_of_run or mode != "replay")
    command = (is_recorded_by_run and run.get("command")) or (path and record_command(path)) or ""
    # As it is typed where the command is: this may be another folder than that of the kernel.
    is_shown = path is not None and str(path) in (run.get("cassette"), run.get("fresh"))  # "fresh" takes its place
    name = (is_shown and run.get("shown")) or (path and display_path(path)) or ""
    login, is_fallback = None, False
    if chosen not in ("simulate", "replay"):
        login = _find_login(sources, stored_login, unknown, optional=chosen is None and newcomer)
        is_fallback = chosen is None and login is None
        chosen = chosen or ("live" if login is not None else _mode_without_settings(path, holds_real_answers))
    if login is not None:
        url, key = login
    elif chosen == "simulate":
        url, key = SIMULATOR_URL, Secret(SIMULATOR_KEY)
    else:
        host = _find_host(sources)
        url, key = host[0] if host is not None else REPLAY_URL, Secret(REPLAY_KEY)
    mcp_url, mcp_key = mcp_address(url), None
    if login is not None:
        mcp_url = _find_mcp_url(sources, url, key)
    elif chosen == "replay" and texts.get("AMBER_REPLAY_TOOLS") == "run" and journal is None:
        with contextlib.suppress(ConfigError):  # a replay needs no gateway, and none that is half set is in its way
            if (found := _find_login(sources, stored_login, unknown, optional=True)) is not None:
                mcp_url, mcp_key = _find_mcp_url(sources, *found), found[1]
    if chosen in ("record", "replay", "cache"):
        _check_cassette(path, chosen, command, name)
    check_choice("AMBER_TRACEBACK", texts.get("AMBER_TRACEBACK"), TRACEBACKS)  # read when there is an error
    if not all(isinstance(text, str) for pair in (headers or {}).items() for text in pair):
        raise TypeError("headers must map str to str")
    wait_s = check_seconds("max_wait_s", max_wait_s, zero=True)
    return Config(
        mode=chosen,
        base_url=url,
        api_key=key,
        mcp_url=mcp_url,
        mcp_key=mcp_key,
        is_fallback=is_fallback and chosen == "simulate",
        model=texts.get("AMBER_MODEL") or DEFAULT_MODEL,
        display=display,
        fold_lines=parse_count("AMBER_FOLD", texts.get("AMBER_FOLD"), "0 for answers that are never folded"),
        timeout_s=check_seconds("timeout_s", timeout_s),
        max_retries=0 if chosen == "replay" else check_retries(max_retries, MAX_RETRIES),
        headers=dict(headers or {}),
        system_role=check_choice("AMBER_SYSTEM_ROLE", texts.get("AMBER_SYSTEM_ROLE"), ROLES),
        max_wait_s=MAX_WAIT_S if wait_s is None else wait_s,
        map_max_wait_s=MAP_MAX_WAIT_S if wait_s is None else wait_s,
        sim_chunks_per_s=_parse_pace(texts.get("AMBER_SIM_CHUNKS_PER_S")),
        sim_drift=_parse_drift(texts.get("AMBER_SIM_DRIFT")),
        cassette=path,
        secret=next((source.key for source in sources if source.key), None),
        replay_tools=check_choice("AMBER_REPLAY_TOOLS", texts.get("AMBER_REPLAY_TOOLS"), TOOLS) or "recorded",
        replay_speed=parse_number("AMBER_REPLAY_SPEED", texts.get("AMBER_REPLAY_SPEED"), 0.0),
        journal=journal,
        cassette_name=name,
        record_command=command,
        ambient_headers=tuple(
            line.partition(":")[0].strip()
            for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
            if ":" in line
        ),
        prices=read_prices(prices),
        # From the environment alone: a project's .env may not have prompts sent to another service.
        trace_content=os.environ.get(_TRACE_CONTENT, "").strip().lower() in ("true", "span_only", "span_and_event"),
    )


def simulated(config: Config) -> Config:
    """Return the settings of a client that asks the simulator instead."""
    key = Secret(SIMULATOR_KEY)
    url = SIMULATOR_URL
    return replace(config, mode="simulate", base_url=url, mcp_url=mcp_address(url), api_key=key, is_fallback=False)


def with_login(config: Config, stored: Config) -> Config:
    """Return the settings of a client that has logged in: a server that was set beside another key is not asked."""
    url = mcp_address(stored.base_url)
    return replace(config, mode=stored.mode, base_url=stored.base_url, mcp_url=url, api_key=stored.api_key)


def expand_variables(text: str) -> str:
    """Return a text with the variables `${NAME}`, `${env:NAME}` and `${NAME:-default}` of the environment in it.

    Raises:
        ConfigError: a variable is not set, or is a setting of amber_nb; its value is not repeated.
    """

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if name.upper().startswith("AMBER_"):
            raise ConfigError(f"{name} is a setting of amber_nb, and goes to no other server.")
        text = os.environ.get(name) or default
        if text is None:
            raise ConfigError(f"The variable {name} is not set.")
        return text

    if "${input:" in text:
        raise ConfigError("${input:…} is asked for by another program: give the value with headers= or env=.")
    if _NESTED_VARIABLE.search(text):
        raise ConfigError("A variable within another one's default, ${A:-${B}}, is not read: write the value itself.")
    return _VARIABLE.sub(value, text)


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment of a child process: that of this process, with these variables changed."""
    return {**os.environ, **changes}


def network_problem(error: Exception) -> str | None:
    """Return which setting of the network is wrong, by its variable's name alone: its value may be secret."""
    if isinstance(error, OSError):  # ssl.SSLError is one
        name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), None)
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else "names no file that can be read"
        return name and f"{name} {reason}. Set it to your company's CA file (.pem), or unset it."
    for name in (each for proxy in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY") for each in (proxy, proxy.lower())):
        scheme, separator, _ = os.environ.get(name, "").lower().partition("://")
        if not separator or scheme in ("http", "https"):  # without a scheme it is an address, too: proxy.corp:8080
            continue
        if scheme.startswith("socks"):
            return f"{name} names a SOCKS proxy, and for that a package is missing: pip install socksio."
        return f"{name} is no proxy's address: it begins with http:// (or https://, socks5://)."
    return None


def read_display() -> str:
    """Read `AMBER_DISPLAY` from the environment; raise a ConfigError where it is none of `DISPLAYS`."""
    return check_choice("AMBER_DISPLAY", os.environ.get("AMBER_DISPLAY"), DISPLAYS) or "auto"


def read_simulator_pace() -> float:
    """Read `AMBER_SIM_CHUNKS_PER_S` from the environment; raise a ConfigError where it is no number of 0 or more."""
    return _parse_pace(os.environ.get("AMBER_SIM_CHUNKS_PER_S"))


def read_simulator_drift() -> int:
    """Read `AMBER_SIM_DRIFT` from the environment; raise a ConfigError where it is no whole number."""
    return _parse_drift(os.environ.get("AMBER_SIM_DRIFT"))


def wants_full_traceback() -> bool:
    """Return whether `AMBER_TRACEBACK` is `full`, in the environment or in `.env`, at this moment."""
    text = os.environ.get("AMBER_TRACEBACK")
    if text is None:
        with contextlib.suppress(ConfigError):
            text = _dotenv().get("AMBER_TRACEBACK")
    return text == "full"


def session_notebook() -> Path | None:
    """Return the notebook of this kernel, as Jupyter's server names it; not to be asked in a kernel's child process."""
    path = Path(os.environ.get("JPY_SESSION_NAME", ""))
    return path if path.suffix == ".ipynb" and path.is_file() else None


def _find_login(
    sources: list[SettingSource], stored_login: Callable[[], Mapping[str, str]], unknown: list[str], *, optional: bool
) -> tuple[str, Secret] | None:
    """Return base URL and key; None where neither is set and both are `optional`."""
    if not any(source.key for source in sources):
        # In no variable of this frame: a verbose traceback would print the key.
        sources.append(
            SettingSource("the keyring", {f"AMBER_{name.upper()}": text for name, text in stored_login().items()})
        )
    host = _find_host(sources)
    key_source = next((source for source in sources if source.key), None)
    if optional and host is None and key_source is None:
        return None
    if host is None or key_source is None or key_source.key is None:
        raise ConfigError(_missing(host, key_source, unknown))
    url, host_source = host
    if not host_source.trusted and host_source is not key_source:
        # Else a project's .env could send the user's own key to a host of its choosing.
        raise ConfigError(
            f"The gateway's address comes from {host_source.name}, but the key from {key_source.name}. A key goes "
            "only to a host that the same or a more trusted source names: set AMBER_DOMAIN where the key is set, "
            "or put both into the .env."
        )
    if not re.fullmatch(r"[\x21-\x7e]+", key_source.key.reveal()):
        raise ConfigError(
            f"The key (AMBER_API_KEY, in {key_source.name}) holds a space, a line break or a character that cannot be "
            "sent in a header: copy it again, whole and alone."
        )
    return url, key_source.key


def _choose_in_run(chosen: str | None, path: Path | None, run: Mapping[str, str]) -> tuple[str, Path | None]:
    """Choose mode and cassette of a client in a test run: whoever runs it decides whether the gateway is asked."""
    cassette, fresh = run.get("cassette", ""), run.get("fresh", "")
    is_of_run = path is None or str(path) in (cassette, fresh)
    if run["mode"] not in ("live", "record"):
        return run["mode"], path or Path(cassette)
    if is_of_run:
        return "record", Path(fresh)  # which is kept, or compared with the recording
    if run["mode"] == "live":
        return "live", path  # a cassette that the code names is not compared, and so it is left as it is
    return chosen if chosen == "cache" else "record", path


def _check_cassette(path: Path | None, mode: str, command: str, name: str) -> None:
    if path is None:
        raise ConfigError(
            f"Mode {mode!r} needs a cassette, and nothing names one: this is no notebook whose file is known. "
            "Set AMBER_CASSETTE, or Amber(cassette='cassettes/….jsonl')."
        )
    if mode == "replay" and not path.exists():
        raise CassetteMiss(
            f"There is no cassette {name}, and in mode 'replay' nothing is asked. To record one: {command}"
        )


def _find_cassette(sources: list[SettingSource], notebook: Path | None) -> Path | None:
    source = next((source for source in sources if "AMBER_CASSETTE" in source.texts), None)
    if source is None:
        return notebook and cassette_path(notebook)
    given = source.texts["AMBER_CASSETTE"]
    path = Path(given)
    if not source.trusted and (path.anchor or ".." in path.parts or given.startswith("~")):
        # Else a project's .env could have what is asked written wherever it likes.
        raise ConfigError(f"AMBER_CASSETTE in {source.name} must be a path below the working directory.")
    path = path.expanduser()
    if path.suffix != CASSETTE_SUFFIX:
        raise ConfigError(f"A cassette's name ends in {CASSETTE_SUFFIX} (AMBER_CASSETTE or Amber(cassette=…)).")
    return path.absolute()  # a notebook may change its working directory


def _mode_without_settings(cassette: Path | None, holds_real_answers: Callable[[], bool]) -> str:
    """Choose the mode where nothing is set and somebody is looking: a recording goes before the simulator."""
    if cassette is not None and cassette.exists():
        return "replay"
    if holds_real_answers():
        raise ConfigError(
            "This notebook holds answers of a real gateway, and here are neither a key nor a cassette: simulated "
            "answers would overwrite them. Set AMBER_DOMAIN and AMBER_API_KEY (or run `amber-nb login` once); or ask "
            "for the simulator: AMBER_MODE=simulate or Amber(mode='simulate')."
        )
    return "simulate"


def _dotenv() -> dict[str, str | None]:
    # Read afresh, never copied into os.environ. No interpolation: `https://evil/${SECRET}` would carry a variable out.
    path = find_dotenv(usecwd=True)
    if not path:
        return {}
    try:
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The .env found from the working directory cannot be read ({type(error).__name__})."
        ) from None


def _find_host(sources: list[SettingSource]) -> tuple[str, SettingSource] | None:
    """Return the base URL and its source."""
    for source in sources:
        domain, base_url = source.texts.get("AMBER_DOMAIN"), source.texts.get("AMBER_BASE_URL")
        if url := resolve_base_url(domain=domain, base_url=base_url, where=source.name):
            return url, source
    return None


def _find_mcp_url(sources: list[SettingSource], base_url: str, key: Secret) -> str:
    """Return the address of the domain's MCP server; a key goes only where its own or a more trusted source says."""
    source = next((source for source in sources if "AMBER_MCP_URL" in source.texts), None)
    if source is None:
        return mcp_address(base_url)
    url = check_mcp_url(source.texts["AMBER_MCP_URL"], source.name)
    if not (source.trusted or source.key is key or same_origin(url, base_url)):
        raise ConfigError(
            f"The address of the MCP server (AMBER_MCP_URL) comes from {source.name}, but the key from elsewhere. A "
            "key goes only to a host that the same or a more trusted source names: set AMBER_MCP_URL where the key is "
            "set, or leave it out."
        )
    return url


def _missing(host: tuple[str, SettingSource] | None, key_source: SettingSource | None, unknown: list[str]) -> str:
    other = ""
    if host is not None:
        found = f"There is a gateway ({host[0]}, in {host[1].name}), but no key: AMBER_API_KEY is not set."
    elif key_source is not None:
        found = f"There is a key (in {key_source.name}), but no domain: AMBER_DOMAIN is not set."
    else:
        found = "No gateway is configured: there is neither a domain nor a key."
        other = f" Not a setting of amber_nb: {', '.join(sorted(unknown))}." if unknown else ""
    return (
        f"{found} Looked in the arguments, the environment, .env and the keyring.{other} Set AMBER_DOMAIN and "
        "AMBER_API_KEY (environment or .env), or run `amber-nb login` once. To work without a gateway, ask for the "
        "simulator: AMBER_MODE=simulate or Amber(mode='simulate')."
    )


def _parse_pace(value: str | None) -> float:
    return parse_number("AMBER_SIM_CHUNKS_PER_S", value, SIMULATOR_CHUNKS_PER_S)


def _parse_drift(value: str | None) -> int:
    return parse_count("AMBER_SIM_DRIFT", value, "0 for the simulator's answers as they are")
