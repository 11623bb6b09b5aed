"""The libraries in a package: wheels for Lambda, whatever machine this is."""

import hashlib
import os
from pathlib import Path

import boto3
import pytest

from asyncjob.aws.lambdas import Architecture, Python
from tests.aws.user import Build, names, own, refused, wheel

# An architecture that this machine has not, and what markers call it.
OTHER = next(each for each in Architecture if each.value != os.uname().machine)
MACHINE = {"arm64": "aarch64", "x86_64": "x86_64"}[OTHER]

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


def test_what_is_given_as_sources_is_refused(build: Build, mine: Path) -> None:
    package = mine / "library"
    package.mkdir()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (package / "pyproject.toml").write_text(f'{system}[project]\nname = "library"\nversion = "1.0"\n')
    (package / "backend.py").write_text(BACKEND)
    (mine / "requirements.txt").write_text("./library\n")
    line = refused(build("--requirements", "requirements.txt"))
    assert line.startswith("library is given as its sources: build a wheel for Python ")


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
