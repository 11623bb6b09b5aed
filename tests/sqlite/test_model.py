"""A random walk: limits, priorities, delays and pauses against a real file, with a clock that jumps, and kills.

Whatever is done in whatever order, no limit is ever passed, no job is lost, none starves, and within one priority jobs
go in the order of submission. A kill is a copy of the file as it is at one moment, with writes under way, in which the
next server goes on.
"""

import asyncio
import os
import random
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from asyncjob.contract import Submission
from asyncjob.job import Error, Status, milliseconds, timestamp
from asyncjob.options import NONE, Options
from asyncjob.policies import Limit, Rate
from asyncjob.sqlite.backup import backup
from asyncjob.sqlite.store import SqliteStore
from asyncjob.store import Change, Claim, Claims, Lost, Observer, Success, Suspect
from tests.store.conftest import Clock, clock
from tests.store.opened import function_of

__all__ = ["clock"]  # a fixture

STEPS = int(os.environ.get("ASYNCJOB_MODEL_STEPS", "1500"))
SLOTS = 10
ERROR = Error("ValueError", "no")
PER = "key"
FUNCTIONS = {
    function.name: function
    for function in (
        function_of("free"),
        function_of("few", concurrency=3),
        function_of("keyed", concurrency=[4, Limit(2, per=PER)]),
        function_of("rated", rate="3/10s"),
        function_of("keyrated", rate=Rate("2/10s", per=PER), concurrency=3),
        function_of("all", concurrency=[5, Limit(1, per=PER)], rate=["6/20s", Rate("2/20s", per=PER)]),
    )
}
KEYS = "abc"
GOES_ON = ("fail, going on", "repeat, going on")


