"""The Python that runs Lambda's code here: the one that template.yaml names, where `make .venv/lambda` found it.

Anywhere else it is the one that runs the tests. Which it was stands at the head of each test run: what passed on
another version says less about Lambda.
"""

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from asyncjob.aws.build.lambdas import DEFAULT_PYTHON, Python

APART = Path(__file__).parents[3] / ".venv" / "lambda-env"  # whichever Python runs the tests


@dataclass(frozen=True)
class Interpreter:
    """A Python with the libraries of Lambda's managed runtime.

    Attributes:
        program: what to start.
        libraries: where its libraries are installed.
        version: such as 3.13.
    """

    program: Path
    libraries: Path
    version: Python


def _found() -> Interpreter:
    apart = APART / f"lib/python{DEFAULT_PYTHON}/site-packages"
    if apart.is_dir():
        return Interpreter(APART / "bin/python", apart, DEFAULT_PYTHON)
    ours = Python("{}.{}".format(*sys.version_info))
    return Interpreter(Path(sys.executable), Path(sysconfig.get_path("platlib")), ours)


INTERPRETER = _found()


def said() -> str:
    """What the tests say of it."""
    missing = f"; python{DEFAULT_PYTHON}, which template.yaml names, is not on this machine"
    return f"Lambda's code runs on Python {INTERPRETER.version}{missing * (INTERPRETER.version != DEFAULT_PYTHON)}"
