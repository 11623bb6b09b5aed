"""The counts of the last minutes, by a clock of the test's own."""

import pytest

from asyncjob.job import Status
from asyncjob.server import throughput as module
from asyncjob.server.throughput import MOMENT_SECONDS, MOMENTS, Throughput


def test_a_job_is_counted_in_the_moment_in_which_it_ended_until_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    throughput = Throughput()
    for status in Status:
        throughput.count("add", status)
    now = MOMENT_SECONDS * 3
    throughput.count("echo", Status.SUCCESS)
    last = throughput.last()
    assert len(last) == MOMENTS
    assert last[-1] == {Status.SUCCESS: 1, Status.FAILURE: 0, Status.CANCELED: 0}
    assert last[-4] == {Status.SUCCESS: 1, Status.FAILURE: 1, Status.CANCELED: 1}
    assert throughput.last("echo")[-1] == last[-1] and throughput.last("add")[-4] == last[-4]
    assert not any(any(counts.values()) for counts in [*throughput.last("echo")[:-1], *throughput.last("other")])
    now = MOMENT_SECONDS * (MOMENTS + 2)
    assert sum(counts[Status.SUCCESS] for counts in throughput.last()) == 1
    now = MOMENT_SECONDS * MOMENTS * 1_000
    assert not any(any(counts.values()) for counts in throughput.last())
