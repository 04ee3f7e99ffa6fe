"""Posit Publisher: what it asks of a server, in its order, with the fields that it needs."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.bundles import app as members
from tests.bundles import packed
from tests.deployed import Content
from tests.servers import LocalConnect, running_server

#: one key for all tests, as making one takes a while
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_KEY = base64.b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()

#: what it reads of each answer before it publishes
SETTINGS = {
    "/__api__/v1/user": {"guid", "username", "locked", "confirmed", "user_role"},
    "/__api__/v1/server_settings/python": {"installations", "api_enabled"},
    "/__api__/server_settings": {"license", "runtimes", "execution_type", "git_enabled"},
    "/__api__/server_settings/applications": {"access_types", "run_as", "run_as_current_user"},
    "/__api__/server_settings/scheduler/python-api": {
        *("min_processes", "max_processes", "min_processes_limit", "max_processes_limit"),
        *("max_conns_per_process", "load_factor", "init_timeout", "idle_timeout"),
        *("connection_timeout", "read_timeout", "cpu_limit", "memory_limit"),
    },
    "/__api__/v1/server_settings/r": {"installations"},
    "/__api__/v1/server_settings/quarto": {"installations"},
    "/__api__/v1/server_settings/nodejs": {"installations"},
}

CONTENT = {"guid", "name", "title", "dashboard_url", "content_url", "locked", "app_mode"}


class Publisher:
    """The extension on somebody's machine, with a token in place of an API key."""

    def __init__(self, server: LocalConnect, token: str) -> None:
        self.server = server
        self.token = token

    def sign_in(self) -> str:
        """Send the public key; the address of the page that it then opens in a browser."""
        body = {"token": self.token, "public_key": PUBLIC_KEY, "user_id": 0}
        answer = self.server.request("POST", "/__api__/tokens", user=None, json=body)
        return str(answer.raise_for_status().json()["token_claim_url"])

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a signed request; query parameters are not part of what it signs."""
        content = b""
        if isinstance(body, bytes):
            content = body
        elif body is not None:
            content = json.dumps(body).encode()
        date = format_datetime(datetime.now(UTC), usegmt=True)
        checksum = base64.b64encode(hashlib.md5(content).digest()).decode()  # noqa: S324
        text = "\n".join((method, path.partition("?")[0], date, checksum))
        signature = KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        signed = {
            "Date": date,
            "X-Content-Checksum": checksum,
            "X-Auth-Token": self.token,
            "X-Auth-Signature": base64.b64encode(signature).decode(),
        }
        return self.server.request(
            method, path, user=None, content=content, headers=signed | headers
        )

    def get(self, path: str, *fields: str) -> Any:
        """What a path answers, once it has these fields."""
        answer = self.ask("GET", path).raise_for_status().json()
        assert answer.keys() >= set(fields), path
        return answer

    def publish(self, guid: str, archive: bytes) -> str:
        """Upload to content, deploy, and look at it; the bundle's id."""
        api = f"/__api__/v1/content/{guid}"
        kind = {"Content-Type": "application/gzip"}
        bundle = self.ask("POST", f"{api}/bundles", archive, **kind).raise_for_status().json()
        variables = [{"name": "COLOUR", "value": "blue"}]
        self.ask("PATCH", f"{api}/environment", variables).raise_for_status()
        order = {"bundle_id": bundle["id"]}
        task_id = self.ask("POST", f"{api}/deploy", order).raise_for_status().json()["task_id"]
        first = 0
        path = f"/__api__/v1/tasks/{task_id}?wait=5"
        while not (task := self.get(f"{path}&first={first}"))["finished"]:
            first = task["last"]
        assert (task["code"], task["error"]) == (0, "")
        return str(bundle["id"])


def approve(page: str, username: str, **changes: str) -> httpx.Response:
    """Open the page as a browser does, and choose an identity."""
    opened = httpx.get(page, headers={"Accept": "text/html"}, trust_env=False)
    assert opened.status_code == 200, opened.text
    assert "frame-ancestors 'none'" in opened.headers["Content-Security-Policy"]
    (token,) = re.findall(r'name="token" value="([^"]+)"', opened.text)
    form = {"token": token, "username": username, **changes}
    return httpx.post(page, data=form, headers={"Origin": "null"}, trust_env=False)


