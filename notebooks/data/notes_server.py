"""An MCP server for notebook 06: notes, which it keeps in memory as long as it runs."""

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("notes")
notes: list[str] = []


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def list_notes() -> list[str]:
    """List all notes."""
    return notes


@server.tool(annotations=ToolAnnotations(read_only_hint=False))
def save_note(text: str) -> str:
    """Save a note."""
    notes.append(text)
    return f"Note {len(notes)}: {text}"


if __name__ == "__main__":
    server.run()
