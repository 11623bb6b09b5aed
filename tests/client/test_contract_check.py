"""`asyncjob check` against a server that keeps the contract, and against one that breaks one claim of it."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncjob.commands import contract_check
from asyncjob.commands.contract_check import CLAIMS, contract
from asyncjob.commands.soundness import Finding
from tests.serving import FUNCTIONS, Server

Body = dict[str, Any]
Lie = Callable[[Body], tuple[int, Body]]


@pytest.fixture(scope="module")
def sleeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the built-in job."""
    with Server(tmp_path_factory.mktemp("sleeping") / "jobs.db", "--workers", "1") as server:
        yield server


class Liar(httpx.HTTPTransport):
    """Passes requests on, and changes what comes back where it is told to.

    Args:
        method: of the requests whose answers are changed.
        path: a pattern of theirs.
        status: of those answers.
        lie: makes another status and body of a body.
        without: a header that is left out.
    """

    def __init__(self, method: str, path: str, status: int, lie: Lie, without: str = "") -> None:
        super().__init__()
        self._concerns = (method, re.compile(path), status)
        self._lie = lie
        self._without = without

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        answer.read()
        method, path, status = self._concerns
        if request.method != method or not path.fullmatch(request.url.path) or answer.status_code != status:
            return answer
        code, body = self._lie(answer.json() if answer.content else {})
        kept = {name: value for name, value in answer.headers.items() if name not in (self._without, "content-length")}
        return httpx.Response(code, headers=kept, json=body, request=request)


def _findings(server: Server, transport: httpx.BaseTransport | None = None, job: Body | None = None) -> list[Finding]:
    with httpx.Client(base_url=server.url, transport=transport) as http:
        return list(contract(http, job, 60))


def _texts(findings: list[Finding], *, sound: bool = True, absent: bool = False) -> list[str]:
    return [each.message for each in findings if (each.sound, each.absent) == (sound, absent)]


ALL = [(claim.__doc__ or "").rstrip(".") for claim in CLAIMS]


def test_a_server_that_keeps_the_contract_passes_every_claim(sleeping: Server) -> None:
    assert _texts(_findings(sleeping)) == ALL


def test_nothing_of_a_check_runs_on(sleeping: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_check, "CLAIMS", (contract_check.accepted, _leaves_a_job))
    _findings(sleeping)
    assert sleeping.client.get("/jobs?status=Running").json()["jobs"] == []
    assert sleeping.client.get("/jobs?limit=1").json()["jobs"][0]["status"] == "Canceled"


def _leaves_a_job(probe: contract_check.Probe) -> None:
    """It begins a job and does not wait for its end."""
    probe.submit(f"{probe.job_id}~left", seconds=4)


def test_a_check_leaves_none_of_its_jobs_but_those_that_it_had_to_cancel(sleeping: Server) -> None:
    before = {job["jobId"] for job in sleeping.client.get("/jobs?limit=1000").json()["jobs"]}
    _findings(sleeping)
    left = [job for job in sleeping.client.get("/jobs?limit=1000").json()["jobs"] if job["jobId"] not in before]
    assert {job["status"] for job in left} == {"Canceled"}


def test_functions_of_ones_own_are_tried_only_when_one_is_named(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        (finding,) = _findings(server)
        assert finding.absent
        assert "--job" in finding.message
        assert server.client.get("/jobs").json()["jobs"] == []
        findings = _findings(server, job={"type": "add", "a": 1})
    assert not _texts(findings, sound=False)
    assert len(_texts(findings)) == len(CLAIMS) - 1
    assert _texts(findings, absent=True) == ["Another request with its id is 409: not tried with this job"]


counter = itertools.count()
LIES: dict[str, tuple[str, str, int, Lie] | tuple[str, str, int, Lie, str]] = {
    "unknown": ("GET", "/jobs/[^/]+", 404, lambda body: (404, {"message": "nobody"})),
    "accepted": ("POST", "/jobs", 202, lambda body: (202, body), "retry-after"),
    "named": ("POST", "/jobs", 202, lambda body: (202, body), "location"),
    "success": ("GET", "/jobs/[^/]+", 200, lambda body: (200, {**body, "status": "Failure"})),
    "idempotent": ("GET", "/jobs/[^/]+", 200, lambda body: (200, {**body, "createdAt": f"{next(counter)}"})),
    "conflict": ("POST", "/jobs", 409, lambda body: (409, {"error": "conflict"})),
    "malformed": ("POST", "/jobs", 400, lambda body: (500, body)),
    "parameters": ("POST", "/jobs", 400, lambda body: (202, {"jobId": "x"})),
    "ids": ("POST", "/jobs", 400, lambda body: (422, body)),
    "content_type": ("POST", "/jobs", 415, lambda body: (202, {})),
    "size": ("POST", "/jobs", 413, lambda body: (502, body)),
    "canceled": ("POST", "/jobs/.*/cancel", 200, lambda body: (200, {**body, "status": "Running"})),
    "too_late": ("POST", "/jobs/.*/cancel", 409, lambda body: (200, body)),
    "listed": ("GET", "/jobs", 200, lambda body: (200, {"jobs": []})),
    "retried": ("GET", "/jobs/[^/]+", 200, lambda body: (200, {**body, "attempt": 1})),
    "attempts": ("GET", "/jobs/.*/attempts", 200, lambda body: (200, {"attempts": body["attempts"][::-1]})),
    "deleted": ("DELETE", "/jobs/[^/]+", 204, lambda body: (200, body)),
    "described": ("GET", "/openapi.json", 200, lambda body: (200, {"paths": {}})),
}


@pytest.mark.parametrize("claim", LIES)
def test_a_server_that_breaks_a_claim_is_found_out(sleeping: Server, claim: str) -> None:
    text = (getattr(contract_check, claim).__doc__ or "").rstrip(".")
    found = _texts(_findings(sleeping, Liar(*LIES[claim])), sound=False)
    assert any(line.startswith(f"{text}: ") for line in found), found


def test_every_claim_can_be_found_broken() -> None:
    assert {claim.__name__ for claim in CLAIMS} == set(LIES)


def test_what_an_engine_has_no_route_for_is_not_held_against_it(sleeping: Server) -> None:
    absent = Liar("POST", "/jobs/.*/cancel", 409, lambda body: (403, {"message": "Missing Authentication Token"}))
    findings = _findings(sleeping, absent)
    assert not _texts(findings, sound=False)
    assert _texts(findings, absent=True) == ["To cancel a job that has ended is 409: not on this engine"]


def test_a_server_that_goes_away_is_not_reachable(sleeping: Server) -> None:
    class Gone(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/cancel"):
                raise httpx.ConnectError("Connection refused")
            return super().handle_request(request)

    findings = _findings(sleeping, Gone())
    assert (findings[-1].sound, findings[-1].reachable) == (False, False)
    assert len(findings) < len(CLAIMS)
