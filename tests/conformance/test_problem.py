"""Errors as `application/problem+json`, where a client asks for them."""

import httpx
import pytest

from tests.conformance.answers import assert_refused

pytestmark = pytest.mark.needs("problem")

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("accept", [PROBLEM, f"application/json, {PROBLEM}", f"text/html;q=0.9,{PROBLEM};q=0.1"])
def test_a_refusal_is_a_problem_if_the_client_names_it(api: httpx.Client, job_id: str, accept: str) -> None:
    for path, status, title in ((f"/jobs/{job_id}", 404, "Not Found"), ("/jobs?limit=0", 400, "Bad Request")):
        answer = api.get(path, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
        problem = answer.json()
        detail = problem["detail"]
        assert detail and list(problem) == ["type", "title", "status", "detail", "message"]
        expected = {"type": "about:blank", "title": title, "status": status, "detail": detail, "message": detail}
        assert problem == expected


@pytest.mark.parametrize("accept", ["*/*", "application/json", f"{PROBLEM};q=0", f"{PROBLEM};q=0.1, application/json"])
def test_whoever_does_not_ask_for_it_gets_a_message(api: httpx.Client, job_id: str, accept: str) -> None:
    assert_refused(api.get(f"/jobs/{job_id}", headers={"accept": accept}), 404)


def test_its_headers_are_those_of_the_refusal(api: httpx.Client) -> None:
    answer = api.put("/jobs", headers={"accept": PROBLEM})
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM)
    assert "POST" in answer.headers["allow"]


def test_what_is_no_error_is_json_as_ever(api: httpx.Client) -> None:
    answer = api.post("/jobs", json={"seconds": 0}, headers={"accept": PROBLEM})
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/json")
