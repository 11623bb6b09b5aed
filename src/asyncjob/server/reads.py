"""What clients ask of the engine about jobs without changing any: get, wait, list, attempts, notifications, counts."""

import asyncio
import logging
from collections.abc import AsyncGenerator

from msgspec import UNSET

from asyncjob.contract import ListQuery, LogQuery, PageQuery
from asyncjob.job import Job, Status, timestamp
from asyncjob.job_log import Level, LogLine, Place
from asyncjob.server.refusals import NotFound, Unavailable
from asyncjob.server.throughput import MOMENT_SECONDS, Throughput
from asyncjob.server.watchers import Watchers
from asyncjob.store import Attempt, Delivery, KeptLine, Shown, Store

MAX_WAITING_PAGES = 128  # lists that may wait to be read
PAGE_WAIT_SECONDS = 10.0  # for a list to be read


class Reads:
    """The part of the engine that reads.

    Attributes:
        watchers: who waits for single jobs.

    Args:
        store: where the jobs are.
        watchers: as above.
        throughput: how many jobs ended lately.
    """

    def __init__(self, store: Store, watchers: Watchers, throughput: Throughput) -> None:
        self.watchers = watchers
        self._store = store
        self._throughput = throughput
        self._stopping = asyncio.Event()

    def get(self, job_id: str) -> Job:
        """The job as it is now.

        Raises:
            NotFound: there is none.
        """
        job = self._store.find(job_id)
        if job is None:
            raise NotFound
        return job

    def show(self, job_id: str) -> Shown:
        """The same as JSON, which costs half as much; raises what `get` raises."""
        shown = self._store.show(job_id)
        if shown is None:
            raise NotFound
        return shown

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job, as soon as it is final or the seconds are over.

        Raises:
            NotFound: there is none, or it was deleted meanwhile.
        """
        try:
            with self.watchers.watching(job_id) as changed:
                async with asyncio.timeout(seconds):
                    while not (job := self.get(job_id)).status.is_final and not self._stopping.is_set():
                        changed.clear()
                        await changed.wait()
                    return job
        except TimeoutError:
            return self.get(job_id)

    def stream(self, job_id: str, last_id: str | None, *, logs: bool = False) -> AsyncGenerator[bytes, None]:
        """The events of a job, until it is final, with the lines of its log if wanted; see `Watchers.stream`."""

        def read_log(after: Place) -> list[LogLine]:
            return [_shown(line) for line in self._store.logs.of_job(job_id, LogQuery(after=after))[0]]

        return self.watchers.stream(job_id, last_id, self._store.find, read_log if logs else None)

    def attempts(self, job_id: str, query: PageQuery) -> tuple[list[Attempt], int | None]:
        """A page of a job's attempts, oldest first, and the cursor of the next page if there is one.

        Raises:
            NotFound: there is no such job.
        """
        job = self.get(job_id)
        attempts, is_full = self._store.earlier_attempts(job_id, query.after, query.limit)
        if is_full:
            return attempts, attempts[-1].attempt
        error = job.error if job.status is Status.FAILURE else UNSET  # of a Pending job, it is the last attempt's
        now = Attempt(job.attempt, job.status, job.started_at, job.finished_at, error)
        return [*attempts, *([now] if query.after < job.attempt else [])], None

    def logs(self, job_id: str, query: LogQuery) -> tuple[list[LogLine], int | None]:
        """A page of a job's log, oldest line first, and the cursor of the next page if there is one.

        Raises:
            NotFound: there is no such job.
        """
        self.show(job_id)
        lines, is_full = self._store.logs.of_job(job_id, query)
        return [_shown(line) for line in lines], Place(*lines[-1][1:3]).cursor if is_full else None

    def deliveries(self, job_id: str, query: PageQuery) -> tuple[list[Delivery], int | None]:
        """A page of a job's notifications, one for each time that it ended, and the cursor of the next page.

        Raises:
            NotFound: there is no such job.
        """
        self.get(job_id)
        return self._store.deliveries.of_job(job_id, query.after, query.limit)

    async def stats(self, of_type: str | None = None) -> dict[str, object]:
        """How many jobs, of one type or of all, have each status, and how many ended in each of the last moments."""
        return {
            "jobs": await self._store.counts(of_type),
            "ended": {"seconds": MOMENT_SECONDS, "counts": self._throughput.last(of_type)},
        }

    async def page(self, query: ListQuery) -> tuple[list[Job], int | None]:
        """A page of jobs, newest first, and the cursor of the next page if there is one.

        Raises:
            Unavailable: so many lists are waiting that this one is not reached soon.
        """
        if self._store.waiting_pages >= MAX_WAITING_PAGES:
            raise Unavailable(f"{MAX_WAITING_PAGES} lists are waiting already; try again later")
        try:
            async with asyncio.timeout(PAGE_WAIT_SECONDS):
                return await self._store.page(query)
        except TimeoutError:
            message = f"so many lists are waiting that this one was not read within {PAGE_WAIT_SECONDS:g} seconds"
            raise Unavailable(f"{message}; try again later") from None


def _shown(line: KeptLine) -> LogLine:
    return LogLine(
        at=timestamp(line.at),
        attempt=line.attempt,
        number=line.number,
        level=Level[logging.getLevelName(line.level)],
        logger=line.logger or UNSET,
        message=line.message,
        traceback=line.traceback or UNSET,
        left_out=line.left_out or UNSET,
    )