class Walk:
    """One walk, and what is known of it."""

    def __init__(self, folder: Path, clock: Clock, seed: int) -> None:
        self.folder = folder
        self.clock = clock
        self.random = random.Random(seed)
        self.lives = 0
        self.dying = False
        self.store = SqliteStore(folder / "jobs-0.db")
        self.running: dict[str, Claim | Lost] = {}
        self.suspects: list[Suspect] = []
        self.going_on: dict[tuple[str, int], tuple[str, str | None]] = {}  # attempts that have ended and are not gone
        self.promised: set[str] = set()  # jobs whose submission was answered
        self.writes: list[asyncio.Future[Any]] = []
        self.next_due: int | None = None
        self.offset = 0  # what the clock was set back by, in all
        self.starts: dict[tuple[str, int], tuple[int, str, str | None]] = {}
        self.last_claimed: dict[int, int] = {}  # the last sequence of each priority that was claimed, of free jobs
        self.counted = 0

    # -- the life of a server --------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self.store.start(Observer(self._claimed))
        await self.store.take_over(FUNCTIONS.values())
        self.suspects = self.store.suspects(FUNCTIONS)
        self.running, self.going_on = {}, {}
        for lost in self.store.lost():
            await self.store.release(lost.job_id, lost.attempt, ERROR, group_limit=lost.group_limit, interrupted=True)
            if lost.group_limit is not None:
                self.suspects.append(Suspect(lost.job_id, lost.attempt + 1, lost.group_limit))
        self.store.offer(SLOTS)
        self.store.wake()

    async def kill(self) -> None:
        """Go on in a copy of the file; what is being written is in it or not."""
        for _ in range(self.random.randrange(3)):
            await asyncio.sleep(0)
        self.lives += 1
        self.dying = True  # what is answered from now on may not be in the copy
        copy = self.folder / f"jobs-{self.lives}.db"
        await asyncio.to_thread(backup, Path(self.store.place), copy, lambda *_: None)
        await self.store.close()
        self.writes.clear()
        self.store, self.dying = SqliteStore(copy), False
        self.note_starts()
        await self.start()

    def _claimed(self, claims: Claims) -> None:
        self.next_due = claims.next_due
        for claim in claims.jobs:
            assert claim.job_id not in self.running, "it runs twice"
            self.running[claim.job_id] = claim
            self._check_order(claim)
        self.check_limits()

    # -- what must hold --------------------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[Any]:
        return self.store._lookup._connection.execute(sql, values).fetchall()

    def check_limits(self) -> None:
        running: dict[tuple[str, str | None], int] = defaultdict(int)
        for name, key, count in self.rows(
            "SELECT type, limit_key, count(*) FROM job WHERE status = 'Running' GROUP BY type, limit_key"
        ):
            running[name, None] += count
            running[name, f"key {key}"] += count
        for name, key in self.going_on.values():
            running[name, None] += 1
            running[name, f"key {key}"] += 1
        for (name, key), count in running.items():
            limits = FUNCTIONS[name].limits
            limit = limits.concurrency if key is None else limits.concurrency_per_key
            assert limit is None or count <= limit.count, (name, key, count)
        self.counted += 1

    def _check_order(self, claim: Claim) -> None:
        if self.dying:  # the copy may not have this claim, and make it again
            return
        (row,) = self.rows("SELECT sequence, priority, options FROM job WHERE job_id = ?", claim.job_id)
        sequence, priority, options = row
        if claim.type == "free" and claim.attempt == 1 and "delay" not in (options or ""):
            assert sequence > self.last_claimed.get(priority, 0), "it went before one that was submitted earlier"
            self.last_claimed[priority] = sequence

    def note_starts(self) -> None:
        """The starts since this was last called, on a clock that is never set back."""
        for job_id, attempt, started_at, name, key in self.rows(
            "SELECT job_id, attempt, started_at, type, limit_key FROM job WHERE started_at IS NOT NULL"
            " UNION ALL SELECT attempt.job_id, attempt.attempt, attempt.started_at, type, limit_key"
            " FROM attempt JOIN job USING (job_id) WHERE attempt.started_at IS NOT NULL"
        ):
            self.starts.setdefault((job_id, attempt), (milliseconds(started_at) + self.offset, name, key))

    def check_rates(self) -> None:
        times: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for time, name, key in self.starts.values():
            times[name, None].append(time)
            times[name, f"key {key}"].append(time)
        for (name, key), starts in times.items():
            limits = FUNCTIONS[name].limits
            rate = limits.rate if key is None else limits.rate_per_key
            if rate is not None:
                _check_rate(sorted(starts), rate)

    # -- steps -----------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        steps = [
            (self.submit, 40),
            (self.end, 40),
            (self.cancel, 3),
            (self.go, 5),
            (self.admit, 6),
            (self.retry, 2),
            (self.delete, 2),
            (self.run_now, 2),
            (self.pass_time, 12),
            (self.settle, 8),
            (self.set_back, 0.5),
            (self.kill, 0.5),
        ]
        chosen = self.random.choices([step for step, _ in steps], [weight for _, weight in steps])[0]
        done = chosen()
        if done is not None:
            await done

    def submit(self) -> None:
        number = len(self.promised) + len(self.writes) + self.random.randrange(10**9)
        job_id, name, key = f"job-{number}", self.random.choice([*FUNCTIONS]), self.random.choice(KEYS)
        options: dict[str, Any] = {}
        if self.random.random() < 0.3:
            options["priority"] = self.random.choice([-10, -1, 1, 10])
        if self.random.random() < 0.2:
            options["delay"] = self.random.choice([0.5, 5, 30])
        if self.random.random() < 0.1:
            options["start_by"] = timestamp(self.clock.now + self.random.randrange(20_000))
        submission = _submission(name, key, options)
        saving = self.store.submit(job_id, submission)
        saving.add_done_callback(lambda saved: self._promise(job_id))
        self.writes.append(saving)

    def _promise(self, job_id: str) -> None:
        if not self.dying:
            self.promised.add(job_id)

    def end(self) -> None:
        waiting = list(self.running.values())
        if not waiting:
            return
        job = self.random.choice(waiting)
        del self.running[job.job_id]
        key, pause, store = (job.job_id, job.attempt), self.random.choice([0, 300, 9_000]), self.store
        how = self.random.choice(["succeed"] * 6 + ["fail", "repeat", "postpone", "release", "suspect", *GOES_ON])
        write: asyncio.Future[Any]
        store.offer(1)
        if how == "succeed":
            write = store.succeed([Success(*key, b"1")])
        elif how == "fail":
            write = store.fail(*key, ERROR)
        elif how == "repeat":
            write = store.repeat(*key, pause, ERROR)
        elif how in GOES_ON:
            write = (
                store.fail(*key, ERROR, goes_on=True)
                if how == "fail, going on"
                else store.repeat(*key, pause, ERROR, goes_on=True)
            )
            write.add_done_callback(lambda done: self._goes_on(key, done.result()))
        elif how == "postpone":
            write = store.postpone(*key, pause, ERROR)
        elif how == "release":
            write = store.release(*key, ERROR)
        else:
            write = store.release(*key, ERROR, group_limit=2)
            self.suspects.append(Suspect(job.job_id, job.attempt + 1, 2))
        self.writes.append(write)

    def _goes_on(self, attempt: tuple[str, int], has_ended: bool) -> None:
        if has_ended and not self.dying:
            (row,) = self.rows("SELECT type, limit_key FROM job WHERE job_id = ?", attempt[0])
            self.going_on[attempt] = row

    def go(self) -> None:
        if self.going_on:
            attempt = self.random.choice([*self.going_on])
            del self.going_on[attempt]
            self.store.gone(*attempt)

    def admit(self) -> None:
        self.random.shuffle(self.suspects)
        admitted, self.suspects = self.suspects[:3], self.suspects[3:]
        if admitted:
            self.writes.append(self.store.admit(admitted))

    def _any(self, status: Status) -> str | None:
        rows = self.rows("SELECT job_id FROM job WHERE status = ? ORDER BY random() LIMIT 1", status)
        return rows[0][0] if rows else None

    def cancel(self) -> None:
        job_id = self._any(self.random.choice([Status.PENDING, Status.RUNNING]))
        if job_id is not None:
            if self.running.pop(job_id, None) is not None:
                self.store.offer(1)
            canceling = self.store.cancel(job_id)
            canceling.add_done_callback(lambda done: self._canceled(job_id, done.result()))
            self.writes.append(canceling)

    def _canceled(self, job_id: str, change: Change) -> None:
        self._goes_on((job_id, change.attempt), change.applied and change.before is Status.RUNNING)
        running = self.running.get(job_id)
        if running is not None and running.attempt == change.attempt:  # it was claimed meanwhile
            del self.running[job_id]
            self.store.offer(1)

    def retry(self) -> None:
        job_id = self._any(self.random.choice([Status.SUCCESS, Status.FAILURE, Status.CANCELED]))
        if job_id is not None:
            self.writes.append(self.store.retry(job_id))

    def delete(self) -> None:
        job_id = self._any(self.random.choice([Status.SUCCESS, Status.FAILURE, Status.CANCELED]))
        if job_id is not None:
            self.promised.discard(job_id)
            self.writes.append(self.store.delete(job_id))

    def run_now(self) -> None:
        job_id = self._any(Status.PENDING)
        if job_id is not None:
            self.writes.append(self.store.run_now(job_id))

    async def pass_time(self) -> None:
        await self.settle()
        self.clock.now += self.random.choice([1, 100, 1_000, 5_000])
        self.store.wake()

    async def set_back(self) -> None:
        await self.settle()
        self.note_starts()
        by = self.random.choice([1, 3_000, 100_000])
        self.clock.now -= by
        self.offset += by
        self.store.wake()

    async def settle(self) -> None:
        """Wait until all writes are done, and all that follows from them."""
        await asyncio.gather(*self.writes)
        self.writes.clear()
        for _ in range(3):
            await self.store._writer.do(lambda connection: None)
        await asyncio.sleep(0)
        self.check_limits()

    async def drain(self) -> None:
        """End everything: nothing may wait for ever."""
        for _ in range(20_000):
            await self.settle()
            self.admit()
            self.go()
            if self.running:
                for job in list(self.running.values()):
                    del self.running[job.job_id]
                    self.store.offer(1)
                    self.writes.append(self.store.succeed([Success(job.job_id, job.attempt, b"1")]))
            elif self.store.pending + self.store.scheduled + len(self.going_on) == 0:
                return
            elif not (self.writes or self.going_on):
                assert self.next_due is not None, "something waits, and nothing will wake it"
                self.clock.now = max(self.clock.now + 1, self.next_due)
                self.store.wake()
        raise AssertionError("something never runs")


