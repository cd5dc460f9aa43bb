"""Who has claimed a request, and whether that process still lives."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
from pathlib import Path

from .ledger_file import connect

__all__ = ["Owner"]


class Owner:
    """Who claims: a name, and the lock on the file of that name, which the system takes away with the process.

    The lock is SQLite's, on an empty file beside the ledger: it reaches as far as the ledger's own, a forked child does
    not inherit it, and after `kill -9` it is free at once. Owners are made, and their files removed, only inside a
    transaction that writes to the ledger, hence one at a time.

    Args:
        folder: of the owners of one ledger.

    Raises:
        OSError: the file cannot be made.
        sqlite3.Error: it cannot be locked.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.name = secrets.token_hex(8)
        self._file = folder / self.name
        os.close(os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        self._connection = _lock(self._file)

    def close(self) -> None:
        """Give up the lock, and remove the file."""
        self._connection.close()
        with contextlib.suppress(OSError):
            self._file.unlink()

    @staticmethod
    def is_alive(folder: Path, name: str) -> bool:
        """Return whether the owner's lock is held; the file of one that is not is removed."""
        file = folder / name
        if not file.exists():
            return False
        try:
            _lock(file).close()
        except sqlite3.Error:
            return file.exists()  # locked, or cannot be told: rather wait than pay twice
        with contextlib.suppress(OSError):
            file.unlink()
        return False

    @staticmethod
    def list_alive(folder: Path) -> list[str]:
        """Return the names of all living owners; the files of others are removed."""
        try:
            names = sorted(file.name for file in folder.iterdir() if re.fullmatch(r"[0-9a-f]{16}", file.name))
        except OSError:
            return []
        return [name for name in names if Owner.is_alive(folder, name)]


def _lock(file: Path) -> sqlite3.Connection:
    """Lock a file for as long as what is returned stays open; raises sqlite3.Error where another has it locked."""
    connection = connect(file, timeout_s=0)
    try:
        connection.execute("PRAGMA journal_mode = MEMORY")  # else a journal would lie beside it
        connection.execute("BEGIN EXCLUSIVE")
    except BaseException:
        connection.close()
        raise
    return connection
