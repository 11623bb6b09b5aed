"""The timer of schedules, on a clock that the tests set: what is missed, restarts, a clock that jumps, a full queue."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjob.plans import Plan
from asyncjob.schedules import Timing, occurrence_id
from asyncjob.server import timer as module
from asyncjob.server.timer import MAX_MISSED, Timer, next_after
from asyncjob.store import Observer, Scheduled, Success
from tests.store.memory import MemoryStore
from tests.store.memory_kept import Kept

START = int(datetime(2026, 11, 30, 9, tzinfo=UTC).timestamp()) * 1_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class World:
    """A store, a clock, and timers that come and go."""

    def __init__(self) -> None:
        self.now = START
        self.ticks = 0  # of the clock that nobody sets, in milliseconds
        self.store = MemoryStore(Kept())
        self.room = 10_000
        self.begun: list[str] = []
        self.timer: Timer | None = None

    async def restart(self) -> None:
        """End the timer, whatever it was about to do, and begin another."""
        if self.timer is not None:
            self.timer.stop()
        self.timer = Timer(self.store.schedules, ["echo"], lambda _: self.room, self._begin)
        await self.timer._revise()

    def _begin(self, plan: Plan, job_ids: Any) -> None:
        self.begun += job_ids

    async def put(self, schedule_id: str = "s", every: int = 60, **values: Any) -> None:
        plan = Plan(**{"type": "echo", "timing": Timing(every=every), **values})
        assert await self.store.schedules.put(schedule_id, plan, next_after(plan, self.now), 100_000)

    async def look(self, milliseconds: int = 0, *, jump: int = 0) -> float:
        """Let time pass, set the clock, and look; the seconds until the next look."""
        self.now += milliseconds + jump
        self.ticks += milliseconds
        assert self.timer is not None
        return await self.timer._look()

    def schedule(self, schedule_id: str = "s") -> Scheduled:
        found = self.store.schedules.find(schedule_id)
        assert found is not None
        return found

    async def end_all(self) -> None:
        """Have every job claimed and succeed."""
        claims: list[Any] = []
        await self.store.start(Observer(lambda claimed: claims.extend(claimed.jobs)))
        self.store.offer(self.store.pending)
        self.store.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.store.succeed([Success(claim.job_id, claim.attempt, b"1") for claim in claims])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    """Runs a test in a world of its own."""

    def run(test: Callable[[World], Awaitable[None]]) -> None:
        _run(monkeypatch, test)

    return run


def _run(monkeypatch: pytest.MonkeyPatch, test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        one = World()
        monkeypatch.setattr(module, "now_ms", lambda: one.now)
        monkeypatch.setattr(module, "monotonic_ns", lambda: one.ticks * 1_000_000)
        await one.restart()
        await test(one)

    asyncio.run(main())


Run = Callable[[Callable[[World], Awaitable[None]]], None]


def _ids(*minutes: int) -> list[str]:
    return [occurrence_id("s", START // 1_000 + minute * 60) for minute in minutes]


def test_it_sleeps_until_the_next_time_but_for_a_minute_at_most(world: Run) -> None:
    async def test(one: World) -> None:
        assert await one.look() == 60
        await one.put(every=45)
        assert await one.look() == 45
        await one.put(every=3_600)
        assert await one.look() == 60
        assert one.begun == []

    world(test)


def test_a_time_that_has_come_begins_one_job(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put()
        await one.look(MINUTE - 1)
        assert one.begun == []
        await one.look(1)
        assert one.begun == _ids(1)
        await one.look(MINUTE)
        assert one.begun == _ids(1, 2)

    world(test)


@pytest.mark.parametrize(("missed", "begun"), [("last", _ids(10)), ("all", _ids(*range(1, 11))), ("none", _ids(10))])
def test_after_an_outage_it_makes_up_for_what_the_schedule_says(world: Run, missed: str, begun: list[str]) -> None:
    async def test(one: World) -> None:
        await one.put(missed=missed)
        one.now += 10 * MINUTE + 30_000
        await one.restart()
        await one.look()
        assert one.begun == begun
        assert one.schedule().next_at == START + 11 * MINUTE

    world(test)


def test_one_that_misses_nothing_but_what_is_late_runs_only_what_is_not(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(every=3_600, missed="none")
        await one.look(HOUR + MINUTE)
        assert len(one.begun) == 1
        await one.look(HOUR + 1)
        assert len(one.begun) == 1
        assert one.timer is not None and one.timer.outcomes["missed"] == 1
        assert one.schedule().next_at == START + 3 * HOUR

    world(test)


def test_a_server_that_was_down_for_a_month_makes_up_for_a_bounded_number_in_bounded_steps(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(missed="all")
        sizes: list[int] = []
        fire = one.store.schedules.fire

        async def counted(firings: Any) -> Any:
            sizes.append(sum(len(firing.jobs) for firing in firings))
            return await fire(firings)

        one.store.schedules.fire = counted  # type: ignore[method-assign]
        await one.look(30 * DAY)
        assert (
            one.begun
            == [occurrence_id("s", (one.now - number * MINUTE) // 1_000) for number in range(MAX_MISSED)][::-1]
        )
        assert max(sizes) <= module.BATCH

    world(test)


def test_ten_thousand_that_are_due_at_once_are_begun_in_bounded_steps(world: Run) -> None:
    async def test(one: World) -> None:
        for number in range(300):
            await one.put(f"s{number}")
        await one.look(MINUTE)
        assert len(set(one.begun)) == len(one.begun) == 300
        assert {one.schedule(f"s{number}").next_at for number in range(300)} == {START + 2 * MINUTE}

    world(test)


def test_while_the_queue_is_full_a_schedule_waits_and_loses_nothing(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(every=3_600, missed="last")
        one.room = 0
        assert await one.look(HOUR) == 1
        await one.look(10 * MINUTE)
        assert one.begun == []
        assert one.timer is not None and one.timer.lateness == 600
        one.room = 1
        await one.look(1_000)
        assert one.begun == _ids(60)
        assert one.timer.lateness == 0

    world(test)


def test_as_many_begin_as_there_is_room_for(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(missed="all")
        one.room = 3
        one.now += 7 * MINUTE
        timer = one.timer
        assert timer is not None
        firings = timer._steps(timer._schedules.due(["echo"], one.now, 10), one.now)
        assert [begin.job_id for begin in firings[0].jobs] == _ids(1, 2, 3)
        assert firings[0].next_at == START + 4 * MINUTE

    world(test)


def test_a_clock_that_is_set_forward_is_an_outage(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(every=3_600)
        await one.look(1_000, jump=5 * HOUR)
        assert one.begun == _ids(300)

    world(test)


def test_a_clock_that_is_set_back_begins_nothing_twice_and_waits_for_no_wrong_time(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(every=3_600)
        await one.look(1_000, jump=365 * DAY)  # a year ahead by mistake
        assert len(one.begun) == 1
        await one.look(1_000, jump=-365 * DAY)
        assert one.schedule().next_at == START + HOUR
        await one.look(HOUR)
        assert one.begun[1:] == _ids(60)
        await one.look(1_000, jump=-30 * MINUTE)
        assert one.schedule().next_at == START + HOUR  # once more
        await one.look(40 * MINUTE)
        assert one.begun[1:] == _ids(60)
        assert one.schedule().next_at == START + 2 * HOUR

    world(test)


def test_a_paused_schedule_makes_up_for_nothing_when_it_is_resumed(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(missed="all")
        await one.store.schedules.pause("s")
        await one.look(10 * MINUTE)
        await one.restart()
        assert one.schedule().next_at is None
        await one.store.schedules.resume("s", next_after(one.schedule().plan, one.now))
        await one.look(MINUTE)
        assert one.begun == _ids(11)

    world(test)


def test_a_schedule_of_an_unknown_function_waits_for_it(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(type="gone")
        assert await one.look(10 * MINUTE) == 60
        assert one.begun == []
        one.timer = Timer(one.store.schedules, ["gone"], lambda _: one.room, one._begin)
        await one.look()
        assert one.begun == _ids(10)

    world(test)


def test_one_that_must_not_overlap_is_skipped_and_goes_on(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put(overlap="skip")
        await one.look(MINUTE)
        await one.look(MINUTE)
        assert one.timer is not None and one.timer.outcomes["overlapping"] == 1
        await one.end_all()
        await one.look(MINUTE)
        assert one.begun == _ids(1, 3)

    world(test)


def test_a_schedule_that_cannot_be_read_any_more_harms_no_other(world: Run) -> None:
    async def test(one: World) -> None:
        await one.put()
        gone = Plan(type="echo", timing=Timing("* * * * *", "Mars/Olympus"))
        await one.store.schedules.put("gone", gone, START + 1, 100)
        await one.look(MINUTE)
        assert one.begun == _ids(1)
        assert one.schedule("gone").next_at is None

    world(test)


Event = tuple[Literal["wait", "restart", "crash", "back", "full"], int]
EVENTS = st.lists(
    st.tuples(st.sampled_from(["wait", "restart", "crash", "back", "full"]), st.integers(0, 40 * MINUTE)), max_size=20
)


@settings(max_examples=100, deadline=None)
@given(EVENTS, st.sampled_from([1, 7, 60, 600]), st.sampled_from(["all", "last"]))
def test_restarts_at_any_moment_give_no_time_twice_and_lose_none(events: list[Event], every: int, missed: str) -> None:
    async def test(one: World) -> None:
        await one.put(every=every, missed=missed)
        furthest = START
        for kind, length in events:
            if kind == "back":  # not to before there was a schedule
                await one.look(jump=-min(length, one.now - START))
            elif kind == "full":
                one.room = 0
                await one.look(min(length, every * MAX_MISSED * 10))
                one.room = 10_000
            elif kind == "crash":  # after the transaction, before anybody is told
                one.now += min(length, every * 500_000)
                assert one.timer is not None
                if due := one.store.schedules.due(["echo"], one.now, 10):
                    told = len(one.begun)
                    fired = await one.store.schedules.fire(one.timer._steps(due, one.now))
                    one.begun[told:] = [job_id for each in fired for job_id in each.begun]
                await one.restart()
            else:
                one.now += min(length, every * 500_000)
                if kind == "restart":
                    await one.restart()
                await one.look()
            furthest = max(furthest, one.now)
        await one.look()
        assert len(one.begun) == len(set(one.begun))
        named = [occurrence_id("s", at) for at in range(START // 1_000 + 1, furthest // 1_000 + 1) if at % every == 0]
        assert set(one.begun) <= set(named)
        if missed == "all":
            now = occurrence_id("s", one.now // 1_000)
            assert {job_id for job_id in named if job_id <= now} <= set(one.begun)
        elif one.now == furthest and named:
            assert one.begun[-1] == named[-1]

    with pytest.MonkeyPatch.context() as patch:
        _run(patch, test)
