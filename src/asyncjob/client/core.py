"""What a client asks, when it asks again, and what the answers mean: without I/O.

Each operation is a generator. It yields the next request, with the pause before it, and is sent the response or thrown
httpx's error. Two small drivers, blocking.py and asynchronous.py, do the I/O, so no rule is written twice.
"""

import math
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx
import msgspec

from asyncjob.client.answers import document, elsewhere, foreign, reason, refusal, retry_after
from asyncjob.client.connection import shown, through
from asyncjob.client.errors import (
    AwaitedJobCanceled,
    ClientError,
    JobFailed,
    NotFound,
    Refused,
    Unreachable,
    WaitTimeout,
)
from asyncjob.client.functions import Asked, ReadResults
from asyncjob.client.snapshot import JobSnapshot
from asyncjob.contract import JOB_ID, JOB_ID_RULE, MAX_BODY_BYTES
from asyncjob.encoding import encode
from asyncjob.job import Status, new_job_id

HOLD_SECONDS = 20.0  # of one ?wait=: proxies tend to give up after 30
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 20.0  # seconds; the mean pause is half of it
LONGEST_RETRY_AFTER = 300.0  # seconds; told to come back later than that, a client gives up
UNINFORMED_RETRY_AFTER = 1.0  # seconds; an API says so of every job if it does not know better
FIRST_POLL, LONGEST_POLL, POLL_GROWTH = 0.25, 10.0, 1.5
VISIBLE_SECONDS = 6 * 3_600  # how long Lambda keeps an event that it has no room for
LATE_SECONDS = 2.0  # the last ?wait= may take this long beyond the time asked for
MAX_REDIRECTS = 5

