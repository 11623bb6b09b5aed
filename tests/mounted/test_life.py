"""It starts and stops with its application, loses nothing, and leaves alone what is the application's."""

import signal
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.eventstream import read
from tests.mounted.hosted import Hosted
from tests.server.conftest import Gate, alive, lines, wait_for
from tests.serving import Server


def _holds(host: Hosted, folder: Path, gate: Gate) -> None:
    """Have a job run that ends once the gate is open."""
    job = {"type": "holds", "started": str(folder / "started"), "gate": gate.path, "jobId": "held"}
    assert host.client.post("/work/jobs", json=job).status_code == 202
    wait_for(lambda: lines(folder / "started"), "the job to start")


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_running_job_ends_before_its_application(tmp_path: Path, gate: Gate) -> None:
    with Hosted(tmp_path / "jobs.db") as host:
        _holds(host, tmp_path, gate)
        host.process.send_signal(signal.SIGTERM)
        host.wait_for("Waiting for application shutdown")
        gate.open()
        host.wait()
        assert "job ended" in host.log
    with Hosted(tmp_path / "jobs.db") as host:
        job = host.client.get("/work/jobs/held").json()
        assert (job["status"], job["attempt"]) == ("Success", 1)


def test_a_job_that_takes_longer_runs_again_when_the_application_is_back(tmp_path: Path, gate: Gate) -> None:
    env = {"GRACE": "0"}
    with Hosted(tmp_path / "jobs.db", env=env) as host:
        _holds(host, tmp_path, gate)
        workers = _children(host.process.pid)
        host.stop()
        assert not any(alive(pid) for pid in workers)
    with Hosted(tmp_path / "jobs.db", env=env) as host:
        wait_for(lambda: len(lines(tmp_path / "started")) == 2, "the job to start again")
        gate.open()
        assert host.client.get("/work/jobs/held?wait=30").json()["status"] == "Success"


def test_an_open_stream_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db") as owner, Hosted(tmp_path / "jobs.db") as follower:
        for host in (follower, owner):
            with host.client.stream("GET", "/work/events") as answer:
                events = read(answer)
                next(events)
                host.process.send_signal(signal.SIGTERM)
                assert list(events) == []
                host.wait()
            assert "Application shutdown complete" in host.log


def test_a_request_that_waits_is_answered_when_the_application_stops(tmp_path: Path, gate: Gate) -> None:
    with Hosted(tmp_path / "jobs.db", env={"GRACE": "0"}) as host:
        _holds(host, tmp_path, gate)
        with host.client.stream("GET", "/work/jobs/held/events") as answer:
            events = read(answer)
            assert next(events).data["status"] == "Running"
            host.process.send_signal(signal.SIGTERM)
            assert [event.data["status"] for event in events][-1] == "Pending"


