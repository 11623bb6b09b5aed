"""What a job function does to its worker harms nobody but its own job."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Gate, alive, lines, wait_for
from tests.serving import Server

HOSTILE = str(Path(__file__).parent.parent / "hostile_functions.py")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all, so that what one job leaves behind meets the next; the same worker is there at the end."""
    folder = tmp_path_factory.mktemp("boundary")
    with Server(folder / "jobs.db", "--workers", "1", target=HOSTILE) as server:
        worker = results(server, "pid")
        yield server
        assert results(server, "pid") == worker
        assert "worker ended" not in server.log.read_text()


def results(server: Server, type: str, **parameters: Any) -> Any:
    job = server.result(server.submit(type, **parameters))
    assert (job["status"], job["attempt"]) == ("Success", 1), job
    return job["results"]


def error(server: Server, type: str, **parameters: Any) -> dict[str, str]:
    job = server.result(server.submit(type, **parameters))
    assert job["status"] == "Failure", job
    found: dict[str, str] = job["error"]
    return found


def test_progress_that_is_told_after_the_end_goes_nowhere(shared: Server) -> None:
    results(shared, "tells_late")
    assert error(shared, "leaves_a_sibling") == {"type": "ValueError", "message": "one of two"}
    results(shared, "surroundings_async")
    job_id = shared.submit("tells_late")
    before = shared.result(job_id)
    results(shared, "prints", text="meanwhile")
    assert shared.get(job_id) == before


@pytest.mark.parametrize(
    ("type", "parameters", "expected"),
    [
        ("forked_child_exits", {"status": 0}, 0),
        ("forked_child_exits", {"status": 3}, 3),
        ("forked_child_raises", {}, 1),
        ("forked_child_returns", {}, "child left with 0"),
        ("forked_child_returns_async", {}, "child left with 0"),
        ("forked_child_awaits", {}, 1),
        ("forked_past_python", {}, 4),
    ],
)
def test_a_forked_child_that_comes_back_ends_and_tells_nothing(
    shared: Server, type: str, parameters: dict[str, int], expected: Any
) -> None:
    job_id = shared.submit(type, **parameters)
    job = shared.result(job_id)
    assert (job["status"], job["results"], job["attempt"]) == ("Success", expected, 1)
    assert "progress" not in job


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_a_function_work_and_can_be_ended(shared: Server, method: str) -> None:
    assert results(shared, "terminates", method=method) == -15
    assert results(shared, "pools", method=method) == [1, 4, 9]
    assert results(shared, "pools_async", method=method) == 25


def test_a_child_holds_no_socket_of_its_worker(shared: Server) -> None:
    assert results(shared, "sockets_of_a_child") == [False, False]


@pytest.mark.parametrize("type", ["surroundings", "surroundings_async"])
def test_a_job_finds_what_the_import_set_and_nothing_of_the_job_before(shared: Server, type: str) -> None:
    first = results(shared, type, change=True)
    assert first[:3] == ["at import", 50, str(shared.database.parent)]
    for _ in range(3):
        assert results(shared, type, change=True) == first
    for other in ("surroundings", "surroundings_async"):
        assert results(shared, other) == first


def test_a_sync_job_that_changes_its_folder_keeps_it_and_changes_no_others(
    shared: Server, tmp_path: Path, gate: Gate
) -> None:
    started = tmp_path / "started"
    job_id = shared.submit("stays_in_the_root", started=str(started), gate=gate.path)
    wait_for(lambda: lines(started), "the start")
    assert results(shared, "surroundings")[2] == str(shared.database.parent)
    gate.open()
    assert shared.result(job_id)["results"] == "/"


@pytest.mark.parametrize(
    ("how", "type"),
    [
        ("str", "Leaving"),
        ("class", "Disguised"),
        ("base", "BaseException"),
        ("deep", "InvalidResults"),
    ],
)
def test_whatever_leaves_however_the_job_ends(shared: Server, how: str, type: str) -> None:
    assert error(shared, "escapes", how=how)["type"] == type


def test_what_is_kept_of_an_exception_is_bounded_and_printable(shared: Server) -> None:
    found = error(shared, "escapes", how="type")
    assert found["type"] == "x" * 200
    assert len(found["message"]) == 10_000
    assert "\x1b" not in shared.log.read_text()


@pytest.mark.parametrize("text", ['1,"status":"Success"', "", "{", "\xff", '"a" "b"', "01", "NaN"])
def test_raw_results_that_are_no_json_are_refused(shared: Server, text: str) -> None:
    assert error(shared, "returns_raw", text=text)["type"] == "InvalidResults"
    assert shared.client.get("/jobs").status_code == 200


def test_raw_results_that_are_json_are_kept(shared: Server) -> None:
    assert results(shared, "returns_raw", text=' {"a": 1}') == {"a": 1}


