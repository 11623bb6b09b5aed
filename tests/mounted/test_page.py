"""The page and the documentation of an API that is mounted, in a browser that may ask for nothing beside it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.mounted.hosted import Hosted
from tests.proxies import PREFIX, small_proxy
from tests.server.page.browser import WAIT_MS, chromium, watched_page

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def _works(browser: Browser, url: str) -> None:
    """Whether a job can be submitted and followed there, and the documentation be read."""
    answer = httpx.post(f"{url}/jobs", json={"type": "add", "a": 1})
    assert str(answer.url.join(answer.headers["location"])) == f"{url}/jobs/{answer.json()['jobId']}"
    with watched_page(browser, url) as page:
        expect(page.locator("tr", has_text=answer.json()["jobId"])).to_contain_text("Success")
        page.get_by_role("link", name="API", exact=True).click()
        stats = page.locator("#operations-default-stats")
        stats.get_by_role("button").first.click()
        stats.get_by_role("button", name="Try it out").click()
        stats.get_by_role("button", name="Execute").click()
        expect(stats.locator(".request-url")).to_contain_text(f"{url}/stats")
        expect(stats.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        page.get_by_role("link", name="← Jobs").click()
        expect(page.locator("table.jobs tbody tr")).to_have_count(1)


@pytest.mark.parametrize(
    ("app", "path"), [("fast", "/work"), ("star", "/deep/work"), ("tests.mounted.lite:lite", "/work")]
)
def test_the_page_works_where_it_is_mounted(browser: Browser, tmp_path: Path, app: str, path: str) -> None:
    with Hosted(tmp_path / "jobs.db", app=app) as host:
        _works(browser, host.url + path)


def test_the_page_works_where_it_is_mounted_behind_a_proxy_with_a_prefix(browser: Browser, tmp_path: Path) -> None:
    with (
        Hosted(tmp_path / "jobs.db", "--root-path", PREFIX) as host,
        small_proxy(host.url.removeprefix("http://"), True, tmp_path) as url,
    ):
        _works(browser, f"{url}/work")
