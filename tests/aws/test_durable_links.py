"""Each link between the 202 and the outcome is broken in turn; no job is lost, none is recorded twice, none is stuck.

Time is the double's: a day takes as long as its work. The bound that docs/aws.md publishes is asked for: five minutes, and
the deadline of the attempt.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from asyncjob.job import Status
from tests.aws.conftest import PROCESSOR, RECORDER, Api
from tests.aws.double.double import Double
from tests.aws.packaging import user_package

BOUND = 5 * 60
TIMEOUT = 10
DISPATCHER = f"{PROCESSOR}-dispatcher"
FINAL = {status.value for status in Status if status.is_final}

Break = Callable[[Double], Any]


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

    def submit_all(self, count: int, **body: Any) -> list[str]:
        """Submit jobs, all of which must be accepted; their ids."""
        body = body or {"type": "add", "a": 1}

        def post(number: int) -> str:
            answer = self.post(jobId=f"job-{number}", **body)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["jobId"])

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(post, range(count)))

    def statuses(self) -> Counter[str]:
        """How many jobs there are of each status."""
        client = self.double.services.moto_client("dynamodb")
        pages = client.get_paginator("scan").paginate(TableName="Jobs")
        return Counter(item["status"]["S"] for page in pages for item in page["Items"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def package(folder: Path) -> str:
    return user_package(folder)


@pytest.fixture
def system(package: str, folder: Path) -> Iterator[System]:
    with ExitStack() as stack:
        parameters = {"ProcessorTimeout": str(TIMEOUT)}
        yield System(stack.enter_context(Double(package, parameters, scale=1, bucket=folder)), stack)


def _is_claim(request: dict[str, Any]) -> bool:
    return ":claimId" in request.get("ExpressionAttributeValues", {})


def _is_outcome(request: dict[str, Any]) -> bool:
    return ":never" in request.get("ExpressionAttributeValues", {})


def _all_succeeded_once(system: System, jobs: list[str]) -> None:
    assert system.statuses() == {"Success": len(jobs)}
    assert system.ends == dict.fromkeys(jobs, 1)


def test_jobs_whose_stream_records_were_lost_run_within_the_bound(system: System) -> None:
    with system.double.stream("Jobs").losing():
        jobs = system.submit_all(500)
    system.double.advance(BOUND)
    _all_succeeded_once(system, jobs)
