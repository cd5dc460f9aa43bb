"""What tests of the ledger share: a run's facts, keys, and children that use a ledger."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from amber_nb.map.ledger import Ledger
from amber_nb.map.ledger_runs import RunFacts

__all__ = ["DISK", "NETWORK", "answer", "begin", "child", "facts", "key", "stored", "tell"]

DISK = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
NETWORK = "27 1 0:50 / / rw,relatime - nfs4 server:/export rw"


def facts(rows=3, **parts):
    parts = {"prompt": b"Classify {text}", "model": b"m-1", "parameters": b"{}", "data": b"rows", **parts}
    return RunFacts(parts=parts, model=parts["model"].decode(), rows=rows)


def begin(ledger, **parts):
    return ledger.begin_run(facts(**parts)).key


def key(number):
    return number.to_bytes(16, "big")


def answer(number):
    return json.dumps({"answer": number})


@contextlib.contextmanager
def child(code, *arguments):
    """A Python process that has the names of this module, and `say` and `hear` for lines to and from the test."""
    begin = (
        "import os, random, sys, threading; sys.path.insert(0, sys.argv.pop(1)); from ledgers import *\n"
        "from amber_nb.map.ledger import Ledger; from amber_nb.map.ledger_writer import LedgerWriter\n"
        "def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())\n"
        "hear = sys.stdin.readline\n"
    )
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", begin + code, folder, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process, line=""):
    process.stdin.write(line + "\n")
    process.stdin.flush()


def stored(path):
    """All that a ledger holds, read by a fresh one."""
    with Ledger(path, retain_days=None) as ledger:
        rows = ledger._reader.execute(
            "SELECT key, answers.answer FROM keys JOIN answers ON id = keys.answer"
        ).fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)
