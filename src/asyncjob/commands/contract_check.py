"""Tries the core of the contract, claim by claim, on an API that runs: here, or in your AWS account.

The conformance suite tries far more, but needs a checkout; this needs a URL and one job that may be run. Each claim is
a function, and its docstring is what is printed. Whatever has not ended is canceled at the end.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec

from asyncjob.client.connection import UNSENDABLE
from asyncjob.commands.soundness import Finding
from asyncjob.contract import MAX_BODY_BYTES
from asyncjob.job import Status, new_job_id

SLEEP = {"type": "sleep", "seconds": 0}
"""The job to try if none is named: the built-in one, which is harmless."""
LONG = 5  # seconds of a sleep that is canceled before they are over
ANSWER_SECONDS = 30.0
NOT_THERE = (
    403,
    404,
    405,
    415,
)  # what engines answer where they have no such route; API Gateway looks at the type first
FINAL = [status.value for status in Status if status.is_final]


class Broken(Exception):
    """An answer breaks the contract; the message says how."""


class Absent(Exception):
    """The engine does not claim this: it has no such route."""


class Untried(Exception):
    """The job that may be run does not allow this to be tried."""


class Probe:
    """One run against one API.

    Args:
        http: a client of the API.
        body: the job that may be run, as `POST /jobs` takes it, without an id.
        seconds: how long a job may take to end.
    """

    def __init__(self, http: httpx.Client, body: dict[str, Any], seconds: float) -> None:
        self.body = body
        self.job_id = new_job_id()
        self._http = http
        self._seconds = seconds
        self._accepted: set[str] = set()

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> httpx.Response:
        """One request; `body` is written as JSON unless it is bytes."""
        content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        headers = {} if content is None and method == "GET" else {"content-type": content_type}
        return self._http.request(method, path, content=content, headers=headers, timeout=ANSWER_SECONDS)

    def submit(self, job_id: str, **fields: Any) -> httpx.Response:
        """Submit the job that may be run, under an id."""
        answer = self.ask("POST", "/jobs", {**self.body, **fields, "jobId": job_id})
        if answer.status_code == 202:
            self._accepted.add(job_id)
        return answer

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job, once it is final."""
        if job_id not in self._accepted:
            raise Broken("the job was not accepted")
        deadline, pause = time.monotonic() + self._seconds, 0.05
        while True:
            answer = self.ask("GET", f"/jobs/{job_id}")
            job = document(answer, 200) if answer.status_code != 404 else {}
            if job.get("status") in FINAL:
                return job
            if time.monotonic() >= deadline:
                raise Broken(
                    f"the job {job_id} has not ended after {self._seconds:g} s: {job.get('status', answer.text)}"
                )
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def clean_up(self) -> None:
        """Cancel what may still run, and delete what has ended, where the engine can."""
        for job_id in self._accepted:
            if self.ask("POST", f"/jobs/{job_id}/cancel").status_code == 409:
                self.ask("DELETE", f"/jobs/{job_id}")


