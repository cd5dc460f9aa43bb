"""Read the first arguments of `mcp`: a URL, a command, an `mcpServers` file or an object of this process.

The file is as other tools keep it: https://modelcontextprotocol.io/docs/develop/connect-local-servers and VS Code's,
whose key is `servers`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..redact import SecretHeaders
from .command_name import find_launcher, is_address
from .concealed import ConcealedText, conceal
from .server_file import expand_text, find_workspace, read_env_file, read_server_file
from .target import Target, Targets, clean_name, from_command, from_url, name_apart

__all__ = ["read_targets"]

_KEYS = ("mcpServers", "servers", "mcp_servers")
_URL_KEYS = ("url", "serverUrl", "httpUrl")
_WORDS = "Give the words of a command one by one"
_MAX_NAMED = 20  # entries that an error lists
_MAX_FAULTS = 3  # of entries, in one error


def read_targets(
    target: Any,
    arguments: Sequence[str] = (),
    *,
    headers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Targets:
    """Read the first arguments of `mcp`.

    Args:
        target: a URL, a command, the path of a JSON file, a dict of its form, or a server of the SDK.
        arguments: of the command; or the names of entries of the file.
        headers: sent to a URL.
        env: for a command's process.

    Raises:
        ConfigError: it is no such thing; the file cannot be read; a setting of amber_nb would go to the server.
        TypeError: an argument has the wrong type.
    """
    target, arguments = conceal(target), conceal(arguments)  # at once: a verbose traceback prints a frame's variables
    headers = SecretHeaders(_check_texts(headers, "headers"))
    env = SecretHeaders(_check_texts(env, "env"))
    _refuse_own_settings(env)
    if isinstance(target, (list, tuple)) or any(isinstance(argument, (list, tuple)) for argument in arguments):
        raise TypeError("mcp() takes the words of a command one by one, not as a list: write mcp(*words)")
    if not all(isinstance(argument, (str, os.PathLike)) for argument in arguments):
        raise TypeError("the arguments of a server's command must be strings")
    texts = conceal([os.fspath(argument) for argument in arguments])
    if isinstance(target, Mapping):
        return _read_entries(target, texts, "this dict", Path("mcp.json"), headers, env)
    text = ConcealedText(target.strip() if isinstance(target, str) else "")
    if "://" in text:
        if texts:
            raise ConfigError("A server with a URL takes no arguments: those are for a command.")
        return Targets([from_url(text, headers, env)])
    if text or isinstance(target, os.PathLike):
        _refuse_script(text or os.fspath(target), env, is_text=bool(text))
    if isinstance(target, os.PathLike) or text.lower().endswith((".json", ".jsonc")):
        path = Path(text or target)
        # As it was typed; an absolute path is mostly made of parts, and may hold the reader's name.
        name = path.name if path.is_absolute() else str(text or target)
        content = read_server_file(path, name)
        if not isinstance(content, Mapping):
            raise ConfigError(f"The file {name} holds no JSON object.")
        return _read_entries(content, texts, name, path, headers, env)
    if isinstance(target, str):
        _check_word(text, texts, env)
        return Targets([from_command((text, *texts), headers, env)])
    if any(cls.__module__.partition(".")[0] == "mcp" for cls in type(target).__mro__):
        if texts or headers or env:
            raise TypeError("a server of this process takes no arguments, headers= or env=")
        return Targets([Target(name=clean_name(str(getattr(target, "name", ""))) or "server", server=target)])
    raise TypeError(
        "mcp() takes a URL, a command with its arguments, the path of a JSON file with mcpServers, or a dict of that "
        f"form, not {type(target).__name__}"
    )


def _refuse_script(path: str, env: Mapping[str, str], *, is_text: bool) -> None:
    """Raise an error for a script that another program must start; a text may also be one that starts by itself."""
    launcher = "" if is_text and _is_several_words(path, ()) else find_launcher(path)
    if launcher and not (is_text and os.name != "nt" and _is_found(path, env)):
        name = f"{'…/' if os.path.dirname(path) else ''}{os.path.basename(path)}"
        raise ConfigError(
            f"A {os.path.splitext(name)[1]} file is started by another program: mcp({launcher}, {name!r})."
        )


def _check_word(text: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """Raise an error where the first word of a command is something else: nothing, a folder, several words, a URL."""
    if not text:
        raise ConfigError("An MCP server needs a URL, a command or a file; this is an empty string.")
    if _is_several_words(text, arguments):
        raise ConfigError(f"{_WORDS}: mcp('npx', '-y', '…'), not in one string.")
    if _is_found(text, env):
        return
    if os.path.isdir(text):
        raise ConfigError("This is a folder: an MCP server needs a URL, a command or a file.")
    if is_address(text) and not os.path.exists(text):
        raise ConfigError("A URL begins with https:// (or http:// on this machine), and no command has this name.")


def _is_found(word: str, env: Mapping[str, str]) -> bool:
    """Return whether a word is a command on the PATH, or a program that can be started."""
    return "\0" not in word and shutil.which(word, path=env.get("PATH")) is not None


def _is_several_words(command: str, arguments: Sequence[str]) -> bool:
    """Return whether a command's program and arguments stand in one text; a path may hold a space itself."""
    first, separator, _ = command.partition(" ")
    return bool(separator) and not os.path.exists(command) and not (arguments and re.search(r"[\\/]", first))


