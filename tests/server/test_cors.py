"""Pages of other origins: those of the origins that were named, with the key in a header and never by a cookie."""

from pathlib import Path

import httpx
import pytest

from tests.serving import Server

KEY = "k" * 20
APP, OTHER = "https://app.example", "https://other.example"
KEYED = {"x-api-key": KEY}


def _preflight(server: Server, origin: str, path: str = "/jobs") -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    return server.client.options(path, headers=headers)


def _cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("allowed", [APP, "*"])
def test_a_page_of_an_allowed_origin_may_ask_send_and_read(tmp_path: Path, allowed: str) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", KEY, "--cors-origin", allowed) as server:
        for path in ("/jobs", "/nowhere"):  # a stranger does not learn which there are
            answer = _preflight(server, APP, path)
            assert (answer.status_code, answer.content) == (204, b"")
            assert answer.headers["access-control-allow-origin"] == allowed
            assert "POST" in answer.headers["access-control-allow-methods"]
            assert "Authorization" in answer.headers["access-control-allow-headers"]
        for headers, status in (KEYED, 202), ({"authorization": f"Bearer {KEY}"}, 202), ({}, 401):
            answer = server.client.post("/jobs", json={"seconds": 0}, headers={"origin": APP, **headers})
            assert answer.status_code == status  # and the page can read why it was refused
            assert answer.headers["access-control-allow-origin"] == allowed
            assert "Location" in answer.headers["access-control-expose-headers"]
            assert (answer.headers.get("vary") == "origin") == (allowed == APP)
            assert "access-control-allow-credentials" not in answer.headers


def test_no_other_page_can_read_anything(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", KEY, "--cors-origin", APP) as server:
        for origin in (OTHER, "null", APP.upper(), f"{APP}:443", f"{APP}.evil.example", "http://app.example"):
            assert _preflight(server, origin).status_code == 401
            assert not _cors(_preflight(server, origin))
            assert not _cors(server.client.get("/jobs", headers={"origin": origin, **KEYED}))
        assert not _cors(server.client.get("/jobs", headers=KEYED))


def test_an_allowed_page_does_nothing_by_a_cookie(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", KEY, "--cors-origin", APP) as server:
        assert server.client.post("/session", json={"key": KEY}, headers={"origin": APP}).status_code == 403
        assert server.client.post("/session", json={"key": KEY}).status_code == 204
        for headers in {"origin": APP}, {"origin": APP, "sec-fetch-site": "same-site"}:
            assert server.client.post("/jobs", json={"seconds": 0}, headers=headers).status_code == 403
            answer = server.client.get("/jobs", headers=headers)
            assert "access-control-allow-credentials" not in answer.headers  # so its browser keeps it to itself


def test_without_a_key_an_open_server_takes_jobs_from_allowed_pages_alone(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--insecure", "--cors-origin", APP) as server:
        for origin, status in (APP, 202), (OTHER, 403):
            headers = {"origin": origin, "sec-fetch-site": "cross-site"}
            assert server.client.post("/jobs", json={"seconds": 0}, headers=headers).status_code == status
        rebound = {"origin": APP, "host": "evil.example"}
        assert server.client.post("/jobs", json={"seconds": 0}, headers=rebound).status_code == 403


def test_without_the_option_there_is_no_such_header(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--api-key", KEY) as server:
        assert not _cors(_preflight(server, APP))
        assert not _cors(server.client.get("/jobs", headers={"origin": APP, **KEYED}))
