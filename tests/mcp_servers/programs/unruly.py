"""An MCP server without the SDK, over standard input and output, which breaks the rules where its tools are called.

    python unruly.py [stays | endless | many]

stays: it ignores SIGTERM and the end of its input; endless: it lists pages without end; many: it lists 5,000 tools.
"""

import json
import os
import signal
import subprocess
import sys
import time

HOW = sys.argv[1] if len(sys.argv) > 1 else ""
TOOLS = [
    "process_id", "write_rubbish", "write_rubbish_without_end", "write_half_a_message_and_die", "tell_progress",
    "write_stderr", "return_much", "die_with_child_on_stderr", "die_with_child_on_stdout",
]  # fmt: skip


def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tool(name):
    return {"name": name, "description": name, "inputSchema": {"type": "object", "properties": {}}}


def list_tools(cursor):
    if HOW == "endless":
        page = int(cursor or 0)
        return {"tools": [tool(f"page_{page}")], "nextCursor": str(page + 1)}
    return {"tools": [tool(name) for name in TOOLS] + [tool(f"more_{at}") for at in range(5_000 * (HOW == "many"))]}


def child(**streams):
    """Start a process that outlives this one, and tell its number on the standard error."""
    null = subprocess.DEVNULL
    command = [sys.executable, "-c", "import time; time.sleep(100)"]
    started = subprocess.Popen(command, **{"stdin": null, "stdout": null, "stderr": null, **streams})
    print(f"child {started.pid}", file=sys.stderr, flush=True)


def call(name, token):
    if name == "write_rubbish":
        for _ in range(5):
            print("Listening … {not json", flush=True)
    elif name == "write_rubbish_without_end":
        while True:
            print("rubbish " * 10, flush=True)
    elif name == "write_half_a_message_and_die":
        sys.stdout.write('{"jsonrpc": "2.0", "id": 1, "resu')
        sys.stdout.flush()
        os._exit(1)
    elif name == "tell_progress":
        for at in range(1, 10_001):
            params = {"progressToken": token, "progress": at, "total": 10_000, "message": "m" * 100}
            say(method="notifications/progress", params=params)
    elif name == "write_stderr":
        for at in range(10_000):
            print(f"line {at:6} " + "x" * 100, file=sys.stderr)
        print("the last line", file=sys.stderr, flush=True)
    elif name == "return_much":
        return "x" * 20_000_000
    elif name == "die_with_child_on_stderr":
        child(stderr=None)
        os._exit(3)
    elif name == "die_with_child_on_stdout":
        child(stdout=None, stderr=None)
        os._exit(3)
    return str(os.getpid())


def answer(method, params):
    if method == "initialize":
        info = {"name": "unruly", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return list_tools(params.get("cursor"))
    if method == "tools/call":
        if params["name"] == "return_deep":
            return {"content": [], "structuredContent": json.loads('{"a":' * 210 + "1" + "}" * 210)}
        if params["name"] == "return_no_result":
            return "nothing"
        text = call(params["name"], params.get("_meta", {}).get("progressToken"))
        return {"content": [{"type": "text", "text": text}]}
    return {} if method == "ping" else None


def main():
    if HOW == "stays":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        if result is None:
            say(id=message["id"], error={"code": -32601, "message": "Method not found"})
        else:
            say(id=message["id"], result=result)
    while HOW == "stays":
        time.sleep(1)


if __name__ == "__main__":
    main()
