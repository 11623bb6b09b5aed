"""Whatever JSON there is comes through a real server and back."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from tests.serving import FUNCTIONS, Server
from tests.unit.test_contract import JSON_VALUES


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("values") / "jobs.db", target=FUNCTIONS) as server:
        yield server


@settings(max_examples=60, deadline=None)
@given(value=JSON_VALUES)
def test_every_value_comes_back_as_it_was_sent(echoing: Server, value: Any) -> None:
    job_id = echoing.submit("echo", value=value)
    job = echoing.result(job_id)
    assert (job["parameters"], job["results"]) == ({"value": value}, value)
    (listed,) = echoing.client.get("/jobs?limit=1").json()["jobs"]
    assert (listed, job["jobId"]) == (job, job_id)
