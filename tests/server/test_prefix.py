"""An API below a prefix of a host, whether or not a proxy strips it: everything leads back there."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from asyncjob import AsyncClient, Client, Every
from tests import eventstream
from tests.proxies import KEY, PREFIX, WAYS, Front, behind, small_proxy
from tests.server.conftest import Gate
from tests.serving import COMMAND, Server


@pytest.fixture(scope="module", params=WAYS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with behind(request.param, tmp_path_factory.mktemp("front")) as front, pytest.MonkeyPatch.context() as patch:
        if front.certificate is not None:
            patch.setenv("SSL_CERT_FILE", str(front.certificate))
        yield front


@pytest.mark.parametrize("end", ["", "/"])
def test_a_client_finds_jobs_lists_and_schedules_there(front: Front, end: str) -> None:
    with Client(front.url + end, api_key=KEY) as client:
        handle = client.submit("add", a=1)
        assert handle.result(timeout=60) == 2
        assert next(client.list()).job_id == handle.id
        assert sorted(ended.result() for ended in client.map("add", [{"a": 2}, {"a": 3}])) == [3, 4]
        handle.retry()
        assert handle.wait(timeout=60).attempt == 2
        schedule = client.schedule("daily")
        schedule.put(Every("1d"), "pid")
        assert isinstance(schedule.run_now().result(timeout=60), int)
        assert [one.schedule_id for one in client.schedules()] == ["daily"]
        schedule.delete()
        client.check()


def test_an_async_client_does_too(front: Front) -> None:
    async def run() -> None:
        async with AsyncClient(front.url, api_key=KEY) as client:
            handle = await client.submit("add", a=1)
            assert await handle.result(timeout=60) == 2

    asyncio.run(run())


def test_commands_do_too(front: Front) -> None:
    env = {**os.environ, "ASYNCJOB_URL": front.url, "ASYNCJOB_API_KEY": KEY}

    def said(*arguments: str) -> str:
        done = subprocess.run([str(COMMAND), *arguments], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert '"results":2' in said("submit", "add", "a=1", "--wait", "--json")
    assert "The 202 names the job, and where it is" in said("check", "--job", '{"type": "add", "a": 1}')


def test_every_location_leads_to_the_job(front: Front) -> None:
    schedule = {"type": "add", "parameters": {"a": 1}, "every": "1d"}
    front.ask("PUT", "/schedules/yearly", json=schedule)
    later = front.ask("POST", "/jobs", json={"type": "add", "a": 1, "options": {"delay": "1h"}})
    for method, path, body in (
        ("POST", "/jobs", {"type": "add", "a": 1}),
        ("POST", "/jobs?wait=20", {"type": "add", "a": 1}),
        ("POST", f"/jobs/{later.json()['jobId']}/run-now", None),
        ("POST", f"/jobs/{later.json()['jobId']}/retry", None),
        ("POST", "/schedules/yearly/run-now", None),
    ):
        answer = front.ask(method, path, json=body)
        job_id = answer.json()["jobId"]
        assert answer.headers["location"] == f"{PREFIX}/jobs/{job_id}", path
        there = front.ask("GET", f"{answer.url.join(answer.headers['location']).path.removeprefix(PREFIX)}?wait=20")
        assert there.json()["status"] == "Success"
    front.ask("DELETE", "/schedules/yearly")


def test_events_arrive_as_they_happen(front: Front, gate: Gate, tmp_path: Path) -> None:
    job_id = front.ask("POST", "/jobs", json={"type": "holds", "started": str(tmp_path / "started"), "gate": gate.path})
    url = f"{front.url}/jobs/{job_id.json()['jobId']}/events"
    with httpx.stream("GET", url, headers={"x-api-key": KEY}, timeout=60) as answer:
        events = eventstream.read(answer)
        seen = next(events).data["status"]
        while seen != "Running":  # it stays so until the gate is open
            seen = next(events).data["status"]
        gate.open()
        assert [event.data["status"] for event in events if event.data][-1] == "Success"


def test_the_document_and_the_page_name_the_prefix(front: Front) -> None:
    assert front.ask("GET", "/openapi.json").json()["servers"] == [{"url": PREFIX}]
    for path in ("", "/"):
        html = front.ask("GET", path, follow_redirects=True).text
        files = re.findall(r'(?:href|src)="([^"]*)"', html)
        assert len(files) == 4
        for file in files:
            assert httpx.get(httpx.URL(front.url).join(file)).status_code == 200, file


@pytest.mark.parametrize(("origin", "name"), [(None, "asyncjob"), ("https", "__Secure-asyncjob")])
def test_the_cookie_goes_to_the_prefix_alone(front: Front, origin: str | None, name: str) -> None:
    headers = {"sec-fetch-site": "same-origin"}  # as a browser says, which adds the origin to a POST
    if origin is not None:
        headers["origin"] = f"{origin}://{httpx.URL(front.url).host}"
    with httpx.Client() as client:
        answer = client.post(f"{front.url}/session", json={"key": KEY}, headers=headers)
        assert answer.status_code == 204
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert (cookie.key, cookie["path"], bool(cookie["secure"])) == (name, PREFIX, origin is not None)
        opens = {"cookie": f"{cookie.key}={cookie.value}"}
        assert httpx.get(f"{front.url}/jobs", headers=opens).status_code == 200
        out = client.delete(f"{front.url}/session", headers=opens)
        assert out.headers["set-cookie"].count(f"Path={PREFIX};") == 2
        assert httpx.get(f"{front.url}/jobs", headers=opens).status_code == 401


def test_a_server_says_where_it_is_below_its_prefix_and_answers_there_and_without(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", env={"ASYNCJOB_ROOT_PATH": "/team/work/"}) as server:
        assert server.url.endswith("/team/work")
        assert server.process.stdout is not None
        said = [server.process.stdout.readline().decode().split() for _ in range(6)]
        assert ["page", f"{server.url}/"] in said and ["docs", f"{server.url}/docs"] in said
        assert said[-1][:4] == ["try", "curl", "-i", f"{server.url}/jobs"]
        for below in ("/team/work", "/work", ""):  # a proxy may strip a part of it
            answer = server.client.post(httpx.URL(server.url).join(f"{below}/jobs"), json={"seconds": 0})
            assert answer.headers["location"] == f"/team/work/jobs/{answer.json()['jobId']}"


def test_without_a_prefix_nothing_names_one(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", env={"ASYNCJOB_ROOT_PATH": "/"}) as server:
        assert server.client.post("/jobs", json={"seconds": 0}).headers["location"].startswith("/jobs/")
        assert "servers" not in server.client.get("/openapi.json").json()
        assert server.client.get("/work/jobs").status_code == 404


@pytest.mark.parametrize(
    "prefix", ["work", "//evil.example", "/a b", "/..", "/a/./b", "/a//b", "/%20", "/a\r\nb", "/é"]
)
def test_what_is_no_prefix_is_refused_in_one_line(prefix: str) -> None:
    done = subprocess.run([str(COMMAND), "serve", "--root-path", prefix], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a prefix: write one such as /work" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_check_finds_out_that_a_server_was_not_told_its_prefix(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db") as server, small_proxy(server.url.rpartition("/")[2], True, tmp_path) as url:
        done = subprocess.run([str(COMMAND), "check", "--url", url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"but it is at {PREFIX}/jobs/" in done.stdout and "the server needs --root-path" in done.stdout


def test_two_servers_of_one_host_do_not_sign_each_other_out(tmp_path: Path) -> None:
    with ExitStack() as stack:
        browser = stack.enter_context(httpx.Client())  # whose cookies are for a host, whatever the port
        urls = []
        for prefix in ("/one", "/two"):
            arguments = ("--root-path", prefix, "--api-key", KEY, "--workers", "1")
            urls.append(stack.enter_context(Server(tmp_path / f"{prefix[1:]}.db", *arguments)).url)
        for url in urls:
            browser.post(f"{url}/session", json={"key": KEY}).raise_for_status()
        assert [browser.get(f"{url}/jobs").status_code for url in urls] == [200, 200]
        browser.delete(f"{urls[0]}/session").raise_for_status()
        assert [browser.get(f"{url}/jobs").status_code for url in urls] == [401, 200]
