"""What a process hands over to the owner is answered as by the owner itself, whatever happens on the way."""

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncjob.contract import MAX_BODY_BYTES
from tests.eventstream import parse, read
from tests.mounted.hosted import Hosted
from tests.server.conftest import Gate, wait_for

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hosted, Hosted]]:
    """The owner, and a process that follows it."""
    database = tmp_path_factory.mktemp("pair") / "jobs.db"
    with Hosted(database) as owner, Hosted(database) as follower:
        yield owner, follower


@pytest.fixture(scope="module")
def follower(pair: tuple[Hosted, Hosted]) -> httpx.Client:
    return pair[1].client


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/work/jobs/known", {}),
    ("HEAD", "/work/jobs/known", {}),
    ("GET", "/work/jobs/known?wait=1", {}),
    ("GET", "/work/jobs/known", {"headers": {"prefer": "wait=1"}}),
    ("GET", "/work/jobs/nobody", {}),
    ("GET", "/work/jobs/nobody", {"headers": {"accept": "application/problem+json"}}),
    ("GET", "/work/jobs?limit=x", {}),
    ("GET", "/work/nowhere/%2F%C3%A9", {}),
    ("DELETE", "/work/jobs", {}),
    ("POST", "/work/jobs", {"content": b"{", "headers": JSON}),
    ("POST", "/work/jobs", {"json": {"jobId": "known", "type": "add", "a": 1}}),
    ("POST", "/work/jobs", {"json": {"jobId": "known", "type": "add", "a": 2}}),
    ("POST", "/work/jobs", {"content": b"{}", "headers": {"content-type": "text/plain"}}),
    (
        "POST",
        "/work/jobs",
        {"json": {"jobId": "known", "type": "add", "a": 1}, "headers": {"origin": "http://evil.example"}},
    ),
    ("POST", "/work/jobs/known/cancel", {}),
    ("POST", "/work/jobs/nobody/retry", {}),
    ("GET", "/work/", {}),
    ("GET", "/work/openapi.json", {}),
    ("GET", "/work/docs/swagger-ui-bundle.js", {"headers": {"accept-encoding": "identity"}}),
    ("GET", "/work/session", {}),
    ("GET", "/work/healthz", {}),
]


@pytest.mark.parametrize(("method", "path", "more"), REQUESTS, ids=range(len(REQUESTS)))
def test_every_answer_is_the_owners_byte_for_byte(
    pair: tuple[Hosted, Hosted], method: str, path: str, more: dict[str, Any]
) -> None:
    owner = pair[0]
    submitted = owner.client.post("/work/jobs", json={"jobId": "known", "type": "add", "a": 1})
    assert submitted.status_code == 202
    assert owner.client.get("/work/jobs/known?wait=30").json()["status"] == "Success"
    answers = [host.client.request(method, path, **more) for host in pair]
    seen = [(one.status_code, [each for each in one.headers.raw if each[0] != b"date"], one.content) for one in answers]
    assert seen[0] == seen[1]


def test_a_large_body_arrives_and_one_over_the_limit_is_refused(follower: httpx.Client) -> None:
    frame = len(b'{"type":"echo","value":""}')
    large = b'{"type":"echo","value":"%b"}' % (b"x" * (MAX_BODY_BYTES - frame))
    answer = follower.post("/work/jobs", content=large, headers=JSON)
    assert answer.status_code == 202
    job = follower.get(f"/work/jobs/{answer.json()['jobId']}").json()
    assert len(job["parameters"]["value"]) == MAX_BODY_BYTES - frame
    for too_large in (large[:-2] + b"x" + large[-2:], large * 8):
        assert follower.post("/work/jobs", content=too_large, headers=JSON).status_code == 413
        pieces = (too_large[start : start + 100_000] for start in range(0, len(too_large), 100_000))
        assert follower.post("/work/jobs", content=pieces, headers=JSON).status_code == 413
    assert follower.get("/work/jobs/nobody").status_code == 404  # and the next request is answered


def test_two_listeners_hear_of_the_same_events(follower: httpx.Client) -> None:
    with ExitStack() as open_streams:
        streams = [read(open_streams.enter_context(follower.stream("GET", "/work/events"))) for _ in range(2)]
        for stream in streams:
            next(stream)
        follower.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "heard"})
        for stream in streams:
            heard = [event.data for event in stream_until(stream, "heard", "Success")]
            assert [each["status"] for each in heard] == ["Pending", "Running", "Success"]


