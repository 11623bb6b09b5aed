"""Makes docs/page.png, the picture of the page in the README: `make screenshot`."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

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
        os._exit(1)
    return {"bytes": 48_212}

@jobs.job
def report(context: JobContext, month: str) -> str:
    for step in range(7):
        context.progress(step / 10, f"page {step} of 10")
    time.sleep(60)
    return month
"""


def main(picture: Path) -> None:
    """Serve a few jobs, and take the picture of their list."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        target = Path(folder) / "mine.py"
        target.write_text(FUNCTIONS)
        with Server(Path(folder) / "jobs.db", "--grace", "0", target=str(target)) as server:
            ids = [server.submit("resize", width=width) for width in range(320, 5_120, 60)]
            ids += [server.submit("fetch", url=f"https://example.com/{name}") for name in ("a", "gone", "b", "crash")]
            for job_id in ids:
                server.result(job_id)
            ids = [server.submit("report", month=month) for month in ("2024-05", "2024-06")]
            server.submit("resize", width=640)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
            page = browser.new_page(base_url=server.url, viewport={"width": 1080, "height": 560})
            page.goto("/")
            page.get_by_text("60 %").nth(len(ids) - 1).wait_for()
            page.screenshot(path=picture)
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
