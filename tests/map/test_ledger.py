"""The ledger's rows, runs and claims: what one process sees."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import DISK, NETWORK, answer, begin, facts, key, stored

from amber_nb.errors import AmberError, ConfigError
from amber_nb.map import ledger_file
from amber_nb.map.ledger import Ledger, default_ledger_path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secret-client" / "ledger.sqlite"


@pytest.fixture(params=[DISK, NETWORK], ids=["log", "journal"])
def ledger(request, path):
    with Ledger(path, mounts=request.param) as ledger:
        assert ledger.has_wal is (request.param == DISK)
        yield ledger


def test_what_is_stored_is_found_after_reopening(ledger):
    run = begin(ledger)
    numbers = range(1_203)  # more than one statement takes
    ledger.store(run, [(key(number), answer(number)) for number in numbers])
    ledger.close()
    with Ledger(ledger.path, mounts=DISK) as again:
        found = again.find([key(number) for number in range(1_300)])
        assert found == {key(number): answer(number) for number in numbers}
        assert again.begin_run(facts()).earlier == len(numbers)


def test_an_answer_is_replaced(ledger):
    run = begin(ledger)
    ledger.store(run, [(key(1), "1"), (key(2), "2")])
    ledger.store(run, [(key(2), "3"), (key(4), "4"), (key(4), "5")])
    assert ledger.find([key(1), key(2), key(4)]) == {key(1): "1", key(2): "3", key(4): "5"}
    assert ledger.begin_run(facts()).earlier == 3


def test_a_lone_surrogate_spoils_no_commit(ledger):
    ledger.store(begin(ledger), [(key(1), '"\ud83d"'), (key(2), '"ü"')])
    assert ledger.find([key(1), key(2)]) == {key(1): r'"\ud83d"', key(2): '"ü"'}


def test_a_store_is_synced_before_it_returns(ledger):
    run, statements = begin(ledger), []
    ledger.claim([key(1)])
    ledger._writer.set_trace_callback(statements.append)
    ledger.store(run, [(key(1), "1")])
    ledger._writer.set_trace_callback(None)
    assert ledger._writer.execute("PRAGMA synchronous").fetchone() == (2 if ledger.has_wal else 3,)
    assert statements[-1] == "COMMIT"
    assert sum(statement.startswith("BEGIN") for statement in statements) == 1


def test_any_name_of_a_file_will_do(tmp_path):
    path = tmp_path / "50%25 of #1? ü.sqlite"
    with Ledger(path) as ledger:
        ledger.store(begin(ledger), [(key(1), "1")])
        assert ledger.claim([key(2)]) == {key(2)}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert stored(path) == {key(1): "1"}


def test_a_run_that_has_not_begun_stores_nothing(ledger):
    with pytest.raises(ValueError, match="has begun"):
        ledger.store("0" * 12, [(key(1), "1")])
    assert ledger.find([key(1)]) == {}


def test_keys_depend_on_request_address_mode_and_file(path, tmp_path):
    with Ledger(path) as one, Ledger(tmp_path / "other.sqlite") as other:
        asked = [(b"ask", "https://a", "live"), (b"as", "khttps://a", "live"), (b"ask", "https://b", "live"),
                 (b"ask", "https://a", "cache")]  # fmt: skip
        keys = [ledger.key_of(*request) for ledger in (one, other) for request in asked]
        assert len(set(keys)) == len(keys)
        assert {len(made) for made in keys} == {16}
        assert one.key_of(*asked[0]) == keys[0]


def test_nothing_of_a_request_can_be_read_in_the_file(ledger):
    words = [b"Classify", b"secret_column", b"https://acme.example", b"ambrs-exampletoken", b"Be brief"]
    run = ledger.begin_run(
        facts(prompt=words[0] + words[1], system=words[4], gateway=words[2] + words[3], data=words[1])
    ).key
    ledger.store(run, [(ledger.key_of(b" ".join(words), words[2].decode(), "live"), '"positive"')])
    ledger.claim([ledger.key_of(words[0], words[2].decode(), "live")])
    files = [file for file in ledger.path.parent.rglob("*") if file.is_file()]
    held = b"".join(file.read_bytes() for file in files) + " ".join(map(str, files)).encode()
    assert b"positive" in held
    assert [word for word in words if word in held] == []
    assert "Classify" not in repr(facts()) + repr(ledger)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
@pytest.mark.parametrize("mounts", [DISK, NETWORK], ids=["log", "journal"])
def test_only_the_user_may_read_what_is_made(path, umask, mounts):
    path.parent.parent.chmod(0o755)
    before = os.umask(umask)
    try:
        with Ledger(path, mounts=mounts) as ledger:
            ledger.claim([key(1)])
            ledger.store(begin(ledger), [(key(2), "2")])
            files = {file.relative_to(path.parent).as_posix(): file.stat().st_mode for file in path.parent.rglob("*")}
    finally:
        os.umask(before)
    log = {"ledger.sqlite-wal", "ledger.sqlite-shm"} if mounts == DISK else set()
    assert set(files) >= {"ledger.sqlite", "ledger.sqlite-owners"} | log
    assert {oct(mode & 0o777) for name, mode in files.items() if not name.endswith("-owners")} == {"0o600"}
    assert oct(files["ledger.sqlite-owners"] & 0o777) == "0o700"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"
    assert oct(path.parent.parent.stat().st_mode & 0o777) == "0o755"  # which was there before


def test_a_copy_with_a_wider_mode_is_made_private(path):
    Ledger(path).close()
    path.chmod(0o644)
    Ledger(path).close()
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_nothing_is_left_beside_a_closed_ledger(ledger):
    ledger.claim([key(1)])
    ledger.close()
    ledger.close()
    assert [file.name for file in ledger.path.parent.iterdir()] == ["ledger.sqlite"]


def test_the_default_lies_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with Ledger() as ledger:
        assert ledger.path == default_ledger_path().resolve() == tmp_path / ".cache/amber_nb/ledger.sqlite"
        assert ledger.name == "~/.cache/amber_nb/ledger.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert default_ledger_path() == tmp_path / "elsewhere/amber_nb/ledger.sqlite"


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf")])
def test_days_to_retain_are_a_number_above_0(path, days):
    with pytest.raises(ConfigError, match="retain_days"):
        Ledger(path, retain_days=days)
    assert not path.exists()


CHANGES = [
    ({}, []),
    ({"data": b"more rows"}, []),
    ({"prompt": b"other"}, ["prompt"]),
    ({"model": b"m-2"}, ["model"]),
    ({"model": b"m-2", "data": b"more rows"}, ["model"]),
    ({"prompt": b"other", "model": b"m-2"}, ["prompt", "model"]),
    ({"schema": b"{}"}, ["schema"]),
    ({"prompt": b"other", "data": b"others"}, []),  # has nothing to do with what was there
]


@pytest.mark.parametrize(("parts", "changes"), CHANGES)
def test_a_run_says_what_has_changed(ledger, parts, changes):
    first = ledger.begin_run(facts())
    assert (first.changes, first.earlier) == ([], 0)
    ledger.store(first.key, [(key(1), "1")])
    second = ledger.begin_run(facts(**parts))
    assert second.changes == changes
    assert (second.key == first.key) is (not set(parts) - {"data"})
    assert second.earlier == (second.key == first.key)
    assert ledger.begin_run(facts(**parts)).changes == []


def test_the_nearest_run_tells_the_changes(ledger):
    ledger.begin_run(facts())
    ledger.begin_run(facts(model=b"m-2", parameters=b"1"))
    ledger.begin_run(facts(prompt=b"other", data=b"others"))
    assert ledger.begin_run(facts(model=b"m-2")).changes == ["parameters"]


def test_a_claim_is_granted_once(ledger):
    with Ledger(ledger.path, mounts=DISK if ledger.has_wal else NETWORK) as other:
        run = begin(ledger)
        assert ledger.claim([key(1), key(2), key(2)]) == {key(1), key(2)}
        assert ledger.claim([key(2)]) == {key(2)}
        assert other.claim([key(2), key(3)]) == {key(3)}
        other.release([key(2)])  # is not its own
        assert other.claim([key(2)]) == set()
        ledger.release([key(2)])
        assert other.claim([key(2)]) == {key(2)}
        ledger.store(run, [(key(1), "1")])
        assert other.claim([key(1)]) == set()
        assert other.claim([key(1)], anew=True) == {key(1)}
        assert ledger.claim([key(1)], anew=True) == set()
    assert ledger.claim([key(1), key(2), key(3)], anew=True) == {key(1), key(2), key(3)}


def test_what_cannot_be_read_is_claimed_anew_alone(ledger):
    """A schema became stricter: of the rows that are stored only those that do not fit are asked again."""
    with Ledger(ledger.path, mounts=DISK if ledger.has_wal else NETWORK) as other:
        run, keys = begin(ledger), [key(number) for number in range(5)]
        ledger.store(run, [(keys[0], "good"), (keys[1], "bad"), (keys[2], "bad")])
        assert other.claim([keys[4]]) == {keys[4]}
        assert other.claim([keys[2]], anew=True) == {keys[2]}  # it has seen so, too
        assert ledger.claim(keys) == {keys[3]}
        assert set(ledger.find(keys, run)) == set(keys[:3])
        assert ledger.claim(keys[1:3], anew=True) == {keys[1]}
        assert other.claim([keys[0], keys[1]], anew=True) == {keys[0]}
        other.release([keys[0]])
        assert ledger.find([keys[1]]) == {keys[1]: "bad"}  # until it is replaced
        ledger.store(run, [(keys[1], "better")])
        assert ledger.find(keys[:2]) == {keys[0]: "good", keys[1]: "better"}
        assert ledger.claim([keys[1]]) == set()
        assert [found.stored for found in ledger.list_runs()] == [3]


KEYS = st.lists(st.integers(0, 5), max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["claim", "anew", "release", "store", "close"]), st.integers(0, 1), KEYS)))
def test_claims_in_any_order(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("claims") / "ledger.sqlite"
    ledgers = [Ledger(path), Ledger(path)]
    runs = [begin(ledger) for ledger in ledgers]
    holders, answered = {}, set()
    try:
        for step, who, numbers in steps:
            keys = [key(number) for number in numbers]
            if step in ("claim", "anew"):
                free = {k for k in keys if holders.get(k, who) == who and (step == "anew" or k not in answered)}
                assert ledgers[who].claim(keys, anew=step == "anew") == free
                holders.update(dict.fromkeys(free, who))
            elif step == "store":
                ledgers[who].store(runs[who], [(k, "1") for k in keys])
                answered.update(keys)
                holders = {k: holder for k, holder in holders.items() if k not in keys}
            else:
                ledgers[who].release(keys)
                lost = set(keys)
                if step == "close":
                    ledgers[who].close()
                    ledgers[who] = Ledger(path)
                    lost = set(holders)
                holders = {k: holder for k, holder in holders.items() if holder != who or k not in lost}
            assert set(ledgers[who].find([key(number) for number in range(6)])) == answered
    finally:
        for ledger in ledgers:
            ledger.close()


def test_threads_share_a_ledger(ledger):
    run = begin(ledger)

    def work(thread):
        mine = [key(thread * 1_000 + number) for number in range(60)]
        for at in range(0, 60, 6):
            chunk = mine[at : at + 6]
            assert ledger.claim(chunk) == set(chunk)
            ledger.store(run, [(k, str(thread)) for k in chunk])
            assert set(ledger.find(chunk)) == set(chunk)
        return mine

    with ThreadPoolExecutor(4) as pool:
        keys = [k for mine in pool.map(work, range(4)) for k in mine]
    assert len(ledger.find(keys)) == 240
    assert ledger.claim(keys) == set()


def test_a_row_stays_while_a_run_uses_it(ledger):
    one, two, three = (begin(ledger, prompt=name) for name in (b"1", b"2", b"3"))
    ledger.store(one, [(key(number), str(number)) for number in range(4)])
    ledger.find([key(0), key(1)], two)
    ledger.find([key(1), key(2)], three)
    ledger.store(two, [(key(2), "new")])
    ledger.find([key(3)])  # by nobody in particular
    assert [run.stored for run in ledger.list_runs()] == [2, 3, 4]
    assert ledger.delete_run(one) == 1
    assert list(ledger.answers_of(two)) == ["0", "1", "new"]
    assert list(ledger.answers_of(three)) == ["1", "new"]
    assert ledger.delete_run(two) == 1
    assert ledger.delete_run(two) == 0
    assert list(ledger.answers_of(three)) == ["1", "new"]
    assert ledger.delete_run(three) == 2
    assert stored(ledger.path) == {}


def test_answers_of_a_long_run_come_once_and_in_order(ledger):
    one, two = begin(ledger, prompt=b"1"), begin(ledger, prompt=b"2")
    ledger.store(one, [(key(number), str(number)) for number in range(0, 1_400, 2)])
    ledger.store(two, [(key(number), str(number)) for number in range(1, 1_400, 2)])
    ledger.find([key(number) for number in range(0, 1_400, 2)], two)
    order = [*range(0, 1_400, 2), *range(1, 1_400, 2)]
    assert list(ledger.answers_of(two)) == [str(number) for number in order]


def test_deleting_gives_the_disk_back_and_leaves_no_trace(ledger):
    run = begin(ledger)
    ledger.store(run, [(key(number), f'"the words of answer {number}"' * 20) for number in range(400)])
    before = ledger.size()
    ledger.delete_run(run)
    assert ledger.size() < before / 2
    held = b"".join(file.read_bytes() for file in ledger.path.parent.iterdir() if file.is_file())
    assert b"the words" not in held


def test_what_is_deleted_among_others_leaves_no_trace(ledger):
    one, two = begin(ledger, prompt=b"1"), begin(ledger, prompt=b"2")
    for number in range(20):
        ledger.store((one, two)[number % 2], [(key(number), f'"words of {("one", "two")[number % 2]}"')])
    ledger.delete_run(one)
    held = b"".join(file.read_bytes() for file in ledger.path.parent.iterdir() if file.is_file())
    assert b"words of one" not in held
    assert b"words of two" in held


def test_a_run_that_is_deleted_while_it_goes_on_loses_no_row_to_come(ledger):
    run = begin(ledger)
    ledger.store(run, [(key(1), "1")])
    ledger.delete_run(run)
    ledger.store(run, [(key(2), "2")])
    assert [found.stored for found in ledger.list_runs()] == [1]


def test_an_open_ledger_notes_that_its_file_is_gone(ledger):
    run = begin(ledger)
    ledger.path.rename(ledger.path.with_name("elsewhere.sqlite"))
    with pytest.raises(AmberError, match=r"moved or deleted"):
        ledger.store(run, [(key(1), "1")])


def full(ledger):
    pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._writer.execute(f"PRAGMA max_page_count = {pages}")


def read_only(ledger):
    ledger._writer.execute("PRAGMA query_only = ON")


def busy(ledger):
    ledger.limit_waits(0)
    ledger.other = ledger_file.connect(ledger.path)
    ledger.other.execute("BEGIN IMMEDIATE")


def damaged(ledger):
    ledger._writer.execute("PRAGMA writable_schema = ON")
    ledger._writer.execute("UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'answers'")
    ledger._writer.execute("PRAGMA writable_schema = RESET")


FAULTS = [
    (full, AmberError, "is full"),
    (read_only, ConfigError, "read-only"),
    (busy, AmberError, "locked"),
    (damaged, ConfigError, "damaged"),
]


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS])
def test_a_fault_is_told_and_loses_nothing(ledger, fault, kind, words):
    run = begin(ledger)
    ledger.store(run, [(key(1), '"kept"')])
    ledger.claim([key(2)])
    fault(ledger)
    with pytest.raises(kind, match=words) as error:
        ledger.store(run, [(key(2), '"x"' * 9_000)])
    assert type(error.value) is kind
    assert "ledger.sqlite" in str(error.value)
    assert str(ledger.path.parent.parent) not in str(error.value)
    if fault is busy:
        ledger.other.close()
    if fault is not damaged:
        assert ledger.find([key(1), key(2)]) == {key(1): '"kept"'}
        with Ledger(ledger.path, mounts=DISK if ledger.has_wal else NETWORK) as other:
            assert other.claim([key(2)]) == set()  # it is ours still


def test_a_mistake_is_no_fault_of_the_file(ledger):
    ledger.close()
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.find([key(1)])
