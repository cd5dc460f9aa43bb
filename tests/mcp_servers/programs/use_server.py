"""Use the server of toolbox.py in a process of its own, print numbers of processes, and end as asked for.

python use_server.py (end | exit | raise | wait | fork | fork_and_exit | multiprocessing) [stays]

stays: use the server of unruly.py instead, which ignores SIGTERM and the end of its input.
"""

import gc
import multiprocessing
import os
import sys
import time
from pathlib import Path

import mcp.client.stdio

from amber_nb import mcp as make_server

STAYS = sys.argv[2:] == ["stays"]
program = str(Path(__file__).parent / ("unruly.py" if STAYS else "toolbox.py"))
server = make_server(sys.executable, program, *sys.argv[2:])
# Else each end of such a server takes four seconds.
mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT = mcp.client.stdio.FORCE_KILL_TIMEOUT = 0.2


def ask():
    return server.call("process_id").value


def ask_in_child(connection):
    connection.send([ask(), ask(), server._requests.opened[0].opened])
    connection.close()


def fork(leave):
    """Return what a forked child says, which then leaves in the given way."""
    reading, writing = multiprocessing.Pipe(duplex=False)
    if (child := os.fork()) == 0:
        try:
            gc.collect()  # what belongs to the parent must survive this
            ask_in_child(writing)
            gc.collect()
        finally:
            leave(0)
    writing.close()
    said = reading.recv()
    os.waitpid(child, 0)
    return said


def fork_by_multiprocessing():
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)
    child = context.Process(target=ask_in_child, args=(writing,))
    child.start()
    said = reading.recv()
    child.join()
    return said


def main(how):
    first = ask()
    said = []
    if how == "fork":
        said = fork(os._exit)
    elif how == "fork_and_exit":
        said = fork(sys.exit)
    elif how == "multiprocessing":
        said = fork_by_multiprocessing()
    # One line: first ask, what the child said, the last ask, how often this process has connected.
    print(first, *said, ask(), server._requests.opened[0].opened, flush=True)
    if how == "exit":
        sys.exit(3)
    if how == "raise":
        raise ValueError("the script has failed")
    while how == "wait":
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1])
