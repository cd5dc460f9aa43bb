"""What every test gets: no settings of the developer's, no keyring, no network."""

import contextlib
import functools
import os
import signal
import ssl
import sys
from pathlib import Path

import hypothesis
import pytest
from scripted import scripted
from virtual_clock import VirtualClock
from xdist.scheduler import LoadFileScheduling

from amber_nb import Amber
from amber_nb.chat.ask import AskRun
from amber_nb.simulator import Server

GUARD = Path(__file__).parent / "guard"
sys.path.insert(0, str(GUARD))
import sitecustomize  # noqa: E402, F401  – guards this process; PYTHONPATH below guards its children

pytest_plugins = ["pytester"]

KEY = "ambrs-exampletoken"


def pytest_configure(config) -> None:
    """Children inherit the guard, and nothing of the developer's own settings."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")]))
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    for name in [name for name in os.environ if name.startswith(("AMBER_", "OPENAI_")) and name != "AMBER_ARTEFACTS"]:
        del os.environ[name]
    os.environ.pop("PYTEST_ADDOPTS", None)  # meant for this run, not for those that tests start
    # Else each of many children would compile the package anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # A shell has what it runs in the background ignore interrupts, and so would all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Each client loads all certificates (30 ms), and no test speaks TLS.
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    # A busy machine makes any example a late one. In CI the seed is always the same.
    hypothesis.settings.register_profile("dev", max_examples=25, deadline=None)
    hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
    hypothesis.settings.register_profile("slow", max_examples=1_000, deadline=None)
    hypothesis.settings.load_profile("slow" if config.getoption("--slow") else "ci" if "CI" in os.environ else "dev")


@contextlib.contextmanager
def _replaced_by(virtual):
    """Whatever keeps times for all live views of a process is one of its own, for the times of this clock."""
    comm = sys.modules.get("amber_nb.display.comm")
    with virtual.replace(), pytest.MonkeyPatch.context() as patch:
        if comm is not None:
            patch.setattr(comm, "scheduler", comm.SendScheduler())
            patch.setattr(comm, "snapshots", comm.SendScheduler())
        yield virtual


@pytest.fixture
def clock():
    """The clock of the package, which stands still until the test moves it."""
    with _replaced_by(VirtualClock()) as virtual:
        yield virtual


@pytest.fixture
def fast_clock():
    """The clock of the package; every sleep is over at once, and the clock has moved by its seconds."""
    with _replaced_by(VirtualClock(auto=True)) as virtual:
        yield virtual


@pytest.fixture
def askings(monkeypatch):
    """The `AskRun` objects that come to be, in their order: what they know may be looked at while they run."""
    seen = []
    begin = AskRun.__init__

    def noted(self, *args):
        begin(self, *args)
        seen.append(self)

    monkeypatch.setattr(AskRun, "__init__", noted)
    return seen


@pytest.fixture
def script():
    """Makes clients of gateways that say what a test has them say; see `scripted`."""
    with scripted() as play:
        yield play


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory without a .env above it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def gateway():
    """The simulator over real HTTP, without waiting."""
    with Server(port=0).start() as server:
        yield server


@pytest.fixture
def amber(gateway):
    """A client in live mode, on the HTTP simulator."""
    client = Amber(base_url=gateway.base_url, api_key=KEY, max_retries=0)
    yield client
    client.close()


@pytest.fixture
def simulated(monkeypatch):
    """A client on the in-process simulator, without waiting."""
    monkeypatch.setenv("AMBER_SIM_CHUNKS_PER_S", "0")
    return Amber(mode="simulate")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that are marked slow, too")


def pytest_collection_modifyitems(config, items):
    """Leave out what is slow, unless it is asked for: by a hook, since `-m` would replace a mark of `addopts`.

    Without xdist, long tests come last; with it (`-n 2 --no-loadscope-reorder`), first.
    """
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]

    def length(item):
        return 2 if item.get_closest_marker("browser") else item.path.parent.name == "testing"

    items.sort(key=length, reverse="PYTEST_XDIST_WORKER" in os.environ)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file goes to one process, and so do all browser tests: one at a time is what a small machine can do."""
    return _Scheduling(config, log)


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid):
        return "tests/browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)
