"""The page and the documentation below a prefix, in a browser that may ask for nothing beside it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.proxies import KEY, PREFIX, WAYS, Front, behind
from tests.server.page.browser import watched_page


@pytest.fixture(scope="module", params=WAYS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with behind(request.param, tmp_path_factory.mktemp("front")) as front:
        yield front


@pytest.fixture
def page(browser: Browser, front: Front) -> Iterator[Page]:
    """Signed in."""
    with watched_page(browser, front.url, ignore_https_errors=True) as page:
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".live")).to_have_text("live")
        yield page


@pytest.mark.parametrize("end", ["", "/"])
def test_a_job_is_submitted_and_followed_there(page: Page, front: Front, end: str) -> None:
    page.goto(f"{front.url}{end}")
    page.get_by_role("link", name="Submit", exact=True).click()
    page.goto(f"{front.url}{end}#/submit?type=add")
    page.locator('[id="$.a"]').fill("1")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator("header.job .badge")).to_have_text("Success")
    page.get_by_role("link", name="← Jobs").click()
    expect(page.locator("table.jobs tbody tr").first).to_contain_text("Success")
    assert re.match(f"{re.escape(front.url)}/?#", page.url)  # nginx adds the slash


def test_what_happens_is_seen_at_once(page: Page, front: Front) -> None:
    expect(page.locator("table.jobs, .empty")).to_be_visible()
    job_id = front.server.submit("add", a=1, jobId="seen")
    expect(page.locator("tr", has_text=job_id)).to_contain_text("Success")


def test_the_documentation_tries_requests_there(page: Page, front: Front) -> None:
    page.goto(front.url)
    page.get_by_role("link", name="API", exact=True).click()
    assert page.url == f"{front.url}/docs"
    stats = page.locator("#operations-default-stats")
    stats.get_by_role("button").first.click()
    stats.get_by_role("button", name="Try it out").click()
    stats.get_by_role("button", name="Execute").click()
    expect(stats.locator(".request-url")).to_contain_text(f"{front.url}/stats")
    expect(stats.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    page.get_by_role("link", name="← Jobs").click()
    assert page.url == f"{front.url}/"
    expect(page.locator(".live")).to_have_text("live")


def test_the_browser_keeps_the_cookie_for_the_prefix_and_signs_out(page: Page, front: Front) -> None:
    (cookie,) = page.context.cookies()
    secure = front.url.startswith("https")
    assert cookie["path"] == PREFIX and cookie["secure"] is secure
    assert cookie["name"] == ("__Secure-asyncjob" if secure else "asyncjob")
    page.reload()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.context.cookies() == []
