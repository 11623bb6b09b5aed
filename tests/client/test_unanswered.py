"""Commands where something accepts connections and never answers: each says so, soon, and asks no second time."""

import os
import pty
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.client.conftest import Run
from tests.serving import COMMAND

COMMANDS = (
    *(["submit", "add"], ["get", "x"], ["list"], ["cancel", "x"], ["delete", "x"], ["retry", "x"], ["run-now", "x"]),
    *(["stats"], ["openapi"], ["check"], ["logs", "x", "--follow"], ["schedules", "list"], ["wait", "x"]),
)
SAID = "gave no answer: something there accepts connections, but took too long to answer"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A socket on which the system accepts connections, and nobody reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield listening


def _url(silent: socket.socket) -> str:
    return f"http://127.0.0.1:{silent.getsockname()[1]}"


def _connections(silent: socket.socket) -> int:
    silent.setblocking(False)
    count = 0
    try:
        while True:
            silent.accept()[0].close()
            count += 1
    except BlockingIOError:
        return count


def test_a_command_asks_what_never_answers_once_and_says_so(silent: socket.socket) -> None:
    env = {**os.environ, "ASYNCJOB_URL": _url(silent)}
    running = [
        subprocess.Popen([COMMAND, *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in COMMANDS
    ]
    for command, process in zip(COMMANDS, running, strict=True):
        output, errors = process.communicate(timeout=120)
        said = output if command == ["check"] else errors
        assert (process.returncode, said.count("\n")) == (3, 1), (command, output, errors)
        assert SAID in said
    asked_again = len(COMMANDS) + 10  # only by `wait`, which looks often
    assert len(COMMANDS) <= _connections(silent) < asked_again


def test_on_a_terminal_a_wait_says_so_too(silent: socket.socket) -> None:
    terminal, inside = pty.openpty()
    command = [str(COMMAND), "wait", "x", "--url", _url(silent)]
    process = subprocess.Popen(command, env={**os.environ, "TERM": "xterm", "COLUMNS": "300"}, stderr=inside)
    os.close(inside)
    shown = b""
    with suppress(OSError):  # as a terminal says that its last process has ended
        while True:
            shown += os.read(terminal, 65_536)
    os.close(terminal)
    assert process.wait(timeout=60) == 3
    assert SAID in shown.decode().rpartition("asyncjob: ")[2]


def test_a_wait_that_is_over_says_that_nothing_answered(run: Run, silent: socket.socket) -> None:
    done = run("wait", "x", "--timeout", "0.1", "--url", _url(silent), status=124)
    assert f"it is not visible yet; {_url(silent)}/jobs/x" in done.stderr
    assert SAID in done.stderr
