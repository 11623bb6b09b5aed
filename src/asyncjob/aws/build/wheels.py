"""The libraries of a package: wheels for Lambda's platform, found by pip and unpacked unchanged.

Nothing is installed or compiled, so the package gets exactly what a wheel holds, whatever machine this is. pip chooses
wheels for the platform that it is told, but evaluates environment markers (`; sys_platform == "linux"`) for the machine
it runs on. What it leaves out for that reason is found in the wheels' metadata, and requested in another round.
"""

import re
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from asyncjob.aws.build.archive import BuildError, Part
from asyncjob.aws.build.harmless_pip import REFUSAL
from asyncjob.aws.build.lambdas import GLIBC, MACHINES, Architecture, Python

OLDEST_GLIBC = 5
ROUNDS = 10
IGNORED = re.compile(r"Ignoring (\S+): markers '(.*)' don't match your environment")
DOWNLOADED = "Successfully downloaded "
UNREACHED = re.compile(r"connection broken|Could not fetch URL")
ASKED = re.compile(r"(?:Collecting|Processing|Obtaining) ([^\s@]+)")
SHOWN = re.compile(r"(Collecting|Downloading|Processing) ")


class Wheels:
    """Wheels for one Python on one architecture, in a folder of their own.

    Args:
        folder: where they go. It is created.
        python: such as `3.13`.
        architecture: Lambda's word for it.
        say: is told what happens.
    """

    def __init__(self, folder: Path, python: Python, architecture: Architecture, say: Callable[[str], None]) -> None:
        folder.mkdir()
        self._folder = folder
        self._say = say
        self._where = f"Python {python} on {architecture}"
        machine = MACHINES[architecture]
        platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC[python], OLDEST_GLIBC - 1, -1)]
        self._options = [option for platform in platforms for option in ("--platform", platform)]
        self._options += ["--platform", f"manylinux2014_{machine}"]  # pip knows the older names that it stands for
        self._options += ["--python-version", python, "--implementation", "cp", "--abi", f"cp{python.replace('.', '')}"]
        self._environment = {
            **{"python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0"},
            **{"implementation_name": "cpython", "platform_python_implementation": "CPython"},
            **{"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine},
        }

    def download(self, requirements: Path | None) -> None:
        """Download the wheels that a requirements file names, all that these need, and what asyncjob needs.

        Raises:
            BuildError: one of them has no wheel, or pip fails.
        """
        _check_own(requirements)
        self._say(f"Getting wheels for {self._where}")
        wanted: list[str] = [] if requirements is None else ["--requirement", str(requirements)]
        ignored: set[str] = set()
        for _ in range(ROUNDS if wanted else 0):
            for file in self._folder.iterdir():
                file.unlink()  # this round may choose another version
            ignored |= self._pip(wanted)
            missing = sorted(set(self._missing()) - set(wanted))
            if not missing:
                break
            wanted += missing
        for name in sorted(ignored - set(self._files())):
            raise BuildError(
                f"pip leaves {name} out, whose marker holds for {self._where} and not here: run this command with that "
                f"Python on Linux, or take the marker out of {requirements}"
            )
        own = next(
            each for each in map(Requirement, metadata.requires("async-job-api") or ()) if each.name == "msgspec"
        )
        if own.name not in self._files():
            self._pip(["--no-deps", f"{own.name}=={metadata.version(own.name)}"])  # the one that ran here
        version = parse_wheel_filename(self._files()[own.name].name)[1]
        if version not in own.specifier:
            raise BuildError(f"{requirements} asks for {own.name} {version}, and asyncjob itself needs {own}")

    def parts(self) -> Iterator[Part]:
        """The files of the wheels, under the names that an installation would give them."""
        for file in self._files().values():
            name, version, *_ = parse_wheel_filename(file.name)
            with _opened(file) as archive:
                for info in archive.infolist():
                    _check_entry(info, file)
                    place = _place(info.filename)
                    if name in sys.stdlib_module_names:
                        place = None  # a backport of what is now Python's own, which comes first elsewhere, too
                    if place is not None and not info.is_dir():
                        executable = bool(info.external_attr >> 16 & 0o100)
                        read = partial(_read, file, info.filename)
                        yield Part(place, f"{name} {version}", info.file_size, executable, read)

    def _files(self) -> dict[str, Path]:
        return {parse_wheel_filename(file.name)[0]: file for file in sorted(self._folder.glob("*.whl"))}

    def _pip(self, arguments: list[str]) -> set[str]:
        """Run pip. Returns the names that it left out although their markers hold on Lambda."""
        # -P: a pip in the current folder is not the one.
        command = [sys.executable, "-P", "-m", "asyncjob.aws.build.harmless_pip", "download"]
        command += ["--only-binary=:all:", *self._options]
        command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
        command += ["--dest", str(self._folder), *arguments]
        lines = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.strip())
                if SHOWN.match(lines[-1]):
                    self._say(lines[-1])
        if process.returncode != 0:
            raise BuildError(self._refusal(lines))
        downloaded = (line.removeprefix(DOWNLOADED).split() for line in lines if line.startswith(DOWNLOADED))
        for name in (name for names in downloaded for name in names):  # pip saves no wheel of a folder or a repository
            if canonicalize_name(name) not in self._files():
                raise BuildError(f"{name} {self._as_sources()}")
        left_out = (IGNORED.match(line) for line in lines)
        return {canonicalize_name(each[1]) for each in left_out if each and self._holds(each[2])}

    def _holds(self, marker: str) -> bool:
        try:
            return Marker(marker).evaluate(dict(self._environment))
        except InvalidMarker:
            return False

    def _missing(self) -> Iterator[str]:
        """What the wheels' metadata asks for on Lambda and is not there. pip itself has seen to extras."""
        files = self._files()
        for file in files.values():
            (distribution,) = metadata.distributions(path=[str(file)])
            for requirement in map(Requirement, distribution.requires or ()):
                marker, requirement.marker = requirement.marker, None
                holds = marker is None or marker.evaluate({**self._environment, "extra": ""})
                if holds and canonicalize_name(requirement.name) not in files:
                    yield str(requirement)

    def _as_sources(self) -> str:
        return f"is given as its sources: build a wheel for {self._where}, and name that instead"

    def _refusal(self, lines: list[str]) -> str:
        """The errors of pip, in one line that names the package."""
        if any(REFUSAL in line for line in lines):
            name = next((found[1] for line in reversed(lines) if (found := ASKED.match(line))), "a library")
            return f"{Path(name).name} {self._as_sources()}"
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
        text = " ".join(errors) or "it said nothing"
        if unreached := next(filter(UNREACHED.search, lines), None):
            return f"pip cannot reach its index: {unreached}"
        for line in reversed(errors):
            if name := re.match(r"No matching distribution found for (.+)", line):
                return (
                    f"there is no wheel of {name[1]} for {self._where}, or no such project, and nothing is compiled "
                    f"here: name another version, --python, --architecture or a wheel's file (pip: {errors[0]})"
                )
        return f"pip cannot get the wheels for {self._where}: {text}"


