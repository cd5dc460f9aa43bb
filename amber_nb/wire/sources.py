"""Read what a reply names as its sources, in the forms in which gateways and their search tools tell them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ..types import Source, replace_surrogates

__all__ = ["SOURCE_FIELDS", "find_links", "read_sources"]

# Fields that hold sources: of OpenAI, Perplexity, Azure ("context"), Open WebUI, Google, Cohere and LiteLLM.
SOURCE_FIELDS = (
    "annotations",
    "citations",
    "citation",
    "sources",
    "search_results",
    "references",
    "grounding_chunks",
    "groundingChunks",
)
_PART_FIELDS = ("annotations", "citations")  # of a part of the content; its other fields are what the model wrote
_PART_TYPES = ("tool_reference", "reference")  # parts that are sources: Mistral's
_INNER = ("url_citation", "file_citation", "web", "retrieved_context", "retrievedContext", "document", "source")
_URLS = ("url", "uri", "link", "href")
_TITLES = ("title", "name", "filename", "file_name", "filepath", "path", "document_title")
_NUMBER = re.compile(r"\W*\d+\W*")
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


def find_links(value: Any) -> tuple[Source, ...]:
    """Return the web pages and documents that a tool's result names: each record with an address, each once.

    Args:
        value: of JSON.
    """
    return tuple(dict.fromkeys(islice(_walk_links(value, 0), _MAX_SOURCES)))


def _walk_links(value: Any, depth: int) -> Iterator[Source]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value[:_MAX_SOURCES]:
            yield from _walk_links(item, depth + 1)
    elif isinstance(value, Mapping):
        url = _first_text(value, _URLS)
        if _is_url(url):
            yield Source(title=_first_text(value, _TITLES), url=url)
        for item in islice(value.values(), _MAX_SOURCES):
            if isinstance(item, (list, Mapping)):
                yield from _walk_links(item, depth + 1)


def _walk(value: Any, depth: int) -> Iterator[Source]:
    if isinstance(value, list):
        for item in value[:_MAX_SOURCES]:
            yield from _walk(item, depth + 1)
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return
    for field, item in value.items():
        if field in SOURCE_FIELDS and isinstance(item, (list, Mapping)):
            yield from _read_field(item, depth)
        elif field == "content" and isinstance(item, list):
            for part in item[:_MAX_SOURCES]:
                yield from _read_part(part)
        elif field not in ("content", "tool_calls", "logprobs", "usage"):
            yield from _walk(item, depth + 1)


def _read_field(item: list[Any] | Mapping[str, Any], depth: int) -> Iterator[Source]:
    """Read the sources of a field: a list, one source, sources by their numbers, or a dict that holds such fields."""
    if isinstance(item, list):
        yield from _read(item)
    elif item and all(_NUMBER.fullmatch(str(name)) for name in item):
        yield from _read(list(item.values()))
    elif found := list(_read(item)):
        yield from found
    else:
        yield from _walk(item, depth + 1)


def _read_part(part: Any) -> Iterator[Source]:
    if not isinstance(part, Mapping):
        return
    if part.get("type") in _PART_TYPES and _first_text(part, (*_URLS, *_TITLES)):
        yield from _read(part)
    for field in _PART_FIELDS:
        if isinstance(item := part.get(field), (list, Mapping)):
            yield from _read_field(item, _MAX_DEPTH)


def _read(item: Any, depth: int = 0) -> Iterator[Source]:
    if isinstance(item, str) and item.strip():
        url = _clean(item) if _is_url(item) else None
        yield Source(title=None if url else _clean(item), url=url)
    if depth > 3:
        return
    if isinstance(item, list):
        for each in item[:_MAX_SOURCES]:
            yield from _read(each, depth + 1)
    if not isinstance(item, Mapping):
        return
    inner: Mapping[str, Any] = next((item[name] for name in _INNER if isinstance(item.get(name), Mapping)), {})
    fields = {**item, **inner}
    url = _first_text(fields, _URLS)
    title = _first_text(fields, _TITLES)
    pages = _metadata(item)
    if url is None and pages:  # Open WebUI's: the source is the search, its pages are in the metadata
        alone = title if len({_first_text(page, ("source",)) for page in pages}) == 1 else None
        for page in pages:
            yield Source(title=_first_text(page, _TITLES) or alone, url=_first_text(page, ("source",)))
        return
    if url is None and title is None:
        named = item.get("source")
        if isinstance(named, str):
            yield from _read(named)
        return
    start, end = (fields.get(name) for name in ("start_index", "end_index"))
    if not (type(start) is int and type(end) is int and 0 <= start <= end):
        start = end = None
    yield Source(title=title, url=url, start=start, end=end)


def _metadata(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a source's metadata holds with an address."""
    pages = item.get("metadata")
    pages = [pages] if isinstance(pages, Mapping) else pages if isinstance(pages, list) else []
    return [page for page in pages[:_MAX_SOURCES] if isinstance(page, Mapping) and _is_url(page.get("source"))]


def _is_url(text: Any) -> bool:
    return isinstance(text, str) and text.strip().startswith(("http://", "https://"))


def _first_text(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    texts = (fields.get(name) for name in names)
    return next((_clean(text) for text in texts if isinstance(text, str) and text.strip()), None)


def _clean(text: str) -> str:
    return replace_surrogates(text.strip()[:_MAX_CHARS])
