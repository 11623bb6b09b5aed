"""How many jobs a worker is given in a row."""

from asyncjob.server.workers.pace import Pace


def _pace(after: float = 1.0) -> Pace:
    """20,000 short jobs and 100 long ones have ended."""
    pace = Pace(100.0)
    pace.ended(["short"] * 20_000 + ["long"] * 100)
    pace.measure(100.0 + after)
    return pace


def test_the_first_jobs_are_dealt_out_one_by_one() -> None:
    assert Pace(100.0).in_a_row("short", 2) == 1


def test_a_worker_gets_as_many_short_jobs_in_a_row_as_it_ends_in_a_moment() -> None:
    assert _pace().in_a_row("short", 2) == 100
    assert _pace().in_a_row("short", 4) == 50


def test_long_jobs_are_dealt_out_one_by_one_also_beside_short_ones() -> None:
    assert _pace().in_a_row("long", 2) == 1


def test_jobs_that_come_after_a_pause_are_dealt_out_one_by_one() -> None:
    pace = _pace()
    pace.measure(200.0)
    assert pace.in_a_row("short", 2) == 1


def test_the_pace_is_not_that_of_a_single_message() -> None:
    pace = _pace()
    pace.measure(101.001)
    assert pace.in_a_row("short", 2) == 100
