"""What the layout promises: the public names, and which way the imports go."""

import ast
from pathlib import Path

import asyncjob
from asyncjob import client

SOURCE = Path(asyncjob.__file__).parent
CORE = ("job", "context", "failure", "isolation", "loop", "registry", "runner", "contract", "openapi", "sleep", "store")


def _imports(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return {
        name
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.startswith("asyncjob")
    }


def test_the_public_names_are_all_there_and_nothing_else_is_public() -> None:
    public = {name for name, value in vars(asyncjob).items() if not name.startswith("_") and not _is_module(value)}
    assert public | set(client.__all__) | {"__version__"} == set(asyncjob.__all__)
    assert all(hasattr(asyncjob, name) for name in asyncjob.__all__)
    assert client.__all__ == sorted(client.__all__) and asyncjob.__all__ == sorted(asyncjob.__all__)


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"


def test_the_core_imports_no_engine_and_no_engine_the_other() -> None:
    forbidden = {**{f"{name}.py": {"server", "sqlite", "aws"} for name in CORE}, "aws/**/*.py": {"server", "sqlite"}}
    forbidden |= {"server/**/*.py": {"aws"}, "sqlite/*.py": {"aws"}, "client/*.py": {"server", "sqlite", "aws"}}
    for pattern, engines in forbidden.items():
        for file in SOURCE.glob(pattern):
            for imported in _imports(file):
                assert not engines & set(imported.split(".")[1:2]), f"{file} imports {imported}"


def test_every_file_says_in_its_first_lines_what_it_is_for() -> None:
    for file in SOURCE.rglob("*.py"):
        docstring = ast.get_docstring(ast.parse(file.read_text()))
        assert docstring, file


def test_metrics_are_taken_in_one_place() -> None:
    importers = {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py") if "metrics" in _modules(file)}
    assert importers == {"server/engine.py"}


def _modules(file: Path) -> set[str]:
    return {name.rpartition(".")[2] for name in _imports(file)}


def _set_attributes(function: ast.AST) -> set[str]:
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def test_an_object_has_all_its_attributes_once_it_is_made() -> None:
    for file in SOURCE.rglob("*.py"):
        if file.name == "protocol.py":  # uvicorn's protocol begins with connection_made
            continue
        for kind in ast.walk(ast.parse(file.read_text())):
            if isinstance(kind, ast.ClassDef):
                methods = [node for node in kind.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
                born = {name for method in methods if method.name == "__init__" for name in _set_attributes(method)}
                born |= {node.target.id for node in kind.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
                later = {name for method in methods for name in _set_attributes(method)} - born
                assert not later, f"{file}: {kind.name} gets {later} only after it is made"
