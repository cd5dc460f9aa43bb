"""How the simulated model uses tools that search: which one it calls, with what query, and what it makes of hits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .prompt import Prompt, stems

__all__ = ["FoundPage", "choose_search", "describe_hits", "narrow_prompt", "read_hits", "read_plainly"]

Function = dict[str, Any]
_ABOUT_WEB = re.compile(r"\b(?:web|internet|online|news|website|websites|netz|nachrichten|homepage)\b")
_ABOUT_BOTH = re.compile(
    r"\b(?:web|internet|news)\b[^.?!]{0,40}\b(?:and|und)\b[^.?!]{0,40}\b(?:our|company|unser\w{0,2})\b"
    r"|\b(?:our|company|unser\w{0,2})\b[^.?!]{0,40}\b(?:and|und)\b[^.?!]{0,40}\b(?:web|internet|news)\b"
)
_OPENS_QUESTION = re.compile(
    r"\s*(?:please\s+|bitte\s+)?(?:search|find|look|tell|summari[sz]e|explain|list|show|what|who|when|where|which|how|why"
    r"|suche?|finde?|zeige?|nenne?|erkläre?|fasse?|was|wer|wann|wo|wie|welche[rs]?|warum)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
_SEARCH = stems("search")
_WEB = stems("web internet")
_GREETINGS = stems("hello hi hey thanks hallo danke")
_NUMBERED_HIT = re.compile(
    r"^\d{1,3}\. (?P<head>[^\n]{1,500})\n {0,8}(?P<url>https?://\S{1,2000})\n {0,8}(?P<snippet>[^\n]{1,2000})$",
    re.MULTILINE,
)
_SOURCE = re.compile(r" \([^()]{1,100}, (\d{4}-\d\d-\d\d)\)$")  # behind the title
_NOTHING = "Nothing found for:"
_MAX_QUOTED = 3  # hits whose passages are quoted; of the others only the titles
_MAX_NAMED = 10
_MAX_CHARS = 400
_MAX_READ = 200_000  # characters of a result


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A hit, as a result of a search tells of it."""

    title: str
    url: str
    snippet: str
    date: str = ""


def choose_search(
    prompt: Prompt, functions: list[Function], selection: list[Function], rate: Callable[[Function], float]
) -> list[Function]:
    """Return a selection of functions with the kind of search that the prompt asks for, or none.

    The web is searched if the prompt speaks of it, and else the knowledge of the company; both, if it speaks of both. A
    question that no function answers by its words is searched for.

    Args:
        prompt: the prompt.
        functions: all functions on offer.
        selection: those of them that the prompt's words ask for.
        rate: tells how well a function fits the prompt.
    """
    searches = [function for function in functions if _is_search(function)]
    asked = [function for function in selection if function in searches]
    if not searches or not (asked or (not selection and _is_question(prompt))):
        return selection
    of_web = [function for function in searches if stems(function["name"]) & _WEB]
    others = [function for function in searches if function not in of_web]
    if of_web and others and _ABOUT_BOTH.search(prompt.lower):
        return [function for function in selection if function not in searches] + [others[0], of_web[0]]
    fitting = (of_web or others) if _ABOUT_WEB.search(prompt.lower) else (others or of_web)
    chosen = [function for function in asked if function in fitting] or [max(fitting, key=rate)]
    return [function for function in selection if function not in searches] + chosen


def _is_search(function: Function) -> bool:
    """Return whether a function searches for a text: `search(query)`, `web_search(query, limit)`."""
    parameters = function.get("parameters") or {}
    query = (parameters.get("properties") or {}).get("query")
    is_text = isinstance(query, dict) and query.get("type") == "string"
    return is_text and parameters.get("required", ["query"]) == ["query"] and bool(stems(function["name"]) & _SEARCH)


def _is_question(prompt: Prompt) -> bool:
    has_form = "?" in prompt.text or _OPENS_QUESTION.match(prompt.text) is not None
    return has_form and bool(prompt.stems - _GREETINGS)


def narrow_prompt(prompt: Prompt, function: Function) -> Prompt:
    """Return the prompt from which a function gets its arguments: for a search its first question, if it has one."""
    if not _is_search(function) or prompt.quoted:
        return prompt
    questions = [sentence for sentence in _SENTENCE_END.split(prompt.subject) if sentence.endswith("?")]
    return Prompt(questions[0].strip()) if questions else prompt


def read_hits(result: str) -> list[FoundPage] | None:
    """Return the hits of a tool's result, None if it is no result of a search.

    They are read from JSON, `{"hits": [{"title": …, "url": …, "snippet": …}]}`, and from a numbered list.
    """
    try:
        value = json.loads(result)
    except (ValueError, RecursionError):
        pages = [_read_entry(match) for match in _NUMBERED_HIT.finditer(result[:_MAX_READ])]
        return pages if pages or result.startswith(_NOTHING) else None
    hits = value.get("hits") if isinstance(value, dict) else None
    if not isinstance(hits, list):
        return None
    found = [_read_hit(hit) for hit in hits]
    return None if None in found else [page for page in found if page is not None]


def _read_entry(match: re.Match[str]) -> FoundPage:
    source = _SOURCE.search(match["head"])
    title = match["head"][: source.start()] if source else match["head"]
    return FoundPage(title, match["url"], match["snippet"], source[1] if source else "")


def _read_hit(hit: Any) -> FoundPage | None:
    if not isinstance(hit, dict):
        return None
    title, url, snippet, date = (hit.get(key, "") for key in ("title", "url", "snippet", "date"))
    if isinstance(title, str) and isinstance(url, str) and isinstance(snippet, str) and isinstance(date, str):
        return FoundPage(title, url, snippet, date) if title else None
    return None


def read_plainly(result: str) -> str:
    """Return a tool's result as text: of hits their titles and passages, without what is the form of the result."""
    hits = read_hits(result)
    return result if not hits else "\n".join(f"{_one_line(hit.title)}: {_one_line(hit.snippet)}" for hit in hits)


def describe_hits(hits: list[FoundPage]) -> str:
    """Return Markdown that quotes the best hits, and names the others; each page once."""
    pages = list({(page.url or page.title): page for page in reversed(hits)}.values())[::-1]
    if not pages:
        return "I have searched, and found nothing about this."
    lines = [f"{_name(page)} says: {_one_line(page.snippet)}" for page in pages[:_MAX_QUOTED] if page.snippet]
    rest = [page for page in pages[:_MAX_NAMED] if page not in pages[:_MAX_QUOTED] or not page.snippet]
    if rest:
        lines.append("Also found: " + ", ".join(map(_name, rest)) + ".")
    return "\n\n".join(lines)


def _name(page: FoundPage) -> str:
    title = re.sub(r"([\[\]\\])", r"\\\1", _one_line(page.title))
    is_link = re.fullmatch(r"https?://[^\s()<>]{1,2000}", page.url) is not None
    return (f"[{title}]({page.url})" if is_link else title) + (f" ({_one_line(page.date)})" if page.date else "")


def _one_line(text: str) -> str:
    text = " ".join(text[: 4 * _MAX_CHARS].split())
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1].rstrip() + "…"
