"""A client for unit tests of code that submits jobs: nothing runs, and the test says what each job becomes."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from asyncjob.client import Client
from asyncjob.job import new_job_id, utc_now
from asyncjob.options import NONE, parse_options
from asyncjob.registry import registered
from asyncjob.testing.api import OPTIONS, json_response
from asyncjob.testing.kept import Submitted

URL = "http://fake.invalid"


class FakeClient(Client):
    """A `Client` of no API: every submission is accepted, whatever its type and parameters, and ends as it was told to.

    Attributes:
        submitted: what was submitted, in that order.
    """

    def __init__(self) -> None:
        super().__init__(URL, retries=0)
        self.submitted: list[Submitted] = []
        self._ends: dict[str, dict[str, Any]] = {}
        self._jobs: dict[str, dict[str, Any]] = {}
        self.use(httpx.Client(transport=httpx.MockTransport(self._answer), base_url=URL))

    def returns(self, function: Callable[..., Any] | str, results: Any) -> None:
        """Have all further jobs of a function, or of that name, succeed with these results; by default None."""
        self._ends[_name(function)] = {"status": "Success", "results": results}

    def raises(self, function: Callable[..., Any] | str, error: Exception) -> None:
        """Have all further jobs of a function, or of that name, fail with this error."""
        told = {"type": type(error).__name__, "message": str(error)}
        self._ends[_name(function)] = {"status": "Failure", "error": told}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.strip("/").split("/")
        if request.method == "POST" and parts == ["jobs"]:
            return self._submit(msgspec.json.decode(request.content))
        job = self._jobs.get(parts[1]) if len(parts) > 1 and parts[0] == "jobs" else None
        if job is None:
            return json_response({"message": "Not found"}, 404)
        if request.method == "DELETE":
            del self._jobs[parts[1]]
            return httpx.Response(204)
        return json_response(job)

    def _submit(self, fields: dict[str, Any]) -> httpx.Response:
        job_id, name = str(fields.pop("jobId", new_job_id())), str(fields.pop("type", ""))
        options = parse_options(fields.pop("options"), OPTIONS) if "options" in fields else NONE
        self.submitted.append(Submitted(name, fields, options, job_id))
        now, end = utc_now(), self._ends.get(name, {"status": "Success", "results": None})
        times = {"attempt": 1, "createdAt": now, "startedAt": now, "finishedAt": now}
        self._jobs[job_id] = {"jobId": job_id, "type": name, "parameters": fields, **end, **times}
        return json_response({"jobId": job_id}, 202)


def _name(function: Callable[..., Any] | str) -> str:
    return function if isinstance(function, str) else registered(function).name
