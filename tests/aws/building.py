"""Says `asyncjob build` for this machine, so that the double can run here what it makes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.aws.conftest import Api
from tests.aws.double.double import Double
from tests.aws.double.interpreter import INTERPRETER
from tests.serving import COMMAND

ARCHITECTURE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def built(folder: Path, target: Path | str, *arguments: str, output: list[str] | None = None) -> Path:
    """Build job functions; where the result is. What the command said is added to `output`."""
    out = folder / "build"
    command = [str(COMMAND), "build", str(target), "--out", str(out), "--architecture", ARCHITECTURE]
    command += ["--python", INTERPRETER.version, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    if output is not None:
        output.append(done.stdout)
    return out


@contextmanager
def deployed_folder(out: Path) -> Iterator[Api]:
    """The double, running a built folder and nothing else."""
    with ExitStack() as stack:
        double = Double((out / "template.yaml").read_text(), scale=0.001, bucket=out)
        yield Api(stack.enter_context(double), stack, signed=True)
