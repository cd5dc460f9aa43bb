"""The MCP server at `/mcp/`: JSON-RPC over streamable HTTP, without sessions, for clients of both protocol eras.

A client of 2026-07-28 sends each request by itself, with its version in a header and in `_meta`; an older one begins
with `initialize`. Either gets one JSON body for one POST.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from . import api
from .api import MCP_PATH, ApiError, Request, Response
from .mcp_methods import (
    HANDSHAKE_METHODS,
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    METHODS,
    MODERN_METHODS,
    MODERN_VERSIONS,
    NOT_FOUND,
    SERVER_INFO,
    RpcError,
)

__all__ = ["respond_mcp"]

_META = "io.modelcontextprotocol/"
_ENVELOPE = (_META + "protocolVersion", _META + "clientCapabilities")
_MIRRORED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}  # in the header Mcp-Name
_CACHEABLE = ("server/discover", "tools/list", "resources/list", "resources/templates/list", "resources/read",
              "prompts/list")  # fmt: skip
_BASE64_HEADER = re.compile(r"=\?base64\?(.*)\?=")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,200}(?::\d{1,5})?|\[[0-9A-Fa-f:]{2,45}\](?::\d{1,5})?")
_LOCAL = ("127.0.0.1", "localhost", "[::1]")

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022


def respond_mcp(request: Request, *, max_body_bytes: int = api.MAX_BODY_BYTES) -> Response:
    """Return the MCP server's response to a request; it depends on the request alone.

    Args:
        request: the request, whatever its path.
        max_body_bytes: a longer body is refused with 413.

    Raises:
        ApiError: for what HTTP refuses before it comes to a message: method, key, size, types of content.
    """
    if request.method != "POST":  # there are no sessions, so no stream to open and none to end
        text = f"Not allowed to {request.method[:20]} on {MCP_PATH}. Send a JSON-RPC message by POST."
        raise ApiError(405, text, code="method_not_supported", allow="POST")
    try:
        api.check_key(request.headers.get("authorization"))
    except ApiError as error:
        error.authenticate = f'Bearer resource_metadata="{_metadata_url(request.headers)}"'
        raise
    if len(request.body) > max_body_bytes:
        raise api.too_large(max_body_bytes)
    _check_types(request.headers)
    try:
        message = api.parse_json(request.body)
    except (ValueError, RecursionError):
        return _error(None, RpcError(PARSE_ERROR, "Parse error"), is_modern=True)
    version = request.headers.get("mcp-protocol-version")
    is_modern = version is not None and version not in HANDSHAKE_VERSIONS
    message_id = _id_of(message)
    try:
        result = _answer(message, request.headers, is_modern)
    except RpcError as error:
        return _error(message_id, error, is_modern)
    if result is None:
        return Response(202, {})
    return _json(200, {"jsonrpc": "2.0", "id": message_id, "result": result})


def _metadata_url(headers: Mapping[str, str]) -> str:
    """Return where the metadata of this resource would be, on the host that the client has asked."""
    host = headers.get("host", "").strip()
    if _HOST.fullmatch(host) is None:
        host = "simulator.invalid"
    scheme = "http" if host.startswith(_LOCAL) else "https"
    return f"{scheme}://{host}/.well-known/oauth-protected-resource{MCP_PATH}"


def _check_types(headers: Mapping[str, str]) -> None:
    sent = headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "application/json":
        raise ApiError(415, "Send the message as Content-Type: application/json.", code="unsupported_media_type")
    accepted = {part.partition(";")[0].strip().lower() for part in headers.get("accept", "*/*").split(",")}
    if not accepted & {"application/json", "application/*", "*/*"}:
        text = "The reply is JSON: send Accept: application/json, text/event-stream."
        raise ApiError(406, text, code="not_acceptable")


def _id_of(message: Any) -> str | int | None:
    """Return a message's id, None where it has none that JSON-RPC allows."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str) or (isinstance(found, int) and not isinstance(found, bool)) else None


