"""Name a server after the command that starts it: by a package, a script or an image, never by a path or a key."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["find_launcher", "is_address", "name_command", "reduce_command"]

_LAUNCHER = re.compile(
    r"(npx|npm|pnpx|pnpm|yarn|bunx|bun|node|deno|uvx|uv|pipx|python[\d.]*|pythonw|py|docker|podman|bash|sh|zsh|cmd|env)"
    r"(?:\.exe|\.cmd)?",
    re.IGNORECASE,
)
_VERBS = {"run", "tool", "exec", "dlx", "x"}  # between a launcher and what it launches
# Options that take no value, and those that take one: after any other, nobody can tell what the next word is.
_FLAGS = {
    *("-y", "--yes", "-q", "--quiet", "--silent", "--", "-m", "-u", "-B", "-I", "-O", "-i", "-t", "-it", "-ti"),
    *("--rm", "--init", "--interactive", "--tty", "--no-cache", "--offline", "--refresh", "--isolated", "--no-project"),
    *("--frozen", "--locked", "--no-sync", "--no-install", "--prefer-offline", "-A", "--allow-all", "/c", "/C"),
}
_WITH_VALUE = {
    *("--from", "--with", "--with-editable", "--python", "-p", "--package", "--directory", "--project", "--index"),
    *("--index-url", "--env-file", "--registry", "--prefix", "-X", "-W", "--import", "--require", "-r", "--loader"),
}
_WITH_VALUE_IN_DOCKER = {
    *("-e", "--env", "-v", "--volume", "--mount", "-w", "--workdir", "-u", "--user", "--name", "--network", "-p"),
    *("--publish", "-l", "--label", "--platform", "--pull", "--entrypoint", "-m", "--memory", "--cpus", "--add-host"),
}
# A package with its version, a script's path, an image with its tag: nothing that could be a key.
_LAUNCHED = re.compile(
    r"(?:[^=?#]*/)?@?(?P<name>\w[\w.-]*)(?:\[[\w,.-]+\])?(?:[@:][\w.^~+-]*(?::[\w]+)?|[=<>~!]=[\w.*]+)?"
)
_SUFFIX = re.compile(r"\.(?:py|js|mjs|cjs|ts|mts|sh|exe|cmd|bat)$", re.IGNORECASE)
_LAUNCHERS = {
    ".py": "sys.executable",
    **dict.fromkeys((".js", ".mjs", ".cjs"), "'node'"),
    **dict.fromkeys((".ts", ".mts"), "'npx', 'tsx'"),
}
# What a browser would take for an address, and no shell for a program: "server.sh" and "python3.12" are none.
_ADDRESS = re.compile(
    r"(?:\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}(?:/.*)?"
    r"|(?:localhost|\d{1,3}(?:\.\d{1,3}){3})(?:/.*)?"
    r"|(?:www|mcp|api)(?:\.[\w-]+){2,}(?:/.*)?"
    r"|(?:[A-Za-z0-9][\w-]*\.)+(?:com|org|net|dev|app|cloud|info|local|internal|example|test|(?!py|sh|pl|ps|so|rs)[a-z]{2})"
    r"(?:/.*)?",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
_VERSION = re.compile(r"[\d.]+$")
# An absolute path is a word, or follows "=", "," or ":", as in `-v /a/b:/c`.
_ABSOLUTE = re.compile(r"(?:(?<=[=,:])|^)(?:~|[A-Za-z]:(?=[\\/]))?[\\/][^=,:]*")


def name_command(words: Sequence[str]) -> str:
    """Return the name of what a command starts; that of its launcher, such as npx, where it cannot be told.

    Example:
        >>> name_command(["npx", "-y", "@modelcontextprotocol/server-everything@1.2"])
        'server-everything'
    """
    name = _last_part(words[0])
    if launcher := _LAUNCHER.fullmatch(name):
        launched = _find_launched(words[1:], launcher[1].lower())
        found = _LAUNCHED.fullmatch(launched.replace("\\", "/").rstrip("/"))
        if found and launcher[1].lower() in ("cmd", "env"):  # what they start may be a launcher itself
            return name_command(words[list(words).index(launched, 1) :])
        name = found["name"] if found else launcher[1]
    return _SUFFIX.sub("", name)


def reduce_command(words: Sequence[str]) -> list[str]:
    """Return a command's words without what differs from machine to machine: folders, an interpreter's version.

    Example:
        >>> reduce_command(["/usr/bin/python3.12", "/home/somebody/tools/server.py", "--read-only"])
        ['python', 'tools/server.py', '--read-only']
    """
    launcher = _LAUNCHER.fullmatch(_last_part(words[0]))
    first = _VERSION.sub("", launcher[1].lower()) if launcher else _reduce_paths(words[0])
    return [first, *map(_reduce_paths, words[1:])]


def find_launcher(path: str) -> str:
    """Return what starts a program in a file, as code; "" where the file's name does not tell.

    Example:
        >>> find_launcher("notes_server.py")
        'sys.executable'
    """
    name = _last_part(path)
    return next((launcher for suffix, launcher in _LAUNCHERS.items() if name.lower().endswith(suffix)), "")


def is_address(word: str) -> bool:
    """Return whether a word looks like a URL without its scheme, such as `mcp.example.com/mcp`."""
    return _ADDRESS.fullmatch(word) is not None


def _reduce_paths(word: str) -> str:
    """Return a word with the last two components of each absolute path; of a URL all but its query."""
    if "://" in word:
        return word.partition("?")[0]
    return _ABSOLUTE.sub(lambda path: "/".join(path[0].replace("\\", "/").strip("/").split("/")[-2:]), word)


def _find_launched(words: Sequence[str], launcher: str) -> str:
    """Return the first word that is neither an option nor an option's value; "" where that cannot be told."""
    in_docker = launcher in ("docker", "podman")
    with_value = _WITH_VALUE_IN_DOCKER | {"--env-file"} if in_docker else _WITH_VALUE
    is_value = False
    for word in words:
        if is_value:
            is_value = False
        elif word in with_value:
            is_value = True
        elif word in _FLAGS or word in _VERBS or (word.startswith("-") and "=" in word):
            continue
        elif word.startswith("-"):
            return ""
        elif launcher != "env" or not _ASSIGNMENT.fullmatch(word):
            return word
    return ""


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
