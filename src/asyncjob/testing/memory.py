"""The engine in memory together with clients of it, which ask it as they would ask a server."""

from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from asyncjob.client import AsyncClient, Client
from asyncjob.registry import Jobs
from asyncjob.testing.api import answer
from asyncjob.testing.engine import Engine

URL = "http://memory.invalid"


class MemoryEngine(Engine):
    """An `Engine` for a test, with its clients. As a context manager it closes them.

    Args:
        jobs, at_once, now, resources: as in `Engine`.
    """

    def __init__(
        self, jobs: Jobs, *, at_once: bool = False, now: datetime | None = None, resources: Any = None
    ) -> None:
        super().__init__(jobs, at_once=at_once, now=now, resources=resources)
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    @property
    def client(self) -> Client:
        """A client of this engine."""
        if self._client is None:
            self._client = Client(URL, retries=0)
            self._client.use(httpx.Client(transport=httpx.MockTransport(self._answer), base_url=URL))
        return self._client

    def async_client(self) -> AsyncClient:
        """A new asynchronous client of this engine, for `async with`."""
        client = AsyncClient(URL, retries=0)
        client.use(httpx.AsyncClient(transport=httpx.MockTransport(self._answer_async), base_url=URL))
        return client

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return answer(self, request)

    async def _answer_async(self, request: httpx.Request) -> httpx.Response:
        return answer(self, request)
