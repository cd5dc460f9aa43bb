"""Settings: argument > environment > `.env` > keyring, read once into a frozen `Config`.

The only module that reads `os.environ`. Everything else gets its settings as arguments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values, find_dotenv

from . import checks
from .address import API_PATH, endpoint
from .errors import MASK, CassetteMiss, ConfigError
from .tapes import SUFFIX, cassette_of, record_command, shown

__all__ = [
    "Config",
    "Secret",
    "display_setting",
    "endpoint",
    "environment",
    "is_root",
    "load",
    "session_notebook",
    "simulator_drift",
    "simulator_pace",
]

DEFAULT_MODEL = "azure/gpt-5.4"
# `.invalid` can never resolve (RFC 2606): should a simulated request ever reach a network, it ends there.
SIMULATOR_URL = f"https://simulator.invalid{API_PATH}"
SIMULATOR_KEY = "ambrs-simulator"
REPLAY_URL = f"https://replay.invalid{API_PATH}"
REPLAY_KEY = "none-needed"
SIMULATOR_CHUNKS_PER_S = 60.0  # chunks a second; about what a large hosted model streams

MAX_WAIT_S = 60.0

MODES = ("live", "record", "replay", "cache", "simulate")
TOOLS = ("recorded", "run")
DISPLAYS = ("auto", "live", "static", "none")
VARIABLES = (
    "AMBER_DOMAIN",
    "AMBER_BASE_URL",
    "AMBER_API_KEY",
    "AMBER_MODEL",
    "AMBER_MODE",
    "AMBER_CASSETTE",
    "AMBER_DISPLAY",
    "AMBER_REPLAY_SPEED",
    "AMBER_REPLAY_TOOLS",
    "AMBER_JOURNAL",
    "AMBER_SIM_CHUNKS_PER_S",
    "AMBER_SIM_DRIFT",
)
PUBLIC = frozenset(VARIABLES) - {"AMBER_API_KEY"}


class Secret:
    """A string that shows itself nowhere: not in a repr, an f-string, a pickle or a verbose traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        raise TypeError("a key is never pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What one `Amber` runs with. Times in seconds."""

    mode: str
    base_url: str
    api_key: Secret
    model: str = DEFAULT_MODEL
    display: str = "auto"
    timeout_s: float | None = None  # None: the SDK's own (600 s, 5 s to connect)
    max_retries: int = 2
    max_wait_s: float = MAX_WAIT_S
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sim_chunks_per_s: float = SIMULATOR_CHUNKS_PER_S
    sim_drift: int = 0  # above 0, the simulator's model has changed since
    cassette: Path | None = None
    secret: Secret | None = None  # the key that recordings and their errors must not show; in replay, if there is one
    replay_speed: float = 0.0  # 1: as recorded; 0: without waiting
    replay_tools: str = "recorded"  # "run": what tools tell must be what was recorded
    journal: Path | None = None  # where a test run wants to read what was used of the cassette
    ambient_headers: tuple[str, ...] = field(default=(), repr=False)  # names in OPENAI_CUSTOM_HEADERS, to be kept out


@dataclass(frozen=True, slots=True)
class _Source:
    """One place that settings come from. `trusted`: only the user (not a file that came with a project) writes it."""

    name: str
    values: Mapping[str, str | Secret] = field(repr=False)
    trusted: bool

    def secret(self) -> Secret | None:
        value = self.values.get("AMBER_API_KEY")
        return Secret(value) if isinstance(value, str) else value

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) else None


