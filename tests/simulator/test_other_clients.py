"""Other clients of the API against the simulator: streams, tools and JSON schemas, as each of them asks for these.

Their scripts are in `clients/`; the libraries are installed at the releases that are written down there, into a folder
of the test's own, since they ask for other releases of what is here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amber_nb.simulator import Server

CLIENTS = Path(__file__).parent / "clients"
INSTALL_S = 600
ASK_S = 100

pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_S + ASK_S)]


def run(*command, folder, seconds):
    # Nothing of this process: it may name another Python path, and the variables of other gateways.
    foreign = ("PYTHONPATH", "AMBER_", "OPENAI_", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    command = list(map(str, command))
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def base_url():
    with Server() as server:
        yield server.base_url


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with the libraries."""
    folder = tmp_path_factory.mktemp("python")
    run(sys.executable, "-m", "venv", folder, folder=folder, seconds=INSTALL_S)
    command = ("-m", "pip", "install", "-q", "-r", CLIENTS / "requirements.txt")
    run(folder / "bin" / "python", *command, folder=folder, seconds=INSTALL_S)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory):
    """A folder with the scripts, and the packages beside them, where Node looks for them."""
    folder = tmp_path_factory.mktemp("node")
    for path in (*CLIENTS.glob("*.mjs"), *CLIENTS.glob("package*.json")):
        shutil.copy(path, folder)
    run("npm", "ci", "--no-audit", "--no-fund", "--silent", folder=folder, seconds=INSTALL_S)
    return folder


@pytest.mark.parametrize("script", [path.name for path in sorted(CLIENTS.glob("*.py"))])
def test_a_python_client_gets_what_it_asks_for(python, base_url, tmp_path, script):
    run(python, CLIENTS / script, base_url, folder=tmp_path, seconds=ASK_S)


@pytest.mark.parametrize("script", [path.name for path in sorted(CLIENTS.glob("*.mjs"))])
def test_a_javascript_client_gets_what_it_asks_for(node_folder, base_url, script):
    run("node", script, base_url, folder=node_folder, seconds=ASK_S)