def stream_until(stream: Any, job_id: str, status: str) -> Iterator[Any]:
    """The events of a job, until it has that status."""
    for event in stream:
        if event.data and event.data.get("jobId") == job_id:
            yield event
            if event.data["status"] == status:
                return


def test_when_a_listener_leaves_the_owner_knows(tmp_path: Path) -> None:
    def connections() -> int:
        table = Path("/proc/net/unix").read_text().splitlines()
        return sum(line.split()[5] == "03" and line.endswith(f"{tmp_path}/jobs.db.sock") for line in table)

    with Hosted(tmp_path / "jobs.db"), Hosted(tmp_path / "jobs.db") as follower:
        assert connections() == 1  # by which it knows that the owner lives
        with follower.client.stream("GET", "/work/events") as answer:
            events = read(answer)  # which ends the stream when it is thrown away
            next(events)
            wait_for(lambda: connections() == 2, "a connection of the stream's own")
        wait_for(lambda: connections() == 1, "the connection to end")


def test_a_stream_ends_when_the_owner_dies_and_goes_on_with_the_next_one(tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    with Hosted(tmp_path / "jobs.db") as owner, Hosted(tmp_path / "jobs.db") as follower:
        job = {"type": "holds", "started": str(started), "gate": gate.path, "jobId": "held"}
        follower.client.post("/work/jobs", json=job)
        with follower.client.stream("GET", "/work/jobs/held/events") as answer:
            lines_of_stream = answer.iter_lines()
            next(lines_of_stream)
            owner.process.kill()
            list(parse(lines_of_stream))  # to its end, which is a clean one
        gate.open()
        with follower.client.stream("GET", "/work/jobs/held/events") as answer:
            assert [*read(answer)][-1].data["status"] == "Success"


@pytest.mark.parametrize("given", [{}, {"jobId": "named"}])
def test_a_submission_whose_owner_dies_with_it_makes_one_job(tmp_path: Path, given: dict[str, str]) -> None:
    with _dying(tmp_path, "submit") as follower:
        answer = follower.client.post("/work/jobs", json={"type": "add", "a": 1, **given})
        assert answer.status_code == 202
        (job,) = follower.client.get("/work/jobs").json()["jobs"]
        assert job["jobId"] == answer.json()["jobId"]
        assert follower.client.get(f"/work/jobs/{job['jobId']}?wait=30").json()["status"] == "Success"


def test_what_can_be_done_twice_is_asked_of_the_next_owner(tmp_path: Path) -> None:
    with _dying(tmp_path, "cancel") as follower:
        follower.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "late", "options": {"delay": 600}})
        assert follower.client.post("/work/jobs/late/cancel").json()["status"] == "Canceled"


def test_what_must_not_be_done_twice_is_not(tmp_path: Path) -> None:
    with _dying(tmp_path, "retry") as follower:
        follower.client.post("/work/jobs", json={"type": "once", "value": 1, "jobId": "done"})
        assert follower.client.get("/work/jobs/done?wait=30").json()["attempt"] == 1
        answer = follower.client.post("/work/jobs/done/retry")
        assert answer.status_code == 502
        assert "look whether this was done" in answer.json()["message"]
        follower.wait_for("owning the database")
        assert follower.client.get("/work/jobs/done?wait=30").json()["status"] in ("Success", "Failure")
        assert "job retried" not in follower.log


def test_a_request_that_its_owners_die_of_is_not_handed_to_all_of_them(tmp_path: Path) -> None:
    with ExitStack() as running:
        env = {"DIES_AFTER": "cancel"}
        hosts = [
            running.enter_context(Hosted(tmp_path / "jobs.db", app="tests.mounted.dying:fast", env=env))
            for _ in range(5)
        ]
        job = {"type": "add", "a": 1, "jobId": "late", "options": {"delay": 600}}
        assert hosts[4].client.post("/work/jobs", json=job).status_code == 202
        try:
            answer = hosts[4].client.post("/work/jobs/late/cancel")
        except httpx.RemoteProtocolError:  # it was the owner by then
            pass
        else:
            assert answer.status_code == 502
        assert sum(host.process.poll() is not None for host in hosts) <= 3


def test_headers_that_no_message_can_hold_are_refused(follower: httpx.Client) -> None:
    assert follower.get("/work/jobs", headers={"x-long": "x" * (1 << 20)}).status_code in (400, 431)
    assert follower.get("/work/jobs").status_code == 200


@contextmanager
def _dying(folder: Path, verb: str) -> Iterator[Hosted]:
    """A process whose owner dies after its first such request."""
    env = {"DIES_AFTER": verb}
    with Hosted(folder / "jobs.db", app="tests.mounted.dying:fast", env=env), Hosted(folder / "jobs.db") as follower:
        yield follower


