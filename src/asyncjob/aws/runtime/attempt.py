"""One attempt of a job: its function runs in a thread or on the event loop while this thread watches the clock.

The thread that Lambda calls does not run the function, so it can write progress, learn that the job was canceled, and
record a timeout while the function goes on. Only this thread talks to the table.
"""

import math
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from asyncjob.aws.runtime.durable_item import Job, read
from asyncjob.aws.runtime.durable_job import Changed, tell
from asyncjob.aws.runtime.dynamodb import TableError, call
from asyncjob.context import JobContext, WorkerContext
from asyncjob.isolation import Isolation
from asyncjob.job import Progress
from asyncjob.lifespan import Resources
from asyncjob.loading import told
from asyncjob.registry import JobFunction, Jobs
from asyncjob.runner import Outcome, Unfinished, failed, finish, run, run_async
from asyncjob.signature import RegistrationError

if TYPE_CHECKING:
    from asyncjob.loop import EventLoop

PROGRESS_SECONDS = 1.0  # at least, between two writes of progress
LOOK_SECONDS = 5.0  # between two checks for a cancel, if nothing is written
CANCEL_SECONDS = 5.0  # what a function gets after a cancel, to clean up
PATIENCE_SECONDS = 0.5  # for either; the next one comes soon


class Attempt:
    """An attempt that was claimed.

    Args:
        function: what is to be run.
        job: as it was claimed.
        worker: this process, as its functions see it.
    """

    def __init__(self, function: JobFunction, job: Job, worker: WorkerContext) -> None:
        self.job = job
        self._progress: str | None = None
        self._function = function
        self._context = JobContext(job["jobId"], job["attempt"], self._tell, worker)
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()  # None: it now runs on the loop
        self._stop: Callable[[], Any] | None = None  # cancels an async function
        self._is_untold = False
        self._in_touch = time.monotonic()
        self._ends = math.inf  # on the monotonic clock, if the job is not this attempt's any more

    @property
    def is_given_up(self) -> bool:
        """Whether the job was canceled, or is another attempt's by now."""
        return self._ends < math.inf

    @property
    def untold(self) -> str | None:
        """The newest progress as JSON text, where it has not been written yet."""
        return self._progress if self._is_untold else None

    def start(self, parameters: bytes) -> None:
        """Start the function beside this thread."""
        context = _isolation().context()
        if self._function.is_async:
            _loop().start([(self._finish(run_async(self._function, self._context, parameters)), context)])
        else:
            threading.Thread(target=self._run, args=[parameters, context], daemon=True).start()

    def _run(self, parameters: bytes, context: Context) -> None:
        try:
            outcome = context.run(run, self._function, self._context, parameters)
        except BaseException as error:  # thrown into this thread between the function and its outcome
            outcome = failed(self._function, error)
        _isolation().restore()
        if isinstance(outcome, Unfinished):
            _loop().start([(self._finish(finish(self._function, outcome)), context)])
        else:
            self._outcomes.put(outcome)

    async def _finish(self, running: Coroutine[Any, Any, Outcome]) -> None:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        self._stop = task.cancel
        self._outcomes.put(None)
        if self._context.canceled:
            task.cancel()
        try:
            outcome = await running
        except BaseException:  # no memory is left to say what happened: Lambda notices that the process has ended
            os._exit(1)
        _isolation().restore()
        self._outcomes.put(outcome)

    def wait(self, until: float) -> Outcome | None:
        """Its outcome, or None if there is none by `until`, a time of the monotonic clock, or soon after a cancel."""
        while True:
            left = min(until, self._ends) - time.monotonic()
            try:
                outcome = self._outcomes.get(timeout=max(0, min(left, self._pause())))
                if outcome is not None:
                    return outcome
            except queue.Empty:
                if left <= 0:
                    return None
                self._keep_in_touch()

    def cancel(self) -> None:
        """Tell the function that there is no point in going on. An async one learns it at its next await."""
        self._context.cancel()
        if self._stop is not None:
            _loop().call(self._stop)

    def _tell(self, progress: Progress) -> None:
        self._progress = msgspec.json.encode(progress).decode()
        self._is_untold = True

    def _pause(self) -> float:
        """Seconds until the next call to the table."""
        if self._context.canceled:
            return math.inf
        return PROGRESS_SECONDS if self._function.takes_context else LOOK_SECONDS

    def _keep_in_touch(self) -> None:
        """Write new progress; without any, check from time to time that the job is still this attempt's."""
        due = self._in_touch + (PROGRESS_SECONDS if self._is_untold else LOOK_SECONDS) <= time.monotonic()
        if not due or self._context.canceled:
            return
        until = time.time() + PATIENCE_SECONDS
        try:
            still = self._written(until) if self._is_untold else self._found(until)
        except TableError:
            still = True  # not known; the next check will tell
        self._in_touch = time.monotonic()
        if not still:
            self._ends = time.monotonic() + CANCEL_SECONDS
            self.cancel()

    def _written(self, until: float) -> bool:
        self._is_untold = False
        try:
            tell(self.job, str(self._progress), until)
        except Changed:
            return False
        except TableError:
            self._is_untold = True
            raise
        return True

    def _found(self, until: float) -> bool:
        request: dict[str, Any] = {
            "TableName": os.environ["TABLE"],
            "Key": {"jobId": {"S": self.job["jobId"]}},
            "ConsistentRead": True,
            "ProjectionExpression": "#status, attempt, createdAt",
            "ExpressionAttributeNames": {"#status": "status"},
        }
        found = call("GetItem", request, until).get("Item", {})
        return read(found) == {name: self.job[name] for name in ("status", "attempt", "createdAt")}


def start_worker(jobs: Jobs) -> WorkerContext:
    """Begin the lifespan: this process as its functions see it, with the resources that are made for them.

    Raises:
        RegistrationError: the lifespan failed.
    """
    worker, lifespan = WorkerContext(), jobs.worker_lifespan
    if lifespan is not None:
        try:
            Resources(lifespan, worker, _isolation().context(), _loop).start()
        except BaseException as error:
            raise RegistrationError(f"the lifespan {lifespan.name} failed: {told(error)}") from error
        _isolation().restore()
    return worker


@cache
def _loop() -> "EventLoop":
    """One loop for all async jobs, made for the first of them."""
    from asyncjob.loop import EventLoop

    return EventLoop()


@cache
def _isolation() -> Isolation:
    """The state of the process before its first job, when the functions have been imported."""
    return Isolation()
