"""What is asked of a Connect server beside rsconnect, and what is said where it does not do."""

import re
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from rsconnect.metadata import ServerStore

from scripts import connect
from scripts.connect import Client, Server, ServerError, connected, find_server
from tests.gateway.certificate import Certificate

pytestmark = pytest.mark.quick

URL = "https://connect.example.com"


def asking(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    """A client of a server that answers so."""
    return Client(Server(URL, "key"), httpx.Client(transport=httpx.MockTransport(answer)))


def test_a_server_that_does_not_answer_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(ServerError) as refused:
        asking(answer).me()
    assert str(refused.value) == f"{URL} does not answer: Connection refused"


def test_an_address_that_is_none_is_named() -> None:
    with connected(Server("http://[::1", "key")) as client, pytest.raises(ServerError) as refused:
        client.me()
    assert str(refused.value).startswith("http://[::1 does not answer: ")


def test_a_key_that_is_none_is_refused() -> None:
    says = f"The API key for {URL} has a character"
    with pytest.raises(ServerError, match=says), connected(Server(URL, "schlüssel")):
        raise AssertionError


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (httpx.Response(200, html="<p>Welcome</p>"), "answers 200, but not as Connect does."),
        (httpx.Response(404, text="Not found"), "answers 404, but not as Connect does."),
        (httpx.Response(401, json={"error": "Unknown key."}), "refuses (401): Unknown key."),
        (httpx.Response(403, json=["no"]), "refuses (403): Forbidden"),
        (httpx.Response(502), "refuses (502): Bad Gateway"),
    ],
)
def test_what_a_server_says_in_place_of_an_answer(response: httpx.Response, says: str) -> None:
    with pytest.raises(ServerError, match=re.escape(f"{URL} {says}")):
        asking(lambda _: response).me()


@pytest.mark.parametrize("number", [0, 499, 500, 501, 1000])
def test_all_pages_of_a_listing(number: int) -> None:
    users = [{"guid": str(each)} for each in range(number)]

    def answer(request: httpx.Request) -> httpx.Response:
        size, page = (int(request.url.params[name]) for name in ("page_size", "page_number"))
        return httpx.Response(200, json={"results": users[size * (page - 1) : size * page]})

    assert asking(answer).pages("v1/users") == users


def test_an_integration_that_the_server_does_not_have() -> None:
    methods = []

    def answer(request: httpx.Request) -> httpx.Response:
        methods.append(request.method)
        return httpx.Response(200, json=[{"template": "connect", "guid": "a"}])

    with pytest.raises(ServerError, match=f"{URL} has no integration of template github"):
        asking(answer).use("content", ["connect", "github"])
    # and nothing is changed
    assert methods == ["GET"]


def test_a_saved_server_is_believed_by_what_was_saved_of_its_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ServerStore(str(tmp_path))
    monkeypatch.setattr(connect, "ServerStore", lambda: store)
    its = Certificate(tmp_path, "connect.example.com").path.read_text("utf-8")
    store.set("usual", URL, "key")
    store.set("own", f"{URL}/", "key", ca_data=its)
    store.set("any", URL, "key", insecure=True, ca_data=its)
    assert find_server("usual") == Server(URL, "key", certificates=True)
    assert find_server("any") == Server(URL, "key", certificates=False)
    own = find_server("own")
    assert (own.url, own.api_key) == (URL, "key")
    assert isinstance(own.certificates, ssl.SSLContext)
    (believed,) = own.certificates.get_ca_certs()
    assert believed["subject"] == ((("commonName", "connect.example.com"),),)
