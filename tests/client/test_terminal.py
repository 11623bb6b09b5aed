"""The commands on a terminal: a wait that shows progress, what a job says, and what a shell completes."""

import os
import pty
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.client.conftest import environment
from tests.server.conftest import wait_for
from tests.serving import COMMAND, Server


def test_on_a_terminal_a_wait_shows_the_jobs_progress_and_no_escape_sequence_of_it(
    served: Server, started: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = (
        "import fcntl, subprocess, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(gate)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    holder.stdout.readline()
    job_id = served.submit("tells_twice", started=started, gate=str(gate))
    wait_for(lambda: served.get(job_id).get("progress", {}).get("fraction") == 0.9, "the progress")
    terminal, inside = pty.openpty()
    env = {**environment(served), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([str(COMMAND), "wait", job_id], env=env, stdout=subprocess.PIPE, stderr=inside)
    os.close(inside)
    shown = b""
    while b"90%" not in shown:
        shown += os.read(terminal, 65_536)
    holder.stdin.close()
    holder.wait()
    holder.stdout.close()
    assert process.stdout is not None
    assert b"Success" in process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    os.close(terminal)


def test_what_a_job_says_does_nothing_to_a_terminal(served: Server) -> None:
    job_id = served.submit("raises", message="\x1b]0;title\x07 [red]not red[/red]\x9b2J")
    served.result(job_id)
    terminal, inside = pty.openpty()
    env = {**environment(served), "TERM": "xterm", "COLUMNS": "300"}
    subprocess.run([str(COMMAND), "get", job_id], env=env, stdout=inside, timeout=60, check=True)
    os.close(inside)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert r"\x1b]0;title\x07 [red]not red[/red]\x9b2J" in shown
    assert "\x1b]" not in shown and "\x9b" not in shown and "\x07" not in shown


@pytest.mark.parametrize("shell", [name for name in ("bash", "zsh", "fish") if shutil.which(name)])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    shown = subprocess.run(
        [shell, "-c", f"{COMMAND} --show-completion; true"], capture_output=True, text=True, timeout=60
    ).stdout
    assert "_ASYNCJOB_COMPLETE" in shown
    if shell == "bash":
        for typed, completed in [("sub", "submit"), ("list --sta", "--status"), ("list --status Fai", "Failure")]:
            words = f"asyncjob {typed}"
            env = {
                "_ASYNCJOB_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            }
            done = subprocess.run([str(COMMAND)], env={**os.environ, **env}, capture_output=True, text=True)
            assert completed in done.stdout.split()


def _completed(words: str, **environment: str) -> list[str]:
    """What bash is offered for the last word, which may be empty."""
    asked = {"_ASYNCJOB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run(
        [str(COMMAND)], env={**os.environ, **asked, **environment}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_shell_completes_types_and_ids_of_the_api(served: Server) -> None:
    marker = f"complete-{uuid.uuid4()}"
    for number in range(2):
        served.submit("add", jobId=f"{marker}-{number}", a=number)
    here = {"ASYNCJOB_URL": served.url}
    assert _completed("asyncjob submit echo", **here) == ["echo", "echo_async"]
    assert _completed("asyncjob list --type dies_o", **here) == ["dies_once"]
    for command in ("get", "wait", "cancel", "retry"):
        assert _completed(f"asyncjob {command} {marker}", **here) == [f"{marker}-1", f"{marker}-0"]
    assert _completed(f"asyncjob get {marker}-0 {marker}", **here) == [f"{marker}-1"]
    assert _completed(f"asyncjob get --url {served.url} {marker}-0", ASYNCJOB_URL="") == [f"{marker}-0"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no url"])
def test_an_api_that_is_not_there_completes_nothing_and_says_nothing(url: str) -> None:
    assert _completed("asyncjob submit ", ASYNCJOB_URL=url) == []
    assert _completed("asyncjob get a", ASYNCJOB_URL=url) == []
