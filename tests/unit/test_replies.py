"""What is read of a receiver's Retry-After: seconds or a date, and nothing else."""

import pytest

from asyncjob.server.webhooks.replies import retry_after


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (b"120", 120, 120),
        (b" 7 ", 7, 7),
        (b"99999999999999999999", 1e19, 1e21),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 1e11, 1e12),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
        (b"Fri, 31 Dec 99999 23:59:59 GMT", 0, 0),
        (b"-1", 0, 0),
        (b"1.5", 0, 0),
        (b"1e9", 0, 0),
        (b"soon", 0, 0),
        (b"", 0, 0),
        (b"\xff", 0, 0),
        (b"9" * 10_000, 0, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: bytes, least: float, most: float) -> None:
    assert least <= retry_after([(b"other", b"1"), (b"Retry-After", value)]) <= most


def test_there_may_be_none() -> None:
    assert retry_after([]) == 0
