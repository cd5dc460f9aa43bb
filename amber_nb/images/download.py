"""Fetch an image that the user has asked us to fetch."""

from __future__ import annotations

import httpx2

from ..errors import ImageError

__all__ = ["download"]

MOST_BYTES = 50_000_000
TIMEOUT_S = 30.0


def download(url: str, name: str) -> bytes:
    """The bytes at an http(s) address; proxies and certificates are the system's, redirects are followed.

    Raises:
        ImageError: there is nothing, too much, or no connection; the message names the host, not the address.
    """
    try:
        with httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S) as client, client.stream("GET", url) as reply:
            if not reply.is_success:
                raise ImageError(f"{name} could not be fetched: its server said {reply.status_code}.")
            pieces, size = [], 0
            for piece in reply.iter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise ImageError(f"{name} has more than the {MOST_BYTES / 1e6:.0f} MB that are fetched.")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise ImageError(f"{name} could not be fetched: {type(error).__name__}. Is the address reachable?") from None
    return b"".join(pieces)
