"""From a target to a registry: what an import does, and under which names modules can be imported afterwards."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from asyncjob import RegistrationError
from asyncjob.loading import LIBRARIES, absolute, load, unmoved

REGISTRY = "from asyncjob import Jobs\njobs = Jobs()\n@jobs.job\ndef f({}) -> None: ...\n"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an import leaves behind is for one test alone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def _file(folder: Path, source: str, name: str = "mine.py") -> str:
    (folder / name).write_text(source)
    return str(folder / name)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys\nsys.exit()", "it called sys.exit()"),
        ("exit(0)", "it called sys.exit(0)"),
        ("raise SystemExit('no\\nconfig')", r"it called sys.exit('no\nconfig')"),
        ("import argparse\nargparse.ArgumentParser().parse_args(['--no'])", "it called sys.exit(2)"),
        ("import asyncio\nraise asyncio.CancelledError('late')", "CancelledError: late"),
        ("class Odd(BaseException): ...\nraise Odd('two\\nlines')", "Odd: two lines"),
        (
            "class Odd(Exception):\n    def __str__(self): raise SystemExit(0)\nraise Odd",
            "Odd, whose message cannot be",
        ),
        ("class Odd(BaseException):\n    __repr__ = None\nraise SystemExit(Odd())", "SystemExit, whose message cannot"),
        ("from asyncjob import Cron\n\nCron('0 3 * *')", "mine.py:3)"),  # and not the line of ours that refuses it
        ("x = 1\0", "null bytes"),
        ("# coding: no-such\n", "SyntaxError: "),
    ],
)
def test_whatever_an_import_raises_is_one_line(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(RegistrationError, match=r"^importing .*mine\.py failed: ") as raised:
        load(_file(tmp_path, source))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_ctrl_c_at_an_import_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(_file(tmp_path, "raise KeyboardInterrupt"))


def test_what_is_no_file_is_refused_without_being_opened(tmp_path: Path) -> None:
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    names = {"loop": "Too many levels", "folder": "but a folder", "pipe": "but a pipe", "x" * 300: "File name too long"}
    for name, said in {**names, "x/" * 3000 + "y": "File name too long", "null\0": "null"}.items():
        with pytest.raises(RegistrationError, match=said):
            load(str(tmp_path / f"{name}.py"))


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("__x: int", "may not be called '__x'"),
        ("__x__: int = 1", "may not be called '__x__'"),
        ("x: int = None", "the default of 'x' does not fit its own hint: .* with `| None`"),
        ("x: list[int] = ['a']", "the default of 'x' does not fit its own hint: Expected `int`, got `str`"),
        (
            "x: __import__('typing').Literal['a'] = 'b'",
            "the default of 'x' does not fit its own hint: Invalid",
        ),
    ],
)
def test_a_parameter_that_cannot_be_is_one_line(tmp_path: Path, parameter: str, said: str) -> None:
    with pytest.raises(RegistrationError, match=f"^f: .*{said.replace('|', '[|]')}"):
        load(_file(tmp_path, REGISTRY.format(parameter)))


@pytest.mark.parametrize("default", ["x: float = 1", "x: float = float('inf')", "x: 'Point' = Point(1)", "_x: int = 1"])
def test_a_default_that_fits_as_it_is_or_as_json_is_accepted(tmp_path: Path, default: str) -> None:
    point = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n"
    assert load(_file(tmp_path, point + REGISTRY.format(default))).names == ["f"]


def test_a_value_that_raises_when_it_is_asked_for_its_class_is_passed_over(tmp_path: Path) -> None:
    proxy = "class Proxy:\n    __class__ = property(lambda self: 1 / 0)\nproxy = Proxy()\n"
    assert load(_file(tmp_path, proxy + REGISTRY.format(""))).names == ["f"]


PATCHES = """
import threading
def get_ident(): return 1
def patch_all(): threading.get_ident = get_ident
"""
LOADS = """
import os, sys
from asyncjob.loading import load
from asyncjob.signature import RegistrationError
try:
    load(sys.argv[1])
except RegistrationError as error:
    print(error, flush=True)
