"""Several processes of one application: one owns the database, the others hand over, and one of them takes over."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.mounted.hosted import Hosted
from tests.server.conftest import Gate, lines, wait_for


def owner_of(database: Path) -> int:
    """The process that has the database's lock."""
    return int(database.with_name(f"{database.name}.lock").read_text() or 0)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class Submitting:
    """A client that submits one job after the other, without an id, until it is told to stop."""

    def __init__(self, url: str, name: int) -> None:
        self.accepted: list[str] = []
        self.broken: list[str] = []  # the connection ended before the answer
        self.others: list[str] = []
        self.over = threading.Event()
        self._url, self._name = url, name
        self._thread = in_thread(self._run)

    def _run(self) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self.over.is_set():
                number += 1
                value = f"{self._name}-{number}"
                try:
                    answer = client.post("/work/jobs", json={"type": "echo", "value": value})
                except httpx.TransportError:
                    self.broken.append(value)
                    continue
                (self.accepted if answer.status_code == 202 else self.others).append(value)

    def join(self) -> None:
        self.over.set()
        self._thread.join(60)


def values(client: httpx.Client) -> Counter[str]:
    """How many jobs there are of each value."""
    found: Counter[str] = Counter()
    query: dict[str, str] = {"limit": "1000"}
    while True:
        page = client.get("/work/jobs", params=query).json()
        found.update(str(job["parameters"]["value"]) for job in page["jobs"] if job["type"] == "echo")
        if "next" not in page:
            return found
        query["cursor"] = page["next"]


def test_when_the_owner_is_killed_no_job_is_lost_and_none_is_made_twice(tmp_path: Path) -> None:
    database = tmp_path / "jobs.db"
    with Hosted(database, "--workers", "3") as host:
        host.wait_for("Application startup complete", times=3)
        clients = [Submitting(host.url, number) for number in range(6)]
        for kills in range(1, 3):
            enough = 40 * kills
            wait_for(lambda: all(len(client.accepted) >= enough for client in clients), "submissions")  # noqa: B023
            killed = owner_of(database)
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: owner_of(database) not in (0, killed), "another owner")  # noqa: B023
        wait_for(lambda: all(len(client.accepted) >= 120 for client in clients), "submissions")
        for client in clients:
            client.join()
        assert [client.others for client in clients] == [[]] * 6
        made = values(host.client)
        assert set(made.values()) == {1}
        accepted = {value for client in clients for value in client.accepted}
        broken = {value for client in clients for value in client.broken}
        assert accepted <= set(made) <= accepted | broken
        for status in ("Pending", "Running"):
            wait_for(lambda: not host.client.get(f"/work/jobs?status={status}").json()["jobs"], status)  # noqa: B023
        assert host.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_another_process_takes_over_when_nobody_asks(tmp_path: Path, gate: Gate, signum: int) -> None:
    started = tmp_path / "started"
    with Hosted(tmp_path / "jobs.db") as first, Hosted(tmp_path / "jobs.db") as second:
        job = {"type": "holds", "started": str(started), "gate": gate.path, "jobId": "held"}
        assert second.client.post("/work/jobs", json=job).status_code == 202
        wait_for(lambda: len(lines(started)) == 1, "the job to start")
        first.process.send_signal(signum)
        if signum == signal.SIGTERM:
            gate.open()
        second.wait_for("owning the database")
        if signum == signal.SIGKILL:
            wait_for(lambda: len(lines(started)) == 2, "the job to start again")
            gate.open()
        job = second.client.get("/work/jobs/held?wait=30").json()
        assert (job["status"], job["attempt"]) == ("Success", 2 if signum == signal.SIGKILL else 1)


def test_a_request_waits_for_the_next_owner(tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    with Hosted(tmp_path / "jobs.db") as first, Hosted(tmp_path / "jobs.db") as second:
        job = {"type": "holds", "started": str(started), "gate": gate.path, "jobId": "held"}
        assert second.client.post("/work/jobs", json=job).status_code == 202
        answers: list[httpx.Response] = []
        waiting = in_thread(lambda: answers.append(second.client.get("/work/jobs/held?wait=60")))
        wait_for(lambda: len(lines(started)) == 1, "the job to start")
        first.process.kill()
        wait_for(lambda: len(lines(started)) == 2, "the job to start again")
        gate.open()
        waiting.join(60)
        assert answers[0].status_code == 200
        assert answers[0].json()["status"] == "Success"
