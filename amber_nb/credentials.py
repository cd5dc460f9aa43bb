"""The domain and key that `amber.login()` stored: one entry in the system's keyring.

Both travel in one entry, so that a key can never be paired with another login's host. `keyring` is an extra; where it
is missing, locked or has no backend (servers, containers), nothing is stored and nothing is found.
"""

from __future__ import annotations

import json
from typing import Any

try:
    import keyring
except ImportError:
    backend: Any = None
else:
    backend = keyring

__all__ = ["load", "store"]

SERVICE = "amber_nb"
ENTRY = "login"


def load() -> dict[str, str]:
    """The stored login: `base_url` and `api_key`, or an empty dict where there is none to be had."""
    if backend is None:
        return {}
    try:
        found = json.loads(backend.get_password(SERVICE, ENTRY) or "{}")
    except Exception:  # backends raise whatever their D-Bus, file or vault raises: all of it means "not found"
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name in ("base_url", "api_key") if isinstance(value := found.get(name), str)}


def store(*, base_url: str, api_key: str) -> None:
    """Store a login, replacing an earlier one.

    Raises:
        RuntimeError: there is no keyring to store it in.
    """
    if backend is None:
        raise RuntimeError("the package 'keyring' is not installed")
    try:
        backend.set_password(SERVICE, ENTRY, json.dumps({"base_url": base_url, "api_key": api_key}))
    except Exception as error:
        # The backend's own message may quote what it was given; its class says enough.
        raise RuntimeError(f"the keyring does not take it ({type(error).__name__})") from None
