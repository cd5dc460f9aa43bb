"""What the MCP server does: its tools `search` and `web_search`, documents as resources, and a prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .documents import Document, Hit, Place, find_document, read_corpus, search_corpus

__all__ = [
    "HANDSHAKE_METHODS",
    "HANDSHAKE_VERSIONS",
    "INVALID_PARAMS",
    "METHODS",
    "MODERN_METHODS",
    "MODERN_VERSIONS",
    "NOT_FOUND",
    "SERVER_INFO",
    "TOOLS",
    "RpcError",
]

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)
SERVER_INFO = {"name": "amber-simulator", "title": "amber (simulated)", "version": "1"}
INVALID_PARAMS = -32602
NOT_FOUND = -32002  # until 2025-11-25; later versions have no code of its own
_MAX_HITS = 20
_MAX_QUERY_CHARS = 1_000
_INSTRUCTIONS = (
    "Search the company's knowledge with `search`, the public web with `web_search`. This is the simulator: the "
    "company, its customers and the web pages are invented."
)
_PLACES: dict[str, Place] = {"search": "company", "web_search": "web"}
_INPUT = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "description": "What to look for: words or a question, in English or German",
            "minLength": 1,
            "maxLength": _MAX_QUERY_CHARS,
        },
        "limit": {
            "type": "integer",
            "description": "How many hits at most",
            "minimum": 1,
            "maximum": _MAX_HITS,
            "default": 5,
        },
    },
    "required": ["query"],
    "additionalProperties": False,
}
_HIT_KEYS = ("title", "url", "snippet", "source", "date")
_OUTPUT = {
    "type": "object",
    "properties": {
        "hits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {key: {"type": "string"} for key in _HIT_KEYS},
                "required": list(_HIT_KEYS),
            },
        }
    },
    "required": ["hits"],
}


def _tool(name: str, title: str, description: str, *, is_open: bool) -> dict[str, Any]:
    hints = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": is_open}
    tool = {"name": name, "title": title, "description": description, "annotations": hints}
    return tool | {"inputSchema": _INPUT, "outputSchema": _OUTPUT}


TOOLS = [
    _tool(
        "search",
        "Company search",
        "Search the company's knowledge: contracts and agreements with customers, minutes, offers, price lists, "
        "policies, product and support documents. Returns the documents that fit best, each with title, URL and the "
        "passage that fits.",
        is_open=False,
    ),
    _tool(
        "web_search",
        "Web search",
        "Search the public web: news, reports, guides and other companies' pages. Returns the pages that fit best, "
        "each with title, URL and the passage that fits.",
        is_open=True,
    ),
]
_PROMPT = {
    "name": "brief",
    "title": "Brief on a topic",
    "description": "Ask for a short brief on a topic from the company's knowledge, with its sources.",
    "arguments": [{"name": "topic", "description": "What the brief is about", "required": True}],
}


@dataclass(eq=False)
class RpcError(Exception):
    """A JSON-RPC error."""

    code: int
    message: str
    data: Any = None


def _initialize(params: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(params.get("protocolVersion"), str):
        raise RpcError(INVALID_PARAMS, "params.protocolVersion must be a string")
    asked = params["protocolVersion"]
    version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
    return {"protocolVersion": version, "serverInfo": SERVER_INFO, **_ABILITIES}


def _discover(params: dict[str, Any]) -> dict[str, Any]:
    return {"supportedVersions": [*HANDSHAKE_VERSIONS, *MODERN_VERSIONS], **_ABILITIES}


def _ping(params: dict[str, Any]) -> dict[str, Any]:
    return {}


def _list_tools(params: dict[str, Any]) -> dict[str, Any]:
    _refuse_cursor(params)
    return {"tools": TOOLS}


def _call_tool(params: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's result; wrong arguments are one, too, from which a model can learn."""
    name = _text(params, "name")
    arguments = params.get("arguments")
    if not isinstance(arguments, dict | None):
        raise RpcError(INVALID_PARAMS, "params.arguments must be an object")
    place = _PLACES.get(name)
    if place is None:
        raise RpcError(INVALID_PARAMS, f"Unknown tool: {name[:100]}")
    arguments = arguments or {}
    if problem := _find_problem(arguments):
        return {"content": [{"type": "text", "text": f"Input validation error: {problem}"}], "isError": True}
    hits = search_corpus(place, arguments["query"], int(arguments.get("limit", 5)))
    text = {"type": "text", "text": _describe_hits(hits, arguments["query"])}
    links = [_link(hit) for hit in hits]
    return {"content": [text, *links], "structuredContent": {"hits": [_hit_fields(hit) for hit in hits]}}


