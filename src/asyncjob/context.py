"""What a running job function can ask and say: its id, its progress, whether it was canceled, its wait for another job.

It has a file of its own because the registry recognises the annotation and the engines make the object, and neither may
import the other.
"""

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, cast

from msgspec import UNSET

from asyncjob import durations
from asyncjob.job import Progress, writable

MAX_PROGRESS_MESSAGE = 1_000
MAX_POSTPONEMENTS = 1_000  # of one job, by RetryLater; then it is a Failure

Waited_co = TypeVar("Waited_co", covariant=True)


class JobCanceled(BaseException):
    """The job was canceled while its function ran. Clean up, and let it pass.

    Like asyncio's CancelledError it is not an Exception: `except Exception` in a loop must not swallow it.
    """


class RetryLater(Exception):
    """Raise it to have the job run again after a while: what it needs is not there yet.

    This counts against a bound of its own, and not against the function's `retries`.

    Args:
        seconds: the pause before the next attempt: 0 or more, or text such as `"5m"`.
        reason: why, for whoever looks at the job meanwhile.

    Raises:
        ValueError: the pause is no such length of time.
    """

    def __init__(self, seconds: float | str, reason: str = "") -> None:
        self.seconds = durations.seconds(seconds)
        self.reason = reason or f"again in {self.seconds:g} seconds"
        super().__init__(self.seconds, self.reason)  # both: one that another process raised is made anew from them

    def __str__(self) -> str:
        return str(self.reason)


class WorkerContext:
    """A process that runs job functions, as its lifespan is handed it.

    Engines derive a class from it, for what they do when a job waits for another.

    Attributes:
        worker: the number of its place among the workers, from 0; the process that takes a dead one's place has it too.
        resources: what its lifespan has yielded; None before that, and without one.
    """

    def __init__(self, worker: int = 0) -> None:
        self.worker = worker
        self.resources: Any = None

    def give_up(self, job: "JobContext") -> None:
        """The job begins to wait for another one, and needs no place until `take_back`."""

    def take_back(self, job: "JobContext", resumed: Callable[[], None]) -> None:
        """The job has waited. Call `resumed`, in any thread, once it has a place again."""
        resumed()


ALONE = WorkerContext()


class Handle(Protocol[Waited_co]):
    """A JobHandle; or an AsyncJobHandle, whose `wait` returns an awaitable."""

    def wait(self, timeout: float | None = None) -> Waited_co:
        """Wait until the job has ended."""


class JobContext:
    """Handed to a job function whose first parameter is annotated with this class.

    Attributes:
        job_id: the job's id, as the client sees it.
        attempt: 1 for the first run of the job, one more for each further run.
        traceparent: the trace that the job belongs to, as W3C Trace Context writes it: what the submission's request
            brought or, where the server makes spans, the submission's own. None if there is none, and on AWS.
    """

    def __init__(
        self,
        job_id: str,
        attempt: int,
        report: Callable[[Progress], None] = lambda progress: None,
        process: WorkerContext = ALONE,
        traceparent: str | None = None,
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.traceparent = traceparent
        self._report = report
        self._process = process
        self._canceled = False
        self._wakers: tuple[Callable[[], None], ...] = ()

    @property
    def canceled(self) -> bool:
        """True once the job was canceled or its time is up; its outcome will not be recorded."""
        return self._canceled

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the job is; `GET /jobs/{jobId}` shows it.

        Call it as often as you like: progress that the engine has not written yet is replaced by newer progress.

        Args:
            fraction: from 0 to 1; anything beyond counts as the nearer of the two, and NaN as 0.
            message: a few words; at most 1,000 characters are kept.

        Raises:
            JobCanceled: the job was canceled or its time is up, and there is no point in going on.
        """
        self.check()
        told = UNSET if message is None else writable(str(message), MAX_PROGRESS_MESSAGE)
        self._report(Progress(_within(fraction), told))

    @property
    def resources(self) -> Any:
        """What the lifespan of this process has yielded; None without one. All its jobs share it."""
        return self._process.resources

    @property
    def worker(self) -> int:
        """The number of this process's place among the workers, from 0; see WorkerContext."""
        return self._process.worker

    def check(self) -> None:
        """Find out whether there is a point in going on.

        Raises:
            JobCanceled: the job was canceled or its time is up.
        """
        if self._canceled:
            raise JobCanceled(f"job {self.job_id} was canceled")

    def wait(self, handle: Handle[Waited_co], timeout: float | None = None) -> Waited_co:
        """Wait for another job as `handle.wait` does, without a place of its own meanwhile, so that others can run.

        A job that waits for several at once, in threads or tasks of its own, has no place until the last wait is over.

        Args:
            handle: of the other job; with one of an AsyncClient, this is to be awaited.
            timeout: seconds; None for as long as it takes. A place must be free again before the wait is over, which
                may take longer.

        Returns:
            The job that was waited for.

        Raises:
            JobCanceled: this job was canceled or its time is up.
            WaitTimeout: the other one has not ended in time; a TimeoutError.
        """
        if inspect.iscoroutinefunction(handle.wait):
            return cast(Waited_co, self._wait_async(cast(Handle[Awaitable[Any]], handle), timeout))
        self.check()
        self._process.give_up(self)
        try:
            return handle.wait(timeout)
        finally:
            if not self._canceled:
                self._take_back()

    def _take_back(self) -> None:
        back = threading.Event()
        self._process.take_back(self, back.set)
        with self.waking(back.set):
            back.wait()
        self.check()

    async def _wait_async(self, handle: Handle[Awaitable[Any]], timeout: float | None) -> Any:  # noqa: ASYNC109
        self.check()
        self._process.give_up(self)
        try:
            return await handle.wait(timeout)
        finally:
            if not self._canceled:
                await self._take_back_async()

    async def _take_back_async(self) -> None:
        import asyncio

        loop, back = asyncio.get_running_loop(), asyncio.Event()

        def resumed() -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(back.set)

        self._process.take_back(self, resumed)
        with self.waking(resumed):
            await back.wait()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """For whoever waits in the job's name: `wake` is called, in any thread, if the job is or was canceled."""
        with _of_wakers:
            self._wakers = (*self._wakers, wake)
            canceled = self._canceled
        try:
            if canceled:
                wake()
            yield
        finally:
            with _of_wakers:
                self._wakers = tuple(one for one in self._wakers if one is not wake)

    def cancel(self) -> None:
        """For engines: make `canceled` true, and have `progress` and all that waits raise from now on."""
        with _of_wakers:
            self._canceled = True
            wakers = self._wakers
        for wake in wakers:
            wake()


running: ContextVar[JobContext | None] = ContextVar("asyncjob_running", default=None)
"""The context of the job that runs here, if one does: what it calls need not be handed it."""

asking: ContextVar[bool] = ContextVar("asyncjob_asking", default=False)
"""Whether a client of this library asks an API here: what the HTTP library logs of that is no line of a job."""

_of_wakers = threading.Lock()


def _within(fraction: float) -> float:
    try:
        return min(1.0, max(0.0, float(fraction)))
    except OverflowError:  # an int larger than any float
        return float(fraction > 0)
