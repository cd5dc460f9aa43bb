"""Read and describe the errors of a session with an MCP server."""

from __future__ import annotations

import re
from pathlib import PurePath

import httpx2
import mcp_types
from mcp import InputRequiredRoundsExceededError, MCPError

from ..display.escape import show_controls
from .http import REFUSED, UNREACHABLE, UNUSABLE
from .wire_filter import SAMPLING_IN_SDK, SAMPLING_REFUSED

__all__ = [
    "asks_by_result",
    "cause",
    "closed_error",
    "describe_failure",
    "forget_tracebacks",
    "is_answer",
    "is_closed",
    "is_unknown_method",
    "ran_nothing",
    "refuses_handshake",
]

_MAX_MESSAGE = 500
_CLOSED = "Connection closed"  # the SDK's words for a session that has ended
_REPEATABLE = ("Session terminated",)  # the SDK's words where a server has forgotten a session, and run nothing
# The SDK's own words where an answer did not come, or cannot be read: the server has said nothing of it.
_BROKEN_OFF = ("SSE stream ended", "SSE stream failed")
_UNREADABLE = ("Failed to parse SSE message", "Failed to parse JSON response")
_NO_HANDSHAKE = (
    mcp_types.UNSUPPORTED_PROTOCOL_VERSION,
    mcp_types.METHOD_NOT_FOUND,
    mcp_types.INVALID_REQUEST,
    mcp_types.INVALID_PARAMS,
)
_ASKS_BY_RESULT = "returned an InputRequiredResult"  # FastMCP's words for a tool that begins anew with each answer
_ASKS_PERHAPS = "Handler returned an invalid result"  # the SDK's words for the same, and for other faults
# The SDK's words for the result of a tool, and for a handshake.
_UNFIT = re.compile(r"Invalid structured content|Invalid schema for tool|Tool .{1,200} has an output schema", re.DOTALL)
_OTHER_VERSIONS = ("Unsupported protocol version", "No mutually supported")


def cause(error: BaseException) -> BaseException:
    """Return the first error within groups: the SDK's task groups raise them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def closed_error() -> MCPError:
    """Return the error of a session that has ended."""
    return MCPError(mcp_types.CONNECTION_CLOSED, _CLOSED)


def forget_tracebacks(error: BaseException) -> BaseException:
    """Return an error without the frames of it and of its causes: their variables may hold keys."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            left += [other for other in (each.__cause__, each.__context__) if other is not None]
            left += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return error


def is_answer(error: BaseException) -> bool:
    """Return whether an error is what a server answered, the same each time it is asked the same."""
    error = cause(error)
    if not isinstance(error, MCPError) or error.code in (UNREACHABLE, UNUSABLE, REFUSED) or is_closed(error):
        return False
    return not (_is_broken_off(error) or _is_unreadable(error))


def is_closed(error: BaseException) -> bool:
    """Return whether an error tells that the session has ended."""
    error = cause(error)
    if isinstance(error, MCPError):
        # By its words, too: many servers answer with the same code.
        return (error.code == mcp_types.CONNECTION_CLOSED and error.message == _CLOSED) or ran_nothing(error)
    if isinstance(error, (InputRequiredRoundsExceededError, RecursionError)) or _does_not_fit(error):
        return False
    return isinstance(error, (RuntimeError, httpx2.TransportError))


def ran_nothing(error: BaseException) -> bool:
    """Return whether a server has forgotten the session, and so has run nothing."""
    return isinstance(error, MCPError) and error.message in _REPEATABLE


def refuses_handshake(error: BaseException) -> bool:
    """Return whether an error of the handshake may mean that the server knows none."""
    error = cause(error)
    return isinstance(error, MCPError) and error.code in _NO_HANDSHAKE


def asks_by_result(error: BaseException) -> bool:
    """Return whether a tool may have asked by its result, which the protocols with a handshake do not know."""
    error = cause(error)
    if not isinstance(error, MCPError):
        return False
    is_of_fastmcp = error.code == mcp_types.INVALID_PARAMS and _ASKS_BY_RESULT in error.message
    return is_of_fastmcp or error.message == _ASKS_PERHAPS


