"""Both clients behind one face, so that each claim is tested of both; a server for them, and commands to run on it."""

import asyncio
import inspect
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asyncjob import AsyncClient, AsyncJobHandle, AsyncScheduleHandle, Client
from tests.serving import COMMAND, FUNCTIONS, Server


class Awaited:
    """An AsyncClient or a handle of its, with each call awaited."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._awaiting(found) if callable(found) else found

    def _awaiting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            if inspect.isasyncgen(value):
                return self._iterate(value)
            return self._wrap(self._runner.run(value) if inspect.iscoroutine(value) else value)

        return call

    def _iterate(self, values: Any) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(values)

        try:
            while True:
                yield self._wrap(self._runner.run(following()))
        except StopAsyncIteration:
            return
        finally:
            self._runner.run(values.aclose())

    def _wrap(self, value: Any) -> Any:
        return Awaited(value, self._runner) if isinstance(value, (AsyncJobHandle, AsyncScheduleHandle)) else value


@pytest.fixture(params=["blocking", "asynchronous"])
def connected(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a client, with the arguments of `Client`."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def connect(*args: Any, **kwargs: Any) -> Any:
            if request.param == "blocking":
                return stack.enter_context(Client(*args, **kwargs))
            client = AsyncClient(*args, **kwargs)
            stack.callback(lambda: runner.run(client.aclose()))
            return Awaited(client, runner)

        yield connect


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests share which do not harm it."""
    with Server(tmp_path_factory.mktemp("served") / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        yield server


@pytest.fixture
def client(connected: Callable[..., Any], served: Server) -> Any:
    """A client of that server."""
    return connected(served.url)


@pytest.fixture
def started(tmp_path: Path) -> str:
    """The file in which a job says that it runs."""
    return str(tmp_path / "started")


Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(server: Server) -> dict[str, str]:
    return {**os.environ, "ASYNCJOB_URL": server.url, "NO_COLOR": "1"}


@pytest.fixture
def run(served: Server) -> Run:
    """Runs a command against the server; what it printed, and how it exited."""

    def run(*arguments: str, status: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(COMMAND), *arguments], env=environment(served), capture_output=True, text=True, timeout=60, **more
        )
        assert done.returncode == status, done
        assert "Traceback" not in done.stderr
        return done

    return run


def fields_of(shown: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in shown.splitlines())
