"""Resolve the base URL of a gateway from a domain, a host or a URL."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from .errors import ConfigError

__all__ = ["API_PATH", "check_mcp_url", "mcp_address", "resolve_base_url", "same_origin", "within_host"]

API_PATH = "/api/beta/openai/v1"
MCP_PATH = "/mcp/"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.IGNORECASE)
ENDPOINT = "/chat/completions"  # the vendor's page shows the URL with it, and people paste that


def resolve_base_url(
    *, domain: str | None = None, base_url: str | None = None, where: str = "the arguments"
) -> str | None:
    """Return the base URL that a domain or a URL stands for, without a slash at its end; None where neither is given.

    Args:
        domain: `"acme"`, `"acme.ambersearch.de"` or a URL of that host.
        base_url: the endpoint itself.
        where: the source of the two, for error messages.

    Raises:
        ConfigError: the two disagree, or one of them is neither a host nor an http(s) URL.

    Example:
        >>> resolve_base_url(domain="acme")
        'https://acme.ambersearch.de/api/beta/openai/v1'
    """
    from_domain = _domain_url(domain, where) if domain is not None else None
    from_url = _check_url(base_url, "base_url", where) if base_url is not None else None
    if from_domain and from_url and from_domain != from_url:
        raise ConfigError(
            f"In {where}, domain (AMBER_DOMAIN) stands for {from_domain}, but base_url (AMBER_BASE_URL) says "
            f"{from_url}. Set one of the two."
        )
    return from_url or from_domain


def mcp_address(base_url: str) -> str:
    """Return the address of the MCP server that a gateway serves beside its endpoint.

    Example:
        >>> mcp_address("https://acme.ambersearch.de/api/beta/openai/v1")
        'https://acme.ambersearch.de/mcp/'
    """
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}{MCP_PATH}"


def check_mcp_url(url: str, where: str) -> str:
    """Return the address of an MCP server as a key may be sent to it.

    Raises:
        ConfigError: it is no http(s) URL, carries a password or a query, or is plain http of another machine.
    """
    checked = _check_url(url, "AMBER_MCP_URL", where)
    return f"{checked}/" if url.strip().endswith("/") else checked


def same_origin(url: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    ours, theirs = (
        (parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme))
        for parts in map(urlsplit, (url, other))
    )
    return ours == theirs


def within_host(url: str, other: str) -> bool:
    """Return whether a URL is on the host of another one, or on a subdomain of that."""
    host, base = ((urlsplit(each).hostname or "").lower() for each in (url, other))
    return host == base or host.endswith(f".{base}")


def _domain_url(domain: str, where: str) -> str:
    host = domain.strip()
    if "://" in host:
        parts = urlsplit(_check_url(host, "domain", where))
        if parts.path.rstrip("/") not in ("", API_PATH):
            raise ConfigError(f"domain (in {where}) is a host, without a path; for a full address use base_url.")
        host = parts.netloc
    host = host.rstrip("/")
    if not _HOST.fullmatch(host):
        raise ConfigError(
            f"domain (AMBER_DOMAIN, in {where}) must be a name such as 'acme' or a host such as 'acme.ambersearch.de'."
        )
    return f"https://{host.lower()}{'' if '.' in host else '.ambersearch.de'}{API_PATH}"


def _check_url(url: str, name: str, where: str) -> str:
    # The messages do not repeat the value: a password may stand in it.
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ConfigError(f"{name} (in {where}) is not a URL.") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{name} (in {where}) must begin with https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{name} (in {where}) must not carry a user or password; the key goes into AMBER_API_KEY.")
    if parts.query or parts.fragment:
        raise ConfigError(f"{name} (in {where}) must not carry a query or fragment.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(f"{name} (in {where}) must use https: a key sent over plain http can be read on the way.")
    bracketed = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix(ENDPOINT).rstrip("/")
    return f"{parts.scheme}://{bracketed}{f':{port}' if port else ''}{path}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
