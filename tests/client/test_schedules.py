"""Schedules, through both clients and the command line."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from asyncjob import Client, Cron, Every, NotFound, Options, Refused
from asyncjob.job import Status
from tests.serving import COMMAND, Server

DAILY = Cron("0 9 * * *", tz="Asia/Tokyo", parameters={"a": 1})


@pytest.fixture
def schedule(client: Any) -> Iterator[Any]:
    """The handle of a schedule that nobody else has."""
    handle = client.schedule(f"test-{uuid.uuid4()}")
    yield handle
    with suppress(NotFound):
        handle.delete()


def test_a_schedule_is_made_and_seen_with_all_that_the_api_says(client: Any, schedule: Any) -> None:
    made = schedule.put(DAILY, "add")
    assert made == schedule.get()
    assert (made.schedule_id, made.type, made.cron, made.tz) == (schedule.id, "add", "0 9 * * *", "Asia/Tokyo")
    assert (made.every, made.parameters, made.options) == (None, {"a": 1}, {})
    assert (made.missed, made.overlap, made.declared, made.paused, made.last_run) == ("last", "run", False, False, None)
    assert made.next_run_at.tzinfo is not None and made.next_run_at > datetime.now(UTC)
    assert (made.next_run_at.hour, made.next_run_at.minute) == (0, 0)
    assert made.document["scheduleId"] == schedule.id
    assert made in list(client.schedules())


def test_a_schedule_is_run_paused_resumed_changed_and_deleted(client: Any, schedule: Any) -> None:
    schedule.put(DAILY, "add")
    job = schedule.run_now()
    assert job.result(timeout=30) == 2
    assert (schedule.get().last_run.job_id, schedule.get().last_run.status) == (job.id, Status.SUCCESS)
    assert schedule.pause().paused and schedule.get().next_run_at is None
    assert not schedule.resume().paused
    changed = schedule.put(Every("90m", parameters={"a": 5}, missed="all"), "add")
    assert (changed.every, changed.cron, changed.missed) == (5_400, None, "all")
    schedule.delete()
    with pytest.raises(NotFound):
        schedule.get()


def test_an_api_without_schedules_is_told_from_one_that_has_no_such_schedule() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"message": "Not found"})

    with Client("http://api", retries=0) as client:
        client.use(httpx.Client(base_url="http://api", transport=httpx.MockTransport(answer)))
        handle = client.schedule("nightly")
        asked = (handle.run_now, handle.pause, handle.resume, handle.get, handle.delete, lambda: handle.put(DAILY))
        for ask in asked:
            with pytest.raises(Refused, match=r"^this API has no schedules \(404\)$") as refused:
                ask()
            assert not isinstance(refused.value, NotFound)


def test_what_the_api_refuses_is_said(client: Any, schedule: Any) -> None:
    with pytest.raises(Refused, match="required field `a`"):
        schedule.put(Every("1m"), "add")
    with pytest.raises(Refused, match="notify"):
        schedule.put(Every("1m", parameters={"a": 1}, options=Options(notify="https://example.com/")), "add")
    with pytest.raises(ValueError, match="leave job_id out"):
        Every("1m", options=Options(job_id="7"))
    with pytest.raises(ValueError, match="beginning with a dot"):
        client.schedule(".x")
    with pytest.raises(Exception, match="called 'other' here"):
        schedule.put(Every("1m", id="other"), "add")
    for call in (schedule.pause, schedule.resume, schedule.run_now, schedule.delete):
        with pytest.raises(NotFound):
            call()


def _run(served: Server, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "ASYNCJOB_URL": served.url, "NO_COLOR": "1"}
    done = subprocess.run([str(COMMAND), "schedules", *arguments], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return done


def test_the_command_line_makes_shows_runs_and_deletes_a_schedule(served: Server) -> None:
    name = f"test-{uuid.uuid4()}"
    _run(served, "put", name, "add", "a=1", "b=4", "--cron", "0 9 * * 1-5", "--tz", "Europe/Berlin")
    job_id = _run(served, "run-now", name).stdout.strip()
    assert served.result(job_id)["results"] == 5
    (line,) = [line for line in _run(served, "list").stdout.splitlines() if line.startswith(name)]
    assert "add" in line and "0 9 * * 1-5 Europe/Berlin" in line and "Success" in line
    (listed,) = [
        shown
        for shown in map(json.loads, _run(served, "list", "--json").stdout.splitlines())
        if shown["scheduleId"] == name
    ]
    assert listed == served.client.get(f"/schedules/{name}").json()
    assert "paused" in _run(served, "pause", name).stdout
    assert json.loads(_run(served, "resume", name, "--json").stdout)["paused"] is False
    assert "every 15m" in _run(served, "put", name, "add", "a=1", "--every", "15m", "--overlap", "skip").stdout
    assert json.loads(_run(served, "run-now", name, "--json").stdout)["jobId"].startswith(f"{name}~now-")
    _run(served, "delete", name)
    done = _run(served, "delete", name, name, status=2)
    assert done.stderr.count("Not found") == 2


def test_the_jobs_of_a_schedule_have_the_options_that_the_command_was_given(served: Server) -> None:
    name = f"test-{uuid.uuid4()}"
    given = ("--delay", "1h30m", "--priority", "4")
    made = json.loads(_run(served, "put", name, "add", "a=1", "--every", "1d", *given, "--json").stdout)
    assert made["options"] == {"delay": 5400.0, "priority": 4}
    job = served.get(_run(served, "run-now", name).stdout.strip())
    assert (job["status"], job["priority"]) == ("Pending", 4)
    assert "options" not in json.loads(_run(served, "put", name, "add", "a=1", "--every", "1d", "--json").stdout)
    _run(served, "delete", name)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a=1"], "--cron"),
        (["a=1", "--cron", "0 9 * * *", "--every", "1m"], "--cron"),
        (["a=1", "--tz", "UTC", "--every", "1m"], "--cron"),
        (["a=1", "--cron", "0 9 * *"], "five fields"),
        (["a=1", "--cron", "0 9 * * *", "--tz", "Mars"], "time zone"),
        (["a=1", "--every", "often"], "length of time"),
        (["a=1", "--every", "1m", "--missed", "some"], "missed must be"),
        (["a=one", "--every", "1m"], "$.a"),
        (["a=1", "--every", "1m", "--delay", "soon"], "--delay must be"),
        (["a=1", "delay=3", "--every", "1m"], "it is an option"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_write(served: Server, arguments: list[str], says: str) -> None:
    done = _run(served, "put", "wrong", "add", *arguments, status=2)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert served.client.get("/schedules/wrong").status_code == 404
