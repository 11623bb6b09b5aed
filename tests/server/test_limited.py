"""Functions with limits on a real server: they hold whatever dies, and each job runs in the end."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import alive, lines, wait_for
from tests.serving import Server

MODULE = """
import os, time
from asyncjob import JobContext, Jobs, Limit, Unique

jobs = Jobs()

def told(log, *words):
    with open(log, "a") as file:
        file.write(" ".join(words) + "\\n")

def work(context, log, name, key, seconds=0.1):
    told(log, "begin", name, key)
    time.sleep(seconds)
    told(log, "end", name, key)

@jobs.job(concurrency=2)
def few(context: JobContext, log: str) -> None:
    work(context, log, "few", "-")

@jobs.job(concurrency=[3, Limit(1, per="key")])
def keyed(context: JobContext, log: str, key: str) -> None:
    work(context, log, "keyed", key)

@jobs.job(retry_on=ValueError, retries=5, concurrency=4)
def unsure(context: JobContext, log: str) -> None:
    work(context, log, "unsure", "-")
    if context.attempt == 1:
        raise ValueError("not yet")

@jobs.job(concurrency=1, retries=2)
def deadly(context: JobContext, log: str) -> None:
    told(log, "begin", "deadly", "-")
    os._exit(1)

@jobs.job(unique=Unique("key", while_="waiting"), concurrency=1)
def latest(context: JobContext, log: str, key: str, gate: str = "") -> None:
    told(log, "begin", "latest", key)
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    told(log, "end", "latest", key)

@jobs.job(unique=Unique(within="1h"))
def once(context: JobContext, log: str) -> None:
    work(context, log, "once", "-")
"""
LIMITS = {"few": 2, "keyed": 3, "unsure": 4, "deadly": 1, "latest": 1}


def _serve(folder: Path, *arguments: str) -> Server:
    (folder / "limited.py").write_text(MODULE)
    return Server(folder / "jobs.db", *arguments, target=str(folder / "limited.py"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with _serve(tmp_path) as server:
        yield server


def _wait_for_lines(log: Path, count: int) -> None:
    wait_for(lambda: len(lines(log)) >= count, f"{count} lines")


def _wait_for_end(processes: list[int]) -> None:
    wait_for(lambda: not any(alive(pid) for pid in processes), "the end of the orphans")


def _check(told: list[str]) -> None:
    """No more ran at once than the limits allow; a kill ends all that ran."""
    running: Counter[tuple[str, str]] = Counter()
    for line in told:
        if line == "killed":
            running.clear()
            continue
        what, name, key = line.split()
        if name == "deadly":  # which tells no end
            continue
        running[name, key] += 1 if what == "begin" else -1
        assert sum(count for (other, _), count in running.items() if other == name) <= LIMITS[name], line
        assert name != "keyed" or running[name, key] <= 1, line


def test_a_server_that_is_killed_again_and_again_passes_no_limit_and_loses_no_job(
    server: Server, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()
    jobs = []
    for _ in range(3):
        enough = len(lines(log)) + 20
        for number in range(14):
            jobs.append(server.submit("few", log=str(log)))
            jobs.append(server.submit("keyed", log=str(log), key=f"key-{number % 5}"))
            jobs.append(server.submit("unsure", log=str(log)))
            options = {"delay": number / 7}
            jobs.append(server.submit("keyed", log=str(log), key="later", options=options))
        _wait_for_lines(log, enough)
        orphans = server.worker_pids()
        os.kill(server.process.pid, signal.SIGKILL)
        server.wait()
        _wait_for_end(orphans)
        with log.open("a") as file:
            file.write("killed\n")
        server.start()
    ended = [server.result(job_id) for job_id in jobs]
    assert {job["status"] for job in ended} == {"Success"}
    _check(lines(log))


def test_a_job_that_kills_its_worker_runs_alone_under_its_limit_until_it_fails(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    deadly = [server.submit("deadly", log=str(log)) for _ in range(3)]
    few = [server.submit("few", log=str(log)) for _ in range(10)]
    for job in map(server.result, deadly):
        assert (job["status"], job["error"]["type"]) == ("Failure", "WorkerLost")
    assert {server.result(job_id)["status"] for job_id in few} == {"Success"}
    begun = [line for line in lines(log) if "deadly" in line]
    assert 3 * 3 <= len(begun) <= 3 * 6  # three attempts each, and more if it was not alone in the first


def test_one_more_waits_behind_the_one_that_runs_and_its_submission_is_answered_with_it(
    server: Server, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.touch()
    first = server.submit("latest", log=str(log), key="a", gate=str(gate))
    wait_for(lambda: len(lines(log)) == 1, "the first one")
    with httpx.Client(base_url=server.url) as client:
        body = {"type": "latest", "log": str(log), "key": "a"}
        second = client.post("/jobs", json=body)
        assert (second.status_code, list(second.json())) == (202, ["jobId"])
        for _ in range(3):  # the ordinary way, and the fast one
            third = client.post("/jobs", json=body)
            assert third.status_code == 202
            assert third.json() == {"jobId": second.json()["jobId"], "duplicate": True}
            assert third.headers["location"] == f"/jobs/{second.json()['jobId']}"
        metrics = client.get("/metrics").text
        assert "asyncjob_limited 1.0" in metrics and "asyncjob_waiting 1.0" in metrics
    gate.touch()
    assert server.result(first)["status"] == server.result(second.json()["jobId"])["status"] == "Success"
    _check(lines(log))


def test_a_duplicate_is_answered_with_the_job_that_is_there_even_if_no_more_may_wait(tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.touch()
    with _serve(tmp_path, "--max-pending", "1") as server:
        body = {"type": "latest", "log": str(log), "key": "a"}
        first = server.submit(**body, gate=str(gate))
        wait_for(lambda: len(lines(log)) == 1, "the first one")
        second = server.submit(**body)
        for _ in range(3):  # the ordinary way, and the fast one
            again = server.client.post("/jobs", json=body)
            assert (again.status_code, again.json()) == (202, {"jobId": second, "duplicate": True})
        assert server.client.post("/jobs", json=body | {"key": "b"}).status_code == 429
        gate.touch()
        assert server.result(first)["status"] == server.result(second)["status"] == "Success"


def test_a_submission_that_waits_for_a_job_that_was_there_says_so(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    body = {"type": "once", "log": str(log)}
    first = server.client.post("/jobs?wait=30", json=body)
    assert first.status_code == 200 and "duplicate" not in first.json()
    again = server.client.post("/jobs?wait=30", json=body)
    assert (again.status_code, again.json()) == (200, first.json() | {"duplicate": True})
    assert again.headers["location"] == f"/jobs/{first.json()['jobId']}"
    assert "duplicate" not in server.get(first.json()["jobId"])
