"""What `pip install .` puts on a machine: the client alone, with extras all that a server or a build needs."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
COMMANDS = {"rich", "typer"}
SCHEDULES = {"cronsim", "tzdata"}
BROUGHT = {
    "": {"httpx", "msgspec"},
    "server": COMMANDS
    | SCHEDULES
    | {"httpcore", "httptools", "prometheus-client", "standardwebhooks", "uvicorn", "uvloop"},
    "aws": COMMANDS | SCHEDULES | {"botocore", "packaging", "pyyaml"},
    "otel": {"opentelemetry-api"},
}
"""What each extra adds, on Linux; without one, what the client needs."""
POSIX = ("fcntl", "grp", "pwd", "resource", "termios")
WITHOUT = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

for name in {missing!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def metadata(distributions: Path) -> str:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return archive.read(name).decode()


def _without(missing: tuple[str, ...], script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script where these modules cannot be imported."""
    text = WITHOUT.format(missing=set(missing)) + script
    return subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=60)


def _brought(metadata: str, extra: str, system: str) -> set[str]:
    """The names that pip would install along with an extra on a system, before their own dependencies."""
    environment = {"extra": extra, "sys_platform": system, "os_name": "nt" if system == "win32" else "posix"}
    asked = map(Requirement, HeaderParser().parsestr(metadata).get_all("Requires-Dist", []))
    return {each.name for each in asked if each.marker is None or each.marker.evaluate(environment)}


@pytest.mark.parametrize("extra", BROUGHT)
def test_an_extra_brings_what_it_is_for_and_nothing_else(metadata: str, extra: str) -> None:
    assert _brought(metadata, extra, "linux") == BROUGHT[""] | BROUGHT[extra]
    assert _brought(metadata, extra, "win32") == BROUGHT[""] | BROUGHT[extra] - {"uvloop"}


def test_the_client_needs_nothing_that_windows_or_its_own_package_lacks() -> None:
    others = sorted(set().union(*BROUGHT.values()) - BROUGHT[""] - {"httpcore"})
    missing = (*POSIX, "yaml", *(name.replace("-", "_") for name in others))
    script = """
import asyncio, asyncjob
from asyncjob import AsyncClient, Client, Jobs
import asyncjob.client

for name in asyncjob.client.__all__:
    getattr(asyncjob, name)
jobs = Jobs()
jobs.job(lambda width: width, name="resize")
asyncio.run(AsyncClient().aclose())
try:
    Client("http://127.0.0.1:9", retries=0).submit("resize", width=1)
except asyncjob.Unreachable:
    print("asked")
"""
    done = _without(missing, script)
    assert (done.stdout, done.stderr) == ("asked\n", "")


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        (("typer",), (), "server"),
        (("rich", "typer"), ("submit", "seconds=1"), "server"),
        (("uvicorn", "httptools", "uvloop"), ("serve",), "server"),
        (("prometheus_client",), ("serve",), "server"),
        (("packaging",), ("build", "jobs.py", "--out", "build"), "aws"),
        (("yaml",), ("build", "jobs.py", "--out", "build"), "aws"),
    ],
)
def test_a_command_whose_extra_is_not_installed_says_in_one_line_which_it_is(
    missing: tuple[str, ...], arguments: tuple[str, ...], extra: str
) -> None:
    done = _without(missing, "from asyncjob.__main__ import main; main()", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert re.search(rf"^asyncjob: this needs async-job-api\[{extra}\], and ({'|'.join(missing)}) is not", done.stderr)
    assert f"pip install '.[{extra}]'" in done.stderr


def test_the_commands_work_where_the_server_cannot(tmp_path: Path) -> None:
    run = "from asyncjob.__main__ import main; main()"
    served = _without(POSIX, run, "serve", "--database", str(tmp_path / "jobs.db"))
    assert (served.returncode, served.stderr) == (2, "asyncjob: the server runs on Linux, not on this system\n")
    without_a_server = (*POSIX, "uvicorn", "uvloop", "httptools", "prometheus_client", "standardwebhooks")
    assert "gave no answer" in _without(without_a_server, run, "list", "--url", "http://127.0.0.1:9").stderr
    assert _without(without_a_server, run, "--version").stdout.startswith("asyncjob ")


def test_a_module_of_our_own_that_is_missing_is_a_fault_and_not_an_extra() -> None:
    done = _without((), "sys.modules['asyncjob.cli'] = None; from asyncjob.__main__ import main; main()")
    assert "ModuleNotFoundError" in done.stderr and "this needs" not in done.stderr


def test_the_description_on_an_index_leads_nowhere_that_only_the_repository_has(metadata: str) -> None:
    description = metadata.partition("\n\n")[2]
    assert description.startswith("# Async Job API\n")
    assert "## The contract" in description
    targets = re.findall(r"\]\(([^)]*)\)", description)
    assert all(target.startswith(("https://", "http://", "#")) for target in targets)
    assert "![" not in description


def test_the_source_distribution_has_every_file_of_the_repository(distributions: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (file,) = distributions.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in listed.split("\0") if name and (ROOT / name).exists()} <= packed


def test_an_installed_package_serves_and_has_its_data(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), str(wheel)]
    subprocess.run([*install, "--disable-pip-version-check", "--no-warn-script-location"], check=True)
    script = (
        "import asyncjob.cli, asyncjob.serve, pathlib;"
        "from asyncjob.sqlite.statements import SQL;"
        "print(pathlib.Path(asyncjob.__file__).parent, len(SQL))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    package, count = done.stdout.split()
    assert Path(package) == tmp_path / "asyncjob"
    assert int(count) > 10
    source = ROOT / "src" / "asyncjob"
    shipped = {file.relative_to(tmp_path / "asyncjob") for file in (tmp_path / "asyncjob").rglob("*") if file.is_file()}
    present = {file.relative_to(source) for file in source.rglob("*") if file.is_file()}
    assert {file for file in present if "__pycache__" not in file.parts} <= shipped
    assert (tmp_path / "bin" / "asyncjob").exists()
