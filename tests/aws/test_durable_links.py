"""Each link between the 202 and the outcome is broken in turn; no job is lost, none is recorded twice, none is stuck.

Time is the double's: a day takes as long as its work. The bound that docs/aws.md publishes is asked for: five minutes,
and the deadline of the attempt.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asyncjob.job import Status
from tests.aws.conftest import PROCESSOR, RECORDER, Api
from tests.aws.double import clock
from tests.aws.double.double import Double
from tests.aws.packaging import with_timeout

JOBS = int(os.environ.get("ASYNCJOB_LINK_JOBS", "50"))  # 500 where there is time for it
KILLED = JOBS // 5  # a process that is killed costs the start of another
BOUND = 5 * 60
TIMEOUT = 10
DISPATCHER = f"{PROCESSOR}-dispatcher"
PATIENCE = max(1, JOBS // 50)  # times as long as the double and pytest wait by default

pytestmark = pytest.mark.timeout(120 * PATIENCE)

FINAL = {status.value for status in Status if status.is_final}


class System(Api):
    """A deployment whose ends are counted.

    Attributes:
        ends: how often each job has become final.
    """

    def __init__(self, double: Double, stack: ExitStack) -> None:
        super().__init__(double, stack, signed=True)
        self.ends: Counter[str] = Counter()
        stream = double.stream("Jobs")
        changed = stream.changed

        def counted(old: Any, new: Any, user: Any = None) -> None:
            if new and new["status"]["S"] in FINAL and (old is None or old["status"] != new["status"]):
                self.ends[new["jobId"]["S"]] += 1
            changed(old, new, user)

        stream.changed = counted  # type: ignore[method-assign]

    def submit_all(self, count: int = JOBS, **body: Any) -> list[str]:
        """Submit a job, and write as many more like it: what a POST leaves, but faster; their ids."""
        answer = self.post(jobId="job-0", **(body or {"type": "add", "a": 1}))
        assert answer.status_code == 202, answer.text
        client = self.double.client("dynamodb")
        first = client.get_item(TableName="Jobs", Key={"jobId": {"S": "job-0"}}, ConsistentRead=True)["Item"]
        ids = [f"job-{number}" for number in range(1, count)]
        for start in range(0, len(ids), 25):
            items = [{**first, "jobId": {"S": each}} for each in ids[start : start + 25]]
            client.batch_write_item(RequestItems={"Jobs": [{"PutRequest": {"Item": item}} for item in items]})
        return ["job-0", *ids]

    def jobs(self) -> list[dict[str, Any]]:
        """All items of the table."""
        client = self.double.client("dynamodb")
        items: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = client.scan(TableName="Jobs", **more)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many jobs take their time."""
    monkeypatch.setattr(clock, "PATIENCE", clock.PATIENCE * PATIENCE)


@pytest.fixture
def system(package: str, folder: Path) -> Iterator[System]:
    with ExitStack() as stack:
        text = with_timeout(package, TIMEOUT)
        yield System(stack.enter_context(Double(text, scale=1, bucket=folder)), stack)


@pytest.fixture
def lazy(package: str, folder: Path) -> Iterator[System]:
    """A system whose sweeper looks once an hour: a day with 720 sweeps takes minutes to go by, one with 24 does not."""
    with ExitStack() as stack:
        text = package.replace("rate(2 minutes)", "rate(1 hour)")
        assert text != package
        yield System(stack.enter_context(Double(text, scale=1, bucket=folder)), stack)


def _is_claim(request: dict[str, Any]) -> bool:
    return ":claimId" in request.get("ExpressionAttributeValues", {})


def _is_outcome(request: dict[str, Any]) -> bool:
    return ":never" in request.get("ExpressionAttributeValues", {})


def _all_ended_once(system: System, jobs: list[str], status: str = "Success", attempts: int = 1) -> None:
    ended = Counter((item["status"]["S"], int(item["attempt"]["N"])) for item in system.jobs())
    assert ended == {(status, attempts): len(jobs)}
    assert system.ends == dict.fromkeys(jobs, 1)


def test_with_every_link_whole_a_job_starts_within_seconds(system: System) -> None:
    jobs = system.submit_all()
    system.double.advance(2)
    _all_ended_once(system, jobs)


def test_jobs_whose_stream_records_were_lost_run_within_the_bound(system: System) -> None:
    with system.double.stream("Jobs").losing():
        jobs = system.submit_all()
    system.double.advance(BOUND)
    _all_ended_once(system, jobs)


def test_jobs_whose_events_lambda_dropped_run_within_the_bound(system: System) -> None:
    with system.double.dropping(PROCESSOR):
        jobs = system.submit_all()
        system.double.advance(10)
    system.double.advance(BOUND)
    _all_ended_once(system, jobs)


