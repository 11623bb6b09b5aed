"""What the server makes of lines: within bounds, whatever a worker says, and saved with little effort."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.job import Error, now_ms
from asyncjob.server.workers import job_logs
from asyncjob.server.workers.attempt_log import AT_ONCE, Allowance, AttemptLog
from asyncjob.server.workers.channel import Line, Logged
from asyncjob.server.workers.job_logs import KEPT_ATTEMPTS, JobLogs
from asyncjob.server.workers.lines import MAX_CHARACTERS, MAX_LINES, level_of, readable, readable_traceback
from asyncjob.server.workers.running import RunningAttempt
from asyncjob.store import KeptLine, LogCut, NotSaved, Store


class Kept:
    """A store that keeps lines, or does not answer until it is told to."""

    def __init__(self) -> None:
        self.lines: list[KeptLine] = []
        self.writes = 0
        self.futures: list[asyncio.Future[None]] = []
        self.answers = True

    def keep(self, lines: Sequence[KeptLine], cuts: Sequence[LogCut]) -> "asyncio.Future[None]":
        self.writes += 1
        self.lines += lines
        for cut in cuts:
            self.lines = [
                line
                for line in self.lines
                if line.job_id != cut.job_id or not cut.after < (line.attempt, line.number) < cut.before
            ]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.answers:
            future.set_result(None)
        return future

    def last(self, job_id: str, attempt: int) -> int:
        return max((line.number for line in self.lines if line.attempt == attempt), default=0)

    @property
    def numbers(self) -> list[int]:
        return [line.number for line in self.lines]


def run(test: Callable[[JobLogs, Kept], None], saved: Callable[[set[str]], None] = lambda ids: None) -> Kept:
    kept = Kept()

    async def in_loop() -> None:
        logs = JobLogs(cast(Store, SimpleNamespace(logs=kept)), saved)
        test(logs, kept)
        logs.flush()
        await asyncio.sleep(0)

    asyncio.run(in_loop())
    return kept


def attempt(number: int = 1) -> RunningAttempt:
    return RunningAttempt("job", number, "says", 0)


def logged(*numbers: int, **more: Any) -> Logged:
    given = {"at": now_ms(), "level": 20, "logger": "mine", "message": "said", **more}
    return Logged("job", 1, [Line(number, **given) for number in numbers])


def test_numbers_that_do_not_rise_are_left_out() -> None:
    one = attempt()
    assert run(lambda logs, kept: logs.take(one, logged(1, 2, 2, 1, 5, 3, 6))).numbers == [1, 2, 5, 6]


@pytest.mark.parametrize("at", [0, -1, 2**62])
def test_no_line_is_older_than_its_attempt_or_of_tomorrow(at: int) -> None:
    before = now_ms()
    one = attempt()
    kept = run(lambda logs, kept: logs.take(one, logged(1, at=at)))
    assert before - 1_000 <= kept.lines[0].at <= now_ms()


def test_text_that_a_worker_has_not_made_readable_is_made_so() -> None:
    one = attempt()
    (line,) = run(lambda logs, kept: logs.take(one, logged(1, message="a\x00b\nc", logger="\x1b[2J"))).lines
    assert (line.message, line.logger) == ("a�b\nc", "")


def test_lines_of_an_attempt_that_is_recorded_are_not_kept() -> None:
    one = attempt()
    one.recorded = True
    assert run(lambda logs, kept: logs.take(one, logged(1))).lines == []


@given(sizes=st.lists(st.integers(1, 8_000), max_size=300), portion=st.integers(1, 50))
def test_of_any_lines_the_first_and_the_last_are_kept_within_the_bounds(sizes: list[int], portion: int) -> None:
    of = AttemptLog(0)
    kept: dict[int, int] = {}
    for number, size in enumerate(sizes, start=1):
        cuts = of.keep(number, size)
        kept[number] = size
        if cuts:
            kept = {each: size for each, size in kept.items() if each <= of.first or each >= of.newest[0][0]}
    assert sum(kept.values()) <= 2 * MAX_CHARACTERS
    assert not sizes or (1 in kept and len(sizes) in kept)
    gaps = [number for number in range(1, len(sizes)) if (number in kept) != (number + 1 in kept)]
    assert len(gaps) in (0, 2)


def test_a_flood_keeps_its_bounds_in_the_store() -> None:
    one = attempt()

    def flood(logs: JobLogs, kept: Kept) -> None:
        for start in range(1, 10_000, 500):
            logs.take(one, logged(*range(start, start + 500)))
            logs.flush()

    assert run(flood).numbers == [*range(1, MAX_LINES + 1), *range(10_001 - MAX_LINES, 10_001)]


def test_what_the_store_does_not_take_fast_enough_is_left_out_and_not_kept_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_logs, "MAX_UNSAVED", 10_000)

    def test(logs: JobLogs, kept: Kept) -> None:
        kept.answers = False
        for number in range(1_000):
            logs.take(attempt(), logged(number + 1))
            logs.flush()
        assert len(kept.lines) < 200
        for future in kept.futures:
            future.set_exception(NotSaved("full"))
        kept.answers = True
        asyncio.get_running_loop().call_soon(lambda: logs.take(attempt(), logged(5_000)))
        asyncio.get_running_loop().call_soon(logs.flush)

    assert run(test).numbers[-1] == 5_000


def test_lines_that_come_one_after_the_other_are_saved_together() -> None:
    one = attempt()

    def test(logs: JobLogs, kept: Kept) -> None:
        for number in range(1, 101):
            logs.take(one, logged(number))

    assert run(test).writes == 1


def test_who_listens_is_told_of_the_jobs_whose_lines_are_saved() -> None:
    told: list[set[str]] = []
    one = attempt()
    run(lambda logs, kept: logs.take(one, logged(1)), told.append)
    assert told == [{"job"}]


def test_how_an_attempt_failed_follows_its_last_line_even_if_another_server_has_saved_that() -> None:
    def test(logs: JobLogs, kept: Kept) -> None:
        kept.lines.append(KeptLine("job", 1, 7, 0, 20, "mine", "said"))
        logs.explain(attempt(), 40, Error("WorkerLost", "gone"), "")

    last = run(test).lines[-1]
    assert (last.number, last.message, last.logger) == (8, "WorkerLost: gone", "asyncjob")


def test_an_attempt_that_begins_to_write_ends_the_lines_of_much_earlier_ones() -> None:
    def test(logs: JobLogs, kept: Kept) -> None:
        for number in range(1, 20):
            logs.take(attempt(number), logged(1))

    assert [line.attempt for line in run(test).lines] == list(range(20 - KEPT_ATTEMPTS, 20))


def test_a_flood_has_its_share_of_the_servers_log_and_what_it_lacks_is_counted() -> None:
    allowance = Allowance()
    given = [allowance.take() for _ in range(AT_ONCE + 50)]
    assert given[:AT_ONCE] == [0] * AT_ONCE and set(given[AT_ONCE + 10 :]) == {None}
    allowance._at -= 1  # a second later
    assert allowance.take() == sum(each is None for each in given)


@pytest.mark.parametrize(
    ("number", "level"), [(50, 50), (99, 50), (45, 40), (30, 30), (20, 20), (11, 10), (1, 10), (-5, 10), ("loud", 20)]
)
def test_any_number_is_a_level(number: object, level: int) -> None:
    assert level_of(number) == level


@given(st.text())
def test_any_text_is_made_readable_and_stays_so(text: str) -> None:
    made = readable(text, 50)
    assert len(made) <= 51 and readable(made, 51) == made
    assert all(letter.isprintable() or letter in "\n\t" for letter in made)


def test_a_long_traceback_keeps_its_beginning_and_its_end() -> None:
    text = readable_traceback("first\n" + "middle\n" * 10_000 + "last\n")
    assert text.startswith("first") and text.endswith("last") and len(text) <= 20_000
