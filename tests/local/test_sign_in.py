"""The cookie that a browser gets for the API key, and what is refused to whoever forges a request with it."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from asyncjob.local import access
from asyncjob.local.access import Access
from asyncjob.local.settings import Settings
from tests.serving import Server

KEY = "correct horse battery staple"
FROM_PAGE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "jobs.db", "--api-key", KEY) as server:
        yield server


@pytest.fixture
def signed_in(server: Server) -> httpx.Client:
    answer = server.client.post("/session", json={"key": KEY}, headers=FROM_PAGE)
    assert (answer.status_code, answer.content) == (204, b"")
    return server.client


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_is_not_the_key(server: Server) -> None:
    for origin, secure in ((server.url, False), (server.url.replace("http:", "https:"), True)):
        answer = server.client.post("/session", json={"key": KEY}, headers={"origin": origin})
        assert answer.status_code == 204
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert cookie["httponly"] and cookie["samesite"] == "strict" and cookie["path"] == "/"
        assert int(cookie["max-age"]) == 43_200
        assert bool(cookie["secure"]) is secure
        assert KEY not in answer.headers["set-cookie"]


def test_the_cookie_opens_what_the_key_opens(signed_in: httpx.Client) -> None:
    assert signed_in.get("/jobs").status_code == 200
    answer = signed_in.post("/jobs", json={"seconds": 0}, headers=FROM_PAGE)
    assert answer.status_code == 202
    assert signed_in.get(f"{answer.headers['location']}?wait=20").json()["status"] == "Success"
    assert signed_in.get("/session").json() == {"keyNeeded": True, "signedIn": True}


def test_it_holds_after_a_restart_and_ends_with_the_sign_out(server: Server, signed_in: httpx.Client) -> None:
    cookie = signed_in.cookies[access.COOKIE]
    server.stop()
    server.start()
    server.client.cookies.set(access.COOKIE, cookie, domain="127.0.0.1")
    assert server.client.get("/jobs").status_code == 200
    assert server.client.delete("/session", headers=FROM_PAGE).status_code == 204
    assert server.client.get("/jobs").status_code == 403
    assert server.client.get("/session").json() == {"keyNeeded": True, "signedIn": False}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://elsewhere.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
    ],
)
def test_a_forged_post_is_refused_and_changes_nothing(signed_in: httpx.Client, headers: dict[str, str]) -> None:
    job_id = signed_in.post("/jobs", json={"seconds": 4}, headers=FROM_PAGE).json()["jobId"]
    for path in ("/jobs", f"/jobs/{job_id}/cancel", f"/jobs/{job_id}/retry"):
        answer = signed_in.post(path, content=b'{"seconds": 0}', headers=headers)
        assert answer.status_code == 403
        assert "page" in answer.json()["message"]
    assert signed_in.get(f"/jobs/{job_id}").json()["status"] in ("Pending", "Running")
    assert len(signed_in.get("/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize(
    "cookie", ["", "x", "1.2", "9999999999.", "9999999999.00", "9999999999." + "0" * 64, KEY, '"\\', "é.é"]
)
def test_a_cookie_that_was_made_up_is_refused(server: Server, cookie: str) -> None:
    answer = server.client.get("/jobs", headers={b"cookie": f"{access.COOKIE}={cookie}".encode()})
    assert answer.status_code == 403
    assert server.client.get("/session", headers={b"cookie": f"asyncjob={cookie}".encode()}).status_code == 200


def test_a_cookie_ends_and_holds_for_one_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = Access(Settings(api_key=KEY)), Access(Settings(api_key="another"))
    headers = {b"cookie": f"{access.COOKIE}={ours.cookie()}".encode()}
    assert ours.has_cookie(headers)
    assert not others.has_cookie(headers)
    monkeypatch.setattr(access, "COOKIE_SECONDS", -1)
    assert not ours.has_cookie({b"cookie": f"{access.COOKIE}={ours.cookie()}".encode()})


@pytest.mark.parametrize("body", [b"", b"{}", b'{"key": 1}', b'{"key": "\xff"}', b'"key"'])
def test_a_malformed_sign_in_is_refused(server: Server, body: bytes) -> None:
    assert server.client.post("/session", content=body).status_code == 400


def test_a_wrong_key_and_a_sign_in_from_elsewhere_are_refused(server: Server) -> None:
    assert server.client.post("/session", json={"key": "x"}).status_code == 403
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert server.client.post("/session", json={"key": KEY}, headers=elsewhere).status_code == 403
    assert server.client.delete("/session", headers=elsewhere).status_code == 403
    assert server.client.put("/session").headers["allow"].count("POST") == 1


def test_pages_of_others_cannot_post_to_a_server_that_is_open_to_all(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--insecure") as server:
        for headers, status in (
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"origin": "https://x.example"}, 403),
            ({}, 202),
        ):
            assert server.client.post("/jobs", json={"seconds": 0}, headers=headers).status_code == status


def test_without_a_key_nobody_signs_in(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db") as server:
        assert server.client.get("/session").json() == {"keyNeeded": False, "signedIn": False}
        assert server.client.post("/session", json={"key": ""}).status_code == 403


def test_the_page_is_shown_without_a_key_and_allows_nothing_but_its_own_files(server: Server) -> None:
    for path in ("/", "/page/app.js", "/page/style.css", "/page/lit-html/lit-html.js", "/page/icon.svg"):
        answer = server.client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    text = server.client.get("/").text
    assert "<style" not in text and "onload" not in text and "<script>" not in text and "http" not in text
    for path in (
        "/page/nothing.js",
        "/page/%2e%2e/docs.html",
        "/page/lit-html/LICENSE",
        "/page/",
    ):
        assert server.client.get(path).status_code == 404
