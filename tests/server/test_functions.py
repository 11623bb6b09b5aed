"""What a job function may do, seen through the API."""

from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import lines, wait_for
from tests.serving import Server


def test_sync_and_async_functions_return_any_json_value(server: Server) -> None:
    values: list[Any] = [None, True, 0, -1.5, "ü\u0000\"'", [], {"a": [1, {"b": None}]}, 2**70]
    for name in ("echo", "echo_async"):
        for value in values:
            job = server.result(server.submit(name, value=value))
            assert (job["status"], job["results"]) == ("Success", value)


def test_defaults_are_filled_in_for_the_function_and_not_in_the_job(server: Server) -> None:
    job = server.result(server.submit("add", a=1))
    assert job["results"] == 2
    assert job["parameters"] == {"a": 1}


def test_hinted_types_arrive_as_such_and_come_back_as_json(server: Server) -> None:
    job = server.result(server.submit("draw", points=[{"x": 1}, {"x": 2, "y": 3}], at="2024-06-06T12:34:56.789Z"))
    assert job["results"] == {
        "points": [[1, 0], [2, 3]],
        "color": "red",
        "at": "2024-06-06T12:34:56.789000Z",
        "tags": [],
        "width": 1,
    }


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"points": []}, "points"),
        ({"points": [{"x": 1}] * 4}, "points"),
        ({"points": [{"x": "1"}]}, "points[0].x"),
        ({"points": [{"x": 1}], "color": "green"}, "color"),
        ({"points": [{"x": 1}], "at": "today"}, "at"),
        ({"points": [{"x": 1}], "width": 11}, "width"),
        ({"points": [{"x": 1}], "height": 1}, "height"),
    ],
)
def test_what_does_not_fit_the_hints_is_refused_before_it_is_accepted(
    server: Server, parameters: dict[str, object], where: str
) -> None:
    answer = server.client.post("/jobs", json={"type": "draw", **parameters})
    assert answer.status_code == 400
    assert where in answer.json()["message"]


def test_with_several_functions_the_type_must_be_given(server: Server) -> None:
    answer = server.client.post("/jobs", json={"a": 1})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("type is missing")
    assert "add, echo" in answer.json()["message"]


def test_an_exception_is_a_failure_at_once(server: Server) -> None:
    job = server.result(server.submit("raises", message="no such thing"))
    assert (job["status"], job["attempt"]) == ("Failure", 1)
    assert job["error"] == {"type": "LookupError", "message": "no such thing"}


def test_a_function_that_exits_has_failed_and_its_worker_lives(server: Server) -> None:
    server.result(server.submit("add", a=1))  # by then what starts with the server is there
    workers = server.worker_pids()
    job = server.result(server.submit("leaves", status=3))
    assert job["error"] == {"type": "SystemExit", "message": "3"}
    assert server.worker_pids() == workers


def test_results_that_are_no_json_are_a_failure_that_says_so(server: Server) -> None:
    job = server.result(server.submit("unencodable"))
    assert job["status"] == "Failure"
    assert job["error"]["type"] == "InvalidResults"
    assert "object" in job["error"]["message"]


def test_results_of_one_megabyte_are_kept_and_of_more_are_a_failure_that_says_so(server: Server) -> None:
    job = server.result(server.submit("large", size=1_048_574))
    assert len(job["results"]) == 1_048_574
    job = server.result(server.submit("large", size=1_048_575))
    assert job["error"]["type"] == "InvalidResults"
    assert "1,048,576" in job["error"]["message"]


def test_an_exception_that_a_function_wants_repeated_is_repeated(server: Server, tmp_path: Path) -> None:
    job = server.result(server.submit("flaky", runs=str(tmp_path / "runs"), failures=2))
    assert (job["status"], job["results"], job["attempt"]) == ("Success", 3, 3)


def test_no_pause_between_attempts_lasts_for_ever(server: Server, tmp_path: Path) -> None:
    for number in range(30):  # one at a time: nothing else wakes the server
        job = server.result(server.submit("flaky", runs=str(tmp_path / f"runs-{number}"), failures=3))
        assert (job["status"], job["attempt"]) == ("Success", 4)


def test_it_is_a_failure_when_its_retries_are_used_up(server: Server, tmp_path: Path) -> None:
    job = server.result(server.submit("flaky", runs=str(tmp_path / "runs"), failures=9))
    assert (job["status"], job["attempt"]) == ("Failure", 4)
    assert job["error"] == {"type": "ConnectionError", "message": "failure 4"}
    assert len(lines(tmp_path / "runs")) == 4


def test_an_explicit_retry_gives_all_retries_again(server: Server, tmp_path: Path) -> None:
    job_id = server.submit("flaky", runs=str(tmp_path / "runs"), failures=6)
    assert server.result(job_id)["status"] == "Failure"
    assert server.client.post(f"/jobs/{job_id}/retry").status_code == 202
    job = server.result(job_id)
    assert (job["status"], job["results"], job["attempt"]) == ("Success", 7, 7)


def test_progress_is_shown_while_it_runs_and_the_last_of_it_afterwards(server: Server, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job_id = server.submit("reports", started=str(started))
    wait_for(lambda: "progress" in server.get(job_id), "progress")
    assert server.get(job_id)["progress"] == {"fraction": 0.5, "message": "half"}
    assert lines(started) == [f"{job_id} 1"]
    job = server.result(server.submit("counts", steps=1000))
    assert job["progress"] == {"fraction": 1, "message": "step 1000"}


@pytest.mark.parametrize("function", ["reports", "waits"])
def test_a_function_learns_that_it_was_canceled(server: Server, tmp_path: Path, function: str) -> None:
    started = tmp_path / "started"
    job_id = server.submit(function, started=str(started))
    wait_for(lambda: lines(started), "the start")
    assert server.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "Canceled"
    wait_for(lambda: "canceled True" in lines(started), "the cancel")
    assert server.get(job_id)["status"] == "Canceled"
