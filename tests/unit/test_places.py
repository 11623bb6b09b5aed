"""Places, against a store that claims whenever it has a slot, and workers that do as they like."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.server.workers import places as module
from asyncjob.server.workers.channel import Awaited, Message, Resume, Yielded
from asyncjob.server.workers.places import Places
from asyncjob.server.workers.quarantine import Group
from asyncjob.server.workers.running import RunningAttempt, Worker
from asyncjob.store import Suspect

CAPACITY = 2


class Process:
    """A worker's process that takes down what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.is_unread = False

    def send(self, messages: list[Message]) -> None:
        self.sent += messages


class Server:
    """A store and workers; jobs without end wait for a slot."""

    def __init__(self) -> None:
        self.slots = 0
        self.count = 0
        self.barriers: list[asyncio.Future[list[bool]]] = []
        self.places = Places(cast(Any, self))
        self.workers: list[Worker] = []
        self.starts()
        self.starts()

    def offer(self, slots: int) -> None:
        self.slots += slots

    def wake(self) -> None: ...

    def admit(self, suspects: tuple[Suspect, ...]) -> "asyncio.Future[list[bool]]":
        self.barriers.append(asyncio.get_running_loop().create_future())
        return self.barriers[-1]

    @property
    def attempts(self) -> list[tuple[Worker, RunningAttempt]]:
        return [(worker, attempt) for worker in self.workers for attempt in worker.attempts.values()]

    # -- what may happen -----------------------------------------------------------------------------------------

    def starts(self) -> None:
        self.workers.append(Worker(cast(Any, Process()), CAPACITY, ready=True))
        self.places.give(CAPACITY)

    def claims(self, _: int) -> None:
        if self.slots > 0:
            self.slots -= 1
            self.count += 1
            worker = max((one for one in self.workers if one.takes_jobs), key=lambda one: one.free)
            attempt = RunningAttempt(str(self.count), 1, "add", 0)
            worker.attempts[attempt.key] = attempt

    def yields(self, which: int) -> None:
        worker, attempt = self._pick(which)
        if attempt is not None:
            self.places.hear(worker, attempt, Yielded(*attempt.key))

    def has_waited(self, which: int) -> None:
        worker, attempt = self._pick(which)
        if attempt is not None:
            self.places.hear(worker, attempt, Awaited(*attempt.key))

    def ends(self, which: int) -> None:
        worker, attempt = self._pick(which)
        if attempt is not None:
            self.places.end_wait(worker, attempt)
            del worker.attempts[attempt.key]
            if not worker.retired:
                self.places.give(1)

    def retires(self, which: int) -> None:
        worker = self.workers[which % len(self.workers)]
        if not worker.retired:
            self.places.withdraw(worker)
            worker.retired = True
            self.starts()

    def dies(self, which: int) -> None:
        worker = self.workers.pop(which % len(self.workers))
        if not worker.retired:
            self.places.withdraw(worker)
        for attempt in worker.attempts.values():
            self.places.end_wait(worker, attempt)
        if not worker.retired:
            self.starts()

    def commits(self, _: int) -> None:
        for barrier in self.barriers:
            barrier.set_result([])
        self.barriers.clear()

    def _pick(self, which: int) -> tuple[Worker, RunningAttempt | None]:
        found = self.attempts
        return found[which % len(found)] if found else (self.workers[0], None)

    # -- what holds ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        counted = [attempt for worker, attempt in self.attempts if not worker.retired]
        aside = [attempt for attempt in counted if attempt.wait is not None and attempt.wait.aside]
        wanting = [attempt for attempt in aside if attempt.wait is not None and attempt.wait.wants]
        assert self.places.awaiting == len(aside) == sum(worker.aside for worker in self.workers)
        total = CAPACITY * sum(not worker.retired for worker in self.workers)
        assert self.slots + len(wanting) == total - (len(counted) - len(aside))
        assert self.slots + len(wanting) >= 0, "more run than there are places"

    def check_nobody_is_stuck(self) -> None:
        wanting = [attempt for _, attempt in self.attempts if attempt.wait is not None and attempt.wait.wants]
        assert not wanting or self.slots + len(wanting) == 0, "a place is free, and a job that has waited has none"


