"""The client for ordinary code: every call returns when it is done. One client may be used by many threads."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from asyncjob.client.connection import DEFAULT_URL, UNSENDABLE, http_client, unsendable
from asyncjob.client.core import Api, Call, Following, Operation, list_query, proceed
from asyncjob.client.snapshot import JobSnapshot
from asyncjob.contract import MAX_PAGE
from asyncjob.job import Progress, Status

T = TypeVar("T")


class Client:
    """A client of an API for jobs.

    >>> with Client("http://127.0.0.1:8000") as client:
    ...     client.submit("resize", width=640).result(timeout=60)

    What fails on the way is tried again where that is safe, with growing pauses of random length, and `Retry-After` is
    honoured. A job is submitted with an id of its own, so however often that was tried, it is one job.

    Args:
        url: where the API is, without `/jobs`.
        api_key: sent as `x-api-key`.
        aws_iam: sign the requests for an API with AWS_IAM authorization; needs the extra `aws`.
        timeout: seconds to wait for an answer, beside what a job is waited for.
        retries: how often a request is repeated.

    Raises:
        ValueError: the URL or the key cannot be used.
        ClientError: requests are to be signed, and botocore, credentials or the region are missing; or the environment
            names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        aws_iam: bool = False,
        timeout: float = 30.0,
        retries: int = 5,
    ) -> None:
        self._api = Api(timeout, retries)
        self._http = http_client(httpx.Client, url, api_key, aws_iam)

    def submit(self, type: str | None = None, /, **parameters: Any) -> "JobHandle":  # noqa: A002
        """Submit a job.

        Args:
            type: the job function's name; may be left out where there is but one.
            parameters: the function's, as JSON has them; also dataclasses, datetimes, and whatever else msgspec writes
                as JSON. `jobId` is the job's id, in place of one that nobody has used.

        Raises:
            ClientError: the parameters cannot be written as JSON.
            Refused: the parameters are wrong (400), the id is another job's (409), and so on.
            Unreachable: there was no answer. The job may have been accepted all the same; with a `jobId` of your own
                you can ask, or submit it again.
        """
        return JobHandle(self, self._run(self._api.submit(type, parameters)))

    def job(self, job_id: str) -> "JobHandle":
        """The handle of a job that was submitted before. Asks nothing.

        Raises:
            ValueError: no job can have that id.
        """
        return JobHandle(self, Following(self._api, job_id))

    def get(self, job_id: str) -> JobSnapshot:
        """A job as it is now.

        Raises:
            NotFound: there is no such job.
        """
        return self.job(job_id).get()

    def list(
        self,
        *,
        status: Status | str | None = None,
        type: str | None = None,  # noqa: A002
        page_size: int = MAX_PAGE,
    ) -> Iterator[JobSnapshot]:
        """All jobs, newest first; pages are asked for as the iteration goes on.

        Args:
            status: only jobs that have it.
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

    def map(
        self,
        type: str | None,  # noqa: A002
        parameters: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = 32,
    ) -> Iterator["JobHandle"]:
        """Submit many jobs, a few at a time, and give each back once it has ended, in the order of the parameters.

        Args:
            type: the job function's name; None where there is but one.
            parameters: those of one job each; taken as they are needed, so there may be any number.
            concurrency: how many jobs may be unfinished at once.

        Yields:
            The handle of an ended job: `result()` answers at once, or raises what this job has come to.
        """
        running: deque[JobHandle] = deque()
        for each in parameters:
            running.append(self.submit(type, **each))
            if len(running) >= concurrency:
                yield _ended(running.popleft())
        while running:
            yield _ended(running.popleft())

    def stats(self) -> dict[str, Any]:
        """How many jobs there are of each status, and how many ended in each of the last moments: `GET /stats`.

        Raises:
            Refused: this API does not count; NotFound, or with status 403, on AWS.
        """
        return self._run(self._api.stats())

    def openapi(self) -> dict[str, Any]:
        """The API's OpenAPI document."""
        return self._run(self._api.openapi())

    def check(self) -> None:
        """Ask whether the API can read and run jobs.

        Raises:
            Refused: it says no; NotFound, where it cannot be asked.
        """
        self._run(self._api.health())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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

    def _carry_out(self, call: Call) -> httpx.Response | httpx.RequestError:
        time.sleep(call.delay)
        try:
            return self._http.request(
                call.method, call.url, content=call.body, headers=call.headers, timeout=call.timeout
            )
        except httpx.RequestError as error:
            return error
        except UNSENDABLE as error:
            raise unsendable(call.url, error) from None


class JobHandle:
    """A job, to be waited for and acted upon. `Client.submit` and `Client.job` make it.

    Attributes:
        id: the job's id.
    """

    def __init__(self, client: Client, job: Following) -> None:
        self.id = job.job_id
        self._client = client
        self._job = job

    def get(self) -> JobSnapshot:
        """The job as it is now.

        Raises:
            NotFound: there is no such job; on AWS, until it starts.
        """
        return self._client._run(self._job.get())

    def progress(self) -> Progress | None:
        """How far the job says it is; None where it has said nothing."""
        return self.get().progress

    def wait(self, timeout: float | None = None) -> JobSnapshot:
        """Wait until the job has ended, however it did; what it then is.

        On AWS a job that was accepted may be invisible for a while, which counts as not ended.

        Args:
            timeout: seconds; None for as long as it takes.

        Raises:
            WaitTimeout: it has not, a TimeoutError.
            NotFound: there is no such job.
        """
        return self._client._run(self._job.wait(timeout))

    def result(self, timeout: float | None = None) -> Any:
        """Wait until the job has ended; what its function returned.

        Args:
            timeout: seconds; None for as long as it takes.

        Raises:
            JobFailed: it is a Failure; `type` and `message` say why.
            AwaitedJobCanceled: it was canceled, a JobCanceled.
            WaitTimeout: it has not ended, a TimeoutError.
            NotFound: there is no such job.
        """
        return self._client._run(self._job.result(timeout))

    def cancel(self) -> JobSnapshot:
        """Cancel the job; a running function learns of it.

        Raises:
            Refused: it had ended otherwise (409).
        """
        return self._client._run(self._job.cancel())

    def retry(self) -> None:
        """Have the job, which has ended, run again.

        Raises:
            Refused: it has not ended (409).
            Unreachable: there was no answer, and to ask again might run the job twice more: see whether it runs.
        """
        self._client._run(self._job.retry())

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"


def _ended(handle: JobHandle) -> JobHandle:
    handle.wait()
    return handle
