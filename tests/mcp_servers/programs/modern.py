"""A server over stdio that speaks the protocol of 2026 alone, and has one tool."""

import json
import sys

VERSION = "2026-07-28"
TOOL = {"name": "look", "description": "Look.", "inputSchema": {"type": "object", "properties": {}}}
SHARED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def answer(method):
    if method == "server/discover":
        return {"result": {"supportedVersions": [VERSION], "capabilities": {"tools": {}}, **SHARED}}
    if method == "tools/list":
        return {"result": {"tools": [TOOL], **SHARED}}
    if method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": "a view"}], "resultType": "complete"}}
    wrong = {"code": -32022, "message": "Unsupported protocol version", "data": {"supported": [VERSION]}}
    return {"error": wrong}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer(message["method"])}), flush=True)
