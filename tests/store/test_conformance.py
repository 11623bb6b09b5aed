"""The contract, kept by a server on a store that is not SQLite: nothing above the seam knows which one it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import PatchedServer

ROOT = Path(__file__).parents[2]
IN_MEMORY = f"""
import sys; sys.path.append({str(ROOT)!r})
import asyncjob.cli, asyncjob.life
from tests.store.memory import MemoryStore
from tests.store.memory_kept import Kept
asyncjob.life.open_store = lambda settings: MemoryStore(Kept())
asyncjob.cli.app()
"""


@pytest.mark.timeout(600)
def test_a_server_on_a_store_in_memory_keeps_the_contract(tmp_path: Path) -> None:
    with PatchedServer(tmp_path / "jobs.db", IN_MEMORY) as server:
        command = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider"]
        command += ["--base-url", server.url]
        suite = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
        assert suite.returncode == 0, suite.stdout
        assert server.stop() == 0
    assert not (tmp_path / "jobs.db").exists()
