"""`Idempotency-Key`, another way to say `jobId`."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.answers import assert_refused

pytestmark = pytest.mark.needs("idempotencyKey")

Accepted = Callable[..., str]


def test_the_key_is_the_jobs_id(api: httpx.Client, accepted: Accepted, job_id: str) -> None:
    headers = {"idempotency-key": f'"{job_id}"'}
    for _ in range(2):  # and the same request again is no other job
        assert accepted(api.post("/jobs", json={"seconds": 0}, headers=headers), job_id) == job_id
    assert accepted(api.post("/jobs", json={"seconds": 0, "jobId": job_id}), job_id) == job_id


def test_its_parameters_say_nothing(api: httpx.Client, accepted: Accepted, job_id: str) -> None:
    key = f'"{job_id}"; a=1;b;c="d"'
    assert accepted(api.post("/jobs", json={"seconds": 0}, headers={"idempotency-key": key}), job_id) == job_id


def test_a_key_of_another_request_is_refused(api: httpx.Client, accepted: Accepted, job_id: str) -> None:
    headers = {"idempotency-key": f'"{job_id}"'}
    accepted(api.post("/jobs", json={"seconds": 0}, headers=headers), job_id)
    assert job_id in assert_refused(api.post("/jobs", json={"seconds": 1}, headers=headers), 422)


def test_the_body_may_name_the_same_id_and_no_other(api: httpx.Client, accepted: Accepted, job_id: str) -> None:
    headers = {"idempotency-key": f'"{job_id}"'}
    accepted(api.post("/jobs", json={"seconds": 0, "jobId": job_id}, headers=headers), job_id)
    other = api.post("/jobs", json={"seconds": 0, "jobId": f"{job_id}-2"}, headers=headers)
    assert "jobId" in assert_refused(other, 400)


@pytest.mark.parametrize("key", ["", "12345", '"', '""', '"a', '"a b"', '".a"', '"a/b"', '"a", "b"', ":YQ==:", '"a"b'])
def test_what_can_be_no_id_is_refused(api: httpx.Client, key: str) -> None:
    answer = api.post("/jobs", json={"seconds": 0}, headers={"idempotency-key": key})
    assert "Idempotency-Key" in assert_refused(answer, 400)
