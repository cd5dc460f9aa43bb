"""Small faults put into the package one at a time: how many do the fast tests of their room catch?

Each mutant changes one place of a function: a comparison, a constant, a condition, an operator, a returned value or a
statement that goes. It is tried in a copy of the project, with the tests of its own room, but for those that drive a
browser or are slow. The places are drawn with a seed, evenly from the rooms, so that a run can be repeated.

    python tests/bench/mutants.py                      # thirty mutants, the tests of this checkout
    python tests/bench/mutants.py --against b0c89e4    # and the same ones in the package and tests of that commit

Against an earlier commit only lines are changed that stand in both. Where no mutant of a room has survived, its tests
are run once without one: they must pass.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The tests of each room; what lies at the top of the package belongs to those at the top of the tests.
ROOMS = {
    room: f"tests/{room}"
    for room in ("wire", "cassettes", "display", "images", "tools", "chat", "simulator", "testing")
}
TOP = "top"
LIMIT_S = 600  # a mutant that makes the tests hang is caught

SWAPS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
SWAPS |= {ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"}


@dataclass(frozen=True)
class Mutant:
    """One change: of a file's line, from some columns' text to another one."""

    room: str
    path: str
    line: int
    start: int
    end: int
    new: str
    source: str

    def __str__(self) -> str:
        old = self.source.encode()[self.start : self.end].decode()
        return f"{self.path}:{self.line}  {old.strip()[:40]} → {self.new[:40]}"

    def changed(self) -> str:
        """The line as it is then."""
        line = self.source.encode()
        return (line[: self.start] + self.new.encode() + line[self.end :]).decode()

    def compiles(self, root: Path) -> bool:
        """Whether the file is Python with the change, too."""
        lines = (root / self.path).read_text(encoding="utf-8").split("\n")
        try:
            ast.parse("\n".join([*lines[: self.line - 1], self.changed(), *lines[self.line :]]))
        except SyntaxError:
            return False
        return True

    def apply(self, root: Path) -> bool:
        """Change the file below a root; False where the line is not there."""
        path = root / self.path
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        found = [number for number, line in enumerate(lines) if line == self.source]
        if not found:
            return False
        number = min(found, key=lambda at: abs(at - (self.line - 1)))
        lines[number] = self.changed()
        path.write_text("\n".join(lines), encoding="utf-8")
        return True


def mutations(node: ast.AST, source: str) -> Iterator[tuple[ast.AST, str]]:
    """What may be changed at a node: the node whose text goes, and the text that comes."""
    text = ast.get_source_segment(source, node) or ""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        left, right = (ast.get_source_segment(source, part) for part in (node.left, node.comparators[0]))
        yield node, f"({left}) {SWAPS[type(node.ops[0])]} ({right})"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield node, str(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield node, str(not node.value)
    elif isinstance(node, ast.BoolOp):
        word = " or " if isinstance(node.op, ast.And) else " and "
        yield node, "(" + word.join(f"({ast.get_source_segment(source, value)})" for value in node.values) + ")"
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield node.test, f"not ({ast.get_source_segment(source, node.test)})"
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        sign = "-" if isinstance(node.op, ast.Add) else "+"
        left, right = (ast.get_source_segment(source, part) for part in (node.left, node.right))
        yield node, f"({left}) {sign} ({right})"
    elif isinstance(node, ast.Return) and node.value is not None and text != "return None":
        yield node, "return None"
    elif isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Await)):
        yield node, "pass"


def places(root: Path) -> dict[str, list[Mutant]]:
    """All that may be changed, by room: within functions, and on one line."""
    found: dict[str, list[Mutant]] = {}
    for path in sorted((root / "amber_nb").rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        below = path.relative_to(root / "amber_nb").parts
        room = below[0] if below[0] in ROOMS else TOP
        source = path.read_text(encoding="utf-8")
        lines = source.split("\n")
        seen = set()
        tree = ast.parse(source)
        # Python 3.11 does not know where in a line the parts of an f-string stand.
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
        for function in ast.walk(tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                for target, new in mutations(node, source) if id(node) not in inner else ():
                    place = (target.lineno, target.col_offset, target.end_col_offset)  # type: ignore[attr-defined]
                    one_line = target.lineno == target.end_lineno and "\n" not in new  # type: ignore[attr-defined]
                    if not one_line or (place, new) in seen:
                        continue
                    seen.add((place, new))
                    line, start, end = place
                    name = path.relative_to(root).as_posix()
                    mutant = Mutant(room, name, line, start, end, new, lines[line - 1])
                    found.setdefault(room, []).append(mutant)
    return found


def draw(root: Path, count: int, seed: int, other: Path | None) -> list[Mutant]:
    """So many mutants, of the rooms in turn; `other`: another checkout in which they must be possible, too."""
    dice = random.Random(seed)
    rooms = {room: dice.sample(found, len(found)) for room, found in sorted(places(root).items())}
    drawn: list[Mutant] = []
    while len(drawn) < count and any(rooms.values()):
        for found in rooms.values():
            while found and len(drawn) < count:
                mutant = found.pop()
                if mutant.compiles(root) and (other is None or _stands_in(mutant, other)):
                    drawn.append(mutant)
                    break
    return drawn


def _stands_in(mutant: Mutant, root: Path) -> bool:
    path = root / mutant.path
    return path.exists() and path.read_text(encoding="utf-8").split("\n").count(mutant.source) == 1


def copy_of(root: Path, into: Path) -> Path:
    """The project as git has it, changes that are not committed included."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (root / name).exists():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)
    return into


