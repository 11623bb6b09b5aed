"""The libraries in a package: wheels for Lambda, whatever machine this is."""

import hashlib
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import boto3
import pytest

from asyncjob.aws.build.lambdas import Architecture, Python
from tests.aws.user import Build, names, own, refused, wheel

# An architecture that this machine has not, and what markers call it.
OTHER = next(each for each in Architecture if each.value != os.uname().machine)
MACHINE = {"arm64": "aarch64", "x86_64": "x86_64"}[OTHER]

RAN = "from pathlib import Path\nPath({ran!r}).touch()\n"
BACKEND = """
import pathlib, zipfile

def build_wheel(folder, *rest):
    with zipfile.ZipFile(pathlib.Path(folder, "library-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("library-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: library\\nVersion: 1.0\\n")
        wheel.writestr("library-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    return "library-1.0-py3-none-any.whl"
"""


def test_a_library_without_a_wheel_is_an_error_that_names_it(build: Build, mine: Path) -> None:
    (mine / "requirements.txt").write_text("docopt==0.6.2\n")
    line = refused(build("--requirements", "requirements.txt", "--python", "3.13"))
    assert line.startswith(
        "there is no wheel of docopt==0.6.2 for Python 3.13 on arm64, or no such project, and nothing"
    )
    assert not (mine / "build").exists()
    assert not list(mine.glob(".build*"))


def test_an_index_that_does_not_answer_is_not_taken_for_a_missing_wheel(build: Build) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}
    line = refused(build(**nowhere, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="", PIP_NO_CACHE_DIR="1"))
    assert line.startswith("pip cannot reach its index: ")


@pytest.fixture
def library(mine: Path) -> Path:
    """A library as its sources, of which a build would leave a file `ran`."""
    package = mine / "library"
    package.mkdir()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (package / "pyproject.toml").write_text(f'{system}[project]\nname = "library"\nversion = "1.0"\n')
    (package / "backend.py").write_text(RAN.format(ran=str(mine / "ran")) + BACKEND)
    old = mine / "old"
    old.mkdir()
    (old / "setup.py").write_text(
        RAN.format(ran=str(mine / "ran")) + "from setuptools import setup\nsetup(name='old')\n"
    )
    with tarfile.open(mine / "library-1.0.tar.gz", "w:gz") as archive:
        archive.add(package, "library-1.0")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=package, check=True)
    return package


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("./library", "library"),
        ("./old", "old"),
        ("--editable ./old", "old"),
        ("library @ file://{mine}/library", "library"),
        ("./library-1.0.tar.gz", "library-1.0.tar.gz"),
        ("git+file://{mine}/library#egg=library", "library"),
        ("--find-links .\n--no-binary library\nlibrary==1.0", "library-1.0.tar.gz"),
        ("--requirement more.txt", "old"),
        ("./asks-1.0-py3-none-any.whl", "library"),  # a wheel whose metadata asks for a folder
    ],
)
def test_nothing_of_what_is_given_as_sources_runs(
    build: Build, mine: Path, library: Path, asked: str, named: str
) -> None:
    (mine / "more.txt").write_text("./old\n")
    wheel(mine, "asks", f"library @ {library.as_uri()}")
    (mine / "requirements.txt").write_text("--no-index\n" + asked.format(mine=mine) + "\n")
    line = refused(build("--requirements", "requirements.txt", PIP_NO_BINARY=":all:", PIP_NO_BUILD_ISOLATION="0"))
    assert " is given as its sources: build a wheel for Python " in line
    assert line.startswith(named)
    assert not (mine / "ran").exists()
    assert not (mine / "build").exists()


def test_pip_is_not_what_lies_in_the_current_folder(build: Build, mine: Path) -> None:
    (mine / "pip.py").write_text(RAN.format(ran=str(mine / "ran")))
    assert build().returncode == 0
    assert not (mine / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.py", "lib/../../evil.py", "/evil.py", "C:/evil.py", "c:evil.py", "..\\evil.py", "lib\\evil.py"),
        *("lib-1.0.data/purelib/../evil.py", "lib-1.0.data/platlib//evil.py", "lib//evil.py", "./evil.py", "a\nb.py"),
    ],
)
def test_a_name_in_a_wheel_that_leads_out_of_the_package_is_refused(build: Build, mine: Path, name: str) -> None:
    file = wheel(mine / "wheels", "lib", files={name: ""})
    (mine / "requirements.txt").write_text(f"--no-index\n{file}\n")
    line = refused(build("--requirements", "requirements.txt"))
    assert line.startswith("lib 1.0 has a file whose name leads out of the package: ")
    assert not (mine / "build").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "asyncjob/job.py",
            "lib 1.0 has asyncjob/job.py, in the place of Python's or asyncjob's own",
        ),
        ("asyncjob/more.py", "lib 1.0 has asyncjob/more.py, in the place of"),
        ("asyncjob.py", "lib 1.0 has asyncjob.py, in the place of"),
        ("lib-1.0.data/purelib/asyncjob/more.py", "lib 1.0 has asyncjob/more.py, in the place of"),
        ("msgspec/more.py", "lib 1.0 has msgspec/more.py, in the place of"),
        ("json/__init__.py", "lib 1.0 has json/__init__.py, in the place of"),
        ("typing.py", "lib 1.0 has typing.py, in the place of"),
        ("jobs/__init__.py", "lib 1.0 has jobs/__init__.py, which hides your jobs.py"),
        ("idna", "lib 1.0 has a file idna, which is a folder elsewhere in the package"),
    ],
)
def test_a_library_that_would_stand_in_for_other_modules_is_refused(
    build: Build, mine: Path, name: str, said: str
) -> None:
    file = wheel(mine / "wheels", "lib", files={name: ""})
    (mine / "requirements.txt").write_text(f"{file}\nidna==3.10\n")
    assert refused(build("--requirements", "requirements.txt")).startswith(said)


