"""The schedules in a real browser."""

from playwright.sync_api import Page, expect

from tests.server.page.browser import go
from tests.serving import Server


def test_schedules_are_shown_run_paused_and_resumed(page: Page, server: Server) -> None:
    page.get_by_role("link", name="Schedules").click()
    expect(page.get_by_role("heading", name="No schedules")).to_be_visible()
    for name, fields in [
        ("sums", {"type": "add", "parameters": {"a": 1}, "cron": "0 3 29 2 *", "tz": "Asia/Tokyo"}),
        ("wrong", {"type": "raises", "parameters": {"message": "oh no"}, "every": "90m"}),
    ]:
        assert server.client.put(f"/schedules/{name}", json=fields).status_code == 200
    go(page, "#/")
    go(page, "#/schedules")
    sums, wrong = page.locator("tr", has_text="sums"), page.locator("tr", has_text="wrong")
    expect(sums).to_contain_text("0 3 29 2 * Asia/Tokyo")
    expect(wrong).to_contain_text("every 1 h 30 min")
    expect(wrong.locator("time")).to_contain_text("in ")

    sums.get_by_role("button", name="Run now").click()
    expect(sums.locator(".badge")).to_have_text("Success")
    wrong.get_by_role("button", name="Run now").click()
    expect(wrong).to_contain_text("LookupError: oh no")
    sums.get_by_role("button", name="Pause").click()
    expect(sums).to_contain_text("paused")
    assert server.client.get("/schedules/sums").json()["paused"] is True
    sums.get_by_role("button", name="Resume").click()
    expect(sums.get_by_role("button", name="Pause")).to_be_visible()
    sums.locator(".badge").click()
    expect(page.get_by_role("heading", name="add")).to_be_visible()
