"""Who gets which claimed job, with workers that only take down what they are sent."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import uvloop

from asyncjob import Jobs
from asyncjob.job import now_ms
from asyncjob.server.workers.channel import Message, Run
from asyncjob.server.workers.dispatch import Dispatch
from asyncjob.server.workers.pace import Pace
from asyncjob.server.workers.places import Places
from asyncjob.server.workers.running import Worker
from asyncjob.store import FIRST, Claim, Claims


class Process:
    """A worker's process that takes down what it is sent."""

    pid = 1

    def __init__(self) -> None:
        self.sent: list[Run] = []

    def send(self, messages: list[Message]) -> None:
        self.sent += [message for message in messages if isinstance(message, Run)]


class Server:
    """What a Dispatch is told of and tells: workers, slots, and how long jobs have waited."""

    def __init__(self, *workers: Worker) -> None:
        self.workers = list(workers)
        self.offered = 0
        self.woken = 0
        self.awake = asyncio.Event()
        self.waited: list[str] = []
        jobs = Jobs()
        for name in ("add", "short", "long"):
            jobs.job(name=name)(lambda: None)
        everything = cast(Any, self)
        self.dispatch = Dispatch(
            jobs,
            store=everything,
            places=Places(everything),
            processes=everything,
            suspects=everything,
            outcomes=everything,
            deadlines=everything,
            waited=lambda type_, seconds: self.waited.append(type_),
        )

    def offer(self, slots: int) -> None:
        self.offered += slots

    def wake(self) -> None:
        self.woken += 1
        self.awake.set()


def _worker(capacity: int = 10, *, ready: bool = True) -> Worker:
    return Worker(cast(Any, Process()), capacity, ready=ready)


def _sent(worker: Worker) -> list[str]:
    return [run.job_id for run in cast(Process, worker.process).sent]


def _claims(*ids: str, due_at: int = 1) -> Claims:
    return Claims([Claim(job_id, 1, "add", b"{}", 0, due_at, None) for job_id in ids])


def test_jobs_that_were_claimed_before_a_worker_is_ready_go_to_the_first_that_is() -> None:
    worker = _worker(ready=False)
    server = Server(worker)
    server.dispatch.take(_claims("a", "b"))
    assert _sent(worker) == [] and [one.job_id for one in server.dispatch.unassigned()] == ["a", "b"]
    worker.ready = True
    server.dispatch.hand_out()
    assert _sent(worker) == ["a", "b"] and server.dispatch.unassigned() == []


def test_each_job_goes_to_the_worker_with_the_most_room() -> None:
    small, large = _worker(1), _worker(3)
    Server(small, large).dispatch.take(_claims("a", "b", "c", "d"))
    assert sorted(_sent(small) + _sent(large)) == ["a", "b", "c", "d"]
    assert (len(small.attempts), len(large.attempts)) == (1, 3)


def test_short_jobs_go_to_one_worker_together_while_it_has_room_and_others_are_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pace, "in_a_row", lambda pace, name, workers: 3 if name == "short" else 1)
    small, large = _worker(2), _worker(5)
    short, long = (
        [Claim(f"{name}{number}", 1, name, b"{}", 0, FIRST, None) for number in range(count)]
        for name, count in (("short", 4), ("long", 2))
    )
    server = Server(small, large)
    server.dispatch.take(Claims(short))
    assert (_sent(small), _sent(large)) == (["short3"], ["short0", "short1", "short2"])
    Server(one := _worker(), other := _worker()).dispatch.take(Claims(long))
    assert (_sent(one), _sent(other)) == (["long0"], ["long1"])


def test_a_canceled_job_that_no_worker_has_yet_gives_its_slot_back_and_is_never_sent() -> None:
    worker = _worker(ready=False)
    server = Server(worker)
    server.dispatch.take(_claims("a", "b"))
    server.dispatch.remove(("a", 1))
    server.dispatch.remove(("nobody", 1))
    assert (server.offered, server.woken) == (1, 1)
    worker.ready = True
    server.dispatch.hand_out()
    assert _sent(worker) == ["b"]


def test_parameters_reach_the_worker_as_they_came_and_a_job_put_back_is_not_said_to_have_waited() -> None:
    worker = _worker()
    server = Server(worker)
    claims = _claims("a")
    server.dispatch.take(claims)
    server.dispatch.take(_claims("b", due_at=FIRST))
    assert cast(Process, worker.process).sent[0].parameters is claims.jobs[0].parameters
    assert server.waited == ["add"]


def test_the_store_is_woken_when_the_next_job_is_due_and_sooner_if_one_comes_that_is_due_before() -> None:
    async def run() -> None:
        server = Server(_worker())
        woken = asyncio.Event()
        server.wake = woken.set  # type: ignore[method-assign]
        server.dispatch.take(Claims([], next_due=2**62 // 1_000_000))
        server.dispatch.take(Claims([], next_due=1))
        await asyncio.wait_for(woken.wait(), 60)

    asyncio.run(run())


def test_the_store_is_asked_again_and_again_while_a_job_waits_for_its_time_since_the_clock_may_be_set_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asyncjob.server.workers.dispatch.MAX_SLEEP_SECONDS", 0.01)

    async def run() -> None:
        server = Server(_worker())
        woken = asyncio.Event()
        server.wake = woken.set  # type: ignore[method-assign]
        for _ in range(3):
            woken.clear()
            server.dispatch.take(Claims([], next_due=2**62 // 1_000_000))
            await asyncio.wait_for(woken.wait(), 60)

    asyncio.run(run())


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_claims_are_handed_out_whatever_comes_next_is_due_already(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def test() -> None:
        worker = _worker()
        server = Server(worker)
        for number in range(3):
            claims = _claims(f"job-{number}")
            server.dispatch.take(claims._replace(next_due=now_ms() - number))
        assert _sent(worker) == ["job-0", "job-1", "job-2"]
        await server.awake.wait()

    run(test())
