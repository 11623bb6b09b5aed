"""The fake client: nothing runs, and jobs become what the test says."""

import pytest

from asyncjob import Client, JobFailed, NotFound, Options
from asyncjob.testing import FakeClient
from tests.client.typed_functions import Report, count, report


def code_under_test(client: Client) -> int:
    handle = client.submit("count", words=["a"], options=Options(priority=1))
    return sum(handle.result().values())


def test_code_that_submits_is_tested_without_any_job_running() -> None:
    with FakeClient() as client:
        client.returns("count", {"a": 41, "b": 1})
        assert code_under_test(client) == 42
        (submitted,) = client.submitted
        assert (submitted.type, submitted.parameters, submitted.options.priority) == ("count", {"words": ["a"]}, 1)


def test_jobs_fail_as_they_are_told() -> None:
    with FakeClient() as client:
        client.raises(count, ConnectionError("no route"))
        with pytest.raises(JobFailed, match="no route") as failed:
            client.submit(count, words=[]).result()
        assert failed.value.type == "ConnectionError"


def test_results_are_of_the_functions_type_and_none_by_default() -> None:
    with FakeClient() as client:
        client.returns(report, {"month": "1", "at": "2026-11-01T00:00:00Z", "takes": []})
        assert isinstance(client.submit(report, month="1").result(), Report)
        assert client.submit("anything", at="all").result() is None
        with pytest.raises(NotFound):
            client.get("nothing")


def test_a_job_can_be_deleted() -> None:
    with FakeClient() as client:
        handle = client.submit("add", a=1)
        handle.delete()
        with pytest.raises(NotFound):
            handle.get()
