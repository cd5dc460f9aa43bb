"""The file of a ledger: made whole, checked before it is written to, and its failures told in plain words.

Nothing here reads the file other than through SQLite: closing a file that a program has opened by itself takes away
the locks that SQLite holds on it in the same process (POSIX).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from .. import clock
from ..errors import AmberError, ConfigError
from ..files import lock_file
from ..paths import display_path

__all__ = [
    "VERSION",
    "Patience",
    "connect",
    "default_path_name",
    "is_on_network",
    "make_or_check",
    "open_writer",
    "plain_errors",
    "read_mounts",
    "side_files",
]

APPLICATION_ID = 0x616D6272  # "ambr"
VERSION = 1
BUSY_S = 30.0  # for so long another process is waited for
STEP_S = 0.2  # that SQLite itself waits, in which no interrupt comes through
CHECKED_WHOLE_BYTES = 4_000_000  # up to which all pages are checked at opening: some 10 ms

# `keys` is narrow, so that a lookup or a note of its use touches no answer; `answers` grows at its end only. A row
# belongs to the run that stored it, and `uses` holds only what other runs have found: most often nothing.
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, model TEXT NOT NULL, rows INTEGER NOT NULL, parts TEXT NOT NULL,
    begun REAL NOT NULL, used REAL NOT NULL, retain_days REAL
);
CREATE TABLE keys (key BLOB PRIMARY KEY, answer INTEGER NOT NULL, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE answers (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, answer TEXT NOT NULL);
CREATE INDEX answers_by_run ON answers (run);
CREATE TABLE uses (answer INTEGER NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (answer, run)) WITHOUT ROWID;
CREATE TABLE claims (key BLOB PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
"""
TABLES = frozenset(re.findall(r"CREATE TABLE (\w+)", SCHEMA))

# File systems whose locks or shared memory do not reach all who write, by their names in /proc/self/mountinfo; of the
# user-space ones (fuse.*) all but those that lie on a local disk.
NETWORK_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "9p",
        "afs",
        "afpfs",
        "ceph",
        "lustre",
        "glusterfs",
        "beegfs",
        "gpfs",
        "gfs",
        "gfs2",
        "ocfs2",
        "orangefs",
        "pvfs2",
        "panfs",
        "wekafs",
        "coda",
        "virtiofs",
        "vboxsf",
        "vmhgfs",
        "prl_fs",
        "drvfs",
        "webdav",
        "davfs",
        "fuse",
    }
)
LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs", "fuse.lxcfs", "fuse.mergerfs"})

ELSEWHERE = "name another one with ledger=path"

T = TypeVar("T")


class Patience:
    """How long the calls of one ledger wait for the locks of other processes; any thread may call it.

    They wait in steps, so that an interrupt comes through, and that whoever closes can shorten what is under way.
    """

    def __init__(self) -> None:
        self._end = math.inf

    def shorten(self, seconds: float) -> None:
        """Have nothing wait longer than so many seconds from now, for good."""
        self._end = min(self._end, clock.monotonic() + seconds)

    def limit(self) -> float:
        """Return until when a call that begins now may wait."""
        return clock.monotonic() + BUSY_S

    def call(self, function: Callable[[], T], limit: float) -> T:
        """Call a function until no other process is in its way.

        Args:
            function: may be called again where SQLite says that it is busy.
            limit: of the whole, as `limit()` has it.

        Raises:
            sqlite3.Error: it is busy still.
        """
        while True:
            try:
                return function()
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or clock.monotonic() >= min(limit, self._end):
                    raise


def default_path_name(path: Path, default: Path) -> str:
    """Return a ledger's path as messages may show it: the default one from the home folder on.

    Args:
        path: of the ledger.
        default: the path that a ledger has where none is named.
    """
    if path == default.resolve():
        with contextlib.suppress(ValueError, RuntimeError):
            return f"~/{path.relative_to(Path.home().resolve()).as_posix()}"
    return display_path(path)


