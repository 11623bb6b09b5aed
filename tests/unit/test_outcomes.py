"""What becomes of attempts, with a store that keeps what it is told."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from asyncjob import Jobs
from asyncjob.job import Error, Status
from asyncjob.policies import Pauses
from asyncjob.runner import Failed, Postponed
from asyncjob.server.endings import BY_ITSELF, Ending, Reason
from asyncjob.server.events import JobEvent
from asyncjob.server.workers import outcomes as module
from asyncjob.server.workers.outcomes import Outcomes
from asyncjob.server.workers.quarantine import MAX_INTERRUPTIONS, SOLO_INTERRUPTIONS
from asyncjob.server.workers.running import RunningAttempt, Worker
from asyncjob.store import Lost, Store, Success, Suspect

ERROR = Error("E", "no")
LATER = Postponed(ERROR, 1.5)


class Told:
    """A store that writes what it is told, or refuses it, and those who listen."""

    def __init__(self, *, written: bool = True) -> None:
        self.written = written
        self.writes: list[tuple[Any, ...]] = []
        self.successes: list[Success] = []
        self.events: list[tuple[JobEvent, Ending]] = []
        self.suspects: list[Suspect] = []
        self.explained: list[tuple[int, str, str]] = []
        self.lingering = 1
        jobs = Jobs()
        jobs.job(name="add", retries=1)(lambda: None)
        jobs.job(name="patient", retries=5, backoff=Pauses(jitter=0, seconds=(10, 60, 600)))(lambda: None)
        self.postponed = Status.PENDING
        self.outcomes = Outcomes(cast(Store, self), jobs, 0.0, self.tell, self.succeeded, self.suspect, self.explain)

    def succeed(self, successes: Sequence[Success]) -> "asyncio.Future[list[bool]]":
        self.successes += successes
        return _done([self.written] * len(successes))

    def explain(self, attempt: RunningAttempt, level: int, error: Error, traceback: str) -> None:
        self.explained.append((attempt.attempt, logging.getLevelName(level), error.type))

    def fail(self, *told: Any, goes_on: bool) -> "asyncio.Future[bool]":
        self.writes.append(("fail", *told))
        return _done(self.written)

    def postpone(self, *told: Any) -> "asyncio.Future[Status | None]":
        self.writes.append(("postpone", *told))
        return _done(self.postponed if self.written else None)

    def repeat(self, *told: Any, goes_on: bool) -> "asyncio.Future[bool]":
        self.writes.append(("repeat", *told))
        return _done(self.written)

    def release(self, *told: Any, **more: Any) -> "asyncio.Future[bool]":
        self.writes.append(("release", *told))
        return _done(self.written)

    def gone(self, *told: Any) -> None:
        self.writes.append(("gone", *told))

    def tell(self, event: JobEvent, ending: Ending = BY_ITSELF) -> None:
        self.events.append((event, ending))

    def succeeded(self, attempts: Sequence[RunningAttempt]) -> None:
        self.events += [(attempt.becomes(Status.SUCCESS), BY_ITSELF) for attempt in attempts]

    def suspect(self, suspect: Suspect) -> None:
        self.suspects.append(suspect)

    @property
    def pauses(self) -> list[float]:
        """In seconds, before the next attempts."""
        return [told[2] / 1000 for verb, *told in self.writes if verb == "repeat"]


def _done(result: Any) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


def _run(act: Callable[[Outcomes], None], *, written: bool = True) -> Told:
    async def run() -> Told:
        told = Told(written=written)
        act(told.outcomes)
        await asyncio.sleep(0)
        return told

    return asyncio.run(run())


def _attempt(losses: int = 0) -> RunningAttempt:
    return RunningAttempt("1", losses + 1, "add", losses)


def _worker(*, stuck: bool = False) -> Worker:
    return Worker(cast(Any, None), 1, stuck=stuck)


class Unhashable(bytes):
    """Results; to hash a megabyte of them is to read it all once more."""

    __hash__ = None  # type: ignore[assignment]


def test_results_reach_the_store_as_they_came() -> None:
    results = [Unhashable(b"1"), Unhashable(b"2")]
    attempts = [_attempt(), _attempt()]
    told = _run(lambda outcomes: outcomes.succeeded(attempts, results))
    assert [success.results is text for success, text in zip(told.successes, results, strict=True)] == [True, True]
    assert [(event.status, ending) for event, ending in told.events] == [(Status.SUCCESS, BY_ITSELF)] * 2


ENDS: list[tuple[Callable[[Outcomes], None], str, Status, Reason]] = [
    (lambda outcomes: outcomes.raised(_attempt(), Failed(ERROR)), "fail", Status.FAILURE, Reason.ANSWER),
    (lambda outcomes: outcomes.raised(_attempt(), Failed(ERROR, True)), "repeat", Status.PENDING, Reason.LOST),
    (lambda outcomes: outcomes.raised(_attempt(), LATER), "postpone", Status.PENDING, Reason.POSTPONED),
    (lambda outcomes: outcomes.raised(_attempt(9), LATER), "postpone", Status.PENDING, Reason.POSTPONED),
    (lambda outcomes: outcomes.lost(_attempt(1), ERROR), "fail", Status.FAILURE, Reason.LOST),
    (lambda outcomes: outcomes.died(_worker(), _attempt(), 1, "signal 9"), "repeat", Status.PENDING, Reason.LOST),
    (lambda outcomes: outcomes.died(_worker(), _attempt(), 2, "9"), "release", Status.PENDING, Reason.WORKER_DIED),
    (
        lambda outcomes: outcomes.died(_worker(stuck=True), _attempt(), 1, "9"),
        "release",
        Status.PENDING,
        Reason.WORKER_STUCK,
    ),
    (
        lambda outcomes: outcomes.interrupted(Lost("1", 1, "add", 0, None, 0)),
        "release",
        Status.PENDING,
        Reason.SERVER_ENDED,
    ),
    (
        lambda outcomes: outcomes.interrupted(Lost("1", 1, "add", 0, None, MAX_INTERRUPTIONS - 1)),
        "fail",
        Status.FAILURE,
        Reason.ANSWER,
    ),
]


@pytest.mark.parametrize(("act", "verb", "status", "reason"), ENDS)
@pytest.mark.parametrize("logged", [True, False])
def test_each_end_is_written_and_told_once_whatever_is_logged(
    act: Callable[[Outcomes], None],
    verb: str,
    status: Status,
    reason: Reason,
    logged: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "log", lambda level, message, **fields: lines.append(fields) if logged else None)
    told = _run(act)
    assert [write[0] for write in told.writes] == [verb]
    ((event, ending),) = told.events
    assert (event.job_id, event.status, ending.reason) == ("1", status, reason)
    assert event.attempt == int(told.writes[0][2]) + (status is Status.PENDING)
    assert len(lines) == logged


@pytest.mark.parametrize("act", [act for act, *_ in ENDS])
def test_an_end_that_the_guard_refuses_is_told_to_nobody(
    act: Callable[[Outcomes], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    told = _run(act, written=False)
    assert told.writes
    assert not told.events and not told.suspects


def test_a_job_that_was_postponed_too_often_is_told_as_a_failure() -> None:
    async def run() -> Told:
        told = Told()
        told.postponed = Status.FAILURE
        told.outcomes.raised(_attempt(), LATER)
        await asyncio.sleep(0)
        return told

    told = asyncio.run(run())
    assert told.writes == [("postpone", "1", 1, 1_500, ERROR)]
    assert [(event.status, ending) for event, ending in told.events] == [(Status.FAILURE, Ending("RetryLater"))]


def test_the_pause_before_the_next_attempt_is_the_functions_own_and_grows_with_losses_alone() -> None:
    pauses = []
    for losses, attempt in ((0, 1), (0, 9), (1, 10), (2, 11), (3, 12)):
        lost = RunningAttempt("1", attempt, "patient", losses)
        pauses += _run(lambda outcomes, lost=lost: outcomes.lost(lost, ERROR, group_limit=1)).pauses  # type: ignore[misc]
    assert pauses == [10, 10, 60, 600, 600]


@pytest.mark.parametrize(
    ("act", "limit"),
    [
        (lambda outcomes: outcomes.died(_worker(), _attempt(), 1, "9"), 1),
        (lambda outcomes: outcomes.died(_worker(), _attempt(), 2, "9"), 1),
        (lambda outcomes: outcomes.died(_worker(), _attempt(), 9, "9"), 5),
        (lambda outcomes: outcomes.died(_worker(stuck=True), _attempt(), 9, "9"), None),
        (lambda outcomes: outcomes.raised(_attempt(), Failed(ERROR, True)), None),
        (lambda outcomes: outcomes.interrupted(Lost("1", 1, "add", 0, None, 0)), None),
        (lambda outcomes: outcomes.interrupted(Lost("1", 1, "add", 0, 4, 0)), 4),
        (lambda outcomes: outcomes.interrupted(Lost("1", 1, "add", 0, None, SOLO_INTERRUPTIONS - 1)), 1),
    ],
)
def test_a_job_whose_process_died_runs_on_among_fewer(act: Callable[[Outcomes], None], limit: int | None) -> None:
    told = _run(act)
    assert [suspect.group_limit for suspect in told.suspects] == ([] if limit is None else [limit])
    assert all((suspect.job_id, suspect.attempt) == ("1", 2) for suspect in told.suspects)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize(
    "end",
    [
        lambda outcomes, attempt: outcomes.lost(attempt, ERROR, goes_on=True),
        lambda outcomes, attempt: outcomes.raised(attempt, Failed(ERROR)),
        lambda outcomes, attempt: outcomes.succeeded([attempt], [b"1"]),
    ],
)
def test_an_attempt_that_was_over_before_its_end_is_saved_holds_no_limit(
    end: Callable[[Outcomes, RunningAttempt], None], written: bool
) -> None:
    attempt = _attempt()
    told = _run(lambda outcomes: end(outcomes, attempt), written=written)
    assert ("gone", "1", 1) not in told.writes, "its function may still run"
    attempt.over = True
    told = _run(lambda outcomes: end(outcomes, attempt), written=written)
    is_success = written and bool(told.successes)
    assert (("gone", "1", 1) in told.writes) is not is_success
