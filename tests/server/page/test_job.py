"""A job's page in a real browser: what became of the job, and what can be done with it."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from tests.receiver import Receiver
from tests.server.conftest import Gate, lines, wait_for
from tests.server.page.browser import go, watched_page
from tests.serving import FUNCTIONS, Server


def _fact(page: Page, name: str) -> Locator:
    return page.locator(".facts div", has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")


def test_a_jobs_page_shows_what_it_was_given_and_what_became_of_it(page: Page, server: Server) -> None:
    large = 12_345_678_901_234_567_890
    job_id = server.submit("echo", value={"large": large, "text": "é"})
    page.get_by_role("link", name=job_id).click()
    expect(page.locator("pre.results")).to_contain_text(f'"large": {large}')
    expect(page.locator("pre.parameters")).to_contain_text(f'"large": {large}')
    expect(page.locator("header.job .badge")).to_have_text("Success")
    expect(page.locator("header.job .id")).to_have_text(job_id)
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    expect(_fact(page, "Submitted")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d (now|\d+ s ago)$"))


def test_a_long_value_is_folded_and_shown_whole_on_demand(page: Page, server: Server) -> None:
    job_id = server.submit("echo", value=list(range(1_000)))
    server.result(job_id)
    go(page, f"#/jobs/{job_id}")
    whole = page.locator("pre.results", has_text="999")
    expect(page.locator("pre.results.beginning")).to_be_visible()
    expect(whole).to_be_hidden()
    page.get_by_text("Show all 1,002 lines").first.click()
    expect(whole).to_be_visible()
    expect(page.locator("pre.results.beginning")).to_be_hidden()
    page.get_by_text("Show less").first.click()
    expect(whole).to_be_hidden()


def test_a_value_is_copied_whole(page: Page, server: Server) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    job_id = server.submit("echo", value=["x" * 5_000])
    server.result(job_id)
    go(page, f"#/jobs/{job_id}")
    page.get_by_role("button", name="Copy the results").click()
    expect(page.locator("#said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f'[\n  "{"x" * 5_000}"\n]'


def test_the_time_line_has_a_scale_and_each_attempt_on_it(page: Page, server: Server, tmp_path: Path) -> None:
    job_id = server.submit("dies", runs=str(tmp_path / "runs"))
    go(page, f"#/jobs/{job_id}")
    expect(page.locator("header.job .badge")).to_have_text("Failure")
    expect(page.locator(".timeline svg.line")).to_have_count(2)
    expect(page.locator(".timeline rect.Failure")).to_have_count(2)
    scale = page.locator(".timeline .scale text").all_text_contents()
    assert scale[0] == "0" and len(scale) >= 2
    assert all(re.fullmatch(r"[\d.]+ (ms|s)", mark) for mark in scale[1:])
    first, second = (rect.bounding_box() for rect in page.locator(".timeline rect.Failure").all())
    assert first and second and first["x"] < second["x"]


def test_lost_attempts_are_told_one_by_one(page: Page, server: Server, tmp_path: Path) -> None:
    job_id = server.submit("dies", runs=str(tmp_path / "runs"))
    go(page, f"#/jobs/{job_id}")
    attempts = page.locator("table.attempts tbody tr")
    expect(attempts).to_have_count(2)
    expect(attempts.first).to_contain_text("WorkerLost")
    expect(page.locator("pre.error")).to_contain_text("WorkerLost: the worker died")


def test_a_job_says_how_long_it_has_waited(browser: Browser, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with (
        Server(tmp_path / "jobs.db", "--concurrency", "1", target=FUNCTIONS) as server,
        watched_page(browser, server.url) as page,
    ):
        started = tmp_path / "started"
        server.submit("holds", started=str(started), gate=gate.path)
        wait_for(lambda: lines(started), "the first job")
        job_id = server.submit("add", a=1)
        go(page, f"#/jobs/{job_id}")
        expect(_fact(page, "Waiting for")).to_have_text(re.compile(r"^[1-9]\d* s$"))
        gate.open()
        expect(_fact(page, "Waited")).to_have_text(re.compile(r"^[\d.]+ s$"))
        job = server.result(job_id)
        assert job["startedAt"] > job["createdAt"]


def test_a_job_that_waits_for_its_time_says_when_it_runs_and_runs_now_if_asked(page: Page, server: Server) -> None:
    job_id = server.submit("add", a=1, options={"runAt": "2999-01-01T00:00:00Z", "priority": 5})
    expect(page.locator("table.jobs tbody tr")).to_contain_text(re.compile(r"runs on 299[89]-"))  # the zone decides
    page.clock.set_fixed_time("2998-12-31T23:59:48Z")
    go(page, f"#/jobs/{job_id}")
    expect(page.locator("header.job")).to_contain_text("runs in 12 s")
    expect(_fact(page, "Runs")).to_contain_text("in 12 s")
    expect(_fact(page, "Priority")).to_have_text("5")
    expect(_fact(page, "Waiting for")).to_have_count(0)
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("header.job .badge")).to_have_text("Success")
    expect(page.get_by_role("button", name="Run now")).to_have_count(0)


def test_a_job_is_canceled_and_retried_with_the_keyboard_alone(page: Page, server: Server, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job_id = server.submit("waits", started=str(started))
    link = page.get_by_role("link", name=job_id)
    expect(link).to_be_visible()
    wait_for(lambda: lines(started), "the job")
    _tab_to(page, link)
    page.keyboard.press("Enter")
    cancel, retry = page.get_by_role("button", name="Cancel"), page.get_by_role("button", name="Retry")
    expect(cancel).to_be_enabled()
    for button in (cancel, retry):
        _tab_to(page, button)
        page.keyboard.press("Enter")
        expect(button).to_be_disabled()
    expect(page.locator("table.attempts tbody tr")).to_have_count(2)
    expect(page.locator("table.attempts tbody tr").first).to_contain_text("Canceled")
    assert server.get(job_id)["attempt"] == 2


def _tab_to(page: Page, element: Locator) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if element.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"the keyboard does not reach {element}")


def test_retry_weighs_more_than_cancel(page: Page, server: Server) -> None:
    job_id = server.submit("add", a=1)
    server.result(job_id)
    go(page, f"#/jobs/{job_id}")
    buttons = [page.get_by_role("button", name=name) for name in ("Cancel", "Retry")]
    expect(buttons[1]).to_be_enabled()
    cancel, retry = (button.evaluate("button => getComputedStyle(button).backgroundColor") for button in buttons)
    assert cancel == "rgba(0, 0, 0, 0)" != retry


def test_a_final_job_is_deleted_after_a_question(page: Page, server: Server) -> None:
    job_id, beside = server.submit("add", a=1), server.submit("add", a=2)
    server.result(job_id)
    server.result(beside)
    page.get_by_role("link", name=job_id).click()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    assert server.get(job_id)["status"] == "Success"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name=beside)).to_be_visible()
    expect(page.get_by_role("link", name=job_id)).to_have_count(0)
    assert server.client.get(f"/jobs/{job_id}").status_code == 404


def test_what_somebody_else_deletes_leaves_the_list_and_the_jobs_page(page: Page, server: Server) -> None:
    job_id, beside = server.submit("add", a=1), server.submit("add", a=2)
    server.result(job_id)
    server.result(beside)
    expect(page.get_by_role("link", name=beside)).to_be_visible()
    server.client.delete(f"/jobs/{beside}")
    expect(page.get_by_role("link", name=beside)).to_have_count(0)
    page.get_by_role("link", name=job_id).click()
    expect(page.get_by_role("button", name="Delete")).to_be_visible()
    server.client.delete(f"/jobs/{job_id}")
    expect(page.locator("main")).to_contain_text("has been deleted")


def test_a_job_is_submitted_again_with_changes(page: Page, server: Server) -> None:
    job_id = server.submit("draw", points=[{"x": 1.5}, {"x": 2}], color="blue", width=7)
    server.result(job_id)
    go(page, f"#/jobs/{job_id}")
    page.get_by_role("link", name="Submit again with changes").click()
    expect(page.get_by_label("width")).to_have_value("7")
    page.get_by_label("width").fill("8")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("pre.parameters")).to_contain_text('"width": 8')
    again = page.locator("header.job .id").inner_text().strip()
    assert again != job_id
    assert server.result(again)["parameters"] == {"points": [{"x": 1.5}, {"x": 2}], "color": "blue", "width": 8}


def test_a_job_is_submitted_again_with_its_options_as_far_as_they_are_ahead(page: Page, server: Server) -> None:
    options = {"priority": 3, "runAt": "2999-12-24T18:00:00Z", "startBy": "2999-12-25T18:00:00.500Z"}
    job_id = server.submit("add", a=1, options=options)
    go(page, f"#/jobs/{job_id}")
    page.get_by_role("link", name="Submit again with changes").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("header.job .id")).to_be_visible()
    again = server.get(page.locator("header.job .id").inner_text().strip())
    assert again["jobId"] != job_id
    shown = {name: again[name] for name in ("parameters", *options)}
    assert shown == {
        "parameters": {"a": 1},
        "priority": 3,
        "runAt": "2999-12-24T18:00:00.000Z",
        "startBy": "2999-12-25T18:00:00.000Z",
    }
    go(page, f"#/jobs/{server.submit('add', a=2)}")
    page.get_by_role("link", name="Submit again with changes").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("pre.parameters")).to_contain_text('"a": 2')


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
            go(page, f"#/jobs/{job_id}")
            expect(page.locator("main")).to_contain_text(f"{at * 100:.0f} %")
        go(page, "#/")
        expect(page.locator("table.jobs tbody tr")).to_have_count(2)
