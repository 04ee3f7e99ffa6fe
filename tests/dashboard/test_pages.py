"""The dashboard as a person meets it, in a real browser."""

import json
import re
import shlex
import subprocess
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Request, expect

from tests.browsers import PATIENCE
from tests.bundles import manifest_of
from tests.dashboard.conftest import HOME, SOURCE, address, open_as, view_as
from tests.deployed import Content
from tests.publishing import archive_of, create, deploy, finished, publish, upload
from tests.repositories import commit, new_repository
from tests.servers import LocalConnect, eventually, running_server

#: what stands in a repository beside an app that needs no package
WITHOUT_REQUIREMENTS = {
    "requirements.txt": "",
    "manifest.json": json.dumps(manifest_of({"requirements.txt": b""})),
}

#: a phone's width; and that of an ordinary window at 200 %
NARROW = (320, 640)


def card(page: Page, title: str) -> Any:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=title, exact=True))


def badge(page: Page, state: str) -> None:
    expect(page.locator(".title .state")).to_have_text(state)


# all content


def test_cards_for_each_viewer(page: Page, shared: Content, own: Content) -> None:
    open_as(page, "alice")
    mine = card(page, own.item["title"])
    expect(mine).to_contain_text("alice")
    expect(mine).to_contain_text(f"Python {own.item['py_version']}")
    expect(mine.locator("time")).to_have_attribute("datetime", own.item["last_deployed_time"])
    expect(card(page, "Shared <b>with</b> all")).to_have_count(1)

    view_as(page, "bob")
    expect(card(page, "Shared <b>with</b> all")).to_have_count(1)
    expect(card(page, own.item["title"])).to_have_count(0)

    view_as(page, "Nobody")
    expect(card(page, "Shared <b>with</b> all")).to_have_count(1)
    expect(card(page, own.item["title"])).to_have_count(0)
    card(page, "Shared <b>with</b> all").get_by_role("link", name="Console").click()
    page.wait_for_url(f"**{shared.path}")
    assert json.loads(page.locator("body").inner_text())["who"] is None


def test_a_card_leads_to_the_console_the_api_and_the_logs(page: Page, shared: Content) -> None:
    for link, url in (
        ("Console", shared.path),
        ("API", f"{address(shared)}#call"),
        ("Logs", f"{address(shared)}logs"),
        ("Shared <b>with</b> all", address(shared)),
    ):
        open_as(page, "alice")
        card(page, "Shared <b>with</b> all").get_by_role("link", name=link).first.click()
        page.wait_for_url(f"**{url}")


