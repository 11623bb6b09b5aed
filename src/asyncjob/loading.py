"""Loads the registry that a command's target names.

The module is other people's code. On import it may exit, raise anything or change the current folder; none of that may
pass for success or move our files. Nor may its name, or a neighbour's, replace a module of Python or of a library that
asyncjob needs.
"""

import importlib
import importlib.util
import os
import stat
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asyncjob.registry import Jobs
from asyncjob.signature import RegistrationError

LIBRARIES = {
    *("annotated_doc", "annotated_types", "anyio", "asyncjob", "botocore", "certifi", "click", "cronsim", "dateutil"),
    *("h11", "httpcore", "httptools", "httpx", "idna", "jmespath", "markdown_it", "mdurl", "msgspec", "opentelemetry"),
    *("packaging", "prometheus_client", "pydantic", "pydantic_core", "pygments", "rich", "shellingham", "six"),
    *(
        "standardwebhooks",
        "typer",
        "typing_extensions",
        "typing_inspection",
        "tzdata",
        "urllib3",
        "uvicorn",
        "uvloop",
        "yaml",
    ),
}
"""What asyncjob imports besides the standard library, some of it only when needed."""
STDLIB = os.path.dirname(os.__file__)


def load(target: str | None) -> Jobs:
    """Import the registry that a command names.

    Args:
        target: `path/to/file.py`, `package.module`, either with `:name` behind it, or None for the built-in job.
            Without a name, the module must have exactly one `Jobs`.

    Raises:
        RegistrationError: there is no such module or registry, the registry is empty, or importing failed.
    """
    if target is None:
        from asyncjob.sleep import jobs

        return jobs
    source, _, name = target.partition(":")
    module = _import(source)
    _check_threads(source)
    values = getattr(module, "__dict__", {})
    if name:
        found = [value for value in [values.get(name)] if isinstance(value, Jobs)]
    else:  # by type(): some values, proxies above all, raise when isinstance() asks for their class
        found = list({id(value): value for value in values.values() if issubclass(type(value), Jobs)}.values())
    if len(found) > 1:
        raise RegistrationError(f"{source} has several registries: say which one, as {source}:name")
    if not found:
        missing = f"no registry called {name!r}" if name else "no registry"
        raise RegistrationError(f"{source} has {missing}: it needs `{name or 'jobs'} = Jobs()`, from asyncjob")
    if not len(found[0]):
        raise RegistrationError(f"{target} registers no function: put `@jobs.job` before one")
    return found[0]


def absolute(target: str | None) -> str | None:
    """The target with an absolute path; the name of a module stays as it is.

    Raises:
        FileNotFoundError: the current folder is not there any more.
    """
    if target is None:
        return None
    source, colon, name = target.partition(":")
    return os.path.abspath(source) + colon + name if source.endswith(".py") else target


def look_in(folders: Sequence[str]) -> None:
    """Import from these places too, the first one first, as another process does; places that are there already stay.

    Args:
        folders: entries of that process's `sys.path`, absolute.
    """
    for folder in reversed(folders):
        if os.path.isdir(folder):
            _add_folder(folder)
        elif folder not in sys.path:  # an archive
            sys.path.append(folder)


@contextmanager
def unmoved() -> Iterator[None]:
    """Keep the current folder whatever an import does, so that relative paths keep their meaning."""
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))  # which needs no permission to list it
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _import(source: str) -> Any:
    path = Path(source)
    is_file = path.suffix == ".py"
    if is_file:
        _check_file(source)
    elif os.path.isfile(source) or not all(part.isidentifier() for part in source.split(".")):
        raise RegistrationError(f"{source!r} is neither a file that ends in .py nor the name of a module")
    try:
        _add_folder(os.path.dirname(os.path.realpath(source)) if is_file else os.getcwd())
    except FileNotFoundError:
        raise RegistrationError("the current folder is not there any more: change to one that is") from None
    try:
        return _execute(path) if is_file else importlib.import_module(source)
    except (RegistrationError, KeyboardInterrupt):
        raise
    except BaseException as error:
        hint = _dotted(path) if is_file and isinstance(error, ImportError) else ""
        raise RegistrationError(f"importing {source} failed: {told(error)}{hint}") from error


def _check_file(source: str) -> None:
    try:
        mode = os.stat(source).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise RegistrationError(f"there is no file {source}") from None
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long, a null character
        raise RegistrationError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        raise RegistrationError(
            f"{source} is not a file but a {'folder' if stat.S_ISDIR(mode) else 'pipe or a device'}"
        )


def _add_folder(folder: str) -> None:
    """Make the module's neighbours importable: before installed packages, but never before Python's own modules.

    Processes that a job spawns get the same path. If a neighbour has the name of a library that asyncjob needs, the
    folder goes last instead.
    """
    if folder in sys.path:
        return
    names = {name.partition(".")[0] for name in os.listdir(folder)}
    own = [place for place, entry in enumerate(sys.path) if entry in (STDLIB, os.path.join(STDLIB, "lib-dynload"))]
    sys.path.insert(len(sys.path) if names & LIBRARIES else max(own, default=-1) + 1, folder)


def _check_threads(source: str) -> None:
    """Refuse a module that has replaced Python's threads: what runs in them here would wait for ever, or fail."""
    patched_by = threading.get_ident.__module__.partition(".")[0]
    if patched_by != "_thread":
        raise RegistrationError(
            f"{source} has {patched_by} replace Python's threads (monkey patching), which workers need as they are: "
            "leave that out; sync functions run in threads and async ones on a loop already"
        )


def _execute(path: Path) -> Any:
    """Import a file under its own name, unless that is taken, so that its functions can be pickled."""
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names or path.stem in LIBRARIES
    name = f"{path.stem}_jobs" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def told(error: BaseException) -> str:
    """What a user's module raised, and where, in one line."""
    return f"{_reason(error)}{_place(error)}"


def _reason(error: BaseException) -> str:
    """What was raised, in one line, even if its own methods raise."""
    try:
        if isinstance(error, SystemExit):
            return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
        return " ".join(f"{type(error).__name__}: {error}".split())
    except BaseException as another:
        return f"{type(error).__name__}, whose message cannot be read: {type(another).__name__}"


def _place(error: BaseException) -> str:
    """Where it was raised, or our own code was called that has; nothing if that is Python's import machinery."""
    own = (os.path.dirname(__file__) + os.sep, "<string>")  # the second is what a dataclass has made for itself
    places = [place for place in traceback.extract_tb(error.__traceback__) if not place.filename.startswith(own)]
    if not places or "importlib" in places[-1].filename or places[-1].filename.startswith("<"):
        return ""
    return f" ({places[-1].filename}:{places[-1].lineno})"


def _dotted(path: Path) -> str:
    """What to write in place of the path of a file in a package, whose imports start above it."""
    parts = [path.stem]
    folder = Path(os.path.realpath(path)).parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return f"; it is in a package: in the folder {folder}, say {'.'.join(parts)}" if len(parts) > 1 else ""
