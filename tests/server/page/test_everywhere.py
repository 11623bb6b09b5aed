"""What holds on every view of the page: addresses, titles, themes, widths, hostile text, the sign-in, accessibility."""

import re
from importlib import resources
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.server.page.browser import go, hold, watched_page
from tests.serving import FUNCTIONS, Server

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>"
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
SWAGGERS = ["heading-order", "nested-interactive", "region"]  # faults of Swagger UI's own markup, at /docs
WIDTHS = [390, 1280]  # pixels: a phone's, and a laptop's
NARROW = 360  # a smaller phone's


@pytest.mark.parametrize("address", ["#/jobs/%", "#/jobs/%E0%A4%A", "#/jobs/..", "#/jobs/a%2Fb", "#/?id=%", "#/?id=.."])
def test_an_address_that_is_malformed_names_no_job(page: Page, address: str) -> None:
    go(page, address)
    expect(page.get_by_role("heading", name="No such job")).to_be_visible()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()


def test_an_unknown_job_or_address_says_what_was_not_found_and_leads_back(page: Page, server: Server) -> None:
    go(page, "#/jobs/nobody")
    expect(page.locator("main")).to_contain_text("There is no job with the id nobody")
    page.get_by_role("link", name="Back to the jobs").click()
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    go(page, "#/nowhere/at/all")
    expect(page.locator("main")).to_contain_text("There is nothing at #/nowhere/at/all")
    page.get_by_role("link", name="Back to the jobs").click()
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    go(page, "#/submit?type=%")
    expect(page.get_by_role("heading", name="Submit a job")).to_be_visible()


def test_an_address_that_changes_while_the_page_begins_is_shown_once_it_has_begun(page: Page) -> None:
    held = hold(page, "**/openapi.json")
    page.reload()
    go(page, "#/?status=Failure")
    for path in ("jobs", "stats", "session") * 2:  # all that a list would ask for has been answered meanwhile
        page.evaluate("path => fetch(path).then((answer) => answer.text())", path)
    held[0].continue_()
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expect(page.locator(".chip.Failure")).to_have_attribute("aria-current", "true")


def test_a_page_that_is_opened_while_the_server_is_away_begins_when_it_is_back(page: Page) -> None:
    page.clock.install()
    page.route("**/session", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The server has not answered")
    with page.expect_request("**/session"):  # it tries again by itself
        page.clock.run_for(11_000)
    expect(page.get_by_role("alert")).to_have_count(1)
    page.unroute("**/session")
    page.clock.run_for(11_000)
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_title_of_the_tab_names_what_is_shown(page: Page, server: Server) -> None:
    job_id = server.submit("raises", message="no")
    server.result(job_id)
    short = f"{job_id[:8]}…{job_id[-6:]}"
    for address, title in (
        ("#/", "Jobs"),
        ("#/?status=Failure&type=raises", "Jobs: Failure, raises"),
        (f"#/jobs/{job_id}", f"Failure: raises {short}"),
        ("#/submit?type=add", "Submit add"),
        ("#/jobs/nobody", "No job nobody"),
        ("#/nowhere", "Not found"),
    ):
        go(page, address)
        expect(page).to_have_title(f"{title} \N{EN DASH} Async Job API")


def test_html_is_shown_and_not_run(page: Page, server: Server) -> None:
    failed = server.submit("raises", message=HTML)
    echoed = server.submit("echo", value={HTML: HTML})
    expect(page.locator("tr", has_text=failed)).to_contain_text(HTML)
    for job_id, place in ((failed, "pre.error"), (echoed, "pre.results")):
        go(page, f"#/jobs/{job_id}")
        expect(page.locator(place)).to_contain_text("<img src=x onerror=alert(1)>")
    go(page, f"#/submit?from={echoed}&type=echo")
    expect(page.get_by_label("value")).to_have_value(re.compile("onerror"))
    go(page, f"#/?type={HTML}&id={HTML}&status={HTML}")
    expect(page.get_by_role("searchbox")).to_have_value(HTML)
    assert page.locator("main img, main script").count() == 0


def test_who_has_the_key_signs_in_and_out(browser: Browser, tmp_path: Path) -> None:
    key = "secret & 'strange', long"
    with Server(tmp_path / "jobs.db", "--api-key", key, target=FUNCTIONS) as server:
        server.client.headers["x-api-key"] = key
        with watched_page(browser, server.url) as page:
            expect(page).to_have_title("Sign in \N{EN DASH} Async Job API")
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
            go(page, f"#/jobs/{job_id}")
            page.get_by_role("button", name="Retry").click()
            expect(page.locator("table.attempts tbody tr")).to_have_count(2)
            page.get_by_role("button", name="Sign out").click()
            expect(page.get_by_label("API key")).to_be_visible()
            assert page.context.cookies() == []


def test_the_page_and_the_documentation_work_below_a_prefix(page: Page, server: Server) -> None:
    def strip(route: Route) -> None:  # as a proxy does
        route.continue_(url=route.request.url.replace("/work/", "/", 1))

    page.route("**/work/**", strip)
    page.goto("/work/#/submit?type=add")
    page.locator('[id="$.a"]').fill("1")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator("header.job .badge")).to_have_text("Success")
    page.get_by_role("link", name="API", exact=True).click()
    expect(page.locator(".opblock").first).to_be_visible()
    page.get_by_role("link", name="← Jobs").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    assert page.url == f"{server.url}/work/"


