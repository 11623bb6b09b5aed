"""Starts, stops and kills real servers for tests."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

COMMAND = Path(sys.executable).with_name("asyncjob")
FUNCTIONS = str(Path(__file__).parent / "functions.py")
START_SECONDS = 30


INHERITED = ("PATH", "HOME", "TMPDIR", "VIRTUAL_ENV")


def environment() -> dict[str, str]:
    """What a server finds, and nothing that only this machine has: PYTHONUNBUFFERED would hide faults.

    What is deprecated is an error there, as it is in the tests' own process.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "PYTHONWARNINGS": "error::DeprecationWarning,error::PendingDeprecationWarning"}


class Server:
    """`asyncjob serve` in a process of its own, on a free port, with a file that outlives it.

    Its log is in `log`, beside the database; `url` is where it listens.
    """

    def __init__(
        self,
        database: Path,
        *arguments: str,
        target: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        output: Path | None = None,
    ) -> None:
        self.database = database
        self.log = database.with_suffix(".log")
        self._command = [str(COMMAND), "serve", *([] if target is None else [target]), *arguments]
        self._command += ["--port", "0", "--database", str(database), "--backoff", "0.01"]
        self._env = {**environment(), **(env or {})}
        self._output = output  # a file for its standard output, as a service manager has it; a pipe otherwise
        self._cwd = cwd or database.parent  # what a job writes beside itself is not to be found in the repository
        self.start()

    def start(self) -> None:
        """Start the server, or start it again, and wait until it says where it listens."""
        with ExitStack() as files:
            log = files.enter_context(self.log.open("a"))
            stdout = subprocess.PIPE if self._output is None else files.enter_context(self._output.open("w"))
            self.process = subprocess.Popen(
                self._command, stdout=stdout, stderr=log, env=self._env, cwd=self._cwd, start_new_session=True
            )
        line = self._first_line()
        assert line.startswith("Async Job API on "), f"the server did not start: {line}\n{self.log.read_text()}"
        self.url = line.rsplit(maxsplit=1)[-1]
        self.client = httpx.Client(base_url=self.url, timeout=30, verify=False)  # no authorities are read for HTTP

    def _first_line(self) -> str:
        """What it says first, or nothing."""
        if self._output is None:
            assert self.process.stdout is not None
            ready, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
            return self.process.stdout.readline().decode() if ready else ""
        deadline = time.monotonic() + START_SECONDS
        while "\n" not in self._output.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._output.read_text().partition("\n")[0]

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Signal the server alone and wait for its end; its exit status."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Wait for the server's end; its exit status."""
        status = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.client.close()
        return status

    def submit(self, type: str, **parameters: Any) -> str:
        """Submit a job, which must be accepted; its id."""
        answer = self.client.post("/jobs", json={"type": type, **parameters})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["jobId"]
        return job_id

    def get(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        return self._job(self.client.get(f"/jobs/{job_id}"))

    def result(self, job_id: str) -> dict[str, Any]:
        """The job once it is final."""
        job = self._job(self.client.get(f"/jobs/{job_id}?wait=60", timeout=70))
        assert "finishedAt" in job, job
        return job

    @staticmethod
    def _job(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def worker_pids(self) -> list[int]:
        """The processes that the server has started and that live."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def open_sockets(self) -> int:
        """How many connections the server has, to clients and to workers."""
        return sum(_is_socket(file) for file in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def memory_kb(self) -> int:
        """What the server itself has in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()


def _is_socket(file: Path) -> bool:
    try:
        return str(file.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False


class PatchedServer(Server):
    """A server that runs a line of Python instead of the command, to be less patient."""

    def __init__(self, database: Path, code: str, *arguments: str, target: str | None = None) -> None:
        self._code = code
        super().__init__(database, *arguments, target=target)

    def start(self) -> None:
        self._command = [sys.executable, "-c", self._code, *self._command[1:]]
        super().start()