def test_jobs_survive_a_dispatcher_that_is_broken_for_a_day(lazy: System) -> None:
    with lazy.double.broken(DISPATCHER):
        jobs = lazy.submit_all(KILLED)
        lazy.double.advance(86_400)
        assert {item["status"]["S"] for item in lazy.jobs()} == {"Pending"}
    lazy.double.advance(2 * 3_600 + BOUND)  # those that have waited for long are looked after once an hour
    _all_ended_once(lazy, jobs)


def test_a_job_that_was_submitted_while_the_dispatcher_was_broken_runs_within_the_bound_of_its_repair(
    system: System,
) -> None:
    with system.double.broken(DISPATCHER):
        jobs = system.submit_all()
    system.double.advance(BOUND)
    _all_ended_once(system, jobs)


def test_attempts_whose_process_died_right_after_the_claim_run_again_within_the_bound(system: System) -> None:
    with system.double.services.killing("dynamodb:UpdateItem", after=True, matching=_is_claim, times=KILLED):
        jobs = system.submit_all(KILLED)
        system.double.advance(1)
    system.double.advance(TIMEOUT + BOUND)
    _all_ended_once(system, jobs, attempts=2)


def test_attempts_whose_process_died_right_before_the_outcome_run_again_within_the_bound(system: System) -> None:
    with system.double.services.killing("dynamodb:UpdateItem", after=False, matching=_is_outcome, times=KILLED):
        jobs = system.submit_all(KILLED)
        system.double.advance(1)
    system.double.advance(TIMEOUT + BOUND)
    _all_ended_once(system, jobs, attempts=2)


def test_an_outcome_that_was_written_by_a_process_that_then_died_stands(system: System) -> None:
    with system.double.services.killing("dynamodb:UpdateItem", after=True, matching=_is_outcome, times=KILLED):
        jobs = system.submit_all(KILLED)
        system.double.advance(1)
    system.double.advance(TIMEOUT + BOUND)
    _all_ended_once(system, jobs)


def test_jobs_whose_process_dies_each_time_are_failures_when_no_retry_is_left(system: System) -> None:
    jobs = system.submit_all(5, type="die_once")
    system.double.advance(TIMEOUT + BOUND)
    _all_ended_once(system, jobs, "Failure")
    assert system.get("job-0").json()["error"]["type"] == "WorkerLost"


def test_lost_attempts_are_found_though_the_recorder_is_broken(system: System) -> None:
    with system.double.broken(RECORDER):
        jobs = system.submit_all(5, type="die_once")
        system.double.advance(TIMEOUT + BOUND)
        _all_ended_once(system, jobs, "Failure")


def test_jobs_survive_a_table_that_takes_no_writes_of_the_processor(system: System) -> None:
    with system.double.services.failing("dynamodb:UpdateItem", "InternalServerError", role="ProcessorRole"):
        jobs = system.submit_all(5)
        system.double.advance(BOUND)
        assert {item["status"]["S"] for item in system.jobs()} == {"Pending"}
    system.double.advance(2 * BOUND)
    _all_ended_once(system, jobs)


def test_events_that_waited_for_too_long_are_sent_again(lazy: System) -> None:
    lazy.double.call(lambda: lazy.double.functions.hold(PROCESSOR))
    jobs = lazy.submit_all(5)
    lazy.double.advance(7 * 3_600)
    assert {item["status"]["S"] for item in lazy.jobs()} == {"Pending"}
    lazy.double.call(lambda: lazy.double.functions.release(PROCESSOR))
    lazy.double.advance(2 * 3_600 + BOUND)
    _all_ended_once(lazy, jobs)


def test_records_and_events_that_come_twice_start_nothing_twice(system: System) -> None:
    system.double.mapping("Dispatches").deliver_twice()
    system.double.call(lambda: system.double.functions.deliver_twice(PROCESSOR))
    jobs = system.submit_all(10)
    system.double.advance(BOUND)
    _all_ended_once(system, jobs)


def test_one_record_that_the_dispatcher_cannot_pass_on_holds_up_nobody(system: System) -> None:
    system.double.call(lambda: system.double.functions.throttle(PROCESSOR))
    system.submit_all(3)
    system.double.advance(1)
    system.double.call(lambda: system.double.functions.throttle(PROCESSOR, on=False))
    system.double.advance(BOUND)
    assert {item["status"]["S"] for item in system.jobs()} == {"Success"}
    assert set(system.ends.values()) == {1}


# ---- jobs whose time is ahead: the dispatcher makes a one-time schedule, which calls the dispatcher


DELAY = 1_800
LATE = 60  # seconds that Scheduler may be


def _delayed(system: System, count: int = JOBS) -> list[str]:
    return system.submit_all(count, type="add", a=1, options={"delay": DELAY})


def _none_has_begun(system: System) -> bool:
    return {item["status"]["S"] for item in system.jobs()} == {"Pending"}


