"""The list of jobs in a real browser: what a person sees and does there."""

import re
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.server.conftest import Gate
from tests.server.page.browser import go, hold, watched_page
from tests.serving import FUNCTIONS, Server, environment

PHONE = {"width": 390, "height": 740}
KEY = "secret & 'strange', long"


def _rows(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("table.jobs tbody td.id a").all_text_contents()]


def _count(page: Page, rows: int) -> None:
    expect(page.locator("table.jobs tbody tr")).to_have_count(rows)


def test_the_list_is_live_and_the_newest_job_is_first(page: Page, server: Server, gate: Gate, tmp_path: Path) -> None:
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    first = server.submit("add", a=1)
    expect(page.locator("tr", has_text=first)).to_contain_text("Success")
    second = server.submit("holds", started=str(tmp_path / "started"), gate=gate.path)
    expect(page.locator("tr", has_text=second)).to_contain_text("Running")
    assert _rows(page) == [second, first]
    expect(page.locator(".chip.Running")).to_have_text("Running 1")
    gate.open()
    expect(page.locator("tr", has_text=second)).to_contain_text("Success")
    expect(page.locator(".chip.Success")).to_have_text("Success 2")
    expect(page.locator(".chart figcaption")).to_contain_text("2 jobs ended in the last 10 minutes")
    expect(page.locator(".chart .key.Success")).to_have_text("2 Success")
    expect(page.locator(".chart rect.Success").first).to_be_attached()


def test_the_axis_of_the_chart_says_how_high_and_how_long_it_is(page: Page, server: Server) -> None:
    for number in range(3):
        server.result(server.submit("add", a=number))
    expect(page.locator(".chart .key.Success")).to_have_text("3 Success")
    top = int(page.locator(".chart .ends span").first.inner_text())
    assert top in (1, 2, 5)  # the moments are cut anywhere
    assert page.locator(".chart .ends span").last.inner_text() == "0"
    assert page.locator(".chart .times span").all_inner_texts() == ["10 min ago", "5 min ago", "now"]
    told = page.locator(".chart g title").all_text_contents()
    assert all(re.match(r"\d\d:\d\d:\d\d: ", text) for text in told)
    assert sum(int(text.split(": ")[1].split()[0]) for text in told if "Success" in text) == 3


def test_the_list_is_filtered_by_status_type_and_id(page: Page, server: Server) -> None:
    added = server.submit("add", a=1)
    failed = server.submit("raises", message="no")
    server.result(failed)
    page.locator(".chip.Failure").click()
    _count(page, 1)
    assert _rows(page) == [failed]
    expect(page.locator("table.jobs")).to_contain_text("LookupError: no")
    page.locator(".chip.All").click()
    _count(page, 2)
    page.get_by_label("Type").select_option("add")
    _count(page, 1)
    assert _rows(page) == [added]
    page.get_by_label("Type").select_option("")
    _count(page, 2)
    page.locator("h1").click()
    page.keyboard.press("/")
    page.keyboard.type(failed)
    page.keyboard.press("Enter")
    _count(page, 1)
    assert _rows(page) == [failed]
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value(failed)


def test_the_counts_and_the_chart_follow_the_filters(page: Page, server: Server) -> None:
    for number in range(3):
        server.result(server.submit("add", a=number))
    failed = server.submit("raises", message="no")
    server.result(failed)
    expect(page.locator(".chip.All")).to_have_text("All 4")
    page.get_by_label("Type").select_option("add")
    expect(page.locator(".chip.All")).to_have_text("All 3")
    expect(page.locator(".chip.Failure")).to_have_text("Failure 0")
    expect(page.locator(".chart figcaption")).to_contain_text("3 jobs of type add ended")
    go(page, "#/?status=Failure")
    expect(page.locator(".chart figcaption")).to_contain_text("1 Failure job ended")
    expect(page.locator(".chart rect.Success")).to_have_count(0)
    expect(page.locator(".chip.Success")).to_have_text("Success 3")
    go(page, f"#/?id={failed}")
    expect(page.locator(".chip.All")).to_have_text("All 1")
    expect(page.locator(".chip.Failure")).to_have_text("Failure 1")


