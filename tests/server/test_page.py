"""The page in a real browser: what a person sees and does there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.receiver import Receiver
from tests.server.browser import WAIT_MS, chromium, watched_page
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import FUNCTIONS, Server

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PHONE = {"width": 360, "height": 740}

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with watched_page(browser, server.url) as page:
        yield page


def _go(page: Page, address: str) -> None:
    page.evaluate("address => { location.hash = address }", address)


def _rows(page: Page) -> list[str]:
    return page.locator("table.jobs tbody td.id").all_inner_texts()


def test_the_list_is_live_and_the_newest_job_is_first(page: Page, server: Server, gate: Gate, tmp_path: Path) -> None:
    expect(page.get_by_text("No such jobs.")).to_be_visible()
    first = server.submit("add", a=1)
    expect(page.locator("tr", has_text=first)).to_contain_text("Success")
    second = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
    expect(page.locator("tr", has_text=second)).to_contain_text("Running")
    assert _rows(page) == [second, first]
    expect(page.locator(".chip.Running")).to_have_text("Running 1")
    gate.open()
    expect(page.locator("tr", has_text=second)).to_contain_text("Success")
    expect(page.locator(".chip.Success")).to_have_text("Success 2")
    expect(page.locator(".chart figcaption")).to_contain_text("2 ended in the last 10 minutes")
    expect(page.locator(".chart rect.Success").first).to_be_attached()


def test_the_list_is_filtered_by_status_type_and_id(page: Page, server: Server) -> None:
    added = server.submit("add", a=1)
    failed = server.submit("raises", message="no")
    server.result(failed)
    page.locator(".chip.Failure").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert _rows(page) == [failed]
    expect(page.locator("table.jobs")).to_contain_text("LookupError: no")
    page.locator(".chip.All").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    page.get_by_label("Type").select_option("add")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert _rows(page) == [added]
    page.get_by_label("Type").select_option("")
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    page.locator("h1").click()
    page.keyboard.press("/")
    page.keyboard.type(failed)
    page.keyboard.press("Enter")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert _rows(page) == [failed]
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value(failed)
    _go(page, "#/?id=nobody")
    expect(page.get_by_text("No such jobs.")).to_be_visible()


def test_older_jobs_are_on_further_pages(page: Page, server: Server) -> None:
    ids = [server.submit("add", a=number) for number in range(60)]
    expect(page.locator("table.jobs tbody td.id").first).to_have_text(ids[-1])
    expect(page.locator("table.jobs tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(10)
    assert _rows(page) == ids[9::-1]
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(50)


def test_a_jobs_page_shows_what_it_was_given_and_what_became_of_it(page: Page, server: Server) -> None:
    large = 12_345_678_901_234_567_890
    job_id = server.submit("echo", value={"large": large, "text": "é"})
    page.get_by_role("link", name=job_id).click()
    expect(page.locator("pre.results")).to_contain_text(f'"large": {large}')
    expect(page.locator("pre.parameters")).to_contain_text(f'"large": {large}')
    expect(page.locator("header.job .badge")).to_have_text("Success")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()


def test_lost_attempts_are_on_the_time_line(page: Page, server: Server, tmp_path: Path) -> None:
    job_id = server.submit("dies", runs=str(tmp_path / "runs"))
    _go(page, f"#/jobs/{job_id}")
    expect(page.locator("header.job .badge")).to_have_text("Failure")
    attempts = page.locator("table.attempts tbody tr")
    expect(attempts).to_have_count(2)
    expect(attempts.first).to_contain_text("WorkerLost")
    expect(attempts.first.locator("rect.Failure")).to_be_attached()
    expect(page.locator("pre.error")).to_contain_text("WorkerLost: the worker died")


def test_a_job_is_canceled_and_retried_with_the_keyboard_alone(page: Page, server: Server, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job_id = server.submit("waits", started=str(started))
    link = page.get_by_role("link", name=job_id)
    expect(link).to_be_visible()
    wait_for(lambda: lines(started), "the job")
    for _ in range(30):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    cancel, retry = page.get_by_role("button", name="Cancel"), page.get_by_role("button", name="Retry")
    expect(cancel).to_be_enabled()
    for button in (cancel, retry):
        for _ in range(30):
            page.keyboard.press("Tab")
            if button.evaluate("button => button === document.activeElement"):
                break
        page.keyboard.press("Enter")
        expect(button).to_be_disabled()
    expect(page.locator("table.attempts tbody tr")).to_have_count(2)
    expect(page.locator("table.attempts tbody tr").first).to_contain_text("Canceled")
    assert server.get(job_id)["attempt"] == 2


def test_progress_is_shown_as_it_is_told(page: Page, server: Server, tmp_path: Path) -> None:
    job_id = server.submit("reports", started=str(tmp_path / "started"))
    expect(page.locator("tr", has_text=job_id)).to_contain_text("50 % half")
    _go(page, f"#/jobs/{job_id}")
    expect(page.locator("header.job progress")).to_have_js_property("value", 0.5)


def test_who_was_notified_is_shown(browser: Browser, tmp_path: Path) -> None:
    env = {"ASYNCJOB_NOTIFY_SECRET": f"whsec_{'A' * 32}", "ASYNCJOB_NOTIFY_ALLOW": "127.0.0.1"}
    with (
        Receiver(lambda received: (410, {})) as receiver,
        Server(tmp_path / "jobs.db", target=FUNCTIONS, env=env) as server,
        watched_page(browser, server.url) as page,
    ):
        job_id = server.submit("add", a=1, options={"notify": f"http://127.0.0.1:{receiver.port}/"})
        wait_for(lambda: '"Failed"' in server.client.get(f"/jobs/{job_id}/deliveries").text, "the delivery")
        page.get_by_role("link", name=job_id).click()
        row = page.locator("table.deliveries tbody tr")
        expect(row).to_contain_text("Failed the answer was 410")
        expect(row).to_contain_text(f"http://127.0.0.1:{receiver.port}/")


def test_a_whole_fraction_is_a_number_like_any_other(browser: Browser, tmp_path: Path) -> None:
    target = tmp_path / "whole.py"
    target.write_text(
        "from asyncjob import JobContext, Jobs\njobs = Jobs()\n\n@jobs.job\n"
        "def stops(context: JobContext, at: float) -> None:\n"
        "    context.progress(at)\n    raise ValueError('no')\n"
    )
    with Server(tmp_path / "jobs.db", target=str(target)) as server, watched_page(browser, server.url) as page:
        for at in (0.0, 1.0):
            job_id = server.submit("stops", at=at)
            server.result(job_id)
            _go(page, f"#/jobs/{job_id}")
            expect(page.locator("main")).to_contain_text(f"{at * 100:.0f} %")
        _go(page, "#/")
        expect(page.locator("table.jobs tbody tr")).to_have_count(2)


def test_a_refused_submission_says_why_until_the_next_one(page: Page, server: Server) -> None:
    server.submit("add", a=1, jobId="taken")
    page.get_by_role("link", name="Submit").click()
    page.get_by_label("Type").select_option("add")
    page.get_by_label("jobId").fill("taken")
    page.locator("input[name='p.a']").fill("7")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("there is already a job taken")
    page.wait_for_timeout(1_000)  # longer than a page waits before it loads again
    expect(page.get_by_role("alert")).to_contain_text("there is already a job taken")


@pytest.mark.parametrize("address", ["#/jobs/%", "#/jobs/%E0%A4%A", "#/jobs/..", "#/?id=%", "#/submit?type=%"])
def test_an_address_that_is_malformed_leaves_the_page_as_it_is(page: Page, address: str) -> None:
    _go(page, address)
    page.wait_for_timeout(500)  # no signal says that nothing more is to come
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_text("No such jobs.")).to_be_visible()


def test_html_is_shown_and_not_run(page: Page, server: Server) -> None:
    failed = server.submit("raises", message=HTML)
    echoed = server.submit("echo", value={HTML: HTML})
    expect(page.locator("tr", has_text=failed)).to_contain_text(HTML)
    for job_id, place in ((failed, "pre.error"), (echoed, "pre.results")):
        _go(page, f"#/jobs/{job_id}")
        expect(page.locator(place)).to_contain_text("<img src=x onerror=alert(1)>")
    _go(page, f"#/?type={HTML}&id={HTML}&status={HTML}")
    expect(page.get_by_role("searchbox")).to_have_value(HTML)
    assert page.locator("main img, main script").count() == 0


def test_names_of_functions_that_carry_html_are_shown_and_not_run(browser: Browser, tmp_path: Path) -> None:
    target = tmp_path / "named.py"
    target.write_text(
        f"from asyncjob import Jobs\njobs = Jobs()\n\n@jobs.job\ndef plain(a: int = 1) -> int:\n"
        f'    """{HTML}"""\n    return a\n'
    )
    with Server(tmp_path / "jobs.db", target=str(target)) as server, watched_page(browser, server.url) as page:
        page.get_by_role("link", name="Submit").click()
        expect(page.locator(".hint")).to_have_text(HTML)
        assert page.locator("main img, main script").count() == 0


def test_a_job_is_submitted_with_a_form_made_from_the_schema(page: Page, server: Server) -> None:
    page.get_by_role("link", name="Submit").click()
    page.get_by_label("Type").select_option("draw")
    page.get_by_label("points").fill("[{]")
    page.get_by_role("button", name="Submit").click()
    assert page.evaluate("document.querySelector('textarea').validationMessage").startswith("This is no JSON")
    page.get_by_label("points").fill('[{"x": 1.5}]')
    page.get_by_label("color").select_option("blue")
    page.get_by_label("jobId").fill("my-own")
    page.get_by_label("at", exact=True).fill("yesterday")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("$.at")
    page.get_by_label("at", exact=True).fill("")
    page.get_by_label("width").fill("7")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("pre.results")).to_contain_text('"width": 7')
    assert server.result("my-own")["parameters"] == {"points": [{"x": 1.5}], "color": "blue", "width": 7}


def test_the_built_in_job_is_submitted_by_who_enters_the_seconds(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db") as server, watched_page(browser, server.url) as page:
        page.get_by_role("link", name="Submit").click()
        page.get_by_label("seconds").fill("0.1")
        page.keyboard.press("Enter")
        expect(page.locator("pre.results")).to_contain_text("I slept for 0.1 seconds")


def test_the_page_comes_back_after_a_restart_of_the_server(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server, watched_page(browser, server.url) as page:
        expect(page.locator(".live")).to_have_text("live")
        port = server.url.rpartition(":")[2]
        server.stop()
        expect(page.locator(".live")).to_have_text("not connected")
        server._command[server._command.index("--port") + 1] = port
        server.start()
        expect(page.locator(".live")).to_have_text("live")
        job_id = server.submit("add", a=1)
        expect(page.locator("tr", has_text=job_id)).to_contain_text("Success")


def test_who_has_the_key_signs_in_and_out(browser: Browser, tmp_path: Path) -> None:
    key = "secret & 'strange', long"
    with Server(tmp_path / "jobs.db", "--api-key", key, target=FUNCTIONS) as server:
        server.client.headers["x-api-key"] = key
        with watched_page(browser, server.url) as page:
            page.get_by_label("API key").fill("another")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_contain_text("not the server's API key")
            page.get_by_label("API key").fill(key)
            page.keyboard.press("Enter")
            job_id = server.submit("add", a=1)
            expect(page.locator("tr", has_text=job_id)).to_contain_text("Success")
            (cookie,) = page.context.cookies()
            assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
            assert key not in str(cookie) and "secret" not in page.evaluate("JSON.stringify({...localStorage})")
            _go(page, f"#/jobs/{job_id}")
            page.get_by_role("button", name="Retry").click()
            expect(page.locator("table.attempts tbody tr")).to_have_count(2)
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_label("API key")).to_be_visible()
            assert page.context.cookies() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_fits_a_phone_in_dark_and_light(
    browser: Browser, server: Server, scheme: str, tmp_path: Path
) -> None:
    failed = server.submit("dies", runs=str(tmp_path / ("runs" * 20)))
    server.result(failed)
    with watched_page(browser, server.url, viewport=PHONE, color_scheme=scheme) as page:
        for address, shown in (
            ("#/", ".chart"),
            (f"#/jobs/{failed}", "pre.error"),
            ("#/submit?type=draw", "form.submit"),
        ):
            _go(page, address)
            expect(page.locator(shown)).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
        red, green, blue = page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        )
        assert (red + green + blue > 3 * 128) == (scheme == "light")
