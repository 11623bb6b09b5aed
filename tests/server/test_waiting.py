"""Jobs that wait for jobs: they need no place meanwhile, and learn of their own cancel."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import lines, wait_for
from tests.serving import PatchedServer, Server

FAMILY = str(Path(__file__).parent.parent / "family.py")


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Server]:
    """A server with two places."""
    with Server(tmp_path / "jobs.db", "--concurrency", "2", "--workers", "2", target=FAMILY) as server:
        yield server


def _metric(server: Server, name: str) -> float:
    return next(
        float(line.split()[1]) for line in server.client.get("/metrics").text.splitlines() if line.startswith(name)
    )


def _all_places_are_free(server: Server, folder: Path) -> None:
    """Two jobs may run, and not three."""
    wait_for(lambda: _metric(server, "asyncjob_awaiting ") == 0, "the end of all waits")
    started, gate = folder / "probes", folder / "probed"
    probes = [server.submit("blocks", started=str(started), gate=str(gate)) for _ in range(3)]
    wait_for(lambda: len(lines(started)) == 2, "two jobs at once")
    assert sorted(server.get(job_id)["status"] for job_id in probes) == ["Pending", "Running", "Running"]
    gate.touch()
    assert {server.result(job_id)["status"] for job_id in probes} == {"Success"}


@pytest.mark.parametrize("type", ["sums", "sums_async", "sums_mapped", "sums_mapped_async"])
def test_parents_that_wait_for_children_two_deep_leave_them_their_places(
    family: Server, tmp_path: Path, type: str
) -> None:
    parents = [family.submit(type, url=family.url, depth=2, width=3) for _ in range(4)]
    assert [family.result(job_id)["results"] for job_id in parents] == [1 + 3 + 9] * 4
    _all_places_are_free(family, tmp_path)


def test_a_worker_that_is_killed_among_parents_and_children_costs_no_result(family: Server, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    below = {"url": family.url, "depth": 2, "width": 2, "started": str(started), "gate": str(gate)}
    parents = [family.submit("sums", **below) for _ in range(2)]
    wait_for(lambda: len(lines(started)) >= 6, "two that wait for the gate")
    os.kill(int(lines(started)[0]), signal.SIGKILL)
    gate.touch()
    assert [family.result(job_id)["results"] for job_id in parents] == [7, 7]
    wait_for(lambda: len(family.worker_pids()) == 2, "the end of the suspects' processes")
    _all_places_are_free(family, tmp_path)


def test_a_server_that_is_stopped_while_parents_wait_goes_on_with_them(family: Server, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    below = {"depth": 1, "width": 2, "started": str(started), "gate": str(gate)}
    parents = [family.submit("sums", url=family.url, **below) for _ in range(2)]
    wait_for(lambda: len(lines(started)) >= 4, "both parents and two children")
    wait_for(lambda: _metric(family, "asyncjob_awaiting ") == 2, "both parents aside")
    assert _metric(family, "asyncjob_running ") == 4
    family.process.send_signal(signal.SIGTERM)
    family.process.send_signal(signal.SIGTERM)
    assert family.wait() == 0
    port = family.url.rpartition(":")[2]
    family._command[family._command.index("--port") + 1] = port
    family.start()
    gate.touch()
    assert [family.result(job_id)["results"] for job_id in parents] == [3, 3]
    _all_places_are_free(family, tmp_path)


@pytest.mark.parametrize(
    ("type", "raised"),
    [("waits", "JobCanceled"), ("waits_aside", "JobCanceled"), ("waits_aside_async", "CancelledError")],
)
def test_a_parent_that_is_canceled_while_it_waits_learns_of_it_at_once(
    family: Server, tmp_path: Path, type: str, raised: str
) -> None:
    child = family.submit("blocks", started=str(tmp_path / "started"), gate=str(tmp_path / "gate"))
    told = tmp_path / "told"
    parent = family.submit(type, url=family.url, child=child, told=str(told))
    wait_for(lambda: lines(told), "the parent")
    wait_for(lambda: type == "waits" or _metric(family, "asyncjob_awaiting ") == 1, "the parent's wait")
    workers = family.worker_pids()
    assert family.client.post(f"/jobs/{parent}/cancel").json()["status"] == "Canceled"
    wait_for(lambda: lines(told) == ["waits", raised], "what the parent learned")
    (tmp_path / "gate").touch()
    assert family.result(child)["status"] == "Success"
    assert family.worker_pids() == workers
    _all_places_are_free(family, tmp_path)


def test_a_parent_that_is_over_time_while_it_waits_learns_of_it_and_its_worker_lives(
    family: Server, tmp_path: Path
) -> None:
    child = family.submit("blocks", started=str(tmp_path / "started"), gate=str(tmp_path / "gate"))
    told = tmp_path / "told"
    workers = family.worker_pids()
    parent = family.result(family.submit("overruns", url=family.url, child=child, told=str(told)))
    assert parent["error"]["type"] == "Timeout"
    wait_for(lambda: lines(told) == ["waits", "JobCanceled"], "what the parent learned")
    (tmp_path / "gate").touch()
    assert family.result(child)["status"] == "Success"
    assert family.worker_pids() == workers


def test_a_parent_that_gives_up_goes_on_with_a_place(family: Server, tmp_path: Path) -> None:
    child = family.submit("blocks", started=str(tmp_path / "started"), gate=str(tmp_path / "gate"))
    assert family.result(family.submit("impatient", url=family.url, child=child))["results"] == "WaitTimeout"
    (tmp_path / "gate").touch()
    family.result(child)
    _all_places_are_free(family, tmp_path)


def test_a_job_that_cries_that_it_waits_costs_nobody_a_place(family: Server, tmp_path: Path) -> None:
    cries = [family.submit("cries") for _ in range(3)]
    assert {family.result(job_id)["results"] for job_id in cries} == {"cried"}
    assert _metric(family, "asyncjob_worker_messages_ignored_total ") >= 4_000
    _all_places_are_free(family, tmp_path)


def test_isolated_parents_that_wait_for_children_of_their_own_function_leave_them_their_processes(
    tmp_path: Path,
) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "2", target=FAMILY) as server:
        parents = [server.submit("sums_isolated", url=server.url, depth=2, width=2) for _ in range(3)]
        assert [server.result(job_id)["results"] for job_id in parents] == [1 + 2 + 4] * 3
        wait_for(lambda: len(server.worker_pids()) == 3, "the end of all isolated processes but a spare")


def test_a_function_whose_limit_is_taken_by_jobs_that_wait_is_named(tmp_path: Path) -> None:
    code = (
        "import asyncjob.cli, asyncjob.server.workers.standstill as it; it.STANDSTILL_SECONDS = 1; asyncjob.cli.app()"
    )
    with PatchedServer(tmp_path / "jobs.db", code, "--workers", "1", target=FAMILY) as server:
        parent = server.submit("sums_in_turn", url=server.url, depth=1)
        said = "do they wait for jobs of their own function? type=sums_in_turn jobs=1"
        wait_for(lambda: said in server.log.read_text(), "the warning")
        assert server.get(parent)["status"] == "Running"
        other = server.submit("blocks", started=str(tmp_path / "started"), gate=str(tmp_path))
        assert server.result(other)["status"] == "Success"
