"""Lines of jobs: saved in order and once, read by pages, cut, and gone with their job."""

import logging

import pytest

from asyncjob.contract import LogQuery
from asyncjob.job_log import BEGIN, Level, Place, place_at
from asyncjob.store import KeptLine, LogCut
from tests.store.conftest import Run
from tests.store.opened import Opened


def line(number: int, attempt: int = 1, level: int = logging.INFO, job_id: str = "job") -> KeptLine:
    return KeptLine(job_id, attempt, number, 1_700_000_000_000 + number, level, "mine", f"message {number}", "at\nonce")


def numbers(opened: Opened, **query: object) -> list[tuple[int, int]]:
    lines, _ = opened.store.logs.of_job("job", LogQuery(**query))  # type: ignore[arg-type]
    return [(one.attempt, one.number) for one in lines]


def test_lines_are_read_as_they_were_saved_and_in_the_order_of_their_attempts(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.submit("other")
        lines = [line(1, 2), line(1), line(2), line(1, job_id="other")]
        await opened.store.logs.keep(lines, [])
        assert opened.store.logs.of_job("job", LogQuery()) == ([line(1), line(2), line(1, 2)], False)
        await opened.reopen()
        assert opened.store.logs.of_job("other", LogQuery()) == ([line(1, job_id="other")], False)
        assert [opened.store.logs.last("job", attempt) for attempt in (1, 2, 3)] == [2, 1, 0]

    run(test)


def test_a_page_goes_on_after_the_last_line_of_the_one_before(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        every = [(attempt, number) for attempt in (1, 2) for number in (1, 2, 3)]
        await opened.store.logs.keep([line(number, attempt) for attempt, number in every], [])
        found: list[tuple[int, int]] = []
        after = BEGIN
        while page := numbers(opened, limit=4, after=after):
            found += page
            after = place_at(Place(*page[-1]).cursor)
        assert found == every

    run(test)


def test_lines_are_chosen_by_their_attempt_and_their_level(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
        lines = [line(number, attempt, level) for attempt in (1, 2) for number, level in enumerate(levels, start=1)]
        await opened.store.logs.keep(lines, [])
        assert numbers(opened, attempt=2, level=Level.ERROR) == [(2, 4), (2, 5)]
        assert numbers(opened, level=Level.WARNING, limit=2) == [(1, 3), (1, 4)]
        assert numbers(opened, attempt=3) == []

    run(test)


def test_a_line_says_how_many_are_missing_before_it_even_if_those_around_are_not_asked_for(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.store.logs.keep([line(1), line(2), line(7, level=logging.ERROR), line(3, 2)], [])
        found, _ = opened.store.logs.of_job("job", LogQuery(after=Place(1, 1)))
        assert [one.left_out for one in found] == [0, 4, 2]
        assert [one.left_out for one in opened.store.logs.of_job("job", LogQuery(level=Level.ERROR))[0]] == [4]

    run(test)


def test_lines_that_are_cut_after_they_were_read_are_not_missing_to_their_reader(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.store.logs.keep([line(number) for number in (1, 2, 3, 4, 7)], [])
        await opened.store.logs.keep([], [LogCut("job", Place(1, 1), Place(1, 7))])
        (again,) = opened.store.logs.of_job("job", LogQuery(after=Place(1, 4)))[0]
        assert (again.number, again.left_out) == (7, 2)
        assert [one.left_out for one in opened.store.logs.of_job("job", LogQuery())[0]] == [0, 5]

    run(test)


def test_what_lies_between_two_places_is_cut_after_the_lines_are_saved(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.submit("other")
        lines = [line(number, attempt) for attempt in (1, 2) for number in range(1, 6)]
        await opened.store.logs.keep([*lines, line(1, job_id="other")], [LogCut("job", Place(1, 2), Place(1, 5))])
        assert numbers(opened, attempt=1) == [(1, 1), (1, 2), (1, 5)]
        await opened.store.logs.keep([], [LogCut("job", BEGIN, Place(2, 0))])
        assert numbers(opened) == [(2, number) for number in range(1, 6)]
        assert len(opened.store.logs.of_job("other", LogQuery())[0]) == 1

    run(test)


def test_a_line_of_no_job_and_a_number_that_is_taken_change_nothing(run: Run) -> None:
    async def test(opened: Opened) -> None:
        await opened.submit("job")
        await opened.store.logs.keep([line(1), line(1, job_id="unknown")], [])
        await opened.store.logs.keep([line(1)._replace(message="another"), line(2)], [])
        assert opened.store.logs.of_job("job", LogQuery())[0] == [line(1), line(2)]
        assert opened.store.logs.of_job("unknown", LogQuery()) == ([], False)

    run(test)


@pytest.mark.parametrize("by", ["purge", "delete"])
def test_a_log_is_deleted_with_its_job(run: Run, by: str) -> None:
    async def test(opened: Opened) -> None:
        await opened.run("job")
        await opened.store.logs.keep([line(1)], [])
        assert (await opened.store.cancel("job")).applied
        if by == "purge":
            assert (await opened.store.purge("9", 0, 100))[0] == 1
        else:
            assert (await opened.store.delete("job")).applied
        await opened.submit("job")
        assert numbers(opened) == []

    run(test)