def test_exceptions_thrown_late_into_threads_lose_no_job(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=HOSTILE) as server:
        for _ in range(10):
            server.submit("throws_late")
        jobs = [server.submit("prints", text="x") for _ in range(300)]
        ended = [server.result(job_id) for job_id in jobs]
        assert {job["status"] for job in ended} <= {"Success", "Failure"}
        for _ in range(20):
            job = server.result(server.submit("pid"))
            assert job["status"] == "Success" or job["error"]["type"] == "SystemExit"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("cancels itself", "CancelledError"),
        ("cancels itself last", None),
        ("raises CancelledError", "CancelledError"),
        ("stops the loop", None),
        ("closes the loop", "RuntimeError"),
        ("replaces the task factory", None),
        ("replaces the exception handler", None),
    ],
)
def test_what_an_async_function_does_to_its_task_or_loop_ends_its_job_alone(
    shared: Server, how: str, expected: str | None
) -> None:
    if expected is None:
        assert results(shared, "misbehaves", how=how) == "went on"
    else:
        assert error(shared, "misbehaves", how=how)["type"] == expected
    assert results(shared, "wrapped", value=1) == 2


def test_a_function_that_cancels_all_tasks_cancels_no_other_job(shared: Server, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job_id = shared.submit("sleeps_async", started=str(started), seconds=1)
    wait_for(lambda: lines(started), "the start")
    assert results(shared, "cancels_all") == "canceled"
    assert shared.result(job_id)["results"] == "slept"


def test_a_groups_leaves_are_named_in_the_job_and_shown_without_values_in_the_log(shared: Server) -> None:
    job = shared.result(shared.submit("groups"))
    assert job["attempt"] == 2, "retry_on holds for a leaf"
    assert job["error"]["type"] == "ExceptionGroup"
    assert "ConnectionError: nobody there; ValueError: a secret value" in job["error"]["message"]
    log = shared.log.read_text()
    assert "in the group ValueError" in log and "caused by KeyError" in log
    assert 'raise ConnectionError("nobody there")' in log
    assert "ValueError: a secret value" not in log and "\na secret note" not in log


@pytest.mark.parametrize(
    "type",
    ["wrapped", "blocking", "decorated", "object", "partial", "partial-of-wrapped", "future", "old-style"],
)
def test_what_can_be_awaited_is_awaited(shared: Server, type: str) -> None:
    assert results(shared, type, value=21) == 42


def test_a_function_with_a_wrong_hint_has_its_value(shared: Server) -> None:
    assert results(shared, "awaits_nothing") == 5


def test_a_wrapped_async_function_is_canceled_as_any(shared: Server, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job_id = shared.submit("waits_wrapped", started=str(started))
    wait_for(lambda: lines(started), "the start")
    assert shared.client.post(f"/jobs/{job_id}/cancel").status_code == 200
    wait_for(lambda: "ended True" in lines(started), "its end")


def test_a_decimal_has_the_digits_that_were_sent_and_get_shows_them(shared: Server) -> None:
    sent = '{"one":1.10,"more":[12345678901234567890.12,1,"0.10"],"item":{"price":1E-7},"other":1.50}'
    answer = shared.client.post("/jobs", content=f'{{"type":"prices",{sent[1:]}'.encode())
    assert answer.status_code == 202
    job_id = answer.json()["jobId"]
    assert shared.result(job_id)["results"] == [
        "1.10",
        ["12345678901234567890.12", "1", "0.10"],
        {"price": "1E-7", "count": 1},
        "1.5",
    ]
    assert f'"parameters":{sent}' in shared.client.get(f"/jobs/{job_id}").text
    again = f'{{"jobId":"{job_id}","type":"prices",{sent[1:]}'
    assert shared.client.post("/jobs", content=again.encode()).status_code == 202
    assert shared.client.post("/jobs", content=again.replace("890.12", "890.13").encode()).status_code == 409


@pytest.mark.parametrize("type", ["runs_shell", "runs_shell_async"])
def test_what_an_overdue_function_started_ends_and_its_worker_lives(shared: Server, tmp_path: Path, type: str) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 600 & echo $! >> {pids}; (echo $$ >> {pids}; sleep 600 & echo $! >> {pids}; wait); wait"
    daemon = results(shared, "leaves_daemon")
    assert error(shared, type, command=command)["type"] == "Timeout"
    wait_for(lambda: len(lines(pids)) == 3, "its processes")
    wait_for(lambda: not any(alive(int(pid)) for pid in lines(pids)), "their end")
    assert alive(daemon)
    os.kill(daemon, 9)


def test_what_a_task_of_an_overdue_function_starts_after_the_end_ends(shared: Server, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert error(shared, "starts_process_late", pid_file=str(pid_file))["type"] == "Timeout"
    wait_for(lambda: len(lines(pid_file)) == 1, "its process")
    wait_for(lambda: not alive(int(lines(pid_file)[0])), "its end")


@pytest.mark.parametrize("type", ["prints", "prints_async"])
@pytest.mark.parametrize("end", ["\n", ""])
def test_what_a_job_prints_is_in_the_log_when_it_has_ended(tmp_path: Path, type: str, end: str) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=HOSTILE) as server:
        results(server, type, text="printed", end=end)
        assert "printed" in server.log.read_text()
        results(server, type, text="again", end=end)
        assert server.stop() == 0
        assert "again" in server.log.read_text()
