"""A user at a command line: a folder with job functions, what `asyncjob build` says to it, and what it has made."""

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

SOURCE = """
from asyncjob import Jobs

jobs = Jobs()


@jobs.job(timeout=60)
def area(width: int, height: int = 100) -> int:
    return width * height
"""
Build = Callable[..., subprocess.CompletedProcess[str]]


def names(folder: Path) -> set[str]:
    with zipfile.ZipFile(folder / "build" / "code.zip") as archive:
        return set(archive.namelist())


def own(folder: Path) -> set[str]:
    """What is in the zip of the user's."""
    return {name for name in names(folder) if not name.startswith(("asyncjob/", "msgspec"))}


def refused(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line of a refusal, which has left nothing behind."""
    assert done.returncode == status, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("asyncjob: ")
    return line.removeprefix("asyncjob: ")


def wheel(
    folder: Path, name: str, *requires: str, tag: str = "py3-none-any", files: dict[str, str] | None = None
) -> Path:
    """A wheel, as small as pip takes it."""
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    content = {
        **(files or {f"{name}.py": f"NAME = {name!r}\n"}),
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in content)
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            entry = zipfile.ZipInfo(path)
            entry.filename = path  # as it is, which ZipInfo would mend
            archive.writestr(entry, text)
    return wheel
