"""An MCP server for the tests, made with the SDK: over standard input and output, or over HTTP on 127.0.0.1."""

import asyncio
import io
import os
import sys
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Image, Resolve
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ElicitRequest, ElicitRequestFormParams, InputRequiredResult, ToolAnnotations
from PIL import Image as Pillow
from pydantic import BaseModel

server = MCPServer("toolbox")
READS = ToolAnnotations(readOnlyHint=True)


class Colour(BaseModel):
    colour: str


@server.tool(annotations=READS)
def echo(text: str) -> str:
    """Echo a text."""
    return text


@server.tool()
def write(text: str) -> str:
    """Write a text."""
    return f"wrote {text}"


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Count, and tell how far it is."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to, f"at {number}")
    return f"counted to {to}"


@server.tool()
async def hang() -> str:
    """Never answer."""
    print("hangs", file=sys.stderr, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("was cancelled", file=sys.stderr, flush=True)


@server.tool()
def die() -> str:
    """End the process at once."""
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
def fail() -> str:
    """Raise an error."""
    raise ValueError("it went wrong")


@server.tool()
def environment() -> dict[str, str]:
    """Return the environment of the process."""
    return dict(os.environ)


@server.tool()
def hits(query: str) -> dict[str, list[dict[str, str]]]:
    """Search."""
    return {"hits": [{"title": f"About {query}", "url": "https://wiki.example.com/a", "snippet": "…"}]}


async def _ask_colour() -> Elicit[Colour]:
    return Elicit("Which colour?", Colour)


@server.tool()
async def choose(answer: Annotated[ElicitationResult[Colour], Resolve(_ask_colour)]) -> str:
    """Ask the reader for a colour, as the protocol of 2026 has it."""
    return _tell(answer)


@server.tool()
async def choose_in_handshake_era(ctx: Context) -> str:
    """Ask the reader for a colour, as the protocols before 2026 had it."""
    return _tell(await ctx.elicit("Which colour?", Colour))


@server.tool()
async def choose_by_result(ctx: Context) -> str | InputRequiredResult:
    """Ask the reader for a colour in the form that only the protocol of 2026 knows."""
    answers = ctx.input_responses
    if answers:
        return f"{answers['colour'].action} {(answers['colour'].content or {}).get('colour', '')}".strip()
    return _require_colour()


@server.tool()
async def choose_by_result_as_fastmcp(ctx: Context) -> str | InputRequiredResult:
    """Do the same; say what is wrong where the protocol is older, in the words of FastMCP."""
    if ctx.protocol_version < "2026":
        raise MCPError(INVALID_PARAMS, "Tool 'x' returned an InputRequiredResult to request client input, but …")
    return await choose_by_result(ctx)


@server.tool()
async def ask_without_end() -> str | InputRequiredResult:
    """Ask again after each answer."""
    return _require_colour()


def _require_colour() -> InputRequiredResult:
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
    form = ElicitRequestFormParams(message="Which colour?", requested_schema=schema)
    return InputRequiredResult(input_requests={"colour": ElicitRequest(params=form)}, request_state="asked")


def _tell(answer: ElicitationResult[Colour]) -> str:
    return f"accept {answer.data.colour}" if answer.action == "accept" else answer.action


@server.tool()
def process_id() -> int:
    """Return the number of the process."""
    return os.getpid()


@server.resource("notes://today", name="today", mime_type="text/plain")
def today() -> str:
    """The notes of today."""
    return "Buy amber."


@server.prompt()
def brief(topic: str) -> str:
    """Ask for a brief."""
    return f"Write a brief on {topic}."


@server.tool()
def picture() -> Image:
    """Return a red square."""
    out = io.BytesIO()
    Pillow.new("RGB", (32, 32), "red").save(out, "PNG")
    return Image(data=out.getvalue(), format="png")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        server.run(sys.argv[1], port=int(sys.argv[2]))
    else:
        server.run()
