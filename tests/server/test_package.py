"""What `pip install .` puts on a machine is all that a server needs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_an_installed_package_serves_and_has_its_data(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), str(ROOT)]
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
