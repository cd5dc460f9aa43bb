"""Make the requests of some rows, and look which of them need not be sent: before anything of them is."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from queue import SimpleQueue
from typing import Any

from .. import clock
from ..prices import Cost
from ..wire.whole import WholeReply
from .ledger import Ledger
from .outcomes import read_record
from .plan import MapPlan
from .prompts import Request, RowProblem
from .results import Outcome

__all__ = ["Job", "Window", "WindowMaker", "number_content"]

_FIRST_ROWS = 4  # of the first window, so that the first request need not wait for many prompts
_MIN_LARGEST, _MAX_LARGEST = 64, 1_024  # rows of a window, at most
_SHORT_S, _LONG_S = 0.2, 1.0  # for which a window is made larger, and smaller: requests wait for it


@dataclass(slots=True)
class Job:
    """A request on its way; `key` tells it from others."""

    request: Request
    key: bytes
    replies: list[WholeReply] = field(default_factory=list)
    costs: list[Cost | None] = field(default_factory=list)
    latency_s: float | None = None


@dataclass(slots=True)
class Window:
    """What is known of some rows before anything of them is sent."""

    stop: int
    problems: list[RowProblem] = field(default_factory=list)
    followers: list[tuple[int, int]] = field(default_factory=list)
    stored: list[tuple[Job, Outcome]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    elsewhere: list[Job] = field(default_factory=list)


class WindowMaker:
    """Make the windows of one run, on a thread of its own: prompts are the user's code, and the ledger a file.

    The thread is none of asyncio's pool, which all runs share: a function that runs a map itself would wait there for
    ever, and one that is slow would hold up other runs, and the end of the process.

    Args:
        plan: of the run.
        ledger: where finished rows are kept, or None.
        run: the ledger's key of this run.
        resume: whether answers of the ledger are taken.
    """

    def __init__(self, plan: MapPlan, ledger: Ledger | None, run: str, *, resume: bool) -> None:
        self._plan = plan
        self._ledger = ledger
        self._run = run
        self._resume = resume
        self._seen: dict[bytes, int] = {}
        self._repeats: dict[bytes, int] = {}
        self._largest = max(_MIN_LARGEST, min(_MAX_LARGEST, 2 * plan.concurrency))
        self._rows = _FIRST_ROWS  # of the next window
        self._stopped = threading.Event()
        self._looking = threading.Lock()  # held while the ledger is used
        self._thread = _CallThread("amber map prompts")

    def next_stop(self, start: int) -> int:
        """Return where the window that begins with the row `start` ends; to be asked once the one before is made."""
        return min(self._plan.count, start + self._rows)

    async def prepare_async(self, start: int, stop: int) -> Window:
        """Make a window as `prepare` does, on the run's thread."""
        return await self._thread.call(self.prepare, start, stop)  # type: ignore[no-any-return]

    async def look_again_async(self, jobs: list[Job]) -> Window:
        """Look as `look_again` does, on the run's thread."""
        return await self._thread.call(self.look_again, jobs)  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Make no more prompts than the one under way, and leave the ledger alone from now on; from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and end the thread; a look into the ledger that has begun is waited for, and no prompt is.

        To be called before the ledger is closed.
        """
        self.stop()
        self._thread.close()
        with self._looking:
            pass

    def prepare(self, start: int, stop: int) -> Window:
        """Make the requests of some rows, and look which of them are answered already; one thread at a time.

        Raises:
            RuntimeError: the prompt's function wants to end the process, which ends the run instead.
        """
        began = clock.monotonic()
        window = Window(stop)
        jobs = []
        try:
            built_rows = self._plan.builder.build(start, stop, is_stopped=self._stopped.is_set)
        except (SystemExit, KeyboardInterrupt) as error:  # which would end the private loop
            raise RuntimeError(f"The prompt's function raised {type(error).__name__}, which ends the run.") from error
        for built in built_rows:
            if isinstance(built, RowProblem):
                window.problems.append(built)
                continue
            key = self._key(built.content)
            leader = self._seen.setdefault(key, built.row)
            if leader != built.row:
                window.followers.append((built.row, leader))
            else:
                jobs.append(Job(built, key))
        self._look_up(jobs, window)
        self._adapt_rows(clock.monotonic() - began)
        return window

    def _adapt_rows(self, seconds: float) -> None:
        if seconds < _SHORT_S:
            self._rows = min(self._largest, 2 * self._rows)
        elif seconds > _LONG_S:
            self._rows = max(_FIRST_ROWS, self._rows // 2)

    def look_again(self, jobs: list[Job]) -> Window:
        """Look which requests another process has answered meanwhile, or has given up."""
        window = Window(self._plan.count)
        self._look_up(jobs, window)
        return window

    def _look_up(self, jobs: list[Job], window: Window) -> None:
        """Divide requests into those that the ledger answers, those to be sent, and those that others have sent."""
        if self._ledger is None or not jobs:
            window.jobs += jobs
            return
        with self._looking:
            if not self._stopped.is_set():  # else it may be closed, or is about to be
                self._divide(self._ledger, jobs, window)

    def _divide(self, ledger: Ledger, jobs: list[Job], window: Window) -> None:
        # Claimed first: what another process finishes in between is found then.
        ours = ledger.claim([job.key for job in jobs], anew=not self._resume)
        stored = ledger.find([job.key for job in jobs], self._run) if self._resume else {}
        outcomes = {key: self._read(record) for key, record in stored.items()}
        # Stored, and of no use now: the checks of a schema may have become stricter.
        unfit = [job.key for job in jobs if job.key in outcomes and outcomes[job.key] is None]
        if unfit:
            ours |= (claimed := ledger.claim(unfit, anew=True))
            # Another process may have replaced an answer since.
            outcomes |= {key: self._read(record) for key, record in ledger.find([*claimed], self._run).items()}
        needless = []
        for job in jobs:
            outcome = outcomes.get(job.key)
            if outcome is not None:
                window.stored.append((job, outcome))
                needless.append(job.key)
            elif job.key in ours:
                window.jobs.append(job)
            else:
                window.elsewhere.append(job)
        if given := [key for key in needless if key in ours]:
            ledger.release(given)

    def _read(self, record: str) -> Outcome | None:
        plan = self._plan
        return read_record(record, plan.response_format, str(plan.body["model"]), plan.prices)

    def _key(self, content: bytes) -> bytes:
        if not self._plan.distinct:  # each has a number of its own, so that each is asked, and found again
            digest = _digest(content)
            number = self._repeats[digest] = self._repeats.get(digest, -1) + 1
            content = number_content(content, number)
        if self._ledger is not None:
            return self._ledger.key_of(content, self._plan.base_url, self._plan.mode)
        return _digest(content)


def number_content(content: bytes, number: int) -> bytes:
    """Return what tells a request from others that ask the same, where each is asked; the first has the number 0."""
    return content + b"#%d" % number


class _CallThread:
    """Call functions one after the other, on a daemon thread that begins with the first.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in this context, and return what it returns; cancelling this does not end the call."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(value: Any, error: BaseException | None) -> None:
            if done.done():  # cancelled
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(value)

        def run() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = context.run(function, *arguments)
            except BaseException as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle, value, failure)

        self._calls.put(run)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return await done

    def close(self) -> None:
        """End the thread, once the call under way is over; others that wait are not made."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
