"""Which of the user's own files go into the package.

If the target is a file, the package gets the modules that it imports from its own folder, and what those import there
in turn. If it is in a package, the whole package goes in, data included. Python itself resolves the imports
(`PathFinder`); they are read from the text of the files, so an import inside a function counts too.
"""

import ast
import fnmatch
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import invalidate_caches
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from asyncjob.aws.build.archive import BuildError, Part, part
from asyncjob.aws.build.private import BY_NAME, DATABASE, JOURNAL, NOT_PLAIN, is_private_name, private
from asyncjob.aws.build.template import PACKAGE

UNSAID = ("__pycache__", "*.py[co]", "*.egg-info")
"""What was compiled or installed. It is left out without a word."""
COMPILED = (".so", ".pyd", ".dylib")
NEVER = (DATABASE, JOURNAL, NOT_PLAIN)


@dataclass
class Sources:
    """The user's part of a package.

    Attributes:
        target: imports the registry from the zip.
        parts: the files.
        left_out: files and folders of the user's package that are not in the zip, each with the reason unless its name
            says it.
        beside: files that lie beside a single file and are not in the zip.
        needed: each module that is imported along with the target and is not among the parts, with the file that
            imports it.
        wanted: the same for modules that are imported elsewhere: in a function, or after `try:`.
        own: each part of this package that is named, such as `client`, with the file that does; `own_needed` has those
            that are imported along with the target, and `own_elsewhere` those that only files name which are not.
    """

    target: str
    parts: list[Part] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)
    needed: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    own_needed: dict[str, str] = field(default_factory=dict)
    own_elsewhere: dict[str, str] = field(default_factory=dict)


def find_sources(target: str, out: Path, include: Sequence[str] = ()) -> Sources:
    """The files that a target needs. It must have been imported.

    Args:
        target: as `loading.load` takes it.
        out: the folder that is built, which is never part of a package.
        include: files to take although they would be left out, by their names in the zip.

    Raises:
        BuildError: one of them cannot go in.
    """
    invalidate_caches()
    source, colon, name = target.partition(":")
    is_file = source.endswith(".py")
    path = Path(source).resolve()
    found = Sources((path.name if is_file else source) + colon + name)
    if is_file:
        first, folder = path, path.parent
        _check_name(path.stem, path)
    else:
        spec = PathFinder.find_spec(source.partition(".")[0])
        location = _location(spec)
        if location is None:
            raise BuildError(f"{source} is no module of files: name the file of your job functions")
        first, folder = location, location.parent
    walk = _Walk(found, folder, out.resolve(), frozenset(include))
    walk.add(first)
    walk.add_included()
    if is_file:
        taken = {each.name for each in found.parts}
        names = sorted(file.name for file in folder.iterdir() if file.is_file() and file.name not in taken)
        found.beside = [name for name in names if not is_private_name(name)]
    return found


