"""A ledger between processes: made once, claimed once, and whole whenever one of them is killed."""

import random
import threading

import pytest
from ledgers import DISK, NETWORK, answer, begin, child, key, stored, tell
from patience import until

from amber_nb.map.ledger import Ledger

MOUNTS = pytest.mark.parametrize("mounts", [DISK, NETWORK], ids=["log", "journal"])

OPEN = """
say("ready"); hear()
with Ledger(sys.argv[1], mounts=sys.argv[2]) as ledger:
    say(ledger.key_of(b"request", "url", "live").hex())
    ledger.store(begin(ledger), [(key(int(sys.argv[3])), "1")])
"""


@MOUNTS
def test_processes_that_begin_at_once_make_one_file(tmp_path, mounts):
    path = tmp_path / "folder" / "ledger.sqlite"
    with (
        child(OPEN, path, mounts, 1) as one,
        child(OPEN, path, mounts, 2) as two,
        child(OPEN, path, mounts, 3) as three,
    ):
        children = [one, two, three]
        assert [process.stdout.readline() for process in children] == ["ready\n"] * 3
        for process in children:
            tell(process)
        assert len({process.stdout.readline() for process in children}) == 1
        assert [process.wait(20) for process in children] == [0, 0, 0]
    assert set(stored(path)) == {key(1), key(2), key(3)}
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


CLAIM = """
with Ledger(sys.argv[1], mounts=sys.argv[2]) as ledger:
    run = begin(ledger)
    numbers = list(range(300))
    random.Random(int(sys.argv[3])).shuffle(numbers)
    say("ready"); hear()
    ours = set()
    for at in range(0, 300, 7):
        ours |= ledger.claim([key(number) for number in numbers[at : at + 7]])
    say(*(k.hex() for k in ours))
    hear()
"""


@MOUNTS
def test_each_key_is_granted_to_one_process(tmp_path, mounts):
    path = tmp_path / "ledger.sqlite"
    with child(CLAIM, path, mounts, 1) as one, child(CLAIM, path, mounts, 2) as two:
        for process in (one, two):
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            tell(process)
        first, second = (process.stdout.readline().split() for process in (one, two))
        assert sorted(first + second) == sorted(key(number).hex() for number in range(300))
        for process in (one, two):
            tell(process)
            assert process.wait(20) == 0


HOLD = """
ledger = Ledger(sys.argv[1], mounts=sys.argv[2])
say(len(ledger.claim([key(number) for number in range(5)])))
hear()
"""


@MOUNTS
def test_claims_of_a_killed_process_are_free_at_once(tmp_path, mounts):
    path = tmp_path / "ledger.sqlite"
    keys = [key(number) for number in range(6)]
    with Ledger(path, mounts=mounts) as ledger, child(HOLD, path, mounts) as process:
        assert process.stdout.readline() == "5\n"
        assert ledger.claim(keys) == {key(5)}
        process.kill()
        process.wait()
        assert ledger.claim(keys) == set(keys)
        assert len(list(path.with_name("ledger.sqlite-owners").iterdir())) == 1


def test_files_of_dead_owners_are_removed_by_the_next(tmp_path):
    path = tmp_path / "ledger.sqlite"
    owners = path.with_name("ledger.sqlite-owners")
    for _ in range(3):
        with child(HOLD, path, DISK) as process:
            process.stdout.readline()
    assert len(list(owners.iterdir())) == 1  # of the last
    with Ledger(path) as ledger:
        begin(ledger)
        assert [file.name for file in owners.iterdir()] == [ledger._owner.name]
    assert not owners.exists()


FORK = """
ledger = Ledger(sys.argv[1]); run = begin(ledger)
assert ledger.claim([key(1)]) == {key(1)}
def attempt(call):
    try: call()
    except Exception as error: say(type(error).__name__, "forked" in str(error))
    else: say("no error")
if os.fork() == 0:
    attempt(lambda: ledger.claim([key(1)]))
    attempt(lambda: ledger.find([key(1)]))
    attempt(lambda: ledger.store(run, [(key(1), "1")]))
    attempt(lambda: Ledger(sys.argv[1]))
    with Ledger(sys.argv[1] + "-other") as other: say(len(other.claim([key(1)])))
    ledger.close()
    sys.exit()
os.wait()
say("parent", len(ledger.claim([key(1), key(2)])))
hear()
ledger.store(run, [(key(1), "1")])
ledger.close()
if os.fork() == 0:
    with Ledger(sys.argv[1]) as mine: say(len(mine.find([key(1)])), len(mine.claim([key(2)])))
    sys.exit()
os.wait()
"""


