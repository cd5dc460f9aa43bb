"""The command `amber-nb ledger`: what is stored, and how to delete it."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .ledger import Ledger, StoredRun, default_ledger_path, ledger_name

__all__ = ["add_ledger_command"]


def add_ledger_command(commands: Any) -> None:
    """Add the command to those of `amber-nb`.

    Args:
        commands: argparse's subparsers.
    """
    ledger = commands.add_parser("ledger", help="list, show and delete what amber.map has stored")
    _add_path(ledger, default=None)
    ledger.set_defaults(run=_list)
    verbs = ledger.add_subparsers(metavar="WHAT")

    listing = verbs.add_parser("list", help="the runs (default)")
    _add_path(listing)
    listing.set_defaults(run=_list)

    show = verbs.add_parser("show", help="one run")
    show.add_argument("key", metavar="RUN", help="its key, or the beginning of it")
    show.add_argument("--answers", action="store_true", help="print its answers as JSON lines instead")
    _add_path(show)
    show.set_defaults(run=_show)

    delete = verbs.add_parser("delete", help="delete rows for good")
    what = delete.add_mutually_exclusive_group(required=True)
    what.add_argument("key", metavar="RUN", nargs="?", help="one run; rows that another run uses, too, stay")
    what.add_argument("--all", action="store_true", help="everything: the file is removed")
    what.add_argument("--older-than", metavar="DAYS", type=_days, help="what was not used for so many days")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _add_path(delete)
    delete.set_defaults(run=_delete)


def _add_path(parser: argparse.ArgumentParser, default: object = argparse.SUPPRESS) -> None:
    # Both before and after the verb; SUPPRESS keeps the later parser from overwriting what the earlier one has read.
    parser.add_argument("--path", type=Path, default=default, help="of another ledger than the one in the cache folder")


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 1e6:
        raise ValueError(text)
    return days


def _list(options: argparse.Namespace) -> int:
    path = _path(options)
    if not path.exists():
        print(f"Nothing is stored: there is no ledger {ledger_name(path)}.")
        return 0
    with Ledger(path, retain_days=None) as ledger:
        runs = ledger.list_runs()
        if runs:
            table = [("run", "used", "model", "rows")]
            table += [(run.key, _time(run.used), run.model, f"{run.stored:,}") for run in runs]
            widths = [max(len(row[column]) for row in table) for column in range(4)]
            for key, used, model, rows in table:
                print(f"{key:{widths[0]}}  {used:{widths[1]}}  {model:{widths[2]}}  {rows:>{widths[3]}}")
        count = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
        print(f"{count}, {_bytes(ledger.size())} on disk in {ledger.name}")
    return 0


def _show(options: argparse.Namespace) -> int:
    with _open(options) as ledger:
        run = _find(ledger, options.key)
        if options.answers:
            for answer in ledger.answers_of(run.key):
                # A JSON text may be broken into lines only between its values.
                print(answer.replace("\r", " ").replace("\n", " "))
            return 0
        facts = {
            "run": run.key,
            "model": run.model,
            "first used": _time(run.begun),
            "last used": _time(run.used),
            "rows of the last call": f"{run.rows:,}",
            "rows stored": f"{run.stored:,}",
            "kept without use": "for ever" if run.retain_days is None else f"{run.retain_days:g} days",
        }
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f"{name:{width}}  {value}")
        print("Digests, to compare runs by:")
        for name, part in run.parts.items():
            print(f"  {name:{width - 2}}  {part[:12]}")
    return 0


def _delete(options: argparse.Namespace) -> int:
    with _open(options) as ledger:
        if options.all:
            runs = ledger.list_runs()
            what = f"the ledger {ledger.name} with all runs ({len(runs)})"
        elif options.older_than is not None:
            what = f"what was not used for {options.older_than:g} days"
        else:
            run = _find(ledger, options.key)
            what = f"the run {run.key} of {run.model} with {_count(run.stored)}"
        if not options.yes and sys.stdin.isatty() and not _confirm(f"Delete {what}?"):
            print("Nothing was deleted.")
            return 1
        if options.all:
            ledger.remove()
            print(f"Deleted: the ledger {ledger.name}.")
        else:
            older = options.older_than
            gone = ledger.delete_run(run.key) if older is None else ledger.delete_older(older)
            print(f"Deleted: {_count(gone)}.")
    return 0


def _confirm(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _path(options: argparse.Namespace) -> Path:
    return (options.path or default_ledger_path()).expanduser()


def _open(options: argparse.Namespace) -> Ledger:
    path = _path(options)
    if not path.exists():
        raise ConfigError(f"There is no ledger {ledger_name(path)}. Name another one with --path.")
    return Ledger(path, retain_days=None)


def _find(ledger: Ledger, beginning: str) -> StoredRun:
    found = [run for run in ledger.list_runs() if beginning and run.key.startswith(beginning.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} runs begin with {beginning}: write more of the key.")
    raise ConfigError(f"There is no run {beginning or repr(beginning)} in {ledger.name}. `amber-nb ledger` lists them.")


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "minutes")


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"
