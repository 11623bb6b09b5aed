"""What workers make once for all their jobs: where, when, and what becomes of it."""

import os
import signal
from pathlib import Path

import pytest

from tests.server.conftest import lines, wait_for
from tests.serving import Server

SOURCE = """
import asyncio, os, time
from pathlib import Path
from asyncjob import JobContext, Jobs
jobs = Jobs()
HERE = Path(__file__).parent

def say(line):
    with (HERE / "said").open("a") as file:
        file.write(f"{line} {os.getpid()}\\n")

@jobs.lifespan
SPAN

@jobs.job
def uses(context: JobContext) -> list:
    return [context.resources, context.worker, os.getpid()]

@jobs.job
async def uses_async(context: JobContext) -> list:
    task, loop = context.resources[1], asyncio.get_running_loop()
    return [not task.done() and task.get_loop() is loop, context.worker, os.getpid()]

@jobs.job(isolate=True)
def alone(context: JobContext) -> list:
    return [context.resources, context.worker, os.getpid()]

@jobs.job
def lasts(context: JobContext) -> str:
    say("began")
    while not (HERE / "gate").exists():
        time.sleep(0.02)
    say("done")
    return "done"
"""
SYNC = """
def resources(worker):
    say("start")
    yield ["resource", worker.worker]
    say("end")
"""
ASYNC = """
async def resources():
    say("start")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(600))
        class Resource(list): pass
        yield Resource([0, task])
        task.cancel()
    say("end")
"""


def _serving(folder: Path, span: str, *arguments: str) -> Server:
    (folder / "mine.py").write_text(SOURCE.replace("SPAN", span))
    return Server(folder / "jobs.db", *arguments, target=str(folder / "mine.py"))


def _said(folder: Path, word: str) -> list[int]:
    """The processes that have said it."""
    return [int(line.split()[1]) for line in lines(folder / "said") if line.startswith(word)]


@pytest.mark.parametrize(("span", "type"), [(SYNC, "uses"), (ASYNC, "uses_async")])
def test_each_worker_has_its_own_before_its_first_job_and_until_its_last(tmp_path: Path, span: str, type: str) -> None:
    with _serving(tmp_path, span, "--workers", "2") as server:
        results = [server.result(server.submit(type))["results"] for _ in range(6)]
        starts = _said(tmp_path, "start")
        assert {pid for *_, pid in results} <= set(starts)
        for resources, number, _ in results:
            assert resources == (["resource", number] if type == "uses" else True)
        wait_for(lambda: len(_said(tmp_path, "start")) == 2, "both workers")
        wait_for(lambda: server.log.read_text().count("worker ready") == 2, "both workers")
        workers = server.worker_pids()
        assert server.stop() == 0
        assert sorted(_said(tmp_path, "end")) == sorted(_said(tmp_path, "start")) == sorted(workers)


def test_a_number_is_kept_by_whatever_process_takes_the_place(tmp_path: Path) -> None:
    with _serving(tmp_path, SYNC, "--workers", "1") as server:
        first = server.result(server.submit("uses"))["results"]
        os.kill(first[2], signal.SIGKILL)
        wait_for(lambda: server.log.read_text().count("worker ready") == 2, "the next process")
        second = server.result(server.submit("uses"))["results"]
        assert first[:2] == second[:2] == [["resource", 0], 0]
        assert first[2] != second[2]


def test_an_isolated_process_has_its_own_too_and_ends_it_after_its_job(tmp_path: Path) -> None:
    with _serving(tmp_path, SYNC, "--workers", "1") as server:
        resources, number, pid = server.result(server.submit("alone"))["results"]
        assert resources == ["resource", number] and number >= 1
        wait_for(lambda: pid in _said(tmp_path, "end"), "its end")
        wait_for(lambda: len(_said(tmp_path, "start")) == 3, "the spare")
        wait_for(lambda: server.log.read_text().count("worker ready") == 3, "the spare")
        assert server.stop() == 0
        assert sorted(_said(tmp_path, "end")) == sorted(_said(tmp_path, "start"))


def test_its_end_waits_for_the_last_job_within_the_grace_period(tmp_path: Path) -> None:
    with _serving(tmp_path, SYNC, "--workers", "1", "--grace", "60") as server:
        server.submit("lasts")
        wait_for(lambda: _said(tmp_path, "began"), "the job")
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping;" in server.log.read_text(), "the stop")
        assert not _said(tmp_path, "end")
        (tmp_path / "gate").touch()
        assert server.wait() == 0
        assert [line.split()[0] for line in lines(tmp_path / "said")] == ["start", "began", "done", "end"]


def test_an_end_that_does_not_end_is_cut_short_with_the_grace_period(tmp_path: Path) -> None:
    span = SYNC.replace('say("end")', 'say("end"); time.sleep(600)')
    with _serving(tmp_path, span, "--workers", "1", "--grace", "600") as server:
        server.result(server.submit("uses"))
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: _said(tmp_path, "end"), "the end")
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_an_end_that_fails_is_logged_without_values_and_the_server_stops_as_ever(tmp_path: Path) -> None:
    span = SYNC.replace('say("end")', 'raise LookupError("pri" + "vate")')
    with _serving(tmp_path, span, "--workers", "1") as server:
        server.result(server.submit("uses"))
        assert server.stop() == 0
        log = server.log.read_text()
        assert "the lifespan failed error=LookupError" in log and "private" not in log


def test_a_killed_server_skips_the_end(tmp_path: Path) -> None:
    with _serving(tmp_path, SYNC, "--workers", "1") as server:
        server.result(server.submit("uses"))
        server.stop(signal.SIGKILL)
        assert not _said(tmp_path, "end")


def test_a_start_that_fails_is_said_in_one_line_and_tried_again(tmp_path: Path) -> None:
    span = SYNC.replace('say("start")', 'assert (HERE / "model").exists(), "no model"')
    with _serving(tmp_path, span, "--workers", "1") as server:
        job_id = server.submit("uses")
        said = 'worker cannot start error="the lifespan resources failed: AssertionError: no model ('
        wait_for(lambda: said in server.log.read_text(), "the failure")
        assert "Traceback" not in server.log.read_text()
        assert server.client.get("/healthz").status_code == 503
        (tmp_path / "model").touch()
        assert server.result(job_id)["status"] == "Success"
