"""The package's door: what it says it has, it has, and looking through it loads nothing heavy."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import amber_nb

ROOT = Path(amber_nb.__file__).parent
HEAVY = (
    *("openai", "pandas", "anywidget", "ipywidgets", "PIL", "httpx2", "keyring", "markdown_it", "IPython"),
    *("jinja2", "rapidfuzz", "nbclient", "genai_prices", "opentelemetry"),
)


def run(code):
    """The JSON that a fresh interpreter prints."""
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_all_is_what_is_there():
    assert amber_nb.__all__ == sorted(amber_nb.__all__)
    assert set(dir(amber_nb)) == set(amber_nb.__all__)
    for name in amber_nb.__all__:
        assert getattr(amber_nb, name) is not None
    with pytest.raises(AttributeError, match="Ambr"):
        amber_nb.Ambr  # noqa: B018


@pytest.mark.parametrize("stub", sorted(ROOT.rglob("*.pyi")), ids=lambda path: path.parent.name)
def test_a_stub_names_what_its_package_has(stub):
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    listed = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    package = importlib.import_module(".".join(("amber_nb", *stub.relative_to(ROOT).parts[:-1])))
    assert sorted(ast.literal_eval(listed)) == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize(
    "module",
    ["amber_nb", "amber_nb.testing.plugin", "amber_nb.testing.notebooks", "amber_nb.errors", "amber_nb.config"],
)
def test_importing_loads_nothing_heavy(module):
    loaded = run(f"import sys, json, {module}; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))")
    assert loaded == []


@pytest.mark.parametrize("options", [[], ["-n", "1"]])
def test_a_plain_pytest_run_loads_nothing_heavy(elsewhere, options):
    (elsewhere / "test_plain.py").write_text("def test_it():\n    pass\n")
    others = ("nbval", "nbmake", "recording", "hypothesispytest", "cacheprovider")
    command = [*(f"-pno:{name}" for name in others), *options, "test_plain.py"]
    code = (
        "import contextlib, json, pytest, sys\n"
        f"with contextlib.redirect_stdout(sys.stderr): ret = pytest.main({command})\n"
        f"print(json.dumps([ret, *(n for n in {(*HEAVY, 'nbformat')!r} if n in sys.modules)]))"
    )
    assert run(code) == [pytest.ExitCode.OK]


def test_a_script_that_asks_loads_no_table_no_widget_and_no_tools(elsewhere):
    code = (
        "import os, sys, json; os.environ.update(AMBER_MODE='simulate', AMBER_SIM_CHUNKS_PER_S='0')\n"
        "from amber_nb import Amber; Amber().ask('Hello!')\n"
        "OTHERS = 'mcp', 'amber_nb.mcp_servers.server', 'amber_nb.mcp_servers.prompts', 'amber_nb.tools.tool'\n"
        "print(json.dumps([n for n in ('pandas', 'anywidget', 'markdown_it', 'keyring', *OTHERS) if n in sys.modules]))"
    )
    assert run(code) == []


def test_the_version_is_stated_once():
    project = Path(__file__).parents[1] / "pyproject.toml"
    assert 'dynamic = ["version"]' in project.read_text(encoding="utf-8")
    assert amber_nb.__version__.count(".") == 2
