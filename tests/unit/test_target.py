"""What workers import to have the functions of a mounted application is found from its registry, or asked for."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from asyncjob import Jobs, RegistrationError
from asyncjob.mounted.target import target_of

REGISTRY = "from asyncjob import Jobs\njobs = Jobs()\n"
FUNCTION = "@jobs.job\ndef {name}() -> int:\n    return 1\n"
Importer = Callable[..., ModuleType]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importer:
    """Imports modules of these names and sources, and forgets them again; the last one."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**sources: str) -> ModuleType:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
        for name in sources:
            monkeypatch.setitem(sys.modules, name, __import__(name))
        return sys.modules[name]

    return write


def _jobs(module: ModuleType) -> Jobs:
    jobs: Jobs = module.jobs
    return jobs


def test_it_is_the_module_that_has_all_functions(imported: Importer) -> None:
    main = imported(mine_t1=REGISTRY + FUNCTION.format(name="one"), main_t1="from mine_t1 import jobs\n")
    assert target_of(_jobs(main), "main_t1") == "mine_t1:jobs"


def test_if_they_are_in_several_it_is_the_one_that_makes_the_application(imported: Importer) -> None:
    one, two = ("from registry_t2 import jobs\n" + FUNCTION.format(name=name) for name in ("one", "two"))
    main = imported(
        registry_t2=REGISTRY, a_t2=one, b_t2=two, main_t2="from registry_t2 import jobs\nimport a_t2, b_t2\n"
    )
    assert target_of(_jobs(main), "main_t2") == "main_t2:jobs"
    with pytest.raises(RegistrationError, match=r"the job functions are in a_t2, b_t2.*target="):
        target_of(_jobs(main), "elsewhere")


def test_the_name_is_the_one_that_the_registry_has_there(imported: Importer) -> None:
    module = imported(
        mine_t3="from asyncjob import Jobs\nqueue = Jobs()\njob = queue.job\n@job\ndef one() -> int: ...\n"
    )
    assert target_of(module.queue, "mine_t3") == "mine_t3:queue"


def test_what_cannot_be_found_is_said_in_one_line() -> None:
    jobs = Jobs()
    with pytest.raises(RegistrationError, match="has no function"):
        target_of(jobs, __name__)

    @jobs.job
    def one() -> int:
        return 1

    with pytest.raises(RegistrationError, match="not a global variable of a module"):
        target_of(jobs, __name__)


def test_a_program_is_named_by_its_file_and_a_module_that_is_run_by_its_name(
    imported: Importer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = imported(program_t5=REGISTRY + FUNCTION.format(name="one"))
    spec, file = program.__spec__, program.__file__
    for function in _jobs(program):
        monkeypatch.setattr(function.function, "__module__", "__main__")
    monkeypatch.setattr(program, "__name__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", program)
    monkeypatch.delitem(sys.modules, "program_t5")
    assert target_of(_jobs(program), "__main__") == "program_t5:jobs"  # as `python -m program_t5` has it
    monkeypatch.setattr(program, "__spec__", None)
    assert target_of(_jobs(program), "__main__") == f"{file}:jobs"
    monkeypatch.setattr(program, "__file__", None)
    with pytest.raises(RegistrationError, match="in no file"):
        target_of(_jobs(program), "__main__")
    monkeypatch.setattr(program, "__spec__", spec)
