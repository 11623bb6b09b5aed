"""Decides and records what becomes of attempts, and tells of it once it is saved.

No outcome is given up while the disk is full: the store writes again until there is room. Only if it is closed before
that are outcomes not saved; their jobs are still Running there, and the next server runs them again.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from functools import partial

from asyncjob.job import Error, Status
from asyncjob.registry import DEFAULT_RETRIES, Jobs
from asyncjob.runner import Failed, Postponed
from asyncjob.server.endings import Ending, Reason, Tell
from asyncjob.server.logs import log, log_each
from asyncjob.server.workers.quarantine import MAX_INTERRUPTIONS, SOLO_INTERRUPTIONS, half
from asyncjob.server.workers.running import RunningAttempt, Worker
from asyncjob.store import Lost, Store, Success, Suspect

Explain = Callable[[RunningAttempt, int, Error, str], None]

MAX_BACKOFF_SECONDS = 300.0
TOO_OFTEN = "RetryLater"  # the error of a job that was postponed more often than the store lets it be


class Outcomes:
    """What becomes of the attempts of one server.

    Args:
        store: where it is saved.
        jobs: the registry, for retries.
        backoff: seconds; the second attempt waits up to that long, each further one up to twice as long.
        tell: called with what became of a job after that was saved.
        succeeded: called in its place with all attempts whose results were saved together.
        suspected: called with each suspect that may run now.
        explain: called with an attempt, a level, an error and a traceback, which go into the job's own log.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        backoff: float,
        tell: Tell,
        succeeded: Callable[[Sequence[RunningAttempt]], None],
        suspected: Callable[[Suspect], None],
        explain: Explain,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._backoff = backoff
        self._tell = tell
        self._succeeded = succeeded
        self._suspected = suspected
        self._explain = explain

    # -- the function has answered -------------------------------------------------------------------------------

    def succeeded(self, attempts: Sequence[RunningAttempt], results: Sequence[bytes]) -> None:
        """These attempts have returned these results, as JSON."""
        successes = []
        for attempt, text in zip(attempts, results, strict=True):
            attempt.recorded = True
            successes.append(Success(attempt.job_id, attempt.attempt, text))
        self._store.succeed(successes).add_done_callback(partial(self._saved_successes, attempts))

    def _saved_successes(self, attempts: Sequence[RunningAttempt], saved: "asyncio.Future[list[bool]]") -> None:
        error = saved.exception()
        if error is not None:
            log(logging.ERROR, "outcomes not saved", jobs=len(attempts), error=str(error))
            return
        done = []
        for attempt, written in zip(attempts, saved.result(), strict=True):
            if written:
                done.append(attempt)
            else:
                log(logging.INFO, "late outcome refused", **attempt.fields)
                self._forget_if_over(attempt)
        self._succeeded(done)
        log_each(logging.INFO, "job ended", [attempt.key for attempt in done], outcome="Success")

    def raised(self, attempt: RunningAttempt, outcome: Failed | Postponed) -> None:
        """The function raised: that is its answer, unless it asked to run again."""
        if isinstance(outcome, Postponed):
            self._postpone(attempt, outcome)
        elif outcome.retryable:
            self.lost(attempt, outcome.error, outcome.traceback)
        else:
            self._fail(attempt, outcome.error, outcome.traceback)

    def _postpone(self, attempt: RunningAttempt, outcome: Postponed) -> None:
        error = outcome.error
        self._explain(attempt, logging.INFO, error, outcome.traceback)
        write = self._store.postpone(*attempt.key, round(outcome.seconds * 1000), error)

        def saved() -> None:
            if write.result() is Status.FAILURE:
                log(logging.WARNING, "job ended", **attempt.fields, outcome="Failure", error=TOO_OFTEN)
                self._tell(attempt.becomes(Status.FAILURE), Ending(TOO_OFTEN))
            else:
                told = {"error": error.type, "again_in": f"{outcome.seconds:.3g}s"}
                log(logging.INFO, "job postponed", **attempt.fields, **told)
                self._tell(attempt.becomes(Status.PENDING), Ending(error.type, Reason.POSTPONED))

        self._save(attempt, write, saved)

    # -- it has not ----------------------------------------------------------------------------------------------

    def lost(
        self,
        attempt: RunningAttempt,
        error: Error,
        traceback: str = "",
        group_limit: int | None = None,
        *,
        goes_on: bool = False,
    ) -> None:
        """The attempt counts against its job's retries: the job runs again while some are left, else it is a Failure.

        Args:
            attempt: which.
            error: how it was lost.
            traceback: for the log.
            group_limit: not None if the job runs again as a suspect.
            goes_on: whether its function may still run.
        """
        known = attempt.type in self._jobs
        retries = self._jobs[attempt.type].retries if known else DEFAULT_RETRIES
        if attempt.losses >= retries:
            self._fail(attempt, error, traceback, Reason.LOST, goes_on=goes_on)
            return
        pause = self._pause(attempt)
        self._explain(attempt, logging.WARNING, error, traceback)

        def saved() -> None:
            more = {"error": error.type, "again_in": f"{pause:.3g}s", "exception": traceback}
            log(logging.WARNING, "job repeated", **attempt.fields, **more)
            # A suspect that waits for a time is told of by the store, when that has come.
            self._goes_on(attempt, Ending(error.type, Reason.LOST), None if milliseconds else group_limit)

        milliseconds = round(pause * 1000)
        write = self._store.repeat(*attempt.key, milliseconds, error, group_limit, goes_on=goes_on)
        self._save(attempt, write, saved)

    def _pause(self, attempt: RunningAttempt) -> float:
        """Seconds before the next attempt. Only losses make it longer, neither interruptions nor RetryLater."""
        backoff = self._jobs[attempt.type].backoff if attempt.type in self._jobs else None
        if backoff is not None:
            return backoff.pause(attempt.losses)
        longest = min(MAX_BACKOFF_SECONDS, self._backoff * 2**attempt.losses)
        return random.uniform(0, longest)  # full jitter, over a range that doubles with each loss

    def put_back(self, attempt: RunningAttempt, error: Error, reason: Reason, group_limit: int | None = None) -> None:
        """The attempt ended, but not by any known fault of its job: it runs again and loses no retry.

        Args:
            attempt: which.
            error: how it ended.
            reason: what ended it.
            group_limit: not None if the job runs again as a suspect.
        """
        self._explain(attempt, logging.WARNING, error, "")
        write = self._store.release(*attempt.key, error, group_limit=group_limit)
        self._save_put_back(attempt, write, Ending(error.type, reason), group_limit)

    def died(self, worker: Worker, attempt: RunningAttempt, together: int, how: str) -> None:
        """The worker died with this attempt in it, which is charged only if it is known to have done it.

        Args:
            worker: which.
            attempt: which.
            together: how many attempts it ran.
            how: with what exit status.
        """
        if worker.stuck:
            killed = "the worker was killed: another job overran its timeout and kept it from answering"
            self.put_back(attempt, Error("WorkerLost", killed), Reason.WORKER_STUCK)
        elif together == 1:
            error = Error("WorkerLost", f"the worker died ({how}); this job ran alone in it")
            self.lost(attempt, error, group_limit=1)
        else:
            died = f"the worker died ({how}) with {together:,} jobs in it; which ended it is not known"
            self.put_back(attempt, Error("WorkerLost", died), Reason.WORKER_DIED, half(together))

    def interrupted(self, lost: Lost) -> None:
        """An earlier server ended while the job ran. This has a count and a limit of its own: the job may have done it.

        Args:
            lost: as the store found it.
        """
        times = lost.interruptions + 1
        attempt = RunningAttempt(lost.job_id, lost.attempt, lost.type, lost.losses)
        if times >= MAX_INTERRUPTIONS:
            self._fail(attempt, Error("WorkerLost", f"the server ended while the job ran, {times} times in all"))
            return
        group_limit = 1 if times >= SOLO_INTERRUPTIONS else lost.group_limit
        if lost.type in self._jobs and self._jobs[lost.type].own_process is not None:
            group_limit = None  # it is apart from others as it is
        attempt.suspect = None if group_limit is None else Suspect(*attempt.key, group_limit, times)
        error = Error("WorkerLost", "the server ended while the job ran")
        self._explain(attempt, logging.WARNING, error, "")
        write = self._store.release(*attempt.key, error, group_limit=group_limit, interrupted=True)
        self._save_put_back(attempt, write, Ending(error.type, Reason.SERVER_ENDED), group_limit)

    async def released(self, attempts: list[RunningAttempt]) -> None:
        """The server stops: these have not ended in time and go back to waiting."""
        for attempt in attempts:
            attempt.recorded = True
            log(logging.WARNING, "job released", **attempt.fields)
        writes = [self._store.hand_back(*attempt.key, attempt.group_limit) for attempt in attempts]
        for attempt, written in zip(attempts, await asyncio.gather(*writes, return_exceptions=True), strict=True):
            if isinstance(written, BaseException):  # still Running in the store: to the next server, interrupted
                log(logging.ERROR, "job not released", error=str(written))
            elif written:
                self._tell(attempt.becomes(Status.PENDING))

    def let_go(self, attempt: RunningAttempt) -> None:
        """The function has gone on for too long after its job has ended: its limits count it no longer."""
        if not attempt.over and attempt.type in self._jobs and self._jobs[attempt.type].limits:
            log(logging.WARNING, "job goes on although it has ended, and is not limited any longer", **attempt.fields)
            self._store.gone(*attempt.key)

    # -- inside --------------------------------------------------------------------------------------------------

    def _fail(
        self,
        attempt: RunningAttempt,
        error: Error,
        traceback: str = "",
        reason: Reason = Reason.ANSWER,
        *,
        goes_on: bool = False,
    ) -> None:
        def saved() -> None:
            more = {"outcome": "Failure", "error": error.type, "exception": traceback}
            log(logging.WARNING, "job ended", **attempt.fields, **more)
            self._tell(attempt.becomes(Status.FAILURE), Ending(error.type, reason))

        self._explain(attempt, logging.ERROR, error, traceback)
        self._save(attempt, self._store.fail(*attempt.key, error, goes_on=goes_on), saved)

    def _save_put_back(
        self, attempt: RunningAttempt, write: "asyncio.Future[bool]", ending: Ending, group_limit: int | None
    ) -> None:
        def saved() -> None:
            log(logging.WARNING, "job put back", **attempt.fields, reason=ending.reason)
            self._goes_on(attempt, ending, group_limit)

        self._save(attempt, write, saved)

    def _goes_on(self, attempt: RunningAttempt, ending: Ending, group_limit: int | None) -> None:
        self._tell(attempt.becomes(Status.PENDING), ending)
        if group_limit is not None and attempt.type in self._jobs:
            suspect = Suspect(attempt.job_id, attempt.attempt + 1, group_limit, attempt.interruptions)
            self._suspected(suspect)

    def _save(
        self,
        attempt: RunningAttempt,
        write: "asyncio.Future[bool] | asyncio.Future[Status | None]",
        saved: Callable[[], None],
    ) -> None:
        """Call `saved` once the outcome is written, unless the guard refused it."""
        attempt.recorded = True

        def done(_: object) -> None:
            error = write.exception()
            if error is not None:
                log(logging.ERROR, "outcome not saved", **attempt.fields, error=str(error))
            elif write.result():
                saved()
            else:
                log(logging.INFO, "late outcome refused", **attempt.fields)
            self._forget_if_over(attempt)

        write.add_done_callback(done)

    def _forget_if_over(self, attempt: RunningAttempt) -> None:
        """What was said of its end may have come before its end was saved, as that may take several tries."""
        if attempt.over and self._store.lingering:
            self._store.gone(*attempt.key)
