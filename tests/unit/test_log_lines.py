"""What lines of the server's log look like."""

import re

import pytest

from asyncjob.server import logs

FORGED = "hello\n2026-11-30T22:22:22.222Z INFO    job deleted job_id=bank attempt=1"


@pytest.mark.parametrize("fields", [{}, {"exception": f"Traceback (most recent call last):\nValueError: {FORGED}"}])
def test_nothing_that_a_line_is_about_looks_like_a_line_of_its_own(fields: dict[str, str]) -> None:
    first, *more = logs._text_line("2026-11-30T22:03:44.254Z", "ERROR", FORGED, fields).split("\n")
    assert first == "2026-11-30T22:03:44.254Z ERROR   hello"
    assert more and all(re.match(r"    \S| {4}$", line) for line in more)