def test_a_server_without_content_says_how_to_begin(
    page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_server(tmp_path_factory.mktemp("empty") / "data") as empty:
        page.goto(f"{empty.url}{HOME}")
        view_as(page, "alice")
        expect(page.locator("main")).to_contain_text(
            f"rsconnect add --name local --server {empty.url}"
        )
        # and shows the first without being asked again
        publish(empty, SOURCE, title="The first")
        expect(card(page, "The first")).to_have_count(1)


def test_states_are_updated_on_an_open_page(page: Page, own: Content) -> None:
    job = own.server.get(f"{own.api}/jobs").json()[0]
    open_as(page, "alice", address(own))
    badge(page, "live")
    own.server.request("DELETE", f"{own.api}/jobs/{job['key']}").raise_for_status()
    badge(page, "idle")
    own.echo()
    badge(page, "live")


# one content item


def test_the_address_that_rsconnect_prints(page: Page, own: Content) -> None:
    page.goto(own.item["dashboard_url"])
    expect(page.get_by_role("heading", name="Who is visiting?")).to_be_visible()
    page.get_by_role("button", name="alice").click()
    page.wait_for_url(f"**{address(own)}")
    expect(page.get_by_role("heading", level=1)).to_have_text(own.item["title"])
    page.goto("about:blank")
    page.goto(f"{own.item['dashboard_url']}/logs")
    page.wait_for_url(f"**{address(own)}logs")


def test_call_it(page: Page, own: Content) -> None:
    key = own.server.users["alice"].api_key
    open_as(page, "alice", address(own))
    section = page.locator("#call")
    expect(section).to_contain_text(own.path)
    expect(section).not_to_contain_text(key)
    section.get_by_role("button", name="Show key").click()
    command = section.locator("code").first.inner_text()
    assert key in command
    done = subprocess.run(shlex.split(f"{command} --silent"), capture_output=True, check=True)
    assert json.loads(done.stdout)["who"] == "alice"
    section.get_by_role("button", name="Hide key").click()
    expect(section).not_to_contain_text(key)
    hits = own.server.get("/__api__/v1/instrumentation/content/hits").json()
    found = sum(hit["content_guid"] == own.guid for hit in hits)
    page.reload()
    expect(section).to_contain_text(f"{found} hits on record." if found > 1 else "1 hit on record.")


def test_a_copied_command_is_whole(page: Page, own: Content) -> None:
    open_as(page, "alice", f"{address(own)}settings")
    field = page.get_by_label("Value")
    page.goto(address(own))
    page.locator("#call").get_by_role("button", name="Copy").click()
    expect(page.locator("#call").get_by_role("button", name="Copied")).to_be_visible()
    expect(page.locator("#call")).not_to_contain_text(own.server.users["alice"].api_key)
    page.get_by_role("link", name="Settings").click()
    field.focus()
    page.keyboard.press("ControlOrMeta+v")
    expect(field).to_have_value(re.compile(f"Key {own.server.users['alice'].api_key}' http://"))


def test_who_sees_what(page: Page, own: Content) -> None:
    open_as(page, "alice", address(own))

    def ask(path: str) -> dict[str, tuple[str, str]]:
        page.locator("#path").fill(path)
        page.get_by_role("button", name="Ask as everyone").click()
        expect(page.locator("#path")).to_have_value(path)
        return {
            row.locator(".who").inner_text(): (
                row.locator(".status").inner_text(),
                row.locator("code").inner_text(),
            )
            for row in page.locator(".as-seen-by li").all()
        }

    seen = ask("moved?a=b")
    assert list(seen) == ["admin", "alice", "bob", "Nobody"]
    assert seen["alice"] == ("200 OK", '{"who": "alice", "colour": null}')
    assert seen["bob"][0] == "403 Forbidden"
    assert seen["Nobody"][0] == "401 Unauthorized"
    own.open_to("all")
    assert {who: json.loads(text)["who"] for who, (_, text) in ask("").items()} == {
        "admin": "admin",
        "alice": "alice",
        "bob": "bob",
        "Nobody": None,
    }
    page.locator("#path").fill("../../__api__/v1/user")
    page.get_by_role("button", name="Ask as everyone").click()
    expect(page.get_by_role("alert")).to_contain_text("leads out of the content")


def test_bundles_and_an_earlier_one_again(page: Page, server: LocalConnect) -> None:
    content = create(server, title="Two bundles")
    first = upload(content, archive_of({"app.py": SOURCE.encode()}))
    deploy(content, first)
    second = server.request(
        "POST",
        f"{content.api}/bundles",
        files={
            "archive": ("b.tar.gz", archive_of({"app.py": SOURCE.encode()}), "application/x-tar"),
            "metadata": (
                None,
                json.dumps({"source_commit": "0123456789abcdef", "source_branch": "trunk"}),
            ),
        },
    ).json()["id"]
    deploy(content, second)

    open_as(page, "alice", address(content))
    rows = page.locator(".bundles li")
    expect(rows.nth(0)).to_contain_text(f"Bundle {second}")
    expect(rows.nth(0)).to_contain_text("by alice, from 0123456789 on trunk")
    expect(rows.nth(0)).to_contain_text("active")
    expect(rows.nth(1)).to_contain_text(f"Bundle {first}")
    rows.nth(1).get_by_role("button", name="Activate").click()
    page.wait_for_url(f"**{address(content)}logs")
    expect(page.locator("section")).to_contain_text("Done.")
    assert content.item["bundle_id"] == first
    page.get_by_role("link", name="Overview").click()
    expect(rows.nth(1)).to_contain_text("active")


def test_a_repository_and_what_is_new_in_it(
    page: Page, server: LocalConnect, tmp_path: Path
) -> None:
    repository = new_repository(tmp_path / "apis")
    first = commit(repository, {"app.py": SOURCE, **WITHOUT_REQUIREMENTS})
    content = create(server, title="From git")
    fields = {"repository": str(repository), "branch": "main", "polling": True}
    server.request("PUT", f"{content.api}/repository", json=fields).raise_for_status()

    open_as(page, "alice", address(content))
    section = page.locator("#repository")
    expect(section).to_contain_text(str(repository))
    expect(section).to_contain_text("none yet")
    expect(section).to_contain_text("in less than a minute")
    look = section.get_by_role("button", name="Look now")
    look.click()
    expect(page.get_by_role("log")).to_contain_text(f"Commit {first}")
    # it is live before it has ended
    expect(page.locator("section")).to_contain_text("Done.")
    badge(page, "live")
    page.goto(address(content))
    expect(section).to_contain_text(first[:10])
    expect(page.locator(".bundles li")).to_contain_text(f"from {first[:10]} on main")

    # nothing is new, and then what is new cannot be deployed
    look.click()
    page.wait_for_url("**#repository")
    expect(page.locator(".bundles li")).to_have_count(1)
    second = commit(repository, {"manifest.json": "not JSON"})
    look.click()
    expect(page.locator("section .notice")).to_contain_text("manifest.json is not JSON")
    page.goto(address(content))
    expect(section).to_contain_text(second[:10])
    expect(section.locator(".failed")).to_contain_text("manifest.json is not JSON")
    expect(page.locator(".notice")).to_contain_text("The earlier bundle goes on serving.")
    badge(page, "live")

    # nor looked at
    repository.rename(tmp_path / "away")
    look.click()
    expect(page.get_by_role("alert")).to_contain_text("does not appear to be a git repository")
    expect(section.locator(".failed")).to_contain_text("does not appear to be a git repository")


def test_locked_content(page: Page, own: Content) -> None:
    locked = {"locked": True, "locked_message": "Gone to <elsewhere>."}
    own.server.request("PATCH", own.api, json=locked).raise_for_status()
    open_as(page, "alice")
    expect(card(page, own.item["title"]).locator(".state")).to_have_text("locked")
    expect(card(page, own.item["title"]).get_by_role("link", name="Console")).to_have_count(0)
    page.goto(address(own))
    badge(page, "locked")
    expect(page.locator(".notice")).to_contain_text("Gone to <elsewhere>.")
    expect(page.get_by_role("link", name="Open")).to_have_count(0)
    own.server.request("PATCH", own.api, json={"locked": False}).raise_for_status()
    # the next visitor starts it
    badge(page, "idle")


# logs


def test_a_deployment_is_followed_to_its_end(
    page: Page, server: LocalConnect, tmp_path: Any
) -> None:
    gate = tmp_path / "gate"
    source = f"""
import pathlib, time
print("waiting for the gate")
while not pathlib.Path({str(gate)!r}).exists():
    time.sleep(0.05)
raise SystemExit("the gate was open")
"""
    content = create(server, title="Slow")
    bundle = upload(content, archive_of({"app.py": source.encode()}))
    server.request("POST", f"{content.api}/deploy", json={"bundle_id": bundle}).raise_for_status()

    open_as(page, "alice", f"{address(content)}logs")
    log = page.get_by_role("log")
    expect(log).to_contain_text("Launching Python API...")
    badge(page, "starting")
    page.get_by_role("link", name="Process").click()
    expect(log).to_contain_text("waiting for the gate")
    page.get_by_role("link", name="Logs").click()
    expect(log).to_contain_text("Launching Python API...")
    gate.touch()
    expect(page.locator("section .notice")).to_contain_text("It failed. The app did not start")
    expect(log).to_contain_text("the gate was open")
    badge(page, "failed")
    page.get_by_role("link", name="Overview").click()
    notice = page.locator(".notice").first
    expect(notice).to_contain_text("The last deployment failed. The app did not start.")
    expect(notice).to_contain_text("Its visitors get an error.")
    page.get_by_role("link", name="See its log").click()
    expect(log).to_contain_text("the gate was open")


def test_what_a_process_prints_appears(page: Page, own: Content) -> None:
    open_as(page, "alice", f"{address(own)}logs")
    log = page.get_by_role("log")
    expect(log).to_contain_text("Nothing is printed yet.")
    own.echo(user="alice")
    expect(log.locator(".line")).to_have_text([re.compile(r"\d\d:\d\d:\d\dasked by alice")])
    own.echo(user="alice")
    expect(log.locator(".line")).to_have_count(2)


def test_the_log_of_what_went_no_further_than_a_draft(page: Page, server: LocalConnect) -> None:
    """Where rsconnect leads to after an answer of 500, also once the draft's process has ended."""
    content = create(server, idle_timeout=1)
    bundle = upload(content, archive_of({"app.py": b"print('why not')\n" + SOURCE.encode()}))
    draft = {"bundle_id": bundle, "activate": False}
    task = server.request("POST", f"{content.api}/deploy", json=draft).json()["task_id"]
    assert finished(server, task)["code"] == 0
    jobs = f"{content.api}/jobs"
    assert eventually(lambda: all(job["end_time"] for job in server.get(jobs).json()))
    open_as(page, "alice", address(content))
    page.get_by_role("link", name="See the logs").click()
    expect(page.get_by_role("log")).to_contain_text("why not")


# settings


def test_access_is_changed_in_place(page: Page, own: Content) -> None:
    open_as(page, "alice", f"{address(own)}settings")
    share = page.locator("form.row").filter(has=page.locator("#principal"))
    share.get_by_label("Share with").select_option("bob")
    share.get_by_role("button").click()
    row = page.locator("#access .rows li").filter(has_text="bob")
    expect(row).to_contain_text("viewer")
    assert own.echo(user="bob")["who"] == "bob"
    row.get_by_role("button", name="Remove bob").click()
    expect(row).to_have_count(0)
    assert own.server.get(own.path, user="bob").status_code == 403

    share.get_by_label("Share with").select_option("staff (group)")
    share.get_by_label("as", exact=True).select_option("collaborator")
    share.get_by_role("button").click()
    expect(page.locator("#access .rows li").nth(1)).to_contain_text("group, collaborator")

    page.get_by_role("radio", name="Everyone").check()
    page.get_by_role("button", name="Change access").click()
    page.wait_for_url("**/settings#access")
    assert own.echo(user=None)["who"] is None


def test_the_vanity_url_is_changed_in_place(page: Page, own: Content, shared: Content) -> None:
    mine = f"/mine-{uuid.uuid4().hex[:8]}/"
    taken = f"/taken-{uuid.uuid4().hex[:8]}/"
    shared.server.request("PUT", f"{shared.api}/vanity", json={"path": taken}).raise_for_status()
    open_as(page, "alice", f"{address(own)}settings")
    field = page.locator("#vanity")
    field.fill(taken)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text(f"The path {taken} is taken")
    expect(field).to_have_value(taken)
    field.fill(mine)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/settings#address")
    page.get_by_role("link", name="Open").click()
    page.wait_for_url(f"**{mine}")
    page.goto(f"{address(own)}settings")
    page.get_by_role("button", name="Remove the vanity URL").click()
    expect(field).to_have_value("")
    assert own.server.get(mine).status_code == 404
    shared.server.request("DELETE", f"{shared.api}/vanity").raise_for_status()


def test_integrations_are_added_and_removed_in_place(page: Page, own: Content) -> None:
    open_as(page, "alice", f"{address(own)}settings")
    integrations = page.locator("#integrations")
    expect(integrations).to_contain_text("None.")
    integrations.get_by_label("Add").select_option("Connect Visitor API Key (Visitor API Key)")
    integrations.get_by_role("button", name="Add the integration").click()
    expect(integrations.locator("li")).to_contain_text("Connect Visitor API Key")
    # the server's words, where the two do not go together
    page.get_by_label("Everyone").check()
    page.get_by_role("button", name="Change access").click()
    expect(page.locator(".notice.bad")).to_contain_text("this content is open to everyone")
    assert own.item["access_type"] == "acl"
    integrations.get_by_role("button", name="Remove Connect Visitor API Key").click()
    expect(integrations).to_contain_text("None.")


def test_variables_reach_the_process_and_are_shown_by_name(page: Page, own: Content) -> None:
    open_as(page, "alice", f"{address(own)}settings")
    page.get_by_label("Name").fill("COLOUR")
    page.get_by_label("Value").fill("grün")
    page.get_by_role("button", name="Set", exact=True).click()
    row = page.locator("#variables li").filter(has_text="COLOUR")
    expect(row).to_have_count(1)
    expect(page.locator("main")).not_to_contain_text("grün")
    assert own.echo()["colour"] == "grün"
    page.get_by_label("Name").fill("A=B")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be called 'A=B'")
    row.get_by_role("button", name="Remove COLOUR").click()
    expect(row).to_have_count(0)
    assert own.echo()["colour"] is None


# anyone can use it


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", NARROW[0])])
def test_every_page_is_accessible(
    chromium: Browser, server: LocalConnect, own: Content, scheme: Any, width: int
) -> None:
    page = chromium.new_page(base_url=server.url, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    own.echo()
    open_as(page, "alice")

    def check(page: Page, what: str) -> None:
        for narrow in NARROW:
            page.set_viewport_size({"width": narrow, "height": 800})
            wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{what} at {narrow} is {wider} too wide"
        page.set_viewport_size({"width": width, "height": 800})
        violations = Axe().run(page, options={"preload": False}).response["violations"]
        assert not violations, f"{what}: {json.dumps(violations, indent=1)}"

    for path in (HOME, address(own), f"{address(own)}logs", f"{address(own)}requests"):
        page.goto(path)
        check(page, path)
    fields = {"repository": "/nowhere/" + "long/" * 30, "directory": "api", "polling": True}
    server.request("PUT", f"{own.api}/repository", json=fields).raise_for_status()
    locked = {"locked": True, "locked_message": "Gone elsewhere."}
    server.request("PATCH", own.api, json=locked).raise_for_status()
    for path in (HOME, address(own)):
        page.goto(path)
        check(page, f"{path}, locked")
    server.request("PATCH", own.api, json={"locked": False}).raise_for_status()
    page.goto(address(own))
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check(page, "a repository that is nowhere")
    page.goto(address(own))
    page.get_by_role("button", name="Ask as everyone").click()
    expect(page.locator(".as-seen-by li")).to_have_count(4)
    page.locator(".menu summary").click()
    check(page, "the answers, and the menu")
    page.goto(f"{address(own)}requests")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator("#answers section")).to_have_count(2)
    check(page, "two answers side by side")
    page.goto(f"{address(own)}settings")
    page.locator("#vanity").fill("/connect/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check(page, "the settings, with a refusal")
    faults = "/__local__/faults"
    server.request("POST", faults, user="admin", json={"kind": "cut", "content_guid": own.guid})
    view_as(page, "admin")
    expect(page.locator(".alarm button")).to_be_visible()
    check(page, "a page with faults on demand")
    server.request("DELETE", faults, user="admin").raise_for_status()
    page.close()
    # no script runs in these, and the checker is one
    lenient = chromium.new_page(base_url=server.url, color_scheme=scheme, bypass_csp=True)
    for path in ("/__login__", "/nothing"):
        lenient.goto(path)
        check(lenient, path)
    lenient.close()


def test_all_by_keyboard(page: Page, own: Content) -> None:
    page.goto(HOME)

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            if focused.count() and name in focused.inner_text():
                expect(focused).to_have_css("outline-style", "solid")
                return
        pytest.fail(f"Tab does not lead to {name}")

    tab_to("Viewing as nobody")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".menu form")).to_be_hidden()
    page.keyboard.press("Enter")
    tab_to("alice")
    page.keyboard.press("Enter")
    expect(page.locator(".menu summary")).to_contain_text("alice")
    page.goto(address(own))
    for name in ("Open", "Overview", "Logs", "Settings", "Show key", "Copy", "Ask as everyone"):
        tab_to(name)
    page.goto(f"{address(own)}settings")
    for name in ("Change access", "Add to the list", "Save", "Set"):
        tab_to(name)


