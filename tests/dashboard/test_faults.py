"""Faults on demand are shown wherever somebody could take them for the app's own."""

from playwright.sync_api import Page, expect

from tests.dashboard.conftest import HOME, address, open_as, view_as
from tests.deployed import Content


def test_loud_on_every_page_until_they_are_turned_off(page: Page, own: Content) -> None:
    fault = {"kind": "status", "status": 503, "content_guid": own.guid, "next": 2}
    own.server.request("POST", "/__local__/faults", user="admin", json=fault).raise_for_status()
    assert own.server.get(own.path).status_code == 503
    open_as(page, "alice", f"{address(own)}requests")
    alarm = page.get_by_role("complementary", name="Faults on demand")
    expect(alarm).to_contain_text("status 503 (1 so far, 1 to come).")
    expect(page.locator(".requests")).to_contain_text("fault: status 503")
    expect(page.locator("#answers")).to_contain_text("A fault on demand: status 503.")
    expect(alarm.get_by_role("button")).to_have_count(0)
    page.goto(HOME)
    expect(alarm).to_be_visible()
    view_as(page, "admin")
    alarm.get_by_role("button", name="Turn them off").click()
    expect(alarm).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert own.echo()["who"] == "alice"
