"""Starts, stops and kills real ASGI servers that run an application with a JobsApp in it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.serving import environment

ROOT = Path(__file__).parents[2]
SERVING = re.compile(r"Uvicorn running on (http://\S+)")
READY = "Application startup complete"
START_SECONDS = 60


class Hosted:
    """uvicorn in a process of its own, on a free port, with one of the applications in `applications.py`.

    Attributes:
        url: where it listens.
        client: of it.
        process: the one that was started; with `--workers`, those that serve are its children.

    Args:
        database: of the JobsApp.
        *arguments: of uvicorn.
        app: which application; or `module:name`.
        env: more of the environment.
        folder: where it is started.
    """

    def __init__(
        self,
        database: Path,
        *arguments: str,
        app: str = "fast",
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        command: Sequence[str] = (),
    ) -> None:
        target = app if ":" in app else f"tests.mounted.applications:{app}"
        usual = ["-m", "uvicorn", target, "--port", "0", "--no-access-log", "--app-dir", str(ROOT), *arguments]
        self.process = subprocess.Popen(
            [sys.executable, *(command or usual)],
            stderr=subprocess.PIPE,
            env={**environment(), "JOBS_DB": str(database), **(env or {})},
            cwd=folder or database.parent,
            start_new_session=True,
            text=True,
        )
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            found = SERVING.search(self.wait_for(SERVING.pattern))
            assert found
            self.wait_for(READY)
        except BaseException:
            self._end()
            raise
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=60, verify=False)  # no authorities are read for HTTP

    @property
    def log(self) -> str:
        """All that it has written so far."""
        with self._more:
            return "".join(self._lines)

    def wait_for(self, pattern: str, times: int = 1) -> str:
        """Wait until so many of its lines have something in them; the last of those lines."""
        with self._more:
            while True:
                found = [line for line in self._lines if re.search(pattern, line)]
                if len(found) >= times:
                    return found[times - 1]
                assert not self._ended and self._more.wait(START_SECONDS), f"no {pattern!r} in:\n{''.join(self._lines)}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self._lines.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Signal the process and wait for its end; its exit status."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()
        self._end()

    def _end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
