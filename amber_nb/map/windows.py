"""Make the requests of some rows, and look which of them need not be sent: before anything of them is."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

from ..prices import Cost
from ..wire.whole import WholeReply
from .ledger import Ledger
from .outcomes import read_record
from .plan import MapPlan
from .prompts import Request, RowProblem
from .results import Outcome

__all__ = ["Job", "Window", "WindowMaker", "number_content"]


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
    """Make the windows of one run, on one thread at a time: prompts are the user's code, and the ledger a file.

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
        self._released: list[bytes] = []

    def release(self, key: bytes) -> None:
        """Give up the claim of a row that ended in an error, with the next window; from any thread."""
        if self._ledger is not None:
            self._released.append(key)

    def prepare(self, start: int, stop: int) -> Window:
        """Make the requests of some rows, and look which of them are answered already; one thread at a time."""
        window = Window(stop)
        jobs = []
        for built in self._plan.builder.build(start, stop):
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
        return window

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
        released, self._released = self._released, []
        if released:
            self._ledger.release(released)
        # Claimed first: what another process finishes in between is found then.
        ours = self._ledger.claim([job.key for job in jobs], anew=not self._resume)
        stored = self._ledger.find([job.key for job in jobs], self._run) if self._resume else {}
        needless = []
        for job in jobs:
            outcome = self._read(stored.get(job.key))
            if outcome is not None:
                window.stored.append((job, outcome))
                needless.append(job.key)
            elif job.key in ours:
                window.jobs.append(job)
            else:
                window.elsewhere.append(job)
        if given := [key for key in needless if key in ours]:
            self._ledger.release(given)

    def _read(self, record: str | None) -> Outcome | None:
        if record is None:
            return None
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


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