def document(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The JSON object of an answer that must have this status."""
    said = f"{answer.request.method} {answer.request.url.path} was answered {answer.status_code}"
    if answer.status_code != status:
        raise Broken(f"{said} and not {status}: {answer.text[:200]}")
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise Broken(f"{said} with something that is not a JSON object: {answer.text[:200]}") from None


def refused(answer: httpx.Response, status: int) -> str:
    """The message of a refusal."""
    body = document(answer, status)
    if list(body) != ["message"] or not isinstance(body["message"], str) or not body["message"]:
        raise Broken(f"a refusal with {status} is {body}, and not one `message`")
    return body["message"]


def there(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it says that the engine has no such route."""
    if answer.status_code in NOT_THERE:
        raise Absent
    return answer


def unknown(probe: Probe) -> None:
    """An unknown job is 404, `Not found`."""
    message = refused(probe.ask("GET", f"/jobs/{new_job_id()}"), 404)
    if message != "Not found":
        raise Broken(f"an unknown job is {message!r}")


def accepted(probe: Probe) -> None:
    """A job is accepted with 202, and Retry-After."""
    answer = probe.submit(probe.job_id)
    body = document(answer, 202)
    if "retry-after" not in answer.headers:
        raise Broken("the 202 has no Retry-After")
    if body and body != {"jobId": probe.job_id}:
        raise Broken(f"the 202 of {probe.job_id} is {body}")


def named(probe: Probe) -> None:
    """The 202 names the job, and where it is."""
    job_id = f"{probe.job_id}~named"
    answer = probe.submit(job_id)
    if not document(answer, 202):
        raise Absent
    location = answer.headers.get("location", "")
    path = f"{answer.request.url.path}/{job_id}"
    if answer.request.url.join(location).path != path:
        raise Broken(f"its Location is {location!r}, but it is at {path}; below a prefix, the server needs --root-path")


def success(probe: Probe) -> None:
    """It ends in Success, with its results and times."""
    job = probe.ended(probe.job_id)
    if job["status"] != "Success":
        raise Broken(f"it is {job['status']}: {job.get('error')}")
    missing = {"jobId", "type", "status", "parameters", "results", "attempt", "createdAt", "startedAt", "finishedAt"}
    if missing - set(job):
        raise Broken(f"it has no {', '.join(sorted(missing - set(job)))}")


def idempotent(probe: Probe) -> None:
    """The same request again is a 202, and no new work."""
    before = probe.ended(probe.job_id)
    document(probe.submit(probe.job_id), 202)
    if probe.ended(probe.job_id) != before:
        raise Broken("the job has changed")


def conflict(probe: Probe) -> None:
    """Another request with its id is 409."""
    if probe.body != SLEEP:
        raise Untried  # what else its function takes is not known
    answer = probe.submit(probe.job_id, seconds=0.5)
    if answer.status_code == 202:
        raise Absent
    refused(answer, 409)


def malformed(probe: Probe) -> None:
    """What is not JSON, or no job, is 400."""
    refused(probe.ask("POST", "/jobs", b"{"), 400)
    refused(probe.ask("POST", "/jobs", b"[]"), 400)


def parameters(probe: Probe) -> None:
    """An unknown parameter is 400."""
    refused(probe.ask("POST", "/jobs", {**probe.body, "no such parameter": 1}), 400)


def ids(probe: Probe) -> None:
    """An id with other characters than a URL's is 400."""
    refused(probe.ask("POST", "/jobs", {**probe.body, "jobId": "a b"}), 400)
    refused(probe.ask("POST", "/jobs", {**probe.body, "jobId": "a\n"}), 400)


def content_type(probe: Probe) -> None:
    """Another Content-Type than JSON's is 415."""
    refused(probe.ask("POST", "/jobs", probe.body, "text/plain"), 415)


def size(probe: Probe) -> None:
    """A body over 1 MB is refused."""
    answer = probe.ask("POST", "/jobs", {**probe.body, "more": "x" * MAX_BODY_BYTES})
    refused(answer, 400 if answer.status_code == 400 else 413)  # API Gateway's model may look first


def canceled(probe: Probe) -> None:
    """A job is canceled, and stays so."""
    job_id = new_job_id()
    document(probe.submit(job_id, **({"seconds": LONG} if probe.body == SLEEP else {})), 202)
    answer = there(probe.ask("POST", f"/jobs/{job_id}/cancel"))
    if answer.status_code == 409:  # it was quicker
        refused(answer, 409)
        return
    job = document(answer, 200)
    if job.get("status") != "Canceled" or probe.ended(job_id)["status"] != "Canceled":
        raise Broken(f"it is {job.get('status')}, then {probe.ended(job_id)['status']}")


def too_late(probe: Probe) -> None:
    """To cancel a job that has ended is 409."""
    refused(there(probe.ask("POST", f"/jobs/{probe.job_id}/cancel")), 409)


def listed(probe: Probe) -> None:
    """The list has the job, as it is alone."""
    answer = there(probe.ask("GET", "/jobs?limit=100"))
    jobs = document(answer, 200).get("jobs", [])
    if probe.ended(probe.job_id) not in jobs:
        raise Broken(f"the job {probe.job_id} is not among the newest {len(jobs)}")


def retried(probe: Probe) -> None:
    """A final job runs again, with its next attempt."""
    before = probe.ended(probe.job_id)
    document(there(probe.ask("POST", f"/jobs/{probe.job_id}/retry")), 202)
    after = probe.ended(probe.job_id)
    if after["attempt"] != before["attempt"] + 1:
        raise Broken(f"after attempt {before['attempt']} it shows {after['attempt']}")


def attempts(probe: Probe) -> None:
    """Its attempts are told, the first one first."""
    told = document(there(probe.ask("GET", f"/jobs/{probe.job_id}/attempts")), 200).get("attempts", [])
    numbers = [attempt.get("attempt") for attempt in told]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise Broken(f"the attempts are {numbers}")


def described(probe: Probe) -> None:
    """The API describes itself, as OpenAPI."""
    paths = document(there(probe.ask("GET", "/openapi.json")), 200).get("paths", {})
    if "/jobs" not in paths:
        raise Broken(f"it has no /jobs, but {', '.join(paths)}")


def deleted(probe: Probe) -> None:
    """A job that has ended is deleted, and not found then."""
    answer = there(probe.ask("DELETE", f"/jobs/{probe.job_id}"))
    if answer.status_code != 204:
        raise Broken(f"a DELETE of it was answered {answer.status_code} and not 204: {answer.text[:200]}")
    refused(probe.ask("GET", f"/jobs/{probe.job_id}"), 404)


CLAIMS: tuple[Callable[[Probe], None], ...] = (
    *(unknown, accepted, named, success, idempotent, conflict, malformed, parameters, ids, content_type, size),
    *(canceled, too_late, listed, retried, attempts, described, deleted),
)


def contract(http: httpx.Client, body: dict[str, Any] | None, seconds: float) -> Iterator[Finding]:
    """Try each claim, one after the other, and clean up.

    Args:
        http: a client of the API.
        body: the job that may be run; None for the built-in `sleep`, and nothing is tried where the API has none.
        seconds: how long a job may take to end.

    Yields:
        What was found, as soon as it was. After one that is not reachable there is no further one.
    """
    probe = Probe(http, SLEEP if body is None else body, seconds)
    try:
        if body is None and probe.submit(probe.job_id).status_code == 400:
            yield Finding("contract", True, "not tried: name a job that may be run with --job", absent=True)
            return
        for claim in CLAIMS:
            yield _tried(claim, probe)
        probe.clean_up()
    except (httpx.RequestError, *UNSENDABLE) as error:
        yield Finding("contract", False, f"no answer: {error or type(error).__name__}", reachable=False)


def _tried(claim: Callable[[Probe], None], probe: Probe) -> Finding:
    text = (claim.__doc__ or claim.__name__).rstrip(".")
    try:
        claim(probe)
    except Broken as broken:
        return Finding("contract", False, f"{text}: {broken}")
    except Absent:
        return Finding("contract", True, f"{text}: not on this engine", absent=True)
    except Untried:
        return Finding("contract", True, f"{text}: not tried with this job", absent=True)
    return Finding("contract", True, text)