def test_what_became_pythons_own_is_left_out(build: Build, mine: Path) -> None:
    file = wheel(mine / "wheels", "argparse")
    (mine / "requirements.txt").write_text(f"--no-index\n{file}\n")
    assert build("--requirements", "requirements.txt").returncode == 0
    assert own(mine) == {"jobs.py"}


def test_a_wheel_with_a_link_or_with_what_cannot_be_unpacked_is_refused(build: Build, mine: Path) -> None:
    file = wheel(mine / "wheels", "lib")
    (mine / "requirements.txt").write_text(f"--no-index\n{file}\n")
    link = zipfile.ZipInfo("lib/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert refused(build("--requirements", "requirements.txt")).startswith(f"{file.name} has a link, or a file without")
    content = wheel(mine / "wheels", "lib").read_bytes()
    file.write_bytes(content.replace(b"NAME = 'lib'", b"NAME = 'lob'"))
    assert refused(build("--requirements", "requirements.txt")).startswith(f"{file.name} cannot be unpacked: ")


def test_what_holds_on_lambda_alone_is_in_the_package(build: Build, mine: Path) -> None:
    """Pip reads environment markers by the machine that it runs on."""
    wheels = mine / "wheels"
    wheel(wheels, "first", f'second; platform_machine == "{MACHINE}"', 'never; sys_platform == "win32"')
    wheel(wheels, "second", f'third; platform_machine == "{MACHINE}"')
    wheel(wheels, "third")
    (mine / "requirements.txt").write_text("--no-index\nfirst\n")
    done = build("--requirements", "requirements.txt", "--architecture", OTHER, PIP_FIND_LINKS=str(wheels))
    assert done.returncode == 0, done.stderr
    assert {"first.py", "second.py", "third.py"} <= names(mine)
    (mine / "requirements.txt").write_text(f'--no-index\nfirst; platform_machine == "{MACHINE}"\n')
    done = build("--requirements", "requirements.txt", "--architecture", OTHER, PIP_FIND_LINKS=str(wheels))
    assert "pip leaves first out, whose marker holds for" in refused(done)


def test_wheels_go_in_as_they_would_be_installed(build: Build, mine: Path) -> None:
    files = {
        "lib.py": "",
        "__pycache__/lib.cpython-311.pyc": "",
        "lib-1.0.data/scripts/lib": "",
        "lib-1.0.data/purelib/more.py": "",
    }
    file = wheel(mine / "wheels", "lib", files=files)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (mine / "requirements.txt").write_text(f"--no-index\nlib==1.0 --hash=sha256:{digest}\n")
    done = build("--requirements", "requirements.txt", PIP_FIND_LINKS=str(file.parent))
    assert done.returncode == 0, done.stderr
    assert {name for name in own(mine) if "dist-info" not in name} == {"jobs.py", "lib.py", "more.py"}
    assert "lib-1.0.dist-info/RECORD" in names(mine)


def test_a_library_that_is_too_old_for_asyncjob_is_an_error(build: Build, mine: Path) -> None:
    (mine / "requirements.txt").write_text("msgspec==0.19.0\n")
    line = refused(build("--requirements", "requirements.txt", "--python", "3.13"))
    assert line.startswith("requirements.txt asks for msgspec 0.19.0, and asyncjob itself needs msgspec>=")


def test_two_files_of_one_name_are_an_error(build: Build, mine: Path) -> None:
    file = wheel(mine / "wheels", "lib", files={"jobs.py": "another"})
    (mine / "requirements.txt").write_text("--no-index\nlib\n")
    line = refused(build("--requirements", "requirements.txt", PIP_FIND_LINKS=str(file.parent)))
    assert line == "lib 1.0 and your files both have a file jobs.py: only one can be there"


def test_its_pythons_and_architectures_are_lambdas() -> None:
    shape_for = boto3.client("lambda", region_name="us-east-1").meta.service_model.shape_for
    versions = [name.removeprefix("python3.") for name in shape_for("Runtime").enum if name.startswith("python3.")]
    assert list(Python) == [f"3.{version}" for version in versions if int(version) >= 11]
    assert set(Architecture) == set(shape_for("Architecture").enum)


@pytest.mark.parametrize("python", list(Python))
@pytest.mark.parametrize("architecture", list(Architecture))
def test_asyncjob_itself_has_wheels_for_every_python_on_lambda(
    build: Build, mine: Path, python: str, architecture: str
) -> None:
    done = build("--python", python, "--architecture", architecture)
    assert done.returncode == 0, done.stderr
    suffix = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    tag = f"cpython-{python.replace('.', '')}-{suffix}-linux-gnu.so"
    assert [name for name in names(mine) if name.endswith(tag)]


def test_this_package_is_not_to_be_required(build: Build, mine: Path) -> None:
    (mine / "requirements.txt").write_text("Async_Job.API[aws]>=0.1\n")
    assert refused(build("--requirements", "requirements.txt")).startswith("leave Async_Job.API[aws]>=0.1 out of")
