"""Read what a reply names as its sources, in the forms in which gateways and their search tools tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..types import Source, replace_surrogates

__all__ = ["SOURCE_FIELDS", "read_sources"]

# Fields that hold a list of sources: of OpenAI, Perplexity, Azure ("context"), Open WebUI, Google and Cohere.
SOURCE_FIELDS = (
    "annotations",
    "citations",
    "sources",
    "search_results",
    "references",
    "grounding_chunks",
    "groundingChunks",
)
_INNER = ("url_citation", "file_citation", "web", "retrieved_context", "retrievedContext", "document", "source")
_URLS = ("url", "uri", "link", "href")
_TITLES = ("title", "name", "filename", "file_name", "filepath", "path")
_MAX_SOURCES = 200
_MAX_CHARS = 2_000  # of a title or an address
_MAX_DEPTH = 5


def read_sources(completion: Mapping[str, Any]) -> tuple[Source, ...]:
    """Return the sources of a reply, those of its first choice, each once.

    Args:
        completion: as a dict.
    """
    choices = completion.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    found = dict.fromkeys(_walk({**completion, "choices": first}, 0))
    return tuple(found)[:_MAX_SOURCES]


def _walk(value: Any, depth: int) -> Iterator[Source]:
    if isinstance(value, list):
        for item in value[:_MAX_SOURCES]:
            yield from _walk(item, depth + 1)
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return
    for field, item in value.items():
        if field in SOURCE_FIELDS and isinstance(item, list):
            for each in item[:_MAX_SOURCES]:
                yield from _read(each)
        elif field not in ("content", "tool_calls", "logprobs", "usage"):
            yield from _walk(item, depth + 1)


def _read(item: Any, depth: int = 0) -> Iterator[Source]:
    if isinstance(item, str) and item.strip():
        is_url = item.startswith(("http://", "https://"))
        yield Source(title=None if is_url else _clean(item), url=_clean(item) if is_url else None)
    if not isinstance(item, Mapping) or depth > 3:
        return
    inner: Mapping[str, Any] = next((item[name] for name in _INNER if isinstance(item.get(name), Mapping)), {})
    fields = {**item, **inner}
    url = _first_text(fields, _URLS)
    title = _first_text(fields, _TITLES)
    if url is None and title is None:
        named = item.get("source")
        if isinstance(named, str):
            yield from _read(named)
        return
    start, end = (fields.get(name) for name in ("start_index", "end_index"))
    if not (type(start) is int and type(end) is int and 0 <= start <= end):
        start = end = None
    yield Source(title=title, url=url, start=start, end=end)


def _first_text(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    texts = (fields.get(name) for name in names)
    return next((_clean(text) for text in texts if isinstance(text, str) and text.strip()), None)


def _clean(text: str) -> str:
    return replace_surrogates(text.strip()[:_MAX_CHARS])
