"""The Makefile, where it decides something."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ANOTHER = """#!/bin/sh
[ "$1" = --version ] && echo Python 2.7 || echo '(2, 7)'
"""


def _make(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", f"VENV={folder}", f"{folder}/python", *more],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHON" and not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_python_that_is_named_is_that_of_the_environment_or_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "python").touch()
    python = tmp_path / "bin" / "python"
    python.write_text(ANOTHER)
    python.chmod(0o755)
    refused = _make(tmp_path, f"PYTHON={sys.executable}")
    assert refused.returncode == 2
    said = f"{tmp_path} is of Python 2.7, not of {sys.executable}: run make clean first"
    assert refused.stderr.splitlines()[0] == said
    assert _make(tmp_path).returncode == 0
    python.unlink()
    python.symlink_to(sys.executable)
    assert _make(tmp_path, f"PYTHON={sys.executable}").returncode == 0