def test_older_jobs_are_on_further_pages(page: Page, server: Server) -> None:
    ids = [server.submit("add", a=number) for number in range(60)]
    expect(page.locator("table.jobs tbody td.id a").first).to_have_text(ids[-1])
    _count(page, 50)
    page.get_by_role("link", name="Older").click()
    _count(page, 10)
    assert _rows(page) == ids[9::-1]
    page.get_by_role("link", name="Newest").click()
    _count(page, 50)


def test_a_list_without_jobs_says_why_it_has_none(page: Page, server: Server) -> None:
    go(page, "#/?status=Failure")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    page.get_by_role("link", name="Submit a job").click()
    expect(page.get_by_role("heading", name="Submit a job")).to_be_visible()
    job_id = server.submit("add", a=1)
    server.result(job_id)
    go(page, "#/?status=Failure&type=add")
    expect(page.locator(".empty")).to_contain_text("There is no Failure job of type add.")
    go(page, "#/?id=nobody")
    expect(page.locator(".empty")).to_contain_text("There is no job with the id nobody")
    go(page, f"#/?id={job_id}&status=Failure")
    expect(page.locator(".empty")).to_contain_text("has another status or type: it is add, Success")
    page.get_by_role("link", name="Show all jobs").click()
    _count(page, 1)


def test_a_job_is_not_called_missing_while_it_is_looked_for(page: Page, server: Server) -> None:
    job_id = server.submit("add", a=1)
    held = hold(page, f"**/jobs/{job_id}")
    go(page, "#/?id=nobody")
    expect(page.locator(".empty")).to_contain_text("There is no job with the id nobody")
    with page.expect_request(f"**/jobs/{job_id}"):
        go(page, f"#/?id={job_id}")
    expect(page.get_by_role("searchbox")).to_have_value(job_id)
    assert job_id not in page.locator(".empty").inner_text()
    held[0].continue_()
    _count(page, 1)


def test_the_curl_line_of_an_empty_list_submits_a_job(browser: Browser, tmp_path: Path) -> None:
    target = tmp_path / "quoted.py"
    target.write_text(
        "from typing import Literal\nfrom asyncjob import Jobs\njobs = Jobs()\n\n@jobs.job\n"
        'def quoted(text: Literal["it\'s"], sizes: list[int], height: int = 2) -> int:\n    return sum(sizes)\n'
    )
    with (
        Server(tmp_path / "jobs.db", "--api-key", KEY, target=str(target)) as server,
        watched_page(browser, server.url) as page,
    ):
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        line = page.locator("pre.curl").inner_text()
        shell = subprocess.run(["sh", "-c", line], env={**environment(), "ASYNCJOB_API_KEY": KEY}, capture_output=True)
        assert b'"jobId"' in shell.stdout, shell.stdout
        _count(page, 1)
        expect(page.locator("table.jobs tbody tr")).to_contain_text("Success")


def test_a_long_error_takes_two_lines_of_its_row(page: Page, server: Server) -> None:
    failed = server.submit("raises", message="it went wrong " * 100)
    fault = page.locator("tr", has_text=failed).locator(".fault")
    expect(fault).to_be_visible()
    lines = fault.evaluate("span => span.clientHeight / parseFloat(getComputedStyle(span).lineHeight)")
    assert 1.5 < lines < 2.1
    title = fault.get_attribute("title") or ""
    assert title.startswith("LookupError: it went wrong it went wrong") and len(title) == 600


