"""A server that the system gives too little to says what it lacks, in one line, and ends."""

import subprocess
import sys
from pathlib import Path

from tests.serving import COMMAND, environment

NO_THREADS = """
import threading

import asyncjob.reload  # and with it all that starts threads while it is imported
from asyncjob.cli import app


def refused(*args, **more):
    raise RuntimeError("can't start new thread")


for name in ("_start_new_thread", "_start_joinable_thread"):  # of Python up to 3.12, and since
    if hasattr(threading, name):
        setattr(threading, name, refused)
app()
"""


def _ended(command: list[str], folder: Path) -> str:
    """What a server says that cannot start."""
    done = subprocess.run(
        [*command, "serve", "--port", "0", "--workers", "2"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


def test_a_server_that_may_open_too_few_files_says_how_many_it_needs(tmp_path: Path) -> None:
    for limit in (8, 30):  # at the one it could not open its database, at the other no event loop
        said = _ended(["bash", "-c", f'ulimit -n {limit}; exec {COMMAND} "$@"', "bash"], tmp_path)
        assert said == (
            f"asyncjob: the system lets the server open {limit} files, and with --workers 2 it needs 72: "
            "raise the limit, such as with `ulimit -n 1024`\n"
        )


def test_a_server_that_may_start_no_thread_says_so(tmp_path: Path) -> None:
    said = _ended([sys.executable, "-c", NO_THREADS], tmp_path)
    assert said == (
        "asyncjob: the system lets the server start no further thread: it has no memory left, or `ulimit -u` is too "
        "low\n"
    )