def _place(name: str) -> str | None:
    """Where an installation would put a wheel's file; None for what no function needs, such as programs and headers."""
    folder, _, rest = name.partition("/")
    if "__pycache__" in name:
        return None
    if not folder.endswith(".data"):
        return name
    kind, _, inner = rest.partition("/")
    return inner if kind in ("purelib", "platlib") else None


def _check_entry(info: zipfile.ZipInfo, wheel: Path) -> None:
    """Refuse what an unpacker may put somewhere unexpected: a name is cut at a NUL, a link can lead anywhere."""
    if info.orig_filename != info.filename or stat.S_ISLNK(info.external_attr >> 16):
        raise BuildError(f"{wheel.name} has a link, or a file without a proper name: {info.orig_filename!r}")


@contextmanager
def _opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: it is encrypted
        raise BuildError(f"{wheel.name} cannot be unpacked: {error}") from None


def _read(wheel: Path, name: str) -> bytes:
    with _opened(wheel) as archive:
        return archive.read(name)


def _check_own(requirements: Path | None) -> None:
    """Refuse a requirement for asyncjob itself: the build brings what is needed of it."""
    lines = [] if requirements is None else requirements.read_text("utf-8", "replace").splitlines()
    for line in lines:
        name = re.match(r"[A-Za-z0-9._-]+", line.strip())
        if name is not None and canonicalize_name(name[0]) == "async-job-api":
            raise BuildError(f"leave {line.strip()} out of {requirements}: the build brings what is needed of it")
