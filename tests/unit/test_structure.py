"""What the layout promises: the public names, which way the imports go between all rooms, and the maps of it."""

import ast
import graphlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncjob
from asyncjob import client

SOURCE = Path(asyncjob.__file__).parent
ROOT = Path(__file__).parent.parent.parent
FILES = {".".join(file.relative_to(SOURCE).with_suffix("").parts): file for file in SOURCE.rglob("*.py")}

ROOMS = {
    "core": set(),
    "client": {"core"},
    "sqlite": {"core"},
    "server": {"core"},
    "aws.runtime": {"core"},
    "aws.build": {"core", "aws.runtime"},
    "aws": {"core"},
    "life": {"core", "server", "sqlite"},
    "serve": {"core", "life", "server"},
    "mounted": {"core", "client", "life", "server"},
    "commands": {"core", "client", "server", "sqlite"},
    "testing": {"core", "client"},
    "reload": {"core", "commands", "serve", "server"},
    "cli": {"core", "commands", "reload", "serve", "server", "sqlite", "aws", "aws.build"},
    "face": {"core", "client", "cli", "mounted"},
}
"""What each room may import beside itself. An engine and a store do not know each other: `life` puts them together."""

SERVER = {
    "server": {"server.workers", "server.webhooks"},
    "server.http": {"server"},
    "server.workers": {"server"},
    "server.webhooks": {"server"},
}
"""The same of the rooms in the server."""


def _room(module: str, rooms: dict[str, set[str]]) -> str | None:
    if module in ("__init__", "__main__"):
        return "face" if "face" in rooms else None
    parts = module.removesuffix(".__init__").split(".")
    named = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in named if name in rooms), "core" if "core" in rooms else None)


def _imports(module: str) -> Iterator[str]:
    """The modules of this package that one imports, wherever in its text."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == "asyncjob" or name.startswith("asyncjob."):
                yield _file_of(name.removeprefix("asyncjob").removeprefix("."))


def _file_of(name: str) -> str:
    """The module that has a name, or is one."""
    parts = name.split(".")
    for length in range(len(parts), -1, -1):
        module = ".".join(parts[:length])
        if module in FILES:
            return module
        package = f"{module}.__init__".removeprefix(".")
        if package in FILES:
            return package
    raise AssertionError(name)


def test_the_public_names_are_all_there_and_nothing_else_is_public() -> None:
    public = {name for name, value in vars(asyncjob).items() if not name.startswith("_") and not _is_module(value)}
    assert public | set(client.__all__) | {"JobsApp", "__version__"} == set(asyncjob.__all__)
    assert all(hasattr(asyncjob, name) for name in asyncjob.__all__)
    assert client.__all__ == sorted(client.__all__) and asyncjob.__all__ == sorted(asyncjob.__all__)


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"


@pytest.mark.parametrize("rooms", [ROOMS, SERVER], ids=["rooms", "server"])
def test_an_arrow_points_only_where_its_room_may_look(rooms: dict[str, set[str]]) -> None:
    for module in FILES:
        room = _room(module, rooms)
        if room is None:
            continue
        for imported in _imports(module):
            other = _room(imported, rooms)
            assert other in (None, room) or other in rooms[room], f"{module} ({room}) imports {imported} ({other})"


def test_no_files_import_each_other_in_a_circle() -> None:
    faces = {name for name in FILES if name.endswith("__init__")}  # which hand names on, some of them lazily
    graph = {
        module: {each for each in _imports(module) if each not in faces} for module in FILES if module not in faces
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_sqlite_is_spoken_in_its_own_room_alone() -> None:
    for module, file in FILES.items():
        if not module.startswith("sqlite."):
            assert "sqlite3" not in {
                alias.name
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.Import)
                for alias in node.names
            }, module


def test_every_file_says_in_its_first_lines_what_it_is_for() -> None:
    for file in FILES.values():
        assert ast.get_docstring(ast.parse(file.read_text())), file


def test_files_and_functions_keep_to_their_sizes() -> None:
    for file in FILES.values():
        text = file.read_text()
        assert len(text.splitlines()) <= 400, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert _lines(node) <= 40, f"{file}: {node.name}"


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long a function is, its docstring left out."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_metrics_are_taken_in_one_place() -> None:
    taking = {module for module in FILES if "server.metrics" in _imports(module)}
    assert taking == {"server.telling", "server.exposition"}  # which shows them


def test_an_object_has_all_its_attributes_once_it_is_made() -> None:
    for module, file in FILES.items():
        if module in ("server.http.protocol", "server.http.lane"):  # uvicorn's protocol begins with connection_made
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                later = _set_attributes(node, later=True) - _set_attributes(node, later=False)
                assert not later, f"{file}: {node.name} gets {later} only after it is made"


def _set_attributes(kind: ast.ClassDef, *, later: bool) -> set[str]:
    """The attributes of `self` that a class sets: in __init__ or its body, or in its other methods."""
    methods = [node for node in kind.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    found = {
        node.attr
        for method in methods
        if (method.name != "__init__") == later
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    body = {
        node.target.id for node in kind.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return found if later else found | body


def test_every_path_that_contributing_names_exists() -> None:
    named = re.findall(r"`([\w./-]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    paths = [name for name in named if "/" in name or name.endswith((".md", ".py", ".toml", ".txt", ".yaml"))]
    assert len(paths) > 40
    for path in paths:
        assert (ROOT / path).exists() or (SOURCE / path).exists(), path


def test_the_map_in_contributing_has_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    rooms = {f"{file.parent.relative_to(ROOT)}/" for file in SOURCE.rglob("__init__.py")}
    rooms |= {f"{file.parent.relative_to(ROOT)}/" for file in (ROOT / "tests").glob("*/*.py")}
    assert rooms <= set(re.findall(r"`([\w./-]+/)`", text))


def test_the_table_for_readers_names_every_file_of_the_server_and_its_store_once() -> None:
    table = (ROOT / "docs" / "local.md").read_text().partition("## For readers of the code")[2]
    named: Counter[Path] = Counter()
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        folder = SOURCE
        for name in re.findall(r"`(.*?)`", row):
            path = (SOURCE if "/" in name.rstrip("/") else folder) / name
            folder = path.parent
            named.update(path.rglob("*") if name.endswith("/") else [path])
    for room in ("server", "store", "sqlite"):
        for file in (SOURCE / room).rglob("*.*"):
            if file.name != "__init__.py" and "__pycache__" not in file.parts:
                assert named[file] == 1, file.relative_to(SOURCE)
    assert all(path.exists() for path in named)


def test_where_to_change_something_is_where_contributing_says() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where do I change X")[2].partition("\n## ")[0]
    _, *places = re.findall(r"^\| [^|]+ \| (.*`.*) \|$", table, re.MULTILINE)
    rows = [re.findall(r"`([\w./-]+)`", place) for place in places]
    assert len(rows) >= 10
    for row in rows:
        texts = [(SOURCE / name).read_text() for name in row if "." in name]
        for name in row:
            assert "." in name or any(re.search(rf"\b{name}\b", text) for text in texts), name
