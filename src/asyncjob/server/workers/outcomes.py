"""Records what became of attempts, and tells of it once it is saved.

Nothing is given up while the disk is full: the store writes again until there is room. Only when it is closed before
that are outcomes not saved; their jobs are still Running there, and the next server runs them again.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial

from asyncjob.job import Error, Status, now_ms
from asyncjob.registry import DEFAULT_RETRIES, Jobs
from asyncjob.runner import Failed
from asyncjob.server.events import JobEvent
from asyncjob.server.logs import log, log_each
from asyncjob.server.metrics import Metrics
from asyncjob.server.workers.channel import Advanced
from asyncjob.server.workers.quarantine import MAX_INTERRUPTIONS, SOLO_INTERRUPTIONS
from asyncjob.server.workers.running import Attempt
from asyncjob.store import FIRST, Lost, Store, Success, Suspect

MAX_BACKOFF_SECONDS = 300.0


class Outcomes:
    """What becomes of the attempts of one server.

    Args:
        store: where it is saved.
        jobs: the registry, for retries.
        backoff: seconds; the first further attempt waits up to so long, each one after it up to twice as long.
        changed: called with what became of a job, or how far it is, after that was saved.
        suspected: called with each suspect and the seconds that it is to wait before it may run.
        metrics: told how attempts go.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        backoff: float,
        changed: Callable[[JobEvent], None],
        suspected: Callable[[Suspect, float], None],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._backoff = backoff
        self._changed = changed
        self._suspected = suspected
        self._metrics = metrics

    def advanced(self, attempt: Attempt, told: Advanced) -> None:
        """It is so far. While one progress is on its way to the disk, only the newest that comes is kept."""
        if attempt.saving:
            attempt.newest = told
            return
        attempt.saving = True
        saving = self._store.progress(told.job_id, told.attempt, told.progress)
        saving.add_done_callback(partial(self._saved_progress, attempt, told))

    def _saved_progress(self, attempt: Attempt, told: Advanced, saved: "asyncio.Future[bool]") -> None:
        attempt.saving = False
        if saved.exception() is None and saved.result():  # one that was not saved is followed by another
            self._changed(JobEvent(told.job_id, attempt.type, Status.RUNNING, told.attempt, told.progress))
        self.save_newest(attempt)

    def save_newest(self, attempt: Attempt) -> None:
        """Save the progress that waits for its turn, if one does."""
        if attempt.newest is not None:
            newest, attempt.newest, attempt.saving = attempt.newest, None, False
            self.advanced(attempt, newest)

    def succeeded(self, ended: list[tuple[Attempt, bytes]]) -> None:
        """These attempts have returned; with each, its results as JSON."""
        for attempt, _ in ended:
            attempt.recorded = True
        successes = [Success(attempt.job_id, attempt.attempt, results) for attempt, results in ended]
        self._store.succeed(successes).add_done_callback(partial(self._saved_successes, ended))

    def _saved_successes(self, ended: list[tuple[Attempt, bytes]], saved: "asyncio.Future[list[bool]]") -> None:
        error = saved.exception()
        if error is not None:
            log(logging.ERROR, "outcomes not saved", jobs=len(ended), error=str(error))
            return
        done, types = [], []
        for (attempt, _), written in zip(ended, saved.result(), strict=True):
            if written:
                done.append(attempt.fields | {"outcome": "Success"})
                types.append(attempt.type)
                self._changed(attempt.becomes(Status.SUCCESS))
            else:
                log(logging.INFO, "late outcome refused", **attempt.fields)
        self._metrics.succeeded(types)
        log_each(logging.INFO, "job ended", done)

    def raised(self, attempt: Attempt, outcome: Failed) -> None:
        """The function has raised: that is its answer, unless it asked to run again."""
        if outcome.retryable:
            self.lost(attempt, outcome.error, outcome.traceback)
        else:
            self._fail(attempt, outcome.error, outcome.traceback)

    def lost(self, attempt: Attempt, error: Error, traceback: str = "", group_limit: int | None = None) -> None:
        """The attempt counts against its job's retries: it runs again while some are left, else it is a Failure.

        Args:
            attempt: which.
            error: how it was lost.
            traceback: for the log.
            group_limit: not None where the job is to run again as a suspect.
        """
        self._metrics.lost(attempt.type, error.type)
        known = attempt.type in self._jobs
        retries = self._jobs[attempt.type].retries if known else DEFAULT_RETRIES
        if attempt.losses >= retries:
            self._fail(attempt, error, traceback)
            return
        longest = min(MAX_BACKOFF_SECONDS, self._backoff * 2**attempt.losses)
        pause = random.uniform(0, longest)  # full jitter, over a range that doubles with each loss
        due_at = now_ms() + round(pause * 1000) if known else None

        def saved() -> None:
            log(
                logging.WARNING,
                "job repeated",
                **attempt.fields,
                error=error.type,
                again_in=f"{pause:.3g}s",
                exception=traceback,
            )
            self._goes_on(attempt, group_limit, pause)

        self._save(attempt, self._store.repeat(*_key(attempt), due_at, error, group_limit), saved)

    def put_back(self, attempt: Attempt, error: Error, reason: str, group_limit: int | None = None) -> None:
        """The attempt has ended by no fault of its job that is known: it runs again, and has lost no retry.

        Args:
            attempt: which.
            error: how it ended.
            reason: for the metrics: `worker_died`, `worker_stuck`.
            group_limit: not None where the job is to run again as a suspect.
        """

        def saved() -> None:
            self._metrics.put_back(reason)
            log(logging.WARNING, "job put back", **attempt.fields, reason=reason)
            self._goes_on(attempt, group_limit, 0)

        self._save(attempt, self._store.release(*_key(attempt), error, group_limit=group_limit), saved)

    def interrupted(self, lost: Lost) -> None:
        """An earlier server ended while the job ran. That counts by itself, and a job that did it cannot for ever."""
        times = lost.interruptions + 1
        attempt = Attempt(lost.job_id, lost.attempt, lost.type, lost.losses)
        if times >= MAX_INTERRUPTIONS:
            self._fail(attempt, Error("WorkerLost", f"the server ended while the job ran, {times} times in all"))
            return
        group_limit = 1 if times >= SOLO_INTERRUPTIONS else lost.group_limit
        attempt.suspect = None if group_limit is None else Suspect(*_key(attempt), group_limit, times)
        write = self._store.release(
            *_key(attempt),
            Error("WorkerLost", "the server ended while the job ran"),
            due_at=FIRST if lost.type in self._jobs else None,
            group_limit=group_limit,
            interrupted=True,
        )

        def saved() -> None:
            self._metrics.put_back("server_ended")
            log(logging.WARNING, "job put back", **attempt.fields, reason="server_ended")
            self._goes_on(attempt, group_limit, 0)

        self._save(attempt, write, saved)

    async def released(self, attempts: list[Attempt]) -> None:
        """The server stops: these have not ended in time, and go back to waiting."""
        for attempt in attempts:
            attempt.recorded = True
            log(logging.WARNING, "job released", **attempt.fields)
        releases = [
            self._store.hand_back(*_key(one), None if one.suspect is None else one.suspect.group_limit)
            for one in attempts
        ]
        for attempt, written in zip(attempts, await asyncio.gather(*releases, return_exceptions=True), strict=True):
            if isinstance(written, BaseException):  # still Running in the file: to the next server, interrupted
                log(logging.ERROR, "job not released", error=str(written))
            elif written:
                self._changed(attempt.becomes(Status.PENDING))

    def _fail(self, attempt: Attempt, error: Error, traceback: str = "") -> None:
        def saved() -> None:
            self._metrics.failed(attempt.type, error.type)
            log(
                logging.WARNING,
                "job ended",
                **attempt.fields,
                outcome="Failure",
                error=error.type,
                exception=traceback,
            )
            self._changed(attempt.becomes(Status.FAILURE))

        self._save(attempt, self._store.fail(*_key(attempt), error), saved)

    def _goes_on(self, attempt: Attempt, group_limit: int | None, pause: float) -> None:
        self._changed(attempt.becomes(Status.PENDING))
        if group_limit is not None and attempt.type in self._jobs:
            suspect = Suspect(attempt.job_id, attempt.attempt + 1, group_limit, attempt.interruptions)
            self._suspected(suspect, pause)

    def _save(self, attempt: Attempt, write: "asyncio.Future[bool]", saved: Callable[[], None]) -> None:
        """Once it is written what became of an attempt, call `saved`, unless the guard refused it."""
        attempt.recorded = True

        def done(written: "asyncio.Future[bool]") -> None:
            error = written.exception()
            if error is not None:
                log(logging.ERROR, "outcome not saved", **attempt.fields, error=str(error))
            elif written.result():
                saved()
            else:
                log(logging.INFO, "late outcome refused", **attempt.fields)

        write.add_done_callback(done)


def _key(attempt: Attempt) -> tuple[str, int]:
    return attempt.job_id, attempt.attempt
