"""An MCP server for the tests, made with the SDK: over standard input and output, or over HTTP on 127.0.0.1."""

import asyncio
import io
import os
import sys
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Image, Resolve
from mcp_types import ToolAnnotations
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