def _answer(message: Any, headers: Mapping[str, str], is_modern: bool) -> dict[str, Any] | None:
    """Return the result of a request, None for what gets no reply.

    Raises:
        RpcError: what a client did wrong.
    """
    invalid = RpcError(INVALID_REQUEST, "Body must be a single JSON-RPC request or notification object")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise invalid
    if "method" not in message and ("result" in message or "error" in message) and not is_modern:
        return None  # a reply to a request that this server has not sent
    method, params = message.get("method"), message.get("params")
    if not isinstance(method, str) or not isinstance(params, dict | None) or ("id" in message and _is_lost(message)):
        raise invalid
    params = params or {}
    version = headers.get("mcp-protocol-version")
    if "id" not in message:
        if is_modern:
            _check_version(version)
        return None
    if is_modern:
        _check_envelope(method, params, headers)
    elif "_meta" in params and not isinstance(params["_meta"], dict):
        raise RpcError(INVALID_PARAMS, "params._meta must be an object")
    methods = METHODS | (MODERN_METHODS if is_modern else HANDSHAKE_METHODS)
    if method not in methods:
        raise RpcError(METHOD_NOT_FOUND, "Method not found", method[:200])
    result = methods[method](params)
    if is_modern:
        result = result | {"resultType": "complete", "_meta": {_META + "serverInfo": SERVER_INFO}}
        if method in _CACHEABLE:
            result |= {"ttlMs": 0, "cacheScope": "private"}
    return result


def _is_lost(message: dict[str, Any]) -> bool:
    """Return whether a reply could not be found by its id."""
    return _id_of(message) is None


def _check_envelope(method: str, params: dict[str, Any], headers: Mapping[str, str]) -> None:
    """Refuse a request of 2026-07-28 that lacks what each of them carries, or whose headers say something else."""
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        raise RpcError(INVALID_PARAMS, f"params._meta must be an object with the keys {' and '.join(_ENVELOPE)}")
    if lacking := [key for key in _ENVELOPE if key not in meta]:
        raise RpcError(INVALID_PARAMS, f"params._meta is missing the required key(s): {', '.join(lacking)}")
    version = headers.get("mcp-protocol-version")
    if version != meta[_ENVELOPE[0]]:
        text = "mcp-protocol-version header does not match the protocol version of the request's _meta"
        raise RpcError(HEADER_MISMATCH, text)
    if headers.get("mcp-method") != method:
        raise RpcError(HEADER_MISMATCH, "mcp-method header does not match the request body's method")
    name = params.get(_MIRRORED.get(method, ""))
    if name is not None and _decode_header(headers.get("mcp-name")) != name:
        key = _MIRRORED[method]
        raise RpcError(HEADER_MISMATCH, f"mcp-name header does not match the request body's {key!r} parameter")
    _check_version(version)


def _check_version(version: str | None) -> None:
    if version not in MODERN_VERSIONS:
        data = {"supported": [*HANDSHAKE_VERSIONS, *MODERN_VERSIONS], "requested": (version or "")[:100]}
        raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _decode_header(value: str | None) -> str | None:
    """Return what a header says; what is not ASCII comes as base64."""
    match = _BASE64_HEADER.fullmatch(value or "")
    if match is None:
        return value
    try:
        return base64.b64decode(match[1], validate=True).decode()
    except ValueError:
        return None


def _error(message_id: str | int | None, error: RpcError, is_modern: bool) -> Response:
    """Return a JSON-RPC error; only since 2026-07-28 does the HTTP status tell of all of them."""
    code = INVALID_PARAMS if is_modern and error.code == NOT_FOUND else error.code
    body: dict[str, Any] = {"code": code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    status = 400
    if error.code == METHOD_NOT_FOUND:
        status = 404 if is_modern else 200
    elif not is_modern and error.code not in (PARSE_ERROR, INVALID_REQUEST):
        status = 200
    return _json(status, {"jsonrpc": "2.0", "id": message_id, "error": body})


def _json(status: int, value: Any) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"content-type": "application/json"}, body)
