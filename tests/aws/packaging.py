"""Makes the folder of a package as a user would deploy it: a template, and a zip with the code."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from asyncjob.aws.build.durable import Package, fill_durable
from asyncjob.aws.build.folder import runtime_parts
from asyncjob.loading import load
from asyncjob.registry import Jobs
from tests.aws.double.interpreter import INTERPRETER

MSGSPEC = INTERPRETER.libraries / "msgspec"
FUNCTIONS = Path(__file__).with_name("package_functions.py")
GREETINGS = {"greetings/__init__.py": "def greeting(name: str) -> str:\n    return f'hello, {name}'\n"}


def packaged(
    folder: Path,
    jobs: Jobs,
    files: Mapping[str, str],
    target: str = "jobs",
    timeout: int = 6,
    reserve: bool = False,
) -> str:
    """Write `code.zip` into the folder; the text of the template that belongs to it."""
    with zipfile.ZipFile(folder / "code.zip", "w") as code:
        for part in runtime_parts(jobs):
            code.writestr(part.name, part.read())
        for file in MSGSPEC.rglob("*"):
            if file.suffix in (".py", ".so"):
                code.write(file, f"msgspec/{file.relative_to(MSGSPEC)}")
        for name, text in files.items():
            code.writestr(name, text)
    package = Package(
        code="code.zip",
        target=target,
        runtime=f"python{INTERPRETER.version}",
        architecture="arm64",
        timeout=timeout,
        statements=[],
        reserve=reserve,
    )
    return fill_durable(jobs, package)


def with_timeout(template: str, seconds: int) -> str:
    """The template of a package whose attempts have other seconds: the build decides them, no parameter does."""
    changed, count = re.subn(r"(durable_entry\.handler\n(?: .*\n)*?      Timeout:) \d+", rf"\1 {seconds}", template)
    assert count == 1
    return changed


def user_package(folder: Path) -> str:
    """Package the functions of package_functions.py; their dependency is beside them, as `asyncjob build` puts it."""
    source = folder / "source"
    for name, text in {"jobs_of_a_user.py": FUNCTIONS.read_text(), **GREETINGS}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    jobs = load(str(source / "jobs_of_a_user.py"))
    return packaged(folder, jobs, {"jobs.py": FUNCTIONS.read_text(), **GREETINGS})
