"""Schedules on real servers: killed, restarted with other code, and full."""

import signal
import subprocess
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.eventstream import read
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import COMMAND, FUNCTIONS, Server, environment

TICK = """
from pathlib import Path
from asyncjob import Cron, Every, JobContext, Jobs

jobs = Jobs()


@jobs.job(retries=10, schedule={schedule})
def tick(context: JobContext, name: str = "tick") -> str:
    with Path(__file__).with_name("ticks").open("a") as file:
        file.write(f"{{context.job_id}}\\n")
    return name


@jobs.job
def other(a: int = 1) -> int:
    return a
"""


def _code(folder: Path, schedule: str = "None") -> str:
    file = folder / "mine.py"
    file.write_text(TICK.format(schedule=schedule))
    return str(file)


def _ticks(folder: Path) -> list[str]:
    return lines(folder / "ticks")


def _jobs(server: Server) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = server.client.get("/jobs?limit=1000&type=tick").json()["jobs"]
    return jobs


def _at(job_id: str) -> datetime:
    return datetime.strptime(job_id.rpartition("~")[2], "%Y%m%dT%H%M%SZ")


def test_a_killed_server_gives_no_time_twice_and_loses_none(tmp_path: Path) -> None:
    target = _code(tmp_path, 'Every("1s", missed="all")')
    with Server(tmp_path / "jobs.db", "--workers", "1", target=target) as server:
        for _ in range(4):
            seen = len(_ticks(tmp_path))
            wait_for(lambda seen=seen: len(set(_ticks(tmp_path))) > seen + 1, "two more jobs")  # type: ignore[misc]
            server.stop(signal.SIGKILL)
            server.start()
        assert server.client.post("/schedules/tick/pause").status_code == 200
        jobs = [server.result(job["jobId"]) for job in _jobs(server)]
        assert {job["status"] for job in jobs} == {"Success"}
        times = sorted(_at(job["jobId"]) for job in jobs)
        assert len(times) >= 8
        assert {(after - before).total_seconds() for before, after in pairwise(times)} == {1}
        assert set(_ticks(tmp_path)) == {job["jobId"] for job in jobs}


def test_what_code_declares_follows_the_code_and_a_pause_is_kept(tmp_path: Path) -> None:
    target = _code(tmp_path, '[Cron("0 9 * * 1-5", tz="Europe/Berlin"), Every("1h", id="hourly")]')
    with Server(tmp_path / "jobs.db", "--workers", "1", target=target) as server:
        schedules = server.client
        assert schedules.put("/schedules/mine", json={"type": "other", "every": "1d"}).status_code == 200
        for refused in (
            schedules.put("/schedules/tick", json={"every": 5, "type": "tick"}),
            schedules.delete("/schedules/tick"),
        ):
            assert refused.status_code == 409
            assert "the code declares the schedule tick" in refused.json()["message"]
        before = schedules.post("/schedules/tick/pause").json()
        hourly = schedules.get("/schedules/hourly").json()
        assert (before["declared"], hourly["every"]) == (True, 3_600)
        server.stop(signal.SIGKILL)
        server.start()
        assert server.client.get("/schedules/tick").json() == before
        assert server.client.get("/schedules/hourly").json() == hourly
        server.stop()

        _code(tmp_path, 'Cron("30 9 * * 1-5", tz="Asia/Tokyo", parameters={"name": "x"})')
        server.start()
        found = {one["scheduleId"]: one for one in server.client.get("/schedules").json()["schedules"]}
        assert set(found) == {"tick", "mine"}
        tick = found["tick"]
        assert (tick["cron"], tick["tz"], tick["parameters"]) == ("30 9 * * 1-5", "Asia/Tokyo", {"name": "x"})
        assert (tick["paused"], tick["createdAt"]) == (True, before["createdAt"])
        resumed = server.client.post("/schedules/tick/resume").json()
        assert datetime.fromisoformat(resumed["nextRunAt"]).strftime("%H:%M") == "00:30"
        assert "does not declare a schedule any more: deleted schedule=hourly" in server.log.read_text()


