"""A store that keeps jobs in memory. It passes the suite, and shows what a store needs.

Every verb is its own transaction and is done at once. Its claims follow in the next turn of the event loop.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from msgspec import UNSET, Raw, UnsetType, json, structs

from asyncjob.context import MAX_POSTPONEMENTS
from asyncjob.contract import ListQuery, Submission
from asyncjob.job import TRANSITIONS, Error, Job, Progress, Status, milliseconds, now_ms, timestamp, utc_now
from asyncjob.keys import limit_key, unique_key
from asyncjob.policies import Unique
from asyncjob.registry import JobFunction
from asyncjob.store import (
    FIRST,
    LEVEL_MS,
    Attempt,
    Change,
    Claim,
    Claims,
    Duplicate,
    Expired,
    Lost,
    Observer,
    Shown,
    Success,
    Suspect,
    Told,
    notification_of,
)
from tests.store.memory_deliveries import MemoryDeliveries
from tests.store.memory_gates import MemoryGates
from tests.store.memory_kept import NOWHERE, Kept, Place, Row, Sent
from tests.store.memory_logs import MemoryLogs
from tests.store.memory_schedules import MemorySchedules

Result = TypeVar("Result")


class MemoryStore(MemoryGates):
    """Jobs in memory, for one server at a time."""

    place = "memory"
    waiting_pages = 0

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept)
        self._observer = Observer()
        self._now = 0
        self._expired: list[Expired] = []
        self._suspects: list[Suspect] = []
        self._is_closed = False
        self.slots = 0
        self.deliveries = MemoryDeliveries(kept)
        self.logs = MemoryLogs(kept)
        self.schedules = MemorySchedules(self, kept.schedules)

    async def start(self, observer: Observer) -> None:
        self._observer = observer

    def fault(self) -> None:
        return None

    async def close(self) -> None:
        self._is_closed = True
        self._observer = Observer()
        self.slots = 0

    # -- claims --------------------------------------------------------------------------------------------------

    def offer(self, slots: int) -> None:
        self.slots += slots

    def wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._claim)

    async def stop_claiming(self) -> None:
        self.slots -= 2**62

    def _done(self, result: Result) -> "asyncio.Future[Result]":
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        done.set_result(result)
        self.wake()
        return done

    def _claim(self) -> None:
        if self._is_closed:  # what a wake before that has left
            return
        now = now_ms()
        self._promote(now)
        for one in self._kept.waiting.values() if now < self._now else ():  # the clock was set back
            if one.place.rank is not None:
                latest = now - one.priority * LEVEL_MS
                self._move(one, one.place._replace(rank=min(one.place.rank, latest)))
        self._now = now
        self._next(now)  # whoever may passes the gate of its key, even if nothing is claimed
        claims: list[Claim] = []
        while len(claims) < self.slots and (row := self._next(now)) is not None:
            job = row.job
            if not self._expire_if_late(row, now):
                claims.append(row.claim(row.place.rank or FIRST))
                self._write("claim", job.job_id, job.attempt, started_at=timestamp(now), error=UNSET)
                for name in {(job.type, None), (job.type, row.key)} if self._limits(row) else ():
                    self._kept.starts.setdefault(name, []).append(now)
        wanting = self._wanting(now, self.slots - len(claims))
        self.slots -= len(claims)
        times = [row.place.run_at or 0 for row in self._timed()]
        expired, self._expired = self._expired, []
        suspects, self._suspects = self._suspects, []
        self._observer.claimed(
            Claims(claims, min([*times, *self._openings(now)], default=None), expired, suspects, wanting)
        )

    @staticmethod
    def _is_late(row: Row, now: int) -> bool:
        start_by = row.submission.options.start_by_ms
        waits = row.job.status is Status.PENDING and row.job.attempt == 1
        return waits and start_by is not None and start_by < now

    def _expire_if_late(self, row: Row, now: int) -> bool:
        job, start_by = row.job, row.submission.options.start_by_ms
        if start_by is None or not self._is_late(row, now):
            return False
        error = Error("Expired", f"it had not begun by {timestamp(start_by)}")
        self._write("expire", job.job_id, 1, error=error, finished_at=timestamp(now))
        self._expired.append(Expired(job.job_id, 1, job.type))
        return True

    # -- whose turn it is ----------------------------------------------------------------------------------------

    def _next(self, now: int) -> Row | None:
        """The job to claim next, after whoever may has passed the gate of its key."""
        waiting = sorted((row for row in self._kept.waiting.values() if row.place.rank is not None), key=_in_order)
        for row in waiting:
            if row.place.stage == 0 and self._may_pass(row, now):
                self._move(row, Place(rank=now - row.priority * LEVEL_MS, stage=1))
        ready = (row for row in waiting if self._is_ready(row, now))
        return min(ready, key=_in_order, default=None)

    def _the_same(self, row: Row, unique: Unique, now: int) -> str | None:
        """The id of another job that is in the way of this one, after those that are too late have ended."""
        for one in list(self._kept.jobs.values()):
            if one.same == row.same and one is not row:
                self._expire_if_late(one, now)
        return self._in_the_way(row.same, unique, now, row)

    def _in_the_way(self, same: str | None, unique: Unique, now: int, besides: Row | None = None) -> str | None:
        for one in reversed(self._kept.jobs.values()):
            if one.same != same or one is besides or self._is_late(one, now):
                continue
            status, job = one.job.status, one.job
            if unique.while_ == "waiting":
                is_in_the_way = status is Status.PENDING and job.attempt == 1
            elif unique.while_ == "unfinished":
                is_in_the_way = not status.is_final
            else:
                age = now - milliseconds(job.created_at)
                is_in_the_way = status not in (Status.FAILURE, Status.CANCELED)
                is_in_the_way &= abs(age) <= (unique.within or 0) * 1000
            if is_in_the_way:
                return job.job_id
        return None

    # -- time ----------------------------------------------------------------------------------------------------

    def _timed(self) -> list[Row]:
        return [row for row in self._kept.waiting.values() if row.place.run_at is not None]

    def _promote(self, now: int) -> None:
        for row in self._timed():
            run_at, pause = row.place.run_at or 0, row.place.pause
            if pause is not None and run_at - pause > now:  # the clock was set back
                self._move(row, Place(run_at=now + pause, pause=pause))
            elif run_at <= now and row.group_limit is not None:
                self._move(row, NOWHERE)
                if self._functions is None or row.job.type in self._functions:
                    self._suspects.append(self._suspect(row))
            elif run_at <= now:
                self._move(row, self._ready(row, run_at))

    def _ready(self, row: Row, since: int) -> Place:
        if self._functions is not None and row.job.type not in self._functions:
            return NOWHERE
        limits, rank = self._limits(row), since and since - row.priority * LEVEL_MS
        return Place(rank=rank, stage=(1 if limits.per is None else 0) if limits else None)

    def _after(self, row: Row, pause: int, now: int) -> Place:
        return Place(run_at=now + pause, pause=pause) if pause > 0 else self._ready(row, now)

    def _move(self, row: Row, place: Place) -> None:
        row.place = place
        row.job = structs.replace(row.job, run_at=UNSET if place.run_at is None else timestamp(place.run_at))

    def admit(self, suspects: Sequence[Suspect]) -> "asyncio.Future[list[bool]]":
        admitted = []
        for suspect in suspects:
            row = self._kept.waiting.get(suspect.job_id)
            waits = row is not None and row.job.attempt == suspect.attempt and row.group_limit is not None
            if row is not None and waits:
                self._move(row, self._ready(row, FIRST))
            admitted.append(waits)
        return self._done(admitted)

    # -- writes --------------------------------------------------------------------------------------------------

    def submit(
        self, job_id: str, submission: Submission, traceparent: str | None = None
    ) -> "asyncio.Future[Submission | Duplicate | None]":
        answer: asyncio.Future[Submission | Duplicate | None] = asyncio.get_running_loop().create_future()
        self.insert(answer, job_id, submission, traceparent)
        return answer

    def insert(self, told: Told, job_id: str, submission: Submission, traceparent: str | None = None) -> None:
        if job_id in self._kept.jobs:
            asyncio.get_running_loop().call_soon(_tell, told, self._kept.jobs[job_id].submission)
            return
        now, options = now_ms(), submission.options
        function = None if self._functions is None else self._functions.get(submission.type)
        priority = options.priority
        if priority is None:
            priority = 0 if function is None else function.priority
        self._kept.count += 1
        job = Job(
            job_id=job_id,
            type=submission.type,
            status=Status.PENDING,
            parameters=Raw(submission.parameters),
            attempt=1,
            priority=priority or UNSET,
            created_at=timestamp(now),
            start_by=UNSET if options.start_by_ms is None else timestamp(options.start_by_ms),
        )
        saved = structs.replace(submission, job_id=job_id)
        row = Row(self._kept.count, job, saved, traceparent, priority)
        if function is not None:
            row.key = limit_key(function, submission.parameters)
            row.same = unique_key(function, submission.parameters)
            if function.unique is not None and (same := self._the_same(row, function.unique, now)) is not None:
                asyncio.get_running_loop().call_soon(_tell, told, Duplicate(same))
                return
        run_at = options.run_at_ms
        later = Place(run_at=run_at) if run_at is not None and run_at > now else None
        self._move(row, later or self._after(row, options.pause_ms, now))
        self._kept.jobs[job_id] = self._kept.waiting[job_id] = row
        asyncio.get_running_loop().call_soon(_tell, told, None)  # before the job is claimed
        self.wake()

    def find_same(self, submission: Submission) -> Duplicate | None:
        function = None if self._functions is None else self._functions.get(submission.type)
        if function is None or function.unique is None:
            return None
        same = unique_key(function, submission.parameters)
        found = self._in_the_way(same, function.unique, now_ms())
        return None if found is None else Duplicate(found)

    def cancel(self, job_id: str) -> "asyncio.Future[Change]":
        change = self._change("cancel", job_id, finished_at=utc_now(), error=UNSET)
        self._go_on(job_id, change.result().attempt, change.result().before is Status.RUNNING)
        return change

    def retry(self, job_id: str) -> "asyncio.Future[Change]":
        row = self._kept.jobs.get(job_id)
        function = None if row is None or self._functions is None else self._functions.get(row.job.type)
        if row is not None and function is not None:
            row.key = limit_key(function, row.submission.parameters)
            if row.job.status.is_final and function.unique is not None and function.unique.while_ == "unfinished":
                same = self._the_same(row, function.unique, now_ms())
                if same is not None:
                    return self._done(Change(row.job.status, row.job.attempt, applied=False, duplicate=same))
        change = self._change("retry", job_id, results=UNSET, error=UNSET, finished_at=UNSET)
        if change.result().applied:
            row = self._kept.jobs[job_id]
            row.losses, row.interruptions, row.postponements, row.group_limit = 0, 0, 0, None
            self._move(row, self._ready(row, now_ms()))
        return change

    def delete(self, job_id: str) -> "asyncio.Future[Change]":
        row = self._kept.jobs.get(job_id)
        if row is None:
            return self._done(Change(None, 0, applied=False))
        if row.job.status.is_final:
            self._delete(row)
        return self._done(Change(row.job.status, row.job.attempt, row.job.status.is_final))

    def run_now(self, job_id: str) -> "asyncio.Future[Change]":
        row = self._kept.jobs.get(job_id)
        if row is None:
            return self._done(Change(None, 0, applied=False))
        waits = row.place.run_at is not None
        if waits:
            if row.group_limit is None:
                self._move(row, self._ready(row, now_ms()))
            else:
                self._move(row, NOWHERE)
                self._suspects.append(self._suspect(row))
        return self._done(Change(row.job.status, row.job.attempt, waits))

    def progress(self, job_id: str, attempt: int, progress: Progress) -> "asyncio.Future[bool]":
        row = self._kept.jobs.get(job_id)
        if row is None or (row.job.status, row.job.attempt) != (Status.RUNNING, attempt):
            return self._done(False)
        row.job = structs.replace(row.job, progress=progress)
        return self._done(True)

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        now = utc_now()
        ended = [(one, {"results": Raw(one.results), "finished_at": now}) for one in successes]
        return self._done([self._write("succeed", one.job_id, one.attempt, **values) for one, values in ended])

    def fail(self, job_id: str, attempt: int, error: Error, *, goes_on: bool = False) -> "asyncio.Future[bool]":
        written = self._write("fail", job_id, attempt, error=error, finished_at=utc_now())
        self._go_on(job_id, attempt, written and goes_on)
        return self._done(written)

    def repeat(
        self,
        job_id: str,
        attempt: int,
        pause: int,
        error: Error,
        group_limit: int | None = None,
        *,
        goes_on: bool = False,
    ) -> "asyncio.Future[bool]":
        written = self._put_back("repeat", (job_id, attempt), pause, error, group_limit)
        if written:
            self._kept.jobs[job_id].losses += 1
        self._go_on(job_id, attempt, written and goes_on)
        return self._done(written)

    def _go_on(self, job_id: str, attempt: int, goes_on: bool) -> None:
        if goes_on and self._limits(self._kept.jobs[job_id]):
            self._going_on[job_id, attempt] = self._kept.jobs[job_id]

    def gone(self, job_id: str, attempt: int) -> None:
        self._going_on.pop((job_id, attempt), None)
        self.wake()

    @property
    def lingering(self) -> int:
        return len(self._going_on)

    def postpone(self, job_id: str, attempt: int, pause: int, error: Error) -> "asyncio.Future[Status | None]":
        row = self._kept.jobs.get(job_id)
        if row is not None and row.postponements >= MAX_POSTPONEMENTS:
            over = Error("RetryLater", f"it was postponed {MAX_POSTPONEMENTS:,} times; last: {error.message}")
            failed = self._write("fail", job_id, attempt, error=over, finished_at=utc_now())
            return self._done(Status.FAILURE if failed else None)
        written = self._put_back("postpone", (job_id, attempt), pause, error, None)
        if row is not None and written:
            row.postponements += 1
        return self._done(Status.PENDING if written else None)

    def release(
        self,
        job_id: str,
        attempt: int,
        error: Error,
        *,
        group_limit: int | None = None,
        interrupted: bool = False,
    ) -> "asyncio.Future[bool]":
        written = self._put_back("release", (job_id, attempt), None, error, group_limit)
        if written:
            self._kept.jobs[job_id].interruptions += interrupted
        return self._done(written)

    def hand_back(self, job_id: str, attempt: int, group_limit: int | None = None) -> "asyncio.Future[bool]":
        return self._done(self._put_back("release", (job_id, attempt), None, UNSET, group_limit))

    def _put_back(
        self,
        name: str,
        key: tuple[str, int],
        pause: int | None,
        error: Error | UnsetType,
        group_limit: int | None,
    ) -> bool:
        if not self._write(name, *key, error=UNSET if name == "release" else error):
            return False
        row = self._kept.jobs[key[0]]
        row.group_limit = group_limit
        if group_limit is not None:
            self._move(row, Place(run_at=now_ms() + pause, pause=pause) if pause else NOWHERE)
        else:
            self._move(row, self._ready(row, FIRST) if pause is None else self._after(row, pause, now_ms()))
        ended = Status.FAILURE if name == "repeat" else Status.PENDING
        row.earlier[-1] = structs.replace(row.earlier[-1], status=ended, error=error)
        return True

    def _change(self, name: str, job_id: str, **values: Any) -> "asyncio.Future[Change]":
        if job_id not in self._kept.jobs:
            return self._done(Change(None, 0, applied=False))
        job = self._kept.jobs[job_id].job
        return self._done(Change(job.status, job.attempt, self._write(name, job_id, job.attempt, **values)))

    def _write(self, name: str, job_id: str, attempt: int, **values: Any) -> bool:
        """One transition: the only place where a status changes."""
        row, transition = self._kept.jobs.get(job_id), TRANSITIONS[name]
        if row is None or row.job.status not in transition.sources or row.job.attempt != attempt:
            return False
        job = row.job
        if transition.next_attempt:
            ended_at = utc_now() if job.finished_at is UNSET else job.finished_at
            row.earlier.append(Attempt(job.attempt, job.status, job.started_at, ended_at, job.error))
            values |= {"attempt": job.attempt + 1, "started_at": UNSET, "progress": UNSET}
        row.job = structs.replace(job, status=transition.target, **values)
        if transition.target is Status.PENDING:
            self._kept.waiting[job_id] = row
        else:
            self._kept.waiting.pop(job_id, None)
            self._move(row, NOWHERE)
        if transition.target.is_final and (url := row.submission.options.notify) is not None:
            self._kept.count += 1
            new = notification_of(row.job, url)
            self._kept.told[new.id] = Sent(self._kept.count, new, new.created_ms)
        return True

    # -- reads ---------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        return len(self._kept.waiting) - self.scheduled

    @property
    def scheduled(self) -> int:
        return len(self._timed())

    @property
    def limited(self) -> int:
        return sum(row.place.stage is not None for row in self._kept.waiting.values())

    def find(self, job_id: str) -> Job | None:
        row = self._kept.jobs.get(job_id)
        return None if row is None else row.job

    def show(self, job_id: str) -> Shown | None:
        job = self.find(job_id)
        return None if job is None else Shown(json.encode(job), job.status.is_final, job.created_at)

    def find_submission(self, job_id: str) -> Submission | None:
        row = self._kept.jobs.get(job_id)
        return None if row is None else row.submission

    def earlier_attempts(self, job_id: str, after: int, limit: int) -> tuple[list[Attempt], bool]:
        row = self._kept.jobs.get(job_id)
        found = [] if row is None else [one for one in row.earlier if one.attempt > after][:limit]
        return found, len(found) == limit

    async def page(self, query: ListQuery) -> tuple[list[Job], int | None]:
        before = self._kept.count + 1 if query.before is None else query.before
        found = (
            row
            for row in reversed(self._kept.jobs.values())
            if row.sequence < before and query.status in (None, row.job.status) and query.type in (None, row.job.type)
        )
        rows = list(islice(found, query.limit + 1))
        more = rows[query.limit - 1].sequence if len(rows) > query.limit else None
        return [row.job for row in rows[: query.limit]], more

    async def counts(self, of_type: str | None = None) -> dict[Status, int]:
        found = [row.job.status for row in self._kept.jobs.values() if of_type in (None, row.job.type)]
        return {status: found.count(status) for status in Status}

    # -- taking over, tidying up ---------------------------------------------------------------------------------

    async def take_over(self, functions: Iterable[JobFunction]) -> dict[str, int]:
        self._functions = {function.name: function for function in functions}
        now, parked = now_ms(), list[str]()
        for row in self._kept.jobs.values():
            if row.job.type in self._functions:
                row.key = limit_key(self._functions[row.job.type], row.submission.parameters)
                row.same = unique_key(self._functions[row.job.type], row.submission.parameters)
        for row in self._kept.waiting.values():
            if row.group_limit is not None and row.place.run_at is None:
                self._move(row, NOWHERE)
            elif row.place.run_at is None:
                rank = row.place.rank
                since = now if rank is None else min(now, rank and rank + row.priority * LEVEL_MS)
                self._move(row, self._ready(row, since))
            if row.job.type not in self._functions:
                parked.append(row.job.type)
        return await self._done({name: parked.count(name) for name in parked})

    def lost(self) -> list[Lost]:
        return [row.lost() for row in self._kept.jobs.values() if row.job.status is Status.RUNNING]

    def suspects(self, types: Iterable[str]) -> list[Suspect]:
        known = set(types)
        waiting = [row for row in self._kept.waiting.values() if row.group_limit is not None]
        return [self._suspect(row) for row in waiting if row.place.run_at is None and row.job.type in known]

    @staticmethod
    def _suspect(row: Row) -> Suspect:
        return Suspect(row.job.job_id, row.job.attempt, row.group_limit or 1, row.interruptions)

    async def purge(self, before: str, after: int, limit: int) -> tuple[int, int | None]:
        rows = list(islice((row for row in self._kept.jobs.values() if row.sequence > after), limit))
        old = [row for row in rows if row.job.finished_at is not UNSET and row.job.finished_at < before]
        for row in old:
            self._delete(row)
        over = len(rows) < limit or rows[-1].job.created_at >= before
        return await self._done((len(old), None if over else rows[-1].sequence))

    def _delete(self, row: Row) -> None:
        del self._kept.jobs[row.job.job_id]
        self.deliveries.forget(row.job.job_id)
        self.schedules.forget(row.job)


def _tell(told: Told, earlier: Submission | Duplicate | None) -> None:
    if not told.done():
        told.set_result(earlier)


def _in_order(row: Row) -> tuple[int, int]:
    assert row.place.rank is not None
    return row.place.rank, row.sequence