def _views(server: Server, tmp_path: Path) -> dict[str, str]:
    """The address of each view, and what is on it once it is there."""
    failed = server.submit("dies", runs=str(tmp_path / ("runs" * 20)))
    long = server.submit("echo", value=["x" * 300] * 100)
    for job_id in (failed, long):
        server.result(job_id)
    body = {"type": "raises", "parameters": {"message": "x" * 500}, "cron": "0 3 * * 1-5", "tz": "Europe/Berlin"}
    server.client.put("/schedules/a-schedule-with-a-name-that-is-rather-long", json=body).raise_for_status()
    run = server.client.post("/schedules/a-schedule-with-a-name-that-is-rather-long/run-now")
    server.result(run.json()["jobId"])
    return {
        "#/": ".chart",
        "#/?status=Canceled": ".empty",
        "#/?id=nobody": ".empty",
        f"#/jobs/{failed}": "pre.error",
        f"#/jobs/{run.json()['jobId']}": ".log li",
        f"#/jobs/{long}": ".folded",
        "#/jobs/nobody": "h1:has-text('No such job')",
        "#/schedules": "table.schedules",
        "#/submit?type=draw": "form.submit",
        f"#/submit?type=echo&from={long}": "form.submit",
        "#/nowhere": "h1:has-text('Not found')",
    }


def _axe(page: Page, without: list[str]) -> list[str]:
    """What axe-core finds on the page as it is."""
    page.evaluate(AXE)
    rules = {name: {"enabled": False} for name in without}
    found = page.evaluate("rules => axe.run({ rules }).then(({ violations }) => violations)", rules)
    return [f"{each['id']}: {node['html']}: {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_view_fits_and_axe_finds_nothing(
    browser: Browser, server: Server, scheme: str, width: int, tmp_path: Path
) -> None:
    with watched_page(browser, server.url, viewport={"width": width, "height": 740}, color_scheme=scheme) as page:
        expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        assert _axe(page, []) == []
        for address, shown in _views(server, tmp_path).items():
            go(page, address)
            expect(page.locator(shown).first).to_be_visible()
            for wide in (NARROW, width):
                page.set_viewport_size({"width": wide, "height": 740})
                assert page.evaluate("document.documentElement.scrollWidth") <= wide, address
            assert _axe(page, []) == [], address
        page.get_by_role("link", name="Submit", exact=True).click()
        page.get_by_role("button", name="Submit", exact=True).click()
        expect(page.locator(".wrong").first).to_be_visible()
        assert _axe(page, []) == []
        assert _brightness(page, "body") == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_and_a_lost_connection_are_accessible_too(browser: Browser, scheme: str, tmp_path: Path) -> None:
    key = "k" * 20
    with (
        Server(tmp_path / "jobs.db", "--api-key", key, target=FUNCTIONS) as server,
        watched_page(browser, server.url, color_scheme=scheme) as page,
    ):
        expect(page.get_by_label("API key")).to_be_visible()
        assert _axe(page, []) == []
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.locator(".live")).to_have_text("live")
        server.stop()
        expect(page.get_by_role("alert")).to_be_visible()
        assert _axe(page, []) == []


def test_a_key_that_is_refused_after_the_right_one_was_entered_is_not_mentioned(
    browser: Browser, tmp_path: Path
) -> None:
    key = "k" * 20
    with (
        Server(tmp_path / "jobs.db", "--api-key", key, target=FUNCTIONS) as server,
        watched_page(browser, server.url) as page,
    ):
        with page.expect_response(lambda answer: answer.request.method == "POST" and answer.status == 401) as refused:
            page.get_by_label("API key").fill("wrong")
            page.keyboard.press("Enter")
            page.get_by_label("API key").fill(key)
            page.keyboard.press("Enter")
            expect(page.locator(".live")).to_have_text("live")
        refused.value.finished()
        page.get_by_role("link", name="Submit", exact=True).hover()  # the page has had its turn
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_documentation_follows_the_theme_and_has_a_padlock_only_where_there_is_a_key(
    browser: Browser, scheme: str, tmp_path: Path
) -> None:
    for arguments, locks in ((), False), (("--api-key", "k" * 20), True):
        with (
            Server(tmp_path / f"{locks}.db", *arguments, target=FUNCTIONS) as server,
            watched_page(browser, server.url, color_scheme=scheme) as page,
        ):
            page.get_by_role("link", name="API", exact=True).click()
            expect(page.locator(".opblock").first).to_be_visible()
            assert (page.locator(".authorization__btn, .btn.authorize").count() > 0) == locks
            assert _brightness(page, "html") == (scheme == "light")
            assert _axe(page, SWAGGERS) == []
            page.get_by_role("link", name="← Jobs").click()
            expect(page.get_by_role("heading", name="Sign in" if locks else "Jobs", exact=True)).to_be_visible()


def _brightness(page: Page, element: str) -> bool:
    """Whether its background is bright; one that is see-through shows the browser's white."""
    script = (
        "element => getComputedStyle(document.querySelector(element)).backgroundColor.match(/[\\d.]+/g).map(Number)"
    )
    red, green, blue, *alpha = page.evaluate(script, element)
    return bool(alpha == [0] or red + green + blue > 3 * 128)
