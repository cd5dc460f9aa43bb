"""The command: copies, runs and serves, and never writes over anybody's work."""

import re
import signal
import subprocess
import sys

import nbformat
import pytest

import amber_nb
from amber_nb import Amber, cli

NOTEBOOKS = [
    "01_hello.ipynb",
    "02_streaming.ipynb",
    "03_images.ipynb",
    "04_functions.ipynb",
    "05_regression_testing.ipynb",
    "06_company_knowledge.ipynb",
    "07_tables.ipynb",
]
DATA = ["data/README.md", "data/bank_messages.csv", "data/notes_server.py"]


def test_notebooks_are_copied_and_never_overwritten(elsewhere, capsys):
    assert cli.main(["notebooks", "mine"]) == 0
    mine = elsewhere / "mine"
    assert sorted(str(path.relative_to(mine)) for path in mine.rglob("*.*")) == [*NOTEBOOKS, *DATA]
    for name in (NOTEBOOKS[0], DATA[1]):
        (mine / name).write_text("my work")
    (mine / NOTEBOOKS[1]).unlink()
    capsys.readouterr()
    assert cli.main(["notebooks", "mine"]) == 0
    assert [(mine / name).read_text() for name in (NOTEBOOKS[0], DATA[1])] == ["my work"] * 2
    assert capsys.readouterr().out.split() == ["mine/02_streaming.ipynb"]


def test_bytecode_beside_the_data_is_not_copied(elsewhere, monkeypatch):
    package = elsewhere / "package"
    (package / "notebooks" / "data" / "__pycache__").mkdir(parents=True)
    (package / "notebooks" / NOTEBOOKS[0]).write_text("{}")
    monkeypatch.setattr(amber_nb, "__file__", str(package / "__init__.py"))
    assert cli.main(["notebooks", "mine"]) == 0
    assert [path.name for path in (elsewhere / "mine").rglob("*")] == [NOTEBOOKS[0]]


def names_only_links(page):
    """What a page names, a browser fetches: nothing may be named but links that a reader clicks."""
    return re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//[^"'>]+""", page) == []


@pytest.mark.slow
def test_demo_headless_runs_them_all_and_writes_pages(elsewhere):
    command = [sys.executable, "-m", "amber_nb.cli", "demo", "--headless", "here"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^ok +(\S+)", done.stdout, re.MULTILINE) == NOTEBOOKS
    for name in NOTEBOOKS:
        page = (elsewhere / "here" / "pages" / name).with_suffix(".html").read_text(encoding="utf-8")
        assert "simulat" in page  # a badge, or the words of the notebook that starts its own
        assert names_only_links(page)


def test_demo_headless_writes_pages_and_names_what_failed(elsewhere, capfd, monkeypatch):
    copy = cli._copy

    def copy_one(directory):
        """The first notebook; each of them is run by nbval and in JupyterLab as well."""
        for path in copy(directory):
            if path.name != NOTEBOOKS[0]:
                path.unlink()
        return [directory / NOTEBOOKS[0]]

    (elsewhere / "here").mkdir()
    monkeypatch.setattr(cli, "_copy", copy_one)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(book, elsewhere / "here" / "00_broken.ipynb")
    assert cli.main(["demo", "--headless", "here"]) == 1
    out = capfd.readouterr().out
    assert re.search(r"^FAILED +00_broken.ipynb", out, re.MULTILINE)
    assert "ZeroDivisionError" in out
    assert re.search(rf"^ok +{NOTEBOOKS[0]}", out, re.MULTILINE)
    page = (elsewhere / "here" / "pages" / NOTEBOOKS[0]).with_suffix(".html").read_text(encoding="utf-8")
    assert "simulated" in page
    assert names_only_links(page)


def test_demo_headless_succeeds_where_all_do(elsewhere, capsys, monkeypatch):
    monkeypatch.setattr(cli, "_run_one", lambda notebook: (True, f"ok {notebook.name}"))
    assert cli.main(["demo", "--headless", "here"]) == 0
    copied, *lines = capsys.readouterr().out.splitlines()
    assert copied == f"{len(NOTEBOOKS)} notebooks copied to here"
    assert lines == [f"ok {name}" for name in NOTEBOOKS]
    (elsewhere / "here" / DATA[1]).unlink()
    assert cli.main(["demo", "--headless", "here"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "The notebooks in here stay as they are"
    assert (elsewhere / "here" / DATA[1]).exists()


def test_demo_without_lab_says_what_to_install(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["demo"]) == 1
    assert "pip install 'amber_nb[lab]'" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_simulate_serves_until_it_is_told_to_stop(elsewhere):
    with subprocess.Popen(
        [sys.executable, "-m", "amber_nb.cli", "simulate", "--port", "0", "--chunks-per-s", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        url = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/beta/openai/v1", url)
        amber = Amber(base_url=url, api_key="ambrs-exampletoken")
        assert amber.ask("Hello!").text == "Hello! How can I help you today?"
        amber.close()
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=20)
    assert server.returncode == 0
    assert re.search(r"^POST \S+/chat/completions 200$", err, re.MULTILINE)
    assert "ambrs-exampletoken" not in out + err
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_one_line(gateway, capsys):
    assert cli.main(["simulate", "--port", gateway.base_url.split(":")[2].split("/")[0]]) == 1
    err = capsys.readouterr().err
    assert err.startswith("amber-nb: ")
    assert err.count("\n") == 1


def test_login_speaks_of_the_address_and_not_of_the_key(elsewhere, monkeypatch, capsys):
    vault = {}
    monkeypatch.setattr("amber_nb.login.store", lambda **login: vault.update(login))
    monkeypatch.setattr("builtins.input", lambda _: "acme")
    monkeypatch.setattr("getpass.getpass", lambda _: "ambrs-exampletoken")
    assert cli.main(["login"]) == 0
    assert "acme.ambersearch.de" in capsys.readouterr().out
    assert vault["api_key"] == "ambrs-exampletoken"


@pytest.mark.parametrize("typed", ["", "http://acme.example/v1", "ac me"])
def test_a_login_that_cannot_be_is_one_line(elsewhere, monkeypatch, capsys, typed):
    monkeypatch.setattr("builtins.input", lambda _: typed)
    monkeypatch.setattr("getpass.getpass", lambda _: "ambrs-exampletoken")
    assert cli.main(["login"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("amber-nb: ")
    assert "exampletoken" not in err


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert amber_nb.__version__ in capsys.readouterr().out
