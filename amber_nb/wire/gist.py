"""What a gateway says where no reply comes, in words: the message of an error object, the text of a web page."""

from __future__ import annotations

import html
import re
from typing import Any

__all__ = ["gist", "message"]

_LONGEST = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


def message(error: Any) -> str | None:
    """The message of an error body in any of its forms; None where there is none.

    Example:
        `message({"error": {"message": "No such model"}})` → `"No such model"`
    """
    if isinstance(error, str):
        return gist(error) if error.strip() else None
    if isinstance(error, list):  # FastAPI's: what is wrong with each field
        return message(error[0]) if error else None
    if isinstance(error, dict):
        for name in ("error", "message", "detail", "msg"):
            if error.get(name) and (found := message(error[name])):
                return found
    return None


def gist(said: bytes | str, longest: int = _LONGEST) -> str:
    """The beginning of a text; of a web page, what a reader would see of it."""
    text = said[:4_000].decode("utf-8", "replace") if isinstance(said, bytes) else said[:4_000]
    if found := re.search(r"<(!doctype )?html", text, re.IGNORECASE):
        before, page = text[: found.start()].strip(), text[found.start() :]
        seen = _seen(page)
        titled = _TITLE.search(page)
        title = _seen(titled[1]) if titled else ""
        told = f"a web page, “{title or seen[:80]}”" if title or seen else "a web page"
        return f"{before} ({told})"[:longest] if before else told[:longest]
    return text.strip()[:longest]


def _seen(page: str) -> str:
    return " ".join(html.unescape(_UNSEEN.sub(" ", page)).split())