def _find_problem(arguments: dict[str, Any]) -> str:
    """Return what is wrong with the arguments of a search; empty if nothing is."""
    query, limit = arguments.get("query"), arguments.get("limit", 5)
    if "query" not in arguments:
        return "'query' is a required property"
    if not isinstance(query, str) or not query.strip() or len(query) > _MAX_QUERY_CHARS:
        return f"'query' must be a text of 1 to {_MAX_QUERY_CHARS:,} characters"
    is_whole = isinstance(limit, int) or (isinstance(limit, float) and limit.is_integer())
    if isinstance(limit, bool) or not is_whole or not 1 <= limit <= _MAX_HITS:
        return f"'limit' must be a whole number from 1 to {_MAX_HITS}"
    extra = next((name for name in arguments if name not in ("query", "limit")), None)
    return f"'{extra[:100]}' is no argument of this tool" if extra is not None else ""


def _hit_fields(hit: Hit) -> dict[str, str]:
    document = hit.document
    values = (document.title, document.url, hit.snippet, document.source, document.date)
    return dict(zip(_HIT_KEYS, values, strict=True))


def _link(hit: Hit) -> dict[str, Any]:
    document = hit.document
    names = {"name": document.name, "title": document.title, "description": f"{document.source}, {document.date}"}
    return {"type": "resource_link", "uri": document.url, **names, "mimeType": "text/markdown"}


def _describe_hits(hits: list[Hit], query: str) -> str:
    """Return hits as a model reads them: number, title, source, URL, passage."""
    if not hits:
        return f"Nothing found for: {query}"
    blocks = [
        f"{number}. {hit.document.title} ({hit.document.source}, {hit.document.date})\n"
        f"   {hit.document.url}\n"
        f"   {' '.join(hit.snippet.split())}"
        for number, hit in enumerate(hits, 1)
    ]
    return "\n\n".join(blocks)


def _list_resources(params: dict[str, Any]) -> dict[str, Any]:
    _refuse_cursor(params)
    return {"resources": [_resource(document) for document in read_corpus("company")]}


def _resource(document: Document) -> dict[str, Any]:
    names = {"uri": document.uri, "name": document.name, "title": document.title}
    details = {"description": f"{document.source}, {document.date}", "mimeType": "text/markdown"}
    return names | details | {"size": len(document.markdown.encode())}


def _list_templates(params: dict[str, Any]) -> dict[str, Any]:
    _refuse_cursor(params)
    return {"resourceTemplates": []}


def _read_resource(params: dict[str, Any]) -> dict[str, Any]:
    """Return a document by its URI, or by the URL that hits and links have."""
    uri = _text(params, "uri")
    document = find_document(uri)
    if document is None:
        raise RpcError(NOT_FOUND, "Resource not found", {"uri": uri[:200]})
    return {"contents": [{"uri": uri, "mimeType": "text/markdown", "text": document.markdown}]}


def _list_prompts(params: dict[str, Any]) -> dict[str, Any]:
    _refuse_cursor(params)
    return {"prompts": [_PROMPT]}


def _get_prompt(params: dict[str, Any]) -> dict[str, Any]:
    name = _text(params, "name")
    if name != _PROMPT["name"]:
        raise RpcError(INVALID_PARAMS, f"Unknown prompt: {name[:100]}")
    arguments = params.get("arguments")
    topic = arguments.get("topic") if isinstance(arguments, dict) else None
    if not isinstance(topic, str) or not topic.strip():
        raise RpcError(INVALID_PARAMS, "The prompt needs the argument 'topic', a text")
    question = f"What does the company's knowledge say about {topic[:_MAX_QUERY_CHARS]}?"
    text = f"{question} Write a brief of at most 100 words, and name its sources."
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return {"description": _PROMPT["description"], "messages": [message]}


def _text(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str):
        raise RpcError(INVALID_PARAMS, f"params.{name} must be a string")
    return value


def _refuse_cursor(params: dict[str, Any]) -> None:
    """Refuse a cursor, since every list fits on one page."""
    if params.get("cursor") is not None:
        raise RpcError(INVALID_PARAMS, "Invalid cursor")


_ABILITIES: dict[str, Any] = {
    "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
    "instructions": _INSTRUCTIONS,
}
Method = Callable[[dict[str, Any]], dict[str, Any]]
METHODS: dict[str, Method] = {
    "tools/list": _list_tools,
    "tools/call": _call_tool,
    "resources/list": _list_resources,
    "resources/read": _read_resource,
    "resources/templates/list": _list_templates,
    "prompts/list": _list_prompts,
    "prompts/get": _get_prompt,
}
HANDSHAKE_METHODS: dict[str, Method] = {"initialize": _initialize, "ping": _ping}
MODERN_METHODS: dict[str, Method] = {"server/discover": _discover}
