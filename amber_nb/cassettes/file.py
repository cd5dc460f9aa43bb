"""The cassette file: read, append and replace interactions; no HTTP. `interaction.py` has the format of its lines.

An interaction is written when it has ended, in one piece and under a lock: a crash loses the interactions in flight,
and two processes may record to one file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO

from ..config import display_path
from ..errors import ConfigError
from ..files import lock_file, replace_files
from .interaction import HEADER, Interaction, loads, number_lines

__all__ = ["Cassette"]


class Cassette:
    """A cassette file; every method may be called from any thread.

    Args:
        path: of the file, which need not exist yet; it ends in `.jsonl`.

    Raises:
        ConfigError: it is no cassette, of a newer version, or damaged; the message names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = display_path(path)
        self._write_mark = path.with_name(f".{path.name}.begun")
        self._lock = threading.RLock()
        self._signature: tuple[int, int, int] | None = None
        self._interactions: list[Interaction] = []
        self._blocks: list[bytes] = []
        self._current: tuple[Interaction, ...] | None = None
        self.reload()

    @property
    def interactions(self) -> tuple[Interaction, ...]:
        """The interactions in the order of the file, without those that a retry superseded."""
        with self._lock:
            if self._current is None:
                best: dict[tuple[str, int], Interaction] = {}
                for interaction in self._interactions:
                    slot = (interaction.request.exact, interaction.n)
                    if slot not in best or interaction.attempt >= best[slot].attempt:
                        best[slot] = interaction
                kept = {id(interaction) for interaction in best.values()}
                self._current = tuple(each for each in self._interactions if id(each) in kept)
            return self._current

    def with_body(self, interaction: Interaction) -> Interaction:
        """Return an interaction of this file with its body; of those that this process added, only lines are kept."""
        with self._lock:
            block = next((self._blocks[at] for at, old in enumerate(self._interactions) if old is interaction), None)
            if interaction.steps or block is None:
                return interaction
            return replace(loads(HEADER + block, self.name)[0][0], line=interaction.line)

    def reload(self) -> bool:
        """Read the file again if it has changed, and return whether it had."""
        with self._lock:
            try:
                with contextlib.ExitStack() as stack:
                    with contextlib.suppress(OSError):  # where no lock can be made, nothing is recorded either
                        stack.enter_context(lock_file(self.path))  # else half of a write would be read
                    signature = _signature(self.path)
                    if signature == self._signature:
                        return False
                    content = self.path.read_bytes()[: self._sound_size()]
            except FileNotFoundError:
                changed = self._signature is not None
                self._signature, self._interactions, self._blocks, self._current = None, [], [], None
                return changed
            except OSError as error:
                raise ConfigError(f"The cassette {self.name} cannot be read ({type(error).__name__}).") from None
            self._interactions, self._blocks = loads(content, self.name)
            self._signature, self._current = signature, None
            return True

    def check(self) -> None:
        """Check that the file can be written, before a request is sent whose reply could not be kept.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock_file(self.path):
                self._repair()
        except OSError as error:
            raise ConfigError(
                f"The cassette {self.name} cannot be written ({error.strerror or type(error).__name__})."
            ) from None

    def add(self, interaction: Interaction, block: bytes, stale: Iterable[Interaction] = ()) -> Interaction:
        """Write an interaction, and return it with the number that it got.

        Args:
            interaction: what to write.
            block: its lines, from `dumps`.
            stale: interactions that it replaces. An interaction of another process with the same request and number
                is not among them: both stay, and this one gets the next number.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        with self._lock, lock_file(self.path):
            self._repair()
            self._current = None
            interaction = replace(interaction, steps=())
            if _signature(self.path) != self._signature:
                self._interactions, self._blocks = loads(self.path.read_bytes(), self.name)
            gone = {(old.request.exact, old.n, old.attempt, old.cell) for old in stale}
            kept = [
                at
                for at, old in enumerate(self._interactions)
                if (old.request.exact, old.n, old.attempt, old.cell) not in gone
            ]
            taken = {
                self._interactions[at].n
                for at in kept
                if self._interactions[at].request.exact == interaction.request.exact
                and self._interactions[at].attempt == interaction.attempt
            }
            if interaction.n in taken:
                number = next(n for n in range(1, len(taken) + 2) if n not in taken)
                block = block.replace(b'"n": %d' % interaction.n, b'"n": %d' % number, 1)
                interaction = replace(interaction, n=number)
            if len(kept) == len(self._interactions):
                self._append(block)
                self._interactions.append(replace(interaction, line=2 + sum(old.count(b"\n") for old in self._blocks)))
                self._blocks.append(block)
            else:
                # In the place of the first stale interaction: a recording made anew changes only its own lines in git.
                at = min(set(range(len(self._interactions))) - set(kept))
                where = sum(1 for index in kept if index < at)
                interactions = [self._interactions[index] for index in kept]
                blocks = [self._blocks[index] for index in kept]
                interactions.insert(where, interaction)
                blocks.insert(where, block)
                replace_files({self.path: HEADER + b"".join(blocks)})
                self._interactions, self._blocks = number_lines(interactions, blocks), blocks
            self._signature = _signature(self.path)
            return interaction

    def _repair(self) -> None:
        """Cut off what a killed process has written in part, and write the header; called under the lock."""
        with self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if self._sound_size() < size:
                file.truncate(size := self._sound_size())
        with contextlib.suppress(OSError):
            self._write_mark.unlink()  # else it would cut the file again, once it has been replaced by a longer one
        if not size:
            self._append(HEADER)

    def _append(self, block: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._write_mark.write_text(str(size))
            try:
                if _write(file, block) != len(block):
                    raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)  # half an interaction would spoil the whole file
                raise
            finally:
                with contextlib.suppress(OSError):
                    self._write_mark.unlink()

    def _sound_size(self) -> int:
        """Return how many bytes of the file were written whole; called under its lock.

        A process that was killed while it wrote has left the size that the file had before.
        """
        try:
            return int(self._write_mark.read_text())
        except (OSError, ValueError):
            return sys.maxsize


def _write(file: IO[bytes], block: bytes) -> int:
    return file.write(block)


def _signature(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
