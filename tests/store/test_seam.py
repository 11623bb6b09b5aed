"""One place chooses the store, and no SQL is written in Python. tests/unit/test_structure.py has the arrows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import asyncjob

SOURCE = Path(asyncjob.__file__).parent
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE|DROP|ALTER) \S", re.ASCII)


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_store_is_chosen_in_one_place() -> None:
    users = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if "asyncjob.sqlite.store" in _imported(file)
    }
    assert users == {"life.py"}


def test_no_sql_is_written_in_python() -> None:
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.search(node.value), f"{file}: {node.value}"
