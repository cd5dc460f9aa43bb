"""Start MCP servers that nobody here wrote, call each of their tools by an `ask`, and tell what came."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amber_nb import Allow, Amber, Deny
from amber_nb.display.approval_form import refuse_input

__all__ = ["Reader", "call_each", "listen", "prompt_for"]

HERE = Path(__file__).parent / "real"
# What a tool's arguments are filled from, where its name alone would not do; {folder} is one with notes.txt in it.
PROMPTS = {
    "trigger-long-running-operation": "Use it with duration 1 and steps 2.",
    "start-notification-stream": "Use it with interval 10 and count 3.",
    "write_file": 'Write to "{folder}/new.txt".',
    "edit_file": 'Edit "{folder}/path.txt".',
    "create_directory": 'Create "{folder}/sub".',
    "list_directory": 'List "{folder}".',
    "list_directory_with_sizes": 'List "{folder}".',
    "directory_tree": 'List "{folder}".',
    "search_files": 'Search "{folder}" for "*.txt".',
    "move_file": 'Move with source "{folder}/old.txt" and destination "{folder}/moved.txt".',
    "read_multiple_files": 'Read "{folder}/notes.txt" and "{folder}/path.txt".',
}
FILE_TOOLS = ("read_file", "read_text_file", "read_media_file", "get_file_info")


def prompt_for(tool: str, folder: str) -> str:
    """Return a prompt from which the simulator fills the arguments of a tool."""
    prompt = 'Use it on "{folder}/notes.txt".' if tool in FILE_TOOLS else PROMPTS.get(tool, f"Use {tool}.")
    return prompt.format(folder=folder)


class Reader:
    """Answers what servers ask, as `ApprovalPrompt.request_input` does; False: refuses it."""

    def __init__(self) -> None:
        self.accepts = True
        self.asked: list[Any] = []

    async def __call__(self, question: Any, call: Any, index: int) -> Allow | Deny:
        self.asked.append(question)
        if refused := refuse_input(question.schema):
            return Deny(refused)
        if not self.accepts:
            return Deny("not today")
        return Allow({name: _fill(each) for name, each in question.schema.get("properties", {}).items()})


def _fill(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    for choices in (schema.get("enum"), [each["const"] for each in schema.get("oneOf", schema.get("anyOf", ()))]):
        if choices:
            return choices[0]
    if kind == "array":
        return [_fill(schema["items"])]
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return schema.get("minimum", 7)
    formats = {"email": "ann@example.com", "date": "2026-12-01", "uri": "https://example.com/"}
    formats["date-time"] = "2026-12-01T12:00:00Z"
    text = "12345" if "pattern" in schema else formats.get(schema.get("format", ""), "Ann Example")
    return text[: schema.get("maxLength", 100)]


@contextlib.contextmanager
def listen(*command: Any, port: int | None = None, **env: str) -> Iterator[int]:
    """Run a server that prints "port 1234" once it listens, or that gets a port; return the port."""
    foreign = ("PYTHONPATH", "AMBER_", "OPENAI_", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    process = subprocess.Popen(
        list(map(str, command)),
        env={**environment, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    reader: threading.Thread | None = None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("port ") if port is None else "Uvicorn running on" in line:
                break
        else:
            raise RuntimeError("".join(said))
        reader = threading.Thread(target=process.stdout.read, daemon=True)  # or the pipe would be full at some time
        reader.start()
        yield port if port is not None else int(said[-1].split()[1])
    finally:
        process.kill()
        process.wait(20)
        if reader is not None:
            reader.join(20)
        process.stdout.close()


def call_each(amber: Amber, label: str, server: Any, folder: str = "") -> dict[str, str]:
    """Call each tool of a server by an ask of its own, print what came, and return the outcome of each.

    Returns:
        "ran", or "failed: …" with the beginning of the error; "not offered", where a tool needs tasks.
    """
    outcomes = {}
    server.tools()
    offered = {tool.name for tool in server._chosen(server._requests.listed)}
    for tool in server._requests.listed:
        name = tool.name
        if name not in offered and not tool.needs_task:
            continue  # by exclude=
        if tool.needs_task:
            outcomes[name] = "not offered"
            _print(label, name, "not offered", "", "it needs tasks")
            continue
        answer = amber.ask(
            prompt_for(name, folder), tools=server.select(only=name), tool_choice="required", show=False, max_rounds=2
        )
        run = answer.tool_runs[0]
        outcomes[name] = run.status if run.error is None else f"{run.status}: {run.error.splitlines()[0][:60]}"
        _print(label, name, run.status, f"{run.duration_s:.3f}", run.error or _describe(run, answer.sources))
    return outcomes


def _describe(run: Any, sources: Any) -> str:
    content = run.content
    parts = [f"{len(str(run.sent)):,} characters"]
    if content is not None and content.images:
        parts.append(f"{len(content.images)} pictures")
    if content is not None and content.table:
        parts.append(f"a table of {len(content.table[1])} rows")
    if sources:
        parts.append(f"{len(sources)} links")
    return ", ".join(parts) + ": " + " ".join(str(run.sent).split())


def _print(label: str, tool: str, status: str, seconds: str, what: str) -> None:
    sys.stdout.write(f"{label:34} {tool:32} {status:12} {seconds:>7}  {what[:90]!r}\n")
