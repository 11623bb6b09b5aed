"""The client for ordinary code: every call blocks until it is done. Threads may share one client, and so may forks.

A thread that waits for an answer hears of nothing else. So where a job function waits for another job, the request is
made in a thread of its own, and the function's thread waits for the answer or the cancel of its own job.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

import httpx

from asyncjob.client.connection import UNSENDABLE, blocking_http, unsendable
from asyncjob.client.core import Api, Call, Following, Operation, list_query, proceed
from asyncjob.client.errors import NotFound
from asyncjob.client.functions import Many, P, R, Takes, TakesContext, ask, refuse_id
from asyncjob.client.in_a_job import Answer, unless_canceled, wait_aside
from asyncjob.client.logs import LoggedLine, LogReading
from asyncjob.client.schedule_handles import ScheduleHandle
from asyncjob.client.schedules import ScheduleSnapshot, Scheduling
from asyncjob.client.schedules import page as schedule_page
from asyncjob.client.snapshot import JobSnapshot
from asyncjob.context import running
from asyncjob.contract import MAX_PAGE
from asyncjob.job import Progress, Status
from asyncjob.job_log import Level
from asyncjob.options import NONE, Options

T = TypeVar("T")


class Client:
    """A client of an API for jobs.

    >>> with Client("http://127.0.0.1:8000") as client:
    ...     client.submit("resize", width=640).result(timeout=60)

    Requests that fail are repeated where that is safe, with growing random pauses; `Retry-After` is honoured. Each job
    is submitted under an id that the client chooses, so a submission that had to be repeated still makes one job.

    Args:
        url: where the API is, without `/jobs`. By default, what `ASYNCJOB_URL` names (in a job function, its own
            server), or the server of this machine, at `ASYNCJOB_PORT` (8000) and `ASYNCJOB_ROOT_PATH`.
        api_key: sent as `x-api-key`. Without a url, it is `ASYNCJOB_API_KEY` by default.
        aws_iam: sign the requests for an API with AWS_IAM authorization; needs the extra `aws`.
        timeout: seconds to wait for an answer, on top of the time spent waiting for a job.
        retries: how often a request is repeated.

    Raises:
        ValueError: the URL or the key cannot be used.
        ClientError: requests should be signed, but botocore, credentials or the region are missing; or the environment
            names a proxy or certificates that cannot be used.
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
        self._http: Callable[[], httpx.Client] = blocking_http(url, api_key, aws_iam)

    def use(self, http: httpx.Client) -> None:
        """Send all further requests with that client of httpx, whose `base_url` is the API; it is closed with this one.

        For a transport of your own, such as one that answers in tests.
        """
        self._http = lambda: http

    @overload
    def submit(
        self, function: TakesContext[P, Awaitable[R]], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "JobHandle[R]": ...

    @overload
    def submit(
        self, function: TakesContext[P, R], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "JobHandle[R]": ...

    @overload
    def submit(
        self, function: Takes[P, Awaitable[R]], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "JobHandle[R]": ...

    @overload
    def submit(
        self, function: Takes[P, R], options: Options = ..., /, *_: P.args, **parameters: P.kwargs
    ) -> "JobHandle[R]": ...

    @overload
    def submit(self, type: str | None = None, options: Options = ..., /, **parameters: Any) -> "JobHandle[Any]": ...

    def submit(self, job: Any = None, options: Options = NONE, /, *_: Any, **parameters: Any) -> "JobHandle[Any]":
        """Submit a job.

        Args:
            job: the job function itself, which a type checker then knows; or its name, which is optional if the API has
                only one.
            options: of this job; by name too, where the function is given by its name.
            parameters: those of the function, by name: JSON values, dataclasses, datetimes and whatever else msgspec
                can write as JSON. Beside them, `jobId` sets the job's id; without it the client makes a new one.

        Raises:
            RegistrationError: it is a function, but no job function.
            ClientError: the parameters cannot be written as JSON.
            Refused: the parameters are wrong (400), the id belongs to another job (409), and so on.
            Unreachable: there was no answer. The job may have been accepted all the same; if you chose its `jobId` you
                can ask for it, or submit it again.
        """
        return JobHandle(self, self._run(self._api.submit(ask(job, options, parameters))))

    def job(self, job_id: str) -> "JobHandle[Any]":
        """The handle of a job that was submitted before. Sends no request.

        Raises:
            ValueError: it cannot be a job's id.
        """
        return JobHandle(self, Following(self._api, job_id))

    def get(self, job_id: str) -> JobSnapshot:
        """A job as it is now.

        Raises:
            NotFound: there is no such job.
        """
        try:
            job = self.job(job_id)
        except ValueError:  # no job can have that id
            raise NotFound(404, "Not found", repr(job_id)) from None
        return job.get()

    def list(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,  # noqa: A002
        page_size: int = MAX_PAGE,
    ) -> Iterator[JobSnapshot]:
        """All jobs, newest first; pages are fetched as the iteration goes on.

        Args:
            status: only jobs with this status.
            type: only jobs of this function.
            page_size: how many jobs to ask for at once, 1 to 1,000.
        """
        query = list_query(status, type, page_size)
        while True:
            jobs, cursor = self._run(self._api.page(query))
            yield from jobs
            if cursor is None:
                return
            query["cursor"] = cursor

    @overload
    def map(
        self, job: Takes[..., Awaitable[R]], parameters: Many, *, options: Options = ..., concurrency: int = ...
    ) -> Iterator["JobHandle[R]"]: ...

    @overload
    def map(
        self, job: Takes[..., R], parameters: Many, *, options: Options = ..., concurrency: int = ...
    ) -> Iterator["JobHandle[R]"]: ...

    @overload
    def map(
        self, job: str | None, parameters: Many, *, options: Options = ..., concurrency: int = ...
    ) -> Iterator["JobHandle[Any]"]: ...

    def map(
        self, job: Any, parameters: Many, *, options: Options = NONE, concurrency: int = 32
    ) -> Iterator["JobHandle[Any]"]:
        """Submit many jobs, a few at a time, and yield each once it has ended, in the order of the parameters.

        Args:
            job: the job function itself, whose results a type checker then knows; or its name, or None.
            parameters: one mapping per job; taken as needed, so there may be any number.
            options: of each job, without a `job_id`.
            concurrency: how many jobs may be unfinished at once.

        Yields:
            The handle of a job that has ended: `result()` returns at once, or raises how the job failed.
        """
        refuse_id(options)
        running: deque[JobHandle[Any]] = deque()
        for each in parameters:
            running.append(self.submit(job, options, **each))
            if len(running) >= concurrency:
                yield _ended(running.popleft())
        while running:
            yield _ended(running.popleft())

    def schedules(self) -> Iterator[ScheduleSnapshot]:
        """All schedules, in the order in which they were made.

        Raises:
            Refused: this API has none.
        """
        cursor: str | None = None
        while True:
            schedules, cursor = self._run(schedule_page(self._api, cursor))
            yield from schedules
            if cursor is None:
                return

    def schedule(self, schedule_id: str) -> "ScheduleHandle[JobHandle[Any]]":
        """The handle of a schedule, whether or not it is there. Sends no request.

        Raises:
            ValueError: it cannot be a schedule's id.
        """
        schedule = Scheduling(self._api, schedule_id)
        return ScheduleHandle(schedule, self._run, lambda job: JobHandle(self, job))

    def stats(self) -> dict[str, Any]:
        """`GET /stats`: how many jobs have each status, and how many ended in each of the last 60 times 10 seconds.

        Raises:
            Refused: this API does not count jobs; NotFound, or status 403, on AWS.
        """
        return self._run(self._api.stats())

    def openapi(self) -> dict[str, Any]:
        """The API's OpenAPI document."""
        return self._run(self._api.openapi())

    def check(self) -> None:
        """Ask whether the API can read and run jobs.

        Raises:
            Refused: it cannot; NotFound if the API has no health check.
        """
        self._run(self._api.health())

    def close(self) -> None:
        """Close the connections."""
        self._http().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, operation: Operation[T]) -> T:
        try:
            call = next(operation)
            while True:
                call = proceed(operation, self._carry_out(call))
        except StopIteration as end:
            result: T = end.value
            return result

    def _carry_out(self, call: Call) -> Answer:
        job = running.get() if call.waits else None
        if job is not None:
            return unless_canceled(job, call.delay, lambda: self._send(call))
        time.sleep(call.delay)
        return self._send(call)

    def _send(self, call: Call) -> Answer:
        try:
            return self._http().request(
                call.method, call.url, content=call.body, headers=call.headers, timeout=call.timeout
            )
        except httpx.RequestError as error:
            return error
        except UNSENDABLE as error:
            raise unsendable(call.url, error) from None


class JobHandle(Generic[R]):
    """A job to wait for, cancel or retry. `Client.submit` and `Client.job` make it.

    Attributes:
        id: the job's id.
        duplicate: whether the submission started nothing new, since this job of a `unique` function was there.
    """

    def __init__(self, client: Client, job: Following) -> None:
        self.id = job.job_id
        self.duplicate = job.duplicate
        self._client = client
        self._job = job

    def get(self) -> JobSnapshot:
        """The job as it is now.

        Raises:
            NotFound: there is no such job; on AWS, until it starts.
        """
        return self._client._run(self._job.get())

    def progress(self) -> Progress | None:
        """The progress that the job last reported, or None."""
        return self.get().progress

    def wait(self, timeout: float | None = None) -> JobSnapshot:
        """Wait until the job has ended, in whatever way, and return it.

        On AWS an accepted job may be invisible for a while, which counts as not ended.

        Args:
            timeout: seconds; None for as long as it takes.

        Raises:
            WaitTimeout: it has not ended in time; a TimeoutError.
            NotFound: there is no such job.
            ValueError: the timeout is NaN.
            JobCanceled: it is waited for in a job function whose own job was canceled, or whose time is up.
        """
        return self._client._run(self._job.wait(timeout))

    def result(self, timeout: float | None = None) -> R:
        """Wait until the job has ended, and return what its function returned.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            If the function itself was submitted, a value of its return type; else a JSON value.

        Raises:
            ClientError: the results are not of the return type: the server runs another version of the function.
            JobFailed: it is a Failure; `type` and `message` say why.
            AwaitedJobCanceled: it was canceled; a JobCanceled.
            WaitTimeout: it has not ended in time; a TimeoutError.
            NotFound: there is no such job.
            JobCanceled: as `wait` does.
        """
        result: R = self._client._run(self._job.result(timeout))
        return result

    def logs(
        self, *, level: str = Level.DEBUG, attempt: int | None = None, follow: bool = False
    ) -> Iterator[LoggedLine]:
        """What the job's function has logged and printed, the first line first, and how its attempts failed.

        Args:
            level: only lines of this level or above.
            attempt: only lines of this attempt.
            follow: go on with lines as they come, until the job has ended.

        Raises:
            ValueError: there is no such level.
            NotFound: there is no such job, or this API keeps no logs; on AWS, CloudWatch Logs has them.
        """
        reading = LogReading(self._client._api, self.id, level, attempt, follow=follow)
        while (lines := self._client._run(reading.more())) is not None:
            yield from lines

    def cancel(self) -> JobSnapshot:
        """Cancel the job. A running function is told.

        Raises:
            Refused: it has already ended (409).
        """
        return self._client._run(self._job.cancel())

    def delete(self) -> None:
        """Delete a job that has ended.

        Raises:
            Refused: it has not ended, or its function has not stopped (409).
        """
        self._client._run(self._job.delete())

    def run_now(self) -> None:
        """Have a job that waits for its time wait no longer.

        Raises:
            Refused: it does not wait for a time (409).
            Unreachable: there was no answer: look whether it still waits.
        """
        self._client._run(self._job.run_now())

    def retry(self) -> None:
        """Run a job that has ended again.

        Raises:
            Refused: it has not ended (409).
            Unreachable: there was no answer, and asking again could run the job twice: look whether it runs.
        """
        self._client._run(self._job.retry())

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"


def _ended(handle: JobHandle[Any]) -> JobHandle[Any]:
    wait_aside(handle)
    return handle