def test_an_id_is_shortened_and_a_button_copies_all_of_it(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    job_id, short = server.submit("add", a=1), server.submit("add", jobId="my-own", a=1)
    cell = page.locator("tr", has_text=job_id).locator("td.id")
    expect(cell).to_be_visible()
    own = page.locator("tr", has_text=short).locator("td.id a").evaluate("link => link.offsetWidth")
    assert cell.locator("a").evaluate("link => link.offsetWidth") < 3 * own < 6 * 40
    cell.get_by_role("button", name=f"Copy the id {job_id}").click()
    expect(page.locator("#said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == job_id
    assert page.url.endswith("/")  # and the row was not opened


def test_an_id_is_copied_over_plain_http_too(page: Page, server: Server) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as browsers have it there
    job_id = server.submit("add", a=1)
    page.get_by_role("button", name=f"Copy the id {job_id}").click()
    expect(page.locator("#said")).to_have_text("Copied")
    page.get_by_role("searchbox").focus()
    page.keyboard.press("Control+V")
    expect(page.get_by_role("searchbox")).to_have_value(job_id)


def test_a_click_on_a_row_opens_its_job(page: Page, server: Server) -> None:
    job_id = server.submit("add", a=1)
    page.locator("tr", has_text=job_id).locator("td.type").click()
    expect(page.locator("header.job .id")).to_have_text(job_id)
    page.get_by_role("link", name="← Jobs").click()
    _count(page, 1)


def test_ages_go_on_and_the_exact_time_is_at_them(page: Page, server: Server) -> None:
    page.clock.install()
    page.reload()
    job_id = server.submit("add", a=1)
    created = server.result(job_id)["createdAt"]
    age = page.locator("tr", has_text=job_id).locator("td.age time")
    page.clock.run_for(3_000)
    expect(age).to_have_text(re.compile(r"^\d+ s ago$"))
    page.clock.fast_forward(3_600_000 * 3)
    page.clock.run_for(1_000)
    expect(age).to_have_text("3 h ago")
    title = age.get_attribute("title") or ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC[+-]\d\d:\d\d", title)
    assert title[20:23] == created[20:23]


def test_headings_stand_over_their_values(page: Page, server: Server) -> None:
    server.result(server.submit("dies_once", runs=str(server.database.with_name("runs"))))
    _count(page, 1)
    headings, cells = page.locator("table.jobs th"), page.locator("table.jobs tbody td")
    assert headings.all_inner_texts() == [
        "Status",
        "Type",
        "Progress or error",
        "Submitted",
        "Ran for",
        "Attempt",
        "Id",
    ]
    for heading, cell in zip(headings.all(), cells.all(), strict=True):
        script = "element => [element.getBoundingClientRect().left, getComputedStyle(element).textAlign]"
        (over, side), (under, own) = heading.evaluate(script), cell.evaluate(script)
        assert over == under and side == own.replace("start", "left")


def test_on_a_phone_the_filters_are_folded(browser: Browser, server: Server) -> None:
    server.result(server.submit("add", a=1))
    with watched_page(browser, server.url, viewport=PHONE) as page:
        fold = page.get_by_role("button", name="Filters")
        expect(fold).to_have_attribute("aria-expanded", "false")
        expect(page.get_by_label("Type")).to_be_hidden()
        fold.click()
        page.get_by_label("Type").select_option("raises")
        expect(page.locator(".empty")).to_contain_text("Nothing matches")
        fold.click()
        expect(page.get_by_label("Type")).to_be_hidden()
        expect(page.get_by_role("button", name="Filters: raises")).to_be_visible()


def test_all_chips_are_in_one_line_where_there_is_room(browser: Browser, server: Server) -> None:
    server.result(server.submit("add", a=1))
    with watched_page(browser, server.url, viewport={"width": 1280, "height": 800}) as page:
        expect(page.locator(".chip.Canceled")).to_be_visible()
        assert len(set(page.locator(".chip").evaluate_all("chips => chips.map(chip => chip.offsetTop)"))) == 1


def test_progress_is_shown_as_it_is_told(page: Page, server: Server, tmp_path: Path) -> None:
    job_id = server.submit("reports", started=str(tmp_path / "started"))
    expect(page.locator("tr", has_text=job_id)).to_contain_text("50 % half")
    go(page, f"#/jobs/{job_id}")
    expect(page.locator("header.job progress")).to_have_js_property("value", 0.5)


def test_the_page_says_since_when_it_is_stale_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server, watched_page(browser, server.url) as page:
        server.result(server.submit("add", a=1))
        _count(page, 1)
        expect(page.locator(".live")).to_have_text("live")
        port = server.url.rpartition(":")[2]
        server.stop()
        expect(page.locator(".live")).to_have_text("not connected")
        expect(page.get_by_role("alert")).to_contain_text(
            re.compile(r"not answered since \d\d:\d\d:\d\d\. What you see here is from then")
        )
        _count(page, 1)
        server._command[server._command.index("--port") + 1] = port
        server.start()
        expect(page.locator(".live")).to_have_text("live")
        expect(page.get_by_role("alert")).to_have_count(0)
        job_id = server.submit("add", a=1)
        expect(page.locator("tr", has_text=job_id)).to_contain_text("Success")