os._exit(0)  # its threads are none that Python could end
"""


def test_a_module_that_replaces_pythons_threads_is_refused_and_told_by_what(tmp_path: Path) -> None:
    _file(tmp_path, PATCHES, "greenish.py")  # as gevent and eventlet do
    target = _file(tmp_path, "import greenish\ngreenish.patch_all()\n" + REGISTRY.format(""))
    run = subprocess.run([sys.executable, "-c", LOADS, target], capture_output=True, text=True)
    assert f"{target} has greenish replace Python's threads" in run.stdout, run.stderr


PROBE = """
import importlib, sys
from asyncjob.loading import load
load(sys.argv[1])
for name in ("json", "types", "queue", "email", "logging", "colorsys", "msgspec", "httpx", "asyncjob"):
    file = importlib.import_module(name).__file__ or ""
    assert "given" not in file, file
print(importlib.import_module("neighbour").__file__)
"""


@pytest.mark.parametrize(
    "name", ["mine", "json", "types", "queue", "email", "colorsys", "msgspec", "httpx", "asyncjob"]
)
def test_neither_a_target_nor_a_neighbour_stands_in_for_a_module_that_others_need(tmp_path: Path, name: str) -> None:
    given = tmp_path / "given"
    given.mkdir()
    _file(given, "", "neighbour.py")
    _file(given, "raise ImportError('not mine')", "logging.py")
    _file(given, "raise ImportError('not mine')", "httpx.py")
    target = _file(given, "import neighbour\n" + REGISTRY.format(""), f"{name}.py")
    run = subprocess.run([sys.executable, "-P", "-c", PROBE, target], capture_output=True, text=True, env={})
    assert run.stdout.strip() == str(given / "neighbour.py"), run.stderr


SPAWNS = """
import sys
from multiprocessing import get_context
from asyncjob.loading import load
if __name__ == "__main__":
    jobs = load(sys.argv[1])
    with get_context("spawn").Pool(1) as pool:
        print(pool.apply(jobs["f"].function, [21]))
"""


def test_a_function_of_the_target_can_be_pickled_for_a_spawned_process(tmp_path: Path) -> None:
    source = "import json\n" + REGISTRY.format("x: int").replace("-> None: ...", "-> int: return 2 * x")
    for name in ("json.py", "msgspec.py"):
        _file(tmp_path, "raise ImportError('not mine')", name)
    probe = _file(tmp_path, SPAWNS, "probe_of_spawning.py")
    target = _file(tmp_path, source)
    run = subprocess.run([sys.executable, "-P", probe, target], capture_output=True, text=True, env={})
    assert run.stdout == "42\n", run.stderr


def _required(name: str, seen: set[str], extras: tuple[str, ...] = ("",)) -> set[str]:
    """A distribution and all that it requires here with these extras, by their normal names."""
    seen.add(name)
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        further = canonicalize_name(requirement.name)
        marker = requirement.marker
        if further not in seen and (marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)):
            _required(further, seen)
    return seen


def test_the_names_that_are_kept_free_are_those_of_all_that_is_required() -> None:
    required = _required("async-job-api", set(), ("server", "aws", "otel"))
    assert len(required) > 15
    for module, owners in importlib.metadata.packages_distributions().items():
        if required & {canonicalize_name(owner) for owner in owners} and module.isidentifier() and module[0] != "_":
            assert module in LIBRARIES


def test_a_relative_target_is_found_wherever_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("a/mine.py:jobs") == f"{tmp_path}/a/mine.py:jobs"
    assert absolute("package.module:jobs") == "package.module:jobs"
    with unmoved():
        load(_file(tmp_path, "import os\nos.chdir('/')\n" + REGISTRY.format("")))
        assert Path.cwd() == Path("/")
    assert Path.cwd() == tmp_path


def test_a_file_that_is_in_a_package_is_better_named_as_its_module(tmp_path: Path) -> None:
    package = tmp_path / "shop" / "jobs"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "work.py").write_text("from ..prices import PRICES\n")
    with pytest.raises(RegistrationError, match=rf"it is in a package: in the folder {tmp_path}, say shop.jobs.work$"):
        load(str(package / "work.py"))