def _in_time(system: System, jobs: list[str], late: int, passed: int = 60) -> None:
    """None begins `passed` seconds before its time; all have ended `late` seconds after it."""
    system.double.advance(DELAY - passed)
    assert _none_has_begun(system)
    system.double.advance(passed + late)
    _all_ended_once(system, jobs)


def test_delayed_jobs_begin_within_a_minute_of_their_time(system: System) -> None:
    jobs = _delayed(system)
    system.double.advance(5)
    assert len(system.double.schedules.names) == len(jobs)
    _in_time(system, jobs, LATE)
    assert system.double.schedules.names == []


def test_schedules_that_call_early_in_their_minute_start_nothing_before_its_time(system: System) -> None:
    system.double.schedules.late = -8
    jobs = _delayed(system, 5)
    _in_time(system, jobs, 5)


def test_records_of_delayed_jobs_that_come_twice_make_one_schedule_each(system: System) -> None:
    system.double.mapping("Dispatches").deliver_twice()
    jobs = _delayed(system)
    system.double.advance(5)
    assert len(system.double.schedules.names) == len(jobs)
    _in_time(system, jobs, LATE)


def test_calls_of_schedules_that_come_twice_start_nothing_twice(system: System) -> None:
    jobs = _delayed(system)
    system.double.call(lambda: system.double.functions.deliver_twice(DISPATCHER))
    _in_time(system, jobs, LATE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (402, "ServiceQuotaExceededException"),
        (400, "ValidationException"),
        (429, "ThrottlingException"),
        (403, "AccessDeniedException"),
        (500, "InternalServerException"),
    ],
)
def test_delayed_jobs_that_no_schedule_was_made_for_are_found_by_the_sweeper(
    system: System, status: int, kind: str
) -> None:
    with system.double.schedules.failing(status, kind):
        jobs = _delayed(system, 3)
        system.double.advance(700)
    assert system.double.schedules.names == []
    system.double.advance(DELAY - 760)
    assert _none_has_begun(system)
    system.double.advance(60 + BOUND)
    _all_ended_once(system, jobs)


def test_schedules_that_were_throttled_are_made_when_scheduler_takes_them_again(system: System) -> None:
    with system.double.schedules.failing(429, "ThrottlingException"):
        jobs = _delayed(system, 3)
        system.double.advance(30)
    system.double.advance(120)
    assert len(system.double.schedules.names) == len(jobs)
    _in_time(system, jobs, LATE, passed=210)


def test_delayed_jobs_whose_stream_records_were_lost_run_within_the_bound_of_their_time(system: System) -> None:
    with system.double.stream("Jobs").losing():
        jobs = _delayed(system)
    _in_time(system, jobs, BOUND)


def test_delayed_jobs_whose_schedules_called_nobody_run_within_the_bound_of_their_time(system: System) -> None:
    jobs = _delayed(system)
    system.double.advance(5)
    with system.double.dropping(DISPATCHER):
        system.double.advance(DELAY + LATE)
    assert _none_has_begun(system)
    system.double.advance(BOUND)
    _all_ended_once(system, jobs)


def test_jobs_whose_time_is_near_run_though_the_call_that_waited_for_it_died(system: System) -> None:
    with system.double.dropping(DISPATCHER):
        jobs = system.submit_all(5, type="add", a=1, options={"delay": 3})
        system.double.advance(10)
    system.double.advance(BOUND)
    _all_ended_once(system, jobs)


def test_attempts_whose_process_died_between_the_claim_and_a_pause_run_again(system: System) -> None:
    def is_repeat(request: dict[str, Any]) -> bool:
        return ":next" in request.get("ExpressionAttributeValues", {})

    with system.double.services.killing("dynamodb:UpdateItem", after=True, matching=is_repeat, times=5):
        jobs = system.submit_all(5, type="patient", failures=1)
        system.double.advance(5)
    system.double.advance(600 + LATE + BOUND)
    _all_ended_once(system, jobs, attempts=2)


def test_run_now_and_the_time_at_once_start_a_job_once(system: System) -> None:
    jobs = _delayed(system, 5)
    system.double.advance(DELAY - 1)
    for job_id in jobs:
        assert system.client.post(f"/jobs/{job_id}/run-now").status_code == 202
    system.double.advance(LATE + BOUND)
    _all_ended_once(system, jobs)


def test_without_the_sweeper_a_lost_job_stays_as_the_parameter_says(package: str, folder: Path) -> None:
    with ExitStack() as stack:
        double = stack.enter_context(Double(package, {"Sweeping": "false"}, scale=1, bucket=folder))
        system = System(double, stack)
        with double.stream("Jobs").losing():
            system.submit_all(2)
        double.advance(3_600)
        assert {item["status"]["S"] for item in system.jobs()} == {"Pending"}
