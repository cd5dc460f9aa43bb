"""The cassette file: append, look up, replace; no HTTP. What its lines say: exchange.py.

An exchange is written when it has ended, in one piece and under a lock: a crash loses the exchanges in flight, and two
processes may record to one file.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from ..config import display_path
from ..errors import ConfigError
from .exchange import HEADER, Exchange, numbered, parse

try:
    import fcntl
except ImportError:  # Windows: processes are not kept apart there, threads are
    fcntl = None  # type: ignore[assignment]

__all__ = ["Cassette"]


class Cassette:
    """One file. Every method may be called from any thread.

    Args:
        path: ends in `.jsonl`; the file need not be there yet.

    Raises:
        ConfigError: it is no cassette, a newer one, or damaged; the message names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = display_path(path)
        self._begun = path.with_name(f".{path.name}.begun")
        self._lock = threading.RLock()
        self._seen: tuple[int, int, int] | None = None
        self._exchanges: list[Exchange] = []
        self._blocks: list[bytes] = []
        self._kept: tuple[Exchange, ...] | None = None
        self.reload()

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """In the order of the file, those that were superseded left out."""
        with self._lock:
            if self._kept is None:
                best: dict[tuple[str, int], Exchange] = {}
                for one in self._exchanges:
                    slot = (one.asked.key, one.n)
                    if slot not in best or one.attempt >= best[slot].attempt:
                        best[slot] = one
                kept = {id(one) for one in best.values()}
                self._kept = tuple(one for one in self._exchanges if id(one) in kept)
            return self._kept

    def whole(self, one: Exchange) -> Exchange:
        """One of `exchanges` with its body: of those added by this process only the lines are kept, as they are."""
        with self._lock:
            block = next((self._blocks[at] for at, old in enumerate(self._exchanges) if old is one), None)
            if one.steps or block is None:
                return one
            return replace(parse(HEADER + block, self.name)[0][0], line=one.line)

    def reload(self) -> bool:
        """Read the file again if it has changed; whether it had."""
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    _lock(file, exclusive=False)  # else half of what another process writes would be read
                    seen = _signature(file)
                    if seen == self._seen:
                        return False
                    content = file.read()[: self._sound()]
            except FileNotFoundError:
                changed = self._seen is not None
                self._seen, self._exchanges, self._blocks, self._kept = None, [], [], None
                return changed
            except OSError as error:
                raise ConfigError(f"The cassette {self.name} cannot be read ({type(error).__name__}).") from None
            self._exchanges, self._blocks = parse(content, self.name)
            self._seen, self._kept = seen, None
            return True

    def check(self) -> None:
        """See whether it can be written, before anything is asked that could not be kept.

        Raises:
            ConfigError: it cannot.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open():
                pass
        except OSError as error:
            raise ConfigError(
                f"The cassette {self.name} cannot be written ({error.strerror or type(error).__name__})."
            ) from None

    def add(self, one: Exchange, block: bytes, stale: Iterable[Exchange] = ()) -> Exchange:
        """Keep an exchange; returns it with the number that it got.

        Args:
            one: the exchange.
            block: its lines, from `lines_of`.
            stale: those it takes the place of. One of another process with the same request and number is none of
                them: both stay, and this one gets the next number.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        with self._lock, self._open() as file:
            self._kept = None
            one = replace(one, steps=())
            if _signature(file) != self._seen:
                file.seek(0)
                self._exchanges, self._blocks = parse(file.read(), self.name)
            gone = {(old.asked.key, old.n, old.attempt, old.cell) for old in stale}
            kept = [
                at
                for at, old in enumerate(self._exchanges)
                if (old.asked.key, old.n, old.attempt, old.cell) not in gone
            ]
            taken = {
                self._exchanges[at].n
                for at in kept
                if self._exchanges[at].asked.key == one.asked.key and self._exchanges[at].attempt == one.attempt
            }
            if one.n in taken:
                number = next(n for n in range(1, len(taken) + 2) if n not in taken)
                block = block.replace(b'"n": %d' % one.n, b'"n": %d' % number, 1)
                one = replace(one, n=number)
            if len(kept) == len(self._exchanges):
                self._append(file, block)
                self._exchanges.append(replace(one, line=2 + sum(old.count(b"\n") for old in self._blocks)))
                self._blocks.append(block)
                self._seen = _signature(file)
            else:
                # Where the first of the old ones stood: a recording made anew changes only its own lines in git.
                at = min(set(range(len(self._exchanges))) - set(kept))
                where = sum(1 for index in kept if index < at)
                exchanges = [self._exchanges[index] for index in kept]
                blocks = [self._blocks[index] for index in kept]
                exchanges.insert(where, one)
                blocks.insert(where, block)
                self._seen = _swap(self.path, HEADER + b"".join(blocks))
                self._exchanges, self._blocks = numbered(exchanges, blocks), blocks
            return one

    @contextlib.contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """The file, locked against other processes, with its header."""
        while True:
            file = self.path.open("ab+", buffering=0)
            try:
                _lock(file, exclusive=True)
                try:
                    current = os.path.samestat(os.fstat(file.fileno()), self.path.stat())
                except FileNotFoundError:
                    current = False
                if not current:  # another process has swapped it while this one waited
                    continue
                if self._sound() < os.fstat(file.fileno()).st_size:
                    file.truncate(self._sound())
                if not os.fstat(file.fileno()).st_size:
                    self._append(file, HEADER)
                yield file
                return
            finally:
                file.close()

    def _append(self, file: IO[bytes], block: bytes) -> None:
        size = os.fstat(file.fileno()).st_size
        self._begun.write_text(str(size))
        try:
            written = _write(file, block)
            if written != len(block):
                raise OSError(28, "No space left on device")
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)  # half an exchange would spoil the whole file
            raise
        finally:
            with contextlib.suppress(OSError):
                self._begun.unlink()

    def _sound(self) -> int:
        """Bytes of the file that were written whole; called under its lock.

        Where a process was killed while it wrote, its note of where it began is still there.
        """
        try:
            return int(self._begun.read_text())
        except (OSError, ValueError):
            return sys.maxsize


def _lock(file: IO[bytes], *, exclusive: bool) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        except OSError:  # a file system without locks
            if exclusive:
                raise


def _write(file: IO[bytes], block: bytes) -> int:
    return file.write(block)


def _signature(file: IO[bytes]) -> tuple[int, int, int]:
    stat = os.fstat(file.fileno())
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _swap(path: Path, content: bytes) -> tuple[int, int, int]:
    path = path.resolve()  # a link stays one
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            os.fsync(file.fileno())
            seen = _signature(file)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return seen