def side_files(path: Path) -> list[Path]:
    """Return the files that SQLite keeps beside a database, whether they are there or not."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def read_mounts() -> str:
    """Return the table of mounts of this process, "" where there is none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def is_on_network(folder: str, mounts: str) -> bool:
    r"""Return whether a folder lies on a file system that other machines write to.

    Args:
        folder: resolved; on Windows a mapped drive has become its `\\server\share` thereby.
        mounts: the text of /proc/self/mountinfo.
    """
    if folder.startswith(("\\\\", "//")):
        return not folder.startswith("\\\\?\\") or folder.upper().startswith("\\\\?\\UNC\\")
    longest, system = -1, ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if not dash or len(fields) < 5 or not after.split():
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        # Of two mounts in one place, the later one covers the other.
        if len(point) >= longest and (folder == point or folder.startswith(point.rstrip("/") + "/")):
            longest, system = len(point), after.split()[0]
    return system in NETWORK_SYSTEMS or (system.startswith("fuse.") and system not in LOCAL_FUSE)


@contextlib.contextmanager
def plain_errors(name: str) -> Iterator[None]:
    """Raise what SQLite raises as an error that names the ledger and the remedy.

    Args:
        name: of the ledger, as messages may show it.

    Raises:
        ConfigError: the file is damaged, no ledger, or cannot be written.
        AmberError: another process keeps it locked, the disk is full or fails.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            raise  # a mistake of the caller's, such as one after `close`
        raise _explain(code & 0xFF, str(error), name) from error


def _explain(code: int, message: str, name: str) -> AmberError:
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return AmberError(
            f"Another process keeps the ledger {name} locked. Wait for it or stop it, or {ELSEWHERE}. What was stored "
            "stays stored."
        )
    if code == sqlite3.SQLITE_FULL:
        return AmberError(
            f"The disk of the ledger {name} is full. Free some space, or {ELSEWHERE}. What was stored stays stored."
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return _damaged(name)
    if code == sqlite3.SQLITE_NOTADB:
        return _foreign(name)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return ConfigError(
            f"The ledger {name} cannot be written: the file or its folder is read-only or gone. Make it writable, or "
            f"{ELSEWHERE}."
        )
    return AmberError(
        f"The ledger {name} cannot be used: {message}. If it stays so, {ELSEWHERE}. What was stored stays stored."
    )


def _damaged(name: str) -> ConfigError:
    return ConfigError(
        f"The ledger {name} is damaged, and is left as it is. Move it away to begin a new one, which asks all rows "
        f"again, or {ELSEWHERE}."
    )


def _foreign(name: str) -> ConfigError:
    return ConfigError(f"{name} is no ledger of amber_nb, and is left as it is. Move it away, or {ELSEWHERE}.")


def connect(path: Path, mode: str = "rw", timeout_s: float | None = None) -> sqlite3.Connection:
    """Open a file with SQLite; transactions are begun and ended by hand, and any thread may use it.

    Args:
        path: absolute; it must exist.
        mode: of SQLite's URI, with more parameters where needed.
        timeout_s: how long SQLite waits for another process's lock, without an interrupt; None: one step.
    """
    timeout = min(STEP_S, BUSY_S) if timeout_s is None else timeout_s
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA cache_size = -16000")  # kB, where needed: the upper pages of ten million keys
    except BaseException:  # such as that another process has it locked
        connection.close()
        raise
    return connection


def make_or_check(path: Path, name: str, *, on_network: bool, patience: Patience) -> None:
    """Make a ledger where none is, else check the one that is there without changing it.

    Args:
        path: resolved.
        name: as messages may show it.
        on_network: whether other machines may write to it.
        patience: with other processes.

    Raises:
        ConfigError: it cannot be made, is damaged, newer, or no ledger.
        AmberError: another process keeps it locked.
    """
    try:
        if not path.exists():
            _make_folder(path.parent)
            _make(path, wal=not on_network)
        elif path.is_dir():
            raise ConfigError(f"The ledger is to be a file, and {name} is a folder. Name a file in it: ledger=path.")
        elif not path.is_file():
            raise _foreign(name)
        for file in (path, *side_files(path)):  # a copy may have come with a wider mode
            with contextlib.suppress(OSError):
                if file.stat().st_mode & 0o077:
                    file.chmod(0o600)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(
            f"The ledger {name} cannot be made: {why}. Make its folder writable, or {ELSEWHERE}."
        ) from None
    except sqlite3.Error as error:
        raise _explain(getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error), name) from error
    with plain_errors(name):
        patience.call(lambda: _check(path, name, on_network), patience.limit())


def _make_folder(folder: Path) -> None:
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)


def _make(path: Path, *, wal: bool) -> None:
    """Make the file beside its place and move it there whole, unless another process has been faster."""
    handle, fresh_name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".tmp")  # mode 0600
    os.close(handle)
    fresh = Path(fresh_name)
    try:
        with contextlib.closing(connect(fresh)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: what is deleted goes
            connection.execute("BEGIN")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            values = [("secret", secrets.token_bytes(32)), ("swept", clock.time())]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", values)
            connection.execute("COMMIT")
            if wal:
                set_journal(connection, "wal")
        with lock_file(path):
            if path.exists():
                return
            # Of a ledger that was moved or deleted without them: SQLite would take them for those of the new one.
            for file in side_files(path):
                file.unlink(missing_ok=True)
            try:
                os.link(fresh, path)
            except FileExistsError:  # by another machine
                return
            except OSError:  # no links in this file system
                os.rename(fresh, path)
        _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def _sync_folder(folder: Path) -> None:
    """Have the disk keep the file's name, too, where a folder can be opened for that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check(path: Path, name: str, on_network: bool) -> None:
    wal, shm, journal = side_files(path)
    had_wal = wal.exists()
    try:
        # Where nobody writes to a log, nothing comes to lie beside it so; what a journal will undo may look damaged.
        if had_wal:
            _check_as(path, name, "ro")
        else:
            _check_as(path, name, "ro&immutable=1", whole=not journal.exists())
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB or had_wal:
            raise
        # That was without locks: what another process has just begun to write may look damaged, too.
        try:
            _check_as(path, name, "ro" if on_network or wal.exists() else "ro&immutable=1")
        except sqlite3.DatabaseError:
            if on_network and wal.exists() and not _size(wal):  # made by our look
                for file in (wal, shm):
                    file.unlink(missing_ok=True)
            raise


