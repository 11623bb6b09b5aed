"""The form in a real browser: what it knows of a function's parameters, and what it says of a mistake."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.server.page.browser import go, watched_page
from tests.serving import Server

TARGET = '''
import datetime as dt
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

from msgspec import Meta

from asyncjob import Jobs

jobs = Jobs()


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Address:
    street: str
    city: str = "Bern"


@dataclass
class Item:
    sku: Annotated[str, Meta(min_length=2)]
    tags: list[str] = field(default_factory=list)


@jobs.job
def order(items: list[Item], ship_to: Address, due: dt.date, at: Annotated[dt.datetime, Meta(tz=True)], size: Size,
          count: int = 2, gift: bool = False, bill_to: Address | None = None, weights: dict[str, float] = {},
          wait: float | str = "1h", ready: dt.datetime | None = None, opens: dt.time | None = None,
          closes: Annotated[dt.time, Meta(tz=True)] | None = None) -> dict:
    """Orders."""
    return {"due": due}
'''


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shop") / "shop.py"
    target.write_text(TARGET)
    return target


def _field(page: Page, path: str) -> Locator:
    return page.locator(f'[id="$.{path}"]')


def _wrong(page: Page, path: str) -> Locator:
    return page.locator(f'[id="$.{path}-wrong"]')


def _submit(page: Page) -> None:
    page.get_by_role("button", name="Submit", exact=True).click()


def test_dates_enums_lists_and_nested_objects_have_fields_of_their_own(
    browser: Browser, tmp_path: Path, shop: Path
) -> None:
    with (
        Server(tmp_path / "jobs.db", target=str(shop)) as server,
        watched_page(browser, server.url, timezone_id="Europe/Zurich") as page,
    ):
        go(page, "#/submit")
        page.get_by_role("button", name="Add one to items").click()
        assert _field(page, "items[0].sku").evaluate("field => field === document.activeElement")
        page.keyboard.type("A-1")
        page.get_by_role("button", name="Add one to tags").click()
        page.keyboard.type("red")
        page.get_by_role("button", name="Add another to tags").click()
        page.keyboard.type("blue")
        page.get_by_role("button", name="Remove tags 1").click()
        _field(page, "ship_to.street").fill("1 Main St")
        _field(page, "due").fill("2026-12-24")
        _field(page, "at").fill("2026-12-24T18:30:05")
        _field(page, "size").select_option("large")
        _field(page, "gift").select_option("true")
        _field(page, "weights").fill('{"A-1": 1.5}')
        _field(page, "wait").fill("90")
        _field(page, "ready").fill("2026-12-24T18:00")
        _field(page, "opens").fill("08:30")
        _field(page, "closes").fill("18:00:00Z")
        _field(page, "jobId").fill("mine")
        _submit(page)
        expect(page.locator("header.job .id")).to_have_text("mine")
        assert server.result("mine")["parameters"] == {
            "items": [{"sku": "A-1", "tags": ["blue"]}],
            "ship_to": {"street": "1 Main St"},
            "due": "2026-12-24",
            "at": "2026-12-24T17:30:05.000Z",
            "size": "large",
            "gift": True,
            "weights": {"A-1": 1.5},
            "wait": 90,
            "ready": "2026-12-24T17:00:00.000Z",
            "opens": "08:30:00",
            "closes": "18:00:00Z",
        }


def test_what_is_required_is_asked_for_at_its_field_before_anything_is_sent(
    browser: Browser, tmp_path: Path, shop: Path
) -> None:
    with Server(tmp_path / "jobs.db", target=str(shop)) as server, watched_page(browser, server.url) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
        go(page, "#/submit")
        page.get_by_role("button", name="Add one to items").click()
        _submit(page)
        expect(page.get_by_role("alert")).to_have_text("5 fields need another look.")
        for path in ("items[0].sku", "ship_to.street", "due", "at", "size"):
            expect(_wrong(page, path)).to_have_text("This is required.")
            expect(_field(page, path)).to_have_attribute("aria-invalid", "true")
        assert _field(page, "items[0].sku").evaluate("field => field === document.activeElement")
        expect(_wrong(page, "bill_to.street")).to_have_count(0)  # none of it was given
        page.get_by_text("bill_to").click()
        _field(page, "bill_to.city").fill("Basel")
        _submit(page)
        expect(_wrong(page, "bill_to.street")).to_have_text("This is required.")
        assert asked == []


def test_a_refusal_of_the_server_is_said_at_the_field_that_it_is_about(
    browser: Browser, tmp_path: Path, shop: Path
) -> None:
    with Server(tmp_path / "jobs.db", target=str(shop)) as server, watched_page(browser, server.url) as page:
        go(page, "#/submit")
        page.get_by_role("button", name="Add one to items").click()
        _field(page, "items[0].sku").fill("A")
        _field(page, "ship_to.street").fill("1 Main St")
        _field(page, "due").fill("2026-12-24")
        _field(page, "at").fill("2026-12-24T18:30")
        _field(page, "size").select_option("small")
        _field(page, "count").fill("many")
        _field(page, "weights").fill("{]")
        _submit(page)
        expect(_wrong(page, "count")).to_have_text("This is not a number.")
        expect(_wrong(page, "weights")).to_contain_text("This is not JSON")
        _field(page, "count").fill("1")
        _field(page, "weights").fill('{"a": "b"}')
        _submit(page)
        expect(_wrong(page, "items[0].sku")).to_contain_text("length >= 2")
        _field(page, "items[0].sku").fill("AB")
        _submit(page)
        expect(_wrong(page, "weights")).to_contain_text("Expected `float`, got `str`")
        _field(page, "weights").fill("")
        _field(page, "jobId").fill(".dot")
        _submit(page)
        expect(_wrong(page, "jobId")).to_contain_text("jobId must be")
        page.get_by_text("options").click()
        _field(page, "options.delay").fill("soon")
        _field(page, "jobId").fill("dot")
        _submit(page)
        expect(_wrong(page, "options.delay")).to_contain_text("options.delay must be")
        _field(page, "options.delay").fill("1h30m")
        _submit(page)
        expect(page.locator("header.job .id")).to_have_text("dot")
        assert "runAt" in server.get("dot")


def test_defaults_are_shown_and_the_id_is_asked_for_last(browser: Browser, tmp_path: Path, shop: Path) -> None:
    with Server(tmp_path / "jobs.db", target=str(shop)) as server, watched_page(browser, server.url) as page:
        go(page, "#/submit")
        expect(page.locator('[id="$.count-hint"]')).to_have_text("default: 2")
        expect(_field(page, "gift").locator("option").first).to_have_text("default (false)")
        expect(page.locator("form .field input, form .field select").last).to_have_attribute("id", "$.jobId")


def test_a_refused_submission_says_why_until_the_next_one(page: Page, server: Server) -> None:
    server.submit("add", a=1, jobId="taken")
    page.get_by_role("link", name="Submit", exact=True).click()
    page.get_by_label("Type").select_option("add")
    _field(page, "jobId").fill("taken")
    _field(page, "a").fill("7")
    _submit(page)
    expect(_wrong(page, "jobId")).to_contain_text("there is already a job taken")
    page.wait_for_timeout(1_000)  # longer than a page waits before it loads again
    expect(_wrong(page, "jobId")).to_contain_text("there is already a job taken")
    expect(_field(page, "a")).to_have_value("7")
    _field(page, "jobId").fill("free")
    _submit(page)
    expect(page.locator("header.job .id")).to_have_text("free")


def test_large_numbers_and_any_json_are_sent_as_they_were_entered(page: Page, server: Server) -> None:
    go(page, "#/submit?type=echo")
    _field(page, "value").fill('{"large": 12345678901234567890, "one": 1.0, "text": ""}')
    _submit(page)
    expect(page.locator("pre.results")).to_contain_text("12345678901234567890")
    job_id = page.locator("header.job .id").inner_text().strip()
    assert '"large":12345678901234567890,"one":1.0' in server.client.get(f"/jobs/{job_id}").text
    page.get_by_role("link", name="Submit again").click()
    expect(_field(page, "value")).to_have_value('{\n  "large": 12345678901234567890,\n  "one": 1.0,\n  "text": ""\n}')


def test_the_built_in_job_is_submitted_by_who_enters_the_seconds(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db") as server, watched_page(browser, server.url) as page:
        page.get_by_role("link", name="Submit", exact=True).click()
        _field(page, "seconds").fill("0.1")
        page.keyboard.press("Enter")
        expect(page.locator("pre.results")).to_contain_text("I slept for 0.1 seconds")


def test_names_of_functions_that_carry_html_are_shown_and_not_run(browser: Browser, tmp_path: Path) -> None:
    html = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    target = tmp_path / "named.py"
    target.write_text(
        f"from asyncjob import Jobs\njobs = Jobs()\n\n@jobs.job\ndef plain(a: int = 1) -> int:\n"
        f'    """{html}"""\n    return a\n'
    )
    with Server(tmp_path / "jobs.db", target=str(target)) as server, watched_page(browser, server.url) as page:
        page.get_by_role("link", name="Submit", exact=True).click()
        expect(page.locator(".hint")).to_have_text(html)
        assert page.locator("main img, main script").count() == 0