def load(
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
    kernel: bool = False,
    person: bool = False,
    notebook: Path | None = None,
    real: Callable[[], bool] = bool,
    stored: Callable[[], Mapping[str, str]] = dict,
) -> Config:
    """Read the settings.

    Args:
        domain: `"acme"`, `"acme.ambersearch.de"` or a URL of that host.
        base_url: the endpoint itself, where it is not the documented one of a domain.
        api_key: the gateway's key.
        model: name of the model; default `azure/gpt-5.4`.
        mode: one of `MODES`.
        cassette: the file that is recorded to or replayed from.
        timeout_s: seconds a request may take without a sign of life.
        max_retries: how often a request is tried again.
        max_wait_s: seconds that one `ask` may wait between its tries; 0 never waits.
        headers: sent with each request.
        kernel: this is a notebook's kernel.
        person: somebody sits at its front end, so that the simulator may stand in where nothing is set.
        notebook: the notebook of this kernel, where it is known: its cassette lies in `cassettes/` beside it.
        real: tells whether that notebook holds answers of a real gateway.
        stored: reads the keyring; asked only when no other source has a key.

    Raises:
        ConfigError: nothing is set (and nobody there to see the simulator's badge), only half is set, two settings
            disagree, or a value is not one of those allowed.
    """
    arguments = {
        "AMBER_DOMAIN": domain,
        "AMBER_BASE_URL": base_url,
        "AMBER_API_KEY": api_key,
        "AMBER_MODEL": model,
        "AMBER_MODE": mode,
        "AMBER_CASSETTE": None if cassette is None else os.fspath(cassette),
    }
    sources = [
        _Source("the arguments", _given(arguments), trusted=True),
        _Source("the environment", _environment(), trusted=True),
        _Source(".env", _given(_dotenv()), trusted=False),
    ]
    unknown = _unknown(sources)

    def first(name: str) -> str | None:
        return next((value for source in sources if (value := source.text(name)) is not None), None)

    chosen = checks.one_of("AMBER_MODE", first("AMBER_MODE"), MODES)
    display = checks.one_of("AMBER_DISPLAY", first("AMBER_DISPLAY"), DISPLAYS) or "auto"
    pace = checks.number("AMBER_SIM_CHUNKS_PER_S", first("AMBER_SIM_CHUNKS_PER_S"), default=SIMULATOR_CHUNKS_PER_S)
    sim_drift = checks.whole(first("AMBER_SIM_DRIFT"))
    patience_s = checks.not_negative("max_wait_s", max_wait_s)
    # A project's .env may not claim that somebody is looking.
    claimed = any(source.text("AMBER_DISPLAY") == "live" for source in sources if source.trusted)
    person = kernel and (person or claimed) and display != "none"

    tape = _cassette(sources, notebook)
    if chosen == "replay":
        host, _ = _host(sources)
        live_url, live_key = host or REPLAY_URL, Secret(REPLAY_KEY)
    elif chosen != "simulate":
        if not any(source.secret() for source in sources):
            login = stored()
            values = _given({"AMBER_BASE_URL": login.get("base_url"), "AMBER_API_KEY": login.get("api_key")})
            sources.append(_Source("the keyring", values, trusted=True))
        host, host_source = _host(sources)
        key, key_source = next(((s.secret(), s) for s in sources if s.secret()), (None, None))
        if host is None and key is None and chosen is None and person and not unknown:
            chosen = _stand_in(tape, real)
            live_url, live_key = REPLAY_URL, Secret(REPLAY_KEY)
        elif host is None or key is None or host_source is None or key_source is None:
            raise ConfigError(_missing(host, host_source, key_source, unknown))
        elif not host_source.trusted and host_source is not key_source:
            # Else a project's .env could send the user's own key to a host of its choosing.
            raise ConfigError(
                f"The gateway's address comes from {host_source.name}, but the key from {key_source.name}. A key goes "
                "only to a host that the same or a more trusted source names: set AMBER_DOMAIN where the key is set, "
                "or put both into the .env."
            )
        else:
            chosen = chosen or "live"
            live_url, live_key = host, _sendable(key, key_source)
    if chosen in ("record", "replay", "cache"):
        if tape is None:
            raise ConfigError(
                f"Mode {chosen!r} needs a cassette, and nothing names one: this is no notebook whose file is known. "
                "Set AMBER_CASSETTE, or Amber(cassette='cassettes/….jsonl')."
            )
        if chosen == "replay" and not tape.exists():
            raise CassetteMiss(
                f"There is no cassette {shown(tape)}, and in mode 'replay' nothing is asked. To record one: "
                f"{record_command(tape)}"
            )
    simulated = chosen == "simulate"
    return Config(
        mode=chosen,
        base_url=SIMULATOR_URL if simulated else live_url,
        api_key=Secret(SIMULATOR_KEY) if simulated else live_key,
        model=first("AMBER_MODEL") or DEFAULT_MODEL,
        display=display,
        timeout_s=checks.positive("timeout_s", timeout_s),
        max_retries=0 if chosen == "replay" else checks.count("max_retries", max_retries, default=2),
        headers=checks.headers(headers),
        max_wait_s=MAX_WAIT_S if patience_s is None else patience_s,
        sim_chunks_per_s=pace,
        sim_drift=sim_drift,
        cassette=tape,
        secret=next((secret for source in sources if (secret := source.secret())), None),
        replay_tools=checks.one_of("AMBER_REPLAY_TOOLS", first("AMBER_REPLAY_TOOLS"), TOOLS) or "recorded",
        replay_speed=checks.number("AMBER_REPLAY_SPEED", first("AMBER_REPLAY_SPEED"), default=0.0),
        # From the environment alone: a project's .env may not have files written.
        journal=Path(journal) if (journal := os.environ.get("AMBER_JOURNAL")) else None,
        ambient_headers=checks.header_names(os.environ.get("OPENAI_CUSTOM_HEADERS", "")),
    )


