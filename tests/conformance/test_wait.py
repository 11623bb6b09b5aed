"""GET /jobs/{jobId}?wait=."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.answers import assert_refused

pytestmark = pytest.mark.needs("wait")

Submit = Callable[..., str]


def test_the_answer_is_held_until_the_job_is_final(api: httpx.Client, submitted: Submit) -> None:
    answer = api.get(f"/jobs/{submitted(0.5)}?wait=20")
    assert answer.json()["status"] == "Success"
    assert "retry-after" not in answer.headers


def test_running_out_of_time_is_no_error(api: httpx.Client, submitted: Submit) -> None:
    begin = time.monotonic()
    answer = api.get(f"/jobs/{submitted(3)}?wait=0.2")
    assert time.monotonic() - begin >= 0.2
    assert answer.status_code == 200
    assert answer.json()["status"] in ("Pending", "Running")
    assert answer.headers["retry-after"] == "1"


def test_a_final_job_is_answered_at_once(api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(0)
    api.get(f"/jobs/{job_id}?wait=20")
    assert api.get(f"/jobs/{job_id}?wait=60").json()["status"] == "Success"  # longer than `connect` waits


@pytest.mark.parametrize("wait", ["0", "60", "1.5", "0.001", "1e-5", "50.166899321136455"])
def test_seconds_from_0_to_60_are_accepted(api: httpx.Client, submitted: Submit, wait: str) -> None:
    job_id = submitted(0)
    api.get(f"/jobs/{job_id}?wait=20")
    assert api.get(f"/jobs/{job_id}?wait={wait}").status_code == 200


@pytest.mark.parametrize("query", ["wait=", "wait=-1", "wait=61", "wait=1e2", "wait=x", "wait=nan", "wait=inf", "w=1"])
def test_another_wait_is_refused(api: httpx.Client, submitted: Submit, query: str) -> None:
    assert "wait" in assert_refused(api.get(f"/jobs/{submitted(0)}?{query}"), 400)


def test_an_unknown_job_is_not_waited_for(api: httpx.Client, job_id: str) -> None:
    assert assert_refused(api.get(f"/jobs/{job_id}?wait=20"), 404) == "Not found"


@pytest.mark.needs("cancel")
def test_a_cancel_ends_the_wait(connect: Callable[[], httpx.Client], api: httpx.Client, submitted: Submit) -> None:
    job_id = submitted(4)
    with ThreadPoolExecutor(1) as pool, connect() as other:
        waiting = pool.submit(other.get, f"/jobs/{job_id}?wait=30")
        assert api.post(f"/jobs/{job_id}/cancel").status_code == 200
        assert waiting.result().json()["status"] == "Canceled"
