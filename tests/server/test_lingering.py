"""A function that goes on after its job has ended counts against its limits until it has really ended."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import lines, wait_for
from tests.serving import PatchedServer, Server

LINGERING = str(Path(__file__).parent.parent / "lingering.py")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=LINGERING) as server:
        yield server


class Lot:
    """Some jobs that write one log, and the gates that let them end."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.log, self.gate = folder / "log", folder / "gate"
        self.log.touch()
        self._given: dict[str, Any] = {"log": str(self.log)}

    def submit(self, type: str, **parameters: Any) -> str:
        return self.server.submit(type, **self._given | {"gate": str(self.gate)} | parameters)

    def begin(self, type: str, **parameters: Any) -> str:
        """Submit a job and wait until its function has begun."""
        job_id, log = self.submit(type, **parameters), Path(parameters.get("log", self.log))
        wait_for(lambda: f"begin {job_id} 1" in lines(log), "its begin")
        return job_id

    def begin_neighbour(self) -> str:
        """Have a job keep the worker's process alive."""
        return self.begin("neighbour", log=f"{self.log}-2", gate=f"{self.gate}-2")

    def cancel(self, job_id: str) -> None:
        assert self.server.client.post(f"/jobs/{job_id}/cancel").json()["status"] == "Canceled"

    def wait_for_log(self, text: str) -> None:
        wait_for(lambda: text in self.server.log.read_text(), text)

    @property
    def lingering(self) -> float:
        metrics = self.server.client.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in metrics if line.startswith("asyncjob_lingering "))

    def ran_in_turn(self, *attempts: str) -> None:
        assert lines(self.log) == [f"{what} {one}" for one in attempts for what in ("begin", "end")]


@pytest.fixture
def lot(server: Server, tmp_path: Path) -> Lot:
    return Lot(server, tmp_path)


def test_the_next_of_a_key_begins_once_the_canceled_one_has_really_ended(lot: Lot) -> None:
    server, neighbour, first = lot.server, lot.begin_neighbour(), lot.begin("stubborn")
    second = lot.submit("stubborn")
    lot.cancel(first)
    assert server.client.post(f"/jobs/{first}/retry").status_code == 202  # it comes after the second
    lot.wait_for_log("worker retired")
    assert (server.get(second)["status"], lot.lingering) == ("Pending", 1)
    other = lot.submit("stubborn", key="b", log=f"{lot.log}-2", gate=str(lot.log))
    assert server.result(other)["status"] == "Success"
    lot.gate.touch()
    assert server.result(second)["status"] == server.result(first)["status"] == "Success"
    lot.ran_in_turn(f"{first} 1", f"{second} 1", f"{first} 2")
    assert (server.get(neighbour)["status"], lot.lingering) == ("Running", 0)


def test_the_next_attempt_begins_once_the_one_beyond_its_timeout_has_really_ended(lot: Lot) -> None:
    lot.begin_neighbour()
    first = lot.begin("overruns")
    second = lot.submit("overruns")
    lot.wait_for_log("worker retired")
    assert [lot.server.get(job_id)["status"] for job_id in (first, second)] == ["Pending", "Pending"]
    lot.gate.touch()
    for job_id in (first, second):
        assert lot.server.result(job_id)["status"] == "Success"
    order = (f"{second} 1", f"{first} 2") if f"begin {second} 1" == lines(lot.log)[2] else (f"{first} 2", f"{second} 1")
    lot.ran_in_turn(f"{first} 1", *order)


def test_the_end_of_its_process_is_its_end(lot: Lot) -> None:
    lot.begin_neighbour()
    first = lot.begin("stubborn")
    second = lot.submit("stubborn")
    (worker,) = lot.server.worker_pids()
    lot.cancel(first)
    lot.wait_for_log("worker retired")
    assert lot.server.get(second)["status"] == "Pending"
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: f"begin {second} 1" in lines(lot.log), "the second")
    assert lot.lingering == 0


def test_a_function_that_goes_on_alone_costs_its_process_and_holds_nobody_up_for_long(lot: Lot) -> None:
    first = lot.begin("stubborn")
    second = lot.submit("stubborn")
    lot.cancel(first)
    wait_for(lambda: f"begin {second} 1" in lines(lot.log), "the second")
    assert lot.lingering == 0
    assert f"end {first} 1" not in lines(lot.log)


def test_the_end_of_the_server_is_its_end(lot: Lot) -> None:
    lot.begin_neighbour()
    first = lot.begin("stubborn")
    second = lot.submit("stubborn")
    lot.cancel(first)
    lot.wait_for_log("worker retired")
    lot.server.stop(signal.SIGKILL)
    lot.server.start()
    lot.gate.touch()
    assert lot.server.result(second)["status"] == "Success"
    assert f"end {first} 1" not in lines(lot.log)


def test_one_that_never_ends_holds_its_place_for_a_while_and_no_longer(tmp_path: Path) -> None:
    code = "import asyncjob.server.workers.deadlines as it; it.LINGER_SECONDS = 1; from asyncjob.cli import app; app()"
    with PatchedServer(tmp_path / "jobs.db", code, "--workers", "1", target=LINGERING) as server:
        lot = Lot(server, tmp_path)
        lot.begin_neighbour()
        first = lot.begin("stubborn")
        second = lot.submit("stubborn")
        lot.cancel(first)
        wait_for(lambda: f"begin {second} 1" in lines(lot.log), "the second")
        assert (
            f"job goes on although it has ended, and is not limited any longer job_id={first}" in server.log.read_text()
        )
        assert (server.get(first)["status"], lot.lingering) == ("Canceled", 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("type", "limit"), [("counted", 3), ("counted_alone", 2)])
def test_no_limit_is_passed_whatever_is_canceled_over_time_or_killed(tmp_path: Path, type: str, limit: int) -> None:
    folder = tmp_path / "running"
    folder.mkdir()
    chance = random.Random(7)
    with Server(tmp_path / "jobs.db", "--workers", "2", target=LINGERING) as server:
        given = {"folder": str(folder)}
        jobs = []
        for number in range(40):
            seconds = chance.choice([0, 0.1, 1.5])
            jobs.append(server.submit(type, key=chance.choice("abc"), seconds=seconds, **given))
            if number % 3 == 0:
                canceled = chance.choice(jobs[-9:])
                server.client.post(f"/jobs/{canceled}/cancel")
                server.client.post(f"/jobs/{canceled}/retry")
            if number % 15 == 14:
                wait_for(server.worker_pids, "a worker")
                os.kill(chance.choice(server.worker_pids()), signal.SIGKILL)
        for job_id in jobs:
            assert server.result(job_id)["status"] in ("Success", "Failure")
        wait_for(lambda: Lot(server, tmp_path).lingering == 0, "the end of all that goes on")
    counts = [line.split() for line in lines(Path(f"{folder}.log"))]
    assert len(counts) >= 40
    assert max(int(all_) for all_, _ in counts) <= limit and {of_key for _, of_key in counts} == {"1"}
