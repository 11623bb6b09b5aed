"""GET /stats."""

import time
from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import Job

pytestmark = pytest.mark.needs("stats")

COUNTED_SECONDS = 30  # counts may be some seconds old
STATUSES = ["Pending", "Running", "Success", "Failure", "Canceled"]


def test_jobs_are_counted_by_status_and_by_when_they_ended(
    api: httpx.Client, submitted: Callable[..., str], ended: Callable[[str], Job]
) -> None:
    before = api.get("/stats").json()
    for _ in range(3):
        ended(submitted(0))
    canceled = submitted(5)
    assert api.post(f"/jobs/{canceled}/cancel").status_code == 200
    deadline = time.monotonic() + COUNTED_SECONDS
    while (after := api.get("/stats").json())["jobs"] == before["jobs"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(after["jobs"]) == STATUSES
    assert after["jobs"]["Success"] >= before["jobs"]["Success"] + 3  # one of an earlier test may end meanwhile
    assert after["jobs"]["Canceled"] == before["jobs"]["Canceled"] + 1
    assert after["ended"]["seconds"] * len(after["ended"]["counts"]) == 600
    one = api.get("/stats", params={"type": ended(canceled)["type"]}).json()
    assert one["jobs"]["Success"] >= 3 and one["jobs"]["Canceled"] >= 1
    none = api.get("/stats", params={"type": "no-such-type"}).json()
    assert set(none["jobs"].values()) == {0} and not any(any(counts.values()) for counts in none["ended"]["counts"])
    assert api.get("/stats?status=Success").status_code == 400
    assert sum(counts["Success"] for counts in after["ended"]["counts"][-3:]) >= 3
    assert sum(counts["Canceled"] for counts in after["ended"]["counts"][-3:]) >= 1
