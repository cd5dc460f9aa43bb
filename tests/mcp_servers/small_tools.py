"""Functions for servers of the tests, with the hints that a server gives of them, and calls of each."""

from mcp_types import ToolAnnotations

__all__ = ["CHANGE", "LOOK", "SEND", "change", "look", "send"]


def look(what: str) -> str:
    """Look at something."""
    return f"seen: {what}"


def change(what: str) -> str:
    """Change something."""
    return f"changed: {what}"


def send(text: str) -> str:
    """Send a text."""
    return "sent"


look.hints = ToolAnnotations(readOnlyHint=True)
change.hints = ToolAnnotations(readOnlyHint=False)

LOOK = ("look", {"what": "a"})
CHANGE = ("change", {"what": "a"})
SEND = ("send", {"text": "a"})
