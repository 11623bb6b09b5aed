"""When to ask again for a job that has not ended."""

import pytest

from asyncjob.job import now_ms, timestamp
from asyncjob.server.http.answers import retry_after
from asyncjob.server.http.jobs import shown
from asyncjob.store import Shown


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(-3_600, 1), (0, 1), (19.9, 1), (20, 2), (55, 5), (99, 9), (100, 10), (1e9, 10)],
)
def test_it_is_a_tenth_of_the_jobs_age_from_1_to_10_seconds(age: float, seconds: int) -> None:
    assert retry_after(age) == (b"retry-after", str(seconds).encode())


def test_a_job_says_so_until_it_is_final() -> None:
    old = timestamp(now_ms() - 3_600_000)
    assert dict(shown(Shown(b"{}", False, old)).headers)[b"retry-after"] == b"10"
    assert b"retry-after" not in dict(shown(Shown(b"{}", True, old)).headers)
