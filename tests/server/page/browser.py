"""Debian's chromium, driven by playwright, and a page in it that must make no error and ask nobody but its server."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, sync_playwright

ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-dev-shm-usage"]
REQUIRED = "ASYNCJOB_BROWSER"  # set where a browser must be there, as in CI
WAIT_MS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; without one the test is skipped, or fails where there must be one."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page in a profile of its own, open at the address.

    Yields:
        The page. `page.errors` is what it complained of; a test that provokes a refusal takes it out of there.

    Raises:
        AssertionError: something was refused by the Content-Security-Policy, failed, or was asked of somebody else.
    """
    context = browser.new_context(base_url=url, **options)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: _unasked(dialog, errors))
    page.on("request", lambda asked: None if asked.url.startswith(url) else errors.append(f"foreign: {asked.url}"))
    page.goto(url + "/")
    yield page
    context.close()
    unexpected = [error for error in errors if not error.startswith("Failed to load resource")]
    assert not unexpected, unexpected


def _unasked(dialog: Dialog, errors: list[str]) -> None:
    if dialog.type != "confirm":  # which the page asks before it deletes, and a test answers
        errors.append(f"dialog: {dialog.message}")


def go(page: Page, address: str) -> None:
    """Go to an address within the page, such as `#/submit`."""
    page.evaluate("address => { location.hash = address }", address)


def hold(page: Page, address: str) -> list[Route]:
    """Hold up each request for what matches the address from now on, until the test lets it go on."""
    held: list[Route] = []

    def keep(route: Route) -> None:  # Playwright marks what it calls, which a built-in method does not allow
        held.append(route)

    page.route(address, keep)
    return held