def test_without_a_script(chromium: Browser, server: LocalConnect, own: Content) -> None:
    context = chromium.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    open_as(page, "alice", address(own))
    page.get_by_text("Show the key").click()
    expect(page.locator("#call")).to_contain_text(server.users["alice"].api_key)
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("radio", name="Whoever is signed in").check()
    page.get_by_role("button", name="Change access").click()
    page.wait_for_url("**/settings#access")
    assert own.item["access_type"] == "logged_in"
    context.close()


def test_nothing_is_loaded_from_another_host(page: Page, own: Content) -> None:
    asked: list[Request] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request))
    page.on("console", lambda message: complaints.append(message.text))
    open_as(page, "alice")
    for tab in ("", "logs", "requests", "settings"):
        page.goto(f"{address(own)}{tab}")
        badge(page, "live")
    assert {httpx.URL(request.url).netloc for request in asked} == {
        httpx.URL(own.server.url).netloc
    }
    assert not complaints


# content against its visitor


def test_content_cannot_look_in(page: Page, shared: Content, own: Content) -> None:
    open_as(page, "alice", shared.path)
    key = own.server.users["alice"].api_key
    tried = page.evaluate(
        """async (paths) => {
            const found = [];
            for (const path of paths) {
                const answer = await fetch(path);
                found.push([answer.status, await answer.text()]);
                const frame = document.createElement("iframe");
                frame.src = path;
                document.body.append(frame);
                await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
                found.push([0, String(frame.contentDocument?.documentElement.outerHTML)]);
            }
            return found;
        }""",
        [HOME, address(own), f"{address(own)}requests"],
    )
    for _, text in tried:
        assert key not in text
        assert "token" not in text
    assert [status for status, _ in tried if status] == [403, 403, 403]

    with page.expect_popup() as opened:
        page.evaluate("path => { window.spy = window.open(path); }", address(own))
    expect(opened.value.get_by_role("heading", level=1)).to_have_text(own.item["title"])
    look = "try { return window.spy.document.body.innerHTML; } catch (error) { return error.name; }"
    assert page.evaluate(f"() => {{ {look} }}") in ("SecurityError", "TypeError")


def test_content_cannot_send_a_form(page: Page, shared: Content, own: Content) -> None:
    open_as(page, "alice", shared.path)
    page.evaluate(
        """action => {
            document.body.innerHTML = `<form method="post" action="${action}">
                <input name="access_type" value="all"><input name="token" value="x"></form>`;
            document.forms[0].submit();
        }""",
        f"{address(own)}access",
    )
    expect(page.locator("main")).to_contain_text("not from a page of this server")
    assert own.item["access_type"] == "acl"