def _read_entries(
    content: Mapping[str, Any],
    names: list[str],
    where: str,
    path: Path,
    headers: Mapping[str, str],
    env: Mapping[str, str],
) -> Targets:
    """Read entries of a file: those that are named, or all; of all, one that cannot be used costs only itself."""
    if not {"command", *_URL_KEYS}.isdisjoint(content):  # one entry, without a name of its own
        entries: Mapping[str, Any] = {"": content}
    else:
        entries = next((content[key] for key in _KEYS if isinstance(content.get(key), Mapping)), {})
    if not entries or not all(isinstance(name, str) for name in entries):
        raise ConfigError(f"{where} has no mcpServers: {{'mcpServers': {{'name': {{'command': …}}}}}} is the form.")
    named = [_find_entry(str(name), entries, where) for name in names]  # not concealed: errors name them
    chosen = list(dict.fromkeys(named)) or [name for name, entry in entries.items() if not _is_disabled(entry)]
    if not chosen:
        raise ConfigError(f"All servers of {where} are disabled. To take one all the same, name it.")
    if (headers or env) and len(chosen) > 1:  # else each stranger would get the key of one
        raise ConfigError(f"headers= and env= are for one server, and {where} has {len(chosen)}: name one of them.")
    workspace, targets, faults = find_workspace(path), {}, {}
    for name in chosen:
        try:
            targets[name] = _read_entry(name, entries[name], where, workspace, headers, env)
        except ConfigError as error:
            if named or len(chosen) == 1:
                raise
            faults[name] = str(error)
    if not targets:
        raise ConfigError(f"No server of {where} can be used. {' '.join(list(faults.values())[:_MAX_FAULTS])}")
    return Targets(name_apart(targets), targets, faults)


def _find_entry(name: str, entries: Mapping[str, Any], where: str) -> str:
    """Return the name of an entry as the file has it, for that or for the name that its server has here."""
    found = [name] if name in entries else [each for each in entries if clean_name(each) == clean_name(name)]
    if len(found) != 1:
        known = ", ".join(map(repr, list(entries)[:_MAX_NAMED]))
        raise ConfigError(f"{where} has no server {name!r}. There are: {known}.")
    return found[0]


def _is_disabled(entry: Any) -> bool:
    return isinstance(entry, Mapping) and (entry.get("disabled") is True or entry.get("enabled") is False)


def _read_entry(
    name: str, entry: Any, where: str, workspace: Path, headers: Mapping[str, str], env: Mapping[str, str]
) -> Target:
    """Read an entry of a file; each error begins with its name."""
    try:
        if not isinstance(entry, Mapping):
            raise ConfigError("this is no JSON object")
        url = next(filter(None, (_check_text(entry.get(key), key) for key in _URL_KEYS)), None)
        if url is not None:
            return _read_url_entry(name, url, entry, workspace, headers, env)
        return _read_command_entry(name, entry, workspace, headers, env)
    except (ConfigError, TypeError) as error:
        said = str(error).removesuffix(".")
    raise ConfigError(f"{where}, server {name!r}: {said}." if name else f"{where}: {said}.")


def _read_url_entry(
    name: str, url: str, entry: Mapping[str, Any], workspace: Path, headers: Mapping[str, str], env: Mapping[str, str]
) -> Target:
    kind = str(entry.get("type") or entry.get("transport") or "").lower()
    transport = "sse" if kind == "sse" else "http" if "http" in kind else None
    # Its "env" is nobody's, and is ignored: Cursor's documentation has shown entries with both.
    both = _join(entry, "headers", headers, workspace)
    return from_url(expand_text(url, workspace), both, env, clean_name(name), transport)


def _read_command_entry(
    name: str, entry: Mapping[str, Any], workspace: Path, headers: Mapping[str, str], env: Mapping[str, str]
) -> Target:
    arguments = _check_list(entry.get("args"), "args")
    command, folder = (_check_text(entry.get(key), key) for key in ("command", "cwd"))
    if command is None:
        raise ConfigError("it has neither a command nor a url")
    if _check_texts(entry.get("headers"), "headers"):
        raise ConfigError("headers are for a server with a url; a command's process gets env")
    _refuse_own_settings(_check_texts(entry.get("env"), "env"))
    command = expand_text(command, workspace)
    if _is_several_words(command, arguments):
        raise ConfigError(f"{_WORDS}: {{'command': 'npx', 'args': ['-y', '…']}}, not in one string")
    own = _join(entry, "env", env, workspace)
    if (env_file := _check_text(entry.get("envFile"), "envFile")) is not None:
        own = SecretHeaders({**read_env_file(env_file, workspace), **own})
    return from_command(
        (command, *(expand_text(each, workspace) for each in arguments)),
        headers,
        own,
        clean_name(name),
        folder and expand_text(folder, workspace),
    )


def _join(entry: Mapping[str, Any], key: str, given: Mapping[str, str], workspace: Path) -> SecretHeaders:
    """Return headers or variables of an entry, and those that are given in their place: the entry's are not read then.

    So a value that another program asks its user for, `${input:…}`, can be given.
    """
    own, fold = _check_texts(entry.get(key), key), str.casefold if key == "headers" else str
    names = {fold(name) for name in given}
    read = {name: expand_text(text, workspace) for name, text in own.items() if fold(name) not in names}
    return SecretHeaders({**read, **given})


def _refuse_own_settings(env: Mapping[str, str]) -> None:
    if own := [name for name in env if name.upper().startswith("AMBER_")]:
        raise ConfigError(f"{own[0]} is a setting of amber_nb, and no server gets one: leave it out of env.")


def _check_texts(value: Any, name: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise TypeError(f"{name} must map strings to strings")
    return value


def _check_list(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} must be a list of strings")
    return list(value)


def _check_text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string")
    return value or None
