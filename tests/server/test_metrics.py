"""What a server counts, read back by Prometheus' own parser."""

import os
import signal
import sqlite3
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncjob import Jobs
from asyncjob.job import Status
from asyncjob.server.endings import BY_ITSELF, Ending, Reason
from asyncjob.server.events import JobEvent
from asyncjob.server.exposition import text
from asyncjob.server.metrics import DURATIONS, MAX_ERRORS, OTHER, Metrics
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import FUNCTIONS, Server

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(server: Server) -> Samples:
    answer = server.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return parse(answer.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((f"asyncjob_{name}", frozenset(labels.items())), 0.0)


def test_submissions_and_outcomes_are_counted_by_type_and_error(server: Server) -> None:
    for number in range(3):
        server.result(server.submit("add", a=number))
    server.result(server.submit("raises", message="no"))
    server.result(server.submit("unencodable"))
    samples = scrape(server)
    assert value(samples, "submissions_total", type="add") == 3
    assert value(samples, "outcomes_total", type="add", status="Success", error="") == 3
    assert value(samples, "outcomes_total", type="raises", status="Failure", error="LookupError") == 1
    assert value(samples, "outcomes_total", type="unencodable", status="Failure", error="InvalidResults") == 1
    assert value(samples, "waiting_seconds_count", type="add") == 3
    assert value(samples, "running_seconds_count", type="add") == 3
    assert value(samples, "commit_seconds_count") >= 5
    assert value(samples, "commit_rows_sum") >= 10


def test_a_submission_that_starts_nothing_new_is_not_counted(server: Server) -> None:
    for _ in range(2):
        server.submit("add", jobId="one", a=1)
    assert server.client.post("/jobs", json={"jobId": "one", "type": "add", "a": 2}).status_code == 409
    samples = scrape(server)
    assert value(samples, "submissions_total", type="add") == 1
    assert value(samples, "refusals_total", status="409") == 1


def test_refusals_are_counted_by_status(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--max-pending", "1", "--concurrency", "1", target=FUNCTIONS) as server:
        wait_for(lambda: value(scrape(server), "workers") == 1, "a worker")
        before = scrape(server)
        for body in (b"{", b'{"type":"add"}'):
            server.client.post("/jobs", content=body)
        server.client.get("/jobs/nobody")
        server.client.get("/nowhere")
        server.client.delete("/jobs")
        server.client.post("/jobs", content=b"{}", headers={"content-type": "text/plain"})
        answers = [server.client.post("/jobs", json={"type": "waits", "started": os.devnull}) for _ in range(3)]
        refused = [answer.status_code for answer in answers].count(429)
        assert refused > 0
        samples = scrape(server)
        expected = {"400": 2, "404": 2, "405": 1, "415": 1, "429": refused}
        for status, count in expected.items():
            assert (
                value(samples, "refusals_total", status=status) - value(before, "refusals_total", status=status)
                == count
            ), status


def test_what_waits_and_what_runs_is_read_at_the_scrape(tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    with Server(tmp_path / "jobs.db", "--concurrency", "1", target=FUNCTIONS) as server:
        ids = [server.submit("holds", started=str(started), gate=gate.path) for _ in range(3)]
        wait_for(lambda: lines(started), "the first to start")
        samples = scrape(server)
        assert (value(samples, "running"), value(samples, "waiting")) == (1, 2)
        assert (value(samples, "running_limit"), value(samples, "waiting_limit")) == (1, 100_000)
        server.client.post(f"/jobs/{ids[-1]}/cancel")
        gate.open()
        for job_id in ids:
            server.result(job_id)
        samples = scrape(server)
        assert (value(samples, "running"), value(samples, "waiting")) == (0, 0)
        assert value(samples, "outcomes_total", type="holds", status="Canceled", error="") == 1
        assert value(samples, "outcomes_total", type="holds", status="Success", error="") == 2


def test_lost_attempts_and_workers_are_counted(server: Server, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    assert server.result(server.submit("dies", runs=runs))["status"] == "Failure"
    assert server.result(server.submit("overruns_async", runs=runs))["status"] == "Failure"
    wait_for(lambda: value(scrape(server), "worker_restarts_total", reason="died") == 2, "two new workers")
    samples = scrape(server)
    assert value(samples, "attempts_lost_total", type="dies", error="WorkerLost") == 2
    assert value(samples, "outcomes_total", type="dies", status="Failure", error="WorkerLost") == 1
    assert value(samples, "attempts_lost_total", type="overruns_async", error="Timeout") == 1
    assert value(samples, "running_seconds_count", type="dies") == 2


def test_a_worker_that_is_retired_after_a_timeout_is_counted_as_such(server: Server, tmp_path: Path) -> None:
    assert server.result(server.submit("overruns", runs=str(tmp_path / "runs")))["error"]["type"] == "Timeout"
    wait_for(lambda: value(scrape(server), "worker_restarts_total", reason="retired") == 2, "two new workers")
    assert value(scrape(server), "worker_restarts_total", reason="died") == 0


def test_what_an_earlier_server_left_running_is_counted_as_put_back(tmp_path: Path, gate: Gate) -> None:
    started = tmp_path / "started"
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        job_id = server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "its start")
        server.stop(signal.SIGKILL)
        server.start()
        gate.open()
        server.result(job_id)
        assert value(scrape(server), "attempts_put_back_total", reason="server_ended") == 1


def test_a_transaction_that_cannot_be_saved_is_counted(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        server.result(server.submit("add", a=1))
        other = sqlite3.connect(server.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # as a full disk would, it keeps the server from writing
        try:
            assert server.client.post("/jobs", json={"type": "add", "a": 1}).status_code == 503
        finally:
            other.close()
        samples = scrape(server)
        assert value(samples, "commit_failures_total") >= 1
        assert value(samples, "refusals_total", status="503") == 1


def test_metrics_want_the_api_key_as_jobs_do(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", env={"ASYNCJOB_API_KEY": "a secret of 20 chars"}) as server:
        assert server.client.get("/metrics").status_code == 401
        assert server.client.get("/metrics", headers={"x-api-key": "a secret of 20 chars"}).status_code == 200


def test_names_of_errors_are_bounded() -> None:
    metrics = Metrics(_jobs())
    for number in range(1000):
        metrics.tell(JobEvent("1", "add", Status.FAILURE, 1), Ending(f"Error{number}"))
        metrics.tell(JobEvent("1", f"type-{number}", Status.PENDING, 2), Ending("x" * (number + 1), Reason.LOST))
    metrics.tell(JobEvent("1", "add", Status.FAILURE, 1), Ending("Timeout"))
    samples = parse(text(metrics).decode())
    names = {dict(labels).get("error") for (name, labels) in samples if name.endswith("_total")} - {None, "", OTHER}
    assert len(names) == MAX_ERRORS - 7  # those of our own that have not occurred
    assert value(samples, "outcomes_total", type="add", status="Failure", error="Timeout") == 1
    assert {dict(labels)["type"] for (name, labels) in samples if name == "asyncjob_attempts_lost_total"} == {OTHER}
    total = sum(count for (name, _), count in samples.items() if name == "asyncjob_outcomes_total")
    assert total == 1001


@pytest.mark.parametrize("seconds", [-1.0, 0.0, DURATIONS[0], 0.3, DURATIONS[-1], 10_000.0])
def test_a_duration_is_in_every_bucket_from_its_own_on(seconds: float) -> None:
    metrics = Metrics(_jobs())
    metrics.running.observe("add", seconds)
    samples = parse(text(metrics).decode())
    for bound in DURATIONS:
        assert value(samples, "running_seconds_bucket", type="add", le=str(bound)) == (seconds <= bound), bound
    assert value(samples, "running_seconds_bucket", type="add", le="+Inf") == 1
    assert value(samples, "running_seconds_count", type="add") == 1
    assert value(samples, "running_seconds_sum", type="add") == max(0.0, seconds)


def test_a_transaction_is_in_the_ranges_of_its_time_and_of_its_rows() -> None:
    metrics = Metrics(_jobs())
    metrics.commits.saved(0.003, 5)
    metrics.commits.saved(0.003, 30)
    samples = parse(text(metrics).decode())
    assert [value(samples, "commit_seconds_bucket", le=bound) for bound in ("0.0025", "0.005", "+Inf")] == [0, 2, 2]
    assert [value(samples, "commit_rows_bucket", le=bound) for bound in ("2.0", "5.0", "50.0")] == [0, 1, 2]
    assert (value(samples, "commit_seconds_sum"), value(samples, "commit_rows_sum")) == (0.006, 35)


LIVES: list[tuple[Status, int, Ending, str, dict[str, str]]] = [
    (Status.PENDING, 1, BY_ITSELF, "submissions_total", {"type": "add"}),
    (Status.SUCCESS, 1, BY_ITSELF, "outcomes_total", {"type": "add", "status": "Success", "error": ""}),
    (Status.CANCELED, 3, BY_ITSELF, "outcomes_total", {"type": "add", "status": "Canceled", "error": ""}),
    (Status.FAILURE, 2, Ending("E"), "outcomes_total", {"type": "add", "status": "Failure", "error": "E"}),
    (Status.PENDING, 2, Ending("E", Reason.LOST), "attempts_lost_total", {"type": "add", "error": "E"}),
    (Status.PENDING, 2, Ending("E", Reason.WORKER_DIED), "attempts_put_back_total", {"reason": "worker_died"}),
    (Status.PENDING, 2, Ending("E", Reason.WORKER_STUCK), "attempts_put_back_total", {"reason": "worker_stuck"}),
    (Status.PENDING, 2, Ending("E", Reason.SERVER_ENDED), "attempts_put_back_total", {"reason": "server_ended"}),
    (Status.PENDING, 2, BY_ITSELF, "", {}),  # a retry, or a release because the server stops
    (Status.RUNNING, 1, BY_ITSELF, "", {}),  # a start, or progress
]


@pytest.mark.parametrize(("status", "attempt", "ending", "name", "labels"), LIVES)
def test_each_change_of_a_job_is_counted_once_and_nowhere_else(
    status: Status, attempt: int, ending: Ending, name: str, labels: dict[str, str]
) -> None:
    metrics = Metrics(_jobs())
    metrics.tell(JobEvent("1", "add", status, attempt), ending)
    samples = parse(text(metrics).decode())
    counted = {key: count for key, count in samples.items() if key[0].startswith("asyncjob_") and count}
    assert counted == ({} if not name else {(f"asyncjob_{name}", frozenset(labels.items())): 1})


def test_the_last_loss_of_a_job_is_counted_beside_its_failure() -> None:
    metrics = Metrics(_jobs())
    metrics.tell(JobEvent("1", "add", Status.FAILURE, 3), Ending("Timeout", Reason.LOST))
    samples = parse(text(metrics).decode())
    assert value(samples, "outcomes_total", type="add", status="Failure", error="Timeout") == 1
    assert value(samples, "attempts_lost_total", type="add", error="Timeout") == 1


def test_every_count_is_shown_from_the_start_where_its_labels_are_known(server: Server) -> None:
    samples = scrape(server)
    for outcome in ("delivered", "again", "failed"):
        assert samples["asyncjob_deliveries_total", frozenset({("outcome", outcome)})] == 0
    for reason in ("died", "retired"):
        assert samples["asyncjob_worker_restarts_total", frozenset({("reason", reason)})] == 0
    for reason in ("worker_died", "worker_stuck", "server_ended"):
        assert samples["asyncjob_attempts_put_back_total", frozenset({("reason", reason)})] == 0
    assert samples["asyncjob_worker_messages_ignored_total", frozenset()] == 0
    assert samples["asyncjob_submissions_total", frozenset({("type", "add")})] == 0


def _jobs() -> Jobs:
    jobs = Jobs()
    for name in ("add", "echo"):
        jobs.job(name=name)(lambda: None)
    return jobs
