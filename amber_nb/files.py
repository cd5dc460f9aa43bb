"""Replace files atomically, and lock them against other processes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock

__all__ = ["lock_file", "replace_files"]


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Keep other processes of this user on this machine from entering, as long as they lock the same file.

    The file need not exist. The lock is a file in the folder for temporary files, so that none lies beside the user's.

    Raises:
        OSError: the lock cannot be made.
    """
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    user = os.getuid() if hasattr(os, "getuid") else 0
    with FileLock(Path(tempfile.gettempdir()) / f"amber_nb-{user}-{digest}.lock", mode=0o600, poll_interval=0.01):
        yield


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Replace files, each atomically; where one cannot be replaced, those before it get their old content back.

    All are written out beside their targets first, so that a full disk changes nothing. A link stays one: what it
    points to is replaced.

    Raises:
        OSError: a file cannot be written, or is read-only; all are as they were.
    """
    staged: dict[Path, Path] = {}
    before: dict[Path, bytes | None] = {}
    try:
        for name, content in contents.items():
            path = name.resolve()
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, f"{name.name} is read-only", str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            before[path] = path.read_bytes() if path.exists() else None
            staged[path] = _write_beside(path, content)
        for number, (path, fresh) in enumerate(staged.items()):
            try:
                os.replace(fresh, path)
            except OSError:
                for done in list(staged)[:number]:
                    _restore(done, before[done])
                raise
    finally:
        for fresh in staged.values():
            with contextlib.suppress(OSError):
                fresh.unlink()


def _write_beside(path: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's 0600 would lock a team out; the umask cannot be read without setting it.
        fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    return fresh


def _restore(path: Path, content: bytes | None) -> None:
    with contextlib.suppress(OSError):
        if content is None:
            path.unlink()
        else:
            os.replace(_write_beside(path, content), path)