def _submission(name: str, key: str, options: dict[str, Any]) -> Submission:
    return Submission(UNSET, name, b'{"key":"%b"}' % key.encode(), Options(**options) if options else NONE)


def _check_rate(starts: Sequence[int], rate: Rate) -> None:
    for first, later in zip(starts, starts[rate.count :], strict=False):
        assert later - first >= rate.seconds * 1000, f"{rate.count + 1} starts in {later - first} ms"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_no_walk_passes_a_limit_loses_a_job_or_keeps_one_waiting_for_ever(
    tmp_path: Path, clock: Clock, seed: int
) -> None:
    async def test() -> None:
        walk = Walk(tmp_path, clock, seed)
        await walk.start()
        for _ in range(STEPS):
            await walk.step()
        await walk.drain()
        walk.note_starts()
        walk.check_rates()
        found = dict(walk.rows("SELECT job_id, status FROM job"))
        assert walk.promised <= found.keys(), "a job was lost"
        assert {*found.values()} <= {"Success", "Failure", "Canceled"}
        leftovers = "SELECT count(*) FROM job WHERE coalesce(due_at, run_at, pause, stage, turn) IS NOT NULL"
        assert walk.rows(leftovers) == [(0,)]
        assert walk.rows("SELECT count(*) FROM gate") == [(0,)]
        assert (walk.store.pending, walk.store.scheduled, walk.store.limited) == (0, 0, 0)
        assert walk.store.lingering == 0
        assert len(walk.starts) > STEPS / 10 and walk.counted > STEPS / 10
        await walk.store.close()
        with sqlite3.connect(walk.store.place) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()

    asyncio.run(test())