def test_a_forked_child_has_no_share_in_it(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with child(FORK, path) as process:
        lines = [process.stdout.readline().strip() for _ in range(6)]
        assert lines == ["AmberError True"] * 4 + ["1", "parent 2"]
        with Ledger(path) as ledger:  # the child's end has taken nothing from its parent
            assert ledger.claim([key(1), key(2)]) == set()
        tell(process)
        assert process.stdout.readline() == "1 1\n"  # once it is closed, a fork may open it
        assert process.wait(20) == 0


ORPHAN = """
ledger = Ledger(sys.argv[1]); ledger.claim([key(1)])
if os.fork() == 0:
    say("child", os.getpid()); hear(); sys.exit()
os.wait()
"""


def test_a_child_that_lives_on_holds_no_claim_of_a_killed_parent(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with child(ORPHAN, path) as process:
        assert process.stdout.readline().startswith("child")
        with Ledger(path) as ledger:
            assert ledger.claim([key(1)]) == set()
            process.kill()
            process.wait()
            assert ledger.claim([key(1)]) == {key(1)}
        tell(process)  # the child's input, too


WRITE = """
ledger = Ledger(sys.argv[1], mounts=sys.argv[2]); run = begin(ledger)
ledger._writer.execute("PRAGMA wal_autocheckpoint = 5")
writer = LedgerWriter(ledger, run)
start = int(sys.argv[3])
keys = [key(number) for number in range(start, start + 100_000)]
room = threading.Semaphore(8)
for number, k in enumerate(keys, start):
    room.acquire()
    ledger.claim([k])
    writer.put(k, answer(number), lambda error, n=number: (say(n, error), room.release()))
"""


@MOUNTS
def test_what_a_killed_process_has_announced_is_stored(tmp_path, mounts):
    """Killed after so many announcements, which is in the midst of others; the next one goes on in the same file."""
    path = tmp_path / "ledger.sqlite"
    moments = random.Random(20)
    announced = set()
    for round_ in range(10):
        with child(WRITE, path, mounts, round_ * 100_000) as process:
            lines = [process.stdout.readline() for _ in range(moments.randint(1, 150))]
            process.kill()
            lines += process.stdout.read().splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        assert {word for _, word in whole} == {"None"}
        announced |= {int(number) for number, _ in whole}
        with Ledger(path, mounts=mounts) as ledger:
            found = ledger.find([key(number) for number in announced])
            assert found == {key(number): answer(number) for number in announced}
            in_flight = [key(round_ * 100_000 + number) for number in range(len(whole) + 20)]
            free = ledger.claim(in_flight)
            assert free == set(in_flight) - set(ledger.find(in_flight))
    rows = stored(path)
    assert all(answer(int.from_bytes(k, "big")) == text for k, text in rows.items())
    assert len(announced) <= len(rows) <= len(announced) + 10 * 8


SLOW = """
ledger = Ledger(sys.argv[1], mounts=sys.argv[2])
ledger._writer.execute("BEGIN IMMEDIATE"); say("locked"); hear(); ledger._writer.execute("COMMIT")
"""


@MOUNTS
def test_a_lock_of_another_process_is_waited_for(tmp_path, mounts):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, mounts=mounts) as ledger, child(SLOW, path, mounts) as process:
        assert process.stdout.readline() == "locked\n"
        waits = []
        ledger._writer.set_trace_callback(waits.append)
        thread = threading.Thread(target=begin, args=[ledger])
        thread.start()
        until(lambda: waits)  # it has begun
        tell(process)
        thread.join(20)
        assert not thread.is_alive()
        assert len(ledger.list_runs()) == 1
