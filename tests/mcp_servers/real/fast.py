"""A server made with FastMCP: over standard input and output, or `fast.py (http | sse) PORT`."""

import base64
import sys

from fastmcp import Context, FastMCP
from fastmcp.utilities.types import Image
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

server = FastMCP("fast")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@server.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool
def people() -> list[dict]:
    """List people."""
    return [{"name": "Ann", "age": 31}, {"name": "Bob", "age": 42}]


@server.tool
def pixel() -> Image:
    """Return a picture."""
    return Image(data=base64.b64decode(PIXEL), format="png")


@server.tool
def fail() -> str:
    """Raise an error."""
    raise ValueError("it went wrong")


@server.tool
async def count(ctx: Context) -> str:
    """Count, and tell how far it is."""
    for number in range(3):
        await ctx.report_progress(number, 3)
    return "counted"


@server.tool
async def choose(ctx: Context) -> str:
    """Ask the reader for a text."""
    answer = await ctx.elicit("Which colour?", response_type=str)
    return f"{answer.action} {getattr(answer, 'data', '')}"


@server.tool
async def choose_by_result(ctx: Context) -> str | InputRequiredResult:
    """Ask the reader for a text in the form that only the protocol of 2026 knows."""
    answers = ctx.input_responses
    if answers:
        return f"{answers['colour'].action} {(answers['colour'].content or {}).get('colour', '')}"
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}}
    form = ElicitRequestFormParams(message="Which colour?", requested_schema=schema)
    return InputRequiredResult(input_requests={"colour": ElicitRequest(params=form)}, request_state="asked")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run(transport=sys.argv[1], host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run()
