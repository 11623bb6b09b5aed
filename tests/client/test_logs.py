"""A job's log in the clients and at the command line."""

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncjob import Client, Jobs, LoggedLine, NotFound, Refused
from asyncjob.testing import MemoryEngine
from tests.client.conftest import Run
from tests.serving import Server

TALKERS = str(Path(__file__).parent.parent / "talkers.py")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose functions log."""
    with Server(tmp_path_factory.mktemp("talkers") / "jobs.db", "--workers", "1", target=TALKERS) as server:
        yield server


def test_a_line_has_its_values_as_python_has_them(client: Any) -> None:
    handle = client.submit("fails", message="no")
    handle.wait()
    first, last = handle.logs()
    assert isinstance(first, LoggedLine)
    assert (first.level, first.logger, first.message) == ("info", "talkers", "before")
    assert (first.attempt, first.number) == (1, 1)
    assert (first.traceback, first.left_out) == (None, 0)
    assert "raise ValueError" in last.traceback
    assert handle.get().started_at <= first.at <= last.at
    assert dict(first) == first.document and first.document["message"] == "before"


def test_lines_are_read_by_pages_and_chosen_by_level_and_attempt(client: Any) -> None:
    handle = client.submit("repeats", attempts=3)
    handle.wait()
    assert [line.attempt for line in handle.logs()] == [1, 1, 2, 2, 3]
    assert [line.message for line in handle.logs(attempt=2)] == ["attempt 2", "RetryLater: again"]
    assert list(handle.logs(level="warning")) == []
    flood = client.submit("floods", lines=5_000)
    flood.wait()
    found = list(flood.logs())
    assert (len(found), found[-1].number, sum(line.left_out for line in found)) == (1_000, 5_000, 4_000)


def test_who_follows_gets_the_lines_as_they_come_until_the_job_has_ended(client: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    handle = client.submit("goes_on", started=str(tmp_path / "started"), gate=str(gate))
    seen = []
    for line in handle.logs(follow=True):
        seen.append(line.message)
        gate.touch()
    assert seen == ["before the gate", "after the gate", "the end"]


def test_an_unknown_job_or_level_is_refused(client: Any) -> None:
    with pytest.raises(NotFound):
        list(client.job("nobody").logs())
    with pytest.raises(ValueError, match="loud"):
        list(client.job("nobody").logs(level="loud"))


def test_an_api_that_keeps_no_logs_is_told_from_one_that_has_no_such_job() -> None:
    def answer(request: httpx.Request) -> httpx.Response:  # as API Gateway does in our template
        return httpx.Response(200 if request.url.path == "/jobs/known" else 404, json={"message": "Not found"})

    with Client("http://api", retries=0) as client:
        client.use(httpx.Client(base_url="http://api", transport=httpx.MockTransport(answer)))
        with pytest.raises(Refused, match=r"^this API keeps no logs of jobs \(404\)$") as refused:
            list(client.job("known").logs())
        assert not isinstance(refused.value, NotFound)
        with pytest.raises(NotFound):
            list(client.job("unknown").logs())


def test_the_engine_for_tests_says_where_the_log_is() -> None:
    jobs = Jobs()
    jobs.job(name="add")(lambda: None)
    with MemoryEngine(jobs) as engine, pytest.raises(Refused, match="caplog"):
        list(engine.client.submit("add").logs())


def test_the_command_shows_lines_for_people_and_for_programs(run: Run, served: Server) -> None:
    job_id = served.submit("fails", message="no")
    served.result(job_id)
    shown = run("logs", job_id).stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} 1 INFO     talkers: before", shown[0])
    assert shown[1].endswith(" 1 ERROR    asyncjob: ValueError: no")
    assert shown[-1].strip() == "raise ValueError(message)" and shown[-1].startswith("    ")
    assert len(run("logs", job_id, "--level", "ERROR").stdout.splitlines()) == len(shown) - 1
    documents = [json.loads(line) for line in run("logs", job_id, "--json", "--attempt", "1").stdout.splitlines()]
    assert documents == served.client.get(f"/jobs/{job_id}/logs").json()["logs"]


def test_the_command_says_what_was_left_out_and_what_it_does_not_know(run: Run, served: Server) -> None:
    job_id = served.submit("floods", lines=2_000)
    served.result(job_id)
    assert "... 1,000 lines were left out" in run("logs", job_id).stdout.splitlines()
    assert "Not found: http://127.0.0.1" in (said := run("logs", "nobody", status=2).stderr)
    assert said.endswith("/jobs/nobody (404)\n")
    assert "is none of debug, info" in re.sub(r"\s+", " ", run("logs", job_id, "--level", "loud", status=2).stderr)


def test_a_line_controls_no_terminal_and_no_further_line_looks_like_one(run: Run, served: Server) -> None:
    job_id = served.submit("says", text="one\nTWO \x1b]0;x\x07 \u202e")
    served.result(job_id)
    first, second = run("logs", job_id).stdout.splitlines()
    assert first.endswith("talkers: one")
    assert second == "    TWO �]0;x� �"


def test_the_command_follows(run: Run, served: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job_id = served.submit("goes_on", started=str(tmp_path / "started"), gate=str(gate))
    ended: list[subprocess.CompletedProcess[str]] = []
    follow: Callable[[], None] = lambda: ended.append(run("logs", job_id, "--follow"))  # noqa: E731
    following = threading.Thread(target=follow)
    following.start()
    gate.touch()
    following.join()
    assert [line.rsplit(": ")[1] for line in ended[0].stdout.splitlines()] == [
        "before the gate",
        "after the gate",
        "the end",
    ]
