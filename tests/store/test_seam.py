"""The server knows no store and a store knows no server; SQLite stays in its room, and SQL in .sql files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncjob

SOURCE = Path(asyncjob.__file__).parent
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE|DROP|ALTER) \S", re.ASCII)
# Which rooms each room must not import from.
WALLS = {
    "server": {"sqlite", "aws", "commands", "serve", "cli"},
    "sqlite": {"server", "aws", "client", "commands", "serve", "cli"},
    "store": {"server", "sqlite", "aws", "client", "commands", "serve", "cli"},
}


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("room", WALLS)
def test_a_room_imports_nothing_from_behind_its_walls(room: str) -> None:
    files = list((SOURCE / room).rglob("*.py"))
    assert files
    for file in files:
        rooms = {name.split(".")[1] for name in _imported(file) if name.startswith("asyncjob.")}
        assert not rooms & WALLS[room], file


def test_sqlite_is_known_in_its_own_room_alone() -> None:
    users = {file.relative_to(SOURCE).parts[0] for file in SOURCE.rglob("*.py") if "sqlite3" in _imported(file)}
    assert users == {"sqlite"}


def test_the_store_is_chosen_in_one_place() -> None:
    users = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if "asyncjob.sqlite.store" in _imported(file)
    }
    assert users == {"serve.py"}


def test_no_sql_is_written_in_python() -> None:
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.search(node.value), f"{file}: {node.value}"
