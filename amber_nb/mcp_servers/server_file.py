"""Read an `mcpServers` file as other programs keep it: JSON with comments, and variables in its texts.

The variables are those of VS Code (https://code.visualstudio.com/docs/reference/variables-reference) and of Cursor
(https://cursor.com/docs/mcp) that do not depend on an open editor, and the environment's.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from ..config import expand_variables
from ..errors import ConfigError
from .concealed import ConcealedText, conceal

__all__ = ["expand_text", "find_workspace", "read_env_file", "read_server_file"]

_STRING = r'"(?:[^"\\\n]|\\.)*"?'
_COMMENT = re.compile(rf"({_STRING})|//[^\r\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_VISIBLE = re.compile(r"[^\r\n]")
_IN_EDITORS = (".vscode", ".cursor")  # a folder of the workspace, in which the file lies
_PREDEFINED = re.compile(r"(\$\{(?:workspaceFolder|workspaceFolderBasename|userHome|pathSeparator|/)\})")
_UNKNOWN = re.compile(r"\$\{((?!env:|input:)\w{1,30}):\w")  # ${config:…}, ${command:…}, ${workspaceFolder:name}
_NESTED = re.compile(r"\$\{[^}]*\$\{")
_NOT_FOUND = "there is none of this name"
# What is wrong, in plain words, by what Python's json says of it.
_FAULTS = {
    "Expecting ',' delimiter": "a comma or a closing bracket is missing before this",
    "Expecting ':' delimiter": "a colon is missing before this",
    "Expecting property name enclosed in double quotes": "a name in double quotes must stand here",
    "Illegal trailing comma": "a value is missing after the comma",
    "Expecting value": "a value is missing here, or is not in double quotes",
    "Unterminated string starting at": "the text that begins here has no closing quote on its line",
    "Invalid control character at": "a text holds a line break or a tab here: write \\n or \\t",
    "Invalid \\escape": "a backslash in a text is written twice, \\\\",
    "Invalid \\uXXXX escape": "a backslash in a text is written twice, \\\\",
    "Extra data": "the file should end before this",
}


def read_server_file(path: Path, name: str) -> Any:
    """Return the JSON value of a file, its texts concealed; comments and trailing commas are allowed.

    Args:
        path: of the file.
        name: of the file in errors.

    Raises:
        ConfigError: the file cannot be read, or is no JSON.
    """
    text, why = _read_text(path)
    if why:
        raise ConfigError(f"The file {name} cannot be read: {why}.")
    content, why = _parse(text)
    if why:
        raise ConfigError(f"The file {name} is no JSON: {why}.")
    return content


def find_workspace(path: Path) -> Path:
    """Return the folder that `${workspaceFolder}` means in a file: its own, or that in which `.vscode` lies."""
    folder = path.expanduser().absolute().parent
    return folder.parent if folder.name in _IN_EDITORS else folder


def read_env_file(text: str, workspace: Path) -> dict[str, str]:
    """Return the variables of an entry's `envFile`, without the settings of amber_nb, which no server gets.

    Raises:
        ConfigError: it cannot be read.
    """
    path = workspace / expand_text(text, workspace)
    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8") if path.is_file() else None
    except (OSError, ValueError):
        values = None
    if values is None:
        raise ConfigError(f"its envFile {path.name} cannot be read")
    return {name: value or "" for name, value in values.items() if not name.upper().startswith("AMBER_")}


def expand_text(text: str, workspace: Path) -> str:
    """Return a text of an entry with its variables replaced.

    Args:
        text: of the entry.
        workspace: the folder that `${workspaceFolder}` means.

    Raises:
        ConfigError: a variable is not known, or not set.
    """
    # Each part by itself: a folder may hold "${" in its name. What is nested is refused as a whole.
    parts = [text] if _NESTED.search(text) else _PREDEFINED.split(text)
    return ConcealedText("".join(_expand_part(part, workspace) for part in parts))


def _expand_part(part: str, workspace: Path) -> str:
    if unknown := _UNKNOWN.search(part):
        raise ConfigError(f"${{{unknown[1]}:…}} is known to another program alone: write the value itself.")
    if not _PREDEFINED.fullmatch(part):
        return expand_variables(part)
    predefined = {
        "workspaceFolder": str(workspace),
        "workspaceFolderBasename": workspace.name,
        "userHome": os.path.expanduser("~"),
    }
    return predefined.get(part[2:-1], os.sep)


def _read_text(path: Path) -> tuple[str, str]:
    """Return the text of a file, and why it cannot be read."""
    try:
        path = path.expanduser()
        if path.is_dir():  # which is "permission denied" on Windows
            return "", "it is a folder"
        return ConcealedText(path.read_text(encoding="utf-8-sig")), ""
    except FileNotFoundError:
        return "", _NOT_FOUND
    except PermissionError:
        return "", "you have no permission to read it"
    except UnicodeDecodeError:
        return "", "it is not in UTF-8, as which it must be saved"
    except RuntimeError:  # of expanduser
        return "", "its path begins with an unknown user"
    except (OSError, ValueError) as error:
        return "", getattr(error, "strerror", None) or type(error).__name__


def _parse(text: str) -> tuple[Any, str]:
    """Return the value of a JSON text, and what is wrong with it, in a frame that raises nothing."""
    if not text.strip():
        return None, "it is empty"
    try:
        return conceal(json.loads(_strip(text))), ""
    except json.JSONDecodeError as error:
        fault = next((words for said, words in _FAULTS.items() if error.msg.startswith(said)), error.msg)
        return None, f"line {error.lineno}, column {error.colno}: {fault}"
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError:  # a number of thousands of digits
        return None, "a number is too long"


def _strip(text: str) -> str:
    """Return a JSON text with spaces for its comments and trailing commas: lines and columns stay."""
    without = _COMMENT.sub(lambda found: found[1] or _VISIBLE.sub(" ", found[0]), text)
    return ConcealedText(_TRAILING_COMMA.sub(lambda found: found[1] or " ", without))
