"""Makes the pictures of the page in README.md and docs/page.md: `make screenshot`. It takes a minute.

The chart has a bar for each ten seconds, so jobs come for some of them.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

from asyncjob.server.throughput import MOMENT_SECONDS
from tests.server.page.browser import ARGUMENTS
from tests.serving import Server

FUNCTIONS = """
import os, time
from asyncjob import JobContext, Jobs

jobs = Jobs()

@jobs.job
def resize(width: int, height: int = 100) -> dict:
    return {"pixels": width * height}

@jobs.job(retries=1)
def fetch(url: str) -> dict:
    if "gone" in url:
        raise ConnectionError(f"no answer from {url}")
    if "crash" in url:
        time.sleep(0.7)
        os._exit(1)
    return {"bytes": 48_212}

@jobs.job
def report(context: JobContext, month: str) -> str:
    for step in range(7):
        context.progress(step / 10, f"page {step} of 10")
    time.sleep(60)
    return month
"""


BURSTS = [3, 9, 5, 14, 8, 11]  # jobs in each of some moments, so that the chart has something to show
VIEW = ViewportSize(width=1280, height=720)


def main(folder: Path) -> None:
    """Serve a few jobs, and take pictures of their list, in both themes, and of a failed one."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        target = Path(place) / "mine.py"
        target.write_text(FUNCTIONS)
        with Server(Path(place) / "jobs.db", "--grace", "0", "--backoff", "1", target=str(target)) as server:
            failed = _submit(server)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            for is_dark, name in (False, "page.png"), (True, "page-dark.png"):
                page = browser.new_page(base_url=server.url, viewport=VIEW, color_scheme="dark" if is_dark else "light")
                page.goto("/")
                page.get_by_text("60 %").nth(1).wait_for()
                page.screenshot(path=folder / name)
            page = browser.new_page(base_url=server.url, viewport=VIEW)
            page.goto(f"/#/jobs/{failed}")
            page.locator("table.attempts").wait_for()
            page.screenshot(path=folder / "page-job.png")
            browser.close()


def _submit(server: Server) -> str:
    """Submit jobs of all kinds, and wait until they are what the pictures show; one that failed twice."""
    for number, jobs in enumerate(BURSTS):
        for width in range(jobs):
            server.result(server.submit("resize", width=320 + 60 * width))
        server.result(server.submit("fetch", url=f"https://example.com/{'gone' if number % 3 == 1 else number}"))
        time.sleep(MOMENT_SECONDS)
    failed = server.submit("fetch", url="https://example.com/crash")
    server.result(failed)
    for month in ("2026-10", "2026-11"):
        server.submit("report", month=month)
    canceled = server.submit("report", month="2026-12", jobId="report-december")
    server.client.post(f"/jobs/{canceled}/cancel")
    server.result(server.submit("resize", width=640))
    return failed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
