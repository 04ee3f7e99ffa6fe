"""Behind a proxy that ends TLS: every address is the external one, in every place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.gateway.certificate import Certificate, terminated
from tests.gateway.conftest import Site, publish
from tests.servers import running_server

NAME = "connect.test"
EXTERNAL = f"https://{NAME}"


@dataclass(frozen=True)
class Outside:
    """A site as it is seen through the proxy."""

    site: Site
    client: httpx.Client

    def get(self, path: str, **options: Any) -> httpx.Response:
        # the name leads nowhere, so the connection is made by number
        return self.client.get(path, extensions={"sni_hostname": NAME}, **options)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    directory = tmp_path_factory.mktemp("tls")
    certificate = Certificate(directory, NAME)
    with running_server(directory / "data", "--external-url", EXTERNAL) as server:
        site = publish(server)
        with (
            terminated(certificate, urlsplit(server.url).port or 0) as port,
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"Host": NAME},
                verify=certificate.for_client(),
                trust_env=False,
            ) as client,
        ):
            yield Outside(site, client)


def test_what_the_app_sees(outside: Outside) -> None:
    mount = outside.site.mount
    environ = outside.get(f"{mount}/echo?a=1").json()["environ"]
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == environ["SERVER_NAME"] == NAME
    assert environ["SERVER_PORT"] == "443"
    assert environ["SCRIPT_NAME"] == mount
    assert environ["HTTP_RSTUDIO_CONNECT_APP_BASE_URL"] == f"{EXTERNAL}{mount}"
    assert environ["HTTP_X_RSC_REQUEST"] == f"{EXTERNAL}{mount}/echo?a=1"


def test_what_flask_makes_of_it(outside: Outside) -> None:
    mount = outside.site.mount
    assert outside.get(f"{mount}/flask/").json() == {
        "relative": f"{mount}/flask/",
        "external": f"{EXTERNAL}{mount}/flask/",
        "request": f"{EXTERNAL}{mount}/flask/",
        "host": NAME,
        "scheme": "https",
        "root": mount,
        "secure": True,
        "client": "127.0.0.1",
    }


def test_redirects(outside: Outside) -> None:
    mount = outside.site.mount
    for path, location in (
        ("", f"{EXTERNAL}{mount}/"),
        ("/flask/redirect/absolute", f"{EXTERNAL}{mount}/flask/"),
        ("/flask/redirect/relative", f"{mount}/flask/"),
        ("/flask/slash", f"{EXTERNAL}{mount}/flask/slash/"),
    ):
        answer = outside.get(mount + path)
        assert answer.headers["Location"] in (location, location.removeprefix(EXTERNAL))
        assert answer.is_redirect
    assert outside.get(mount).headers["Location"] == f"{EXTERNAL}{mount}/"


def test_the_api(outside: Outside) -> None:
    site = outside.site
    key = {"Authorization": f"Key {site.server.users['alice'].api_key}"}
    item = outside.get(site.content.api, headers=key).json()
    assert item["content_url"] == f"{EXTERNAL}{site.mount}/"
    assert item["dashboard_url"].startswith(f"{EXTERNAL}/")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "mallory.test"},
        {"Forwarded": "proto=http;host=mallory.test", "X-Forwarded-For": "8.8.8.8"},
        {"X-Forwarded-Prefix": "/forged", "X-Script-Name": "/forged"},
        {"Host": "mallory.test"},
        {"Host": "localhost:1"},
    ],
)
def test_it_is_the_external_address_whatever_is_sent(
    outside: Outside, headers: dict[str, str]
) -> None:
    # a proxy may well send these, each in its own way: none is needed, so none is believed
    mount = outside.site.mount
    seen = outside.get(f"{mount}/flask/", headers=headers).json()
    assert seen["external"] == f"{EXTERNAL}{mount}/flask/"
    assert seen["client"] == "127.0.0.1"


def test_a_process_reaches_the_server_all_the_same(outside: Outside) -> None:
    answer = outside.get(f"{outside.site.mount}/call?path=__api__/v1/user").json()
    assert (answer["status"], answer["username"]) == (200, "alice")


def test_a_large_body(outside: Outside) -> None:
    answer = outside.client.post(
        f"{outside.site.mount}/echo",
        content=b"x" * 5_000_000,
        extensions={"sni_hostname": NAME},
    )
    assert answer.json()["size"] == 5_000_000
    assert len(outside.get(f"{outside.site.mount}/numbers?size=5000000").content) == 5_000_000
