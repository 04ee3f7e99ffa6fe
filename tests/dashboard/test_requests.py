"""The requests that came in, on the page of a content item, in a real browser."""

import json
import re
import shlex
import subprocess
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.dashboard.conftest import address, open_as
from tests.deployed import Content


def rows(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Requests").get_by_role("link")


def test_requests_appear_as_they_come_and_are_narrowed(page: Page, own: Content) -> None:
    open_as(page, "alice", f"{address(own)}requests")
    expect(page.locator(".requests")).to_contain_text("Nobody has asked yet.")
    own.echo("first?a=b", user="alice")
    own.server.get(f"{own.path}second", user="bob")
    expect(rows(page).last).to_contain_text(re.compile(r" ms \(.* ms in the app\), 32 bytes"))
    expect(rows(page)).to_have_text(
        [re.compile(r"403 GET /second\s+bob,"), re.compile(r"200 GET /first\?a=b\s+alice,")]
    )

    for label, value, found in (("Path with", "first", "/first"), ("Status", "4xx", "/second")):
        page.goto(f"{address(own)}requests")
        page.get_by_label(label).fill(value)
        page.get_by_role("button", name="Filter").click()
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text(found)
    # what comes later is narrowed in the same way
    own.echo("third", user="alice")
    own.server.get(f"{own.path}fourth", user="bob")
    expect(rows(page)).to_contain_text([re.compile("/fourth"), re.compile("/second")])
    page.get_by_label("Status").fill("4")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_contain_text("status is not one such as 404")


def test_one_is_opened_and_sent_again(page: Page, own: Content) -> None:
    body = json.dumps({"it's": "<b>"}).encode()
    headers = {"X-Forwarded-For": "10.0.0.1", "Cookie": "a=b"}
    own.server.request("POST", f"{own.path}kept?a=b", content=body, headers=headers)
    own.echo("other", user="alice")
    open_as(page, "alice", f"{address(own)}requests")
    rows(page).filter(has_text="kept").click()
    expect(page.get_by_role("heading", level=2).first).to_have_text("POST /kept?a=b")
    sent = page.get_by_role("region", name="The visitor sent")
    expect(sent).to_contain_text(re.compile(r"X-Forwarded-For\s*10.0.0.1 only the server says"))
    expect(sent).to_contain_text(body.decode())
    expect(page.get_by_role("region", name="The app got")).to_contain_text(
        re.compile(r'RStudio-Connect-Credentials\s*\{"user": "alice".*who the visitor is')
    )
    expect(page.locator("main")).not_to_contain_text(own.server.users["alice"].api_key)

    page.get_by_label("As", exact=True).select_option("bob")
    page.get_by_role("button", name="Send again").click()
    answers = page.locator("#answers section")
    expect(answers).to_have_count(2)
    expect(answers.nth(0)).to_contain_text("The answer: 200")
    expect(answers.nth(0)).to_contain_text('"who": "alice"')
    expect(answers.nth(1)).to_contain_text("Sent again by bob: 403")
    page.get_by_role("button", name="Send again").click()
    expect(answers.nth(1)).to_contain_text("Sent again by alice: 200")
    again = own.server.get("/__local__/requests?limit=1", user="admin").json()[0]
    assert (again["method"], again["body"]) == ("POST", body.decode())
    assert dict(again["sent"])["Cookie"] == "a=b"

    page.get_by_role("button", name="Show key").click()
    command = page.locator(".copy code").inner_text()
    done = subprocess.run([*shlex.split(command), "--silent"], capture_output=True, check=True)
    assert json.loads(done.stdout)["who"] == "alice"
    copied = own.server.get("/__local__/requests?limit=1", user="admin").json()[0]
    for part in ("method", "path", "visitor", "body"):
        assert copied[part] == again[part], part
    # curl has an order of its own, and asks for what it can unpack
    assert received(copied) == received(again)


def received(one: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in one["received"] if name != "Accept-Encoding"}


def test_only_whoever_may_change_the_content_sees_them(page: Page, own: Content) -> None:
    own.open_to("all")
    own.echo("secret", user="alice")
    open_as(page, "bob", f"{address(own)}requests")
    expect(page.locator("main")).not_to_contain_text("secret")
    expect(page.get_by_role("heading", level=1)).to_have_text("Forbidden")