def caught(root: Path, mutant: Mutant | None, room: str) -> str:
    """Run a room's tests in a copy of a checkout, with one mutant or unchanged; what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of(root, Path(folder))
        if mutant is not None and not mutant.apply(copy):
            return "not there"
        tests = [ROOMS[room]] if room in ROOMS else sorted(map(str, (copy / "tests").glob("test_*.py")))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not browser", *tests]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        with subprocess.Popen(
            command,
            cwd=copy,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                status = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                return "caught (hangs)"
            finally:
                with contextlib.suppress(ProcessLookupError):  # kernels, too
                    os.killpg(process.pid, signal.SIGKILL)
        return {0: "SURVIVED", 1: "caught", 2: "caught"}.get(status, f"NO RUN ({status})")


def main() -> int:
    """Try them all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--against", metavar="COMMIT", help="try them in that commit as well")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        other = None
        if options.against:
            other = Path(folder) / "other"
            subprocess.run(["git", "clone", "-q", "--no-checkout", str(ROOT), str(other)], check=True)
            subprocess.run(["git", "checkout", "-q", options.against], cwd=other, check=True)
        mutants = draw(ROOT, options.count, options.seed, other)
        roots = [ROOT] if other is None else [ROOT, other]
        totals = [0] * len(roots)
        with ThreadPoolExecutor(options.jobs) as pool:
            tried = [[pool.submit(caught, root, mutant, mutant.room) for root in roots] for mutant in mutants]
            green: list[set[str]] = [set() for _ in roots]  # rooms whose tests were seen to pass
            for mutant, results in zip(mutants, tried, strict=True):
                told = [result.result() for result in results]
                totals = [total + one.startswith("caught") for total, one in zip(totals, told, strict=True)]
                for rooms, one in zip(green, told, strict=True):
                    rooms |= {mutant.room} if one == "SURVIVED" else set()
                print("  ".join(f"{one:15}" for one in told), mutant, flush=True)
            rooms_drawn = {mutant.room for mutant in mutants}
            unseen = [(root, room) for root, rooms in zip(roots, green, strict=True) for room in rooms_drawn - rooms]
            for (root, room), result in [(pair, pool.submit(caught, pair[0], None, pair[1])) for pair in unseen]:
                if result.result() != "SURVIVED":
                    print(f"the tests of {room} fail without a mutant, too ({root.name}): what they catch says nothing")
        print(*(f"{total} of {len(mutants)} caught" for total in totals), sep="  |  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
