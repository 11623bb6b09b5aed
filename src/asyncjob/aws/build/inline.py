"""Joins the modules of a function into one text, for a template that carries its code.

What a function's module imports from aws/runtime/ comes before it, each module once, and the standard library's imports
come first of all. What a module makes of the core, such as its part of the transition table, is written as the value
that it has. Type hints stay behind, and with them the modules that hold nothing else.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from pathlib import Path

CORE, RUNTIME = "asyncjob.", "asyncjob.aws.runtime."


class InlineError(ValueError):
    """A module cannot be joined as it is; the message says which, and why."""


@dataclass(frozen=True)
class Module:
    """A module of aws/runtime/, as it is joined.

    Attributes:
        docstring: its own, as it is written.
        text: what it defines.
        defined: the names of that.
        imports: what it uses of other modules, as pairs of the module ("" for what is imported whole) and the name.
    """

    docstring: str
    text: str
    defined: list[str]
    imports: list[tuple[str, str]]

    @property
    def needed(self) -> list[str]:
        """The modules of aws/runtime/ that must come before it."""
        return [origin.removeprefix(RUNTIME) for origin, _ in self.imports if origin.startswith(RUNTIME)]


def inline(folder: Path, name: str) -> str:
    """The text of a function, which needs nothing beside the standard library.

    Args:
        folder: where the modules are.
        name: of the module that has the function's handler.

    Raises:
        InlineError: a module uses the core elsewhere than in a constant, imports under another name or inside a
            function, or defines what another module defines too.
    """
    modules: dict[str, Module] = {}
    _collect(folder, name, modules)
    for each, count in Counter(each for module in modules.values() for each in module.defined).items():
        if count > 1:
            raise InlineError(f"{name}: {each} is defined in {count} of the modules that are joined")
    parts = [f"# ---- {each}.py\n\n{module.text}" for each, module in modules.items()]
    return "\n\n".join([f'"""{modules[name].docstring}"""', _imports(modules.values()), *parts]) + "\n"


def _collect(folder: Path, name: str, modules: dict[str, Module]) -> None:
    """Add a module, after those that it needs."""
    module = _module((folder / f"{name}.py").read_text(), name)
    for each in module.needed:
        if each not in modules:
            _collect(folder, each, modules)
    modules[name] = module


def _imports(modules: Iterable[Module]) -> str:
    """What all of them import from the standard library."""
    pairs = {pair for module in modules for pair in module.imports if not pair[0].startswith(CORE)}
    origins = sorted({origin for origin, _ in pairs} - {""})
    plain = [f"import {name}" for origin, name in sorted(pairs) if origin == ""]
    named = [f"from {each} import {', '.join(sorted(name for at, name in pairs if at == each))}" for each in origins]
    return "\n".join([*plain, *named])


def _module(source: str, name: str) -> Module:
    tree = ast.parse(source)
    hints = list(_hints(tree))
    hidden = {id(node) for hint in hints for node in ast.walk(hint)}
    used = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and id(each) not in hidden}
    imports = [pair for pair in _imported(tree, name) if pair[1] in used]
    core = {each for origin, each in imports if origin.startswith(CORE) and not origin.startswith(RUNTIME)}
    edits = _Edits(source)
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or node is tree.body[0]:
            edits.replace(node, "")
        elif core & _names(node):
            edits.replace(node, _constant(node, name))
    for hint in hints:
        edits.drop_hint(hint)
    docstring = ast.get_docstring(tree, clean=False) or ""
    text = re.sub(r"\n{3,}", "\n\n", edits.text()).strip()
    return Module(docstring, text, list(_defined(tree)), [pair for pair in imports if pair[1] not in core])


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _imported(tree: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        origin = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for each in node.names:
            if node not in tree.body or each.asname or (origin == "" and each.name.startswith(CORE)):
                raise InlineError(f"{name}, line {node.lineno}: only plain imports at its beginning can be joined")
            yield origin, each.name


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def _constant(node: ast.stmt, name: str) -> str:
    """The same constant, as its value."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        raise InlineError(f"{name}, line {node.lineno}: the core can be used for a constant only")
    target = node.targets[0].id
    return f"{target} = {json.dumps(getattr(import_module(RUNTIME + name), target))}"


def _hints(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns


class _Edits:
    """A source, and what is replaced in it."""

    def __init__(self, source: str) -> None:
        if not source.isascii():
            raise InlineError("columns are counted in bytes: plain ASCII is needed")
        self._source = source
        self._starts = list(accumulate((len(line) for line in source.splitlines(keepends=True)), initial=0))
        self._edits: list[tuple[int, int, str]] = []

    def replace(self, node: ast.stmt, text: str) -> None:
        """Put a text in the place of a statement."""
        self._edits.append((*self._span(node), text))

    def drop_hint(self, hint: ast.expr) -> None:
        """Take out a type hint with the colon or the arrow before it."""
        begin, end = self._span(hint)
        before = self._source[:begin].rstrip()
        self._edits.append((len(before.removesuffix(":").removesuffix("->").rstrip()), end, ""))

    def text(self) -> str:
        """The source with all edits."""
        text = self._source
        for begin, end, new in sorted(self._edits, reverse=True):
            text = text[:begin] + new + text[end:]
        return text

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        begin = self._starts[node.lineno - 1] + node.col_offset
        return begin, self._starts[node.end_lineno - 1] + node.end_col_offset
