"""Makes the folder of a package as a user would deploy it: a template, and a zip with the code."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from asyncjob.aws.build.durable import fill_durable
from asyncjob.aws.build.folder import runtime_parts
from asyncjob.loading import load
from asyncjob.registry import Jobs

MSGSPEC = Path(str(msgspec.__file__)).parent
FUNCTIONS = Path(__file__).with_name("package_functions.py")
GREETINGS = {"greetings/__init__.py": "def greeting(name: str) -> str:\n    return f'hello, {name}'\n"}


def packaged(folder: Path, jobs: Jobs, files: Mapping[str, str], target: str = "jobs", timeout: int = 6) -> str:
    """Write `code.zip` into the folder; the text of the template that belongs to it."""
    with zipfile.ZipFile(folder / "code.zip", "w") as code:
        for part in runtime_parts(jobs):
            code.writestr(part.name, part.read())
        for file in MSGSPEC.rglob("*"):
            if file.suffix in (".py", ".so"):
                code.write(file, f"msgspec/{file.relative_to(MSGSPEC)}")
        for name, text in files.items():
            code.writestr(name, text)
    return fill_durable(
        jobs,
        code="code.zip",
        target=target,
        runtime="python3.13",
        architecture="arm64",
        timeout=timeout,
        statements=[],
    )


def user_package(folder: Path) -> str:
    """Package the functions of package_functions.py; their dependency is beside them, as `asyncjob build` puts it."""
    source = folder / "source"
    for name, text in {"jobs_of_a_user.py": FUNCTIONS.read_text(), **GREETINGS}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    jobs = load(str(source / "jobs_of_a_user.py"))
    return packaged(folder, jobs, {"jobs.py": FUNCTIONS.read_text(), **GREETINGS})
