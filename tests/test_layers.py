"""Imports point down the list of ARCHITECTURE.md, function-level ones too; the only exception is for type checkers."""

import ast
from pathlib import Path

import pytest

import amber_nb

ROOT = Path(amber_nb.__file__).parent
FLOORS = [
    {"cli", "magics", "testing"},
    {"client"},
    {"asking", "image_input"},
    {"desk", "dialogue"},
    {"rounds"},
    {"answer", "conversation", "parts", "running"},
    {"tables"},
    {"wire", "content", "show"},
    {"simulator"},
    {"config", "credentials"},
    {"address", "checks", "tapes"},
    {"errors", "types", "_version"},
    {"masks"},
]
HEIGHT = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# name on the package's door → the room behind it
DOOR = {"Amber": "client", "__version__": "_version", "__file__": "_version"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py" and "frontend" not in path.parts)


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Pairs of (dotted name below amber_nb, AST node), those under TYPE_CHECKING left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    package = ("amber_nb", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(path)
    for name, node in imports(path):
        if not name.startswith("amber_nb.") or name == "amber_nb.*":
            continue
        there = name.split(".")[1]
        assert there in HEIGHT, f"{here} imports {name}: no such room in the plan"
        down = there == here or HEIGHT[there] < HEIGHT[here] or (here, there) == ("cli", "testing")
        assert down, f"line {node.lineno}: {here} imports {name}, which is above or beside it"
        if there == "simulator":
            assert here in ("simulator", "wire", "cli"), f"{here} opens the simulator"
        if here == "simulator":
            assert there == "simulator", f"the simulator imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_inside_a_function(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inside = [node for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not inside, f"line {inside[0].lineno}"


def test_only_config_reads_the_environment():
    for path in MODULES:
        if room(path) != "config":
            assert "os.environ" not in path.read_text(encoding="utf-8").replace("`os.environ`", ""), path.name
            assert "getenv" not in path.read_text(encoding="utf-8"), path.name
