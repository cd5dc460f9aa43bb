"""Imports point down the list of rooms, those of functions and for type checkers included."""

import ast
import graphlib
from pathlib import Path

import pytest

import amber_nb

ROOT = Path(amber_nb.__file__).parent
FLOORS = [
    {"cli", "testing"},
    {"client"},
    {"map"},
    {"chat"},
    {"mcp_servers"},
    {"tools", "answer"},
    {"reply_parts"},
    {"images", "log_frames", "value_frame"},
    {"value_types"},
    {"cassettes"},
    {"wire", "display"},
    {"keywords", "login", "tracebacks"},
    {"config"},
    {"base_url", "checks", "paths", "prices", "setting_sources", "telemetry"},
    {"errors"},
    {"types", "error_body"},
    {"redact", "simulator"},
    {"clock", "completion", "files"},
]
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# name on the package's door → the room behind it
DOOR = {"Amber": "client", "__version__": "clock", "__file__": "clock"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py" and "frontend" not in path.parts)


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Pairs of (dotted name below amber_nb, AST node), those for type checkers included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ("amber_nb", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
                if node.level
                else node.module
            )
            yield from ((f"{base}.{alias.name}", node) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "amber_nb":
            yield f"amber_nb.{DOOR.get(node.attr, node.attr)}", node


ROOMS = sorted({room(path) for path in MODULES})


def wrong_imports(path):
    """What a module imports that it may not, a line each."""
    here = room(path)
    for name, node in imports(path):
        if not name.startswith("amber_nb.") or name == "amber_nb.*":
            continue
        there = name.split(".")[1]
        where = f"{path.relative_to(ROOT)}, line {node.lineno}: {here} imports {name}"
        if there not in HEIGHT:
            yield f"{where}: no such room in the plan"
        elif not (there == here or HEIGHT[there] < HEIGHT[here] or (here, there) == ("cli", "testing")):
            yield f"{where}, which is above or beside it"
        elif there == "simulator" and here not in ("simulator", "wire", "cli"):
            yield f"{where}: that is for the wire and the command"
        elif here == "simulator" and there not in ("simulator", "clock"):
            yield f"{where}: it stands by itself"


@pytest.mark.parametrize("here", ROOMS)
def test_imports_point_down(here):
    assert [line for path in MODULES if room(path) == here for line in wrong_imports(path)] == []


def test_no_modules_import_each_other_in_a_circle():
    """Imports for type checkers included; a package stands for its `__init__`."""
    known = {".".join(("amber_nb", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
             for path in MODULES}  # fmt: skip
    graph = {}
    for name, path in known.items():
        there = {target if target in known else target.rpartition(".")[0] for target, _ in imports(path)}
        graph[name] = {target for target in there if target in known and target != name}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def inner_imports(path):
    """What is imported inside a function, a line each."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for node in ast.walk(function):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    yield f"{path.relative_to(ROOT)}, line {node.lineno}"


@pytest.mark.parametrize("here", ROOMS)
def test_nothing_is_imported_inside_a_function(here):
    assert [line for path in MODULES if room(path) == here for line in inner_imports(path)] == []


WAITS = {"sleep", "timeout", "wait_for"}


def own_times(path):
    """Where a module reads the time or waits by itself, a line each."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found = isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = {alias.name for alias in node.names}
            found = node.module == "time" or (node.module == "asyncio" and bool(names & WAITS))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = node.value.id == "asyncio" and node.attr in WAITS
        if found:
            yield f"{path.relative_to(ROOT)}, line {node.lineno}"


def test_only_the_clock_knows_the_time():
    """Else a test could not replace it. The private loop's own wait, which calls a tick now and then, is no waiting."""
    found = [line for path in MODULES if room(path) != "clock" for line in own_times(path)]
    assert [line for line in found if not line.startswith("wire/event_loop.py")] == []


def test_only_config_reads_the_environment():
    for path in MODULES:
        if room(path) != "config":
            assert "os.environ" not in path.read_text(encoding="utf-8").replace("`os.environ`", ""), path.name
            assert "getenv" not in path.read_text(encoding="utf-8"), path.name
