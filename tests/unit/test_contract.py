"""Bodies and queries: what is accepted means what was sent, what is refused is refused as such."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob import Jobs
from asyncjob.contract import JOB_ID, ApiError, parse_submission, parse_wait, same_parameters
from asyncjob.server.http.requests import check_content_type

jobs = Jobs()
jobs.job(name="echo")(lambda value=None: value)

INT64 = st.integers(-(2**63), 2**64 - 1)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(value=JSON_VALUES, job_id=st.from_regex(JOB_ID, fullmatch=True))
def test_a_submission_keeps_every_value_that_json_has(value: Any, job_id: str) -> None:
    body = json.dumps({"value": value, "jobId": job_id, "type": "echo"}).encode()
    submission = parse_submission(jobs, body)
    assert (submission.job_id, submission.type) == (job_id, "echo")
    assert json.loads(submission.parameters) == {"value": value}
    assert same_parameters(submission.parameters, json.dumps({"value": value}, indent=1).encode())


@given(body=st.binary(max_size=200) | st.text().map(str.encode))
def test_whatever_is_sent_is_accepted_or_refused_with_400(body: bytes) -> None:
    try:
        parse_submission(jobs, body)
    except ApiError as error:
        assert error.status == 400
        assert error.message


@given(one=st.dictionaries(st.text(), JSON_VALUES), other=st.dictionaries(st.text(), JSON_VALUES))
def test_parameters_are_the_same_whatever_the_order_of_their_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    backwards = dict(reversed(one.items()))
    assert same_parameters(json.dumps(one).encode(), json.dumps(backwards).encode())
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert not same_parameters(json.dumps(one).encode(), json.dumps(other).encode())


@given(header=st.binary(max_size=60))
def test_a_content_type_is_json_or_refused_with_415(header: bytes) -> None:
    try:
        check_content_type(header)
    except ApiError as error:
        assert error.status == 415
    else:
        assert header.partition(b";")[0].strip().lower() == b"application/json"


@given(seconds=st.floats(0, 60).map(lambda seconds: round(seconds, 3)))
def test_every_number_of_seconds_from_0_to_60_may_be_waited(seconds: float) -> None:
    assert parse_wait({"wait": f"{seconds:.3f}"}) == pytest.approx(seconds)
