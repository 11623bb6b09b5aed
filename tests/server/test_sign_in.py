"""The cookie that a browser gets for the API key, and what is refused to whoever forges a request with it."""

import asyncio
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from asyncjob.server.http import access, sessions
from asyncjob.server.http.access import Access
from asyncjob.server.http.sessions import Sessions
from asyncjob.server.settings import Settings
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


def test_sign_out_ends_the_cookie_for_whoever_has_it_and_its_streams(server: Server, signed_in: httpx.Client) -> None:
    cookie = {"cookie": f"{sessions.COOKIE}={signed_in.cookies[sessions.COOKIE]}"}
    with httpx.Client(base_url=server.url, headers=cookie, timeout=30) as other:
        job_id = other.post("/jobs", json={"seconds": 5}, headers=FROM_PAGE).json()["jobId"]
        with other.stream("GET", "/events") as all_jobs, other.stream("GET", f"/jobs/{job_id}/events") as one_job:
            assert all_jobs.status_code == one_job.status_code == 200
            assert signed_in.delete("/session", headers=FROM_PAGE).status_code == 204
            assert all_jobs.read() and one_job.read()  # to the end, which the job's own is not yet
        assert other.get("/jobs").status_code == 401
        assert other.get("/session").json() == {"keyNeeded": True, "signedIn": False}
    answer = httpx.get(f"{server.url}/jobs/{job_id}", headers={"x-api-key": KEY})
    assert answer.json()["status"] in ("Pending", "Running")


def test_no_cookie_outlives_the_server(server: Server, signed_in: httpx.Client) -> None:
    cookie = signed_in.cookies[sessions.COOKIE]
    server.stop()
    server.start()
    server.client.cookies.set(sessions.COOKIE, cookie, domain="127.0.0.1")
    assert server.client.get("/jobs").status_code == 401


def test_a_cookie_holds_under_the_name_and_at_the_host_that_it_was_given_for(server: Server) -> None:
    given = {"host": "jobs.example", "origin": "https://jobs.example"}
    answer = server.client.post("/session", json={"key": KEY}, headers=given)
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == sessions.SECURE_COOKIE
    server.client.cookies.clear()
    for name, host, status in (
        (sessions.SECURE_COOKIE, "jobs.example", 200),
        (sessions.COOKIE, "jobs.example", 401),
        (sessions.SECURE_COOKIE, "jobs.example:8080", 401),
        (sessions.SECURE_COOKIE, "other.example", 401),
    ):
        headers = {"cookie": f"a=b; {name}=x; {name}={cookie.value}", "host": host}
        assert server.client.get("/jobs", headers=headers).status_code == status, (name, host)


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
    answer = server.client.get("/jobs", headers={b"cookie": f"{sessions.COOKIE}={cookie}".encode()})
    assert answer.status_code == 401
    assert server.client.get("/session", headers={b"cookie": f"asyncjob={cookie}".encode()}).status_code == 200


def test_a_session_ends_by_itself_and_there_are_so_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sign_in() -> None:
        ours = Sessions()
        monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
        first, second, third = (ours.start({}) for _ in range(3))
        assert first.is_over and not second.is_over
        headers = {b"cookie": "=".join(third.cookie).encode()}
        assert ours.find(headers) is third
        monkeypatch.setattr(sessions, "COOKIE_SECONDS", 0)
        short = ours.start({})
        await short.over()
        assert ours.find({b"cookie": "=".join(short.cookie).encode()}) is None

    asyncio.run(sign_in())


def test_a_long_cookie_costs_no_more_than_it_is_long(server: Server) -> None:
    cookie = f'{sessions.COOKIE}="' + "\\" * 50_000 + '"'  # http.cookies takes seconds for it
    assert server.client.get("/jobs", headers={"cookie": cookie}).status_code == 401


def test_wrong_keys_are_logged_with_their_client_and_without_the_key(server: Server) -> None:
    for _ in range(3):
        assert server.client.get("/jobs", headers={"x-api-key": "a wrong key of mine"}).status_code == 401
    assert server.client.post("/session", json={"key": "another wrong one"}).status_code == 401
    assert server.client.get("/jobs").status_code == 401  # no key at all is no guess
    log = server.log.read_text()
    assert log.count("wrong API key") == 1
    assert "client=127.0.0.1 times=1" in log
    assert "of mine" not in log and "another" not in log


def test_whoever_has_the_right_key_does_not_wait_for_those_who_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    async def guess() -> None:
        monkeypatch.setattr(access, "WRONG_KEY_SECONDS", 3_600)
        ours = Access(Settings(api_key=KEY))
        guesses = [asyncio.create_task(ours.refuse_late(("192.0.2.1", 1))) for _ in range(access.MAX_DELAYED)]
        await asyncio.sleep(0)
        await ours.refuse_late(None)  # one more than may wait does not
        ours.check("GET", False, {b"x-api-key": KEY.encode()})
        assert not any(one.done() for one in guesses)
        for one in guesses:
            one.cancel()

    asyncio.run(guess())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"key": 1}', b'{"key": "\xff"}', b'"key"'])
def test_a_malformed_sign_in_is_refused(server: Server, body: bytes) -> None:
    assert server.client.post("/session", content=body).status_code == 400


def test_a_wrong_key_and_a_sign_in_from_elsewhere_are_refused(server: Server) -> None:
    assert server.client.post("/session", json={"key": "x"}).status_code == 401
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert server.client.post("/session", json={"key": KEY}, headers=elsewhere).status_code == 403
    assert server.client.delete("/session", headers=elsewhere).status_code == 403
    assert server.client.put("/session").headers["allow"].count("POST") == 1


def test_a_sign_in_of_more_than_a_thousand_bytes_is_refused_unread(server: Server) -> None:
    for headers in ({}, {"transfer-encoding": "chunked"}):
        answer = server.client.post("/session", content=iter([b" " * 1_025]) if headers else b" " * 1_025)
        assert answer.status_code == 413
        assert "1,024 bytes" in answer.json()["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("jobs.example", 200),
        ("JOBS.example:8000", 200),
        ("192.0.2.1:8000", 200),
        ("[2001:db8::1]", 200),
        ("asyncjob:8000", 200),
        ("evil.example", 403),
        ("x.jobs.example", 403),
        ("192.0.2.1.evil.example", 403),
        ("[::1", 403),
    ],
)
@pytest.mark.parametrize("options", [("--insecure",), ("--api-key", KEY)])
def test_only_names_that_others_cannot_own_and_those_allowed_are_served(
    tmp_path: Path, options: tuple[str, ...], host: str, status: int
) -> None:
    with Server(tmp_path / "jobs.db", *options, "--allow-host", "Jobs.example") as server:
        answer = server.client.get("/jobs", headers={"host": host, "x-api-key": KEY})
        assert answer.status_code == status


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
        assert server.client.post("/session", json={"key": ""}).status_code == 401


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