def environment(**changes: str) -> dict[str, str]:
    """The environment of a child process: this one's, with these variables changed."""
    return {**os.environ, **changes}


def display_setting() -> str:
    """`AMBER_DISPLAY` of the environment: `"auto"`, `"live"`, `"static"` or `"none"`.

    Raises:
        ConfigError: it is something else.
    """
    return checks.one_of("AMBER_DISPLAY", os.environ.get("AMBER_DISPLAY") or None, DISPLAYS) or "auto"


def simulator_pace() -> float:
    """`AMBER_SIM_CHUNKS_PER_S` of the environment, in chunks a second.

    Raises:
        ConfigError: it is not a number of chunks.
    """
    return checks.number(
        "AMBER_SIM_CHUNKS_PER_S", os.environ.get("AMBER_SIM_CHUNKS_PER_S") or None, default=SIMULATOR_CHUNKS_PER_S
    )


def simulator_drift() -> int:
    """`AMBER_SIM_DRIFT` of the environment.

    Raises:
        ConfigError: it is no whole number.
    """
    return checks.whole(os.environ.get("AMBER_SIM_DRIFT") or None)


def is_root() -> bool:
    """Whether this process runs as root; never on Windows."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def session_notebook() -> Path | None:
    """The notebook whose kernel this is, as Jupyter's server names it; children of a kernel must not ask."""
    path = Path(os.environ.get("JPY_SESSION_NAME", ""))
    return path if path.suffix == ".ipynb" and path.is_file() else None


def _cassette(sources: list[_Source], notebook: Path | None) -> Path | None:
    found = next(((given, s) for s in sources if (given := s.text("AMBER_CASSETTE")) is not None), None)
    if found is None:
        return cassette_of(notebook) if notebook is not None else None
    given, source = found
    path = Path(given)
    if not source.trusted and (path.anchor or ".." in path.parts or given.startswith("~")):
        # Else a project's .env could have what is asked written wherever it likes.
        raise ConfigError(f"AMBER_CASSETTE in {source.name} must be a path below the working directory.")
    path = path.expanduser()
    if path.suffix != SUFFIX:
        raise ConfigError(f"A cassette's name ends in {SUFFIX} (AMBER_CASSETTE or Amber(cassette=…)).")
    return path.absolute()  # a notebook may change its working directory


