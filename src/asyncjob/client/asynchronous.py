"""The client for asyncio. blocking.py documents each method."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

import httpx

from asyncjob.client.connection import UNSENDABLE, asynchronous_http, unsendable
from asyncjob.client.core import Api, Call, Following, Operation, list_query, proceed
from asyncjob.client.errors import NotFound
from asyncjob.client.functions import Many, P, R, Takes, TakesContext, ask, refuse_id
from asyncjob.client.in_a_job import wait_aside
from asyncjob.client.logs import LoggedLine, LogReading
from asyncjob.client.schedule_handles import AsyncScheduleHandle
from asyncjob.client.schedules import ScheduleSnapshot, Scheduling
from asyncjob.client.schedules import page as schedule_page
from asyncjob.client.snapshot import JobSnapshot
from asyncjob.contract import MAX_PAGE
from asyncjob.job import Progress, Status
from asyncjob.job_log import Level
from asyncjob.options import NONE, Options

T = TypeVar("T")


class AsyncClient:
    """`Client` with an `await` before what takes time; same arguments, same errors.

    >>> async with AsyncClient("http://127.0.0.1:8000") as client:
    ...     handle = await client.submit("resize", width=640)
    ...     await handle.result(timeout=60)
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        aws_iam: bool = False,
        timeout: float = 30.0,
        retries: int = 5,
    ) -> None:
        self._api = Api(timeout, retries)
        self._http: Callable[[], httpx.AsyncClient] = asynchronous_http(url, api_key, aws_iam)

    def use(self, http: httpx.AsyncClient) -> None:
        """Send all further requests with that client of httpx, whose `base_url` is the API; it is closed with this one.

        For a transport of your own, such as one that answers in tests.
        """
        self._http = lambda: http

    @overload
    async def submit(
        self, function: TakesContext[P, Awaitable[R]], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, function: TakesContext[P, R], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, function: Takes[P, Awaitable[R]], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, function: Takes[P, R], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "AsyncJobHandle[R]": ...

    @overload
    async def submit(
        self, type: str | None = None, options: Options = ..., /, **parameters: Any
    ) -> "AsyncJobHandle[Any]": ...

    async def submit(
        self, job: Any = None, options: Options = NONE, /, *_: Any, **parameters: Any
    ) -> "AsyncJobHandle[Any]":
        """See `Client.submit`."""
        return AsyncJobHandle(self, await self._run(self._api.submit(ask(job, options, parameters))))

    def job(self, job_id: str) -> "AsyncJobHandle[Any]":
        """See `Client.job`."""
        return AsyncJobHandle(self, Following(self._api, job_id))

    async def get(self, job_id: str) -> JobSnapshot:
        """See `Client.get`."""
        try:
            job = self.job(job_id)
        except ValueError:  # no job can have that id
            raise NotFound(404, "Not found", repr(job_id)) from None
        return await job.get()

    async def list(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,  # noqa: A002
        page_size: int = MAX_PAGE,
    ) -> AsyncIterator[JobSnapshot]:
        """See `Client.list`; for `async for`."""
        query = list_query(status, type, page_size)
        while True:
            jobs, cursor = await self._run(self._api.page(query))
            for job in jobs:
                yield job
            if cursor is None:
                return
            query["cursor"] = cursor

    @overload
    def map(
        self, job: Takes[..., Awaitable[R]], parameters: Many, *, options: Options = ..., concurrency: int = ...
    ) -> AsyncIterator["AsyncJobHandle[R]"]: ...

    @overload
    def map(
        self, job: Takes[..., R], parameters: Many, *, options: Options = ..., concurrency: int = ...
    ) -> AsyncIterator["AsyncJobHandle[R]"]: ...

    @overload
    def map(
        self, job: str | None, parameters: Many, *, options: Options = ..., concurrency: int = ...
    ) -> AsyncIterator["AsyncJobHandle[Any]"]: ...

    async def map(
        self, job: Any, parameters: Many, *, options: Options = NONE, concurrency: int = 32
    ) -> AsyncIterator["AsyncJobHandle[Any]"]:
        """See `Client.map`; for `async for`. Here all jobs of a batch are submitted and awaited concurrently."""
        refuse_id(options)
        running: deque[asyncio.Task[AsyncJobHandle[Any]]] = deque()
        try:
            for each in parameters:
                running.append(asyncio.create_task(self._submit_and_wait(job, options, each)))
                if len(running) >= concurrency:
                    yield await wait_aside(_Going(running.popleft()))
            while running:
                yield await wait_aside(_Going(running.popleft()))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def schedules(self) -> AsyncIterator[ScheduleSnapshot]:
        """See `Client.schedules`; for `async for`."""
        cursor: str | None = None
        while True:
            schedules, cursor = await self._run(schedule_page(self._api, cursor))
            for schedule in schedules:
                yield schedule
            if cursor is None:
                return

    def schedule(self, schedule_id: str) -> "AsyncScheduleHandle[AsyncJobHandle[Any]]":
        """See `Client.schedule`."""
        schedule = Scheduling(self._api, schedule_id)
        return AsyncScheduleHandle(schedule, self._run, lambda job: AsyncJobHandle(self, job))

    async def stats(self) -> dict[str, Any]:
        """See `Client.stats`."""
        return await self._run(self._api.stats())

    async def openapi(self) -> dict[str, Any]:
        """See `Client.openapi`."""
        return await self._run(self._api.openapi())

    async def check(self) -> None:
        """See `Client.check`."""
        await self._run(self._api.health())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _submit_and_wait(
        self,
        job: Any,
        options: Options,
        parameters: Mapping[str, Any],
    ) -> "AsyncJobHandle[Any]":
        handle = await self.submit(job, options, **parameters)
        await handle.wait()
        return handle

    async def _run(self, operation: Operation[T]) -> T:
        try:
            call = next(operation)
            while True:
                call = proceed(operation, await self._carry_out(call))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _carry_out(self, call: Call) -> httpx.Response | httpx.RequestError:
        await asyncio.sleep(call.delay)
        try:
            return await self._http().request(
                call.method, call.url, content=call.body, headers=call.headers, timeout=call.timeout
            )
        except httpx.RequestError as error:
            return error
        except UNSENDABLE as error:
            raise unsendable(call.url, error) from None


class AsyncJobHandle(Generic[R]):
    """`JobHandle` with an `await` before what takes time.

    Attributes:
        id: the job's id.
        duplicate: as in `JobHandle`.
    """

    def __init__(self, client: AsyncClient, job: Following) -> None:
        self.id = job.job_id
        self.duplicate = job.duplicate
        self._client = client
        self._job = job

    async def get(self) -> JobSnapshot:
        """See `JobHandle.get`."""
        return await self._client._run(self._job.get())

    async def progress(self) -> Progress | None:
        """See `JobHandle.progress`."""
        return (await self.get()).progress

    async def wait(self, timeout: float | None = None) -> JobSnapshot:  # noqa: ASYNC109
        """See `JobHandle.wait`."""
        return await self._client._run(self._job.wait(timeout))

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109
        """See `JobHandle.result`."""
        result: R = await self._client._run(self._job.result(timeout))
        return result

    async def logs(
        self, *, level: str = Level.DEBUG, attempt: int | None = None, follow: bool = False
    ) -> AsyncIterator[LoggedLine]:
        """See `JobHandle.logs`."""
        reading = LogReading(self._client._api, self.id, level, attempt, follow=follow)
        while (lines := await self._client._run(reading.more())) is not None:
            for line in lines:
                yield line

    async def cancel(self) -> JobSnapshot:
        """See `JobHandle.cancel`."""
        return await self._client._run(self._job.cancel())

    async def delete(self) -> None:
        """See `JobHandle.delete`."""
        await self._client._run(self._job.delete())

    async def run_now(self) -> None:
        """See `JobHandle.run_now`."""
        await self._client._run(self._job.run_now())

    async def retry(self) -> None:
        """See `JobHandle.retry`."""
        await self._client._run(self._job.retry())

    def __repr__(self) -> str:
        return f"<AsyncJobHandle {self.id}>"


class _Going:
    """A job of `map`, which a task submits and waits for."""

    def __init__(self, task: "asyncio.Task[AsyncJobHandle[Any]]") -> None:
        self._task = task

    async def wait(self, timeout: float | None = None) -> AsyncJobHandle[Any]:  # noqa: ASYNC109
        return await self._task