REFUSED_FOR_NOW = {429, 503}  # nothing was done
UNCERTAIN = {408, 500, 502, 504}  # something may have been done: repeated where that does no harm
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """A request to carry out.

    Attributes:
        method: GET, POST, PUT or DELETE.
        url: a path of the API, or a whole URL.
        timeout: seconds allowed for each of connecting, sending and waiting for the answer.
        body: JSON, or None.
        delay: seconds to pause before.
        waits: whether it only waits for a job, so that nothing is lost if it is given up.
    """

    method: str
    url: str
    timeout: float
    body: bytes | None = None
    delay: float = 0.0
    waits: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers of this request alone."""
        return {} if self.body is None else {"content-type": "application/json"}


Operation = Generator[Call, httpx.Response, T]


class Api:
    """The operations on one API.

    Args:
        timeout: seconds to wait for an answer, on top of the time spent waiting for a job.
        retries: how often a failed request is repeated, if it may be repeated at all.
        patient: whether it is repeated however long ago its first try began; else only as long as that may have taken.
    """

    def __init__(self, timeout: float, retries: int, *, patient: bool = True) -> None:
        self.timeout = timeout
        self._retries = retries
        self._patient = patient

    def submit(self, asked: Asked) -> Operation["Following"]:
        """Submit a job. Its id is chosen here, so submitting it twice makes one job."""
        chosen = {"jobId": new_job_id()} | asked.fields
        try:
            body = encode(chosen)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ClientError(f"the parameters cannot be written as JSON: {error}") from None
        if len(body) > MAX_BODY_BYTES:
            raise ClientError(f"the job has {len(body):,} bytes as JSON, over the limit of {MAX_BODY_BYTES:,}")
        try:
            response = yield from self.exchange(Call("POST", "/jobs", self.timeout, body))
        except NotFound:
            raise Refused(404, "there is no POST /jobs: this URL is not a job API") from None
        if response.status_code != 202:
            raise foreign(response)
        answer = document(response)
        try:
            duplicate = answer.get("duplicate") is True
            job_id = str(answer["jobId"] if duplicate else chosen["jobId"])
            return Following(self, job_id, time.monotonic(), asked.read_results, duplicate=duplicate)
        except (KeyError, ValueError):
            raise foreign(response) from None

    def page(self, query: Mapping[str, str]) -> Operation[tuple[list[JobSnapshot], str | None]]:
        """A page of jobs, newest first, and the cursor of the next one if there is one."""
        return self.page_of("jobs", query, JobSnapshot.of)

    def page_of(
        self, name: str, query: Mapping[str, str], read: Callable[[dict[str, Any]], T]
    ) -> Operation[tuple[list[T], str | None]]:
        """A page of what a route lists under its own name, and the cursor of the next page if there is one."""
        try:
            response = yield from self.exchange(Call("GET", f"/{name}?{httpx.QueryParams(query)}", self.timeout))
        except NotFound:
            raise Refused(404, f"this URL is not a job API, or one that does not list {name}") from None
        page = document(response)
        try:
            return [read(each) for each in page[name]], page.get("next")
        except (KeyError, TypeError, msgspec.ValidationError, RecursionError):
            raise foreign(response) from None

    def stats(self) -> Operation[dict[str, Any]]:
        """What the API counts."""
        return document((yield from self.exchange(Call("GET", "/stats", self.timeout))))

    def openapi(self) -> Operation[dict[str, Any]]:
        """The OpenAPI document."""
        return document((yield from self.exchange(Call("GET", "/openapi.json", self.timeout))))

    def health(self) -> Operation[None]:
        """Return if the API is healthy."""
        yield from self.exchange(Call("GET", "/healthz", self.timeout))

    def job(self, job_id: str, then: str = "", *, repeatable: bool = True) -> Operation[httpx.Response]:
        """GET a job or, with `then`, POST to one of its routes."""
        call = Call("POST" if then else "GET", f"/jobs/{job_id}{then}", self.timeout)
        return self.exchange(call, repeatable=repeatable)

    def hold(self, job_id: str, seconds: float, delay: float, deadline: float | None) -> Operation[httpx.Response]:
        """GET a job. An API that can holds the answer until the job is final or the seconds are over."""
        patience = self.timeout if deadline is None else min(self.timeout, LATE_SECONDS)
        path = f"/jobs/{job_id}?wait={math.floor(seconds * 1_000) / 1_000:.3f}"
        call = Call("GET", path, seconds + patience, delay=delay, waits=True)
        return self.exchange(call, deadline=deadline)

    def exchange(
        self, call: Call, *, repeatable: bool = True, deadline: float | None = None
    ) -> Operation[httpx.Response]:
        """Send a request until it succeeds or sending it again makes no sense.

        Args:
            call: the request.
            repeatable: whether carrying it out twice does no harm. A DELETE that is repeated after it may have been
                carried out, and finds nothing, has succeeded.
            deadline: no try begins after this time, on the monotonic clock.

        Raises:
            Unreachable: there was no answer.
            Refused: the answer was no.
        """
        backoffs = _growing(FIRST_BACKOFF, LONGEST_BACKOFF, 2.0)
        tries, redirects, may_be_done = 0, 0, False
        if not self._patient:
            soon = time.monotonic() + call.delay + call.timeout
            deadline = soon if deadline is None else min(deadline, soon)
        while True:
            tries += 1
            after: float = 0
            try:
                response = yield call
            except httpx.RequestError as error:
                asked = error.request.url
                said = f"{shown(asked)} gave no answer{through(asked)}: {reason(error)}"
                failure: ClientError = Unreachable(said)
                again = not isinstance(error, HOPELESS) and (repeatable or isinstance(error, NEVER_SENT))
                may_be_done |= not isinstance(error, NEVER_SENT)
            else:
                status = response.status_code
                if response.is_success or (status == 404 and call.method == "DELETE" and may_be_done):
                    return response
                may_be_done |= status in UNCERTAIN
                if status == 303 and call.method == "GET" and redirects < MAX_REDIRECTS:
                    redirects += 1
                    call = replace(call, url=elsewhere(response), delay=0)
                    continue
                failure = refusal(response)
                after = retry_after(response) if status in REFUSED_FOR_NOW else 0
                again = status in REFUSED_FOR_NOW or (repeatable and status in UNCERTAIN)
            pause = after + random.uniform(0, next(backoffs))
            late = deadline is not None and time.monotonic() + pause > deadline
            if not again or late or tries > self._retries or after > LONGEST_RETRY_AFTER:
                raise failure
            call = replace(call, delay=pause)


class Following:
    """One job, and what its client knows about it.

    Args:
        api: the API that has it.
        job_id: its id.
        accepted_at: when this client got a 202 for it, on the monotonic clock; None if someone else submitted it.
        read_results: makes the function's results of JSON values.
        duplicate: whether the submission named a job that was there already.

    Raises:
        ValueError: no job can have that id.
    """

    def __init__(
        self,
        api: Api,
        job_id: str,
        accepted_at: float | None = None,
        read_results: ReadResults = lambda results: results,
        *,
        duplicate: bool = False,
    ) -> None:
        if not JOB_ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} cannot be a job's id: it must be {JOB_ID_RULE}")
        self.job_id = job_id
        self.duplicate = duplicate
        self._read_results = read_results
        self._api = api
        self._accepted_at = accepted_at
        self._seen: JobSnapshot | None = None

    def get(self) -> Operation[JobSnapshot]:
        """The job as it is now."""
        return self._look((yield from self._api.job(self.job_id)))

    def wait(self, timeout: float | None) -> Operation[JobSnapshot]:
        """The job, once it is final."""
        if timeout is not None and math.isnan(timeout):  # it would never be over, nor leave time to hold a request
            raise ValueError("timeout must be a number of seconds or None, not NaN")
        now = time.monotonic()
        deadline = None if timeout is None else now + timeout
        polls = _growing(FIRST_POLL, LONGEST_POLL, POLL_GROWTH)
        delay = 0.0
        while self._seen is None or not self._seen.status.is_final:
            left = HOLD_SECONDS if deadline is None else max(0.0, deadline - now - delay)
            hold = min(HOLD_SECONDS, left)
            after = yield from self._ask(hold, delay, deadline)
            now = time.monotonic()
            if self._seen is not None and self._seen.status.is_final:
                break
            if deadline is not None and now >= deadline:
                raise WaitTimeout(self.job_id, self._seen)
            # An API that cannot hold a request answers at once; so does one that is shutting down.
            delay = 0.0 if after is None else max(after, next(polls) * random.uniform(0.8, 1.0))
            delay = delay if deadline is None else min(delay, deadline - now)
        return self._seen

    def _ask(self, hold: float, delay: float, deadline: float | None) -> Operation[float | None]:
        """Look at the job. None if the API held the request for as long as it was asked to, else the least pause."""
        try:
            response = yield from self._api.hold(self.job_id, hold, delay, deadline)
        except NotFound:
            accepted_at = self._accepted_at
            if accepted_at is None or self._seen is not None or time.monotonic() > accepted_at + VISIBLE_SECONDS:
                raise
            return 0.0  # accepted and never seen: not visible yet
        except Unreachable as error:
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(self.job_id, self._seen) from error
            raise
        self._look(response)
        if response.elapsed.total_seconds() >= 0.9 * hold:
            return None
        after = retry_after(response)
        return min(after, LONGEST_POLL) if after > UNINFORMED_RETRY_AFTER else 0.0

    def result(self, timeout: float | None) -> Operation[Any]:
        """What the function returned."""
        job = yield from self.wait(timeout)
        if job.status is Status.CANCELED:
            raise AwaitedJobCanceled(job)
        if job.status is Status.FAILURE:
            raise JobFailed(job)
        return self._read_results(job.results)

    def cancel(self) -> Operation[JobSnapshot]:
        """Cancel the job. Canceling twice is the same as canceling once."""
        return self._look((yield from self._api.job(self.job_id, "/cancel")))

    def delete(self) -> Operation[None]:
        """Delete the job, which must have ended."""
        yield from self._api.exchange(Call("DELETE", f"/jobs/{self.job_id}", self._api.timeout))
        self._seen = self._accepted_at = None

    def run_now(self) -> Operation[None]:
        """Have a job that waits for its time wait no longer. A second request would find that it does not wait: 409."""
        yield from self._api.job(self.job_id, "/run-now", repeatable=False)

    def retry(self) -> Operation[None]:
        """Run the job again. Repeated only if it certainly was not done: two retries could mean two more runs."""
        yield from self._api.job(self.job_id, "/retry", repeatable=False)
        self._seen = None
        self._accepted_at = time.monotonic()

    def _look(self, response: httpx.Response) -> JobSnapshot:
        try:
            self._seen = JobSnapshot.of(document(response))
        except (msgspec.ValidationError, RecursionError):
            raise foreign(response) from None
        return self._seen


def proceed(operation: Operation[Any], answer: httpx.Response | httpx.RequestError) -> Call:
    """The operation's next request.

    Raises:
        StopIteration: there is none; its value is what the operation returns.
    """
    return operation.send(answer) if isinstance(answer, httpx.Response) else operation.throw(answer)


def list_query(status: str | None, type: str | None, page_size: int) -> dict[str, str]:  # noqa: A002
    """The query of the first page."""
    given = {"status": status, "type": type, "limit": str(page_size)}
    return {name: str(value) for name, value in given.items() if value is not None}


def _growing(first: float, longest: float, growth: float) -> Iterator[float]:
    while True:
        yield first
        first = min(first * growth, longest)