def test_a_schedule_of_a_function_that_is_gone_waits_for_it(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=_code(tmp_path)) as server:
        assert server.client.put("/schedules/mine", json={"type": "tick", "every": 1}).status_code == 200
        wait_for(lambda: _ticks(tmp_path), "a job")
        server.stop()
        target = tmp_path / "mine.py"
        target.write_text(target.read_text().replace("def tick(", "def gone_since("))  # of another size
        server.start()
        assert server.client.get("/schedules/mine").json()["type"] == "tick"
        refused = server.client.post("/schedules/mine/run-now")
        assert (refused.status_code, "'tick' is registered" in refused.json()["message"]) == (409, True)
        assert "waits for a function that is not registered schedule=mine type=tick" in server.log.read_text()
        seen = len(_jobs(server))
        server.stop()
        _code(tmp_path)
        server.start()
        wait_for(lambda: len(_jobs(server)) > seen, "a job once the function is back")


def test_schedules_that_are_due_at_the_same_time_all_run(tmp_path: Path) -> None:
    target = _code(tmp_path, '[Every("2s", id=f"s{number}") for number in range(20)]')
    with Server(tmp_path / "jobs.db", "--workers", "1", target=target) as server:
        wait_for(lambda: len({_at(job_id) for job_id in _ticks(tmp_path)}) > 2, "three times")
        server.stop()
        server.start()
        ticks = _ticks(tmp_path)
        assert len(ticks) == len(set(ticks))
        first, second, *_ = sorted({_at(job_id) for job_id in ticks})
        for time in (first, second):
            assert {job_id.partition("~")[0] for job_id in ticks if _at(job_id) == time} == {
                f"s{number}" for number in range(20)
            }


def test_jobs_that_schedules_begin_are_told_and_counted_as_any_other(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=_code(tmp_path)) as server:
        with server.client.stream("GET", "/events") as answer:
            events = read(answer)
            next(events)  # it listens from here on
            server.client.put("/schedules/mine", json={"type": "tick", "every": 1})
            job_id = next(event for event in events).data["jobId"]
            told = [{"jobId": job_id, "status": "Pending"}]
            for event in events:
                if event.data["jobId"] == job_id:
                    told.append(event.data)
                    if event.data["status"] == "Success":
                        break
        assert [event["status"] for event in told] == ["Pending", "Running", "Success"]
        assert job_id.startswith("mine~")
        metrics = server.client.get("/metrics").text
        assert 'asyncjob_schedule_occurrences_total{outcome="begun"}' in metrics
        assert 'asyncjob_submissions_total{type="tick"}' in metrics


def test_while_too_many_jobs_wait_a_time_waits_too_and_is_not_lost(tmp_path: Path, gate: Gate) -> None:
    started = str(tmp_path / "started")
    arguments = ("--workers", "1", "--concurrency", "1", "--max-pending", "1")
    with Server(tmp_path / "jobs.db", *arguments, target=FUNCTIONS) as server:
        server.submit("holds", started=started, gate=gate.path)
        wait_for(lambda: lines(Path(started)), "the job that holds the place")
        server.submit("add", a=1)
        body = {"type": "add", "parameters": {"a": 1}, "every": 1}
        assert server.client.put("/schedules/late", json=body).status_code == 200
        wait_for(lambda: "so schedules wait too" in server.log.read_text(), "the schedule to wait")
        assert "lastRun" not in server.client.get("/schedules/late").json()
        assert server.client.post("/schedules/late/run-now").status_code == 429
        gate.open()
        wait_for(lambda: "lastRun" in server.client.get("/schedules/late").json(), "a job")


def test_what_the_last_job_became_is_known_after_it_was_deleted(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", "--keep", "1s", target=FUNCTIONS) as server:
        body = {"type": "raises", "parameters": {"message": "no"}, "cron": "0 0 29 2 *"}
        assert server.client.put("/schedules/rare", json=body).status_code == 200
        job_id = server.client.post("/schedules/rare/run-now").json()["jobId"]
        wait_for(lambda: server.client.get(f"/jobs/{job_id}").status_code == 404, "the end of the job")
        last = server.client.get("/schedules/rare").json()["lastRun"]
        assert (last["jobId"], last["status"]) == (job_id, "Failure")
        assert last["error"] == {"type": "LookupError", "message": "no"}


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ('Every("1m", parameters={"nane": 1})', "nane"),
        ('Cron("61 * * * *")', "minute"),
        ('Cron("0 9 * * *", tz="Mars/Olympus")', "time zone"),
        ('Every("1m", options=__import__("asyncjob").Options(notify="https://example.com/"))', "'tick'"),
    ],
)
def test_a_server_does_not_start_with_a_schedule_that_is_wrong(tmp_path: Path, schedule: str, says: str) -> None:
    command = [str(COMMAND), "serve", _code(tmp_path, schedule), "--port", "0", "--database", str(tmp_path / "jobs.db")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
