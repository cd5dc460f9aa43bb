"""The sources of settings, their names, and which of them another name seems to mean."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from .errors import ConfigError
from .redact import Secret

__all__ = ["SettingSource", "find_unknown_names", "meant_setting"]

VARIABLES = (
    "AMBER_DOMAIN",
    "AMBER_BASE_URL",
    "AMBER_API_KEY",
    "AMBER_MODEL",
    "AMBER_MODE",
    "AMBER_MCP_URL",
    "AMBER_CASSETTE",
    "AMBER_DISPLAY",
    "AMBER_FOLD",
    "AMBER_TRACEBACK",
    "AMBER_SYSTEM_ROLE",
    "AMBER_REPLAY_SPEED",
    "AMBER_REPLAY_TOOLS",
    "AMBER_JOURNAL",
    "AMBER_SIM_CHUNKS_PER_S",
    "AMBER_SIM_DRIFT",
)
# What people write from memory; too far from the names for a comparison of letters.
_ALIASES = {
    "AMBER_BASE_URL": ("URL", "API_URL", "API_BASE", "BASE", "HOST", "ENDPOINT", "GATEWAY", "SERVER"),
    "AMBER_API_KEY": ("TOKEN", "API_TOKEN", "ACCESS_TOKEN", "KEY", "SECRET", "SECRET_KEY", "PASSWORD"),
    "AMBER_DOMAIN": ("TENANT", "SUBDOMAIN", "COMPANY"),
    "AMBER_MODEL": ("MODEL_NAME", "DEFAULT_MODEL", "LLM"),
}
_MEANT = {f"AMBER_{alias}": name for name, aliases in _ALIASES.items() for alias in aliases}


def meant_setting(name: str) -> str | None:
    """Return the setting that a name seems to mean, or None; compared without the prefix, which all share."""
    if name in _MEANT:
        return _MEANT[name]
    bare = {setting.removeprefix("AMBER_"): setting for setting in VARIABLES}
    near = get_close_matches(name.removeprefix("AMBER_").upper(), bare, n=1, cutoff=0.75)
    return bare[near[0]] if near else None


class SettingSource:
    """A source of settings; `trusted` where only the user writes it, not a file that came with a project."""

    def __init__(self, name: str, values: Mapping[str, str | Secret | None], *, trusted: bool = True) -> None:
        self.name = name
        self.trusted = trusted
        self.key: Secret | None = None
        self.texts: dict[str, str] = {}
        self.unknown: list[str] = []  # names alone: the value may be that of a misspelt key
        for setting, value in values.items():
            if not setting.startswith("AMBER_"):
                continue
            if isinstance(value, str):
                value = value.strip()
            elif value is not None and not isinstance(value, Secret):
                raise TypeError(f"{setting.removeprefix('AMBER_').lower()} must be a str, not {type(value).__name__}")
            if not value:
                continue  # an empty variable counts as not set: CI systems pass an absent secret on as ""
            if setting == "AMBER_API_KEY":
                self.key = value if isinstance(value, Secret) else Secret(value)
            elif setting not in VARIABLES:
                self.unknown.append(setting)
            elif isinstance(value, str):
                self.texts[setting] = value


def find_unknown_names(sources: list[SettingSource]) -> list[str]:
    """Return the names that are no settings; one that means a setting which is not set is an error at once."""
    unknown = [(name, source) for source in sources for name in source.unknown]
    arguments = sources[0].texts
    if sources[0].key and "AMBER_MODE" in arguments and {"AMBER_DOMAIN", "AMBER_BASE_URL"} & arguments.keys():
        return [name for name, _ in unknown]  # nothing that matters is read from elsewhere
    given = {name for source in sources for name in source.texts} | {
        "AMBER_API_KEY" for source in sources if source.key
    }
    if given & {"AMBER_DOMAIN", "AMBER_BASE_URL"}:  # either is the address
        given |= {"AMBER_DOMAIN", "AMBER_BASE_URL"}
    for name, source in unknown:
        meant = meant_setting(name)
        if meant is not None and meant not in given:
            raise ConfigError(
                f"{name} (in {source.name}) is not a setting of amber_nb. Did you mean {meant}? If it belongs to "
                f"another program, set {meant} itself, too."
            )
    return [name for name, _ in unknown]