def test_what_is_only_mounted_starts_with_its_first_request_and_says_so_once(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db", app="plain") as host:
        assert "owning the database" not in host.log
        for _ in range(2):
            assert host.client.post("/work/jobs", json={"type": "add", "a": 1}).status_code == 202
        assert host.log.count("the job API starts with its first request") == 1
        assert "FastAPI(lifespan=work.lifespan)" in host.log
        workers = _children(host.process.pid)
        host.stop()
        wait_for(lambda: not any(alive(pid) for pid in workers), "the workers to end")
    with Hosted(tmp_path / "jobs.db", app="plain") as host:
        assert len(host.client.get("/work/jobs").json()["jobs"]) == 2


@pytest.mark.parametrize(
    ("app", "prefix"), [("fast", "/work"), ("star", "/deep/work"), ("tests.mounted.lite:lite", "/work"), ("work", "")]
)
def test_frameworks_mount_it_and_links_keep_the_prefix(tmp_path: Path, app: str, prefix: str) -> None:
    with Hosted(tmp_path / "jobs.db", app=app) as host:
        answer = host.client.post(f"{prefix}/jobs", json={"type": "add", "a": 1})
        assert answer.headers["location"] == f"{prefix}/jobs/{answer.json()['jobId']}"
        assert host.client.get(answer.headers["location"], params={"wait": "30"}).json()["results"] == 2
        assert host.client.get(f"{prefix}/").status_code == 200
        host.stop()
        assert "Application shutdown complete" in host.log and "Traceback" not in host.log


APP = """
from fastapi import FastAPI
from asyncjob import JobContext, Jobs, JobsApp

jobs = Jobs()

@jobs.job
def version() -> int:
    return {version}

@jobs.job
def first_waits(context: JobContext, started: str) -> int:
    if {version} == 1:
        with open(started, "a") as file:
            file.write("started\\n")
        while True:
            context.progress(0.5)
    return {version}

work = JobsApp(jobs, workers=1, grace=0)
app = FastAPI(lifespan=work.lifespan)
app.mount("/work", work)
"""


def test_a_reload_serves_the_changed_functions_and_loses_no_job(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(APP.format(version=1))
    with Hosted(tmp_path / "jobs.db", "--reload", "--app-dir", str(tmp_path), app="mine:app") as host:
        started = tmp_path / "started"
        host.client.post("/work/jobs", json={"type": "first_waits", "started": str(started), "jobId": "waits"})
        wait_for(lambda: lines(started), "the job to start")
        with host.client.stream("GET", "/work/events") as answer:  # as the page in a browser does
            events = read(answer)
            next(events)
            file.write_text(APP.format(version=2) + "# longer\n")
            host.wait_for("Application startup complete", times=2)
        assert host.client.get("/work/jobs/waits?wait=30").json()["results"] == 2


def test_workers_of_uvicorn_that_are_restarted_one_by_one_lose_no_job(tmp_path: Path, gate: Gate) -> None:
    with Hosted(tmp_path / "jobs.db", "--workers", "2", env={"GRACE": "0"}) as host:
        host.wait_for("Application startup complete", times=2)
        _holds(host, tmp_path, gate)
        host.process.send_signal(signal.SIGHUP)
        host.wait_for("Application startup complete", times=4)
        gate.open()
        assert host.client.get("/work/jobs/held?wait=30").json()["status"] == "Success"
        host.stop()


def test_workers_find_what_the_application_finds(tmp_path: Path) -> None:
    """It is started from a folder that is not the current one, and imports from one more."""
    near, more = tmp_path / "application", tmp_path / "more"
    near.mkdir()
    more.mkdir()
    (more / "elsewhere.py").write_text("ANSWER = 42\n")
    (near / "functions.py").write_text(
        textwrap.dedent("""
            import elsewhere
            from asyncjob import Jobs
            jobs = Jobs()

            @jobs.job
            def ask() -> int:
                return elsewhere.ANSWER
        """)
    )
    (near / "site.py").write_text("")  # as a module of Python is called, which workers must not take for it
    (near / "main.py").write_text(
        textwrap.dedent(f"""
            import sys
            sys.path.append({str(more)!r})
            from fastapi import FastAPI
            from asyncjob import JobsApp
            from functions import jobs
            work = JobsApp(jobs, workers=1)
            app = FastAPI(lifespan=work.lifespan)
            app.mount("/work", work)
        """)
    )
    with Hosted(tmp_path / "jobs.db", "--app-dir", str(near), app="main:app") as host:
        answer = host.client.post("/work/jobs", json={})
        assert host.client.get(f"{answer.headers['location']}?wait=30").json()["results"] == 42


def test_a_program_that_runs_uvicorn_itself_can_have_its_functions_in_its_own_file(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        APP.format(version=3) + "if __name__ == '__main__':\n    import uvicorn\n    uvicorn.run(app, port=0)\n"
    )
    with Hosted(tmp_path / "jobs.db", command=[str(program)]) as host:
        answer = host.client.post("/work/jobs", json={"type": "version"})
        assert host.client.get(f"{answer.headers['location']}?wait=30").json()["results"] == 3


def test_an_application_with_other_functions_is_told_who_has_the_database(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db") as host, pytest.raises(AssertionError) as failed:  # noqa: SIM117
        with Hosted(tmp_path / "jobs.db", app="mounted", env={"START_SECONDS": "0.5", "SILENT_SECONDS": "0"}):
            pass
    assert 'waiting for the database reason="' in str(failed.value)
    assert f"process {host.process.pid} serves it with other job functions or settings" in str(failed.value)
    assert f"is in use by another server (process {host.process.pid})" in str(failed.value)


def test_a_server_that_has_the_database_is_named(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db") as server, pytest.raises(AssertionError) as failed:  # noqa: SIM117
        with Hosted(tmp_path / "jobs.db", env={"START_SECONDS": "0.5", "SILENT_SECONDS": "0"}):
            pass
    assert 'waiting for the database reason="' in str(failed.value)
    assert f"is in use by another server (process {server.process.pid})" in str(failed.value)


FAMILY = """
from fastapi import FastAPI
from asyncjob import Jobs, JobsApp

jobs = Jobs()

@jobs.job
def twice(number: int) -> int:
    return 2 * number

@jobs.job
def all_twice(count: int) -> int:
    return sum(work.blocking_client.submit(twice, number=each).result(timeout=60) for each in range(count))

@jobs.job
async def twice_again(number: int) -> int:
    return await (await work.submit(twice, number=number)).result(timeout=60)

work = JobsApp(jobs, workers=1, concurrency=2, api_key="a key of 20 characters")
app = FastAPI(lifespan=work.lifespan)
app.mount("/work", work)
"""


def test_job_functions_submit_jobs_too(tmp_path: Path) -> None:
    (tmp_path / "family.py").write_text(FAMILY)
    with Hosted(tmp_path / "jobs.db", "--app-dir", str(tmp_path), app="family:app") as host:
        host.client.headers["x-api-key"] = "a key of 20 characters"
        for job, results in (({"type": "all_twice", "count": 3}, 6), ({"type": "twice_again", "number": 4}, 8)):
            answer = host.client.post("/work/jobs", json=job)
            assert host.client.get(f"{answer.headers['location']}?wait=60").json()["results"] == results
        assert "first request" not in host.log and "the database" not in host.log  # the workers are no members


def test_an_application_outlives_its_database(tmp_path: Path) -> None:
    database, elsewhere = tmp_path / "jobs.db", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Hosted(database) as host:
        assert host.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "kept"}).status_code == 202
        database.rename(elsewhere / "jobs.db")
        database.mkdir()  # so that no other is made in its place
        host.wait_for("the job API is not available")
        assert host.client.get("/process").json() == host.process.pid
        assert host.client.get("/work/jobs").status_code == 503
        database.rmdir()
        (elsewhere / "jobs.db").rename(database)
        host.wait_for("owning the database", times=2)
        assert host.client.get("/work/jobs/kept?wait=30").json()["status"] == "Success"


@pytest.mark.parametrize("follows", [False, True])
def test_what_waits_for_a_job_that_outlasts_the_application_is_told_at_once(
    tmp_path: Path, gate: Gate, *, follows: bool
) -> None:
    with Hosted(tmp_path / "jobs.db", env={"GRACE": "0"}) as owner, ExitStack() as more:
        _holds(owner, tmp_path, gate)
        host = more.enter_context(Hosted(tmp_path / "jobs.db", env={"GRACE": "0"})) if follows else owner
        with ThreadPoolExecutor() as clients:
            waiting = [
                clients.submit(httpx.get, f"{host.url}{route}?job_id=held", timeout=60)
                for route in ("/result", "/result-in-a-thread")
            ]
            host.wait_for("waiting for the job", times=2)
            assert host.stop() in (0, -signal.SIGTERM)
            assert [each.result().status_code for each in waiting] == [500, 500]
        assert host.log.count("Unreachable: the application is stopping") == 2


def test_a_program_that_runs_in_its_workers_too_is_told_what_to_do(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(APP.format(version=4) + "import uvicorn\nuvicorn.run(app, port=0)\n")
    with Hosted(tmp_path / "jobs.db", command=[str(program)]) as host:
        host.wait_for("put what runs it below `if __name__")


def test_an_owner_that_has_come_to_a_standstill_does_not_hold_up_a_start_for_ever(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db") as host:
        host.process.send_signal(signal.SIGSTOP)
        env = {"START_SECONDS": "0.1", "WELCOME_SECONDS": "0.1"}
        with pytest.raises(AssertionError) as failed, Hosted(tmp_path / "jobs.db", env=env):
            pass
        assert f"is in use by another server (process {host.process.pid})" in str(failed.value)
