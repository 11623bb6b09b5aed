"""A server with the test functions, and ways to wait for what its jobs do."""

import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving import FUNCTIONS, Server
from tests.terminal import Terminal

WAIT_SECONDS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own for each test, with two workers."""
    with Server(tmp_path / "jobs.db", "--workers", "2", target=FUNCTIONS) as server:
        yield server


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """For what the documentation has its reader type."""
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


class Gate:
    """A file whose lock holds up every `holds` job, until the gate is opened."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._file = path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def open(self) -> None:
        """Let all of them go on, now and later."""
        self._file.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds that gives no signal: another process's file, or its end."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def lines(path: Path) -> list[str]:
    """The lines of a file that may not be there yet."""
    return path.read_text().splitlines() if path.exists() else []


def alive(pid: int) -> bool:
    """Whether the process runs: it is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before, or between, opening and reading
        return False
