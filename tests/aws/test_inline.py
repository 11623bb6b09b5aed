"""The text that a template carries is joined from the modules that the tests import."""

import subprocess
import sys
from pathlib import Path

import pytest

from asyncjob.aws.build.inline import InlineError, inline
from asyncjob.aws.build.template import RUNTIME
from asyncjob.job import TRANSITIONS

ANNOTATED = """\
from collections.abc import Callable
from asyncjob.aws.runtime.shapes import Shape

LIMIT: int = 3


def cut(
    shape: Shape, *rest: Shape, key: Callable[[Shape], int] = len, **more: int
) -> dict[
    str, Shape
]:
    found: list[Shape] = []  # a: b -> c
    return {'a': found[:LIMIT]}
"""
HANDLERS = ("inline_processor", "inline_recorder")


def _joined(folder: Path, **modules: str) -> str:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(f'"""What {name} is for."""\n\n{text}')
    return inline(folder, "own")


@pytest.mark.parametrize("name", HANDLERS)
def test_what_is_joined_uses_no_name_that_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "index.py").write_text(inline(RUNTIME, name))
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", HANDLERS)
def test_what_is_joined_needs_the_standard_library_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "index.py").write_text(inline(RUNTIME, name))
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import index"]
    done = subprocess.run([*command[:-1], f"{command[-1]}; print(index.STATUS)"], capture_output=True, text=True)
    assert done.stdout == f"{ {each: str(TRANSITIONS[each].target) for each in ('claim', 'succeed', 'fail')} }\n"


def test_a_module_comes_once_and_after_what_it_needs(tmp_path: Path) -> None:
    text = _joined(
        tmp_path,
        base="import os\n\nHERE = os.curdir\n",
        left="from asyncjob.aws.runtime.base import HERE\n\nLEFT = HERE\n",
        right="import os\nfrom asyncjob.aws.runtime.base import HERE\n\nRIGHT = os.sep + HERE\n",
        own=(
            "from asyncjob.aws.runtime.left import LEFT\nfrom asyncjob.aws.runtime.right import RIGHT\n\n"
            "BOTH = LEFT + RIGHT\n"
        ),
    )
    assert text.startswith('"""What own is for."""\n\nimport os\n\n# ---- base.py\n')
    assert [line[7:] for line in text.splitlines() if line.startswith("# ---- ")] == [
        "base.py", "left.py", "right.py", "own.py",
    ]  # fmt: skip
    assert text.count("import os") == 1
    names: dict[str, str] = {}
    exec(text, names)
    assert names["BOTH"] == "./."


def test_type_hints_stay_behind_and_so_does_a_module_that_has_nothing_else(tmp_path: Path) -> None:
    text = _joined(
        tmp_path,
        shapes="from typing import TypedDict\n\n\nclass Shape(TypedDict):\n    a: int\n",
        own=ANNOTATED,
    )
    assert "Shape" not in text and "Callable" not in text and "shapes.py" not in text
    names: dict[str, object] = {}
    exec(text, names)
    assert "found = []  # a: b -> c\n    return {'a': found[:LIMIT]}" in text


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("import json as j\n\nA = j.dumps\n", "line 3: only plain imports"),
        ("from json import dumps as d\n\nA = d\n", "line 3: only plain imports"),
        ("import asyncjob.job\n\nA = asyncjob.job\n", "line 3: only plain imports"),
        ("def f():\n    from asyncjob.job import Status\n    return Status\n", "line 4: only plain imports"),
        ("from asyncjob.job import Status\n\n\ndef f():\n    return Status\n", "line 6: the core"),
        ("from asyncjob.aws.runtime.other import A\n\nB = A\n\n\ndef A():\n    pass\n", "A is defined in 2"),
        ("A = '\u2192'\n", "plain ASCII"),
    ],
)
def test_what_cannot_be_joined_is_an_error_that_says_where(tmp_path: Path, own: str, message: str) -> None:
    with pytest.raises(InlineError, match=message):
        _joined(tmp_path, other="A = 1\n", own=own)