EVENTS: list[Callable[[Server, int], None]] = [
    *(Server.claims, Server.yields, Server.has_waited, Server.ends, Server.commits, Server.retires, Server.dies)
]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 50)), max_size=80))
def test_no_more_run_than_there_are_places_and_whoever_has_waited_has_the_next(
    events: list[tuple[Callable[[Server, int], None], int]],
) -> None:
    async def run() -> None:
        server = Server()
        for event, which in events:
            event(server, which)
            await asyncio.sleep(0)
            server.check()
        server.commits(0)
        await asyncio.sleep(0)
        server.check()
        server.check_nobody_is_stuck()

    asyncio.run(run())


def _awaiting(server: Server) -> tuple[Worker, RunningAttempt]:
    server.claims(0)
    worker, attempt = server.attempts[-1]
    assert server.places.hear(worker, attempt, Yielded(*attempt.key))
    return worker, attempt


def test_each_thing_is_believed_once_until_it_is_answered() -> None:
    async def run() -> None:
        server = Server()
        server.claims(0)
        ((worker, attempt),) = server.attempts
        told: list[Yielded | Awaited] = [
            Awaited(*attempt.key),
            Yielded(*attempt.key),
            Yielded(*attempt.key),
            Awaited(*attempt.key),
        ]
        believed = [server.places.hear(worker, attempt, each) for each in (*told, Awaited(*attempt.key))]
        assert believed == [False, True, False, True, False]
        server.commits(0)
        await asyncio.sleep(0)
        assert cast(Process, worker.process).sent == [Resume(*attempt.key)]

    asyncio.run(run())


def test_jobs_beyond_the_bound_keep_their_places_and_go_on_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AWAITING", 1)
    server = Server()
    _awaiting(server)
    worker, attempt = _awaiting(server)
    assert (server.places.awaiting, server.slots) == (1, 3)
    assert server.places.hear(worker, attempt, Awaited(*attempt.key))
    assert Resume(*attempt.key) in cast(Process, worker.process).sent


def test_a_worker_that_does_not_read_is_answered_once_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNREAD_SECONDS", 0)

    async def run() -> None:
        server = Server()
        worker, attempt = _awaiting(server)
        process = cast(Process, worker.process)
        process.is_unread = True
        server.places.hear(worker, attempt, Awaited(*attempt.key))
        for _ in range(5):
            await asyncio.sleep(0)
            server.commits(0)
        assert not process.sent
        process.is_unread = False
        while not process.sent:
            await asyncio.sleep(0)
            server.commits(0)
        server.check()

    asyncio.run(run())


def test_once_the_server_stops_whoever_has_waited_goes_on_although_no_place_is_free() -> None:
    async def run() -> None:
        server = Server()
        worker, attempt = _awaiting(server)
        _, later = _awaiting(server)
        for _ in range(2 * CAPACITY):
            server.claims(0)
        server.places.hear(worker, attempt, Awaited(*attempt.key))
        server.commits(0)
        await asyncio.sleep(0)
        assert all(not cast(Process, one.process).sent for one in server.workers)
        server.places.stop()
        owner = next(one for one, attempt in server.attempts if attempt is later)
        server.places.hear(owner, later, Awaited(*later.key))
        sent = [message for one in server.workers for message in cast(Process, one.process).sent]
        assert sent == [Resume(*attempt.key), Resume(*later.key)] or sent[::-1] == [
            Resume(*attempt.key),
            Resume(*later.key),
        ]

    asyncio.run(run())


def test_a_process_of_suspects_counts_the_places_that_its_jobs_give_up() -> None:
    server = Server()
    group = Group({}, is_solo=False)
    worker = Worker(cast(Any, Process()), 0, group, ready=True, retired=True)
    attempt = RunningAttempt("suspect", 1, "add", 0)
    worker.attempts[attempt.key] = attempt
    server.places.hear(worker, attempt, Yielded(*attempt.key))
    assert server.slots == 5
    server.places.end_wait(worker, attempt)
    assert server.slots == 4