def test_publishing_by_a_token(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        publisher = Publisher(server, "T0123456789abcdef")
        page = publisher.sign_in()
        # it asks again and again until somebody has approved
        assert publisher.ask("GET", "/__api__/v1/user").status_code == 401
        assert "Signed in as alice" in approve(page, "alice").text
        assert publisher.get("/__api__/v1/user")["username"] == "alice"

        for path, fields in SETTINGS.items():
            publisher.get(path, *fields)
        made = publisher.ask("POST", "/__api__/v1/content", {"name": ""}).json()
        assert made["name"]
        api = f"/__api__/v1/content/{made['guid']}"
        titled = {"name": "", "title": "From an editor"}
        publisher.ask("PATCH", api, titled).raise_for_status()
        archive = packed(members())
        first = publisher.publish(made["guid"], archive)
        item = publisher.get(api, *CONTENT)
        assert (item["name"], item["title"], item["bundle_id"]) == (
            *(made["name"], "From an editor", first),
        )

        # it looks at the content with the same token, which the content does not see
        seen = publisher.ask("GET", f"/content/{made['guid']}/").json()
        credentials = json.loads(seen["environ"]["HTTP_RSTUDIO_CONNECT_CREDENTIALS"])
        assert credentials["user"] == "alice"
        assert not {name for name in seen["environ"] if name.startswith("HTTP_X_AUTH")}
        server.stop()

    # the token is good after a restart, for another deployment and a download
    with running_server(data) as server:
        publisher = Publisher(server, publisher.token)
        second = publisher.publish(made["guid"], archive)
        assert publisher.get(api)["bundle_id"] == second
        download = publisher.ask("GET", f"{api}/bundles/{second}/download")
        assert download.content == archive
        assert publisher.ask("GET", f"{api}/environment").json() == ["COLOUR"]


def test_a_token_that_is_not_good(server: LocalConnect) -> None:
    publisher = Publisher(server, "T-not-good-0123")
    page = publisher.sign_in()

    def refused(answer: httpx.Response, status: int) -> str:
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"])

    # to approve takes a form of the page, and somebody who is there
    assert approve(page, "alice", token="made up").status_code == 403
    assert approve(page, "nobody").status_code == 400
    assert approve(page, "").status_code == 400
    assert "not been approved" in refused(publisher.ask("GET", "/__api__/v1/user"), 401)
    approve(page, "bob").raise_for_status()
    assert publisher.get("/__api__/v1/user")["username"] == "bob"

    # it is bob's with his rights, and nobody can approve or take it again
    answer = publisher.ask("POST", "/__api__/v1/content", {"name": "bobs-own"})
    assert "may not publish" in refused(answer, 403)
    assert httpx.get(page, trust_env=False).status_code == 404
    body = {"token": publisher.token, "public_key": PUBLIC_KEY}
    refused(server.request("POST", "/__api__/tokens", user=None, json=body), 409)

    # what is signed is method, path, date and checksum
    good = publisher.ask("GET", "/__api__/v1/user").request.headers
    signed = {name: good[name] for name in good if name.startswith(("x-", "date"))}
    for method, path, change in (
        ("GET", "/__api__/v1/user", {}),
        ("GET", "/__api__/v1/users", {}),
        ("POST", "/__api__/v1/content", {}),
        ("GET", "/__api__/v1/user", {"date": "Thu, 01 Jan 2026 12:00:00 GMT"}),
        ("GET", "/__api__/v1/user", {"x-content-checksum": "other"}),
        ("GET", "/__api__/v1/user", {"x-auth-signature": "not base64"}),
        ("GET", "/__api__/v1/user", {"x-auth-signature": ""}),
        ("GET", "/__api__/v1/user", {"x-auth-token": "T-of-nobody-01234"}),
    ):
        answer = server.request(method, path, user=None, headers=signed | change)
        right = (method, path, change) == ("GET", "/__api__/v1/user", {})
        assert answer.status_code == (200 if right else 401), (method, path, change)

    good_body: dict[str, Any] = {"token": "T-another-0123456", "public_key": PUBLIC_KEY}
    for name, value in (("token", "short"), ("token", None), ("public_key", "not a key")):
        wrong = {**good_body, name: value}
        refused(server.request("POST", "/__api__/tokens", user=None, json=wrong), 400)


def test_headers_of_the_name_that_are_an_apps_own(published: Content) -> None:
    own = {"X-Auth-Token": "of the app's own", "X-Auth-Signature": "too"}
    environ = published.echo(headers=own)["environ"]
    assert environ["HTTP_X_AUTH_TOKEN"] == "of the app's own"
    assert environ["HTTP_X_AUTH_SIGNATURE"] == "too"