def test_the_socket_is_for_its_user_alone_and_goes_with_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db.sock"
    with Hosted(tmp_path / "jobs.db") as owner:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        owner.stop()
        assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "jobs.db.sock"))
    with Hosted(tmp_path / "jobs.db"), Hosted(tmp_path / "jobs.db") as follower:
        assert follower.client.get("/work/healthz").status_code in (200, 503)


def test_a_path_that_is_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    with Hosted(folder / "jobs.db") as owner, Hosted(folder / "jobs.db") as follower:
        assert follower.client.post("/work/jobs", json={"type": "add", "a": 1}).status_code == 202
        owner.stop()
        follower.wait_for("owning the database")
        follower.stop()
        assert not (folder / "jobs.db.sock").exists()


def test_what_the_application_forks_does_not_keep_the_database(tmp_path: Path) -> None:
    with Hosted(tmp_path / "jobs.db") as owner:
        child = owner.client.get("/fork").json()
        try:
            with Hosted(tmp_path / "jobs.db") as follower:
                assert follower.client.post("/work/jobs", json={"type": "add", "a": 1}).status_code == 202
                owner.process.kill()
                follower.wait_for("owning the database")
                assert follower.client.post("/work/jobs", json={"type": "add", "a": 1}).status_code == 202
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_socket_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db.sock"
    with Hosted(tmp_path / "jobs.db") as owner, Hosted(tmp_path / "jobs.db") as follower:
        path.unlink()
        assert follower.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "one"}).status_code == 202
        owner.wait_for("listening anew")
        with Hosted(tmp_path / "jobs.db") as another:
            assert another.client.get("/work/jobs/one?wait=30").json()["status"] == "Success"
        owner.stop()
        follower.wait_for("owning the database")


def test_an_owner_that_cannot_be_reached_is_not_waited_for_without_end(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db.sock"
    with Hosted(tmp_path / "jobs.db") as owner, Hosted(tmp_path / "jobs.db", env={"PATIENCE": "0"}) as follower:
        path.unlink()
        path.mkdir()
        answer = follower.client.post("/work/jobs", json={"type": "add", "a": 1})
        assert (answer.status_code, answer.json()["message"]) == (
            503,
            "the process that has the jobs cannot be reached",
        )
        owner.wait_for("the other processes cannot connect.*no socket")
        path.rmdir()
        owner.wait_for("listening anew")
        assert follower.client.post("/work/jobs", json={"type": "add", "a": 1}).status_code == 202


def test_a_submission_of_which_nobody_knows_whether_it_was_saved_is_not_said_to_be_refused(tmp_path: Path) -> None:
    env = {"DIES_AFTER": "submit"}
    with (
        Hosted(tmp_path / "jobs.db", app="tests.mounted.dying:fast", env=env) as owner,
        Hosted(tmp_path / "jobs.db", env={"PATIENCE": "0.1"}) as follower,
    ):
        (tmp_path / "jobs.db.lock").rename(tmp_path / "lock")
        (tmp_path / "jobs.db.lock").mkdir()  # so that nobody takes over
        answer = follower.client.post("/work/jobs", json={"type": "add", "a": 1})
        assert answer.status_code == 502
        assert "look whether this was done" in answer.json()["message"]
        assert owner.wait() != 0
        assert follower.client.get("/work/jobs").status_code == 503


def test_a_name_that_is_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    database = tmp_path / f"{'long' * 50}.db"
    with Hosted(database) as owner, Hosted(database) as follower:
        assert follower.client.post("/work/jobs", json={"type": "add", "a": 1}).status_code == 202
        owner.stop()
        follower.wait_for("owning the database")


def test_an_owner_with_few_descriptors_answers_all_that_it_is_asked(tmp_path: Path, gate: Gate) -> None:
    async def ask(url: str) -> set[int]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            asked = [asyncio.ensure_future(client.get("/work/jobs/held?wait=60")) for _ in range(90)]
            refused = await next(asyncio.as_completed(asked))
            assert refused.json()["message"] == "too many requests are open at once"
            gate.open()
            return {answer.status_code for answer in await asyncio.gather(*asked)}

    with Hosted(tmp_path / "jobs.db", env={"FILES": "128"}), Hosted(tmp_path / "jobs.db") as follower:
        job = {"type": "holds", "started": str(tmp_path / "started"), "gate": gate.path, "jobId": "held"}
        assert follower.client.post("/work/jobs", json=job).status_code == 202
        assert asyncio.run(ask(follower.url)) == {200, 503}
