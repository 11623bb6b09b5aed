"""The threads of a worker, each of which may run many short calls, and holds none up that comes behind a long one."""

import threading
from collections.abc import Callable

from asyncjob.server.workers.worker.threads import Threads

SECONDS = 60  # for what never takes that long


def _threads(between: Callable[[bool], None] = lambda more_follow: None) -> Threads:
    return Threads(lambda: None, between)


def test_calls_that_wait_for_each_other_all_run_at_once() -> None:
    count = 40
    threads, barrier = _threads(), threading.Barrier(count + 1)

    def call() -> None:
        barrier.wait(SECONDS)

    for _ in range(2):  # the second time, in threads that there are
        for _ in range(count):
            threads.start(call)
        barrier.wait(SECONDS)


def test_calls_behind_one_that_lasts_run_and_their_threads_are_used_again() -> None:
    threads, gate, ended = _threads(), threading.Event(), threading.Semaphore(0)

    def lasts() -> None:
        gate.wait(SECONDS)

    threads.start(lasts)
    for _ in range(1_000):
        threads.start(ended.release)
    for _ in range(1_000):
        assert ended.acquire(timeout=SECONDS)
    gate.set()


def test_after_the_last_call_of_a_burst_somebody_is_told_that_no_more_follow() -> None:
    ran: list[int] = []
    over = threading.Event()

    def between(more_follow: bool) -> None:
        if not more_follow and len(ran) == 1_000:
            over.set()

    threads = _threads(between)
    for number in range(1_000):
        threads.start(lambda number=number: ran.append(number))  # type: ignore[misc]
    assert over.wait(SECONDS)
    assert sorted(ran) == list(range(1_000))


def test_a_call_that_an_exception_from_elsewhere_ends_is_repeated_in_the_same_thread() -> None:
    tries: list[int] = []
    ended = threading.Event()

    def call() -> None:
        tries.append(threading.get_ident())
        if len(tries) < 3:
            raise KeyboardInterrupt
        ended.set()

    _threads().start(call)
    assert ended.wait(SECONDS)
    assert len(tries) == 3 and len(set(tries)) == 1
