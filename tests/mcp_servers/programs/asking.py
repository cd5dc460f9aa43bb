"""A server over stdio that asks a question once two calls run, and returns to both what it was answered."""

import json
import sys

SCHEMA = {"type": "object", "properties": {"who": {"type": "string"}}}


def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main():
    calls = []
    for line in sys.stdin:
        message = json.loads(line)
        number, method = message.get("id"), message.get("method")
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "asking", "version": "1"}}
            send({"id": number, "result": {"protocolVersion": version, **about}})
        elif method == "tools/list":
            send({"id": number, "result": {"tools": [{"name": "wait", "inputSchema": SCHEMA}]}})
        elif method == "tools/call":
            calls.append(number)
            if len(calls) == 2:
                params = {"mode": "form", "message": "Which?", "requestedSchema": SCHEMA}
                send({"id": "question", "method": "elicitation/create", "params": params})
        elif method is None and number == "question":
            text = message["result"]["action"]
            for call in calls:
                send({"id": call, "result": {"content": [{"type": "text", "text": text}]}})
        elif number is not None:
            send({"id": number, "error": {"code": -32601, "message": "unknown"}})


main()
