"""The core by itself: which request comes next, after which pause. No I/O, and nothing waits."""

import email.utils
import json
import pickle
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from asyncjob import AwaitedJobCanceled, ClientError, JobFailed, NotFound, Refused, Unreachable, WaitTimeout
from asyncjob.client import JobSnapshot, core
from asyncjob.client.core import Api, Call, Following, proceed
from asyncjob.client.functions import ask
from asyncjob.options import NONE

JOB = {"jobId": "7", "type": "add", "parameters": {}, "attempt": 1, "createdAt": "2024-06-06T12:34:56.789Z"}
RUNNING, SUCCESS = JOB | {"status": "Running"}, JOB | {"status": "Success", "results": 3}
FAILED = JOB | {"status": "Failure", "error": {"type": "LookupError", "message": "no"}}
BASE = httpx.URL("http://host/prod/")
NOT_FOUND = (404, {"message": "Not found"})


class Answering:
    """Carries an operation out with answers that are given beforehand.

    Attributes:
        calls: what it asked.
        result: what it returned.
    """

    def __init__(self, operation: Any, *answers: Any) -> None:
        self.calls: list[Call] = [next(operation)]
        for answer in answers:
            try:
                self.calls.append(proceed(operation, _answer(self.calls[-1], answer)))
            except StopIteration as end:
                self.result = end.value

    @property
    def pauses(self) -> list[float]:
        """Before each request but the first."""
        return [call.delay for call in self.calls[1:]]


def _answer(call: Call, answer: Any) -> Any:
    request = httpx.Request(call.method, BASE.join(call.url.removeprefix("/")))
    if isinstance(answer, type):
        return answer("lost", request=request)
    status, body, *more = answer
    content = body if isinstance(body, bytes) else json.dumps(body)
    response = httpx.Response(status, request=request, content=content, headers=more[0] if more else {})
    response.elapsed = timedelta(seconds=more[1] if len(more) > 1 else 0.001)
    return response


@pytest.fixture
def api() -> Api:
    return Api(timeout=30, retries=3)


def test_every_repetition_of_a_submission_is_the_same_request(api: Api) -> None:
    answers = [httpx.ReadError, (503, {}), (500, {}), (202, {"jobId": "x"})]
    done = Answering(api.submit(ask("add", NONE, {"a": 1})), *answers)
    assert len({(call.method, call.url, call.body) for call in done.calls}) == 1
    body = json.loads(done.calls[0].body or b"")
    assert list(body) == ["jobId", "type", "a"]
    assert done.result.job_id == body["jobId"]


def test_the_pauses_before_repetitions_grow_and_are_of_random_length(api: Api) -> None:
    many = [Answering(Api(30, 9).submit(ask("add", NONE, {})), *[httpx.ConnectError] * 8).pauses for _ in range(200)]
    for number, pauses in enumerate(zip(*many, strict=True)):
        bound = min(20.0, 0.5 * 2**number)
        assert all(0 <= pause <= bound for pause in pauses)
        assert max(pauses) > 0.8 * bound
        assert min(pauses) < 0.2 * bound


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_in_seconds_and_as_a_date(api: Api, status: int) -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    for text, least, most in [("7", 7, 7.5), (in_a_minute, 58, 61), ("soon", 0, 0.5), ("-1", 0, 0.5)]:
        (pause,) = Answering(api.submit(ask("add", NONE, {})), (status, {}, {"retry-after": text})).pauses
        assert least <= pause <= most
    with pytest.raises(Refused, match="full"):
        Answering(api.submit(ask("add", NONE, {})), (status, {"message": "full"}, {"retry-after": "3600"}))


def test_a_request_is_given_up_after_its_retries(api: Api) -> None:
    with pytest.raises(Unreachable, match="http://host/prod/jobs gave no answer: lost"):
        Answering(api.submit(ask("add", NONE, {})), *[httpx.ReadError] * 4)
    with pytest.raises(Refused, match="no disk") as raised:
        Answering(api.submit(ask("add", NONE, {})), *[(503, {"message": "no disk"})] * 4)
    assert raised.value.status == 503


def test_an_impatient_client_asks_again_only_while_a_first_answer_might_still_come() -> None:
    def submission() -> Any:
        return Api(8, 2, patient=False).submit(ask("add", NONE, {}))

    assert len(Answering(submission(), httpx.ConnectError, (503, {}, {"retry-after": "1"})).calls) == 3
    with pytest.raises(Refused, match="busy"):
        Answering(submission(), (503, {"message": "busy"}, {"retry-after": "60"}))
    with pytest.raises(Unreachable, match="lost"):  # for its whole time
        Answering(Api(0, 2, patient=False).submit(ask("add", NONE, {})), httpx.ReadError)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectTimeout, "gave no answer: it took too long to connect"),
        (httpx.ReadTimeout, "gave no answer: something there accepts connections, but took too long to answer"),
    ],
)
def test_a_timeout_says_what_took_too_long(error: type[httpx.RequestError], said: str) -> None:
    with pytest.raises(Unreachable, match=said):
        Answering(Api(30, 0).health(), error)


