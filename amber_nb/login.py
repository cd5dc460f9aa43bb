"""The login that `amber.login()` stores in the system's keyring: base URL and key, in one entry.

Both are in one entry, so that a key is never paired with another login's host. `keyring` is an extra; where it is
missing, locked or has no backend (servers, containers), nothing is stored and nothing is found.
"""

from __future__ import annotations

import functools
import getpass
import importlib
import json
from typing import Any

from . import config as settings
from .base_url import resolve_base_url
from .errors import ConfigError
from .redact import Secret

__all__ = ["load", "login", "store"]

_MISSING = "the package 'keyring' is not installed"
_REMEDY = (
    "Install the extra (pip install 'amber_nb[keyring]'), or set AMBER_DOMAIN and AMBER_API_KEY in the environment "
    "or in a .env file."
)
ENTRY = ("amber_nb", "login")  # service and user name


@functools.cache
def _keyring() -> Any:
    """Return the module `keyring`, imported on first use because it is slow to load, or None where it is missing."""
    try:
        return importlib.import_module("keyring")
    except ImportError:
        return None


def load() -> dict[str, str]:
    """Return `base_url` and `api_key` of the stored login; an empty dict where no login can be read."""
    try:
        login = json.loads(_keyring().get_password(*ENTRY) or "{}")
    except Exception:  # no keyring, or whatever a backend's D-Bus, file or vault raises: all of it means "not found"
        return {}
    if not isinstance(login, dict):
        return {}
    return {name: value for name in ("base_url", "api_key") if isinstance(value := login.get(name), str)}


def store(*, base_url: str, api_key: str) -> str | None:
    """Store a login in place of an earlier one; return why that cannot be, None where it is done."""
    keyring = _keyring()
    if keyring is None:
        return _MISSING
    try:
        keyring.set_password(*ENTRY, json.dumps({"base_url": base_url, "api_key": api_key}))
    except Exception as error:
        # The backend's own message may quote what it was given; its class says enough.
        return f"the keyring does not take it ({type(error).__name__})"
    return None


def login() -> settings.Config:
    """Ask for domain and key at the keyboard, store them, and return the settings that they make, in mode `live`.

    Raises:
        ConfigError: they are not usable, or there is no keyring to store them in.
    """
    if _keyring() is None:
        raise ConfigError(f"There is no place to store them: {_MISSING}. {_REMEDY}") from None
    domain = input("Domain (the part before .ambersearch.de, or the full address): ").strip()
    try:
        url = resolve_base_url(domain=domain or None, where="what was typed")
    except ConfigError:
        if "://" not in domain:
            raise
        url = resolve_base_url(base_url=domain, where="what was typed")
    key = Secret(getpass.getpass("Key (ambrs-…, not shown): ").strip())
    if url is None or not key.reveal():
        raise ConfigError("Both a domain and a key are needed; nothing was stored.")
    config = settings.load_config(base_url=url, api_key=key, mode="live")
    if reason := store(base_url=url, api_key=key.reveal()):
        # Raised here, where the key is a `Secret`: a verbose traceback prints a frame's variables.
        raise ConfigError(f"Nothing was stored: {reason}. {_REMEDY}") from None
    return config
