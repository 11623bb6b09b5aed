"""Schedules, as clients and the code ask for them. timer.py begins what is due.

What code declares belongs to the code: a client can pause it, resume it and run it now, and that is kept over restarts.
What a client puts belongs to the client, and stays whatever the code says.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from asyncjob.contract import PageQuery
from asyncjob.job import new_job_id, now_ms
from asyncjob.plans import Plan, declared_plans
from asyncjob.registry import Jobs
from asyncjob.server.admission import Admission, Submitted, not_saved
from asyncjob.server.logs import log
from asyncjob.server.refusals import Conflict, Full, NotFound, Refusal, Unavailable
from asyncjob.server.timer import Timer, next_after
from asyncjob.server.webhooks.receivers import NotifyPolicy
from asyncjob.signature import RegistrationError
from asyncjob.store import Begin, Firing, NotSaved, Scheduled, Store

MAX_SCHEDULES = 10_000  # beyond which clients may make no more
TRIES = 10  # to run one now that begins a job by itself meanwhile

Result = TypeVar("Result")


class Schedules:
    """The schedules of one server.

    Args:
        jobs: the registry, with what the code declares.
        store: where they are.
        policy: who may be notified.
        admission: whether one more job may wait.
        tell: is called with the id and the type of each job that was begun.

    Raises:
        RegistrationError: the code declares what this server may not do.
    """

    def __init__(
        self,
        jobs: Jobs,
        store: Store,
        policy: NotifyPolicy,
        admission: Admission,
        tell: Callable[[str, str], None],
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._policy = policy
        self._admission = admission
        self._tell = tell
        self._timer = Timer(store.schedules, jobs.names, admission.room, self._begun)
        self._declared = declared_plans(jobs)
        for schedule_id, plan in self._declared.items():
            try:
                self._check_plan(plan)
            except Refusal as refusal:
                raise RegistrationError(f"the schedule {schedule_id!r}: {refusal.message}") from None

    @property
    def outcomes(self) -> Counter[str]:
        """How many occurrences were `begun`, `overlapping` or `missed`."""
        return self._timer.outcomes

    @property
    def lateness(self) -> int:
        """For how many seconds the occurrence that has waited longest is due."""
        return self._timer.lateness

    async def start(self) -> None:
        """Save what the code declares, and begin what is due from now on.

        Raises:
            StoreError: it cannot be saved, or read.
        """
        now = now_ms()
        declared = {schedule_id: (plan, next_after(plan, now)) for schedule_id, plan in self._declared.items()}
        for schedule_id in await self._store.schedules.declare(declared):
            log(logging.WARNING, "the code does not declare a schedule any more: deleted", schedule=schedule_id)
        self._warn()
        await self._timer.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._timer.stop()

    def _warn(self) -> None:
        after: int | None = 0
        while after is not None:
            schedules, after = self._store.schedules.page(after, 100)
            for schedule in schedules:
                if schedule.plan.type not in self._jobs:
                    name, type_ = schedule.schedule_id, schedule.plan.type
                    log(
                        logging.WARNING,
                        "a schedule waits for a function that is not registered",
                        schedule=name,
                        type=type_,
                    )

    def page(self, query: PageQuery) -> tuple[list[Scheduled], int | None]:
        """A page of schedules in the order in which they were made, and the cursor of the next page if there is one."""
        return self._store.schedules.page(query.after, query.limit)

    def get(self, schedule_id: str) -> Scheduled:
        """The schedule as it is now.

        Raises:
            NotFound: there is none.
        """
        found = self._store.schedules.find(schedule_id)
        if found is None:
            raise NotFound
        return found

    async def put(self, schedule_id: str, plan: Plan) -> Scheduled:
        """Make a client's schedule, or have it do something else. It begins with its next occurrence.

        Raises:
            NotAllowed: its `options.notify` names a URL that this server does not notify.
            Conflict: the code declares a schedule with that id.
            Full: there are too many schedules.
            Unavailable: it cannot be saved.
        """
        self._admission.check()
        self._check_plan(plan)
        saving = self._store.schedules.put(schedule_id, plan, next_after(plan, now_ms()), MAX_SCHEDULES)
        saved = await _saved(saving)
        if saved is None:
            raise Full(f"there are {MAX_SCHEDULES:,} schedules already: delete some")
        if not saved:
            raise Conflict(f"the code declares the schedule {schedule_id}: change it there, or pause it")
        log(logging.INFO, "schedule saved", schedule=schedule_id)
        return self._changed(schedule_id)

    async def remove(self, schedule_id: str) -> None:
        """Delete a client's schedule. Jobs that it has begun stay.

        Raises:
            NotFound: there is none.
            Conflict: the code declares it.
            Unavailable: nothing can be saved.
        """
        self._admission.check()
        removed = await _saved(self._store.schedules.remove(schedule_id))
        if removed is None:
            raise NotFound
        if not removed:
            raise Conflict(f"the code declares the schedule {schedule_id}: take it out there, or pause it")
        log(logging.INFO, "schedule deleted", schedule=schedule_id)

    async def pause(self, schedule_id: str) -> Scheduled:
        """Have a schedule begin nothing until it is resumed. To pause it again changes nothing.

        Raises:
            NotFound: there is none.
            Unavailable: nothing can be saved.
        """
        self._admission.check()
        if not await _saved(self._store.schedules.pause(schedule_id)):
            raise NotFound
        log(logging.INFO, "schedule paused", schedule=schedule_id)
        return self._changed(schedule_id)

    async def resume(self, schedule_id: str) -> Scheduled:
        """Have a paused schedule go on with its next occurrence. Those meanwhile are not made up for.

        Raises:
            NotFound: there is none.
            Unavailable: nothing can be saved.
        """
        self._admission.check()
        next_at = next_after(self.get(schedule_id).plan, now_ms())
        if not await _saved(self._store.schedules.resume(schedule_id, next_at)):
            raise NotFound
        log(logging.INFO, "schedule resumed", schedule=schedule_id)
        return self._changed(schedule_id)

    async def run_now(self, schedule_id: str) -> Submitted:
        """Begin a job beside its occurrences, paused or not.

        Returns:
            The job; if its function is `unique`, perhaps one that was there already.

        Raises:
            NotFound: there is none.
            Conflict: its function is not registered any more, or its last job has not ended and it must not overlap.
            Full: too many jobs are waiting.
            Unavailable: nothing can be saved.
        """
        self._admission.check()
        for _ in range(TRIES):
            schedule = self.get(schedule_id)
            if schedule.plan.type not in self._jobs:
                raise Conflict(f"no function {schedule.plan.type!r} is registered any more")
            if (full := self._admission.full(schedule.plan.options)) is not None:
                raise full
            job_id = f"{schedule_id}~now-{new_job_id()}"
            firing = Firing(schedule, [Begin(job_id, now_ms())], schedule.next_at, schedule.handled_at)
            (fired,) = await _saved(self._store.schedules.fire([firing]))
            if fired.overlapping is not None:
                raise Conflict(f"the last job of {schedule_id}, {fired.overlapping}, has not ended")
            if fired.applied:
                self._begun(schedule.plan, fired.begun)
                (begun,) = fired.begun or fired.there
                return Submitted(begun, is_duplicate=not fired.begun)
        raise Unavailable(f"the schedule {schedule_id} changes too fast; try again later")

    def _begun(self, plan: Plan, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._tell(job_id, plan.type)

    def _changed(self, schedule_id: str) -> Scheduled:
        self._timer.wake()
        return self.get(schedule_id)

    def _check_plan(self, plan: Plan) -> None:
        if plan.options.notify is not None:
            self._policy.check(plan.options.notify)


async def _saved(write: Awaitable[Result]) -> Result:
    try:
        return await write
    except NotSaved as error:
        raise not_saved(error) from error
