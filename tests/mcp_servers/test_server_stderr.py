"""What a process wrote to its standard error is kept, cut, and shown without acting on anything."""

import asyncio
import os
import re
import subprocess
import sys

import pytest
from patience import until_async

from amber_nb.mcp_servers.stderr import StderrTail


def tail_of(*pieces):
    tail = StderrTail()
    for piece in pieces:
        tail.data_received(piece)
    return tail.text


def test_what_was_written_is_kept():
    assert tail_of(b"starting\n", b"ready\n") == "starting\nready\n"
    assert tail_of() == ""


def test_the_end_is_kept():
    text = tail_of(*(f"line {n}\n".encode() for n in range(5_000)))
    assert len(text) <= 4_000
    assert text.endswith("line 4999\n")
    assert re.match(r"line \d+\n", text)  # no half line


@pytest.mark.parametrize("end", ["", "\n"])
def test_half_a_key_is_not_shown(end):
    """A key that was cut could not be recognized, and so not be hidden."""
    text = tail_of(f"KEY={'s3cret' * 50} {'x' * 3_900} failed{end}".encode())
    assert "s3cret" not in text
    assert "failed" in text


def test_one_word_without_an_end_is_not_shown():
    assert tail_of(b"x" * 100_000) == ""


def test_letters_in_pieces():
    assert tail_of(b"f\xc3", b"\xbcr") == "für"
    assert tail_of(b"\xff\xfe") == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"\x1b[31mError\x1b[0m: no", "Error: no"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://h.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"50 %\r100 %\r\n", "50 %\n100 %\n"),
        (b"a\x08\x00b", "a␈\ufffdb"),
        ("\u202e".encode(), "[U+202E]"),
    ],
)
def test_nothing_acts_on_a_terminal(written, shown):
    assert tail_of(written) == shown


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_a_process_writes_into_it():
    async def run():
        tail = StderrTail()
        with tail.open() as file:
            program = "import sys; sys.stderr.write('no such table')"
            process = subprocess.Popen([sys.executable, "-c", program], stderr=file)
        await asyncio.wrap_future(tail.ended)
        process.wait()
        tail.close()
        return tail.text

    before = open_files()
    assert asyncio.run(run()) == "no such table"
    assert open_files() <= before  # others may have been closed meanwhile


def test_closing_does_not_wait_for_a_child_that_keeps_it_open():
    async def run():
        tail = StderrTail()
        with tail.open() as file:
            kept.append(os.dup(file.fileno()))
        tail.close()  # before the loop has begun to read
        assert tail.ended.done()
        await until_async(tail._task.done)

    before, kept = open_files(), []
    asyncio.run(run())
    os.close(*kept)
    assert open_files() <= before  # others may have been closed meanwhile


def test_a_process_that_does_not_start():
    async def run():
        tail = StderrTail()
        with pytest.raises(FileNotFoundError), tail.open() as file:
            subprocess.Popen(["no-such-command-anywhere"], stderr=file)
        await asyncio.wrap_future(tail.ended)
        tail.close()

    before = open_files()
    asyncio.run(run())
    assert open_files() <= before  # others may have been closed meanwhile