def _stand_in(tape: Path | None, real: Callable[[], bool]) -> str:
    """The mode where nothing is set and somebody is looking: what was recorded, before anything simulated."""
    if tape is not None and tape.exists():
        return "replay"
    if real():
        raise ConfigError(
            "This notebook holds answers of a real gateway, and here are neither a key nor a cassette: simulated "
            "answers would overwrite them. Set AMBER_DOMAIN and AMBER_API_KEY (or run `amber-nb login` once); or ask "
            "for the simulator: AMBER_MODE=simulate or Amber(mode='simulate')."
        )
    return "simulate"


def _given(values: Mapping[str, str | Secret | None]) -> dict[str, str | Secret]:
    # An empty variable counts as not set: CI systems pass an absent secret on as "".
    given: dict[str, str | Secret] = {}
    for name, value in values.items():
        if isinstance(value, str):
            value = value.strip()
        elif value is not None and not isinstance(value, Secret):
            raise TypeError(f"{name.removeprefix('AMBER_').lower()} must be a str, not {type(value).__name__}")
        if value:
            # A verbose traceback prints variables: whatever is not known to be public is wrapped, a misspelt key too.
            given[name] = value if name in PUBLIC or isinstance(value, Secret) else Secret(value)
    return given


def _environment() -> dict[str, str | Secret]:
    return _given({name: value for name, value in os.environ.items() if name.startswith("AMBER_")})


def _dotenv() -> dict[str, str | None]:
    # Read afresh, never copied into os.environ. No interpolation: `https://evil/${SECRET}` would carry a variable out.
    path = find_dotenv(usecwd=True)
    if not path:
        return {}
    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The .env found from the working directory cannot be read ({type(error).__name__})."
        ) from None
    return {name: value for name, value in values.items() if name.startswith("AMBER_")}


def _unknown(sources: list[_Source]) -> list[str]:
    """Names that are none of ours. One that is nearly ours is an error at once."""
    unknown = []
    for source in sources:
        for name in source.values:
            if name in VARIABLES:
                continue
            if near := get_close_matches(name, VARIABLES, n=1, cutoff=0.75):
                raise ConfigError(f"{name} (in {source.name}) is not a setting of amber_nb. Did you mean {near[0]}?")
            unknown.append(name)
    return unknown


def _host(sources: list[_Source]) -> tuple[str | None, _Source | None]:
    for source in sources:
        domain, base_url = source.text("AMBER_DOMAIN"), source.text("AMBER_BASE_URL")
        if url := endpoint(domain=domain, base_url=base_url, where=source.name):
            return url, source
    return None, None


def _missing(host: str | None, host_source: _Source | None, key_source: _Source | None, unknown: list[str]) -> str:
    looked = "Looked in the arguments, the environment, .env and the keyring."
    ways = (
        "Set AMBER_DOMAIN and AMBER_API_KEY (environment or .env), or run `amber-nb login` once. To work without a "
        "gateway, ask for the simulator: AMBER_MODE=simulate or Amber(mode='simulate')."
    )
    if host is None and key_source is None:
        other = f" Not a setting of amber_nb: {', '.join(sorted(unknown))}." if unknown else ""
        return f"No gateway is configured: there is neither a domain nor a key. {looked}{other} {ways}"
    if host is None and key_source is not None:
        return f"There is a key (in {key_source.name}), but no domain: AMBER_DOMAIN is not set. {looked} {ways}"
    where = host_source.name if host_source else ""
    return f"There is a gateway ({host}, in {where}), but no key: AMBER_API_KEY is not set. {looked} {ways}"


def _sendable(key: Secret, source: _Source) -> Secret:
    if not re.fullmatch(r"[\x21-\x7e]+", key.reveal()):
        raise ConfigError(
            f"The key (AMBER_API_KEY, in {source.name}) holds a space, a line break or a character that cannot be sent "
            "in a header: copy it again, whole and alone."
        )
    return key
