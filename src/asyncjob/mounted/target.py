"""Finds what a worker must import to have the same job functions as this process, from the registry itself."""

import os
import sys
from types import ModuleType

from asyncjob.registry import Jobs
from asyncjob.signature import RegistrationError

MAIN = ("__main__", "__mp_main__")  # the second is what a process that multiprocessing spawned calls the first


def target_of(jobs: Jobs, maker: str) -> str:
    """The target that leads a worker to a registry and to all of its functions.

    That is the module of the functions, if they share one. Otherwise it is the module that has made the application,
    since it has imported them all.

    Args:
        jobs: the registry.
        maker: the name of that module.

    Raises:
        RegistrationError: it cannot be found.
    """
    if not len(jobs):
        raise RegistrationError("the registry has no function: put `@jobs.job` before one")
    homes = _homes(jobs)
    modules = {each.function.__module__ for each in jobs}
    for name in [*modules] * (len(modules) == 1) + [maker]:
        if name in homes:
            return f"{_importable(sys.modules[name])}:{homes[name]}"
    hint = 'say where workers find it: JobsApp(jobs, target="package.module:jobs")'
    if not homes:
        raise RegistrationError(f"the registry is not a global variable of a module: make it one, or {hint}")
    places = ", ".join(sorted(modules))
    raise RegistrationError(f"the job functions are in {places}, and workers must import them all: {hint}")


def search_path() -> tuple[str, ...]:
    """Where this process imports from, in absolute paths."""
    return tuple(dict.fromkeys(os.path.abspath(entry) for entry in sys.path))


def _homes(jobs: Jobs) -> dict[str, str]:
    """The modules that have the registry as a global variable, and its name there."""
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        values = getattr(module, "__dict__", None)
        if isinstance(values, dict):
            for variable, value in list(values.items()):
                if value is jobs:
                    found.setdefault(name, variable)
    return found


def _importable(module: ModuleType) -> str:
    """What to import: the module's name, or the file of a program that was started by its path."""
    name = str(module.__name__)
    if name not in MAIN:
        return name
    spec = module.__spec__
    if spec is not None and spec.name not in MAIN:
        return str(spec.name)
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        raise RegistrationError("the job functions are in no file: put them in one that ends in .py")
    return os.path.abspath(str(file))