def _check_as(path: Path, name: str, mode: str, *, whole: bool = True) -> None:
    with contextlib.closing(connect(path, mode)) as connection:
        connection.text_factory = bytes  # damage may be no UTF-8
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise _foreign(name)
        version = _pragma(connection, "user_version")
        if version > VERSION:
            raise ConfigError(
                f"The ledger {name} was written by a newer amber_nb (format {version}; this one knows {VERSION}), and "
                f"is left as it is. Update amber_nb, or {ELSEWHERE}."
            )
        if not whole:
            return
        tables = {row[0].decode() for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version < 1 or not tables >= TABLES:
            raise _damage()
        secret = connection.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()
        if secret is None or len(secret[0]) != 32:
            raise _damage()
        for table in TABLES:
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall()
        if _size(path) <= CHECKED_WHOLE_BYTES and connection.execute("PRAGMA quick_check(1)").fetchall() != [(b"ok",)]:
            raise _damage()


def _damage() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def open_writer(path: Path, *, on_network: bool) -> tuple[sqlite3.Connection, bool]:
    """Open a ledger for writing, each commit durable on return; returns whether it has a write-ahead log.

    Args:
        path: resolved, and checked.
        on_network: a rollback journal, since a write-ahead log needs memory that all processes share. The ledger then
            keeps it: whoever has the folder on a disk of his own cannot know who else writes.

    Raises:
        sqlite3.Error: as `plain_errors` tells it.
    """
    connection = connect(path)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        wal = set_journal(connection, "delete" if on_network else None) == "wal"
        # After a power cut a deleted journal may be back, unless the folder is synced, too: EXTRA does that.
        connection.execute(f"PRAGMA synchronous = {'FULL' if wal else 'EXTRA'}")
        if not wal:  # in the midst of a big transaction there is no second try; whoever reads is soon done
            connection.execute(f"PRAGMA busy_timeout = {1_000 * min(0.5, BUSY_S):.0f}")
    except BaseException:
        connection.close()
        raise
    return connection, wal


def set_journal(connection: sqlite3.Connection, wanted: str | None) -> str:
    """Set the journal's kind, `wal` or `delete`, where it is another; returns the one that SQLite has granted."""
    now = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    if wanted in (None, now):
        return now
    return str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