def is_unknown_method(error: BaseException) -> bool:
    """Return whether a server does not know what it was asked."""
    return isinstance(error, MCPError) and error.code == mcp_types.METHOD_NOT_FOUND


def describe_failure(
    error: BaseException,
    *,
    command: str | None,
    is_folder_missing: bool,
    is_ready: bool,
    sends_rubbish: bool,
    connect_s: float,
    ending: BaseException | None,
) -> str:
    """Return what a server did or said, as the rest of a sentence that begins with its name.

    Args:
        error: the failure.
        command: the program of a server that is a process.
        is_folder_missing: whether the folder is not there in which it would be started.
        is_ready: whether the handshake had succeeded.
        sends_rubbish: whether it sent what is no message.
        connect_s: the seconds that it had for the handshake.
        ending: what has ended the session later.
    """
    error = cause(error)
    if isinstance(error, MCPError) and not is_closed(error):
        return _describe_error(error, is_ready)
    if isinstance(error, OSError) and not isinstance(error, TimeoutError) and command:
        return _describe_start(error, command, is_folder_missing)
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return f"cannot be started ({error.strerror or type(error).__name__})."
    if isinstance(error, TimeoutError):
        return f"did not answer within {connect_s:g} s."
    if sends_rubbish:
        return "sends what is no message of the protocol."
    if isinstance(error, InputRequiredRoundsExceededError):
        return "asked without end in one call."
    if isinstance(error, RecursionError):
        return "sent an answer that nests too deeply."
    if isinstance(error, ValueError) and not is_ready and command:
        return f"cannot be started ({type(error).__name__})."
    if isinstance(error, ValueError):
        return f"sent an answer that is not of the protocol's form ({type(error).__name__})."
    if _does_not_fit(error):
        return "returned what does not fit the output schema of its tool."
    if isinstance(error, RuntimeError) and str(error).startswith(_OTHER_VERSIONS):
        return "speaks no version of the protocol that is known here."
    if command:
        return "ended."
    return f"ended the connection ({type(ending).__name__})." if ending is not None else "ended the connection."


def _describe_error(error: MCPError, is_ready: bool) -> str:
    if error.code == mcp_types.METHOD_NOT_FOUND and not is_ready:
        return "is not there: nothing of the protocol answers at this address."
    if error.code == UNREACHABLE:
        return f"{_one_line(error.message)}: is the address right, and does the server run?"
    if error.code == UNUSABLE:
        return f"{_one_line(error.message)}."
    if _is_broken_off(error):
        return "broke its answer off."
    if _is_unreadable(error):
        return "sent an answer that cannot be read."
    message = SAMPLING_REFUSED if error.message == SAMPLING_IN_SDK else error.message
    return f"answered with an error: {_one_line(message)}"


def _describe_start(error: OSError, command: str, is_folder_missing: bool) -> str:
    if is_folder_missing and isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "cannot be started: the folder that cwd names is not there."
    if isinstance(error, FileNotFoundError):
        return f"cannot be started: there is no command {PurePath(command).name!r}."
    return f"cannot be started ({error.strerror or type(error).__name__})."


def _does_not_fit(error: BaseException) -> bool:
    """Return whether the SDK refuses the result of a tool of this process, whose output schema it has seen."""
    return isinstance(error, RuntimeError) and _UNFIT.match(str(error)) is not None


def _is_broken_off(error: MCPError) -> bool:
    return error.code == mcp_types.CONNECTION_CLOSED and error.message.startswith(_BROKEN_OFF)


def _is_unreadable(error: MCPError) -> bool:
    return error.code == mcp_types.PARSE_ERROR and error.message.startswith(_UNREADABLE)


def _one_line(text: str) -> str:
    line = show_controls(" ".join(text.split()))
    return line if len(line) <= _MAX_MESSAGE else line[: _MAX_MESSAGE - 1] + "…"
