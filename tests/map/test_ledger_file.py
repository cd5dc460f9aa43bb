"""The file of a ledger: what is refused stays as it is, and which journal it has."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import DISK, NETWORK, answer, begin, facts, key, stored

from amber_nb.errors import AmberError, ConfigError
from amber_nb.map import ledger_file
from amber_nb.map.ledger import Ledger
from amber_nb.map.ledger_file import is_on_network, set_journal
from amber_nb.map.ledger_runs import delete_run
from amber_nb.map.ledger_writer import LedgerWriter


def make(path, rows=50, mounts=DISK):
    with Ledger(path, mounts=mounts) as ledger:
        ledger.store(begin(ledger), [(key(number), answer(number)) for number in range(rows)])


def statements(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def text(path):
    path.write_text("my notes\n" * 100)


def empty(path):
    path.write_bytes(b"")


def foreign(path):
    statements(path, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")


def foreign_with_log(path):
    statements(path, "PRAGMA journal_mode = WAL", "CREATE TABLE notes (text)")


def newer(path):
    make(path)
    statements(path, f"PRAGMA user_version = {ledger_file.VERSION + 1}")


def versionless(path):
    make(path)
    statements(path, "PRAGMA user_version = 0")


def without_table(path):
    make(path)
    statements(path, "DROP TABLE claims")


def without_secret(path):
    make(path)
    statements(path, "DELETE FROM meta WHERE name = 'secret'")


def cut(path):
    make(path, 500)
    path.write_bytes(path.read_bytes()[:-5_000])


def cut_in_the_head(path):
    make(path)
    path.write_bytes(path.read_bytes()[:60])


def overwritten(path, at=None):
    make(path, 500)
    content = bytearray(path.read_bytes())
    at = len(content) // 2 if at is None else at
    content[at : at + 4_096] = b"\xa5" * 4_096
    path.write_bytes(content)


def overwritten_late(path):
    """A page that no look at the beginnings of the tables comes by."""
    make(path, 500)
    overwritten(path, path.stat().st_size - 3 * 4_096)


def overwritten_with_log(path):
    """A damaged file, and a log that a killed process has left."""
    make(path, 500)
    with Ledger(path, mounts=DISK) as ledger:
        ledger._writer.execute("PRAGMA wal_autocheckpoint = 0")
        ledger.store(begin(ledger), [(key(1_000), "1")])
        log = path.with_name(path.name + "-wal").read_bytes()
    overwritten(path, 8_192)
    path.with_name(path.name + "-wal").write_bytes(log)


REFUSED = [
    (text, "is no ledger"),
    (empty, "is no ledger"),
    (foreign, "is no ledger"),
    (foreign_with_log, "is no ledger"),
    (newer, r"newer amber_nb \(format 2; this one knows 1\)"),
    (versionless, "is damaged"),
    (without_table, "is damaged"),
    (without_secret, "is damaged"),
    (cut, "is damaged"),
    (cut_in_the_head, "is damaged"),
    (overwritten, "is damaged"),
    (overwritten_late, "is damaged"),
    (overwritten_with_log, "is damaged"),
]


@pytest.mark.parametrize("mounts", [DISK, NETWORK], ids=["disk", "network"])
@pytest.mark.parametrize(("spoil", "words"), REFUSED, ids=[spoil.__name__ for spoil, _ in REFUSED])
def test_what_is_refused_stays_as_it_is(tmp_path, spoil, words, mounts):
    path = tmp_path / "secret-client" / "folder" / "ledger.sqlite"
    path.parent.mkdir(parents=True)
    spoil(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    for _ in range(2):
        with pytest.raises(ConfigError, match=words) as error:
            Ledger(path, mounts=mounts)
        assert "folder/ledger.sqlite" in str(error.value)
        assert "secret-client" not in str(error.value)
        assert "ledger=path" in str(error.value)
    after = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert {name: after.get(name) for name in before} == before
    # A log's index is no more than a cache of it.
    assert set(after) - set(before) <= ({"ledger.sqlite-shm"} if "ledger.sqlite-wal" in before else set())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "path of the ledger is empty"),
        (Path(""), r"is to be a file, and \. is a folder"),
        ("folder", r"is to be a file, and folder is a folder"),
        ("/dev/null", "is no ledger"),
    ],
)
def test_what_is_no_file_is_named(elsewhere, path, words):
    (elsewhere / "folder").mkdir()
    with pytest.raises(ConfigError, match=words):
        Ledger(path)
    assert [file.name for file in elsewhere.rglob("*")] == ["folder"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be made: Not a directory") as error:
        Ledger(tmp_path / "file" / "folder" / "ledger.sqlite")
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("mounts", [DISK, NETWORK], ids=["disk", "network"])
def test_a_file_that_may_not_be_written_is_named(tmp_path, mounts, monkeypatch):
    """Root may write anything, so that a mode would not do."""
    path = tmp_path / "ledger.sqlite"
    make(path, mounts=mounts)
    connect = ledger_file.connect
    monkeypatch.setattr(ledger_file, "connect", lambda path, mode="rw", **more: connect(path, "ro", **more))
    with pytest.raises(ConfigError, match="read-only"), Ledger(path, mounts=mounts) as ledger:
        begin(ledger)


def test_where_files_have_no_links_the_file_is_moved(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(ledger_file.os, "link", link)
    make(tmp_path / "ledger.sqlite")
    assert len(stored(tmp_path / "ledger.sqlite")) == 50
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


@pytest.mark.parametrize("mounts", [DISK, NETWORK], ids=["log", "journal"])
def test_what_a_deleted_ledger_has_left_is_not_read(tmp_path, mounts):
    """A log, or a journal, of a process that was killed: SQLite would put its pages into the new file."""
    old = tmp_path / "old" / "ledger.sqlite"
    copy = []
    with Ledger(old, mounts=mounts) as ledger:
        run = begin(ledger, prompt=b"old")
        ledger._writer.set_trace_callback(lambda _: copy.append(snapshot(old, tmp_path / f"copy-{len(copy)}")))
        for number in range(3):
            ledger.store(run, [(key(number), answer(number))])
        ledger._writer.set_trace_callback(None)
    left = max(copy, key=lambda copied: sum(file.stat().st_size for file in copied.parent.iterdir()))
    assert len(list(left.parent.iterdir())) == 2
    left.unlink()
    with Ledger(left, mounts=mounts) as ledger:
        assert ledger.list_runs() == []
        ledger.store(begin(ledger), [(key(7), "7")])
    assert stored(left) == {key(7): "7"}


def test_whoever_makes_it_first_has_made_it(tmp_path, monkeypatch):
    """The other process has been faster between the look and the making."""
    path = tmp_path / "ledger.sqlite"
    make(path)
    exists = type(path).exists
    looks = iter([False, False])
    monkeypatch.setattr(type(path), "exists", lambda self: next(looks, True) if self == path else exists(self))
    with Ledger(path) as ledger:
        assert len(ledger.find([key(number) for number in range(50)])) == 50
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


LINES = """
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw
31 30 8:1 / /home/me/scratch rw - xfs /dev/sda1 rw
32 27 0:41 / /mnt/my\\040share rw - cifs //server/share rw
33 27 0:42 / /data rw - ext4 /dev/sdb rw
34 33 0:43 / /data rw - lustre mds:/data rw
35 27 0:44 / /sshfs rw - fuse.sshfs me@host: rw
36 27 0:45 / /overlay rw - fuse.fuse-overlayfs overlay rw
37 27 0:46 / /mnt/c rw - 9p drvfs rw
38 27 0:47 / /stick rw - fuseblk /dev/sdc1 rw
39 27 0:48 / /odd
40 27 0:49 / /odder - \n"""

FOLDERS = [
    ("/srv/ada/.cache/amber_nb", False),
    ("/", False),
    ("/home", True),
    ("/home/me/.cache", True),
    ("/homes/me", False),
    ("/home/me/scratch/deep/er", False),
    ("/mnt/my share/x", True),
    ("/mnt/my", False),
    ("/data/x", True),  # the later of two mounts
    ("/sshfs/x", True),
    ("/overlay/x", False),
    ("/mnt/c/Users", True),
    ("/stick", False),
    ("/odd/x", False),
    (r"\\server\share\x", True),
    (r"\\?\UNC\server\share", True),
    (r"\\?\C:\Users", False),
    (r"C:\Users", False),
]


@pytest.mark.parametrize(("folder", "network"), FOLDERS)
def test_file_systems_of_other_machines_are_known(folder, network):
    assert is_on_network(folder, LINES) is network


@pytest.mark.parametrize("system", sorted(ledger_file.NETWORK_SYSTEMS | {"fuse.rclone", "fuse.s3fs"}))
def test_each_kind_of_network_has_a_journal(tmp_path, system):
    with Ledger(tmp_path / "ledger.sqlite", mounts=f"27 1 0:1 / / rw - {system} it rw") as ledger:
        assert ledger.has_wal is False
        assert ledger._writer.execute("PRAGMA synchronous").fetchone() == (3,)
        begin(ledger)
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_without_a_table_of_mounts_sqlite_decides(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite", mounts="") as ledger:
        assert ledger.has_wal is True


def test_a_log_that_sqlite_does_not_grant_is_none(tmp_path):
    make(tmp_path / "ledger.sqlite", mounts=NETWORK)
    connection = sqlite3.connect(f"file:{tmp_path}/ledger.sqlite?vfs=unix-dotfile", uri=True, isolation_level=None)
    assert set_journal(connection, "wal") == "delete"
    connection.close()


def test_a_ledger_that_was_on_a_network_keeps_its_journal(tmp_path):
    """Where the folder is a disk's, it may be another machine's network folder still."""
    path = tmp_path / "ledger.sqlite"
    for number, (mounts, log) in enumerate([(DISK, True), (NETWORK, False), (DISK, False)]):
        with Ledger(path, mounts=mounts) as ledger:
            assert ledger.has_wal is log
            ledger.store(begin(ledger), [(key(number), answer(number))])
            beside = {file.name for file in tmp_path.iterdir()} - {"ledger.sqlite", "ledger.sqlite-owners"}
            assert beside == ({"ledger.sqlite-wal", "ledger.sqlite-shm"} if log else set())
    assert len(stored(path)) == 3


def test_a_log_in_use_is_not_taken_to_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_file, "BUSY_S", 0)
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, mounts=DISK) as ledger:
        with pytest.raises(AmberError, match="locked"):
            Ledger(path, mounts=NETWORK)
        begin(ledger)


def snapshot(path, into):
    """What a disk holds that was cut off at this moment."""
    into.mkdir()
    for suffix in ("", "-wal", "-journal"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            (into / file.name).write_bytes(file.read_bytes())
    return into / path.name


@pytest.mark.parametrize("mounts", [DISK, NETWORK], ids=["log", "journal"])
def test_what_was_announced_is_in_every_copy_made_since(tmp_path, mounts):
    """Copies at each announcement, and before and inside each transaction, with checkpoints in between."""
    path = tmp_path / "ledger.sqlite"
    copies, announced, put = [], [], 40
    with Ledger(path, mounts=mounts) as ledger:
        run = begin(ledger)

        def copy(_=None):
            copies.append((len(announced), snapshot(path, tmp_path / f"copy-{len(copies)}")))

        ledger._writer.execute("PRAGMA wal_autocheckpoint = 3")
        ledger._writer.set_trace_callback(copy)
        writer = LedgerWriter(ledger, run)
        for number in range(put):

            def done(error, number=number):
                assert error is None
                announced.append(number)
                if number % 4 == 0:
                    copy()

            writer.put(key(number), answer(number) * 50, done)
            if number % 10 == 9:
                writer.close()
                writer = LedgerWriter(ledger, run)
        writer.close()
        ledger._writer.set_trace_callback(None)
    assert len(announced) == put
    assert len(copies) > 40
    for count, copied in copies:
        rows = stored(copied)
        assert set(rows) >= {key(number) for number in range(count)}
        assert set(rows) <= {key(number) for number in range(put)}
        assert all(rows[key(number)] == answer(number) * 50 for number in range(len(rows)))


def test_a_commit_that_was_cut_off_is_undone_and_no_damage(tmp_path):
    """Pages of an unfinished transaction are in the file already, and the journal has what was there before."""
    path = tmp_path / "ledger.sqlite"
    with Ledger(path, mounts=NETWORK) as ledger:
        run = begin(ledger)
        ledger.store(run, [(key(number), answer(number) * 9) for number in range(600)])
        before, copies, steps = stored(path), [], []

        def copy():
            steps.append(None)
            if path.read_bytes() != whole and len(steps) % 5 == 0:
                copies.append(snapshot(path, tmp_path / f"copy-{len(copies)}"))

        whole = path.read_bytes()
        ledger._writer.execute("PRAGMA cache_size = 5")  # pages: what does not fit is written before the commit
        ledger._writer.set_progress_handler(copy, 100)
        with ledger._transaction(durable=True) as connection:
            delete_run(connection, run)
        ledger._writer.set_progress_handler(None, 100)
    assert len(copies) > 5
    assert stored(path) == {}
    for copied in copies:
        assert stored(copied) == before


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A ledger and its log after 20 commits, and the length of the log at each."""
    path = tmp_path_factory.mktemp("logged") / "ledger.sqlite"
    log = path.with_name(path.name + "-wal")
    lengths = []
    with Ledger(path, mounts=DISK) as ledger:
        run = begin(ledger)
        ledger._writer.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(20):
            ledger.store(run, [(key(number), answer(number))])
            lengths.append(log.stat().st_size)
        yield path.read_bytes(), log.read_bytes(), lengths


@given(st.data())
def test_a_log_that_is_cut_or_scrambled_ends_before_that(tmp_path_factory, logged, data):
    main, log, lengths = logged
    path = tmp_path_factory.mktemp("cut") / "ledger.sqlite"
    at = data.draw(st.integers(0, len(log)))
    path.write_bytes(main)
    rest = bytes(len(log) - at) if data.draw(st.booleans()) else b""
    path.with_name(path.name + "-wal").write_bytes(log[:at] + rest)
    whole = sum(length <= at for length in lengths)
    rows = stored(path)
    assert set(rows) >= {key(number) for number in range(whole)}
    assert set(rows) == {key(number) for number in range(len(rows))}
    with Ledger(path, mounts=DISK) as ledger:
        ledger.store(ledger.begin_run(facts()).key, [(key(99), "99")])
    assert len(stored(path)) == len(rows) + 1
