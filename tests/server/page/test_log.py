"""A job's log on its page, in a real browser: it grows while the job runs, and can be looked through."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from asyncjob.server.workers.lines import MAX_LINES
from tests.server.conftest import wait_for
from tests.server.page.browser import go, watched_page
from tests.serving import Server

TALKERS = str(Path(__file__).parent.parent.parent / "talkers.py")
HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("log")
    with Server(folder / "jobs.db", "--workers", "1", target=TALKERS) as server:
        yield server


def _messages(page: Page) -> Locator:
    return page.locator(".log li:not(.note) .message")


def _shows(server: Server, page: Page, type: str, **parameters: object) -> None:
    job_id = server.submit(type, **parameters)
    server.result(job_id)
    go(page, f"#/jobs/{job_id}")


def test_a_log_grows_while_its_job_runs_and_its_end_stays_in_sight(page: Page, server: Server, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    job_id = server.submit("goes_on", started=str(started), gate=str(gate))
    go(page, f"#/jobs/{job_id}")
    expect(_messages(page)).to_have_text(["before the gate"])
    expect(page.get_by_label("Follow")).to_be_checked()
    gate.touch()
    expect(_messages(page)).to_have_text(["before the gate", "after the gate", "the end"])
    expect(page.get_by_label("Follow")).to_have_count(0)  # there is nothing to follow any more
    gate.unlink()
    page.get_by_role("button", name="Retry").click()
    expect(_messages(page)).to_have_text(["before the gate", "after the gate", "the end", "before the gate"])
    expect(page.locator(".log li.note")).to_have_text(["Attempt 1", "Attempt 2"])
    gate.touch()
    expect(_messages(page)).to_have_count(6)


def test_a_line_shows_its_level_and_logger_and_no_html(page: Page, server: Server) -> None:
    _shows(server, page, "says", text=HTML, level=30)
    line = page.locator(".log li")
    expect(line).to_have_class("warning")
    expect(line.locator(".logger")).to_have_text("talkers")
    expect(line.locator(".message")).to_have_text(HTML)


def test_lines_can_be_chosen_by_their_level(page: Page, server: Server) -> None:
    _shows(server, page, "fails", message="no")
    expect(_messages(page).first).to_have_text("before")
    page.get_by_label("Level").select_option("Errors")
    expect(page.locator(".log li")).to_have_count(1)
    expect(page.locator(".log li")).to_contain_text("ValueError: no")


def test_a_traceback_is_folded(page: Page, server: Server) -> None:
    _shows(server, page, "fails", message="no")
    code = page.locator(".log pre", has_text="raise ValueError(message)")
    expect(page.locator(".log summary")).to_be_visible()
    expect(code).to_be_hidden()
    page.locator(".log summary").click()
    expect(code).to_be_visible()


def test_a_long_log_says_how_many_lines_were_left_out(page: Page, server: Server) -> None:
    _shows(server, page, "floods", lines=3 * MAX_LINES)
    expect(page.locator(".log li.note", has_text="lines left out")).to_have_text(f"{MAX_LINES} lines left out")
    expect(page.locator(".log h2")).to_contain_text("1,000 lines")


def test_a_job_that_says_nothing_has_no_log(page: Page, server: Server) -> None:
    _shows(server, page, "is_terminal")
    expect(page.locator("table.attempts")).to_be_visible()
    expect(page.locator(".log")).to_have_count(0)


def test_a_page_that_is_left_listens_no_more(browser: Browser, server: Server, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    job_id = server.submit("goes_on", started=str(started), gate=str(gate))

    with watched_page(browser, server.url) as page:
        go(page, f"#/jobs/{job_id}")
        expect(_messages(page)).to_have_text(["before the gate"])
        listening = server.open_sockets()
        go(page, "#/")
        wait_for(lambda: server.open_sockets() < listening, "the stream is closed")
    gate.touch()
    server.result(job_id)