class _Walk:
    """Follows imports from file to file, within one folder."""

    def __init__(self, found: Sources, folder: Path, out: Path, include: frozenset[str]) -> None:
        self._found = found
        self._include = include
        self._folder = folder
        self._out = out
        self._seen: set[str] = {"asyncjob"}
        loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        self._loaded = {Path(file).resolve() for file in loaded if file}

    def add(self, first: Path) -> None:
        """Add a module or a package, and what it imports from the same folder."""
        self._seen.add(first.stem)
        for file in self._files(first) if first.is_dir() else [first]:
            self._take(file)

    def add_included(self) -> None:
        """Add what was asked for by name, but never a database of jobs or anything outside the folder."""
        taken = {each.name for each in self._found.parts}
        for name in sorted(self._include - taken):
            file = self._folder / name
            if not _is_inside(file, self._folder) or not file.is_file():
                raise BuildError(f"--include {name}: there is no such file in {self._folder}")
            self._take(file)
            self._found.left_out.pop(name, None)

    def _take(self, file: Path) -> None:
        name = file.relative_to(self._folder).as_posix()
        if file.suffix in COMPILED:
            raise BuildError(f"{name} is compiled for this machine: make a wheel of it and name it in --requirements")
        reason = private(file)
        wanted = name in self._include
        if reason is not None and (not wanted or reason in NEVER):
            if wanted:
                raise BuildError(f"--include {name}: it is {reason}, which is never packed")
            if file.suffix == ".py":  # without it something else would be missing
                raise BuildError(
                    f"{name} holds {reason}: keep that in Secrets Manager or Parameter Store, or say --include {name}"
                )
            self._found.left_out[name] = reason
            return
        self._found.parts.append(part(name, file, "your files"))
        if file.suffix == ".py":
            self._follow(file, name)

    def _follow(self, file: Path, name: str) -> None:
        tree = _read(file, name)
        always, sometimes = _imports(tree)
        is_loaded = file.resolve() in self._loaded  # a package is taken whole, also what its job functions never import
        named = self._found.own if is_loaded else self._found.own_elsewhere
        needed = tree.body if is_loaded else []
        for statements, parts in ((ast.walk(tree), named), (needed, self._found.own_needed)):
            for own in set().union(*map(_parts_of_asyncjob, statements)):
                parts.setdefault(own, name)
        for imported in sorted(always | sometimes):
            spec = PathFinder.find_spec(imported) if imported not in self._seen else None
            location = _location(spec)
            if location is not None and location.parent == self._folder:
                _check_name(imported, location)
                self.add(location)
            elif imported not in self._seen and is_loaded:
                kind = self._found.needed if imported in always else self._found.wanted
                kind.setdefault(imported, name)

    def _files(self, package: Path) -> Iterator[Path]:
        for place, folders, files in os.walk(package):
            inside = Path(place)
            folders[:] = sorted(name for name in folders if self._is_own(inside / name, package))
            for name in sorted(files):
                if self._is_own(inside / name, package):
                    yield inside / name

    def _is_own(self, path: Path, package: Path) -> bool:
        is_out = os.path.realpath(path) == str(self._out)  # unlike resolve(), it survives links in a circle
        if is_out or any(fnmatch.fnmatch(path.name, pattern) for pattern in UNSAID):
            return False
        reason = _not_own(path, package)
        if reason is not None:
            self._found.left_out[path.relative_to(self._folder).as_posix()] = reason
        return reason is None


def _not_own(path: Path, package: Path) -> str | None:
    """Why a file or folder of a package stays where it is, or None."""
    if not _is_inside(path, package):
        return "a link that leads out"
    if not path.is_dir():
        return None if path.is_file() else NOT_PLAIN
    if path.is_symlink():
        return "a link to a folder"
    if (path / "pyvenv.cfg").exists() or path.name == "node_modules" or path.name.startswith("."):
        return BY_NAME
    return None


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _location(spec: ModuleSpec | None) -> Path | None:
    """The file of a module, or the folder of a package."""
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.has_location and spec.origin else None


def _check_name(module: str, file: Path) -> None:
    """Refuse a file that would hide another module from the whole function: its folder is searched first."""
    if module in sys.stdlib_module_names or module in ("asyncjob", "msgspec"):
        raise BuildError(f"{file.name} hides Python's or asyncjob's own module {module!r}: give it another name")
    if '"' in file.name or "\\" in file.name:
        raise BuildError(f"{file.name}: a file with such a name cannot be named in a template")


def _read(file: Path, name: str) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        raise BuildError(f"{name} is no Python that can be read: {error}") from None


def _imports(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The top-level names that a file imports whenever it is imported, and those that it may import."""
    always = set().union(*map(_imported, tree.body))
    return always, set().union(*map(_imported, ast.walk(tree))) - always


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {node.module.partition(".")[0]}
    return set()


def _parts_of_asyncjob(node: ast.AST) -> set[str]:
    """The modules and packages of `asyncjob` that a statement or an expression names, without what is below them."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name.removeprefix("asyncjob.") for alias in node.names if alias.name.startswith("asyncjob.")]
    elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("asyncjob."):
        names = [node.module.removeprefix("asyncjob.")]
    elif isinstance(node, ast.ImportFrom) and node.module == "asyncjob":
        names = [_part_with(alias.name) for alias in node.names]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncjob":
        names = [_part_with(node.attr)]
    return {name.partition(".")[0] for name in names if name}


def _part_with(name: str) -> str:
    """The part that a name of `asyncjob` is in, or is; empty if it comes with every import."""
    return _later().get(name, name if name in {file.stem for file in PACKAGE.iterdir()} else "")


@cache
def _later() -> dict[str, str]:
    """What `asyncjob` imports only when it is used, and from which part, as it says to type checkers."""
    found: dict[str, str] = {}
    for block in ast.parse((PACKAGE / "__init__.py").read_bytes()).body:
        for node in block.body if isinstance(block, ast.If) else ():
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                found |= {alias.name: node.module.removeprefix("asyncjob.") for alias in node.names}
    return found