def test_what_is_not_found_is_named(api: Api) -> None:
    for operation, asked in [(Following(api, "nobody").get(), "jobs/nobody"), (api.stats(), "stats")]:
        with pytest.raises(NotFound) as raised:
            Answering(operation, NOT_FOUND)
        assert str(raised.value) == f"Not found: http://host/prod/{asked} (404)"
        assert (raised.value.status, raised.value.message) == (404, "Not found")


@pytest.mark.parametrize(
    "error",
    [
        NotFound(404, "Not found", "http://host/jobs/x"),
        Refused(409, "no"),
        JobFailed(JobSnapshot.of(FAILED)),
        AwaitedJobCanceled(JobSnapshot.of(FAILED)),
        WaitTimeout("7", None),
    ],
)
def test_an_error_can_go_to_another_process(error: ClientError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("answer", [(400, {}), (403, {}), (409, {}), (413, {}), (501, {}), httpx.UnsupportedProtocol])
def test_what_would_be_refused_again_is_not_asked_again(api: Api, answer: Any) -> None:
    with pytest.raises((Refused, Unreachable)):
        Answering(api.submit(ask("add", NONE, {})), answer)


@pytest.mark.parametrize(
    "answer", [httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, (502, {}), (504, {})]
)
def test_a_retry_that_may_have_been_done_is_not_done_again(api: Api, answer: Any) -> None:
    with pytest.raises((Refused, Unreachable)):
        Answering(Following(api, "7").retry(), answer)


@pytest.mark.parametrize("answer", [httpx.ConnectError, httpx.ConnectTimeout, (503, {}), (429, {})])
def test_a_retry_that_was_certainly_not_done_is_sent_again(api: Api, answer: Any) -> None:
    calls = Answering(Following(api, "7").retry(), answer, (202, {"jobId": "7"})).calls
    assert [call.url for call in calls] == ["/jobs/7/retry"] * 2


@pytest.mark.parametrize("answer", [httpx.ReadError, (500, {}), (504, {})])
def test_a_delete_that_was_done_although_its_answer_was_lost_is_done(api: Api, answer: Any) -> None:
    calls = Answering(Following(api, "7").delete(), answer, NOT_FOUND).calls
    assert [(call.method, call.url) for call in calls] == [("DELETE", "/jobs/7")] * 2


@pytest.mark.parametrize("answers", [[], [httpx.ConnectError], [(503, {})]])
def test_a_delete_that_finds_nothing_and_cannot_have_been_done_is_refused(api: Api, answers: list[Any]) -> None:
    with pytest.raises(NotFound):
        Answering(Following(api, "7").delete(), *answers, NOT_FOUND)


def test_an_api_that_holds_is_asked_again_at_once(api: Api) -> None:
    held: Any = (200, RUNNING, {}, 20.0)
    done = Answering(Following(api, "7").wait(None), held, held, (200, SUCCESS))
    assert [call.url for call in done.calls] == ["/jobs/7?wait=20.000"] * 3
    assert done.pauses == [0, 0]
    assert done.calls[0].timeout == 50
    assert done.result.results == 3


@pytest.mark.parametrize(("after", "least", "most"), [("1", 0.2, 0.25), ("4", 4, 4), ("90", 10, 10), ("x", 0.2, 0.25)])
def test_a_poll_waits_for_as_long_as_the_job_says(api: Api, after: str, least: float, most: float) -> None:
    (pause,) = Answering(Following(api, "7").wait(None), (200, RUNNING, {"retry-after": after})).pauses
    assert least <= pause <= most


def test_an_api_that_does_not_hold_is_polled_with_growing_pauses(api: Api) -> None:
    pauses = Answering(Following(api, "7").wait(None), *[(200, RUNNING)] * 20).pauses
    for number, pause in enumerate(pauses):
        bound = min(10.0, 0.25 * 1.5**number)
        assert 0.8 * bound <= pause <= bound


def test_a_job_that_was_accepted_and_is_not_seen_is_waited_for(api: Api) -> None:
    job = Answering(api.submit(ask("add", NONE, {"jobId": "7"})), (202, {})).result
    done = Answering(job.wait(None), NOT_FOUND, NOT_FOUND, (200, RUNNING), (200, SUCCESS))
    assert 0 < done.pauses[0] < done.pauses[1]
    assert done.result.status == "Success"


def test_a_job_that_is_gone_or_was_never_accepted_is_not_found(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound):
        Answering(Following(api, "7").wait(None), NOT_FOUND)
    job = Answering(api.submit(ask("add", NONE, {"jobId": "7"})), (202, {})).result
    with pytest.raises(NotFound):
        Answering(job.wait(None), (200, RUNNING), NOT_FOUND)
    job = Answering(api.submit(ask("add", NONE, {"jobId": "7"})), (202, {})).result
    monkeypatch.setattr(core, "VISIBLE_SECONDS", -1)
    with pytest.raises(NotFound):
        Answering(job.wait(None), NOT_FOUND)


def test_no_request_and_no_pause_is_longer_than_one_waits(api: Api) -> None:
    done = Answering(Following(api, "7").wait(5), (200, RUNNING))
    assert done.calls[0].url == "/jobs/7?wait=5.000"
    assert done.calls[0].timeout <= 7
    left = float(done.calls[1].url.rpartition("=")[2])
    assert left + done.pauses[0] <= 5
    with pytest.raises((Unreachable, WaitTimeout)):  # whichever comes first, on a busy machine
        Answering(Following(api, "7").wait(0.001), *[httpx.ConnectError] * 3)
    with pytest.raises(WaitTimeout):
        Answering(Following(api, "7").wait(0), (200, RUNNING))
    with pytest.raises(WaitTimeout, match="not visible yet"):
        Answering(Following(api, "7", accepted_at=time.monotonic()).wait(0), NOT_FOUND)
    with pytest.raises(WaitTimeout):
        Answering(Following(api, "7").wait(0), httpx.ReadTimeout)


def test_a_303_of_a_get_is_followed_within_the_same_server(api: Api) -> None:
    done = Answering(Following(api, "7").get(), (303, {}, {"location": "/prod/results/7"}), (200, SUCCESS))
    assert done.calls[1].url == "http://host/prod/results/7"
    assert done.result.results == 3


@pytest.mark.parametrize("location", ["https://host/jobs/7", "http://evil/jobs/7", "//evil/", "http://host:81/x"])
def test_a_303_to_anywhere_else_is_not_followed(api: Api, location: str) -> None:
    with pytest.raises(Unreachable, match="redirects to another server"):
        Answering(Following(api, "7").get(), (303, {}, {"location": location}))


def test_a_redirect_of_a_proxy_is_told_with_where_it_leads(api: Api) -> None:
    moved: Any = (301, b"<html>", {"location": "https://host/prod/jobs"})
    with pytest.raises(Refused, match=r"redirects to 'https://host/prod/jobs' \(301\)"):
        Answering(api.submit(ask("add", NONE, {})), moved)


def test_a_303_that_never_ends_and_one_of_a_post_are_refused(api: Api) -> None:
    round_about: Any = (303, {}, {"location": "/prod/jobs/7"})
    with pytest.raises(Refused, match="303"):
        Answering(Following(api, "7").get(), *[round_about] * 6)
    with pytest.raises(Refused, match="303"):
        Answering(api.submit(ask("add", NONE, {})), round_about)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", {"jobId": "7"}, JOB | {"status": "Lost"}])
def test_an_answer_that_is_no_job_is_said_to_be_somebody_elses(api: Api, body: Any) -> None:
    with pytest.raises(Unreachable, match="it is not a job API"):
        Answering(Following(api, "7").get(), (200, body))


def test_a_refusal_without_json_is_told_by_its_status(api: Api) -> None:
    for body in (b"<html>", b"[]", b"{}"):
        with pytest.raises(Refused, match=r"Forbidden \(403\)"):
            Answering(Following(api, "7").get(), (403, body))


def test_a_field_that_a_later_version_has_is_passed_on(api: Api) -> None:
    job = Answering(Following(api, "7").get(), (200, SUCCESS | {"priority": 3})).result
    assert job.document["priority"] == 3


def test_a_job_over_the_limit_of_every_engine_is_refused_before_it_is_sent(api: Api) -> None:
    with pytest.raises(ClientError, match=r"has 1,048,\d{3} bytes as JSON, over the limit of 1,048,576"):
        next(api.submit(ask("add", NONE, {"a": "x" * 1_048_560})))
    next(api.submit(ask("add", NONE, {"a": "x" * 1_048_000})))


def test_a_wait_for_no_number_of_seconds_is_refused_before_it_asks(api: Api) -> None:
    with pytest.raises(ValueError, match="not NaN"):
        next(Following(api, "7").wait(float("nan")))
