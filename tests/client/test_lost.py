"""Connections that are lost after the request was sent: what may be asked again is, and one job runs once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Unreachable
from asyncjob.client import core
from tests.client.proxy import Proxy
from tests.server.conftest import lines, wait_for
from tests.serving import FUNCTIONS, Server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "FIRST_BACKOFF", 0.02)


@pytest.fixture
def proxy(served: Server) -> Iterator[Proxy]:
    with Proxy(served.url) as proxy:
        yield proxy


def test_a_job_whose_202_is_lost_again_and_again_runs_once(
    connected: Callable[..., Any], proxy: Proxy, started: str
) -> None:
    proxy.cuts.extend([True, True, True])
    handle = connected(proxy.url).submit("dies_once", runs=started)
    assert proxy.lines == ["POST /jobs HTTP/1.1"] * 4
    job = handle.wait()
    assert (job.attempt, job.results) == (2, 2)  # it kills its first attempt; were there another job, there were more
    assert len(lines(Path(started))) == 2


def test_every_job_of_a_map_on_a_bad_line_runs_once(connected: Callable[..., Any], tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server, Proxy(server.url) as proxy:
        proxy.cuts.extend([number % 3 == 0 for number in range(200)])
        handles = connected(proxy.url).map("add", ({"a": number} for number in range(30)), concurrency=5)
        assert [handle.result() for handle in handles] == list(range(1, 31))
        assert len(server.client.get("/jobs?limit=1000").json()["jobs"]) == 30


def test_a_lost_answer_to_a_get_or_a_cancel_is_asked_for_again(
    connected: Callable[..., Any], proxy: Proxy, started: str
) -> None:
    client = connected(proxy.url)
    handle = client.submit("waits", started=started)
    for ask in (handle.get, handle.cancel, handle.wait):
        proxy.cuts.append(True)
        ask()
    assert handle.wait().status == "Canceled"


def test_a_retry_whose_answer_is_lost_is_not_sent_again(connected: Callable[..., Any], proxy: Proxy) -> None:
    handle = connected(proxy.url).submit("add", a=1)
    handle.wait()
    proxy.cuts.append(True)
    with pytest.raises(Unreachable, match="/retry gave no answer"):
        handle.retry()
    assert [line for line in proxy.lines if "/retry" in line] == [f"POST /jobs/{handle.id}/retry HTTP/1.1"]
    wait_for(lambda: handle.get().attempt == 2 and handle.get().status.is_final, "the retry")


def test_a_line_that_stays_bad_is_said_to_be_so(connected: Callable[..., Any], proxy: Proxy) -> None:
    proxy.cuts.extend([True] * 9)
    with pytest.raises(Unreachable, match="/jobs gave no answer: "):
        connected(proxy.url, retries=2).submit("add", a=1)
    assert len(proxy.lines) == 3


def test_a_wait_is_held_by_the_server_and_not_polled(connected: Callable[..., Any], proxy: Proxy, started: str) -> None:
    handle = connected(proxy.url).submit("waits", started=started)
    with pytest.raises(TimeoutError):
        handle.wait(timeout=1)
    asked = [line for line in proxy.lines if line.startswith("GET")]
    assert asked[0] == f"GET /jobs/{handle.id}?wait=1.000 HTTP/1.1"
    assert len(asked) <= 2  # the second, if the first was answered a moment early
    handle.cancel()


def test_a_wait_outlives_a_server_that_is_started_again(
    connected: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "FIRST_BACKOFF", 0.5)
    with Server(tmp_path / "jobs.db", "--grace", "0", target=FUNCTIONS) as server:
        port = server.url.rpartition(":")[2]
        handle = connected(server.url, retries=9).submit("dies_once", runs=str(tmp_path / "runs"))
        server.stop()
        server._command[server._command.index("--backoff") - 3] = port
        server.start()
        assert handle.wait(timeout=60).status == "Success"
