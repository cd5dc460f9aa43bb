"""Read why a gateway refuses: from an error's JSON in any of its forms, from a text, or from a web page."""

from __future__ import annotations

import html
import re
from typing import Any

__all__ = ["error_message", "summarize"]

_SUMMARY_CHARS = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_INVISIBLE = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


def error_message(error: Any) -> str | None:
    """Return the message of an error body in any of its forms; None where there is none.

    Example:
        `error_message({"error": {"message": "No such model"}})` → `"No such model"`
    """
    if isinstance(error, str):
        return summarize(error) if error.strip() else None
    if isinstance(error, list):  # FastAPI's: what is wrong with each field
        return error_message(error[0]) if error else None
    if isinstance(error, dict):
        for name in ("error", "message", "detail", "msg"):
            if error.get(name) and (found := error_message(error[name])):
                return found
    return None


def summarize(body: bytes | str, limit: int = _SUMMARY_CHARS) -> str:
    """Return the beginning of a text; of a web page, the beginning of what a reader would see."""
    text = body[:4_000].decode("utf-8", "replace") if isinstance(body, bytes) else body[:4_000]
    if start := re.search(r"<(!doctype )?html", text, re.IGNORECASE):
        before, page = text[: start.start()].strip(), text[start.start() :]
        visible = _visible_text(page)
        titled = _TITLE.search(page)
        title = _visible_text(titled[1]) if titled else ""
        summary = f"a web page, “{title or visible[:80]}”" if title or visible else "a web page"
        return f"{before} ({summary})"[:limit] if before else summary[:limit]
    return text.strip()[:limit]


def _visible_text(page: str) -> str:
    return " ".join(html.unescape(_INVISIBLE.sub(" ", page)).split())
